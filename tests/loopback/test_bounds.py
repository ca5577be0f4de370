"""What a server may cost: memory and time are bounded, whatever it sends."""

from __future__ import annotations

import tracemalloc
import zlib
from time import thread_time
from typing import Callable, Dict

import pytest
from support import (
    HELLO,
    PHP,
    SOON,
    Framing,
    Peer,
    RawServer,
    Serve,
    answering,
    at_once,
    chunk,
    end,
    head,
    holding,
    live,
)

from chatgpt4online import Client, ProtocolError, ServerError, TransportError
from chatgpt4online._protocol import fields

CHUNKED = head("200 OK", "Transfer-Encoding: chunked")
UNTIL_CLOSE = head("200 OK", "Connection: close")
GZIP = head("200 OK", "Connection: close", "Content-Encoding: gzip")
LIMIT = 1_000_000
BLOCK = b"x" * 65536


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limit, for memory is measured slowly."""
    monkeypatch.setattr(fields, "LIMIT", LIMIT)


def endless(begin: bytes, piece: bytes = BLOCK) -> Serve:
    """Serve a question with some bytes, then with a piece over and over."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(begin)
            peer.drip(piece, 0)

    return serve


def peak_of(function: Callable[[], object]) -> int:
    """Return how many bytes were held at most while a function ran."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def gzip(data: bytes) -> bytes:
    """Return data, compressed."""
    squeeze = zlib.compressobj(9, wbits=31)
    return squeeze.compress(data) + squeeze.flush()


def bomb(begin: bytes) -> Serve:
    """Serve a question with gzip of 100 MB that begins like an answer."""

    def serve(peer: Peer) -> None:
        squeeze = zlib.compressobj(1, wbits=31)
        blocks = [begin, *[b" " * 1_000_000] * 100]
        holding(GZIP, *map(squeeze.compress, blocks))(peer)

    return serve


ENDLESS: Dict[str, Serve] = {
    "an event": endless(UNTIL_CLOSE + b'data: {"type":"live","data":"'),
    "an event in chunks": endless(CHUNKED, chunk(b"data: " + b"x" * 100) * 500),
    "an event in lines": endless(CHUNKED, chunk(b"data: \n" * 10_000)),
    "a comment": endless(UNTIL_CLOSE + b": "),
    "a field's name": endless(UNTIL_CLOSE + live("a")),
    "JSON": endless(UNTIL_CLOSE + b'{"success": true, "reply": "'),
    "white space in JSON": endless(UNTIL_CLOSE + b"{", b" " * 65536),
    "white space": endless(UNTIL_CLOSE, b" \r\n\t" * 16384),
    "warnings": endless(UNTIL_CLOSE + b"<br />", b"<b>Warning</b>: oops\n" * 1000),
    "a page": endless(UNTIL_CLOSE + b"<html>", b"<p>Hello" * 1000),
    "a chunk's size": endless(CHUNKED, b"0" * 65536),
    "a chunk's extension": endless(CHUNKED + b"1;"),
    "text": endless(CHUNKED, chunk(live("x" * 1000) * 60)),
    "gzip of an event": bomb(b"data: {"),
    "gzip of JSON": bomb(b"{"),
    "gzip of white space": bomb(b" "),
}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.usefixtures("small_limit")
def test_what_has_no_end_is_refused(name: str) -> None:
    """What grows beyond the limit is refused, its connection closed, and no more of it held."""

    def ask() -> None:
        with pytest.raises(ProtocolError):
            client.chat("Hi", deadline=SOON)

    with RawServer(ENDLESS[name]) as server, Client(server.url) as client:
        assert client.nonce
        assert peak_of(ask) < 3 * LIMIT
        server.gone.get(timeout=SOON)


@pytest.mark.parametrize("name", ["an event", "JSON", "gzip of an event", "gzip of JSON"])
def test_the_limit_is_32_mebibytes(name: str) -> None:
    """An event or JSON body is refused when it exceeds 32 MiB, and not before."""
    with RawServer(ENDLESS[name]) as server, Client(server.url) as client:
        with pytest.raises(ProtocolError, match=str(32 * 1024 * 1024)):
            client.chat("Hi")
        server.gone.get(timeout=SOON)


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "gzip, identity", "nonsense"])
def test_other_codings_are_refused_unread(coding: str) -> None:
    """A content coding beyond one layer of gzip or deflate is refused before it is undone."""
    serve = holding(head("200 OK", f"Content-Encoding: {coding}"), gzip(gzip(end("Hello"))))
    with RawServer(serve) as server, Client(server.url) as client:
        with pytest.raises(ProtocolError, match="coding"):
            client.chat("Hi")
        server.gone.get(timeout=SOON)


def test_compression_that_is_none_is_an_error() -> None:
    """Bytes that are no compressed ones, though they are said to be, are a `ProtocolError`."""
    body = b"".join([live("Hello"), end("Hello")])
    answer = head("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(body)}") + body
    broken = pytest.raises(ProtocolError, match="compression")
    with RawServer(answering(answer)) as server, Client(server.url) as client, broken:
        client.chat("Hi")


@pytest.mark.parametrize("name", ["lines", "a line", "interim responses"])
def test_headers_without_end_are_refused(name: str) -> None:
    """Headers that go on and on are an error, and their connection is closed."""
    begin, piece = {
        "lines": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1000),
        "a line": (b"HTTP/1.1 200 OK\r\nX-A: ", BLOCK),
        "interim responses": (b"", head("100 Continue", *["X-A: b"] * 200)),
    }[name]
    with RawServer(endless(begin, piece)) as server, Client(server.url) as client:
        with pytest.raises(TransportError):
            client.chat("Hi", deadline=SOON)
        server.gone.get(timeout=SOON)


def test_a_refusal_is_read_in_part() -> None:
    """Of a refusal that goes on and on, no more is read than its beginning."""
    serve = endless(head("500 Oops", "Connection: close") + b"<title>Out of order</title>")
    with RawServer(serve) as server, Client(server.url) as client:
        with pytest.raises(ServerError, match="Out of order"):
            client.chat("Hi", deadline=SOON)
        server.gone.get(timeout=SOON)


def test_noise_after_the_answer_is_not_read() -> None:
    """Of noise that goes on and on after the answer, nearly nothing is read."""
    begin = CHUNKED + b"".join(map(chunk, HELLO))
    with RawServer(endless(begin, chunk(BLOCK))) as server, Client(server.url) as client:
        for _ in range(3):
            with at_once():
                assert client.chat("Hi") == "Hello"
        assert server.accepted == 3


# Time in proportion.


def seconds_for(answer: bytes) -> float:
    """Return the processor time that this thread takes for an answer, the best of three."""
    times = []
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert client.nonce
        for _ in range(3):
            began = thread_time()
            assert len(client.chat("Hi")) > 1000
            times.append(thread_time() - began)
    return min(times)


def test_a_long_event_costs_time_in_proportion() -> None:
    """An event of ten times the size takes about ten times the time."""
    short, long = (Framing().answer([end("x" * size)]).bytes for size in (700_000, 7_000_000))
    assert seconds_for(long) < 40 * seconds_for(short)


def test_a_long_event_in_small_chunks_costs_time_in_proportion() -> None:
    """The same holds for an event that comes in chunks of a few bytes."""
    short, long = (in_chunks(end("x" * size), 100) for size in (300_000, 3_000_000))
    assert seconds_for(long) < 40 * seconds_for(short)


def in_chunks(data: bytes, size: int) -> bytes:
    """Return a response with chunks of so many bytes."""
    chunks = [chunk(data[i : i + size]) for i in range(0, len(data), size)]
    return b"".join([CHUNKED, *chunks, chunk(b"")])


def test_a_long_answer_in_short_pieces_costs_time_in_proportion() -> None:
    """Ten times as many pieces take about ten times the time."""
    short, long = (
        PHP.answer([live("x")] * count + [end("x" * 2000)]).bytes for count in (2_000, 20_000)
    )
    assert seconds_for(long) < 40 * seconds_for(short)
