"""A delta is yielded as soon as its bytes arrive, under every framing and read path."""

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

from chatgpt4online import Client, StreamInterrupted

TEXTS = ["one ", "zwei ", "три ", "四"]


class GatedSite:
    """A server that sends each part of an answer only after a call of `send_next`."""

    def __init__(self, framing: Framing, events: Sequence[bytes]) -> None:
        self._answer = framing.answer(events)
        self._next = threading.Semaphore(0)

    def send_next(self) -> None:
        """Let the server send the next part."""
        self._next.release()

    def serve(self, peer: Peer) -> None:
        """Serve one question."""
        peer.question()
        peer.send(self._answer.head)
        for part in self._answer.parts:
            assert self._next.acquire(timeout=SOON), "no further part was requested"
            peer.send(part)
        peer.send(self._answer.last)


def read(site: GatedSite, url: str) -> List[str]:
    """Read a stream whose parts are sent only after all deltas before them were yielded."""
    deltas: List[str] = []
    with Client(url, timeout=SOON) as client:
        site.send_next()
        stream = client.stream("Hi")
        for delta in stream:
            deltas.append(delta)
            site.send_next()
        assert stream.result() == "".join(deltas)
    return deltas


@pytest.mark.usefixtures("read_path")
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_delta_does_not_wait_for_the_next(framing: str) -> None:
    """A delta is yielded before the bytes of the next one are sent."""
    site = GatedSite(FRAMINGS[framing], [live(text) for text in TEXTS] + [end("".join(TEXTS))])
    with RawServer(site.serve) as server:
        assert read(site, server.url) == TEXTS


def test_tls_does_not_delay_deltas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS, too, a delta is yielded before the bytes of the next one are sent."""
    site = GatedSite(PHP, [live(text) for text in TEXTS] + [end("".join(TEXTS))])
    with RawServer(site.serve, tls_context(tmp_path, monkeypatch)) as server:
        assert read(site, server.url) == TEXTS


def test_a_delta_is_yielded_with_its_last_byte() -> None:
    """A delta is yielded as soon as its last byte arrives, even if bytes arrive one by one."""
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


@pytest.mark.usefixtures("read_path")
def test_all_events_of_a_chunk_are_yielded() -> None:
    """All events of one chunk are yielded before more bytes are sent."""
    site = GatedSite(FRAMINGS["an event a chunk"], [live("a") + live("b") + live("c"), end("abc")])
    with RawServer(site.serve) as server, Client(server.url, timeout=SOON) as client:
        site.send_next()
        stream = client.stream("Hi")
        assert [next(stream) for _ in "abc"] == ["a", "b", "c"]
        site.send_next()
        assert stream.result() == "abc"


@pytest.mark.usefixtures("read_path")
def test_an_event_may_be_split_anywhere() -> None:
    """An event split within a character or its blank line is yielded once it is complete."""
    event = b'data: {"type":"live","data":"%b"}\n\n' % "é".encode()
    at = event.index("é".encode()) + 1
    parts = [event[:at], event[at:-1], event[-1:], end("é")]
    site = GatedSite(FRAMINGS["an event a chunk"], parts)
    with RawServer(site.serve) as server, Client(server.url, timeout=SOON) as client:
        for _ in parts[:-1]:
            site.send_next()
        stream = client.stream("Hi")
        assert next(stream) == "é"
        site.send_next()
        assert stream.result() == "é"


@pytest.mark.usefixtures("read_path")
def test_a_fatal_error_may_be_split_anywhere() -> None:
    """An error quotes all that PHP printed at the end, even if it came in two pieces."""
    parts = [live("Hi") + b"\nFatal error: Allowed memory ", b"exhausted\n"]
    site = GatedSite(FRAMINGS["an event a chunk"], parts)
    with RawServer(site.serve) as server, Client(server.url, timeout=SOON) as client:
        site.send_next()
        stream = client.stream("Hi")
        assert next(stream) == "Hi"
        site.send_next()
        with pytest.raises(StreamInterrupted, match=r"Fatal error: Allowed memory exhausted\."):
            stream.result()
