"""Threads share one nonce: fetched once, renewed once, replaced by a fresh one in an answer."""

from __future__ import annotations

import logging
import signal
import threading
from concurrent.futures import Future
from itertools import count
from typing import Any, Callable, Dict, Iterator, List

import pytest
import requests
from support import (
    HELLO,
    NONCE,
    PHP,
    SOON,
    Peer,
    RawServer,
    Received,
    Serve,
    answering,
    background,
    end,
    json_reply,
    live,
    session_reply,
    together,
    wait_for,
)

from chatgpt4online import (
    AuthError,
    ChatGPT4OnlineError,
    Client,
    ProtocolError,
    ServerError,
    Timeout,
)
from chatgpt4online._http.retry import MAX_RENEWALS
from chatgpt4online._protocol.routes import START_SESSION
from chatgpt4online.testing import Request, Server

HALF_DAY = 43200
MANY = 50

STALE = json_reply("403 Forbidden", {"code": "rest_cookie_invalid_nonce", "message": "No"})
MISSING = json_reply("401 Unauthorized", {"code": "rest_forbidden", "message": "No"})
ANSWER = PHP.answer().bytes


def sessions(server: Server) -> List[Request]:
    """Return the requests for a nonce."""
    return [request for request in server.requests if request.path.endswith("start_session")]


def results(futures: List[Future[Any]]) -> List[Any]:
    """Return the results of calls, or the exceptions that they raised."""
    return [future.exception(SOON) or future.result() for future in futures]


class Site:
    """A server that issues nonces in order, and refuses all but the last one."""

    def __init__(self, *nonces: str, refusal: bytes = STALE) -> None:
        self.nonces = list(nonces)
        self.refusal = refusal
        self.issued = 0
        self.lock = threading.Lock()

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        while True:
            received = peer.receive()
            if received is None:
                return
            peer.send(self.answer(received))

    def answer(self, received: Received) -> bytes:
        """Return the response to a request."""
        if received.is_session:
            with self.lock:
                self.issued += 1
                return session_reply(self.nonces[min(self.issued, len(self.nonces)) - 1])
        return ANSWER if received.headers["x-wp-nonce"] == self.nonces[-1] else self.refusal


# Fetching.


def test_the_first_questions_share_one_fetch(server: Server, client: Client) -> None:
    """Threads that ask their first questions at the same time fetch one nonce."""
    futures = together([lambda: client.chat("Hi")] * MANY)
    assert results(futures) == ["Echo(1 msgs): Hi"] * MANY
    assert len(sessions(server)) == 1
    assert len(server.questions) == MANY


def test_a_nonce_is_fetched_on_first_use_and_kept(server: Server, client: Client) -> None:
    """A nonce is fetched when it is first needed, and only once."""
    assert server.requests == []
    assert client.nonce == server.nonce
    assert [client.nonce, client.chat("Hi"), client.nonce] == [
        server.nonce,
        "Echo(1 msgs): Hi",
        server.nonce,
    ]
    assert len(sessions(server)) == 1


def test_refreshing_fetches_a_nonce(server: Server, client: Client) -> None:
    """`refresh_nonce` fetches and returns a new nonce, even if there is one."""
    old = client.nonce
    server.expire_nonce()
    assert client.refresh_nonce() == client.nonce == server.nonce != old
    assert len(sessions(server)) == 2


def test_a_failed_fetch_fails_all_waiting_calls() -> None:
    """When a fetch fails, all calls that wait for it fail, without a fetch of their own."""
    all_waiting = threading.Event()

    def serve(peer: Peer) -> None:
        while peer.receive():
            peer.wait(all_waiting)
            peer.send(json_reply("500 Oops", {"code": "oops", "message": "Out of order"}))

    with RawServer(serve) as server, Client(server.url) as client:
        futures = [background(lambda: client.chat("Hi")) for _ in range(MANY)]
        wait_for(lambda: len(client._transport._calls) == MANY and server.sessions)
        wait_for(lambda: client._transport.nonce._pending is not None)
        pending: Any = client._transport.nonce._pending
        wait_for(lambda: len(pending._waiting) == MANY - 1)
        all_waiting.set()
        errors = results(futures)
        assert {type(error) for error in errors} == {ServerError}
        assert {error.message for error in errors} == {"Out of order"}
        assert len({id(error) for error in errors}) == MANY
        assert len(server.requests) == 1


