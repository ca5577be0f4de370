"""A call: its time limits, and ending it from elsewhere."""

from __future__ import annotations

import _thread
import socket
import threading
from typing import Any, List

import pytest
from support import SOON, background, wait_for

from chatgpt4online._http import deadlines
from chatgpt4online._http.call import Call, CallEnded, Wakeup, current_call, shut_down
from chatgpt4online._http.nonce import Nonce


class Wrapped:
    """A socket as other TLS libraries wrap it."""

    def __init__(self, sock: Any) -> None:
        self.socket = sock


def is_shut(sock: socket.socket) -> bool:
    """Return whether the other side of a pair sees that this one was shut down."""
    sock.settimeout(0)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False


def test_no_deadline() -> None:
    """Without a deadline, time limits stay as they are."""
    call = Call((1.0, 2.0))
    assert call.remaining() is None
    assert (call.within(None), call.within(5.0)) == (None, 5.0)
    call.raise_if_ended()


def test_deadline() -> None:
    """A deadline bounds every time limit, and what remains of it only shrinks."""
    call = Call(deadline=1000.0)
    first, second = call.remaining(), call.remaining()
    assert first is not None
    assert second is not None
    assert 999.0 < second <= first <= 1000.0
    assert call.within(5.0) == 5.0
    limit = call.within(None)
    assert limit is not None
    assert limit <= second
    call.finish()


def test_deadline_passes() -> None:
    """A call whose deadline has passed has ended, and says why."""
    call = Call(deadline=1e-9)
    while call.remaining():
        pass
    with pytest.raises(CallEnded):
        call.raise_if_ended()
    assert (call.ended, call.remaining(), call.within(5.0)) == ("deadline", 0.0, 0.0)


def test_a_deadline_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread is left, a call can be made, and keeps its deadline."""

    def start(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(deadlines, "start_new_thread", start)
    monkeypatch.setattr(deadlines, "_watcher", deadlines._Watcher())
    call = Call(deadline=0.05)
    call.raise_if_ended()
    with pytest.raises(CallEnded):
        call.wait(SOON)
    assert call.ended == "deadline"
    call.finish()


def test_one_thread_for_all_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines end their calls in their order, whatever their number, in one thread."""
    started: List[object] = []

    def start(run: Any, args: Any) -> None:
        started.append(run)
        _thread.start_new_thread(run, args)

    monkeypatch.setattr(deadlines, "start_new_thread", start)
    monkeypatch.setattr(deadlines, "_watcher", deadlines._Watcher())
    late = [Call(deadline=1000.0) for _ in range(3)]
    soon = [Call(deadline=0.01) for _ in range(3)]
    wait_for(lambda: all(call.ended for call in soon))
    assert [call.ended for call in late] == [None] * 3
    assert len(started) == 1


def test_entries_of_finished_calls_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many calls with a long deadline leave nothing behind."""
    monkeypatch.setattr(deadlines, "_MIN_TO_PRUNE", 10)
    watcher = deadlines._Watcher()
    monkeypatch.setattr(deadlines, "_watcher", watcher)
    entries: List[Any] = []
    monkeypatch.setattr(watcher, "_run", lambda: watcher._end_calls(entries))
    for _ in range(1000):
        Call(deadline=1000.0).finish()
    last = Call(deadline=0.01)
    wait_for(lambda: last.ended is not None)
    assert len(entries) < 100


def test_end_shuts_the_socket() -> None:
    """Ending a call shuts down its socket. The first reason stays."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        call = Call()
        call.watch(ours)
        assert not is_shut(theirs)
        call.end("closed")
        call.end("deadline")
        assert is_shut(theirs)
        assert call.ended == "closed"
        with pytest.raises(CallEnded):
            call.raise_if_ended()


def test_end_before_the_socket() -> None:
    """A call that was ended shuts down a socket that it gets later."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        call = Call()
        call.end("closed")
        call.watch(ours)
        assert is_shut(theirs)


def test_release() -> None:
    """A released socket is not shut down; `release` returns whether it was in time."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        call = Call()
        call.watch(ours)
        assert call.release()
        call.end("closed")
        assert not is_shut(theirs)
        assert not call.release()


