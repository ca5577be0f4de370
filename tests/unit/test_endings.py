"""Whole answers in each of their shapes, without a socket. Answers that fail are in `faults`."""

from __future__ import annotations

import json
from typing import Dict, List, NamedTuple

import pytest
import responses
from support import HELLO, chunk, end, event, failure, live

from chatgpt4online import Client
from chatgpt4online._protocol import routes

SITE = "https://example.com"
ROOT = SITE + "/wp-json/"
TEXT = HELLO[:2]
BAD_END = event(type="end", data=False)
CUT_END = event(type="end", data='{"success":true,"rep')
SUCCESS = {"success": True, "reply": "Hello", "usage": None}


class Whole(NamedTuple):
    """A body that is a whole answer, and the deltas of its stream."""

    body: bytes
    deltas: List[str]
    #: Whether the answer's own JSON is lost.
    is_raw_empty: bool = False
    content_type: str = "application/json"


#: The answer is always "Hello".
WHOLE: Dict[str, Whole] = {
    "a stream": Whole(b"".join(HELLO), ["Hel", "lo"], content_type="text/event-stream"),
    "under JSON's content type": Whole(b"".join(HELLO), ["Hel", "lo"]),
    "no text before the end": Whole(end("Hello"), ["Hello"]),
    "plain JSON": Whole(json.dumps(SUCCESS).encode(), ["Hello"]),
    "JSON as a stream": Whole(
        json.dumps(SUCCESS).encode(), ["Hello"], content_type="text/event-stream"
    ),
    "an end that is false": Whole(b"".join([*TEXT, BAD_END]), ["Hel", "lo"], is_raw_empty=True),
    "an end that is cut off": Whole(b"".join([*TEXT, CUT_END]), ["Hel", "lo"], is_raw_empty=True),
    "other text at the end": Whole(live("Hell") + end("Hello"), ["Hell"]),
    "noise after the end": Whole(
        b"".join([*HELLO, b"<!-- cached -->", failure("late")]), ["Hel", "lo"]
    ),
    "comments and empty events": Whole(
        b"".join([b": keepalive\n\n", b"data: \n\n", TEXT[0], b"data:\n\n", *HELLO[1:]]),
        ["Hel", "lo"],
    ),
    "an empty failure, then text": Whole(b"".join([failure(""), *HELLO]), ["Hel", "lo"]),
    "warnings before a stream": Whole(
        b"".join([b"<br />\n<b>Warning</b>: x\n", *HELLO]), ["Hel", "lo"]
    ),
    "chunks that are not announced": Whole(b"".join(map(chunk, HELLO)), ["Hel", "lo"]),
    "a byte order mark": Whole(b"".join([b"\xef\xbb\xbf \n", *HELLO]), ["Hel", "lo"]),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_an_answer(name: str) -> None:
    """`chat` and `stream` return the same answer, whatever its shape."""
    whole = WHOLE[name]
    with responses.RequestsMock() as site:
        session = {"success": True, "restNonce": "0123456789"}
        site.add("POST", ROOT + routes.START_SESSION, json=session)
        site.add("POST", ROOT + routes.CHAT, body=whole.body, content_type=whole.content_type)
        with Client(SITE) as client:
            stream = client.stream("Hi")
            assert list(stream) == whole.deltas
            assert stream.result() == client.chat("Hi") == "Hello"
            assert (stream.result().raw == {}) == whole.is_raw_empty
