"""After a complete answer, its connection is reused, or closed without an effect on others."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, List, Set

import pytest
from support import (
    FRAMINGS,
    HELLO,
    NONCE,
    PHP,
    REUSABLE,
    SOON,
    Framing,
    Peer,
    RawServer,
    Serve,
    answering,
    at_once,
    background,
    chunk,
    end,
    head,
    holding,
    json_reply,
    live,
    reply,
    tls_context,
)
from urllib3.util.wait import wait_for_read

from chatgpt4online import Client
from chatgpt4online._http import body, pool, tls, transport
from chatgpt4online._http.call import Call

CHUNKED = "Transfer-Encoding: chunked"
LAST_CHUNK = chunk(b"")


# The end of an answer is its `end` event, not the end of the response.


@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_answer_is_complete_at_its_end_event(framing: str) -> None:
    """`chat` returns once `end` has arrived, even if the server does not end the response."""
    answer = FRAMINGS[framing].answer()
    with RawServer(holding(answer.head, *answer.parts)) as server, Client(server.url) as client:
        assert client.nonce == NONCE
        with at_once():
            assert client.chat("Hi") == "Hello"


def test_a_stream_is_complete_at_its_end_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream ends once `end` has arrived, over TLS too."""
    answer = PHP.answer()
    serve = holding(answer.head, *answer.parts)
    context = tls_context(tmp_path, monkeypatch)
    with RawServer(serve, context) as server, Client(server.url) as client:
        assert client.nonce == NONCE
        with at_once():
            assert list(client.stream("Hi")) == ["Hel", "lo"]


def test_an_overstated_length_delays_nothing() -> None:
    """`chat` returns once `end` has arrived, even if Content-Length announces more."""
    serve = holding(head("200 OK", "Content-Length: 100000"), *HELLO)
    with RawServer(serve) as server, Client(server.url) as client:
        assert client.nonce == NONCE
        with at_once():
            assert client.chat("Hi") == "Hello"


# Reusable connections are reused.


@pytest.mark.parametrize("framing", REUSABLE)
def test_twenty_chats_use_one_connection(framing: str) -> None:
    """One connection serves the request for a nonce and all questions after it."""
    answer = FRAMINGS[framing].answer().bytes
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in range(20)] == ["Hello"] * 20
        assert server.accepted == 1


def test_tls_connections_are_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One TLS connection serves all questions too."""
    context = tls_context(tmp_path, monkeypatch)
    with RawServer(answering(PHP.answer().bytes), context) as server:
        with Client(server.url) as client:
            assert [client.chat("Hi") for _ in range(20)] == ["Hello"] * 20
        assert server.accepted == 1


def test_tls_without_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS works where no thread can be started, as during the interpreter's shutdown."""
    context = tls_context(tmp_path, monkeypatch)

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with RawServer(answering(PHP.answer().bytes), context) as server, Client(server.url) as client:
        monkeypatch.setattr(tls, "start_new_thread", no_thread)
        assert client.chat("Hi") == "Hello"


@pytest.mark.parametrize("framing", ["close", "close+gzip"])
def test_a_connection_that_ends_with_its_answer_is_closed(framing: str) -> None:
    """A connection whose response ends with it is closed and not reused."""
    answer = FRAMINGS[framing].answer().bytes

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(answer)
            peer.wait_until_gone()

    with RawServer(serve) as server, Client(server.url) as client:
        for number in range(3):
            assert client.chat("Hi") == "Hello"
            assert server.gone.get(timeout=SOON) == number


def test_refusals_keep_their_connection() -> None:
    """The connection of a refused nonce is reused."""
    refusal = json_reply("403 Forbidden", {"code": "rest_cookie_invalid_nonce", "message": "No"})
    serve = answering(refusal, PHP.answer().bytes)
    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        assert server.accepted == 1
        assert len(server.sessions) == len(server.questions) == 2


def test_limits_of_one_call_do_not_apply_to_the_next() -> None:
    """On a reused connection, the limits of the current call apply."""
    proceed = threading.Event()

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(PHP.answer().bytes)
        peer.question()
        peer.wait(proceed)
        peer.send(PHP.answer().bytes)

    with RawServer(serve) as server, Client(server.url, timeout=SOON) as client:
        limit = 0.3
        assert client.chat("Hi", timeout=limit, deadline=limit) == "Hello"
        second = background(lambda: client.chat("Hi"))
        timer = threading.Timer(2 * limit, proceed.set)
        timer.start()
        assert second.result(SOON) == "Hello"
        timer.join()
        assert server.accepted == 1


# The rest of a response, after `end`.


