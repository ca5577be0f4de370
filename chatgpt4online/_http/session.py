"""Three ways to send a request: our own connections, the caller's session, a plain session."""

from __future__ import annotations

from functools import partial
from typing import Any, Dict, Mapping, Optional, Sequence, Set, Tuple, Union

import requests
from requests.utils import default_headers
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util import SKIP_HEADER

from chatgpt4online._protocol.headers import CLIENT_HINTS, NONCE_HEADER, without_php_session

from . import cookies
from .call import Call
from .cookies import CookieAdapter
from .outgoing import Headers, OutgoingRequest, may_cross_origins
from .pool import connections_are_replaced, is_known_urllib3, new_session
from .proxies import is_loopback, proxy_settings, record_proxy

#: Where the address of a redirect is found in a response.
KEPT_LOCATION = "x-kept-location"

_SET_COOKIE = "set-cookie"

#: The most prepared requests that are kept; a client uses about a dozen.
_MAX_PREPARED = 64

#: Headers that the protocol needs, whatever a caller's session has.
_NEEDED = {"content-type"}


class _Prepared:
    """A request and its arguments for `send`, prepared once per URL."""

    def __init__(self, request: requests.PreparedRequest, settings: Mapping[str, Any]) -> None:
        self.request = request
        self.settings = settings


class OwnSession:
    """
    A session of our own. Threads may share it.

    What requests finds out about a URL (its form, proxies, certificates) is found out once, which
    saves 45 % of a short chat. While another library has replaced urllib3's connections, as VCR.py
    does to record and replay them, a `PlainSession` with the same cookies sends.

    Args:
        proxy: the URL of a proxy for every request, or None.
    """

    def __init__(self, proxy: Optional[str]) -> None:
        self.session = new_session()
        self._proxies = proxy_settings(proxy)
        self._plain: Optional[PlainSession] = None
        self._prepared: Dict[Tuple[str, str], _Prepared] = {}

    def send(self, outgoing: OutgoingRequest, call: Call) -> requests.Response:
        """Send a request for a call; `Call.sent` says from now on whether it has left."""
        if connections_are_replaced():
            return self._plain_session().send(outgoing, call)
        call.sent = False
        key = (outgoing.method, outgoing.url)
        prepared = self._prepared.get(key)
        if prepared is None:
            if len(self._prepared) >= _MAX_PREPARED:  # as where many pages are read
                self._prepared.clear()
            prepared = self._prepared[key] = self._prepare(outgoing)
        request = self._fill(prepared.request, outgoing)
        call.cookie = request.headers.get("Cookie")
        record_proxy(call, outgoing.url, prepared.settings["proxies"])
        try:
            with call:
                response = self.session.send(request, timeout=_timeout(call), **prepared.settings)
        except requests.ReadTimeout as error:
            if not isinstance(error.args[0] if error.args else None, HTTPError):
                call.sent = True  # raised by a test's library: nothing has connected
            raise
        return _with_bounded_cookies(response, self.session)

    def _prepare(self, outgoing: OutgoingRequest) -> _Prepared:
        fields = {name: value for name, value in outgoing.headers.items() if value is not None}
        fields.setdefault("user-agent", SKIP_HEADER)
        fields.pop(NONCE_HEADER, None)
        # Not by the session, which would add the cookies of this moment, and read .netrc.
        request = requests.Request(outgoing.method, outgoing.url, fields, hooks=_hooks()).prepare()
        proxies = dict(self._proxies)  # requests adds what the environment says of this URL
        settings = self.session.merge_environment_settings(outgoing.url, proxies, True, None, None)
        if is_loopback(outgoing.url):
            settings["proxies"] = self._proxies
        return _Prepared(request, {**settings, "allow_redirects": False})

    def _fill(
        self, template: requests.PreparedRequest, outgoing: OutgoingRequest
    ) -> requests.PreparedRequest:
        request = requests.PreparedRequest()
        request.method, request.url, request.hooks = template.method, template.url, template.hooks
        request.headers = template.headers.copy()
        for name, value in _without_agent(outgoing.changing_headers).items():
            if value is None:
                request.headers.pop(name, None)
            else:
                request.headers[name] = value
        if outgoing.body is not None:
            request.body = outgoing.content()  # type: ignore[assignment] # the stubs know no files
            request.headers["Content-Length"] = str(len(outgoing.body))
        if "cookie" not in request.headers:
            cookie = without_php_session(cookies.header(self.session.cookies, request))
            if cookie:
                request.headers["Cookie"] = cookie
        return request

    def _plain_session(self) -> PlainSession:
        plain = self._plain
        if plain is None:
            plain = self._plain = PlainSession(self._proxies.get("http"))
            plain.session.cookies = self.session.cookies
        return plain

    def after_fork(self) -> None:
        """Leave the connections, and the cookies' lock, to the parent process."""
        self.session.adapters = new_session().adapters
        self.session.cookies = self.session.cookies.copy()
        self._plain = None

    def close(self) -> None:
        """Close the idle connections."""
        self.session.close()
        if self._plain is not None:
            self._plain.close()


