"""``Server``: the public methods to script responses, inspect requests and set up the site."""

from __future__ import annotations

from threading import Event, Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Sequence, Type, Union

from ._bots import DEFAULT_START_SENTENCE, Bot
from ._chats import STREAM_TYPE
from ._config import SiteConfig
from ._handler import Handler
from ._http import FRAMINGS, Pause, Request
from ._listener import Listener
from ._model import COUNTED_USAGE, Part, Reply
from ._profiles import PROFILES
from ._script import Body, Script, ScriptQueues, body_response, front_end_response, raw_response
from ._site import Site
from ._users import GUEST

if TYPE_CHECKING:
    import ssl

CHAT = "chats/submit"


class Server:
    """
    A WordPress site with AI Engine on 127.0.0.1, for tests.

    It speaks HTTP over a real socket, applies the plugin's rules for nonces, cookies, bots, files,
    users and discussions, and gives the responses that you script. Without a script the model
    echoes: in ``Echo(2 msgs): Hello``, 2 is the number of messages that reached it, not counting
    system messages. ::

        from chatgpt4online import Client
        from chatgpt4online.testing import Server

        with Server() as server:
            server.says("Hel", "lo")
            assert Client(server.url).chat("Hi") == "Hello"
            assert server.questions[0].json["newMessage"] == "Hi"

    Each call of ``says``, ``fails``, ``cuts``, ``stalls``, ``sends``, ``answers`` or ``writes``
    scripts one request; the scripts of a route are used in order. Those of ``answers`` and
    ``writes`` apply before WordPress has seen the request. The others replace the model, or the
    route's own work, and wait for a request that the site accepts. Routes have the plugin's names
    ("chats/submit", "start_session", "files/upload", "simpleTextQuery"); a page is named by its
    path ("/chat-page/"). A route that the site does not have raises ``ValueError``.

    All methods may be called from any thread.

    Args:
        version: the plugin version to behave like: "3.6.2" or "2.4.7", recorded from real sites,
            or "2.4.3", which has no ``start_session`` and prints its nonce into pages.
        framing: how bodies are sent: "php", as PHP does (each event in two HTTP chunks); "event"
            (one chunk per event), "big" (eight events per chunk), "tiny" (one byte per chunk),
            "close" (ended by closing the connection), "length" (with Content-Length), "gzip" or
            "close+gzip" (compressed, whatever the client accepts).
        pace: seconds between two events.
        tls: a server-side ``ssl.SSLContext``; ``url`` then begins with https.
        path: the directory that WordPress is installed in, such as "/blog".
        permalinks: False for a site whose routes are reachable only through ``?rest_route=``.
        rest_prefix: the first path segment of REST URLs, for a site that has changed it.
        token: the bearer token of the public API; None turns the API off.

    Raises:
        ValueError: the version or framing is unknown.
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
        _check_choice("version", version, PROFILES)
        _check_choice("framing", framing, FRAMINGS)
        self._framing = FRAMINGS[framing]
        self._tls = tls
        self._lock = Lock()
        self._closing = Event()
        self._stalls: List[Event] = []
        self._scripts = ScriptQueues()
        self._listener: Optional[Listener] = None
        config = SiteConfig(PROFILES[version], path.rstrip("/"), permalinks, rest_prefix)
        self._site = Site(config, token, self._scripts.take)
        self._handler = Handler(self._site, self._scripts, self._framing, pace)

    # Starting and closing.

    def start(self) -> Server:
        """
        Start serving on a free port, and return the server.

        Raises:
            RuntimeError: it has been started before.
        """
        if self._listener:
            raise RuntimeError("this server has been started before; make a new one")
        self._listener = Listener(self._handler.serve, self._tls, self._closing)
        scheme = "https" if self._tls else "http"
        config = self._site.config
        config.url = f"{scheme}://127.0.0.1:{self._listener.port}{config.path}"
        return self

    def close(self) -> None:
        """Close every connection at once, and wait until all threads have ended."""
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

    # What clients have done.

    @property
    def url(self) -> str:
        """The site's URL without a trailing slash; "" before the server has started."""
        return self._site.config.url

    @property
    def requests(self) -> List[Request]:
        """The requests so far, in order of arrival."""
        return self._handler.requests

    @property
    def questions(self) -> List[Request]:
        """The requests so far that asked a chatbot, accepted or not."""
        chat = self._site.resolve(CHAT)
        return [
            request
            for request in self.requests
            if request.method == "POST" and self._site.script_key(request) == chat
        ]

    @property
    def connections(self) -> int:
        """The number of connections accepted so far."""
        return self._listener.accepted if self._listener else 0

    @property
    def open_connections(self) -> int:
        """
        The number of connections that are open now.

        A connection that the client has closed counts until the server reads or writes, or for
        up to 0.1 seconds while a response stalls, holds or is paced.
        """
        return self._listener.open if self._listener else 0

    # Scripting responses.

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
        pace: Optional[float] = None,
        hold: float = 0.0,
    ) -> None:
        """
        Script the model's next reply.

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
            pace: seconds between two events; the server's by default.
            hold: seconds between the last event and the end of the response.
        """
        streamed = (*events, *parts)
        reply = Reply(streamed, final, usage, images, actions, shortcuts, blocks, response_id)
        self._add_script(route, Script(reply, pace=pace, hold=hold))

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
        Script a failure of the plugin.

        A stream ends in an ``error`` event; any other response is a 500 with ``success: false``.

        Args:
            message: the plugin's message.
            after: what is streamed before the failure, as ``parts`` of ``says``.
            route: the route that fails.
            pace: seconds between two events; the server's by default.
            hold: seconds between the last event and the end of the response.
        """
        reply = Reply(tuple(after), error=message)
        self._add_script(route, Script(reply, pace=pace, hold=hold))

    def cuts(
        self,
        *parts: Part,
        how: str = "clean",
        route: str = CHAT,
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
            pace: seconds between two events; the server's by default.

        Raises:
            ValueError: ``how`` is something else, or the site has no such route.
        """
        _check_choice("how", how, ("clean", "torn", "reset"))
        self._add_script(route, Script(Reply(parts) if parts else None, cut=how, pace=pace))

    def stalls(
        self,
        *,
        after: Sequence[Part] = (),
        headers: bool = True,
        seconds: Optional[float] = None,
        route: str = CHAT,
    ) -> None:
        """
        Script a response that stalls, and then completes.

        Args:
            after: what is streamed before the stall, as ``parts`` of ``says``.
            headers: False to stall before the headers.
            seconds: the length of the stall; by default until ``release()`` or ``close()``.
            route: the route that stalls.
        """
        until = Event()
        with self._lock:
            self._stalls.append(until)
        reply = Reply(tuple(after)) if after else None
        headers_first = headers or bool(after)
        stall = Pause(seconds, until)
        self._add_script(route, Script(reply, stall=stall, headers_first=headers_first))

    def release(self) -> None:
        """End every stall scripted so far, whether it has begun or not."""
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
        Script the body of a response.

        Args:
            body: the body.
            content_type: its Content-Type.
            status: the HTTP status.
            chunks: the sizes in bytes of the HTTP chunks (or writes) that carry the body; by
                default it is one piece in the server's framing.
            route: the route that sends the body.
            pace: seconds between two of ``chunks``; the server's by default.
            hold: seconds between the last byte and the end of the response.

        Raises:
            ValueError: the sizes do not add up to that of the body, or the site has no such route.
        """
        response = body_response(status, content_type, body, chunks, self._framing)
        self._add_script(route, Script(response=response, pace=pace, hold=hold))

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
        Script any HTTP response, sent before WordPress has seen the request.

        A web server, proxy or firewall answers like this.

        Args:
            status: the HTTP status.
            body: a dict is sent as JSON, text or bytes as HTML; by default a short page.
            headers: additional header fields, which replace the default ones.
            retry_after: the value of Retry-After: seconds, or an HTTP date.
            route: the route that is answered.
        """
        response = front_end_response(status, body, headers, retry_after)
        self._add_script(route, Script(response=response, before_wordpress=True))

    def writes(self, raw: bytes, *, step: int = 0, pace: float = 0.0, route: str = CHAT) -> None:
        """
        Script the raw bytes of a response, status line and headers included.

        The connection is closed afterwards.

        Args:
            raw: all bytes of the response.
            step: bytes per write; 0 for all at once.
            pace: seconds between two writes.
            route: the route that is answered.
        """
        response = raw_response(raw, step, pace)
        self._add_script(route, Script(response=response, before_wordpress=True))

    def _add_script(self, route: str, script: Script) -> None:
        self._scripts.add(self._site.resolve(route), script)

    # Setting up the site.

    def bot(
        self,
        bot_id: str,
        *,
        name: Optional[str] = None,
        mode: str = "chat",
        max_length: Optional[int] = None,
        start_sentence: str = DEFAULT_START_SENTENCE,
        custom: bool = False,
    ) -> None:
        """
        Add a chatbot, or replace the one with the same id; the site begins with "default".

        Args:
            bot_id: the ``botId`` that clients name; the ``customId`` of a custom bot.
            name: the display name; the id by default.
            mode: "chat", or "images" for a bot that generates images.
            max_length: the maximum length of a message in characters; no limit by default.
            start_sentence: the greeting; "" for none.
            custom: True for a bot that a page defines: the site knows it for a day from when the
                page was last requested.
        """
        self._site.bots.add(Bot(bot_id, name or bot_id, mode, max_length, start_sentence, custom))

    def page(self, path: str, *, bots: Sequence[str] = (), html: Optional[str] = None) -> None:
        """
        Add a page, or replace the one at the same path.

        Args:
            path: the path, such as "/chat-page/".
            bots: the ids of the chatbots on the page.
            html: the complete page instead.

        Raises:
            ValueError: the site has no chatbot with one of the ids.
        """
        for bot_id in bots:
            if bot_id not in self._site.bots:
                raise ValueError(f"the site has no bot {bot_id!r}")
        self._site.pages.add(path, bots, html)

    def user(self, name: str, password: str, *, email: str = "") -> None:
        """
        Add a user, or change an existing one.

        The site begins with "admin", who has no password, and as whom the public API's token acts.

        Args:
            name: the login name.
            password: an application password, with or without spaces.
            email: the email address; by default at example.com.
        """
        self._site.users.add(name, password, email or f"{name}@example.com")

    def bans(self, *words: str) -> None:
        """
        Make the plugin reject messages with a banned word.

        Args:
            words: the words, in any case.
        """
        self._site.policy.banned_words += words

    def flags(self, *words: str) -> None:
        """
        Make moderation reject messages with a flagged word.

        Args:
            words: the words, in any case.
        """
        self._site.policy.flagged_words += words

    def limits(self, queries: int, message: str = "You have reached the limit.") -> None:
        """
        Limit the number of queries.

        Args:
            queries: how many more queries reach the model.
            message: the plugin's message to all later ones.
        """
        self._site.policy.limit_message = message
        self._site.policy.queries_left = queries

    # Nonces and time.

    @property
    def nonce(self) -> str:
        """The nonce that a guest gets now."""
        return self._site.nonces.issue(GUEST)

    def expire_nonce(self) -> None:
        """Invalidate every nonce issued so far."""
        self._site.nonces.expire_all()

    @property
    def now(self) -> float:
        """The time on the site's clock, in Unix seconds."""
        return self._site.config.clock.now()

    def advance(self, seconds: float) -> None:
        """
        Move the site's clock.

        It starts six hours into a half day; half days begin at 00:00 and 12:00 UTC. A nonce
        expires at the end of the half day after its own, an uploaded file after an hour, and a
        custom bot after a day.

        Args:
            seconds: how far to move; backward if negative.
        """
        self._site.config.clock.advance(seconds)


def _check_choice(name: str, value: str, known: Union[Mapping[str, Any], Sequence[str]]) -> None:
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}; known are {', '.join(sorted(known))}")
