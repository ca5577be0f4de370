"""Faults from connecting to the end of the headers, TLS included."""

from __future__ import annotations

from typing import Any, Type

from support import HELLO, chunk, head, reply

from chatgpt4online import (
    ChatGPT4OnlineError,
    ProtocolError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)

from .site import (
    CHUNKED,
    DEADLINE,
    SILENCE,
    START_SESSION,
    Fault,
    Faults,
    cuts,
    resets,
    says,
    stalls,
)


def unreached(error: Type[ChatGPT4OnlineError] = TransportError, **fields: Any) -> Fault:
    """Return a row of a site that no request reaches."""
    return Fault(error, sent=0, route=START_SESSION, **fields)


CONNECTING: Faults = {
    "closed when connected": unreached(greeting=cuts()),
    "reset when connected": unreached(greeting=resets()),
    "another protocol's greeting": unreached(greeting=cuts(b"220 mail.example.com ESMTP\r\n")),
    "a dead proxy": unreached(settings={"proxy": "http://127.0.0.1:1"}),
    "an unknown proxy": unreached(settings={"proxy": "http://proxy.invalid:3128"}),
    "a certificate of another name": unreached(certificate="another name", words="match"),
    "a certificate signed by itself": unreached(certificate="its own", words="certificate"),
    "a certificate of an unknown authority": unreached(certificate="unknown", words="certificate"),
    "a certificate that has expired": unreached(certificate="expired", words="certificate"),
    "HTTP on the port of TLS": unreached(
        certificate="good", greeting=cuts(reply("400 Bad Request", b"plain HTTP"))
    ),
    "a handshake that is closed": unreached(certificate="good", greeting=cuts()),
    "a handshake that is reset": unreached(certificate="good", greeting=resets()),
    "a handshake that is cut off": unreached(
        certificate="good", greeting=cuts(b"\x16\x03\x03\x00\x7a\x02\x00")
    ),
    "a handshake that is refused": unreached(
        certificate="good", greeting=cuts(b"\x15\x03\x03\x00\x02\x02\x28")
    ),
    "a handshake of garbage": unreached(certificate="good", greeting=cuts(b"\x00" * 100)),
    "a handshake that stalls": unreached(
        Timeout,
        certificate="good",
        greeting=stalls(),
        phase="connect",
        settings={"timeout": SILENCE, "retries": 0},
    ),
    "a handshake beyond the deadline": unreached(
        Timeout,
        certificate="good",
        greeting=stalls(),
        phase="deadline",
        settings={"deadline": DEADLINE},
    ),
}


def cut_in_head(data: bytes, **fields: Any) -> Fault:
    """Return a row of a connection that is closed after something that is not a response."""
    return Fault(TransportError, (cuts(data),), **fields)


STATUS_LINES: Faults = {
    "nothing": cut_in_head(b""),
    "a reset": Fault(TransportError, (resets(),)),
    "half a status line": cut_in_head(b"HTTP/1.1 2"),
    "half a status line, reset": Fault(TransportError, (resets(b"HTTP/1.1 2"),)),
    "a blank status line": cut_in_head(b"\r\n\r\n"),
    "a status line without status": cut_in_head(b"HTTP/1.1\r\n\r\n"),
    "a status that is not a number": cut_in_head(b"HTTP/1.1 OK 200\r\n\r\n"),
    "a status of two digits": cut_in_head(b"HTTP/1.1 20 OK\r\n\r\n"),
    "a status of four digits": cut_in_head(b"HTTP/1.1 2000 OK\r\n\r\n"),
    "an unknown version of HTTP": cut_in_head(b"HTTP/3.0 200 OK\r\n\r\n"),
    "a frame of HTTP/2": cut_in_head(b"\x00\x00\x06\x04" + bytes(7) + b"\x03\x00\x00\x00\x64"),
    "an answer without a head": cut_in_head(b"".join(HELLO)),
    "the greeting of a mail server": cut_in_head(b"220 mail.example.com ESMTP\r\n"),
    "an alert of TLS": cut_in_head(b"\x15\x03\x03\x00\x02\x02\x28"),
    "a page without a head": cut_in_head(b"<html><body>Hello</body></html>\r\n"),
    "a status line without end": cut_in_head(b"HTTP/1.1 200 " + b"O" * 70_000),
    "only an interim response": cut_in_head(head("100 Continue")),
    "only early hints": cut_in_head(head("103 Early Hints", "Link: </a.css>; rel=preload")),
    "early hints, then nothing of use": cut_in_head(head("103 Early Hints") + b"oops\r\n"),
    "a switch to another protocol": Fault(
        StatusError, (says(head("101 Switching Protocols", "Upgrade: h2c")),), status=101
    ),
}

STREAM = b"".join(HELLO)

HEADERS: Faults = {
    "cut within a header": Fault(StreamInterrupted, (cuts(b"HTTP/1.1 200 OK\r\nX-"),)),
    "reset within a header": Fault(TransportError, (resets(b"HTTP/1.1 200 OK\r\nX-"),)),
    "a header without end": cut_in_head(b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 70_000),
    "too many headers": cut_in_head(head("200 OK", *["X-A: b"] * 200)),
    "two lengths": cut_in_head(head("200 OK", "Content-Length: 5", "Content-Length: 6") + STREAM),
    "a length beyond the answer": Fault(
        StreamInterrupted, (cuts(head("200 OK", "Content-Length: 9000") + HELLO[0]),), "Hel"
    ),
    "a length short of the answer": Fault(
        StreamInterrupted,
        (cuts(head("200 OK", f"Content-Length: {len(STREAM) - 1}") + STREAM),),
        "Hello",
    ),
    "a length of nothing": Fault(
        StreamInterrupted, (cuts(head("200 OK", "Content-Length: 0") + STREAM),)
    ),
    "chunks that are only announced": Fault(ProtocolError, (cuts(CHUNKED + STREAM),)),
    "chunks within an unknown coding": Fault(
        ProtocolError,
        (
            cuts(
                head("200 OK", "Transfer-Encoding: snappy, chunked")
                + chunk(b"\xff\x06\x00\x00sNaPpY")
            ),
        ),
    ),
}

CONNECTIONS: Faults = {**CONNECTING, **STATUS_LINES, **HEADERS}
