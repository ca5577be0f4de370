"""The chatbots of the site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional

from ._place import Place
from ._wordpress import HALF_DAY, Call

GREETING = "Hi! How can I help you?"


@dataclass(frozen=True)
class Bot:
    """One chatbot; ``custom`` if a page defines it instead of the site's settings."""

    id: str
    name: str
    mode: str = "chat"
    max_length: Optional[int] = None
    start_sentence: str = GREETING
    custom: bool = False

    @property
    def model(self) -> str:
        """The model that answers."""
        return "gpt-image-1.5" if self.mode == "images" else "fake-1"


class Bots:
    """The site's chatbots, by their ids; custom ones are forgotten a day after they were seen."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._bots = {"default": Bot("default", "Default")}
        self._custom: Dict[str, Bot] = {}
        self._rendered: Dict[str, float] = {}

    def add(self, bot: Bot) -> None:
        """Add a bot, or replace the one that has its id."""
        (self._custom if bot.custom else self._bots)[bot.id] = bot

    def listed(self) -> List[Bot]:
        """Return the bots in the site's settings."""
        return list(self._bots.values())

    def __contains__(self, name: str) -> bool:
        return name in self._bots or name in self._custom

    def render(self, name: str) -> Bot:
        """Return a bot for a page, which makes a custom one known for a day."""
        self._rendered[name] = self._place.clock.now()
        return self._custom.get(name) or self._bots[name]

    def find(self, call: Call) -> Optional[Bot]:
        """Return the bot that a request is for."""
        custom = self._custom.get(call.text("customId"))
        if custom and self._age(custom) < 2 * HALF_DAY:
            return custom
        return self.named(call.text("botId"))

    def named(self, name: str) -> Optional[Bot]:
        """Return the bot of an id, or what the version takes instead."""
        fallback = "default" if self._place.profile.unknown_bot_is_default else ""
        return self._bots.get(name) or self._bots.get(fallback)

    def _age(self, bot: Bot) -> float:
        """Return the seconds since a page last showed a custom bot."""
        return self._place.clock.now() - self._rendered.get(bot.id, float("-inf"))
