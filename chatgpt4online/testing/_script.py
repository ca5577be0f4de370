"""Scripted responses: what a test wants to happen to the next request of a route."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from itertools import accumulate
from threading import Lock
from typing import Any, Deque, Dict, Mapping, Optional, Sequence, Tuple, Union

from ._http import FRAMINGS, RAW, Framing, HTTPResponse, Pause, reason_phrase
from ._model import Reply
from ._php import php_json
from ._responses import HTML_TYPE, JSON_TYPE

Body = Union[str, bytes, Mapping[str, Any], None]


@dataclass(frozen=True)
class Script:
    """
    What happens to one request of a route.

    Args:
        reply: the model's reply; None for its default reply.
        response: a response in place of the route's own.
        before_wordpress: the response is sent without running WordPress.
        cut: "clean", "torn" or "reset" to break the response off.
        stall: a pause after the parts of the reply.
        headers_first: False to stall before the headers instead.
        pace: seconds between two events; the server's if None.
        hold: seconds between the last event and the end of the response.
    """

    reply: Optional[Reply] = None
    response: Optional[HTTPResponse] = None
    before_wordpress: bool = False
    cut: Optional[str] = None
    stall: Optional[Pause] = None
    headers_first: bool = True
    pace: Optional[float] = None
    hold: float = 0.0

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


class ScriptQueues:
    """The scripts that have not been used yet: one queue per route, in the order of adding."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_route: Dict[str, Deque[Script]] = {}

    def add(self, route: str, script: Script) -> None:
        """Add a script for a later request of a route."""
        with self._lock:
            self._by_route.setdefault(route, deque()).append(script)

    def take(self, route: str, *, before_wordpress: bool = False) -> Script:
        """
        Remove and return the next script of a route; ``NO_SCRIPT`` if there is none.

        Args:
            route: the route, or the path of a page.
            before_wordpress: take the next script only if it runs before WordPress.
        """
        with self._lock:
            scripts = self._by_route.get(route)
            if not scripts or (before_wordpress and not scripts[0].before_wordpress):
                return NO_SCRIPT
            return scripts.popleft()


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
    return HTTPResponse(status, tuple(fields.items()), (_encode_body(status, body),))


def _encode_body(status: int, body: Body) -> bytes:
    if body is None:
        title = f"{status} {reason_phrase(status)}"
        body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    if isinstance(body, Mapping):
        return php_json(body)
    return body.encode() if isinstance(body, str) else body


def raw_response(raw: bytes, step: int, pace: float) -> HTTPResponse:
    """Return a response of raw bytes, ``step`` bytes per write (0: all at once)."""
    size = step or len(raw) or 1
    pieces = tuple(raw[i : i + size] for i in range(0, len(raw), size))
    return HTTPResponse(0, (), pieces, pace=pace, framing=RAW)
