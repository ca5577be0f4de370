"""What becomes of a connection when its answer is complete: it is kept, or it does no harm."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import List, Set

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

from chatgpt4online import Client
from chatgpt4online._http import body, connection, tls
from chatgpt4online._http.call import Call

CHUNKED = "Transfer-Encoding: chunked"
LAST_CHUNK = chunk(b"")


# The end of an answer is its `end` event, not the end of the response.


@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_answer_is_complete_at_its_end_event(framing: str) -> None:
    """`chat` returns when `end` has come, though the server holds the response open."""
    answer = FRAMINGS[framing].answer()
    with RawServer(holding(answer.head, *answer.parts)) as server, Client(server.url) as client:
        assert client.nonce == NONCE
        with at_once():
            assert client.chat("Hi") == "Hello"


def test_a_stream_is_complete_at_its_end_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream ends when `end` has come, over TLS as well."""
    answer = PHP.answer()
    serve = holding(answer.head, *answer.parts)
    context = tls_context(tmp_path, monkeypatch)
    with RawServer(serve, context) as server, Client(server.url) as client:
        assert client.nonce == NONCE
        with at_once():
            assert list(client.stream("Hi")) == ["Hel", "lo"]


def test_a_length_that_is_never_reached_delays_nothing() -> None:
    """`chat` returns when `end` has come, though Content-Length promises more."""
    serve = holding(head("200 OK", "Content-Length: 100000"), *HELLO)
    with RawServer(serve) as server, Client(server.url) as client:
        assert client.nonce == NONCE
        with at_once():
            assert client.chat("Hi") == "Hello"


# A connection that can be used again is used again.


@pytest.mark.parametrize("framing", REUSABLE)
def test_twenty_chats_take_one_connection(framing: str) -> None:
    """A connection serves one question after another, and the nonce before them."""
    answer = FRAMINGS[framing].answer().bytes
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in range(20)] == ["Hello"] * 20
        assert server.accepted == 1


def test_tls_connections_are_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TLS connection serves one question after another as well."""
    context = tls_context(tmp_path, monkeypatch)
    with RawServer(answering(PHP.answer().bytes), context) as server:
        with Client(server.url) as client:
            assert [client.chat("Hi") for _ in range(20)] == ["Hello"] * 20
        assert server.accepted == 1


def test_tls_without_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, as when a program ends, a TLS connection needs none."""
    context = tls_context(tmp_path, monkeypatch)

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with RawServer(answering(PHP.answer().bytes), context) as server, Client(server.url) as client:
        monkeypatch.setattr(tls, "start_new_thread", no_thread)
        assert client.chat("Hi") == "Hello"


@pytest.mark.parametrize("framing", ["close", "close+gzip"])
def test_a_connection_that_ends_with_its_answer_is_closed(framing: str) -> None:
    """A connection that the server closes after an answer is not used again, nor kept open."""
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
    """A nonce that is refused costs no connection: the refusal is read to its end."""
    refusal = json_reply("403 Forbidden", {"code": "rest_cookie_invalid_nonce", "message": "No"})
    serve = answering(refusal, PHP.answer().bytes)
    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        assert server.accepted == 1
        assert len(server.sessions) == len(server.questions) == 2


def test_interim_responses_are_skipped() -> None:
    """A `100 Continue` before the answer is not the answer."""
    answer = head("100 Continue") * 2 + PHP.answer().bytes
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello", "Hello"]
        assert server.accepted == 1


def test_a_limit_of_one_call_is_not_the_next_ones() -> None:
    """A connection that a call with short limits used has the next call's limits."""
    go_on = threading.Event()

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(PHP.answer().bytes)
        peer.question()
        peer.wait(go_on)
        peer.send(PHP.answer().bytes)

    with RawServer(serve) as server, Client(server.url, timeout=SOON) as client:
        limit = 0.3
        assert client.chat("Hi", timeout=limit, deadline=limit) == "Hello"
        second = background(lambda: client.chat("Hi"))
        timer = threading.Timer(2 * limit, go_on.set)
        timer.start()
        assert second.result(SOON) == "Hello"
        timer.join()
        assert server.accepted == 1


# The rest of a response, after `end`.


class LateEnd:
    """A server that ends each response only when it is told to."""

    def __init__(self, rest: bytes) -> None:
        self._rest = rest
        self._asked = threading.Semaphore(0)
        self._written = threading.Semaphore(0)

    def write_rest(self) -> None:
        """Write the rest of a response, and wait until it is on its way."""
        self._asked.release()
        assert self._written.acquire(timeout=SOON)

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        while peer.question():
            peer.send(head("200 OK", CHUNKED) + b"".join(map(chunk, HELLO)))
            assert self._asked.acquire(timeout=SOON)
            peer.send(self._rest)
            self._written.release()


@pytest.mark.parametrize(
    "rest", [LAST_CHUNK, chunk(b"<!-- cached -->\n") + LAST_CHUNK, chunk(b"\n") + LAST_CHUNK]
)
def test_the_end_of_a_response_may_come_late(rest: bytes) -> None:
    """A response that ends after its answer was returned gives its connection back all the same."""
    site = LateEnd(rest)
    with RawServer(site.serve) as server, Client(server.url) as client:
        for _ in range(5):
            assert client.chat("Hi") == "Hello"
            site.write_rest()
        assert server.accepted == 1


def test_a_response_without_end_costs_its_connection_alone() -> None:
    """A response that never ends keeps no call waiting, and is given up after a while."""
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
        while not gone >= {0, 1, 2}:  # and the fourth, sooner or later
            gone.add(server.gone.get(timeout=SOON))


