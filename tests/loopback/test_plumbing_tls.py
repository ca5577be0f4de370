"""Bytes that follow an answer, at any layer, are never taken for the next answer."""

from __future__ import annotations

import ssl
import threading
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Iterator, NamedTuple, Optional

import pytest
import requests
from support import (
    FRAMINGS,
    HELLO,
    REUSABLE,
    SOON,
    Peer,
    RawServer,
    Serve,
    answering,
    at_once,
    chunk,
    end,
    head,
    reply,
    tls_context,
    tunnel,
)
from urllib3.util.wait import wait_for_read

from chatgpt4online import ChatGPT4OnlineError, Client
from chatgpt4online._http import body

#: How a connection reaches the site: directly, or through an HTTP or HTTPS proxy.
ROUTES = ["http", "https", "https through an http proxy", "https through an https proxy"]

#: An unsolicited response.
POISON = reply("200 OK", end("Poison"))

ANSWER = FRAMINGS["length"].answer().bytes

#: An answer whose last chunk is missing.
UNFINISHED = head("200 OK", "Transfer-Encoding: chunked") + b"".join(map(chunk, HELLO))


class Site(NamedTuple):
    """A site, and the URL of the proxy that leads to it, or None."""

    server: RawServer
    proxy: Optional[str]

    def client(self, session: Optional[requests.Session] = None) -> Client:
        """Return a client of the site."""
        return Client(self.server.url, proxy=self.proxy, session=session, timeout=SOON)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssl.SSLContext]:
    """Return a TLS context that clients trust, and that can request certificates later."""
    with pytest.MonkeyPatch.context() as patch:
        context = tls_context(tmp_path_factory.mktemp("authority"), patch)
        context.verify_mode = ssl.CERT_OPTIONAL
        if ssl.HAS_TLSv1_3:
            context.post_handshake_auth = True
        yield context


@contextmanager
def site(route: str, serve: Serve, context: ssl.SSLContext) -> Iterator[Site]:
    """Start a site that is reached by this route."""
    with ExitStack() as stack:
        server = stack.enter_context(RawServer(serve, context if route != "http" else None))
        proxy = None
        if "proxy" in route:
            tls = context if "https proxy" in route else None
            proxy = stack.enter_context(RawServer(tunnel, tls)).url
        yield Site(server, proxy)


def padded(answer: bytes, size: int) -> bytes:
    """Pad an answer to this size with a header."""
    status, _, rest = answer.partition(b"\r\n")
    filler = size - len(answer) - len(b"X-Filler: \r\n")
    return b"%b\r\nX-Filler: %b\r\n%b" % (status, b"x" * filler, rest)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("framing", ["two chunks an event", "length+gzip"])
def test_a_connection_is_reused_if_nothing_follows(
    route: str, framing: str, context: ssl.SSLContext
) -> None:
    """A connection is reused if nothing but TLS session tickets accompanies an answer."""
    serve = answering(FRAMINGS[framing].answer().bytes)
    with site(route, serve, context) as reached, reached.client() as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert reached.server.accepted == 1


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("framing", "size"),
    [*((name, 8192) for name in REUSABLE), *(("length", size) for size in (1000, 8150, 8193))],
)
def test_a_second_response_with_the_first(
    framing: str, size: int, route: str, context: ssl.SSLContext
) -> None:
    """
    An unsolicited response in the same TLS record as an answer is not taken for the next answer.

    Before Python 3.14, http.client reads blocks of 8,192 bytes: the second response is in its
    buffer, in the TLS layer or in both.
    """
    serve = answering(padded(FRAMINGS[framing].answer().bytes, size) + POISON)
    with site(route, serve, context) as reached, reached.client() as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert reached.server.accepted == 3


