"""Any page and any Link header can be parsed, and a chatbot's fields come out unchanged."""

from __future__ import annotations

import json
from html import escape
from typing import Any, Dict
from urllib.parse import urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from chatgpt4online import Bot
from chatgpt4online._protocol.page import Page, parse_page

URL = "https://example.com/chat/"

#: Fragments close to what the parser looks for.
PARTS = st.sampled_from(
    [
        "<div class='mwai-chatbot-container'",
        " data-system='",
        ' data-params="',
        "'>",
        '">',
        "<link rel='https://api.w.org/' href='",
        '{"restUrl":"',
        '"}',
        "{&quot;botId&quot;:1}",
        "http://[",
        "//",
        "<!--",
        "-->",
        "<![CDATA[",
        "<script>",
        "</script>",
        "&#x110000;",
        "\ud83d",
        "\0",
    ]
)
LINKS = st.lists(
    st.one_of(st.sampled_from(["<", ">", ";", "rel=", '"', "https://api.w.org/", ","]), st.text()),
    max_size=10,
).map("".join)
VALUES: Any = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(), inner)),
    max_leaves=3,
)
SYSTEM = st.fixed_dictionaries(
    dict.fromkeys(("botId", "customId", "contextId", "restUrl", "restNonce"), VALUES)
)
PARAMS = st.fixed_dictionaries(
    dict.fromkeys(("mode", "startSentence", "textInputMaxLength", "aiName"), VALUES)
)
#: An element of a chatbot, whose attributes are JSON or nearly so.
ELEMENTS = st.builds(
    "<div class='mwai-chatbot-container' data-system='{}' data-params=\"{}\">".format,
    st.one_of(SYSTEM.map(json.dumps).map(escape), PARTS),
    st.one_of(PARAMS.map(json.dumps).map(escape), PARTS),
)
ROOTS = st.builds(
    "<link rel='https://api.w.org/' href='{}'>".format,
    st.one_of(st.sampled_from(["/wp-json/", "http://[", "//b.example/?rest_route=/"]), st.text()),
)
HTML = st.lists(st.one_of(PARTS, st.text(max_size=5), ELEMENTS, ROOTS), max_size=20).map("".join)


def parsed(html: str, link: str = "") -> Page:
    """Return the parsed page at `URL`."""
    return parse_page(html, URL, link, lambda: None)


def check_bot(bot: Bot) -> None:
    """Check the types of a chatbot's fields."""
    for text in (bot.id, bot.custom_id, bot.rest_url, bot.mode, bot.start_sentence, bot.name):
        assert text is None or isinstance(text, str)
    for number in (bot.context_id, bot.max_length):
        assert number is None or (type(number) is int and number >= 0)
    assert urlsplit(bot.site).scheme in ("http", "https")
    assert bot.rest_url is None or urlsplit(bot.rest_url).hostname


@given(HTML, LINKS)
@example("<link rel='https://api.w.org/' href='http://['>", "")
@example("", '<http://[>; rel="https://api.w.org/"')
def test_any_page(html: str, link: str) -> None:
    """Any page and any Link header can be parsed."""
    page = parsed(html, link)
    for bot in page.bots:
        check_bot(bot)
    assert page.rest_root is None or urlsplit(page.rest_root).hostname


@given(SYSTEM, PARAMS, st.sampled_from("'\""))
def test_any_json(system: Dict[str, Any], params: Dict[str, Any], quote: str) -> None:
    """An element with any JSON is one chatbot, whose fields have the right types."""
    first, second = (quote + escape(json.dumps(each)) + quote for each in (system, params))
    html = f"<div class='mwai-chatbot-container' data-system={first} data-params={second}>"
    (bot,) = parsed(html).bots
    check_bot(bot)


TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1)


@given(TEXTS, TEXTS, st.integers(1, 10**9))
def test_fields_are_unchanged(bot_id: str, sentence: str, limit: int) -> None:
    """Any text in the attributes comes out unchanged."""
    system = escape(json.dumps({"botId": bot_id}))
    params = escape(json.dumps({"startSentence": sentence, "textInputMaxLength": limit}))
    html = f"<p><div data-params='{params}' data-system='{system}' class='mwai-chatbot-container'>"
    (bot,) = parsed(html).bots
    assert (bot.id, bot.start_sentence, bot.max_length) == (bot_id, sentence, limit)
