"""The testing site's records of requests, and its scripted responses."""

from __future__ import annotations

import json
import socket
import time
from contextlib import closing
from typing import Iterator

import pytest
import requests
from raw_client import (
    CHAT,
    HEL,
    LO,
    START,
    TIMEOUT,
    ask,
    body_of,
    chunks,
    data,
    dial,
    http_request,
    question,
    read_until,
    response_bytes,
    wait_until,
)

from chatgpt4online.testing import Headers, Request, Server


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Make an HTTP client that keeps cookies and connections."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


# Recorded requests.


def test_requests_are_recorded(server: Server, session: requests.Session) -> None:
    """Requests are recorded in order: method, path, case-insensitive headers, body, JSON."""
    session.get(server.url + "/?a=b", timeout=TIMEOUT)
    ask(session, server, "Hi")

    first, second = server.requests
    assert (first.method, first.path, first.body, first.json) == ("GET", "/?a=b", b"", None)
    assert second.headers["x-wp-nonce"] == second.headers["X-WP-NONCE"] == server.nonce
    assert second.json == question("Hi")
    assert server.questions == [second]


def test_headers_are_a_mapping() -> None:
    """Names keep their case and match in any; values of repeated fields are joined."""
    headers = Headers([("Accept", "a"), ("X", "1"), ("accept", "b")])

    assert dict(headers) == {"accept": "a, b", "X": "1"}
    assert len(headers) == 2
    assert "ACCEPT" in headers
    assert headers.get("Cookie") is None
    assert repr(headers) == "Headers({'accept': 'a, b', 'X': '1'})"
    assert Request("GET", "/", headers, b"{").json is None


# Scripted responses.


def test_scripts_are_used_once_each_in_order(server: Server, session: requests.Session) -> None:
    """Each script is used once, in order; then the model echoes."""
    server.says("one")
    server.fails("two")
    server.answers(503)

    answers = [ask(session, server, "Hello there") for _ in range(4)]

    assert data(answers[0])[-1]["reply"] == "one"
    assert data(answers[1]) == ["two"]
    assert answers[2].status_code == 503
    assert data(answers[3])[:-1] == ["Echo(1", " msgs):", " Hello", " there"]
    assert data(answers[3])[-1]["reply"] == "Echo(1 msgs): Hello there"


def test_routes_have_scripts_of_their_own(server: Server, session: requests.Session) -> None:
    """A script waits for its route, which is a short name, a full route, or a page's path."""
    server.answers(502, route="start_session")
    server.answers(418, route="/wp/v2/users/me")
    server.answers(410, route="/gone/")

    assert ask(session, server).status_code == 200
    assert session.post(server.url + START, timeout=TIMEOUT).status_code == 502
    assert session.post(server.url + START, timeout=TIMEOUT).status_code == 200
    me = "/wp-json/wp/v2/users/me"
    assert session.get(server.url + me, timeout=TIMEOUT).status_code == 418
    assert session.get(server.url + "/gone/", timeout=TIMEOUT).status_code == 410


def test_a_script_needs_a_known_route(server: Server) -> None:
    """A script for a route that the site does not have raises ValueError."""
    with pytest.raises(ValueError, match=r"unknown route 'chat'; known are chats/submit, "):
        server.fails("no", route="chat")


def test_a_refused_request_uses_no_script(server: Server, session: requests.Session) -> None:
    """A refused request keeps the script for the next one; ``answers`` comes before refusals."""
    server.says("Hello")
    refused = session.post(server.url + CHAT, json=question(), timeout=TIMEOUT)
    rejected = ask(session, server, " ")

    assert (refused.status_code, rejected.status_code) == (401, 403)
    assert data(ask(session, server))[-1]["reply"] == "Hello"

    server.answers(429)
    assert session.post(server.url + CHAT, json=question(), timeout=TIMEOUT).status_code == 429


