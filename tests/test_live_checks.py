"""The checks for real sites, run against the embedded one, so that they do not rot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest

from chatgpt4online.testing import Server

ROOT = Path(__file__).resolve().parent.parent
USER = ("ada", "abcd efgh")
TOKEN = "t0ken"
MEMBER = {
    "CHATGPT4ONLINE_USER": USER[0],
    "CHATGPT4ONLINE_APP_PASSWORD": USER[1],
    "CHATGPT4ONLINE_TOKEN": TOKEN,
}


def run(environment: Dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the live checks as ``make live`` does."""
    command = [sys.executable, "-m", "pytest", "-m", "live", "tests/live", "-p", "no:cacheprovider"]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=50,
    )


@pytest.mark.parametrize(
    ("environment", "skipped", "questions"), [({}, 4, 5), (MEMBER, 0, 6)], ids=["guest", "user"]
)
def test_they_pass(environment: Dict[str, str], skipped: int, questions: int) -> None:
    """All checks pass on a site that works, as a guest and as a user, with few questions."""
    with Server(token=TOKEN) as site:
        site.user(*USER)
        done = run({"CHATGPT4ONLINE_SITE": site.url, **environment})
        asked = [each for each in site.questions if each.json["newMessage"]]
    assert done.returncode == 0, done.stdout
    found = re.search(r"(\d+) skipped", done.stdout)
    assert int(found.group(1) if found else 0) == skipped, done.stdout
    assert len(asked) == questions


def test_they_fail() -> None:
    """A site that does not work fails them."""
    with Server() as site:
        for _ in range(20):
            site.fails("No.", route="start_session")
        done = run({"CHATGPT4ONLINE_SITE": site.url})
    assert done.returncode == 1, done.stdout
    assert "test_the_site_is_healthy" in done.stdout


def test_they_are_skipped() -> None:
    """Without a site all are skipped, and nothing is asked."""
    done = run({"CHATGPT4ONLINE_SITE": ""})
    assert done.returncode in (0, 5), done.stdout
    assert "passed" not in done.stdout
