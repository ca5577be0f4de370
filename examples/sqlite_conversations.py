"""
Answer one question of one user, whose conversation is kept in SQLite.

    CHATGPT4ONLINE_SITE=https://example.com python sqlite_conversations.py talks.db ada "Who?"

Each run goes on where the user's last run stopped, as each request of a web service would.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing

from chatgpt4online import Client, Conversation

TABLE = "CREATE TABLE IF NOT EXISTS talk (user TEXT PRIMARY KEY, state TEXT NOT NULL)"


def load(database: sqlite3.Connection, user: str, client: Client) -> Conversation:
    """Return the user's conversation, or a new one."""
    row = database.execute("SELECT state FROM talk WHERE user = ?", (user,)).fetchone()
    if row is None:
        return client.conversation(system="Answer in one paragraph.")
    return Conversation.from_dict(json.loads(row[0]), client)


def save(database: sqlite3.Connection, user: str, talk: Conversation) -> None:
    """Store the user's conversation."""
    with database:
        state = json.dumps(talk.to_dict())
        database.execute("REPLACE INTO talk (user, state) VALUES (?, ?)", (user, state))


def main(path: str, user: str, question: str) -> None:
    """Print the answer. A question that fails raises, and leaves the conversation as it was."""
    with closing(sqlite3.connect(path)) as database, Client(deadline=120) as client:
        database.execute(TABLE)
        talk = load(database, user, client)
        print(talk.chat(question))
        save(database, user, talk)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} DATABASE USER QUESTION")
    main(*sys.argv[1:])
