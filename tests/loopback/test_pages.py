"""Pages: which chatbots they have, where the site's REST API is, and clients made from them."""

from __future__ import annotations

import json
import pickle
from html import escape
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Type

import pytest

from chatgpt4online import (
    Bot,
    ChatGPT4OnlineError,
    Client,
    NotFoundError,
    StatusError,
)
from chatgpt4online._protocol.page import parse_page
from chatgpt4online.testing import Server

WIRE = Path(__file__).parent.parent / "wire"
URL = "https://example.com/blog/chat/"
ROOT = "https://example.com/blog/wp-json"


def element(system: Any, params: Any = None, quote: str = "'", name: str = "div") -> str:
    """Return a chatbot's element as the plugin prints it, or as something has requoted it."""
    parts = {"params": params or {}, "system": system}
    fields = [f"data-{key}={quote}{escape(json.dumps(each))}{quote}" for key, each in parts.items()]
    return f"<{name} class='mwai-chatbot-container' {' '.join(fields)}></{name}>"


def bots(html: str, link: str = "") -> List[Bot]:
    """Return the chatbots of a page at `URL`."""
    return list(parse_page(html, URL, link).bots)


def recorded(version: str, name: str) -> Any:
    """Return a page as a real site has sent it: HTML and Link header."""
    exchange = json.loads((WIRE / version / f"page_{name}.json").read_text(encoding="utf-8"))
    response = exchange["response"]
    fields = [value for key, value in _pairs(response["headers"]) if key.lower() == "link"]
    return response["body"], ", ".join(fields)


def _pairs(headers: Any) -> Iterator[Any]:
    """Yield names and values of recorded headers."""
    yield from headers.items() if isinstance(headers, dict) else headers


# ------------------------------------------------------------------------------- recorded pages


@pytest.mark.parametrize("version", ["2.4.7", "3.6.2"])
def test_a_recorded_page(version: str) -> None:
    """A real page's chatbot is read whole."""
    html, link = recorded(version, "chat_page")
    (bot,) = parse_page(html, "http://localhost:8080/chat-page/", link).bots
    assert (bot.id, bot.custom_id) == ("default", None)
    assert bot.mode == ("chat" if version == "3.6.2" else None)
    assert isinstance(bot.context_id, int)
    assert bot.rest_url == bot.site + "/wp-json"
    assert bot.start_sentence == "Hi! How can I help you?"
    assert bot.name == "AI"


@pytest.mark.parametrize("version", ["2.4.7", "3.6.2"])
@pytest.mark.parametrize(
    ("name", "count"), [("two_bots", 2), ("custom_page", 1), ("plain_page", 0), ("404", 0)]
)
def test_recorded_counts(version: str, name: str, count: int) -> None:
    """Of real pages each chatbot is found, and nothing else taken for one."""
    html, link = recorded(version, name)
    found = parse_page(html, "http://localhost:8080/", link).bots
    assert len(found) == count
    assert all(bot.id or bot.custom_id for bot in found)
    assert not any(bot.id and bot.custom_id for bot in found)


# ------------------------------------------------------------------------------ what a page says


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("name", ["div", "DIV", "section"])
def test_requoted(quote: str, name: str) -> None:
    """However an optimizer has rewritten the element, its chatbot is found."""
    words = 'It\'s <b>\u00e9</b> & "so" on\n'
    html = element({"botId": "a"}, {"startSentence": words}, quote, name)
    (bot,) = bots(html)
    assert (bot.id, bot.start_sentence) == ("a", words)


