"""Text that a site may send to slow down or break a parser."""

from __future__ import annotations

from typing import Any, Callable, Dict

import pytest

from chatgpt4online._protocol import fields, page, public_api, routes

#: A reference to a character whose number is too large.
HUGE = "&#" + "9" * 4900 + ";"

#: The parsers of a site's text.
PARSERS: Dict[str, Callable[[str], Any]] = {
    "message": fields.plain_text,
    "page": lambda text: page.parse_page(text, "https://a.example/"),
    "page attribute": lambda text: page.parse_page(
        f"<div class='mwai-chatbot-container' data-system='{text}'>", "https://a.example/"
    ),
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
    "title": "<title" * 50_000,
    "references": "&" * 200_000,
}


@pytest.mark.timeout(10)  # quadratic time would take minutes
@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("parser", PARSERS)
def test_hostile_text_is_parsed_in_linear_time(parser: str, text: str) -> None:
    """Hostile text is parsed in linear time and raises nothing."""
    PARSERS[parser](HOSTILE[text])


def test_a_huge_reference_is_a_replacement_character() -> None:
    """A reference to a character that cannot exist becomes U+FFFD."""
    assert fields.plain_text(f"a {HUGE[:50]}; b &amp; &#65;") == "a \ufffd b & A"
