"""The tunings that the benchmarks compare."""

from __future__ import annotations

import pytest

from chatgpt4online import Client
from chatgpt4online.testing import Server

tunings = pytest.importorskip("benchmarks.tunings", reason="the benchmarks are not here")


@pytest.mark.parametrize("name", tunings.TUNINGS)
def test_chats_work_without_a_tuning(
    name: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a tuning, a client works as with it."""
    tunings.TUNINGS[name].switch_off(monkeypatch.setattr)
    with Client(server.url) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Echo(1 msgs): Hi"] * 2
