"""Time limits: `timeout` for connecting and for silence, `deadline` for the whole call."""

from __future__ import annotations

import gc
import logging
from pathlib import Path
from time import monotonic, sleep
from typing import Dict, Iterator, List

import pytest
import requests
from blocking import LARGE_MESSAGE, not_reading
from support import (
    HELLO,
    PHP,
    SOON,
    Peer,
    RawServer,
    Serve,
    answering,
    at_once,
    background,
    chunk,
    dripping,
    ends_after,
    full_listener,
    head,
    holding,
    live,
    reply,
    session_reply,
    tls_context,
    wait_for,
)

from chatgpt4online import (
    ChatGPT4OnlineError,
    Client,
    RateLimitError,
    ServerError,
    StreamInterrupted,
    Timeout,
)
from chatgpt4online._http import call
from chatgpt4online.testing import Server

#: Seconds: a limit, and a longer one before whose end something else has to happen.
LIMIT = 0.15
LONGER = 0.4

MAY_HAVE_RUN = "The site may have run the request"

CHUNKED = head("200 OK", "Transfer-Encoding: chunked")
UNTIL_CLOSE = head("200 OK", "Connection: close")


def start_session(begin: bytes, piece: bytes = b"") -> Serve:
    """Answer a request for a nonce with some bytes, then with the same piece again and again."""

    def serve(peer: Peer) -> None:
        peer.receive()
        peer.send(begin)
        if piece:
            peer.drip(piece, 0.02)
        peer.wait_until_gone()

    return serve


