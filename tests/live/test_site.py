"""
Properties of every site, checked on the one that CHATGPT4ONLINE_SITE names.

Four questions reach the model, and a fifth with a login.

The tests run as a guest, or as the user of CHATGPT4ONLINE_USER and CHATGPT4ONLINE_APP_PASSWORD;
with CHATGPT4ONLINE_TOKEN they include the public API. CHATGPT4ONLINE_BOT names the chatbot.
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
    pytest.mark.skipif(not SITE, reason="CHATGPT4ONLINE_SITE is not set"),
]
with_login = pytest.mark.skipif(not HAS_LOGIN, reason="no user and password are set")
with_token = pytest.mark.skipif(not HAS_TOKEN, reason="CHATGPT4ONLINE_TOKEN is not set")

#: An image of one pixel.
PNG = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Make one client for all tests, which reuse its connections and nonce."""
    with Client(deadline=300) as site:
        yield site


def test_the_site_is_healthy(client: Client) -> None:
    """The site is reachable, has AI Engine and issues a nonce, with a login the user's."""
    health = client.check()
    assert health, str(health)
    details = {check.name: check.detail for check in health.checks}
    assert details["nonce"] == ("fetched as a user" if HAS_LOGIN else "fetched as a guest")


def test_a_stream_ends_with_a_reply(client: Client) -> None:
    """A stream yields deltas that are not empty, and ends with a reply."""
    with client.stream("Answer with one short sentence: what is a haiku?") as stream:
        pieces = list(stream)
    reply = stream.result()
    assert reply
    assert all(pieces)
    assert stream.text == "".join(pieces)
    assert reply.raw["success"] is True
    assert "new_token" not in reply.raw


def test_a_conversation_goes_on(client: Client) -> None:
    """The second question is sent with the first exchange, under the same chat id."""
    talk = client.conversation()
    first = talk.chat("My name is Ada. Answer with one word.")
    second = talk.chat("What is my name? Answer with one word.")
    contents = [turn["content"] for turn in talk.messages[-4:]]
    assert contents[1::2] == [first, second]
    assert first.chat_id == second.chat_id == talk.chat_id


def test_a_stale_nonce_is_renewed(client: Client) -> None:
    """A refused nonce is replaced, and the question is sent again."""
    with client._transport.calling() as call:
        client._transport.nonce.update(client._transport.issued_nonce(call), "0000000000")
    assert client.nonce == "0000000000"
    assert client.chat("Answer with one word: hello.") is not None
    assert client.nonce != "0000000000"


def test_a_refusal_raises_reply_error(client: Client) -> None:
    """A question that the plugin refuses raises ReplyError."""
    with pytest.raises(ReplyError):
        client.chat(Shortcut("Nothing", "", "no shortcut of this site", {}))


def test_a_file_is_uploaded_and_deleted(client: Client) -> None:
    """A file can be uploaded and deleted, where the site accepts files."""
    try:
        file = client.files.upload(io.BytesIO(PNG), name="dot.png")
    except ReplyError as error:
        pytest.skip(f"the site accepts no files: {error.message}")
    assert file.id in file.url
    client.files.delete(file)


def test_files_are_listed(client: Client) -> None:
    """Files are listed; some versions fail for guests."""
    try:
        assert isinstance(client.files.list(limit=1), list)
    except (ServerError, ReplyError):
        assert not HAS_LOGIN


def test_a_page_is_read(client: Client) -> None:
    """The chatbots of the front page, if any, have an id and a site."""
    for bot in client.bots("/"):
        assert bot.id or bot.custom_id
        assert bot.site


@with_login
def test_a_wrong_password_is_detected() -> None:
    """A wrong password raises AuthError, although the site treats the user as a guest."""
    user = os.environ["CHATGPT4ONLINE_USER"]
    with Client(auth=(user, "wrong password")) as client, pytest.raises(AuthError):
        client.refresh_nonce()


@with_login
def test_discussions_are_kept(client: Client) -> None:
    """A user's discussions are listed, renamed and deleted, where the site stores them."""
    talk = client.conversation()
    talk.chat("Answer with one word: hello.")
    try:
        found = client.discussions.list()
    except ChatGPT4OnlineError as error:
        pytest.skip(f"the site stores no discussions: {error}")
    assert talk.chat_id in [each.chat_id for each in found]
    client.discussions.rename(talk.chat_id, "A check")
    assert "A check" in [each.title for each in client.discussions.list()]
    client.discussions.delete(talk.chat_id)
    assert talk.chat_id not in [each.chat_id for each in client.discussions.list()]


@with_token
def test_a_token_gives_access(client: Client) -> None:
    """The token gives access to the public API, which reports the user it acts as."""
    assert "@" in client.api.whoami()


@with_token
def test_a_wrong_token_is_refused() -> None:
    """A wrong token raises AuthError."""
    with Client(token="wrong") as client, pytest.raises(AuthError):
        client.api.whoami()
