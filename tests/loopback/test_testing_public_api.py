"""The public API of the testing site."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Dict, Iterator

import pytest
import requests
from visitors import PASSWORD, PNG, REJECTED, TIMEOUT, Program, current_site, early_site

from chatgpt4online.testing import Server

NO_URL = 'The "url" parameter is required for image analysis.'
NO_AUDIO = 'Either a "url" parameter or a "mediaId" parameter is required for audio transcription.'
NO_TEXT = 'The "text" parameter is required for content moderation.'
NO_FILE = "Either a file upload or base64 encoded data is required."
BAD_BASE64 = "File upload failed: Invalid base64 data."


@pytest.fixture
def server() -> Iterator[Server]:
    """Start a site with two users and the public API."""
    with current_site() as server:
        yield server


@pytest.fixture
def old() -> Iterator[Server]:
    """Start a site with an early version."""
    with early_site() as server:
        yield server


def test_the_public_api_is_off_without_a_token() -> None:
    """Without a token the routes do not exist and cannot be scripted."""
    with Server() as server:
        assert Program(server).refusal("simpleTextQuery") == (404, "rest_no_route")
        with pytest.raises(ValueError, match="unknown route"):
            server.says("Hi", route="simpleTextQuery")


def test_users_can_use_the_public_api(server: Server) -> None:
    """A user's password works in place of the token, and acts as that user."""
    url = server.url + "/wp-json/mwai/v1/simpleAuthCheck"
    answer = requests.get(url, auth=("ada", PASSWORD), timeout=TIMEOUT)

    assert answer.json()["data"] == {"type": "email", "value": "ada@example.com"}


@pytest.mark.parametrize(
    ("route", "fields", "message"),
    [
        ("simpleTextQuery", {}, "The message is required."),
        ("simpleJsonQuery", {}, "The message is required."),
        ("simpleVisionQuery", {"message": "Hi"}, NO_URL),
        ("simpleImageQuery", {}, "The message is required."),
        ("simpleImageEditQuery", {"message": "Hi"}, "The mediaId is required."),
        ("simpleTranscribeAudio", {}, NO_AUDIO),
        ("moderationCheck", {}, NO_TEXT),
        ("simpleChatbotQuery", {"message": "Hi"}, "The botId and message are required."),
        ("simpleFileUpload", {}, NO_FILE),
        ("simpleFileUpload", {"base64": "!", "filename": "a.png"}, BAD_BASE64),
        ("simpleFileUpload", {"base64": "", "filename": "a.png"}, NO_FILE),
        ("simpleFileUpload", {"base64": "AA==", "filename": "a.php"}, "Invalid file type."),
    ],
)
def test_required_parameters_of_the_public_api(
    server: Server, route: str, fields: Dict[str, Any], message: str
) -> None:
    """Missing or invalid parameters are a 500 with a message."""
    assert Program(server).refusal(route, **fields) == (500, message)


def test_scripts_apply_to_the_public_api(server: Server) -> None:
    """Scripts apply to the API's routes; without one it echoes; ``prompt`` is an alias."""
    program = Program(server)
    server.says("Hel", "lo", route="simpleTextQuery")
    server.says("http://x/y.png", route="simpleImageQuery")
    server.fails("No!", route="simpleTextQuery")

    assert program.call("simpleTextQuery", message="Hi") == "Hello"
    assert program.call("simpleImageQuery", message="Hi") == "http://x/y.png"
    assert program.refusal("simpleTextQuery", message="Hi") == (500, "No!")
    assert program.call("simpleTextQuery", prompt="Hi") == "Echo(1 msgs): Hi"
    assert program.call("simpleTranscribeAudio", url="http://x") == "Echo(1 msgs): http://x"
    assert program.call("simpleVisionQuery", message="Hi", url="http://x").count("http://x") == 1


def test_the_public_api_accepts_forms(server: Server) -> None:
    """Parameters can be sent as a form."""
    answer = Program(server).post("simpleTextQuery", data={"message": "Hi & bye"})

    assert answer.json()["data"] == "Echo(1 msgs): Hi & bye"


