"""What comes: events, the answer's JSON object, and the values in them."""

from __future__ import annotations

import json
from contextlib import suppress
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
from chatgpt4online._protocol.answers import parse_nonce, parse_reply
from chatgpt4online._protocol.events import End, Failure, parse_event
from chatgpt4online._protocol.failures import check_success, reply_error
from chatgpt4online._protocol.fields import plain_text

Item = Union[str, Event, End, Failure, None]


def live(data: object, **more: object) -> str:
    """Return the data of a `live` event."""
    return json.dumps({"type": "live", "data": data, **more})


def nested(depth: int) -> str:
    """Return the JSON of a list in a list in a list."""
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
    """An event is text, another event, the end, a failure, or nothing; text has no subtype."""
    parsed = parse_event(data)
    assert (type(parsed), parsed) == (type(item), item)


@pytest.mark.parametrize("data", BROKEN_EVENTS, ids=lambda data: data[:30])
def test_broken_events(data: str) -> None:
    """What is not an event of the plugin is never text: it is an error."""
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
    """However deep an event is nested, it is read or refused; Python's own limit is no answer."""
    with suppress(ProtocolError):
        parse_event(form % nested(depth))


@pytest.mark.parametrize(("digits", "is_read"), [(1_000, True), (1_001, False), (10**7, False)])
def test_long_numbers(digits: int, is_read: bool) -> None:
    """A number of very many digits, which takes older Pythons hours, is refused at once."""
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
    """A reply holds everything that the answer does, in values, less the nonce."""
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


def test_shortcut_as_it_is() -> None:
    """A shortcut's words are kept to the letter, since a click sends them."""
    words = "\U0001f468\u200d\U0001f469\u200d\U0001f467 " + "long " * 200
    shortcuts = [{"data": {"label": words, "message": words}}, {"data": {"label": 5}}, {}]
    first, *others = parse_reply({"reply": "", "shortcuts": shortcuts}, "", "abc").shortcuts
    assert (first.label, first.message) == (words, words)
    assert others == [Shortcut("5", "", None, {"label": 5}), Shortcut("", "", None, {})]


def test_reply_of_an_old_version() -> None:
    """An answer of AI Engine 2.4.7, which knows fewer fields, gives a reply without them."""
    answer = {"success": True, "reply": "Hi", "images": None, "usage": {"queries": 1}}
    reply = parse_reply(answer, "", "abc")
    assert (reply, reply.usage) == ("Hi", Usage(queries=1))
    assert not any((reply.images, reply.actions, reply.shortcuts, reply.blocks))
    assert (reply.response_id, reply.raw) == (None, answer)


def test_flat_action() -> None:
    """An action of AI Engine 2.4.8, whose fields stand beside its type, is read too."""
    flat = {"type": "function", "name": "alarm", "args": []}
    (action,) = parse_reply({"reply": "", "actions": [flat]}, "", "abc").actions
    assert action == Action("function", "alarm", {}, flat)


NOT_AS_EXPECTED: Dict[str, Any] = {
    "usage": ["a"],
    "images": [None, 5, {"url": "x"}],
    "actions": {"type": "function"},
    "shortcuts": "none",
    "blocks": [None, "x"],
    "responseId": 5,
}


def test_reply_with_odd_parts() -> None:
    """A part that is not what it should be is left out, and still there in `raw`."""
    reply = parse_reply({"reply": "Hi", **NOT_AS_EXPECTED}, "", "abc")
    assert reply == "Hi"
    assert (reply.usage, reply.response_id) == (None, None)
    assert not any((reply.images, reply.actions, reply.shortcuts, reply.blocks))
    assert reply.raw == {"reply": "Hi", **NOT_AS_EXPECTED}


ODD_ACTIONS = [
    ({"type": "function", "data": None}, Action("function", "", {}, {})),
    (
        {"type": None, "data": {"name": 5, "args": "x"}},
        Action("", "", {}, {"name": 5, "args": "x"}),
    ),
    ({}, Action("", "", {}, {})),
]


@pytest.mark.parametrize(("item", "action"), ODD_ACTIONS)
def test_odd_actions(item: Dict[str, Any], action: Action) -> None:
    """An action whose parts are not what they should be is still an action."""
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


@pytest.mark.parametrize(("said", "usage"), USAGES)
def test_usage(said: object, usage: object) -> None:
    """A number that the site did not give as one is None."""
    assert parse_reply({"reply": "", "usage": said}, "", "abc").usage == usage


