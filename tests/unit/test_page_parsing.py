"""Parsing of pages: their chatbots, the REST root, and hostile HTML."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest

from chatgpt4online import Bot
from chatgpt4online._protocol.page import Page, parse_page

WIRE = Path(__file__).parent.parent / "wire"
URL = "https://example.com/blog/chat/"
ROOT = "https://example.com/blog/wp-json"


def element(system: Any, params: Any = None, quote: str = "'", name: str = "div") -> str:
    """Return a chatbot's element as the plugin prints it, or with other quotes or another name."""
    parts = {"params": params or {}, "system": system}
    fields = [f"data-{key}={quote}{escape(json.dumps(each))}{quote}" for key, each in parts.items()]
    return f"<{name} class='mwai-chatbot-container' {' '.join(fields)}></{name}>"


def parsed(html: str, url: str, link: str) -> Page:
    """Return a parsed page."""
    return parse_page(html, url, link, lambda: None)


def bots(html: str, link: str = "") -> List[Bot]:
    """Return the chatbots of a page at `URL`."""
    return list(parsed(html, URL, link).bots)


def recorded(version: str, name: str) -> Any:
    """Return a recorded page of a real site: its HTML and its Link header."""
    exchange = json.loads((WIRE / version / f"page_{name}.json").read_text(encoding="utf-8"))
    response = exchange["response"]
    fields = [value for key, value in _pairs(response["headers"]) if key.lower() == "link"]
    return response["body"], ", ".join(fields)


def _pairs(headers: Any) -> Iterator[Any]:
    """Yield the names and values of recorded headers."""
    yield from headers.items() if isinstance(headers, dict) else headers


# ----------------------------------------------------------------------------------- recorded pages


@pytest.mark.parametrize("version", ["2.4.7", "3.6.2"])
def test_a_recorded_page(version: str) -> None:
    """Every field of the chatbot on a real page is parsed."""
    html, link = recorded(version, "chat_page")
    (bot,) = parsed(html, "http://localhost:8080/chat-page/", link).bots
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
    """All chatbots of real pages are found, and nothing else."""
    html, link = recorded(version, name)
    found = parsed(html, "http://localhost:8080/", link).bots
    assert len(found) == count
    assert all(bot.id or bot.custom_id for bot in found)
    assert not any(bot.id and bot.custom_id for bot in found)


# ------------------------------------------------------------------------------------------ parsing


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("name", ["div", "DIV", "section"])
def test_rewritten_elements(quote: str, name: str) -> None:
    """A chatbot is found even if an optimizer changed its element's quotes or name."""
    text = 'It\'s <b>\u00e9</b> & "so" on\n'
    html = element({"botId": "a"}, {"startSentence": text}, quote, name)
    (bot,) = bots(html)
    assert (bot.id, bot.start_sentence) == ("a", text)


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
def test_field_types(system: Any, params: Any, fields: Dict[str, Any]) -> None:
    """A page's numbers, strings and nulls are converted to the type of the field, or None."""
    (bot,) = bots(element(system, params))
    assert {name: getattr(bot, name) for name in fields} == fields


@pytest.mark.parametrize("data", ["", "{", "[1]", "null", "&quot;", "[" * 10_000])
def test_broken_attributes(data: str) -> None:
    """An element whose attributes are not JSON objects is a chatbot without known fields."""
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
    """No other element is taken for a chatbot."""
    assert bots(html) == []


def test_several() -> None:
    """Chatbots are in the order of the page; their elements may have other classes too."""
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
    """The REST root comes from the element, else the Link header, else the HTML; or is None."""
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
    """No page takes more than a few seconds to parse, or raises."""
    assert len(bots(html)) <= 1


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "link",
    ["<" * 60_000, "<a>" * 20_000, "<a>" + ";" * 60_000, "<a>;a=" * 10_000, "<a>" + " " * 60_000],
)
def test_hostile_headers(link: str) -> None:
    """No Link header takes more than a few seconds to parse, or raises."""
    assert parsed("", URL, link).rest_root is None
