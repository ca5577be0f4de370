"""The public methods of ``Server`` that script responses."""

from __future__ import annotations

from threading import Event, Lock
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from ._chats import STREAM_TYPE
from ._choices import check_choice
from ._http import Framing, Pause
from ._model import COUNTED_USAGE, Part, Reply
from ._script_queue import (
    Body,
    Script,
    ScriptQueues,
    When,
    body_response,
    front_end_response,
    raw_response,
)
from ._site import Site

CHAT = "chats/submit"


class Scripting:
    """
    The methods that script responses.

    Args:
        framing: how bodies are sent.
    """

    _site: Site

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._scripts = ScriptQueues()
        self._stalls: List[Event] = []
        self._stalls_lock = Lock()

    def says(
        self,
        *parts: Part,
        final: Optional[str] = None,
        usage: Optional[Mapping[str, Any]] = COUNTED_USAGE,
        images: Optional[Sequence[str]] = None,
        actions: Sequence[Mapping[str, Any]] = (),
        shortcuts: Sequence[Mapping[str, Any]] = (),
        blocks: Sequence[Mapping[str, Any]] = (),
        response_id: Optional[str] = "cmpl-1",
        events: Sequence[Part] = (),
        route: str = CHAT,
        when: When = None,
        times: Optional[int] = 1,
        pace: Optional[float] = None,
        hold: float = 0.0,
    ) -> None:
        """
        Script a reply of the model.

        Args:
            parts: what is streamed: a text; the keys of an event (``{"subtype": "status", "data":
                "Thinking..."}``; ``type`` is "live" by default); or bytes that are sent as given.
            final: the ``reply`` of the answer; by default the texts of ``parts``, joined and
                trimmed.
            usage: the ``usage`` of the answer: a dict, or None for null; by default it counts
                one completion token per text.
            images: the ``images`` of the answer: a list of URLs, or None for null.
            actions: the ``actions`` of the answer, if the version has them: a list of dicts.
            shortcuts: the ``shortcuts`` of the answer, if the version has them: a list of dicts.
                The site replaces a ``message`` in one by a ``shortcutId`` that asks it.
            blocks: the ``blocks`` of the answer, if the version has them: a list of dicts.
            response_id: the ``responseId`` of the answer, if the version has one; None omits it.
            events: parts that are streamed before ``parts``.
            route: the route that asks the model: the chat, or a route of the public API.
            when: only for a question that contains this text, or a ``Request`` for which this
                function returns a true value; for any request by default.
            times: how many requests to use it for; None for all.
            pace: seconds between two events; the server's by default.
            hold: seconds between the last event and the end of the response.

        Raises:
            ValueError: ``times`` is below 1, or the site has no such route.
        """
        streamed = (*events, *parts)
        reply = Reply(streamed, final, usage, images, actions, shortcuts, blocks, response_id)
        use = _use("says", parts, when, times)
        self._add_script(route, Script(**use, reply=reply, pace=pace, hold=hold))

    def fails(
        self,
        message: str,
        *,
        after: Sequence[Part] = (),
        route: str = CHAT,
        when: When = None,
        times: Optional[int] = 1,
        pace: Optional[float] = None,
        hold: float = 0.0,
    ) -> None:
        """
        Script a failure of the plugin.

        A stream ends in an ``error`` event; any other response is a 500 with ``success: false``.

        Args:
            message: the plugin's message.
            after: what is streamed before the failure, as ``parts`` of ``says``.
            route: the route that fails.
            when: which requests, as for ``says``.
            times: how many requests, as for ``says``.
            pace: seconds between two events; the server's by default.
            hold: seconds between the last event and the end of the response.
        """
        reply = Reply(tuple(after), error=message)
        use = _use("fails", [message], when, times)
        self._add_script(route, Script(**use, reply=reply, pace=pace, hold=hold))

    def cuts(
        self,
        *parts: Part,
        how: str = "clean",
        route: str = CHAT,
        when: When = None,
        times: Optional[int] = 1,
        pace: Optional[float] = None,
    ) -> None:
        """
        Script a response that breaks off.

        Args:
            parts: what is streamed first, as for ``says``; the default reply if there are none.
            how: "clean": a stream has no ``end`` event, but the HTTP response is complete (a
                response that is not a stream is unchanged); "torn": the connection closes in the
                middle of the last event; "reset": it is reset after the parts, and some systems
                then discard what has been sent.
            route: the route whose response breaks off.
            when: which requests, as for ``says``.
            times: how many requests, as for ``says``.
            pace: seconds between two events; the server's by default.

        Raises:
            ValueError: ``how`` is something else, or the site has no such route.
        """
        check_choice("how", how, ("clean", "torn", "reset"))
        reply = Reply(parts) if parts else None
        use = _use("cuts", parts, when, times)
        self._add_script(route, Script(**use, reply=reply, cut=how, pace=pace))

    def stalls(
        self,
        *,
        after: Sequence[Part] = (),
        headers: bool = True,
        seconds: Optional[float] = None,
        route: str = CHAT,
        when: When = None,
        times: Optional[int] = 1,
    ) -> None:
        """
        Script a response that stalls, and then completes.

        Args:
            after: what is streamed before the stall, as ``parts`` of ``says``.
            headers: False to stall before the headers.
            seconds: the length of the stall; by default until ``release()`` or ``close()``.
            route: the route that stalls.
            when: which requests, as for ``says``.
            times: how many requests, as for ``says``.
        """
        until = Event()
        with self._stalls_lock:
            self._stalls.append(until)
        reply = Reply(tuple(after)) if after else None
        headers_first = headers or bool(after)
        stall = Pause(seconds, until)
        use = _use("stalls", [], when, times)
        script = Script(**use, reply=reply, stall=stall, headers_first=headers_first)
        self._add_script(route, script)

    def release(self) -> None:
        """End every stall scripted so far, whether it has begun or not."""
        with self._stalls_lock:
            for until in self._stalls:
                until.set()

    def sends(
        self,
        body: bytes,
        *,
        content_type: str = STREAM_TYPE,
        status: int = 200,
        chunks: Optional[Sequence[int]] = None,
        route: str = CHAT,
        when: When = None,
        times: Optional[int] = 1,
        pace: Optional[float] = None,
        hold: float = 0.0,
    ) -> None:
        """
        Script the body of a response.

        Args:
            body: the body.
            content_type: its Content-Type.
            status: the HTTP status.
            chunks: the sizes in bytes of the HTTP chunks (or writes) that carry the body; by
                default it is one piece in the server's framing.
            route: the route that sends the body.
            when: which requests, as for ``says``.
            times: how many requests, as for ``says``.
            pace: seconds between two of ``chunks``; the server's by default.
            hold: seconds between the last byte and the end of the response.

        Raises:
            ValueError: the sizes do not add up to that of the body, or the site has no such route.
        """
        response = body_response(status, content_type, body, chunks, self._framing)
        use = _use("sends", [body], when, times)
        self._add_script(route, Script(**use, response=response, pace=pace, hold=hold))

    def answers(
        self,
        status: int,
        *,
        body: Body = None,
        headers: Optional[Mapping[str, str]] = None,
        retry_after: Union[int, str, None] = None,
        route: str = CHAT,
        when: When = None,
        times: Optional[int] = 1,
    ) -> None:
        """
        Script any HTTP response, sent before WordPress has seen the request.

        A web server, proxy or firewall answers like this.

        Args:
            status: the HTTP status.
            body: a dict is sent as JSON, text or bytes as HTML; by default a short page.
            headers: additional header fields, which replace the default ones.
            retry_after: the value of Retry-After: seconds, or an HTTP date.
            route: the route that is answered.
            when: which requests, as for ``says``.
            times: how many requests, as for ``says``.
        """
        response = front_end_response(status, body, headers, retry_after)
        use = _use("answers", [status], when, times)
        self._add_script(route, Script(**use, response=response, before_wordpress=True))

    def writes(
        self,
        raw: bytes,
        *,
        step: int = 0,
        pace: float = 0.0,
        route: str = CHAT,
        when: When = None,
        times: Optional[int] = 1,
    ) -> None:
        """
        Script the raw bytes of a response, status line and headers included.

        The connection is closed afterwards.

        Args:
            raw: all bytes of the response.
            step: bytes per write; 0 for all at once.
            pace: seconds between two writes.
            route: the route that is answered.
            when: which requests, as for ``says``.
            times: how many requests, as for ``says``.
        """
        response = raw_response(raw, step, pace)
        use = _use("writes", [raw], when, times)
        self._add_script(route, Script(**use, response=response, before_wordpress=True))

    def assert_all_used(self) -> None:
        """
        Check that every scripted response has been used.

        A response with ``times=None`` must have been used at least once.

        Raises:
            AssertionError: some have not; the message lists them.
        """
        unused = self._scripts.unused()
        if unused:
            raise AssertionError("scripted responses were not used: " + "; ".join(unused))

    def _add_script(self, route: str, script: Script) -> None:
        self._scripts.add(self._site.resolve(route), script)


def _use(name: str, arguments: Sequence[Any], when: When, times: Optional[int]) -> Dict[str, Any]:
    """Return the arguments of ``Script`` that say which requests it is for."""
    if times is not None and times < 1:
        raise ValueError(f"times must be at least 1, or None, not {times!r}")
    shown = [*map(repr, arguments), *([f"when={when!r}"] if when is not None else [])]
    return {"name": f"{name}({', '.join(shown)})", "when": when, "times": times}
