"""Parsers of what a site sends: events, an answer's JSON object, and the values in it."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from typing import Any, Dict, List, Tuple, Union

import pytest

from chatgpt4online import (
    Action,
    AuthError,
    Event,
    Image,
    NotFoundError,
    ProtocolError,
    ReplyError,
    Shortcut,
    StatusError,
    Usage,
)
from chatgpt4online._protocol import routes
from chatgpt4online._protocol.advice import RequestInfo
from chatgpt4online._protocol.answers import parse_files, parse_nonce, parse_reply, parse_upload
from chatgpt4online._protocol.events import End, Failure, parse_event
from chatgpt4online._protocol.failures import check_success, reply_error
from chatgpt4online._protocol.fields import plain_text

Item = Union[str, Event, End, Failure, None]


def live(data: object, **more: object) -> str:
    """Return the data of a `live` event."""
    return json.dumps({"type": "live", "data": data, **more})


def nested(depth: int) -> str:
    """Return the JSON of lists nested this deep."""
    return "[" * depth + "]" * depth


EVENTS: List[Tuple[str, Item]] = [
    ("", None),
    (" \t", None),
    (live("Hel"), "Hel"),
    (live(""), None),
    (live("0"), "0"),
    (live("  \n"), "  \n"),
    (live(None), None),
    ('{"type":"live"}', None),
    (live("Hel", subtype="content"), "Hel"),
    (live("Hel", subtype=None), "Hel"),
    (live("Hel", subtype=""), "Hel"),
    (live("", subtype="content"), None),
    (live("Starting...", subtype="status"), Event("status", "Starting...", None, {}, None)),
    (
        live("Hm", subtype="thinking", visibility="collapsed", metadata={"a": 1}, timestamp=1.5),
        Event("thinking", "Hm", "collapsed", {"a": 1}, 1.5),
    ),
    (
        live("", subtype="tool_call", visibility=5, metadata=[], timestamp=True),
        Event("tool_call", "", None, {}, None),
    ),
    (live("x", subtype="new", timestamp=1700000000), Event("new", "x", None, {}, 1700000000)),
    (live("x", subtype="a\nb <i>"), Event("a\nb <i>", "x", None, {}, None)),
    (live("x", subtype=5), Event("5", "x", None, {}, None)),
    (live("x", subtype={"a": 1}), Event('{"a": 1}', "x", None, {}, None)),
    (live("na\u00efve \U0001f389"), "na\u00efve \U0001f389"),
    ('{"type":"live","data":"\\ud83c\\udf89"}', "\U0001f389"),
    ('{"type":"live","data":"a\\ud83cb"}', "a\ufffdb"),
    ('{"type":"live","data":"\\uDF89"}', "\ufffd"),
    (
        '{"type":"live","data":"x","subtype":"a","metadata":{"b\\ud83c":["\\ud83c",5,{"c":null}]}}',
        Event("a", "x", None, {"b\ufffd": ["\ufffd", 5, {"c": None}]}, None),
    ),
    ('{"type":"live","data":"x"}<!-- cached -->', "x"),
    ('  {"type":"live","data":"x"}', "x"),
    ('{"type":"end","data":"{\\"success\\":true}"}', End({"success": True})),
    ('{"type":"end","data":{"success":true}}', End({"success": True})),
    ('{"type":"end","data":"{\\"reply\\":\\"\\\\ud83c\\"}"}', End({"reply": "\ufffd"})),
    ('{"type":"end","data":"{\\"success\\":true} noise"}', End({"success": True})),
    ('{"type":"end","data":false}', End(None)),
    ('{"type":"end"}', End(None)),
    ('{"type":"end","data":""}', End(None)),
    ('{"type":"end","data":"{\\"success\\":tr"}', End(None)),
    ('{"type":"end","data":"[]"}', End(None)),
    ('{"type":"end","data":"null"}', End(None)),
    ('{"type":"error","data":"No."}', Failure("No.")),
    ('{"type":"error","data":"a<br>\\n <b>b</b> &amp; c"}', Failure("a b & c")),
    ('{"type":"error","data":""}', Failure("")),
    ('{"type":"error","data":null}', Failure("")),
    ('{"type":"error","data":false}', Failure("")),
    ('{"type":"error"}', Failure("")),
    ('{"type":"error","data":{"code":5}}', Failure('{"code": 5}')),
    ('{"type":"heartbeat","data":"x"}', None),
    ('{"type":5}', None),
    ("{}", None),
]

BROKEN_EVENTS = [
    "x",
    "{",
    '{"type":"live","data":"Hel',
    "[]",
    "null",
    '"live"',
    "5",
    live(5),
    live(False),
    live(["a"]),
    live({"a": 1}, subtype="status"),
    live(False, subtype="status"),
    nested(200_000),
    '{"type":"live","data":' + "9" * 10_000 + "x}",
]


@pytest.mark.parametrize(("data", "item"), EVENTS)
def test_events(data: str, item: Item) -> None:
    """An event is text, another event, the end, a failure or nothing; text has no subtype."""
    parsed = parse_event(data)
    assert (type(parsed), parsed) == (type(item), item)


@pytest.mark.parametrize("data", BROKEN_EVENTS, ids=lambda data: data[:30])
def test_broken_events(data: str) -> None:
    """Data that is not an event of the plugin raises and is never returned as text."""
    with pytest.raises(ProtocolError):
        parse_event(data)


@pytest.mark.parametrize("depth", [10, 300, 500, 900, 990, 5_000, 50_000])
@pytest.mark.parametrize(
    "form",
    [
        '{"type":"error","data":%s}',
        '{"type":"live","data":"x","subtype":[%s]}',
        '{"type":"live","data":"x","metadata":["\\ud83c",%s]}',
        '{"type":"end","data":{"code":%s,"message":""}}',
    ],
)
def test_deep_events(form: str, depth: int) -> None:
    """An event nested to any depth is parsed or raises ProtocolError, never RecursionError."""
    with suppress(ProtocolError):
        parse_event(form % nested(depth))


@pytest.mark.parametrize(("digits", "is_read"), [(1_000, True), (1_001, False), (10**7, False)])
def test_long_numbers(digits: int, is_read: bool) -> None:
    """A number with too many digits, which takes older Pythons hours, raises at once."""
    event = '{"type":"live","data":"x","timestamp":%s}' % ("7" * digits)
    if is_read:
        assert parse_event(event) == "x"
    else:
        with pytest.raises(ProtocolError):
            parse_event(event)


FULL = {
    "success": True,
    "reply": "Done.",
    "images": ["https://example.com/a.png"],
    "actions": [
        {"type": "function", "data": {"name": "alarm", "args": {"hour": 7}}},
        {"type": "javascript", "data": {"snippet": "alert(1)"}},
    ],
    "shortcuts": [
        {"type": "message", "data": {"label": "Yes", "message": "I <b>agree</b>\n\nto all"}},
        {"type": "message", "data": {"label": "More", "variant": "info", "shortcutId": "abc="}},
        {"type": "callback", "data": {"label": "Call", "onClick": "function(){}"}},
    ],
    "blocks": [{"type": "content", "data": {"html": "<p>Hi</p>"}}],
    "usage": {
        "prompt_tokens": 11,
        "completion_tokens": 3,
        "total_tokens": 14,
        "price": 0.002,
        "queries": 1,
        "accuracy": "estimated",
    },
    "responseId": "resp_1",
    "new_token": "0123456789",
}


def test_reply() -> None:
    """A reply has every part of the answer as a value, except the nonce."""
    reply = parse_reply(FULL, "Do", "abc")
    assert reply == "Done."
    assert reply.usage == Usage(11, 3, 14, 0.002, 1, "estimated")
    assert reply.images == (Image("https://example.com/a.png"),)
    assert reply.actions == (
        Action("function", "alarm", {"hour": 7}, {"name": "alarm", "args": {"hour": 7}}),
        Action("javascript", "", {}, {"snippet": "alert(1)"}),
    )
    assert [(each.label, each.message, each.shortcut_id) for each in reply.shortcuts] == [
        ("Yes", "I <b>agree</b>\n\nto all", None),
        ("More", "", "abc="),
        ("Call", "", None),
    ]
    assert reply.shortcuts[2].data == {"label": "Call", "onClick": "function(){}"}
    assert reply.blocks == ({"type": "content", "data": {"html": "<p>Hi</p>"}},)
    assert (reply.response_id, reply.chat_id) == ("resp_1", "abc")
    assert reply.raw == {name: value for name, value in FULL.items() if name != "new_token"}


def test_shortcut_is_unchanged() -> None:
    """A shortcut's label and message are kept unchanged, because a click sends them."""
    text = "\U0001f468\u200d\U0001f469\u200d\U0001f467 " + "long " * 200
    shortcuts = [{"data": {"label": text, "message": text}}, {"data": {"label": 5}}, {}]
    first, *others = parse_reply({"reply": "", "shortcuts": shortcuts}, "", "abc").shortcuts
    assert (first.label, first.message) == (text, text)
    assert others == [Shortcut("5", "", None, {"label": 5}), Shortcut("", "", None, {})]


