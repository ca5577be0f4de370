"""Faults of what a response says: events, JSON, text and pages."""

from __future__ import annotations

import json
from typing import Any, Type

from support import PHP, end, event, failure, head, json_reply, live, reply

from chatgpt4online import (
    BlockedError,
    ChatGPT4OnlineError,
    NotFoundError,
    ProtocolError,
    ReplyError,
    StreamInterrupted,
)

from .site import LIMIT, Fault, Faults, cuts, says, title

NOT_AI_ENGINE = "JSON that is not AI Engine's"
NO_REPLY = "the answer contains no reply"
UNEXPECTED = "unexpected response, not from AI Engine"


def saying(
    *events: bytes, error: Type[ChatGPT4OnlineError] = ProtocolError, words: str = ""
) -> Fault:
    """Return a row of a whole stream of one delta and then these events."""
    return Fault(error, (says(PHP.answer([live("a"), *events]).bytes),), "a", words=words)


def failed(*events: bytes, words: str) -> Fault:
    """Return a row of a stream that reports a failure after some text."""
    return saying(*events, error=ReplyError, words=words)


def odd_end(answer: Any) -> bytes:
    """Return a last event that contains any JSON."""
    return event(type="end", data=json.dumps(answer))


EVENTS: Faults = {
    "an event that is not JSON": saying(b"data: oops\n\n"),
    "an event of half a JSON": saying(b'data: {"type":"live","da\n\n'),
    "an event that is a list": saying(b"data: []\n\n"),
    "an event that is not UTF-8": saying(b'data: {"type":"live","data":"\xff"}\n\n'),
    "events in another encoding": saying(
        live("b").decode().encode("utf-16"), error=StreamInterrupted
    ),
    "an event with half a number": saying(b'data: {"type":"live","timestamp":1e}\n\n'),
    "text that is a number": saying(event(type="live", data=5)),
    "text that is an object": saying(event(type="live", data={"b": 1})),
    "an event over the limit": saying(live("x" * 3 * LIMIT)),
    "a line over the limit": saying(b": " + b"x" * 3 * LIMIT + b"\n\n"),
    "a text over the limit": saying(*[live("x" * 1000)] * 101)._replace(text=None),
    "only comments": saying(*[b": keepalive\n\n"] * 3, error=StreamInterrupted),
    "only empty events": saying(*[b"data: \n\n"] * 3, error=StreamInterrupted),
    "only unknown events": saying(event(type="ping"), event(a=1), error=StreamInterrupted),
    "only other fields": saying(b"event: end\nid: 7\nretry: 1\n\n", error=StreamInterrupted),
    "only thoughts": saying(live("Hm", subtype="thinking"), error=StreamInterrupted),
    "only noise": saying(b"<!-- cached -->\n\n", error=StreamInterrupted),
    "an end under another name": saying(event(type="done", data="{}"), error=StreamInterrupted),
    "a fatal error of PHP": saying(
        b"<br />\n<b>Fatal error</b>: No memory\n\n",
        error=StreamInterrupted,
        words="The site printed: Fatal error : No memory.",
    ),
    "a critical error": saying(b"<p>There has been a critical error.</p>", error=StreamInterrupted),
    "an end that reports failure": failed(
        odd_end({"success": False, "message": "No credit"}), words="No credit"
    ),
    "an end whose reply is a number": saying(odd_end({"success": True, "reply": 5})),
    "an end whose reply is null": saying(odd_end({"success": True, "reply": None})),
    "a failure": failed(failure("Vendor: overloaded"), words="Vendor: overloaded"),
    "a failure in HTML": failed(failure("<b>No</b>\ncredit"), words="No credit"),
    "an empty failure": failed(failure(""), words="no reason"),
    "an empty failure, then another": failed(failure(""), failure("Really"), words="Really"),
    "a failure that is null": failed(event(type="error", data=None), words="no reason"),
    "a failure that is an object": failed(event(type="error", data={"a": "b"}), words='{"a": "b"}'),
    "a failure without data": failed(event(type="error"), words="no reason"),
    "a failure after a thought": failed(
        live("Hm", subtype="thinking"), failure("Sorry"), words="Sorry"
    ),
    "a failure before an end": failed(failure("Sorry"), end("a"), words="Sorry"),
}


def textless(
    *events: bytes, error: Type[ChatGPT4OnlineError] = ProtocolError, words: str = ""
) -> Fault:
    """Return a row of a whole stream without text."""
    return Fault(error, (says(PHP.answer(events).bytes),), words=words)


