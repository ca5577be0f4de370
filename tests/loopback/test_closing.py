"""Closing a stream or a client ends blocked calls at once, and leaves no connection behind."""

from __future__ import annotations

import ssl
from concurrent.futures import Future
from operator import length_hint
from typing import Any, List, Optional

import pytest
import requests
from blocking import (
    BLOCKING,
    CHUNKED,
    SilentHandshake,
    interrupted,
    message_for,
    silent_nonce,
    wait_until_blocked,
)
from support import (
    PHP,
    SOON,
    Peer,
    RawServer,
    answering,
    at_once,
    background,
    chunk,
    full_listener,
    holding,
    live,
    wait_for,
)

from chatgpt4online import Client, StreamInterrupted

# Closing a stream.


@pytest.mark.usefixtures("read_path")
def test_close_unblocks_a_reader(tls: Optional[ssl.SSLContext]) -> None:
    """`Stream.close` in another thread unblocks a reader at once, and returns at once."""
    serve = holding(CHUNKED, chunk(live("a")))
    with RawServer(serve, tls) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        deltas: List[str] = []
        reader = background(lambda: deltas.extend(stream))
        wait_for(lambda: deltas)
        with at_once():
            stream.close()
        assert interrupted(reader).text == "a"
        server.gone.get(timeout=SOON)


def test_threads_may_close_a_stream_together() -> None:
    """Many threads can close a stream at the same time."""
    with RawServer(holding(CHUNKED, chunk(live("a")))) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        reader = background(stream.result)
        closers = [background(stream.close) for _ in range(20)]
        assert interrupted(reader).text == "a"
        assert [closer.result(SOON) for closer in closers] == [None] * 20
        server.gone.get(timeout=SOON)


def test_a_closed_stream_raises() -> None:
    """A stream closed before its end raises `StreamInterrupted`, and keeps its text."""
    with RawServer(holding(CHUNKED, chunk(live("a")))) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        assert next(stream) == "a"
        stream.close()
        stream.close()
        for read in (stream.result, lambda: next(stream), lambda: list(stream.events())):
            with pytest.raises(StreamInterrupted) as caught:
                read()
            assert caught.value.text == stream.text == "a"
            assert caught.value.site == server.url


def test_closing_a_finished_stream_keeps_its_answer() -> None:
    """Closing a finished stream, or its client, leaves its answer complete."""
    with RawServer(answering(PHP.answer().bytes)) as server:
        with Client(server.url) as client:
            stream = client.stream("Hi")
            assert list(stream) == ["Hel", "lo"]
        stream.close()
        assert (stream.result(), stream.text, list(stream)) == ("Hello", "Hello", [])


# Closing the client.


@pytest.mark.parametrize("point", BLOCKING)
def test_closing_the_client_ends_its_calls(point: str) -> None:
    """`Client.close` ends a call wherever it is blocked, and returns at once."""
    with RawServer(BLOCKING[point]) as server, Client(server.url) as client:
        call = background(lambda: client.chat(message_for(point)))
        wait_until_blocked(server, point)
        with at_once():
            client.close()
        assert interrupted(call).text == ("a" if point == "in the body" else "")


def test_closing_the_client_ends_the_wait_for_a_connection() -> None:
    """`Client.close` ends a call that is connecting."""
    with full_listener() as address, Client(f"http://{address}") as client:
        call = background(lambda: client.chat("Hi"))
        wait_for(lambda: any(length_hint(each._sockets) for each in client._transport._calls))
        client.close()
        interrupted(call)


def test_closing_the_client_ends_a_handshake() -> None:
    """`Client.close` ends a call that waits for a TLS handshake."""
    site = SilentHandshake()
    with RawServer(site.serve) as server, Client(f"https://{server.address}") as client:
        call = background(lambda: client.chat("Hi"))
        assert site.begun.wait(SOON)
        client.close()
        interrupted(call)
        server.gone.get(timeout=SOON)


def test_closing_the_client_ends_the_wait_for_a_nonce() -> None:
    """`Client.close` ends all calls that wait for a nonce, not only the one that fetches it."""
    with RawServer(silent_nonce) as server, Client(server.url) as client:
        calls: List[Future[Any]] = [background(lambda: client.chat("Hi")) for _ in range(5)]
        calls.append(background(lambda: client.nonce))
        wait_for(lambda: server.sessions and len(client._transport._calls) == len(calls))
        with at_once():
            client.close()
        for call in calls:
            interrupted(call)
        assert len(server.requests) == 1


def test_closing_the_client_closes_idle_connections() -> None:
    """Leaving the client's ``with`` block closes its idle connections."""

    def serve(peer: Peer) -> None:
        while peer.question():
            peer.send(PHP.answer().bytes)
        peer.wait_until_gone()

    with RawServer(serve) as server:
        with Client(server.url) as client:
            assert client.chat("Hi") == "Hello"
            assert server.gone.empty()
        server.gone.get(timeout=SOON)


def test_closing_the_client_closes_an_unended_response() -> None:
    """`Client.close` closes the connection of a complete answer whose response has not ended."""
    answer = PHP.answer()
    with RawServer(holding(answer.head, *answer.parts)) as server:
        with Client(server.url) as client:
            assert client.chat("Hi") == "Hello"
        server.gone.get(timeout=SOON)


def test_a_closed_client_cannot_be_used() -> None:
    """A closed client raises `ValueError`; closing it again does nothing."""
    with RawServer(answering(PHP.answer().bytes)) as server:
        client = Client(server.url)
        client.close()
        client.close()
        for use in (lambda: client.chat("Hi"), lambda: client.stream("Hi"), lambda: client.nonce):
            with pytest.raises(ValueError, match="closed"):
                use()
        assert server.requests == []


def test_a_user_session_stays_open() -> None:
    """`Client.close` ends calls over a session of the caller's, and leaves the session usable."""
    answer = PHP.answer()

    def serve(peer: Peer) -> None:
        if len(server.questions) or peer.question():
            peer.send(answer.head + answer.parts[0])
            peer.wait_until_gone()

    with requests.Session() as session, RawServer(serve) as server:
        client = Client(server.url, session=session)
        stream = client.stream("Hi")
        assert next(stream) == "Hel"
        reader = background(stream.result)
        client.close()
        assert interrupted(reader).text == "Hel"
        server.gone.get(timeout=SOON)
        assert session.get(server.url, stream=True).status_code == 200


def test_a_deferred_body_of_a_closed_client_is_closed() -> None:
    """A response is closed at once if the client is closed before its body is deferred."""
    answer = PHP.answer()
    with RawServer(holding(answer.head, *answer.parts)) as server:
        client = Client(server.url)
        assert client.chat("Hi") == "Hello"
        transport = client._transport
        body = transport._deferred.pop()
        client.close()
        assert server.gone.empty()
        transport.defer_release(body)
        server.gone.get(timeout=SOON)
