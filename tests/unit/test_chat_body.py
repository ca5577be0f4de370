"""The body of a question: the turns of a history, and its JSON."""

from __future__ import annotations

import json
import re
from enum import Enum
from typing import Any, Callable, Dict, List, Sequence, Tuple, Type, Union

import pytest

from chatgpt4online import Message, MessageError, Reply, format_prompt
from chatgpt4online._protocol.request import build_history, chat_body, new_chat_id

SURROGATE = "\ud83d"  # a lone one

USER: Message = {"role": "user", "content": "Who?"}
ASSISTANT: Message = {"role": "assistant", "content": "Voltaire."}
SYSTEM: Message = {"role": "system", "content": "Be brief."}
NEXT: Message = {"role": "user", "content": "When?"}


def text(content: str) -> Dict[str, str]:
    """Return a part of a turn's content."""
    return {"type": "text", "text": content}


def turn(*parts: Any) -> Dict[str, Any]:
    """Return a user's turn with parts."""
    return {"role": "user", "content": list(parts)}


class Role(str, Enum):
    """Roles and texts as many programs define them; `str` of one is its name."""

    USER = "user"
    WHO = "Who?"
    FIELD = "newMessage"
    OTHER = "temperature"


HISTORIES: List[Tuple[Union[str, Sequence[Message]], Sequence[Message], List[Message]]] = [
    ("When?", (), [NEXT]),
    ("When?", [], [NEXT]),
    ("When?", [SYSTEM, USER, ASSISTANT], [SYSTEM, USER, ASSISTANT, NEXT]),
    ("When?", (USER, USER), [USER, USER, NEXT]),
    ([NEXT], (), [NEXT]),
    ((SYSTEM, USER, ASSISTANT, NEXT), (), [SYSTEM, USER, ASSISTANT, NEXT]),
]

BAD_HISTORIES: List[Tuple[Any, Any, Type[Exception], str]] = [
    ("", (), MessageError, "the message is empty"),
    (" \n\t", (), MessageError, "the message is empty"),
    ("", [USER, ASSISTANT], MessageError, "the message is empty"),
    ([{"role": "user", "content": " "}], (), MessageError, "the message is empty"),
    ([], (), MessageError, "the last turn of the history must be the user's"),
    ([USER, ASSISTANT], (), MessageError, "the last turn of the history must be the user's"),
    ([SYSTEM], (), MessageError, "the last turn of the history must be the user's"),
    ([NEXT], [USER], ValueError, "give the history once"),
    (f"a{SURROGATE}", (), MessageError, "message contains a lone surrogate"),
    ("a", [{"role": "user", "content": SURROGATE}], MessageError, "a turn's content contains"),
    ("a", [{"role": "bot", "content": "b"}], MessageError, "user, assistant or system, not 'bot'"),
    ("a", [{"role": "User", "content": "b"}], MessageError, "assistant or system, not 'User'"),
    ("a", [{"role": ["user"], "content": "b"}], MessageError, "assistant or system, not ['user']"),
    ("a", [{"content": "b"}], MessageError, "user, assistant or system, not None"),
    ("a", [{"role": "user"}], TypeError, "a turn's content must be a str, not NoneType"),
    ("a", [{"role": "user", "content": 5}], TypeError, "a turn's content must be a str, not int"),
    ("a", ["b"], TypeError, "a turn must be {"),
    ([turn()], (), MessageError, "the message is empty"),
    ([turn(text(" "))], (), MessageError, "the message is empty"),
    ([turn(text(SURROGATE))], (), MessageError, "a part's text contains a lone surrogate"),
    ([turn(text("\ud83d"), text("\ude00"))], (), MessageError, "a part's text contains a lone"),
    ([turn({"type": "image_url"})], (), MessageError, "only text parts, not 'image_url': send"),
    ([turn(text("a"), {"type": "file"})], (), MessageError, "'file': send files with files="),
    ([turn({"text": "a"})], (), MessageError, "only text parts, not None"),
    ([turn({"type": "text"})], (), TypeError, "a part's text must be a str, not NoneType"),
    ([turn("a")], (), TypeError, 'a part must be {"type": "text", "text": ...}, not str'),
    ("a", [("user", "b")], TypeError, "a turn must be {"),
    ("a", None, TypeError, "messages must be a list of turns, not NoneType"),
    ("a", "b", TypeError, "messages must be a list of turns, not str"),
    ("a", USER, TypeError, "messages must be a list of turns, not dict"),
    (5, (), TypeError, "message must be a str or a list of turns, not int"),
    (5, [USER], TypeError, "message must be a str or a list of turns, not int"),
    (None, (), TypeError, "message must be a str or a list of turns, not NoneType"),
    (b"a", (), TypeError, "message must be a str or a list of turns, not bytes"),
    (USER, (), TypeError, "message must be a str or a list of turns, not dict"),
    ({"When?"}, (), TypeError, "message must be a str or a list of turns, not set"),
]

