r"""
From the bytes of a body to the events in it. The only module that imports sseclient. No I/O.

sseclient parses the events. It is given whole events only, since by itself it loses the first one
after a byte order mark, merges two at ``\n\r\n``, returns an unfinished last one, joins lines at
quadratic cost, and knows no limit.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Deque, Iterable, Iterator, List, Union

from sseclient import SSEClient

from chatgpt4online._protocol import fields
from chatgpt4online._protocol.events import End, Failure, parse_event
from chatgpt4online.errors import ProtocolError
from chatgpt4online.types import Event

#: The most lines of one event, and the most bytes that sseclient copies to join them: for each
#: line, it copies those before it. The plugin sends one line.
_MOST_LINES = 1000
_MOST_COPIED = 64 * 1024 * 1024

#: sseclient logs each event, by the logger of its class's module.
logging.getLogger(__name__).setLevel(logging.WARNING)


class _Parser(SSEClient):
    """sseclient, used for one event after another."""

    def __init__(self) -> None:
        self._blocks: List[bytes] = []
        # As Latin-1, a text takes one byte per character, whatever its bytes are.
        super().__init__(self._blocks, char_enc="latin-1")  # type: ignore[arg-type] # iterated only

    def data_of(self, event: bytes) -> str:
        """Return the data of one event, in Latin-1. The copies in sseclient are freed."""
        self._blocks[:] = event, b"\n\n"
        parsed = next(self.events(), None)
        self._blocks.clear()
        return "" if parsed is None else parsed.data


#: Parsers that are not in use. To make one takes a lock of logging's.
_idle_parsers: Deque[_Parser] = deque(maxlen=64)


def parse(chunks: Iterable[bytes]) -> Iterator[Union[str, Event, End, Failure]]:
    """
    Return an iterator of what each event says, as `events.parse_event` returns it.

    It keeps no reference to an event's bytes, text or meaning while it works on the next step.

    Args:
        chunks: the bytes of the stream, from its first event on, cut anywhere.

    Raises:
        ProtocolError: an event is not the plugin's, not UTF-8, or over a limit.
    """
    return filter(None, map(parse_event, map(_data_of, _single_events(chunks))))


def _data_of(event: bytes) -> str:
    """Return the data of one event, empty if it has none."""
    try:
        parser = _idle_parsers.pop()
    except IndexError:
        parser = _Parser()
    data = parser.data_of(event)
    _idle_parsers.append(parser)
    try:
        return data if data.isascii() else data.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolError("an event is not UTF-8") from None


def _single_events(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """
    Yield each event, without the empty line at its end.

    What is left when the chunks end is an unfinished event, and dropped.
    """
    held = bytearray()  # not a list, whose pieces would leave holes in memory
    for chunk in _with_plain_newlines(chunks):
        end = _end_of_events(chunk, held.endswith(b"\n"))
        if end:
            held += chunk[:end]
            yield from _split(_taken(held))
        held += chunk[end:]
        _check_size(len(held))


def _taken(held: bytearray) -> bytes:
    """Return what is held, and empty it, so that memory is free while it is parsed."""
    block = bytes(held)
    held.clear()
    return block


def _split(block: bytes) -> Iterator[bytes]:
    """Yield the events in a block that ends at the end of one, without a reference to them."""
    found = [event for event in reversed(block.split(b"\n\n")) if event]
    del block
    while found:
        _check_size(len(found[-1]) + 2)
        _check_lines(found[-1])
        yield found.pop()


def _check_size(size: int) -> None:
    if size > fields.LIMIT:
        raise ProtocolError(f"an event is larger than {fields.LIMIT} bytes")


def _check_lines(event: bytes) -> None:
    most = min(_MOST_LINES, _MOST_COPIED // len(event))
    if event.count(b"\n") >= most:
        raise ProtocolError(f"an event has more than {most} lines")


def _end_of_events(chunk: bytes, after_newline: bool) -> int:
    """Return how many bytes of a chunk belong to events that it ends; 0 if it ends none."""
    # Most chunks of a long event contain no line end at all, which is quicker to find out.
    found = chunk.rfind(b"\n\n") if b"\n" in chunk else -1
    if found >= 0:
        return found + 2
    return 1 if after_newline and chunk.startswith(b"\n") else 0


def _with_plain_newlines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks with each line end, which may be CR LF or CR as well, as LF."""
    after_cr = False
    for chunk in chunks:
        block = chunk[1:] if after_cr and chunk.startswith(b"\n") else chunk
        after_cr = chunk.endswith(b"\r")
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if block:
            yield block
