"""The pytest fixture ``chatgpt4online_server``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:
    from ._server import Server


@pytest.fixture
def chatgpt4online_server() -> Iterator[Server]:
    """A started ``chatgpt4online.testing.Server`` like AI Engine 3.6.2, closed after the test."""
    from ._server import Server  # imported here so that loading the plugin does not load ssl

    with Server() as server:
        yield server
