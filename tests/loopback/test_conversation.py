"""Conversations: what each question is sent with, which turns are kept, and what a file holds."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import textwrap
from pathlib import Path
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
    Shortcut,
    Stream,
    StreamInterrupted,
    Timeout,
)
from chatgpt4online.testing import Server

GREETING: Message = {"role": "assistant", "content": "Hi! How can I help you?"}
RUBBISH = [
    b"",
    b"\xff\xfe",
    b"5",
    b"null",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b'{"chat_id": "a", "messages": []}',
    b'{"chat_id": 5, "messages": [], "response_id": null}',
    b'{"chat_id": "", "messages": [], "response_id": null}',
    b'{"chat_id": "a", "messages": 5, "response_id": null}',
    b'{"chat_id": "a", "messages": [5], "response_id": null}',
    b'{"chat_id": "a", "messages": [{"role": "ai", "content": "x"}], "response_id": null}',
    b'{"chat_id": "a", "messages": [{"role": "user"}], "response_id": null}',
    b'{"chat_id": "a", "messages": [], "response_id": 5}',
]


def sent(server: Server) -> Dict[str, Any]:
    """Return the JSON of the last question."""
    fields = server.questions[-1].json
    assert isinstance(fields, dict)
    return fields


def turn(role: str, content: str) -> Message:
    """Return one turn."""
    return {"role": role, "content": content}


# ------------------------------------------------------------------------------- what is sent


def test_the_model_sees_the_turns_before(server: Server, client: Client) -> None:
    """The second question reaches the model with the first exchange before it."""
    talk = client.conversation()
    assert talk.chat("Who?") == "Echo(1 msgs): Who?"
    assert talk.chat("When?") == "Echo(3 msgs): When?"
    before = [turn("user", "Who?"), turn("assistant", "Echo(1 msgs): Who?")]
    assert sent(server)["messages"] == before
    assert sent(server)["newMessage"] == "When?"


def test_replies_go_back_verbatim(server: Server, client: Client) -> None:
    """What is kept of an answer is the site's final text, not the joined pieces of the stream."""
    server.says("Vol", "taire  \n", final="**Voltaire**")
    talk = client.conversation()
    assert "".join(talk.stream("Who?")) == "Voltaire  \n"
    talk.chat("When?")
    assert sent(server)["messages"][1] == turn("assistant", "**Voltaire**")


def test_one_chat_id(server: Server, client: Client) -> None:
    """All questions of a conversation have its id, which is new or the caller's."""
    talk = client.conversation()
    talk.chat("Who?")
    talk.chat("When?")
    assert {each.json["chatId"] for each in server.questions} == {talk.chat_id}
    assert client.conversation().chat_id != talk.chat_id
    assert client.conversation(chat_id="mine").chat_id == "mine"


def test_system(server: Server, client: Client) -> None:
    """A system message goes first with each question, and is no turn that the echo counts."""
    talk = client.conversation(system="Answer in French.", messages=[turn("user", "a")])
    assert talk.chat("b") == "Echo(2 msgs): b"
    assert sent(server)["messages"] == [turn("system", "Answer in French."), turn("user", "a")]


def test_start_sentence(server: Server) -> None:
    """A bot's start sentence, which its page tells, is the first turn; the caller's replace it."""
    server.page("/chat/", bots=["default"])
    with Client.from_page(server.url + "/chat/") as client:
        assert client.conversation().messages == [GREETING]
        talk = client.conversation(system="Be short.")
        assert talk.messages == [turn("system", "Be short."), GREETING]
        assert client.conversation(messages=[turn("user", "a")]).messages == [turn("user", "a")]
        assert talk.chat("Who?") == "Echo(2 msgs): Who?"


def test_no_start_sentence(server: Server) -> None:
    """A bot without a start sentence, and one that no page told of, begin without a turn."""
    server.bot("silent", start_sentence="")
    server.page("/chat/", bots=["silent"])
    with Client.from_page(server.url + "/chat/") as client:
        assert client.conversation().messages == []
    with Client(server.url) as client:
        assert client.conversation().messages == []


