"""Drafts for a helpdesk, written by a site's chatbot."""

from __future__ import annotations

from typing import NamedTuple

from chatgpt4online import ChatGPT4OnlineError, Client, RateLimitError

LONGEST = 500

NO_DRAFT = "Thank you for your message. We will answer it within a day."


class Draft(NamedTuple):
    """What a colleague sees: a text, and whether a chatbot wrote it."""

    text: str
    is_written: bool


class Helpdesk:
    """
    Drafts answers to tickets.

    Args:
        client: asks the chatbot.
        patience: the most seconds that a draft may take.
    """

    def __init__(self, client: Client, patience: float = 30.0) -> None:
        self._client = client
        self._patience = patience
        self.is_paused = False

    def draft(self, ticket: str) -> Draft:
        """Return a draft; a standing one where the chatbot has none, or not in time."""
        if self.is_paused:
            return Draft(NO_DRAFT, is_written=False)
        try:
            reply = self._client.chat(ticket[:LONGEST], deadline=self._patience)
        except RateLimitError:
            self.is_paused = True
        except ChatGPT4OnlineError:
            pass  # the next ticket may have more luck
        else:
            if reply:
                return Draft(str(reply), is_written=True)
        return Draft(NO_DRAFT, is_written=False)
