"""
A bot for a team chat such as Slack, with one conversation per channel.

    CHATGPT4ONLINE_SITE=https://example.com python channel_bot.py < events.jsonl

Each input line is an event, {"channel": ..., "text": ...}; each output line is an answer in the
same format. In your own program, the events come from the chat's library, and `post` calls it.
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from typing import Callable, Dict, Iterable

from chatgpt4online import ChatGPT4OnlineError, Client, Conversation

MAX_CHANNELS = 1000

Post = Callable[[str, str], None]


class Bot:
    """Answers each event in its channel's conversation; drops the least recently used ones."""

    def __init__(self, client: Client, post: Post) -> None:
        self._client = client
        self._post = post
        self._talks: OrderedDict[str, Conversation] = OrderedDict()

    def run(self, events: Iterable[Dict[str, str]]) -> None:
        """Answer all events in order. A failure does not stop the others."""
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
        if len(self._talks) > MAX_CHANNELS:
            self._talks.popitem(last=False)
        return self._talks[channel]


def post(channel: str, text: str) -> None:
    """Post an answer; here, print it."""
    print(json.dumps({"channel": channel, "text": text}), flush=True)


if __name__ == "__main__":
    with Client() as client:
        Bot(client, post).run(map(json.loads, sys.stdin))
