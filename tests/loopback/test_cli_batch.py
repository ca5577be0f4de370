"""The command ``batch``."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any, List

import pytest
from support import background
from support.commands import Run

from chatgpt4online import Outcome
from chatgpt4online.cli import batch
from chatgpt4online.testing import Server


def test_a_batch_of_lines(run: Run, server: Server, tmp_path: Path) -> None:
    """Each line is asked once; a second run asks only what failed."""
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\ufeffOne\n\nTwo\nThree\n", encoding="utf-8")
    server.answers(503)
    words = ["batch", str(source), "-o", str(out), "--site", server.url, "--workers", "1"]
    result = run(*words)
    assert result.status == 1
    assert "message 1: " in result.err
    assert "2 answered, 1 failed" in result.err
    assert run(*words).status == 0
    asked = [question.json["newMessage"] for question in server.questions]
    assert asked == ["One", "Two", "Three", "One"]


def test_a_batch_of_json(run: Run, server: Server, tmp_path: Path) -> None:
    """A JSON line is a string, an object with a message, or a list of messages."""
    messages = [{"role": "system", "content": "Hm"}, {"role": "user", "content": "C"}]
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(map(json.dumps, ["A\nb", {"message": "B"}, messages])))
    out = str(tmp_path / "out")
    result = run("batch", str(source), "-o", out, "--site", server.url, "--json")
    texts = {outcome["index"]: outcome["text"] for outcome in result.objects}
    assert texts == {0: "Echo(1 msgs): A\nb", 1: "Echo(1 msgs): B", 2: "Echo(1 msgs): C"}


def test_a_batch_from_standard_input(run: Run, server: Server, tmp_path: Path) -> None:
    """IN may be standard input, read as JSONL with --jsonl."""
    words = ["batch", "-", "-o", str(tmp_path / "out"), "--site", server.url]
    assert "2 answered" in run(*words, stdin="A\nB\n").err
    assert "1 answered" in run(*words, "--jsonl", stdin='"C"\n').err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_batch_from_a_named_pipe(run: Run, server: Server, tmp_path: Path) -> None:
    """IN may be a named pipe, as from ``<(...)`` in a shell, which can be read only once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    background(lambda: pipe.write_text("A\nB\n"))
    result = run("batch", str(pipe), "-o", str(tmp_path / "out"), "--site", server.url)
    assert "2 answered" in result.err


@pytest.mark.parametrize("line", ["7", '{"question": "A"}'])
def test_a_batch_with_an_invalid_line(run: Run, server: Server, tmp_path: Path, line: str) -> None:
    """An invalid line is a usage error that names its number."""
    words = ["batch", "-", "--jsonl", "-o", str(tmp_path / "out"), "--site", server.url]
    result = run(*words, stdin=f'"A"\n{line}\n')
    assert result.status == 2
    assert "line 2 of standard input: expected a string" in result.err