@pytest.mark.parametrize("route", ROUTES)
def test_a_second_response_after_a_body_of_one_read(
    route: str, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unsolicited response that one read leaves in the buffer is not taken for an answer."""
    monkeypatch.setattr(body, "BLOCK", len(ANSWER.partition(b"\r\n\r\n")[2]))
    with site(route, answering(ANSWER + POISON), context) as reached, reached.client() as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert reached.server.accepted == 3


def test_a_second_response_with_a_user_session(context: ssl.SSLContext) -> None:
    """With a session of the caller's, an unsolicited response is not taken for an answer."""
    serve = answering(padded(ANSWER, 8192) + POISON)
    with site("https", serve, context) as reached, requests.Session() as session:
        with reached.client(session) as client:
            assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert reached.server.accepted == 3


BODILESS = {
    "204": head("204 No Content"),
    "304": head("304 Not Modified"),
    "no length": head("400 Bad Request", "Content-Length: 0"),
    "an empty stream": head("200 OK", "Content-Length: 0"),
    "no chunk": head("400 Bad Request", "Transfer-Encoding: chunked") + chunk(b""),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", BODILESS)
def test_a_second_response_after_one_without_a_body(
    name: str, route: str, context: ssl.SSLContext
) -> None:
    """What follows a response without a body is not taken for the next answer either."""
    size = 1000 if route == "http" else 8192
    serve = answering(padded(BODILESS[name], size) + POISON, ANSWER)
    with site(route, serve, context) as reached, reached.client() as client:
        with pytest.raises(ChatGPT4OnlineError):
            client.chat("Hi")
        assert client.chat("Hi") == "Hello"
        assert reached.server.accepted == 2


class ActsWhileIdle:
    """A site that acts on a connection after its answer was returned."""

    def __init__(self, act: Callable[[Peer], None], answer: bytes = ANSWER) -> None:
        self._act = act
        self._answer = answer
        self._is_idle = threading.Semaphore(0)
        self._is_done = threading.Semaphore(0)

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        while peer.question():
            peer.send(self._answer)
            assert self._is_idle.acquire(timeout=SOON)
            self._act(peer)
            self._is_done.release()

    def act(self) -> None:
        """Let the site act, and wait until it has."""
        self._is_idle.release()
        assert self._is_done.acquire(timeout=SOON)


def send_poison(peer: Peer) -> None:
    """Send an unsolicited response."""
    peer.send(POISON)


def send_record_without_data(peer: Any) -> None:
    """Send a TLS record without data, like a session ticket: a request for a certificate."""
    peer._sock.verify_client_post_handshake()
    peer._sock.do_handshake()


def close_tls(peer: Any) -> None:
    """End the TLS session, and leave the connection open."""
    peer._sock.settimeout(0.0)
    with pytest.raises(ssl.SSLWantReadError):
        peer._sock.unwrap()
    peer._sock.settimeout(None)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("act", [send_poison, send_record_without_data, close_tls])
def test_bytes_on_an_idle_connection(
    act: Callable[[Peer], None], route: str, context: ssl.SSLContext
) -> None:
    """
    A connection is not reused if anything has arrived while it was idle, at any layer.

    A late session ticket counts too, since data may follow it.
    """
    if act is not send_poison and (route == "http" or not ssl.HAS_TLSv1_3):
        pytest.skip("needs TLS 1.3")
    idle = ActsWhileIdle(act)
    with site(route, idle.serve, context) as reached, reached.client() as client:
        for number in range(3):
            assert client.chat("Hi") == "Hello"
            assert reached.server.accepted == number + 1
            idle.act()
            wait_for_arrival(client)


def wait_for_arrival(client: Client) -> None:
    """Wait until bytes have arrived on a client's idle connection."""
    adapter: Any = client._transport._session.session.get_adapter("https://")
    maps = [each.pools for each in (adapter.poolmanager, *adapter.proxy_manager.values())]
    pools = [each[key] for each in maps for key in each.keys()]  # noqa: SIM118 - not a dict
    [connection] = [each for pool in pools for each in pool.pool._idle]
    assert wait_for_read(connection.sock, timeout=SOON)


@pytest.mark.parametrize("act", [send_poison, close_tls])
def test_bytes_with_the_end_of_a_response(
    act: Callable[[Peer], None], context: ssl.SSLContext
) -> None:
    """A connection is not reused if anything arrives right after the end of a response."""

    def end_late(peer: Peer) -> None:
        peer.send(chunk(b""))
        act(peer)

    idle = ActsWhileIdle(end_late, UNFINISHED)
    with RawServer(idle.serve, context) as server, Client(server.url) as client:
        for number in range(3):
            assert client.chat("Hi") == "Hello"
            assert server.accepted == number + 1
            idle.act()


# Checking for further bytes takes no time.


def dripping_after_answer(piece: bytes, pace: float) -> Serve:
    """Answer a question completely, then send the same piece again and again."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(UNFINISHED)
            peer.drip(piece, pace)

    return serve


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("pace", [0.0, body.GRACE_TIME / 2])
def test_a_response_that_drips_after_its_answer(
    pace: float, route: str, context: ssl.SSLContext
) -> None:
    """A response that continues after its answer delays the next question only briefly."""
    serve = dripping_after_answer(chunk(b"\n"), pace)
    with site(route, serve, context) as reached, reached.client() as client:
        assert client.chat("Hi") == "Hello"
        with at_once():
            client._transport._try_release()


def test_unended_responses_share_the_grace_time() -> None:
    """Many responses that have not ended delay a question no more than one does."""
    with RawServer(dripping_after_answer(b"", SOON)) as server, Client(server.url) as client:
        for _ in range(40):
            assert client.chat("Hi") == "Hello"
        with at_once():
            client._transport._try_release()
        assert server.accepted == 40
