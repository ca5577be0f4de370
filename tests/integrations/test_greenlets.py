"""With gevent and eventlet, greenlets share a client. Each test runs a program of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatgpt4online.testing import Server

PROGRAM = Path(__file__).with_name("greenlets.py")

CONFTEST = """
from gevent import monkey
monkey.patch_all()
"""
TEST = """
import requests
from chatgpt4online import Client

def test_plugin(chatgpt4online_server):
    with Client(chatgpt4online_server.url) as client:
        assert client.chat("Hi") == "Echo(1 msgs): Hi"

def test_others():
    from urllib3.util.ssl_ import create_urllib3_context
    create_urllib3_context()
"""


def skip_without(library: str) -> None:
    """Skip a test without a library, which is not imported here."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


@pytest.mark.parametrize("when", ["first", "late"])
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_greenlets(library: str, when: str, server: Server) -> None:
    """
    Whether patched before the package is imported or after it, greenlets share a client.

    They chat, stream and map; deadlines hold; another greenlet closes a stream, and a client.
    """
    skip_without(library)
    server.stalls(after=("a",), when="after", times=None)
    server.stalls(headers=False, when="before", times=None)
    done = subprocess.run(
        [sys.executable, str(PROGRAM), library, when, server.url],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_patching_in_a_conftest(tmp_path: Path) -> None:
    """Where a conftest patches with gevent, our pytest plugin has loaded nothing that breaks."""
    skip_without("gevent")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TEST)
    plugin = "chatgpt4online.testing.pytest_plugin"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", plugin, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
