"""
A thread that ends calls whose deadline has passed: one for the process, started when first needed.

One thread for all calls costs a call a few microseconds; a `threading.Timer` each cost 60 to 100,
and had locks that a signal handler could find taken.
"""

from __future__ import annotations

import heapq
import os
import threading
import time
import weakref
from _thread import start_new_thread
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, List, NamedTuple, Optional

if TYPE_CHECKING:
    from .call import Call

#: The clock of time limits. It is not the function itself: libraries that freeze time in tests
#: replace that in every module, and a frozen clock ends calls late.
monotonic = partial(time.monotonic)

#: Entries of finished calls are dropped when the heap exceeds this size and has doubled since the
#: last time.
_MIN_TO_PRUNE = 1000


class _Entry(NamedTuple):
    """When a call is to be ended; the number keeps entries of the same moment in order."""

    moment: float
    number: int
    call: weakref.ref[Call]

    def is_due(self) -> bool:
        """Return whether there is still a call to end."""
        call = self.call()
        return call is not None and not call.finished


class _Watcher:
    """The queue that calls are announced in, and the thread that reads it."""

    def __init__(self) -> None:
        self._announced: SimpleQueue[_Entry] = SimpleQueue()  # usable in signal handlers
        self._numbers = count()
        self._is_running = False

    def watch(self, call: Call, seconds: float) -> None:
        """End a call after so many seconds, unless it is finished by then."""
        moment = monotonic() + min(seconds, threading.TIMEOUT_MAX)
        self._announced.put(_Entry(moment, next(self._numbers), weakref.ref(call)))
        if not self._is_running:
            self._is_running = True
            try:
                start_new_thread(self._run, ())
            except RuntimeError:  # no thread is left, or the interpreter is shutting down
                self._is_running = False  # each read still looks at the clock

    def _run(self) -> None:
        try:
            self._end_calls([])
        finally:
            self._is_running = False

    def _end_calls(self, entries: List[_Entry]) -> None:
        limit = _MIN_TO_PRUNE
        while True:
            entry = self._next(entries)
            if entry is not None:
                heapq.heappush(entries, entry)
            else:  # the time of the first one is over, whatever a mocked clock says
                _end(heapq.heappop(entries))
            if len(entries) > limit:
                entries = [each for each in entries if each.is_due()]
                heapq.heapify(entries)
                limit = max(_MIN_TO_PRUNE, 2 * len(entries))

    def _next(self, entries: List[_Entry]) -> Optional[_Entry]:
        """Return the next call that is announced; None if the first deadline passes before."""
        timeout = max(0.0, entries[0].moment - monotonic()) if entries else None
        try:
            return self._announced.get(timeout=timeout)
        except Empty:
            return None


def _end(entry: _Entry) -> None:
    call = entry.call()
    if call is not None:
        call.end("deadline")


_watcher = _Watcher()


def watch(call: Call, seconds: float) -> None:
    """End a call after so many seconds, unless it is finished by then."""
    _watcher.watch(call, seconds)


def _after_fork() -> None:
    global _watcher  # noqa: PLW0603 - the parent's thread does not exist here
    _watcher = _Watcher()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
