"""Where a site lives and what it is like: what all its parts need to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional
from urllib.parse import urlsplit

from ._http import Request
from ._profiles import Profile
from ._wordpress import Clock, rest_route


@dataclass
class Place:
    """
    The site's address, clock and version.

    ``path`` is the directory that WordPress lives in; ``permalinks`` is False where routes are
    named by ``?rest_route=`` alone; ``prefix`` is what the REST API's addresses start with.
    """

    profile: Profile
    path: str
    permalinks: bool
    prefix: str
    url: str = ""
    clock: Clock = field(default_factory=Clock)

    @property
    def rest_url(self) -> str:
        """The address that routes are appended to, as AI Engine prints it into pages."""
        return self.url + (f"/{self.prefix}" if self.permalinks else "/index.php?rest_route=")

    @property
    def link(self) -> str:
        """What WordPress says of its REST API in the header of each answer."""
        return f'<{self.rest_url}/>; rel="https://api.w.org/"'

    def route(self, request: Request) -> Optional[str]:
        """Return the REST route that a request names, such as "/mwai/v1/start_session"."""
        path = urlsplit(request.path).path
        root = f"{self.path}/{self.prefix}"
        if self.permalinks and f"{path}/".startswith(f"{root}/"):
            return path[len(root) :] or "/"
        if path in (f"{self.path}/", f"{self.path}/index.php"):
            return rest_route(request) or None
        return None

    def hides(self, request: Request) -> bool:
        """Some versions have no routes for ``?rest_route=`` where there are permalinks."""
        return self.permalinks and bool(rest_route(request)) and not self.profile.rest_route
