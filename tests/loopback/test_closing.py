"""Whatever ends a call from outside ends it at once, and leaves no connection behind."""

from __future__ import annotations

import contextlib
import gc
import linecache
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Callable, Dict, Iterator, List

import pytest
import requests
from support import (
    BUSY,
    FRAMINGS,
    HELLO,
    LATE,
    PHP,
    SOON,
    Peer,
    RawServer,
    Serve,
    answering,
    at_once,
    background,
    chunk,
    full_listener,
    head,
    holding,
    live,
    reply,
    session_reply,
    tls_context,
    wait_for,
)

import chatgpt4online
from chatgpt4online import Client, ProtocolError, Stream, StreamInterrupted
from chatgpt4online._http import body
from chatgpt4online.testing import Server

PACKAGE = str(Path(chatgpt4online.__file__).parent)

CHUNKED = head("200 OK", "Transfer-Encoding: chunked")
BIG = "x" * 6_000_000


@pytest.fixture(params=["plain", "TLS"])
def context(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Return a server's side of TLS, or None."""
    return tls_context(tmp_path, monkeypatch) if request.param == "TLS" else None


@pytest.fixture(params=["below urllib3", "by urllib3"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in each of the two ways."""
    if request.param == "by urllib3":
        monkeypatch.setattr(body, "_http_response", lambda raw: None)


def interrupted(future: Future[Any]) -> StreamInterrupted:
    """Return the error of a call that was closed, which it meets at once."""
    with at_once():
        error = future.exception(SOON)
    assert type(error) is StreamInterrupted
    return error


# Closing a stream.


def test_close_frees_a_reader(context: Any, way: None) -> None:
    """`Stream.close` from another thread frees a blocked reader at once, and returns at once."""
    serve = holding(CHUNKED, chunk(live("a")))
    with RawServer(serve, context) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        read: List[str] = []
        reader = background(lambda: read.extend(stream))
        wait_for(lambda: read)
        with at_once():
            stream.close()
        assert interrupted(reader).text == "a"
        server.gone.get(timeout=SOON)


def test_any_number_of_threads_may_close() -> None:
    """Closing a stream from many threads at once is closing it once."""
    with RawServer(holding(CHUNKED, chunk(live("a")))) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        reader = background(stream.result)
        closers = [background(stream.close) for _ in range(20)]
        assert interrupted(reader).text == "a"
        assert [closer.result(SOON) for closer in closers] == [None] * 20
        server.gone.get(timeout=SOON)


def test_a_closed_stream_says_so() -> None:
    """A stream that was closed before its end raises `StreamInterrupted`, and keeps its text."""
    with RawServer(holding(CHUNKED, chunk(live("a")))) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        assert next(stream) == "a"
        stream.close()
        stream.close()
        for read in (stream.result, lambda: next(stream), lambda: list(stream.events())):
            with pytest.raises(StreamInterrupted) as caught:
                read()
            assert caught.value.text == stream.text == "a"
            assert caught.value.site == server.url


def test_a_finished_stream_stays_whole() -> None:
    """Closing the client, or a finished stream, takes nothing from its answer."""
    with RawServer(answering(PHP.answer().bytes)) as server:
        with Client(server.url) as client:
            stream = client.stream("Hi")
            assert list(stream) == ["Hel", "lo"]
        stream.close()
        assert (stream.result(), stream.text, list(stream)) == ("Hello", "Hello", [])


# Closing the client.


healthy = answering(PHP.answer().bytes)


def silent_nonce(peer: Peer) -> None:
    """Never answer to start_session."""
    peer.receive()
    peer.wait_until_gone()


def deaf(peer: Peer) -> None:
    """Give a nonce, then read no more."""
    peer.receive()
    peer.send(session_reply())
    peer.sleep()


def come_back(peer: Peer) -> None:
    """Ask to come back later, once."""
    if peer.question():
        peer.send(reply("503 Service Unavailable", b"", "Retry-After: 30"))
        healthy(peer)


BLOCKED: Dict[str, Serve] = {
    "before the headers": holding(),
    "within the headers": holding(b"HTTP/1.1 200 OK\r\nX-"),
    "before the body": holding(CHUNKED),
    "in the body": holding(CHUNKED, chunk(live("a"))),
    "in start_session": silent_nonce,
    "while it sends": deaf,
    "before another try": come_back,
}


@pytest.mark.parametrize("where", BLOCKED)
def test_closing_the_client_frees_its_calls(where: str) -> None:
    """`Client.close` frees a blocked call at once, wherever it is, and returns at once."""
    message = BIG if "sends" in where else "Hi"
    with RawServer(BLOCKED[where]) as server, Client(server.url) as client:
        call = background(lambda: client.chat(message))
        wait_until_blocked(server, where)
        with at_once():
            client.close()
        assert interrupted(call).text == ("a" if where == "in the body" else "")


def wait_until_blocked(server: RawServer, where: str) -> None:
    """Wait until a call has come as far as it can."""
    if where in ("in start_session", "while it sends"):
        wait_for(lambda: server.sessions)
    else:
        wait_for(lambda: server.questions)
    sleep(0.02)  # it need not be blocked yet, but then another place is tested


def test_closing_the_client_ends_the_wait_for_a_connection() -> None:
    """`Client.close` frees a call that waits for a connection."""
    with full_listener() as address, Client(f"http://{address}") as client:
        call = background(lambda: client.chat("Hi"))
        sleep(0.05)
        client.close()
        interrupted(call)


class NoHandshake:
    """A server that never answers to a TLS handshake."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        peer.begins_tls()
        self.asked.set()
        peer.wait_until_gone()


def test_closing_the_client_ends_a_handshake() -> None:
    """`Client.close` frees a call that waits for a TLS handshake."""
    site = NoHandshake()
    with RawServer(site.serve) as server, Client(f"https://{server.address}") as client:
        call = background(lambda: client.chat("Hi"))
        assert site.asked.wait(SOON)
        client.close()
        interrupted(call)
        server.gone.get(timeout=SOON)


def test_closing_the_client_frees_those_who_wait_for_a_nonce() -> None:
    """`Client.close` frees every call that waits for a nonce, whoever fetches it."""
    with RawServer(silent_nonce) as server, Client(server.url) as client:
        calls: List[Future[Any]] = [background(lambda: client.chat("Hi")) for _ in range(5)]
        calls.append(background(lambda: client.nonce))
        wait_for(lambda: server.sessions and len(client._transport._calls) == len(calls))
        with at_once():
            client.close()
        for call in calls:
            interrupted(call)
        assert len(server.requests) == 1


def test_closing_the_client_closes_idle_connections() -> None:
    """`Client.close`, and leaving its ``with`` block, close the connections that are kept."""

    def serve(peer: Peer) -> None:
        while peer.question():
            peer.send(PHP.answer().bytes)
        peer.wait_until_gone()

    with RawServer(serve) as server:
        with Client(server.url) as client:
            assert client.chat("Hi") == "Hello"
            assert server.gone.empty()
        server.gone.get(timeout=SOON)


def test_closing_the_client_closes_a_response_that_does_not_end() -> None:
    """`Client.close` closes the connection of a complete answer whose response is held open."""
    answer = PHP.answer()
    with RawServer(holding(answer.head, *answer.parts)) as server:
        with Client(server.url) as client:
            assert client.chat("Hi") == "Hello"
        server.gone.get(timeout=SOON)


def test_a_closed_client_is_of_no_more_use() -> None:
    """A closed client refuses to ask; closing it again does nothing."""
    with RawServer(answering(PHP.answer().bytes)) as server:
        client = Client(server.url)
        client.close()
        client.close()
        for use in (lambda: client.chat("Hi"), lambda: client.stream("Hi"), lambda: client.nonce):
            with pytest.raises(ValueError, match="closed"):
                use()
        assert server.requests == []


def test_a_session_of_the_callers_stays_open() -> None:
    """`Client.close` ends calls over the caller's session, and leaves it usable."""
    answer = PHP.answer()

    def serve(peer: Peer) -> None:
        if len(server.questions) or peer.question():
            peer.send(answer.head + answer.parts[0])
            peer.wait_until_gone()

    with requests.Session() as session, RawServer(serve) as server:
        client = Client(server.url, session=session)
        stream = client.stream("Hi")
        assert next(stream) == "Hel"
        reader = background(stream.result)
        client.close()
        assert interrupted(reader).text == "Hel"
        server.gone.get(timeout=SOON)
        assert session.get(server.url, stream=True).status_code == 200


def test_a_deferred_body_of_a_closed_client_is_closed() -> None:
    """A response whose answer is complete when the client closes is not kept for its end."""
    answer = PHP.answer()
    with RawServer(holding(answer.head, *answer.parts)) as server:
        client = Client(server.url)
        assert client.chat("Hi") == "Hello"
        transport = client._transport
        body = transport._deferred.pop()
        client.close()
        assert server.gone.empty()
        transport.defer_release(body)
        server.gone.get(timeout=SOON)


# Ctrl-C.


needs_signals = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX only")


@contextlib.contextmanager
def ctrl_c(when: Callable[[], object]) -> Iterator[None]:
    """
    Press Ctrl-C in a block that runs in the main thread, a moment after something has happened.

    Python loses one that strikes just before a thread blocks, so it is pressed again if need be.
    """
    over = threading.Event()
    pressed: List[float] = []

    def press() -> None:
        when()
        wait = 0.05
        while not over.wait(wait):
            pressed.append(monotonic())
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            wait = 2.0

    presser = background(press)
    try:
        yield
    except KeyboardInterrupt:
        over.set()
    late = monotonic() - pressed[-1]
    assert presser.result(SOON) is None
    assert late < LATE + BUSY


@needs_signals
@pytest.mark.parametrize("where", BLOCKED)
def test_ctrl_c_ends_a_call(where: str) -> None:
    """Ctrl-C ends a call at once, wherever it is, closes its connection, and harms no other."""

    def serve(peer: Peer) -> None:
        (BLOCKED[where] if peer.number == 0 else healthy)(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        with ctrl_c(lambda: wait_until_blocked(server, where)):
            client.chat(BIG if "sends" in where else "Hi")
        if where not in ("while it sends", "before another try"):  # nobody is there to see it
            assert server.gone.get(timeout=SOON) == 0
        assert client.chat("Hi") == "Hello"


@needs_signals
def test_ctrl_c_ends_a_stream(context: Any, way: None) -> None:
    """Ctrl-C in a loop over a stream ends it at once, and closes its connection."""
    serve = holding(CHUNKED, chunk(live("a")))
    with RawServer(serve, context) as server, Client(server.url) as client:
        read: List[str] = []
        with ctrl_c(lambda: wait_for(lambda: read)):
            read.extend(client.stream("Hi"))
        server.gone.get(timeout=SOON)


@needs_signals
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_ends_a_handshake() -> None:
    """Ctrl-C ends a TLS handshake and its connection, though ssl leaves the socket unclosed."""
    site = NoHandshake()
    with RawServer(site.serve) as server, Client(f"https://{server.address}") as client:
        with ctrl_c(lambda: site.asked.wait(SOON)):
            client.chat("Hi")
        server.gone.get(timeout=SOON)
    gc.collect()  # or the socket that ssl has left would trouble another test


@needs_signals
def test_ctrl_c_ends_the_wait_for_a_nonce() -> None:
    """Ctrl-C in a thread that waits for another's nonce leaves that one alone."""
    go_on = threading.Event()

    def serve(peer: Peer) -> None:
        peer.receive()
        peer.wait(go_on)
        peer.send(session_reply())
        healthy(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        leader = background(lambda: client.chat("Hi"))
        wait_for(lambda: server.sessions)
        with ctrl_c(lambda: None):
            client.chat("Hi")
        go_on.set()
        assert leader.result(SOON) == "Hello"
        assert client.chat("Hi") == "Hello"


@needs_signals
def test_ctrl_c_in_the_thread_that_fetches_a_nonce_leaves_the_others_alone() -> None:
    """When Ctrl-C ends the call that fetches a nonce, another one that waits for it fetches it."""

    def serve(peer: Peer) -> None:
        (silent_nonce if peer.number == 0 else healthy)(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        others: List[Future[Any]] = []

        def join() -> None:
            wait_for(lambda: server.sessions)
            others.extend(background(lambda: client.chat("Hi")) for _ in range(5))

        with ctrl_c(join):
            client.chat("Hi")
        assert [other.result(SOON) for other in others] == ["Hello"] * 5
        assert len(server.sessions) == 2


class PressedAt:
    """A trace function that presses Ctrl-C at the n-th line of the package that runs."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, frame: Any, event: str, argument: object) -> Any:
        """Trace a call of a function."""
        is_ours = frame.f_code.co_filename.startswith(PACKAGE + os.sep)
        return self.line if is_ours and "testing" not in frame.f_code.co_filename else None

    def line(self, frame: Any, event: str, argument: object) -> Any:
        """Trace a line, except where a block is left: there, Python lets no signal in."""
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not line.lstrip().startswith("with "):
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.line


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_at_any_line_leaves_the_client_usable(server: Server) -> None:
    """Wherever Ctrl-C strikes in a call, the next call of the client is answered at once."""
    trace = sys.gettrace()
    for number in range(1, 10**6, 31):
        pressed = PressedAt(number)
        with Client(server.url) as client:
            with contextlib.suppress(KeyboardInterrupt):
                sys.settrace(pressed)
                try:
                    client.chat("Hi")
                finally:
                    sys.settrace(trace)
            with at_once():
                assert client.chat("Hello", deadline=SOON) == "Echo(1 msgs): Hello"
        if pressed.left:
            break
    assert number > 500


def test_a_stream_that_was_never_made_is_dropped_silently() -> None:
    """A stream that Ctrl-C kept from being made has nothing to free, and says nothing."""
    Stream.__new__(Stream).__del__()


# Leaving a stream.


def leave(stream: Stream) -> None:
    """Leave a stream's block."""
    with stream:
        assert next(stream) == "a"


def leave_by_an_error(stream: Stream) -> None:
    """Leave a stream's block by an error."""
    with pytest.raises(ZeroDivisionError), stream:
        raise ZeroDivisionError


def leave_loop(stream: Stream) -> None:
    """Leave a loop over a stream."""
    for _ in stream:
        break


def leave_loop_over_events(stream: Stream) -> None:
    """Leave a loop over a stream's events."""
    for _ in stream.events():
        break


def drop(stream: Stream) -> None:
    """Drop a stream."""


@pytest.mark.parametrize(
    "deed", [leave, leave_by_an_error, leave_loop, leave_loop_over_events, drop]
)
def test_a_stream_that_is_left_frees_its_connection(
    deed: Callable[[Stream], None], context: Any, way: None
) -> None:
    """Leaving a stream's block, or dropping the last reference to it, closes its connection."""
    serve = holding(CHUNKED, chunk(live("a")))
    with RawServer(serve, context) as server, Client(server.url) as client, at_once():
        deed(client.stream("Hi"))
        server.gone.get(timeout=SOON)


def test_an_error_frees_its_connection() -> None:
    """What is wrong with an answer closes its connection at once, though the error is kept."""
    serve = holding(CHUNKED, chunk(live("a")), chunk(b"data: nonsense\n\n"))
    with RawServer(serve) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        with pytest.raises(ProtocolError) as caught:
            stream.result()
        server.gone.get(timeout=SOON)
        assert caught.value.text == "a"


def test_a_stream_outlives_its_client() -> None:
    """A stream goes on though nothing refers to its client any more."""
    go_on = threading.Event()

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(CHUNKED + chunk(HELLO[0]))
        peer.wait(go_on)
        peer.send(b"".join(map(chunk, HELLO[1:])) + chunk(b""))

    with RawServer(serve) as server:
        stream = Client(server.url).stream("Hi")
        gc.collect()
        go_on.set()
        assert list(stream) == ["Hel", "lo"]


DROPPED = """
import gc, sys
from chatgpt4online import Client

def chat():
    client = Client(sys.argv[1])
    assert client.chat("Hi") == "Hello"

def streams():
    client = Client(sys.argv[1])
    whole, half = client.stream("Hi"), client.stream("Hi")
    assert list(whole) == ["Hel", "lo"] and next(half) == "Hel"

def cycle():
    client = Client(sys.argv[1])
    client.itself = client
    assert client.chat("Hi") == "Hello"

for deed in (chat, streams, cycle):
    deed()
    gc.collect()
"""


@pytest.mark.parametrize("framing", ["an event a chunk", "close", "without end"])
def test_what_is_dropped_is_closed(framing: str) -> None:
    """A client or stream that is dropped leaves no socket for the collector to warn of."""
    answer = FRAMINGS.get(framing, PHP).answer()
    if framing == "without end":
        answer = answer._replace(last=b"")
    command = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", DROPPED]
    with RawServer(answering(answer.bytes)) as server:
        done = subprocess.run(
            [*command, server.url], capture_output=True, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