@pytest.mark.parametrize(
    ("system", "params", "fields"),
    [
        ({"botId": 123}, {}, {"id": "123"}),
        ({"botId": 0}, {}, {"id": "0"}),
        ({"botId": ""}, {}, {"id": None}),
        ({"botId": True}, {}, {"id": None}),
        ({"botId": None, "customId": 456}, {}, {"id": None, "custom_id": "456"}),
        ({"id": "old"}, {}, {"custom_id": "old"}),
        ({"contextId": 12}, {}, {"context_id": 12}),
        ({"contextId": "12"}, {}, {"context_id": 12}),
        ({"contextId": 0}, {}, {"context_id": 0}),
        ({"contextId": "0"}, {}, {"context_id": 0}),
        ({"contextId": "\u00b2"}, {}, {"context_id": None}),
        ({"contextId": -1}, {}, {"context_id": None}),
        ({"contextId": None}, {}, {"context_id": None}),
        ({"contextId": 1.5}, {}, {"context_id": None}),
        ({}, {"textInputMaxLength": 512}, {"max_length": 512}),
        ({}, {"textInputMaxLength": "512"}, {"max_length": 512}),
        ({}, {"textInputMaxLength": 0}, {"max_length": None}),
        ({}, {"textInputMaxLength": "many"}, {"max_length": None}),
        ({}, {"textInputMaxLength": True}, {"max_length": None}),
        ({}, {"startSentence": ""}, {"start_sentence": None}),
        ({}, {"startSentence": 5}, {"start_sentence": None}),
        ({}, {"fileUpload": True}, {"uploads": True}),
        ({}, {"imageUpload": True}, {"uploads": True}),
        ({}, {"imageUpload": False}, {"uploads": False}),
        ({}, {"aiName": "Support: "}, {"name": "Support"}),
        ({}, {"aiName": 5}, {"name": "5"}),
        ({}, {"aiName": ""}, {"name": None}),
        ({}, {"mode": "images"}, {"mode": "images"}),
        ([], {"mode": 5}, {"mode": None, "id": None}),
    ],
)
def test_numbers_for_strings(system: Any, params: Any, fields: Dict[str, Any]) -> None:
    """A page's numbers, strings and nulls become what the field is, or None."""
    (bot,) = bots(element(system, params))
    assert {name: getattr(bot, name) for name in fields} == fields


@pytest.mark.parametrize("data", ["", "{", "[1]", "null", "&quot;", "[" * 10_000])
def test_broken_attributes(data: str) -> None:
    """An element whose attributes are no JSON objects is a chatbot of which nothing is known."""
    (bot,) = bots(f"<div class=mwai-chatbot-container data-system='{data}' data-params='{data}'>")
    unknown = Bot(None, None, None, "https://example.com", None, None, None, None, False, None)
    assert bot == unknown


@pytest.mark.parametrize(
    "html",
    [
        "",
        "text",
        "<div class='mwai-discussions-container' data-system='{}'></div>",
        "<div class='mwai-chatbot-container-2' data-system='{}'></div>",
        "<!-- <div class='mwai-chatbot-container'></div> -->",
        "<script>'<div class=\"mwai-chatbot-container\"></div>'</script>",
        "<div data-class='mwai-chatbot-container'></div>",
        "<div class></div>",
    ],
)
def test_no_chatbots(html: str) -> None:
    """What is no chatbot's element is none."""
    assert bots(html) == []


def test_several() -> None:
    """Chatbots come in the page's order, with other classes beside theirs too."""
    html = element({"botId": "a"}) + "<p>" + element({"botId": "b"}).replace("'mwai", "'x mwai")
    assert [bot.id for bot in bots(html)] == ["a", "b"]


@pytest.mark.parametrize(
    ("system", "link", "html", "root"),
    [
        (ROOT, "", "", ROOT),
        (ROOT + "/", "", "", ROOT),
        ("/api", "", "", "https://example.com/api"),
        (None, f'<{ROOT}/>; rel="https://api.w.org/"', "", ROOT),
        (None, f"<{ROOT}/>;rel=https://api.w.org/", "", ROOT),
        (None, f'<https://a/>; rel="alternate", <{ROOT}/>; rel="https://api.w.org/"', "", ROOT),
        (None, '<https://a/>; rel="alternate"; title="https://api.w.org/"', "", None),
        (None, "nonsense <", "", None),
        (None, "", f"<link rel='https://api.w.org/' href='{ROOT}/' />", ROOT),
        (None, "", "<link rel='https://api.w.org/' href='/api/'>", "https://example.com/api"),
        (None, "", "<link rel='https://api.w.org/'>", None),
        (None, "", "<link rel='https://api.w.org/' href='http://['>", None),
        ("http://[", "", "", None),
        ("http://x:y/", "", "", None),
        ("javascript:alert(1)", "", "", None),
        ("ftp://example.com/api", "", "", None),
        ("http:///api", "", "", None),
        (5, "", "", None),
        (
            "https://example.com/blog/index.php?rest_route=/",
            "",
            "",
            "https://example.com/blog/index.php?rest_route=",
        ),
    ],
)
def test_rest_roots(system: Any, link: str, html: str, root: Optional[str]) -> None:
    """The REST root is the element's, else the Link header's, else the page's; or not known."""
    (bot,) = bots(html + element({"restUrl": system}), link)
    assert bot.rest_url == root
    expected = {ROOT: "https://example.com/blog"}.get(root or "", "https://example.com")
    if "rest_route" not in str(root):
        assert bot.site == expected
    else:
        assert bot.site == "https://example.com/blog"