def test_reply_of_an_old_version() -> None:
    """An answer of AI Engine 2.4.7, which has fewer fields, gives a reply without them."""
    answer = {"success": True, "reply": "Hi", "images": None, "usage": {"queries": 1}}
    reply = parse_reply(answer, "", "abc")
    assert (reply, reply.usage) == ("Hi", Usage(queries=1))
    assert not any((reply.images, reply.actions, reply.shortcuts, reply.blocks))
    assert (reply.response_id, reply.raw) == (None, answer)


def test_flat_action() -> None:
    """An action of AI Engine 2.4.8, whose fields are next to its type, is parsed too."""
    flat = {"type": "function", "name": "alarm", "args": []}
    (action,) = parse_reply({"reply": "", "actions": [flat]}, "", "abc").actions
    assert action == Action("function", "alarm", {}, flat)


UNEXPECTED: Dict[str, Any] = {
    "usage": ["a"],
    "images": [None, 5, {"url": "x"}],
    "actions": {"type": "function"},
    "shortcuts": "none",
    "blocks": [None, "x"],
    "responseId": " ",
}


def test_reply_with_unexpected_parts() -> None:
    """A part of an unexpected type is left out, but stays in `raw`."""
    reply = parse_reply({"reply": "Hi", **UNEXPECTED}, "", "abc")
    assert reply == "Hi"
    assert (reply.usage, reply.response_id) == (None, None)
    assert not any((reply.images, reply.actions, reply.shortcuts, reply.blocks))
    assert reply.raw == {"reply": "Hi", **UNEXPECTED}


