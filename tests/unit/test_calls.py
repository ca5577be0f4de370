"""A call in progress: its time, how it is ended, and what its end reaches."""

from __future__ import annotations

import socket
import threading
from typing import Any, List

import pytest
from support import SOON, background, wait_for

from chatgpt4online import _auth
from chatgpt4online._call import Call, CallEnded, shut


class Wrapped:
    """A socket as other TLS libraries wrap it."""

    def __init__(self, sock: Any) -> None:
        self.socket = sock


def is_shut(sock: socket.socket) -> bool:
    """Return whether the other side of a pair sees that this one has been shut."""
    sock.settimeout(0)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False


def test_no_deadline() -> None:
    """Without a deadline, time limits are as they are given."""
    call = Call((1.0, 2.0))
    assert call.remaining() is None
    assert (call.within(None), call.within(5.0)) == (None, 5.0)
    call.check()


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
        call.check()
    assert (call.ended, call.remaining(), call.within(5.0)) == ("deadline", 0.0, 0.0)


def test_a_deadline_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no thread left, a call can be made, and keeps to its deadline."""

    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    call = Call(deadline=0.05)
    call.check()
    assert not call.wait(SOON)
    with pytest.raises(CallEnded):
        call.check()
    assert call.ended == "deadline"
    call.finish()


def test_ctrl_c_while_a_deadline_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C that breaks into the start of a thread stays what it is."""

    def start(_: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("release unlocked lock")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KeyboardInterrupt):
        Call(deadline=SOON)


def test_end_shuts_the_socket() -> None:
    """Ending a call shuts the socket that it is blocked on, once, and says why; it stays ended."""
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
            call.check()


def test_end_before_the_socket() -> None:
    """A call that has been ended shuts the socket that it gets later."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        call = Call()
        call.end("closed")
        call.watch(ours)
        assert is_shut(theirs)


def test_release() -> None:
    """A socket that has been let go is no longer reached; whether it was in time is told."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        call = Call()
        call.watch(ours)
        assert call.release()
        call.end("closed")
        assert not is_shut(theirs)
        assert not call.release()


def test_finish() -> None:
    """A finished call cannot be ended any more."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        call = Call(deadline=1000.0)
        call.watch(ours)
        call.finish()
        call.end("closed")
        assert call.ended is None
        assert not is_shut(theirs)
        call.check()


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_shut_what_is_wrapped(depth: int) -> None:
    """A socket is shut however deep it is wrapped."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sock: Any = ours
        for _ in range(depth):
            sock = Wrapped(sock)
        shut(sock)
        assert is_shut(theirs)


@pytest.mark.parametrize("sock", [None, object(), Wrapped(None)])
def test_shut_nothing(sock: Any) -> None:
    """What is no socket is passed over."""
    shut(sock)


def test_shut_what_is_not_connected() -> None:
    """A socket that is not connected, or closed, is passed over."""
    with socket.socket() as sock:
        shut(sock)
    shut(sock)


def test_wait() -> None:
    """A wait ends with its time, or at once if the call has been woken before; a wake ends one."""
    call = Call()
    assert not call.wait(0.001)
    call.wake()
    assert call.wait(1000.0)
    assert not call.wait(0.001)


@pytest.mark.parametrize("has_waited", [False, True])
def test_wait_after_the_end(has_waited: bool) -> None:
    """Nobody waits in a call that has been ended."""
    call = Call()
    if has_waited:
        call.wait(0.001)
    call.end("closed")
    assert call.wait(1000.0)
    assert call.wait(1000.0)


def test_end_ends_a_wait() -> None:
    """Ending a call wakes the thread that waits in it."""
    call = Call()
    waits = threading.Thread(target=call.wait, args=(1000.0,))
    waits.start()
    call.end("closed")
    waits.join(10.0)
    assert not waits.is_alive()


def test_deadline_ends_a_wait() -> None:
    """A wait is no longer than what remains until the deadline."""
    call = Call(deadline=0.01)
    call.wait(1000.0)
    with pytest.raises(CallEnded):
        call.check()
    assert call.ended == "deadline"


def test_who_waits_for_a_nonce_goes_on_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that wait for another one's nonce go on as soon as it is there, and look no earlier."""
    monkeypatch.setattr(_auth, "_GLANCE", 3600.0)
    nonce, leader = _auth.Nonce(), Call()
    fetching, go_on = threading.Event(), threading.Event()

    def fetch(_: Call) -> str:
        fetching.set()
        assert go_on.wait(SOON)
        return "0123456789"

    first = background(lambda: nonce.ticket(leader, fetch))
    assert fetching.wait(SOON)
    flight: Any = nonce._flight
    others = [background(lambda: nonce.ticket(Call(), fetch)) for _ in range(3)]
    wait_for(lambda: len(flight._waiting) == len(others))
    go_on.set()
    assert {future.result(SOON) for future in [first, *others]} == {_auth.Ticket("0123456789", 1)}
    assert not leader.over


def test_who_fetches_a_nonce_is_known() -> None:
    """A call fetches the nonce from when it is asked to until it has come, and no other does."""
    nonce, leader, other = _auth.Nonce(), Call(), Call()
    fetches: List[bool] = []

    def fetch(_: Call) -> str:
        fetches.extend(map(nonce.is_fetched_by, (leader, other)))
        return "0123456789"

    nonce.ticket(leader, fetch)
    assert fetches == [True, False]
    assert not nonce.is_fetched_by(leader)
