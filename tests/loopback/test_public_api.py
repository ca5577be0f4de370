"""The public API: what each method sends and returns, and how it fails."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple, Type

import pytest
import requests

from chatgpt4online import (
    Action,
    AuthError,
    Bot,
    ChatGPT4OnlineError,
    Client,
    Image,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ReplyError,
)
from chatgpt4online.public_api import PublicAPI
from chatgpt4online.testing import Server, event

PNG = b"\x89PNG\r\n\x1a\n"
TOKEN = "s3cr3t-t0ken"
USER = ("ada", "abcd efgh")


@pytest.fixture
def server() -> Iterator[Server]:
    """Start a site whose public API is enabled."""
    with Server(token=TOKEN) as site:
        yield site


@pytest.fixture
def api(server: Server) -> Iterator[PublicAPI]:
    """Return the public API of that site."""
    with Client(server.url, token=TOKEN) as client:
        yield client.api


def answers(server: Server, route: str, **fields: Any) -> None:
    """Make a route answer with success and these fields."""
    body = json.dumps({"success": True, **fields}).encode()
    server.sends(body, content_type="application/json", route=route)


#: A call, the route and the fields that it sends, and what it returns for "Hello".
Case = Tuple[Callable[[PublicAPI], Any], str, Dict[str, Any], Any]
CASES: List[Case] = [
    (lambda api: api.text("Hi"), "simpleTextQuery", {"message": "Hi"}, "Hello"),
    (lambda api: api.fast_text("Hi"), "simpleFastTextQuery", {"message": "Hi"}, "Hello"),
    (
        lambda api: api.text("Hi", max_tokens=5, env_id="a", temperature=0.5, model="m"),
        "simpleTextQuery",
        {
            "message": "Hi",
            "options": {"maxTokens": 5, "envId": "a", "temperature": 0.5, "model": "m"},
        },
        "Hello",
    ),
    (
        lambda api: api.text("Hi", maxTokens=5, scope="mine"),
        "simpleTextQuery",
        {"message": "Hi", "scope": "mine", "options": {"maxTokens": 5, "scope": "mine"}},
        "Hello",
    ),
    (
        lambda api: api.vision("What?", "https://example.com/a.png"),
        "simpleVisionQuery",
        {"message": "What?", "url": "https://example.com/a.png"},
        "Hello",
    ),
    (
        lambda api: api.image("A dot", resolution="1024x1024"),
        "simpleImageQuery",
        {
            "message": "A dot",
            "resolution": "1024x1024",
            "options": {"resolution": "1024x1024"},
        },
        Image("Hello"),
    ),
    (
        lambda api: api.edit_image("Bigger", 7),
        "simpleImageEditQuery",
        {"message": "Bigger", "mediaId": 7},
        Image("Hello"),
    ),
    (
        lambda api: api.transcribe("https://example.com/a.mp3", language="fr"),
        "simpleTranscribeAudio",
        {"url": "https://example.com/a.mp3", "options": {"language": "fr"}},
        "Hello",
    ),
    (
        lambda api: api.chatbot("Hi"),
        "simpleChatbotQuery",
        {"botId": "default", "message": "Hi"},
        "Hello",
    ),
    (
        lambda api: api.chatbot("Hi", bot="b", chat_id="c", files=["d"]),
        "simpleChatbotQuery",
        {"botId": "b", "message": "Hi", "chatId": "c", "fileIds": ["d"]},
        "Hello",
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_what_is_sent_and_returned(case: Case, server: Server, api: PublicAPI) -> None:
    """A method sends one request, with the plugin's field names, and returns the data."""
    ask, route, fields, value = case
    answers(server, route, data="Hello")
    assert ask(api) == value
    (request,) = server.requests
    assert request.path == f"/wp-json/mwai/v1/{route}"
    assert request.json == fields
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["User-Agent"].startswith("chatgpt4online/")
    assert "X-WP-Nonce" not in request.headers