INCOMPLETE_ACTIONS = [
    ({"type": "function", "data": None}, Action("function", "", {}, {})),
    (
        {"type": None, "data": {"name": 5, "args": "x"}},
        Action("", "", {}, {"name": 5, "args": "x"}),
    ),
    ({}, Action("", "", {}, {})),
]


@pytest.mark.parametrize(("item", "action"), INCOMPLETE_ACTIONS)
def test_incomplete_actions(item: Dict[str, Any], action: Action) -> None:
    """An action with missing fields, or fields of other types, is still an action."""
    assert parse_reply({"reply": "", "actions": [item]}, "", "abc").actions == (action,)


USAGES: List[Tuple[Any, Any]] = [
    (None, None),
    ([], None),
    ({}, Usage()),
    ({"prompt_tokens": "11", "price": "0.1", "accuracy": 5}, Usage()),
    ({"prompt_tokens": True, "price": False}, Usage()),
    ({"price": 0}, Usage(price=0)),
    ({"images": 2, "queries": 1, "accuracy": "none"}, Usage(queries=1, accuracy="none")),
]


@pytest.mark.parametrize(("value", "usage"), USAGES)
def test_usage(value: object, usage: object) -> None:
    """A field of the usage that is missing or is not a number is None."""
    assert parse_reply({"reply": "", "usage": value}, "", "abc").usage == usage


def test_reply_of_the_text_so_far() -> None:
    """The text so far is the reply only if the answer has none; an empty reply counts."""
    assert parse_reply({"success": True}, "so far", "abc") == "so far"
    assert parse_reply({"success": True, "reply": ""}, "so far", "abc") == ""


@pytest.mark.parametrize("answer", [{"reply": None}, {"reply": 5}, {"reply": ["a"]}])
def test_reply_that_is_not_text(answer: Dict[str, Any]) -> None:
    """A reply that is not a str raises, whatever text came before."""
    with pytest.raises(ProtocolError, match="the answer contains no reply"):
        parse_reply(answer, "so far", "abc")


def test_no_reply_and_no_text() -> None:
    """An answer without a reply raises if no text came before."""
    with pytest.raises(ProtocolError, match="the answer contains no reply"):
        parse_reply({"success": True}, "", "abc")


def test_failure_with_a_reply() -> None:
    """An answer that reports failure raises, even if it has a reply."""
    with pytest.raises(ReplyError) as caught:
        parse_reply({"success": False, "message": "No <b>credit</b>", "reply": "Hi"}, "Hi", "abc")
    assert caught.value.message == "No credit"
    assert str(caught.value) == "AI Engine could not answer: No credit."


LONG_OR_BANNED = (
    "Most often, the message is longer than the bot allows (512 characters by default) or contains"
    " a banned word, or the bot's id is wrong: shorten the message, or check the id."
)
REASONS = [
    ("Out of credit!", "AI Engine could not answer: Out of credit!"),
    ("", "AI Engine could not answer: it gave no reason."),
    (
        "Your query has been rejected.",
        f"AI Engine could not answer: Your query has been rejected. {LONG_OR_BANNED}",
    ),
]


@pytest.mark.parametrize(("message", "text"), REASONS)
def test_reply_errors(message: str, text: str) -> None:
    """A failure gives the plugin's reason as a sentence, and explains what "rejected" may mean."""
    error = reply_error(message)
    assert (str(error), error.message) == (text, message)


