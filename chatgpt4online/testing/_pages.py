"""The site's pages, with the chatbots that they show."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import count
from typing import Any, Dict, List, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from ._bots import Bot, Bots
from ._http import Answer, Request
from ._model import php_json
from ._place import Place
from ._wordpress import GUEST, Nonces, html_answer, with_headers


@dataclass(frozen=True)
class Page:
    """One page: the bots on it, or the whole of its HTML."""

    id: int
    bots: Sequence[str] = ()
    html: Optional[str] = None


class Pages:
    """The pages of a site; it has an empty one at its address."""

    def __init__(self, place: Place, bots: Bots, nonces: Nonces) -> None:
        self._place = place
        self._bots = bots
        self._nonces = nonces
        self._ids = count(4)
        self._pages = {"/": Page(2)}

    def add(self, path: str, bots: Sequence[str], html: Optional[str]) -> None:
        """Add a page, or replace the one at its path."""
        self._pages[path] = Page(next(self._ids), bots, html)

    def answer(self, request: Request) -> Answer:
        """Return the page that a request names."""
        path = urlsplit(request.path).path[len(self._place.path) :]
        page = self._pages.get(path) if request.method in ("GET", "HEAD") else None
        if page is None:
            return with_headers(html_answer(self._html([]), 404), [("Link", self._place.link)])
        text = page.html
        if text is None:
            text = self._html([self._element(self._bots.render(bot), page) for bot in page.bots])
        return with_headers(html_answer(text), self._links(page))

    def _links(self, page: Page) -> List[Tuple[str, str]]:
        alternate = f'<{self._place.rest_url}/wp/v2/pages/{page.id}>; rel="alternate"'
        return [
            ("Link", self._place.link),
            ("Link", f'{alternate}; type="application/json"'),
            ("Link", f"<{self._place.url}/?p={page.id}>; rel=shortlink"),
        ]

    def _html(self, elements: Sequence[str]) -> str:
        head = f'<link rel="https://api.w.org/" href="{self._place.rest_url}/" />'
        body = "\n".join(elements)
        return f"<!doctype html><html><head>{head}</head><body>\n{body}\n</body></html>\n"

    def _element(self, bot: Bot, page: Page) -> str:
        parts = {
            "params": self._params(bot),
            "system": self._system(bot, page),
            "theme": {**_THEME, **self._style()},
        }
        attributes = "".join(
            f" data-{name}='{escape(php_json(part).decode())}'" for name, part in parts.items()
        )
        return f"<div class='mwai-chatbot-container'{attributes}></div>"

    def _params(self, bot: Bot) -> Dict[str, Any]:
        widget = self._place.profile.widget
        return {
            **({"customId": bot.id} if bot.custom else {}),
            **_PARAMS,
            **widget,
            **({"mode": bot.mode} if "mode" in widget else {}),
            "textInputMaxLength": bot.max_length or 0,
            "startSentence": bot.start_sentence,
        }

    def _system(self, bot: Bot, page: Page) -> Dict[str, Any]:
        profile = self._place.profile
        return {
            "botId": None if bot.custom else _loosened(bot.id),
            "customId": _loosened(bot.id) if bot.custom else None,
            "userData": None,
            "sessionId": profile.page_session,
            "restNonce": self._nonces.issue(GUEST) if profile.page_nonce else None,
            "contextId": page.id,
            "pluginUrl": self._place.url + _PLUGIN,
            "restUrl": self._place.rest_url,
            "stream": True,
            "debugMode": False,
            "speech_recognition": False,
            "speech_synthesis": False,
            "typewriter": False,
            **profile.system,
        }

    def _style(self) -> Dict[str, str]:
        if not self._place.profile.style_sheets:
            return {}
        return {"cssUrl": f"{self._place.url}{_PLUGIN}/themes/chatgpt.css"}


def _loosened(name: str) -> Any:
    """Return an id as the plugin prints it: one of digits alone becomes a number."""
    return int(name) if name.isdecimal() else name


_PLUGIN = "/wp-content/plugins/ai-engine"

_THEME = {
    "type": "internal",
    "name": "ChatGPT",
    "themeId": "chatgpt",
    "settings": [],
    "style": "",
}

_PARAMS = {
    "aiName": "AI: ",
    "userName": "User: ",
    "guestName": "Guest: ",
    "textSend": "Send",
    "textClear": "Clear",
    "imageUpload": True,
    "textInputPlaceholder": "Type your message...",
    "textCompliance": "",
    "localMemory": True,
    "themeId": "chatgpt",
    "window": False,
    "icon": "",
    "iconText": "",
    "iconTextDelay": 1,
    "iconAlt": "AI Engine Chatbot",
    "iconPosition": "bottom-right",
    "iconBubble": False,
    "fullscreen": False,
    "copyButton": False,
}
