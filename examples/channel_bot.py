"""
A bot for a team chat: one conversation a channel, told by events, as Slack and others send them.

    CHATGPT4ONLINE_SITE=https://example.com python channel_bot.py < events.jsonl

An event is {"channel": ..., "text": ...}, a line of JSON; so is each answer. In your own program
the events come from the chat's library, and `post` calls it.
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from typing import Callable, Dict, Iterable

from chatgpt4online import ChatGPT4OnlineError, Client, Conversation

CHANNELS_REMEMBERED = 1000

Post = Callable[[str, str], None]


class Bot:
    """Answers events, each in the conversation of its channel; the oldest are forgotten."""

    def __init__(self, client: Client, post: Post) -> None:
        self._client = client
        self._post = post
        self._talks: OrderedDict[str, Conversation] = OrderedDict()

    def run(self, events: Iterable[Dict[str, str]]) -> None:
        """Answer all events, in their order. One that fails stops no other."""
        for event in events:
            channel, text = event["channel"], event["text"].strip()
            if text == "/new":
                self._talks.pop(channel, None)
            elif text:
                self._post(channel, self._answer(channel, text))

    def _answer(self, channel: str, text: str) -> str:
        try:
            return self._talk(channel).chat(text, deadline=60) or "(The answer has no text.)"
        except ChatGPT4OnlineError as error:
            print(f"{channel}: {error}", file=sys.stderr)
            return "Sorry, I cannot answer now. Please ask again later."

    def _talk(self, channel: str) -> Conversation:
        if channel not in self._talks:
            self._talks[channel] = self._client.conversation(system="Answer in one paragraph.")
        self._talks.move_to_end(channel)
        if len(self._talks) > CHANNELS_REMEMBERED:
            self._talks.popitem(last=False)
        return self._talks[channel]


def post(channel: str, text: str) -> None:
    """Post an answer: here, print it."""
    print(json.dumps({"channel": channel, "text": text}), flush=True)


if __name__ == "__main__":
    with Client() as client:
        Bot(client, post).run(map(json.loads, sys.stdin))
