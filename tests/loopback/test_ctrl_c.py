"""Ctrl-C ends a call at once, closes its connection, and leaves the client usable."""

from __future__ import annotations

import contextlib
import gc
import linecache
import os
import signal
import ssl
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from time import monotonic
from typing import Any, Callable, Iterator, List, Optional

import pytest
from blocking import (
    BLOCKING,
    CHUNKED,
    SilentHandshake,
    healthy,
    message_for,
    silent_nonce,
    wait_until_blocked,
)
from support import (
    SOON,
    TOLERANCE,
    Peer,
    RawServer,
    at_once,
    background,
    chunk,
    holding,
    live,
    session_reply,
    wait_for,
)

import chatgpt4online
from chatgpt4online import Client, Stream
from chatgpt4online.testing import Server

PACKAGE = str(Path(chatgpt4online.__file__).parent)

needs_signals = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX only")


@contextlib.contextmanager
def ctrl_c_after(wait_for_it: Callable[[], object]) -> Iterator[None]:
    """
    Press Ctrl-C in a block of the main thread, just after `wait_for_it` returns; check the delay.

    Python misses a Ctrl-C that arrives just before a thread blocks: it is pressed until it works.
    """
    interrupted = threading.Event()
    pressed: List[float] = []

    def press() -> None:
        wait_for_it()
        wait = 0.05
        while not interrupted.wait(wait):
            pressed.append(monotonic())
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            wait = 2.0

    presser = background(press)
    try:
        yield
    except KeyboardInterrupt:
        interrupted.set()
    delay = monotonic() - pressed[-1]
    assert presser.result(SOON) is None
    assert delay < TOLERANCE, f"it ended {delay:.3f} s after its time"


@needs_signals
@pytest.mark.parametrize("point", BLOCKING)
def test_ctrl_c_ends_a_call(point: str) -> None:
    """Ctrl-C ends a call wherever it is blocked, closes its connection, and affects no other."""

    def serve(peer: Peer) -> None:
        (BLOCKING[point] if peer.number == 0 else healthy)(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        with ctrl_c_after(lambda: wait_until_blocked(server, point)):
            client.chat(message_for(point))
        if point not in ("while sending", "before a retry"):  # the server is not reading then
            assert server.gone.get(timeout=SOON) == 0
        assert client.chat("Hi") == "Hello"


@needs_signals
@pytest.mark.usefixtures("read_path")
def test_ctrl_c_ends_a_stream(tls: Optional[ssl.SSLContext]) -> None:
    """Ctrl-C in a loop over a stream ends it at once, and closes its connection."""
    serve = holding(CHUNKED, chunk(live("a")))
    with RawServer(serve, tls) as server, Client(server.url) as client:
        deltas: List[str] = []
        with ctrl_c_after(lambda: wait_for(lambda: deltas)):
            deltas.extend(client.stream("Hi"))
        server.gone.get(timeout=SOON)


@needs_signals
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_ends_a_handshake() -> None:
    """Ctrl-C ends a TLS handshake and its connection, though ssl does not close the socket."""
    site = SilentHandshake()
    with RawServer(site.serve) as server, Client(f"https://{server.address}") as client:
        with ctrl_c_after(lambda: site.begun.wait(SOON)):
            client.chat("Hi")
        server.gone.get(timeout=SOON)
    gc.collect()  # else the socket that ssl left open causes a warning in another test


@needs_signals
def test_ctrl_c_ends_the_wait_for_a_nonce() -> None:
    """Ctrl-C in a thread that waits for a nonce does not affect the thread that fetches it."""
    proceed = threading.Event()

    def serve(peer: Peer) -> None:
        peer.receive()
        peer.wait(proceed)
        peer.send(session_reply())
        healthy(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        owner = background(lambda: client.chat("Hi"))
        wait_for(lambda: server.sessions)
        with ctrl_c_after(lambda: None):
            client.chat("Hi")
        proceed.set()
        assert owner.result(SOON) == "Hello"
        assert client.chat("Hi") == "Hello"


@needs_signals
def test_ctrl_c_during_a_nonce_fetch_does_not_affect_waiting_calls() -> None:
    """When Ctrl-C ends the call that fetches a nonce, one of the waiting calls fetches it."""

    def serve(peer: Peer) -> None:
        (silent_nonce if peer.number == 0 else healthy)(peer)

    with RawServer(serve) as server, Client(server.url) as client:
        others: List[Future[Any]] = []

        def join() -> None:
            wait_for(lambda: server.sessions)
            others.extend(background(lambda: client.chat("Hi")) for _ in range(5))

        with ctrl_c_after(join):
            client.chat("Hi")
        assert [other.result(SOON) for other in others] == ["Hello"] * 5
        assert len(server.sessions) == 2


class InterruptAtLine:
    """A trace function that presses Ctrl-C at the n-th executed line of the package."""

    def __init__(self, number: int) -> None:
        self.remaining = number

    def __call__(self, frame: Any, event: str, argument: object) -> Any:
        """Trace a call of a function."""
        is_ours = frame.f_code.co_filename.startswith(PACKAGE + os.sep)
        return self.line if is_ours and "testing" not in frame.f_code.co_filename else None

    def line(self, frame: Any, event: str, argument: object) -> Any:
        """Trace a line, except where a ``with`` block exits: Python delivers no signal there."""
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not line.lstrip().startswith("with "):
            self.remaining -= 1
            if self.remaining == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.line


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_at_any_line_leaves_the_client_usable(server: Server) -> None:
    """Wherever Ctrl-C interrupts a call, the client's next call succeeds at once."""
    trace = sys.gettrace()
    for number in range(1, 10**6, 97):
        interrupt = InterruptAtLine(number)
        with Client(server.url) as client:
            with contextlib.suppress(KeyboardInterrupt):
                sys.settrace(interrupt)
                try:
                    client.chat("Hi")
                finally:
                    sys.settrace(trace)
            with at_once():
                assert client.chat("Hello", deadline=SOON) == "Echo(1 msgs): Hello"
        if interrupt.remaining:
            break
    assert number > 500


def test_ctrl_c_keeps_whole_exchanges(client: Client) -> None:
    """Wherever Ctrl-C interrupts a conversation, it has both turns of an exchange or neither."""
    trace = sys.gettrace()
    reply = client.chat("Hi")
    for number in range(1, 10**6):
        interrupt, talk = InterruptAtLine(number), client.conversation()
        with contextlib.suppress(KeyboardInterrupt):
            sys.settrace(interrupt)
            try:
                talk._keep("Hi", reply)
            finally:
                sys.settrace(trace)
        assert len(talk.messages) in (0, 2)
        if interrupt.remaining:
            break
    assert len(talk.messages) == 2
    assert number > 3


def test_the_finalizer_of_an_uninitialized_stream_does_nothing() -> None:
    """A stream whose constructor Ctrl-C interrupted can be finalized without an error."""
    Stream.__new__(Stream).__del__()
