"""
Translate a column of a CSV file, and resume if interrupted.

    CHATGPT4ONLINE_SITE=https://example.com python translate_csv.py in.csv out.csv text French

Each translation is saved in out.csv.journal as soon as it arrives. After Ctrl-C, a crash or a
failure, run the program again: it asks only for what is missing.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from chatgpt4online import Client


def main(source: Path, target: Path, column: str, language: str) -> int:
    """Write the translated table; return 0 if every row was translated."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    questions = [f"Translate into {language}, and say nothing else: {row[column]}" for row in rows]
    failures = 0
    with Client() as client:
        for outcome in client.map(questions, journal=f"{target}.journal"):
            if not outcome.ok:
                failures += 1
                reason = outcome.error or "the reply is empty"
                print(f"row {outcome.index + 1}: {reason}", file=sys.stderr)
            rows[outcome.index][language] = outcome.reply or ""
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0] if rows else [column, language])
        writer.writeheader()
        writer.writerows(rows)
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(f"usage: {sys.argv[0]} IN.csv OUT.csv COLUMN LANGUAGE")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
