"""The example programs for single tasks work against the embedded site."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from support import wait_for
from support.programs import EXAMPLES, needs, run

from chatgpt4online.testing import Server

# ------------------------------------------------------------------------------------------ flask


@pytest.fixture
def visitor(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a Flask test client of the example application."""
    pytest.importorskip("flask")
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", server.url)
    spec = importlib.util.spec_from_file_location("flask_view", EXAMPLES / "flask_view.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.client:
        yield module.app.test_client()


def test_a_view_answers(visitor: Any, server: Server) -> None:
    """The Flask application answers in JSON and as a stream, with a single nonce."""
    assert visitor.post("/ask", data={"question": "Hi"}).get_json()["answer"] == "Echo(1 msgs): Hi"
    server.says("Good ", "morning")
    streamed = visitor.post("/stream", data={"question": "Hello"})
    assert list(streamed.response) == [b"Good ", b"morning"]
    assert streamed.headers["X-Accel-Buffering"] == "no"
    assert len(server.requests) == 3


def test_a_visitor_disconnects(visitor: Any, server: Server) -> None:
    """Closing a response before its end closes the stream behind it."""
    server.stalls(after=("Well",))
    response = visitor.post("/stream", data={"question": "Hello"}, buffered=False)
    assert next(iter(response.response)) == b"Well"
    response.close()
    wait_for(lambda: not server.open_connections)


def test_a_view_distinguishes_failures(visitor: Any, server: Server) -> None:
    """The status says whose fault a failure is, and its text reveals nothing about the site."""
    assert visitor.post("/ask", data={"question": " "}).status_code == 400
    server.fails("The key sk-123 is wrong.")
    failed = visitor.post("/stream", data={"question": "Hello"})
    assert (failed.status_code, "sk-123" in failed.text) == (502, False)
    server.answers(429)
    assert visitor.post("/ask", data={"question": "Hello"}).status_code == 429


# ----------------------------------------------------------------------------------------- django


def describe(server: Server, shop: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the Django command on a shop's database."""
    return run(server, "django_command.py", "--no-color", *options, DATABASE=str(shop))


def descriptions(shop: Path) -> Dict[str, str]:
    """Return the names and descriptions of a shop's products."""
    with closing(sqlite3.connect(str(shop))) as database:
        return dict(database.execute("SELECT name, description FROM product"))


@needs("django")
def test_a_django_command(server: Server, tmp_path: Path) -> None:
    """The command fills empty descriptions, keeps others, and reports failures by its status."""
    shop = tmp_path / "shop.sqlite3"
    with closing(sqlite3.connect(str(shop))) as database:
        database.execute("CREATE TABLE product (id INTEGER PRIMARY KEY, name, description)")
        rows = [("cup", ""), ("hat", "Warm."), ("pen", "")]
        database.executemany("INSERT INTO product (name, description) VALUES (?, ?)", rows)
        database.commit()
    server.fails("Too tired.")
    first = describe(server, shop, "--limit", "1")
    assert (first.returncode, first.stdout) == (1, "")
    assert "Too tired." in first.stderr
    second = describe(server, shop)
    assert (second.returncode, second.stderr) == (0, "")
    assert descriptions(shop) == {
        "cup": "Echo(1 msgs): Describe in one sentence: cup",
        "hat": "Warm.",
        "pen": "Echo(1 msgs): Describe in one sentence: pen",
    }


VISIT = """
import sys
sys.path.insert(0, sys.argv[1])
from django_view import create_table
from django.test import Client
create_table()
ada, bob = Client(), Client()
for visitor, question in (ada, "One"), (bob, "Hi"), (ada, "Two"), (ada, " "), (ada, "No"):
    answer = visitor.post("/ask", {"question": question})
    print(answer.status_code, *answer.json().values())
"""


@needs("django")
def test_a_django_view(server: Server, tmp_path: Path) -> None:
    """Each visitor goes on with their own conversation, read from a JSONField with all it had."""
    for answer in "123":
        server.says(answer)
    server.fails("The key sk-123 is wrong.")
    done = subprocess.run(
        [sys.executable, "-c", VISIT, str(EXAMPLES)],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "CHATGPT4ONLINE_SITE": server.url, "DATABASE": str(tmp_path / "db")},
    )
    assert done.stdout.splitlines() == [
        "200 1",
        "200 2",
        "200 3",
        "400 the message is empty",
        "502 The chatbot cannot answer now.",
    ], done.stderr
    first, other, second, _ = (question.json for question in server.questions)
    assert [len(each["messages"]) for each in (first, other, second)] == [0, 0, 2]
    assert second["previousResponseId"] == "cmpl-1"
    assert first["chatId"] == second["chatId"] != other["chatId"]


# --------------------------------------------------------------------------------- other programs


def test_conversations_in_sqlite(server: Server, tmp_path: Path) -> None:
    """Each user's conversation is continued by the next run; a failed question changes nothing."""
    database = tmp_path / "talks.db"
    words = [("ada", "One"), ("bob", "Hi"), ("ada", "Two")]
    runs = [run(server, "sqlite_conversations.py", database, *each) for each in words]
    assert [done.stdout for done in runs] == [
        "Echo(1 msgs): One\n",
        "Echo(1 msgs): Hi\n",
        "Echo(3 msgs): Two\n",
    ]
    assert server.questions[-1].json["previousResponseId"] == "cmpl-1"
    server.fails("Too tired.")
    assert run(server, "sqlite_conversations.py", database, "ada", "Three").returncode == 1
    done = run(server, "sqlite_conversations.py", database, "ada", "Three")
    assert done.stdout == "Echo(5 msgs): Three\n"


def test_a_channel_bot(server: Server) -> None:
    """Each channel has its own conversation; a failure is reported and does not stop the bot."""
    texts = ["One", "Two", "Three", "/new", "Four", "Five"]
    for answer in ("1", "2", "3", "4"):
        server.says(answer)
    server.fails("Too tired.")
    events = [{"channel": channel, "text": text} for channel, text in zip("abaaab", texts)]
    done = run(server, "channel_bot.py", typed="\n".join(map(json.dumps, events)))
    posts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [post["channel"] for post in posts] == ["a", "b", "a", "a", "b"]
    assert [post["text"] for post in posts[:4]] == ["1", "2", "3", "4"]
    assert posts[4]["text"].startswith("Sorry")
    assert "Too tired." in done.stderr
    assert [len(question.json["messages"]) for question in server.questions] == [1, 1, 3, 1, 3]


def test_a_cron_job(server: Server, tmp_path: Path) -> None:
    """The job prints nothing on success; on failure it keeps the old file and sets the status."""
    target = tmp_path / "tip.txt"
    server.says("Drink water.")
    done = run(server, "cron_report.py", target, "A tip?")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert target.read_text(encoding="utf-8") == "Drink water.\n"
    server.cuts("Drink ")
    failed = run(server, "cron_report.py", target, "A tip?")
    assert (failed.returncode, failed.stdout, bool(failed.stderr)) == (69, "", True)
    server.answers(503)
    assert run(server, "cron_report.py", target, "A tip?").returncode == 75
    assert [path.name for path in tmp_path.iterdir()] == ["tip.txt"]
    assert target.read_text(encoding="utf-8") == "Drink water.\n"


def test_questions_about_images(server: Server, tmp_path: Path) -> None:
    """Each image is uploaded with the question and then deleted; failures are in the table."""
    cat = tmp_path / "cat.png"
    cat.write_bytes(b"\x89PNG\r\n\x1a\n")
    server.says("A cat, asleep.")
    done = run(server, "ask_about_images.py", "What is it?", cat, tmp_path / "dog.png")
    (heading, first, second) = csv.reader(done.stdout.splitlines())
    assert heading == ["picture", "answer", "error"]
    assert first == [str(cat), "A cat, asleep.", ""]
    assert second[:2] == [str(tmp_path / "dog.png"), ""]
    assert (done.returncode, bool(second[2])) == (1, True)
    assert server.requests[-1].path.endswith("files/delete")


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (["LO", "OK at the disk: ", "it is full."], "LOOK at the disk: it is full.\n"),
        (["Hm"], "Hm\n"),
    ],
)
def test_triage(server: Server, answer: List[str], shown: str) -> None:
    """An answer other than OK is printed; lines that differ only in numbers count as equal."""
    server.says(*answer)
    log = "disk sda1 is full\ndisk sda2 is full\n\nfan is slow\n"
    done = run(server, "triage_log.py", typed=log)
    assert (done.returncode, done.stdout, done.stderr) == (1, shown, "")
    question = server.questions[0].json["newMessage"]
    assert question.endswith("2 x disk sda# is full\n1 x fan is slow")


def test_triage_of_a_healthy_log(server: Server) -> None:
    """If the answer begins with OK, the program does not wait for the rest."""
    server.stalls(after=("O", "K, all "))
    done = run(server, "triage_log.py", typed="fan is slow")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_triage_without_an_answer(server: Server) -> None:
    """A failure is not a verdict: it has a status of its own."""
    server.fails("Too tired.")
    done = run(server, "triage_log.py", typed="fan is slow")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Too tired." in done.stderr


@pytest.mark.parametrize(
    "name", ["cron_report.py", "ask_about_images.py", "sqlite_conversations.py"]
)
def test_usage(server: Server, name: str) -> None:
    """Without its arguments, a program prints its usage."""
    done = run(server, name)
    assert (done.returncode == 0, done.stdout) == (False, "")
    assert done.stderr.startswith("usage: ")
