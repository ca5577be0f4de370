"""A response of the site: as a stream, as JSON, as a page, or as the error that it stands for."""

from __future__ import annotations

import logging
from time import time
from typing import Any, Callable, Dict, FrozenSet, Iterator, Mapping, Optional, Tuple, Union

import requests

from chatgpt4online._protocol import fields, prelude
from chatgpt4online._protocol.advice import RequestInfo
from chatgpt4online._protocol.answers import parse_new_nonce
from chatgpt4online._protocol.events import End, Failure
from chatgpt4online._protocol.failures import (
    MAX_TAIL,
    check_page,
    check_success,
    error_from_response,
    page_error,
)
from chatgpt4online._protocol.headers import is_from_firewall
from chatgpt4online.errors import ChatGPT4OnlineError, ProtocolError, StreamInterrupted
from chatgpt4online.types import Event

from . import sse
from .body import READ_ERRORS, Body
from .call import Call, CallEnded
from .failures import ErrorContext, cause
from .framing import BLOCK

#: Returns the JSON object of an answer that reports success, and raises for any other.
CheckAnswer = Callable[[object, int, Callable[[], RequestInfo]], Dict[str, Any]]

log = logging.getLogger("chatgpt4online")

#: The most bytes of a page that are read.
_MAX_PAGE = 4 * 1024 * 1024