def test_success() -> None:
    """The object of an answer that reports success is returned unchanged."""
    answer = {"success": True, "restNonce": "0123456789"}
    assert check_success(answer, 200, RequestInfo) is answer


REFUSALS: List[Tuple[Any, type, int]] = [
    ({"code": "rest_no_route", "message": "No route", "data": {"status": 404}}, NotFoundError, 404),
    ({"code": "rest_forbidden", "message": "No", "data": {"status": 403}}, AuthError, 403),
    ({"code": "odd", "message": "No", "data": None}, StatusError, 200),
    ({"code": "odd", "message": "No", "data": {"status": True}}, StatusError, 200),
]


@pytest.mark.parametrize(("answer", "error_type", "status"), REFUSALS)
def test_refusal_with_status_200(answer: Any, error_type: type, status: int) -> None:
    """WordPress's refusal raises even with status 200; the status in its JSON counts."""
    with pytest.raises(StatusError) as caught:
        check_success(answer, 200, RequestInfo)
    assert type(caught.value) is error_type
    assert (caught.value.status, caught.value.code) == (status, answer["code"])
    assert caught.value.message == answer["message"]


def test_advice_with_status_200() -> None:
    """WordPress's refusal with status 200 advises by the route that was asked."""
    with pytest.raises(NotFoundError, match=r"needs AI Engine 1\.6\.76 or newer"):
        check_success(REFUSALS[0][0], 200, partial(RequestInfo, routes.CHAT))


@pytest.mark.parametrize(
    "answer", [None, [], {}, "x", {"success": 1}, {"success": "true"}, {"code": 5, "message": ""}]
)
def test_json_of_another_program(answer: object) -> None:
    """JSON that reports neither success nor failure is not from the plugin."""
    with pytest.raises(ProtocolError, match="JSON that is not AI Engine's"):
        check_success(answer, 200, RequestInfo)


NONCES = ["0123456789", "a", "a-b_C", "x" * 128]
NOT_NONCES = [None, "", 123, "x" * 129, "a b", "a\n", "a\r\nx: y", "caf\u00e9", {"a": 1}]


@pytest.mark.parametrize("value", NONCES)
def test_nonces(value: str) -> None:
    """A nonce is up to 128 letters, digits, hyphens or underscores."""
    assert parse_nonce(value) == value


@pytest.mark.parametrize("value", NOT_NONCES)
def test_not_nonces(value: object) -> None:
    """A value that is too long, or cannot be sent in a header, is not a nonce."""
    assert parse_nonce(value) is None


PLAIN: List[Tuple[Any, str]] = [
    ("Hi", "Hi"),
    ("  a \n\t b  ", "a b"),
    ("<p>a</p><p>b</p>", "a b"),
    ("a &lt;b&gt; &amp; c", "a <b> & c"),
    ("<!-- a --><?b?><br/>c", "c"),
    ("3 < 5 and 5 > 3, <3", "3 < 5 and 5 > 3, <3"),
    ("a \x1b[31m\x00b\u202e", "a [31mb"),
    ("\ud83c", ""),
    ("x" * 500, "x" * 500),
    ("x" * 501, "x" * 499 + "\u2026"),
    ("<br>" * 1250 + "late", ""),
    (None, ""),
    (False, ""),
    (True, "true"),
    (0, "0"),
    ({"a": "b"}, '{"a": "b"}'),
]


def test_plain_text_of_deep_json() -> None:
    """The plain text of JSON that is nested too deep to encode is empty."""
    value: List[Any] = []
    for _ in range(100_000):
        value = [value]
    assert plain_text(value) == ""


@pytest.mark.parametrize(("value", "text"), PLAIN, ids=lambda value: repr(value)[:20])
def test_plain_text(value: object, text: str) -> None:
    """A site's message becomes one printable line of at most 500 characters."""
    assert plain_text(value) == text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/uploads/a.JPEG", "image"),
        ("https://a.example/a.webp?v=2.txt", "image"),
        ("https://a.example/a.pdf?preview=.png", "file"),
        ("https://a.example/png", "file"),
        ("", "file"),
    ],
)
def test_the_type_of_a_file(url: str, expected: str) -> None:
    """A file is an image if the path of its URL ends like one, whatever the site calls it."""
    rows = [{"refId": "a", "url": url, "type": kind} for kind in ("image", "file", None)]
    files = parse_files({"data": {"files": rows}})
    assert [file.type for file in files] == [expected] * 3


@pytest.mark.parametrize("data", [{"id": "a" * 32}, {"url": "https://example.com/a.png"}, {}])
def test_unnamed_upload(data: Dict[str, Any]) -> None:
    """The answer to an upload must have both an id and a URL."""
    with pytest.raises(ProtocolError, match="does not name the uploaded file"):
        parse_upload({"data": data}, "a.png", "vision")
