"""
Where a body ends, and what its bytes are once decompressed. Pure: bytes in, bytes out.

Each framing takes bytes by `feed`, however they are cut, and returns those of the body. `ended`
says that the body is complete, `excess` that more bytes came after it, `broken` that the bytes
violate the framing.
"""

from __future__ import annotations

import zlib
from typing import List, Optional, Union

from chatgpt4online.errors import ProtocolError

#: Bytes of one read, and of one step of decompression.
BLOCK = 64 * 1024

#: The longest line of chunked framing, in bytes; http.client has the same limit for header lines.
MAX_LINE = 64 * 1024

#: Lets zlib tell gzip from zlib by the first two bytes.
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS

#: How a member of a gzip file begins (RFC 1952, 2.3).
_GZIP_MEMBER = b"\x1f\x8b\x08"


class UntilClose:
    """A body that ends when the connection does (RFC 9112, 6.3)."""

    ended = False
    excess = False
    broken = False

    def feed(self, data: bytes) -> bytes:
        """Return the bytes of the body."""
        return data


class Length:
    """A body of known length, in bytes (RFC 9112, 6.2)."""

    broken = False

    def __init__(self, length: int) -> None:
        self._left = length
        self.ended = not length
        self.excess = False

    def feed(self, data: bytes) -> bytes:
        """Return the bytes of the body."""
        self.excess = len(data) > self._left
        data = data[: self._left]
        self._left -= len(data)
        self.ended = not self._left
        return data


class Chunked:
    """A body in chunks (RFC 9112, 7.1)."""

    def __init__(self) -> None:
        self.ended = False
        self.excess = False
        self.broken = False
        self._line = b""  # the beginning of a line whose end has not arrived
        self._left = 0  # bytes of the present chunk that have not arrived
        self._in_trailer = False
        self._after_data = False

    def feed(self, data: bytes) -> bytes:
        """
        Return the bytes of the body, up to where its framing is `broken`, if it is.

        What precedes the break counts, however the bytes were cut.
        """
        pieces: List[bytes] = []
        if self._line:
            data, self._line = self._line + data, b""
        at, size = 0, len(data)
        while at < size and not (self.ended or self.broken):
            if self._left:
                at = self._take_chunks(data, at, pieces)
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._hold(data[at:])
                break
            self._take_line(data[at:end].rstrip(b"\r"))
            at = end + 1
        self.excess = self.ended and at < size
        return b"".join(pieces)

    def _take_chunks(self, data: bytes, at: int, pieces: List[bytes]) -> int:
        """Take the rest of a chunk, and those that follow in the usual form; return the end."""
        stop = at + self._left
        pieces.append(data[at:stop])
        end = data.find(b"\n", stop + 2)
        while end > 0 and data.startswith(b"\r\n", stop):
            left = _chunk_size(data[stop + 2 : end])
            if left <= 0:
                break
            at, stop = end + 1, end + 1 + left
            pieces.append(data[at:stop])
            end = data.find(b"\n", stop + 2)
        self._left = max(0, stop - len(data))
        self._after_data = True
        return min(stop, len(data))

    def _hold(self, line: bytes) -> None:
        self.broken = len(line) > MAX_LINE
        self._line = line

    def _take_line(self, line: bytes) -> None:
        if self._in_trailer:
            self.ended = not line
        elif self._after_data:
            self.broken = bool(line)
            self._after_data = False
        else:
            self._left = _chunk_size(line)
            self.broken = self._left < 0
            self._in_trailer = not self._left


Framing = Union[Chunked, Length, UntilClose]


def framing_of(status: int, is_chunked: bool, length: Optional[int]) -> Framing:
    """
    Return the framing of a response's body.

    Args:
        status: the HTTP status; 204 and 304 have no body, whatever the headers say
            (RFC 9112, 6.3).
        is_chunked: whether the transfer coding is chunked.
        length: the content length in bytes, or None.
    """
    if status in (204, 304):
        return Length(0)
    if is_chunked:
        return Chunked()
    return UntilClose() if length is None else Length(length)


def _chunk_size(line: bytes) -> int:
    """Return the size that a line announces, in bytes; negative if it announces none."""
    try:
        return int(line.split(b";")[0] if b";" in line else line, 16)
    except ValueError:
        return -1


class Inflater:
    """One layer of gzip or deflate, undone in steps of at most `BLOCK` bytes."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._has_begun = False  # its first two bytes, which name the format, have not arrived
        self._waiting = b""
        self._has_more = False  # output waits inside zlib
        self._is_between = False  # a member is complete: another one may follow
        self._is_over = False  # what follows is padding, or another program's output

    def feed(self, data: bytes) -> None:
        """Take more compressed bytes."""
        if not self._is_over:
            self._waiting += data

    def read(self) -> bytes:
        """
        Return the next bytes; ``b""`` if more have to be fed.

        Raises:
            ProtocolError: the bytes are not compressed, or broken.
        """
        data = b""
        self._look_for_member()
        while not data and self._can_inflate():
            try:
                data = self._inflate()
            except zlib.error:
                raise ProtocolError("the compression of the answer is broken") from None
            self._update_state(len(data))
            self._look_for_member()
        return data

    def _look_for_member(self) -> None:
        """After a complete member, decide whether another follows, once enough has arrived."""
        if self._is_between and not self._is_over:
            self._is_between = not self._waiting.startswith(_GZIP_MEMBER)
            self._is_over = not _GZIP_MEMBER.startswith(self._waiting[: len(_GZIP_MEMBER)])

    def _can_inflate(self) -> bool:
        if self._is_between or self._is_over:
            return False
        return self._has_more or len(self._waiting) > (0 if self._has_begun else 1)

    def _update_state(self, size: int) -> None:
        self._has_begun = True
        self._has_more = size == BLOCK
        self._waiting = self._zlib.unconsumed_tail
        if self._zlib.eof:  # gzip may come in several members
            self._waiting = self._zlib.unused_data
            self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)
            self._has_more, self._is_between = False, True

    def _inflate(self) -> bytes:
        try:
            return self._zlib.decompress(self._waiting, BLOCK)
        except zlib.error:
            if self._has_begun:
                raise
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)  # some call this deflate
            return self._zlib.decompress(self._waiting, BLOCK)


def inflater_for(coding: str) -> Optional[Inflater]:
    """
    Return what undoes a response's content coding; None if nothing has to be undone.

    Args:
        coding: the ``Content-Encoding`` header, or an empty string.

    Raises:
        ProtocolError: it is a coding that was not asked for, or more than one layer.
    """
    layers = [name for name in map(str.strip, coding.lower().split(",")) if name in _CODINGS]
    if not layers:
        return None
    if len(layers) == 1 and layers[0] in _INFLATED:
        return Inflater()
    raise ProtocolError(
        f"the answer has the content coding {coding[:40]!r}: send no accept-encoding of your own,"
        " or ask the site's owner to send event streams uncompressed."
    )


_INFLATED = {"gzip", "x-gzip", "deflate"}
#: Registered codings that change bytes. Any other name, like ``none`` or ``utf-8``, changes none.
_CODINGS = _INFLATED | {"br", "zstd", "compress", "x-compress", "dcb", "dcz", "aes128gcm", "exi"}
