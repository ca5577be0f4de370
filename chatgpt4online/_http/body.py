"""
A response's bytes as they arrive, and what becomes of its connection.

The one place that touches `response.raw`. It reads below urllib3, from the socket's file, where it
can: each read returns what has arrived, under every framing. Where that file cannot be reached
(see the list in `connection`), it reads by `raw.read1`, and where that is missing, byte by byte.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import zlib
from contextlib import suppress
from io import BytesIO
from threading import Lock
from typing import Any, Optional

import requests
from urllib3.exceptions import HTTPError
from urllib3.util.wait import wait_for_read

from chatgpt4online.errors import ProtocolError

from .call import Call, is_socket
from .deadlines import monotonic
from .framing import BLOCK, Framing, UntilClose, framing_of, inflater_for

#: What reading may raise besides our own errors. The last three come from a caller's adapter that
#: parses or decompresses by itself.
READ_ERRORS = (
    *(OSError, http.client.HTTPException, HTTPError, ValueError, AttributeError),
    *(EOFError, zlib.error, struct.error),
)

#: How long a connection waits, in seconds, for the end of a body whose answer is complete.
DEFERRED_TIME = 5.0

#: How long the next call waits, in seconds, for such an end rather than connect anew.
GRACE_TIME = 0.01

#: Taken before gevent may replace it.
_TLS_SOCKET = ssl.SSLSocket

#: Reads that look for the end of a body before it is left for later.
_DRAINING_READS = 8


class Body:
    """
    The body of a response.

    One thread reads; `close` may come from any thread.

    Args:
        response: as requests returned it, with ``stream=True`` and nothing read.
        call: the call that it answers.

    Raises:
        ProtocolError: it has a content coding that nobody asked for.
    """

    def __init__(self, response: requests.Response, call: Call) -> None:
        self._response = response
        self._raw: Any = _unread(response)
        self._call = call
        self._reading = Lock()  # `close` only tries it, since a handler may call that
        self._is_released = False
        self._is_file_empty = False
        self._finished_at = 0.0
        self._http = _http_response(self._raw)
        self._framing: Framing = UntilClose()
        if self._http is None:
            call.watch(_Connection(self._raw))
        else:
            self._framing = framing_of(
                response.status_code, bool(self._http.chunked), self._http.length
            )
            call.watch(self._socket())
        is_final = response.status_code >= 200  # else the answer itself has not arrived
        self._is_usable = is_final and self._http is not None and not self._http.will_close
        coding = "" if self._is_decoded() else response.headers.get("content-encoding", "")
        try:
            self._inflater = inflater_for(coding)
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
        with self._reading:
            self._call.raise_if_ended()
            if self._framing.broken:
                raise ProtocolError("the chunked framing of the answer is broken")
            if self._framing.ended or self._is_released:
                return b""
            received = self._read_some()
            self._call.raise_if_ended()
            return received

    def _read_some(self) -> bytes:
        if self._http is not None:
            data = bytes(self._http.fp.read1(BLOCK))
            self._is_file_empty = len(data) < BLOCK  # else more may be in its buffer
            return data
        if self._is_decoded():
            return bytes(self._raw.read1(BLOCK))
        if hasattr(self._raw, "read1"):
            return bytes(self._raw.read1(BLOCK, decode_content=False))
        return bytes(self._raw.read(1, decode_content=False))

    def _is_decoded(self) -> bool:
        """Return whether it comes without urllib3 around it and decoded, as VCR.py's do."""
        return isinstance(self._raw, (http.client.HTTPResponse, BytesIO))

    @property
    def was_cut(self) -> bool:
        """Whether the framing announced more than has been read."""
        if self._http is None:
            return bool(getattr(self._raw, "length_remaining", None))
        return not (self._framing.ended or isinstance(self._framing, UntilClose))

    def finish(self) -> bool:
        """
        Keep the connection for other calls, since the answer is complete. Does not block.

        Returns:
            False if the end of the body, mostly a few bytes of framing, has not arrived: call
            `try_release` later. True when the connection has been kept, or closed.
        """
        self._finished_at = monotonic()
        self._is_usable = self._is_usable and self._call.release()
        return self._try_release(self._finished_at)

    def try_release(self) -> bool:
        """
        Do as `finish`, later on. Until `GRACE_TIME` after that, it waits for the end.

        A new connection takes longer than that, and the end of a body mostly less.
        """
        return self._try_release(self._finished_at + GRACE_TIME)

    def _try_release(self, until: float) -> bool:
        nothing_follows = self._is_usable and self._drain(until)
        if not self._is_usable or monotonic() > self._finished_at + DEFERRED_TIME:
            self._free()
        elif nothing_follows and self._framing.ended:
            self._keep()
        return self._is_released

    def _drain(self, until: float) -> bool:
        """
        Read the rest of the body and what follows it, as far as it has arrived.

        Anything after the body makes the connection unusable: it would answer the next question.
        On a plain socket, urllib3 notices it too, when it lends the connection to another call.

        Returns:
            Whether everything that has arrived was read, or will be noticed by urllib3.
        """
        try:
            sock = self._socket()
            if self._framing.ended and self._is_file_empty and _is_plain(sock):
                self._is_usable = not self._framing.excess
                return True
            limit = sock.gettimeout()
            sock.settimeout(0.0)
            try:
                return self._read_rest(until)
            finally:
                sock.settimeout(limit)
        except READ_ERRORS:
            self._is_usable = False
            return False

    def _read_rest(self, until: float) -> bool:
        framing = self._framing
        for _ in range(_DRAINING_READS):
            received = self._read_arrived(until)
            if received:
                framing.feed(received)
            has_ended = received == b""
            self._is_usable = not (has_ended or framing.excess or framing.broken)
            if received is None or not self._is_usable:
                return True
        return False

    def _read_arrived(self, until: float) -> Optional[bytes]:
        """
        Return what has arrived, ``b""`` at the end of the connection, or None if nothing has.

        Waits for the end of the body until a moment of the clock. It reads before it waits, since
        bytes in the file's buffer, or decrypted in the TLS layer, are not seen by `select`.
        """
        received = self._read_at_once()
        if received is None and not self._framing.ended:
            wait = until - monotonic()
            if wait > 0 and wait_for_read(self._socket(), timeout=wait):
                received = self._read_at_once()
        return received

    def _read_at_once(self) -> Optional[bytes]:
        file = self._http.fp
        try:
            # The file returns b"" both at the end and when nothing has arrived; a raw read tells
            # which.
            data: Optional[bytes] = file.read1(BLOCK) or file.raw.read(BLOCK)
        except (BlockingIOError, ssl.SSLWantReadError):  # a TLS record may contain no data
            return None
        return data

    def _socket(self) -> Any:
        return self._http.fp.raw._sock  # noqa: SLF001 - there is no public way to it

    def close(self) -> None:
        """
        Close the connection, unless it is kept. From any thread; never blocks.

        Where another thread is reading, that thread closes it once the call has been ended.
        """
        if self._reading.acquire(blocking=False):
            try:
                self._free()
            finally:
                self._reading.release()

    def _free(self) -> None:
        if not self._is_released:
            self._is_released = True
            self._call.release()
            self._response.close()

    def _keep(self) -> None:
        self._is_released = True
        self._http.close()
        self._raw.release_conn()


