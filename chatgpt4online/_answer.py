"""A response of the site as an answer, or as the error that it stands for."""

from __future__ import annotations

import socket
from http.client import HTTPException
from itertools import chain
from time import time
from typing import Any, Callable, Dict, Iterator, Mapping, Optional

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from . import _sse
from ._body import READ_ERRORS, Body
from ._call import Call, CallEnded
from ._protocol import events
from ._protocol.answers import parse_new_nonce
from ._protocol.failures import check_success, error_from_response, page_error
from ._protocol.fields import parse_json, plain_text
from .errors import (
    ChatGPT4OnlineError,
    ProtocolError,
    StreamInterrupted,
    Timeout,
    TransportError,
)

_LONGEST_PAGE = 4 * 1024 * 1024


class Answer:
    """
    A response of the site: its body as chunks, whole or as JSON. Its `with` block closes it.

    What its methods raise is a `ChatGPT4OnlineError`.

    Args:
        response: as requests gave it, with nothing read.
        call: the call that it answers.
        site: the site's URL, for errors.
        route: the route that was asked, for errors.
        adopt: takes a fresh nonce, or None.
        park: takes a body whose last bytes are still to come.
    """

    def __init__(
        self,
        response: requests.Response,
        call: Call,
        *,
        site: str,
        route: str,
        adopt: Callable[[Optional[str]], None],
        park: Callable[[Body], None],
    ) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.call = call
        self._site = site
        self._route = route
        self._adopt = adopt
        self._park = park
        self._body = Body(response, call)
        self._finished = False

    def read(self) -> bytes:
        """Return the next bytes as soon as some are there; ``b""`` at the end."""
        try:
            return self._body.read()
        except (*READ_ERRORS, CallEnded, ProtocolError) as error:
            raise self.explain(error) from cause(error)

    def begin(self) -> bytes:
        """Return the first bytes, from where the answer starts; ``b""`` if there are none."""
        head = b""
        while True:
            data = self.read()
            head += data
            at = _sse.start(head, ended=not data)
            if at >= 0:
                return head[at:]

    def chunks(self, first: bytes) -> Iterator[bytes]:
        """Yield the first bytes, then the others as they come."""
        return chain((first,), iter(self.read, b""))

    def json(
        self,
        first: bytes,
        check: Callable[[object, int], Dict[str, Any]] = check_success,
    ) -> Dict[str, Any]:
        """Return the JSON object of an answer, after a check that it tells of success."""
        try:
            if first.startswith(b"{"):
                return check(self._parse(first), self.status)
            raise self._not_json(first)
        except ChatGPT4OnlineError as error:
            raise self.explain(error) from None

    def _parse(self, first: bytes) -> Any:
        pieces, size = [], 0
        for chunk in self.chunks(first):
            pieces.append(chunk)
            size += len(chunk)
            if size > events.LIMIT:
                raise ProtocolError(f"the answer is larger than {events.LIMIT} bytes")
        try:
            return parse_json(b"".join(pieces).decode("utf-8"))
        except (ProtocolError, UnicodeDecodeError):
            if self._body.was_cut:
                raise StreamInterrupted("the answer stopped before its end") from None
            raise ProtocolError("the answer is broken JSON") from None

    def _not_json(self, first: bytes) -> ChatGPT4OnlineError:
        if not first:
            return StreamInterrupted("the answer is empty")
        page = self._text(first)
        if first.startswith(b"<"):
            return page_error(self.status, self.headers, page, now=time())
        return ProtocolError(f"what came is not AI Engine's: {plain_text(page)[:80]!r}")

    def page(self) -> str:
        """Return the body as text, or its beginning if it is very long."""
        page = self._text(b"", _LONGEST_PAGE)
        if self._body.was_cut and not self.read():  # else it goes on beyond the limit
            raise self.explain(StreamInterrupted("the page stopped before its end."))
        return page

    def refusal(self) -> ChatGPT4OnlineError:
        """Return the error for a status that is no success, with what the body says of it."""
        body = self.discard()
        return self.explain(error_from_response(self.status, self.headers, body, now=time()))

    def discard(self) -> str:
        """Return the beginning of a body that matters little, and keep the connection."""
        try:
            body = self._text(b"")
            self.finish()
        except ChatGPT4OnlineError:
            return ""
        return body

    def _text(self, first: bytes, limit: int = _sse.HEAD) -> str:
        """Return the beginning of the body as text."""
        head = first
        while len(head) < limit:
            data = self.read()
            if not data:
                break
            head += data
        return head[:limit].decode("utf-8", "replace")

    def adopt(self, fields: Mapping[str, Any]) -> None:
        """Take the fresh nonce that an answer's JSON may hold."""
        self._adopt(parse_new_nonce(fields))

    def explain(self, error: Exception) -> ChatGPT4OnlineError:
        """Return the error of ours for what reading this answer has met."""
        return explain(error, self.call, self._site, self._route, reading=True)

    def finish(self) -> None:
        """Nothing more is wanted: keep the connection if the body ends in time."""
        self._finished = True
        if not self._body.finish():
            self._park(self._body)

    def close(self) -> None:
        """Close the connection unless it is kept. From any thread; never blocks."""
        if not self._finished:
            self._body.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def explain(
    error: Exception, call: Call, site: str, route: str, *, reading: bool = False
) -> ChatGPT4OnlineError:
    """
    Return the error of ours for anything that a call meets. The one place that translates.

    Args:
        error: what was raised below.
        call: the call that met it.
        site: the site's URL.
        route: the route that was asked.
        reading: an answer had begun.
    """
    known = error if isinstance(error, ChatGPT4OnlineError) else _translate(error, call, reading)
    known.site, known.route = site, route
    return known


def cause(error: Exception) -> Optional[Exception]:
    """
    Return what to name as the cause of our error: what another library raised.

    Not where that found fault with a value: it may quote a header, or a proxy's URL and password.
    """
    unnamed = (ChatGPT4OnlineError, CallEnded, ValueError, AttributeError)
    return None if isinstance(error, unnamed) else error


def _translate(error: Exception, call: Call, reading: bool) -> ChatGPT4OnlineError:
    if call.remaining() == 0.0:
        call.end("deadline")
    if call.ended == "deadline":
        return Timeout("the deadline passed before the answer was whole.", phase="deadline")
    if call.ended or isinstance(error, CallEnded):
        return StreamInterrupted("it was closed before its answer was whole.")
    timeouts = (requests.Timeout, ReadTimeoutError, socket.timeout)
    if isinstance(error, timeouts) or isinstance(_innermost(error), timeouts):
        return _timeout("read" if call.sent else "connect")
    if reading:
        return StreamInterrupted(f"the answer stopped before its end: {_reason(error)}.")
    return TransportError(f"no answer came: {_reason(error)}. Is the site up, and reachable?")


def _timeout(phase: str) -> Timeout:
    if phase == "connect":
        return Timeout("no connection within the time limit. Is the site up?", phase=phase)
    return Timeout(
        "the site was silent for longer than the time limit. It may have run the question all the"
        " same: look before you ask again, or allow more time.",
        phase=phase,
    )


def _reason(error: BaseException) -> str:
    """
    Return the words of the innermost error, which hold no URL, header or password.

    Others' errors are named only, since they may quote what was sent.
    """
    inner = _innermost(error)
    if isinstance(inner, (OSError, HTTPException)) and not isinstance(
        inner, (requests.RequestException, HTTPError)
    ):
        return plain_text(getattr(inner, "strerror", None) or str(inner)) or type(inner).__name__
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
