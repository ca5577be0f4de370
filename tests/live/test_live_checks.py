"""The live tests for real sites pass against the embedded one, so that they stay up to date."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Optional

from chatgpt4online.testing import Server

ROOT = Path(__file__).resolve().parent.parent.parent
USER = ("ada", "abcd efgh")
TOKEN = "t0ken"
#: Loading the pytest plugins that these tests do not need takes seconds.
QUICK = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
NEEDED = ["-p", "pytest_timeout", "-p", "pytest_rerunfailures"]
MEMBER = {
    "CHATGPT4ONLINE_USER": USER[0],
    "CHATGPT4ONLINE_APP_PASSWORD": USER[1],
    "CHATGPT4ONLINE_TOKEN": TOKEN,
}


class Run(NamedTuple):
    """A run of the live tests: pytest's exit status and output, and the number of questions."""

    status: int
    output: str
    questions: int

    @property
    def skipped(self) -> int:
        """How many tests were skipped."""
        found = re.search(r"(\d+) skipped", self.output)
        return int(found.group(1)) if found else 0


class LiveTests:
    """The live tests, running against a site as ``make live`` runs them."""

    def __init__(self, site: Optional[Server], **environment: str) -> None:
        self._site = site
        command = [sys.executable, "-m", "pytest", "-m", "live", "tests/live"]
        named = {"CHATGPT4ONLINE_SITE": site.url if site else ""}
        self._process = subprocess.Popen(
            [*command, "-p", "no:cacheprovider", *NEEDED],
            cwd=ROOT,
            env={**os.environ, **QUICK, **named, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )

    def result(self) -> Run:
        """Wait for the end, and return the result."""
        output, _ = self._process.communicate(timeout=50)
        questions = self._site.questions if self._site else []
        with_text = [each for each in questions if each.json["newMessage"]]
        return Run(self._process.returncode, output, len(with_text))


def test_the_live_tests() -> None:
    """
    The live tests pass on a working site, with few questions, and fail on a broken one.

    Tests that need a site, a user or a token are skipped without it.
    """
    with Server(token=TOKEN) as one, Server(token=TOKEN) as two, Server() as broken:
        two.user(*USER)
        for _ in range(20):
            broken.fails("No.", route="start_session")
        started = [LiveTests(one), LiveTests(two, **MEMBER), LiveTests(broken), LiveTests(None)]
        guest, user, failed, nowhere = [each.result() for each in started]
    assert (guest.status, guest.skipped, guest.questions) == (0, 4, 5), guest.output
    assert (user.status, user.skipped, user.questions) == (0, 0, 6), user.output
    assert failed.status == 1, failed.output
    assert "test_the_site_is_healthy" in failed.output
    assert (nowhere.skipped, " passed" in nowhere.output) == (12, False), nowhere.output
