"""The site's REST nonce: fetched once for all threads that need it, renewed when refused."""

from __future__ import annotations

import copy
import math
import threading
from contextvars import ContextVar
from typing import Callable, List, Optional, Tuple

from chatgpt4online.errors import ChatGPT4OnlineError

from .call import Call, Wakeup

#: Seconds between two looks at whether the call that fetches is still there.
_POLL_INTERVAL = 1.0


class IssuedNonce:
    """
    A nonce as one request used it, and which renewal brought it. Its repr shows no secret.

    Like what else contains a secret, it is not a tuple: see `credentials`.
    """

    def __init__(self, value: str, generation: int, cookie: Optional[str] = None) -> None:
        self.value = value
        self.generation = generation
        #: The ``Cookie`` header that it was fetched with: some sites bind a nonce to a cookie.
        self.cookie = cookie

    def __repr__(self) -> str:
        return f"IssuedNonce(generation={self.generation})"


class Nonce:
    """
    A nonce that threads share.

    Renewals are numbered, since the value by itself cannot tell an old nonce from a new one: all
    guests of a site get the same nonce for up to 12 hours. (Source: WordPress, `wp_nonce_tick`.)
    """

    def __init__(self) -> None:
        self._issued: Optional[IssuedNonce] = None
        self._generation = 0
        self.after_fork()

    def after_fork(self) -> None:
        """Leave a fetch in progress, and a lock that may be held, to the parent process."""
        self._lock = threading.RLock()  # a signal handler may make a call within a call
        self._pending: Optional[_PendingFetch] = None

    def get(self, call: Call, fetch: Callable[[Call], str]) -> IssuedNonce:
        """
        Return the nonce to send.

        Args:
            call: the call that needs it, in whose time it is fetched or waited for.
            fetch: gets a new nonce from the site. One thread calls it; the others wait for it
                (single flight). A signal handler that interrupts a fetch does not wait for it.

        Raises:
            ChatGPT4OnlineError: as `fetch` does.
            CallEnded: the call was ended, or its deadline has passed.
        """
        while True:
            with self._lock:
                if self._issued is not None:
                    return self._issued
                pending = self._pending
                if pending is None or pending.is_over() or pending in _interrupted.get():
                    pending = _PendingFetch(call)
                    _interrupted.set((*_interrupted.get(), pending))  # before others see it
                    self._pending = pending
            if pending.owner is call:
                return self._fetch(pending, fetch)
            if not pending.wait(call):
                self._leave(pending)

    def _fetch(self, pending: _PendingFetch, fetch: Callable[[Call], str]) -> IssuedNonce:
        try:
            issued = self._issue(fetch(pending.owner), pending.owner.cookie)
        except BaseException as error:
            self._complete(pending, error)
            raise
        self._complete(pending)
        return issued

    def _issue(self, value: str, cookie: Optional[str]) -> IssuedNonce:
        with self._lock:
            self._generation += 1
            self._issued = IssuedNonce(value, self._generation, cookie)
            return self._issued

    def _complete(self, pending: _PendingFetch, error: Optional[BaseException] = None) -> None:
        self._leave(pending)
        pending.complete(error)
        _interrupted.set(tuple(each for each in _interrupted.get() if not each.is_over()))

    def _leave(self, pending: _PendingFetch) -> None:
        """Let the next call that needs a nonce begin another fetch."""
        with self._lock:
            if self._pending is pending:
                self._pending = None

    def is_fetched_by(self, call: Call) -> bool:
        """Return whether a call is the one that others wait for."""
        pending = self._pending
        return pending is not None and pending.owner is call

    def refuse(self, issued: Optional[IssuedNonce]) -> None:
        """Forget a nonce that the site refused, unless it has been renewed since."""
        with self._lock:
            if self._issued is issued:
                self._issued = None

    def is_replaced(self, issued: IssuedNonce) -> bool:
        """Return whether a nonce is not the current one anymore."""
        return self._issued is not issued

    def forget(self) -> None:
        """Forget the nonce, so that the next call fetches one."""
        self._issued = None

    def update(self, issued: IssuedNonce, value: Optional[str]) -> None:
        """Take a fresh nonce that came with an answer, unless it has been renewed since."""
        with self._lock:
            if value is not None and self._issued is issued and value != issued.value:
                self._issue(value, issued.cookie)


class _PendingFetch:
    """One fetch, by the call that owns it, which the calls of other threads wait for."""

    def __init__(self, owner: Call) -> None:
        self.owner = owner
        self._waiting: List[Wakeup] = []
        self._is_complete = False
        self._error: Optional[ChatGPT4OnlineError] = None

    def wait(self, call: Call) -> bool:
        """
        Wait for the owner. What ended only the owner's call does not end the others.

        Returns:
            False if it takes longer than the silence that this call allows, unless the owner's
            limits are the same and end it.

        Raises:
            ChatGPT4OnlineError: the error of the owner's fetch, unless only the owner's call was
                ended.
            CallEnded: this call was ended, or its deadline has passed.
        """
        has_same_limits = call.limits == self.owner.limits
        left = math.inf if has_same_limits else call.limits[1] or math.inf
        wakeup = Wakeup()
        self._waiting.append(wakeup)
        while left > 0 and not self.is_over():
            interval = min(left, _POLL_INTERVAL)
            call.wait(interval, wakeup)
            left -= interval
        if self._error is not None and has_same_limits:
            raise copy.copy(self._error)
        return self.is_over()

    def is_over(self) -> bool:
        """Return whether there is nothing to wait for: it is complete, or Ctrl-C ended it."""
        return self._is_complete or self.owner.finished

    def complete(self, error: Optional[BaseException]) -> None:
        """Wake the waiting calls."""
        if isinstance(error, ChatGPT4OnlineError) and self.owner.ended is None:
            self._error = error
        self._is_complete = True
        for wakeup in self._waiting:
            wakeup.set()


#: The fetches that are suspended below the running code, as by a signal handler. Waiting for one
#: would never end. It is a context variable, so that the threads of a `Client.map` in the handler
#: inherit it.
_interrupted: ContextVar[Tuple[_PendingFetch, ...]] = ContextVar("interrupted", default=())
