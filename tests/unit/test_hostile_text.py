"""Text that a site may send to slow down or break a parser."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Callable, Dict

import pytest

from chatgpt4online import ChatGPT4OnlineError
from chatgpt4online._http import connection, cookies
from chatgpt4online._protocol import (
    advice,
    answers,
    events,
    failures,
    fields,
    headers,
    page,
    prelude,
    public_api,
    routes,
)

#: A reference to a character whose number is too large.
HUGE = "&#" + "9" * 4900 + ";"


def error(text: str) -> ChatGPT4OnlineError:
    """Return the error for a response with this text in its headers and its body."""
    values = {"x-request-id": text, "retry-after": text}
    return failures.error_from_response(
        500, values, text, now=0.0, request_info=advice.UNKNOWN_REQUEST
    )


def parsed(html: str) -> page.Page:
    """Return a page with this HTML."""
    return page.parse_page(html, "https://a.example/", "", lambda: None)


#: The parsers of a site's text, among them each that has a regular expression.
PARSERS: Dict[str, Callable[[str], Any]] = {
    "message": fields.plain_text,
    "page": parsed,
    "page attribute": lambda text: parsed(
        f"<div class='mwai-chatbot-container' data-system='{text}'>"
    ),
    "page title": lambda text: failures.page_error(
        200, {}, f"<title>{text}</title>", now=0.0, request_info=advice.UNKNOWN_REQUEST
    ),
    "error": error,
    "JSON error": lambda text: error(f'{{"code":"x","message":"{text}"}}'),
    "reply error": lambda text: failures.reply_error(fields.plain_text(text)),
    "redirect": lambda text: failures.redirect_error(302, text),
    "link header": headers.linked_root,
    "event": lambda text: events.parse_event(f'{{"type":"error","data":"{text}"}}'),
    "reply": lambda text: answers.parse_reply({"success": False, "message": text}, "", ""),
    "start of an answer": lambda text: prelude.find_start(text.encode(), ended=True),
    "start in a line": lambda text: prelude.find_start(f"x{text}".encode(), ended=True),
    "cookie": lambda text: cookies._repaired(f"a=b; max-age={text}x; expires={text}"),
    "Keep-Alive": lambda text: connection.announced_timeout(f"timeout={text}"),
    "nonce": answers.parse_nonce,
    "number": fields.as_count,
    "time": fields.as_time,
    "image": lambda text: public_api.parse_api_image({"data": text}),
    "site of a root": routes.site_of,
    "named root": lambda text: routes.named_root(text, "https://a.example/"),
}

HOSTILE = {
    "huge reference": HUGE * 100,
    "huge hexadecimal reference": "&#x" + "f" * 4900 + ";",
    "images": "![" * 100_000,
    "links": "![](" * 100_000,
    "roots": "https://a.example" + "/?rest_route=" * 20_000 + "\n",
    "index roots": "/index.php?rest_route=" * 20_000 + "\n",
    "tags": "<a" * 100_000,
    "closed tags": "<a x=" * 50_000 + ">",
    "comments": "<!--" * 50_000,
    "title": "<title" * 50_000,
    "references": "&" * 200_000,
    "named references": "&a" * 100_000,
    "link parameters": "<>;a=" * 50_000,
    "quoted parameters": '<>;a="' * 40_000,
    "data": "data:" * 13_000 + "x" * 400_000,
    "objects": "data:{" * 60_000,
    "events": 'data:{"type":' * 20_000,
    "answers": '{"code":' * 30_000,
    "keys": '{"a' * 60_000,
    "braces": "{" * 200_000,
    "brackets": "[" * 200_000,
    "quotes": '"' * 200_000,
    "backslashes": "\\" * 200_000,
    "blanks": " \t" * 100_000,
    "lines": "\n" * 200_000,
    "digits": "1" * 200_000,
    "tildes": "~" * 200_000 + "`",
}


@pytest.mark.timeout(10)  # quadratic time would take minutes
@pytest.mark.parametrize("parser", PARSERS)
def test_hostile_text_is_parsed_in_linear_time(parser: str) -> None:
    """Hostile text is parsed in linear time, and raises nothing but the package's errors."""
    for name, text in HOSTILE.items():
        print(name)  # noqa: T201 - the last one is shown if this fails
        with suppress(ChatGPT4OnlineError):
            PARSERS[parser](text)


def test_a_huge_reference_is_a_replacement_character() -> None:
    """A reference to a character that cannot exist becomes U+FFFD."""
    assert fields.plain_text(f"a {HUGE[:50]}; b &amp; &#65;") == "a \ufffd b & A"


def bot_name(html: str) -> Any:
    """Return the name of a page's only bot."""
    (bot,) = parsed(html).bots
    return bot.name


#: The places from which a site's text is unescaped.
PLACES: Dict[str, Callable[[str], Any]] = {
    "error event": lambda text: events.parse_event(f'{{"type":"error","data":"{text}"}}'),
    "JSON message": lambda text: error(f'{{"code":"x","message":"{text}"}}').args[0],
    "JSON code": lambda text: error(f'{{"code":"{text}","message":"x"}}').args[0],
    "page title": lambda text: error(f"<title>{text}</title>").args[0],
    "page for an answer": PARSERS["page title"],
    "X-Request-Id": lambda text: vars(error(text))["request_id"],
    "page attribute": lambda text: bot_name(
        f"<div class='mwai-chatbot-container' data-params='{{\"aiName\":\"{text}\"}}'>"
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_huge_reference_in_any_place(place: str) -> None:
    """Wherever a site puts a reference with thousands of digits, it becomes U+FFFD."""
    for text in ("&#{};", "&#{}", "&#x{};", "&#X{}"):
        assert "\ufffd" in str(PLACES[place]("a " + text.format("9" * 4500))), text
