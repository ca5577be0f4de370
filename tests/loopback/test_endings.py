"""Nothing looks like an answer that is not one: how answers end, over a socket."""

from __future__ import annotations

import copy
import pickle
from typing import Any, Dict, NamedTuple, Type

import pytest
from support import (
    HELLO,
    PHP,
    Framing,
    RawServer,
    answering,
    end,
    event,
    failure,
    head,
    json_reply,
    live,
    reply,
)

from chatgpt4online import (
    BlockedError,
    ChatGPT4OnlineError,
    Client,
    ProtocolError,
    ReplyError,
    StreamInterrupted,
)

UNTIL_CLOSE = Framing("close")


def stream_of(*events: bytes) -> bytes:
    """Return a whole response with these events, under the content type of JSON."""
    return json_head(len(b"".join(events))) + b"".join(events)


def json_head(size: int) -> bytes:
    """Return a head that says that a body is JSON."""
    return head("200 OK", "Content-Type: application/json", f"Content-Length: {size}")


def page(title: str) -> bytes:
    """Return a whole response with a page."""
    body = f"<html><title>{title}</title></html>".encode()
    return reply("200 OK", body, "Content-Type: text/html")


BAD_END = event(type="end", data=False)
BROKEN_END = event(type="end", data='{"success":true,"rep')
SUCCESS = {"success": True, "reply": "Hello", "usage": None}

#: Responses that are answers, and the pieces that come of them; the text is always "Hello".
WHOLE: Dict[str, Any] = {
    "a stream": (PHP.answer().bytes, ["Hel", "lo"]),
    "under JSON's content type": (stream_of(*HELLO), ["Hel", "lo"]),
    "no text before the end": (stream_of(end("Hello")), ["Hello"]),
    "plain JSON": (json_reply("200 OK", SUCCESS), ["Hello"]),
    "an end that is false": (stream_of(*HELLO[:2], BAD_END), ["Hel", "lo"]),
    "an end that is cut off": (stream_of(*HELLO[:2], BROKEN_END), ["Hel", "lo"]),
    "other text at the end": (stream_of(live("Hell"), end("Hello")), ["Hell"]),
    "noise after the end": (stream_of(*HELLO, b"<!-- cached -->", failure("late")), ["Hel", "lo"]),
    "comments and empty events": (
        stream_of(b": keepalive\n\n", b"data: \n\n", live("Hel"), b"data:\n\n", *HELLO[1:]),
        ["Hel", "lo"],
    ),
    "an empty failure, then text": (stream_of(failure(""), *HELLO), ["Hel", "lo"]),
    "warnings before a stream": (stream_of(b"<br />\n<b>Warning</b>: x\n", *HELLO), ["Hel", "lo"]),
    "a byte order mark": (stream_of(b"\xef\xbb\xbf \n", *HELLO), ["Hel", "lo"]),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_an_answer(name: str) -> None:
    """`chat` and `stream` give the same answer, in whichever of its shapes it comes."""
    answer, pieces = WHOLE[name]
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        assert list(stream) == pieces
        assert stream.result() == client.chat("Hi") == "Hello"
        assert (stream.result().raw == {}) == (name.startswith("an end that is"))


class Failing(NamedTuple):
    """A response that is no answer."""

    answer: bytes
    error: Type[ChatGPT4OnlineError]
    text: str = ""
    says: str = ""


#: What is no answer, and the error that it is.
NONE: Dict[str, Failing] = {
    "a failure": Failing(stream_of(failure("Sorry")), ReplyError, says="Sorry"),
    "a failure after text": Failing(stream_of(live("a"), failure("No")), ReplyError, "a", "No"),
    "an empty failure, then a real one": Failing(
        stream_of(live("a"), failure(""), failure("Really")), ReplyError, "a", "Really"
    ),
    "an empty failure alone": Failing(stream_of(failure("")), ReplyError, says="no reason"),
    "an empty failure after text": Failing(stream_of(live("a"), failure("")), ReplyError, "a"),
    "a failure in JSON": Failing(
        json_reply("500 Oops", {"success": False, "message": "Sorry"}), ReplyError, says="Sorry"
    ),
    "an end that tells of failure": Failing(
        stream_of(live("a"), event(type="end", data='{"success":false,"message":"No"}')),
        ReplyError,
        "a",
        "No",
    ),
    "an end that is false, and no text": Failing(stream_of(BAD_END), ProtocolError),
    "no end": Failing(PHP.answer([live("a")]).bytes, StreamInterrupted, "a"),
    "an end without its blank line": Failing(
        stream_of(live("a"), end("a")[:-1]), StreamInterrupted, "a"
    ),
    "nothing": Failing(reply("200 OK"), StreamInterrupted),
    "blank lines": Failing(reply("200 OK", b"\n\n\n"), StreamInterrupted),
    "comments alone": Failing(stream_of(b": keepalive\n\n" * 3), StreamInterrupted),
    "a broken event": Failing(stream_of(live("a"), b"data: {oops\n\n"), ProtocolError, "a"),
    "an event that is no object": Failing(stream_of(live("a"), b"data: 1\n\n"), ProtocolError, "a"),
    "an event that is not UTF-8": Failing(
        stream_of(live("a"), b'data: {"type":"live","data":"\xff"}\n\n'), ProtocolError, "a"
    ),
    "PHP died midway": Failing(
        stream_of(live("a"), b"<p>There has been a critical error</p>"), StreamInterrupted, "a"
    ),
    "broken JSON": Failing(reply("200 OK", b'{"success": tru'), ProtocolError),
    "JSON of something else": Failing(json_reply("200 OK", {"a": 1}), ProtocolError),
    "a page": Failing(page("Log in"), ProtocolError, says="Log in"),
    "a challenge": Failing(page("Just a moment..."), BlockedError, says="firewall"),
    "plain text": Failing(reply("200 OK", b"Hello"), ProtocolError, says="Hello"),
}


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_answer_is_an_error(name: str) -> None:
    """`chat` and `stream` raise the same error, which keeps the text so far and pickles."""
    case = NONE[name]
    with RawServer(answering(case.answer)) as server, Client(server.url) as client:
        with pytest.raises(ChatGPT4OnlineError) as by_chat:
            client.chat("Hi")
        with pytest.raises(ChatGPT4OnlineError) as by_stream:
            client.stream("Hi").result()
    for error in (by_chat.value, by_stream.value, pickle.loads(pickle.dumps(by_chat.value))):
        assert type(error) is case.error
        assert error.text == case.text
        assert case.says in str(error)
        assert (error.site, error.route) == (server.url, "mwai-ui/v1/chats/submit")
    assert vars(copy.copy(by_chat.value)) == vars(by_chat.value)
