"""What the user types, pastes, edits or pipes in."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Iterable, Iterator, Optional

from .options import check_encoding
from .output import report

__all__ = ["edit", "entries", "expand", "line_editing", "lines", "note_unread_input", "read_input"]

_HISTORY_FILE = "~/.chatgpt4online_history"
_HISTORY_LENGTH = 1000

#: What opens and closes a question of several lines.
_QUOTES = '"""'


def expand(path: str) -> str:
    """Expand ``~`` in a path; leave it if the home directory is unknown."""
    return os.path.expanduser(path)  # noqa: PTH111 - pathlib's raises RuntimeError then


# --------------------------------------------------------------------------------- standard input


def read_input() -> str:
    """
    Return all of standard input.

    Raises:
        ValueError: a line cannot be decoded.
    """
    return "".join(lines(sys.stdin, "standard input"))


def lines(file: Iterable[str], name: str) -> Iterator[str]:
    """
    Yield the lines of a file, without a byte order mark.

    Args:
        file: the file, opened with ``errors="surrogateescape"``.
        name: what to call it.

    Raises:
        ValueError: a line cannot be decoded.
    """
    for number, line in enumerate(file, 1):
        text = line[1:] if number == 1 and line.startswith("\ufeff") else line
        yield check_encoding(text, f"line {number} of {name}")


def note_unread_input() -> None:
    """Say in a terminal that a pipe or a file is not read."""
    if sys.stderr.isatty():
        with contextlib.suppress(OSError, ValueError):
            mode = os.fstat(sys.stdin.fileno()).st_mode
            if stat.S_ISFIFO(mode) or stat.S_ISREG(mode):
                report("standard input is not read; add - to send it with the question")


# ----------------------------------------------------------------------------------- conversations


def entries() -> Iterator[str]:
    """
    Yield the user's questions and commands, without their line ends.

    A question between triple quotes begins with a space, which commands never do.

    Raises:
        ValueError: a line from a pipe cannot be decoded, or triple quotes are not closed.
    """
    if sys.stdin.isatty():
        yield from iter(_typed_entry, None)
    else:
        piped = (line.rstrip("\n") for line in lines(sys.stdin, "standard input"))
        yield from iter(lambda: _entry(lambda _: next(piped, None)), None)


def _typed_entry() -> Optional[str]:
    """Return what is typed next; None at Ctrl-D. Ctrl-C discards it."""
    try:
        return _entry(_typed)
    except KeyboardInterrupt:
        print("\n(press Ctrl-D or type /quit to leave)", file=sys.stderr)
        return ""


def _typed(prompt: str) -> Optional[str]:
    """Return a typed line, or a pasted block; None at Ctrl-D."""
    try:
        return input(prompt if sys.stdout.isatty() else "")
    except EOFError:
        print(file=sys.stderr)
        return None


def _entry(read: Callable[[str], Optional[str]]) -> Optional[str]:
    """
    Return the next line, or the text between triple quotes; None at the end.

    Args:
        read: returns the next line after a prompt, or None.
    """
    line = read("> ")
    if line is None or not line.startswith(_QUOTES):
        return line
    line = line[len(_QUOTES) :]
    block = []
    while not line.rstrip().endswith(_QUOTES):
        block.append(line)
        line = read("... ")
        if line is None:
            raise ValueError(f"{_QUOTES} opens a question, but nothing closes it")
    return " " + "\n".join([*block, line.rstrip()[: -len(_QUOTES)]])


@contextlib.contextmanager
def line_editing() -> Iterator[None]:
    """Give input() line editing, pasted blocks and a kept history, if Python has readline."""
    try:
        import readline
    except ImportError:  # on Windows, where the console itself edits lines
        yield
        return
    path = expand(_HISTORY_FILE)
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY_LENGTH)
    # Python turns this off. Without it, each line of a pasted block would be a question.
    readline.parse_and_bind("set enable-bracketed-paste on")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(path)


def edit(text: str) -> str:
    """
    Return a text as the user has changed it in an editor.

    Raises:
        OSError: there is no such editor.
        ValueError: the editor failed, or the text is not UTF-8.
    """
    default = "notepad" if os.name == "nt" else "vi"
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or default
    handle, path = tempfile.mkstemp(suffix=".md", text=True)
    try:
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - a handle, not a path
            file.write(text)
        status = subprocess.call([*shlex.split(command, posix=os.name != "nt"), path])  # noqa: S603
        if status:
            raise ValueError(f"{command} failed with status {status}; nothing was asked")
        return check_encoding(Path(path).read_text("utf-8", "surrogateescape"), "the text")
    finally:
        with contextlib.suppress(OSError):
            Path(path).unlink()
