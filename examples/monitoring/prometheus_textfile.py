"""
Check chatbots and write the result as a text file for Prometheus's node exporter.

    python prometheus_textfile.py chatbots.prom https://example.com https://shop.example.com

Node exporter reads files named *.prom from its --collector.textfile.directory. The file is replaced
in one step, so that it is never read while it is half-written.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Dict, List

from chatgpt4online import Client

QUESTION = "Say hello."
LEVELS = ["ok", "warning", "failed"]
HELP = {
    "chatbot_level": "0 if all checks passed, 1 for a warning, 2 if one failed.",
    "chatbot_answer_seconds": "Seconds from the question to the end of the answer.",
    "chatbot_first_text_seconds": "Seconds from the question to the first text.",
    "chatbot_checked_timestamp_seconds": "When the chatbot was checked, in Unix seconds.",
}


def measure(site: str) -> Dict[str, float]:
    """Return the numbers of a site, by their names."""
    with Client(site, deadline=60) as client:
        health = client.check(ask=QUESTION)
    numbers = {
        "chatbot_level": float(LEVELS.index(health.level)),
        "chatbot_checked_timestamp_seconds": time.time(),
    }
    reply = health.reply
    if reply is not None and reply.seconds is not None:
        numbers["chatbot_answer_seconds"] = reply.seconds
    if reply is not None and reply.first_seconds is not None:
        numbers["chatbot_first_text_seconds"] = reply.first_seconds
    return numbers


def text_file(numbers: Dict[str, Dict[str, float]]) -> str:
    """Return the text of the file, from the numbers of each site."""
    lines: List[str] = []
    for name, words in HELP.items():
        lines += [f"# HELP {name} {words}", f"# TYPE {name} gauge"]
        lines += [
            f'{name}{{site="{site}"}} {of_site[name]:.3f}'
            for site, of_site in numbers.items()
            if name in of_site
        ]
    return "\n".join([*lines, ""])


def main() -> int:
    """Run the program and return its exit status."""
    if len(sys.argv) < 3:
        print(f"usage: {sys.argv[0]} FILE SITE...", file=sys.stderr)
        return 2
    target = Path(sys.argv[1])
    text = text_file({site: measure(site) for site in sys.argv[2:]})
    temporary = target.with_name(f".{target.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
