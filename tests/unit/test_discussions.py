"""Discussions: what a site has kept of a user's talks, page by page, renamed and deleted."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, Iterator, List, Type

import pytest

from chatgpt4online import (
    AuthError,
    Client,
    Discussion,
    NotFoundError,
    ProtocolError,
    ReplyError,
)
from chatgpt4online.testing import Server

ADA = ("ada", "abcd efgh")
BOB = ("bob", "ijkl mnop")
LIST = "discussions/list"


@pytest.fixture
def ada(server: Server) -> Iterator[Client]:
    """Make a client of a user."""
    server.user(*ADA)
    server.user(*BOB)
    with Client(server.url, auth=ADA) as client:
        yield client


def ids(discussions: List[Discussion]) -> List[str]:
    """Return the ids of discussions."""
    return [each.chat_id for each in discussions]


def row(**fields: Any) -> bytes:
    """Return a list that has one discussion."""
    return json.dumps({"success": True, "total": "1", "chats": [fields, 5]}).encode()


def test_what_was_said_is_listed(ada: Client) -> None:
    """A discussion holds the turns, the id, the bot and the times of a talk, newest first."""
    talk = ada.conversation()
    talk.chat("Who?")
    ada.chat("Other", chat_id="other")
    (found,) = [each for each in ada.discussions.list() if each.chat_id == talk.chat_id]
    assert list(found.messages[1:]) == talk.messages
    assert (found.bot, found.title) == ("default", None)
    assert found.created
    assert found.updated
    assert found.created.tzinfo == timezone.utc
    assert found.created <= found.updated


def test_a_discussion_goes_on(server: Server, ada: Client) -> None:
    """A discussion can be resumed, and its next question is filed with it."""
    ada.chat("Who?", chat_id="mine")
    talk = ada.resume(ada.discussions.list()[0])
    assert talk.chat("When?").startswith("Echo(4 msgs)")  # the start sentence is a turn too
    (found,) = ada.discussions
    assert [turn["content"] for turn in found.messages[-2:]] == ["When?", "Echo(4 msgs): When?"]


def test_all_are_drawn_page_by_page(server: Server, ada: Client) -> None:
    """Iterating yields each discussion once, and asks for pages only as they are needed."""
    for number in range(23):
        ada.chat("Hi", chat_id=f"chat-{number}")
    before = len(server.requests)
    found = list(ada.discussions)
    assert sorted(ids(found)) == sorted(f"chat-{number}" for number in range(23))
    assert len(server.requests) - before == 4
    next(iter(ada.discussions))
    assert len(server.requests) - before == 5


def test_pages_that_overlap(server: Server, ada: Client) -> None:
    """Iterating yields each discussion once, and ends where a page brings nothing new."""
    one, two = ({"chatId": name, "messages": "[]"} for name in ("one", "two"))
    for chats in ([one], [one, two], [one, two], [one]):
        server.answers(200, body={"success": True, "total": "2", "chats": chats}, route=LIST)
    before = len(server.requests)
    assert ids(list(ada.discussions)) == ["one", "two"]
    assert len([each for each in server.requests[before:] if LIST in each.path]) == 3


def test_pages(ada: Client) -> None:
    """`offset` leaves out, `limit` ends a page."""
    for number in range(5):
        ada.chat("Hi", chat_id=f"chat-{number}")
    everything = ids(ada.discussions.list(limit=100))
    assert ids(ada.discussions.list(limit=2)) == everything[:2]
    assert ids(ada.discussions.list(offset=3)) == everything[3:]
    assert ada.discussions.list(offset=5) == []


def test_which_bot(server: Server, ada: Client) -> None:
    """Those of the client's bot are listed, by its id or its custom id."""
    server.bot("other")
    with Client(server.url, auth=ADA, bot="other") as other:
        other.chat("Hi", chat_id="there")
        assert ids(other.discussions.list()) == ["there"]
    assert ada.discussions.list() == []
    with Client(server.url, auth=ADA, custom_id="mine") as custom:
        assert custom.discussions.list() == []
    fields: Any = server.requests[-1].json
    assert fields == {"customId": "mine", "offset": 0, "limit": 10}


def test_renamed(ada: Client) -> None:
    """A discussion can be renamed, as itself or by its id; the site takes 64 characters."""
    ada.chat("Hi", chat_id="mine")
    ada.discussions.rename("mine", "Opening hours")
    (found,) = ada.discussions.list()
    assert found.title == "Opening hours"
    ada.discussions.rename(found, "\u00e9" * 64)
    with pytest.raises(ReplyError, match="Failed to update the discussion"):
        ada.discussions.rename(found, "\u00e9" * 65)
    assert ada.discussions.list()[0].title == "\u00e9" * 64


