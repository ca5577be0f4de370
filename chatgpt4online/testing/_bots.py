"""The chatbots of the site: those in its settings and those that pages define."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional

from ._clock import HALF_DAY
from ._config import SiteConfig
from ._rest import RestRequest

DEFAULT_START_SENTENCE = "Hi! How can I help you?"

DEFAULT_MAX_LENGTH = 512  # of a message to a new bot

CUSTOM_BOT_LIFETIME = 2 * HALF_DAY  # from when its page was last rendered


@dataclass(frozen=True)
class Bot:
    """A chatbot; a custom one is defined by a page instead of the site's settings."""

    id: str
    name: str
    mode: str = "chat"
    max_length: Optional[int] = DEFAULT_MAX_LENGTH
    start_sentence: str = DEFAULT_START_SENTENCE
    custom: bool = False

    @property
    def model(self) -> str:
        """The name of the model that answers."""
        return "gpt-image-1.5" if self.mode == "images" else "fake-1"


class Bots:
    """
    The chatbots of a site, by id.

    Source: AI Engine 3.6.2 and 2.4.7, botId and customId of mwai-ui/v1/chats/submit.
    """

    def __init__(self, config: SiteConfig) -> None:
        self._config = config
        self._registered = {"default": Bot("default", "Default")}
        self._custom: Dict[str, Bot] = {}
        self._rendered: Dict[str, float] = {}

    def add(self, bot: Bot) -> None:
        """Add a bot, or replace the one with the same id."""
        (self._custom if bot.custom else self._registered)[bot.id] = bot

    def registered(self) -> List[Bot]:
        """Return the bots in the site's settings."""
        return list(self._registered.values())

    def __contains__(self, bot_id: str) -> bool:
        return bot_id in self._registered or bot_id in self._custom

    def render(self, bot_id: str) -> Bot:
        """Return a bot for a page; from now on the site knows a custom one for a day."""
        self._rendered[bot_id] = self._config.clock.now()
        return self._custom.get(bot_id) or self._registered[bot_id]

    def for_request(self, request: RestRequest) -> Optional[Bot]:
        """Return the bot that a request names, or the version's fallback; None if there is none."""
        custom = self._custom.get(request.text("customId"))
        if custom and self._since_rendered(custom) < CUSTOM_BOT_LIFETIME:
            return custom
        return self.find(request.text("botId"))

    def find(self, bot_id: str) -> Optional[Bot]:
        """Return the registered bot with an id, or the version's fallback; None without one."""
        fallback = "default" if self._config.profile.unknown_bot_is_default else ""
        return self._registered.get(bot_id) or self._registered.get(fallback)

    def _since_rendered(self, bot: Bot) -> float:
        return self._config.clock.now() - self._rendered.get(bot.id, float("-inf"))
