"""The client and the testing site each state the plugin's facts; here they are compared."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path
from typing import Iterator, Set

import pytest
import requests

from chatgpt4online import Client, ReplyError, Shortcut, testing
from chatgpt4online._protocol import routes

#: Fields that the widget sends as well, and that change no answer.
UNREAD_FIELDS = {"shortcutName"}


@pytest.fixture
def site() -> Iterator[testing.Server]:
    """Start a site that has everything the client can use."""
    with testing.Server(token="token") as server:
        server.user("ada", "secret")
        yield server


@pytest.fixture
def user(site: testing.Server) -> Iterator[Client]:
    """Make a client with a login, a token and all that names a bot."""
    with Client(
        site.url, auth=("ada", "secret"), token="token", custom_id="custom", context_id=7
    ) as client:
        yield client


def test_the_testing_site_has_the_routes_of_the_client(user: Client) -> None:
    """The testing site has the routes that the client uses, the index, and no others."""
    index = requests.get(f"{user.site}/wp-json/", timeout=5).json()
    used = {f"/{value}" for value in vars(routes).values() if is_route(value)}
    assert {"/", *used} == set(index["routes"])


def is_route(value: object) -> bool:
    """Return whether a value is a route, not the beginning of one."""
    return isinstance(value, str) and bool(re.fullmatch(r"(mwai|mwai-ui|wp)/v\d/[\w/]*\w", value))


def use_everything(client: Client) -> None:
    """Send each kind of request that has fields."""
    file = client.files.upload(io.BytesIO(b"text"), name="note.txt")
    reply = client.chat("Hi", files=[file], chat_id="chat")
    with pytest.raises(ReplyError, match="shortcut"):
        client.chat(Shortcut("More", "", "unknown", {}))
    client.chat("And then?", messages=[{"role": "assistant", "content": reply}])
    client.files.list()
    client.files.delete(file)
    client.discussions.list()
    client.discussions.rename("chat", "Title")
    client.discussions.delete("chat")
    client.api.text("Hi")
    client.api.vision("Hi", "https://a.example/a.png")
    client.api.edit_image("Hi", 1)
    client.api.transcribe("https://a.example/a.mp3")
    client.api.moderate("Hi")
    client.api.chatbot("Hi", bot="default", chat_id="chat")
    client.api.upload(io.BytesIO(b"text"), name="note.txt")


def sent_fields(request: testing.Request) -> Set[str]:
    """Return the names of a request's fields, in JSON or a form."""
    form = re.findall(rb'form-data; name="(\w+)"', request.body)
    return {*(request.json or {}), *(name.decode() for name in form)}


def test_the_testing_site_knows_the_fields_of_the_client(
    site: testing.Server, user: Client
) -> None:
    """Each field that the client sends is one that the testing site knows, except one."""
    use_everything(user)
    sent = set().union(*(sent_fields(request) for request in site.requests))
    known = {
        node.value
        for path in Path(testing.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert {"newMessage", "newFileIds", "chatIds", "mediaId"} <= sent
    assert sent - known == UNREAD_FIELDS


def test_client_and_testing_site_count_a_message_alike(site: testing.Server) -> None:
    """A message of a bot's exact limit passes both, whitespace around it not counted."""
    site.bot("strict", max_length=3)
    site.page("/strict/", bots=["strict"])
    blanks = " \t\n\r\0\x0b"
    with Client.from_page(f"{site.url}/strict/") as client:
        assert client.chat(f"{blanks}äöü{blanks}") == "Echo(1 msgs): äöü"
        with pytest.raises(ValueError, match="at most"):
            client.chat("\u2003äöü")
    with Client(site.url, bot="strict") as client, pytest.raises(ReplyError, match="rejected"):
        client.chat("\u2003äöü")
