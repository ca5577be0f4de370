"""Two ways to send a request: by a session of our own, and by the caller's."""

from __future__ import annotations

from io import BytesIO
from time import monotonic
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    Mapping,
    Optional,
    Set,
    Tuple,
    Union,
)

import requests
from requests.cookies import get_cookie_header
from requests.utils import default_headers
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util import SKIP_HEADER

from ._call import Call
from ._connection import new_session
from ._protocol.headers import CLIENT_HINTS
from ._value import Value

#: By name in lower case. None marks a header that is not sent, whatever a session has.
Headers = Mapping[str, Optional[str]]

#: Where the address of a redirect is found in a response.
LOCATION = "x-kept-location"


#: So many URLs are remembered: a client asks a dozen routes again and again.
_MOST_PREPARED = 64

#: So many seconds a header of cookies is used again.
_COOKIES_FRESH = 1.0


class Parcel(Value):
    """
    One request as it is sent.

    `headers` are the same each time that this URL is asked with this method, `extra` are not.
    `progress` is called with the bytes sent so far, and with those of the whole body.
    """

    method: str
    url: str
    headers: Headers
    extra: Mapping[str, str]
    body: Optional[bytes]
    progress: Optional[Callable[[int, int], object]]

    def content(self) -> Union[bytes, Upload, None]:
        """Return the body, as what requests takes for one."""
        if self.body is None or self.progress is None:
            return self.body
        return Upload(self.body, self.progress)


class ProgressFailed(Exception):
    """What a caller's progress function raised, kept apart from the errors of a connection."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


class Upload:
    """A body that tells how far it has been read, which is when it is sent."""

    def __init__(self, body: bytes, progress: Callable[[int, int], object]) -> None:
        self._rest = BytesIO(body)
        self._size = len(body)
        self._progress = progress

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(64 * 1024), b"")

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data = self._rest.read(size)
        if data:
            self._tell()
        return data

    def _tell(self) -> None:
        try:
            self._progress(self._rest.tell(), self._size)
        except Exception as error:  # noqa: BLE001 - told to whoever uploads
            raise ProgressFailed(error) from None


class _Prepared(Value):
    """What is the same each time that a URL is asked: the request, and how it is sent."""

    request: requests.PreparedRequest
    settings: Mapping[str, Any]


class OwnSession:
    """
    A session of our own. Threads may share it.

    What requests finds out about a URL - its form, proxies, certificates - is found out once.

    Args:
        proxy: the URL of a proxy for everything, or None.
    """

    def __init__(self, proxy: Optional[str]) -> None:
        self.session = new_session()
        self._proxies = _proxies(proxy)
        self._prepared: Dict[Tuple[str, str], _Prepared] = {}
        self._cookies: Dict[str, Tuple[Optional[str], float]] = {}

    def send(self, parcel: Parcel, call: Call) -> requests.Response:
        """Send a request for a call; `Call.sent` tells of it from now on."""
        call.sent = False
        key = (parcel.method, parcel.url)
        prepared = self._prepared.get(key)
        if prepared is None:
            if len(self._prepared) >= _MOST_PREPARED:  # as where many pages are read
                self._prepared.clear()
                self._cookies.clear()
            prepared = self._prepared[key] = self._prepare(parcel)
        request = self._filled(prepared.request, parcel)
        with call:
            response = self.session.send(request, timeout=_timeout(call), **prepared.settings)
        if "set-cookie" in response.headers:
            self._cookies = {}  # a new one, for another thread may be about to fill the old
        return response

    def _prepare(self, parcel: Parcel) -> _Prepared:
        fields = {name: value for name, value in parcel.headers.items() if value is not None}
        fields.setdefault("user-agent", SKIP_HEADER)
        fields.pop("x-wp-nonce", None)
        # Not by the session, which would add the cookies of this moment, and read .netrc.
        request = requests.Request(parcel.method, parcel.url, fields, hooks=_hooks()).prepare()
        proxies = dict(self._proxies)  # requests adds to it what the environment says of this URL
        settings = self.session.merge_environment_settings(parcel.url, proxies, True, None, None)
        return _Prepared(request, {**settings, "allow_redirects": False})

    def _filled(
        self, template: requests.PreparedRequest, parcel: Parcel
    ) -> requests.PreparedRequest:
        request = requests.PreparedRequest()
        request.method, request.url, request.hooks = template.method, template.url, template.hooks
        request.headers = template.headers.copy()
        request.headers.update(parcel.extra)
        if parcel.body is not None:
            request.body = parcel.content()  # type: ignore[assignment] # the stubs know no files
            request.headers["Content-Length"] = str(len(parcel.body))
        cookie = None if "cookie" in request.headers else self._cookie(request)
        if cookie:
            request.headers["Cookie"] = cookie
        return request

    def _cookie(self, request: requests.PreparedRequest) -> Optional[str]:
        """
        Return the header for the URL of a request.

        To ask the jar takes a tenth of a short chat, so it is asked once a second (cookies run
        out), and after each answer that sets one.
        """
        url, now = str(request.url), monotonic()
        known = self._cookies
        header, fresh_until = known.get(url, (None, now))
        if now >= fresh_until:
            jar = self.session.cookies
            header = _without_php_session(get_cookie_header(jar, request))  # type: ignore[no-untyped-call]
            known[url] = (header, now + _COOKIES_FRESH)
        return header

    def after_fork(self) -> None:
        """Leave the connections, and the cookies' lock, to the parent process."""
        self.session.adapters = new_session().adapters
        self.session.cookies = self.session.cookies.copy()

    def close(self) -> None:
        """Close the connections that wait for use."""
        self.session.close()


