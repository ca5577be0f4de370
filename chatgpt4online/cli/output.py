"""Output: replies as plain text, JSON or rendered Markdown, status messages, exit statuses."""

from __future__ import annotations

import argparse
import contextlib
import enum
import json
import logging
import os
import select
import signal
import sys
import threading
from importlib.util import find_spec
from typing import Any, Callable, Dict, Iterator, List, Optional, TextIO

from chatgpt4online._display import for_markdown, for_terminal
from chatgpt4online._printing import full_text, print_deltas
from chatgpt4online.errors import ChatGPT4OnlineError, MessageError
from chatgpt4online.stream import Stream
from chatgpt4online.types import Reply

from .options import UsageError

__all__ = [
    "ExitStatus",
    "debug_log",
    "discard",
    "error_fields",
    "prepare_streams",
    "print_json",
    "print_whole",
    "reply_printer",
    "report",
    "report_error",
    "report_usage_error",
]

#: The longest text that is rendered, and the most cells of its tables. Rendering takes 0.1 ms for a
#: character, and more for a cell.
_MAX_MARKDOWN = 100_000
_MAX_CELLS = 10_000

#: The characters that the last lines are rendered from, ten times a second.
_TAIL = 10_000

#: Sends a question.
OpenStream = Callable[[], Stream]

#: Sends a question, prints the answer as it arrives, and returns it.
Printer = Callable[[OpenStream], Reply]


class ExitStatus(enum.IntEnum):
    """The program's exit statuses, as ``--help`` lists them."""

    SUCCESS = 0
    FAILURE = 1
    USAGE = 2
    INTERRUPTED = 130


# ------------------------------------------------------------------------------- standard streams


#: The standard streams, and how they handle errors of encoding: output prints question marks, and
#: input keeps the bytes for `options.check_encoding` to find.
_STREAMS = {"stdin": "surrogateescape", "stdout": "replace", "stderr": "replace"}


def prepare_streams() -> None:
    """
    Make the standard streams usable. Python sets closed ones to None, and others fail on what they
    cannot encode.
    """
    for name, errors in _STREAMS.items():
        if getattr(sys, name) is None:
            # Opened in this order, each takes the lowest free number: that of the closed one.
            handle = os.open(os.devnull, os.O_RDWR)
            mode = "r" if name == "stdin" else "w"
            file = open(handle, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, file)
        if hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors=errors)


def discard(stream: TextIO) -> None:
    """Redirect a stream to nowhere if it cannot be written: Python would fail at exit too."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def report(message: object) -> None:
    """Print one line to standard error."""
    line = " ".join(for_terminal(str(message)).split())
    _print_error(f"chatgpt4online: {line}\n")


def _print_error(line: str) -> None:
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except (OSError, ValueError):  # which cannot be reported
        discard(sys.stderr)


def report_error(error: Exception) -> ExitStatus:
    """Print an error to standard error and return its exit status."""
    report(error)
    is_failure = isinstance(error, ChatGPT4OnlineError) and not isinstance(error, MessageError)
    return ExitStatus.FAILURE if is_failure else ExitStatus.USAGE


def report_usage_error(error: UsageError) -> ExitStatus:
    """Print how a command is used and what was wrong, and return the exit status."""
    _print_error("" if error.parser is None else error.parser.format_usage())
    return report_error(error)


def print_json(value: Dict[str, Any]) -> None:
    """Print an object as one line of JSON."""
    print_whole(json.dumps(value) + "\n")


def print_whole(text: str) -> None:
    """Print a text so that the output of parallel programs does not get into its lines."""
    for piece in _pieces(text):
        sys.stdout.write(piece)
        sys.stdout.flush()


def _pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that are each written at once: whole lines, as long as pipes allow."""
    limit = getattr(select, "PIPE_BUF", 512)
    piece: List[str] = []
    size = 0
    for line in text.splitlines(keepends=True):
        length = len(line.encode("utf-8", "replace"))
        if piece and size + length > limit:
            yield "".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += length
    yield "".join(piece)


