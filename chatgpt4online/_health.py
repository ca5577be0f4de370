"""`Client.check`: whether a site works, step by step."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Callable, Iterator, List, NamedTuple, Optional, Tuple

from ._http import discovery
from ._http.connection import announced_timeout
from ._http.deadlines import monotonic
from ._http.request import Request
from ._protocol import routes
from ._protocol.advice import (
    CACHED_NONCE,
    CHATBOTS_OFF,
    WRONG_BOT,
    with_other_output,
    without_plugin,
)
from ._protocol.answers import parse_offers_chat
from ._protocol.failures import check_object, is_invalid_nonce
from ._protocol.front_end import is_from_cache, printed_before
from ._protocol.prelude import MAX_PRELUDE, NAMESPACE_KEYS
from .errors import (
    AuthError,
    BlockedError,
    ChatGPT4OnlineError,
    NotFoundError,
    ProtocolError,
    StatusError,
)
from .types import Bot, Check, Health, Reply

if TYPE_CHECKING:
    from ._http.call import Call
    from ._http.response import Response
    from ._http.transport import Transport
    from .public_api import PublicAPI
    from .stream import Stream

#: A faster or shorter answer does not show whether it was held back.
_MIN_SECONDS = 0.5
_MIN_CHARACTERS = 20

#: Seconds between deltas. Models write more slowly; text that was held back arrives faster.
_MIN_DELTA_INTERVAL = 0.0005


class CheckTarget(NamedTuple):
    """
    What to check.

    Args:
        transport: the transport of the site.
        bot: the bot's id.
        custom_id: the id of a bot that a page defines, or None.
        is_of_page: whether `transport.page` is the page that named the bot.
        api: returns the public API, if the client has a token or a login. It raises ValueError if
            the token is invalid.
        has_token: whether the client has a token.
    """

    transport: Transport
    bot: str
    custom_id: Optional[str]
    is_of_page: bool
    api: Optional[Callable[[], PublicAPI]]
    has_token: bool


class _Finding(NamedTuple):
    """What a step found."""

    detail: str
    level: str = "ok"


_Step = Callable[[], _Finding]


def examine(target: CheckTarget, ask: Optional[Callable[[], Stream]]) -> Health:
    """
    Check a site, step by step. The first failure is the last step; it is reported, not raised.

    Args:
        target: what to check.
        ask: a function that asks a short question, or None.
    """
    site, probe = _Site(target), _Probe(ask)
    checks: List[Check] = []
    for name, step in (*site.steps(), *probe.steps()):
        checks.append(_run(name, step))
        if not checks[-1].ok:
            break
    return Health(tuple(checks), probe.reply)


def _run(name: str, step: _Step) -> Check:
    began = monotonic()
    try:
        detail, level = step()
    except ChatGPT4OnlineError as error:
        detail, level = str(error), "failed"
    line = "".join(filter(str.isprintable, " ".join(detail.split())))
    return Check(name, level, line, monotonic() - began)


class _Site:
    """The steps that ask no question: what stands in front of a site, and what it allows."""

    def __init__(self, target: CheckTarget) -> None:
        self._target = target
        self._transport = target.transport
        self._front_page_bots: Tuple[Bot, ...] = ()

    def steps(self) -> Iterator[Tuple[str, _Step]]:
        """Yield the name of each step, and the function that runs it."""
        yield "site", self._reach
        yield "AI Engine", self._find_plugin
        yield "nonce", self._use_nonce
        yield "web server", self._look_at_web_server
        target = self._target
        if target.has_token:
            yield "token", self._use_token
        if target.is_of_page or target.custom_id or target.bot != routes.DEFAULT_BOT:
            yield "bot", self._find_bot

    def _reach(self) -> _Finding:
        with self._transport.calling() as call:
            try:
                page = discovery.read_page(self._transport, self._transport.site + "/", call)
                self._front_page_bots = page.bots
            except StatusError as error:
                if isinstance(error, BlockedError) or error.status >= 500 or error.status == 407:
                    raise  # else the REST API may work, which is next
        return _Finding(self._transport.site)

    def _find_plugin(self) -> _Finding:
        with self._transport.calling() as call:
            names = self._namespaces(call)
            offers_chat = names is None or self._offers_chat(call)
        if names is None:
            return _Finding("the site hides its list of routes")
        missing = [name for name in routes.NAMESPACES if name not in names]
        if missing:
            raise ProtocolError(without_plugin(missing))
        if not offers_chat:
            raise ProtocolError(CHATBOTS_OFF)
        return _Finding(self._transport.root)

    def _namespaces(self, call: Call) -> Optional[List[str]]:
        """Return the namespaces of the REST API; None if WordPress hides them from guests."""
        try:
            return discovery.namespaces(self._transport, call)
        except AuthError as error:
            if not error.code:  # the web server's own refusal
                raise
            return None

    def _offers_chat(self, call: Call, *, with_nonce: bool = False) -> bool:
        """
        Return whether the site lists the route of chats; True if it hides that list.

        Raises:
            AuthError: the nonce was refused.
        """
        headers = self._transport.headers.plain(accept="application/json")
        request = Request(
            routes.CHAT_INDEX,
            headers,
            method="GET",
            with_nonce=with_nonce,
            idempotent=True,
            check=check_object,
            keys=NAMESPACE_KEYS,
        )
        try:
            return self._transport.fetch(request, call, parse_offers_chat)
        except (AuthError, NotFoundError) as error:
            if is_invalid_nonce(error.status, error.code):
                raise
            return True

    def _use_nonce(self) -> _Finding:
        with self._transport.calling() as call:
            self._transport.nonce.forget()
            self._transport.issued_nonce(call)
            self._offers_chat(call, with_nonce=True)  # start_session checks no nonce
        return _Finding("fetched as a user" if self._transport.has_login else "fetched as a guest")

    def _look_at_web_server(self) -> _Finding:
        """Inspect a response of start_session, which no cache may keep and nothing may precede."""
        headers = self._transport.headers.widget(accept="application/json", content_type=None)
        request = Request(routes.START_SESSION, headers, with_nonce=False, idempotent=True)
        with self._transport.calling() as call:
            try:
                return self._transport.send(request, call, _judge_web_server)
            except NotFoundError:
                since = routes.SINCE[routes.START_SESSION]
                return _Finding(f"not examined: AI Engine is older than {since}")

    def _use_token(self) -> _Finding:
        assert self._target.api is not None  # noqa: S101 - a token makes one
        try:
            api = self._target.api()
        except ValueError as error:  # from the environment, which is validated when it is used
            return _Finding(str(error), "failed")
        api.whoami()
        return _Finding("accepted")

    def _find_bot(self) -> _Finding:
        target = self._target
        name = repr(target.custom_id or target.bot)
        listed = None if target.custom_id else self._listed_bots()
        if listed is not None and target.bot in listed:
            return _Finding(f"the site lists {name}")
        if listed is not None:
            return _Finding(f"the site has no bot {name}: {WRONG_BOT}", "failed")
        if any(self._is_ours(bot) for bot in self._bots_of_page()):
            return _Finding(f"{name} is on {self._transport.page}")
        if target.is_of_page:
            return _Finding(f"{name} is not on {self._transport.page}: {WRONG_BOT}", "warning")
        return _Finding(f"{name} was not looked up, which needs a token or a page: {WRONG_BOT}")

    def _listed_bots(self) -> Optional[List[Optional[str]]]:
        try:
            api = self._target.api
            return None if api is None else [bot.id for bot in api().bots()]
        except ChatGPT4OnlineError:  # the public API is off, or too old
            return None

    def _bots_of_page(self) -> Tuple[Bot, ...]:
        if not self._target.is_of_page:
            return self._front_page_bots
        with self._transport.calling() as call:
            return discovery.read_page(self._transport, self._transport.page, call).bots

    def _is_ours(self, bot: Bot) -> bool:
        custom_id = self._target.custom_id
        return bot.custom_id == custom_id if custom_id else bot.id == self._target.bot


def _judge_web_server(response: Response) -> _Finding:
    """
    Say whether a response of start_session came from a cache or behind other output.

    Raises:
        ChatGPT4OnlineError: it was not received.
    """
    with response:
        body = response.beginning(MAX_PRELUDE)
        response.finish()
    seconds = announced_timeout(response.headers.get("keep-alive", ""))
    printed = printed_before(body)
    problems = [
        CACHED_NONCE if is_from_cache(response.headers) else "",
        with_other_output(printed) if printed else "",
    ]
    note = "" if seconds is None else f"idle connections are closed after {seconds:g} s"
    found = list(filter(None, [*problems, note]))
    level = "warning" if any(problems) else "ok"
    return _Finding("; ".join(found) or "no cache and no other output found", level)


class _Probe:
    """One short question, and how its answer arrives."""

    def __init__(self, ask: Optional[Callable[[], Stream]]) -> None:
        self._ask = ask
        self._deltas = 0
        self.reply: Optional[Reply] = None

    def steps(self) -> Iterator[Tuple[str, _Step]]:
        """Yield the name of each step, and the function that runs it."""
        if self._ask is not None:
            yield "answer", partial(self._read, self._ask)
            yield "streaming", self._judge

    def _read(self, ask: Callable[[], Stream]) -> _Finding:
        """Ask, and show the beginning of the answer."""
        with ask() as stream:
            self._deltas = sum(1 for _ in stream)
            self.reply = reply = stream.result()
        return _Finding(repr(reply[:60] + ("..." if len(reply) > 60 else "")))

    def _judge(self) -> _Finding:
        """Say how the text arrived; warn if it was held back until it was complete."""
        assert self.reply is not None  # noqa: S101 - the step before has read it
        first, last = self.reply.first_seconds or 0.0, self.reply.seconds or 0.0
        timing = (
            f"{self._deltas} deltas, the first after {first:.2f} s, the last after {last:.2f} s"
        )
        if last < _MIN_SECONDS or len(self.reply) < _MIN_CHARACTERS:
            return _Finding(f"{timing}; too fast or too short to say more")
        if last - first <= _MIN_DELTA_INTERVAL * self._deltas:
            return _Finding(
                f"{timing}: the site, or a proxy in front of it, holds answers back until they are"
                " complete",
                "warning",
            )
        return _Finding(timing)
