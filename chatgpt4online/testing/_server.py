"""``Server``: scripts in, requests recorded, answers sent."""

from __future__ import annotations

from collections import deque
from http import HTTPStatus
from itertools import islice
from threading import Event, Lock
from typing import (
    TYPE_CHECKING,
    Any,
    Iterator,
    Mapping,
    Optional,
    Sequence,
    Union,
)

from ._http import FRAMINGS, Answer, Pause, Request, Writer, read_request
from ._listener import Connection, Listener
from ._site import (
    COUNTED,
    HTML_TYPE,
    JSON_TYPE,
    PROFILES,
    STREAM_TYPE,
    UNTOLD,
    Part,
    Reply,
    Script,
    Site,
    php_json,
)

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from typing_extensions import Self

CHAT = "chats/submit"

_NAMESPACES = {
    "start_session": "/mwai/v1/",
    CHAT: "/mwai-ui/v1/",
}


class ClosedError(Exception):
    """The server is being closed."""


class Server:
    """
    A WordPress site with AI Engine on 127.0.0.1, for tests.

    It speaks HTTP over a real socket, keeps WordPress's nonces and cookies, and answers what it is
    told to; untold, it echoes: ``Echo(2 msgs): Hello`` says that two messages (system messages
    not counted) reached the model. ::

        from chatgpt4online import Client
        from chatgpt4online.testing import Server

        with Server() as server:
            server.says("Hel", "lo")
            assert Client(server.url).chat("Hi") == "Hello"
            assert server.questions[0].json["newMessage"] == "Hi"

    What it is told to do (``says``, ``fails``, ``cuts``, ``stalls``, ``sends``, ``answers``,
    ``writes``) holds for one request each, in the order of telling, route by route. All but the
    last two take the model's place: they are used up only by requests that the site lets through.
    A route is named as in AI Engine, ``"chats/submit"`` or ``"start_session"``.

    All methods may be called from any thread.

    Args:
        version: the plugin's version to be like, "3.6.2" or "2.4.7".
        framing: how bodies travel: "php", as a PHP server sends them (each event in two HTTP
            chunks); "event" (one chunk an event), "big" (eight events a chunk), "tiny" (one byte a
            chunk), "close" (ended by closing the connection), "length" (with Content-Length),
            "gzip" or "close+gzip" (compressed, whatever the client accepts).
        pace: seconds between two events.
        tls: a server-side ``ssl.SSLContext``; then ``url`` starts with https.
        path: the directory that WordPress lives in, such as "/blog".
        permalinks: False for a site that is reached by ``?rest_route=`` only.

    Raises:
        ValueError: an unknown version or framing.
    """

    def __init__(
        self,
        version: str = "3.6.2",
        *,
        framing: str = "php",
        pace: float = 0.0,
        tls: Optional[ssl.SSLContext] = None,
        path: str = "",
        permalinks: bool = True,
    ) -> None:
        _check("version", version, PROFILES)
        _check("framing", framing, FRAMINGS)
        self._framing = framing
        self._pace = pace
        self._tls = tls
        self._path = path.rstrip("/")
        self._lock = Lock()
        self._requests: list[Request] = []
        self._scripts: dict[str, deque[Script]] = {}
        self._stalls: list[Event] = []
        self._closing = Event()
        self._listener: Optional[Listener] = None
        self._site = Site(version, self._path, permalinks, self._take)

    # Life.

    def start(self) -> Self:
        """
        Start to serve, on a free port.

        Raises:
            RuntimeError: it has been started before.
        """
        if self._listener:
            raise RuntimeError("this server has been started before; make a new one")
        self._listener = Listener(self._serve, self._tls, self._closing)
        scheme = "https" if self._tls else "http"
        self._site.url = f"{scheme}://127.0.0.1:{self._listener.port}{self._path}"
        return self

    def close(self) -> None:
        """Cut every connection, also those that stall, and wait until all threads have ended."""
        if self._listener and not self._closing.is_set():
            self._closing.set()
            self.release()
            self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    # What came.

    @property
    def url(self) -> str:
        """The site's URL without a slash at its end; "" before the server has started."""
        return self._site.url

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in order of arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def questions(self) -> list[Request]:
        """Those of the requests that were to ask a chatbot, let through or not."""
        return [
            request
            for request in self.requests
            if request.method == "POST" and self._site.route(request) == _route(CHAT)
        ]

    @property
    def connections(self) -> int:
        """How many connections have been accepted."""
        return self._listener.accepted if self._listener else 0

    # What it is told.

    def says(
        self,
        *parts: Part,
        final: Optional[str] = None,
        usage: Optional[Mapping[str, Any]] = COUNTED,
        images: Optional[Sequence[str]] = None,
        actions: Sequence[Mapping[str, Any]] = (),
        shortcuts: Sequence[Mapping[str, Any]] = (),
        blocks: Sequence[Mapping[str, Any]] = (),
        response_id: Optional[str] = "cmpl-1",
        events: Sequence[Part] = (),
        pace: Optional[float] = None,
        hold: float = 0.0,
    ) -> None:
        """
        Let the next answer be this.

        Args:
            parts: what is streamed: a text, an event's keys (``{"subtype": "status", "data":
                "Thinking..."}``; ``type`` is "live" if not given), or bytes to be sent as they are.
            final: the answer's ``reply``; the texts of ``parts``, joined and trimmed, if None.
            usage: the answer's ``usage``; counted if not given, null if None.
            images: the answer's ``images``.
            actions: the answer's ``actions``, where the version has them.
            shortcuts: likewise.
            blocks: likewise.
            response_id: the answer's ``responseId``, likewise; left out if None.
            events: parts that come before ``parts``.
            pace: seconds between two events; the server's if None.
            hold: seconds between the last event and the end of the response.
        """
        reply = Reply(
            (*events, *parts),
            final,
            usage,
            images,
            actions,
            shortcuts,
            blocks,
            response_id,
        )
        self._tell(CHAT, Script(reply, pace=pace, hold=hold))

    def fails(
        self,
        message: str,
        *,
        after: Sequence[Part] = (),
        route: str = CHAT,
        pace: Optional[float] = None,
        hold: float = 0.0,
    ) -> None:
        """
        Let the plugin fail at the next request, with its own sentence.

        A stream ends in an ``error`` event; any other answer is a 500 with ``success: false``.

        Args:
            message: the sentence.
            after: what is streamed before the failure, as the parts of ``says``.
            route: the route that fails.
            pace: seconds between two events, as for ``says``.
            hold: seconds before the end of the response, as for ``says``.
        """
        self._tell(route, Script(Reply(tuple(after), error=message), pace=pace, hold=hold))

    def cuts(
        self,
        *parts: Part,
        how: str = "clean",
        route: str = CHAT,
        pace: Optional[float] = None,
    ) -> None:
        """
        Let the next answer break off.

        Args:
            parts: what is streamed before, as for ``says``; the echo if there are none.
            how: "clean": the body ends as HTTP wants it, but has no ``end`` event; "torn": the
                connection closes in the middle of the last event; "reset": it is reset after
                the parts (some systems then lose what has been sent). An answer that is
                no stream ends in its middle, with "reset" after it.
            route: the route whose answer breaks off.
            pace: seconds between two events, as for ``says``.
        """
        _check("how", how, ("clean", "torn", "reset"))
        self._tell(route, Script(Reply(parts) if parts else None, cut=how, pace=pace))

    def stalls(
        self,
        *,
        after: Sequence[Part] = (),
        headers: bool = True,
        seconds: Optional[float] = None,
        route: str = CHAT,
    ) -> None:
        """
        Let the next answer go silent, then go on to its end.

        Args:
            after: what is streamed before the silence, as the parts of ``says``.
            headers: False to go silent before the headers.
            seconds: the length of the silence; until ``release()`` or ``close()`` if None.
            route: the route that goes silent.
        """
        until = Event()
        with self._lock:
            self._stalls.append(until)
        reply = Reply(tuple(after)) if after else None
        stall = Pause(seconds, until)
        self._tell(route, Script(reply, stall=stall, headers_first=headers or bool(after)))

    def release(self) -> None:
        """End every silence that ``stalls`` was told so far, begun or not."""
        with self._lock:
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
        pace: Optional[float] = None,
        hold: float = 0.0,
    ) -> None:
        """
        Let the body of the next answer be these bytes.

        Args:
            body: the body.
            content_type: its Content-Type.
            status: the answer's HTTP status.
            chunks: the sizes in bytes of the HTTP chunks (or writes) that carry it, which together
                are its size; the server's framing of the whole if None.
            route: the route that answers so.
            pace: seconds between two of ``chunks``; the server's if None.
            hold: seconds between the last byte and the end of the response.

        Raises:
            ValueError: the sizes do not add up to the body's.
        """
        pieces = (body,) if chunks is None else _pieces(body, chunks)
        framing = self._framing
        if chunks is not None and FRAMINGS[framing].delimiter == "chunks":
            framing = "event"
        fields = (("Content-Type", content_type),)
        answer = Answer(status, fields, pieces, pace=self._pace, framing=framing)
        self._tell(route, Script(answer=answer, pace=pace, hold=hold))

    def answers(
        self,
        status: int,
        *,
        body: Union[str, bytes, Mapping[str, Any], None] = None,
        headers: Optional[Mapping[str, str]] = None,
        retry_after: Union[int, str, None] = None,
        route: str = CHAT,
    ) -> None:
        """
        Let the next request be answered at the door, as a web server or firewall does.

        Args:
            status: the HTTP status.
            body: a dict is sent as JSON, text or bytes as HTML; a short page if None.
            headers: header fields, which win over those made here.
            retry_after: the value of Retry-After, seconds or an HTTP date.
            route: the route that answers so.
        """
        fields = {"Content-Type": JSON_TYPE if isinstance(body, Mapping) else HTML_TYPE}
        if retry_after is not None:
            fields["Retry-After"] = str(retry_after)
        fields.update(headers or {})
        answer = Answer(status, tuple(fields.items()), (_page(status, body),))
        self._tell(route, Script(answer=answer, at_door=True))

    def writes(self, raw: bytes, *, step: int = 0, pace: float = 0.0, route: str = CHAT) -> None:
        """
        Let the next request be answered by these bytes, status line and headers included.

        The connection is closed after them.

        Args:
            raw: all bytes of the response.
            step: bytes a write; all at once if 0.
            pace: seconds between two writes.
            route: the route that answers so.
        """
        size = step or len(raw)
        pieces = tuple(raw[i : i + size] for i in range(0, len(raw), size))
        answer = Answer(0, (), pieces, pace=pace, framing="raw")
        self._tell(route, Script(answer=answer, at_door=True))

    # The site.

    def expire_nonce(self) -> None:
        """Let every nonce given out so far fail from now on."""
        self._site.nonces.expire_all()

    def advance(self, seconds: float) -> None:
        """
        Move the site's clock.

        It starts six hours into a half day; nonces die with the half day after their own, and
        each half day begins at 00:00 or 12:00 UTC.

        Args:
            seconds: how far, backwards if negative.
        """
        self._site.clock.advance(seconds)

    # Scripts.

    def _tell(self, route: str, script: Script) -> None:
        with self._lock:
            self._scripts.setdefault(_route(route), deque()).append(script)

    def _take(self, route: str) -> Script:
        with self._lock:
            scripts = self._scripts.get(route)
            return scripts.popleft() if scripts else UNTOLD

    def _take_at_door(self, route: str) -> Script:
        with self._lock:
            scripts = self._scripts.get(route)
            return scripts.popleft() if scripts and scripts[0].at_door else UNTOLD

    # Serving, in the thread of each connection.

    def _serve(self, connection: Connection) -> None:
        writer = Writer(connection.write, self._wait)
        try:
            while self._serve_one(connection, writer):
                pass
        except (ClosedError, ValueError):
            pass  # the server is being closed; what came is not HTTP

    def _serve_one(self, connection: Connection, writer: Writer) -> bool:
        """Serve one request; False when the connection is to be closed."""
        request = read_request(connection.stream)
        if request is None:
            return False
        with self._lock:
            self._requests.append(request)
        answer = self._answer(request)
        framing = FRAMINGS[answer.framing or self._framing]
        ends = framing.delimiter in ("close", "raw") or answer.end != "whole"
        closing = ends or request.headers.get("Connection", "").lower() == "close"
        body = request.method != "HEAD" and answer.status not in (204, 304)
        writer.send(answer, framing, body=body, closing=closing)
        if answer.end == "reset":
            connection.reset()
        elif closing:
            connection.say_goodbye()
        return not closing

    def _answer(self, request: Request) -> Answer:
        script = self._take_at_door(self._site.route(request) or request.path)
        return script.answer or self._site.answer(request)

    def _wait(self, pause: Pause) -> None:
        (pause.until or self._closing).wait(pause.seconds)
        if self._closing.is_set():
            raise ClosedError


def _route(name: str) -> str:
    """Return the REST route of a name, which may be one already."""
    if name.startswith("/"):
        return name
    _check("route", name, _NAMESPACES)
    return _NAMESPACES[name] + name


def _check(what: str, value: str, known: Union[Mapping[str, Any], Sequence[str]]) -> None:
    if value not in known:
        raise ValueError(f"unknown {what} {value!r}; known are {', '.join(sorted(known))}")


def _pieces(body: bytes, sizes: Sequence[int]) -> tuple[bytes, ...]:
    if sum(sizes) != len(body):
        raise ValueError(f"chunks of {sum(sizes)} bytes for a body of {len(body)}")
    rest: Iterator[int] = iter(body)
    return tuple(bytes(islice(rest, size)) for size in sizes)


def _page(status: int, body: Union[str, bytes, Mapping[str, Any], None]) -> bytes:
    if body is None:
        title = f"{status} {HTTPStatus(status).phrase}"
        body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    if isinstance(body, Mapping):
        return php_json(body)
    return body.encode() if isinstance(body, str) else body