#: Servers that would make a call wait forever, by what they do.
SLOW: Dict[str, Serve] = {
    "silent before the headers": holding(),
    "silent within the status line": holding(b"HTTP/1.1 20"),
    "silent within the headers": holding(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "silent before the body": holding(CHUNKED),
    "silent within a chunk's size": holding(CHUNKED, b"4"),
    "silent within an event": holding(CHUNKED, chunk(live("a")[:10])),
    "silent after an event": holding(CHUNKED, chunk(live("a"))),
    "dripping header lines": dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "dripping bytes of a header": dripping(b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
    "dripping interim responses": dripping(b"", head("100 Continue")),
    "dripping events": dripping(CHUNKED, chunk(live("a"))),
    "dripping comments": dripping(CHUNKED, chunk(b": keepalive\n\n")),
    "dripping empty events": dripping(CHUNKED, chunk(b"data: \n\n")),
    "dripping blank lines": dripping(CHUNKED, chunk(b"\n")),
    "dripping a chunk's size": dripping(CHUNKED, b"0"),
    "dripping single bytes": dripping(CHUNKED + chunk(b'data: {"type":"live"'), chunk(b" ")),
    "dripping until it closes": dripping(UNTIL_CLOSE + live("a"), b" "),
    "dripping JSON": dripping(UNTIL_CLOSE + b'{"success": true, ', b" "),
    "dripping trailers": dripping(CHUNKED + b"0\r\n", b"X-A: b\r\n"),
    "not reading a large question": not_reading,
    "silent in start_session": start_session(b""),
    "silent within start_session": start_session(head("200 OK", "Content-Length: 9") + b"{"),
    "dripping start_session": start_session(head("200 OK", "Content-Length: 9999") + b"{", b" "),
    "dripping the headers of start_session": start_session(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_deadline_ends_a_call_on_time(name: str) -> None:
    """A call ends at its deadline, whatever the server does to keep it waiting."""
    message = LARGE_MESSAGE if "large" in name else "Hi"
    with RawServer(SLOW[name]) as server, Client(server.url) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat(message, deadline=LIMIT)
        assert caught.value.phase == "deadline"
        assert caught.value.site == server.url
        if "large" not in name and server.accepted:  # else it does not notice
            server.gone.get(timeout=SOON)


@pytest.mark.parametrize(
    "name",
    [
        "silent before the headers",
        "dripping bytes of a header",
        "dripping events",
        "silent after an event",
        "not reading a large question",
        "dripping start_session",
    ],
)
def test_a_deadline_ends_a_call_over_tls_on_time(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call over TLS ends at its deadline."""
    message = LARGE_MESSAGE if "large" in name else "Hi"
    context = tls_context(tmp_path, monkeypatch)
    with RawServer(SLOW[name], context) as server, Client(server.url) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat(message, deadline=LIMIT)
        assert caught.value.phase == "deadline"


SERVER_HELLO = b"\x16\x03\x03\x40\x00\x02"  # the beginning of a TLS record of 16 KiB


def silent_in_handshake(peer: Peer) -> None:
    """Never answer a TLS handshake."""
    peer.wait_until_gone()


def dripping_in_handshake(peer: Peer) -> None:
    """Answer a TLS handshake byte by byte."""
    peer.send(SERVER_HELLO)
    peer.drip(b"\x00", 0.02)


@pytest.mark.parametrize("serve", [silent_in_handshake, dripping_in_handshake])
@pytest.mark.parametrize("proxied", [False, True])
def test_a_deadline_ends_a_handshake_on_time(serve: Serve, proxied: bool) -> None:
    """A TLS handshake ends at the call's deadline, through a proxy too."""

    def proxy(peer: Peer) -> None:
        peer.receive()
        peer.send(head("200 OK"))
        peer.begins_tls()
        serve(peer)

    with RawServer(proxy if proxied else serve) as server:
        site = "https://bot.invalid" if proxied else f"https://{server.address}"
        with Client(site, proxy=server.url if proxied else None) as client:
            with ends_after(LIMIT), pytest.raises(Timeout) as caught:
                client.chat("Hi", deadline=LIMIT)
            assert caught.value.phase == "deadline"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "serve", [start_session(b""), start_session(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")]
)
def test_a_deadline_ends_the_wait_for_a_proxy_on_time(serve: Serve) -> None:
    """A call ends at its deadline if the proxy does not open a tunnel."""
    with RawServer(serve) as server, Client("https://bot.invalid", proxy=server.url) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"
    del caught
    gc.collect()  # in Python 3.8, http.client does not close a proxy's incomplete response


def test_a_deadline_holds_for_a_stream_that_is_read() -> None:
    """An endless stream ends at its deadline; the error has the text so far."""
    deltas: List[str] = []
    with RawServer(dripping(CHUNKED, chunk(live("a")))) as server, Client(server.url) as client:
        with ends_after(LONGER), pytest.raises(Timeout) as caught:
            deltas.extend(client.stream("Hi", deadline=LONGER))
        assert len(deltas) > 1
        assert caught.value.text == "".join(deltas)
        assert caught.value.phase == "deadline"


def test_a_deadline_holds_for_a_stream_that_nobody_reads() -> None:
    """A stream's connection is closed at the deadline, even if nobody is reading it."""
    with RawServer(holding(CHUNKED, chunk(live("a")))) as server, Client(server.url) as client:
        with ends_after(LONGER):
            stream = client.stream("Hi", deadline=LONGER)
            server.gone.get(timeout=SOON)
        with at_once(), pytest.raises(Timeout) as caught:
            list(stream)
        assert caught.value.phase == "deadline"


def test_a_stream_past_its_deadline_raises_again() -> None:
    """A stream whose deadline has passed raises the same error at each use."""
    with RawServer(holding(CHUNKED, chunk(live("a")))) as server, Client(server.url) as client:
        stream = client.stream("Hi", deadline=LONGER)
        errors = []
        for _ in range(2):
            with pytest.raises(Timeout) as caught:
                stream.result()
            errors.append(caught.value)
        assert errors[0] is errors[1]
        assert errors[0].text == stream.text == "a"


@pytest.mark.parametrize("status", ["500 Oops", "301 Moved"])
def test_a_deadline_ends_a_refusal_on_time(status: str) -> None:
    """A refusal whose body never ends is raised at the deadline."""
    serve = dripping(head(status, "Location: /", "Transfer-Encoding: chunked"), chunk(b"<"))
    with RawServer(serve) as server, Client(server.url) as client:
        with ends_after(LIMIT), pytest.raises(ChatGPT4OnlineError):
            client.chat("Hi", deadline=LIMIT)
        server.gone.get(timeout=SOON)


@pytest.mark.parametrize("piece", ["< ", "<a>", "</a>", "<!---->"])
def test_a_deadline_holds_while_a_page_is_read(piece: str) -> None:
    """Parsing a hostile page ends at the deadline."""
    page = piece * (4_000_000 // len(piece))
    serve = answering(reply("200 OK", page.encode()))
    with RawServer(serve) as server, Client(server.url, deadline=0.5) as client:
        with ends_after(0.5), pytest.raises(Timeout) as caught:
            client.bots("/")
        assert caught.value.phase == "deadline"
        assert MAY_HAVE_RUN not in str(caught.value)


def test_a_deadline_ends_the_wait_for_another_threads_nonce() -> None:
    """A call that waits for a nonce that another call fetches ends at its own deadline."""
    with RawServer(start_session(b"")) as server, Client(server.url) as client:
        owner = background(lambda: client.chat("Hi"))
        wait_for(lambda: server.sessions)
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"
        assert not owner.done()
        client.close()
        assert isinstance(owner.exception(SOON), StreamInterrupted)
        assert len(server.sessions) == 1


@pytest.mark.parametrize(
    ("route", "may_have_run"), [("chats/submit", True), ("start_session", False)]
)
@pytest.mark.parametrize("own", [True, False], ids=["own", "user"])
def test_a_deadline_says_what_may_have_run(
    route: str, may_have_run: bool, own: bool, server: Server
) -> None:
    """A deadline's error says that the site may have run the question only if it had been sent."""
    with requests.Session() as session:
        client = Client(server.url, session=None if own else session)
        client.chat("Hi")
        server.expire_nonce()
        server.stalls(route=route)
        with client, pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert (MAY_HAVE_RUN in str(caught.value)) == may_have_run


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_a_retry_after_the_deadline_raises_at_once(status: str) -> None:
    """A `Retry-After` that is later than the deadline raises at once."""
    answer = reply(status, b"", "Retry-After: 5")
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        with at_once(), pytest.raises((RateLimitError, ServerError)) as caught:
            client.chat("Hi", deadline=4)
        assert caught.value.retry_after == 5
        assert len(server.questions) == 1


def test_a_deadline_after_a_refusal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the deadline passes while a refused question waits to be sent again, it has not run."""
    caplog.set_level(logging.DEBUG)
    limit = 60.0

    def clock() -> float:
        return monotonic() + (limit if "sent again" in caplog.text else 0.0)

    monkeypatch.setattr(call, "monotonic", clock)
    answer = reply("429 Too Many Requests", b"", "Retry-After: 0")
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        with pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=limit)
        assert caught.value.phase == "deadline"
        assert MAY_HAVE_RUN not in str(caught.value)
        assert len(server.questions) == 1


def test_attempts_share_one_deadline() -> None:
    """The deadline applies to all attempts together."""
    answer = reply("503 Service Unavailable", b"", "Retry-After: 0")

    def serve(peer: Peer) -> None:
        while peer.question():
            sleep(0.02)
            peer.send(answer)

    with RawServer(serve) as server, Client(server.url, retries=10**6) as client:
        with ends_after(LONGER), pytest.raises((Timeout, ServerError)):
            client.chat("Hi", deadline=LONGER)
        assert len(server.questions) > 1


# Sessions of the caller's.


@pytest.mark.parametrize(
    "name",
    [
        "silent before the headers",  # the read timeout is what remains of the deadline
        "silent after an event",
        "dripping events",
        "dripping a chunk's size",
        "dripping single bytes",
        "dripping until it closes",
    ],
)
def test_a_deadline_holds_for_a_user_session(name: str) -> None:
    """A deadline ends a call over the caller's session once its headers have arrived."""
    with RawServer(SLOW[name]) as server, requests.Session() as session:
        client = Client(server.url, session=session)
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"
        server.gone.get(timeout=SOON)


# Connect and read timeouts.


@pytest.fixture
def full() -> Iterator[str]:
    """Return the address of a listener that accepts no more connections."""
    with full_listener() as address:
        yield address


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connecting_has_a_limit(full: str, scheme: str) -> None:
    """A connection that takes longer than the connect timeout raises `Timeout`."""
    with Client(f"{scheme}://{full}", timeout=(LIMIT, SOON), retries=0) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi")
        assert caught.value.phase == "connect"


def test_connecting_is_within_the_deadline(full: str) -> None:
    """A call that cannot connect ends at its deadline."""
    with Client(f"http://{full}", timeout=SOON) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"


SILENT = [name for name in SLOW if "silent" in name]


@pytest.mark.parametrize("name", SILENT)
def test_silence_has_a_limit(name: str) -> None:
    """A silence longer than the read timeout raises `Timeout`, and the question is not repeated."""
    with RawServer(SLOW[name]) as server, Client(server.url, timeout=(SOON, LIMIT)) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi")
        assert caught.value.phase == "read"
        assert caught.value.text == ("a" if "after an event" in name else "")
        server.gone.get(timeout=SOON)


def test_silence_over_tls_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The read timeout holds over TLS too."""
    context = tls_context(tmp_path, monkeypatch)
    with RawServer(SLOW["silent after an event"], context) as server:
        client = Client(server.url, timeout=(SOON, LIMIT))
        with client, ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi")
        assert (caught.value.phase, caught.value.text) == ("read", "a")


def test_any_byte_restarts_the_read_timeout() -> None:
    """An answer may take longer than the read timeout as long as bytes keep arriving."""

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(CHUNKED)
        for _ in range(6):
            sleep(LONGER / 4)
            peer.send(chunk(b": keepalive\n\n"))
        peer.send(b"".join(map(chunk, HELLO)) + chunk(b""))

    with RawServer(serve) as server, Client(server.url, timeout=LONGER) as client:
        assert client.chat("Hi") == "Hello"


def test_sending_has_the_read_timeout() -> None:
    """Sending a question may take longer than the connect timeout."""

    def serve(peer: Peer) -> None:
        peer.receive()
        peer.send(session_reply())
        sleep(2 * LIMIT)
        peer.question()
        peer.send(PHP.answer().bytes)

    with RawServer(serve) as server, Client(server.url, timeout=(LIMIT, SOON)) as client:
        assert client.chat(LARGE_MESSAGE) == "Hello"


def test_a_site_that_does_not_read() -> None:
    """A site that reads nothing for longer than the read timeout raises `Timeout`."""
    with RawServer(not_reading) as server, Client(server.url, timeout=(SOON, LIMIT)) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat(LARGE_MESSAGE)
        assert caught.value.phase == "read"
        assert len(server.requests) == 1


def test_limits_of_a_call_override_the_clients() -> None:
    """The limits given to a call override those of the client."""
    with RawServer(holding()) as server, Client(server.url, timeout=LIMIT) as client:
        with ends_after(2 * LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", timeout=SOON, deadline=2 * LIMIT)
        assert caught.value.phase == "deadline"
    with RawServer(holding()) as server, Client(server.url, deadline=LIMIT) as client:
        with ends_after(2 * LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", timeout=SOON, deadline=2 * LIMIT)
        with ends_after(LIMIT), pytest.raises(Timeout):
            client.chat("Hi", timeout=SOON)


@pytest.mark.parametrize("own", [True, False], ids=["own session", "user session"])
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_statuses_without_a_body(*, own: bool, status: str) -> None:
    """A status that has no body ends its answer, whatever framing its headers announce."""
    answer = head(status, "Transfer-Encoding: chunked")
    with RawServer(holding(answer)) as server, requests.Session() as session:
        client = Client(server.url, session=None if own else session)
        with client, at_once(), pytest.raises(ChatGPT4OnlineError):
            client.chat("Hi")
