"""Helpers for the tests of the example programs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatgpt4online.testing import Server

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(
    server: Server, name: str, *arguments: object, typed: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run an example program against a site."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        input=typed,
        timeout=50,
        env={**os.environ, "CHATGPT4ONLINE_SITE": server.url, **environment},
    )


def needs(module: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test if a module is not installed."""
    found = importlib.util.find_spec(module)
    return pytest.mark.skipif(not found, reason=f"{module} is not installed")