def test_given_turns_are_copied(client: Client) -> None:
    """The caller's list stays the caller's; only roles and contents are taken over."""
    mine: Any = [{"role": "user", "content": "a", "timestamp": 5}]
    talk = client.conversation(messages=mine)
    talk.chat("b")
    assert mine == [{"role": "user", "content": "a", "timestamp": 5}]
    assert talk.messages[0] == turn("user", "a")


@pytest.mark.parametrize(
    ("options", "kind", "words"),
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
    options: Dict[str, Any], kind: Type[Exception], words: str, client: Client
) -> None:
    """What a conversation cannot begin with is refused at once, and nothing is sent."""
    with pytest.raises(kind, match=words):
        client.conversation(**options)


@pytest.mark.parametrize(
    ("message", "options", "kind"),
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
    kind: Type[Exception],
    server: Server,
    client: Client,
) -> None:
    """What cannot be asked is refused before anything is sent, and leaves no turn."""
    talk = client.conversation()
    with pytest.raises(kind):
        talk.chat(message, **options)
    assert (talk.messages, server.requests) == ([], [])


# -------------------------------------------------------------------------- which turns are kept


def test_a_whole_turn_is_kept(client: Client) -> None:
    """After an answer its turn is there, `last` holds the reply, and all is plain JSON."""
    talk = client.conversation()
    assert not talk.last
    reply = talk.chat("Who?")
    assert talk.last is reply
    assert talk.messages == [turn("user", "Who?"), turn("assistant", "Echo(1 msgs): Who?")]
    assert [type(each["content"]) for each in talk.messages] == [str, str]
    assert json.loads(json.dumps(talk.messages)) == talk.messages


def test_a_turn_is_kept_by_the_time_of_the_last_piece(server: Server, client: Client) -> None:
    """Whoever has read a stream to its end finds its turn kept, however it was read."""
    readers: List[Callable[[Stream], object]] = [list, lambda it: list(it.events()), Stream.result]
    for read in readers:
        talk = client.conversation()
        read(talk.stream("Who?"))
        assert len(talk.messages) == 2


def test_an_answer_that_comes_whole_is_kept(server: Server, client: Client) -> None:
    """An answer that is plain JSON, as a human's who took over, is kept like any other."""
    body = b'{"success":true,"reply":"A human here.","images":null,"usage":null}'
    server.sends(body, content_type="application/json")
    talk = client.conversation()
    assert list(talk.stream("Who?")) == ["A human here."]
    assert talk.messages[1] == turn("assistant", "A human here.")


def drop(talk: Conversation) -> None:
    """Ask, read a piece, and let go of the stream."""
    next(talk.stream("Who?"))
    gc.collect()


def leave(talk: Conversation) -> None:
    """Ask, and leave the ``with`` block after a piece."""
    with talk.stream("Who?") as stream:
        next(stream)


def break_off(talk: Conversation) -> None:
    """Ask, and break out of the loop over the pieces."""
    for _ in talk.stream("Who?"):
        break


def fail_inside(talk: Conversation) -> None:
    """Ask, and raise in the ``with`` block, as Ctrl-C does there."""
    with pytest.raises(KeyboardInterrupt):
        interrupted(talk.stream("Who?"))


def interrupted(stream: Stream) -> NoReturn:
    """Read a piece, and meet Ctrl-C."""
    with stream:
        next(stream)
        raise KeyboardInterrupt


def close(talk: Conversation) -> None:
    """Ask, close the stream, and go on to read."""
    stream = talk.stream("Who?")
    next(stream)
    stream.close()
    with pytest.raises(StreamInterrupted):
        stream.result()


@pytest.mark.parametrize("deed", [drop, leave, break_off, fail_inside, close])
def test_an_unread_turn_is_not_kept(
    deed: Callable[[Conversation], None], server: Server, client: Client
) -> None:
    """A stream that is not read to its end leaves no trace, and the next question none of it."""
    server.stalls(after=("Vol", "tai"))
    talk = client.conversation(messages=[GREETING])
    deed(talk)
    assert (talk.messages, talk.last) == ([GREETING], None)
    server.release()
    talk.chat("Again?")
    assert sent(server)["messages"] == [GREETING]


