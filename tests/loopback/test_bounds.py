"""Whatever a server sends, it can only cost so much memory and time."""

from __future__ import annotations

import json
import sys
import tracemalloc
import zlib
from time import thread_time
from typing import Callable, Dict, List

import pytest
import requests
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
    reply,
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
    monkeypatch.setattr(fields, "MAX_BYTES", LIMIT)


@pytest.mark.parametrize("own", [True, False], ids=["own session", "user session"])
@pytest.mark.parametrize(
    ("fields", "size"),
    [(["a: b"] * 150, "100 headers"), (["a: " + "x" * 70_000], "65536")],
    ids=["many", "long"],
)
def test_large_headers(*, own: bool, fields: List[str], size: str) -> None:
    """Headers beyond the limits of http.client are named with the limit, and not sent again."""
    serve = answering(PHP.answer(HELLO, *fields).bytes)
    with RawServer(serve) as server, requests.Session() as session:
        client = Client(server.url, session=None if own else session)
        with client, pytest.raises(TransportError, match="headers are too large") as caught:
            client.chat("Hi")
        assert size in str(caught.value)
        assert len(server.questions) == 1


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
    compressor = zlib.compressobj(1, wbits=31)
    return compressor.compress(data) + compressor.flush()


def bomb(begin: bytes) -> Serve:
    """Answer a question with 20 MB, compressed, that begin like an answer."""

    def serve(peer: Peer) -> None:
        compressor = zlib.compressobj(1, wbits=31)
        blocks = [begin, *[b" " * 1_000_000] * 20]
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
        with pytest.raises(ProtocolError, match=f"larger than {8 * 1024 * 1024} bytes"):
            client.chat("Hi")
        server.gone.get(timeout=SOON)


@pytest.mark.parametrize("form", ["an event", "JSON"])
def test_the_limit_is_500_000_values(form: str) -> None:
    """JSON with more than 500,000 values is rejected before it is parsed."""
    body = FORMS[form]('"reply":"Hi","other":[' + "[]," * 500_000 + "[]]")

    def ask() -> None:
        with pytest.raises(ProtocolError, match="more than 500000 values"):
            client.chat("Hi")

    with RawServer(answering(reply("200 OK", body))) as server, Client(server.url) as client:
        assert client.nonce
        assert peak_of(ask) < 9 * len(body) + BUFFERS


def test_the_limit_of_wide_characters_is_8_mebibytes() -> None:
    """A text that takes more than 8 MiB in memory is rejected, even if its UTF-8 is shorter."""
    for count, is_too_large in ((2_000_000, False), (2_100_000, True)):
        body = as_json('"reply":"' + "x" * count + '\U0001f600"')
        with RawServer(answering(reply("200 OK", body))) as server, Client(server.url) as client:
            if is_too_large:
                with pytest.raises(ProtocolError, match="more than 8388608 bytes in memory"):
                    client.chat("Hi")
            else:
                assert len(client.chat("Hi")) == count + 1


def as_json(members: str) -> bytes:
    """Return a JSON body with these members."""
    return f'{{"success":true,{members}}}'.encode()


def as_event(members: str) -> bytes:
    """Return a stream whose end event contains JSON with these members, encoded twice."""
    data = json.dumps(as_json(members).decode(), ensure_ascii=False)
    return f'data: {{"type":"end","data":{data}}}\n\n'.encode()


def after_noise(members: str) -> bytes:
    """Return such a stream after other output."""
    return b"Warning: oops\n" + as_event(members)


