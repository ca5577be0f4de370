"""Text that a site may send to hold up, or break, what reads it."""

from __future__ import annotations

from typing import Any, Callable, Dict

import pytest

from chatgpt4online._protocol import fields, page, public_api, routes

#: A reference to a character that has no number like this.
HUGE = "&#" + "9" * 4900 + ";"

#: What a site's text meets, by what it stands for.
READERS: Dict[str, Callable[[str], Any]] = {
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


@pytest.mark.timeout(10)  # quadratic time would be minutes
@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("reader", READERS)
def test_hostile_text_is_read_in_linear_time(reader: str, text: str) -> None:
    """Whatever the text, reading it raises nothing, and takes no quadratic time."""
    READERS[reader](HOSTILE[text])


def test_a_huge_reference_is_a_replacement_character() -> None:
    """A reference to a character that cannot exist shows as U+FFFD."""
    assert fields.plain_text(f"a {HUGE[:50]}; b &amp; &#65;") == "a \ufffd b & A"


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://a.example/wp-json", "https://a.example"),
        ("https://a.example/blog/wp-json/", "https://a.example/blog"),
        ("https://a.example/?rest_route=", "https://a.example"),
        ("https://a.example/b/index.php?rest_route=/", "https://a.example/b"),
        ("https://a.example/page", "https://a.example"),
    ],
)
def test_site_of(url: str, site: str) -> None:
    """A REST root, in each of its forms, belongs to the site above it."""
    assert routes.site_of(url) == site
