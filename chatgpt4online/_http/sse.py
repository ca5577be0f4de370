r"""
From the bytes of a body to the events in it. The only module that imports sseclient. No I/O.

sseclient parses the events. It is given whole events only, since by itself it loses the first one
after a byte order mark, merges two at ``\n\r\n``, returns an unfinished last one, joins lines at
quadratic cost, and knows no limit.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Iterable, Iterator, Tuple, Union

from sseclient import SSEClient

from chatgpt4online._protocol import fields
from chatgpt4online._protocol.events import End, Failure, parse_event
from chatgpt4online.errors import ProtocolError
from chatgpt4online.types import Event

#: The most lines of one event, and the most bytes that sseclient copies to join them: for each
#: line, it copies those before it. The plugin sends one line.
_MAX_LINES = 1000
_MAX_COPIED = 64 * 1024 * 1024

#: From this size on, in bytes, the memory of an event matters.
_LONG = 128 * 1024

#: sseclient logs each event, by the logger of its class's module.
logging.getLogger(__name__).setLevel(logging.WARNING)


#: The events of the streams that this thread, or greenlet, has just begun: of one, or of more where
#: a signal handler asks.
_begun: ContextVar[Tuple[Iterator[bytes], ...]] = ContextVar("begun", default=())


class _Source:
    """What sseclient reads from: the events of the stream that has just begun."""

    def __iter__(self) -> Iterator[bytes]:
        begun = _begun.get()
        _begun.set(begun[:-1])
        return begun[-1] if begun else iter(())


class _Parser(SSEClient):
    """sseclient under the name of this module, by which it logs."""


#: One for all streams: making one takes a lock of logging's, and its state is in `_begun` only. As
#: Latin-1, a text takes one byte per character, whatever its bytes are.
_parser = _Parser(_Source(), char_enc="latin-1")  # type: ignore[arg-type] # it only iterates


def _data(events: Iterator[bytes]) -> Iterator[str]:
    """
    Yield the data of each event.

    After a long one sseclient begins anew, which frees its eight copies of the event.
    """
    try:
        while True:
            _begun.set((*_begun.get(), events))
            for event in _parser.events():
                data = event.data
                if len(data) > _LONG:
                    break
                yield data if data.isascii() else _decoded(data)
            else:
                return
            del event
            data = _decoded(data)
            yield data
            del data
    finally:
        if events in _begun.get():  # Ctrl-C struck before sseclient took them
            _begun.set(tuple(others for others in _begun.get() if others is not events))


def _decoded(data: str) -> str:
    """Return the text that sseclient took for Latin-1."""
    try:
        return data if data.isascii() else data.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolError("an event is not UTF-8") from None


def parse(chunks: Iterable[bytes]) -> Iterator[Union[str, Event, End, Failure]]:
    """
    Return an iterator of what each event says, as `events.parse_event` returns it.

    Args:
        chunks: the bytes of the stream, from its first event on, cut anywhere.

    Raises:
        ProtocolError: an event is not the plugin's, not UTF-8, or over a limit.
    """
    # Unlike loops, these keep no event in a variable while they parse the next.
    return filter(None, map(parse_event, _data(_checked_events(chunks))))


def _checked_events(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield whole events: the usual ones together, others one by one, without keeping them."""
    for block in _whole_events(chunks):
        if len(block) <= _LONG and _has_single_lines(block):
            yield block  # splitting it would cost a tenth of a small event
            continue
        found = list(filter(None, block.split(b"\n\n")))
        del block
        found.reverse()
        while found:
            if b"\n" in found[-1] or len(found[-1]) > fields.MAX_BYTES:
                _check_event(found[-1])
            yield found.pop() + b"\n\n"


def _has_single_lines(block: bytes) -> bool:
    """Return whether each event is one line, as the plugin sends them."""
    return block.count(b"\n") == 2 * block.count(b"\n\n")


def _check_event(event: bytes) -> None:
    _check_size(len(event))
    most = min(_MAX_LINES, _MAX_COPIED // len(event))
    if event.count(b"\n") >= most:
        raise ProtocolError(f"an event has more than {most} lines")


def _check_size(size: int) -> None:
    if size > fields.MAX_BYTES:
        raise ProtocolError(f"an event is larger than {fields.MAX_BYTES} bytes")


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
        _check_size(len(held))


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
