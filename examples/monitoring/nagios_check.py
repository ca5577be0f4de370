"""
Check a chatbot as a Nagios plugin: one line of text, and an exit status from 0 to 3.

    python nagios_check.py https://example.com "When are you open?" "nine|9 am"

The exit statuses are 0 (OK), 1 (WARNING), 2 (CRITICAL) and 3 (UNKNOWN, for wrong arguments).
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import NoReturn, Tuple

from chatgpt4online import Client, Health

OK, WARNING, CRITICAL, UNKNOWN = range(4)
NAMES = ["OK", "WARNING", "CRITICAL", "UNKNOWN"]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UNKNOWN, since argparse's own status 2 means CRITICAL."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and exit."""
        print(f"{NAMES[UNKNOWN]} - {message}")
        sys.exit(UNKNOWN)


def judge(health: Health, options: argparse.Namespace) -> Tuple[int, str]:
    """Return the exit status and what to say."""
    reply = health.reply
    if not health or reply is None:
        return CRITICAL, health.checks[-1].detail
    if not re.search(options.expected, reply):
        return CRITICAL, f"unexpected answer: {reply[:80]!r}"
    seconds = reply.seconds or 0.0
    if seconds > options.critical:
        return CRITICAL, f"the answer took {seconds:.1f} s"
    warnings = [check.detail for check in health.checks if check.level == "warning"]
    if seconds > options.warning:
        warnings.append(f"the answer took {seconds:.1f} s")
    return (WARNING, "; ".join(warnings)) if warnings else (OK, f"answered in {seconds:.1f} s")


def main() -> int:
    """Run the program and return its exit status."""
    parser = Parser(description="Check a chatbot.")
    parser.add_argument("site")
    parser.add_argument("question")
    parser.add_argument("expected", help="what the answer contains, as a regex")
    parser.add_argument("--warning", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--critical", type=float, default=30.0, metavar="SECONDS")
    options = parser.parse_args()
    try:
        re.compile(options.expected)
        with Client(options.site, deadline=2 * options.critical) as client:
            health = client.check(ask=options.question)
    except (ValueError, re.error) as error:
        parser.error(str(error))
    status, text = judge(health, options)
    seconds = None if health.reply is None else health.reply.seconds
    numbers = "" if seconds is None else f" | seconds={seconds:.2f}s"
    # A vertical bar separates the text from the numbers that Nagios plots.
    print(f"{NAMES[status]} - {text.replace('|', '/')}{numbers}")
    return status


if __name__ == "__main__":
    sys.exit(main())