WITHOUT_TEXT: Faults = {
    "an end that is false": textless(
        event(type="end", data=False), words="the end of the answer cannot be"
    ),
    "an end that is cut off": textless(event(type="end", data='{"success":true,"rep')),
    "an end that is a list": textless(event(type="end", data="[]")),
    "an end without data": textless(event(type="end")),
    "an end without a reply": textless(odd_end({"success": True})),
    "an end that is empty": textless(odd_end({})),
    "only a keepalive": textless(
        b": keepalive\n\n", error=StreamInterrupted, words="the answer stopped before its end"
    ),
    "only empty text": textless(live(""), error=StreamInterrupted, words="stopped before its end"),
    "a first event that is broken": textless(b"data: {\n\n", words="the response is not JSON"),
    "a first event that fails": textless(failure("Sorry"), error=ReplyError, words="Sorry"),
    "a first failure that is empty": textless(failure(""), error=ReplyError, words="no reason"),
    "an empty failure first, then another": textless(
        failure(""), failure("Really"), error=ReplyError, words="Really"
    ),
}


def bare(body: bytes, error: Type[ChatGPT4OnlineError] = ProtocolError, **fields: Any) -> Fault:
    """Return a row of a whole body that is not a stream."""
    return Fault(error, (says(reply("200 OK", body)),), **fields)


def answered(answer: Any, error: Type[ChatGPT4OnlineError] = ProtocolError, **fields: Any) -> Fault:
    """Return a row of an answer that is plain JSON."""
    return Fault(error, (says(json_reply("200 OK", answer)),), **fields)


JSON: Faults = {
    "JSON of nothing": answered({}, words=NOT_AI_ENGINE),
    "JSON of something else": answered({"hello": "world"}),
    "JSON without success": answered({"reply": "Hello"}, words=NOT_AI_ENGINE),
    "JSON whose success is not a boolean": answered({"success": "true", "reply": "Hello"}),
    "JSON without a reply": answered({"success": True}, words=NO_REPLY),
    "JSON whose reply is a number": answered({"success": True, "reply": 5}, words=NO_REPLY),
    "JSON that is a list": answered([], words=f"{UNEXPECTED}: '[]'"),
    "JSON that is null": answered(None, words=f"{UNEXPECTED}: 'null'"),
    "JSON that is a text": answered("Hello"),
    "JSON that is broken": bare(b'{"success": tru}', words="the answer is broken JSON"),
    "JSON that is cut off": bare(b'{"success": true, "reply": "Hel'),
    "JSON that is cut from its length": Fault(
        StreamInterrupted, (cuts(json_reply("200 OK", {"success": True, "reply": "Hello"})[:-5]),)
    ),
    "JSON that is not UTF-8": bare(b'{"success": true, "reply": "\xff"}'),
    "JSON over the limit": bare(b'{"success": true, "reply": "' + b"x" * 3 * LIMIT + b'"}'),
    "JSON of a failure": answered({"success": False, "message": "No"}, ReplyError, words="No"),
    "JSON of a failure without words": answered({"success": False}, ReplyError, words="no reason"),
    "JSON of a refusal": answered(
        {"code": "rest_no_route", "message": "No", "data": {"status": 404}},
        NotFoundError,
        status=404,
        words="HTTP 404 rest_no_route: No.",
    ),
    "nothing at all": bare(b"", StreamInterrupted, words="the answer is empty"),
    "blank lines": bare(b" \r\n" * 10, StreamInterrupted, words="the answer is empty"),
    "only a byte order mark": bare(b"\xef\xbb\xbf", StreamInterrupted, words="the answer is empty"),
    "plain text": bare(b"Hello", words="Hello"),
    "XML": bare(b'<?xml version="1.0"?><reply>Hello</reply>'),
    "a picture": bare(b"\x89PNG\r\n\x1a\n" + bytes(100)),
    "white space over the limit": bare(b" " * 3 * LIMIT, words=f"larger than {LIMIT} bytes"),
    "only warnings": bare(b"<br />\n<b>Warning</b>: x\n"),
    "warnings over the limit": bare(b"<br />\n<b>Warning</b>: x\n" * 5000),
    "only a fatal error": bare(
        b"<br />\n<b>Fatal error</b>: x", words="a web page came instead of an answer"
    ),
    "the login page": bare(title("Log in"), words="a web page (Log in) came instead of an answer"),
    "a challenge": bare(title("Just a moment..."), BlockedError, status=200, words="firewall"),
    "a page without a title": bare(b"<!DOCTYPE html><p>Hello", words="web page"),
    "status 204": Fault(
        StreamInterrupted, (says(head("204 No Content")),), words="the answer is empty"
    ),
}


def in_stream(content_type: str) -> Fault:
    """Return a row of a failure in a stream, under this content type."""
    response = reply("200 OK", failure("Sorry."), f"Content-Type: {content_type}")
    return Fault(ReplyError, (says(response),), words="Sorry.")


#: A failure of the plugin arrives in one of these ways. Source: AI Engine 2.4.7 to 3.6.2.
PLUGIN: Faults = {
    "a failure in JSON": Fault(
        ReplyError,
        (says(json_reply("500 Oops", {"success": False, "message": "Sorry."})),),
        words="Sorry.",
    ),
    "a failure in a stream": in_stream("text/event-stream;charset=UTF-8"),
    "a failure in a stream under JSON's type": in_stream("application/json; charset=UTF-8"),
}

ANSWERS: Faults = {**EVENTS, **WITHOUT_TEXT, **JSON, **PLUGIN}
