"""
Write a chatbot's answer to a file from cron: silently, or with an exit status if it fails.

    15 6 * * *  CHATGPT4ONLINE_SITE=https://example.com python cron_report.py tip.txt "A tip?"

The exit statuses follow sysexits.h: 75 for a temporary failure, 69 for a site that does not answer
properly, 78 for wrong settings. The file is replaced atomically, and only by a complete answer.
"""

from __future__ import annotations

import sys
from pathlib import Path

from chatgpt4online import (
    AuthError,
    ChatGPT4OnlineError,
    Client,
    NotFoundError,
    RateLimitError,
    ServerError,
    TransportError,
)

OK, USAGE, UNAVAILABLE, TEMPORARY, MISCONFIGURED = 0, 64, 69, 75, 78


def write(target: Path, question: str) -> None:
    """Ask the question and replace the file with the answer."""
    with Client(deadline=300) as client:
        reply = client.chat(question)
    temporary = target.with_name(f".{target.name}.new")
    temporary.write_text(f"{reply}\n", encoding="utf-8")
    temporary.replace(target)


def status(error: ChatGPT4OnlineError) -> int:
    """Return the exit status for an error."""
    if isinstance(error, (TransportError, RateLimitError, ServerError)):
        return TEMPORARY
    return MISCONFIGURED if isinstance(error, (AuthError, NotFoundError)) else UNAVAILABLE


def main() -> int:
    """Run the program and return its exit status."""
    if len(sys.argv) != 3:
        print(f"usage: {sys.argv[0]} FILE QUESTION", file=sys.stderr)
        return USAGE
    try:
        write(Path(sys.argv[1]), sys.argv[2])
    except ChatGPT4OnlineError as error:
        print(error, file=sys.stderr)  # cron mails it to you
        return status(error)
    return OK


if __name__ == "__main__":
    sys.exit(main())