PROMPTS: List[Tuple[List[Message], str]] = [
    ([NEXT], "When?"),
    ([ASSISTANT], "Voltaire."),
    ([{"role": "user", "content": ""}], ""),
    ([USER, ASSISTANT, NEXT], "User: Who?\nAssistant: Voltaire.\nUser: When?\nAssistant:"),
    ([SYSTEM, USER], "System: Be brief.\nUser: Who?\nAssistant:"),
    ([USER, {"role": "user", "content": "a\nb"}], "User: Who?\nUser: a\nb\nAssistant:"),
]


def body(turns: List[Message], **options: Any) -> Dict[str, Any]:
    """Return the body of a question, decoded as the site decodes it."""
    settings: Dict[str, Any] = {
        "bot": "default",
        "custom_id": None,
        "context_id": None,
        "chat_id": "0123456789",
        "flat": False,
        "model": None,
        "extra_body": None,
        "fields": {},
        "max_length": None,
    }
    settings.update(options)
    read: Dict[str, Any] = json.loads(chat_body(turns, **settings).decode("utf-8"))
    return read


@pytest.mark.parametrize(("message", "messages", "turns"), HISTORIES)
def test_history(
    message: Union[str, Sequence[Message]], messages: Sequence[Message], turns: List[Message]
) -> None:
    """A history is the earlier turns and then the new one, in whichever arguments they come."""
    assert build_history(message, messages) == turns


@pytest.mark.parametrize("parts", [["When?"], ["Wh", "en", "?"], ["", "When?"]])
@pytest.mark.parametrize("sequence", [list, tuple])
def test_parts_of_text_are_joined(parts: List[str], sequence: Callable[..., Any]) -> None:
    """A turn's content may be a list of text parts, which are joined."""
    asked = {"role": "user", "content": sequence(map(text, parts))}
    assert build_history([asked], ()) == [NEXT]
    assert build_history("When?", [asked]) == [NEXT, NEXT]
    assert format_prompt([asked]) == "When?"


def test_enums_are_their_values() -> None:
    """Roles, contents and names of fields of a ``(str, Enum)`` class are their values."""
    history = build_history(Role.WHO, [{"role": Role.USER, "content": Role.WHO}])
    assert [type(each) for one in history for each in one.values()] == [str] * 4
    assert history == [USER, USER]
    assert build_history([turn({"type": "text", "text": Role.WHO})], ()) == [USER]
    assert body([NEXT], extra_body={Role.OTHER: Role.WHO})["temperature"] == "Who?"
    with pytest.raises(ValueError, match="must not replace 'newMessage'"):
        body([NEXT], extra_body={Role.FIELD: "a"})
    with pytest.raises(MessageError, match="user, assistant or system, not 'Who\\?'"):
        build_history("a", [{"role": Role.WHO, "content": "a"}])


@pytest.mark.parametrize(("flat", "size"), [(False, 5), (True, 33)])
def test_too_long(flat: bool, size: int) -> None:
    """A message longer than the bot allows is an error; so is a prompt."""
    history = build_history("When?", [USER])
    assert body(history, flat=flat, max_length=size)
    with pytest.raises(MessageError) as caught:
        body(history, flat=flat, max_length=size - 1)
    assert str(caught.value) == (
        f"the message has {size} characters; the bot allows at most {size - 1}"
    )


def test_history_is_copied() -> None:
    """The caller's turns stay unchanged; only their role and content are sent."""
    earlier: List[Any] = [{**USER, "id": 5}]
    assert build_history("When?", earlier) == [USER, NEXT]
    assert earlier == [{**USER, "id": 5}]


def test_reply_in_a_history() -> None:
    """A `Reply` can be used in a history as it is."""
    turns = build_history("When?", [{"role": "assistant", "content": Reply("Voltaire.")}])
    assert body(turns)["messages"] == [ASSISTANT]


@pytest.mark.parametrize(("message", "messages", "error_type", "match"), BAD_HISTORIES)
def test_bad_history(message: Any, messages: Any, error_type: Type[Exception], match: str) -> None:
    """A history that does not end with a question raises an error that says why."""
    with pytest.raises(error_type) as caught:
        build_history(message, messages)
    assert type(caught.value) is error_type
    assert match in str(caught.value)


@pytest.mark.parametrize(("messages", "prompt"), PROMPTS)
def test_prompt(messages: List[Message], prompt: str) -> None:
    """A single turn stays as it is; several become a dialogue for the assistant to continue."""
    assert format_prompt(messages) == prompt