def test_the_owners_rules_apply_to_the_public_api(server: Server) -> None:
    """Banned words and limits apply to the API; moderationCheck reports flagged words."""
    program = Program(server)
    server.bans("heck")
    server.flags("doom")
    server.limits(1)

    assert program.refusal("simpleTextQuery", message="heck")[1] == "Your query has been rejected."
    assert program.call("simpleTextQuery", message="Hi") == "Echo(1 msgs): Hi"
    assert program.refusal("simpleTextQuery", message="Hi")[1] == "You have reached the limit."
    checks = [program.call("moderationCheck", text=text) for text in ("Doom!", "Hi")]
    assert checks == [True, False]


def test_the_public_api_generates_images(server: Server) -> None:
    """Generated and edited images can be downloaded."""
    program = Program(server)
    urls = [
        program.call("simpleImageQuery", message="A cat"),
        program.call("simpleImageEditQuery", message="A dog", mediaId=1),
    ]

    assert [requests.get(url, timeout=TIMEOUT).status_code for url in urls] == [200, 200]


def test_the_public_api_stores_files(server: Server) -> None:
    """A file comes as base64 in JSON, or as an upload, and is stored for ``ttl`` seconds."""
    program = Program(server)
    encoded = b64encode(PNG).decode()
    short = program.call("simpleFileUpload", base64=encoded, filename="a.png", ttl=10)
    form = program.post("simpleFileUpload", files={"file": ("b.png", PNG)})
    long = form.json()["data"]

    assert requests.get(short["url"], timeout=TIMEOUT).content == PNG
    server.advance(11)
    assert requests.get(short["url"], timeout=TIMEOUT).status_code == 404
    assert requests.get(long["url"], timeout=TIMEOUT).content == PNG


def test_the_public_api_remembers_a_chat(server: Server, old: Server) -> None:
    """A chat's id restores its messages; early versions do not return the id."""
    program = Program(server)
    first = program.post("simpleChatbotQuery", json={"botId": "default", "message": "Hi"}).json()
    chat_id = first["extra"]["chatId"]

    more = {"botId": "default", "message": "More", "chatId": chat_id}
    assert program.call("simpleChatbotQuery", **more) == "Echo(4 msgs): More"
    assert "extra" not in Program(old).post("simpleChatbotQuery", json=more).json()
    unknown = Program(old).refusal("simpleChatbotQuery", botId="nobody", message="Hi")
    assert unknown == (500, REJECTED)


def test_early_versions_start_a_chat_with_each_question(old: Server) -> None:
    """Without a chat's id, versions without sessions remember nothing."""
    program = Program(old)

    for _ in range(2):
        assert program.call("simpleChatbotQuery", botId="default", message="Hi") == (
            "Echo(1 msgs): Hi"
        )


def test_3_3_9_leaves_a_chat_to_the_vendor() -> None:
    """Version 3.3.9 relies on the vendor's own memory: the model gets only the question."""
    with Server("3.3.9", token="token") as server:
        program = Program(server)
        query = {"botId": "default", "message": "Hi", "chatId": "a"}

        replies = [program.call("simpleChatbotQuery", **query) for _ in range(2)]

    assert replies == ["Echo(1 msgs): Hi"] * 2


def test_bots_are_the_same_in_the_public_api(server: Server) -> None:
    """A bot's length limit and its image mode apply to simpleChatbotQuery."""
    server.bot("short", max_length=3)
    server.bot("painter", mode="images")
    program = Program(server)

    too_long = program.refusal("simpleChatbotQuery", botId="short", message="long")
    image = program.call("simpleChatbotQuery", botId="painter", message="A cat")

    assert too_long == (500, REJECTED)
    assert image.startswith(f"![Image]({server.url}/wp-content/uploads/")


def test_the_public_api_refuses_unknown_models(server: Server, old: Server) -> None:
    """Later versions refuse an unknown model; early ones pass it on."""
    query = {"message": "Hi", "options": {"model": "gpt-0"}}

    refused = Program(server).refusal("simpleTextQuery", **query)

    assert refused == (500, "The environment is required.")
    assert Program(old).call("simpleTextQuery", **query) == "Echo(1 msgs): Hi"
    query = {"message": "Hi", "options": {"model": "fake-1"}}
    assert Program(server).call("simpleTextQuery", **query) == "Echo(1 msgs): Hi"
