"""The framings of the testing site: how a body is divided, delimited and compressed."""

from __future__ import annotations

import zlib
from typing import Iterator, List

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_client import CHAT, HEL, LO, TIMEOUT, ask, body_of, chunks, data, question

from chatgpt4online.testing import Server

FRAMINGS = ["php", "event", "big", "tiny", "close", "length", "gzip", "close+gzip"]


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Make an HTTP client that keeps cookies and connections."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_php_framing_sends_an_event_in_two_chunks(server: Server) -> None:
    """As PHP flushes them, an event is one chunk with its line and one with the blank line."""
    server.says("Hel", "lo")

    head, body = body_of(server)

    sent = chunks(body)
    assert b"transfer-encoding: chunked" in head
    assert sent[:4] == [HEL[:-2], b"\n\n", LO[:-2], b"\n\n"]
    assert [sent[5], sent[6:]] == [b"\n\n", [b""]]


def test_event_framing_sends_one_chunk_per_event() -> None:
    """Each event is one chunk."""
    with Server(framing="event") as server:
        server.says("Hel", "lo")
        _, body = body_of(server)

    assert chunks(body)[:2] == [HEL, LO]
    assert len(chunks(body)) == 4


def test_big_framing_joins_events() -> None:
    """Eight events share a chunk; the remaining ones share the next."""
    with Server(framing="big") as server:
        server.says(*"abcdefgh")
        _, body = body_of(server)

    assert [chunk.count(b"\n\n") for chunk in chunks(body)] == [8, 1, 0]


def test_tiny_framing_sends_one_byte_per_chunk() -> None:
    """Each chunk has one byte."""
    with Server(framing="tiny") as server:
        server.says("Hel")
        _, body = body_of(server)

    sent = chunks(body)
    assert {len(chunk) for chunk in sent[:-1]} == {1}
    assert b"".join(sent).startswith(HEL)


def test_close_framing_ends_the_body_with_the_connection(session: requests.Session) -> None:
    """The body has no length and no chunks, and ends when the server closes the connection."""
    with Server(framing="close") as server:
        server.says("Hel")
        head, body = body_of(server)
        ask(session, server)
        ask(session, server)

        assert server.connections == 3

    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head
    assert body.startswith(HEL)


def test_length_framing_announces_the_size() -> None:
    """The response has the exact Content-Length."""
    with Server(framing="length") as server:
        server.says("Hel")
        head, body = body_of(server)

    assert b"content-length: %d" % len(body) in head
    assert body.startswith(HEL)


@pytest.mark.parametrize("framing", ["gzip", "close+gzip"])
def test_gzip_framing_flushes_each_event(framing: str) -> None:
    """The body is gzip, requested or not, and each event can be decompressed as it arrives."""
    with Server(framing=framing) as server:
        server.says("Hel", "lo")
        head, body = body_of(server, "Accept-Encoding: identity")

    pieces = chunks(body) if framing == "gzip" else [body]
    assert b"content-encoding: gzip" in head
    assert zlib.decompress(b"".join(pieces), wbits=31).startswith(HEL + LO)
    if framing == "gzip":
        assert zlib.decompressobj(wbits=31).decompress(pieces[0]) == HEL


@pytest.mark.parametrize("framing", FRAMINGS)
def test_events_before_a_stall_are_sent(framing: str) -> None:
    """Under every framing, the events before a stall reach the client during the stall."""
    with Server(framing=framing) as server, requests.Session() as session:
        server.stalls(after=["Hel"])
        headers = {"X-WP-Nonce": server.nonce, "Accept-Encoding": "identity"}
        body = question()
        with session.post(
            server.url + CHAT, json=body, headers=headers, stream=True, timeout=TIMEOUT
        ) as response:
            pieces = response.iter_content(1)
            seen = b""
            while len(seen) < len(HEL):
                seen += next(pieces)
            server.release()
            rest = b"".join(pieces)

    assert seen == HEL
    assert b'"type":"end"' in rest


@settings(max_examples=20)
@given(parts=st.lists(st.text()), framing=st.sampled_from(FRAMINGS))
def test_framing_does_not_change_an_answer(parts: List[str], framing: str) -> None:
    """Any text arrives unchanged, under every framing and in any number of parts."""
    with Server(framing=framing) as server, requests.Session() as session:
        server.says(*parts)

        answer = data(ask(session, server))

    assert answer[:-1] == parts
    assert answer[-1]["reply"] == "".join(parts).strip(" \t\n\r\0\x0b")


def test_responses_without_a_body(server: Server, session: requests.Session) -> None:
    """Responses to HEAD, 204 and 304 have no body, and the connection stays open."""
    server.answers(204)
    server.answers(304)
    statuses = [ask(session, server).status_code for _ in range(2)]
    head = session.head(server.url + "/", timeout=TIMEOUT)

    assert statuses == [204, 304]
    assert (head.status_code, head.text) == (200, "")
    assert ask(session, server).status_code == 200
    assert server.connections == 1
