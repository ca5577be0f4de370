"""
One call in progress: its time limits, its socket, and how to end it from elsewhere.

Read limits alone do not bound a call, since they begin anew with each byte that drips in. So a
call that must end has its socket shut, whoever is blocked on it: name resolution apart, that ends
connecting, a TLS handshake, sending, and reading headers or body.
"""

from __future__ import annotations

import os
import socket
import threading
from time import monotonic
from typing import Any, Optional

from ._validation import Limits

#: Its `call` is the one that connections made by this thread belong to.
current = threading.local()


class CallEnded(Exception):
    """The call was ended from elsewhere; its `ended` says why."""


class Call:
    """
    One call in progress. Its methods may be called from any thread, unless they say otherwise.

    Args:
        limits: the longest wait for a connection, and the longest silence, in seconds.
        deadline: seconds from now for the whole call, or None.
    """

    def __init__(self, limits: Limits = (None, None), deadline: Optional[float] = None) -> None:
        self.limits = limits
        #: Why the call was ended from elsewhere, ``"deadline"`` or ``"closed"``; else None.
        self.ended: Optional[str] = None
        #: Whether a part of the request may have left this machine.
        self.sent = False
        self._ends = None if deadline is None else monotonic() + deadline
        self._lock = threading.RLock()  # a signal's handler may end the call that it interrupts
        #: Whether it is finished.
        self.over = False
        self._socket: Any = None
        self._wakeup: Optional[threading.Event] = None
        self._pid = os.getpid()
        self._timer: Optional[threading.Timer] = None
        if deadline is not None:
            self._timer = _started(threading.Timer(deadline, self.end, ("deadline",)))

    def remaining(self) -> Optional[float]:
        """Return the seconds until the deadline, 0.0 when it has passed; None without one."""
        return None if self._ends is None else max(0.0, self._ends - monotonic())

    def within(self, seconds: Optional[float]) -> Optional[float]:
        """Return the smaller of a time limit and what remains until the deadline, in seconds."""
        remaining = self.remaining()
        if remaining is None or seconds is None:
            return seconds if remaining is None else remaining
        return min(seconds, remaining)

    def is_foreign(self) -> bool:
        """Say whether the call was begun before a fork, by the parent process."""
        return self._pid != os.getpid()

    def end(self, reason: str) -> None:
        """End the call now: whoever is blocked in it wakes up. A finished call stays as it is."""
        if self.is_foreign():
            return  # the socket is the parent's too, and shutting it would shut the parent's
        with self._lock:
            if self.over or self.ended:
                return
            self.ended = reason
            shut(self._socket)
            if self._wakeup is not None:
                self._wakeup.set()
        if self._timer is not None:
            self._timer.cancel()

    def check(self) -> None:
        """
        Raises:
            CallEnded: the call was ended, or its deadline has passed.
        """
        if self.remaining() == 0.0:
            self.end("deadline")
        if self.ended or self.is_foreign():
            raise CallEnded

    def release(self) -> bool:
        """
        Let go of the socket, which belongs to others from now on.

        Returns:
            False if the call has been ended before, and its socket been shut, or is foreign.
        """
        if self.is_foreign():
            return False  # a thread of the parent's may have held the lock, and it stays held
        with self._lock:
            self._socket = None
            return self.ended is None

    def finish(self) -> None:
        """The call is over: nothing can end it any more."""
        with self._lock:
            self.over = True
            self._socket = None
        if self._timer is not None:
            self._timer.cancel()

    def watch(self, sock: Any) -> None:
        """Make this the socket that is shut when the call must end."""
        with self._lock:
            self._socket = sock
            if self.ended:
                shut(sock)

    def wake(self) -> None:
        """End the present `wait`, or the next one, at once."""
        with self._lock:
            self._event().set()

    def wait(self, seconds: Optional[float]) -> bool:
        """
        Wait until `wake` or `end` is called, or the time is over. For the call's own thread.

        Args:
            seconds: how long, or None for no limit but the deadline.

        Returns:
            True if it was woken.
        """
        with self._lock:
            event = self._event()
        woken = event.wait(self.within(seconds))
        with self._lock:
            if not self.ended:
                event.clear()
        return woken

    def _event(self) -> threading.Event:
        if self._wakeup is None:
            self._wakeup = threading.Event()
            if self.ended:
                self._wakeup.set()
        return self._wakeup

    def __enter__(self) -> Call:
        """Make this the call that connections made by this thread belong to."""
        current.call = self
        return self

    def __exit__(self, *_: object) -> None:
        """Let connections made by this thread belong to no call."""
        current.call = None


def _started(timer: threading.Timer) -> threading.Timer:
    """Start a timer. Where the system has no thread for it, each read still looks at the time."""
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # which broke into the start
            raise error.__context__ from None
    return timer


def shut(sock: Any) -> None:
    """
    Shut a connection, which wakes up whoever is blocked on it. Never blocks.

    The bare socket is shut, not TLS over it: that would say goodbye first, and wait.
    """
    while sock is not None and not isinstance(sock, socket.socket):
        sock = getattr(sock, "socket", None)
    try:
        if sock is not None:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # not connected any more
