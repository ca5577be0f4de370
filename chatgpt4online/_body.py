"""
A response's bytes as they come: framing, decoding, limits, and what becomes of the connection.

The one place that touches `response.raw`. It reads below urllib3, from the socket's file, where it
can: each read returns what has arrived, under every framing, at a fraction of the cost of
`raw.read1`. That needs private attributes of urllib3 and http.client; where one is missing, it
reads by `raw.read1`, and where that is missing too, byte by byte.
"""

from __future__ import annotations

import http.client
import threading
import zlib
from time import monotonic
from typing import Any, List, Optional, Union

import requests
from urllib3.exceptions import HTTPError
from urllib3.util.wait import wait_for_read

from ._call import Call
from .errors import ProtocolError

#: What reading may raise beside our own errors.
READ_ERRORS = (OSError, http.client.HTTPException, HTTPError, ValueError, AttributeError)

#: Bytes of one read, and of one step of decompression.
BLOCK = 64 * 1024

#: The longest line of chunked framing, in bytes; http.client has the same limit for header lines.
LONGEST_LINE = 64 * 1024

#: How long a connection waits, in seconds, for the end of a body whose answer is complete.
PARKING_TIME = 5.0

#: How long the next call waits, in seconds, for such an end rather than connect anew.
GRACE_TIME = 0.01
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_DRAINING_TIME = 0.01
_DRAINING_READS = 8


class Body:
    """
    The body of a response.

    One thread reads; `close` may come from any thread.

    Args:
        response: as requests gave it, with ``stream=True`` and nothing read.
        call: the call that it answers.

    Raises:
        ProtocolError: it is in a content coding that nobody asked for.
    """

    def __init__(self, response: requests.Response, call: Call) -> None:
        self._raw: Any = response.raw
        self._call = call
        self._busy = threading.Lock()
        self._released = False
        self._finished_at = 0.0
        self._http = _http_response(self._raw)
        self._framing: Union[Chunked, Length, UntilClose] = UntilClose()
        if self._http is not None:
            self._framing = _framing(self._http)
            call.watch(self._socket())
        is_final = response.status_code >= 200  # else the answer itself is still to come
        self._usable = is_final and self._http is not None and not self._http.will_close
        try:
            self._inflater = _inflater(response.headers.get("content-encoding", ""))
        except ProtocolError:
            self._free()
            raise

    def read(self) -> bytes:
        """
        Return the next bytes as soon as some are there; ``b""`` at the end.

        Raises:
            CallEnded: the call was ended from elsewhere.
            ProtocolError: framing or coding is broken.
            READ_ERRORS: as the layers below raise them.
        """
        try:
            while True:
                data = b"" if self._inflater is None else self._inflater.read()
                if data:
                    return data
                received = self._receive()
                if not received:
                    return b""
                data = self._framing.feed(received)
                if self._inflater is not None:
                    self._inflater.feed(data)
                elif data:
                    return data
        finally:
            if self._call.ended:
                self.close()

    def _receive(self) -> bytes:
        with self._busy:
            self._call.check()
            if self._framing.broken:
                raise ProtocolError("the chunked framing of the answer is broken")
            if self._framing.ended or self._released:
                return b""
            received = self._read_now()
            self._call.check()
            return received

    def _read_now(self) -> bytes:
        if self._http is not None:
            return bytes(self._http.fp.read1(BLOCK))
        if hasattr(self._raw, "read1"):
            return bytes(self._raw.read1(BLOCK, decode_content=False))
        return bytes(self._raw.read(1, decode_content=False))

    @property
    def was_cut(self) -> bool:
        """Whether the framing announced more than has been read."""
        return not (self._framing.ended or isinstance(self._framing, UntilClose))

    def finish(self) -> bool:
        """
        Keep the connection for other calls, for the answer is complete. Does not block.

        Returns:
            False if the end of the body, mostly a few bytes of framing, is still to come: call
            `settle` later. True when the connection has been kept, or closed.
        """
        self._finished_at = monotonic()
        self._usable = self._usable and self._call.release()
        return self._settle(0.0)

    def settle(self) -> bool:
        """
        As `finish`, later on. The first `GRACE_TIME` after that, it waits for the rest.

        A new connection takes longer than that, and the end of a body mostly less.
        """
        return self._settle(max(0.0, self._finished_at + GRACE_TIME - monotonic()))

    def _settle(self, wait: float) -> bool:
        if self._usable:
            self._drain(wait)
        if not self._usable or monotonic() > self._finished_at + PARKING_TIME:
            self._free()
        elif self._framing.ended:
            self._keep()
        return self._released

    def _drain(self, wait: float) -> None:
        """Read what comes of the rest; find out whether the connection stays usable."""
        try:
            for _ in range(_DRAINING_READS):
                if self._framing.ended or not self._comes(wait):
                    break
                received = self._read_promptly()
                self._framing.feed(received)
                self._usable = bool(received)
        except READ_ERRORS:
            self._usable = False
        self._usable = self._usable and not (self._framing.excess or self._framing.broken)

    def _socket(self) -> Any:
        return self._http.fp.raw._sock  # noqa: SLF001 - there is no public way to it

    def _comes(self, wait: float) -> bool:
        sock = self._socket()
        decrypted = sock.pending() if hasattr(sock, "pending") else 0
        return decrypted > 0 or wait_for_read(sock, timeout=wait)

    def _read_promptly(self) -> bytes:
        """Read what has arrived. TLS may find in it no data at all, and would wait for more."""
        sock = self._socket()
        limit = sock.gettimeout()
        sock.settimeout(_DRAINING_TIME)
        received = self._http.fp.read1(BLOCK)
        sock.settimeout(limit)
        return bytes(received)

    def close(self) -> None:
        """
        Close the connection, unless it is kept. From any thread; never blocks.

        Where another thread is reading, that thread closes it, once the call has been ended.
        """
        if self._busy.acquire(blocking=False):
            try:
                self._free()
            finally:
                self._busy.release()

    def _free(self) -> None:
        if not self._released:
            self._released = True
            self._call.release()
            self._raw.close()
            self._raw.release_conn()

    def _keep(self) -> None:
        self._released = True
        self._http.close()
        self._raw.release_conn()


