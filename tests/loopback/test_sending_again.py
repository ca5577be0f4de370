"""
What is sent again, and what never is, counted where it arrives.

A question that may have run is sent once: the site may have billed and stored it. The table of this
rule is tested without sockets; here is what needs bytes, time or connections.
"""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from time import monotonic
from typing import Any, Dict, Iterator, List, Optional, Tuple, Type

import pytest
import requests
from support import (
    NONCE,
    PHP,
    SOON,
    Peer,
    RawServer,
    Serve,
    answering,
    background,
    chunk,
    ends_after,
    full_listener,
    head,
    holding,
    json_reply,
    live,
    reply,
    session_reply,
    tls_context,
    wait_for,
)

from chatgpt4online import (
    AuthError,
    ChatGPT4OnlineError,
    Client,
    StreamInterrupted,
    Timeout,
    TransportError,
)
from chatgpt4online._http import retry, transport

RETRIES = 3
CHUNKED = head("200 OK", "Transfer-Encoding: chunked")
BEGUN = CHUNKED + chunk(live("a"))
ANSWER = PHP.answer().bytes


@pytest.fixture(autouse=True)
def _hardly_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait hardly any time between attempts."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(retry, "MAX_BACKOFF", 0.01)


@pytest.fixture(params=["own session", "caller's session"])
def session(request: pytest.FixtureRequest) -> Iterator[Optional[requests.Session]]:
    """Return what a client is given as its session, in both ways."""
    with requests.Session() as given:
        yield given if request.param == "caller's session" else None


# ------------------------------------------------------------------------------- what was refused


@pytest.mark.parametrize("again", [False, True], ids=["once", "each time"])
def test_a_nonce_that_is_refused_under_200(
    again: bool, session: Optional[requests.Session]
) -> None:
    """Where a site hides statuses, a refused nonce is renewed once, as under its own status."""
    refusal = {"code": "rest_cookie_invalid_nonce", "message": "No", "data": {"status": 403}}
    answers = [json_reply("200 OK", refusal)] * (2 if again else 1) + [ANSWER]

    def serve(peer: Peer) -> None:
        while peer.question():
            peer.send(answers.pop(0))

    with RawServer(serve) as server, Client(server.url, session=session) as client:
        if again:
            with pytest.raises(AuthError, match="refused, too"):
                client.chat("Hi")
        else:
            assert client.chat("Hi") == "Hello"
        assert (len(server.questions), len(server.sessions)) == (2, 2)


# ----------------------------------------------------------------------------- what may have run


