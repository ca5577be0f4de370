"""A client under requests-mock, which answers in place of requests."""

from __future__ import annotations

from typing import Any, Iterator, Optional

import pytest
import requests

from chatgpt4online import Client, Timeout

requests_mock = pytest.importorskip("requests_mock", exc_type=ImportError)

SITE = "https://blog.example"
CHAT = f"{SITE}/wp-json/mwai-ui/v1/chats/submit"
STREAM = (
    'data: {"type":"live","data":"Hel"}\n\n'
    'data: {"type":"live","data":"lo"}\n\n'
    'data: {"type":"end","data":"{\\"success\\":true,\\"reply\\":\\"Hello\\"}"}\n\n'
)


@pytest.fixture
def mock() -> Iterator[Any]:
    """Answer requests for a nonce."""
    with requests_mock.Mocker() as mocker:
        nonce = {"success": True, "restNonce": "0123456789"}
        mocker.post(f"{SITE}/wp-json/mwai/v1/start_session", json=nonce)
        yield mocker


@pytest.fixture(params=["own session", "given session"])
def session(request: pytest.FixtureRequest) -> Iterator[Optional[requests.Session]]:
    """Make a session to give to a client, or None."""
    with requests.Session() as given:
        yield given if request.param == "given session" else None


def test_answers(mock: Any, session: Optional[requests.Session]) -> None:
    """A mocked answer is chatted and streamed."""
    mock.post(CHAT, text=STREAM)
    with Client(SITE, session=session) as client:
        assert client.chat("Hi") == "Hello"
        assert list(client.stream("Hi")) == ["Hel", "lo"]
    assert mock.request_history[1].headers["X-WP-Nonce"] == "0123456789"


def test_a_timeout_counts_as_sent(mock: Any, session: Optional[requests.Session]) -> None:
    """A ReadTimeout that it raises means that the question may have run: it is sent once."""
    mock.post(CHAT, exc=requests.ReadTimeout)
    with Client(SITE, session=session) as client, pytest.raises(Timeout) as caught:
        client.chat("Hi")
    assert caught.value.phase == "read"
    assert [each.url for each in mock.request_history].count(CHAT) == 1
