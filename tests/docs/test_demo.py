"""The demo shows the main features, against the embedded site."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parent.parent.parent / "examples" / "demo.py"


def test_demo_shows_the_main_job() -> None:
    """The demo chats, streams, continues a conversation and shows an error, without warnings."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(DEMO)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        "Bot: I am a chatbot on your own machine.",
        "Bot: A nonce is a word",
        "Bot: Echo(1 msgs): My name is Ada.",
        "Bot: Echo(3 msgs): What is my name?",
        "ReplyError: ",
        "Answered until then: 'Well, let me think'",
    ):
        assert line in done.stdout
