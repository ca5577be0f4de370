"""Repair and bound the cookies that a site sets, and tell whether one was replaced."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from http.cookiejar import Cookie, CookieJar
from typing import Any, Callable, Dict, List, Optional, TypeVar

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import get_cookie_header

T = TypeVar("T")

#: The most bytes of cookies that a jar keeps for one domain.
MAX_BYTES = 64 * 1024

#: Of a longer line, in characters, these attributes are kept: a jar would keep any other, too.
_LONG_LINE = 512
_ATTRIBUTES = {"domain", "expires", "max-age", "path", "secure"}

_SET_COOKIE = ("Set-Cookie", "Set-Cookie2")
#: A number of seconds, a year, a month such as that of ``Thu, 01 Mai 2026 10:00:00 GMT``, or a
#: missing value that http.cookiejar cannot compute with. It then warns, and drops all cookies of
#: the response.
_BROKEN = (  # compiled when a site sets a cookie
    r"(?i)(;\s*max-age\s*=[\s\"]*[-+]?\d{9})\d+"
    r"|;\s*expires\s*=[\s\"]*[a-z]{3}, \d\d"
    r" (?!jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{3} [^;]*"
    r"|(;\s*expires\s*=[^;]*?\d{4})\d+"
    r"|;\s*(?:max-age|version)\s*(?=;|\Z)"
)


class CookieAdapter(HTTPAdapter):
    """requests' adapter, which reads the cookies of an answer once they are repaired."""

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Return a response, with its cookies."""
        _repair(resp)
        return super().build_response(req, resp)


def repair(response: requests.Response) -> None:
    """Change what http.cookiejar cannot read in a response's cookies, before it reads them."""
    _repair(response.raw)


def _repair(raw: Any) -> None:
    message = getattr(getattr(raw, "_original_response", None), "msg", None)
    if message is None:
        return
    for name in _SET_COOKIE:
        lines = message.get_all(name, [])
        repaired = [_repaired(line) for line in lines]
        if repaired != lines:
            del message[name]
            for line in repaired:
                message[name] = line


def _repaired(line: str) -> str:
    line = re.sub(_BROKEN, r"\1\2", line)
    if len(line) <= _LONG_LINE:
        return line
    pair, *attributes = line.split(";")
    kept = [each for each in attributes if each.partition("=")[0].strip().lower() in _ATTRIBUTES]
    return ";".join([pair, *kept])


def limit_size(jar: CookieJar) -> None:
    """Remove cookies, the largest first, of each domain that has more than `MAX_BYTES` of them."""
    cookies = _all(jar)
    for domain in {cookie.domain for cookie in cookies}:
        of_domain = sorted((each for each in cookies if each.domain == domain), key=_size)
        size = sum(map(_size, of_domain))
        while size > MAX_BYTES:
            largest = of_domain.pop()
            size -= _size(largest)
            with suppress(KeyError):  # another thread was quicker
                jar.clear(largest.domain, largest.path, largest.name)


def read_jar(read: Callable[[], T]) -> T:
    """Call a function that reads a jar, again if another thread changes the jar meanwhile."""
    try:
        return read()
    except RuntimeError as error:
        if "changed size" not in str(error):
            raise
        return read_jar(read)


def header(jar: CookieJar, request: requests.PreparedRequest) -> Optional[str]:
    """Return the ``Cookie`` header for a request."""
    value: Optional[str] = read_jar(partial(get_cookie_header, jar, request))
    return value


def of_known_sites(jar: CookieJar, header: Optional[str]) -> Optional[str]:
    """
    Return a ``Cookie`` header without the cookies of a jar that name no site.

    A caller sets them for the client's site; a jar sends them to every other one, too.
    """
    anywhere = {f"{cookie.name}={cookie.value}" for cookie in _all(jar) if not cookie.domain}
    return "; ".join(pair for pair in (header or "").split("; ") if pair not in anywhere)


def has_replaced(jar: CookieJar, url: str, sent: Optional[str]) -> bool:
    """Return whether a jar has another value by now for a cookie that was sent to a URL."""
    now = _values(header(jar, requests.Request("GET", url).prepare()))
    return any(now.get(name, value) != value for name, value in _values(sent).items())


def _values(cookies: Optional[str]) -> Dict[str, str]:
    """Return the values in a ``Cookie`` header, by name."""
    pairs = (pair.partition("=") for pair in (cookies or "").split("; "))
    return {name: value for name, _, value in pairs}


def _size(cookie: Cookie) -> int:
    return sum(len(text or "") for text in (cookie.name, cookie.value, cookie.domain, cookie.path))


def _all(jar: CookieJar) -> List[Cookie]:
    """Return the cookies of a jar, to which another thread may add some meanwhile."""
    while True:
        with suppress(RuntimeError):  # its dicts changed while they were read
            return list(jar)
