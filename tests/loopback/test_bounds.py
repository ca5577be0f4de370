"""Whatever a server sends, it can only cost so much memory and time."""

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
    """Lower the limit, since measuring memory is slow."""
    monkeypatch.setattr(fields, "LIMIT", LIMIT)


def endless(begin: bytes, piece: bytes = BLOCK) -> Serve:
    """Answer a question with some bytes, then with the same piece again and again."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(begin)
            peer.drip(piece, 0)

    return serve


def peak_of(function: Callable[[], object]) -> int:
    """Return the peak of memory, in bytes, while a function runs."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def gzip(data: bytes) -> bytes:
    """Compress data."""
    compressor = zlib.compressobj(9, wbits=31)
    return compressor.compress(data) + compressor.flush()


def bomb(begin: bytes) -> Serve:
    """Answer a question with 100 MB, compressed, that begin like an answer."""

    def serve(peer: Peer) -> None:
        compressor = zlib.compressobj(1, wbits=31)
        blocks = [begin, *[b" " * 1_000_000] * 100]
        holding(GZIP, *map(compressor.compress, blocks))(peer)

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
def test_endless_input_is_rejected(name: str) -> None:
    """Endless input raises `ProtocolError` at the limit, and its connection is closed."""

    def ask() -> None:
        with pytest.raises(ProtocolError):
            client.chat("Hi", deadline=SOON)

    with RawServer(ENDLESS[name]) as server, Client(server.url) as client:
        assert client.nonce
        assert peak_of(ask) < 3 * LIMIT
        server.gone.get(timeout=SOON)


@pytest.mark.parametrize("name", ["an event", "JSON", "gzip of an event", "gzip of JSON"])
def test_the_limit_is_8_mebibytes(name: str) -> None:
    """An event or JSON body is rejected when it exceeds 8 MiB, and not before."""
    with RawServer(ENDLESS[name]) as server, Client(server.url) as client:
        with pytest.raises(ProtocolError, match=str(8 * 1024 * 1024)):
            client.chat("Hi")
        server.gone.get(timeout=SOON)


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "gzip, br", "identity, deflate, gzip"])
def test_other_codings_are_rejected_unread(coding: str) -> None:
    """A content coding other than one layer of gzip or deflate is rejected before decoding."""
    serve = holding(head("200 OK", f"Content-Encoding: {coding}"), gzip(gzip(end("Hello"))))
    with RawServer(serve) as server, Client(server.url) as client:
        with pytest.raises(ProtocolError, match="coding"):
            client.chat("Hi")
        server.gone.get(timeout=SOON)


def test_broken_compression_is_an_error() -> None:
    """Uncompressed bytes that are labelled as gzip raise `ProtocolError`."""
    body = b"".join([live("Hello"), end("Hello")])
    answer = head("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(body)}") + body
    broken = pytest.raises(ProtocolError, match="compression")
    with RawServer(answering(answer)) as server, Client(server.url) as client, broken:
        client.chat("Hi")


@pytest.mark.parametrize("name", ["lines", "a line", "interim responses"])
def test_endless_headers_are_rejected(name: str) -> None:
    """Endless headers raise `TransportError`, and their connection is closed."""
    begin, piece = {
        "lines": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1000),
        "a line": (b"HTTP/1.1 200 OK\r\nX-A: ", BLOCK),
        "interim responses": (b"", head("100 Continue", *["X-A: b"] * 200)),
    }[name]
    with RawServer(endless(begin, piece)) as server, Client(server.url) as client:
        with pytest.raises(TransportError):
            client.chat("Hi", deadline=SOON)
        server.gone.get(timeout=SOON)


def test_only_the_beginning_of_a_refusal_is_read() -> None:
    """The body of an endless refusal is read only as far as an error message needs."""
    serve = endless(head("500 Oops", "Connection: close") + b"<title>Out of order</title>")
    with RawServer(serve) as server, Client(server.url) as client:
        with pytest.raises(ServerError, match="Out of order"):
            client.chat("Hi", deadline=SOON)
        server.gone.get(timeout=SOON)


def test_noise_after_the_answer_is_not_read() -> None:
    """Endless noise after an answer does not delay it; its connection is not used again."""
    begin = CHUNKED + b"".join(map(chunk, HELLO))
    with RawServer(endless(begin, chunk(BLOCK))) as server, Client(server.url) as client:
        for _ in range(3):
            with at_once():
                assert client.chat("Hi") == "Hello"
        assert server.accepted == 3


# Time grows linearly.


def seconds_for(answer: bytes) -> float:
    """Return the CPU time of this thread for an answer, the best of three."""
    times = []
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert client.nonce
        for _ in range(3):
            began = thread_time()
            assert len(client.chat("Hi")) > 1000
            times.append(thread_time() - began)
    return min(times)


def test_a_long_event_takes_linear_time() -> None:
    """An event of ten times the size takes about ten times as long."""
    short, long = (Framing().answer([end("x" * size)]).bytes for size in (700_000, 7_000_000))
    assert seconds_for(long) < 40 * seconds_for(short)


def test_a_long_event_in_small_chunks_takes_linear_time() -> None:
    """The same holds for an event in small chunks."""
    short, long = (in_chunks(end("x" * size), 100) for size in (300_000, 3_000_000))
    assert seconds_for(long) < 40 * seconds_for(short)


def in_chunks(data: bytes, size: int) -> bytes:
    """Return a response in chunks of this many bytes."""
    chunks = [chunk(data[i : i + size]) for i in range(0, len(data), size)]
    return b"".join([CHUNKED, *chunks, chunk(b"")])


def test_a_long_answer_in_many_deltas_takes_linear_time() -> None:
    """Ten times as many deltas take about ten times as long."""
    short, long = (
        PHP.answer([live("x")] * count + [end("x" * 2000)]).bytes for count in (2_000, 20_000)
    )
    assert seconds_for(long) < 40 * seconds_for(short)
