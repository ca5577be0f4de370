"""
The floor: the least that Python must do for a chat. A socket, ``split`` and ``json.loads``.

It keeps its connections and its nonce, handles every framing and events split anywhere, and takes
time linear in the answer. It handles one API and no errors.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import threading
import zlib
from typing import Dict, Iterator, List, Tuple
from urllib.parse import urlsplit

from .responses import AI_ENGINE

_BLOCK = 64 * 1024
_GRACE_TIME = 0.01  # seconds to wait for the end of a body whose answer is complete


class Floor:
    """A hand-written client. Threads may share it."""

    def __init__(self, site: str) -> None:
        address = urlsplit(site)
        self._address = (address.hostname or "", address.port or 0)
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        self._idle: List[socket.socket] = []
        self._nonce = ""
        self._starting = threading.Lock()

    def stream(self, question: str) -> Iterator[str]:
        """Yield the pieces of an answer."""
        body = json.dumps({"botId": "default", "newMessage": question, "stream": True})
        with self._starting:
            if not self._nonce:
                answer = b"".join(self._exchange("/wp-json/mwai/v1/start_session", ""))
                self._nonce = json.loads(answer)["restNonce"]
        held: List[bytes] = []
        for block in self._exchange(AI_ENGINE, body):
            end = block.rfind(b"\n") + 1
            if not end:
                held.append(block)
                continue
            lines = b"".join([*held, block[:end]]).decode().split("\n")
            held = [block[end:]]
            for line in lines:
                if line.startswith("data: "):
                    event = json.loads(line[6:])
                    if event["type"] == "end":
                        return
                    if "subtype" not in event:
                        yield event["data"]

    def close(self) -> None:
        """Close the idle connections."""
        for connection in self._idle:
            connection.close()

    def _exchange(self, route: str, body: str) -> Iterator[bytes]:
        """Send a request and yield the body of its response, block by block as it arrives."""
        connection = self._idle.pop() if self._idle else self._connect()
        host, port = self._address
        connection.sendall(
            f"POST {route} HTTP/1.1\r\nHost: {host}:{port}\r\nX-WP-Nonce: {self._nonce}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        fields, rest = _head(connection)
        framing: _Framing = _UntilClose()
        if b"transfer-encoding" in fields:
            framing = _Chunked()
        elif b"content-length" in fields:
            framing = _Length(int(fields[b"content-length"]))
        coded = b"content-encoding" in fields
        unpack = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress if coded else bytes
        block = rest or connection.recv(_BLOCK)
        try:
            while block:
                data = framing.feed(block)
                if data:
                    yield unpack(data)
                if framing.ended:
                    break
                block = connection.recv(_BLOCK)
        finally:
            if fields[b"connection"] == b"keep-alive" and _drained(connection, framing):
                self._idle.append(connection)
            else:
                connection.close()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return connection
        return self._tls.wrap_socket(connection, server_hostname=self._address[0])


def _head(connection: socket.socket) -> Tuple[Dict[bytes, bytes], bytes]:
    """Return the header fields of a response, and the first bytes of its body."""
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(_BLOCK)
        if not received:
            raise ConnectionError("the server closed the connection")
        head += received
    head, rest = head.split(b"\r\n\r\n", 1)
    fields = (line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return {name.lower(): value for name, value in fields}, rest


def _drained(connection: socket.socket, framing: _Framing) -> bool:
    """Read the end of a body; return whether it arrived in time."""
    while not framing.ended:
        if not select.select([connection], [], [], _GRACE_TIME)[0]:
            return False
        block = connection.recv(_BLOCK)
        if not block:
            return False
        framing.feed(block)
    return True


class _Framing:
    ended = False

    def feed(self, block: bytes) -> bytes:
        raise NotImplementedError


class _UntilClose(_Framing):
    def feed(self, block: bytes) -> bytes:
        return block


class _Length(_Framing):
    def __init__(self, length: int) -> None:
        self._left = length

    def feed(self, block: bytes) -> bytes:
        self._left -= len(block)
        self.ended = not self._left
        return block


class _Chunked(_Framing):
    """Each chunk is ``size CR LF data CR LF``; the last one is empty."""

    def __init__(self) -> None:
        self._left = 0  # bytes left of the current chunk and its CR LF
        self._line = b""  # the beginning of a size line

    def feed(self, block: bytes) -> bytes:
        block, self._line = self._line + block, b""
        pieces, at, size = [], 0, len(block)
        while at < size:
            if self._left:
                stop = min(at + self._left, size)
                pieces.append(block[at : max(at, min(stop, at + self._left - 2))])
                self._left -= stop - at
                at = stop
                continue
            end = block.find(b"\r\n", at)
            if end < 0:
                self._line = block[at:]
                break
            self._left = int(block[at:end], 16) + 2
            at = end + 2
            self.ended = self._left == 2 and at + 2 <= size
        return b"".join(pieces)
