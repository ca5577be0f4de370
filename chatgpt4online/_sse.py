r"""
From the bytes of a body to what the plugin says in them. No I/O: the chunks come from an iterator.

sseclient parses the events. It is given whole events only, since by itself it loses the first one
after a byte order mark, merges two at ``\n\r\n``, hands out an unfinished last one, adds line to
line at quadratic cost, and knows no limit. A very long line of data passes it by, uncopied.
"""

from __future__ import annotations

import re
from typing import Iterable, Iterator, List, Union

from sseclient import SSEClient

from ._protocol import events
from .errors import ProtocolError
from .types import Event

_BOM = b"\xef\xbb\xbf"
_STREAM = (b"data:", b"event:", b"id:", b"retry:", b":")
#: How PHP's warnings begin, which may stand before an answer.
_WARNINGS = (b"<br />", b"<br>", b"Warning:", b"Notice:", b"Deprecated:", b"PHP ")
_AFTER_WARNINGS = re.compile(rb"^(?:data:|event:|id:|retry:|:|\{)", re.MULTILINE)
#: How many bytes of warnings are looked through, and how much of a page is read for an error.
HEAD = 64 * 1024
#: A line of data of more bytes than that is worth not being copied.
_LONG = 64 * 1024
_STAND_IN = b"data: a long line"
#: sseclient takes seconds to join more than that, and the plugin sends one.
_MOST_LINES = 1000


def start(head: bytes, ended: bool) -> int:
    """
    Return where in the first bytes of a body its answer starts.

    Args:
        head: the bytes so far.
        ended: no more bytes come.

    Returns:
        The place of the first byte of an answer or page; -1 if more bytes are needed to tell.
    """
    begin = len(_BOM) if head.startswith(_BOM) else 0
    body = head[begin:].lstrip()
    begin = len(head) - len(body)
    if body.startswith(_WARNINGS):
        match = _AFTER_WARNINGS.search(body)
        if match:
            return begin + match.start()
        return begin if ended or len(body) > HEAD else -1
    if ended or len(head) > HEAD or not _undecided(body):
        return begin
    return -1


def _undecided(body: bytes) -> bool:
    """Say whether these bytes are too few to tell what they are the beginning of."""
    return not body or any(word.startswith(body) for word in (*_STREAM, *_WARNINGS, _BOM))


def is_stream(body: bytes) -> bool:
    """Say whether a body starts as an event stream does."""
    return body.startswith(_STREAM)


def items(chunks: Iterable[bytes]) -> Iterator[Union[str, Event, events.End, events.Failure]]:
    """
    Yield what each event says, as `events.parse_event` gives it.

    Args:
        chunks: the bytes of the stream, from its first event on, cut anywhere.

    Raises:
        ProtocolError: an event is not the plugin's, not UTF-8, or over the limit.
    """
    parse = events.parse_event
    parser = _Parser(_whole_events(chunks))
    try:
        for event in parser.events():
            item = parse(parser.long_data or event.data)
            if item is not None:
                yield item
    except UnicodeDecodeError:
        raise ProtocolError("an event is not UTF-8") from None


class _Parser(SSEClient):
    """
    sseclient, spared the search for the ends of events.

    One that does not ask for them by `_read` finds them itself, at more cost.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__(blocks)
        self._blocks = blocks
        #: The present event's data, if it is one long line; sseclient gets another in its place.
        self.long_data = ""

    def _read(self) -> Iterator[bytes]:
        for lines in map(self._lines, self._blocks):  # which keeps no block meanwhile
            if self.long_data:
                yield _STAND_IN  # of the line itself it would keep five copies
                self.long_data = ""
            yield from _single_events(lines)

    def _lines(self, block: bytes) -> List[bytes]:
        """Take the data of a block's first event, if it is one long line; return other lines."""
        end = block.find(b"\n")
        if end <= _LONG or not block.startswith(b"data:") or not block.startswith(b"\n\n", end):
            return block.split(b"\n")
        begin = 6 if block.startswith(b" ", 5) else 5
        self.long_data = str(memoryview(block)[begin:end], "utf-8")
        return block[end:].split(b"\n")


def _single_events(lines: List[bytes]) -> Iterator[bytes]:
    event: List[bytes] = []
    for line in lines:
        if line:
            event.append(line)
        elif len(event) > _MOST_LINES:
            raise ProtocolError(f"an event has more than {_MOST_LINES} lines")
        elif event:
            yield b"\n".join(event)
            event.clear()


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
    """Return what is held, and hold it no longer while it is parsed."""
    block = bytes(held)
    held.clear()
    return block


def _end_of_events(chunk: bytes, after_newline: bool) -> int:
    """Return how many bytes of a chunk belong to events that it ends; 0 if it ends none."""
    # Most chunks of a long event have no line end at all, which is quicker to find out.
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
