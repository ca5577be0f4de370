"""The command line's standard files: closed, full, undecodable, shared with other programs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest
from support import SOON
from support.commands import Run, Terminal

from chatgpt4online.cli import main, output
from chatgpt4online.testing import Server

COVERAGE = ["-m", "coverage", "run"] if "coverage" in sys.modules else []
PROGRAM = [sys.executable, "-W", "default", *COVERAGE, "-m", "chatgpt4online"]

needs_sh = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")


def shell(
    script: str, *words: str, stdin: bytes = b"", **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a script of sh, where it is called ``"$@"``."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *PROGRAM, *words],
        check=False,
        input=stdin,
        capture_output=True,
        timeout=SOON * 4,
        **options,
    )


# --------------------------------------------------------------------------- closed standard files


@needs_sh
@pytest.mark.parametrize(
    ("redirection", "out"),
    [
        ("<&-", b"Echo(1 msgs): Hello\n"),
        (">&- 2>&-", b""),
        ("<&- >&- 2>&-", b""),
    ],
)
def test_closed_files_of_a_question(server: Server, redirection: str, out: bytes) -> None:
    """`ask` works with closed standard files."""
    done = shell(f'"$@" {redirection}', "ask", "Hello", "--site", server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, out, b"")
    assert len(server.questions) == 1


@needs_sh
@pytest.mark.parametrize("words", [["ask"], ["nonsense"]])
def test_closed_files_of_a_usage_error(words: List[str]) -> None:
    """A usage error needs no standard file, and says what is wrong if it can."""
    done = shell('"$@" <&- >&-', *words)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"usage: chatgpt4online" in done.stderr
    assert shell('"$@" <&- >&- 2>&-', *words).returncode == 2


@needs_sh
@pytest.mark.parametrize("words", ["chat", "check", "bots /", "batch - -o out", "--help"])
def test_closed_files_of_other_commands(server: Server, tmp_path: Path, words: str) -> None:
    """No command prints a traceback with closed standard files."""
    server.page("/", bots=["default"])
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "CHATGPT4ONLINE_SITE": server.url, "PYTHONPATH": path}
    done = shell('"$@" <&- >&-', *words.split(), cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr


def test_closed_files_inside_a_process(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python has None for a closed file; a command then reads nothing and prints nowhere."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    try:
        assert main(["ask", "--site", server.url]) == 2
        assert main(["ask", "Hello", "--site", server.url]) == 0
    finally:
        for file in (sys.stdin, sys.stdout, sys.stderr):
            file.close()
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("option", ["--raw", "--json"])
def test_a_full_disk(server: Server, option: str) -> None:
    """If the answer cannot be written, the error is one line, and Python adds nothing to it."""
    done = shell('"$@" > /dev/full', "ask", "Hello", option, "--site", server.url)
    assert done.returncode == 2
    assert done.stderr.startswith(b"chatgpt4online: ")
    assert done.stderr.count(b"\n") == 1
    assert shell('"$@" 2> /dev/full', "ask", "--site", server.url).returncode == 2


def test_a_discarded_stream(tmp_path: Path) -> None:
    """A stream that nobody reads is discarded with what it still holds; another one stays."""
    path = tmp_path / "file"
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file:
        os.close(reader)
        file.write("lost")
        output.discard(file)
    with path.open("w", encoding="utf-8") as file:
        file.write("held ")
        output.discard(file)
        file.write("kept")
    assert path.read_text("utf-8") == "held kept"


class Unwritable(io.StringIO):
    """A stream on a full disk."""

    def write(self, _: str) -> int:
        """Fail."""
        raise OSError(28, "No space left on device")

    flush = write  # type: ignore[assignment]


def test_an_unwritable_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that cannot be printed is only an exit status."""
    monkeypatch.setattr(sys, "stderr", Unwritable())
    monkeypatch.setattr(output, "discard", lambda _: None)
    assert main(["nonsense"]) == 2


