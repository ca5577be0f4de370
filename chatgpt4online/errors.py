"""
Every exception that this package raises once a request is on its way.

* ChatGPT4OnlineError

  * TransportError: no whole HTTP answer came

    * Timeout: one of your time limits passed (also a `TimeoutError`)

  * StatusError: WordPress, or something before it, refused

    * AuthError: 401, or 403 with a WordPress code
    * BlockedError: a firewall's or CDN's page
    * NotFoundError: 404
    * RateLimitError: 429
    * ServerError: 5xx

  * ReplyError: the plugin answered, and its answer is a failure
  * ProtocolError: not the plugin's language

    * StreamInterrupted: the answer stopped before its end

Wrong arguments are `ValueError` or `TypeError`, raised before anything is sent.
"""

from __future__ import annotations

from typing import Optional

__all__ = [
    "AuthError",
    "BlockedError",
    "ChatGPT4OnlineError",
    "NotFoundError",
    "ProtocolError",
    "RateLimitError",
    "ReplyError",
    "ServerError",
    "StatusError",
    "StreamInterrupted",
    "Timeout",
    "TransportError",
]


class ChatGPT4OnlineError(Exception):
    """
    The base of all errors. Its text is one or two sentences: what happened, and what to do.

    Args:
        explanation: those sentences.
        site: the site's URL, without credentials.
        route: the REST route that was asked, such as ``mwai-ui/v1/chats/submit``.
        text: what had been answered so far; often empty.
    """

    def __init__(
        self, explanation: str = "", *, site: str = "", route: str = "", text: str = ""
    ) -> None:
        super().__init__(explanation)
        self.site = site
        self.route = route
        self.text = text

    def __str__(self) -> str:
        """Return the explanation, after the site and the route that it is about."""
        known = (self.route,) if "://" in self.route else (self.site, self.route)
        where = " ".join(filter(None, known))
        explanation = super().__str__()
        return f"{where}: {explanation}" if where else explanation


class TransportError(ChatGPT4OnlineError):
    """No whole HTTP answer came: no DNS entry, no connection, no TLS, or no headers."""


class Timeout(TransportError, TimeoutError):
    """
    One of your time limits passed.

    Args:
        explanation: what happened, and what to do.
        phase: the limit: ``"connect"``, ``"read"`` (the longest silence) or ``"deadline"``.
        site: the site's URL.
        route: the REST route.
        text: what had been answered so far.
    """

    def __init__(
        self,
        explanation: str = "",
        *,
        phase: str = "read",
        site: str = "",
        route: str = "",
        text: str = "",
    ) -> None:
        super().__init__(explanation, site=site, route=route, text=text)
        self.phase = phase


class StatusError(ChatGPT4OnlineError):
    """
    WordPress, or something before it, refused the request with an HTTP status.

    Args:
        explanation: what happened, and what to do.
        status: the HTTP status.
        code: WordPress's own code, such as ``rest_forbidden``; empty when there is none.
        message: the site's own sentence, as plain text; empty when there is none.
        retry_after: the seconds that the site asks to wait, or None.
        request_id: the id that a CDN or server gave the request, or None.
        site: the site's URL.
        route: the REST route.
        text: what had been answered so far.
    """

    def __init__(
        self,
        explanation: str = "",
        *,
        status: int = 0,
        code: str = "",
        message: str = "",
        retry_after: Optional[float] = None,
        request_id: Optional[str] = None,
        site: str = "",
        route: str = "",
        text: str = "",
    ) -> None:
        super().__init__(explanation, site=site, route=route, text=text)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.request_id = request_id


class AuthError(StatusError):
    """401, or 403 with a WordPress code: a nonce refused twice, a wrong password, or not yours."""


class BlockedError(StatusError):
    """A firewall's or CDN's page came instead of an answer. The client solves no challenge."""


class NotFoundError(StatusError):
    """404: the site has no AI Engine, or this part of it is off or too old."""


class RateLimitError(StatusError):
    """429: too many requests. `retry_after` holds the seconds to wait, where the site said so."""


class ServerError(StatusError):
    """5xx. The site may have run the question all the same, so it was not sent again."""


class ReplyError(ChatGPT4OnlineError):
    """
    The plugin answered, and its answer is a failure.

    Args:
        explanation: what happened, and what to do.
        message: the plugin's own sentence; empty when it gave none.
        site: the site's URL.
        route: the REST route.
        text: what had been answered so far.
    """

    def __init__(
        self,
        explanation: str = "",
        *,
        message: str = "",
        site: str = "",
        route: str = "",
        text: str = "",
    ) -> None:
        super().__init__(explanation, site=site, route=route, text=text)
        self.message = message


class ProtocolError(ChatGPT4OnlineError):
    """What came is not what AI Engine says: a web page, a broken event, or more than the limit."""


class StreamInterrupted(ProtocolError):
    """The answer stopped, or was closed from elsewhere, before its end. `text` is what had come."""
