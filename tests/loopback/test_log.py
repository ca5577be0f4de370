"""The log: one line per answer, with its fields for a formatter."""

from __future__ import annotations

import logging
from typing import Any, Dict, List

import pytest

from chatgpt4online import ChatGPT4OnlineError, Client
from chatgpt4online.testing import Server

CHAT, SESSION = "mwai-ui/v1/chats/submit", "mwai/v1/start_session"
FIELDS = ("site", "route", "status", "attempts", "seconds", "chat_id")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture the records of all loggers."""
    caplog.set_level(logging.DEBUG)
    return caplog


def answers(log: pytest.LogCaptureFixture) -> List[Dict[str, Any]]:
    """Return the fields of each record about an answer."""
    records = [vars(record) for record in log.records]
    return [{name: each[name] for name in FIELDS} for each in records if "attempts" in each]


def test_an_answer_is_a_line(server: Server, client: Client, log: pytest.LogCaptureFixture) -> None:
    """Each complete answer is one line, with its site, route, status, attempts and seconds."""
    reply = client.chat("Hi", chat_id="x")
    first, second = answers(log)
    assert 0 < first.pop("seconds") < 60
    assert second.pop("seconds") == reply.seconds
    common = {"site": server.url, "status": 200, "attempts": 1}
    assert first == {**common, "route": SESSION, "chat_id": ""}
    assert second == {**common, "route": CHAT, "chat_id": "x"}
    assert f"{CHAT}: 200 after {reply.seconds:.3f} s" in log.messages


def test_attempts_are_counted(
    server: Server, client: Client, log: pytest.LogCaptureFixture
) -> None:
    """All attempts at one request count, whatever made it necessary; its nonces have their own."""
    client.chat("Hi")
    server.expire_nonce()
    server.answers(503, retry_after=0)
    client.chat("Hi")
    assert [(each["route"], each["attempts"]) for each in answers(log)] == [
        (SESSION, 1),
        (CHAT, 1),
        (SESSION, 1),
        (CHAT, 3),
    ]


def test_pages_are_answers(server: Server, client: Client, log: pytest.LogCaptureFixture) -> None:
    """A page and the API's routes are lines too."""
    server.page("/chat/", bots=["default"])
    client.bots("/chat/")
    (found,) = answers(log)
    assert (found["route"], found["status"]) == (server.url + "/chat/", 200)


def test_what_is_no_answer_is_no_such_line(
    server: Server, client: Client, log: pytest.LogCaptureFixture
) -> None:
    """A refusal, a failure and an answer that is cut or left early have no such line."""
    server.answers(500)
    server.fails("No.", after=("Well",))
    server.cuts("Well")
    for _ in range(3):
        with pytest.raises(ChatGPT4OnlineError):
            client.chat("Hi")
    with client.stream("Hi") as stream:
        next(stream)
    assert [each["route"] for each in answers(log)] == [SESSION]
    assert f"{CHAT}: 500 after" in log.text


def test_events_are_not_logged_by_sseclient(client: Client, log: pytest.LogCaptureFixture) -> None:
    """The lines that sseclient writes for each event, with its content, stay out of the log."""
    log.set_level(logging.DEBUG, logger="sseclient")
    client.chat("Hi")
    assert {record.name for record in log.records} <= {"chatgpt4online", "urllib3.connectionpool"}
