"""What follows an answer on its connection is never another answer, at whatever layer it waits."""

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
)
from urllib3.util.wait import wait_for_read

from chatgpt4online import ChatGPT4OnlineError, Client
from chatgpt4online._http import body

#: How a connection reaches the site: directly, or by a proxy that speaks HTTP or HTTPS.
WAYS = ["http", "https", "https by an http proxy", "https by an https proxy"]

#: An answer that nobody asked for.
POISON = reply("200 OK", end("Poison"))

WHOLE = FRAMINGS["length"].answer().bytes

#: An answer whose last chunk is missing.
UNFINISHED = head("200 OK", "Transfer-Encoding: chunked") + b"".join(map(chunk, HELLO))


def tunnel(peer: Peer) -> None:
    """Serve as a proxy that opens tunnels."""
    received = peer.receive()
    if received is not None:
        host, _, port = received.target.partition(":")
        peer.send(head("200 Connection established"))
        peer.relay(host, int(port))


class Site(NamedTuple):
    """A site, and the proxy that leads to it, if one does."""

    server: RawServer
    proxy: Optional[str]

    def client(self, session: Optional[requests.Session] = None) -> Client:
        """Return a client of the site."""
        return Client(self.server.url, proxy=self.proxy, session=session, timeout=SOON)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssl.SSLContext]:
    """Make a server's side of TLS that clients trust, and that may ask for certificates later."""
    with pytest.MonkeyPatch.context() as patch:
        context = tls_context(tmp_path_factory.mktemp("authority"), patch)
        context.verify_mode = ssl.CERT_OPTIONAL
        if ssl.HAS_TLSv1_3:
            context.post_handshake_auth = True
        yield context


@contextmanager
def site(way: str, serve: Serve, context: ssl.SSLContext) -> Iterator[Site]:
    """Start a site that is reached in this way."""
    with ExitStack() as stack:
        server = stack.enter_context(RawServer(serve, context if way != "http" else None))
        proxy = None
        if "proxy" in way:
            tls = context if "https proxy" in way else None
            proxy = stack.enter_context(RawServer(tunnel, tls)).url
        yield Site(server, proxy)


def padded(answer: bytes, size: int) -> bytes:
    """Return an answer, made that long by a header."""
    status, _, rest = answer.partition(b"\r\n")
    filler = size - len(answer) - len(b"X-Filler: \r\n")
    return b"%b\r\nX-Filler: %b\r\n%b" % (status, b"x" * filler, rest)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("framing", ["two chunks an event", "length+gzip"])
def test_nothing_follows(way: str, framing: str, context: ssl.SSLContext) -> None:
    """A connection is used again where nothing follows an answer, session tickets or not."""
    serve = answering(FRAMINGS[framing].answer().bytes)
    with site(way, serve, context) as reached, reached.client() as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert reached.server.accepted == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("framing", "size"),
    [*((name, 8192) for name in REUSABLE), *(("length", size) for size in (1000, 8150, 8193))],
)
def test_a_second_response_with_the_first(
    framing: str, size: int, way: str, context: ssl.SSLContext
) -> None:
    """
    A response that nobody asked for, in the same TLS record as an answer, answers no question.

    http.client reads blocks of 8,192 bytes: what follows is in its buffer, in the TLS layer, or in
    both.
    """
    serve = answering(padded(FRAMINGS[framing].answer().bytes, size) + POISON)
    with site(way, serve, context) as reached, reached.client() as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert reached.server.accepted == 3


def test_by_a_session_of_the_callers(context: ssl.SSLContext) -> None:
    """The same holds of a connection of the caller's session."""
    serve = answering(padded(WHOLE, 8192) + POISON)
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


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", BODILESS)
def test_a_second_response_behind_one_without_a_body(
    name: str, way: str, context: ssl.SSLContext
) -> None:
    """What follows a response without a body answers no question either."""
    size = 1000 if way == "http" else 8192
    serve = answering(padded(BODILESS[name], size) + POISON, WHOLE)
    with site(way, serve, context) as reached, reached.client() as client:
        with pytest.raises(ChatGPT4OnlineError):
            client.chat("Hi")
        assert client.chat("Hi") == "Hello"
        assert reached.server.accepted == 2


