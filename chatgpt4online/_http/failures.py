"""
From other libraries' exceptions to ours, in one place.

What the site refuses is in `_protocol.failures`.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from typing import NamedTuple, Optional

import requests
from urllib3.exceptions import HTTPError, LocationValueError, ReadTimeoutError

from chatgpt4online._protocol.advice import PROXY_LOGIN
from chatgpt4online._protocol.fields import plain_text, sentence
from chatgpt4online.errors import (
    ChatGPT4OnlineError,
    ProtocolError,
    StreamInterrupted,
    Timeout,
    TransportError,
)

from . import tracebacks
from .call import Call, CallEnded

#: The most characters of a reason that are shown: it may be a line of 64 KiB that the site sent.
_MAX_REASON = 200

_BROKEN_URL = (
    http.client.InvalidURL,
    LocationValueError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
)

_MAY_HAVE_RUN = "The site may have run the request: check before you ask again"

#: What an answer raises that cannot be read, whatever the site did before it.
_UNREADABLE = (ProtocolError, StreamInterrupted)

_TIMEOUTS = (requests.Timeout, ReadTimeoutError, socket.timeout)


class ErrorContext(NamedTuple):
    """
    What the errors of one request name and depend on.

    Args:
        call: the call that it belongs to.
        site: the site's URL.
        route: the route that was asked.
        idempotent: the request changes nothing on the site.
    """

    call: Call
    site: str
    route: str
    idempotent: bool = False

    def translate(self, error: Exception, *, reading: bool = False) -> ChatGPT4OnlineError:
        """
        Return the error of ours for anything that the request runs into, with site and route.

        An error of ours is completed in place and returned itself.

        Args:
            error: what was raised below. It loses its traceback, whose frames hold secrets.
            reading: an answer had begun.
        """
        if isinstance(error, ChatGPT4OnlineError):
            ours = error
            if not ours.site:  # each has one after its first translation
                self._add_fate(ours)
        else:
            ours = _translated(error, self.call, reading, self.idempotent)
        tracebacks.strip(error)
        ours.site, ours.route = self.site, self.route
        return ours

    def _add_fate(self, error: ChatGPT4OnlineError) -> None:
        """Say of an answer that cannot be read what the site may have done before it."""
        if type(error) in _UNREADABLE and not self.idempotent:
            error.args = (f"{sentence(error.args[0])} {_MAY_HAVE_RUN}.",)


def cause(error: Exception) -> Optional[Exception]:
    """
    Return what to name as the cause of our error: what another library raised.

    Nothing where that complains about a value: it may quote a header, or a proxy's password.
    """
    unnamed = (ChatGPT4OnlineError, CallEnded, ValueError, AttributeError)
    return None if isinstance(error, unnamed) else error


def _translated(
    error: Exception, call: Call, reading: bool, idempotent: bool
) -> ChatGPT4OnlineError:
    if call.remaining() == 0.0:
        call.end("deadline")
    if call.ended == "deadline":
        words = "the deadline passed before the answer was complete."
        return Timeout(words + _fate(reading or call.sent, idempotent), phase="deadline")
    if call.ended or isinstance(error, CallEnded):
        return StreamInterrupted("the call was closed before the answer was complete.")
    if isinstance(error, _TIMEOUTS) or isinstance(_innermost(error), _TIMEOUTS):
        return _timeout("read" if call.sent else "connect", idempotent, call.proxy)
    if reading:
        words = f"the answer stopped before its end: {_reason(error)}."
        return StreamInterrupted(words + _fate(True, idempotent))
    return TransportError(_why_no_answer(error, call, idempotent))


def _why_no_answer(error: Exception, call: Call, idempotent: bool) -> str:
    """Return what happened before an answer had begun, and what to do."""
    reason = _reason(error)
    fault = _fault_of_session(error, call, idempotent) or _why_no_proxy(error, call, reason)
    if fault:
        return fault
    if is_untrusted(error):
        return (
            f"the site's certificate is not trusted: {reason}. With a certificate authority of your"
            " own, set REQUESTS_CA_BUNDLE or session.verify."
        )
    if _is_plain_http(error):
        return f"the server speaks http, not https: {reason}. Give its address as http://..."
    if _has_large_headers(error):
        return f"the site's response headers are too large: {reason}."
    if call.sent:
        return f"the connection broke: {reason}. {_after_sending(idempotent)}."
    return f"no answer: {reason}. Is the site up, and reachable?"


def _fault_of_session(error: Exception, call: Call, idempotent: bool) -> str:
    """Return which bug in the caller's session ended the request; empty if none did."""
    if not _callers_line(error):
        return ""
    words = f"the session's own auth, hook or adapter failed: {_reason(error)}."
    return words + _fate(call.sent, idempotent)


def _why_no_proxy(error: Exception, call: Call, reason: str) -> str:
    """Return why a proxy could not be used; empty if that is not what happened."""
    if call.proxy is not None and _is_broken_url(error):
        return (
            f"the proxy's URL cannot be used: {reason}. Write it as http://host:port or"
            " socks5h://host:port, with %40 for an @ in the password."
        )
    is_socks = call.proxy is not None and call.proxy.lower().startswith("socks")
    if isinstance(error, requests.exceptions.ProxyError) or (is_socks and not call.sent):
        advice = PROXY_LOGIN if _says_407(error) else "Check the proxy's address."
        return f"the proxy {call.proxy or ''} failed: {reason}. {advice}"
    return ""


