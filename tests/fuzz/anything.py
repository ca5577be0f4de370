"""What must hold for an answer of any bytes, however they arrive."""

from __future__ import annotations

import json
import re
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import requests
from chatgpt4online._answer import Answer

from chatgpt4online import ChatGPT4OnlineError, Event, Reply, Stream
from chatgpt4online._http.call import Call
from chatgpt4online._http.framing import Chunked

STATUSES = (200, 200, 200, 200, 403, 429, 500, 503)
CODINGS = ("", "", "gzip", "deflate")
MOST_PIECES = 20
BROKEN_CODING = "compression of the answer is broken"


class Said(NamedTuple):
    """What an answer said: its events, then its reply, or the class and words of its error."""

    events: List[Event]
    reply: Optional[Reply]
    error: Tuple[str, str]


class Case:
    """
    An answer, as the bytes of an input tell of it.

    The first byte tells the status, the content coding and whether the body is in chunks. The body
    begins with the fourth, and arrives in pieces that end behind each byte that is the second or
    the third; behind each byte at all if these two are the same. Where that makes too many pieces,
    neighbours stay together, so that a million inputs take minutes.
    """

    def __init__(self, data: bytes) -> None:
        how, *marks = data[:3].ljust(3, b"\0")
        self.status = STATUSES[how & 7]
        self.coding = CODINGS[how >> 3 & 3]
        self.chunked = bool(how & 32)
        self.body = data[3:]
        mark = b"." if marks[0] == marks[1] else b"[%b]" % re.escape(bytes(marks))
        pieces: List[bytes] = re.findall(b"(?s).*?%b|.+" % mark, self.body)
        step = -(-len(pieces) // MOST_PIECES) or 1
        self.pieces = [b"".join(pieces[at : at + step]) for at in range(0, len(pieces), step)]

    def said(self, pieces: Sequence[bytes]) -> Said:
        """Return what the answer says if it arrives in these pieces."""
        events: List[Event] = []
        try:
            answer = self._answer(pieces)
            if self.status != 200:
                raise answer.refusal()
            stream = Stream(answer, "abc")
            events.extend(stream.events())
            return Said(events, stream.result(), ("", ""))
        except ChatGPT4OnlineError as error:
            return Said(events, None, (type(error).__name__, str(error)))

    def _answer(self, pieces: Sequence[bytes]) -> Answer:
        response = requests.Response()
        response.status_code = self.status
        response.headers["content-encoding"] = self.coding
        response.headers["retry-after"] = self.body[:40].decode("latin-1")
        response.raw = Arriving(pieces)
        answer = Answer(
            response, Call(), site="https://a.example", route="chat", adopt=ignore, park=ignore
        )
        if self.chunked:
            answer._body._framing = Chunked()
        return answer


class Arriving:
    """What urllib3 gives for a body, as far as it is read."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = iter(pieces)

    def read1(self, limit: int, decode_content: bool) -> bytes:
        """Return the next piece."""
        return next(self._pieces, b"")

    def close(self) -> None:
        """Close nothing."""

    def release_conn(self) -> None:
        """Release nothing."""


def ignore(_: object) -> None:
    """Take no nonce, and no body."""


def check(data: bytes) -> Said:
    """
    Return what an answer of these bytes says, which is the same however it arrives.

    Every exception but the package's own comes out, and so does a text that cannot be encoded.
    """
    case = Case(data)
    whole = case.said([case.body] if case.body else [])
    parts = case.said(case.pieces)
    if BROKEN_CODING in whole.error[1] or BROKEN_CODING in parts.error[1]:
        # zlib tells of damage a block at a time, so that smaller pieces bring more before it.
        assert parts.events[: len(whole.events)] == whole.events
    else:
        assert parts == whole
    for said in (whole, parts):
        can_be_sent_on(said)
    return whole


def can_be_sent_on(said: Said) -> None:
    """Hold all texts to UTF-8, and an error's words to one line."""
    parts: List[Any] = [*said.events, said.error]
    if said.reply is not None:
        parts += [said.reply, vars(said.reply)]
    json.dumps(parts, ensure_ascii=False, default=vars).encode()
    assert said.error[1].isprintable()
