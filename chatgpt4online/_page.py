"""
Chatbots in the HTML of a page. Pure: text in, values out; nothing of a page is run.

Source: AI Engine 1.4.1 to 3.6.2 print an element with the class ``mwai-chatbot-container`` for each
chatbot, whose attributes ``data-params`` and ``data-system`` hold JSON.
"""

from __future__ import annotations

import re
from contextlib import suppress
from html.parser import HTMLParser
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from . import _wire
from .errors import ProtocolError
from .types import Bot

_CHATBOT = "mwai-chatbot-container"
_REST_ROOT = "https://api.w.org/"
#: One link of a Link header, with its parameters (RFC 8288).
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[a-z*]+\s*=\s*(?:"[^"]*"|[^\s";,]+))*)', re.IGNORECASE)


class Page(NamedTuple):
    """What a page tells: chatbots, the REST root, a nonce; None where it does not."""

    bots: Tuple[Bot, ...]
    rest_root: Optional[str]
    nonce: Optional[str]


class _Reader(HTMLParser):
    """Collects the attributes of the chatbots, and the link to the REST root."""

    def __init__(self, check: Callable[[], object]) -> None:
        super().__init__(convert_charrefs=True)
        self._check = check
        self.chatbots: List[Dict[str, str]] = []
        self.rest_root: Optional[str] = None

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        """Look at one element."""
        self._check()
        fields = {name: value or "" for name, value in attrs}
        if _CHATBOT in fields.get("class", "").split():
            self.chatbots.append(fields)
        elif tag == "link" and _REST_ROOT in fields.get("rel", "").split():
            self.rest_root = self.rest_root or fields.get("href")

    def _pass(self, *_: Any, **__: Any) -> None:
        self._check()  # broken HTML can be millions of these

    handle_endtag = handle_data = handle_comment = handle_decl = handle_pi = unknown_decl = _pass


def read(html: str, url: str, link_header: str = "", check: Callable[[], object] = bool) -> Page:
    """
    Return what a page tells.

    Args:
        html: the page.
        url: where it was found.
        link_header: its ``Link`` header, whose REST root goes before the page's own.
        check: called again and again while the page is read; what it raises ends that.
    """
    reader = _Reader(check)
    # Older parsers give up on some broken pages; what they have read by then counts.
    with suppress(AssertionError, NotImplementedError):
        reader.feed(html)
    rest_root = _wire.named_root(_linked(link_header) or reader.rest_root, url)
    systems = [(_json(each, "data-system"), _json(each, "data-params")) for each in reader.chatbots]
    bots = tuple(_wire.bot(system, params, url, rest_root) for system, params in systems)
    nonces = [_wire.nonce(system.get("restNonce")) for system, _ in systems]
    return Page(bots, rest_root, next(filter(None, nonces), None))


def _linked(header: str) -> Optional[str]:
    for target, parameters in _LINK.findall(header):
        if re.search(rf'rel\s*=\s*"?{re.escape(_REST_ROOT)}"?', parameters, re.IGNORECASE):
            return str(target)
    return None


def _json(attributes: Dict[str, str], name: str) -> Dict[str, Any]:
    try:
        value = _wire.parse_json(attributes.get(name, "{}"))
    except ProtocolError:
        return {}
    return value if isinstance(value, dict) else {}
