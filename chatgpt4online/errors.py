"""
The exceptions that this package raises.

::

    ChatGPT4OnlineError
    ├── MessageError          the message cannot be sent (also a ValueError)
    ├── TransportError        no complete HTTP response
    │   └── Timeout           a time limit passed (also a TimeoutError)
    ├── StatusError           an HTTP error status, from WordPress or from something in front of it
    │   ├── AuthError         401, 403 with a WordPress code, or a login that was not accepted
    │   ├── BlockedError      a page from a firewall or CDN
    │   ├── NotFoundError     404, of a route or of a page
    │   ├── RateLimitError    429
    │   └── ServerError       5xx
    ├── ReplyError            the plugin reported a failure
    └── ProtocolError         a response that is not from AI Engine
        └── StreamInterrupted the answer stopped before its end

Other invalid arguments raise `ValueError` or `TypeError`, also before anything is sent.
"""

from __future__ import annotations

from typing import Optional

__all__ = [
    "AuthError",
    "BlockedError",
    "ChatGPT4OnlineError",
    "MessageError",
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
    The base class of all errors. The message says what happened and what to do next.

    Args:
        explanation: that message, one or two sentences.
        site: the URL of the site, without credentials.
        route: the REST route that was called, such as ``mwai-ui/v1/chats/submit``.
        text: the part of the answer received so far; often empty.
    """

    def __init__(
        self, explanation: str = "", *, site: str = "", route: str = "", text: str = ""
    ) -> None:
        super().__init__(explanation)
        self.site = site
        self.route = route
        self.text = text

    def __str__(self) -> str:
        """Return the site, the route and the explanation."""
        known = (self.route,) if "://" in self.route else (self.site, self.route)
        where = " ".join(filter(None, known))
        explanation = super().__str__()
        return f"{where}: {explanation}" if where else explanation


class MessageError(ChatGPT4OnlineError, ValueError):
    """
    The message cannot be sent, and nothing has been.

    The message is empty, longer than the bot allows, or contains a lone surrogate or a part that is
    not text; a turn's role is wrong, or the last turn is not the user's. The text of the error
    omits the site, so that it can be shown to whoever wrote the message.
    """

    def __str__(self) -> str:
        """Return the explanation."""
        return Exception.__str__(self)


class TransportError(ChatGPT4OnlineError):
    """No complete HTTP response: name resolution, the connection or TLS failed, for example."""


class Timeout(TransportError, TimeoutError):
    """
    A time limit passed.

    Args:
        explanation: what happened, and what to do next.
        phase: which limit: ``"connect"``, ``"read"`` (the longest silence) or ``"deadline"``.
        site: the URL of the site, without credentials.
        route: the REST route that was called.
        text: the part of the answer received so far.
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
    An HTTP error status, from WordPress or from something in front of it.

    Args:
        explanation: what happened, and what to do next.
        status: the HTTP status.
        code: WordPress's error code, such as ``rest_forbidden``; empty if there is none.
        message: the site's own message, as plain text; empty if there is none.
        retry_after: how long the site asks to wait, in seconds, or None if it does not say.
        request_id: the id that a CDN or server gave the request, or None.
        site: the URL of the site, without credentials.
        route: the REST route that was called.
        text: the part of the answer received so far.
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
    """
    401, 403 with a WordPress code, or a login that the site did not accept, whatever the status.

    The nonce was refused twice, the password or token is wrong, the site hides the route that
    proves a login, or the object belongs to someone else.
    """


class BlockedError(StatusError):
    """A firewall or CDN answered with a page of its own. The client does not solve challenges."""


class NotFoundError(StatusError):
    """
    404: AI Engine is not installed, or this part of it is disabled or too old.

    For `Client.bots` and `Client.from_page`, there is no such page.
    """


class RateLimitError(StatusError):
    """429: too many requests. `retry_after` is the time to wait, if the site gave one."""


class ServerError(StatusError):
    """5xx. The site may have run the question anyway; check before you ask it again."""


class ReplyError(ChatGPT4OnlineError):
    """
    The plugin reported a failure.

    Args:
        explanation: what happened, and what to do next.
        message: the plugin's own message; empty if there is none.
        site: the URL of the site, without credentials.
        route: the REST route that was called.
        text: the part of the answer received so far.
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
    """The response is not from AI Engine: a web page, a malformed event, or data over the limit."""


class StreamInterrupted(ProtocolError):
    """The answer stopped, or was closed from elsewhere, before its end. `text` is what arrived."""