class CallersSession:
    """
    A session that the caller gave: used the ordinary way, so that all its settings hold.

    Args:
        session: the session; nothing but its cookies is changed.
        proxy: the URL of a proxy for everything, or None.
    """

    def __init__(self, session: requests.Session, proxy: Optional[str]) -> None:
        self.session = session
        self._proxies = _proxies(proxy)

    def send(self, parcel: Parcel, call: Call) -> requests.Response:
        """Send a request for a call, as `OwnSession.send` does."""
        session = self.session
        call.sent = True  # as far as can be known
        own = _without(parcel.headers, _set_by_caller(session))
        request = _prepare(
            session,
            requests.Request(
                parcel.method,
                parcel.url,
                {**own, "x-wp-nonce": None, **parcel.extra},
                data=parcel.content(),
                auth=_as_it_is if parcel.extra.get("authorization") else None,
                hooks=_hooks(*session.hooks.get("response", ())),
            ),
        )
        cookie = _without_php_session(request.headers.pop("Cookie", None))
        if cookie:
            request.headers["Cookie"] = cookie
        proxies = {**session.proxies, **self._proxies}
        settings = session.merge_environment_settings(
            parcel.url, proxies, True, session.verify, session.cert
        )  # given like this, since requests lets the environment replace a session's own
        try:
            return session.send(request, timeout=_timeout(call), allow_redirects=False, **settings)
        except requests.RequestException as error:
            call.sent = not _is_unsent(error)
            raise

    def after_fork(self) -> None:
        """Do nothing: it is the caller's."""

    def close(self) -> None:
        """Do nothing: it is the caller's."""


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep a login of the client's, in whose place requests would put the session's or .netrc's."""
    return request


def _proxies(proxy: Optional[str]) -> Dict[str, str]:
    return {"http": proxy, "https": proxy} if proxy else {}


def _timeout(call: Call) -> Tuple[Optional[float], Optional[float]]:
    connect, silence = call.limits
    return _positive(call.within(connect)), _positive(call.within(silence))


def _positive(limit: Optional[float]) -> Optional[float]:
    return None if limit is None else max(limit, 0.001)  # 0 means something else to urllib3


def _hooks(*callers: Any) -> Dict[str, Any]:
    return {"response": [*callers, _keep_location]}


def _keep_location(response: requests.Response, *_: Any, **__: Any) -> None:
    """Hide a redirect from requests, which would read its body to the end, however long."""
    if "location" in response.headers:
        response.headers[LOCATION] = response.headers.pop("location")


def _prepare(session: requests.Session, request: requests.Request) -> requests.PreparedRequest:
    """Prepare a request, again if another thread got a cookie while requests read the jar."""
    try:
        return session.prepare_request(request)
    except RuntimeError as error:
        if "changed size" not in str(error):
            raise
        return _prepare(session, request)


def _without_php_session(cookie: Optional[str]) -> Optional[str]:
    """
    Leave out the cookie PHPSESSID, and keep the plugin's own.

    Source: AI Engine 2.8.5 makes calls of one PHP session wait for each other.
    """
    if not cookie or "PHPSESSID=" not in cookie:
        return cookie
    return "; ".join(pair for pair in cookie.split("; ") if not pair.startswith("PHPSESSID="))


def _set_by_caller(session: requests.Session) -> Set[str]:
    """Return the names of the headers that a session does not have by itself, in lower case."""
    usual = default_headers()
    changed = {name for name, value in session.headers.items() if usual.get(name) != value}
    return {name.lower() for name in changed}


def _without(headers: Headers, theirs: Set[str]) -> Dict[str, Optional[str]]:
    """Return our headers less those that the caller has set, but for what the protocol needs."""
    if "user-agent" in theirs:
        theirs = theirs | CLIENT_HINTS
    kept = {name: value for name, value in headers.items() if name not in theirs - _NEEDED}
    if kept.get("user-agent", "") is None:
        kept["user-agent"] = SKIP_HEADER  # else urllib3 sends its own name
    return kept


_NEEDED = {"content-type"}


def _is_unsent(error: requests.RequestException) -> bool:
    """Say whether a request failed before a connection was made, so that nothing was sent."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError))
