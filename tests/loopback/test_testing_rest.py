"""The testing site's nonces, sessions, users, and reading of requests."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator

import pytest
import requests
from visitors import (
    HALF_DAY,
    PASSWORD,
    REJECTED,
    TIMEOUT,
    Program,
    Visitor,
    current_site,
    early_site,
    refusal,
)

from chatgpt4online.testing import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """Start a site with two users and the public API."""
    with current_site() as server:
        yield server


@pytest.fixture
def old() -> Iterator[Server]:
    """Start a site with an early version."""
    with early_site() as server:
        yield server


# Nonces and the clock.


def test_a_nonce_is_valid_until_the_end_of_the_next_half_day(server: Server) -> None:
    """A nonce is valid in its own half day and in the next one."""
    visitor = Visitor(server)

    server.advance(HALF_DAY - 60)  # in the next half day
    assert visitor.ask().status_code == 200
    server.advance(HALF_DAY / 2 + 120)  # in the one after
    assert visitor.refusal() == (403, "rest_cookie_invalid_nonce")
    server.advance(-HALF_DAY)
    assert visitor.ask().status_code == 200


def test_the_clock_starts_in_the_middle_of_a_half_day(server: Server) -> None:
    """The clock starts six hours after a half day began."""
    assert server.now % HALF_DAY == pytest.approx(HALF_DAY / 2, abs=60)


def test_guests_share_a_nonce(server: Server) -> None:
    """All guests share one nonce of ten hexadecimal digits; each user has another."""
    nonces = [Visitor(server).nonce, Visitor(server).nonce, server.nonce]
    users = [Visitor(server, "ada").nonce, Visitor(server, "bob").nonce]

    assert len(set(nonces)) == 1
    assert len({*nonces, *users}) == 3
    assert re.fullmatch("[0-9a-f]{10}", nonces[0])


def test_expired_nonces_fail_and_new_ones_do_not(server: Server) -> None:
    """``expire_nonce`` invalidates the nonces issued so far, not later ones."""
    visitor = Visitor(server)
    server.expire_nonce()

    assert visitor.refusal() == (403, "rest_cookie_invalid_nonce")
    visitor.nonce = visitor.start()["restNonce"]
    assert visitor.ask().status_code == 200


def test_every_route_checks_the_nonce(server: Server) -> None:
    """Every route checks a nonce that is sent; the one in the query takes precedence."""
    visitor = Visitor(server)
    route = "mwai/v1/start_session"
    bad, good = {"X-WP-Nonce": "bad"}, {"X-WP-Nonce": server.nonce}

    assert refusal(visitor.post(route, headers=bad)) == (403, "rest_cookie_invalid_nonce")
    assert visitor.post(f"{route}?_wpnonce={server.nonce}", headers=bad).status_code == 200
    assert visitor.post(f"{route}?_wpnonce=bad", headers=good).status_code == 403
    assert refusal(visitor.post("nowhere", headers=bad)) == (403, "rest_cookie_invalid_nonce")


def test_a_valid_nonce_brings_a_fresh_one(server: Server) -> None:
    """A header always has a fresh nonce; the answer has one if the nonce is a half day old."""
    visitor = Visitor(server)
    young = visitor.ask()
    server.advance(HALF_DAY)
    old = visitor.ask()
    streamed = visitor.ask(stream=True)
    started = visitor.start(**{"X-WP-Nonce": visitor.nonce})
    refused = visitor.ask("")

    assert young.headers["X-WP-Nonce"] == visitor.nonce
    assert "new_token" not in young.json()
    fresh = old.headers["X-WP-Nonce"]
    assert fresh == server.nonce != visitor.nonce
    assert old.json()["new_token"] == refused.json()["new_token"] == fresh
    assert started["new_token"] == started["restNonce"] == fresh
    assert f'\\"new_token\\":\\"{fresh}\\"' in streamed.text


# Sessions.


def test_a_visitor_keeps_a_session(server: Server, old: Server) -> None:
    """Later versions set a session cookie once; early versions have none."""
    visitor = Visitor(server)
    name = visitor.cookies["mwai_session_id"]

    assert visitor.start()["sessionId"] == name
    assert "PHPSESSID" in visitor.cookies
    assert "Set-Cookie" not in visitor.ask().headers
    assert Visitor(old).start()["sessionId"] == "N/A"
    assert not Visitor(old).cookies


def test_a_question_without_a_cookie_opens_a_session(server: Server) -> None:
    """The answer to a question without a cookie sets the session cookie."""
    visitor = Visitor(server)
    visitor.cookies.clear()
    visitor.ask()

    assert set(visitor.cookies.keys()) == {"mwai_session_id"}


# Users.


@pytest.mark.parametrize("password", [PASSWORD, PASSWORD.replace(" ", "")])
def test_an_application_password_logs_in(server: Server, password: str) -> None:
    """An application password works with or without spaces, and nonces are the user's."""
    ada = Visitor(server, "ada", password)
    me = ada.send("GET", "wp/v2/users/me").json()

    assert (me["id"], me["name"]) == (2, "ada")
    answer = ada.ask()
    assert answer.status_code == 200
    assert "X-WP-Nonce" not in answer.headers


