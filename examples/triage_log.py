"""
Show a chatbot the errors of a log, and pass its opinion on while it is being written.

    journalctl -b -p err | CHATGPT4ONLINE_SITE=https://example.com python triage_log.py

The model says first how bad it is. If nothing is to be done, the rest of its answer is not waited
for. The exit status is 1 if somebody should look, 2 if the chatbot could not be asked.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Iterable

from chatgpt4online import ChatGPT4OnlineError, Client, Stream

QUESTION = """\
These lines of a log came so many times each. Answer with the first word OK if nothing is to be \
done, or else with the first word LOOK and what to look at, in three sentences.

"""

MOST = 20


def question(lines: Iterable[str]) -> str:
    """Return the question: the most frequent lines, told apart by their words alone."""
    kinds = Counter(re.sub(r"\d+", "#", line.strip()) for line in lines if line.strip())
    return QUESTION + "\n".join(f"{count} x {line}" for line, count in kinds.most_common(MOST))


def is_fine(stream: Stream) -> bool:
    """Read only so much of an answer as tells its first word."""
    while len(stream.text.lstrip()) < len("LOOK") and next(stream, None):
        pass
    return stream.text.lstrip().startswith("OK")


def triage() -> int:
    """Pass on what the model says, and return 1 if it wants somebody to look."""
    with Client() as client, client.stream(question(sys.stdin)) as stream:
        if is_fine(stream):
            return 0
        print(stream.text, end="", flush=True)
        for delta in stream:
            print(delta, end="", flush=True)
        print()
    return 1


def main() -> int:
    """Do it, and return the exit status."""
    try:
        return triage()
    except ChatGPT4OnlineError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