def test_bad_prompt() -> None:
    """An empty history or an invalid turn raises."""
    with pytest.raises(ValueError, match="messages is empty"):
        format_prompt([])
    with pytest.raises(TypeError, match="messages must be a list of turns, not str"):
        format_prompt("Hi")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="user, assistant or system, not 'x'"):
        format_prompt([{"role": "x", "content": "Hi"}])


def test_body() -> None:
    """A body has the widget's fields and no others."""
    assert body([SYSTEM, USER, ASSISTANT, NEXT]) == {
        "botId": "default",
        "customId": None,
        "contextId": None,
        "chatId": "0123456789",
        "messages": [SYSTEM, USER, ASSISTANT],
        "newMessage": "When?",
        "stream": True,
    }


def test_body_of_a_prompt() -> None:
    """With `flat`, the message contains the whole history."""
    sent = body([USER, ASSISTANT, NEXT], flat=True)
    assert (sent["messages"], sent["newMessage"]) == ([], PROMPTS[3][1])


def test_body_of_any_text() -> None:
    """Every character that UTF-8 can encode is sent."""
    message = '\x00\u2028\u00e9\U0001f389\U0010ffff"\\'
    assert body([{"role": "user", "content": message}])["newMessage"] == message


def test_model() -> None:
    """A model is sent only if one is given."""
    assert body([NEXT], model="gpt-4o")["model"] == "gpt-4o"
    assert "model" not in body([NEXT])


def test_extra_body() -> None:
    """Extra fields are added; of the widget's fields they may replace only `stream`."""
    sent = body([NEXT], extra_body={"temperature": 0.5, "crossSite": True, "stream": False})
    assert (sent["temperature"], sent["crossSite"], sent["stream"]) == (0.5, True, False)
    assert body([NEXT], extra_body={"model": "gpt-4o"})["model"] == "gpt-4o"


def nested(depth: int) -> List[Any]:
    """Return lists nested this deep."""
    inner: List[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


CIRCULAR: Dict[str, Any] = {}
CIRCULAR["self"] = CIRCULAR

BAD_FIELDS: List[Tuple[Dict[str, Any], Type[Exception], str]] = [
    ({"model": ""}, ValueError, "model is empty"),
    ({"model": 5}, TypeError, "model must be a str, not int"),
    ({"extra_body": [("a", 1)]}, TypeError, "extra_body must be a dict, not list"),
    ({"extra_body": {1: 2}}, TypeError, "extra_body's names must be str, not int"),
    ({"extra_body": {"newMessage": "x"}}, ValueError, "must not replace 'newMessage'"),
    ({"extra_body": {"messages": []}}, ValueError, "must not replace 'messages'"),
    ({"extra_body": {"botId": "x"}}, ValueError, "must not replace 'botId'"),
    ({"extra_body": {"model": "a"}, "model": "b"}, ValueError, "must not replace 'model'"),
    ({"extra_body": {"a": {1, 2}}}, TypeError, "extra_body cannot be sent as JSON: "),
    ({"extra_body": {"a": {("b",): 1}}}, TypeError, "extra_body cannot be sent as JSON: "),
    ({"extra_body": {"a": float("nan")}}, ValueError, "extra_body cannot be sent as JSON: "),
    ({"extra_body": CIRCULAR}, ValueError, "extra_body cannot be sent as JSON: "),
    ({"extra_body": {"a": nested(100_000)}}, ValueError, "extra_body cannot be sent as JSON: "),
    ({"extra_body": {"a": SURROGATE}}, ValueError, "it contains a lone surrogate"),
    ({"extra_body": {"a": [{"b": SURROGATE}]}}, ValueError, "it contains a lone surrogate"),
    ({"extra_body": {SURROGATE: "a"}}, ValueError, "it contains a lone surrogate"),
]


@pytest.mark.parametrize(
    ("options", "error_type", "match"), BAD_FIELDS, ids=[match for *_, match in BAD_FIELDS]
)
def test_bad_fields(options: Dict[str, Any], error_type: Type[Exception], match: str) -> None:
    """A model or an extra field that cannot be sent raises an error that says why."""
    with pytest.raises(error_type) as caught:
        body([NEXT], **options)
    assert type(caught.value) is error_type
    assert match in str(caught.value)


def test_chat_ids() -> None:
    """A new conversation's id looks like the widget's and is unique."""
    ids = {new_chat_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-z]{10}", each) for each in ids)
    assert {letter for each in ids for letter in each} == set(
        "0123456789abcdefghijklmnopqrstuvwxyz"
    )
