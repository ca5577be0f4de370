"""What each refusal advises: a row for each thing that a site, or what fronts it, does."""

from __future__ import annotations

import pytest
from support.advice_rows import ROWS, error_of

from chatgpt4online import BlockedError
from chatgpt4online._protocol.advice import UNKNOWN_REQUEST
from chatgpt4online._protocol.failures import login_error, page_error


@pytest.mark.parametrize("name", ROWS)
def test_advice(name: str) -> None:
    """A refusal says what to do, and nothing that points elsewhere."""
    row = ROWS[name]
    error = error_of(row)
    assert type(error) is row.error
    assert row.says in str(error)
    assert row.never_says not in str(error)


def test_a_firewall_under_a_success_status() -> None:
    """A firewall's challenge is recognized by its headers, whatever the status."""
    error = page_error(
        202, {"x-amzn-waf-action": "challenge"}, "", now=0.0, request_info=UNKNOWN_REQUEST
    )
    assert type(error) is BlockedError


def test_a_blocked_login_is_not_a_wrong_one() -> None:
    """A firewall in front of the login's proof says nothing about the login."""
    blocked = BlockedError("blocked", status=403)
    assert login_error(blocked) is blocked