@pytest.mark.parametrize("where", ["at once", "late"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_connection_that_is_closed_after_the_answer_is_not_used(where: str, how: str) -> None:
    """A connection that breaks off between `end` and the end of the response is left alone."""
    answer = PHP.answer()
    closed = threading.Semaphore(0)
    returned = threading.Semaphore(0)

    def serve(peer: Peer) -> None:
        assert peer.question()
        peer.send(answer.head + b"".join(answer.parts))
        if where == "late":
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
def test_what_follows_a_response_is_no_answer(answer: bytes) -> None:
    """Bytes after the end of a response never answer the next question."""
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert server.accepted == 3


def test_what_comes_late_is_no_answer() -> None:
    """Bytes that come after the end of a response, once it was kept, answer no question either."""
    site = LateEnd(LAST_CHUNK + POISON)
    with RawServer(site.serve) as server, Client(server.url) as client:
        for _ in range(3):
            assert client.chat("Hi") == "Hello"
            site.write_rest()
        assert server.accepted == 3


@pytest.mark.parametrize("rest", [b"zz\r\n", b"-1\r\n", b"5\r\nhello!!\r\n"])
def test_broken_framing_after_the_answer_costs_its_connection_alone(rest: bytes) -> None:
    """Framing that breaks after `end` does not spoil the answer, nor the next one."""
    answer = head("200 OK", CHUNKED) + b"".join(map(chunk, HELLO)) + rest
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert server.accepted == 3


# A finished stream is done with its connection.


@pytest.mark.parametrize("deed", ["close", "leave", "drop", "read"])
def test_a_finished_stream_leaves_its_connection_alone(deed: str) -> None:
    """Whatever is done to a finished stream, the next answer on its connection goes on."""
    go_on = threading.Event()
    answer = Framing().answer([live("a"), live("b"), end("ab")])

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(answer.bytes)
        peer.question()
        peer.send(answer.head + answer.parts[0])
        peer.wait(go_on)
        peer.send(b"".join(answer.parts[1:]) + answer.last)

    with RawServer(serve) as server, Client(server.url, timeout=SOON) as client:
        finished = [client.stream("Hi")]
        assert finished[0].result() == "ab"
        stream = client.stream("Hi")
        assert next(stream) == "a"
        if deed == "close":
            finished[0].close()
        elif deed == "leave":
            with finished[0]:
                pass
        elif deed == "read":
            assert list(finished[0]) == []
            assert finished[0].result() == "ab"
        finished.clear()
        go_on.set()
        assert list(stream) == ["b"]
        assert server.accepted == 1


def test_a_deadline_dies_with_its_call() -> None:
    """The deadline of a finished call does not shut the connection that the next one uses."""
    go_on = threading.Event()
    answer = Framing().answer([live("a"), end("ab")])

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(answer.bytes)
        peer.question()
        peer.send(answer.head + answer.parts[0])
        peer.wait(go_on)
        peer.send(b"".join(answer.parts[1:]) + answer.last)

    with RawServer(serve) as server, Client(server.url, timeout=SOON) as client:
        assert client.nonce == NONCE
        timer = threading.Timer(0.4, go_on.set)
        timer.start()
        assert client.chat("Hi", deadline=0.3) == "ab"
        assert client.chat("Hi") == "ab"
        timer.join()
        assert server.accepted == 1


def test_an_unfinished_stream_gives_its_connection_to_nobody() -> None:
    """The connection of a stream that was left early is closed, and not used again."""
    answer = PHP.answer([live("a"), live("b"), end("ab")])
    with RawServer(answering(answer.bytes)) as server, Client(server.url) as client:
        for number in range(3):
            with client.stream("Hi") as stream:
                assert next(stream) == "a"
            assert server.accepted == number + 1
        assert client.chat("Hi") == "ab"


# What a connection sends.


@pytest.mark.parametrize("size", [1, 60_000, 64 * 1024, 1_000_000])
def test_questions_of_any_size_arrive_whole(size: int) -> None:
    """A question of any length arrives as it is."""
    with RawServer(answering(PHP.answer().bytes)) as server, Client(server.url) as client:
        assert client.chat("x" * size) == "Hello"
        assert json.loads(server.questions[0].body)["newMessage"] == "x" * size


def test_each_request_has_its_own_headers() -> None:
    """However many headers there are, each request has its own."""
    headers = {f"x-{number}": str(number) for number in range(300)}
    with RawServer(answering(PHP.answer().bytes)) as server:
        with Client(server.url, headers=headers) as client:
            assert [client.chat("Hi"), client.chat("Hello")] == ["Hello", "Hello"]
        for received in server.questions:
            assert headers.items() <= received.headers.items()
            assert received.headers["content-length"] == str(len(received.body))


def test_many_sites() -> None:
    """More sites than urllib3 remembers can be asked again, and leave no connection open."""

    def serve(peer: Peer) -> None:
        while peer.receive():
            peer.send(json_reply("200 OK", {}))
        peer.wait_until_gone()

    with ExitStack() as stack:
        servers = [stack.enter_context(RawServer(serve)) for _ in range(12)]
        stack.enter_context(Call())
        with connection.new_session() as session:
            assert all(session.get(server.url).ok for server in servers * 2)
        for server in servers:
            assert server.gone.get(timeout=SOON) == 0


# A connection that broke while it was idle.


@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_idle_connection_that_has_ended_is_replaced(how: str) -> None:
    """A question does not go to a connection that the server has closed meanwhile."""
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
