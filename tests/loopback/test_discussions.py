"""Discussions: listing, resuming, renaming and deleting a user's stored conversations."""

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
    ReplyError,
)
from chatgpt4online.testing import Server

ADA = ("ada", "abcd efgh")
BOB = ("bob", "ijkl mnop")
LIST = "discussions/list"


@pytest.fixture
def ada(server: Server) -> Iterator[Client]:
    """Return a client of a user."""
    server.user(*ADA)
    server.user(*BOB)
    with Client(server.url, auth=ADA) as client:
        yield client


def ids(discussions: List[Discussion]) -> List[str]:
    """Return the ids of discussions."""
    return [each.chat_id for each in discussions]


def row(**fields: Any) -> bytes:
    """Return a list response with one discussion."""
    return json.dumps({"success": True, "total": "1", "chats": [fields, 5]}).encode()


def test_discussions_are_listed(ada: Client) -> None:
    """A discussion has the turns, the id, the bot and the times of a conversation."""
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


def test_a_discussion_is_resumed(ada: Client) -> None:
    """A resumed discussion sends its turns, and its next question is stored with it."""
    ada.chat("Who?", chat_id="mine")
    talk = ada.resume(ada.discussions.list()[0])
    assert talk.chat("When?").startswith("Echo(4 msgs)")  # with the start sentence
    (found,) = ada.discussions
    assert [turn["content"] for turn in found.messages[-2:]] == ["When?", "Echo(4 msgs): When?"]


def test_iterating_fetches_pages(server: Server, ada: Client) -> None:
    """Iterating yields each discussion once, and fetches pages only as needed."""
    for number in range(23):
        ada.chat("Hi", chat_id=f"chat-{number}")
    before = len(server.requests)
    found = list(ada.discussions)
    assert sorted(ids(found)) == sorted(f"chat-{number}" for number in range(23))
    assert len(server.requests) - before == 4
    next(iter(ada.discussions))
    assert len(server.requests) - before == 5


def test_pages_that_overlap(server: Server, ada: Client) -> None:
    """Iterating over overlapping pages yields each discussion once, and ends without new ones."""
    one, two = ({"chatId": name, "messages": "[]"} for name in ("one", "two"))
    for chats in ([one], [one, two], [one, two], [one]):
        server.answers(200, body={"success": True, "total": "2", "chats": chats}, route=LIST)
    before = len(server.requests)
    assert ids(list(ada.discussions)) == ["one", "two"]
    assert len([each for each in server.requests[before:] if LIST in each.path]) == 3


def test_short_pages(server: Server, ada: Client) -> None:
    """Iterating skips nothing where a site gives shorter pages than were asked for."""
    rows = [{"chatId": name, "messages": "[]"} for name in ("one", "two", "three")]
    for chats in (rows[:2], rows[2:], []):
        server.answers(200, body={"success": True, "total": "3", "chats": chats}, route=LIST)
    assert ids(list(ada.discussions)) == ["one", "two", "three"]
    asked = [each.json for each in server.requests if LIST in each.path]
    assert [fields["offset"] for fields in asked] == [0, 2, 3]


def test_pages(ada: Client) -> None:
    """`offset` skips discussions, `limit` is the most that are returned."""
    for number in range(5):
        ada.chat("Hi", chat_id=f"chat-{number}")
    everything = ids(ada.discussions.list(limit=100))
    assert ids(ada.discussions.list(limit=2)) == everything[:2]
    assert ids(ada.discussions.list(offset=3)) == everything[3:]
    assert ada.discussions.list(offset=5) == []


def test_which_bot(server: Server, ada: Client) -> None:
    """Only discussions with the client's bot are listed, by its id or custom id."""
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
    """A discussion is renamed by itself or its id; the site accepts 64 characters of a title."""
    ada.chat("Hi", chat_id="mine")
    ada.discussions.rename("mine", "Opening hours")
    (found,) = ada.discussions.list()
    assert found.title == "Opening hours"
    ada.discussions.rename(found, "\u00e9" * 64)
    with pytest.raises(ReplyError, match="Failed to update the discussion"):
        ada.discussions.rename(found, "\u00e9" * 65)
    assert ada.discussions.list()[0].title == "\u00e9" * 64


def test_deleted(ada: Client) -> None:
    """Discussions are deleted by themselves or their ids."""
    for name in ("a", "b", "c"):
        ada.chat("Hi", chat_id=name)
    first = next(each for each in ada.discussions if each.chat_id == "a")
    ada.discussions.delete(first, "b")
    assert ids(ada.discussions.list()) == ["c"]


def test_discussions_of_others(server: Server, ada: Client) -> None:
    """Another user's discussions are not listed or renamed, and deleting one deletes nothing."""
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
    """A guest's requests reach the site, and raise the site's refusals."""
    with pytest.raises(ReplyError, match="You need to be connected") as caught:
        client.discussions.list()
    assert caught.value.route == "mwai-ui/v1/discussions/list"
    with pytest.raises(ReplyError, match="You need to be connected"):
        list(client.discussions)
    with pytest.raises(ReplyError, match="You need to be logged in"):
        client.discussions.rename("a", "b")
    with pytest.raises(AuthError):
        client.discussions.delete("a")


def test_a_site_without_the_route() -> None:
    """A site that is too old for a route raises NotFoundError."""
    with Server(version="2.4.7") as old:
        old.user(*ADA)
        with Client(old.url, auth=ADA) as client, pytest.raises(NotFoundError):
            client.discussions.rename("a", "b")


def test_the_nonce_is_renewed(server: Server, ada: Client) -> None:
    """A stale nonce is renewed for discussions too."""
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


@pytest.mark.parametrize(("use", "error_type", "message"), BAD)
def test_bad_arguments(
    use: Any, error_type: Type[Exception], message: str, server: Server, client: Client
) -> None:
    """Invalid arguments raise before anything is sent."""
    with pytest.raises(error_type, match=message):
        use(client.discussions)
    assert server.requests == []


def test_incomplete_rows(server: Server, ada: Client) -> None:
    """Values that are neither turns nor times are left out of a discussion."""
    messages = [
        {"role": "user", "content": "a"},
        {"role": "function", "content": "b"},
        {"role": "assistant"},
        "c",
    ]
    body = row(chatId=123, title=None, messages=json.dumps(messages), created="2026-11-23 00:40:50")
    server.sends(body, content_type="application/json", route=LIST)
    bad = row(messages="5", created="2026-02-31 00:00:00", updated="2026-11-23")
    server.sends(bad, content_type="application/json", route=LIST)
    moment = datetime(2026, 11, 23, 0, 40, 50, tzinfo=timezone.utc)
    turns = ({"role": "user", "content": "a"},)
    assert ada.discussions.list() == [Discussion("123", None, turns, None, moment, None)]  # type: ignore[arg-type]
    assert ada.discussions.list() == [Discussion("", None, (), None, None, None)]


def test_broken_rows(server: Server, ada: Client) -> None:
    """A discussion whose turns are not JSON has none, and the other discussions are listed."""
    turns = [{"role": "user", "content": "a"}]
    rows = [{"chatId": "a", "messages": "[{"}, {"chatId": "b", "messages": json.dumps(turns)}]
    body = json.dumps({"success": True, "chats": rows}).encode()
    server.sends(body, content_type="application/json", route=LIST)
    found = ada.discussions.list()
    assert [(each.chat_id, list(each.messages)) for each in found] == [("a", []), ("b", turns)]