def test_no_home_and_no_name(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command line works without HOME for a user that the system does not know."""

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "USERPROFILE", "HOMEPATH"):
        monkeypatch.delenv(name, raising=False)
    if os.name != "nt":
        monkeypatch.setattr("pwd.getpwuid", unknown)
    result = run("chat", "--site", server.url, stdin=Terminal("/file ~/a\n/save ~/a\nHello\n"))
    assert (result.status, result.out) == (0, "Echo(1 msgs): Hello\n")
    assert "no such file: ~/a" in result.err
    assert result.err.count("chatgpt4online: ") == 2


# -------------------------------------------------------------------------------------- encodings


@needs_sh
@pytest.mark.parametrize(("command", "locale"), [("ask", "C"), ("chat", "C.UTF-8")])
def test_undecodable_input(server: Server, command: str, locale: str) -> None:
    """A question that is not UTF-8 is not sent; the error names the line, in any locale."""
    stdin = "One\nCafé\n".encode("windows-1252")
    environment = {**os.environ, "LC_ALL": locale}
    done = shell('"$@"', command, "--site", server.url, stdin=stdin, env=environment)
    assert done.returncode == 2
    assert done.stderr == (
        b"chatgpt4online: line 2 of standard input is not valid UTF-8: byte 0xe9 at character 4."
        b" Convert it to UTF-8 first.\n"
    )
    assert len(server.questions) == (command == "chat")


@pytest.mark.parametrize(
    ("words", "name"),
    [(["Caf\udce9"], "MESSAGE"), (["Hello", "--system", "Caf\udce9"], "--system")],
)
def test_undecodable_arguments(run: Run, words: List[str], name: str) -> None:
    """An argument that is not UTF-8 is named."""
    result = run("ask", *words)
    assert result.status == 2
    assert result.err == (
        f"chatgpt4online: {name} is not valid UTF-8: byte 0xe9 at character 4."
        " Convert it to UTF-8 first.\n"
    )


# ----------------------------------------------------------------------------------- whole answers


class Pipe(io.StringIO):
    """Records what is written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: List[str] = []

    def flush(self) -> None:
        """Record what has been written since the last time."""
        text = self.getvalue()
        self.truncate(0)
        self.seek(0)
        self.writes.append(text)


@pytest.mark.parametrize("option", ["--raw", "--json"])
def test_an_answer_is_written_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """Without a terminal, an answer with its line end is written at once, when it is complete."""
    server.says("One\n", "two ", "three", pace=0.01)
    pipe = Pipe()
    monkeypatch.setattr(sys, "stdout", pipe)
    assert main(["ask", "Hello", option, "--site", server.url]) == 0
    (text,) = filter(None, pipe.writes)
    assert text.endswith("\n")
    assert text == "One\ntwo three\n" or option == "--json"


def test_long_answers_are_written_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too long for a pipe is written in whole lines, as many at once as it takes."""
    pipe = Pipe()
    monkeypatch.setattr(sys, "stdout", pipe)
    monkeypatch.setattr("select.PIPE_BUF", 10, raising=False)
    text = "1234567890ab\nüüü\nc\nd\ne\n"
    output.print_whole(text)
    assert pipe.writes == ["1234567890ab\n", "üüü\nc\n", "d\ne\n"]


@needs_sh
def test_parallel_answers_do_not_mix(server: Server, tmp_path: Path) -> None:
    """The lines of programs that run at the same time and share a pipe stay whole."""
    line = "word" * 200
    for _ in range(3):
        server.says(*(f"{line}\n" for _ in range(20)))
    script = 'for n in 1 2 3; do "$@" & done; wait'
    done = shell(f"({script}) | cat", "ask", "Hello", "--raw", "--site", server.url)
    assert {*done.stdout.decode().splitlines()} == {line}
    assert done.stdout.count(b"\n") == 60


def opened(source: str, folder: Path) -> Any:
    """Return an open pipe, file, null device or text."""
    (folder / "file").write_text("More")
    if source == "pipe":
        reader, writer = os.pipe()
        os.close(writer)
        return os.fdopen(reader)
    return io.StringIO() if source == "text" else (folder / source).open()


NOTE = b"standard input is not read; add - to send it with the question"


@pytest.mark.parametrize(
    ("words", "source", "is_noted"),
    [
        ("ask Hello", "pipe", True),
        ("ask Hello", "file", True),
        ("ask Hello", os.devnull, False),
        ("ask Hello", "text", False),
        ("ask Hello -", "file", False),
        ("ask", "file", False),
    ],
)
def test_unread_input_is_noted_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str, source: str, is_noted: bool
) -> None:
    """In a terminal, one line says that a pipe or a file on standard input is not read."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    master, slave = pty.openpty()
    with opened(source, tmp_path) as stdin, os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stderr", terminal)
        assert main([*words.split(), "--demo"]) == 0
        print("end", file=terminal, flush=True)
        shown = b""
        while b"end" not in shown:
            shown += os.read(master, 4096)
    os.close(master)
    assert shown.count(b"chatgpt4online: ") == is_noted
    assert (NOTE in shown) == is_noted


def test_standard_input_stays_for_a_loop(run: Run, server: Server) -> None:
    """`ask MESSAGE` leaves standard input to the loop that it runs in."""
    stdin = io.StringIO("One\nTwo\n")
    assert stdin.readline() == "One\n"
    run("ask", "Hello", "--site", server.url, stdin=stdin)
    assert stdin.readline() == "Two\n"
    assert server.questions[-1].json["newMessage"] == "Hello"
