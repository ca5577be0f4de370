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
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Optional,
    Tuple,
    TypeVar,
    Union,
)
from urllib.parse import urljoin

import requests

from . import _validation as validate
from ._answer import Answer, cause, explain
from ._auth import Credential, Nonce, Ticket, origin_of
from ._body import READ_ERRORS, Body
from ._call import Call, CallEnded
from ._protocol import routes
from ._protocol.answers import parse_namespaces, parse_nonce, parse_session_nonce
from ._protocol.failures import (
    check_object,
    check_success,
    check_user,
    is_stale_nonce,
    login_error,
    redirect_error,
)
from ._protocol.headers import plain_headers, widget_headers
from ._session import LOCATION, CallersSession, Headers, OwnSession, Parcel, ProgressFailed
from ._validation import Limits, Timeouts
from ._value import Value, changed
from .errors import (
    BlockedError,
    ChatGPT4OnlineError,
    NotFoundError,
    ProtocolError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)

if TYPE_CHECKING:
    from ._protocol.page import Page

T = TypeVar("T")

log = logging.getLogger("chatgpt4online")

#: Retry-After is obeyed up to this many seconds, and raised beyond.
LONGEST_WAIT = 60.0

#: Redirects that are followed in one call.
MOST_REDIRECTS = 5

#: Headers of the caller's that another origin does not see.
_SECRETS = ("authorization", "cookie")

_REDIRECTS = (301, 302, 307, 308)
_FIRST_BACKOFF = 0.5  # seconds; doubled for each further one
_LONGEST_BACKOFF = 8.0
_random = SystemRandom()  # the caller's seed stays the caller's


class Settings(Value):
    """
    What a client is set to, as far as the way to its site goes. Times are in seconds.

    `headers` are the caller's changes to the widget's; `session` is the caller's, if any.
    """

    site: str
    headers: Headers
    login: Optional[Credential]
    proxy: Optional[str]
    timeout: Limits
    deadline: Optional[float]
    retries: int
    session: Optional[requests.Session]


class Request(Value):
    """
    A request to one of the site's routes, which may have to be sent more than once.

    `route` may also be a whole URL. `headers` are the same each time that it is asked.
    `credential` opens it in place of the client's login. `repeatable`: the site may get it twice
    even if it has run, since it changes nothing. `check` returns the answer's JSON object if it
    tells of success. `progress` is called with the bytes sent, and with all.
    """

    route: str
    headers: Headers
    body: Optional[bytes] = None
    method: str = "POST"
    content_type: Optional[str] = None
    credential: Optional[Credential] = None
    with_nonce: bool = True
    repeatable: bool = False
    check: Callable[[object, int], Dict[str, Any]] = check_success
    progress: Optional[Callable[[int, int], object]] = None


class _Moved(Exception):
    """The answer is a redirect that may be followed, to this REST root or URL."""

    def __init__(self, target: str, error: ChatGPT4OnlineError) -> None:
        super().__init__(target)
        self.target = target
        self.error = error


