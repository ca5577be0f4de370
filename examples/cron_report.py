"""
Write a chatbot's answer to a file, from cron: silent when all is well, with a status when not.

    15 6 * * *  CHATGPT4ONLINE_SITE=https://example.com python cron_report.py tip.txt "A tip?"

The statuses are those of sysexits.h: 75 means that another try may help, 69 that the site is not
what it was, 78 that the settings are wrong. The file is replaced in one step, by a whole answer
only.
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

DONE, USAGE, UNAVAILABLE, TRY_AGAIN, MISCONFIGURED = 0, 64, 69, 75, 78


def write(target: Path, question: str) -> None:
    """Ask, and put the answer in the place of the file."""
    with Client(deadline=300) as client:
        reply = client.chat(question)
    beside = target.with_name(f".{target.name}.new")
    beside.write_text(f"{reply}\n", encoding="utf-8")
    beside.replace(target)


def status(error: ChatGPT4OnlineError) -> int:
    """Return the exit status that tells what kind of failure it is."""
    if isinstance(error, (TransportError, RateLimitError, ServerError)):
        return TRY_AGAIN
    return MISCONFIGURED if isinstance(error, (AuthError, NotFoundError)) else UNAVAILABLE


def main() -> int:
    """Do what the command line says, and return the exit status."""
    if len(sys.argv) != 3:
        print(f"usage: {sys.argv[0]} FILE QUESTION", file=sys.stderr)
        return USAGE
    try:
        write(Path(sys.argv[1]), sys.argv[2])
    except ChatGPT4OnlineError as error:
        print(error, file=sys.stderr)  # which cron mails to you
        return status(error)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
