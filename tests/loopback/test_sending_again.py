"""
What is sent again, and what never is, counted where it arrives.

A question that may have run is sent once: the site may have billed and stored it.
"""

from __future__ import annotations

import socket
import ssl
from email.utils import formatdate
from pathlib import Path
from time import monotonic, time
from typing import Any, Dict, List, Tuple, Type

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
    failure,
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
    BlockedError,
    ChatGPT4OnlineError,
    Client,
    NotFoundError,
    RateLimitError,
    ReplyError,
    ServerError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)
from chatgpt4online._http import retry

RETRIES = 3
CHUNKED = head("200 OK", "Transfer-Encoding: chunked")
ANSWER = PHP.answer().bytes
NO_BODY = b""


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for hardly any time between two tries."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(retry, "LONGEST_BACKOFF", 0.01)


def cutting(begin: bytes, *, reset: bool = False) -> Serve:
    """Serve each question with these bytes, and break off."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(begin)
            if reset:
                peer.reset()

    return serve


def failing(status: str, *fields: str, body: bytes = NO_BODY) -> Serve:
    """Serve each question with a refusal."""
    return answering(reply(status, body, *fields))


CHALLENGE = b"<html><title>Just a moment...</title></html>"
FAILED = {"success": False, "message": "Sorry"}

#: What may happen to a question that may have run, and the error that tells of it.
ONCE: Dict[str, Tuple[Serve, Type[ChatGPT4OnlineError]]] = {
    "cut before the headers": (cutting(b""), TransportError),
    "cut within the headers": (cutting(b"HTTP/1.1 200 OK\r\nX-"), StreamInterrupted),
    "cut within the status line": (cutting(b"HTTP/1.1 2"), TransportError),
    "cut before the body": (cutting(CHUNKED), StreamInterrupted),
    "cut in the body": (cutting(CHUNKED + chunk(live("a"))), StreamInterrupted),
    "reset before the headers": (cutting(b"", reset=True), TransportError),
    "reset in the body": (cutting(CHUNKED + chunk(live("a")), reset=True), StreamInterrupted),
    "not HTTP": (cutting(b"220 ftp.example.com ready\r\n"), TransportError),
    "silent before the headers": (holding(), Timeout),
    "silent in the body": (holding(CHUNKED, chunk(live("a"))), Timeout),
    "500": (failing("500 Oops"), ServerError),
    "502": (failing("502 Bad Gateway"), ServerError),
    "503": (failing("503 Service Unavailable"), ServerError),
    "504": (failing("504 Gateway Timeout"), ServerError),
    "524": (failing("524 A Timeout Occurred"), ServerError),
    "500 with Retry-After": (failing("500 Oops", "Retry-After: 0"), ServerError),
    "502 with Retry-After": (failing("502 Bad Gateway", "Retry-After: 0"), ServerError),
    "503, back in an hour": (failing("503 Maintenance", "Retry-After: 3600"), ServerError),
    "503, back some time": (failing("503 Maintenance", "Retry-After: soon"), ServerError),
    "429": (failing("429 Too Many Requests"), RateLimitError),
    "429, back in an hour": (failing("429 Too Many Requests", "Retry-After: 61"), RateLimitError),
    "a challenge": (failing("503 Wait", "Retry-After: 0", body=CHALLENGE), BlockedError),
    "400": (failing("400 Bad Request"), StatusError),
    "404": (failing("404 Not Found"), NotFoundError),
    "413": (failing("413 Too Large"), StatusError),
    "failed in JSON": (answering(json_reply("500 Oops", FAILED)), ReplyError),
    "failed in JSON under 200": (answering(json_reply("200 OK", FAILED)), ReplyError),
    "failed in the stream": (answering(PHP.answer([failure("Sorry")]).bytes), ReplyError),
    "failed after text": (answering(PHP.answer([live("a"), failure("No")]).bytes), ReplyError),
}


@pytest.mark.parametrize("name", ONCE)
def test_a_question_that_may_have_run_is_sent_once(name: str) -> None:
    """A question that has reached the site is never sent again by itself."""
    serve, error = ONCE[name]
    with RawServer(serve) as server:
        silence = 0.3 if name.startswith("silent") else SOON
        client = Client(server.url, retries=RETRIES, timeout=(SOON, silence))
        with client, pytest.raises(error) as caught:
            client.chat("Hi")
        assert type(caught.value) is error
        assert caught.value.text == ("a" if "in the body" in name or "after text" in name else "")
        assert len(server.questions) == 1


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_question_lost_on_a_kept_connection_is_sent_once(how: str) -> None:
    """A connection that was used before and breaks when it is used again is not a reason."""

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


@pytest.mark.parametrize("name", ["cut before the headers", "reset before the headers", "502"])
def test_it_is_the_same_with_a_session_of_the_callers(name: str) -> None:
    """A question over the caller's session that may have run is sent once."""
    serve, error = ONCE[name]
    with RawServer(serve) as server, requests.Session() as session:
        client = Client(server.url, retries=RETRIES, session=session)
        with pytest.raises(error):
            client.chat("Hi")
        assert len(server.questions) == 1