def script_failure(server: Server) -> None:
    """Let the plugin fail after a piece."""
    server.fails("No.", after=("Vol",))


def script_refusal(server: Server) -> None:
    """Let the plugin fail at once."""
    server.fails("No.")


def script_cut(server: Server) -> None:
    """Let the answer stop before its end."""
    server.cuts("Vol")


def script_silence(server: Server) -> None:
    """Let the answer go silent for longer than the deadline."""
    server.stalls(after=("Vol",))


def script_status(server: Server) -> None:
    """Let a web server fail."""
    server.answers(502)


@pytest.mark.parametrize("way", ["chat", "stream"])
@pytest.mark.parametrize(
    ("script", "kind"),
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
    kind: Type[Exception],
    way: str,
    server: Server,
    client: Client,
) -> None:
    """An answer that does not become whole leaves no trace, and the talk can go on."""
    talk = client.conversation()
    talk.chat("Who?")
    before = list(talk.messages)
    script(server)
    with pytest.raises(kind):
        list(getattr(talk, way)("When?", deadline=0.3))
    assert talk.messages == before
    server.release()
    assert talk.chat("Where?") == "Echo(3 msgs): Where?"


def test_interleaved_streams(server: Server, client: Client) -> None:
    """Of questions asked side by side the last one's turn alone is kept, whichever ends last."""
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


# -------------------------------------------------------------------------- previousResponseId


def test_the_vendors_record_is_gone_on_with(server: Server, client: Client) -> None:
    """The id of an answer goes with the next question, beside the caller's own fields."""
    server.says("a", response_id="resp_1")
    server.says("b", response_id=None)
    talk = client.conversation()
    talk.chat("1")
    assert "previousResponseId" not in sent(server)
    talk.chat("2", extra_body={"temperature": 0.5})
    assert sent(server)["previousResponseId"] == "resp_1"
    assert sent(server)["temperature"] == 0.5
    talk.chat("3")
    assert "previousResponseId" not in sent(server)


@pytest.mark.parametrize(
    "change",
    [
        lambda turns: turns.clear(),
        lambda turns: turns.pop(),
        lambda turns: turns.append(turn("assistant", "By the way")),
        lambda turns: turns[0].update(content="Edited"),
    ],
)
def test_changed_turns_leave_the_vendors_record(
    change: Callable[[List[Any]], object], server: Server, client: Client
) -> None:
    """Once the turns have been cut or edited, the vendor's record of them is not used."""
    talk = client.conversation()
    talk.chat("1")
    change(talk.messages)
    talk.chat("2")
    assert "previousResponseId" not in sent(server)
    talk.chat("3")
    assert sent(server)["previousResponseId"] == "cmpl-1"


def test_branches(server: Server, client: Client) -> None:
    """A branch begins with the turns of another conversation, and with nothing else of it."""
    talk = client.conversation()
    talk.chat("1")
    branch = client.conversation(messages=talk.messages)
    branch.chat("2")
    assert "previousResponseId" not in sent(server)
    assert sent(server)["chatId"] == branch.chat_id != talk.chat_id
    assert (len(talk.messages), len(branch.messages)) == (2, 4)


class CountingTurns(List[Any]):
    """A list that counts how often its items are asked for."""

    looks = 0

    def __iter__(self) -> Any:
        """Yield the items."""
        for item in super().__iter__():
            CountingTurns.looks += 1
            yield item


@pytest.mark.parametrize("size", [10, 1000])
def test_long_histories_cost_their_size(size: int, client: Client) -> None:
    """A question looks at each earlier turn a fixed number of times, however many they are."""
    talk = client.conversation(messages=[turn("user", "a")] * size)
    talk.messages = CountingTurns(talk.messages)
    CountingTurns.looks = 0
    talk.chat("b")
    assert CountingTurns.looks <= 3 * (size + 2)


