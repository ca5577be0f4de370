"""``Server``: the public methods to start it, inspect requests and set up the site."""

from __future__ import annotations

from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple, Type, Union

from ._bots import DEFAULT_MAX_LENGTH, DEFAULT_START_SENTENCE, Bot
from ._choices import check_choice
from ._config import SiteConfig
from ._front import FrontEndConfig
from ._handler import Handler
from ._http import FRAMINGS, Request
from ._listener import Listener
from ._model import Answer
from ._profiles import PROFILES
from ._scripting import CHAT, Scripting
from ._site import Site
from ._users import GUEST

if TYPE_CHECKING:
    import ssl


class Server(Scripting):
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
    scripts one request, or those that ``when`` and ``times`` select; a request gets the first
    script of its route that is for it. Those of ``answers`` and ``writes`` apply before WordPress
    has seen the request. The others replace the model, or the route's own work, and wait for a
    request that the site accepts. Routes have the plugin's names
    ("chats/submit", "start_session", "files/upload", "simpleTextQuery"); a page is named by its
    path ("/chat-page/"). A route that the site does not have raises ``ValueError``.

    All methods may be called from any thread.

    Args:
        version: the plugin version to behave like: "3.6.2", "3.3.9" or "2.4.7", recorded from real
            sites, or "2.4.3", which has no ``start_session`` and prints its nonce into pages.
        answer: the model: a function that gets each accepted ``Request`` without a script, and
            returns a text, an iterable of parts as for ``says``, or None for the echo. It may be
            called from several threads; an exception in it closes the connection.
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
        port: the port to listen on; 0 for a free one.
        gate: the user name and password that the web server asks for, as with an htpasswd file.
        closed_to_guests: a security plugin closes the REST API to guests.
        drops_authorization: the web server does not pass the header Authorization on, so that
            neither application passwords nor tokens work.
        caches_start_session: a cache keeps the first answer of ``start_session`` for everybody.
        holds_answers: a proxy sends each answer only when it is complete.
        prints: what another plugin prints before each response, such as a PHP warning.
        keep_alive: seconds after which the web server closes an idle connection, and announces it
            in the header Keep-Alive; None to keep connections.
        upload_max_filesize: the size in bytes of the largest upload that PHP accepts; 2 MB by
            default, as in PHP. A larger one is answered with 500.
        post_max_size: the size in bytes of the largest body that PHP reads; 8 MB by default, as in
            PHP. WordPress sees a larger one as empty.
        client_max_body_size: the size in bytes of the largest body that the web server accepts;
            None for no limit. A larger one is answered with 413.

    Raises:
        ValueError: the version or framing is unknown.
    """

    def __init__(
        self,
        version: str = "3.6.2",
        *,
        answer: Optional[Answer] = None,
        framing: str = "php",
        pace: float = 0.0,
        tls: Optional[ssl.SSLContext] = None,
        path: str = "",
        permalinks: bool = True,
        rest_prefix: str = "wp-json",
        token: Optional[str] = None,
        port: int = 0,
        gate: Optional[Tuple[str, str]] = None,
        closed_to_guests: bool = False,
        drops_authorization: bool = False,
        caches_start_session: bool = False,
        holds_answers: bool = False,
        prints: Union[str, bytes] = b"",
        keep_alive: Optional[float] = None,
        upload_max_filesize: int = 2 << 20,
        post_max_size: int = 8 << 20,
        client_max_body_size: Optional[int] = None,
    ) -> None:
        check_choice("version", version, PROFILES)
        check_choice("framing", framing, FRAMINGS)
        super().__init__(FRAMINGS[framing])
        self._port = port
        self._tls = tls
        self._closing = Event()
        self._listener: Optional[Listener] = None
        config = SiteConfig(PROFILES[version], path.rstrip("/"), permalinks, rest_prefix)
        config.closed_to_guests = closed_to_guests
        config.prints = prints.encode() if isinstance(prints, str) else prints
        config.upload_max_filesize = upload_max_filesize
        config.post_max_size = post_max_size
        front_end = FrontEndConfig(
            gate=gate,
            drops_authorization=drops_authorization,
            caches_start_session=caches_start_session,
            client_max_body_size=client_max_body_size,
            holds_answers=holds_answers,
            keep_alive=keep_alive,
        )
        self._site = Site(config, token, answer)
        self._handler = Handler(self._site, front_end, self._scripts, self._framing, pace)

    # Starting and closing.

    def start(self) -> Server:
        """
        Start serving, and return the server.

        Raises:
            RuntimeError: it has been started before.
            OSError: the port is in use.
        """
        if self._listener:
            raise RuntimeError("this server has been started before; make a new one")
        self._listener = Listener(self._port, self._handler.serve, self._tls, self._closing)
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

    # Setting up the site.

    def bot(
        self,
        bot_id: str,
        *,
        name: Optional[str] = None,
        mode: str = "chat",
        max_length: Optional[int] = DEFAULT_MAX_LENGTH,
        start_sentence: str = DEFAULT_START_SENTENCE,
        custom: bool = False,
    ) -> None:
        """
        Add a chatbot, or replace the one with the same id; the site begins with "default".

        Args:
            bot_id: the ``botId`` that clients name; the ``customId`` of a custom bot.
            name: the display name; the id by default.
            mode: "chat", or "images" for a bot that generates images.
            max_length: the maximum length of a message in characters (in bytes before 2.4.9); 512
                by default, as in the plugin; None for no limit.
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

    def offers(self, *models: str) -> None:
        """
        Make the site offer more models; otherwise later versions refuse a request that names one.

        Args:
            models: the names that requests may have as ``model``.
        """
        self._site.policy.models += models

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
