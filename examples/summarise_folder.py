"""
Print a one-sentence summary of each text in a folder, sorted by file name.

    CHATGPT4ONLINE_SITE=https://example.com python summarise_folder.py texts/

Files are read only when needed, so the folder may be of any size.
"""

from __future__ import annotations

import sys
from pathlib import Path

from chatgpt4online import Client


def question(path: Path) -> str:
    """Return the question for a text."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return f"Summarise this text in one sentence:\n\n{text}"


def main(folder: Path) -> int:
    """Print a line for each text; return 0 if all were answered."""
    paths = sorted(folder.glob("*.txt"))
    failed = False
    with Client() as client:
        for outcome in client.map(map(question, paths)):
            failed = failed or outcome.error is not None
            print(f"{paths[outcome.index].name}: {outcome.error or outcome.reply}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    sys.exit(main(Path(sys.argv[1])))
