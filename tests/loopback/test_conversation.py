"""Conversations: what each question sends, and which turns are kept."""

from __future__ import annotations

import gc
import json
from typing import Any, Callable, Dict, List, NoReturn, Type

import pytest

from chatgpt4online import (
    ChatGPT4OnlineError,
    Client,
    Conversation,
    Discussion,
    Message,
    Reply,
    ReplyError,
    Stream,
    StreamInterrupted,
    Timeout,
)
from chatgpt4online.testing import Server

GREETING: Message = {"role": "assistant", "content": "Hi! How can I help you?"}


def last_question(server: Server) -> Dict[str, Any]:
    """Return the JSON of the last question."""
    fields = server.questions[-1].json
    assert isinstance(fields, dict)
    return fields


def turn(role: str, content: str) -> Message:
    """Return one turn."""
    return {"role": role, "content": content}


# ------------------------------------------------------------------------------------- what is sent


def test_earlier_turns_are_sent(server: Server, client: Client) -> None:
    """The second question is sent with the first one and its answer."""
    talk = client.conversation()
    assert talk.chat("Who?") == "Echo(1 msgs): Who?"
    assert talk.chat("When?") == "Echo(3 msgs): When?"
    earlier = [turn("user", "Who?"), turn("assistant", "Echo(1 msgs): Who?")]
    assert last_question(server)["messages"] == earlier
    assert last_question(server)["newMessage"] == "When?"


def test_replies_are_sent_back_verbatim(server: Server, client: Client) -> None:
    """A turn contains the site's final text, not the joined deltas."""
    server.says("Vol", "taire  \n", final="**Voltaire**")
    talk = client.conversation()
    assert "".join(talk.stream("Who?")) == "Voltaire  \n"
    talk.chat("When?")
    assert last_question(server)["messages"][1] == turn("assistant", "**Voltaire**")


def test_one_chat_id(server: Server, client: Client) -> None:
    """All questions of a conversation have the same id, which is new or the caller's."""
    talk = client.conversation()
    talk.chat("Who?")
    talk.chat("When?")
    assert {each.json["chatId"] for each in server.questions} == {talk.chat_id}
    assert client.conversation().chat_id != talk.chat_id
    assert client.conversation(chat_id="mine").chat_id == "mine"


def test_system(server: Server, client: Client) -> None:
    """A system message is the first turn of every question."""
    talk = client.conversation(system="Answer in French.", messages=[turn("user", "a")])
    assert talk.chat("b") == "Echo(2 msgs): b"
    turns = [turn("system", "Answer in French."), turn("user", "a")]
    assert last_question(server)["messages"] == turns


def test_start_sentence(server: Server) -> None:
    """The start sentence from a bot's page is the first turn, unless the caller gives turns."""
    server.page("/chat/", bots=["default"])
    with Client.from_page(server.url + "/chat/") as client:
        assert client.conversation().messages == [GREETING]
        talk = client.conversation(system="Be short.")
        assert talk.messages == [turn("system", "Be short."), GREETING]
        assert client.conversation(messages=[turn("user", "a")]).messages == [turn("user", "a")]
        assert talk.chat("Who?") == "Echo(2 msgs): Who?"


def test_no_start_sentence(server: Server) -> None:
    """Without a start sentence, or without a page, a conversation begins with no turns."""
    server.bot("silent", start_sentence="")
    server.page("/chat/", bots=["silent"])
    with Client.from_page(server.url + "/chat/") as client:
        assert client.conversation().messages == []
    with Client(server.url) as client:
        assert client.conversation().messages == []


def test_given_turns_are_copied(client: Client) -> None:
    """The caller's list stays unchanged; only roles and contents are copied from it."""
    given: Any = [{"role": "user", "content": "a", "timestamp": 5}]
    talk = client.conversation(messages=given)
    talk.chat("b")
    assert given == [{"role": "user", "content": "a", "timestamp": 5}]
    assert talk.messages[0] == turn("user", "a")


@pytest.mark.parametrize(
    ("options", "error_type", "message"),
    [
        ({"system": ""}, ValueError, "system is empty"),
        ({"system": 5}, TypeError, "system must be a str, not int"),
        ({"chat_id": " "}, ValueError, "chat_id is empty"),
        ({"chat_id": 5}, TypeError, "chat_id must be a str, not int"),
        ({"messages": "x"}, TypeError, "messages must be a list of turns, not str"),
        ({"messages": [{"role": "ai", "content": "x"}]}, ValueError, "not 'ai'"),
        ({"messages": [{"role": "user", "content": "\ud83d"}]}, ValueError, "surrogate"),
        ({"messages": [{"role": "user", "content": None}]}, TypeError, "must be a str"),
    ],
)
def test_bad_conversations(
    options: Dict[str, Any], error_type: Type[Exception], message: str, client: Client
) -> None:
    """Invalid arguments raise as soon as a conversation is created."""
    with pytest.raises(error_type, match=message):
        client.conversation(**options)


