"""Groups of calls, which can be ended together: those of a client, and those of a run."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import Iterator, Optional

from .call import Call


class CallGroup:
    """Calls that can be ended together, such as all those of a client."""

    def __init__(self) -> None:
        # Its `valuerefs` takes one step, so that calls may begin meanwhile.
        self._calls: weakref.WeakValueDictionary[int, Call] = weakref.WeakValueDictionary()
        self._has_ended = False

    def add(self, call: Call) -> None:
        """Add a call. Once the group has ended, the call ends too."""
        self._calls[id(call)] = call
        if self._has_ended:  # checked last, so that `end` cannot miss the call
            call.end("closed")

    def end(self) -> None:
        """End all calls in progress, and those that begin from now on."""
        self._has_ended = True
        for call in self:
            call.end("closed")

    def __iter__(self) -> Iterator[Call]:
        """Yield the calls; others may begin meanwhile."""
        calls = (reference() for reference in self._calls.valuerefs())
        return (call for call in calls if call is not None)

    def __len__(self) -> int:
        """Return how many calls there are."""
        return sum(1 for _ in self)  # `list` would ask for this length


#: The group that calls, of any client, join when they begin in this context; or None.
current_group: ContextVar[Optional[CallGroup]] = ContextVar("current_group", default=None)