# Asked to come back.


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize("when", ["0", formatdate(time() - 60, usegmt=True)], ids=["0", "date"])
def test_a_site_that_asks_to_come_back_is_asked_again(status: str, when: str) -> None:
    """429 and 503 with Retry-After say that nothing has run: the question is sent again."""
    refusal = reply(status, b"", f"Retry-After: {when}")
    with RawServer(answering(refusal, refusal, ANSWER)) as server:
        with Client(server.url) as client:
            assert client.chat("Hi") == "Hello"
        assert len(server.questions) == 3
        assert len({question.body for question in server.questions}) == 1
        assert server.accepted == 1


def test_it_is_asked_when_it_said() -> None:
    """A question is sent again after the time that the site asked for, not before."""
    times: List[float] = []

    def serve(peer: Peer) -> None:
        while peer.question():
            times.append(monotonic())
            peer.send(ANSWER if len(times) > 1 else reply("429 Wait", b"", "Retry-After: 1"))

    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
    assert 1 <= times[1] - times[0] < 2


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_site_is_asked_again_so_many_times_at_most(retries: int) -> None:
    """`retries` bounds how often a question is sent again."""
    refusal = reply("503 Service Unavailable", b"", "Retry-After: 0")
    with RawServer(answering(refusal)) as server, Client(server.url, retries=retries) as client:
        with pytest.raises(ServerError) as caught:
            client.chat("Hi")
        assert caught.value.retry_after == 0
        assert len(server.questions) == retries + 1


