"""
List phrases that do not read well in the code, the docs and the tests, and what to write instead.

Names the files that git knows, or those given as arguments. A phrase may continue on the next line.
Exits with 1 if there is one. A phrase that is right somewhere gets a narrower pattern here.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List

ROOT = Path(__file__).resolve().parent.parent
THIS = Path(__file__).resolve()

#: A pattern for each phrase, in which a space also stands for a line break, and its replacement.
PHRASES = {
    r"at home elsewhere": "integrations",
    r"\bbeside\b": "next to, besides, in addition to",
    r"\bbut for\b(?! (?:a|an|the|each|every)\b)": "except",
    r"\b(?:did|does) not take\b(?! \w)": "was rejected",
    r"\bfor want of\b": "default for",
    r"\bhas it AI Engine\b": "is AI Engine installed",
    r"\bholds? no\b": "contains no, is empty",
    r"\bholds? half of\b": "contains a lone",
    r"\bin the moment (?:it|they|that)\b": "as they arrive",
    r"\b(?:is|are|was|were) told\b(?! (?:apart|from)\b)": "gets, is reported to",
    r"\bis it well\b": "health checks",
    r"\bis no (?:outcome|journal|turn|answer|page|list|str|dict)\b": "is not a",
    r"(?<!there\s)\bis (?-i:none)\b(?! of)": "is not a",
    r"\bmeets `": "gets",
    r"\bneeds? not\b": "does not have to",
    r"\bnobody needs to\b": "you rarely need this",
    r"\bone \w+ a (?:method|function|test|line)\b": "one per",
    r"\bshall\b": "should, must, will",
    r"\btakes us for\b": "you are authenticated as",
    r"\btells? of\b": "reports, says",
    r"\bthat is no\b(?! longer)": "that is not a",
    r"\bunder way\b": "in progress",
    r"\bwhat came is\b": "unexpected response",
    r"\bwhat is the question\b": "no question given",
    r"\b(?:by|for|from|in|of|on|to|with) (?:[\w`.]+ ){1,2}alone\b": "only, by itself",
}


def tracked() -> Iterator[Path]:
    """Yield the files with prose of ours that git knows."""
    listed = subprocess.run(
        ["git", "ls-files", "--", "*.py", "*.rst", "*.toml", "*.yml", "*.yaml", "Makefile"],
        check=True,
        cwd=str(ROOT),
        stdout=subprocess.PIPE,
        text=True,
    )
    return (ROOT / name for name in listed.stdout.splitlines())


def pattern(phrase: str) -> re.Pattern[str]:
    """Return a pattern that also finds a phrase in two lines of text or of a comment."""
    return re.compile(phrase.replace(" ", r"\s+(?:#\s*)?"), re.IGNORECASE)


def findings(text: str) -> Iterator[str]:
    """Yield what to change in a text, with the number of the line."""
    for phrase, better in PHRASES.items():
        for found in pattern(phrase).finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{line}: {' '.join(found.group().split())!r}: {better}"


def main(names: List[str]) -> bool:
    """Print the findings in some files, or in all; return whether there are any."""
    paths = [Path(name).resolve() for name in names] or tracked()
    found = [
        f"{path}:{finding}"
        for path in paths
        if path != THIS and path.exists()
        for finding in findings(path.read_text(encoding="utf-8"))
    ]
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