def test_the_next_question_fetches_after_a_failed_fetch() -> None:
    """After a fetch has failed, the next question fetches a nonce."""
    failed = json_reply("500 Oops", {"success": False, "message": "Not today"})
    answers = [failed, session_reply(), ANSWER]

    def serve(peer: Peer) -> None:
        while peer.receive():
            peer.send(answers.pop(0))

    with RawServer(serve) as server, Client(server.url) as client:
        with pytest.raises(ChatGPT4OnlineError, match="Not today"):
            client.chat("Hi")
        assert client.chat("Hi") == "Hello"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"success": True, "sessionId": "s"}, ProtocolError),
        ({"success": True, "restNonce": None}, ProtocolError),
        ({"success": True, "restNonce": "a\r\nx: y"}, ProtocolError),
        (["no", "object"], ProtocolError),
    ],
)
def test_a_response_without_a_nonce_is_an_error(body: Any, error: type) -> None:
    """A response of start_session without a valid nonce raises `ProtocolError`."""
    with RawServer(answering_all(json_reply("200 OK", body))) as server:
        with Client(server.url) as client, pytest.raises(error):
            client.chat("Hi")
        assert len(server.requests) == 1


def answering_all(answer: bytes) -> Serve:
    """Answer every request, for a nonce or not, with this response."""

    def serve(peer: Peer) -> None:
        while peer.receive():
            peer.send(answer)

    return serve


# The call that fetches.