def error_fields(error: Optional[Exception]) -> Dict[str, Optional[str]]:
    """Return an error as it stands in JSON output; None for success."""
    return {
        "error": None if error is None else type(error).__name__,
        "error_message": None if error is None else str(error),
    }


class _LogFormatter(logging.Formatter):
    """Removes control characters, which may come from the site."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return for_terminal(super().format(record))


@contextlib.contextmanager
def debug_log() -> Iterator[None]:
    """Write the package's log, which contains no secrets, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LogFormatter("%(relativeCreated)6d ms  %(message)s"))
    log = logging.getLogger("chatgpt4online")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


# ---------------------------------------------------------------------------------------- replies


def reply_printer(options: argparse.Namespace) -> Printer:
    """Return the printer for the options and the terminal."""
    if options.json:
        return _print_as_json
    if not sys.stdout.isatty():
        return _print_at_end
    if options.raw or os.environ.get("TERM") == "dumb" or find_spec("rich") is None:
        return _print_plain
    return _print_rendered


def _print_at_end(open_stream: OpenStream) -> Reply:
    """Print a whole answer at once, so that parallel runs do not mix their answers."""
    with open_stream() as stream:
        try:
            reply = stream.result()
        except BaseException:
            _print_text(stream.text)
            raise
    _print_text(full_text(reply))
    return reply


def _print_text(text: str) -> None:
    if text:
        print_whole(for_terminal(text if text.endswith("\n") else text + "\n"))


def _print_plain(open_stream: OpenStream) -> Reply:
    return print_deltas(open_stream(), report)


def _print_as_json(open_stream: OpenStream) -> Reply:
    try:
        with open_stream() as stream:
            reply = stream.result()
    except ChatGPT4OnlineError as error:
        print_json({"text": error.text, **error_fields(error)})
        raise
    print_json({**reply.to_dict(), **error_fields(None)})
    return reply


# ------------------------------------------------------------------------------ rendered Markdown


def _print_rendered(open_stream: OpenStream) -> Reply:
    """Print rendered Markdown: its last lines while it arrives, and all of it at the end."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with _running(console.status("waiting for the answer")):
        stream = open_stream()
    with stream:
        live = Live(_Tail(stream), console=console, transient=True, refresh_per_second=10)
        try:
            with _running(live):
                reply = stream.result()
        except BaseException:
            console.print(_markdown(stream.text))
            raise
    console.print(_markdown(full_text(reply)))
    return reply


def _markdown(text: str) -> Any:
    """Return what rich prints for a text: plain text if its Markdown would take too long."""
    from rich.markdown import Markdown
    from rich.text import Text

    text = for_terminal(text)
    cells = [line.count("|") for line in text.split("\n") if "|" in line]
    if len(text) > _MAX_MARKDOWN or max(cells, default=0) * len(cells) > _MAX_CELLS:
        return Text(text)
    # Without hyperlinks, a link shows its URL and its text cannot disguise it.
    return Markdown(for_markdown(text), hyperlinks=False)


class _Tail:
    """The last lines of a growing answer, as many as the terminal can show and erase."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        """Yield the segments that rich draws."""
        from rich.segment import Segment

        # The terminal echoes Ctrl-C as ^C, which would wrap a line of full width.
        narrower = options.update(width=max(console.width - 3, 1))
        text = self._stream.text[-_TAIL:]
        lines = console.render_lines(_markdown(text), narrower, pad=False)
        for line in lines[-(console.size.height - 1) :]:
            yield from line
            yield Segment.line()


@contextlib.contextmanager
def _running(display: Any) -> Iterator[None]:
    """Start one of rich's displays, and stop it even when Ctrl-C arrives."""
    try:
        with _deferred_interrupt():
            display.start()
        yield
    finally:
        with _deferred_interrupt():
            display.stop()


@contextlib.contextmanager
def _deferred_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt only after the block, since it would break a starting thread."""
    received: List[int] = []
    handler = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or handler is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if received:
        raise KeyboardInterrupt