FORMS: Dict[str, Callable[[str], bytes]] = {
    "JSON": as_json,
    "an event": as_event,
    "an event after noise": after_noise,
}
SIZE = 150_000
TEXTS = {
    "ASCII": "x" * SIZE,
    "Latin-1": "\u00e9" * (SIZE // 2),
    "Chinese": "\u4f60" * (SIZE // 3),
    "one character of two bytes": "x" * (SIZE // 2) + "\u2019",
    "one character of four bytes": "x" * (SIZE // 4) + "\U0001f600",
    "one escaped character of four bytes": "x" * SIZE + r"\ud83d\ude00",
    "one escape and four bytes": r"\n" + "x" * (SIZE // 4) + "\U0001f600",
    "escapes": r"\u4f60" * (SIZE // 6),
    "line ends": r"ab\n" * (SIZE // 4),
    "lone surrogates": r"\ud83dx" * (SIZE // 7),
    "lone surrogates in Chinese": "\\ud83d\u4f60" * (SIZE // 9),
    "a lone surrogate and four bytes": "x" * SIZE + r"\ud83d\ude00\ud83d",
}
MANY = 7_500
KEYS = [f"{number:x}" for number in range(0x10000, 0x10000 + MANY)]
VALUES = {
    "lists": '"a":[' + "[]," * (MANY // 2) + "0]",
    "objects": '"a":[' + "{}," * (MANY // 2) + "0]",
    "objects of one member": '"a":[' + '{"a":0},' * (MANY // 2) + "0]",
    "objects in objects": '"a":[' + '{"a":{"a":0}},' * (MANY // 3) + "0]",
    "objects and a lone surrogate": '"a":[' + '{"a":0},' * (MANY // 2) + r'"\ud83d"]',
    "deep lists": '"a":[' + ("[" * 500 + "]" * 500 + ",") * (MANY // 501) + "0]",
    "keys": '"a":{' + "".join(f'"{key}":0,' for key in KEYS) + '"a":0}',
    "keys of the answer": "".join(f'"{key}":"{key}",' for key in KEYS) + '"a":0',
    "keys with lone surrogates": '"a":{' + "".join(rf'"\ud83d{k}":0,' for k in KEYS) + '"a":0}',
    "numbers": '"a":[' + "1.5," * MANY + "0]",
    "strings": '"a":[' + '"ab",' * MANY + "0]",
    "images": '"images":[' + '"",' * MANY + '""]',
    "actions": '"actions":[' + "{}," * (MANY // 2) + "{}]",
    "shortcuts": '"shortcuts":[' + "{}," * (MANY // 2) + "{}]",
}
MEMBERS = {
    **{name: f'"reply":"{text}"' for name, text in TEXTS.items()},
    **{name: f'"reply":"Hi",{members}' for name, members in VALUES.items()},
}
#: The memory of sockets, HTTP and the rest of a call, whatever the answer.
BUFFERS = 120_000


@pytest.mark.parametrize("name", MEMBERS)
def test_memory_in_proportion(name: str) -> None:
    """
    An answer takes at most 12 times its size and 150 bytes per value, its reply included.

    Its size is that of its UTF-8, or that of its text in memory if that is larger.
    """

    def ask() -> None:
        assert client.chat("Hi").raw["success"]

    bodies = [form(MEMBERS[name]) for form in FORMS.values()]
    serve = answering(*(reply("200 OK", body) for body in bodies))
    with RawServer(serve) as server, Client(server.url) as client:
        assert client.nonce
        for form, body in zip(FORMS, bodies):
            size, values = size_of(body.decode()), values_of(body.decode())
            assert peak_of(ask) < 12 * size + 150 * values + BUFFERS, form


def size_of(text: str) -> int:
    """Return the size of a text in bytes: as UTF-8 or in memory, whichever is larger."""
    widest = max(text)
    width = 4 if widest > "\uffff" else 2 if widest > "\u00ff" else 1
    return max(len(text.encode()), len(text) * width)


def values_of(text: str) -> int:
    """Return the most values that JSON may have; for Python 3.8, escapes count as values."""
    marks = ",[{\\" if sys.version_info < (3, 9) else ",[{"
    return sum(map(text.count, marks))


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "gzip, br"])
def test_other_codings_are_rejected_unread(coding: str) -> None:
    """A content coding other than one layer of gzip or deflate is rejected before decoding."""
    serve = holding(head("200 OK", f"Content-Encoding: {coding}"), gzip(gzip(end("Hello"))))
    with RawServer(serve) as server, Client(server.url) as client:
        with pytest.raises(ProtocolError, match="coding"):
            client.chat("Hi")
        server.gone.get(timeout=SOON)


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
    """An event in small chunks takes ten times as long if it has ten times the size."""
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


def test_json_in_short_lines_costs_time_in_proportion() -> None:
    """JSON in ten times as many lines, each in a chunk of its own, takes ten times as long."""
    short, long = (in_lines(count) for count in (3_000, 30_000))
    assert seconds_for(long) < 40 * seconds_for(short)


def in_lines(count: int) -> bytes:
    """Return a response of JSON with so many blank lines, each in a chunk of its own."""
    begin = b'{"success":true,"reply":"%b"' % (b"x" * 2000)
    line = chunk(b" " * 50 + b"\n")
    return b"".join([CHUNKED, chunk(begin), line * count, chunk(b"}"), chunk(b"")])
