"""A forked child shares a client's settings and nonce, but never its connections."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
import traceback
import warnings
from typing import Any, Callable, List, Optional

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
    wait_for,
)

from chatgpt4online import Client, StreamInterrupted
from chatgpt4online._http import transport as transport_module
from chatgpt4online._http.call import Call, CallEnded

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")

CHUNKED = head("200 OK", "Transfer-Encoding: chunked")


def in_child(function: Callable[[], None]) -> None:
    """Run a function in a forked child; fail if it fails or takes too long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns about forks in a process with threads
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(SOON))
            function()
            status = 0
        except BaseException:  # noqa: BLE001 - the exit status reports it
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0, "the child failed"


class PausingSite:
    """A server that pauses within answers to "slowly" until `proceed` is set."""

    def __init__(self) -> None:
        self.proceed = threading.Event()

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        question = peer.question()
        while question:
            if b"slowly" in question.body:
                peer.send(CHUNKED + chunk(HELLO[0]))
                peer.wait(self.proceed)
                peer.send(b"".join(map(chunk, HELLO[1:])) + chunk(b""))
            else:
                peer.send(PHP.answer().bytes)
            question = peer.question()


def test_a_child_chats_while_its_parents_stream_continues(tls: Optional[ssl.SSLContext]) -> None:
    """A child chats over its own connection, with the parent's nonce, and affects no stream."""
    site = PausingSite()
    with RawServer(site.serve, tls) as server, Client(server.url) as client:
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
        site.proceed.set()
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
    """Finalize the parent's stream."""
    stream.__del__()


def read_stream(client: Client, stream: Any) -> None:
    """Read the parent's stream, which raises."""
    with pytest.raises(StreamInterrupted):
        next(stream)


def close_client(client: Client, stream: Any) -> None:
    """Close the client."""
    client.close()


@pytest.mark.parametrize(
    "action", [close_stream, leave_stream, drop_stream, read_stream, close_client]
)
def test_a_child_does_not_end_its_parents_stream(
    action: Callable[[Client, Any], None], tls: Optional[ssl.SSLContext]
) -> None:
    """Whatever a child does to the parent's stream, the parent can read it to its end."""
    site = PausingSite()
    with RawServer(site.serve, tls) as server, Client(server.url) as client:
        stream = client.stream("slowly")
        assert next(stream) == "Hel"
        in_child(lambda: action(client, stream))
        site.proceed.set()
        assert list(stream) == ["lo"]
        assert client.chat("Hi") == "Hello"
        assert server.accepted == 1


def test_a_deadline_of_the_parents_call_has_no_effect_in_a_child() -> None:
    """When the deadline of the parent's call passes in a child, the parent's stream continues."""
    site = PausingSite()
    with RawServer(site.serve) as server, Client(server.url) as client:
        stream = client.stream("slowly", deadline=SOON)
        assert next(stream) == "Hel"

        def child() -> None:
            stream._response.call.end("deadline")
            assert client.chat("Hi") == "Hello"

        in_child(child)
        site.proceed.set()
        assert stream.result() == "Hello"


def test_a_child_keeps_the_cookies() -> None:
    """A child sends the parent's cookies."""

    def serve(peer: Peer) -> None:
        question = peer.question()
        while question:
            peer.send(PHP.answer(HELLO, "Set-Cookie: mwai_session_id=x; path=/").bytes)
            question = peer.question()

    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        in_child(lambda: check(client.chat("Hi") == "Hello"))
        assert server.questions[-1].headers["cookie"] == "mwai_session_id=x"


def check(condition: bool) -> None:
    """Assert a condition."""
    assert condition


def locks_of(client: Client, stream: Any) -> List[Any]:
    """Return the locks that another thread may hold during a fork."""
    transport: Any = client._transport
    return [
        transport.nonce._lock,
        transport._session.session.cookies._cookies_lock,
        stream._response._body._reading,
    ]


def test_locks_held_during_a_fork_do_not_block_a_child() -> None:
    """A child can use a client whose locks were all held by a thread of the parent."""
    site = PausingSite()
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
        site.proceed.set()
        assert stream.result() == "Hello"


def test_a_child_does_not_wait_for_its_parents_nonce() -> None:
    """A child forked while the parent fetches a nonce fetches its own."""
    proceed = threading.Event()

    def serve(peer: Peer) -> None:
        if peer.number == 0:
            peer.begins_tls()
            peer.wait(proceed)
        answering(PHP.answer().bytes)(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        owner = background(lambda: client.chat("Hi"))
        wait_for(lambda: server.accepted)
        in_child(lambda: check(client.chat("Hi") == "Hello"))
        proceed.set()
        assert owner.result(SOON) == "Hello"
        assert len(server.sessions) == 2


def test_a_child_does_not_touch_deferred_connections() -> None:
    """A child neither uses nor closes a connection whose response has not ended."""
    proceed = threading.Event()

    def serve(peer: Peer) -> None:
        question = peer.question()
        while question:
            peer.send(CHUNKED + b"".join(map(chunk, HELLO)))
            if peer.number == 0:
                peer.wait(proceed)
            peer.send(chunk(b""))
            question = peer.question()

    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        in_child(lambda: check(client.chat("Hi") == "Hello"))
        proceed.set()
        assert client.chat("Hi") == "Hello"
        assert len(server.questions) == 3


def test_the_fork_handler_replaces_locks_and_connections() -> None:
    """The fork handler gives a client new locks and connections, and keeps its nonce."""
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


def test_a_call_of_the_parent_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """In another process than its own, a call shuts down no socket, and raises `CallEnded`."""
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


def test_a_user_session_is_not_replaced() -> None:
    """A child uses a session of the caller's unchanged."""
    with RawServer(answering(PHP.answer().bytes)) as server, requests.Session() as session:
        client = Client(server.url, session=session)
        assert client.nonce == NONCE
        in_child(lambda: check(client.chat("Hi") == "Hello"))
