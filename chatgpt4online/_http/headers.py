"""
What requests look like: the widget's headers or plain ones, the caller's, credential, nonce.

The widget's own are in `_protocol.headers`.
"""

from __future__ import annotations

from typing import Dict, Optional

from chatgpt4online._protocol import routes
from chatgpt4online._protocol.advice import LoginState, RequestInfo
from chatgpt4online._protocol.headers import (
    NONCE_HEADER,
    plain_headers,
    widget_headers,
    without_hints,
)

from .call import Call
from .credentials import Credential, origin_of
from .nonce import IssuedNonce
from .outgoing import Headers, OutgoingRequest, may_cross_origins
from .request import Request

#: Of the caller's headers, these are for the widget's requests only.
_WIDGET_ONLY = ("accept", "content-type")


class RequestHeaders:
    """
    What the requests of a client look like.

    Args:
        site: the client's site; another origin sees few of the caller's headers.
        headers: the caller's changes.
        login: the client's credential, if it has one.
    """

    def __init__(self, site: str, headers: Headers, login: Optional[Credential]) -> None:
        self._origin = origin_of(site)
        self._headers = headers
        self._login = login

    def widget(self, **further: Optional[str]) -> Headers:
        """Return the widget's headers, with the caller's changes; one that is None is not sent."""
        return widget_headers(self._headers, accept_encoding="identity", **further)

    def plain(self, **further: Optional[str]) -> Headers:
        """
        Return the headers of a request that no widget makes, with the caller's changes.

        Accept and Content-Type stay as the route needs them.
        """
        theirs = {n: each for n, each in self._headers.items() if n not in _WIDGET_ONLY}
        return {**plain_headers(**further), **theirs}

    def outgoing(
        self, request: Request, root: str, nonce: Optional[IssuedNonce]
    ) -> OutgoingRequest:
        """Return a request as it is sent to a site with this REST root."""
        url = request.url(root)
        origin = origin_of(url)
        headers = {"origin": origin, "referer": origin + "/", **request.headers}
        to_site = origin == self._origin
        if not to_site:
            theirs = self._headers
            headers = {
                n: each for n, each in headers.items() if n not in theirs or may_cross_origins(n)
            }
        return OutgoingRequest(
            request.method,
            url,
            headers,
            self._changing(request, url, nonce, to_site=to_site),
            request.body,
            progress=request.progress,
            to_site=to_site,
        )

    def _changing(
        self, request: Request, url: str, nonce: Optional[IssuedNonce], *, to_site: bool
    ) -> Dict[str, Optional[str]]:
        """Return what may differ each time: the call's own, credential, nonce, content type."""
        own = without_hints(request.call_headers)
        extra = {name: each for name, each in own.items() if to_site or may_cross_origins(name)}
        credential = self._credential(request)
        if credential is not None:
            extra.update(credential.header(url))
        if nonce is not None:
            extra[NONCE_HEADER] = nonce.value
        if request.content_type is not None:
            extra["content-type"] = request.content_type
        return extra

    def _credential(self, request: Request) -> Optional[Credential]:
        """Return what opens a request; a whole URL gets no credential."""
        return None if request.is_url else request.credential or self._login

    def request_info(self, request: Request, root: str, call: Call) -> RequestInfo:
        """Return what advice about a refusal depends on: the route, and as whom it was sent."""
        credential = self._credential(request)
        login: LoginState = "guest"
        if credential is not None:
            is_sent = bool(credential.header(request.url(root)))
            login = ("token" if credential.is_bearer else "user") if is_sent else "withheld"
        size = len(request.body) if request.is_upload and request.body is not None else None
        return RequestInfo(
            request.route,
            request.idempotent,
            login,
            size,
            site=routes.site_of(root),
            proxy=call.proxy or "",
        )
