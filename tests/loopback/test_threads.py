"""Threads that share a client do not interfere with each other."""

from __future__ import annotations

import threading
from typing import Callable, List

import pytest
from support import (
    FRAMINGS,
    SOON,
    Peer,
    RawServer,
    background,
    end,
    live,
    together,
    wait_for,
)

from chatgpt4online import Client
from chatgpt4online.testing import Server

THREADS = 32
CHATS = 5


def asking(ask: Callable[[str], str], thread: int, count: int) -> Callable[[], None]:
    """Return a function that asks `count` questions and checks each answer."""

    def run() -> None:
        for number in range(count):
            message = f"question {number} of thread {thread}"
            assert ask(message) == f"Echo(1 msgs): {message}"

    return run


def test_each_answer_belongs_to_its_question(server: Server, client: Client) -> None:
    """Each question of many threads gets its own answer, and the threads share connections."""

    def ask(message: str) -> str:
        return client.chat(message)

    futures = together([asking(ask, thread, CHATS) for thread in range(THREADS)])
    assert [future.result() for future in futures] == [None] * THREADS
    assert len(server.questions) == THREADS * CHATS
    assert len(server.requests) == THREADS * CHATS + 1
    assert server.connections < 2 * THREADS  # one each, and more while responses have not ended


def test_each_stream_belongs_to_its_question() -> None:
    """Each stream gets its own answer, even if some are left early and the nonce expires."""
    with Server(framing="tiny") as server, Client(server.url) as client:

        def ask(message: str) -> str:
            with client.stream(message) as unfinished:
                assert next(unfinished) == "Echo(1"
            return "".join(client.stream(message))

        futures = [background(asking(ask, thread, CHATS)) for thread in range(8)]
        wait_for(lambda: len(server.questions) > THREADS)
        server.expire_nonce()
        assert [future.result(3 * SOON) for future in futures] == [None] * 8


@pytest.mark.parametrize("framing", ["two chunks an event", "length", "gzip", "close"])
def test_streams_are_independent(framing: str) -> None:
    """Streams that one thread reads in turns do not wait for each other."""
    turns: List[threading.Semaphore] = [threading.Semaphore(0) for _ in range(5)]

    def serve(peer: Peer) -> None:
        question = peer.question()
        while question:
            number = int(question.body.split(b"stream ")[1][:1])
            answer = FRAMINGS[framing].answer([live(f"{number}"), live("!"), end(f"{number}!")])
            peer.send(answer.head)
            for part in answer.parts:
                assert turns[number].acquire(timeout=SOON)
                peer.send(part)
            peer.send(answer.last)
            if framing == "close":
                return
            question = peer.question()

    with RawServer(serve) as server, Client(server.url) as client:
        turns[0].release()
        streams = []
        for number, turn in enumerate(turns):
            turn.release()
            streams.append(client.stream(f"stream {number}"))
        for number in reversed(range(len(turns))):
            assert next(streams[number]) == f"{number}"
        for turn in turns:
            turn.release()
            turn.release()
        assert [stream.result() for stream in streams] == [f"{i}!" for i in range(len(turns))]


def test_a_silent_answer_delays_no_other() -> None:
    """A call that waits for its answer does not delay the calls of other threads."""
    proceed = threading.Event()

    def serve(peer: Peer) -> None:
        question = peer.question()
        while question:
            if b"slow" in question.body:
                peer.wait(proceed)
            peer.send(FRAMINGS["an event a chunk"].answer().bytes)
            question = peer.question()

    with RawServer(serve) as server, Client(server.url) as client:
        slow = [background(lambda: client.chat("slow")) for _ in range(10)]
        wait_for(lambda: sum(b"slow" in each.body for each in server.questions) == 10)
        assert [client.chat("quick") for _ in range(20)] == ["Hello"] * 20
        assert not any(future.done() for future in slow)
        proceed.set()
        assert [future.result(SOON) for future in slow] == ["Hello"] * 10
