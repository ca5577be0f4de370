"""Shortcuts that an answer offers, and the actions and blocks in it."""

from __future__ import annotations

import pytest

from chatgpt4online import Client, ReplyError, Shortcut
from chatgpt4online.testing import Server


@pytest.mark.parametrize("asker", ["client", "conversation"])
def test_a_shortcut_is_clicked(asker: str, server: Server, client: Client) -> None:
    """A shortcut sends what a click sends: its id and label, no message, and the earlier turns."""
    data = {"label": "Opening hours", "message": "When are you open?"}
    server.says("Hi", shortcuts=[{"type": "message", "data": data}])
    talk = client.conversation()
    shortcut = talk.chat("Hello").shortcuts[0]
    assert (shortcut.label, shortcut.message) == ("Opening hours", "")
    ask = talk.chat if asker == "conversation" else client.chat
    assert ask(shortcut).endswith(": When are you open?")
    fields = server.questions[-1].json
    assert fields["newMessage"] == ""
    assert (fields["shortcutId"], fields["shortcutName"]) == (shortcut.shortcut_id, "Opening hours")
    assert len(fields["messages"]) == (2 if asker == "conversation" else 0)
    if asker == "conversation":
        assert talk.messages[2] == {"role": "user", "content": "Opening hours"}


def test_a_shortcut_with_its_message(server: Server, client: Client) -> None:
    """A shortcut of an older plugin sends its message as if it had been typed."""
    talk = client.conversation()
    assert talk.chat(Shortcut("Hours", "When?", None, {})) == "Echo(1 msgs): When?"
    assert "shortcutId" not in server.questions[-1].json
    assert talk.messages[0] == {"role": "user", "content": "When?"}


def test_a_shortcut_without_a_label(server: Server, client: Client) -> None:
    """A shortcut with an id needs no label; without a message either, it is an empty message."""
    server.says("Yes?")
    server.says("Hi", shortcuts=[{"type": "message", "data": {"message": "When?"}}])
    client.chat("a")
    shortcut = client.chat("b").shortcuts[0]
    assert client.chat(shortcut) == "Echo(1 msgs): When?"
    with pytest.raises(ValueError, match="the message is empty"):
        client.chat(Shortcut("", "", None, {}))


def test_an_expired_shortcut(client: Client) -> None:
    """A shortcut that the site no longer knows raises the site's message."""
    talk = client.conversation()
    with pytest.raises(ReplyError, match="Invalid or expired shortcut"):
        talk.chat(Shortcut("Hours", "", "gone", {}))
    assert talk.messages == []


def test_actions_and_blocks_are_data(server: Server, client: Client) -> None:
    """Actions and blocks are passed on as they are and never run."""
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