class UserSession:
    """
    A session that the caller gave: used the ordinary way, so that all its settings hold.

    Args:
        session: the session; nothing but its cookies is changed.
        proxy: the URL of a proxy for every request, or None.
    """

    #: Whether requests may add a credential, the session's own or one of .netrc.
    _may_add_credential = True

    def __init__(self, session: requests.Session, proxy: Optional[str]) -> None:
        self.session = session
        self._proxies = proxy_settings(proxy)

    def send(self, outgoing: OutgoingRequest, call: Call) -> requests.Response:
        """Send a request for a call, as `OwnSession.send` does."""
        call.sent = False
        request = self._prepare(outgoing)
        call.cookie = request.headers.get("Cookie")
        session = self.session
        proxies = {**(session.proxies or {}), **self._proxies}
        # With the session's own, since requests lets the environment replace them otherwise.
        settings = session.merge_environment_settings(
            outgoing.url, dict(proxies), True, session.verify, session.cert
        )
        if is_loopback(outgoing.url):
            settings["proxies"] = proxies
        record_proxy(call, outgoing.url, settings["proxies"])
        call.sent = True  # as far as can be known
        try:
            response = session.send(
                request, timeout=_timeout(call), allow_redirects=False, **settings
            )
        except requests.RequestException as error:
            call.sent = not _is_unsent(error)
            raise
        return _with_bounded_cookies(response, session)

    def _prepare(self, outgoing: OutgoingRequest) -> requests.PreparedRequest:
        session = self.session
        theirs = _set_by_caller(session)
        own = _drop_callers_headers(outgoing.headers, theirs)
        if not outgoing.to_site:
            own.update(dict.fromkeys(name for name in theirs if not may_cross_origins(name)))
        has_credential = bool(outgoing.changing_headers.get("authorization"))
        may_add = self._may_add_credential and outgoing.to_site
        request = requests.Request(
            outgoing.method,
            outgoing.url,
            {**own, NONCE_HEADER: None, **_without_agent(outgoing.changing_headers)},
            data=outgoing.content(),
            auth=_keep_auth if has_credential or not may_add else None,
            hooks=_hooks(*_response_hooks(session)),
        )
        prepared = cookies.read_jar(partial(session.prepare_request, request))
        cookie = without_php_session(prepared.headers.pop("Cookie", None))
        if not outgoing.to_site:
            cookie = cookies.of_known_sites(session.cookies, cookie)
            prepared.prepare_url(outgoing.url, None)  # without the session's parameters
        if cookie:
            prepared.headers["Cookie"] = cookie
        return prepared

    def after_fork(self) -> None:
        """Do nothing: the session is the caller's."""

    def close(self) -> None:
        """Do nothing: the session is the caller's."""


class PlainSession(UserSession):
    """
    A session of our own, without connections of our own: for an urllib3 that does not take them.

    Calls work, with less exact deadlines: see `pool.is_known_urllib3`.
    """

    _may_add_credential = False

    def __init__(self, proxy: Optional[str]) -> None:
        super().__init__(_new_plain_session(), proxy)

    def after_fork(self) -> None:
        """Leave the connections, and the cookies' lock, to the parent process."""
        self.session.adapters = _new_plain_session().adapters
        self.session.cookies = self.session.cookies.copy()

    def close(self) -> None:
        """Close the idle connections."""
        self.session.close()


Session = Union[OwnSession, UserSession]


def session_for(session: Optional[requests.Session], proxy: Optional[str]) -> Session:
    """Return what sends requests: the caller's session if there is one, else one of our own."""
    if session is not None:
        return UserSession(session, proxy)
    return OwnSession(proxy) if is_known_urllib3() else PlainSession(proxy)


def _new_plain_session() -> requests.Session:
    session = requests.Session()
    session.headers.clear()
    for prefix in ("https://", "http://"):
        session.mount(prefix, CookieAdapter())
    return session


def _keep_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep what is set; requests would take the session's login, or .netrc's."""
    return request


def _timeout(call: Call) -> Tuple[Optional[float], Optional[float]]:
    connect, silence = call.limits
    return _positive(call.within(connect)), _positive(call.within(silence))


def _positive(limit: Optional[float]) -> Optional[float]:
    return None if limit is None else max(limit, 0.001)  # 0 means something else to urllib3


def _response_hooks(session: requests.Session) -> Sequence[Any]:
    """Return the caller's hooks: requests also takes a single one, or none."""
    found: Any = (session.hooks or {}).get("response") or ()
    return (found,) if callable(found) else found


def _hooks(*callers: Any) -> Dict[str, Any]:
    return {"response": [*callers, _keep_location, _repair_cookies]}


def _keep_location(response: requests.Response, *_: Any, **__: Any) -> None:
    """Hide a redirect from requests, which would read its body to the end, however long."""
    if "location" in response.headers:
        response.headers[KEPT_LOCATION] = response.headers.pop("location")


def _repair_cookies(response: requests.Response, *_: Any, **__: Any) -> None:
    """Let a caller's session read all cookies, which it does after the hooks."""
    if _SET_COOKIE in response.headers:
        cookies.repair(response)


def _with_bounded_cookies(
    response: requests.Response, session: requests.Session
) -> requests.Response:
    if _SET_COOKIE in response.headers:
        cookies.limit_size(session.cookies)
    return response


def _set_by_caller(session: requests.Session) -> Set[str]:
    """Return the names of the headers that a session does not have by itself, in lower case."""
    defaults = default_headers()
    changed = {name for name, value in session.headers.items() if defaults.get(name) != value}
    return {name.lower() for name in changed}


def _drop_callers_headers(headers: Headers, theirs: Set[str]) -> Dict[str, Optional[str]]:
    """Return our headers without those that the caller has set, except what the protocol needs."""
    if "user-agent" in theirs:
        theirs = theirs | CLIENT_HINTS
    return dict(
        _without_agent({name: headers[name] for name in headers if name not in theirs - _NEEDED})
    )


def _without_agent(headers: Headers) -> Headers:
    """Return the headers so that no user agent is sent if it is None; urllib3 would name itself."""
    if headers.get("user-agent", "") is None:
        return {**headers, "user-agent": SKIP_HEADER}
    return headers


def _is_unsent(error: requests.RequestException) -> bool:
    """Return whether a request failed before a connection was made, so that nothing was sent."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError))