# ------------------------------------------------------------------------------------ shortcuts


@pytest.mark.parametrize("way", ["client", "conversation"])
def test_a_shortcut_is_clicked(way: str, server: Server, client: Client) -> None:
    """A shortcut sends what a click sends: its id and label, no message, and the turns before."""
    data = {"label": "Opening hours", "message": "When are you open?"}
    server.says("Hi", shortcuts=[{"type": "message", "data": data}])
    talk = client.conversation()
    shortcut = talk.chat("Hello").shortcuts[0]
    assert (shortcut.label, shortcut.message) == ("Opening hours", "")
    ask = talk.chat if way == "conversation" else client.chat
    assert ask(shortcut).endswith(": When are you open?")
    fields = sent(server)
    assert fields["newMessage"] == ""
    assert (fields["shortcutId"], fields["shortcutName"]) == (shortcut.shortcut_id, "Opening hours")
    assert len(fields["messages"]) == (2 if way == "conversation" else 0)
    if way == "conversation":
        assert talk.messages[2] == turn("user", "Opening hours")


def test_a_shortcut_with_its_message(server: Server, client: Client) -> None:
    """A shortcut of an older plugin sends its message as if it had been typed."""
    talk = client.conversation()
    assert talk.chat(Shortcut("Hours", "When?", None, {})) == "Echo(1 msgs): When?"
    assert "shortcutId" not in sent(server)
    assert talk.messages[0] == turn("user", "When?")


def test_a_shortcut_without_a_label(server: Server, client: Client) -> None:
    """A shortcut that has an id needs no words; one that has nothing is an empty message."""
    server.says("Yes?")
    server.says("Hi", shortcuts=[{"type": "message", "data": {"message": "When?"}}])
    client.chat("a")
    shortcut = client.chat("b").shortcuts[0]
    assert client.chat(shortcut) == "Echo(1 msgs): When?"
    with pytest.raises(ValueError, match="the message is empty"):
        client.chat(Shortcut("", "", None, {}))


def test_an_expired_shortcut(client: Client) -> None:
    """A shortcut that the site no longer knows fails with the site's sentence."""
    talk = client.conversation()
    with pytest.raises(ReplyError, match="Invalid or expired shortcut"):
        talk.chat(Shortcut("Hours", "", "gone", {}))
    assert talk.messages == []


def test_actions_and_blocks_are_data(server: Server, client: Client) -> None:
    """What a model wants a browser to do, and blocks, are handed on as given, and not run."""
    html = {"type": "content", "data": {"html": "<b>x</b>", "script": "alert(1)"}}
    called = {"type": "function", "data": {"name": "print", "args": {"x": "1 + 1"}}}
    snippet = {"type": "javascript", "data": {"snippet": "alert(1)"}}
    empty = {"type": "function", "data": {"name": "exit", "args": []}}
    server.says("", final="", actions=[called, snippet, empty], blocks=[html])
    reply = client.chat("Hi")
    assert [(each.kind, each.name, each.args) for each in reply.actions] == [
        ("function", "print", {"x": "1 + 1"}),
        ("javascript", "", {}),
        ("function", "exit", {}),
    ]
    assert reply.actions[1].data == {"snippet": "alert(1)"}
    assert reply.blocks == (html,)
    assert not reply


# -------------------------------------------------------------------------------- save and load


def test_saved_and_loaded(server: Server, client: Client, tmp_path: Path) -> None:
    """A loaded conversation goes on where the saved one was: turns, id and vendor's record."""
    talk = client.conversation(system="Sois bref \u2026 \U0001f389")
    talk.chat("Qui ?")
    talk.save(tmp_path / "talk.json")
    again = Conversation.load(str(tmp_path / "talk.json"), client)
    assert (again.messages, again.chat_id) == (talk.messages, talk.chat_id)
    again.chat("Quand ?")
    assert sent(server)["previousResponseId"] == "cmpl-1"
    assert sent(server)["chatId"] == talk.chat_id