class Response:
    """
    A response of the site. Its ``with`` block closes it.

    What its methods raise is a `ChatGPT4OnlineError`.

    Args:
        response: as requests returned it, with nothing read.
        context: what errors name.
        get_request_info: returns all that advice depends on, which only refusals need.
        update_nonce: takes a fresh nonce, or None.
        defer_release: takes a body whose last bytes have not arrived.
    """

    def __init__(
        self,
        response: requests.Response,
        context: ErrorContext,
        *,
        get_request_info: Callable[[], RequestInfo],
        update_nonce: Callable[[Optional[str]], None],
        defer_release: Callable[[Body], None],
    ) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.call: Call = context.call
        #: The last bytes of a stream.
        self.tail: bytes = b""
        self._context = context
        self._get_request_info = get_request_info
        self._update_nonce = update_nonce
        self._defer_release = defer_release
        self._body = Body(response, context.call)
        self._is_finished = False

    def read(self) -> bytes:
        """Return the next bytes as soon as some are there; ``b""`` at the end."""
        try:
            return self._body.read()
        except (*READ_ERRORS, CallEnded, ProtocolError) as error:
            raise self.translate(error) from cause(error)

    def _begin(self, keys: FrozenSet[str]) -> Tuple[bytearray, bool]:
        """
        Return the bytes from where the answer starts, and whether it is a stream.

        Of a stream these are the first, of anything else all, or the first of a page.
        """
        finder = prelude.StartFinder(keys)
        while True:
            start = finder.feed(self.read())
            if start is not None:
                del finder.head[: start.at]
                return finder.head, start.is_stream
            if len(finder.head) > fields.MAX_BYTES:
                raise self.translate(_too_large())

    def items(self) -> Iterator[Union[str, Event, End, Failure]]:
        """
        Yield what an answer says: deltas, other events, its end or a failure.

        An answer in plain JSON is an end.

        Raises:
            ChatGPT4OnlineError: what went wrong.
        """
        first, is_stream = self._begin(prelude.PLUGIN_KEYS)
        if is_stream:
            yield from sse.parse(self._chunks(first))
        else:
            yield End(self._json(first, check_success))

    def _chunks(self, first: bytearray) -> Iterator[bytes]:
        while True:
            data = bytes(first[:BLOCK]) if first else self.read()
            if not data:
                return
            del first[:BLOCK]
            self.tail = (self.tail + data[-MAX_TAIL:])[-MAX_TAIL:]
            yield data

    def json(
        self,
        check: CheckAnswer,
        keys: FrozenSet[str],
    ) -> Dict[str, Any]:
        """
        Return the JSON object of an answer, after a check that it reports success.

        Args:
            check: returns the object if it does, and raises if not.
            keys: the first keys of such an object, by which it is found behind other output.
        """
        return self._json(self._begin(keys)[0], check)

    def _json(self, body: bytearray, check: CheckAnswer) -> Dict[str, Any]:
        try:
            if body.startswith(b"{"):
                return check(self._parse(body), self.status, self._get_request_info)
            raise self._not_json(bytes(body))
        except ChatGPT4OnlineError as error:
            raise self.translate(error) from None

    def _parse(self, body: bytearray) -> Any:
        """Return the JSON of a whole body, which is emptied, so that memory is free for it."""
        try:
            text = body.decode("utf-8")
            body.clear()
            fields.check_size(text)
        except UnicodeDecodeError:
            raise self._broken() from None
        try:
            return fields.parse_json(text)
        except ProtocolError:
            raise self._broken() from None

    def _broken(self) -> ProtocolError:
        if self._body.was_cut:
            return StreamInterrupted("the answer stopped before its end")
        return ProtocolError("the answer is broken JSON")

    def _not_json(self, first: bytes) -> ChatGPT4OnlineError:
        if is_from_firewall(self.headers):
            return page_error(
                self.status, self.headers, "", now=time(), request_info=self._get_request_info()
            )
        if not first:
            return StreamInterrupted("the answer is empty")
        page = self._text(first)
        if first.startswith(b"<"):
            return page_error(
                self.status, self.headers, page, now=time(), request_info=self._get_request_info()
            )
        beginning = fields.plain_text(page)[:80]
        return ProtocolError(f"unexpected response, not from AI Engine: {beginning!r}")

    def page(self) -> str:
        """Return the body as text, or its beginning if it is very long."""
        page = self._text(limit=_MAX_PAGE)
        if self._body.was_cut and not self.read():  # else it goes on beyond the limit
            raise self.translate(StreamInterrupted("the page stopped before its end."))
        try:
            check_page(self.status, self.headers, page, request_info=self._get_request_info())
        except ChatGPT4OnlineError as error:
            raise self.translate(error) from None
        return page

    def error(self) -> ChatGPT4OnlineError:
        """Return the error for a status that is not a success, with what the body says of it."""
        body = self.discard()
        error = error_from_response(
            self.status, self.headers, body, now=time(), request_info=self._get_request_info()
        )
        return self.translate(error)

    def discard(self) -> str:
        """Return the beginning of a body that matters little, and keep the connection."""
        try:
            body = self._text()
            self.finish()
        except ChatGPT4OnlineError:
            return ""
        return body

    def beginning(self, limit: int, first: bytes = b"") -> bytes:
        """Return at most so many bytes of the body, of which the `first` have been read."""
        head = bytearray(first)
        while len(head) < limit:
            data = self.read()
            if not data:
                break
            head += data
        return bytes(head[:limit])

    def _text(self, first: bytes = b"", limit: int = prelude.MAX_PRELUDE) -> str:
        """Return the beginning of the body as text."""
        return self.beginning(limit, first).decode("utf-8", "replace")

    def update_nonce(self, answer: Mapping[str, Any]) -> None:
        """Take the fresh nonce that an answer's JSON may contain."""
        self._update_nonce(parse_new_nonce(answer))

    def translate(self, error: Exception) -> ChatGPT4OnlineError:
        """Return the error of ours for what reading this response ran into."""
        return self._context.translate(error, reading=True)

    def finish(self) -> None:
        """Read no more: keep the connection if the body ends in time."""
        if not self._body.finish():
            self._defer_release(self._body)
        self._is_finished = True

    def log_answer(self, seconds: float, chat_id: str = "") -> None:
        """Log that the answer is complete: one line per answer, with its fields for a formatter."""
        extra = {
            "site": self._context.site,
            "route": self._context.route,
            "status": self.status,
            "attempts": self.call.attempts,
            "seconds": seconds,
            "chat_id": chat_id,
        }
        log.debug("%s: %d after %.3f s", extra["route"], self.status, seconds, extra=extra)

    def close(self) -> None:
        """Close the connection unless it is kept. From any thread; never blocks."""
        if not self._is_finished:
            self._body.close()

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _too_large() -> ProtocolError:
    return ProtocolError(f"the answer is larger than {fields.MAX_BYTES} bytes")
