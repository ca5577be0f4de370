"""Where an answer starts, after whatever else a site prints."""

from __future__ import annotations

import json
from typing import Any, List, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatgpt4online._protocol.prelude import (
    INDEX_KEYS,
    MAX_PRELUDE,
    USER_KEYS,
    Start,
    StartFinder,
    find_start,
)

BOM = b"\xef\xbb\xbf"
HEL = b'data: {"type":"live","data":"Hel"}\n\n'
ANSWER = b'{"success":true,"reply":"Hello"}'
REFUSAL = b'{"code":"rest_forbidden","message":"No.","data":{"status":401}}'
FATAL = b"<b>Fatal error</b>: Uncaught Error in /x.php:5"


def start(body: bytes, **options: Any) -> Optional[Start]:
    """Return where the answer in a whole body starts."""
    return find_start(body, ended=True, **options)


#: What may precede an answer and is not output.
BLANKS = [b"", BOM, b"\n", b"\r\n \t", BOM + BOM + b"\n", b"<!-- x -->\n", b"<!---->" + BOM]

#: The output of other plugins, PHP and caches.
NOISE = [
    b"NULL",
    b"NULL\n",
    b"<script>console.log('x')</script>\n",
    b'<script>jQuery.ajax({data: {"type": "x", "id": 5}})</script>\n',
    b'<script>\nvar a = {\ndata: {"action": "x"}\n}</script>\n',
    b"<div id='error'><p class='wpdberror'>Table 'x' doesn't exist</p></div>",
    b"Array\n(\n    [0] => x\n)\n",
    b'{"debug":{"queries":5}}\n',
    b'{"code":"debug","data":1}\n',
    b"Strict Standards: Only variables should be passed in /x.php on line 5\n",
    b"<br />\n<b>Warning</b>: Undefined index: data: in /x.php on line 5<br />\n",
    b"Notice: data: x\n",
    b"PHP Deprecated:  x in /x.php on line 5\r\n",
    b"<br />\n" + b"x" * 60_000 + b"\n",
    b'Notice: x\ndata: {"type": {}, "data": ""}\n',
]


@pytest.mark.parametrize(
    "stream", [HEL, b": keepalive\n\n" + HEL, b"event: message\n" + HEL, b"id: 5\n", b"data:{}\n\n"]
)
def test_a_stream(stream: bytes) -> None:
    """A stream starts after byte order marks, blanks and comments, as soon as it is recognized."""
    for blanks in BLANKS:
        expected = Start(len(blanks), is_stream=True)
        assert find_start(blanks + stream[:6], ended=False) == expected, blanks
        assert start(blanks + stream) == expected, blanks


@pytest.mark.parametrize(
    "body", [ANSWER, REFUSAL, b"<!DOCTYPE html><p>", b"<html>data: x", FATAL, b"null", b"[]", b"OK"]
)
def test_other_bodies(body: bytes) -> None:
    """JSON, pages and other bodies start after byte order marks, blanks and comments."""
    for blanks in BLANKS:
        assert start(blanks + body) == Start(len(blanks), is_stream=False), blanks


@pytest.mark.parametrize("noise", NOISE, ids=lambda noise: repr(noise[:16]))
def test_a_stream_after_noise(noise: bytes) -> None:
    """A stream is found after other output as soon as its first line has ended."""
    expected = Start(len(noise), is_stream=True)
    assert find_start(noise + HEL[:-1], ended=False) == expected
    assert find_start(noise + HEL[:-3], ended=False) is None
    assert start(noise + HEL + b"<!-- cached -->") == expected


@pytest.mark.parametrize("noise", NOISE, ids=lambda noise: repr(noise[:16]))
def test_json_after_noise(noise: bytes) -> None:
    """A JSON answer is found after other output if only comments follow it."""
    # An error of WordPress begins like this; what follows one is ignored.
    expected = Start(0 if noise.startswith(b'{"code"') else len(noise), is_stream=False)
    for answer in (ANSWER, REFUSAL, b'{\n  "success": false\n}'):
        for trailer in (b"", b"\n", b"<!-- cached -->\n", b" <!-- a --><!-- b -->"):
            assert start(noise + answer + trailer) == expected, (answer, trailer)


@pytest.mark.parametrize(
    "body",
    [
        b"<p>" + ANSWER + b"</p>",
        b"<p>An example:</p><pre>" + HEL.strip() + b"</pre>",
        b"<!doctype html>\n" + HEL,
        b"\n<HTML>\n" + HEL,
        b"x\n" + HEL.replace(b"live", b"other"),
        b'x\ndata: {"type":"live"}\n\n',
        b"x" * MAX_PRELUDE + HEL,
        b"x" * MAX_PRELUDE + ANSWER,
    ],
)
def test_quotations_are_not_answers(body: bytes) -> None:
    """A page that quotes an answer, and an answer beyond the limit, are not taken for one."""
    found = start(body)
    assert found is not None
    assert found.at <= 1
    assert not found.is_stream