def test_against_the_embedded_site(server: Server, api: PublicAPI) -> None:
    """The embedded site accepts what the methods send."""
    assert api.text("Hi") == api.fast_text("Hi") == "Echo(1 msgs): Hi"
    assert "a.png" in api.vision("What?", "https://example.com/a.png")
    for image in (api.image("A dot"), api.edit_image("Bigger", 7)):
        assert requests.get(image.url).status_code == 200
    assert api.transcribe("https://example.com/a.mp3").endswith("a.mp3")
    server.flags("bad")
    assert (api.moderate("A bad word"), api.moderate("A good one")) == (True, False)
    assert api.whoami() == "admin@example.com"


@pytest.mark.parametrize("value", [0, False, "", [], {}, {"a": [1, None]}, 1.5])
def test_json(value: Any, server: Server, api: PublicAPI) -> None:
    """JSON is returned as a Python value, even if it is falsy."""
    server.says(json.dumps(value), route="simpleJsonQuery")
    assert api.json("List") == value


def test_no_json(server: Server, api: PublicAPI) -> None:
    """If the model did not write JSON, ReplyError names the route."""
    server.says("Certainly!", route="simpleJsonQuery")
    with pytest.raises(ReplyError, match="What the model wrote is not JSON") as caught:
        api.json("List")
    assert caught.value.route == "mwai/v1/simpleJsonQuery"


def test_no_verdict(server: Server, api: PublicAPI) -> None:
    """A missing verdict raises ReplyError, and a value that is not one ProtocolError."""
    answers(server, "moderationCheck", data=None)
    with pytest.raises(ReplyError, match="gave no verdict") as caught:
        api.moderate("text")
    assert caught.value.route == "mwai/v1/moderationCheck"
    answers(server, "moderationCheck", data="no")
    with pytest.raises(ProtocolError, match="no verdict"):
        api.moderate("text")


@pytest.mark.parametrize("data", [None, 5, ["Hello"], {}])
def test_no_text(data: Any, server: Server, api: PublicAPI) -> None:
    """A value that is not text raises ProtocolError with the site and the route."""
    answers(server, "simpleTextQuery", data=data)
    with pytest.raises(ProtocolError, match="contains no text") as caught:
        api.text("Hi")
    assert (caught.value.site, caught.value.route) == (server.url, "mwai/v1/simpleTextQuery")


@pytest.mark.parametrize(
    "text", ["https://a/b.png", "![Image](https://a/b.png)", " https://a/b.png\n"]
)
def test_image_urls(text: str, server: Server, api: PublicAPI) -> None:
    """The URL of an image may be plain text or in Markdown."""
    answers(server, "simpleImageQuery", data=text)
    assert api.image("A dot") == Image("https://a/b.png")


def test_a_conversation(server: Server, api: PublicAPI) -> None:
    """The chat id of a chatbot's reply continues the conversation that the site stores."""
    reply = api.chatbot("Hi")
    assert (reply, reply.chat_id) == ("Echo(1 msgs): Hi", reply.raw["extra"]["chatId"])
    assert api.chatbot("And?", chat_id=reply.chat_id) == "Echo(4 msgs): And?"
    called = {"type": "function", "data": {"name": "open", "args": {"x": 1}}}
    server.says("Done", actions=[called], route="simpleChatbotQuery")
    (action,) = api.chatbot("Do").actions
    assert action == Action("function", "open", {"x": 1}, {"name": "open", "args": {"x": 1}})


def test_a_chatbot_of_an_old_site() -> None:
    """A reply from an old site, which sends only the text, has no chat id or actions."""
    with Server(version="2.4.7", token=TOKEN) as old, Client(old.url, token=TOKEN) as client:
        reply = client.api.chatbot("Hi")
    assert (reply, reply.actions, reply.chat_id) == ("Echo(1 msgs): Hi", (), None)


def test_bots(server: Server, api: PublicAPI) -> None:
    """The site's chatbots are listed with the fields that the site sends."""
    server.bot("painter", name="Painter", mode="images")
    first, second = api.bots()
    assert first.id == "default"
    assert second == Bot(
        "painter", None, None, server.url, None, "images", None, None, False, "Painter"
    )


