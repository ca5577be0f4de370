"""Scripted responses: what a test wants to happen to the next request of a route."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from itertools import accumulate
from threading import Lock
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ._http import FRAMINGS, RAW, Framing, HTTPResponse, Pause, Request
from ._model import Reply
from ._php import php_json
from ._responses import HTML_TYPE, JSON_TYPE, front_end_page

Body = Union[str, bytes, Mapping[str, Any], None]
When = Union[str, Callable[[Request], object], None]


@dataclass(frozen=True)
class Script:
    """
    What happens to a request of a route.

    Args:
        name: what to call it in the report of ``assert_all_used``.
        when: which requests it is for: those whose question contains this text, or for which the
            function returns a true value; None for any.
        times: how many requests it is for; None for any number.
        reply: the model's reply; None for its default reply.
        response: a response in place of the route's own.
        before_wordpress: the response is sent without running WordPress.
        cut: "clean", "torn" or "reset" to break the response off.
        stall: a pause after the parts of the reply.
        headers_first: False to stall before the headers instead.
        pace: seconds between two events; the server's if None.
        hold: seconds between the last event and the end of the response.
    """

    name: str = ""
    when: When = None
    times: Optional[int] = 1
    reply: Optional[Reply] = None
    response: Optional[HTTPResponse] = None
    before_wordpress: bool = False
    cut: Optional[str] = None
    stall: Optional[Pause] = None
    headers_first: bool = True
    pace: Optional[float] = None
    hold: float = 0.0

    def matches(self, request: Request) -> bool:
        """Return whether the script is for a request."""
        if self.when is None:
            return True
        if isinstance(self.when, str):
            return self.when in request.question
        return bool(self.when(request))

    def raise_for_error(self) -> None:
        """
        Raise the error that the script asks for, if any.

        Raises:
            PluginError: the reply has an error.
        """
        if self.reply:
            self.reply.raise_for_error()

    def apply_delivery(self, response: HTTPResponse) -> HTTPResponse:
        """Return a response with this script's pauses, pace and cut; a stall precedes its end."""
        steps = list(response.steps)
        if self.stall and self.headers_first:
            parts = len(self.reply.parts) if self.reply else 0
            steps.insert(min(parts, len(steps) - 1), self.stall)
        if self.hold:
            steps.append(Pause(self.hold))
        return replace(
            response,
            steps=tuple(steps),
            delay=response.delay if self.headers_first else self.stall,
            pace=response.pace if self.pace is None else self.pace,
            end=self.cut if self.cut in ("torn", "reset") else response.end,
        )


NO_SCRIPT = Script()

#: Removes and returns the script that is due for a request.
TakeScript = Callable[[], Script]


class _Entry:
    """A script in its queue: how many requests it is still for, and whether it was used."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.left = script.times
        self.used = False

    def use(self) -> None:
        """Count one use."""
        self.used = True
        if self.left is not None:
            self.left -= 1


class ScriptQueues:
    """The scripts that are not used up yet: one queue per route, in the order of adding."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_route: Dict[str, Deque[_Entry]] = {}

    def add(self, route: str, script: Script) -> None:
        """Add a script for later requests of a route."""
        with self._lock:
            self._by_route.setdefault(route, deque()).append(_Entry(script))

    def for_request(self, route: str, request: Request) -> RequestScripts:
        """
        Return the scripts from which those for one request are taken.

        Args:
            route: the route, or the path of a page.
            request: the request.
        """
        return RequestScripts(self, route, request)

    def entries(self, route: str) -> List[_Entry]:
        """Return the scripts that are left for a route."""
        with self._lock:
            return list(self._by_route.get(route, ()))

    def use(self, route: str, entry: _Entry) -> bool:
        """Count one use of a script; return False if others have used it up."""
        with self._lock:
            entries = self._by_route[route]
            if entry not in entries:
                return False
            entry.use()
            if entry.left == 0:
                entries.remove(entry)
            return True

    def unused(self) -> List[str]:
        """
        Describe the scripts that are not used up; one with ``times`` None counts as used up after
        its first request.
        """
        with self._lock:
            return [
                f"{entry.script.name} for {route}" + _uses_left(entry)
                for route, entries in self._by_route.items()
                for entry in entries
                if entry.left is not None or not entry.used
            ]


class RequestScripts:
    """
    The scripts for one request.

    Each ``when`` is called at most once, and while no lock is held: it may script responses.
    """

    def __init__(self, queues: ScriptQueues, route: str, request: Request) -> None:
        self._queues = queues
        self._route = route
        self._request = request
        self._matches: Dict[_Entry, bool] = {}

    def take(self, *, before_wordpress: bool = False) -> Script:
        """
        Return the first script for the request, and count one use; ``NO_SCRIPT`` if there is none.

        Args:
            before_wordpress: take the script only if it runs before WordPress.
        """
        entry = next(filter(self._is_match, self._queues.entries(self._route)), None)
        if entry is None or (before_wordpress and not entry.script.before_wordpress):
            return NO_SCRIPT
        if self._queues.use(self._route, entry):
            return entry.script
        return self.take(before_wordpress=before_wordpress)

    def _is_match(self, entry: _Entry) -> bool:
        if entry not in self._matches:
            self._matches[entry] = entry.script.matches(self._request)
        return self._matches[entry]


def _uses_left(entry: _Entry) -> str:
    return f" ({entry.left} times)" if entry.left is not None and entry.left > 1 else ""


def body_response(
    status: int, content_type: str, body: bytes, chunks: Optional[Sequence[int]], framing: Framing
) -> HTTPResponse:
    """
    Return a response with a given body.

    Args:
        status: the HTTP status.
        content_type: the Content-Type.
        body: the body.
        chunks: the sizes in bytes of the HTTP chunks (or writes); the server's framing if None.
        framing: the server's framing.

    Raises:
        ValueError: the sizes do not add up to the size of the body.
    """
    fields = (("Content-Type", content_type),)
    if chunks is None:
        return HTTPResponse(status, fields, (body,))
    exact = FRAMINGS["event"] if framing.delimiter == "chunks" else framing
    return HTTPResponse(status, fields, _split(body, chunks), framing=exact)


def _split(body: bytes, sizes: Sequence[int]) -> Tuple[bytes, ...]:
    if sum(sizes) != len(body):
        raise ValueError(f"chunks of {sum(sizes)} bytes for a body of {len(body)}")
    return tuple(body[end - size : end] for end, size in zip(accumulate(sizes), sizes))


def front_end_response(
    status: int, body: Body, headers: Optional[Mapping[str, str]], retry_after: Any
) -> HTTPResponse:
    """Return a response as a web server or firewall in front of WordPress sends it."""
    fields = {"Content-Type": JSON_TYPE if isinstance(body, Mapping) else HTML_TYPE}
    if retry_after is not None:
        fields["Retry-After"] = str(retry_after)
    fields.update(headers or {})
    return HTTPResponse(status, tuple(fields.items()), _encode_body(status, body))


def _encode_body(status: int, body: Body) -> Tuple[Any, ...]:
    if body is None:
        return front_end_page(status).steps
    if isinstance(body, Mapping):
        return (php_json(body),)
    return (body.encode() if isinstance(body, str) else body,)


def raw_response(raw: bytes, step: int, pace: float) -> HTTPResponse:
    """Return a response of raw bytes, ``step`` bytes per write (0: all at once)."""
    size = step or len(raw) or 1
    pieces = tuple(raw[i : i + size] for i in range(0, len(raw), size))
    return HTTPResponse(0, (), pieces, pace=pace, framing=RAW)
