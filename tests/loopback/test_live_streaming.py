"""Deltas are handed on when their bytes arrive, whatever carries them, however they are read."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import List, Sequence

import pytest
from support import (
    FRAMINGS,
    PHP,
    SOON,
    Framing,
    Peer,
    RawServer,
    chunk,
    end,
    head,
    live,
    tls_context,
)

from chatgpt4online import Client
from chatgpt4online._http import body

TEXTS = ["one ", "zwei ", "три ", "四"]


@pytest.fixture(params=["below urllib3", "by urllib3"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read in each of the two ways: below urllib3, and through it where that cannot be."""
    if request.param == "by urllib3":
        monkeypatch.setattr(body, "_http_response", lambda raw: None)
    return str(request.param)


class Gate:
    """A server that writes the next part of an answer only when it is told to."""

    def __init__(self, framing: Framing, events: Sequence[bytes]) -> None:
        self._answer = framing.answer(events)
        self._next = threading.Semaphore(0)

    def open(self) -> None:
        """Let the next part be written."""
        self._next.release()

    def serve(self, peer: Peer) -> None:
        """Serve one question."""
        peer.question()
        peer.send(self._answer.head)
        for part in self._answer.parts:
            assert self._next.acquire(timeout=SOON), "the client wants nothing more"
            peer.send(part)
        peer.send(self._answer.last)


def read(gate: Gate, url: str) -> List[str]:
    """Read a stream, and let a part be written only when all before it have been yielded."""
    got: List[str] = []
    with Client(url, timeout=SOON) as client:
        gate.open()
        stream = client.stream("Hi")
        for delta in stream:
            got.append(delta)
            gate.open()
        assert stream.result() == "".join(got)
    return got


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_delta_does_not_wait_for_the_next(framing: str, way: str) -> None:
    """A delta is yielded before the bytes of the next are written."""
    gate = Gate(FRAMINGS[framing], [live(text) for text in TEXTS] + [end("".join(TEXTS))])
    with RawServer(gate.serve) as server:
        assert read(gate, server.url) == TEXTS


def test_tls_holds_no_delta_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delta is yielded before the bytes of the next are written, over TLS too."""
    gate = Gate(PHP, [live(text) for text in TEXTS] + [end("".join(TEXTS))])
    with RawServer(gate.serve, tls_context(tmp_path, monkeypatch)) as server:
        assert read(gate, server.url) == TEXTS


def test_a_delta_comes_with_its_last_byte() -> None:
    """A delta is yielded when its last byte has come, though each byte has come by itself."""
    yielded = threading.Event()

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(head("200 OK", "Transfer-Encoding: chunked"))
        for byte in chunk(live("a")) + chunk(live("b")):
            peer.send(bytes([byte]))
        peer.wait(yielded)
        peer.send(chunk(end("ab")) + chunk(b""))

    with RawServer(serve) as server, Client(server.url, timeout=SOON) as client:
        stream = client.stream("Hi")
        assert [next(stream), next(stream)] == ["a", "b"]
        yielded.set()
        assert stream.result() == "ab"


def test_events_of_one_chunk_are_yielded_one_by_one(way: str) -> None:
    """Several events of one chunk are all yielded before more bytes are written."""
    gate = Gate(FRAMINGS["an event a chunk"], [live("a") + live("b") + live("c"), end("abc")])
    with RawServer(gate.serve) as server, Client(server.url, timeout=SOON) as client:
        gate.open()
        stream = client.stream("Hi")
        assert [next(stream) for _ in "abc"] == ["a", "b", "c"]
        gate.open()
        assert stream.result() == "abc"


def test_an_event_may_be_cut_anywhere(way: str) -> None:
    """An event that is cut within a character or its blank line is yielded when it is whole."""
    event = b'data: {"type":"live","data":"%b"}\n\n' % "é".encode()
    at = event.index("é".encode()) + 1
    parts = [event[:at], event[at:-1], event[-1:], end("é")]
    gate = Gate(FRAMINGS["an event a chunk"], parts)
    with RawServer(gate.serve) as server, Client(server.url, timeout=SOON) as client:
        for _ in parts[:-1]:
            gate.open()
        stream = client.stream("Hi")
        assert next(stream) == "é"
        gate.open()
        assert stream.result() == "é"
