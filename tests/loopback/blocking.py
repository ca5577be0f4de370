"""Servers that block a call at one point or another, and how to see that it is blocked."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from time import sleep
from typing import Any, Dict

from support import (
    PHP,
    SOON,
    Peer,
    RawServer,
    Serve,
    answering,
    at_once,
    chunk,
    head,
    holding,
    live,
    reply,
    session_reply,
    wait_for,
)

from chatgpt4online import StreamInterrupted

CHUNKED = head("200 OK", "Transfer-Encoding: chunked")

#: Larger than the buffers between a client and a server that does not read.
LARGE_MESSAGE = "x" * 6_000_000

healthy = answering(PHP.answer().bytes)


def silent_nonce(peer: Peer) -> None:
    """Never answer start_session."""
    peer.receive()
    peer.wait_until_gone()


def not_reading(peer: Peer) -> None:
    """Answer start_session, then stop reading."""
    peer.receive()
    peer.send(session_reply())
    peer.sleep()


def retry_later(peer: Peer) -> None:
    """Ask once for a retry after half a minute."""
    if peer.question():
        peer.send(reply("503 Service Unavailable", b"", "Retry-After: 30"))
        healthy(peer)


#: Servers by the point at which they block a call.
BLOCKING: Dict[str, Serve] = {
    "before the headers": holding(),
    "within the headers": holding(b"HTTP/1.1 200 OK\r\nX-"),
    "before the body": holding(CHUNKED),
    "in the body": holding(CHUNKED, chunk(live("a"))),
    "in start_session": silent_nonce,
    "while sending": not_reading,
    "before a retry": retry_later,
}


def message_for(point: str) -> str:
    """Return a message with which a call is blocked at this point."""
    return LARGE_MESSAGE if point == "while sending" else "Hi"


def wait_until_blocked(server: RawServer, point: str) -> None:
    """Wait until a call has reached the point at which it is blocked."""
    if point in ("in start_session", "while sending"):
        wait_for(lambda: server.sessions)
    else:
        wait_for(lambda: server.questions)
    sleep(0.02)  # if it is not blocked by then, the test covers an earlier point


class SilentHandshake:
    """A server that never answers a TLS handshake."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        peer.begins_tls()
        self.begun.set()
        peer.wait_until_gone()


def interrupted(future: Future[Any]) -> StreamInterrupted:
    """Return the error of a call that was closed, after checking that it is raised at once."""
    with at_once():
        error = future.exception(SOON)
    assert type(error) is StreamInterrupted
    return error