def test_a_batch_without_tqdm(
    run: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch works without tqdm, and prints at most five failures."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    server.limits(1)
    words = ["batch", "-", "-o", str(tmp_path / "out"), "--site", server.url]
    result = run(*words, stdin="A\n" * 10)
    assert result.err.count("message ") == 5
    assert "1 answered, 9 failed" in result.err


def test_an_interrupted_batch(
    run: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends a batch with status 130 and a line that says how to continue."""

    def interrupted() -> Any:
        yield "A"
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "_read_questions", lambda *_: interrupted())
    result = run("batch", "-", "-o", str(tmp_path / "out"), "--site", server.url)
    assert result.status == 130
    assert "Run the same command again to continue." in result.err


def rows(path: Path) -> List[Any]:
    """Return the outcomes in a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_json_rows(run: Run, server: Server, tmp_path: Path) -> None:
    """--json prints `Outcome.to_dict()`, for failures too, with the name and text of the error."""
    server.fails("No.", when="A")
    words = ["batch", "-", "-o", str(tmp_path / "out"), "--site", server.url, "--json"]
    failed, answered = sorted(run(*words, stdin="A\nB\n").objects, key=lambda row: row["index"])
    assert {*failed} == {*answered} == {*Outcome(0, None, "", None, None).to_dict()}
    assert (failed["error"], failed["text"]) == ("ReplyError", None)
    assert failed["error_message"].endswith("No.")
    assert answered["error"] is answered["error_message"] is None


def test_other_keys_are_passed_through(run: Run, server: Server, tmp_path: Path) -> None:
    """The other keys of a JSONL object are the `input` in OUT, on standard output, and again."""
    out = tmp_path / "out.jsonl"
    turns = [{"role": "user", "content": "B"}]
    given = [
        {"message": "A", "id": 7, "expect": "^Echo", "score": float("nan")},
        {"messages": turns, "id": "b"},
        {"message": "C"},
    ]
    words = ["batch", "-", "-o", str(out), "--site", server.url, "--jsonl", "--json", "--ordered"]
    stdin = "\n".join(map(json.dumps, given))
    printed = run(*words, stdin=stdin).objects
    for found in (printed, rows(out), run(*words, stdin=stdin).objects):
        assert [row.get("input") for row in found] == [
            {"id": 7, "expect": "^Echo", "score": None},
            {"id": "b"},
            None,
        ]
        assert [row["message"] for row in found] == ["A", turns, "C"]
    assert len(server.questions) == 3


def test_other_keys_may_be_nested_deeply() -> None:
    """However deep the other keys of a line are nested, the message is read or refused."""
    for depth in (*range(800, 1000), 5000):
        line = '{"message": "Hi", "x": ' + "[" * depth + "]" * depth + "}"
        with contextlib.suppress(RecursionError):
            assert batch._parse_json(line) == "Hi"


def test_the_system_prompt_of_a_batch(run: Run, server: Server, tmp_path: Path) -> None:
    """--system goes before each question of a batch, and --model goes with it."""
    out = tmp_path / "out.jsonl"
    lines = [{"message": "A", "id": 1}, [{"role": "user", "content": "B"}]]
    words = ["batch", "-", "-o", str(out), "--site", server.url, "--jsonl", "--model", "fake-1"]
    result = run(*words, "--system", "Hm.", stdin="\n".join(map(json.dumps, lines)))
    assert result.status == 0
    for question in server.questions:
        assert question.json["messages"][0]["content"] == "Hm."
        assert question.json["model"] == "fake-1"
    assert {row["message"][-1]["content"] for row in rows(out)} == {"A", "B"}
    assert {"id": 1} in [row.get("input") for row in rows(out)]


def test_ordered_outcomes(run: Run, server: Server, tmp_path: Path) -> None:
    """With --ordered, OUT has one line for each line of IN, in its order; others follow."""
    out = tmp_path / "out.jsonl"
    words = ["batch", "-", "-o", str(out), "--site", server.url, "--workers", "1"]
    run(*words, stdin="Old\nC\nA\n")
    server.fails("No.", when="B")
    run(*words, "--ordered", stdin="A\nB\nC\n")
    assert [row["message"] for row in rows(out)] == ["A", "B", "C", "Old"]
    assert rows(out)[1]["error"] == "ReplyError"
    result = run(*words, "--ordered", "--json", stdin="A\nB\nC\n")
    assert [row["message"] for row in rows(out)] == ["A", "B", "C", "Old"]
    assert [row["text"] for row in rows(out)][:3] == [row["text"] for row in result.objects]


def test_an_unusable_message_of_an_ordered_batch(run: Run, server: Server, tmp_path: Path) -> None:
    """A message that no journal can hold is a failure in an ordered batch as well."""
    stdin = json.dumps({"message": "\ud800"}) + "\n" + json.dumps("B")
    words = ["batch", "-", "-o", str(tmp_path / "out"), "--site", server.url, "--jsonl"]
    result = run(*words, "--ordered", stdin=stdin)
    assert "1 answered, 1 failed" in result.err


def test_an_empty_reply_is_a_failure(run: Run, server: Server, tmp_path: Path) -> None:
    """A reply without content counts as failed, as in the progress bar."""
    server.says("")
    words = ["batch", "-", "-o", str(tmp_path / "out"), "--site", server.url]
    result = run(*words, stdin="A\n")
    assert result.status == 1
    assert "message 1: the reply is empty" in result.err
    assert "0 answered, 1 failed" in result.err
    assert run(*words, stdin="A\n").status == 0


def test_an_undecodable_line(run: Run, server: Server, tmp_path: Path) -> None:
    """A line that is not UTF-8 is named by its number, and the lines before it are asked."""
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_bytes("One\n\nCafé\n".encode("windows-1252"))
    result = run("batch", str(source), "-o", str(out), "--site", server.url)
    assert result.status == 2
    assert f"line 3 of {source} is not valid UTF-8: byte 0xe9 at character 4." in result.err
    assert "codec" not in result.err
    assert [row["message"] for row in rows(out)] == ["One"]
