"""What each refusal advises: a row for each thing that a site, or what fronts it, does."""

from __future__ import annotations

import json
from typing import Dict, NamedTuple, Type

import pytest

from chatgpt4online import (
    AuthError,
    BlockedError,
    ChatGPT4OnlineError,
    NotFoundError,
    RateLimitError,
    ReplyError,
    ServerError,
    StatusError,
)
from chatgpt4online._protocol import routes
from chatgpt4online._protocol.advice import Asked
from chatgpt4online._protocol.failures import error_from_response, login_error, page_error

NO_ROUTE = json.dumps({"code": "rest_no_route", "message": "No route.", "data": {"status": 404}})
FORBIDDEN = json.dumps({"code": "rest_forbidden", "message": "Sorry.", "data": {"status": 403}})
NONCE = json.dumps({"code": "rest_cookie_invalid_nonce", "message": "Cookie check failed"})
CLOSED = json.dumps({"code": "rest_not_logged_in", "message": "You are not logged in."})
NO_FILE = json.dumps({"success": False, "message": "No file provided."})
IMUNIFY = json.dumps({"message": "Access denied by Imunify360 bot-protection."})
BEFORE = "check before you ask again"


class Row(NamedTuple):
    """What was asked, what came back, and what is and is not said."""

    asked: Asked
    status: int
    body: str
    error: Type[ChatGPT4OnlineError]
    says: str
    never_says: str = BEFORE
    headers: Dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default


CHAT = Asked(routes.CHAT)
USER_CHAT = CHAT._replace(by="user")
SESSION = Asked(routes.START_SESSION, idempotent=True)
LIST = Asked(routes.LIST_DISCUSSIONS, idempotent=True, by="user")
DELETE = Asked(routes.DELETE_DISCUSSIONS, by="user")
TEXT = Asked(routes.API_TEXT, by="token")
ME = Asked(routes.ME, idempotent=True, by="user")
PAGE = Asked("https://a.example/chat/", idempotent=True)
UPLOAD = Asked(routes.UPLOAD, size=5_000_000)

ROWS = {
    "the public API is off": Row(TEXT, 404, NO_ROUTE, NotFoundError, "1.3.90 or newer"),
    "a route of a newer plugin": Row(
        Asked(routes.API_UPLOAD, by="token"), 404, NO_ROUTE, NotFoundError, "2.9.3 or newer"
    ),
    "discussions are off": Row(DELETE, 404, NO_ROUTE, NotFoundError, "Discussions are off"),
    "an older plugin": Row(SESSION, 404, NO_ROUTE, NotFoundError, "use Client.from_page"),
    "chatbots are off": Row(CHAT, 404, NO_ROUTE, NotFoundError, "chatbots are off"),
    "no such page": Row(PAGE, 404, "<title>Oops</title>", NotFoundError, "no such page"),
    "no REST API": Row(SESSION, 404, "", NotFoundError, "No WordPress REST API"),
    "a plugin with a fault": Row(SESSION, 401, FORBIDDEN, AuthError, "AI Engine 2.9.0"),
    "a closed REST API": Row(SESSION, 401, CLOSED, AuthError, "log in with auth"),
    "a gate": Row(
        SESSION, 401, "", AuthError, "web server itself", headers={"www-authenticate": "Basic"}
    ),
    "a wrong login": Row(ME, 401, CLOSED, AuthError, "drops the Authorization header", "visitors"),
    "a wrong token": Row(TEXT, 401, FORBIDDEN, AuthError, "The token is incorrect", "nonce"),
    "a login that was withheld": Row(
        ME._replace(by="withheld"), 401, CLOSED, AuthError, "The site has moved", "incorrect"
    ),
    "a nonce refused twice": Row(CHAT, 403, NONCE, AuthError, "cache", "log in"),
    "no such discussion": Row(DELETE, 403, FORBIDDEN, AuthError, "no such discussion", "nonce"),
    "a user who may not": Row(USER_CHAT, 403, FORBIDDEN, AuthError, "not allowed", "visitors"),
    "a visitor who may not": Row(DELETE._replace(by="guest"), 401, FORBIDDEN, AuthError, "log in"),
    "a body too large": Row(UPLOAD, 413, "<h1>413</h1>", StatusError, "5000000 bytes"),
    "a question too large": Row(CHAT, 413, "", StatusError, "The request is larger"),
    "a file too large for PHP": Row(UPLOAD, 400, NO_FILE, ReplyError, "default limit is 2 MB"),
    "a small file": Row(UPLOAD._replace(size=5), 400, NO_FILE, ReplyError, "No file", "2 MB"),
    "a question that may have run": Row(CHAT, 502, "", ServerError, BEFORE, "Nothing was changed"),
    "a list that failed": Row(LIST, 500, "", ServerError, "Nothing was changed: try again later"),
    "maintenance": Row(
        SESSION, 503, "", ServerError, "try again in 600 seconds", headers={"retry-after": "600"}
    ),
    "too many requests": Row(CHAT, 429, "", RateLimitError, "Wait before you ask again"),
    "a time to wait": Row(
        CHAT, 429, "", RateLimitError, "Wait 30 seconds", headers={"retry-after": "30"}
    ),
    "a firewall's page": Row(CHAT, 403, "<h1>No</h1>", BlockedError, "firewall"),
    "AWS WAF": Row(
        CHAT, 405, "", BlockedError, "firewall", headers={"x-amzn-waf-action": "challenge"}
    ),
    "Imunify360": Row(CHAT, 415, IMUNIFY, BlockedError, "firewall"),
    "a proxy's login": Row(CHAT, 407, "", StatusError, "proxy wants a login", "address"),
}


@pytest.mark.parametrize("name", ROWS)
def test_advice(name: str) -> None:
    """A refusal says what to do, and nothing that points elsewhere."""
    row = ROWS[name]
    error = error_from_response(row.status, row.headers, row.body, now=0.0, asked=row.asked)
    assert type(error) is row.error
    assert row.says in str(error)
    assert row.never_says not in str(error)


def test_a_firewall_under_a_success_status() -> None:
    """A firewall's challenge is recognized by its headers, whatever the status."""
    error = page_error(202, {"x-amzn-waf-action": "challenge"}, "", now=0.0)
    assert type(error) is BlockedError


def test_a_blocked_login_is_not_a_wrong_one() -> None:
    """A firewall in front of the login's proof says nothing about the login."""
    blocked = BlockedError("blocked", status=403)
    assert login_error(blocked) is blocked