@pytest.mark.parametrize("authorization", ["Basic !", "Basic /w==", "Basic YWRhOng=", "Bearer x"])
def test_a_wrong_password_makes_a_guest(server: Server, authorization: str) -> None:
    """A wrong password is not refused: the sender is a guest, as users/me reports."""
    visitor = Visitor(server)
    visitor.headers["Authorization"] = authorization

    assert visitor.start()["restNonce"] == server.nonce
    me = visitor.send("GET", "wp/v2/users/me")
    assert refusal(me) == (401, "rest_not_logged_in")


def test_a_user_without_a_password_cannot_log_in(server: Server) -> None:
    """The administrator has no password until given one, and keeps the id 1."""
    assert Visitor(server, "admin", "").nonce == server.nonce

    server.user("admin", "x", email="root@example.com")
    admin = Visitor(server, "admin", "x")
    me = admin.send("GET", "wp/v2/users/me").json()
    assert me["id"] == 1
    assert Program(server).get("simpleAuthCheck").json()["data"]["value"] == "root@example.com"


def test_a_user_needs_their_own_nonce(server: Server) -> None:
    """A user without a valid nonce of their own is forbidden; it is no nonce error."""
    ada = Visitor(server, "ada")
    own, ada.nonce = ada.nonce, server.nonce
    assert ada.refusal() == (403, "rest_forbidden")
    none = ada.post("mwai-ui/v1/chats/submit", json={})
    assert refusal(none) == (403, "rest_forbidden")

    ada.nonce = own
    assert ada.ask().status_code == 200
    server.expire_nonce()
    assert ada.refusal() == (403, "rest_forbidden")


# Reading requests.


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"botId": NaN}', "Syntax error"),
        ("{bad", "Syntax error"),
        ('{"newMessage": "\\ud83d"}', "Single unpaired high surrogate in Unicode escape"),
    ],
)
def test_invalid_json_is_refused(server: Server, body: str, reason: str) -> None:
    """Invalid JSON is refused before permissions are checked."""
    headers = {"Content-Type": "application/json"}
    answer = Visitor(server).post("mwai-ui/v1/chats/submit", data=body, headers=headers)

    assert refusal(answer) == (400, "rest_invalid_json")
    assert answer.json()["data"]["json_error_message"] == reason


@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_a_question_must_be_a_json_object(server: Server, kind: str) -> None:
    """A body of another Content-Type, or a JSON list, has no fields: the question is empty."""
    headers = {"Content-Type": kind, "X-WP-Nonce": server.nonce}
    body = '["botId"]' if kind == "application/json" else '{"botId": "default", "newMessage": "Hi"}'
    answer = Visitor(server).post("mwai-ui/v1/chats/submit", data=body, headers=headers)

    assert refusal(answer) == (403, REJECTED)


@pytest.mark.parametrize(
    "fields",
    [
        {"newMessage": ["Hi"]},
        {"chatId": {"a": 1}, "newMessage": "Hi"},
        {"messages": "Hi", "newMessage": "Hi"},
        {"messages": ["Hi"], "newMessage": "Hi"},
    ],
)
def test_wrong_types_are_fatal(server: Server, fields: Dict[str, Any]) -> None:
    """A field of the wrong type is a fatal error in PHP."""
    answer = Visitor(server).call("chats/submit", **{"botId": "default", **fields})

    assert refusal(answer) == (500, "internal_server_error")


@pytest.mark.parametrize(
    ("route", "fields"), [("files/delete", {"files": 1}), ("discussions/delete", {"chatIds": 1})]
)
def test_wrong_types_are_fatal_on_any_route(
    server: Server, route: str, fields: Dict[str, Any]
) -> None:
    """A number in place of a list is a fatal error in PHP."""
    assert refusal(Visitor(server, "ada").call(route, **fields)) == (500, "internal_server_error")


def test_wrong_methods_and_routes_are_404(server: Server) -> None:
    """An unknown route and a wrong method are both a 404."""
    root = f"{server.url}/wp-json"

    for route in ("mwai/v1/start_session", "mwai/v2/chats/submit"):
        answer = requests.get(f"{root}/{route}", timeout=TIMEOUT)
        assert refusal(answer) == (404, "rest_no_route")
