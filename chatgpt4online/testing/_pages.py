"""The pages of the site, with the chatbots that they show."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import count
from typing import Any, Dict, List, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from ._bots import Bot, Bots
from ._config import SiteConfig
from ._http import HTTPResponse, Request
from ._php import php_json
from ._responses import NO_CACHE, front_end_page, html_response, with_headers
from ._users import GUEST, Nonces


@dataclass(frozen=True)
class Page:
    """One page: the ids of the bots on it, or its complete HTML."""

    id: int
    bots: Sequence[str] = ()
    html: Optional[str] = None


class Pages:
    """
    The pages of a site; it begins with an empty front page.

    Source: AI Engine 3.6.2, 3.3.9 and 2.4.7, data-params, data-system and data-theme of
    mwai-chatbot-container; WordPress core, Link header and element.
    """

    def __init__(self, config: SiteConfig, bots: Bots, nonces: Nonces) -> None:
        self._config = config
        self._profile = config.profile
        self._bots = bots
        self._nonces = nonces
        self._ids = count(4)
        self._pages = {"/": Page(2)}

    def add(self, path: str, bots: Sequence[str], html: Optional[str]) -> None:
        """Add a page, or replace the one at its path."""
        self._pages[path] = Page(next(self._ids), bots, html)

    def respond(self, request: Request) -> HTTPResponse:
        """Return the response for the page that a request names; 404 if there is none."""
        target = urlsplit(request.path)
        if not f"{target.path}/".startswith(f"{self._config.path}/"):
            return front_end_page(404)  # outside the directory that WordPress is installed in
        path = target.path[len(self._config.path) :]
        pages = self._pages if request.method in ("GET", "HEAD") else {}
        page = pages.get(path)
        if page is None and f"{path}/" in pages:
            return self._redirect(target._replace(path=f"{target.path}/").geturl())
        if page is None:
            fields = [("Link", self._config.link_header), *NO_CACHE]
            return with_headers(html_response(self._html([]), 404), fields)
        html = page.html
        if html is None:
            html = self._html([self._element(self._bots.render(bot), page) for bot in page.bots])
        return with_headers(html_response(html), self._links(page))

    def _redirect(self, target: str) -> HTTPResponse:
        origin = self._config.url[: len(self._config.url) - len(self._config.path)]
        fields = [("X-Redirect-By", "WordPress"), ("Location", origin + target)]
        return with_headers(html_response("", 301), fields)

    def _links(self, page: Page) -> List[Tuple[str, str]]:
        alternate = f'<{self._config.rest_url}/wp/v2/pages/{page.id}>; rel="alternate"'
        return [
            ("Link", self._config.link_header),
            ("Link", f'{alternate}; type="application/json"'),
            ("Link", f"<{self._config.url}/?p={page.id}>; rel=shortlink"),
        ]

    def _html(self, elements: Sequence[str]) -> str:
        head = f'<link rel="https://api.w.org/" href="{self._config.rest_url}/" />'
        body = "\n".join(elements)
        return f"<!doctype html><html><head>{head}</head><body>\n{body}\n</body></html>\n"

    def _element(self, bot: Bot, page: Page) -> str:
        data = {
            "params": self._params(bot),
            "system": self._system(bot, page),
            "theme": {**_THEME, **self._theme_css()},
        }
        attributes = "".join(
            f" data-{name}='{escape(php_json(value).decode())}'" for name, value in data.items()
        )
        return f"<div class='mwai-chatbot-container'{attributes}></div>"

    def _params(self, bot: Bot) -> Dict[str, Any]:
        params = self._profile.params
        return {
            **({"customId": bot.id} if bot.custom else {}),
            **_PARAMS,
            **params,
            **({"mode": bot.mode} if "mode" in params else {}),
            "textInputMaxLength": bot.max_length or 0,
            "startSentence": bot.start_sentence,
        }

    def _system(self, bot: Bot, page: Page) -> Dict[str, Any]:
        return {
            "botId": None if bot.custom else _printed_id(bot.id),
            "customId": _printed_id(bot.id) if bot.custom else None,
            "userData": None,
            "sessionId": self._profile.page_session_id,
            "restNonce": self._nonces.issue(GUEST) if self._profile.page_nonce else None,
            "contextId": page.id,
            "pluginUrl": self._config.url + _PLUGIN,
            "restUrl": self._config.rest_url,
            "stream": True,
            "debugMode": False,
            "speech_recognition": False,
            "speech_synthesis": False,
            "typewriter": False,
            **self._profile.system,
        }

    def _theme_css(self) -> Dict[str, str]:
        if not self._profile.theme_css:
            return {}
        return {"cssUrl": f"{self._config.url}{_PLUGIN}/themes/chatgpt.css"}


def _printed_id(bot_id: str) -> Any:
    """Return an id as the plugin prints it into pages: an id of digits becomes a number."""
    return int(bot_id) if bot_id.isdecimal() else bot_id


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