def cutting(begin: bytes, *, reset: bool = False) -> Serve:
    """Serve each question with these bytes, and close."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(begin)
            if reset:
                peer.reset()

    return serve


#: Ways to lose an answer, and the error of each.
LOST: Dict[str, Tuple[Serve, Type[ChatGPT4OnlineError]]] = {
    "cut before the headers": (cutting(b""), TransportError),
    "cut within the status line": (cutting(b"HTTP/1.1 2"), TransportError),
    "cut within the headers": (cutting(b"HTTP/1.1 200 OK\r\nX-"), StreamInterrupted),
    "cut before the body": (cutting(CHUNKED), StreamInterrupted),
    "cut in the body": (cutting(BEGUN), StreamInterrupted),
    "reset before the headers": (cutting(b"", reset=True), TransportError),
    "reset in the body": (cutting(BEGUN, reset=True), StreamInterrupted),
    "not HTTP": (cutting(b"220 ftp.example.com ready\r\n"), TransportError),
    "silent before the headers": (holding(), Timeout),
    "silent in the body": (holding(BEGUN), Timeout),
}


@pytest.mark.parametrize("name", LOST)
def test_a_question_that_may_have_run_is_sent_once(
    name: str, session: Optional[requests.Session]
) -> None:
    """A question that has reached the site is never sent again, whosever session it uses."""
    serve, error = LOST[name]
    with RawServer(serve) as server:
        silence = 0.3 if name.startswith("silent") else SOON
        client = Client(server.url, retries=RETRIES, timeout=(SOON, silence), session=session)
        with client, pytest.raises(error) as caught:
            client.chat("Hi")
        assert type(caught.value) is error
        assert caught.value.text == ("a" if "in the body" in name else "")
        assert len(server.questions) == 1


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_question_lost_on_a_kept_connection_is_sent_once(how: str) -> None:
    """A kept connection that breaks when it is reused is not a reason to send again."""

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(ANSWER)
        peer.question()
        if how == "reset":
            peer.reset()

    with RawServer(serve) as server, Client(server.url, retries=RETRIES) as client:
        assert client.chat("Hi") == "Hello"
        with pytest.raises(TransportError):
            client.chat("Hi")
        assert len(server.questions) == 2
        assert server.accepted == 1


# ------------------------------------------------------------------------------ asked to wait


def test_it_is_asked_when_it_said() -> None:
    """A question is sent again after the time that the site asks for, on the same connection."""
    times: List[float] = []

    def serve(peer: Peer) -> None:
        while peer.question():
            times.append(monotonic())
            peer.send(ANSWER if len(times) > 1 else reply("429 Wait", b"", "Retry-After: 1"))

    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        assert server.accepted == 1
    assert 1 <= times[1] - times[0] < 2


# ---------------------------------------------------------------------------- not connected


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> List[str]:
    """Record the hosts that are looked up: one per connection."""
    looked_up: List[str] = []
    getaddrinfo = socket.getaddrinfo

    def count(host: Any, *args: Any, **options: Any) -> Any:
        looked_up.append(host)
        return getaddrinfo(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", count)
    return looked_up


def test_a_refused_connection_is_tried_again(
    lookups: List[str], session: Optional[requests.Session]
) -> None:
    """A site that refuses connections is tried `retries` more times."""
    client = Client(f"http://127.0.0.1:{free_port()}", retries=RETRIES, session=session)
    with client, pytest.raises(TransportError, match="refused") as caught:
        client.chat("Hi")
    assert type(caught.value) is TransportError
    assert len(lookups) == RETRIES + 1


@pytest.mark.parametrize(("number", "seconds"), [(0.0, "0.0"), (0.99, "0.1")])
def test_waits_are_random(
    number: float,
    seconds: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Clients that failed together are not back together: half of each wait is random."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(transport._random, "random", lambda: number)
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.08)
    monkeypatch.setattr(retry, "MAX_BACKOFF", 8.0)
    client = Client(f"http://127.0.0.1:{free_port()}", retries=1)
    with client, pytest.raises(TransportError):
        client.chat("Hi")
    assert f"start_session: sent again in {seconds} s" in caplog.text


def test_a_site_that_comes_up_is_reached(lookups: List[str]) -> None:
    """A question is answered if the site comes up in time, and sent once."""
    port = free_port()
    with Client(f"http://127.0.0.1:{port}", retries=1000) as client:
        call = background(lambda: client.chat("Hi"))
        wait_for(lambda: len(lookups) > 2)
        with RawServer(answering(ANSWER), port=port) as server:
            assert call.result(SOON) == "Hello"
            assert len(server.requests) == 2


def test_a_question_is_tried_again_when_its_own_connection_is_refused(
    lookups: List[str],
) -> None:
    """A question whose connection is refused after the nonce has been fetched is tried again."""
    port = free_port()
    with Client(f"http://127.0.0.1:{port}", retries=1000) as client:
        with RawServer(cutting_session, port=port):
            assert client.nonce == NONCE
        call = background(lambda: client.chat("Hi"))
        wait_for(lambda: len(lookups) > 2)
        with RawServer(answering(ANSWER), port=port) as server:
            assert call.result(SOON) == "Hello"
            assert [each.is_session for each in server.requests] == [False]


def cutting_session(peer: Peer) -> None:
    """Give a nonce, and close."""
    peer.receive()
    peer.send(session_reply())


def test_an_unknown_host_is_tried_again(lookups: List[str]) -> None:
    """A host that has no address is tried `retries` more times."""
    with Client("http://bot.invalid", retries=RETRIES) as client:
        with pytest.raises(TransportError, match="not known") as caught:
            client.chat("Hi")
        assert type(caught.value) is TransportError
        assert lookups == ["bot.invalid"] * (RETRIES + 1)


def test_a_connection_that_is_not_accepted_is_tried_again() -> None:
    """A connection that takes longer than its limit is tried `retries` more times."""
    with full_listener() as address, Client(f"http://{address}", timeout=0.1, retries=2) as client:
        with ends_after(0.3), pytest.raises(Timeout) as caught:
            client.chat("Hi")
        assert caught.value.phase == "connect"


def addresses(*hosts: str) -> Any:
    """Return a `getaddrinfo` that gives every host these addresses."""

    def getaddrinfo(_: str, port: int, *__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]

    return getaddrinfo


def test_a_broken_handshake_is_tried_again(session: Optional[requests.Session]) -> None:
    """A TLS handshake that the site breaks off is tried `retries` more times."""

    def serve(peer: Peer) -> None:
        peer.begins_tls()

    with RawServer(serve) as server:
        client = Client(f"https://{server.address}", retries=RETRIES, session=session)
        with client, pytest.raises(TransportError) as caught:
            client.chat("Hi")
        assert type(caught.value) is TransportError
        assert server.accepted == RETRIES + 1


@pytest.mark.parametrize("reason", ["untrusted", "of another name"])
def test_a_bad_certificate_is_not_tried_again(
    reason: str,
    session: Optional[requests.Session],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A site whose certificate does not hold is connected to once, and sent nothing."""
    context = tls_context(tmp_path, monkeypatch)
    if reason == "untrusted":
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with RawServer(answering(ANSWER), context) as server:
        host = "localhost" if reason == "of another name" else "127.0.0.1"
        site = server.url.replace("127.0.0.1", host)
        client = Client(site, retries=RETRIES, session=session)
        with client, pytest.raises(TransportError, match="certificate is not trusted") as caught:
            client.chat("Hi")
        assert type(caught.value) is TransportError
        assert server.requests == []
        assert server.accepted == 1