def test_says_sets_every_field_of_an_answer(server: Server, session: requests.Session) -> None:
    """Parts are streamed as given; the ``end`` event has all fields of the answer."""
    action = {"type": "function", "data": {"name": "f", "args": []}}
    block = {"type": "content", "data": {"html": "<p>"}}
    server.says(
        "Hel",
        b": keepalive\n\n",
        "lo ",
        events=[{"subtype": "status", "data": "Thinking..."}, {"data": "plain"}],
        final="Hello!",
        usage=None,
        images=["http://x/y.png"],
        actions=[action],
        blocks=[block],
        response_id=None,
    )
    answer = ask(session, server)

    status, *events, end = (line for line in answer.text.split("\n\n") if line)
    assert json.loads(status[6:]).keys() == {"type", "data", "timestamp", "subtype", "visibility"}
    assert events == [
        'data: {"type":"live","data":"plain"}',
        'data: {"type":"live","data":"Hel"}',
        ": keepalive",
        'data: {"type":"live","data":"lo "}',
    ]
    assert json.loads(json.loads(end[6:])["data"]) == {
        "success": True,
        "reply": "Hello!",
        "images": ["http://x/y.png"],
        "actions": [action],
        "shortcuts": [],
        "blocks": [block],
        "usage": None,
    }


def test_says_trims_the_reply_and_counts_tokens(server: Server, session: requests.Session) -> None:
    """By default the reply is the trimmed text, and the usage counts the texts."""
    server.says(" Hel", "lo\n", b": x\n\n")

    end = ask(session, server, stream=False).json()

    assert end["reply"] == "Hello"
    assert end["usage"]["completion_tokens"] == 2


def test_fails(server: Server, session: requests.Session) -> None:
    """A failure is an ``error`` event after the text, or a 500 with the message."""
    server.fails("Oops", after=["Hel", {"type": "error", "data": ""}])
    server.fails("Oops")
    server.fails("Full", route="start_session")

    streamed, plain = ask(session, server), ask(session, server, stream=False)
    started = session.post(server.url + START, timeout=TIMEOUT)

    assert data(streamed) == ["Hel", "", "Oops"]
    assert (plain.status_code, plain.json()) == (500, {"success": False, "message": "Oops"})
    assert (started.status_code, started.json()["message"]) == (500, "Full")


def test_cuts_cleanly(server: Server) -> None:
    """The HTTP response is complete, but has no ``end`` event."""
    server.cuts("Hel", "lo")

    _, body = body_of(server)

    assert b"".join(chunks(body)) == HEL + LO
    assert body.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("framing", ["php", "close", "length"])
def test_cuts_in_the_middle_of_an_event(framing: str) -> None:
    """The connection closes within the ``end`` event, and within its chunk or length."""
    with Server(framing=framing) as server:
        server.cuts("Hel", how="torn")
        head, body = body_of(server)

    assert b'{"type":"end"' in body
    assert not body.endswith(b"\n")
    assert b"connection: close" in head
    if framing == "length":
        assert int(head.partition(b"content-length: ")[2].split()[0]) > len(body)


@pytest.mark.parametrize("framing", ["php", "length"])
def test_cuts_with_a_reset(framing: str) -> None:
    """The connection is reset after the parts."""
    with Server(framing=framing) as server, closing(dial(server)) as sock:
        server.cuts("Hel", how="reset")
        sock.sendall(http_request(server))

        with pytest.raises(ConnectionError):
            list(iter(lambda: sock.recv(65536), b""))


def test_cuts_any_route(server: Server, session: requests.Session) -> None:
    """The response of another route breaks off in its middle; an unknown ``how`` is an error."""
    server.cuts(how="torn", route="start_session")

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.post(server.url + START, timeout=TIMEOUT)
    with pytest.raises(ValueError, match="unknown how"):
        server.cuts(how="softly")


def test_stalls_before_the_headers(server: Server) -> None:
    """Nothing is sent until the stall ends; then the whole response is."""
    server.stalls(headers=False)
    with closing(dial(server)) as sock:
        sock.sendall(http_request(server))
        wait_until(lambda: server.requests)
        sock.settimeout(0.1)
        with pytest.raises(socket.timeout):
            sock.recv(1)

        server.release()

        sock.settimeout(TIMEOUT)
        assert b"Echo(1" in read_until(sock, b'"end"')


