"""A forked child shares a used client's settings and nonce, never its connections."""

from __future__ import annotations

import os
import signal
import socket
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any, Callable, List

import pytest
import requests
from support import (
    HELLO,
    NONCE,
    PHP,
    SOON,
    Peer,
    RawServer,
    answering,
    background,
    chunk,
    head,
    tls_context,
    wait_for,
)

from chatgpt4online import Client, StreamInterrupted
from chatgpt4online._http import transport as transport_module
from chatgpt4online._http.call import Call, CallEnded

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")

CHUNKED = head("200 OK", "Transfer-Encoding: chunked")


def in_child(function: Callable[[], None]) -> None:
    """Run a function in a forked child, and fail if it fails there, or takes too long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of forks beside threads: that is the point
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(SOON))
            function()
            status = 0
        except BaseException:  # noqa: BLE001 - told by the exit status
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0, "the child failed"


class Midway:
    """A server that answers in full, but stops midway in questions that say so, until told."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        question = peer.question()
        while question:
            if b"slowly" in question.body:
                peer.send(CHUNKED + chunk(HELLO[0]))
                peer.wait(self.go_on)
                peer.send(b"".join(map(chunk, HELLO[1:])) + chunk(b""))
            else:
                peer.send(PHP.answer().bytes)
            question = peer.question()


