"""The programs that watch chatbots work against the embedded site."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, List, Tuple

import pytest
from support.programs import EXAMPLES, run

from chatgpt4online.testing import Server

NAGIOS = "monitoring/nagios_check.py"
PROMETHEUS = "monitoring/prometheus_textfile.py"
QUESTIONS = "test_known_questions.py"

# ----------------------------------------------------------------------------------------- nagios


def nagios(server: Server, *further: str) -> Tuple[int, str]:
    """Return the exit status and the line of the Nagios plugin."""
    done = run(server, NAGIOS, server.url, "When are you open?", "nine|9 am", *further)
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    return done.returncode, line


def test_nagios_ok(server: Server) -> None:
    """The expected answer ends the program with status 0, and its time is performance data."""
    server.says("At nine.")
    status, line = nagios(server)
    assert status == 0
    assert re.fullmatch(r"OK - answered in \d+\.\d s \| seconds=\d+\.\d\ds", line)


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--warning", "0.0001"], "took"), ([], "something prints 'Warning'")],
)
def test_nagios_warning(options: List[str], words: str) -> None:
    """A slow answer, or one that its owner should look at, ends the program with status 1."""
    with Server(prints="" if options else "Warning\n") as server:
        server.says("At nine.")
        status, line = nagios(server, *options)
    assert status == 1
    assert line.startswith("WARNING - ")
    assert words in line


def test_nagios_critical(server: Server) -> None:
    """Another answer, a late one and none at all end the program with status 2."""
    server.says("I do not | know.")
    status, line = nagios(server)
    assert status == 2
    assert line.startswith("CRITICAL - unexpected answer: 'I do not / know.' | seconds=")
    server.says("At ", "nine.", pace=0.3)
    assert nagios(server, "--critical", "0.5")[0] == 2
    server.fails("Too tired.")
    status, line = nagios(server)
    assert status == 2
    assert "Too tired." in line


@pytest.mark.parametrize("words", [[], ["ftp://example.com", "Hi", "nine"], ["a.test", "Hi", "("]])
def test_nagios_unknown(words: List[str], server: Server) -> None:
    """Wrong arguments end the program with status 3."""
    done = run(server, NAGIOS, *words)
    assert (done.returncode, done.stdout.split(" - ")[0]) == (3, "UNKNOWN")


# ------------------------------------------------------------------------------------- prometheus


def test_prometheus(server: Server, tmp_path: Path) -> None:
    """The file has each site's level, and the times of those that have answered."""
    target, down = tmp_path / "chatbots.prom", "http://127.0.0.1:9"
    done = run(server, PROMETHEUS, target, server.url, down)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = target.read_text(encoding="utf-8").splitlines()
    assert f'chatbot_level{{site="{server.url}"}} 0.000' in lines
    assert f'chatbot_level{{site="{down}"}} 2.000' in lines
    assert len([line for line in lines if line.startswith("chatbot_answer_seconds{")]) == 1
    assert all(re.fullmatch(r'#.*|\w+\{site="[^"]+"\} \d+\.\d{3}', line) for line in lines)
    assert [path.name for path in tmp_path.iterdir()] == ["chatbots.prom"]
    assert run(server, PROMETHEUS).returncode == 2


# ---------------------------------------------------------------------------------- known questions

#: What a shop knows, by a word of the question.
KNOWLEDGE = {
    "open?": "At nine.",
    "close?": "At five.",
    "Sundays": "No, we are closed.",
    "Where": "At 7 Mill Road.",
    "bus": "The 42.",
    "park": "Yes, behind the house.",
    "telephone": "It is 555-0100.",
    "e-mail": "It is help@shop.example.",
    "return an item": "30 days.",
    "Who pays": "We do.",
    "delivery take": "Two to four days.",
    "delivery cost": "4.90 euros.",
    "free?": "From 50 euros.",
    "Norway": "Yes.",
    "card": "Yes.",
    "cash": "No.",
    "warranty": "Two years.",
    "bicycles": "Yes.",
    "repair cost": "It depends on the damage.",
    "person": "Call 555-0100.",
}


def ask_known_questions(site: str, folder: Path) -> Tuple[int, Any]:
    """Run the test of known questions against a site; return pytest's status and JUnit's suite."""
    report, settings = folder / "bot.xml", folder / "pytest.ini"
    settings.write_text("[pytest]\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-p", "no:cacheprovider",
         str(EXAMPLES / "monitoring" / QUESTIONS), f"--rootdir={folder}", "-c", str(settings)],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "CHATGPT4ONLINE_SITE": site},
        cwd=folder,
    )  # fmt: skip
    assert report.exists(), done.stdout + done.stderr
    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    return done.returncode, suite


def known_answer(question: str) -> str:
    """Return what the shop's chatbot answers."""
    return next(answer for word, answer in KNOWLEDGE.items() if word in question)


def test_known_questions(tmp_path: Path) -> None:
    """Each of the twenty questions is a test with its time, and passes if the bot knows."""
    with Server(answer=lambda request: known_answer(request.question)) as server:
        status, suite = ask_known_questions(server.url, tmp_path)
        assert len(server.questions) == 20
    assert status == 0
    assert (suite.get("tests"), suite.get("failures")) == ("20", "0")
    assert all(float(case.get("time")) >= 0 for case in suite.iter("testcase"))


def test_forgotten_answers(tmp_path: Path) -> None:
    """A wrong answer is a failure that quotes it; the others still pass."""
    answers = {**KNOWLEDGE, "bus": "Take a taxi."}
    with Server() as server:
        for word, answer in answers.items():
            server.says(answer, when=word)
        status, suite = ask_known_questions(server.url, tmp_path)
    assert status == 1
    (failure,) = suite.iter("failure")
    assert "the chatbot said: Take a taxi." in failure.get("message")
