"""One site: sends a request until it has an answer or an error."""

from __future__ import annotations

import logging
import os
import weakref
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial
from random import SystemRandom
from typing import Any, Callable, Deque, Dict, Iterator, Optional, Tuple, TypeVar
from urllib.parse import urljoin

import requests

from chatgpt4online import _validation as validate
from chatgpt4online._protocol import routes
from chatgpt4online._protocol.answers import parse_nonce
from chatgpt4online._protocol.failures import is_stale_nonce, redirect_error
from chatgpt4online._protocol.headers import NONCE_HEADER
from chatgpt4online._protocol.request import encode_json
from chatgpt4online._settings import Settings
from chatgpt4online._validation import Timeouts
from chatgpt4online.errors import ChatGPT4OnlineError, NotFoundError, ProtocolError, StatusError

from . import cookies, discovery, retry, tracebacks
from .body import READ_ERRORS, Body
from .call import Call, CallEnded
from .deadlines import monotonic
from .failures import ErrorContext, cause, is_permanent
from .groups import CallGroup, current_group
from .headers import RequestHeaders
from .nonce import IssuedNonce, Nonce
from .outgoing import ProgressFailed
from .request import Request
from .response import Response
from .retry import Attempt, Decision, FailureKind, RetryAction
from .session import KEPT_LOCATION, Session, session_for

T = TypeVar("T")

log = logging.getLogger("chatgpt4online")

#: What sending may raise besides `READ_ERRORS`. Warnings are raised if the caller says so.
_SENDING_ERRORS = (requests.RequestException, Warning)

#: The most responses whose ends are awaited, so that no site keeps more connections open.
_MAX_DEFERRED = 64

_REDIRECTS = (301, 302, 307, 308)
_random = SystemRandom()  # the caller's seed stays the caller's