def test_the_first_address_that_answers_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose first address refuses the connection is reached at the next one, at once."""
    with RawServer(answering(ANSWER)) as server:
        monkeypatch.setattr(socket, "getaddrinfo", addresses("127.0.0.2", "127.0.0.1"))
        port = server.address.split(":")[1]
        with Client(f"http://bot.invalid:{port}", retries=0) as client:
            assert client.chat("Hi") == "Hello"
        assert server.questions[0].headers["host"] == f"bot.invalid:{port}"


def test_all_addresses_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host none of whose addresses answers keeps a call no longer than its deadline."""
    with full_listener() as address:
        host, port = address.split(":")
        monkeypatch.setattr(socket, "getaddrinfo", addresses(host, host, host))
        with Client(f"http://bot.invalid:{port}") as client:
            with ends_after(0.2), pytest.raises(Timeout) as caught:
                client.chat("Hi", timeout=0.12, deadline=0.2)
            assert caught.value.phase == "deadline"


# ----------------------------------------------------------------- not connected: the error


@pytest.mark.parametrize("outer", [OSError("the password is secret"), ValueError(), TimeoutError()])
def test_an_error_names_its_own_reason(outer: Exception) -> None:
    """An error that the caller is handling is not mistaken for the reason."""
    with Client(f"http://127.0.0.1:{free_port()}", retries=0) as client:
        try:
            raise outer
        except type(outer):
            with pytest.raises(TransportError, match="refused") as caught:
                client.chat("Hi")
        assert type(caught.value) is TransportError
        assert "secret" not in str(caught.value)


# ---------------------------------------------------------------------- the request for a nonce


def breaking(begin: bytes, *, reset: bool = False) -> Serve:
    """Lose the answer to the first request, and answer on further connections."""

    def serve(peer: Peer) -> None:
        if peer.number > 0:
            answering(ANSWER)(peer)
        elif peer.receive():
            peer.send(begin)
            if reset:
                peer.reset()

    return serve


@pytest.mark.parametrize(
    "serve",
    [
        breaking(b""),
        breaking(b"", reset=True),
        breaking(b"HTTP/1.1 200 OK\r\nX-"),
        breaking(session_reply()[:-5]),
    ],
)
def test_a_lost_nonce_is_requested_again(serve: Serve) -> None:
    """A request for a nonce whose answer is lost is sent again, and the question sent once."""
    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        assert (len(server.sessions), len(server.questions)) == (2, 1)


@pytest.mark.parametrize("retries", [0, 2])
def test_a_nonce_is_requested_a_limited_number_of_times(retries: int) -> None:
    """`retries` bounds how often a lost request for a nonce is sent again."""

    def serve(peer: Peer) -> None:
        peer.receive()

    with RawServer(serve) as server, Client(server.url, retries=retries) as client:
        with pytest.raises(TransportError):
            client.chat("Hi")
        assert len(server.sessions) == retries + 1


def test_a_silent_request_for_a_nonce_is_not_sent_again() -> None:
    """A site that is silent for longer than the limit is not asked for a nonce again."""

    def serve(peer: Peer) -> None:
        peer.receive()
        peer.wait_until_gone()

    with RawServer(serve) as server, Client(server.url, timeout=(SOON, 0.1)) as client:
        with pytest.raises(Timeout):
            client.chat("Hi")
        assert len(server.requests) == 1
