"""Headers: the widget's, a link to the REST root, and cookies that are not sent back."""

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
    """A route's changes, and then the caller's, override the widget's headers; None removes one."""
    headers = widget_headers(
        {"accept": "a/b", "dnt": None, "x-own": "c"}, accept="d/e", content_type=None
    )
    assert headers["accept"] == "a/b"
    assert headers["dnt"] is None
    assert headers["content-type"] is None
    assert headers["x-own"] == "c"
    assert set(headers) == {*WIDGET_HEADERS, "x-own"}


AGENTS: List[Tuple[Dict[str, Any], Dict[str, Any]]] = [
    ({"user-agent": "mine"}, dict.fromkeys(CLIENT_HINTS)),
    ({"user-agent": None}, dict.fromkeys(CLIENT_HINTS)),
    (
        {"user-agent": "mine", "sec-ch-ua": '"Mine"'},
        {**dict.fromkeys(CLIENT_HINTS), "sec-ch-ua": '"Mine"'},
    ),
    ({"accept": "a/b"}, {name: WIDGET_HEADERS[name] for name in CLIENT_HINTS}),
]


@pytest.mark.parametrize(("overrides", "hints"), AGENTS)
def test_own_agent(overrides: Dict[str, Any], hints: Dict[str, Any]) -> None:
    """A user agent of the caller's drops the hints about the widget's, unless given too."""
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
    """PHP's session is not sent back; all other cookies are."""
    assert without_php_session(cookie) == sent