def test_a_deadline_of_the_fetching_call_does_not_fail_the_others() -> None:
    """When the deadline of the fetching call passes, one of the waiting calls fetches."""

    def serve(peer: Peer) -> None:
        (holding_session if peer.number == 0 else answering(ANSWER))(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        owner = background(lambda: client.chat("Hi", deadline=0.15))
        wait_for(lambda: server.sessions)
        others = [background(lambda: client.chat("Hi")) for _ in range(10)]
        assert isinstance(owner.exception(SOON), Timeout)
        assert results(others) == ["Hello"] * 10
        assert len(server.sessions) == 2


def holding_session(peer: Peer) -> None:
    """Never answer start_session."""
    peer.receive()
    peer.wait_until_gone()


def test_a_timeout_of_the_fetching_call_does_not_fail_the_others() -> None:
    """When the fetching call times out, a call with a longer timeout fetches with its own."""
    proceed = threading.Event()

    def serve(peer: Peer) -> None:
        if peer.number == 0:
            holding_session(peer)
        peer.wait(proceed)
        answering(ANSWER)(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        owner = background(lambda: client.chat("Hi", timeout=0.1))
        wait_for(lambda: server.sessions)
        other = background(lambda: client.chat("Hi", timeout=SOON))
        assert isinstance(owner.exception(SOON), Timeout)
        proceed.set()
        assert other.result(SOON) == "Hello"


def test_a_waiting_call_has_its_own_timeout() -> None:
    """A call does not wait for the fetch of one with a longer timeout when the site is silent."""
    with RawServer(holding_session) as server, Client(server.url, timeout=None) as client:
        owner = background(lambda: client.chat("Hi"))
        wait_for(lambda: server.sessions)
        with pytest.raises(Timeout) as caught:
            client.chat("Hi", timeout=0.1, deadline=SOON)
        assert caught.value.phase == "read"
        client.close()
        assert isinstance(owner.exception(SOON), ChatGPT4OnlineError)


# A signal handler's calls.


@pytest.fixture
def during_fetch() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Return a function that has a signal handler do something while its thread fetches a nonce."""
    actions: List[Callable[[], object]] = []

    def strike(record: logging.LogRecord) -> bool:
        """Raise the signal when the line of start_session's answer is logged."""
        if actions and START_SESSION in record.getMessage():
            signal.raise_signal(signal.SIGTERM)
        return True

    log = logging.getLogger("chatgpt4online")
    level, before = log.level, signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: actions.pop()())
    log.setLevel(logging.DEBUG)
    log.addFilter(strike)
    yield actions.append
    log.removeFilter(strike)
    log.setLevel(level)
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("depth", [1, 2], ids=["once", "in a handler in a handler"])
def test_a_handler_asks_while_its_thread_fetches(
    client: Client, server: Server, during_fetch: Any, depth: int
) -> None:
    """A signal handler that asks while its own thread fetches the nonce gets an answer."""
    replies: List[str] = []

    def ask(further: int) -> None:
        if further:
            during_fetch(lambda: ask(further - 1))
        replies.append(client.chat("In between", deadline=SOON))

    during_fetch(lambda: ask(depth - 1))
    assert client.chat("Hi") == "Echo(1 msgs): Hi"
    assert replies == ["Echo(1 msgs): In between"] * depth
    assert len(sessions(server)) == 1 + depth


def test_a_handler_maps_while_its_thread_fetches(client: Client, during_fetch: Any) -> None:
    """Threads of a signal handler's `map` get answers while its own thread fetches the nonce."""
    outcomes: List[Any] = []
    during_fetch(lambda: outcomes.extend(client.map(["In between"] * 4, deadline=SOON)))
    assert client.chat("Hi") == "Echo(1 msgs): Hi"
    assert [outcome.reply for outcome in outcomes] == ["Echo(1 msgs): In between"] * 4


# Renewing.


@pytest.mark.parametrize("refusal", [STALE, MISSING])
def test_a_refused_nonce_is_renewed_once_for_all(refusal: bytes) -> None:
    """Threads refused at the same time fetch one nonce, and each repeats its question once."""
    refused = threading.Barrier(MANY)
    site = Site("old", "new", refusal=refusal)

    def serve(peer: Peer) -> None:
        while True:
            received = peer.receive()
            if received is None:
                return
            if received.headers.get("x-wp-nonce") == "old":
                refused.wait(SOON)
            peer.send(site.answer(received))

    with RawServer(serve) as server, Client(server.url) as client:
        assert client.nonce == "old"
        futures = together([lambda: client.chat("Hi")] * MANY)
        assert results(futures) == ["Hello"] * MANY
        assert client.nonce == "new"
        assert len(server.sessions) == 2
        assert len(server.questions) == 2 * MANY


@pytest.mark.parametrize("refusal", [STALE, MISSING])
def test_a_nonce_refused_twice_is_an_error(refusal: bytes) -> None:
    """If the site refuses the new nonce too, `AuthError` is raised after two requests."""
    with RawServer(answering(refusal)) as server, Client(server.url) as client:
        with pytest.raises(AuthError):
            client.chat("Hi")
        assert len(server.questions) == len(server.sessions) == 2


class BoundNonces:
    """A server whose answers replace a cookie, and whose nonces are valid with one cookie only."""

    def __init__(self) -> None:
        self.numbers = count()
        self.bound: Dict[str, str] = {}
        self.refused = 0

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        while True:
            received = peer.receive()
            if received is None:
                return
            cookie = received.headers.get("cookie", "")
            fresh = f"Set-Cookie: bound={next(self.numbers)}; Path=/"
            nonce = received.headers.get("x-wp-nonce", "")
            if received.is_session:
                nonce = f"nonce{next(self.numbers)}"
                self.bound[nonce] = cookie
                peer.send(session_reply(nonce))
            elif self.bound[nonce] == cookie:
                peer.send(PHP.answer(HELLO, fresh).bytes)
            else:
                self.refused += 1
                peer.send(STALE)


def test_cookies_that_nonces_are_bound_to() -> None:
    """Where answers replace the cookie that a nonce is bound to, threads get all answers."""
    site = BoundNonces()
    with RawServer(site.serve) as server, Client(server.url) as client:
        outcomes = list(client.map(["Hi"] * 60, workers=16))
    assert [outcome.reply for outcome in outcomes] == ["Hello"] * 60
    assert site.refused > 0


@pytest.mark.parametrize("own", [True, False], ids=["own session", "user session"])
def test_refusals_that_replace_a_cookie(*, own: bool) -> None:
    """A site that refuses each nonce, and replaces a cookie each time, ends the renewals."""
    numbers = count()

    def serve(peer: Peer) -> None:
        while True:
            received = peer.receive()
            if received is None:
                return
            cookie = f"Set-Cookie: a={next(numbers)}; Path=/"
            refusal = {"code": "rest_cookie_invalid_nonce", "message": "No"}
            answer = json_reply("403 Forbidden", refusal, cookie)
            peer.send(session_reply() if received.is_session else answer)

    with RawServer(serve) as server, requests.Session() as session:
        client = Client(server.url, session=None if own else session)
        with client, pytest.raises(AuthError):
            client.chat("Hi")
        assert len(server.questions) == MAX_RENEWALS + 1


def refusing(peer: Peer) -> None:
    """Name each visitor by a cookie, as the plugin does, and refuse each nonce."""
    while True:
        received = peer.receive()
        if received is None:
            return
        nonce = {"success": True, "restNonce": NONCE}
        visitor = "Set-Cookie: mwai_session_id=ours; Path=/"
        peer.send(json_reply("200 OK", nonce, visitor) if received.is_session else STALE)


@pytest.mark.parametrize(
    ("domain", "path"), [("other.example", "/"), ("127.0.0.1", "/blog")], ids=["domain", "path"]
)
def test_cookies_of_other_sites_replace_none(domain: str, path: str) -> None:
    """A session's cookie for another domain or path does not make a refused nonce replaced."""
    with RawServer(refusing) as server, requests.Session() as session:
        session.cookies.set("mwai_session_id", "theirs", domain=domain, path=path)
        with Client(server.url, session=session) as client, pytest.raises(AuthError):
            client.chat("Hi")
        assert len(server.questions) == len(server.sessions) == 2


@pytest.mark.parametrize("own", [True, False], ids=["own session", "user session"])
def test_a_callers_cookie_is_not_replaced(*, own: bool) -> None:
    """The caller's `Cookie` header is sent whatever the site sets, so that nothing replaces it."""
    headers = {"cookie": "mwai_session_id=mine"}
    with RawServer(refusing) as server, requests.Session() as session:
        session.headers.update(headers)
        options: Any = {"headers": headers} if own else {"session": session}
        client = Client(server.url, **options)
        with client, pytest.raises(AuthError):
            client.chat("Hi")
        assert {each.headers["cookie"] for each in server.requests} == {"mwai_session_id=mine"}
        assert len(server.questions) == len(server.sessions) == 2


def test_other_refusals_do_not_renew_the_nonce() -> None:
    """A refusal that is not about the nonce raises without a retry."""
    refusal = json_reply("403 Forbidden", {"code": "rest_forbidden", "message": "Not yours"})
    with RawServer(answering(refusal)) as server, Client(server.url) as client:
        with pytest.raises(AuthError):
            client.chat("Hi")
        assert len(server.questions) == len(server.sessions) == 1


def test_expired_nonces_are_renewed(server: Server, client: Client) -> None:
    """After the nonce has expired, the next question fetches one and is answered."""
    for expected in range(1, 4):
        assert client.chat("Hi") == "Echo(1 msgs): Hi"
        assert len(sessions(server)) == expected
        server.expire_nonce()
    assert len(server.questions) == 1 + 2 * 2


# Taking a fresh nonce from an answer.


def test_a_nonce_in_regular_use_is_not_fetched_again(server: Server, client: Client) -> None:
    """A nonce used every half day is replaced by the fresh ones in the answers."""
    for _ in range(6):
        assert client.chat("Hi") == "Echo(1 msgs): Hi"
        assert client.nonce == server.nonce
        server.advance(HALF_DAY)
    assert len(sessions(server)) == 1
    assert len(server.questions) == 6


def test_a_nonce_unused_for_a_day_is_renewed(server: Server, client: Client) -> None:
    """A nonce that has expired in the meantime is fetched again."""
    assert client.chat("Hi") == "Echo(1 msgs): Hi"
    server.advance(2 * HALF_DAY)
    assert client.chat("Hi") == "Echo(1 msgs): Hi"
    assert len(sessions(server)) == 2


@pytest.mark.parametrize(
    "answer",
    [
        PHP.answer(HELLO, "X-WP-Nonce: fresh").bytes,
        PHP.answer([live("Hel"), end("Hello", new_token="fresh")]).bytes,
        json_reply("200 OK", {"success": True, "reply": "Hello", "new_token": "fresh"}),
    ],
)
def test_a_fresh_nonce_is_used(answer: bytes) -> None:
    """A nonce in the header `X-WP-Nonce`, or in `new_token`, is used from the next request on."""
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
        assert client.nonce == "fresh"
        assert [each.headers["x-wp-nonce"] for each in server.questions] == [NONCE, "fresh"]
        assert len(server.sessions) == 1


def test_a_refusal_may_contain_a_fresh_nonce() -> None:
    """A nonce in the headers of a refusal is used too."""
    refusal = json_reply("500 Oops", {"success": False, "message": "No"}, "X-WP-Nonce: fresh")
    with RawServer(answering(refusal)) as server, Client(server.url) as client:
        with pytest.raises(ChatGPT4OnlineError):
            client.chat("Hi")
        assert client.nonce == "fresh"


@pytest.mark.parametrize("value", ["", "a b", "x" * 200, "é"])
def test_an_invalid_nonce_is_ignored(value: str) -> None:
    """A header whose value cannot be a nonce is ignored."""
    answer = PHP.answer(HELLO, f"X-WP-Nonce: {value}").bytes
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        assert client.nonce == NONCE


def test_a_late_answer_does_not_undo_a_renewal() -> None:
    """A nonce in the late answer to an old one does not replace a nonce renewed since."""
    proceed = threading.Event()
    site = Site("old", "new")

    def serve(peer: Peer) -> None:
        while True:
            received = peer.receive()
            if received is None:
                return
            if b"slow" in received.body:
                peer.wait(proceed)
                peer.send(PHP.answer([end("Hello", new_token="older")]).bytes)
            else:
                peer.send(site.answer(received))

    with RawServer(serve) as server, Client(server.url) as client:
        slow = background(lambda: client.chat("slow"))
        wait_for(lambda: server.questions)
        assert client.refresh_nonce() == "new"
        proceed.set()
        assert slow.result(SOON) == "Hello"
        assert client.nonce == "new"


# Headers and cookies.


def test_start_session_is_sent_without_a_nonce(server: Server, client: Client) -> None:
    """A request for a nonce contains none, since a stale one would be refused."""
    client.refresh_nonce()
    server.expire_nonce()
    client.chat("Hi")
    assert len(sessions(server)) == 2
    assert not any("X-WP-Nonce" in request.headers for request in sessions(server))
    assert all("X-WP-Nonce" in request.headers for request in server.questions)


def test_the_visitors_cookie_is_kept(server: Server, client: Client) -> None:
    """The cookie received with the nonce is sent with each further request."""
    client.chat("Hi")
    client.chat("Hi")
    client.refresh_nonce()
    first, *others = [request.headers.get("Cookie", "") for request in server.requests]
    assert first == ""
    assert len(set(others)) == 1
    assert others[0].startswith("mwai_session_id=")


def test_a_php_session_is_not_sent_back() -> None:
    """The cookie PHPSESSID is not sent, since PHP runs requests of one session one by one."""
    cookies = ("Set-Cookie: PHPSESSID=abc; path=/", "Set-Cookie: mwai_session_id=x; path=/")
    body = {"success": True, "sessionId": "s", "restNonce": NONCE}

    def serve(peer: Peer) -> None:
        peer.receive()
        peer.send(json_reply("200 OK", body, *cookies))
        answering(ANSWER)(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        client.chat("Hi")
        assert [each.headers["cookie"] for each in server.questions] == ["mwai_session_id=x"]


def test_cookies_change() -> None:
    """A cookie set, changed or removed by an answer takes effect with the next question."""
    set_cookies = ["a=1", "a=2", "b=1", "a=2; Max-Age=0"]

    def serve(peer: Peer) -> None:
        for cookie in set_cookies:
            peer.question()
            peer.send(PHP.answer(HELLO, f"Set-Cookie: {cookie}").bytes)
        answering(ANSWER)(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        for _ in range(5):
            client.chat("Hi")
        sent = [each.headers.get("cookie") for each in server.questions]
        assert sent == [None, "a=1", "a=2", "a=2; b=1", "b=1"]