class _Connection:
    """
    The connection of a response that urllib3 reads, as `call.shut_down` takes it.

    It has no socket once the body is complete, since urllib3 then gives it to other calls.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    @property
    def socket(self) -> Any:
        """The socket, or None if there is none, or none that is known."""
        sock = getattr(getattr(self._raw, "connection", None), "sock", None)
        return sock if is_socket(sock) else None


def _is_plain(sock: Any) -> bool:
    return isinstance(sock, socket.SocketType) and not isinstance(sock, _TLS_SOCKET)


def _unread(response: requests.Response) -> Any:
    """Return what the body is read from: a copy, if a hook of the caller's has read it."""
    if getattr(response.raw, "closed", False):
        with suppress(RuntimeError):  # a hook has read it piece by piece, so that it is gone
            return BytesIO(response.content)
    return response.raw


def _http_response(raw: Any) -> Any:
    """Return the http.client response below urllib3's if its socket can be read, else None."""
    below = getattr(raw, "_original_response", None)
    if not isinstance(below, http.client.HTTPResponse):
        return None
    file = getattr(below, "fp", None)
    can_be_read = hasattr(file, "read1") and hasattr(getattr(file, "raw", None), "_sock")
    has_framing = all(hasattr(below, name) for name in ("chunked", "length", "will_close"))
    return below if can_be_read and has_framing else None
