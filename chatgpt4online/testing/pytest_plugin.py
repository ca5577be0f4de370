"""The pytest fixture ``chatgpt4online_server``."""

from __future__ import annotations

from typing import Iterator

import pytest

from ._server import Server


@pytest.fixture
def chatgpt4online_server() -> Iterator[Server]:
    """A started ``chatgpt4online.testing.Server`` like AI Engine 3.6.2, closed after the test."""
    with Server() as server:
        yield server