def test_reply_of_the_text_so_far() -> None:
    """An answer without a reply has the text so far; the site's own word stands, also if empty."""
    assert parse_reply({"success": True}, "so far", "abc") == "so far"
    assert parse_reply({"success": True, "reply": ""}, "so far", "abc") == ""


@pytest.mark.parametrize("answer", [{"reply": None}, {"reply": 5}, {"reply": ["a"]}])
def test_no_reply(answer: Dict[str, Any]) -> None:
    """A reply that is no text is an error, whatever came before."""
    with pytest.raises(ProtocolError, match="the answer contains no reply"):
        parse_reply(answer, "so far", "abc")


def test_nothing_is_no_reply() -> None:
    """An answer without a reply to which no text came is an error."""
    with pytest.raises(ProtocolError, match="the answer contains no reply"):
        parse_reply({"success": True}, "", "abc")


def test_failure_is_no_reply() -> None:
    """An answer that tells of failure is that failure, whatever text it has."""
    with pytest.raises(ReplyError) as caught:
        parse_reply({"success": False, "message": "No <b>credit</b>", "reply": "Hi"}, "Hi", "abc")
    assert caught.value.message == "No credit"
    assert str(caught.value) == "AI Engine could not answer: No credit."


LONG_OR_BANNED = (
    "Often the message is longer than the bot allows (512 characters by default), contains a banned"
    " word, or the bot's id is wrong: shorten it, or check the id."
)
REASONS = [
    ("Out of credit!", "AI Engine could not answer: Out of credit!"),
    ("", "AI Engine could not answer: it gave no reason."),
    (
        "Your query has been rejected.",
        f"AI Engine could not answer: Your query has been rejected. {LONG_OR_BANNED}",
    ),
]


@pytest.mark.parametrize(("message", "words"), REASONS)
def test_reply_errors(message: str, words: str) -> None:
    """A failure gives the plugin's reason as one sentence, and says what "rejected" may mean."""
    error = reply_error(message)
    assert (str(error), error.message) == (words, message)


def test_success() -> None:
    """The object of an answer that tells of success is returned as it is."""
    answer = {"success": True, "restNonce": "0123456789"}
    assert check_success(answer, 200) is answer


REFUSALS: List[Tuple[Any, type, int]] = [
    ({"code": "rest_no_route", "message": "No route", "data": {"status": 404}}, NotFoundError, 404),
    ({"code": "rest_forbidden", "message": "No", "data": {"status": 403}}, AuthError, 403),
    ({"code": "odd", "message": "No", "data": None}, StatusError, 200),
    ({"code": "odd", "message": "No", "data": {"status": True}}, StatusError, 200),
]


@pytest.mark.parametrize(("answer", "kind", "status"), REFUSALS)
def test_refused_in_json(answer: Any, kind: type, status: int) -> None:
    """WordPress's own refusal is one under any HTTP status; the status that it names counts."""
    with pytest.raises(StatusError) as caught:
        check_success(answer, 200)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code) == (status, answer["code"])
    assert caught.value.message == answer["message"]


@pytest.mark.parametrize(
    "answer", [None, [], {}, "x", {"success": 1}, {"success": "true"}, {"code": 5, "message": ""}]
)
def test_not_the_plugins(answer: object) -> None:
    """JSON that tells neither of success nor of failure is not the plugin's."""
    with pytest.raises(ProtocolError, match="JSON that is not AI Engine's"):
        check_success(answer, 200)


NONCES = ["0123456789", "a", "a-b_C", "x" * 128]
NO_NONCES = [None, "", 123, "x" * 129, "a b", "a\n", "a\r\nx: y", "caf\u00e9", {"a": 1}]


@pytest.mark.parametrize("value", NONCES)
def test_nonces(value: str) -> None:
    """Ten hexadecimal digits, or anything like that, are a nonce."""
    assert parse_nonce(value) == value


@pytest.mark.parametrize("value", NO_NONCES)
def test_no_nonces(value: object) -> None:
    """What could not stand in a header, or is too long, is no nonce."""
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


def test_plain_of_what_is_too_deep() -> None:
    """What is nested too deep to be written has no words."""
    value: List[Any] = []
    for _ in range(100_000):
        value = [value]
    assert plain_text(value) == ""


@pytest.mark.parametrize(("value", "words"), PLAIN, ids=lambda value: repr(value)[:20])
def test_plain(value: object, words: str) -> None:
    """A site's words become one line that can be printed anywhere, and is not too long."""
    assert plain_text(value) == words
