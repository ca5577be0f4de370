"""
A response's bytes as they arrive, and what becomes of its connection.

The one place that touches `response.raw`. It reads below urllib3, from the socket's file, where it
can: each read returns what has arrived, under every framing. Where that file cannot be reached
(see the list in `connection`), it reads by `raw.read1`, and where that is missing, byte by byte.
"""

from __future__ import annotations

import http.client
import ssl
from threading import Lock
from time import monotonic
from typing import Any, Optional

import requests
from urllib3.exceptions import HTTPError
from urllib3.util.wait import wait_for_read

from chatgpt4online.errors import ProtocolError

from .call import Call
from .framing import BLOCK, Framing, UntilClose, framing_of, inflater_for

#: What reading may raise besides our own errors.
READ_ERRORS = (OSError, http.client.HTTPException, HTTPError, ValueError, AttributeError)

#: How long a connection waits, in seconds, for the end of a body whose answer is complete.
DEFERRED_TIME = 5.0

#: How long the next call waits, in seconds, for such an end rather than connect anew.
GRACE_TIME = 0.01

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
        self._raw: Any = response.raw
        self._call = call
        self._reading = Lock()  # `close` only tries it, since a handler may call that
        self._is_released = False
        self._finished_at = 0.0
        self._http = _http_response(self._raw)
        self._framing: Framing = UntilClose()
        if self._http is not None:
            self._framing = framing_of(
                response.status_code, bool(self._http.chunked), self._http.length
            )
            call.watch(self._socket())
        is_final = response.status_code >= 200  # else the answer itself has not arrived
        self._is_usable = is_final and self._http is not None and not self._http.will_close
        try:
            self._inflater = inflater_for(response.headers.get("content-encoding", ""))
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
        Keep the connection for other calls, since the answer is complete. Does not block.

        Returns:
            False if the end of the body, mostly a few bytes of framing, has not arrived: call
            `try_release` later. True when the connection has been kept, or closed.
        """
        self._finished_at = monotonic()
        self._is_usable = self._is_usable and self._call.release()
        return self._try_release(0.0)

    def try_release(self) -> bool:
        """
        Do as `finish`, later on. The first `GRACE_TIME` after that, it waits for the end.

        A new connection takes longer than that, and the end of a body mostly less.
        """
        return self._try_release(max(0.0, self._finished_at + GRACE_TIME - monotonic()))

    def _try_release(self, wait: float) -> bool:
        if self._is_usable:
            self._drain(wait)
        if not self._is_usable or monotonic() > self._finished_at + DEFERRED_TIME:
            self._free()
        elif self._framing.ended:
            self._keep()
        return self._is_released

    def _drain(self, wait: float) -> None:
        """Read what arrives of the rest; find out whether the connection stays usable."""
        try:
            for _ in range(_DRAINING_READS):
                if self._framing.ended:
                    break
                received = self._read_arrived(wait)
                if received is None:
                    return
                self._framing.feed(received)
                self._is_usable = bool(received)
            if self._framing.ended and not self._framing.excess:
                self._is_usable = not self._read_arrived(0.0)  # nothing may follow the answer
        except READ_ERRORS:
            self._is_usable = False
        self._is_usable = self._is_usable and not (self._framing.excess or self._framing.broken)

    def _read_arrived(self, wait: float) -> Optional[bytes]:
        """
        Return what has arrived, ``b""`` at the end of the connection, or None if nothing has.

        Bytes may wait in the file's buffer or, decrypted, in the TLS layer, where `select` does not
        see them. So this reads before it waits.
        """
        received = self._read_without_blocking()
        if not received:
            has_arrived = wait_for_read(self._socket(), timeout=wait)
            received = self._read_without_blocking() if has_arrived else None
        return received

    def _read_without_blocking(self) -> Optional[bytes]:
        """Return what has arrived; ``b""`` or None if nothing has, ``b""`` at the end."""
        sock = self._socket()
        limit = sock.gettimeout()
        sock.settimeout(0.0)
        try:
            return bytes(self._http.fp.read1(BLOCK))
        except (BlockingIOError, ssl.SSLWantReadError):  # a TLS record may hold no data
            return None
        finally:
            sock.settimeout(limit)

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
            self._raw.close()
            self._raw.release_conn()

    def _keep(self) -> None:
        self._is_released = True
        self._http.close()
        self._raw.release_conn()


def _http_response(raw: Any) -> Any:
    """Return the http.client response below urllib3's if its socket can be read, else None."""
    below = getattr(raw, "_original_response", None)
    file = getattr(below, "fp", None)
    can_be_read = isinstance(below, http.client.HTTPResponse) and hasattr(file, "read1")
    return below if can_be_read and hasattr(getattr(file, "raw", None), "_sock") else None
