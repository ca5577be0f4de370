"""Fixtures for the tests over loopback sockets."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from commands import Result, Run

from chatgpt4online.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command line with the given standard input."""

    def run(*words: str, stdin: Any = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        try:
            status = main(list(words))
        except SystemExit as end:
            status = int(end.code or 0)
        return Result(status, *capsys.readouterr())

    return run