def test_the_last_answer_counts() -> None:
    """The answer is the last JSON object that is one and ends the body."""
    debug = b'{"debug":1}\n{"success":false}\n'
    nested = b'{"success":true,"data":{"success":false,"code":"x"}}'
    assert start(debug + nested) == Start(len(debug), is_stream=False)


@pytest.mark.parametrize(
    ("keys", "answer"), [(USER_KEYS, b'{"id":5}'), (INDEX_KEYS, b'{"namespaces":[]}')]
)
def test_each_route_has_its_keys(keys: Any, answer: bytes) -> None:
    """The first key of an answer depends on the route."""
    noise = b"NULL\n"
    assert start(noise + answer, keys=keys) == Start(len(noise), is_stream=False)
    assert start(noise + answer) == Start(0, is_stream=False)


@pytest.mark.parametrize("body", [b"", b" \n", BOM, b"\xef", b"da", b"<", b"<!doc", b"<!-- a"])
def test_too_few_bytes(body: bytes) -> None:
    """Too few bytes are undecided, unless they are the whole body."""
    assert find_start(body, ended=False) is None
    assert start(body) is not None


HOSTILE = [
    b"data: {" * 9_000,
    b'data: {"type"' * 5_000,
    b'data: {"type":"live"}\n' * 3_000,
    b'{"success":' * 6_000,
    b'{"success":true}' * 4_000,
    b"<!--" * 16_000,
    b"<!---->" * 9_000,
    b" " * MAX_PRELUDE,
    b"[" * MAX_PRELUDE,
    b'x{"success":' + b"[" * 60_000,
    b'x{"success":' + b"9" * 60_000,
]


@pytest.mark.parametrize("head", HOSTILE, ids=lambda head: repr(head[:12]))
def test_hostile_heads(head: bytes) -> None:
    """A start is found in a hostile head, with a few attempts at parsing."""
    assert start(head) is not None
    found = start(head + b"\n" + HEL)
    assert found is not None


@given(st.lists(st.sampled_from([*NOISE[:12], HEL, ANSWER, b"data: ", b"{", b"\n", BOM])))
def test_more_bytes_do_not_change_a_decision(parts: List[bytes]) -> None:
    """More bytes do not change where an answer has been found to start."""
    body = b"".join(parts)
    sizes = range(0, len(body) + 1, 7)
    decisions = [found for found in (find_start(body[:n], ended=False) for n in sizes) if found]
    assert len(set(decisions)) <= 1
    if decisions:
        assert start(body) == decisions[0]


class Watched(bytearray):
    """Bytes that count how many of them are looked through."""

    looked_at = 0

    def _span(self, start: int = 0, end: Optional[int] = None) -> None:
        self.looked_at += max(0, min(len(self), len(self) if end is None else end) - start)

    def find(self, sub: Any, *span: Any) -> int:
        """Find something."""
        self._span(*span)
        return super().find(sub, *span)

    def rfind(self, sub: Any, *span: Any) -> int:
        """Find something from the end."""
        self._span(*span)
        return super().rfind(sub, *span)

    def __getitem__(self, key: Any) -> Any:
        """Return a copy of some."""
        self._span(*key.indices(len(self))[:2])
        return super().__getitem__(key)


@pytest.mark.parametrize(
    "body",
    [
        b"x\n" * 3_000,
        b"\r\n" * 3_000,
        b"x" * 6_000,
        b"<!--" + b"-\n" * 3_000,
        b"<!---->\n" * 700,
        b'x data: {"type"' * 400,
        b"x\ndata: " * 800,
        b'x\ndata: {"type": "live"}' * 200,
        b'{"success":\n' * 500,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_each_byte_is_looked_at_a_few_times(body: bytes) -> None:
    """However a body is cut, each of its bytes is looked at a limited number of times."""
    finder = StartFinder()
    finder.head = head = Watched()
    pieces = [body[at : at + 1] for at in range(len(body))]
    assert [finder.feed(piece) for piece in pieces] == [None] * len(pieces)
    assert head.looked_at < 30 * len(body)


def test_an_answer_may_quote_anything() -> None:
    """Text inside an answer is not taken for another answer."""
    text = '{"success":false}\n' + HEL.decode()
    body = json.dumps({"success": True, "reply": text}).encode()
    assert start(body) == Start(0, is_stream=False)


@pytest.mark.parametrize("line", [b'data:{"type":x}', b'data:{"type":"\xff"}'])
def test_a_line_that_is_not_an_event(line: bytes) -> None:
    """A line that only begins like an event is noise, and the stream starts after it."""
    assert start(b"x" + line + b"\n" + HEL) == Start(len(line) + 2, is_stream=True)


def test_a_cut_event_after_noise() -> None:
    """An event that is cut before its end starts a stream; one that other text follows does not."""
    cut = b'NULLdata: {"type":"live","data":"He'
    assert start(cut) == Start(4, is_stream=True)
    assert start(cut + b'"} and more') == Start(0, is_stream=False)
