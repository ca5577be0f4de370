"""Streams: what they yield and return, and how they end."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from chatgpt4online import (
    ChatGPT4OnlineError,
    Client,
    Event,
    ProtocolError,
    Reply,
    ReplyError,
    StreamInterrupted,
)
from chatgpt4online._protocol import events, fields, routes
from chatgpt4online.testing import Server, event

STATUS: Dict[str, Any] = {"subtype": "status", "data": "Starting stream...", "timestamp": 1.5}
THINKING = {"subtype": "thinking", "data": "Hm", "visibility": "collapsed", "timestamp": 1.5}


def test_deltas(server: Server, client: Client) -> None:
    """A stream yields the non-empty deltas of the text, and no other events."""
    server.says(STATUS, "Hel", THINKING, "", {"subtype": "content", "data": "lo"}, STATUS)
    with client.stream("Hi") as stream:
        assert list(stream) == ["Hel", "lo"]
    assert stream.text == "Hello"


def test_events(server: Server, client: Client) -> None:
    """`events` yields deltas and all other events, in order."""
    server.says(STATUS, "Hel", THINKING, "lo")
    with client.stream("Hi") as stream:
        assert list(stream.events()) == [
            Event("status", "Starting stream...", "visible", {}, 1.5),
            Event("content", "Hel", None, {}, None),
            Event("thinking", "Hm", "collapsed", {}, 1.5),
            Event("content", "lo", None, {}, None),
        ]


def test_one_pass(server: Server, client: Client) -> None:
    """A stream can be read once; each way to read it continues where another stopped."""
    server.says("a", "b", STATUS, "c", "d")
    stream = client.stream("Hi")
    assert next(stream) == "a"
    assert next(stream.events()).text == "b"
    assert iter(stream) is stream
    assert next(stream) == "c"
    assert stream.text == "abc"
    assert stream.result() == "abcd"
    assert list(stream) == []
    assert list(stream.events()) == []
    assert stream.text == "abcd"
    with pytest.raises(StopIteration):
        next(stream)


def test_the_text_is_what_was_yielded(server: Server, client: Client) -> None:
    """A program that prints `text` and then the deltas prints nothing twice."""
    server.says("a", "b", "c")
    stream = client.stream("Hi")
    texts = [stream.text]
    for delta in stream:
        texts += [delta, stream.text]
    assert texts == ["", "a", "a", "b", "ab", "c", "abc"]


def test_result(server: Server, client: Client) -> None:
    """`result` returns the whole answer, which may differ from the deltas, and always the same."""
    server.says("  Hel", "lo  ", final="Hello", response_id="r1")
    stream = client.stream("Hi", chat_id="mine")
    reply = stream.result()
    assert (reply, stream.text) == ("Hello", "  Hello  ")
    assert (reply.response_id, reply.chat_id) == ("r1", "mine")
    assert stream.result() is reply


def test_answer_without_text(server: Server, client: Client) -> None:
    """An answer without text before its end is one delta."""
    server.says(STATUS, final="Hello")
    server.says(STATUS, final="Hello")
    assert list(client.stream("Hi")) == ["Hello"]
    stream = client.stream("Hi")
    assert [each.text for each in stream.events()] == ["Starting stream...", "Hello"]
    assert stream.text == stream.result() == "Hello"


def test_plain_answer(server: Server, client: Client) -> None:
    """An answer that is not a stream is one delta."""
    server.says("Hel", "lo")
    assert list(client.stream("Hi", extra_body={"stream": False})) == ["Hello"]


def test_empty_answer(server: Server, client: Client) -> None:
    """An empty answer has no deltas, and an empty reply with the answer's other parts."""
    server.says(final="", actions=[{"type": "function", "data": {"name": "alarm", "args": []}}])
    stream = client.stream("Hi")
    assert list(stream) == []
    assert (stream.result(), stream.text) == ("", "")
    assert [action.name for action in stream.result().actions] == ["alarm"]


def test_unreadable_end(server: Server, client: Client) -> None:
    """If the end cannot be parsed, the text so far is the reply, and `raw` is empty."""
    for end in (event("end", False), event("end", '{"succ')):
        server.sends(event("live", "Hello") + end)
        reply = client.chat("Hi", chat_id="mine")
        assert (type(reply), reply, reply.raw, reply.chat_id) == (Reply, "Hello", {}, "mine")


def test_empty_error_then_text(server: Server, client: Client) -> None:
    """An empty error is ignored if text follows."""
    server.says("a", event("error", ""), "b", STATUS, "c")
    assert list(client.stream("Hi")) == ["a", "b", "c"]


def test_empty_errors_alone(server: Server, client: Client) -> None:
    """Empty errors raise ReplyError if nothing follows."""
    empty = event("error", "")
    server.sends(event("live", "a") + empty + empty)
    with pytest.raises(ReplyError) as caught:
        client.chat("Hi")
    assert (caught.value.message, caught.value.text) == ("", "a")


def test_refused_at_once(server: Server, client: Client) -> None:
    """A failure before any text is raised by `stream` itself."""
    server.fails("Out of credit.")
    with pytest.raises(ReplyError, match=r"Out of credit\."):
        client.stream("Hi")


