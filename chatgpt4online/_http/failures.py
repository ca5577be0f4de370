"""From other libraries' exceptions to ours, in one place."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPException
from typing import Optional

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from chatgpt4online._protocol.fields import plain_text
from chatgpt4online.errors import ChatGPT4OnlineError, StreamInterrupted, Timeout, TransportError

from .call import Call, CallEnded

_TIMEOUTS = (requests.Timeout, ReadTimeoutError, socket.timeout)


def translate(
    error: Exception, call: Call, site: str, route: str, *, reading: bool = False
) -> ChatGPT4OnlineError:
    """
    Return the error of ours for anything that a call runs into.

    Args:
        error: what was raised below. It loses its traceback, whose frames hold secrets.
        call: the call that ran into it.
        site: the site's URL.
        route: the route that was asked.
        reading: an answer had begun.
    """
    ours = error if isinstance(error, ChatGPT4OnlineError) else _translated(error, call, reading)
    _strip_tracebacks(error)
    ours.site, ours.route = site, route
    return ours


def cause(error: Exception) -> Optional[Exception]:
    """
    Return what to name as the cause of our error: what another library raised.

    Nothing where that complains about a value: it may quote a header, or a proxy's password.
    """
    unnamed = (ChatGPT4OnlineError, CallEnded, ValueError, AttributeError)
    return None if isinstance(error, unnamed) else error


def _strip_tracebacks(error: Optional[BaseException]) -> None:
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _translated(error: Exception, call: Call, reading: bool) -> ChatGPT4OnlineError:
    if call.remaining() == 0.0:
        call.end("deadline")
    if call.ended == "deadline":
        return Timeout("the deadline passed before the answer was complete.", phase="deadline")
    if call.ended or isinstance(error, CallEnded):
        return StreamInterrupted("it was closed before its answer was complete.")
    if isinstance(error, _TIMEOUTS) or isinstance(_innermost(error), _TIMEOUTS):
        return _timeout("read" if call.sent else "connect")
    if reading:
        return StreamInterrupted(f"the answer stopped before its end: {_reason(error)}.")
    return TransportError(f"no answer: {_reason(error)}. Is the site up, and reachable?")


def _timeout(phase: str) -> Timeout:
    if phase == "connect":
        return Timeout("no connection within the time limit. Is the site up?", phase=phase)
    return Timeout(
        "the site was silent for longer than the time limit. It may have run the question: check"
        " before you ask again, or allow more time.",
        phase=phase,
    )


def is_final(error: Optional[BaseException]) -> bool:
    """
    Return whether a failure to connect would be the same each time, as with a bad certificate.

    Args:
        error: what another library raised, or None.
    """
    if error is None:
        return False
    inner = _innermost(error)
    return isinstance(inner, ssl.SSLCertVerificationError)


def _reason(error: BaseException) -> str:
    """
    Return the words of the innermost error, which contain no URL, header or password.

    Others' errors are only named, since they may quote what was sent.
    """
    inner = _innermost(error)
    if isinstance(inner, (OSError, HTTPException)) and not isinstance(
        inner, (requests.RequestException, HTTPError)
    ):
        words = plain_text(getattr(inner, "strerror", None) or str(inner))
        return words or type(inner).__name__
    if isinstance(inner, requests.exceptions.InvalidSchema) and "SOCKS" in str(inner):
        return "a SOCKS proxy needs PySocks (pip install 'requests[socks]')"
    return type(inner).__name__


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
