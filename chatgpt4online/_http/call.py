"""
One call: its time limits, its socket, and ending it from elsewhere.

A read timeout does not bound a call, because it restarts with every byte. To end a call, its socket
is shut down, whoever is blocked on it: connecting, a TLS handshake, sending, and reading headers or
body all end at once. Name resolution does not.

A signal handler or the garbage collector may end a call at any instruction of its own thread, so
nothing here takes a lock: each step is one atomic operation.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Iterator, List, Optional

from chatgpt4online._validation import Limits

from . import deadlines
from .deadlines import monotonic

#: The call that connections made now belong to. Not a `threading.local`: where gevent or eventlet
#: have patched `threading` after this was imported, greenlets would share that.
current_call: ContextVar[Optional[Call]] = ContextVar("current_call", default=None)


class CallEnded(Exception):
    """The call was ended from elsewhere; its `ended` says why."""


#: Seconds that a lock is awaited at a time: on Windows, Ctrl-C does not end such a wait.
_LOCK_INTERVAL = 0.5


class Wakeup:
    """Wakes one waiting thread; no lock of its own that a handler may need, as an Event has."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the thread that waits, or the next one that does."""
        with suppress(RuntimeError):  # it is set already
            self._lock.release()

    def wait(self, seconds: Optional[float]) -> bool:
        """Wait until `set`; False if the seconds, or None for no limit, pass first."""
        left = threading.TIMEOUT_MAX if seconds is None else max(seconds, 0.0)
        while left > _LOCK_INTERVAL:
            if self._lock.acquire(timeout=_LOCK_INTERVAL):
                return True
            left -= _LOCK_INTERVAL
        return self._lock.acquire(timeout=left)


class Call:
    """
    One use of a public method. Any thread may call what is here, unless it says otherwise.

    Args:
        limits: the longest wait for a connection, and the longest silence, in seconds.
        deadline: seconds from now for the whole call, or None.
    """

    def __init__(self, limits: Limits = (None, None), deadline: Optional[float] = None) -> None:
        self.limits = limits
        #: Why the call was ended from elsewhere, ``"deadline"`` or ``"closed"``; else None.
        self.ended: Optional[str] = None
        #: Whether it is finished: nothing can end it anymore.
        self.finished: bool = False
        #: Whether a part of the request may have left this machine.
        self.sent = False
        #: Whether the last failure would recur on every attempt.
        self.is_permanent = False
        #: Where the last answer redirected to, as a REST root or URL, if it may be followed.
        self.redirect_target: str = ""
        #: How many times the current request has been sent, and when the first attempt began:
        #: before it fetched a nonce.
        self.attempts = 0
        self.began: float = 0.0
        #: The address of the proxy that the request goes through, without a password; or None.
        self.proxy: Optional[str] = None
        #: The ``Cookie`` header of the last request, or None.
        self.cookie: Optional[str] = None
        self._sockets: Iterator[Any] = iter(())  # an iterator, so that each is taken only once
        self._taken: List[Any] = []  # sockets that `end` shuts down
        self._wakeup: Optional[Wakeup] = None
        self._outer: Optional[Call] = None
        self._pid = os.getpid()
        self._ends = None if deadline is None else monotonic() + deadline
        if deadline is not None:
            deadlines.watch(self, deadline)

    def remaining(self) -> Optional[float]:
        """Return the seconds until the deadline, 0.0 once it has passed; None without one."""
        return None if self._ends is None else max(0.0, self._ends - monotonic())

    def within(self, seconds: Optional[float]) -> Optional[float]:
        """Return the smaller of a time limit and what remains until the deadline, in seconds."""
        remaining = self.remaining()
        if remaining is None or seconds is None:
            return seconds if remaining is None else remaining
        return min(seconds, remaining)

    def from_parent_process(self) -> bool:
        """Return whether the call began before a fork, in the parent process."""
        return self._pid != os.getpid()

    def end(self, reason: str) -> None:
        """End the call now: whoever is blocked in it wakes up. A finished call stays as it is."""
        if self.finished or self.from_parent_process():
            return  # the parent's socket is open in the child too, and must not be shut down
        self.ended = self.ended or reason
        self._shut_sockets()
        wakeup = self._wakeup
        if wakeup is not None:
            wakeup.set()

    def _shut_sockets(self) -> None:
        self._taken.extend(self._sockets)  # one step: what is taken cannot be lost to Ctrl-C
        for sock in self._taken:
            shut_down(sock)

    def raise_if_ended(self) -> None:
        """
        Raise if there is no point in going on.

        Raises:
            CallEnded: the call was ended, or its deadline has passed.
        """
        if self.remaining() == 0.0:
            self.end("deadline")
        if self.ended or self.from_parent_process():
            raise CallEnded

    def watch(self, *sockets: Any) -> None:
        """Make these the sockets that are shut down when the call is ended."""
        self._sockets = iter(sockets)
        if self.ended:
            self._shut_sockets()

    def release(self) -> bool:
        """
        Stop watching the socket, which other calls may use from now on.

        Returns:
            False if the call was ended first and its socket shut down, or if the call belongs to
            the parent process.
        """
        if self.from_parent_process():
            return False
        return next(self._sockets, None) is not None and self.ended is None

    def finish(self) -> None:
        """Mark the call as finished: nothing can end it anymore."""
        self.finished = True
        self._sockets = iter(())

    def wait(self, seconds: Optional[float], wakeup: Optional[Wakeup] = None) -> bool:
        """
        Wait until the time is over. For the call's own thread.

        Args:
            seconds: how long; None is no limit except the deadline.
            wakeup: ends the wait too, when it is set.

        Returns:
            True if it was woken before the time was over.

        Raises:
            CallEnded: the call was ended, or its deadline has passed.
        """
        self._wakeup = wakeup = wakeup or Wakeup()
        self.raise_if_ended()
        woken = wakeup.wait(self.within(seconds))
        self._wakeup = None
        self.raise_if_ended()
        return woken

    def __enter__(self) -> Call:
        """Make this the call that connections made by this thread belong to."""
        self._outer = current_call.get()  # a signal handler may make a call within a call
        current_call.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the call that was current before."""
        current_call.set(self._outer)
        self._outer = None


def is_socket(value: Any) -> bool:
    """Return whether it is a socket, rather than what wraps one."""
    replaced = socket.socket  # users put classes in its place, and functions
    return isinstance(value, socket.SocketType) or (
        isinstance(replaced, type) and isinstance(value, replaced)
    )


def shut_down(sock: Any) -> None:
    """
    Shut down a connection, which wakes up whoever is blocked on it. Never blocks.

    The bare socket is shut down, not the TLS layer, which would send a goodbye first and wait.
    """
    while sock is not None and not is_socket(sock):
        sock = getattr(sock, "socket", None)
    found: Any = sock
    try:
        if isinstance(found, socket.SocketType):
            socket.SocketType.shutdown(found, socket.SHUT_RDWR)
        elif found is not None:  # eventlet's, which is no subclass and has methods as attributes
            found.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is not connected anymore
