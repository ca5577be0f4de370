"""The example programs for many messages work against the embedded site."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support.programs import needs, run

from chatgpt4online.testing import Server


def test_translate_csv(server: Server, tmp_path: Path) -> None:
    """The translator fills a column, reports failures, and repeats only those in the next run."""
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("id,text\n1,Good morning\n2,Good night\n", encoding="utf-8")
    server.fails("Too tired.")
    first = run(server, "translate_csv.py", source, target, "text", "French")
    assert first.returncode == 1
    assert "Too tired." in first.stderr
    assert len(server.questions) == 2
    second = run(server, "translate_csv.py", source, target, "text", "French")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert len(server.questions) == 3
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["1", "2"]
    assert [row["French"].endswith(row["text"]) for row in rows] == [True, True]


def test_summarise_folder(server: Server, tmp_path: Path) -> None:
    """The summariser prints a line per file, in the order of the file names."""
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text(f"All about {name}.", encoding="utf-8")
    server.says("It is about a letter.")
    server.says("It is about a letter.")
    done = run(server, "summarise_folder.py", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "a.txt: It is about a letter.",
        "b.txt: It is about a letter.",
    ]
    assert all("All about" in request.json["newMessage"] for request in server.questions)


@needs("distributed")
def test_ask_on_a_cluster(server: Server) -> None:
    """The cluster's answers are printed in order."""
    done = run(server, "ask_on_a_cluster.py", "Who?", "Why?")
    assert done.stdout.splitlines() == ["Echo(1 msgs): Who?", "Echo(1 msgs): Why?"]
    assert done.returncode == 0


@needs("requests_ratelimiter")
def test_ask_politely(server: Server) -> None:
    """The rate-limited program prints the answers in order."""
    done = run(server, "ask_politely.py", "Who?", "Why?")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["Echo(1 msgs): Who?", "Echo(1 msgs): Why?"]


@pytest.mark.parametrize("name", ["translate_csv.py", "summarise_folder.py"])
def test_usage(server: Server, name: str) -> None:
    """Without its arguments, a program prints its usage."""
    done = run(server, name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("usage: ")
