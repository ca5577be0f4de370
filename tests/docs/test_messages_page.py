"""The page "Errors" quotes the messages that the package has, and leaves none out."""

from __future__ import annotations

import re
from pathlib import Path

from support.advice_rows import ROWS, SCENES, message_of

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "errors.rst"

#: The terms of the page's definition lists.
QUOTED = re.findall(r"^``(.+)``\n    \S", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

#: What the errors say whose tests are tables.
MESSAGES = {
    **{name: message_of(row) for name, row in ROWS.items()},
    **{name: scene.says for name, scene in SCENES.items()},
}


def test_each_quoted_message_exists() -> None:
    """What the page quotes is part of a message that a test has seen."""
    messages = MESSAGES.values()
    assert [quoted for quoted in QUOTED if not any(quoted in each for each in messages)] == []


def test_each_message_is_explained() -> None:
    """Each message of the tables has a part that the page quotes."""
    wrong = {
        name: message
        for name, message in MESSAGES.items()
        if not any(quoted in message for quoted in QUOTED)
    }
    assert not wrong


def test_no_message_is_explained_twice() -> None:
    """A message has one place on the page."""
    assert len(QUOTED) == len(set(QUOTED)) > 40