def test_upload(server: Server, api: PublicAPI, tmp_path: Path) -> None:
    """A file is uploaded, and can be sent with a question."""
    (tmp_path / "dot.png").write_bytes(PNG)
    file = api.upload(tmp_path / "dot.png")
    assert requests.get(file.url).content == PNG
    assert (file.name, file.type, file.purpose) == ("dot.png", "image", "analysis")
    assert api.chatbot("See?", files=[file]) == "Echo(1 msgs): See?"
    assert server.requests[-1].json["fileIds"] == [file.id]
    text = api.upload(io.BytesIO(b"x"), name="a.txt", purpose="generated")
    assert (text.type, text.purpose) == ("file", "generated")
    with pytest.raises(ReplyError, match="Invalid file type"):
        api.upload(io.BytesIO(b"x"), name="a.qqq")


BAD: List[Tuple[Callable[[PublicAPI], Any], Type[Exception], str]] = [
    (lambda api: api.text(""), ValueError, "message is empty"),
    (lambda api: api.text(5), TypeError, "message must be a str, not int"),  # type: ignore[arg-type]
    (lambda api: api.text("\ud83d"), ValueError, "surrogate"),
    (lambda api: api.text("a", temperature=float("nan")), ValueError, "options cannot be sent"),
    (lambda api: api.text("a", stop=object()), TypeError, "options cannot be sent as JSON"),
    (lambda api: api.json(" "), ValueError, "message is empty"),
    (lambda api: api.vision("a", ""), ValueError, "url is empty"),
    (lambda api: api.edit_image("a", 0), ValueError, "media_id must be 1 or more"),
    (lambda api: api.edit_image("a", "7"), TypeError, "media_id must be an int"),  # type: ignore[arg-type]
    (lambda api: api.transcribe(""), ValueError, "url is empty"),
    (lambda api: api.moderate(""), ValueError, "text is empty"),
    (lambda api: api.chatbot(""), ValueError, "message is empty"),
    (lambda api: api.chatbot("a", bot=""), ValueError, "bot is empty"),
    (lambda api: api.chatbot("a", chat_id=""), ValueError, "chat_id is empty"),
    (lambda api: api.chatbot("a", files=[5]), TypeError, "a file's id must be a str"),  # type: ignore[list-item]
    (lambda api: api.chatbot("a", files="abc"), TypeError, "files must be a list, not str"),
    (lambda api: api.upload(io.BytesIO(b"")), ValueError, "give the file a name"),
    (lambda api: api.upload(io.BytesIO(b""), name="a.png", purpose=""), ValueError, "purpose"),
]


@pytest.mark.parametrize(("ask", "error_type", "message"), BAD)
def test_bad_arguments(
    ask: Any, error_type: Type[Exception], message: str, server: Server, api: PublicAPI
) -> None:
    """Invalid arguments raise before anything is sent."""
    with pytest.raises(error_type, match=message):
        ask(api)
    assert server.requests == []


METHODS: List[Tuple[str, Callable[[PublicAPI], Any]]] = [
    ("simpleAuthCheck", lambda api: api.whoami()),
    ("listChatbots", lambda api: api.bots()),
    ("moderationCheck", lambda api: api.moderate("a")),
    ("simpleFileUpload", lambda api: api.upload(io.BytesIO(b"x"), name="a.png")),
    ("simpleJsonQuery", lambda api: api.json("a")),
    *((route, ask) for ask, route, _, _ in CASES),
]


@pytest.mark.parametrize(("route", "ask"), METHODS)
def test_failures(route: str, ask: Any, server: Server, api: PublicAPI) -> None:
    """A failure of the plugin, status 500 with ``success: false``, raises ReplyError."""
    server.fails("No API Key provided.", route=route)
    with pytest.raises(ReplyError) as caught:
        ask(api)
    assert caught.value.message == "No API Key provided."
    assert caught.value.route == f"mwai/v1/{route}"
    assert len(server.requests) == 1


@pytest.mark.parametrize(("route", "ask"), METHODS)
def test_a_wrong_token(route: str, ask: Any, server: Server) -> None:
    """A wrong token raises AuthError after one request, without the token in the message."""
    with Client(server.url, token="wr0ng-t0ken") as client, pytest.raises(AuthError) as caught:
        ask(client.api)
    assert (caught.value.status, caught.value.code) == (401, "rest_forbidden")
    assert "wr0ng" not in str(caught.value) + repr(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("route", "ask"), METHODS)
