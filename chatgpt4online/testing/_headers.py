"""The header fields that WordPress adds to the responses of its REST API."""

from __future__ import annotations

import secrets
from typing import List, Tuple

from ._config import SiteConfig
from ._http import HTTPResponse
from ._responses import NO_CACHE
from ._rest import RestRequest
from ._users import GUEST

Fields = List[Tuple[str, str]]

_ALLOWED = "Authorization, X-WP-Nonce, Content-Disposition, Content-MD5, Content-Type"
_REST_HEADERS = [
    ("X-Robots-Tag", "noindex"),
    ("X-Content-Type-Options", "nosniff"),
    ("Access-Control-Expose-Headers", "X-WP-Total, X-WP-TotalPages, Link"),
    ("Access-Control-Allow-Headers", _ALLOWED),
]
_PHP_SESSION = [
    ("Cache-Control", "no-store, no-cache, must-revalidate"),
    ("Expires", "Thu, 19 Nov 1981 08:52:00 GMT"),
]


def rest_headers(request: RestRequest, response: HTTPResponse, config: SiteConfig) -> Fields:
    """
    Return the header fields to add to a response.

    Source: WordPress core; session_start() of PHP; AI Engine 3.6.2, 3.3.9 and 2.4.7.
    """
    has_session = config.profile.session_cookies and "/mwai/" in request.route
    return [
        ("Link", config.link_header),
        *_REST_HEADERS,
        *_cross_origin_headers(request),
        *_cache_headers(request, response, has_session=has_session),
        *_cookies(request, config, has_session=has_session),
    ]


def _cross_origin_headers(request: RestRequest) -> Fields:
    origin = request.http.headers.get("Origin")
    if origin:
        return [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Methods", "OPTIONS, GET, POST, PUT, PATCH, DELETE"),
            ("Access-Control-Allow-Credentials", "true"),
            ("Vary", "Origin"),
        ]
    is_shared = request.http.method in ("GET", "HEAD") and request.user is GUEST
    return [("Vary", "Origin")] if is_shared else []


def _cache_headers(request: RestRequest, response: HTTPResponse, *, has_session: bool) -> Fields:
    fields: Fields = [("Pragma", "no-cache")] if has_session else []
    if any(name == "Cache-Control" for name, _ in response.headers):
        return fields
    if request.user is not GUEST:
        return [*fields, *NO_CACHE]
    return [*fields, *(_PHP_SESSION if has_session else [])]


def _cookies(request: RestRequest, config: SiteConfig, *, has_session: bool) -> Fields:
    fields: Fields = []
    if has_session and "PHPSESSID" not in request.cookies:
        fields.append(("Set-Cookie", f"PHPSESSID={secrets.token_hex(13)}; path=/"))
    if request.opened_session:
        secure = "; Secure" if config.url.startswith("https:") else ""
        value = f"mwai_session_id={request.opened_session}; path=/; HttpOnly{secure}"
        fields.append(("Set-Cookie", value))
    return fields
