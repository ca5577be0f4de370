"""
Ask many questions, at most 20 per minute.

    CHATGPT4ONLINE_SITE=https://example.com python ask_politely.py "Who are you?" "And why?"
"""

from __future__ import annotations

import sys

from requests_ratelimiter import LimiterSession

from chatgpt4online import Client


def main() -> None:
    """Print an answer to each question on the command line."""
    with LimiterSession(per_minute=20) as session, Client(session=session) as client:
        for outcome in client.map(sys.argv[1:]):
            print(outcome.error or outcome.reply)


if __name__ == "__main__":
    main()
