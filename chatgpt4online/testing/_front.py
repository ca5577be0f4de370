"""What stands between clients and WordPress: a web server, a cache and a proxy."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from typing import Callable, Optional, Tuple

from ._http import Headers, HTTPResponse, Request
from ._responses import front_end_page, with_headers
from ._script_queue import TakeScript

CACHED_ROUTE = "/mwai/v1/start_session"


@dataclass(frozen=True)
class FrontEndConfig:
    """
    What stands between clients and WordPress.

    Args:
        gate: the user name and password of an htpasswd file; None for none.
        drops_authorization: PHP gets no Authorization header.
        caches_start_session: the first answer of start_session is kept for everybody.
        client_max_body_size: the size in bytes of the largest body that is let through.
        holds_answers: each response is sent only when it is complete.
        keep_alive: seconds after which an idle connection is closed; None for never.
    """

    gate: Optional[Tuple[str, str]] = None
    drops_authorization: bool = False
    caches_start_session: bool = False
    client_max_body_size: Optional[int] = None
    holds_answers: bool = False
    keep_alive: Optional[float] = None


class FrontEnd:
    """
    Passes requests on to WordPress, or responds itself.

    Args:
        config: what it does.
        route: returns the REST route of a request, or None.
        wordpress: returns the response of WordPress.

    Source: nginx 1.22 and Apache 2.4; an htpasswd, CGI and php-fpm without a rewrite rule.
    """

    def __init__(
        self,
        config: FrontEndConfig,
        route: Callable[[Request], Optional[str]],
        wordpress: Callable[[Request, TakeScript], HTTPResponse],
    ) -> None:
        self._config = config
        self._route = route
        self._wordpress = wordpress
        self._cached: Optional[HTTPResponse] = None

    def respond(self, request: Request, take_script: TakeScript) -> HTTPResponse:
        """Return the response to a request, for which WordPress may take a script."""
        if not self._may_enter(request):
            challenge = ("WWW-Authenticate", 'Basic realm="Restricted"')
            return with_headers(front_end_page(401), [challenge])
        limit = self._config.client_max_body_size
        if limit is not None and len(request.body) > limit:
            return front_end_page(413)
        if self._config.drops_authorization:
            request = _without_authorization(request)
        if self._config.caches_start_session and self._route(request) == CACHED_ROUTE:
            return self._respond_from_cache(request, take_script)
        return self._wordpress(request, take_script)

    def _may_enter(self, request: Request) -> bool:
        if self._config.gate is None:
            return True
        credentials = b64encode(":".join(self._config.gate).encode()).decode()
        return request.headers.get("Authorization") == f"Basic {credentials}"

    def _respond_from_cache(self, request: Request, take_script: TakeScript) -> HTTPResponse:
        if self._cached is None:
            response = self._wordpress(request, take_script)
            if response.status != 200:
                return response
            kept = [field for field in response.headers if field[0] != "Set-Cookie"]
            self._cached = replace(response, headers=(*kept, ("X-Cache", "HIT")))
            return response
        return self._cached


def _without_authorization(request: Request) -> Request:
    fields = [field for field in request.headers.items() if field[0].lower() != "authorization"]
    return replace(request, headers=Headers(fields))
