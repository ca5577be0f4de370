"""
The chatbot still knows what it knew: a test for each question, and a regular expression.

    export CHATGPT4ONLINE_SITE=https://example.com
    python -m pytest test_known_questions.py --junitxml=bot.xml

Each run asks every question once, at the expense of the site's owner. Models word their answers
differently each time: expect the fact, not the sentence.
"""

from __future__ import annotations

import re
from typing import Iterator

import pytest

from chatgpt4online import Client

MAX_SECONDS = 60

QUESTIONS = [
    ("When do you open?", r"\b9\b|nine"),
    ("When do you close?", r"\b5\b|\b17\b|five"),
    ("Are you open on Sundays?", r"\bno\b|closed"),
    ("Where is your shop?", r"Mill (Road|Rd)"),
    ("Which bus stops nearby?", r"\b42\b"),
    ("Can I park at your shop?", r"behind|car park"),
    ("What is your telephone number?", r"555.?0100"),
    ("What is your e-mail address?", r"help@shop\.example"),
    ("How long may I return an item?", r"30|thirty"),
    ("Who pays for a return?", r"\bwe\b|free"),
    ("How long does delivery take?", r"(2|two).*(4|four)"),
    ("What does delivery cost?", r"4\.90"),
    ("When is delivery free?", r"\b50\b"),
    ("Do you deliver to Norway?", r"\byes\b"),
    ("Can I pay by card?", r"\byes\b|card"),
    ("Do you take cash?", r"\bno\b|not"),
    ("How long is the warranty?", r"two years|24 months"),
    ("Do you repair bicycles?", r"\byes\b"),
    ("What does a repair cost?", r"quote|estimate|depends"),
    ("Can I talk to a person?", r"555.?0100|help@"),
]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Return a client of the site in CHATGPT4ONLINE_SITE."""
    with Client(deadline=MAX_SECONDS) as client:
        yield client


@pytest.mark.parametrize(("question", "expected"), QUESTIONS, ids=[each for each, _ in QUESTIONS])
def test_answer(client: Client, question: str, expected: str) -> None:
    """The answer contains the fact."""
    reply = client.chat(question)
    assert re.search(expected, reply, re.IGNORECASE), f"the chatbot said: {reply}"
