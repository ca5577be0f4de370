"""Pages of a site: their chatbots, and clients created from them."""

from __future__ import annotations

import json
import pickle
from typing import Any, Optional, Type

import pytest

from chatgpt4online import (
    ChatGPT4OnlineError,
    Client,
    MessageError,
    NotFoundError,
    StatusError,
)
from chatgpt4online.testing import Server


def test_a_very_long_page(server: Server) -> None:
    """Only the first 4 MiB of a page are read, wherever they end."""
    found = "<div class='mwai-chatbot-container' data-system='{}'></div>"
    for size, count in ((10, 1), (4 * 1024 * 1024, 0), (12 * 1024 * 1024, 0)):
        server.page("/long/", html="\u00e9" * (size // 2) + found)
        with Client(server.url) as client:
            assert len(client.bots("/long/")) == count


def test_bots_of_a_page(server: Server, client: Client) -> None:
    """A page is given by its URL or path; a page without chatbots gives an empty list."""
    server.bot("support", max_length=80, start_sentence="Yes?")
    server.bot("mine", custom=True)
    server.page("/chat/", bots=["support", "mine"])
    found = client.bots("/chat/")
    assert found == client.bots(server.url + "/chat/")
    assert [(bot.id, bot.custom_id) for bot in found] == [("support", None), (None, "mine")]
    assert (found[0].max_length, found[0].start_sentence) == (80, "Yes?")
    assert {bot.site for bot in found} == {server.url}
    assert client.bots("/") == []


@pytest.mark.parametrize(
    ("page", "error_type"),
    [
        ("", ValueError),
        ("chat", ValueError),
        ("ftp://example.com/", ValueError),
        ("https://", ValueError),
        ("https://u:p@example.com/", ValueError),
        ("http://[", ValueError),
        (5, TypeError),
        (None, TypeError),
    ],
)
def test_bad_addresses(
    page: Any, error_type: Type[Exception], server: Server, client: Client
) -> None:
    """An invalid URL of a page raises before anything is sent, from `bots` and `from_page`."""
    with pytest.raises(error_type, match="page"):
        client.bots(page)
    with pytest.raises(error_type, match="page"):
        Client.from_page(page)
    assert server.requests == []


def test_a_missing_page(server: Server, client: Client) -> None:
    """A page that cannot be fetched raises an error with its URL."""
    with pytest.raises(NotFoundError) as caught:
        client.bots("/none/")
    assert caught.value.route == server.url + "/none/"
    server.answers(500, route="/broken/")
    with pytest.raises(StatusError):
        Client.from_page(server.url + "/broken/")


def test_a_page_that_has_moved(server: Server, client: Client) -> None:
    """A redirect of a page is followed within its site, and not to another one."""
    server.page("/new/", bots=["default"])
    server.answers(301, headers={"Location": "/new/"}, route="/old/")
    assert len(client.bots("/old/")) == 1
    server.answers(302, headers={"Location": "https://evil.example/"}, route="/old/")
    with pytest.raises(StatusError, match=r"redirects to https://evil\.example/"):
        client.bots("/old/")


@pytest.mark.parametrize("version", ["3.6.2", "2.4.7", "2.4.3"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"path": "/blog"},
        {"rest_prefix": "api"},
        {"path": "/blog", "rest_prefix": "api"},
        {"permalinks": False},
        {"path": "/blog", "permalinks": False},
    ],
    ids=str,
)
def test_clients_from_a_page(version: str, options: Any) -> None:
    """A client from a page finds the REST API wherever it is, also on old sites."""
    with Server(version=version, **options) as site:
        site.bot("support")
        site.page("/chat/", bots=["default", "support"])
        with Client.from_page(site.url + "/chat/", 1) as client:
            assert client.chat("Hi") == "Echo(1 msgs): Hi"
            assert client.bot == "support"
            site.expire_nonce()
            assert client.chat("Hi") == "Echo(1 msgs): Hi"
        fields: Any = site.questions[0].json
        assert (fields["botId"], fields["customId"]) == ("support", None)
        assert isinstance(fields["contextId"], int)


@pytest.mark.parametrize(
    "options",
    [
        {"path": "/blog"},
        {"rest_prefix": "api"},
        {"permalinks": False},
        {"version": "2.4.3"},
        {"version": "2.4.3", "rest_prefix": "api"},
        {"version": "2.4.3", "permalinks": False},
    ],
    ids=str,
)
def test_clients_without_a_page(options: Any) -> None:
    """A client without a page finds the REST API, or an old site's nonce, on the front page."""
    with Server(**options) as site:
        site.page("/", bots=["default"])
        with Client(site.url) as client:
            assert client.chat("Hi") == "Echo(1 msgs): Hi"
            before = len(site.requests)
            client.chat("Hi")
            assert len(site.requests) == before + 1


def test_a_site_without_links() -> None:
    """If the front page names no REST root, ``?rest_route=`` is tried."""
    with Server(permalinks=False) as site:
        site.answers(200, body="<html></html>", route="/")
        with Client(site.url) as client:
            assert client.chat("Hi") == "Echo(1 msgs): Hi"


def test_a_site_without_ai_engine(server: Server) -> None:
    """Without a REST API, the first address's error is raised; the next call begins there again."""
    for _ in range(2):
        server.answers(404, route="start_session")
    with Client(server.url) as client:
        with pytest.raises(NotFoundError, match="no WordPress REST API at"):
            client.chat("Hi")
        before = len(server.requests)
        assert client.chat("Hi")
    assert server.requests[before].path == "/wp-json/mwai/v1/start_session"


@pytest.mark.parametrize(
    ("version", "status", "body"),
    [("2.4.7", None, ""), ("3.6.2", 403, "no"), ("3.6.2", 200, "{}"), ("3.6.2", 500, "oops")],
)
def test_one_stray_404(version: str, status: Optional[int], body: str) -> None:
    """A client stays at the REST root that it knows unless another one answers successfully."""
    with Server(version) as site, Client(site.url, retries=0) as client:
        site.answers(404, route="start_session")
        if status is not None:  # else the site's own answer to a guess, a 404 with a code
            site.answers(status, body=body, route="start_session")
        with pytest.raises(ChatGPT4OnlineError):
            client.chat("Hi")
        assert client.chat("Hi") == "Echo(1 msgs): Hi"
        assert site.requests[-1].path.startswith("/wp-json/")


def test_an_old_site_without_links() -> None:
    """A page without links names the REST root by its chatbots."""
    with Server("2.4.3", permalinks=False) as site:
        system = {"restNonce": "0123456789", "restUrl": site.url + "/index.php?rest_route="}
        html = f"<div class='mwai-chatbot-container' data-system='{json.dumps(system)}'></div>"
        site.answers(200, body=html, route="/", times=None)
        with Client(site.url) as client, pytest.raises(StatusError, match="cookie_invalid_nonce"):
            client.chat("Hi")  # the nonce is made up, but it is sent to the right root
    assert site.requests[-1].path.startswith("/index.php?rest_route=")


def test_an_old_site_whose_front_page_has_no_chatbot() -> None:
    """On an old site, only pages with chatbots contain a nonce; `from_page` finds it there."""
    with Server(version="2.4.3") as site:
        site.page("/chat/", bots=["default"])
        with Client(site.url) as client, pytest.raises(NotFoundError, match="rest_no_route"):
            client.chat("Hi")
        with Client.from_page(site.url + "/chat/") as client:
            assert client.chat("Hi")


@pytest.mark.parametrize("bot_id", ["painter", None])
def test_a_custom_bot_that_the_site_has_forgotten(bot_id: Optional[str], server: Server) -> None:
    """A page's bot is asked by both its ids: after a day, the bot that the page names answers."""
    server.bot("mine", custom=True)
    server.bot("painter", mode="images")
    server.page("/render/", bots=["mine"])
    system = json.dumps({"botId": bot_id, "customId": "mine"})
    html = f"<div class='mwai-chatbot-container' data-system='{system}'></div>"
    server.page("/chat/", html=html)
    with Client.from_page(server.url + "/chat/") as client:
        client.bots("/render/")  # from now on, the site knows the bot for a day
        assert not client.chat("Hi").images
        server.advance(25 * 3600)
        assert bool(client.chat("Hi").images) == (bot_id == "painter")
    for question in server.questions:
        fields: Any = question.json
        assert (fields["botId"], fields["customId"]) == (bot_id, "mine")


def test_custom_bots(server: Server) -> None:
    """A bot that a page defines, and that has no id of its own, is asked by its custom id."""
    server.bot("mine", custom=True)
    server.page("/chat/", bots=["mine"])
    with Client.from_page(server.url + "/chat/", model=None) as client:
        assert client.chat("Hi")
    fields: Any = server.questions[0].json
    assert (fields["botId"], fields["customId"]) == (None, "mine")


@pytest.mark.parametrize("form", ["messages", "prompt"])
def test_too_long(form: str, server: Server) -> None:
    """A message longer than the bot allows, as the site counts, raises before it is sent."""
    server.bot("short", max_length=20)
    server.page("/chat/", bots=["short"])
    with Client.from_page(server.url + "/chat/", history=form) as client:
        assert client.chat("\U0001f389" * 20)
        assert client.chat(" " + "x" * 20 + "\n")
        asked = len(server.requests)
        with pytest.raises(MessageError, match="has 21 characters; the bot allows at most 20"):
            client.chat("x" * 21)
        assert len(server.requests) == asked
        history: Any = [{"role": "user", "content": "y" * 15}]
        if form == "messages":
            assert client.chat("z", messages=history)
        else:
            with pytest.raises(ValueError, match="the bot allows at most 20"):
                client.chat("z", messages=history)


def test_no_such_chatbot(server: Server) -> None:
    """An index beyond the chatbots of a page raises ValueError with their number."""
    server.page("/chat/", bots=["default"])
    with pytest.raises(ValueError, match="the page has no AI Engine chatbot"):
        Client.from_page(server.url + "/")
    with pytest.raises(ValueError, match="no chatbot with index 1: the page has 1"):
        Client.from_page(server.url + "/chat/", 1)


@pytest.mark.parametrize(
    ("index", "options", "error_type"),
    [
        (-1, {}, ValueError),
        ("0", {}, TypeError),
        (0, {"sites": 1}, TypeError),
        (0, {"retries": -1}, ValueError),
    ],
)
def test_bad_options(index: Any, options: Any, error_type: Type[Exception], server: Server) -> None:
    """Invalid options raise before the page is fetched."""
    with pytest.raises(error_type):
        Client.from_page(server.url + "/", index, **options)
    assert server.requests == []


@pytest.mark.parametrize(
    "root",
    [
        "https://evil.example/wp-json",
        "//evil.example/wp-json",
        "https://127.0.0.1@evil.example/wp-json",
        "http://user:pass@127.0.0.1/wp-json",
    ],
)
def test_chatbots_of_other_sites(root: str, server: Server) -> None:
    """A chatbot of another site is listed, but `from_page` raises ValueError for it."""
    system = json.dumps({"botId": "a", "restUrl": root})
    html = f"<div class='mwai-chatbot-container' data-system='{system}'></div>"
    server.page("/chat/", html=html)
    with Client(server.url) as client:
        assert len(client.bots("/chat/")) == 1
    with pytest.raises(ValueError, match="the chatbot belongs to another site"):
        Client.from_page(server.url + "/chat/")
    assert server.questions == []


def test_a_rest_root_on_another_site(server: Server) -> None:
    """A REST API that a page names on another site is not used, and nothing is sent there."""
    with Server() as other:
        link = f"<link rel='https://api.w.org/' href='{other.url}/wp-json/'>"
        server.answers(200, body=link, route="/", times=None)
        server.answers(404, body="<html></html>", route="start_session", times=None)
        with Client(server.url) as client, pytest.raises(NotFoundError):
            client.chat("Hi")
        assert other.requests == []


def test_a_pickled_client_knows_its_page() -> None:
    """An unpickled client has its page's length limit, start sentence and nonce."""
    with Server(version="2.4.3", permalinks=False) as site:
        site.bot("short", max_length=20)
        site.page("/chat/", bots=["short"])
        with Client.from_page(site.url + "/chat/") as client:
            copy = pickle.loads(pickle.dumps(client))
        with copy:
            assert copy.chat("Hi") == "Echo(1 msgs): Hi"
            assert len(copy.conversation().messages) == 1
            with pytest.raises(ValueError, match="the bot allows at most 20"):
                copy.chat("x" * 21)


def test_pages_that_are_not_html(server: Server, client: Client) -> None:
    """Binary data and an empty body have no chatbots; a truncated page is fetched again."""
    server.answers(200, body=b"\xff\xfe\x00binary", route="/a/")
    assert client.bots("/a/") == []
    server.answers(200, body="", route="/a/")
    assert client.bots("/a/") == []
    server.writes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<div", route="/a/")
    server.page("/a/", bots=["default"])
    assert len(client.bots("/a/")) == 1


def test_an_unreachable_page() -> None:
    """A page of a site that cannot be reached raises an error of the package."""
    with Client("http://127.0.0.1:1", retries=0) as client, pytest.raises(ChatGPT4OnlineError):
        client.bots("/")