@pytest.fixture(params=["plain", "TLS"])
def context(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Return a server's side of TLS, or None."""
    return tls_context(tmp_path, monkeypatch) if request.param == "TLS" else None


def test_a_child_chats_while_its_parents_stream_goes_on(context: Any) -> None:
    """A child asks over a connection of its own, with the parent's nonce, and disturbs nothing."""
    site = Midway()
    with RawServer(site.serve, context) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        stream = client.stream("slowly")
        assert next(stream) == "Hel"
        idle = client.stream("Hi")
        assert idle.result() == "Hello"
        accepted = server.accepted

        def child() -> None:
            assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2

        in_child(child)
        assert server.accepted == accepted + 1
        assert len(server.sessions) == 1
        site.go_on.set()
        assert list(stream) == ["lo"]
        assert client.chat("Hi") == "Hello"
        assert server.accepted == accepted + 1


def close_stream(client: Client, stream: Any) -> None:
    """Close the parent's stream."""
    stream.close()


def leave_stream(client: Client, stream: Any) -> None:
    """Leave the ``with`` block of the parent's stream."""
    with stream:
        pass


def drop_stream(client: Client, stream: Any) -> None:
    """Drop the parent's stream, as far as a child can."""
    stream.__del__()


def read_stream(client: Client, stream: Any) -> None:
    """Read the parent's stream, which is refused."""
    with pytest.raises(StreamInterrupted):
        next(stream)


def close_client(client: Client, stream: Any) -> None:
    """Close the client."""
    client.close()


@pytest.mark.parametrize(
    "deed", [close_stream, leave_stream, drop_stream, read_stream, close_client]
)
def test_a_child_does_not_shut_its_parents_stream(
    deed: Callable[[Client, Any], None], context: Any
) -> None:
    """Whatever a child does to the parent's stream, the parent reads it to its end."""
    site = Midway()
    with RawServer(site.serve, context) as server, Client(server.url) as client:
        stream = client.stream("slowly")
        assert next(stream) == "Hel"
        in_child(lambda: deed(client, stream))
        site.go_on.set()
        assert list(stream) == ["lo"]
        assert client.chat("Hi") == "Hello"
        assert server.accepted == 1


def test_a_deadline_of_the_parents_call_is_the_parents() -> None:
    """A child that lives beyond the deadline of the parent's call does not shut its connection."""
    site = Midway()
    with RawServer(site.serve) as server, Client(server.url) as client:
        stream = client.stream("slowly", deadline=SOON)
        assert next(stream) == "Hel"

        def child() -> None:
            stream._response.call.end("deadline")
            assert client.chat("Hi") == "Hello"

        in_child(child)
        site.go_on.set()
        assert stream.result() == "Hello"


def test_a_child_keeps_the_cookies() -> None:
    """A child is the same visitor: it sends the parent's cookies."""

    def serve(peer: Peer) -> None:
        question = peer.question()
        while question:
            peer.send(PHP.answer(HELLO, "Set-Cookie: mwai_session_id=x; path=/").bytes)
            question = peer.question()

    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        in_child(lambda: check(client.chat("Hi") == "Hello"))
        assert server.questions[-1].headers["cookie"] == "mwai_session_id=x"


def check(held: bool) -> None:
    """Fail if something does not hold."""
    assert held


def locks_of(client: Client, stream: Any) -> List[Any]:
    """Return the locks that another thread may hold when a process forks."""
    transport: Any = client._transport
    return [
        transport.nonce._lock,
        transport._session.session.cookies._cookies_lock,
        stream._response._body._reading,
    ]


def test_locks_that_are_held_at_a_fork_do_not_stop_a_child() -> None:
    """A child can use a client though its parent's threads hold each of its locks just then."""
    site = Midway()
    held, forked = threading.Event(), threading.Event()
    with RawServer(site.serve) as server, Client(server.url) as client:
        stream = client.stream("slowly")
        assert next(stream) == "Hel"

        def hold() -> None:
            locks = locks_of(client, stream)
            for lock in locks:
                assert lock.acquire(timeout=SOON)
            held.set()
            forked.wait()
            for lock in locks:
                lock.release()

        def child() -> None:
            stream.close()
            assert client.chat("Hi") == "Hello"
            with client.stream("Hi") as own:
                assert next(own) == "Hel"
            client.close()

        holder = background(hold)
        assert held.wait(SOON)
        try:
            in_child(child)
        finally:
            forked.set()
        holder.result(SOON)
        site.go_on.set()
        assert stream.result() == "Hello"


def test_a_child_does_not_wait_for_a_nonce_that_its_parent_fetches() -> None:
    """A child that is forked while the parent fetches a nonce fetches its own."""
    go_on = threading.Event()

    def serve(peer: Peer) -> None:
        if peer.number == 0:
            peer.begins_tls()
            peer.wait(go_on)
        answering(PHP.answer().bytes)(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        leader = background(lambda: client.chat("Hi"))
        wait_for(lambda: server.accepted)
        in_child(lambda: check(client.chat("Hi") == "Hello"))
        go_on.set()
        assert leader.result(SOON) == "Hello"
        assert len(server.sessions) == 2


def test_an_answer_that_awaits_its_last_bytes_is_the_parents() -> None:
    """A child does not use, nor close, a connection whose response is still to end."""
    go_on = threading.Event()

    def serve(peer: Peer) -> None:
        question = peer.question()
        while question:
            peer.send(CHUNKED + b"".join(map(chunk, HELLO)))
            if peer.number == 0:
                peer.wait(go_on)
            peer.send(chunk(b""))
            question = peer.question()

    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        in_child(lambda: check(client.chat("Hi") == "Hello"))
        go_on.set()
        assert client.chat("Hi") == "Hello"
        assert len(server.questions) == 3


def test_what_is_done_in_a_child_leaves_the_parents_locks_and_connections() -> None:
    """What a child does first gives a client new locks and connections, and keeps its nonce."""
    with RawServer(answering(PHP.answer().bytes)) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        transport: Any = client._transport
        session = transport._session.session
        with transport.nonce._lock, session.cookies._cookies_lock:
            idle = session.adapters
            transport_module._after_fork()
            future = background(lambda: client.chat("Hi"))
            assert future.result(SOON) == "Hello"
        assert server.accepted == 2
        assert len(server.sessions) == 1
        for adapter in set(idle.values()):
            adapter.close()


def test_a_call_of_the_parents_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """In another process than its own, a call shuts no socket, and cannot go on."""
    here, there = socket.socketpair()
    with here, there:
        call = Call()
        call.watch(here)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            call.end("closed")
            assert not call.release()
            with pytest.raises(CallEnded):
                call.raise_if_ended()
        call.raise_if_ended()
        here.send(b"x")
        assert there.recv(1) == b"x"


def test_a_session_of_the_callers_is_the_callers() -> None:
    """A session that the caller gave is used as it is, in a child as well."""
    with RawServer(answering(PHP.answer().bytes)) as server, requests.Session() as session:
        client = Client(server.url, session=session)
        assert client.nonce == NONCE
        in_child(lambda: check(client.chat("Hi") == "Hello"))
