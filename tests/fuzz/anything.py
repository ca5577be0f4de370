"""Properties of the client for a response of any bytes, in any pieces."""

from __future__ import annotations

import json
import re
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import requests

from chatgpt4online import ChatGPT4OnlineError, Event, Reply, Stream
from chatgpt4online._http.call import Call
from chatgpt4online._http.failures import ErrorContext
from chatgpt4online._http.framing import Chunked
from chatgpt4online._http.response import Response
from chatgpt4online._protocol.advice import RequestInfo

STATUSES = (200, 200, 200, 200, 403, 429, 500, 503)
CODINGS = ("", "", "gzip", "deflate")
MAX_PIECES = 20
DECODING_ERROR = "compression of the answer is broken"


class Result(NamedTuple):
    """The events of an answer, then its reply, or the class and message of its error."""

    events: List[Event]
    reply: Optional[Reply]
    error: Tuple[str, str]


class Case:
    """
    A response that the bytes of an input describe.

    The first byte selects the status, the content coding and whether the body is chunked. The body
    begins at the fourth byte. Its pieces end after each byte that equals the second or the third;
    after every byte if these two are equal. Too many pieces are joined, so that a million inputs
    take minutes.
    """

    def __init__(self, data: bytes) -> None:
        how, *marks = data[:3].ljust(3, b"\0")
        self.status = STATUSES[how & 7]
        self.coding = CODINGS[how >> 3 & 3]
        self.chunked = bool(how & 32)
        self.body = data[3:]
        mark = b"." if marks[0] == marks[1] else b"[%b]" % re.escape(bytes(marks))
        pieces: List[bytes] = re.findall(b"(?s).*?%b|.+" % mark, self.body)
        step = -(-len(pieces) // MAX_PIECES) or 1
        self.pieces = [b"".join(pieces[at : at + step]) for at in range(0, len(pieces), step)]

    def result(self, pieces: Sequence[bytes]) -> Result:
        """Return the result of the answer if its body arrives in these pieces."""
        events: List[Event] = []
        try:
            response = self._response(pieces)
            if self.status != 200:
                raise response.error()
            stream = Stream(response, "abc")
            events.extend(stream.events())
            return Result(events, stream.result(), ("", ""))
        except ChatGPT4OnlineError as error:
            return Result(events, None, (type(error).__name__, str(error)))

    def _response(self, pieces: Sequence[bytes]) -> Response:
        received = requests.Response()
        received.status_code = self.status
        received.headers["content-encoding"] = self.coding
        received.headers["retry-after"] = self.body[:40].decode("latin-1")
        received.raw = RawBody(pieces)
        response = Response(
            received,
            ErrorContext(Call(), "https://a.example", "chat"),
            get_request_info=lambda: RequestInfo("chat"),
            update_nonce=ignore,
            defer_release=ignore,
        )
        if self.chunked:
            response._body._framing = Chunked()
        return response


class RawBody:
    """The part of urllib3's response that reading a body uses."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = iter(pieces)

    def read1(self, limit: int, decode_content: bool) -> bytes:
        """Return the next piece."""
        return next(self._pieces, b"")

    def close(self) -> None:
        """Do nothing."""

    def release_conn(self) -> None:
        """Do nothing."""


def ignore(_: object) -> None:
    """Ignore a nonce or a body."""


def check(data: bytes) -> Result:
    """
    Check that an answer of these bytes has the same result in any pieces, and return it.

    An exception that is not the package's propagates, as does a text that cannot be encoded.
    """
    case = Case(data)
    whole = case.result([case.body] if case.body else [])
    parts = case.result(case.pieces)
    if DECODING_ERROR in whole.error[1] or DECODING_ERROR in parts.error[1]:
        # zlib reports damage per block, so smaller pieces yield more before it.
        assert parts.events[: len(whole.events)] == whole.events
    else:
        assert parts == whole
    for result in (whole, parts):
        check_encodable(result)
    return whole


def check_encodable(result: Result) -> None:
    """Check that all texts can be encoded as UTF-8, and that an error message is one line."""
    parts: List[Any] = [*result.events, result.error]
    if result.reply is not None:
        parts += [result.reply, vars(result.reply)]
    json.dumps(parts, ensure_ascii=False, default=vars).encode()
    assert result.error[1].isprintable()
