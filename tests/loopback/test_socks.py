"""By way of a SOCKS proxy the same holds of questions, limits and connections."""

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


def by_socks(reply: int = _GRANTED) -> Serve:
    """Serve as a SOCKS5 proxy (RFC 1928) that gives this reply when asked for a connection."""

    def serve(peer: Peer) -> None:
        peer.read(3)
        peer.send(b"\x05\x00")  # no password
        host, port = struct.unpack("!4x4sH", peer.read(10))
        peer.send(struct.pack("!BBxB6x", 5, reply, 1))
        if reply == _GRANTED:
            peer.relay(socket.inet_ntoa(host), port)

    return serve


def url_of(proxy: RawServer) -> str:
    """Return the URL of a proxy."""
    return f"socks5://{proxy.address}"


@pytest.fixture
def proxy() -> Iterator[RawServer]:
    """Start a proxy."""
    with RawServer(by_socks()) as running:
        yield running


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_questions_share_a_connection(
    tls: bool, proxy: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One question after another takes one connection, and the nonce before them."""
    context = tls_context(tmp_path, monkeypatch) if tls else None
    with RawServer(answering(PHP.answer().bytes), context) as server:
        with Client(server.url, proxy=url_of(proxy)) as client:
            assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert proxy.accepted == server.accepted == 1


def test_a_question_that_may_have_run_is_not_sent_again(proxy: RawServer) -> None:
    """A connection that breaks after the question has been sent is an error."""

    def serve(peer: Peer) -> None:
        peer.question()

    with RawServer(serve) as server, Client(server.url, proxy=url_of(proxy)) as client:
        with pytest.raises(TransportError):
            client.chat("Hi")
        assert len(server.questions) == 1


def test_what_the_proxy_refuses_was_not_sent() -> None:
    """A connection that the proxy refuses is tried again, and then an error."""
    with RawServer(by_socks(_REFUSED)) as proxy:
        client = Client("http://127.0.0.1:9", proxy=url_of(proxy), retries=1)
        with client, pytest.raises(TransportError, match="refused"):
            client.chat("Hi")
        assert proxy.accepted == 2


def test_a_deadline_ends_a_call_on_time(proxy: RawServer) -> None:
    """A call ends at its deadline, however the site drips."""
    serve = dripping(b"HTTP/1.1 200 OK\r\n", b"x")
    with RawServer(serve) as server, Client(server.url, proxy=url_of(proxy)) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"


def test_a_deadline_ends_the_wait_for_the_proxy_on_time() -> None:
    """A call ends at its deadline where the proxy is silent."""
    with RawServer(Peer.sleep) as proxy:
        client = Client("http://127.0.0.1:9", proxy=url_of(proxy))
        with client, ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"


def test_closing_the_client_frees_its_call(proxy: RawServer) -> None:
    """A thread that waits for an answer is woken when the client is closed."""
    asked = threading.Event()

    def serve(peer: Peer) -> None:
        if peer.question():
            asked.set()
            peer.wait_until_gone()

    with RawServer(serve) as server, Client(server.url, proxy=url_of(proxy)) as client:
        answer = background(lambda: client.chat("Hi"))
        assert asked.wait(SOON)
        with at_once():
            client.close()
            assert isinstance(answer.exception(SOON), StreamInterrupted)


def test_closing_the_client_ends_the_wait_for_the_proxy() -> None:
    """What was connected meanwhile, by a proxy that took its time, is closed again."""
    came, going_on = threading.Event(), threading.Event()

    def serve(peer: Peer) -> None:
        came.set()
        peer.wait(going_on)
        by_socks()(peer)

    with RawServer(serve) as proxy, RawServer(answering(PHP.answer().bytes)) as server:
        with Client(server.url, proxy=url_of(proxy)) as client:
            answer = background(lambda: client.chat("Hi"))
            assert came.wait(SOON)
            client.close()
            going_on.set()
            assert isinstance(answer.exception(SOON), StreamInterrupted)
        assert server.requests == []
