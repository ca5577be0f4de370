"""From a request to the body of its answer: sessions, addresses, retries, and what errors mean."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from contextlib import contextmanager
from functools import partial
from random import SystemRandom
from time import monotonic
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    TypeVar,
)
from urllib.parse import urljoin, urlsplit

import requests

from . import _wire
from ._answer import Answer, cause, explain
from ._arguments import Limits
from ._auth import Nonce, Ticket
from ._body import READ_ERRORS, Body
from ._call import Call, CallEnded
from ._session import LOCATION, CallersSession, Headers, OwnSession
from .errors import (
    BlockedError,
    ChatGPT4OnlineError,
    ProtocolError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)

T = TypeVar("T")

log = logging.getLogger("chatgpt4online")

#: Retry-After is obeyed up to this many seconds, and raised beyond.
LONGEST_WAIT = 60.0

#: Redirects that are followed in one call.
MOST_REDIRECTS = 5

_REDIRECTS = (301, 302, 307, 308)
_FIRST_BACKOFF = 0.5  # seconds; doubled for each further one
_LONGEST_BACKOFF = 8.0
_random = SystemRandom()  # the caller's seed stays the caller's


class Request(NamedTuple):
    """
    A request to one of the plugin's routes, which may have to be sent more than once.

    `repeatable`: the site may get it twice even if it has run, since it changes nothing.
    """

    route: str
    headers: Headers
    body: Optional[bytes] = None
    with_nonce: bool = True
    repeatable: bool = False


class _Moved(Exception):
    """The answer is a redirect to this REST root, which may be followed."""

    def __init__(self, root: str, error: ChatGPT4OnlineError) -> None:
        super().__init__(root)
        self.root = root
        self.error = error


class Transport:
    """
    The way to one site. Threads may share it.

    Args:
        site: the site's URL.
        session_headers: the headers of a start_session request.
        proxy: the URL of a proxy for everything, or None.
        session: the caller's session, or None for an own one.
        retries: how often a request is sent again at most.
    """

    def __init__(
        self,
        site: str,
        *,
        session_headers: Headers,
        proxy: Optional[str],
        session: Optional[requests.Session],
        retries: int,
    ) -> None:
        self.site = site
        self.nonce = Nonce()
        self._root = site + "/wp-json"
        self._session_headers = session_headers
        self._retries = retries
        self._session = OwnSession(proxy) if session is None else CallersSession(session, proxy)
        weakref.finalize(self, self._session.close)
        self._closed = False
        self._start()
        _transports.add(self)

    def _start(self) -> None:
        """Begin with no call under way: when new, and in a forked child."""
        self._lock = threading.RLock()  # a signal's handler may close the client
        self._calls: weakref.WeakSet[Call] = weakref.WeakSet()
        self._parked: List[Body] = []

    def after_fork(self) -> None:
        """Leave the parent's connections, and locks that its threads may hold, to the parent."""
        self._start()
        self.nonce.after_fork()
        self._session.after_fork()

    @contextmanager
    def calling(self, limits: Limits, deadline: Optional[float]) -> Iterator[Call]:
        """
        Begin a call; an error in the ``with`` block finishes it, else whoever takes it over does.

        Raises:
            ValueError: the client is closed.
        """
        call = Call(limits, deadline)
        try:
            self._register(call)
            yield call
        except BaseException:
            call.finish()
            raise

    def _register(self, call: Call) -> None:
        with self._lock:
            if self._closed:
                raise ValueError("the client is closed")
            self._calls.add(call)

    def close(self) -> None:
        """End all calls under way, and close the connections of an own session."""
        with self._lock:
            self._closed = True
            calls, bodies = list(self._calls), self._parked
            self._parked = []
        for call in calls:
            call.end("closed")
        for body in bodies:
            body.close()
        self._session.close()

    def park(self, body: Body) -> None:
        """Keep a body whose last bytes are still to come, so that its connection can be used on."""
        with self._lock:
            if not self._closed:
                self._parked.append(body)
                return
        body.close()

    def _settle(self) -> None:
        """Free the connections whose bodies have ended since they were parked."""
        if not self._parked:
            return
        with self._lock:
            bodies, self._parked = self._parked, []
        for body in bodies:
            if not body.settle():
                self.park(body)

    def send(self, request: Request, call: Call) -> Answer:
        """
        Send a request and return its answer, whose status is one of success.

        Raises:
            ChatGPT4OnlineError: what went wrong, with `site` and `route`.
        """
        return self._repeat(request, call, self._exchange)

    def fetch(self, request: Request, call: Call) -> Dict[str, Any]:
        """
        Send a request and return the JSON object of its answer, which tells of success.

        Raises:
            ChatGPT4OnlineError: what went wrong, with `site` and `route`.
        """
        return self._repeat(request, call, self._exchange_json)

    def _repeat(
        self,
        request: Request,
        call: Call,
        exchange: Callable[[Request, Optional[Ticket], Call], T],
    ) -> T:
        """
        Exchange a request for its answer, more than once where that is safe.

        It is sent again only if it cannot have run on the site, or is `repeatable`: the
        connection failed before anything was sent, the nonce was not accepted (once), the site
        asked to come back later, or has moved.
        """
        tries = moves = 0
        renewed = False
        while True:
            ticket = self.ticket(call) if request.with_nonce else None
            try:
                return exchange(request, ticket, call)
            except _Moved as moved:
                moves += 1
                if moves > MOST_REDIRECTS:
                    raise moved.error from None
                self._move(moved.root)
            except ChatGPT4OnlineError as error:
                if ticket is not None and not renewed and _is_stale_nonce(error):
                    renewed = True
                    self.nonce.refused(ticket)
                    continue
                delay = self._delay(error, request, call, tries)
                if delay is None:
                    raise
                tries += 1
                self._pause(delay, request, call)

    def ticket(self, call: Call) -> Ticket:
        """
        Return the nonce, fetched if need be.

        Raises:
            ChatGPT4OnlineError: it cannot be had.
        """
        try:
            return self.nonce.ticket(call, self._fetch_nonce)
        except CallEnded as error:
            raise explain(error, call, self.site, _wire.START_SESSION) from None

    def _fetch_nonce(self, call: Call) -> str:
        """Source: mwai/v1/start_session. It must not be sent a nonce: a stale one is refused."""
        request = Request(
            _wire.START_SESSION, self._session_headers, with_nonce=False, repeatable=True
        )
        nonce = _wire.nonce(self.fetch(request, call).get("restNonce"))
        if nonce is None:
            error = ProtocolError("the site gave no nonce that could be used.")
            raise explain(error, call, self.site, request.route)
        log.debug("%s: a nonce has been fetched", request.route)
        return nonce

    def _move(self, root: str) -> None:
        """Remember the site's new address. The new one is not shown what the old one gave."""
        log.debug("the site has moved to %s", root)
        self._root = root
        self.nonce.forget()

    def _delay(
        self, error: ChatGPT4OnlineError, request: Request, call: Call, tries: int
    ) -> Optional[float]:
        """Return the seconds to wait before a request is sent again; None if it must not be."""
        if tries >= self._retries or call.ended or isinstance(error, BlockedError):
            return None
        delay: Optional[float] = None
        if isinstance(error, StatusError):
            if error.status in (429, 503) and error.retry_after is not None:
                delay = error.retry_after if error.retry_after <= LONGEST_WAIT else None
            elif error.status in (502, 503, 504) and request.repeatable:
                delay = _backoff(tries)
        elif isinstance(error, TransportError) and not call.sent:
            delay = _backoff(tries)
        elif request.repeatable and isinstance(error, (TransportError, StreamInterrupted)):
            delay = None if isinstance(error, Timeout) else _backoff(tries)
        remaining = call.remaining()
        fits = delay is not None and (remaining is None or delay < remaining)
        return delay if fits else None

    def _pause(self, delay: float, request: Request, call: Call) -> None:
        log.debug("%s: sent again in %.1f s", request.route, delay)
        ends = monotonic() + delay
        try:
            while monotonic() < ends:
                call.wait(ends - monotonic())
                call.check()
        except CallEnded as error:
            raise explain(error, call, self.site, request.route) from None

    def _exchange(self, request: Request, ticket: Optional[Ticket], call: Call) -> Answer:
        """Send a request once."""
        began = monotonic()
        adopt = _ignore if ticket is None else partial(self.nonce.adopt, ticket)
        try:
            call.check()
            response = self._send(request, ticket, call)
            answer = Answer(
                response, call, site=self.site, route=request.route, adopt=adopt, park=self.park
            )
        except (requests.RequestException, *READ_ERRORS, CallEnded, ProtocolError) as error:
            raise explain(error, call, self.site, request.route) from cause(error)
        log.debug("%s: %d after %.3f s", request.route, answer.status, monotonic() - began)
        adopt(_wire.nonce(answer.headers.get("x-wp-nonce")))
        if 200 <= answer.status < 300:
            return answer
        with answer:
            raise self._moved(request, answer) or answer.refusal()

    def _exchange_json(
        self, request: Request, ticket: Optional[Ticket], call: Call
    ) -> Dict[str, Any]:
        with self._exchange(request, ticket, call) as answer:
            fields = answer.json(answer.begin())
            answer.finish()
            return fields

    def _moved(self, request: Request, answer: Answer) -> Optional[Exception]:
        location = answer.headers.get(LOCATION)
        if answer.status // 100 != 3 or not location:
            return None
        target = _joined(f"{self._root}/{request.route}", location)
        error = answer.explain(_wire.redirect_error(answer.status, target))
        root = _wire.moved_root(self._root, request.route, target)
        answer.discard()
        return _Moved(root, error) if root and answer.status in _REDIRECTS else error

    def _send(self, request: Request, ticket: Optional[Ticket], call: Call) -> requests.Response:
        self._settle()
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(self._root))
        return self._session.send(
            f"{self._root}/{request.route}",
            {"origin": origin, "referer": origin + "/", **request.headers},
            None if ticket is None else ticket.nonce,
            request.body,
            call,
        )


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location)
    except ValueError:
        return location  # no URL, which its reader finds out too


def _ignore(_: object) -> None:
    """Take no nonce: the request needed none."""


def _is_stale_nonce(error: ChatGPT4OnlineError) -> bool:
    return isinstance(error, StatusError) and _wire.renewable(error.status, error.code)


def _backoff(tries: int) -> float:
    return min(_FIRST_BACKOFF * 2.0**tries, _LONGEST_BACKOFF) * (0.5 + _random.random() / 2)


_transports: weakref.WeakSet[Transport] = weakref.WeakSet()


def _after_fork() -> None:
    for transport in list(_transports):
        transport.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
