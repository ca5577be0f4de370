"""
Headers and cookies: what requests send, and what those of responses mean.

Which of them a client's request has is in `_http.headers`.
"""

from __future__ import annotations

import re
from typing import Dict, Mapping, Optional

from chatgpt4online._version import __version__

#: What the widget in a visitor's browser sends; ``origin`` and ``referer`` depend on the site.
WIDGET_HEADERS: Mapping[str, str] = {
    "accept": "text/event-stream",
    "accept-language": "en-US,en;q=0.9",
    "content-type": "application/json",
    "dnt": "1",
    "priority": "u=1, i",
    "sec-ch-ua": '"Not/A)Brand";v="8", "Chromium";v="126"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "sec-fetch-dest": "empty",
    "sec-fetch-mode": "cors",
    "sec-fetch-site": "same-origin",
    "user-agent": (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Safari/537.36"
    ),
}

#: Headers that describe the browser that the user agent names.
CLIENT_HINTS = frozenset({"sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform"})

#: Carries the nonce of a request, and a fresh one in a response. Source: WordPress's cookie check.
NONCE_HEADER = "x-wp-nonce"

#: The relation of a link to the REST root, in a page and in its ``Link`` header. Source: WordPress.
REST_ROOT_REL = "https://api.w.org/"

_PHP_SESSION = "PHPSESSID="

#: Cloudflare and AWS WAF send these, whatever the status.
_FIREWALL_HEADERS = ("cf-mitigated", "x-amzn-waf-action")

#: One link of a Link header, with its parameters (RFC 8288).
_LINK = r'(?i)<([^<>]*)>((?:\s*;\s*[a-z*]+\s*=\s*(?:"[^"]*"|[^\s";,]+))*)'


def widget_headers(
    overrides: Mapping[str, Optional[str]], **changes: Optional[str]
) -> Dict[str, Optional[str]]:
    """
    Return the widget's headers, changed first for a route and then by the caller's overrides.

    Names are in lower case. None marks a header that is not sent, even if the session sets it.
    """
    headers: Dict[str, Optional[str]] = dict(WIDGET_HEADERS)
    headers.update((name.replace("_", "-"), value) for name, value in changes.items())
    headers.update(without_hints(overrides))
    return headers


def without_hints(overrides: Mapping[str, Optional[str]]) -> Dict[str, Optional[str]]:
    """Return a caller's headers; a user agent among them removes the hints that it replaces."""
    hints = CLIENT_HINTS if "user-agent" in overrides else ()
    return {**dict.fromkeys(hints), **overrides}


def plain_headers(**changes: Optional[str]) -> Dict[str, Optional[str]]:
    """Return the headers of a request that no widget makes. They name this package."""
    headers: Dict[str, Optional[str]] = {
        "origin": None,
        "referer": None,
        "user-agent": "chatgpt4online/" + __version__,
    }
    headers.update((name.replace("_", "-"), value) for name, value in changes.items())
    return headers


def linked_root(link_header: str) -> Optional[str]:
    """Return the REST root that a ``Link`` header names, or None."""
    for target, parameters in re.findall(_LINK, link_header):
        if re.search(rf'rel\s*=\s*"?{re.escape(REST_ROOT_REL)}"?', parameters, re.IGNORECASE):
            return str(target)
    return None


def is_from_firewall(headers: Mapping[str, str]) -> bool:
    """Return whether headers, in lower case, say that a firewall or CDN answered by itself."""
    return any(headers.get(name) for name in _FIREWALL_HEADERS)


def without_php_session(cookie: Optional[str]) -> Optional[str]:
    """
    Return a ``Cookie`` header without PHP's session, which would make the site queue requests.

    The plugin's own cookie, ``mwai_session_id``, stays, because uploaded files belong to it.

    Source: AI Engine 2.8.5 keeps a PHP session open during each request below ``mwai/``, and PHP
    serves the requests of one session one at a time.
    """
    if not cookie or _PHP_SESSION not in cookie:
        return cookie
    return "; ".join(pair for pair in cookie.split("; ") if not pair.startswith(_PHP_SESSION))
