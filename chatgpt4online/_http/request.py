"""
A request to one of a site's routes, which may have to be sent more than once.

What its body says is in `_protocol.request`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Callable, FrozenSet, Optional

from chatgpt4online._protocol import routes
from chatgpt4online._protocol.failures import check_success
from chatgpt4online._protocol.prelude import PLUGIN_KEYS

from .credentials import Credential
from .outgoing import Headers
from .response import CheckAnswer


class Request:
    """
    A request to one of the site's routes: what is the same each time that it is sent.

    The repr shows no secret.

    Args:
        route: a REST route, or a whole URL.
        headers: the same for each request to it.
        credential: used in place of the client's login.
        idempotent: the site may get the request twice, since it changes nothing.
        check: returns the JSON object of an answer that reports success, and raises for any other.
        keys: the possible first keys of that object.
        progress: called with the number of bytes sent so far and the size of the body.
        call_headers: the caller's for this call; they take precedence.
    """

    def __init__(
        self,
        route: str,
        headers: Headers,
        body: Optional[bytes] = None,
        *,
        method: str = "POST",
        content_type: Optional[str] = None,
        credential: Optional[Credential] = None,
        with_nonce: bool = True,
        idempotent: bool = False,
        check: CheckAnswer = check_success,
        keys: FrozenSet[str] = PLUGIN_KEYS,
        progress: Optional[Callable[[int, int], object]] = None,
        call_headers: Headers = MappingProxyType({}),
    ) -> None:
        self.route = route
        self.headers = headers
        self.body = body
        self.method = method
        self.content_type = content_type
        self.credential = credential
        self.with_nonce = with_nonce
        self.idempotent = idempotent
        self.check = check
        self.keys = keys
        self.progress = progress
        self.call_headers = call_headers

    def replace(self, **changes: Any) -> Request:
        """Return a request with other values of some fields."""
        return Request(**{**vars(self), **changes})

    def url(self, root: str) -> str:
        """Return its URL, given the root of the site's REST API."""
        return self.route if self.is_url else routes.route_url(root, self.route)

    @property
    def is_url(self) -> bool:
        """Whether `route` is a whole URL."""
        return "://" in self.route

    @property
    def is_upload(self) -> bool:
        """Whether the body is a file."""
        return bool(self.content_type and self.content_type.startswith("multipart/"))

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.route}>"
