"""Saving and loading conversations."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from chatgpt4online import Client, Conversation, Message
from chatgpt4online.testing import Server

GREETING: Message = {"role": "assistant", "content": "Hi! How can I help you?"}
NOT_CONVERSATIONS = [
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


def test_saved_and_loaded(server: Server, client: Client, tmp_path: Path) -> None:
    """A loaded conversation continues the saved one: its turns, its id and its response id."""
    talk = client.conversation(system="Sois bref \u2026 \U0001f389")
    talk.chat("Qui ?")
    talk.save(tmp_path / "talk.json")
    loaded = Conversation.load(str(tmp_path / "talk.json"), client)
    assert (loaded.messages, loaded.chat_id) == (talk.messages, talk.chat_id)
    loaded.chat("Quand ?")
    assert server.questions[-1].json["previousResponseId"] == "cmpl-1"
    assert server.questions[-1].json["chatId"] == talk.chat_id


def test_saved_after_a_cut(server: Server, client: Client, tmp_path: Path) -> None:
    """The response id of turns that have been cut since is not saved."""
    talk = client.conversation()
    talk.chat("1")
    del talk.messages[:]
    talk.save(tmp_path / "talk.json")
    Conversation.load(tmp_path / "talk.json", client).chat("2")
    assert "previousResponseId" not in server.questions[-1].json


def test_a_conversation_as_a_dict(server: Server, client: Client, tmp_path: Path) -> None:
    """`to_dict` returns what `save` writes, and `from_dict` continues from it: nothing is lost."""
    talk = client.conversation(system="Sois bref \u2026 \U0001f389")
    talk.chat("Qui ?")
    talk.save(tmp_path / "talk.json")
    row = json.dumps(talk.to_dict())
    assert json.loads(row) == json.loads((tmp_path / "talk.json").read_bytes())
    restored = Conversation.from_dict(json.loads(row), client)
    assert restored.to_dict() == talk.to_dict()
    restored.chat("Quand ?")
    question = server.questions[-1].json
    assert question["previousResponseId"] == "cmpl-1"
    assert question["chatId"] == talk.chat_id
    assert question["messages"] == talk.messages


def test_a_blank_response_id(server: Server, client: Client) -> None:
    """A conversation whose site named a blank response id can be saved, loaded and continued."""
    server.says("a", response_id=" ")
    talk = client.conversation()
    talk.chat("1")
    saved = talk.to_dict()
    assert saved["response_id"] is None
    restored = Conversation.from_dict({**saved, "response_id": ""}, client)
    restored.chat("2")
    assert "previousResponseId" not in server.questions[-1].json


def test_a_dict_of_a_cut_conversation(server: Server, client: Client) -> None:
    """The response id of turns that have been cut since is left out, as in a file."""
    talk = client.conversation()
    talk.chat("1")
    del talk.messages[0]
    assert talk.to_dict()["response_id"] is None


def test_a_dict_is_a_copy(client: Client) -> None:
    """A dict and its conversation share no list and no turn."""
    talk = client.conversation(messages=[GREETING])
    data = talk.to_dict()
    restored = Conversation.from_dict(data, client)
    data["messages"][0]["content"] = "Changed"
    data["messages"].append(GREETING)
    assert talk.messages == restored.messages == [GREETING]


def test_other_keys_are_ignored(client: Client) -> None:
    """A dict may have more keys, such as those of a later version."""
    data = {**client.conversation(chat_id="mine").to_dict(), "owner": 5}
    assert Conversation.from_dict(data, client).chat_id == "mine"


@pytest.mark.parametrize("data", NOT_CONVERSATIONS[5:6] + NOT_CONVERSATIONS[7:])
def test_other_dicts_are_refused(data: bytes, server: Server, client: Client) -> None:
    """A dict that is not a conversation raises ValueError, and nothing is sent."""
    with pytest.raises(ValueError, match=r"data does not contain a conversation: \w") as caught:
        Conversation.from_dict(json.loads(data), client)
    assert type(caught.value) is ValueError
    assert server.requests == []


@pytest.mark.parametrize("data", ["{}", b"{}", None, []])
def test_what_is_not_a_dict_is_refused(data: Any, client: Client) -> None:
    """Something that is not a dict raises TypeError; JSON text has to be parsed first."""
    with pytest.raises(TypeError, match=r"data must be a dict, as from json\.loads, not "):
        Conversation.from_dict(data, client)


def test_a_subclass_is_restored(client: Client) -> None:
    """A subclass is restored as itself."""

    class Support(Conversation):
        """A conversation of a support desk."""

    assert type(Support.from_dict(client.conversation().to_dict(), client)) is Support


def test_a_new_conversation_can_be_saved(client: Client, tmp_path: Path) -> None:
    """A conversation without turns can be saved and loaded."""
    talk = client.conversation()
    talk.save(tmp_path / "talk.json")
    assert Conversation.load(tmp_path / "talk.json", client).chat_id == talk.chat_id


@pytest.mark.parametrize("data", NOT_CONVERSATIONS, ids=range(len(NOT_CONVERSATIONS)))
def test_other_files_are_not_loaded(data: bytes, client: Client, tmp_path: Path) -> None:
    """Loading a file that does not contain a conversation raises ValueError with its name."""
    path = tmp_path / "talk.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"talk\.json does not contain a conversation"):
        Conversation.load(path, client)


def test_a_missing_file_is_not_loaded(client: Client, tmp_path: Path) -> None:
    """Loading a file that does not exist raises FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        Conversation.load(tmp_path / "none.json", client)


@pytest.mark.parametrize("content", ["\ud83d", object()], ids=["surrogate", "object"])
def test_a_failed_save_leaves_the_old_file(content: Any, client: Client, tmp_path: Path) -> None:
    """If saving fails, the old file stays unchanged, and no other file is left."""
    path = tmp_path / "talk.json"
    talk = client.conversation(messages=[GREETING])
    talk.save(path)
    before = path.read_bytes()
    talk.messages.append({"role": "user", "content": content})
    with pytest.raises((ValueError, TypeError)):
        talk.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_saving_to_a_missing_directory(client: Client, tmp_path: Path) -> None:
    """Saving to a directory that does not exist raises OSError."""
    with pytest.raises(OSError, match="none"):
        client.conversation().save(tmp_path / "none" / "talk.json")


KILLED = """
    import os, signal, sys
    from chatgpt4online import Client
    def die(*_):
        os._exit(9)
    os.fsync = die  # the temporary file is written, but has not replaced the old one
    talk = Client("http://127.0.0.1:1").conversation(messages=[{"role": "user", "content": "new"}])
    talk.save(sys.argv[1])
"""


def test_a_kill_leaves_the_old_file(client: Client, tmp_path: Path) -> None:
    """A process that is killed while saving leaves the old file complete."""
    path = tmp_path / "talk.json"
    client.conversation(messages=[GREETING]).save(path)
    program = [sys.executable, "-c", textwrap.dedent(KILLED), str(path)]
    assert subprocess.run(program, check=False).returncode == 9
    assert Conversation.load(path, client).messages == [GREETING]


def test_a_relative_path(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file name without a directory is in the current one."""
    monkeypatch.chdir(tmp_path)
    client.conversation(chat_id="mine").save("talk.json")
    assert Conversation.load("talk.json", client).chat_id == "mine"