HOSTILE = [
    "<" * 50_000,
    "<a " * 100_000,
    "<!--" * 200_000,
    "<!" * 400_000,
    "<![" * 300_000,
    "<?" * 400_000,
    "</" * 400_000,
    "&" * 10**6,
    "&#" * 400_000,
    "<a b='" * 150_000,
    '<a b="' + "x" * 10**6,
    "<script>" * 100_000,
    "<script>" + "</scrip" * 100_000,
    "<title>" + "</titl" * 100_000,
    "<div class='mwai-chatbot-container' data-system='" + "[" * 10**6,
    "<div class='mwai-chatbot-container' data-system='" + "[" * 10**5 + "'>",
    "<div " + "a=b " * 50_000 + ">",
    "\0" * 10**6,
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("html", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_pages(html: str) -> None:
    """No page takes more than a few seconds, or raises; what follows too much is not read."""
    assert len(bots(html)) <= 1


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "link",
    ["<" * 60_000, "<a>" * 20_000, "<a>" + ";" * 60_000, "<a>;a=" * 10_000, "<a>" + " " * 60_000],
)
def test_hostile_headers(link: str) -> None:
    """No Link header takes more than a few seconds, or raises."""
    assert parse_page("", URL, link).rest_root is None


def test_a_very_long_page(server: Server) -> None:
    """Of a page the first 4 MiB are read, wherever their end is."""
    found = element({"botId": "a"})
    for size, count in ((10, 1), (4 * 1024 * 1024, 0), (12 * 1024 * 1024, 0)):
        server.page("/long/", html="\u00e9" * (size // 2) + found)
        with Client(server.url) as client:
            assert len(client.bots("/long/")) == count


# ---------------------------------------------------------------------------------- from a site


def test_bots_of_a_page(server: Server, client: Client) -> None:
    """A page's chatbots are told by its URL or by its path; a page without any has none."""
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
    ("page", "kind"),
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
def test_bad_addresses(page: Any, kind: Type[Exception], server: Server, client: Client) -> None:
    """What is no page's address is refused before anything is sent, by both who take one."""
    with pytest.raises(kind, match="page"):
        client.bots(page)
    with pytest.raises(kind, match="page"):
        Client.from_page(page)
    assert server.requests == []


def test_a_page_that_is_not_there(server: Server, client: Client) -> None:
    """A page that cannot be had is an error which names its address."""
    with pytest.raises(NotFoundError) as caught:
        client.bots("/none/")
    assert caught.value.route == server.url + "/none/"
    server.answers(500, route="/broken/")
    with pytest.raises(StatusError):
        Client.from_page(server.url + "/broken/")


def test_a_page_that_has_moved(server: Server, client: Client) -> None:
    """A page that has moved on its site is followed, and one that has left it is not."""
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
def test_clients_of_all_sites(version: str, options: Any) -> None:
    """A client from a page talks to its chatbot wherever the REST API is, old sites too."""
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
    """A client of a site finds its REST API, or an old site's nonce, by the front page."""
    with Server(**options) as site:
        site.page("/", bots=["default"])
        with Client(site.url) as client:
            assert client.chat("Hi") == "Echo(1 msgs): Hi"
            before = len(site.requests)
            client.chat("Hi")
            assert len(site.requests) == before + 1


def test_a_site_without_links() -> None:
    """Without Link and link, ``?rest_route=`` is tried, as for a site without permalinks."""
    with Server(permalinks=False) as site:
        site.answers(200, body="<html></html>", route="/")
        with Client(site.url) as client:
            assert client.chat("Hi") == "Echo(1 msgs): Hi"


def test_a_site_without_ai_engine(server: Server) -> None:
    """A site that has no REST API anywhere is told as the first address was answered."""
    for _ in range(2):
        server.answers(404, route="start_session")
    with Client(server.url) as client:
        with pytest.raises(NotFoundError, match=r"AI Engine 2\.4\.4 or newer"):
            client.chat("Hi")
        assert client._transport.root == server.url + "/wp-json"
        assert client.chat("Hi")


def test_an_old_site_whose_front_page_has_no_chatbot() -> None:
    """Of an old site the nonce is only in pages with chatbots; from_page finds it there."""
    with Server(version="2.4.3") as site:
        site.page("/chat/", bots=["default"])
        with Client(site.url) as client, pytest.raises(NotFoundError, match="rest_no_route"):
            client.chat("Hi")
        with Client.from_page(site.url + "/chat/") as client:
            assert client.chat("Hi")


def test_custom_bots(server: Server) -> None:
    """A bot that a page defines is asked by its custom id alone."""
    server.bot("mine", custom=True)
    server.page("/chat/", bots=["mine"])
    with Client.from_page(server.url + "/chat/", model=None) as client:
        assert client.chat("Hi")
    fields: Any = server.questions[0].json
    assert (fields["botId"], fields["customId"]) == (None, "mine")


@pytest.mark.parametrize("way", ["messages", "prompt"])
def test_too_long(way: str, server: Server) -> None:
    """What is longer than the bot takes is refused before sending, counted as the site counts."""
    server.bot("short", max_length=20)
    server.page("/chat/", bots=["short"])
    with Client.from_page(server.url + "/chat/", history=way) as client:
        assert client.chat("\U0001f389" * 20)
        assert client.chat(" " + "x" * 20 + "\n")
        asked = len(server.requests)
        with pytest.raises(ValueError, match="the message has 21 characters; the bot takes 20"):
            client.chat("x" * 21)
        assert len(server.requests) == asked
        history: Any = [{"role": "user", "content": "y" * 15}]
        if way == "messages":
            assert client.chat("z", messages=history)
        else:
            with pytest.raises(ValueError, match="the bot takes 20 at most"):
                client.chat("z", messages=history)


def test_no_such_chatbot(server: Server) -> None:
    """A page without the chatbot that was asked for is a ValueError which says how many it has."""
    server.page("/chat/", bots=["default"])
    with pytest.raises(ValueError, match="the page has 0 chatbots; there is no number 0"):
        Client.from_page(server.url + "/")
    with pytest.raises(ValueError, match="the page has 1 chatbots; there is no number 1"):
        Client.from_page(server.url + "/chat/", 1)


@pytest.mark.parametrize(
    ("index", "options", "kind"),
    [
        (-1, {}, ValueError),
        ("0", {}, TypeError),
        (0, {"sites": 1}, TypeError),
        (0, {"retries": -1}, ValueError),
    ],
)
def test_bad_options(index: Any, options: Any, kind: Type[Exception], server: Server) -> None:
    """Wrong options are refused before the page is asked for."""
    with pytest.raises(kind):
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
    """A page's chatbot that lives on another site is listed, and no client is made of it."""
    server.page("/chat/", html=element({"botId": "a", "restUrl": root}))
    with Client(server.url) as client:
        assert len(client.bots("/chat/")) == 1
    with pytest.raises(ValueError, match="the chatbot belongs to another site"):
        Client.from_page(server.url + "/chat/")
    assert server.questions == []


def test_a_pickled_client_knows_its_page() -> None:
    """A copy of a client from a page has its limit, start sentence and nonce's place."""
    with Server(version="2.4.3", permalinks=False) as site:
        site.bot("short", max_length=20)
        site.page("/chat/", bots=["short"])
        with Client.from_page(site.url + "/chat/") as client:
            again = pickle.loads(pickle.dumps(client))
        with again:
            assert again.chat("Hi") == "Echo(1 msgs): Hi"
            assert len(again.conversation().messages) == 1
            with pytest.raises(ValueError, match="the bot takes 20"):
                again.chat("x" * 21)


def test_html_where_a_page_is_not(server: Server, client: Client) -> None:
    """A page of any kind is read as one; an empty one has no chatbot."""
    server.answers(200, body=b"\xff\xfe\x00binary", route="/a/")
    assert client.bots("/a/") == []
    server.answers(200, body="", route="/a/")
    assert client.bots("/a/") == []
    server.writes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<div", route="/a/")
    server.page("/a/", bots=["default"])
    assert len(client.bots("/a/")) == 1  # the broken one is asked for again


def test_errors_of_pages_are_ours(server: Server, client: Client) -> None:
    """Whatever stands in the way of a page is one of the package's errors."""
    with Client("http://127.0.0.1:1", retries=0) as lost, pytest.raises(ChatGPT4OnlineError):
        lost.bots("/")
