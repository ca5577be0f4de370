"""The command ``check``: levels, expectations, several sites, JSON and exit statuses."""

from __future__ import annotations

from typing import List

import pytest
from support.commands import Run

from chatgpt4online._http import retry
from chatgpt4online.testing import Server

DOWN = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly wait between attempts to reach a site that is down."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)


def test_check(run: Run, server: Server) -> None:
    """`check` prints a line per step, asks nothing without --ask, and exits with 0."""
    result = run("check", server.url)
    assert result.status == 0
    assert [line.split()[0] for line in result.out.splitlines()] == ["ok"] * 4
    assert not server.questions
    assert run("check", DOWN).status == 1


def test_a_warning_is_no_failure(run: Run) -> None:
    """A warning leaves the exit status at 0."""
    with Server(prints="<br />Warning: x\n") as server:
        result = run("check", server.url)
    assert result.status == 0
    assert "warning  web server" in result.out


@pytest.mark.parametrize(
    ("words", "level", "line"),
    [
        (["--expect", "NINE"], "ok", "ok       expected      0.00 s  the answer contains NINE"),
        (["--expect", r"^At nine\.$"], "ok", "ok       expected"),
        (["--expect", "ten"], "failed", "the answer does not contain ten"),
        (["--max-seconds", "60"], "ok", "ok       in time"),
        (["--max-seconds", "0.001"], "failed", "failed   in time"),
    ],
)  # fmt: skip
def test_expectations(words: List[str], level: str, line: str, run: Run, server: Server) -> None:
    """An answer that is not as expected, or too late, fails the check."""
    server.says("At ", "nine.", pace=0.01)
    result = run("check", server.url, "--ask", "When do you open?", *words)
    assert line in result.out
    assert result.status == (level == "failed")


def test_a_failed_answer_is_not_judged(run: Run, server: Server) -> None:
    """Without an answer, there is nothing to expect of it."""
    server.fails("Too tired.")
    result = run("check", server.url, "--ask", "--expect", "nine", "--max-seconds", "5")
    assert result.status == 1
    assert "expected" not in result.out
    assert "in time" not in result.out


def test_json(run: Run, server: Server) -> None:
    """With --json, a site is one object with its level, its checks, and the whole answer."""
    text = "At nine, " * 20 + "or later."
    server.says(text)
    result = run("check", server.url, "--ask", "When?", "--expect", "never", "--json")
    (row,) = result.objects
    assert result.status == 1
    assert (row["site"], row["level"], row["text"]) == (server.url, "failed", text)
    assert 0 < row["first_seconds"] <= row["seconds"]
    assert row["checks"][0].keys() == {"name", "level", "detail", "seconds"}
    assert [each["name"] for each in row["checks"]][-3:] == ["answer", "streaming", "expected"]


def test_json_without_an_answer(run: Run) -> None:
    """If a check gets no answer, the answer's text and times are null in JSON."""
    (row,) = run("check", DOWN, "--ask", "--json").objects
    assert (row["level"], row["text"], row["seconds"]) == ("failed", None, None)
    assert row["first_seconds"] is None


def test_several_sites(run: Run, server: Server) -> None:
    """Each site is checked, whatever became of those before it; one failure sets the status."""
    with Server() as other:
        result = run("check", server.url, DOWN, other.url, "--ask")
        headings = [line for line in result.out.splitlines() if line.startswith("http")]
        assert headings == [server.url, DOWN, other.url]
        assert len(other.questions) == 1
    assert result.status == 1
    rows = run("check", server.url, DOWN, "--json").objects
    assert [(row["site"], row["level"]) for row in rows] == [(server.url, "ok"), (DOWN, "failed")]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["example.com", "--site", "example.com"], "not both"),
        (["a.test", "b.test", "--user", "ada"], "one by one"),
        (["--expect", "x"], "need --ask"),
        (["--max-seconds", "5"], "need --ask"),
        (["--ask", "Hi", "--max-seconds", "0"], "more than 0"),
        (["--ask", "Hi", "--max-seconds", "nan"], "more than 0"),
        (["--ask", "Hi", "--expect", "("], "not a regular expression"),
        (["a.test", "ftp://b.test"], "https://"),
    ],
)
def test_usage_errors(words: List[str], complaint: str, run: Run) -> None:
    """A usage error is one line, with exit status 2, before any site is asked."""
    result = run("check", *words)
    assert (result.status, result.out) == (2, "")
    assert complaint in result.err