def test_failure_is_raised_again(server: Server, client: Client) -> None:
    """Reading a failed stream again raises the same error."""
    server.fails("Died.", after=["Hel", "lo"])
    stream = client.stream("Hi")
    with pytest.raises(ReplyError) as caught:
        list(stream)
    for read in (stream.result, stream.__next__, lambda: list(stream.events())):
        with pytest.raises(ReplyError) as again:
            read()
        assert again.value is caught.value
    assert (caught.value.text, stream.text) == ("Hello", "Hello")


def test_closed(server: Server, client: Client) -> None:
    """A stream that was closed before its end raises StreamInterrupted, and keeps its text."""
    server.says("a", "b", "c")
    with client.stream("Hi") as stream:
        assert next(stream) == "a"
    stream.close()
    for read in (stream.result, stream.__next__):
        with pytest.raises(
            StreamInterrupted, match="closed before the answer was complete"
        ) as caught:
            read()
        assert caught.value.text == "a"
    assert (caught.value.site, caught.value.route) == (server.url, routes.CHAT)
    assert client.chat("Hi") == "Echo(1 msgs): Hi"


def test_closed_before_the_first_delta(server: Server, client: Client) -> None:
    """The first delta, for which `stream` waits, can be read after the stream was closed."""
    server.says("a", "b")
    stream = client.stream("Hi")
    stream.close()
    assert next(stream) == "a"
    with pytest.raises(StreamInterrupted):
        next(stream)


def test_closed_when_finished(server: Server, client: Client) -> None:
    """Closing a finished stream has no effect."""
    server.says("Hel", "lo")
    stream = client.stream("Hi")
    reply = stream.result()
    stream.close()
    assert stream.result() is reply
    assert list(stream) == []


def test_on_reply(server: Server, client: Client) -> None:
    """A callback is called once with the whole answer: when it arrives, or at once if it has."""
    server.says("Hel", "lo")
    replies: List[Reply] = []
    stream = client.stream("Hi")
    stream.on_reply(replies.append)
    assert [next(stream), next(stream)] == ["Hel", "lo"]
    assert replies == []
    assert list(stream) == []
    assert replies == ["Hello"]
    stream.on_reply(replies.append)
    assert replies[1] is replies[0] is stream.result()


def test_on_reply_of_an_incomplete_answer(server: Server, client: Client) -> None:
    """A callback is not called if the answer stays incomplete."""
    server.cuts("Hel", "lo")
    replies: List[Reply] = []
    stream = client.stream("Hi")
    stream.on_reply(replies.append)
    with pytest.raises(StreamInterrupted):
        list(stream)
    assert replies == []


def test_on_reply_that_fails(server: Server, client: Client) -> None:
    """An exception from a callback propagates, and the answer stays complete."""
    server.says("Hello")
    stream = client.stream("Hi")

    def fail(_: Reply) -> None:
        raise KeyError

    stream.on_reply(fail)
    with pytest.raises(KeyError):
        list(stream)
    assert stream.result() == "Hello"


def test_on_reply_that_fails_before_the_last_delta(server: Server, client: Client) -> None:
    """If a callback raises, the delta that came with the end can still be read."""
    server.says(STATUS, final="Hello")
    stream = client.stream("Hi")

    def fail(_: Reply) -> None:
        raise KeyError

    stream.on_reply(fail)
    with pytest.raises(KeyError):
        list(stream)
    assert list(stream) == ["Hello"]


def test_on_reply_that_fails_with_an_error_of_ours(server: Server, client: Client) -> None:
    """An error of another call, raised in a callback, still names that call's site and route."""
    server.says("Hello")
    stream = client.stream("Hi")

    def fail(_: Reply) -> None:
        raise ReplyError("No", site="https://other.example", route="other/v1")

    stream.on_reply(fail)
    with pytest.raises(ReplyError) as caught:
        list(stream)
    error = caught.value
    assert (error.site, error.route, error.text) == ("https://other.example", "other/v1", "")
    assert caught.traceback[-1].name == "fail"


def test_interrupted_by_the_caller(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception such as Ctrl-C while reading propagates and closes the stream."""
    server.says("a", "b", "c")
    stream = client.stream("Hi")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(events, "parse_json", interrupt)
        with pytest.raises(KeyboardInterrupt):
            list(stream)
    with pytest.raises(ChatGPT4OnlineError):
        list(stream)
    assert stream.text


def test_too_long(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text over the limit raises ProtocolError, however small its deltas are."""
    monkeypatch.setattr(fields, "MAX_BYTES", 2_000)
    server.says(*["1234567890" * 10] * 20, final="x")
    server.says(*["1234567890" * 10] * 21, final="x")
    assert len("".join(client.stream("Hi"))) == 2_000
    with pytest.raises(ProtocolError, match="the answer is longer than 2000 characters"):
        list(client.stream("Hi"))


def test_an_end_without_a_reply(server: Server, client: Client) -> None:
    """If the end contains no reply, the text so far is the reply."""
    server.sends(event("live", "Hel") + event("live", "lo") + event("end", {"success": True}))
    assert client.chat("Hi") == "Hello"
