"""Drafts for a helpdesk, written by a site's chatbot."""

from __future__ import annotations

from typing import NamedTuple

from chatgpt4online import ChatGPT4OnlineError, Client, RateLimitError

MAX_LENGTH = 500

NO_DRAFT = "Thank you for your message. We will answer it within a day."


class Draft(NamedTuple):
    """The text that a colleague sees, and whether the chatbot wrote it."""

    text: str
    is_written: bool


class Helpdesk:
    """
    Drafts answers to tickets.

    Args:
        client: the client for the chatbot.
        patience: the time limit for a draft, in seconds.
    """

    def __init__(self, client: Client, patience: float = 30.0) -> None:
        self._client = client
        self._patience = patience
        self.is_paused = False

    def draft(self, ticket: str) -> Draft:
        """Return the chatbot's draft, or a default text if there is none in time."""
        if self.is_paused:
            return Draft(NO_DRAFT, is_written=False)
        try:
            reply = self._client.chat(ticket[:MAX_LENGTH], deadline=self._patience)
        except RateLimitError:
            self.is_paused = True
        except ChatGPT4OnlineError:
            pass  # the next ticket may succeed
        else:
            if reply:
                return Draft(str(reply), is_written=True)
        return Draft(NO_DRAFT, is_written=False)