def _is_broken_url(error: Exception) -> bool:
    """Return whether a URL was refused; where there is a proxy, the site's was accepted before."""
    inner = _innermost(error)
    is_broken = isinstance(error, _BROKEN_URL) or isinstance(inner, _BROKEN_URL)
    return is_broken or type(inner) is ValueError


def _timeout(phase: str, idempotent: bool, proxy: Optional[str]) -> Timeout:
    if phase == "connect":
        asked = "the site" if proxy is None else f"the proxy {proxy}"
        return Timeout(f"no connection within the time limit. Is {asked} up?", phase=phase)
    return Timeout(
        "the site was silent for longer than the time limit."
        f" {_after_sending(idempotent)}, or allow more time.",
        phase=phase,
    )


def _fate(sent: bool, idempotent: bool) -> str:
    """Return a sentence about what the site may have run; empty if it matters to nobody."""
    return f" {_MAY_HAVE_RUN}." if sent and not idempotent else ""


def _after_sending(idempotent: bool) -> str:
    """Return what to do about a request whose fate is unknown."""
    if idempotent:
        return "Nothing was changed: try again later"
    return _MAY_HAVE_RUN


def is_permanent(error: BaseException) -> bool:
    """Return whether a failure would be the same each time, as with a certificate or a URL."""
    tests = (
        *(is_untrusted, _is_plain_http, _says_407, _has_large_headers, _is_of_value),
        _callers_line,
    )
    return any(test(error) for test in tests)


def _is_of_value(error: BaseException) -> bool:
    """Return whether a value was refused, such as a URL or a header: it stays as it is."""
    kinds = (ValueError, http.client.InvalidURL)
    return isinstance(error, kinds) or isinstance(_innermost(error), kinds)


def is_untrusted(error: BaseException) -> bool:
    """Return whether a certificate is not trusted; urllib3 1.26 looks at its name itself."""
    inner = _innermost(error)
    is_named = type(inner).__name__ == "CertificateError"
    return is_named or isinstance(inner, ssl.SSLCertVerificationError)


def _is_plain_http(error: BaseException) -> bool:
    inner = _innermost(error)
    reasons = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER")
    if not isinstance(inner, ssl.SSLError):
        return False
    # Made in Python, as by urllib3's module for pyOpenSSL, it has no reason.
    return str(getattr(inner, "reason", "")).startswith(reasons)


def _says_407(error: BaseException) -> bool:
    """Return whether a proxy wants a login. http.client says so in words only."""
    return isinstance(error, requests.exceptions.ProxyError) and " 407 " in str(_innermost(error))


def _has_large_headers(error: BaseException) -> bool:
    """Return whether http.client refused headers: over 100, or a line of over 64 KiB."""
    inner = _innermost(error)
    is_many = isinstance(inner, http.client.HTTPException) and re.search(
        "more than .* headers", str(inner)
    )
    return isinstance(inner, http.client.LineTooLong) or bool(is_many)


def _reason(error: BaseException) -> str:
    """
    Return the words of the innermost error, which contain no URL, header or password.

    Others' errors are only named, since they may quote what was sent. Those of the caller's own
    code are named with its line.
    """
    line = _callers_line(error)
    if line:
        return f"{_name(error)} in {line}"
    inner = _innermost(error)
    if isinstance(inner, (OSError, http.client.HTTPException)) and not isinstance(
        inner, (requests.RequestException, HTTPError)
    ):
        words = plain_text(getattr(inner, "strerror", None) or str(inner))[:_MAX_REASON]
        return words or _name(inner)
    if isinstance(inner, requests.exceptions.InvalidSchema) and "SOCKS" in str(inner):
        return "a SOCKS proxy needs PySocks (pip install 'requests[socks]')"
    return _name(inner)


def _name(error: BaseException) -> str:
    """Return the name of an error's type, with its module if it is as bare as `zlib.error`."""
    kind = type(error)
    is_bare = kind.__name__.lower() == "error"
    return f"{kind.__module__}.{kind.__name__}" if is_bare else kind.__name__


def _callers_line(error: BaseException) -> str:
    """Return which line of the caller's has a bug that raised an error; empty if it is no bug."""
    failures = (OSError, requests.RequestException, HTTPError)
    is_bug = isinstance(error, (ValueError, AttributeError)) and not isinstance(error, failures)
    return tracebacks.callers_line(error) if is_bug else ""


def _innermost(error: BaseException) -> BaseException:
    """
    Return the error that those of requests and urllib3 were raised for.

    The context of any other one may be an error that the caller was just handling.
    """
    while isinstance(error, (requests.RequestException, HTTPError)):
        inner = getattr(error, "reason", None) or getattr(error, "original_error", None)
        inner = inner or (error.args[0] if error.args else None)
        if not isinstance(inner, BaseException) and isinstance(error, HTTPError):
            inner = error.__context__
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error