class LateEnd:
    """A server that ends each response only after a call of `write_rest`."""

    def __init__(self, rest: bytes) -> None:
        self._rest = rest
        self._requested = threading.Semaphore(0)
        self._written = threading.Semaphore(0)

    def write_rest(self) -> None:
        """Write the rest of a response, and wait until it has been sent."""
        self._requested.release()
        assert self._written.acquire(timeout=SOON)

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        while peer.question():
            peer.send(head("200 OK", CHUNKED) + b"".join(map(chunk, HELLO)))
            assert self._requested.acquire(timeout=SOON)
            peer.send(self._rest)
            self._written.release()


@pytest.mark.parametrize(
    "rest", [LAST_CHUNK, chunk(b"<!-- cached -->\n") + LAST_CHUNK, chunk(b"\n") + LAST_CHUNK]
)
def test_the_end_of_a_response_may_come_late(rest: bytes) -> None:
    """A connection is reused even if the response ends after its answer was returned."""
    site = LateEnd(rest)
    with RawServer(site.serve) as server, Client(server.url) as client:
        for _ in range(5):
            assert client.chat("Hi") == "Hello"
            site.write_rest()
        assert server.accepted == 1


def test_a_call_waits_for_the_end_of_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waits a moment for the end of the last response, rather than connect anew."""
    site = LateEnd(LAST_CHUNK)

    def wait(*args: Any, **options: Any) -> bool:
        site.write_rest()
        return wait_for_read(*args, **options)

    monkeypatch.setattr(body, "GRACE_TIME", SOON)
    monkeypatch.setattr(body, "wait_for_read", wait)
    with RawServer(site.serve) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        site.write_rest()
        assert server.accepted == 1


def test_an_endless_response_costs_only_its_connection() -> None:
    """A response that never ends delays no call, and its connection is closed after a while."""
    answer = PHP.answer()
    serve = holding(answer.head, *answer.parts)
    with RawServer(serve) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert server.accepted == 3
        assert server.gone.empty()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(body, "DEFERRED_TIME", 0.0)
            assert client.chat("Hi") == "Hello"
        gone: Set[int] = set()
        while not gone >= {0, 1, 2}:  # the fourth follows later
            gone.add(server.gone.get(timeout=SOON))


def test_endless_responses_keep_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many responses never end, only so many connections wait for their ends."""
    monkeypatch.setattr(transport, "_MAX_DEFERRED", 2)
    answer = PHP.answer()
    with RawServer(holding(answer.head, *answer.parts)) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in range(4)] == ["Hello"] * 4
        assert {server.gone.get(timeout=SOON), server.gone.get(timeout=SOON)} == {0, 1}
        assert server.gone.empty()


