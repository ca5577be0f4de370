"""Through a SOCKS proxy, the same rules hold for retries, deadlines and connections."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path
from typing import Iterator

import pytest
from support import (
    PHP,
    SOON,
    Peer,
    RawServer,
    Serve,
    answering,
    at_once,
    background,
    dripping,
    ends_after,
    tls_context,
)

from chatgpt4online import Client, StreamInterrupted, Timeout, TransportError

_GRANTED, _REFUSED = 0, 5  # RFC 1928, 6
LIMIT = 0.3


def socks_proxy(reply: int = _GRANTED) -> Serve:
    """Serve as a SOCKS5 proxy (RFC 1928) that answers connection requests with this reply."""

    def serve(peer: Peer) -> None:
        peer.read(3)
        peer.send(b"\x05\x00")  # no password
        host, port = struct.unpack("!4x4sH", peer.read(10))
        peer.send(struct.pack("!BBxB6x", 5, reply, 1))
        if reply == _GRANTED:
            peer.relay(socket.inet_ntoa(host), port)

    return serve


def url_of(proxy: RawServer) -> str:
    """Return a proxy's URL."""
    return f"socks5://{proxy.address}"


@pytest.fixture
def proxy() -> Iterator[RawServer]:
    """Start a proxy."""
    with RawServer(socks_proxy()) as running:
        yield running


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_questions_share_a_connection(
    tls: bool, proxy: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One connection serves the request for a nonce and all questions after it."""
    context = tls_context(tmp_path, monkeypatch) if tls else None
    with RawServer(answering(PHP.answer().bytes), context) as server:
        with Client(server.url, proxy=url_of(proxy)) as client:
            assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert proxy.accepted == server.accepted == 1


def test_a_question_that_may_have_run_is_not_sent_again(proxy: RawServer) -> None:
    """If the connection breaks after the question was sent, an error is raised."""

    def serve(peer: Peer) -> None:
        peer.question()

    with RawServer(serve) as server, Client(server.url, proxy=url_of(proxy)) as client:
        with pytest.raises(TransportError):
            client.chat("Hi")
        assert len(server.questions) == 1


def test_a_connection_refused_by_the_proxy_is_retried() -> None:
    """A connection that the proxy refuses is retried, and then raises `TransportError`."""
    with RawServer(socks_proxy(_REFUSED)) as proxy:
        client = Client("http://127.0.0.1:9", proxy=url_of(proxy), retries=1)
        with client, pytest.raises(TransportError, match="refused"):
            client.chat("Hi")
        assert proxy.accepted == 2


def test_a_deadline_ends_a_call_on_time(proxy: RawServer) -> None:
    """A call ends at its deadline even if the site keeps sending single bytes."""
    serve = dripping(b"HTTP/1.1 200 OK\r\n", b"x")
    with RawServer(serve) as server, Client(server.url, proxy=url_of(proxy)) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"


def test_a_deadline_ends_the_wait_for_the_proxy_on_time() -> None:
    """A call ends at its deadline if the proxy is silent."""
    with RawServer(Peer.sleep) as proxy:
        client = Client("http://127.0.0.1:9", proxy=url_of(proxy))
        with client, ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"


def test_closing_the_client_ends_its_call(proxy: RawServer) -> None:
    """Closing the client ends a call that waits for its answer."""
    received = threading.Event()

    def serve(peer: Peer) -> None:
        if peer.question():
            received.set()
            peer.wait_until_gone()

    with RawServer(serve) as server, Client(server.url, proxy=url_of(proxy)) as client:
        answer = background(lambda: client.chat("Hi"))
        assert received.wait(SOON)
        with at_once():
            client.close()
            assert isinstance(answer.exception(SOON), StreamInterrupted)


def test_a_connection_made_after_closing_is_not_used() -> None:
    """If the client is closed while the proxy connects, nothing is sent to the site."""
    accepted, proceed = threading.Event(), threading.Event()

    def serve(peer: Peer) -> None:
        accepted.set()
        peer.wait(proceed)
        socks_proxy()(peer)

    with RawServer(serve) as proxy, RawServer(answering(PHP.answer().bytes)) as server:
        with Client(server.url, proxy=url_of(proxy)) as client:
            answer = background(lambda: client.chat("Hi"))
            assert accepted.wait(SOON)
            client.close()
            proceed.set()
            assert isinstance(answer.exception(SOON), StreamInterrupted)
        assert server.requests == []