class Idle:
    """A site that does something to a connection once its answer was returned."""

    def __init__(self, deed: Callable[[Peer], None], answer: bytes = WHOLE) -> None:
        self._deed = deed
        self._answer = answer
        self._is_idle = threading.Semaphore(0)
        self._is_done = threading.Semaphore(0)

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        while peer.question():
            peer.send(self._answer)
            assert self._is_idle.acquire(timeout=SOON)
            self._deed(peer)
            self._is_done.release()

    def wait(self) -> None:
        """Wait until it is done."""
        self._is_idle.release()
        assert self._is_done.acquire(timeout=SOON)


def send_poison(peer: Peer) -> None:
    """Send a response that nobody asked for."""
    peer.send(POISON)


def send_record_without_data(peer: Any) -> None:
    """Send a record of TLS itself, as session tickets are: here, the wish for a certificate."""
    peer._sock.verify_client_post_handshake()
    peer._sock.do_handshake()


def say_goodbye(peer: Any) -> None:
    """End the TLS session, and leave the connection open."""
    peer._sock.settimeout(0.0)
    with pytest.raises(ssl.SSLWantReadError):
        peer._sock.unwrap()
    peer._sock.settimeout(None)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("deed", [send_poison, send_record_without_data, say_goodbye])
def test_what_comes_while_idle(
    deed: Callable[[Peer], None], way: str, context: ssl.SSLContext
) -> None:
    """
    A connection is not used once anything has come while it was idle, at whatever layer.

    A session ticket that comes late counts too: data might be behind it.
    """
    if deed is not send_poison and (way == "http" or not ssl.HAS_TLSv1_3):
        pytest.skip("needs TLS 1.3")
    idle = Idle(deed)
    with site(way, idle.serve, context) as reached, reached.client() as client:
        for number in range(3):
            assert client.chat("Hi") == "Hello"
            assert reached.server.accepted == number + 1
            idle.wait()
            wait_for_arrival(client)


def wait_for_arrival(client: Client) -> None:
    """Wait until bytes have reached a client's idle connection, through a proxy perhaps."""
    adapter: Any = client._transport._session.session.get_adapter("https://")
    maps = [each.pools for each in (adapter.poolmanager, *adapter.proxy_manager.values())]
    pools = [each[key] for each in maps for key in each.keys()]  # noqa: SIM118 - not a dict
    [connection] = [each for pool in pools for each in pool.pool._idle]
    assert wait_for_read(connection.sock, timeout=SOON)


@pytest.mark.parametrize("deed", [send_poison, say_goodbye])
def test_what_comes_with_the_end_of_a_response(
    deed: Callable[[Peer], None], context: ssl.SSLContext
) -> None:
    """A connection is not used where anything has come right behind the end of an answer."""

    def end_late(peer: Peer) -> None:
        peer.send(chunk(b""))
        deed(peer)

    idle = Idle(end_late, UNFINISHED)
    with RawServer(idle.serve, context) as server, Client(server.url) as client:
        for number in range(3):
            assert client.chat("Hi") == "Hello"
            assert server.accepted == number + 1
            idle.wait()


# Looking for what follows costs no time.


def dripping_on(piece: bytes, pace: float) -> Serve:
    """Serve a question with an answer that is complete, and then with the same piece again."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(UNFINISHED)
            peer.drip(piece, pace)

    return serve


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pace", [0.0, body.GRACE_TIME / 2])
def test_a_response_that_drips_on(pace: float, way: str, context: ssl.SSLContext) -> None:
    """A response that goes on after its answer delays the next question by the grace time."""
    serve = dripping_on(chunk(b"\n"), pace)
    with site(way, serve, context) as reached, reached.client() as client:
        assert client.chat("Hi") == "Hello"
        with at_once():
            client._transport._try_release()


def test_responses_that_have_not_ended_share_the_grace_time() -> None:
    """Any number of responses that have not ended delay a question no more than one does."""
    with RawServer(dripping_on(b"", SOON)) as server, Client(server.url) as client:
        for _ in range(40):
            assert client.chat("Hi") == "Hello"
        with at_once():
            client._transport._try_release()
        assert server.accepted == 40