@pytest.mark.parametrize(
    ("message", "options", "error_type"),
    [
        ("", {}, ValueError),
        (5, {}, TypeError),
        ([turn("user", "a")], {}, TypeError),
        ("a", {"messages": []}, TypeError),
        ("a", {"chat_id": "b"}, TypeError),
        ("a", {"files": "b"}, TypeError),
        ("a", {"extra_body": 5}, TypeError),
    ],
)
def test_bad_questions(
    message: Any,
    options: Dict[str, Any],
    error_type: Type[Exception],
    server: Server,
    client: Client,
) -> None:
    """Invalid questions raise before anything is sent, and leave no turn."""
    talk = client.conversation()
    with pytest.raises(error_type):
        talk.chat(message, **options)
    assert (talk.messages, server.requests) == ([], [])


# ----------------------------------------------------------------------------- which turns are kept


def test_a_complete_turn_is_kept(client: Client) -> None:
    """After an answer, the turn is in `messages` as plain JSON, and the reply in `last`."""
    talk = client.conversation()
    assert not talk.last
    reply = talk.chat("Who?")
    assert talk.last is reply
    assert talk.messages == [turn("user", "Who?"), turn("assistant", "Echo(1 msgs): Who?")]
    assert [type(each["content"]) for each in talk.messages] == [str, str]
    assert json.loads(json.dumps(talk.messages)) == talk.messages


def test_a_turn_is_kept_at_the_end_of_the_stream(client: Client) -> None:
    """A stream that has been read to its end has its turn kept, however it was read."""
    readers: List[Callable[[Stream], object]] = [list, lambda it: list(it.events()), Stream.result]
    for read in readers:
        talk = client.conversation()
        read(talk.stream("Who?"))
        assert len(talk.messages) == 2


def test_an_answer_in_plain_json_is_kept(server: Server, client: Client) -> None:
    """An answer in plain JSON, as from a human who took over, is kept like any other."""
    body = b'{"success":true,"reply":"A human here.","images":null,"usage":null}'
    server.sends(body, content_type="application/json")
    talk = client.conversation()
    assert list(talk.stream("Who?")) == ["A human here."]
    assert talk.messages[1] == turn("assistant", "A human here.")


def drop(talk: Conversation) -> None:
    """Ask, read a delta, and drop the stream."""
    next(talk.stream("Who?"))
    gc.collect()


def leave(talk: Conversation) -> None:
    """Ask, and leave the ``with`` block after a delta."""
    with talk.stream("Who?") as stream:
        next(stream)


def break_off(talk: Conversation) -> None:
    """Ask, and break out of the loop over the deltas."""
    for _ in talk.stream("Who?"):
        break


def interrupt(talk: Conversation) -> None:
    """Ask, and raise in the ``with`` block, as Ctrl-C does."""
    with pytest.raises(KeyboardInterrupt):
        read_and_interrupt(talk.stream("Who?"))


def read_and_interrupt(stream: Stream) -> NoReturn:
    """Read a delta, and raise KeyboardInterrupt."""
    with stream:
        next(stream)
        raise KeyboardInterrupt


def close(talk: Conversation) -> None:
    """Ask, close the stream, and read on."""
    stream = talk.stream("Who?")
    next(stream)
    stream.close()
    with pytest.raises(StreamInterrupted):
        stream.result()


@pytest.mark.parametrize("stop", [drop, leave, break_off, interrupt, close])
def test_an_unread_turn_is_not_kept(
    stop: Callable[[Conversation], None], server: Server, client: Client
) -> None:
    """A stream that is not read to its end leaves no turn, and the next question sends none."""
    server.stalls(after=("Vol", "tai"))
    talk = client.conversation(messages=[GREETING])
    stop(talk)
    assert (talk.messages, talk.last) == ([GREETING], None)
    server.release()
    talk.chat("Again?")
    assert last_question(server)["messages"] == [GREETING]


def script_failure(server: Server) -> None:
    """Make the plugin fail after a delta."""
    server.fails("No.", after=("Vol",))


def script_refusal(server: Server) -> None:
    """Make the plugin fail at once."""
    server.fails("No.")


def script_cut(server: Server) -> None:
    """Make the answer stop before its end."""
    server.cuts("Vol")


def script_silence(server: Server) -> None:
    """Make the answer go silent for longer than the deadline."""
    server.stalls(after=("Vol",))


def script_status(server: Server) -> None:
    """Make the web server fail."""
    server.answers(502)


@pytest.mark.parametrize("method", ["chat", "stream"])
@pytest.mark.parametrize(
    ("script", "error_type"),
    [
        (script_failure, ReplyError),
        (script_refusal, ReplyError),
        (script_cut, StreamInterrupted),
        (script_silence, Timeout),
        (script_status, ChatGPT4OnlineError),
    ],
)
def test_a_failed_turn_is_not_kept(
    script: Callable[[Server], None],
    error_type: Type[Exception],
    method: str,
    server: Server,
    client: Client,
) -> None:
    """An incomplete answer leaves no turn, and the conversation can continue."""
    talk = client.conversation()
    talk.chat("Who?")
    before = list(talk.messages)
    script(server)
    with pytest.raises(error_type):
        list(getattr(talk, method)("When?", deadline=0.3))
    assert talk.messages == before
    server.release()
    assert talk.chat("Where?") == "Echo(3 msgs): Where?"