def _http_response(raw: Any) -> Any:
    """Return the http.client response below urllib3's if its socket can be read, else None."""
    below = getattr(raw, "_fp", None)
    file = getattr(below, "fp", None)
    usable = isinstance(below, http.client.HTTPResponse) and hasattr(file, "read1")
    return below if usable and hasattr(getattr(file, "raw", None), "_sock") else None


class UntilClose:
    """A body that ends when the connection does."""

    ended = False
    excess = False
    broken = False

    def feed(self, data: bytes) -> bytes:
        """Return the bytes of the body."""
        return data


class Length:
    """A body of known length, in bytes."""

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
        self._line = b""  # the beginning of a line whose end has not come
        self._left = 0  # bytes of the present chunk that are still to come
        self._in_trailer = False
        self._after_data = False

    def feed(self, data: bytes) -> bytes:
        """
        Return the bytes of the body, up to where its framing is `broken`, if it is.

        What stands before the break counts, however the bytes came.
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
        self.broken = len(line) > LONGEST_LINE
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


def _chunk_size(line: bytes) -> int:
    """Return the size that a line announces, in bytes; negative if it announces none."""
    try:
        return int(line.split(b";")[0] if b";" in line else line, 16)
    except ValueError:
        return -1


def _framing(response: http.client.HTTPResponse) -> Union[Chunked, Length, UntilClose]:
    if response.chunked:
        return Chunked()
    return UntilClose() if response.length is None else Length(response.length)


class Inflater:
    """One layer of gzip or deflate, undone in steps of `BLOCK` bytes at most."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._begun = False  # its two first bytes, which tell the format, have not come
        self._waiting = b""
        self._more = False  # output waits inside zlib

    def feed(self, data: bytes) -> None:
        """Take more compressed bytes."""
        self._waiting += data

    def read(self) -> bytes:
        """
        Return the next bytes; ``b""`` if more have to be fed.

        Raises:
            ProtocolError: these are no compressed bytes.
        """
        data = b""
        while not data and (self._more or len(self._waiting) > (0 if self._begun else 1)):
            try:
                data = self._inflate()
            except zlib.error:
                raise ProtocolError("the compression of the answer is broken") from None
            self._take_stock(len(data))
        return data

    def _take_stock(self, size: int) -> None:
        self._begun = True
        self._more = size == BLOCK
        self._waiting = self._zlib.unconsumed_tail
        if self._zlib.eof and self._zlib.unused_data:  # gzip may come in several members
            self._waiting = self._zlib.unused_data
            self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)

    def _inflate(self) -> bytes:
        try:
            return self._zlib.decompress(self._waiting, BLOCK)
        except zlib.error:
            if self._begun:
                raise
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)  # some call this deflate
            return self._zlib.decompress(self._waiting, BLOCK)


def _inflater(coding: str) -> Optional[Inflater]:
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip", "deflate"):
        return Inflater()
    raise ProtocolError(
        f"the answer came in the content coding {coding[:40]!r}: send no accept-encoding of"
        " your own, or ask the site's owner to send event streams uncompressed"
    )
