"""Headers: those of the widget, and cookies that are not sent back."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import pytest

from chatgpt4online._protocol.headers import (
    CLIENT_HINTS,
    WIDGET_HEADERS,
    widget_headers,
    without_php_session,
)


def test_widget_headers() -> None:
    """The caller's headers override a route's, which override the widget's; None removes one."""
    headers = widget_headers(
        {"accept": "a/b", "dnt": None, "x-own": "c"}, accept="d/e", content_type=None
    )
    assert headers["accept"] == "a/b"
    assert headers["dnt"] is None
    assert headers["content-type"] is None
    assert headers["x-own"] == "c"
    assert set(headers) == {*WIDGET_HEADERS, "x-own"}


USER_AGENTS: List[Tuple[Dict[str, Any], Dict[str, Any]]] = [
    ({"user-agent": "mine"}, dict.fromkeys(CLIENT_HINTS)),
    ({"user-agent": None}, dict.fromkeys(CLIENT_HINTS)),
    (
        {"user-agent": "mine", "sec-ch-ua": '"Mine"'},
        {**dict.fromkeys(CLIENT_HINTS), "sec-ch-ua": '"Mine"'},
    ),
    ({"accept": "a/b"}, {name: WIDGET_HEADERS[name] for name in CLIENT_HINTS}),
]


@pytest.mark.parametrize(("overrides", "hints"), USER_AGENTS)
def test_user_agent(overrides: Dict[str, Any], hints: Dict[str, Any]) -> None:
    """The caller's user agent removes the client hints that the caller does not set."""
    headers = widget_headers(overrides)
    assert {name: headers[name] for name in hints} == hints


@pytest.mark.parametrize(
    ("cookie", "sent"),
    [
        (None, None),
        ("", ""),
        ("mwai_session_id=1", "mwai_session_id=1"),
        ("PHPSESSID=2", ""),
        ("PHPSESSID=2; mwai_session_id=1", "mwai_session_id=1"),
        ("a=1; PHPSESSID=2; b=3", "a=1; b=3"),
        ("a=PHPSESSID=2; MYPHPSESSID=4", "a=PHPSESSID=2; MYPHPSESSID=4"),
    ],
)
def test_php_session(cookie: Optional[str], sent: Optional[str]) -> None:
    """All cookies are sent back except PHP's session."""
    assert without_php_session(cookie) == sent
