"""Output: replies as plain text, JSON or rendered Markdown, status messages, exit statuses."""

from __future__ import annotations

import argparse
import contextlib
import enum
import json
import logging
import os
import signal
import sys
import threading
from importlib.util import find_spec
from typing import Any, Callable, Dict, Iterator, List

from chatgpt4online._display import for_markdown, for_terminal
from chatgpt4online.errors import ChatGPT4OnlineError, MessageError
from chatgpt4online.stream import Stream
from chatgpt4online.types import Reply

__all__ = [
    "ExitStatus",
    "debug_log",
    "discard_output",
    "error_fields",
    "print_json",
    "reply_printer",
    "report",
    "report_error",
    "tolerate_encodings",
]

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


def tolerate_encodings() -> None:
    """Print a question mark for what the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def discard_output() -> None:
    """Redirect standard output to nowhere, so that a closed pipe raises nothing at exit either."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(message: object) -> None:
    """Print one line to standard error."""
    line = " ".join(for_terminal(str(message)).split())
    print(f"chatgpt4online: {line}", file=sys.stderr, flush=True)


def report_error(error: Exception) -> ExitStatus:
    """Print an error to standard error and return its exit status."""
    report(error)
    is_failure = isinstance(error, ChatGPT4OnlineError) and not isinstance(error, MessageError)
    return ExitStatus.FAILURE if is_failure else ExitStatus.USAGE


def print_json(value: Dict[str, Any]) -> None:
    """Print an object as one line of JSON."""
    print(json.dumps(value, default=dict), flush=True)


def error_fields(error: Exception) -> Dict[str, str]:
    """Return an error as it stands in JSON output."""
    return {"class": type(error).__name__, "message": str(error)}


@contextlib.contextmanager
def debug_log() -> Iterator[None]:
    """Write the package's log, which contains no secrets, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(relativeCreated)6d ms  %(message)s"))
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
    can_render = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if options.raw or not can_render or find_spec("rich") is None:
        return _print_plain
    return _print_rendered


def _print_plain(open_stream: OpenStream) -> Reply:
    with open_stream() as stream:
        try:
            for delta in stream:
                print(for_terminal(delta), end="", flush=True)
            reply = stream.result()
        finally:
            if stream.text and not stream.text.endswith("\n"):
                print(flush=True)
    if _full_text(reply).strip() != stream.text.strip():
        if stream.text.strip():
            report("the site changed its answer at the end; the final answer is:")
        print(for_terminal(_full_text(reply)), flush=True)
    return reply


def _full_text(reply: Reply) -> str:
    """Return a reply's text, followed by the URLs of images that the text does not contain."""
    urls = [image.url for image in reply.images if image.url not in reply]
    return "\n\n".join(filter(None, [str(reply), *urls]))


def _print_as_json(open_stream: OpenStream) -> Reply:
    try:
        with open_stream() as stream:
            reply = stream.result()
    except ChatGPT4OnlineError as error:
        print_json({"error": error_fields(error), "text": error.text})
        raise
    print_json(
        {
            "text": str(reply),
            "chat_id": reply.chat_id,
            "response_id": reply.response_id,
            "usage": reply.usage and vars(reply.usage),
            "images": [image.url for image in reply.images],
            "actions": [action.data for action in reply.actions],
            "shortcuts": [shortcut.data for shortcut in reply.shortcuts],
            "blocks": list(reply.blocks),
        }
    )
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
        text = None
        try:
            live = Live(_Tail(stream), console=console, transient=True, refresh_per_second=10)
            with _running(live):
                reply = stream.result()
            text = _full_text(reply)
        finally:
            console.print(_markdown(stream.text if text is None else text))
    return reply


def _markdown(text: str) -> Any:
    from rich.markdown import Markdown

    # Without hyperlinks, a link shows its URL and its text cannot disguise it.
    return Markdown(for_markdown(for_terminal(text)), hyperlinks=False)


class _Tail:
    """The last lines of a growing answer, as many as the terminal can show and erase."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        """Yield the segments that rich draws."""
        from rich.segment import Segment

        # The terminal echoes Ctrl-C as ^C, which would wrap a line of full width.
        narrower = options.update(width=max(console.width - 3, 1))
        lines = console.render_lines(_markdown(self._stream.text), narrower, pad=False)
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
