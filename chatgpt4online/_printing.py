"""Print an answer as it arrives, as the command line and IPython in a terminal do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ._display import for_terminal

if TYPE_CHECKING:
    from .stream import Stream
    from .types import Reply

__all__ = ["full_text", "print_deltas"]


def print_deltas(stream: Stream, notice: Callable[[str], object]) -> Reply:
    """
    Print a stream's deltas without control characters, and return the reply.

    Args:
        stream: the stream, which is closed.
        notice: called with a line before a final answer that differs from the deltas.
    """
    with stream:
        try:
            for delta in stream:
                print(for_terminal(delta), end="", flush=True)
            reply = stream.result()
        finally:
            if stream.text and not stream.text.endswith("\n"):
                print(flush=True)
    if full_text(reply).strip() != stream.text.strip():
        if stream.text.strip():
            notice("the site changed its answer at the end; the final answer is:")
        print(for_terminal(full_text(reply)), flush=True)
    return reply


def full_text(reply: Reply) -> str:
    """Return a reply's text, followed by the URLs of images that the text does not contain."""
    urls = [image.url for image in reply.images if image.url not in reply]
    return "\n\n".join(filter(None, [str(reply), *urls]))
