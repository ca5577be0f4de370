"""
What must hold of any site, asked of the one that CHATGPT4ONLINE_SITE names.

Four questions reach the model, and a fifth as a user.

As a guest; with CHATGPT4ONLINE_USER and CHATGPT4ONLINE_APP_PASSWORD also as that user, and with
CHATGPT4ONLINE_TOKEN of its public API. CHATGPT4ONLINE_BOT names the chatbot.
"""

from __future__ import annotations

import io
import os
from base64 import b64decode
from typing import Iterator

import pytest

from chatgpt4online import (
    AuthError,
    ChatGPT4OnlineError,
    Client,
    ReplyError,
    ServerError,
    Shortcut,
)

SITE = os.environ.get("CHATGPT4ONLINE_SITE", "")
HAS_LOGIN = bool(
    os.environ.get("CHATGPT4ONLINE_USER") and os.environ.get("CHATGPT4ONLINE_APP_PASSWORD")
)
HAS_TOKEN = bool(os.environ.get("CHATGPT4ONLINE_TOKEN"))

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not SITE, reason="CHATGPT4ONLINE_SITE names no site"),
]
with_login = pytest.mark.skipif(not HAS_LOGIN, reason="no user is named")
with_token = pytest.mark.skipif(not HAS_TOKEN, reason="no token is given")

#: A picture of one dot.
PNG = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Make one client for all, so that its connections and nonce are used again."""
    with Client(deadline=300) as site:
        yield site


def test_the_site_is_healthy(client: Client) -> None:
    """The site can be reached, has AI Engine, and gives a nonce; with a login, a user's."""
    health = client.check()
    assert health, str(health)
    assert health.checks[-1].detail == ("fetched as a user" if HAS_LOGIN else "fetched as a guest")


def test_a_stream_ends_with_its_answer(client: Client) -> None:
    """An answer comes in pieces that are not empty, and ends with a reply of the same question."""
    with client.stream("Answer with one short sentence: what is a haiku?") as stream:
        pieces = list(stream)
    reply = stream.result()
    assert reply
    assert all(pieces)
    assert stream.text == "".join(pieces)
    assert reply.raw["success"] is True
    assert "new_token" not in reply.raw


def test_a_conversation_goes_on(client: Client) -> None:
    """The second question is asked with the first exchange before it, under one id."""
    talk = client.conversation()
    first = talk.chat("My name is Ada. Answer with one word.")
    second = talk.chat("What is my name? Answer with one word.")
    contents = [turn["content"] for turn in talk.messages[-4:]]
    assert contents[1::2] == [first, second]
    assert first.chat_id == second.chat_id == talk.chat_id


def test_a_stale_nonce_is_renewed(client: Client) -> None:
    """A site refuses a nonce that is none, which the client sees to by itself."""
    with client._transport.calling() as call:
        client._transport.nonce.update(client._transport.issued_nonce(call), "0000000000")
        call.finish()
    assert client.nonce == "0000000000"
    assert client.chat("Answer with one word: hello.") is not None
    assert client.nonce != "0000000000"


def test_a_failure_is_ours(client: Client) -> None:
    """What the plugin refuses before it asks a model is one of the package's errors."""
    with pytest.raises(ReplyError):
        client.chat(Shortcut("Nothing", "", "no shortcut of this site", {}))


def test_a_file_comes_and_goes(client: Client) -> None:
    """A picture can be uploaded and deleted, or the site says why not."""
    try:
        file = client.files.upload(io.BytesIO(PNG), name="dot.png")
    except ReplyError as error:
        pytest.skip(f"the site takes no files: {error.message}")
    assert file.id in file.url
    client.files.delete(file)


def test_files_are_listed(client: Client) -> None:
    """Files are listed, or the site fails as some versions do for guests."""
    try:
        assert isinstance(client.files.list(limit=1), list)
    except (ServerError, ReplyError):
        assert not HAS_LOGIN


def test_a_page_is_read(client: Client) -> None:
    """The front page can be read; its chatbots, if it has any, are of this site."""
    for bot in client.bots("/"):
        assert bot.id or bot.custom_id
        assert bot.site


@with_login
def test_a_wrong_password_is_found_out() -> None:
    """A site takes a wrong password for a guest's visit; the client does not."""
    user = os.environ["CHATGPT4ONLINE_USER"]
    with Client(auth=(user, "wrong password")) as client, pytest.raises(AuthError):
        client.refresh_nonce()


@with_login
def test_discussions_are_kept(client: Client) -> None:
    """A user's talks are listed, renamed and deleted, where the site keeps them."""
    talk = client.conversation()
    talk.chat("Answer with one word: hello.")
    try:
        found = client.discussions.list()
    except ChatGPT4OnlineError as error:
        pytest.skip(f"the site keeps no discussions: {error}")
    assert talk.chat_id in [each.chat_id for each in found]
    client.discussions.rename(talk.chat_id, "A check")
    assert "A check" in [each.title for each in client.discussions.list()]
    client.discussions.delete(talk.chat_id)
    assert talk.chat_id not in [each.chat_id for each in client.discussions.list()]


@with_token
def test_the_public_api_knows_us(client: Client) -> None:
    """The token opens the public API, which says as whom."""
    assert "@" in client.api.whoami()


@with_token
def test_a_wrong_token_is_refused() -> None:
    """A wrong token opens nothing."""
    with Client(token="wrong") as client, pytest.raises(AuthError):
        client.api.whoami()
