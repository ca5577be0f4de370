r"""
From the bytes of a body to the events in it. The only module that imports sseclient. No I/O.

sseclient parses the events. It is given whole events only, since by itself it loses the first one
after a byte order mark, merges two at ``\n\r\n``, returns an unfinished last one, joins lines at
quadratic cost, and knows no limit.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Deque, Iterable, Iterator, Union

from sseclient import SSEClient

from chatgpt4online._protocol import events
from chatgpt4online.errors import ProtocolError
from chatgpt4online.types import Event

#: sseclient takes seconds to join more lines than that; the plugin sends one.
_MOST_LINES = 1000

#: sseclient logs each event, by the logger of its class's module.
logging.getLogger(__name__).setLevel(logging.WARNING)


class _Source:
    """What sseclient reads from. It can be set anew, so that a parser serves many streams."""

    def __init__(self) -> None:
        self.blocks: Iterator[bytes] = iter(())

    def __iter__(self) -> Iterator[bytes]:
        return self.blocks


class _Parser(SSEClient):
    """sseclient, used for one stream after another."""

    def __init__(self) -> None:
        self._source = _Source()
        super().__init__(self._source)  # type: ignore[arg-type] # it only iterates

    def parse(self, blocks: Iterator[bytes]) -> Iterator[str]:
        """Yield the data of each event."""
        self._source.blocks = blocks
        for event in self.events():
            yield event.data
        _idle_parsers.append(self)


#: Parsers that are not in use. To make one takes a lock of logging's.
_idle_parsers: Deque[_Parser] = deque(maxlen=64)


def _parser() -> _Parser:
    try:
        return _idle_parsers.pop()
    except IndexError:
        return _Parser()


def parse(chunks: Iterable[bytes]) -> Iterator[Union[str, Event, events.End, events.Failure]]:
    """
    Yield what each event says, as `events.parse_event` returns it.

    Args:
        chunks: the bytes of the stream, from its first event on, cut anywhere.

    Raises:
        ProtocolError: an event is not the plugin's, not UTF-8, or over the limit.
    """
    parse_event = events.parse_event
    try:
        for data in _parser().parse(_single_events(chunks)):
            item = parse_event(data)
            if item is not None:
                yield item
    except UnicodeDecodeError:
        raise ProtocolError("an event is not UTF-8") from None


def _single_events(chunks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield each event with the ``\n\n`` at its end."""
    for block in _whole_events(chunks):
        for event in block.split(b"\n\n"):
            if event.count(b"\n") >= _MOST_LINES:
                raise ProtocolError(f"an event has more than {_MOST_LINES} lines")
            if event:
                yield event + b"\n\n"


def _whole_events(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """
    Yield blocks that end at the end of an event, joined once each.

    What is left when the chunks end is an unfinished event, and dropped.
    """
    held = bytearray()  # not a list, whose pieces would leave holes in memory
    for chunk in _with_plain_newlines(chunks):
        end = _end_of_events(chunk, held.endswith(b"\n"))
        if end:
            held += chunk[:end]
            yield _taken(held)
        held += chunk[end:]
        if len(held) > events.LIMIT:
            raise ProtocolError(f"an event is larger than {events.LIMIT} bytes")


def _taken(held: bytearray) -> bytes:
    """Return what is held, and empty it, so that memory is free while it is parsed."""
    block = bytes(held)
    held.clear()
    return block


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