def test_deleted(ada: Client) -> None:
    """Discussions can be deleted, as themselves or by their ids."""
    for name in ("a", "b", "c"):
        ada.chat("Hi", chat_id=name)
    first = next(each for each in ada.discussions if each.chat_id == "a")
    ada.discussions.delete(first, "b")
    assert ids(ada.discussions.list()) == ["c"]


def test_what_is_anothers_stays(server: Server, ada: Client) -> None:
    """Of foreign discussions none is listed or renamed, and deleting one deletes none."""
    ada.chat("Hi", chat_id="adas")
    with Client(server.url, auth=BOB) as bob:
        bob.chat("Hi", chat_id="bobs")
        assert ids(bob.discussions.list()) == ["bobs"]
        bob.discussions.rename("adas", "Mine now")
        with pytest.raises(AuthError, match="rest_forbidden"):
            bob.discussions.delete("bobs", "adas")
        assert ids(bob.discussions.list()) == ["bobs"]
    assert [(each.chat_id, each.title) for each in ada.discussions] == [("adas", None)]


def test_guests_have_none(server: Server, client: Client) -> None:
    """A guest is asked of the site like anybody, which refuses in its own words."""
    with pytest.raises(ReplyError, match="You need to be connected") as caught:
        client.discussions.list()
    assert caught.value.route == "mwai-ui/v1/discussions/list"
    with pytest.raises(ReplyError, match="You need to be connected"):
        list(client.discussions)
    with pytest.raises(ReplyError, match="You need to be logged in"):
        client.discussions.rename("a", "b")
    with pytest.raises(AuthError):
        client.discussions.delete("a")


def test_a_site_without_them(server: Server) -> None:
    """A site that has no such route says so."""
    server.user(*ADA)
    with Server(version="2.4.7") as old:
        old.user(*ADA)
        with Client(old.url, auth=ADA) as client, pytest.raises(NotFoundError):
            client.discussions.rename("a", "b")


def test_the_nonce_is_renewed(server: Server, ada: Client) -> None:
    """A user's discussions outlive the nonce."""
    ada.chat("Hi", chat_id="mine")
    server.expire_nonce()
    ada.discussions.rename("mine", "Title")
    server.expire_nonce()
    ada.discussions.delete("mine")
    assert ada.discussions.list() == []


BAD: List[Any] = [
    (lambda d: d.list(offset=-1), ValueError, "offset must not be negative"),
    (lambda d: d.list(offset="1"), TypeError, "offset must be an int, not str"),
    (lambda d: d.list(limit=0), ValueError, "limit must be 1 or more"),
    (lambda d: d.list(limit=True), TypeError, "limit must be an int, not bool"),
    (lambda d: d.rename("a", ""), ValueError, "title is empty"),
    (lambda d: d.rename("a", " \n"), ValueError, "title is empty"),
    (lambda d: d.rename("a", 5), TypeError, "title must be a str, not int"),
    (lambda d: d.rename("a", "\ud83d"), ValueError, "surrogate"),
    (lambda d: d.rename("", "b"), ValueError, "a discussion's chat_id is empty"),
    (lambda d: d.rename(5, "b"), TypeError, "a discussion's chat_id must be a str, not int"),
    (lambda d: d.delete(), ValueError, "no discussions given"),
    (lambda d: d.delete("a", ""), ValueError, "a discussion's chat_id is empty"),
    (lambda d: d.delete(["a"]), TypeError, "a discussion's chat_id must be a str, not list"),
]


@pytest.mark.parametrize(("deed", "kind", "words"), BAD)
def test_bad_arguments(
    deed: Any, kind: Type[Exception], words: str, server: Server, client: Client
) -> None:
    """What cannot be asked for is refused before anything is sent."""
    with pytest.raises(kind, match=words):
        deed(client.discussions)
    assert server.requests == []


def test_rows_that_lack_things(server: Server, ada: Client) -> None:
    """Of a row what can be read is taken: turns of known roles, times that are times."""
    said = [
        {"role": "user", "content": "a"},
        {"role": "function", "content": "b"},
        {"role": "assistant"},
        "c",
    ]
    body = row(chatId=123, title=None, messages=json.dumps(said), created="2026-11-23 00:40:50")
    server.sends(body, content_type="application/json", route=LIST)
    server.sends(row(messages="5"), content_type="application/json", route=LIST)
    moment = datetime(2026, 11, 23, 0, 40, 50, tzinfo=timezone.utc)
    turns = ({"role": "user", "content": "a"},)
    assert ada.discussions.list() == [Discussion("123", None, turns, None, moment, None)]  # type: ignore[arg-type]
    assert ada.discussions.list() == [Discussion("", None, (), None, None, None)]


def test_rows_that_are_broken(server: Server, ada: Client) -> None:
    """Turns that are no JSON are an error which says where."""
    server.sends(row(messages="[{"), content_type="application/json", route=LIST)
    with pytest.raises(ProtocolError) as caught:
        ada.discussions.list()
    assert caught.value.route == "mwai-ui/v1/discussions/list"
