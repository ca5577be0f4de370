"""
The chatbots, the REST root and the nonce in a page's HTML. No script of the page runs.

Source: for each chatbot, AI Engine 1.4.1 to 3.6.2 prints an element with the class
``mwai-chatbot-container``, whose attributes ``data-params`` and ``data-system`` contain JSON.
"""

from __future__ import annotations

from contextlib import suppress
from html.parser import HTMLParser
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from chatgpt4online.errors import ProtocolError
from chatgpt4online.types import Bot

from .answers import parse_bot, parse_page_nonce
from .fields import as_dict, parse_json, without_long_references
from .headers import REST_ROOT_REL, linked_root
from .routes import named_root

_CHATBOT = "mwai-chatbot-container"


class Page(NamedTuple):
    """A parsed page: its chatbots, the REST root and a nonce, or None for what is missing."""

    bots: Tuple[Bot, ...]
    rest_root: Optional[str]
    nonce: Optional[str]


def parse_page(html: str, url: str, link_header: str, checkpoint: Callable[[], object]) -> Page:
    """
    Parse a page.

    Args:
        html: the HTML of the page.
        url: its URL.
        link_header: its ``Link`` header, whose REST root takes precedence over the HTML's.
        checkpoint: called for each piece of the page; an exception from it ends the parsing.
    """
    reader = _Reader(checkpoint)
    # Older parsers raise for some broken pages; what they have read until then counts.
    with suppress(AssertionError, NotImplementedError):
        reader.feed(without_long_references(html))
    rest_root = named_root(linked_root(link_header) or reader.rest_root, url)
    systems = [_json(element, "data-system") for element in reader.chatbots]
    params = [_json(element, "data-params") for element in reader.chatbots]
    bots = tuple(parse_bot(*fields, url, rest_root) for fields in zip(systems, params))
    roots = filter(None, [rest_root, *(bot.rest_url for bot in bots)])
    nonces = filter(None, map(parse_page_nonce, systems))
    return Page(bots, next(roots, None), next(nonces, None))


class _Reader(HTMLParser):
    """Collects the attributes of the chatbots' elements and the link to the REST root."""

    def __init__(self, checkpoint: Callable[[], object]) -> None:
        super().__init__(convert_charrefs=True)
        self._checkpoint = checkpoint
        self.chatbots: List[Dict[str, str]] = []
        self.rest_root: Optional[str] = None

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        """Collect from one element."""
        self._checkpoint()
        fields = {name: value or "" for name, value in attrs}
        if _CHATBOT in fields.get("class", "").split():
            self.chatbots.append(fields)
        elif tag == "link" and REST_ROOT_REL in fields.get("rel", "").split():
            self.rest_root = self.rest_root or fields.get("href")

    def _pass(self, *_: Any, **__: Any) -> None:
        self._checkpoint()  # a broken page can consist of millions of these

    handle_endtag = handle_data = handle_comment = handle_decl = handle_pi = unknown_decl = _pass


def _json(element: Dict[str, str], name: str) -> Dict[str, Any]:
    try:
        return as_dict(parse_json(element.get(name, "{}")))
    except ProtocolError:
        return {}