class Transport:
    """
    The way to one site. Threads may share it.

    Args:
        settings: what its client is set to.
    """

    def __init__(self, settings: Settings) -> None:
        self.site: str = settings.site
        self.has_login: bool = settings.login is not None
        self.headers: RequestHeaders = RequestHeaders(
            settings.site, settings.headers, settings.login
        )
        self.nonce: Nonce = Nonce()
        #: The root of the site's REST API, as far as it is known by now.
        self.root: str = routes.pretty_root(settings.site)
        #: A page that may name the REST root, or a nonce.
        self.page: str = settings.site + "/"
        self._settings = settings
        self._original_root = self.root  # where it was before a redirect
        self._session = session_for(settings.session, settings.proxy)
        self._deferred: Deque[Body] = deque()
        self._is_closed = False
        weakref.finalize(self, _close_idle, self._session, self._deferred)
        self._reset_calls()
        _transports.add(self)

    def _reset_calls(self) -> None:
        """Begin with no call in progress: when new, and in a forked child."""
        self._calls = CallGroup()

    def use_page(self, page: str, root: Optional[str]) -> None:
        """Use a page with a chatbot, and the root of the REST API if it names one."""
        self.page = page
        self.use_root(root or self.root)

    def use_root(self, root: str) -> None:
        """Use a root that discovery found. Unlike a redirect's, it is kept if it disappears."""
        self.root = self._original_root = root

    @contextmanager
    def trying_root(self, root: str) -> Iterator[None]:
        """Use a root in the ``with`` block, and afterwards only if the block raises nothing."""
        known = self.root, self._original_root
        self.use_root(root)
        try:
            yield
        except BaseException:
            self.root, self._original_root = known
            raise

    def _move_root(self, root: str) -> None:
        self.root = root
        self.nonce.forget()

    def after_fork(self) -> None:
        """Leave the parent's connections, and locks that its threads may hold, to the parent."""
        self._reset_calls()
        self._deferred.clear()
        self.nonce.after_fork()
        self._session.after_fork()

    @contextmanager
    def calling(self) -> Iterator[Call]:
        """
        Make a call that is finished at the end of the ``with`` block.

        Raises:
            ValueError: the client is closed.
        """
        with self.open_call() as call:
            yield call
            call.finish()

    @contextmanager
    def open_call(
        self, timeout: Timeouts = None, deadline: Optional[float] = None
    ) -> Iterator[Call]:
        """
        Begin a call. An error in the ``with`` block finishes it, else whoever takes it over does.

        Args:
            timeout: seconds, in place of the client's.
            deadline: seconds, in place of the client's.

        Raises:
            ValueError: the client is closed, or a limit is not positive.
            TypeError: a limit is not a number.
        """
        settings = self._settings
        call = Call(
            settings.timeout if timeout is None else validate.limits(timeout),
            settings.deadline if deadline is None else validate.seconds(deadline, "deadline"),
        )
        try:
            self._register(call)
            yield call
        except BaseException as error:
            call.end("closed")  # Ctrl-C may strike while nothing owns its connection
            call.finish()
            tracebacks.clear(error)
            raise

    def _register(self, call: Call) -> None:
        self._calls.add(call)
        own_group = current_group.get()
        if own_group is not None:
            own_group.add(call)
        if self._is_closed:  # checked last, so that `close` cannot miss the call
            raise ValueError("the client is closed")

    def close(self) -> None:
        """End all calls in progress, and close the connections of an own session."""
        self._is_closed = True
        # The call that fetches a nonce ends last, or a waiting call would begin another fetch.
        for call in sorted(self._calls, key=self.nonce.is_fetched_by):
            call.end("closed")
        _close_idle(self._session, self._deferred)

    def defer_release(self, body: Body) -> None:
        """Keep a body whose last bytes have not arrived, so that its connection can be reused."""
        self._deferred.append(body)
        if self._is_closed:
            _close_idle(self._session, self._deferred)
        while len(self._deferred) > _MAX_DEFERRED:
            with suppress(IndexError):  # another thread was quicker
                self._deferred.popleft().close()

    def _try_release(self) -> None:
        """Free the connections whose bodies have ended since they were deferred."""
        for _ in range(len(self._deferred)):
            try:
                body = self._deferred.popleft()
            except IndexError:  # another thread was quicker
                return
            if not body.try_release():
                self.defer_release(body)

    def send(self, request: Request, call: Call, read: Callable[[Response], T]) -> T:
        """
        Send a request and return what `read` makes of its 2xx response.

        Args:
            request: what to send.
            call: the call that it belongs to.
            read: takes the response. It may raise a refusal, since some sites refuse under 200.

        Raises:
            ChatGPT4OnlineError: what went wrong, with `site` and `route`.
        """

        def exchange(request: Request, nonce: Optional[IssuedNonce], call: Call) -> T:
            return read(self._exchange(request, nonce, call))

        return self._repeat(request, call, exchange)

    def fetch(self, request: Request, call: Call, parse: Callable[[Dict[str, Any]], T]) -> T:
        """
        Send a request and return what is parsed from the JSON object of its answer.

        Raises:
            ChatGPT4OnlineError: what went wrong, there or in parsing, with `site` and `route`.
        """
        attempt = partial(self._repeat, request, call, self._exchange_json)
        try:
            answer = attempt()
        except ProgressFailed as error:  # which is not a failure of the request
            raise error.reason from error.reason.__cause__
        except NotFoundError as error:
            if error.code or request.with_nonce or request.is_url or request.route == routes.ME:
                raise  # WordPress has answered, or has given the nonce at this root
            answer = discovery.try_other_roots(self, error, call, attempt)
        try:
            return parse(answer)
        except ChatGPT4OnlineError as error:
            raise self.context(request, call).translate(error) from None

    def ask(self, request: Request, parse: Callable[[Dict[str, Any]], T]) -> T:
        """
        Make a call of one request, and return what is parsed from its answer, as `fetch` does.

        Raises:
            ChatGPT4OnlineError: as `fetch`.
        """
        with self.calling() as call:
            return self.fetch(request, call, parse)

    def post(
        self,
        route: str,
        body: Dict[str, Any],
        parse: Callable[[Dict[str, Any]], T],
        *,
        idempotent: bool = False,
    ) -> T:
        """
        Make a call of one request as the widget's, with a JSON body; return as `ask` does.

        Raises:
            ChatGPT4OnlineError: as `fetch`.
        """
        request = Request(
            route,
            self.headers.widget(accept="application/json"),  # no variable: they may be secret
            encode_json(body, "body"),
            content_type="application/json",
            idempotent=idempotent,
        )
        return self.ask(request, parse)

    def fetch_page(self, request: Request, call: Call) -> Tuple[str, str]:
        """
        Return a page, and its Link header.

        Raises:
            ChatGPT4OnlineError: what went wrong.
        """
        return self._repeat(request, call, self._exchange_page)

    def issued_nonce(self, call: Call) -> IssuedNonce:
        """
        Return the nonce, fetched if need be.

        Raises:
            ChatGPT4OnlineError: it cannot be fetched.
        """
        try:
            return self.nonce.get(call, partial(discovery.fetch_nonce, self))
        except CallEnded as error:
            context = ErrorContext(call, self.site, routes.START_SESSION, idempotent=True)
            raise context.translate(error) from None

    def context(self, request: Request, call: Call) -> ErrorContext:
        """Return what the errors of a request name."""
        return ErrorContext(call, self.site, request.route, request.idempotent)

    def _repeat(
        self,
        request: Request,
        call: Call,
        exchange: Callable[[Request, Optional[IssuedNonce], Call], T],
    ) -> T:
        """Exchange a request for its answer, more than once where `retry` says so."""
        attempt, began = Attempt(max_retries=self._settings.retries), monotonic()
        while True:
            nonce = self.issued_nonce(call) if request.with_nonce else None
            call.attempts, call.began = attempt.number, began  # after those of the nonce
            try:
                return exchange(request, nonce, call)
            except ChatGPT4OnlineError as error:
                decision = self._decide(error, request, nonce, call, attempt)
                if decision.action is RetryAction.RAISE:
                    raise
                request = self._prepare_retry(decision, request, nonce, call)
                attempt = attempt.after(decision.action)

    def _decide(
        self,
        error: ChatGPT4OnlineError,
        request: Request,
        nonce: Optional[IssuedNonce],
        call: Call,
        attempt: Attempt,
    ) -> Decision:
        return retry.decide(
            self._classify(error, request, nonce, call),
            idempotent=request.idempotent,
            attempt=attempt._replace(remaining=call.remaining()),
            retry_after=error.retry_after if isinstance(error, StatusError) else None,
            jitter=0.5 + _random.random() / 2,
        )

    def _prepare_retry(
        self, decision: Decision, request: Request, nonce: Optional[IssuedNonce], call: Call
    ) -> Request:
        """Do what comes before a request is sent again, and return what to send."""
        prepare: Dict[RetryAction, Callable[[], Optional[Request]]] = {
            RetryAction.WAIT: partial(self._pause, decision.delay, request, call),
            RetryAction.RENEW_NONCE: partial(self.nonce.refuse, nonce),
            RetryAction.FOLLOW: partial(self._follow, request, call.redirect_target),
            RetryAction.USE_ORIGINAL: partial(self._move_root, self._original_root),
        }
        return prepare[decision.action]() or request

    def _classify(
        self,
        error: ChatGPT4OnlineError,
        request: Request,
        nonce: Optional[IssuedNonce],
        call: Call,
    ) -> FailureKind:
        return retry.classify(
            error,
            sent=call.sent,
            redirected=bool(call.redirect_target),
            stale_nonce=nonce is not None and self._is_stale_nonce(error),
            nonce_replaced=nonce is not None and self._is_replaced(nonce),
            permanent=call.is_permanent or call.ended is not None,
            moved=self.root != self._original_root and not request.is_url,
        )

    def _is_replaced(self, nonce: IssuedNonce) -> bool:
        if self.nonce.is_replaced(nonce):
            return True
        session = self._session.session
        if self._settings.headers.get("cookie") or session.headers.get("cookie"):
            return False  # the caller's header is sent, whatever the jar contains
        url = routes.route_url(self.root, routes.START_SESSION)
        return cookies.has_replaced(session.cookies, url, nonce.cookie)

    def _is_stale_nonce(self, error: ChatGPT4OnlineError) -> bool:
        return isinstance(error, StatusError) and is_stale_nonce(
            error.status, error.code, as_user=self.has_login, route=error.route
        )

    def _pause(self, delay: float, request: Request, call: Call) -> None:
        log.debug("%s: sent again in %.1f s", request.route, delay)
        call.sent = False  # what was sent has not run, or may run again
        try:
            call.wait(delay)
        except CallEnded as error:
            raise self.context(request, call).translate(error) from None

    def _follow(self, request: Request, target: str) -> Request:
        """Remember the site's new address. It does not see the nonce of the old one."""
        log.debug("the site has moved to %s", target)
        if request.is_url:
            return request.replace(route=target)
        self._move_root(target)
        return request

    def _exchange(self, request: Request, nonce: Optional[IssuedNonce], call: Call) -> Response:
        """Send a request once."""
        began, context = monotonic(), self.context(request, call)
        update = _ignore if nonce is None else partial(self.nonce.update, nonce)
        call.sent = call.is_permanent = False
        call.redirect_target = ""
        try:
            call.raise_if_ended()
            response = Response(
                self._send(request, nonce, call),
                context,
                get_request_info=partial(self.headers.request_info, request, self.root, call),
                update_nonce=update,
                defer_release=self.defer_release,
            )
        except (*_SENDING_ERRORS, *READ_ERRORS, CallEnded, ProtocolError) as error:
            call.is_permanent = is_permanent(error)
            raise context.translate(error) from cause(error)
        update(parse_nonce(response.headers.get(NONCE_HEADER)))
        if 200 <= response.status < 300:
            return response
        log.debug("%s: %d after %.3f s", request.route, response.status, monotonic() - began)
        with response:
            raise self._redirect_error(request, response) or response.error()

    def _exchange_json(
        self, request: Request, nonce: Optional[IssuedNonce], call: Call
    ) -> Dict[str, Any]:
        with self._exchange(request, nonce, call) as response:
            answer = response.json(request.check, request.keys)
            response.finish()
            response.log_answer(monotonic() - call.began)
            return answer

    def _exchange_page(
        self, request: Request, nonce: Optional[IssuedNonce], call: Call
    ) -> Tuple[str, str]:
        with self._exchange(request, nonce, call) as response:
            page = response.page()
            response.finish()
            response.log_answer(monotonic() - call.began)
            return page, response.headers.get("link", "")

    def _redirect_error(
        self, request: Request, response: Response
    ) -> Optional[ChatGPT4OnlineError]:
        """Return the error for a redirect, and let the call know if it may be followed."""
        location = response.headers.get(KEPT_LOCATION)
        if response.status // 100 != 3 or not location:
            return None
        url = request.url(self.root)
        target = _join_url(url, location)
        error = response.translate(redirect_error(response.status, target))
        response.discard()
        if response.status in _REDIRECTS and request.is_url:
            response.call.redirect_target = target if routes.is_same_site(url, target) else ""
        elif response.status in _REDIRECTS:
            root = routes.moved_root(self.root, request.route, target)
            response.call.redirect_target = root or ""
        return error

    def _send(
        self, request: Request, nonce: Optional[IssuedNonce], call: Call
    ) -> requests.Response:
        self._try_release()
        return self._session.send(self.headers.outgoing(request, self.root, nonce), call)


def _join_url(base: str, location: str) -> str:
    try:
        return routes.printable_url(urljoin(base, location))
    except ValueError:
        return location  # not a URL, and refused as one that is not the site's


def _close_idle(session: Session, deferred: Deque[Body]) -> None:
    """Close the connections that no call uses."""
    while True:
        try:
            body = deferred.pop()
        except IndexError:
            break
        body.close()
    session.close()


def _ignore(_: object) -> None:
    """Take no nonce: the request needed none."""


_transports: weakref.WeakSet[Transport] = weakref.WeakSet()


def _after_fork() -> None:
    for transport in list(_transports):
        transport.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