class Transport:
    """
    The way to one site. Threads may share it.

    Args:
        settings: what its client is set to.
        root: the root of the site's REST API, if it is known.
        page: the URL of a page with a chatbot, if one is known.
    """

    def __init__(
        self, settings: Settings, root: Optional[str] = None, page: Optional[str] = None
    ) -> None:
        self.site = settings.site
        self.has_login = settings.login is not None
        self.nonce = Nonce()
        self._settings = settings
        self.root = root or settings.site + "/wp-json"
        self._page = page or settings.site + "/"
        proxy, session = settings.proxy, settings.session
        self._session = OwnSession(proxy) if session is None else CallersSession(session, proxy)
        self._parked: List[Body] = []
        weakref.finalize(self, _let_go, self._session, self._parked)
        self._closed = False
        self._start()
        _transports.add(self)

    def _start(self) -> None:
        """Begin with no call under way: when new, and in a forked child."""
        self._lock = threading.RLock()  # a signal's handler may close the client
        self._calls: weakref.WeakSet[Call] = weakref.WeakSet()

    def after_fork(self) -> None:
        """Leave the parent's connections, and locks that its threads may hold, to the parent."""
        self._start()
        self._parked.clear()
        self.nonce.after_fork()
        self._session.after_fork()

    @contextmanager
    def calling(self, timeout: Timeouts = None, deadline: Optional[float] = None) -> Iterator[Call]:
        """
        Begin a call; an error in the ``with`` block finishes it, else whoever takes it over does.

        Args:
            timeout: seconds, in place of the client's.
            deadline: seconds, in place of the client's.

        Raises:
            ValueError: the client is closed, or a limit cannot be one.
            TypeError: a limit is no number.
        """
        settings = self._settings
        call = Call(
            settings.timeout if timeout is None else validate.limits(timeout),
            settings.deadline if deadline is None else validate.seconds(deadline, "deadline"),
        )
        try:
            self._register(call)
            yield call
        except BaseException:
            call.end("closed")  # where Ctrl-C struck between two keepers of its connection
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
            # The one that fetches a nonce is the last, or another would fetch one in its place.
            calls = sorted(self._calls, key=self.nonce.is_fetched_by)
        for call in calls:
            call.end("closed")
        with self._lock:
            _let_go(self._session, self._parked)

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
            bodies = self._parked[:]
            self._parked.clear()
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

    def fetch(self, request: Request, call: Call, read: Callable[[Dict[str, Any]], T]) -> T:
        """
        Send a request and return what is read from the JSON object of its answer.

        Raises:
            ChatGPT4OnlineError: what went wrong, there or in reading, with `site` and `route`.
        """
        attempt = partial(self._repeat, request, call, self._exchange_json)
        try:
            fields = attempt()
        except ProgressFailed as error:  # which is no failure of the request, whatever it is of
            raise error.reason from error.reason.__cause__
        except NotFoundError as error:
            if error.code or request.with_nonce or "://" in request.route:
                raise  # WordPress has answered, or has given the nonce at this place
            fields = self._elsewhere(error, call, attempt)
        try:
            return read(fields)
        except ChatGPT4OnlineError as error:
            raise explain(error, call, self.site, request.route) from None

    def ask(self, request: Request, read: Callable[[Dict[str, Any]], T]) -> T:
        """
        Make a call of one request, and return what is read from its answer, as `fetch` does.

        Raises:
            ChatGPT4OnlineError: as `fetch`.
        """
        with self.calling() as call:
            value = self.fetch(request, call, read)
            call.finish()
            return value

    def widget(self, **further: Optional[str]) -> Headers:
        """Return what the site's widget sends, with the caller's changes; None is not sent."""
        return widget_headers(self._settings.headers, accept_encoding="identity", **further)

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
                request = self._move(request, moved.target)
            except ChatGPT4OnlineError as error:
                if ticket is not None and not renewed and self._is_stale_nonce(error):
                    renewed = True
                    self.nonce.refused(ticket)
                    continue
                delay = self._delay(error, request, call, tries)
                if delay is None:
                    raise
                tries += 1
                self._pause(delay, request, call)

    def _is_stale_nonce(self, error: ChatGPT4OnlineError) -> bool:
        return isinstance(error, StatusError) and is_stale_nonce(
            error.status, error.code, as_user=self.has_login
        )

    def ticket(self, call: Call) -> Ticket:
        """
        Return the nonce, fetched if need be.

        Raises:
            ChatGPT4OnlineError: it cannot be had.
        """
        try:
            return self.nonce.ticket(call, self._fetch_nonce)
        except CallEnded as error:
            raise explain(error, call, self.site, routes.START_SESSION) from None

    def _fetch_nonce(self, call: Call) -> str:
        """
        Return a nonce of the client's user, or of a guest.

        Source: mwai/v1/start_session. It must not be sent a nonce: a stale one is refused.
        """
        headers = self.widget(accept="application/json", content_type=None)
        request = Request(routes.START_SESSION, headers, with_nonce=False, repeatable=True)
        try:
            nonce = self.fetch(request, call, parse_session_nonce)
        except NotFoundError as error:
            nonce = self._nonce_in_page(error, call)
        if self.has_login:
            self._prove_login(call)
        log.debug("%s: a nonce has been fetched", request.route)
        return nonce

    def _nonce_in_page(self, error: NotFoundError, call: Call) -> str:
        """
        Return the nonce of a site whose plugin is older.

        Source: AI Engine 2.0.1 to 2.4.3 print the nonce into the page, and know no start_session.
        """
        nonce = self.read_page(self._page, call).nonce if error.code else None
        if nonce is None:
            raise error
        return nonce

    def _elsewhere(self, error: NotFoundError, call: Call, attempt: Callable[[], T]) -> T:
        """Attempt something at the other places where a site may have its REST API."""
        known = self.root
        for root in (self.read_page(self._page, call).rest_root, self.site + "/?rest_route="):
            if root is not None and root != known and routes.is_same_site(known, root):
                self.root = root
                try:
                    return attempt()
                except NotFoundError as another:
                    log.debug("no REST API at %s", root)
                    if another.code:  # it is there, and has no such route
                        raise
        self.root = known
        raise error

    def _prove_login(self, call: Call) -> None:
        """
        Make sure that the site takes us for a user: it answers a wrong password as a guest.

        Source: WordPress, wp/v2/users/me.
        """
        headers = plain_headers(accept="application/json")
        request = Request(routes.ME, headers, method="GET", with_nonce=False, repeatable=True)
        try:
            self.fetch(changed(request, check=check_user), call, dict)
        except ChatGPT4OnlineError as error:
            raise explain(login_error(error), call, self.site, request.route) from None

    def read_page(self, url: str, call: Call) -> Page:
        """
        Return what a page of the site tells.

        Raises:
            ChatGPT4OnlineError: it cannot be had.
        """
        from ._protocol.page import parse_page  # here, since few need it, and it is slow to import

        headers = plain_headers(accept="text/html")
        request = Request(url, headers, method="GET", with_nonce=False, repeatable=True)
        html, link = self._repeat(request, call, self._exchange_page)
        try:
            return parse_page(html, url, link, call.check)
        except CallEnded as error:
            raise explain(error, call, self.site, url) from None

    def namespaces(self, call: Call) -> List[str]:
        """
        Return the names of the REST API's parts, such as ``mwai/v1``.

        Source: WordPress, the index of its REST API.
        """
        try:
            return self._index(call)
        except NotFoundError as error:
            return self._elsewhere(error, call, partial(self._index, call))

    def _index(self, call: Call) -> List[str]:
        headers = plain_headers(accept="application/json")
        url = f"{self.root}/{'&' if '?' in self.root else '?'}_fields=namespaces"
        request = Request(url, headers, method="GET", with_nonce=False, repeatable=True)
        return self.fetch(changed(request, check=check_object), call, parse_namespaces)

    def _move(self, request: Request, target: str) -> Request:
        """Remember the site's new address. It is not shown what the old one gave."""
        log.debug("the site has moved to %s", target)
        if "://" in request.route:
            return changed(request, route=target)
        self.root = target
        self.nonce.forget()
        return request

    def _delay(
        self, error: ChatGPT4OnlineError, request: Request, call: Call, tries: int
    ) -> Optional[float]:
        """Return the seconds to wait before a request is sent again; None if it must not be."""
        if tries >= self._settings.retries or call.ended or isinstance(error, BlockedError):
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
        adopt(parse_nonce(answer.headers.get("x-wp-nonce")))
        if 200 <= answer.status < 300:
            return answer
        with answer:
            raise self._moved(request, answer) or answer.refusal()

    def _exchange_json(
        self, request: Request, ticket: Optional[Ticket], call: Call
    ) -> Dict[str, Any]:
        with self._exchange(request, ticket, call) as answer:
            fields = answer.json(answer.begin(), request.check)
            answer.finish()
            return fields

    def _exchange_page(
        self, request: Request, ticket: Optional[Ticket], call: Call
    ) -> Tuple[str, str]:
        """Return a page, and its Link header."""
        with self._exchange(request, ticket, call) as answer:
            page = answer.page()
            answer.finish()
            return page, answer.headers.get("link", "")

    def _moved(self, request: Request, answer: Answer) -> Optional[Exception]:
        location = answer.headers.get(LOCATION)
        if answer.status // 100 != 3 or not location:
            return None
        url = self._url(request)
        target = _joined(url, location)
        error = answer.explain(redirect_error(answer.status, target))
        answer.discard()
        if answer.status not in _REDIRECTS:
            return error
        if url == request.route:
            return _Moved(target, error) if routes.is_same_site(url, target) else error
        root = routes.moved_root(self.root, request.route, target)
        return _Moved(root, error) if root else error

    def _url(self, request: Request) -> str:
        return request.route if "://" in request.route else f"{self.root}/{request.route}"

    def _send(self, request: Request, ticket: Optional[Ticket], call: Call) -> requests.Response:
        self._settle()
        url = self._url(request)
        origin = origin_of(url)
        credential = request.credential or self._settings.login
        extra = credential.header(url) if credential and url != request.route else {}
        if ticket is not None:
            extra["x-wp-nonce"] = ticket.nonce
        if request.content_type is not None:
            extra["content-type"] = request.content_type
        headers = {"origin": origin, "referer": origin + "/", **request.headers}
        if origin != origin_of(self.site):
            headers = {name: each for name, each in headers.items() if name not in _SECRETS}
        return self._session.send(
            Parcel(request.method, url, headers, extra, request.body, request.progress), call
        )


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location)
    except ValueError:
        return location  # no URL, which its reader finds out too


def _let_go(session: Union[OwnSession, CallersSession], parked: List[Body]) -> None:
    """Close the connections that no call uses."""
    while parked:
        parked.pop().close()
    session.close()


def _ignore(_: object) -> None:
    """Take no nonce: the request needed none."""


def _backoff(tries: int) -> float:
    return min(_FIRST_BACKOFF * 2.0**tries, _LONGEST_BACKOFF) * (0.5 + _random.random() / 2)


_transports: weakref.WeakSet[Transport] = weakref.WeakSet()


def _after_fork() -> None:
    for transport in list(_transports):
        transport.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