@pytest.mark.parametrize("stream", [True, False])
def test_stalls_after_the_headers(server: Server, stream: bool) -> None:
    """The headers are sent, but no JSON and no further event until the stall ends."""
    server.stalls(after=[] if stream else ["Hi"])
    with closing(dial(server)) as sock:
        sock.sendall(http_request(server, CHAT, json.dumps(question(stream=stream)).encode()))
        assert read_until(sock, b"\r\n\r\n").endswith(b"\r\n\r\n")

        server.release()

        assert b"success" in read_until(sock, b"0\r\n\r\n")


def test_stalls_for_some_seconds_on_any_route(server: Server, session: requests.Session) -> None:
    """A stall of some seconds ends by itself."""
    server.stalls(seconds=0.12, route="start_session")
    start = time.monotonic()

    answer = session.post(server.url + START, timeout=TIMEOUT)

    assert time.monotonic() - start >= 0.12
    assert answer.json()["success"]


def test_pace_and_hold(session: requests.Session) -> None:
    """``pace`` is the time between two events, ``hold`` that after the last one."""
    with Server(pace=0.03) as server:
        server.says("a", "b", "c")  # three pauses: the end is an event, too
        assert timed(session, server) >= 0.09

    with Server(pace=60) as server:
        server.says("a", pace=0, hold=0.08)
        assert timed(session, server) >= 0.08


def timed(session: requests.Session, server: Server) -> float:
    """Return how long an answer takes, in seconds."""
    start = time.monotonic()
    ask(session, server)
    return time.monotonic() - start


def test_sends_a_body(server: Server) -> None:
    """A body is sent in the given chunks, or in the server's framing."""
    server.sends(b"abcdef", chunks=[1, 2, 3], content_type="text/x", status=201)
    head, body = body_of(server)

    assert chunks(body) == [b"a", b"bc", b"def", b""]
    assert head.startswith(b"http/1.1 201 created")
    assert b"content-type: text/x" in head

    server.sends(HEL)
    assert chunks(body_of(server)[1]) == [HEL[:-2], b"\n\n", b""]
    with pytest.raises(ValueError, match="chunks of 5 bytes for a body of 6"):
        server.sends(b"abcdef", chunks=[2, 3])


def test_sends_writes_without_chunks() -> None:
    """Under a framing without chunks, the sizes are those of the writes."""
    with Server(framing="close") as server:
        server.sends(b"abcdef", chunks=[1, 5])

        assert body_of(server)[1] == b"abcdef"


def test_answers(server: Server, session: requests.Session) -> None:
    """``answers`` takes a status with a dict, text, bytes or nothing; given headers win."""
    server.answers(503, body={"a/b": 1}, retry_after=7)
    server.answers(403, body="<b>é</b>", headers={"cf-mitigated": "challenge"})
    server.answers(200, body=b"\xff", headers={"Content-Type": "x/y"})
    server.answers(524)

    json_, page, raw, unknown = (ask(session, server) for _ in range(4))

    assert (json_.json(), json_.headers["Retry-After"]) == ({"a/b": 1}, "7")
    assert json_.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert (page.text, page.headers["cf-mitigated"]) == ("<b>é</b>", "challenge")
    assert (raw.content, raw.headers["Content-Type"]) == (b"\xff", "x/y")
    assert (unknown.status_code, "524 Unknown" in unknown.text) == (524, True)


@pytest.mark.parametrize("step", [0, 7])
def test_writes_raw_bytes(server: Server, step: int) -> None:
    """``writes`` sends the given bytes only, then the connection is closed."""
    server.writes(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nbody", step=step, pace=0.001)

    assert response_bytes(server, http_request(server)) == b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nbody"


def test_writes_nothing(server: Server) -> None:
    """Without bytes, the connection is closed without a response."""
    server.writes(b"")

    assert response_bytes(server, http_request(server)) == b""
