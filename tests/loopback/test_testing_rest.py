"""The testing site's nonces, sessions, users, and reading of requests."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, Union

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


def test_a_nonce_in_the_query_is_not_enough(server: Server) -> None:
    """A question needs its nonce in the header; one in the query is only checked."""
    visitor = Visitor(server)
    route = f"mwai-ui/v1/chats/submit?_wpnonce={server.nonce}"

    answer = visitor.post(route, json={"botId": "default", "newMessage": "Hi"})

    assert refusal(answer) == (401, "rest_forbidden")


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
        ("\ufeff{}", "Syntax error"),
        ("[" * 100_000, "Maximum stack depth exceeded"),
        ('{"newMessage": "\\ud83d"}', "Single unpaired UTF-16 surrogate in unicode escape"),
        (b'{"newMessage": "\xe9"}', "Malformed UTF-8 characters, possibly incorrectly encoded"),
    ],
    ids=range(6),
)
def test_invalid_json_is_refused(server: Server, body: Union[str, bytes], reason: str) -> None:
    """Invalid JSON is refused before permissions are checked."""
    headers = {"Content-Type": "application/json"}
    data = body.encode() if isinstance(body, str) else body
    answer = Visitor(server).post("mwai-ui/v1/chats/submit", data=data, headers=headers)

    assert refusal(answer) == (400, "rest_invalid_json")
    assert answer.json()["data"]["json_error_message"] == reason


def test_a_question_is_not_read_from_a_form(server: Server) -> None:
    """A question in a form is empty."""
    form = {"botId": "default", "newMessage": "Hi"}
    headers = {"X-WP-Nonce": server.nonce}
    answer = Visitor(server).post("mwai-ui/v1/chats/submit", data=form, headers=headers)

    assert refusal(answer) == (403, REJECTED)


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
    ],
)
def test_wrong_types_are_fatal(server: Server, fields: Dict[str, Any]) -> None:
    """A field of the wrong type is a fatal error in PHP."""
    answer = Visitor(server).call("chats/submit", **{"botId": "default", **fields})

    assert refusal(answer) == (500, "internal_server_error")


def test_a_message_that_is_not_an_object(server: Server) -> None:
    """A text in place of a message is a failure of the plugin, in JSON before a stream begins."""
    visitor = Visitor(server)

    streamed = visitor.ask(messages=["Hi"], stream=True)

    assert visitor.refusal(messages=["Hi"]) == (500, "Unsupported message type.")
    assert streamed.text == 'data: {"type":"error","data":"Unsupported message type."}\n\n'
    assert streamed.headers["Content-Type"] == "application/json; charset=UTF-8"


def test_early_versions_ignore_a_chat_id_that_is_a_list() -> None:
    """Version 2.4.7 answers a question whose chatId is a list."""
    with early_site() as old:
        assert Visitor(old).reply(chatId=["a"]) == "Echo(1 msgs): Hi"


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


def test_routes_match_in_any_case_and_with_a_slash(server: Server) -> None:
    """WordPress ignores the case of a route, and a slash at its end."""
    for route in ("MWAI/v1/Start_Session", "mwai/v1/start_session/"):
        assert requests.post(f"{server.url}/wp-json/{route}", timeout=TIMEOUT).json()["success"]


def test_a_method_in_the_query_wins(server: Server) -> None:
    """``_method`` in the query replaces the method."""
    url = f"{server.url}/wp-json/mwai/v1/start_session?_method="

    assert refusal(requests.post(url + "GET", timeout=TIMEOUT)) == (404, "rest_no_route")
    assert requests.get(url + "POST", timeout=TIMEOUT).json()["success"]


def test_head_is_like_get(server: Server) -> None:
    """A HEAD request has the status and headers of a GET request."""
    url = f"{server.url}/wp-json/"
    head, get = (requests.request(method, url, timeout=TIMEOUT) for method in ("HEAD", "GET"))

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Allow"] == get.headers["Allow"] == "GET"


def test_options_describes_a_route(server: Server) -> None:
    """OPTIONS reports the methods of a route; an unknown route has no description."""
    root = f"{server.url}/wp-json"
    answer = requests.options(f"{root}/mwai-ui/v1/chats/submit", timeout=TIMEOUT)

    assert answer.json() == {
        "namespace": "mwai-ui/v1",
        "methods": ["POST"],
        "endpoints": [{"methods": ["POST"], "args": []}],
        "_links": {"self": [{"href": f"{root}/mwai-ui/v1/chats/submit"}]},
    }
    assert requests.options(f"{root}/mwai/v2/nothing", timeout=TIMEOUT).json() == []


def test_other_origins_are_allowed(server: Server) -> None:
    """A request with an Origin gets the headers that let a browser read the answer."""
    headers = {"Origin": "https://other.example"}
    url = f"{server.url}/wp-json/mwai/v1/start_session"

    answer = requests.post(url, headers=headers, timeout=TIMEOUT)

    assert answer.headers["Access-Control-Allow-Origin"] == "https://other.example"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Vary"] == "Origin"


def test_fields_can_be_selected(server: Server) -> None:
    """``_fields`` selects the fields of an answer, not those of a failure or a stream."""
    visitor = Visitor(server)
    question = {"botId": "default", "newMessage": "Hi"}
    headers = {"X-WP-Nonce": server.nonce}
    route = "mwai-ui/v1/chats/submit?_fields=reply,nothing"

    answer = visitor.post(route, json=question, headers=headers)
    streamed = visitor.post(route, json={**question, "stream": True}, headers=headers)
    refused = visitor.post(route, json={}, headers=headers)

    assert answer.json() == {"reply": "Echo(1 msgs): Hi"}
    assert '\\"success\\":true' in streamed.text
    assert refusal(refused) == (403, REJECTED)