@pytest.mark.parametrize("when", ["at once", "late"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_connection_closed_after_the_answer_is_not_reused(when: str, how: str) -> None:
    """A connection that is closed between `end` and the end of the response is not reused."""
    answer = PHP.answer()
    closed = threading.Semaphore(0)
    returned = threading.Semaphore(0)

    def serve(peer: Peer) -> None:
        assert peer.question()
        peer.send(answer.head + b"".join(answer.parts))
        if when == "late":
            assert returned.acquire(timeout=SOON)
        if how == "reset":
            peer.reset()
        peer.close()
        closed.release()

    with RawServer(serve) as server, Client(server.url) as client:
        for number in range(3):
            assert client.chat("Hi") == "Hello"
            returned.release()
            assert closed.acquire(timeout=SOON)
            assert server.accepted == number + 1
        assert len(server.questions) == 3


POISON = reply("200 OK", end("Poison"))


@pytest.mark.parametrize(
    "answer",
    [
        PHP.answer().bytes + POISON,
        Framing("length").answer().bytes + POISON,
        Framing("length").answer().bytes + b"\n",
    ],
)
def test_bytes_after_a_response_are_not_an_answer(answer: bytes) -> None:
    """Bytes after the end of a response are never taken for the next answer."""
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert server.accepted == 3


def test_late_bytes_are_not_an_answer() -> None:
    """Bytes that arrive while a connection is idle are not taken for the next answer either."""
    site = LateEnd(LAST_CHUNK + POISON)
    with RawServer(site.serve) as server, Client(server.url) as client:
        for _ in range(3):
            assert client.chat("Hi") == "Hello"
            site.write_rest()
        assert server.accepted == 3


@pytest.mark.parametrize("rest", [b"zz\r\n", b"-1\r\n", b"5\r\nhello!!\r\n"])
def test_broken_framing_after_the_answer_costs_only_its_connection(rest: bytes) -> None:
    """Broken framing after `end` affects neither this answer nor the next one."""
    answer = head("200 OK", CHUNKED) + b"".join(map(chunk, HELLO)) + rest
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert server.accepted == 3


# A finished call no longer affects its connection.


def answering_twice(events: List[bytes], proceed: threading.Event) -> Serve:
    """Answer two questions on one connection, and hold the second answer after its first event."""
    answer = Framing().answer(events)

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(answer.bytes)
        peer.question()
        peer.send(answer.head + answer.parts[0])
        peer.wait(proceed)
        peer.send(b"".join(answer.parts[1:]) + answer.last)

    return serve


@pytest.mark.parametrize("action", ["close", "leave", "drop", "read"])
def test_using_a_finished_stream_does_not_affect_its_connection(action: str) -> None:
    """Nothing done to a finished stream affects the next answer on its connection."""
    proceed = threading.Event()
    serve = answering_twice([live("a"), live("b"), end("ab")], proceed)
    with RawServer(serve) as server, Client(server.url, timeout=SOON) as client:
        finished = [client.stream("Hi")]
        assert finished[0].result() == "ab"
        stream = client.stream("Hi")
        assert next(stream) == "a"
        if action == "close":
            finished[0].close()
        elif action == "leave":
            with finished[0]:
                pass
        elif action == "read":
            assert list(finished[0]) == []
            assert finished[0].result() == "ab"
        finished.clear()
        proceed.set()
        assert list(stream) == ["b"]
        assert server.accepted == 1


def test_a_deadline_ends_with_its_call() -> None:
    """The deadline of a finished call does not affect the next call on the same connection."""
    proceed = threading.Event()
    serve = answering_twice([live("a"), end("ab")], proceed)
    with RawServer(serve) as server, Client(server.url, timeout=SOON) as client:
        assert client.nonce == NONCE
        timer = threading.Timer(0.4, proceed.set)
        timer.start()
        assert client.chat("Hi", deadline=0.3) == "ab"
        assert client.chat("Hi") == "ab"
        timer.join()
        assert server.accepted == 1


def test_the_connection_of_an_unfinished_stream_is_not_reused() -> None:
    """The connection of a stream that was left early is closed."""
    answer = PHP.answer([live("a"), live("b"), end("ab")])
    with RawServer(answering(answer.bytes)) as server, Client(server.url) as client:
        for number in range(3):
            with client.stream("Hi") as stream:
                assert next(stream) == "a"
            assert server.accepted == number + 1
        assert client.chat("Hi") == "ab"


# What a connection sends.


@pytest.mark.parametrize("size", [1, 60_000, 64 * 1024, 1_000_000])
def test_questions_of_any_size_arrive_complete(size: int) -> None:
    """A question of any length arrives complete and unchanged."""
    with RawServer(answering(PHP.answer().bytes)) as server, Client(server.url) as client:
        assert client.chat("x" * size) == "Hello"
        assert json.loads(server.questions[0].body)["newMessage"] == "x" * size


def test_each_request_has_its_own_headers() -> None:
    """Requests on one connection have the right headers, however many there are."""
    headers = {f"x-{number}": str(number) for number in range(300)}
    with RawServer(answering(PHP.answer().bytes)) as server:
        with Client(server.url, headers=headers) as client:
            assert [client.chat("Hi"), client.chat("Hello")] == ["Hello", "Hello"]
        for received in server.questions:
            assert headers.items() <= received.headers.items()
            assert received.headers["content-length"] == str(len(received.body))


def test_many_sites() -> None:
    """A session works with more sites than urllib3 has pools, and closes all their connections."""

    def serve(peer: Peer) -> None:
        while peer.receive():
            peer.send(json_reply("200 OK", {}))
        peer.wait_until_gone()

    with ExitStack() as stack:
        servers = [stack.enter_context(RawServer(serve)) for _ in range(12)]
        stack.enter_context(Call())
        with pool.new_session() as session:
            assert all(session.get(server.url).ok for server in servers * 2)
        for server in servers:
            assert server.gone.get(timeout=SOON) == 0


# Connections closed while idle.


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_closed_idle_connection_is_replaced(how: str) -> None:
    """A question is not sent on a connection that the server has closed while it was idle."""
    gone = threading.Semaphore(0)

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(PHP.answer().bytes)
        if how == "reset":
            peer.reset()
        peer.close()
        gone.release()

    with RawServer(serve) as server, Client(server.url) as client:
        answers: List[str] = []
        for _ in range(3):
            answers.append(client.chat("Hi"))
            assert gone.acquire(timeout=SOON)
        assert answers == ["Hello"] * 3
        assert len(server.questions) == server.accepted == 3