def test_interleaved_streams(server: Server, client: Client) -> None:
    """Of concurrent questions, only the turn of the last one is kept, whichever ends last."""
    talk = client.conversation()
    first, second = talk.stream("First?"), talk.stream("Second?")
    second.result()
    first.result()
    assert [each["content"] for each in talk.messages[::2]] == ["Second?"]
    third = talk.stream("Third?")
    talk.chat("Fourth?")
    third.result()
    assert [each["content"] for each in talk.messages[::2]] == ["Second?", "Fourth?"]
    assert talk.last == "Echo(3 msgs): Fourth?"


def test_a_stream_is_kept_despite_a_refused_question(server: Server, client: Client) -> None:
    """A question that fails at once does not keep an earlier stream's turn from being kept."""
    talk = client.conversation()
    first = talk.stream("First?")
    server.fails("No.")
    with pytest.raises(ReplyError):
        talk.chat("Second?")
    first.result()
    assert [each["content"] for each in talk.messages] == ["First?", "Echo(1 msgs): First?"]


# ------------------------------------------------------------------------------------- response ids


def test_the_response_id_is_sent(server: Server, client: Client) -> None:
    """The response id of an answer is sent with the next question, next to the caller's fields."""
    server.says("a", response_id="resp_1")
    server.says("b", response_id=None)
    talk = client.conversation()
    talk.chat("1")
    assert "previousResponseId" not in last_question(server)
    talk.chat("2", extra_body={"temperature": 0.5})
    assert last_question(server)["previousResponseId"] == "resp_1"
    assert last_question(server)["temperature"] == 0.5
    talk.chat("3")
    assert "previousResponseId" not in last_question(server)


def test_a_response_id_of_the_callers(server: Server, client: Client) -> None:
    """A response id among the caller's own fields is sent in place of the conversation's."""
    talk = client.conversation()
    talk.chat("1")
    talk.chat("2", extra_body={"previousResponseId": "mine"})
    assert last_question(server)["previousResponseId"] == "mine"


@pytest.mark.parametrize(
    "change",
    [
        lambda turns: turns.clear(),
        lambda turns: turns.pop(),
        lambda turns: turns.append(turn("assistant", "By the way")),
        lambda turns: turns[0].update(content="Edited"),
    ],
)
def test_changed_turns_drop_the_response_id(
    change: Callable[[List[Any]], object], server: Server, client: Client
) -> None:
    """The response id is not sent if the turns have been cut or edited since."""
    talk = client.conversation()
    talk.chat("1")
    change(talk.messages)
    talk.chat("2")
    assert "previousResponseId" not in last_question(server)
    talk.chat("3")
    assert last_question(server)["previousResponseId"] == "cmpl-1"


def test_branches(server: Server, client: Client) -> None:
    """A branch begins with the turns of another conversation, but not its id or response id."""
    talk = client.conversation()
    talk.chat("1")
    branch = client.conversation(messages=talk.messages)
    branch.chat("2")
    assert "previousResponseId" not in last_question(server)
    assert last_question(server)["chatId"] == branch.chat_id != talk.chat_id
    assert (len(talk.messages), len(branch.messages)) == (2, 4)


class CountingTurns(List[Any]):
    """A list that counts how many items have been iterated over."""

    iterated = 0

    def __iter__(self) -> Any:
        """Yield the items."""
        for item in super().__iter__():
            CountingTurns.iterated += 1
            yield item


@pytest.mark.parametrize("size", [10, 1000])
def test_long_histories_cost_their_size(size: int, client: Client) -> None:
    """The cost of a question is linear in the number of earlier turns."""
    talk = client.conversation(messages=[turn("user", "a")] * size)
    talk.messages = CountingTurns(talk.messages)
    CountingTurns.iterated = 0
    talk.chat("b")
    assert CountingTurns.iterated <= 3 * (size + 2)


# ---------------------------------------------------------------------------------- representations


def test_representations(client: Client) -> None:
    """The repr shows the id and the number of turns; a notebook renders the turns."""
    talk = client.conversation(chat_id="mine", messages=[turn("user", "*Who?*"), GREETING])
    assert repr(talk) == "<Conversation mine, 2 turns>"
    markdown = "**user:**\n\n*Who?*\n\n**assistant:**\n\nHi! How can I help you?"
    assert talk._repr_markdown_() == markdown


def test_resumed(server: Server, client: Client) -> None:
    """A conversation continues a stored discussion: with its id, and its turns first."""
    row = Discussion("abc", "Title", (GREETING, turn("user", "a")), "default", None, None)
    talk = client.resume(row)
    assert isinstance(talk.chat("b"), Reply)
    assert last_question(server)["chatId"] == "abc"
    assert last_question(server)["messages"] == [GREETING, turn("user", "a")]
    with pytest.raises(TypeError, match="discussion must be a Discussion, not str"):
        client.resume("abc")  # type: ignore[arg-type]