def test_disabled(route: str, ask: Any) -> None:
    """A site whose public API is disabled raises NotFoundError."""
    with Server() as site, Client(site.url, token=TOKEN) as client:
        with pytest.raises(NotFoundError, match="rest_no_route"):
            ask(client.api)
        assert len(site.requests) == 1


def test_what_is_sent_again(server: Server, api: PublicAPI) -> None:
    """A question is sent once; a list may be requested again."""
    server.answers(502, route="simpleTextQuery")
    with pytest.raises(ChatGPT4OnlineError):
        api.text("Hi")
    assert len(server.requests) == 1
    server.answers(502, route="listChatbots")
    assert api.bots()
    assert len(server.requests) == 3
    server.answers(429, route="simpleTextQuery")
    with pytest.raises(RateLimitError):
        api.text("Hi")


def test_unexpected_bodies(server: Server, api: PublicAPI) -> None:
    """A stream, a page, truncated or foreign JSON raises ProtocolError."""
    for body in (event("live", "Hello"), b"<html>", b'{"success":tr', b"", b"[]", b'{"a":1}'):
        server.sends(body, content_type="application/json", route="simpleTextQuery")
        with pytest.raises(ProtocolError):
            api.text("Hi")


def test_without_token_or_login(client: Client) -> None:
    """The public API needs a token or a login."""
    with pytest.raises(ValueError, match="the public API needs a token or auth"):
        client.api  # noqa: B018 - the property raises


def test_as_a_user(server: Server) -> None:
    """A login opens the public API, but a token takes precedence."""
    server.user(*USER)
    with Client(server.url, auth=USER) as client:
        assert client.api.whoami() == "ada@example.com"
    with Client(server.url, auth=USER, token=TOKEN) as client:
        assert client.api.whoami() == "admin@example.com"
        assert client.chat("Hi")
    basic = base64.b64encode(":".join(USER).encode()).decode()
    assert server.questions[0].headers["Authorization"] == "Basic " + basic


@pytest.mark.parametrize("options", [{}, {"auth": USER}])
def test_a_session_with_a_login(server: Server, options: Dict[str, Any]) -> None:
    """The client's token or login is sent instead of that of its session."""
    server.user(*USER)
    server.user("eve", "pass")
    with requests.Session() as session:
        session.auth = ("eve", "pass")
        with Client(server.url, session=session, token=TOKEN) as client:
            assert client.api.whoami() == "admin@example.com"
        with Client(server.url, session=session, auth=USER) as client:
            assert client.api.whoami() == "ada@example.com"
            client.chat("Hi", chat_id="x")
            assert [each.chat_id for each in client.discussions] == ["x"]


@pytest.mark.parametrize(
    ("options", "root"),
    [
        ({"rest_prefix": "api"}, "/api"),
        ({"permalinks": False}, "/index.php?rest_route="),
        ({"path": "/blog", "rest_prefix": "api"}, "/blog/api"),
        ({"path": "/blog"}, "/blog/wp-json"),
    ],
)
def test_rest_roots(options: Dict[str, Any], root: str) -> None:
    """The first call finds the public API wherever the site's REST root is."""
    with Server(token=TOKEN, **options) as site, Client(site.url, token=TOKEN) as client:
        assert client.api.text("Hi") == "Echo(1 msgs): Hi"
        assert client.api.whoami() == "admin@example.com"
        assert site.requests[-1].path == root + "/mwai/v1/simpleAuthCheck"


@pytest.mark.parametrize("token", ["", 5, "a b", "caf\u00e9", "a\n"])
def test_bad_tokens(token: Any) -> None:
    """An invalid token raises when the client is created, and is not quoted."""
    with pytest.raises((ValueError, TypeError), match="token") as caught:
        Client("https://example.com", token=token)
    assert not token or str(token) not in str(caught.value)


def test_a_token_of_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token from the environment is used for the site from the environment only."""
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", server.url)
    monkeypatch.setenv("CHATGPT4ONLINE_TOKEN", TOKEN)
    for site in (None, server.url):
        with Client(site) as client:
            assert client.api.whoami() == "admin@example.com"
    with Client("https://example.com") as client, pytest.raises(ValueError, match="needs a token"):
        client.api  # noqa: B018 - the property raises