def test_saved_after_a_cut(server: Server, client: Client, tmp_path: Path) -> None:
    """The vendor's record of turns that have been cut since is not saved."""
    talk = client.conversation()
    talk.chat("1")
    del talk.messages[:]
    talk.save(tmp_path / "talk.json")
    Conversation.load(tmp_path / "talk.json", client).chat("2")
    assert "previousResponseId" not in sent(server)


def test_a_new_conversation_can_be_saved(client: Client, tmp_path: Path) -> None:
    """A conversation without turns can be saved and loaded."""
    talk = client.conversation()
    talk.save(tmp_path / "talk.json")
    assert Conversation.load(tmp_path / "talk.json", client).chat_id == talk.chat_id


@pytest.mark.parametrize("data", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_is_not_loaded(data: bytes, client: Client, tmp_path: Path) -> None:
    """A file that does not contain a conversation is a ValueError that names it."""
    path = tmp_path / "talk.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"talk\.json does not contain a conversation"):
        Conversation.load(path, client)


def test_a_missing_file_is_not_loaded(client: Client, tmp_path: Path) -> None:
    """A file that is not there is the system's own error."""
    with pytest.raises(FileNotFoundError):
        Conversation.load(tmp_path / "none.json", client)


@pytest.mark.parametrize("content", ["\ud83d", object()], ids=["surrogate", "object"])
def test_what_cannot_be_saved_leaves_the_old_file(
    content: Any, client: Client, tmp_path: Path
) -> None:
    """If saving fails, what was saved before is there unharmed, and nothing else."""
    path = tmp_path / "talk.json"
    talk = client.conversation(messages=[GREETING])
    talk.save(path)
    before = path.read_bytes()
    talk.messages.append({"role": "user", "content": content})
    with pytest.raises((ValueError, TypeError)):
        talk.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_saving_where_nothing_can_be(client: Client, tmp_path: Path) -> None:
    """A folder that is not there is the system's own error."""
    with pytest.raises(OSError, match="none"):
        client.conversation().save(tmp_path / "none" / "talk.json")


KILLED = """
    import os, signal, sys
    from chatgpt4online import Client
    def die(*_):
        os._exit(9)
    os.fsync = die  # the file's content is written, and not yet in its place
    talk = Client("http://127.0.0.1:1").conversation(messages=[{"role": "user", "content": "new"}])
    talk.save(sys.argv[1])
"""


def test_a_kill_leaves_the_old_file(client: Client, tmp_path: Path) -> None:
    """Whoever is killed while saving leaves the old conversation whole."""
    path = tmp_path / "talk.json"
    client.conversation(messages=[GREETING]).save(path)
    program = [sys.executable, "-c", textwrap.dedent(KILLED), str(path)]
    assert subprocess.run(program, check=False).returncode == 9
    assert Conversation.load(path, client).messages == [GREETING]


def test_a_relative_path(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare file name is one in the present folder."""
    monkeypatch.chdir(tmp_path)
    client.conversation(chat_id="mine").save("talk.json")
    assert Conversation.load("talk.json", client).chat_id == "mine"


# --------------------------------------------------------------------------------- how it looks


def test_how_it_looks(client: Client) -> None:
    """A conversation shows its id and size; a notebook renders its turns."""
    talk = client.conversation(chat_id="mine", messages=[turn("user", "*Who?*"), GREETING])
    assert repr(talk) == "<Conversation mine, 2 turns>"
    markdown = "**user:**\n\n*Who?*\n\n**assistant:**\n\nHi! How can I help you?"
    assert talk._repr_markdown_() == markdown


def test_resumed(server: Server, client: Client) -> None:
    """A conversation goes on with a discussion of the site: its id, and its turns first."""
    row = Discussion("abc", "Title", (GREETING, turn("user", "a")), "default", None, None)
    talk = client.resume(row)
    assert isinstance(talk.chat("b"), Reply)
    assert sent(server)["chatId"] == "abc"
    assert sent(server)["messages"] == [GREETING, turn("user", "a")]
    with pytest.raises(TypeError, match="discussion must be a Discussion, not str"):
        client.resume("abc")  # type: ignore[arg-type]