def test_finish() -> None:
    """A finished call cannot be ended anymore."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        call = Call(deadline=1000.0)
        call.watch(ours)
        call.finish()
        call.end("closed")
        assert call.ended is None
        assert not is_shut(theirs)
        call.raise_if_ended()


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_shut_what_is_wrapped(depth: int) -> None:
    """A socket is shut down however deeply it is wrapped."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sock: Any = ours
        for _ in range(depth):
            sock = Wrapped(sock)
        shut_down(sock)
        assert is_shut(theirs)


class Green:
    """A socket as eventlet's: not a subclass of the real one, with methods in its attributes."""

    def __init__(self, sock: socket.socket) -> None:
        self.shutdown = sock.shutdown


def test_shut_a_green_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket is shut down where eventlet has replaced `socket.socket`, too."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setattr(socket, "socket", Green)
        shut_down(Green(ours))
        assert is_shut(theirs)


@pytest.mark.parametrize("sock", [None, object(), Wrapped(None)])
def test_shut_nothing(sock: Any) -> None:
    """Anything that is not a socket is ignored."""
    shut_down(sock)


def test_shut_what_is_not_connected() -> None:
    """A socket that is closed or not connected is ignored."""
    with socket.socket() as sock:
        shut_down(sock)
    shut_down(sock)


def test_wait() -> None:
    """A wait ends with its time, or at once if it was woken before; a wakeup ends one wait."""
    call, wakeup = Call(), Wakeup()
    assert not call.wait(0.001, wakeup)
    wakeup.set()
    wakeup.set()
    assert call.wait(1000.0, wakeup)
    assert not call.wait(0.001, wakeup)


@pytest.mark.parametrize("has_waited", [False, True])
def test_wait_after_the_end(has_waited: bool) -> None:
    """Nobody waits in a call that has been ended."""
    call = Call()
    if has_waited:
        call.wait(0.001)
    call.end("closed")
    for _ in range(2):
        with pytest.raises(CallEnded):
            call.wait(1000.0)


def test_end_ends_a_wait() -> None:
    """Ending a call wakes the thread that waits in it."""
    call = Call()
    waiting = background(lambda: call.wait(1000.0))
    wait_for(lambda: call._wakeup is not None)
    call.end("closed")
    assert isinstance(waiting.exception(SOON), CallEnded)


def test_deadline_ends_a_wait() -> None:
    """A wait ends at the deadline."""
    call = Call(deadline=0.01)
    with pytest.raises(CallEnded):
        call.wait(1000.0)
    assert call.ended == "deadline"


def test_a_call_within_a_call() -> None:
    """A signal handler may make a call within a call; the outer one is current again after it."""
    outer, inner = Call(), Call()
    before = current_call.get()  # Ctrl-C of an earlier test may have struck before a call had left
    with outer:
        with inner:
            assert current_call.get() is inner
        assert current_call.get() is outer
    assert current_call.get() is before


def test_waiting_calls_go_on_once_the_nonce_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that wait for another one's nonce go on as soon as it is there, without polling."""
    monkeypatch.setattr("chatgpt4online._http.nonce._POLL_INTERVAL", 3600.0)
    nonce, owner = Nonce(), Call()
    fetching, go_on = threading.Event(), threading.Event()

    def fetch(_: Call) -> str:
        fetching.set()
        assert go_on.wait(SOON)
        return "0123456789"

    first = background(lambda: nonce.get(owner, fetch))
    assert fetching.wait(SOON)
    pending: Any = nonce._pending
    others = [background(lambda: nonce.get(Call(), fetch)) for _ in range(3)]
    wait_for(lambda: len(pending._waiting) == len(others))
    go_on.set()
    assert {future.result(SOON).value for future in [first, *others]} == {"0123456789"}
    assert not owner.finished


def test_the_owner_of_a_fetch_is_known() -> None:
    """A call is the one that fetches the nonce until it is there, and no other is."""
    nonce, owner, other = Nonce(), Call(), Call()
    fetches: List[bool] = []

    def fetch(_: Call) -> str:
        fetches.extend(map(nonce.is_fetched_by, (owner, other)))
        return "0123456789"

    nonce.get(owner, fetch)
    assert fetches == [True, False]
    assert not nonce.is_fetched_by(owner)