# Never connected.


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> List[str]:
    """Count the hosts that are looked up: one for each connection."""
    looked_up: List[str] = []
    getaddrinfo = socket.getaddrinfo

    def count(host: Any, *args: Any, **options: Any) -> Any:
        looked_up.append(host)
        return getaddrinfo(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", count)
    return looked_up


@pytest.mark.parametrize("own", [True, False])
def test_a_refused_connection_is_tried_again(lookups: List[str], own: bool) -> None:
    """A site that refuses the connection is tried `retries` times more."""
    with requests.Session() as session:
        site = f"http://127.0.0.1:{free_port()}"
        client = Client(site, retries=RETRIES, session=None if own else session)
        with pytest.raises(TransportError, match="refused") as caught:
            client.chat("Hi")
        assert type(caught.value) is TransportError
        assert len(lookups) == RETRIES + 1


def test_a_site_that_comes_up_is_reached(lookups: List[str]) -> None:
    """A question is answered if the site takes connections in time, and sent once."""
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
    """A question whose connection is refused, though the nonce's was not, is tried again."""
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
    """A host that has no address is tried `retries` times more."""
    with Client("http://bot.invalid", retries=RETRIES) as client:
        with pytest.raises(TransportError, match="not known") as caught:
            client.chat("Hi")
        assert type(caught.value) is TransportError
        assert lookups == ["bot.invalid"] * (RETRIES + 1)


def test_a_certificate_that_is_not_trusted_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site whose certificate is not trusted is told nothing, though tried again."""
    context = tls_context(tmp_path, monkeypatch)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with RawServer(answering(ANSWER), context) as server:
        client = Client(server.url, retries=RETRIES)
        with client, pytest.raises(TransportError, match="certificate") as caught:
            client.chat("Hi")
        assert type(caught.value) is TransportError
        assert server.requests == []
        assert server.accepted == RETRIES + 1


def test_a_connection_that_does_not_come_about_is_tried_again() -> None:
    """A connection that takes longer than its limit is tried `retries` times more."""
    with full_listener() as address, Client(f"http://{address}", timeout=0.1, retries=2) as client:
        with ends_after(0.3), pytest.raises(Timeout) as caught:
            client.chat("Hi")
        assert caught.value.phase == "connect"


def addresses(*hosts: str) -> Any:
    """Return a `getaddrinfo` by which every host has these addresses."""

    def getaddrinfo(_: str, port: int, *__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]

    return getaddrinfo


def test_the_first_address_that_answers_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose first address takes no connection is reached at the next one, at once."""
    with RawServer(answering(ANSWER)) as server:
        monkeypatch.setattr(socket, "getaddrinfo", addresses("127.0.0.2", "127.0.0.1"))
        port = server.address.split(":")[1]
        with Client(f"http://bot.invalid:{port}", retries=0) as client:
            assert client.chat("Hi") == "Hello"
        assert server.questions[0].headers["host"] == f"bot.invalid:{port}"


def test_all_addresses_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host none of whose addresses answers holds a call to its deadline, and not longer."""
    with full_listener() as address:
        host, port = address.split(":")
        monkeypatch.setattr(socket, "getaddrinfo", addresses(host, host, host))
        with Client(f"http://bot.invalid:{port}") as client:
            with ends_after(0.2), pytest.raises(Timeout) as caught:
                client.chat("Hi", timeout=0.12, deadline=0.2)
            assert caught.value.phase == "deadline"


# An error names its own reason.


@pytest.mark.parametrize("outer", [OSError("the password is secret"), ValueError(), TimeoutError()])
def test_an_error_names_its_own_reason(outer: Exception) -> None:
    """What the caller is handling meanwhile is not named, nor taken, for what went wrong."""
    with Client(f"http://127.0.0.1:{free_port()}", retries=0) as client:
        try:
            raise outer
        except type(outer):
            with pytest.raises(TransportError, match="refused") as caught:
                client.chat("Hi")
        assert type(caught.value) is TransportError
        assert "secret" not in str(caught.value)


# The request for a nonce changes nothing, and may be repeated.


def first(script: Serve, *, then: Serve) -> Serve:
    """Serve the first connection by one script, and all further ones by another."""
    return lambda peer: (script if peer.number == 0 else then)(peer)


def breaking(begin: bytes, *, reset: bool = False) -> Serve:
    """Serve the first request of a connection with these bytes, and break off."""

    def serve(peer: Peer) -> None:
        if peer.receive():
            peer.send(begin)
            if reset:
                peer.reset()

    return serve


def silent(peer: Peer) -> None:
    """Never answer."""
    peer.receive()
    peer.wait_until_gone()


@pytest.mark.parametrize(
    "serve",
    [
        breaking(b""),
        breaking(b"HTTP/1.1 200 OK\r\nX-"),
        breaking(b"", reset=True),
        breaking(session_reply()[:-5]),
        breaking(reply("502 Bad Gateway")),
        breaking(reply("503 Service Unavailable")),
        breaking(reply("504 Gateway Timeout")),
    ],
)
def test_the_request_for_a_nonce_is_sent_again(serve: Serve) -> None:
    """A request for a nonce that was lost is sent again, and the question sent once."""
    with RawServer(first(serve, then=answering(ANSWER))) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        assert (len(server.sessions), len(server.questions)) == (2, 1)


@pytest.mark.parametrize("retries", [0, 2])
def test_the_request_for_a_nonce_is_sent_so_many_times_at_most(retries: int) -> None:
    """`retries` bounds how often a request for a nonce is sent again."""
    with RawServer(breaking(b"")) as server, Client(server.url, retries=retries) as client:
        with pytest.raises(TransportError):
            client.chat("Hi")
        assert len(server.sessions) == retries + 1


@pytest.mark.parametrize(
    ("serve", "error"),
    [
        (breaking(reply("500 Oops")), ServerError),
        (breaking(reply("403 Forbidden")), BlockedError),
        (breaking(json_reply("401 No", {"code": "rest_forbidden", "message": "No"})), AuthError),
        (breaking(reply("503 Back later", b"", "Retry-After: 3600")), ServerError),
        (silent, Timeout),
    ],
)
def test_a_refused_request_for_a_nonce_is_not_sent_again(
    serve: Serve, error: Type[ChatGPT4OnlineError]
) -> None:
    """A request for a nonce that the site refused is not sent again."""
    with RawServer(serve) as server, Client(server.url, timeout=(SOON, 0.1)) as client:
        with pytest.raises(error):
            client.chat("Hi")
        assert len(server.requests) == 1


# A site that has moved.

ROUTE = "mwai-ui/v1/chats/submit"


def redirect(location: str, status: str = "301 Moved Permanently") -> bytes:
    """Return the response of a redirect."""
    return reply(status, b"<html>moved</html>", f"Location: {location}")


def moving(location: str, status: str = "301 Moved Permanently") -> Serve:
    """Redirect each question below /wp-json, and answer those below /new; {host} is our own."""

    def serve(peer: Peer) -> None:
        while True:
            received = peer.question()
            if received is None:
                return
            is_new = received.target.startswith("/new/")
            target = location.format(host=received.headers["host"])
            peer.send(ANSWER if is_new else redirect(target, status))

    return serve


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_followed_and_remembered(status: str) -> None:
    """A redirect within the site is followed with the same question, and remembered."""
    with RawServer(moving(f"/new/wp-json/{ROUTE}", status)) as server:
        with Client(server.url) as client:
            assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
        first, second, third = server.questions
        assert first.target == f"/wp-json/{ROUTE}"
        assert second.target == third.target == f"/new/wp-json/{ROUTE}"
        assert first.line.split()[0] == second.line.split()[0] == "POST"
        assert first.body == second.body
        assert server.accepted == 1


def test_the_new_address_gets_a_nonce_of_its_own() -> None:
    """What the old address gave is not shown to the new one."""
    with RawServer(moving(f"/new/wp-json/{ROUTE}")) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        targets = [each.target for each in server.sessions]
        assert targets == ["/wp-json/mwai/v1/start_session", "/new/wp-json/mwai/v1/start_session"]


def test_the_request_for_a_nonce_may_be_redirected() -> None:
    """A redirect of start_session is followed too, and the question goes to the new address."""

    def serve(peer: Peer) -> None:
        received = peer.receive()
        while received:
            if not received.target.startswith("/new/"):
                peer.send(redirect(f"/new{received.target}"))
            else:
                peer.send(session_reply() if received.is_session else ANSWER)
            received = peer.receive()

    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        assert [each.target.split("/")[1] for each in server.requests] == ["wp-json", "new", "new"]


REFUSED = {
    "another host": "http://localhost:80/wp-json/" + ROUTE,
    "another port": "http://127.0.0.1:80/wp-json/" + ROUTE,
    "another scheme": "ftp://{host}/wp-json/" + ROUTE,
    "another route": "http://{host}/wp-json/mwai/v1/start_session",
    "a login page": "/wp-login.php?redirect_to=x",
    "with a user": "http://user:secret@{host}/new/" + ROUTE,
    "with a query": "/new/" + ROUTE + "?lang=fr",
    "no port": "http://127.0.0.1:port/" + ROUTE,
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_redirect_elsewhere_is_not_followed(name: str, lookups: List[str]) -> None:
    """A redirect that leaves the site is an error that names the new address, and no secret."""
    with RawServer(moving(REFUSED[name])) as server:
        with Client(server.url) as client, pytest.raises(StatusError) as caught:
            client.chat("Hi")
        assert (type(caught.value), caught.value.status) == (StatusError, 301)
        shown = REFUSED[name].format(host=server.address).split("?")[0].replace("user:secret@", "")
        assert shown in str(caught.value)
        assert "secret" not in str(caught.value)
        assert len(server.questions) == 1
        assert lookups == ["127.0.0.1"]


@pytest.mark.parametrize("status", ["300 Choices", "303 See Other", "304 Unchanged", "305 Proxy"])
def test_other_redirects_are_not_followed(status: str) -> None:
    """Only 301, 302, 307 and 308 ask to send a question elsewhere."""
    with RawServer(moving(f"/new/{ROUTE}", status)) as server, Client(server.url) as client:
        with pytest.raises(StatusError) as caught:
            client.chat("Hi")
        assert caught.value.status == int(status.split(maxsplit=1)[0])
        assert len(server.questions) == 1


def test_redirects_without_end_are_an_error() -> None:
    """After five redirects a question is not sent any further."""

    def serve(peer: Peer) -> None:
        while True:
            received = peer.question()
            if received is None:
                return
            peer.send(redirect(f"/deeper{received.target}"))

    with RawServer(serve) as server, Client(server.url) as client:
        with pytest.raises(StatusError) as caught:
            client.chat("Hi")
        assert caught.value.status == 301
        assert len(server.questions) == 6


def both(context: ssl.SSLContext, plain: Serve, secure: Serve) -> Serve:
    """Serve a connection by one of two scripts, in TLS if it begins so."""

    def serve(peer: Peer) -> None:
        if peer.begins_tls():
            peer.secure(context)
            secure(peer)
        else:
            plain(peer)

    return serve


def test_a_redirect_to_tls_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect from http to https of the same site is followed."""
    context = tls_context(tmp_path, monkeypatch)
    plain = moving("https://{host}/wp-json/" + ROUTE)
    with RawServer(both(context, plain, answering(ANSWER))) as server:
        with Client(server.url) as client:
            assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
        assert len(server.questions) == 3
        assert server.accepted == 2


def test_a_redirect_from_tls_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect from https to http is refused: what was secret stays so."""
    context = tls_context(tmp_path, monkeypatch)
    secure = moving("http://{host}/wp-json/" + ROUTE)
    with RawServer(both(context, answering(ANSWER), secure)) as server:
        with Client(f"https://{server.address}") as client, pytest.raises(StatusError):
            client.chat("Hi")
        assert len(server.questions) == 1


@pytest.mark.parametrize("old", ["http://bot.invalid", "http://www.bot.invalid"])
@pytest.mark.parametrize("new", ["https://bot.invalid", "https://www.bot.invalid"])
def test_a_site_may_move_to_tls_and_www(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect from port 80 to 443 is followed, and one that adds or drops a leading www."""
    context = tls_context(tmp_path, monkeypatch, "bot.invalid", "www.bot.invalid")

    def proxy(peer: Peer) -> None:
        received = peer.question()
        while received:
            if received.line.startswith("CONNECT"):
                peer.send(head("200 OK"))
                peer.secure(context)
                answering(ANSWER)(peer)
                return
            peer.send(redirect(f"{new}/wp-json/{ROUTE}"))
            received = peer.question()

    with RawServer(proxy) as server, Client(old, proxy=server.url) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
        host = new.split("//")[1]
        lines = [each.line for each in server.questions]
        assert lines == [
            f"POST {old}/wp-json/{ROUTE} HTTP/1.1",
            lines[1],
            *[f"POST /wp-json/{ROUTE} HTTP/1.1"] * 2,
        ]
        assert lines[1].startswith(f"CONNECT {host}:443 ")
        assert {each.headers["host"] for each in server.questions[2:]} == {host}
        assert {each.headers["origin"] for each in server.questions[2:]} == {new}
