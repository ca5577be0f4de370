"""Every ticket gets a draft, whatever the chatbot does."""

from __future__ import annotations

from typing import Callable, Iterator

import pytest
from helpdesk import NO_DRAFT, Helpdesk

from chatgpt4online import Client
from chatgpt4online.testing import Server

HALF_A_DAY = 12 * 60 * 60


@pytest.fixture
def helpdesk(chatgpt4online_server: Server) -> Iterator[Helpdesk]:
    """Return a helpdesk that uses the test's own site."""
    with Client(chatgpt4online_server.url) as client:
        yield Helpdesk(client, patience=0.5)


def test_a_draft(helpdesk: Helpdesk, chatgpt4online_server: Server) -> None:
    """The draft is the final answer, not the streamed text."""
    chatgpt4online_server.says("Turn it ", "of", final="Turn it off.")
    assert helpdesk.draft("It is too loud.") == ("Turn it off.", True)


def test_a_long_ticket(helpdesk: Helpdesk, chatgpt4online_server: Server) -> None:
    """A ticket over the length limit is cut to fit."""
    chatgpt4online_server.bot("default", max_length=500)
    assert helpdesk.draft("Help! " * 200).is_written
    (question,) = chatgpt4online_server.questions
    assert question.json["newMessage"].startswith("Help! Help!")


@pytest.mark.parametrize(
    "break_site",
    [
        lambda site: site.fails("Our chatbot went to sleep.", after=("Turn it ",)),
        lambda site: site.cuts("Turn it "),
        lambda site: site.stalls(after=("Turn it ",)),
        lambda site: site.answers(503),
        lambda site: site.says(final="", images=["https://example.com/cat.png"]),
    ],
    ids=["fails", "is cut", "stalls", "is down", "has no text"],
)
def test_no_draft(
    helpdesk: Helpdesk, chatgpt4online_server: Server, break_site: Callable[[Server], None]
) -> None:
    """An incomplete answer is not a draft. The next ticket is drafted again."""
    break_site(chatgpt4online_server)
    assert helpdesk.draft("It is too loud.") == (NO_DRAFT, False)
    assert helpdesk.draft("It is too quiet.").is_written


def test_a_pause(helpdesk: Helpdesk, chatgpt4online_server: Server) -> None:
    """After a 429, no more questions are sent."""
    chatgpt4online_server.answers(429)
    assert helpdesk.draft("It is too loud.") == (NO_DRAFT, False)
    assert helpdesk.draft("It is too quiet.") == (NO_DRAFT, False)
    assert len(chatgpt4online_server.questions) == 1


def test_the_next_day(helpdesk: Helpdesk, chatgpt4online_server: Server) -> None:
    """A helpdesk that runs for days survives expired nonces."""
    for _ in range(3):
        assert helpdesk.draft("It is too loud.").is_written
        chatgpt4online_server.advance(2 * HALF_A_DAY)
