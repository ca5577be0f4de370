"""
Ask the same question about many images, and print the answers as a CSV table.

    CHATGPT4ONLINE_SITE=https://example.com python ask_about_images.py "What is it?" *.jpg > out.csv

Each image is deleted from the site after its answer: anybody who knows its address could read it.
"""

from __future__ import annotations

import contextlib
import csv
import sys
from typing import List

from chatgpt4online import ChatGPT4OnlineError, Client


def ask(client: Client, question: str, path: str) -> str:
    """Upload an image, return the answer about it, and delete it again."""
    image = client.files.upload(path)
    try:
        return client.chat(question, files=[image])
    finally:
        with contextlib.suppress(ChatGPT4OnlineError):  # the site deletes it within the hour
            client.files.delete(image)


def row(client: Client, question: str, path: str) -> List[str]:
    """Return an image's path, the answer, and the error message."""
    try:
        return [path, ask(client, question, path), ""]
    except (ChatGPT4OnlineError, OSError) as error:
        return [path, "", str(error)]


def main(question: str, paths: List[str]) -> int:
    """Print a row for each image; return 0 if all were answered."""
    failed = False
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["picture", "answer", "error"])
    with Client() as client:
        for path in paths:
            cells = row(client, question, path)
            table.writerow(cells)
            failed = failed or bool(cells[-1])
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} QUESTION PICTURE...")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
