"""What each refusal advises: a row for each thing that a site, or what fronts it, does."""

from __future__ import annotations

import pytest
from support.advice_rows import NO_ROUTE, ROWS, Row, error_of, message_of

from chatgpt4online import BlockedError, NotFoundError
from chatgpt4online._protocol import routes
from chatgpt4online._protocol.advice import UNKNOWN_REQUEST, RequestInfo
from chatgpt4online._protocol.failures import login_error, page_error

#: The constants of `routes` that are routes.
ROUTES = sorted(
    each
    for name, each in vars(routes).items()
    if name.isupper() and isinstance(each, str) and not name.startswith("DEFAULT_")
)


@pytest.mark.parametrize("name", ROWS)
def test_advice(name: str) -> None:
    """A refusal says what to do, and nothing that points elsewhere."""
    row = ROWS[name]
    error = error_of(row)
    assert type(error) is row.error
    assert row.says in str(error)
    assert row.never_says not in str(error)


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_that_a_site_lacks(route: str) -> None:
    """The advice on a missing route names a version only if one is known."""
    row = Row(RequestInfo(route), 404, NO_ROUTE, NotFoundError, "")
    assert "None" not in message_of(row)


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
