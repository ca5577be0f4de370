"""
Ask a chatbot about the errors in a log, and print its answer as it arrives.

    journalctl -b -p err | CHATGPT4ONLINE_SITE=https://example.com python triage_log.py

The first word of the answer says whether there is a problem. If not, the program stops reading. The
exit status is 1 if somebody should look, 2 if the chatbot did not answer.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Iterable

from chatgpt4online import ChatGPT4OnlineError, Client, Stream

QUESTION = """\
These are the most frequent errors in a log, with their counts. If nothing needs to be done, begin \
your answer with OK. Otherwise, begin with LOOK and say in three sentences what to look at.

"""

MAX_LINES = 20


def question(lines: Iterable[str]) -> str:
    """Return the question with the most frequent lines, ignoring differences in numbers."""
    kinds = Counter(re.sub(r"\d+", "#", line.strip()) for line in lines if line.strip())
    return QUESTION + "\n".join(f"{count} x {line}" for line, count in kinds.most_common(MAX_LINES))


def is_fine(stream: Stream) -> bool:
    """Read an answer up to its first word; return whether that is OK."""
    while len(stream.text.lstrip()) < len("LOOK") and next(stream, None):
        pass
    return stream.text.lstrip().startswith("OK")


def triage() -> int:
    """Print the answer unless all is fine; return 1 if somebody should look."""
    with Client() as client, client.stream(question(sys.stdin)) as stream:
        if is_fine(stream):
            return 0
        print(stream.text, end="", flush=True)
        for delta in stream:
            print(delta, end="", flush=True)
        print()
    return 1


def main() -> int:
    """Run the program and return its exit status."""
    try:
        return triage()
    except ChatGPT4OnlineError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
