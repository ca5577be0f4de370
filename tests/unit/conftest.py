"""Unit tests open no connections."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a unit test that connects a socket or listens on one."""
    if sys.platform == "win32":  # where `socket.socketpair` does both
        return

    def refuse(self: socket.socket, *args: Any) -> None:
        pytest.fail("a unit test opens a connection")

    for name in ("connect", "connect_ex", "listen"):
        monkeypatch.setattr(socket.socket, name, refuse)
