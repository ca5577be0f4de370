"""What a site sends: the plugin's events, the ways to frame them, and whole HTTP responses."""

from __future__ import annotations

import json
import zlib
from typing import Any, Callable, List, NamedTuple, Sequence

NONCE = "0123456789"


# ---------------------------------------------------------------------------------------- events


def event(**fields: Any) -> bytes:
    """Return an event as the plugin writes it."""
    return b"data: %b\n\n" % json.dumps(fields, separators=(",", ":")).encode()


def live(text: str, **fields: Any) -> bytes:
    """Return an event that carries a delta."""
    return event(type="live", data=text, **fields)


def failure(message: str) -> bytes:
    """Return an event that reports a failure."""
    return event(type="error", data=message)


def end(reply: str, **fields: Any) -> bytes:
    """Return the last event of a stream."""
    return event(type="end", data=json.dumps({"success": True, "reply": reply, **fields}))


#: The events of a short stream, whose text is "Hello".
HELLO = (live("Hel"), live("lo"), end("Hello"))


# -------------------------------------------------------------------------------------- framings


def uncut(data: bytes) -> Sequence[bytes]:
    """Return the data in one piece."""
    return (data,)


def as_php(data: bytes) -> Sequence[bytes]:
    """Split an event as PHP flushes it: the line, then the blank line."""
    return (data[:-2], data[-2:])


def single_bytes(data: bytes) -> Sequence[bytes]:
    """Split data into single bytes."""
    return [data[i : i + 1] for i in range(len(data))]


class Answer(NamedTuple):
    """A response: its headers, one part for each event, and what ends the body."""

    head: bytes
    parts: List[bytes]
    last: bytes

    @property
    def bytes(self) -> bytes:
        """The whole response."""
        return b"".join([self.head, *self.parts, self.last])


class Framing(NamedTuple):
    """How a body is sent: what delimits it, how chunks are cut, and whether it is compressed."""

    delimiter: str = "chunks"
    cut: Callable[[bytes], Sequence[bytes]] = uncut
    gzip: bool = False

    def answer(
        self, events: Sequence[bytes] = HELLO, *fields: str, status: str = "200 OK"
    ) -> Answer:
        """Return a response with these events."""
        compressor = zlib.compressobj(wbits=31) if self.gzip else None
        bodies = [_compressed(each, compressor) if compressor else each for each in events]
        tail = compressor.flush() if compressor else b""
        if self.delimiter == "chunks":
            fields += ("Transfer-Encoding: chunked",)
        elif self.delimiter == "length":
            fields += (f"Content-Length: {sum(map(len, bodies)) + len(tail)}",)
        else:
            fields += ("Connection: close",)
        if compressor:
            fields += ("Content-Encoding: gzip",)
        return Answer(
            head(status, "Content-Type: text/event-stream", *fields),
            [self._framed(body) for body in bodies],
            self._framed(tail) + (b"0\r\n\r\n" if self.delimiter == "chunks" else b""),
        )

    def _framed(self, data: bytes) -> bytes:
        if self.delimiter != "chunks":
            return data
        return b"".join(chunk(piece) for piece in self.cut(data) if piece)


def _compressed(data: bytes, compressor: Any) -> bytes:
    return bytes(compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))


FRAMINGS = {
    "two chunks an event": Framing(cut=as_php),
    "an event a chunk": Framing(),
    "a byte a chunk": Framing(cut=single_bytes),
    "length": Framing("length"),
    "gzip": Framing(gzip=True),
    "length+gzip": Framing("length", gzip=True),
    "close": Framing("close"),
    "close+gzip": Framing("close", gzip=True),
}

#: The framings that leave a connection reusable.
REUSABLE = sorted(name for name, framing in FRAMINGS.items() if framing.delimiter != "close")

PHP = FRAMINGS["two chunks an event"]


# ------------------------------------------------------------------------------------- responses


def head(status: str = "200 OK", *fields: str) -> bytes:
    """Return a status line, header lines and the blank line after them."""
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    """Return one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def reply(status: str, body: bytes = b"", *fields: str) -> bytes:
    """Return a complete response with a Content-Length."""
    return head(status, *fields, f"Content-Length: {len(body)}") + body


def json_reply(status: str, body: Any, *fields: str) -> bytes:
    """Return a complete JSON response."""
    return reply(status, json.dumps(body).encode(), *fields, "Content-Type: application/json")


def session_reply(nonce: str = NONCE) -> bytes:
    """Return a response to start_session."""
    return json_reply("200 OK", {"success": True, "sessionId": "s", "restNonce": nonce})
