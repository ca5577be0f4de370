"""The configuration of the site: its version, address and clock, which every part of it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional
from urllib.parse import urlsplit

from ._clock import Clock
from ._http import Request, query_parameter
from ._profiles import Profile


@dataclass
class SiteConfig:
    """
    The version, address and clock of a site.

    Args:
        profile: the plugin version to behave like.
        path: the directory that WordPress is installed in, such as "/blog"; "" for the root.
        permalinks: False if routes are reachable only through ``?rest_route=``.
        rest_prefix: the first path segment of REST URLs, "wp-json" by default in WordPress.
        url: the site's URL without a trailing slash; "" until the server has started.
        closed_to_guests: every route is refused to guests.
        prints: what another plugin prints before each response.
        upload_max_filesize: the size in bytes of the largest file that PHP accepts.
        post_max_size: the size in bytes of the largest body that PHP reads.
        clock: the site's clock.
    """

    profile: Profile
    path: str
    permalinks: bool
    rest_prefix: str
    url: str = ""
    closed_to_guests: bool = False
    prints: bytes = b""
    upload_max_filesize: int = 2 << 20
    post_max_size: int = 8 << 20
    clock: Clock = field(default_factory=Clock)

    @property
    def rest_url(self) -> str:
        """The URL that routes are appended to, as AI Engine prints it into pages."""
        return self.url + (f"/{self.rest_prefix}" if self.permalinks else "/index.php?rest_route=")

    @property
    def link_header(self) -> str:
        """The Link header with which WordPress announces its REST API in each response."""
        return f'<{self.rest_url}/>; rel="https://api.w.org/"'

    def route(self, request: Request) -> Optional[str]:
        """Return the REST route that a request names, such as "/mwai/v1/start_session", or None."""
        path = urlsplit(request.path).path
        root = f"{self.path}/{self.rest_prefix}"
        route = None
        if self.permalinks and f"{path}/".startswith(f"{root}/"):
            route = path[len(root) :] or "/"
        elif path in (f"{self.path}/", f"{self.path}/index.php"):
            route = query_parameter(request, "rest_route")
        return route and (route.rstrip("/") or "/")

    def ignores_rest_route(self, request: Request) -> bool:
        """Return whether the version finds no route because ``?rest_route=`` names it."""
        names_route = bool(query_parameter(request, "rest_route"))
        return self.permalinks and names_route and not self.profile.rest_route_query
