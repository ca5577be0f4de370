"""``Server``: scripts in, requests recorded, answers sent."""

from __future__ import annotations

import ssl
from collections import deque
from itertools import accumulate
from threading import Event, Lock
from types import TracebackType
from typing import Any, Deque, Dict, List, Mapping, Optional, Sequence, Tuple, Type, Union

from ._bots import GREETING, Bot
from ._chats import STREAM_TYPE
from ._http import FRAMINGS, RAW, Answer, Pause, Request, Writer, read_request, reason
from ._listener import Connection, Listener
from ._model import COUNTED, UNTOLD, Part, Reply, Script, php_json
from ._place import Place
from ._profiles import PROFILES
from ._site import Site
from ._wordpress import GUEST, HTML_TYPE, JSON_TYPE

CHAT = "chats/submit"

Body = Union[str, bytes, Mapping[str, Any], None]


class Scripts:
    """What the server was told and has not done yet, by route."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_route: Dict[str, Deque[Script]] = {}

    def add(self, route: str, script: Script) -> None:
        """Add what is to happen to a later request of a route."""
        with self._lock:
            self._by_route.setdefault(route, deque()).append(script)

    def take(self, route: str, *, at_door: bool = False) -> Script:
        """Return what is next for a route; at the door, only what happens there."""
        with self._lock:
            scripts = self._by_route.get(route)
            if not scripts or (at_door and not scripts[0].at_door):
                return UNTOLD
            return scripts.popleft()


class Server:
    """
    A WordPress site with AI Engine on 127.0.0.1, for tests.

    It speaks HTTP over a real socket, keeps the plugin's rules about nonces, cookies, bots, files,
    users and discussions, and answers what it is told to; untold, it echoes: ``Echo(2 msgs):
    Hello`` says that two messages (system messages not counted) reached the model. ::

        from chatgpt4online import Client
        from chatgpt4online.testing import Server

        with Server() as server:
            server.says("Hel", "lo")
            assert Client(server.url).chat("Hi") == "Hello"
            assert server.questions[0].json["newMessage"] == "Hi"

    What it is told (``says``, ``fails``, ``cuts``, ``stalls``, ``sends``, ``answers``, ``writes``)
    holds for one request each, in the order of telling, route by route. ``answers`` and ``writes``
    speak before WordPress has looked at the request. The others take the place of the model, or of
    the route's own work, and are kept for a request that the site lets through. Routes are
    named as the plugin does it ("chats/submit", "start_session", "files/upload",
    "simpleTextQuery"), pages by their paths ("/chat-page/").

    All methods may be called from any thread.

    Args:
        version: the plugin's version to be like: "3.6.2" or "2.4.7", as recorded from real sites,
            or "2.4.3", which has no ``start_session`` and puts its nonce into pages.
        framing: how bodies travel: "php", as PHP sends them (each event in two HTTP chunks);
            "event" (one chunk an event), "big" (eight events a chunk), "tiny" (one byte a chunk),
            "close" (ended by closing the connection), "length" (with Content-Length), "gzip" or
            "close+gzip" (compressed, whatever the client accepts).
        pace: seconds between two events.
        tls: a server-side ``ssl.SSLContext``; then ``url`` starts with https.
        path: the directory that WordPress lives in, such as "/blog".
        permalinks: False for a site that is reached by ``?rest_route=`` alone.
        rest_prefix: what the addresses of routes start with, for a site that renamed it.
        token: the bearer token of the public API, which is off if this is None.

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
        rest_prefix: str = "wp-json",
        token: Optional[str] = None,
    ) -> None:
        _check("version", version, PROFILES)
        _check("framing", framing, FRAMINGS)
        self._framing = FRAMINGS[framing]
        self._pace = pace
        self._tls = tls
        self._lock = Lock()
        self._closing = Event()
        self._requests: List[Request] = []
        self._stalls: List[Event] = []
        self._scripts = Scripts()
        self._listener: Optional[Listener] = None
        place = Place(PROFILES[version], path.rstrip("/"), permalinks, rest_prefix)
        self._site = Site(place, token, self._scripts.take)

    # Life.

    def start(self) -> Server:
        """
        Start to serve on a free port, and return the server.

        Raises:
            RuntimeError: it has been started before.
        """
        if self._listener:
            raise RuntimeError("this server has been started before; make a new one")
        self._listener = Listener(self._serve, self._tls, self._closing)
        scheme = "https" if self._tls else "http"
        place = self._site.place
        place.url = f"{scheme}://127.0.0.1:{self._listener.port}{place.path}"
        return self

    def close(self) -> None:
        """Cut every connection, silent or not, and wait until all threads have ended."""
        if self._listener and not self._closing.is_set():
            self._closing.set()
            self.release()
            self._listener.close()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    # What came.

    @property
    def url(self) -> str:
        """The site's address without a slash at its end; "" before the server has started."""
        return self._site.place.url

    @property
    def requests(self) -> List[Request]:
        """The requests so far, in order of arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def questions(self) -> List[Request]:
        """Those of the requests that asked a chatbot, let through or not."""
        chat = self._site.named(CHAT)
        return [
            request
            for request in self.requests
            if request.method == "POST" and self._site.key(request) == chat
        ]

    @property
    def connections(self) -> int:
        """How many connections have been accepted so far."""
        return self._listener.accepted if self._listener else 0

    @property
    def open_connections(self) -> int:
        """
        How many connections are open now.

        That the other side has closed one is noticed when the server reads or writes, and within
        0.1 seconds while it stalls, holds or paces an answer.
        """
        return self._listener.open if self._listener else 0

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
        route: str = CHAT,
        pace: Optional[float] = None,
        hold: float = 0.0,
    ) -> None:
        """
        Let the model's next answer be this.

        Args:
            parts: what is streamed: a text, an event's keys (``{"subtype": "status", "data":
                "Thinking..."}``; ``type`` is "live" if not given), or bytes to be sent as they are.
            final: the answer's ``reply``; the texts of ``parts``, joined and trimmed, if None.
            usage: the answer's ``usage``; counted if not given, null if None.
            images: the answer's ``images``: addresses.
            actions: the answer's ``actions``, where the version has them.
            shortcuts: likewise; a ``message`` in one is hidden behind a ``shortcutId``, which
                asks that message when it comes back.
            blocks: likewise.
            response_id: the answer's ``responseId``, likewise; left out if None.
            events: parts that come before ``parts``.
            route: the route that asks the model: of the public API, if not the chat.
            pace: seconds between two events; the server's if None.
            hold: seconds between the last event and the end of the response.
        """
        said = (*events, *parts)
        reply = Reply(said, final, usage, images, actions, shortcuts, blocks, response_id)
        self._tell(route, Script(reply, pace=pace, hold=hold))

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
            how: "clean": the stream has no ``end`` event, but the response ends as HTTP wants it
                (an answer that is no stream is whole then); "torn": the connection closes in the
                middle of the last event; "reset": it is reset after the parts, and some
                systems then lose what has been sent.
            route: the route whose answer breaks off.
            pace: seconds between two events, as for ``says``.

        Raises:
            ValueError: another ``how``.
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
        first = headers or bool(after)
        self._tell(route, Script(reply, stall=Pause(seconds, until), headers_first=first))

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
            chunks: the sizes in bytes of the HTTP chunks (or writes) that carry it; the server's
                framing of the whole if None.
            route: the route that answers so.
            pace: seconds between two of ``chunks``; the server's if None.
            hold: seconds between the last byte and the end of the response.

        Raises:
            ValueError: the sizes do not add up to the body's.
        """
        answer = Answer(status, (("Content-Type", content_type),), (body,))
        if chunks is not None:
            in_chunks = self._framing.delimiter == "chunks"
            framing = FRAMINGS["event"] if in_chunks else self._framing
            answer = Answer(status, answer.headers, _pieces(body, chunks), framing=framing)
        self._tell(route, Script(answer=answer, pace=pace, hold=hold))

    def answers(
        self,
        status: int,
        *,
        body: Body = None,
        headers: Optional[Mapping[str, str]] = None,
        retry_after: Union[int, str, None] = None,
        route: str = CHAT,
    ) -> None:
        """
        Let the next request be answered at the door, as a web server or a firewall does.

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
        size = step or len(raw) or 1
        pieces = tuple(raw[i : i + size] for i in range(0, len(raw), size))
        answer = Answer(0, (), pieces, pace=pace, framing=RAW)
        self._tell(route, Script(answer=answer, at_door=True))

    def _tell(self, route: str, script: Script) -> None:
        self._scripts.add(self._site.named(route), script)

    # What the site has.

    def bot(
        self,
        bot_id: str,
        *,
        name: Optional[str] = None,
        mode: str = "chat",
        max_length: Optional[int] = None,
        start_sentence: str = GREETING,
        custom: bool = False,
    ) -> None:
        """
        Give the site a chatbot, or change the one of that id; it begins with one named "default".

        Args:
            bot_id: what clients name it by, as ``botId``, or ``customId`` if it is custom.
            name: what people call it; its id if None.
            mode: "chat", or "images" for one that paints.
            max_length: the most characters that a message may have; no limit if None.
            start_sentence: what it greets visitors with; "" for nothing.
            custom: True for a bot that a page defines: the site knows it for a day from when
                the page was last fetched.
        """
        self._site.bots.add(Bot(bot_id, name or bot_id, mode, max_length, start_sentence, custom))

    def page(self, path: str, *, bots: Sequence[str] = (), html: Optional[str] = None) -> None:
        """
        Give the site a page.

        Args:
            path: where it is, such as "/chat-page/".
            bots: the ids of the chatbots on it.
            html: the whole page instead.

        Raises:
            ValueError: the site has no chatbot of such an id.
        """
        for bot_id in bots:
            if bot_id not in self._site.bots:
                raise ValueError(f"the site has no bot {bot_id!r}")
        self._site.pages.add(path, bots, html)

    def user(self, name: str, password: str, *, email: str = "") -> None:
        """
        Give the site a user; "admin" is there, as the one that the public API's token acts as.

        Args:
            name: the login name.
            password: an application password, with or without blanks.
            email: the address.
        """
        self._site.users.add(name, password, email or f"{name}@example.com")

    def bans(self, *words: str) -> None:
        """
        Let the plugin reject messages that have one of these words, in any case.

        Args:
            words: the words.
        """
        self._site.guard.banned += words

    def flags(self, *words: str) -> None:
        """
        Let the moderator object to messages that have one of these words, in any case.

        Args:
            words: the words.
        """
        self._site.guard.flagged += words

    def limits(self, queries: int, message: str = "You have reached the limit.") -> None:
        """
        Let the plugin refuse all queries after so many more.

        Args:
            queries: how many still reach the model.
            message: what it says to the others.
        """
        self._site.guard.over_limit = message
        self._site.guard.queries_left = queries

    # Nonces and time.

    @property
    def nonce(self) -> str:
        """The nonce that a guest gets now."""
        return self._site.nonces.issue(GUEST)

    def expire_nonce(self) -> None:
        """Let every nonce given out so far fail from now on."""
        self._site.nonces.expire_all()

    @property
    def now(self) -> float:
        """The time on the site's clock, in unix seconds."""
        return self._site.place.clock.now()

    def advance(self, seconds: float) -> None:
        """
        Move the site's clock.

        It starts six hours into a half day. Nonces live to the end of the half day after their own
        (half days begin at 00:00 and 12:00 UTC), uploaded files for an hour, custom bots for a day.

        Args:
            seconds: how far, backwards if negative.
        """
        self._site.place.clock.advance(seconds)

    # Serving, in the thread of each connection.

    def _serve(self, connection: Connection) -> None:
        while self._serve_one(connection):
            pass

    def _serve_one(self, connection: Connection) -> bool:
        """Serve one request; False when the connection is to be closed."""
        request = read_request(connection.stream)
        if request is None:
            return False
        with self._lock:
            self._requests.append(request)
        answer = self._answer(request)
        framing = answer.framing or self._framing
        ends = framing.delimiter in ("close", "raw") or answer.end != "whole"
        closing = ends or request.headers.get("Connection", "").lower() == "close"
        body = request.method != "HEAD" and answer.status not in (204, 304)
        writer = Writer(connection.write, connection.wait, self._pace)
        writer.send(answer, framing, body=body, closing=closing)
        if answer.end == "reset":
            connection.reset()
        elif closing:
            connection.say_goodbye()
        return not closing

    def _answer(self, request: Request) -> Answer:
        script = self._scripts.take(self._site.key(request), at_door=True)
        return script.answer or self._site.answer(request)


def _check(what: str, value: str, known: Union[Mapping[str, Any], Sequence[str]]) -> None:
    if value not in known:
        raise ValueError(f"unknown {what} {value!r}; known are {', '.join(sorted(known))}")


def _pieces(body: bytes, sizes: Sequence[int]) -> Tuple[bytes, ...]:
    if sum(sizes) != len(body):
        raise ValueError(f"chunks of {sum(sizes)} bytes for a body of {len(body)}")
    return tuple(body[end - size : end] for end, size in zip(accumulate(sizes), sizes))


def _page(status: int, body: Body) -> bytes:
    if body is None:
        title = f"{status} {reason(status)}"
        body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    if isinstance(body, Mapping):
        return php_json(body)
    return body.encode() if isinstance(body, str) else body
