"""The servers, caches and plugins around WordPress that the testing site simulates."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from typing import Iterator, Union

import pytest
import requests
from raw_client import (
    CHAT,
    START,
    TIMEOUT,
    ask,
    data,
    dial,
    http_request,
    read_until,
    response_bytes,
)
from visitors import PASSWORD, Program, Visitor, refusal

from chatgpt4online.testing import Server

WARNING = "<br />\n<b>Warning</b>: foreach() in x.php\n"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Make an HTTP client that keeps cookies and connections."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_a_gate_asks_for_a_password(session: requests.Session) -> None:
    """Without the gate's password, every request is a 401 that asks for one."""
    with Server(gate=("staff", "secret")) as server:
        for path in ("/", START):
            refused = session.get(server.url + path, timeout=TIMEOUT)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == 'Basic realm="Restricted"'
        session.auth = ("staff", "wrong")
        assert session.get(server.url, timeout=TIMEOUT).status_code == 401
        session.auth = ("staff", "secret")
        assert session.get(server.url, timeout=TIMEOUT).status_code == 200
        assert data(ask(session, server))[-1]["success"]


def test_a_gate_and_wordpress_use_the_same_header() -> None:
    """Whoever gives the gate's password is a guest, and an application password does not pass."""
    with Server(gate=("staff", "secret")) as server:
        server.user("ada", PASSWORD)
        staff = Visitor(server, "staff", "secret")

        assert refusal(staff.send("GET", "wp/v2/users/me")) == (401, "rest_not_logged_in")
        ada = requests.get(f"{staff.root}/wp/v2/users/me", auth=("ada", PASSWORD), timeout=TIMEOUT)
        assert ada.status_code == 401
        assert "WWW-Authenticate" in ada.headers


def test_a_web_server_that_drops_authorization() -> None:
    """WordPress gets neither passwords nor tokens, but the record shows that they were sent."""
    with Server(drops_authorization=True, token="token") as server:
        server.user("ada", PASSWORD)
        ada = Visitor(server, "ada")

        assert ada.nonce == server.nonce
        assert refusal(ada.send("GET", "wp/v2/users/me")) == (401, "rest_not_logged_in")
        answer = Program(server).get("simpleAuthCheck")
        assert refusal(answer) == (401, "rest_forbidden")
        assert server.requests[-1].headers["Authorization"] == "Bearer token"


def test_a_site_that_is_closed_to_guests(session: requests.Session) -> None:
    """Guests get no route, but pages; users get everything."""
    with Server(closed_to_guests=True) as server:
        server.user("ada", PASSWORD)
        for path in ("/wp-json/", START):
            refused = session.post(server.url + path, timeout=TIMEOUT)
            assert refusal(refused) == (401, "rest_not_logged_in")
        assert session.get(server.url, timeout=TIMEOUT).status_code == 200
        assert Visitor(server, "ada").reply() == "Echo(1 msgs): Hi"


def test_a_cache_keeps_the_answer_of_start_session(session: requests.Session) -> None:
    """Everybody gets the first nonce, without cookies, even when it has expired."""
    with Server(caches_start_session=True) as server:
        server.fails("Not now.", route="start_session")
        failed = session.post(server.url + START, timeout=TIMEOUT)
        first = session.post(server.url + START, timeout=TIMEOUT)
        server.expire_nonce()
        second = requests.post(server.url + START, timeout=TIMEOUT)

        assert failed.status_code == 500
        assert first.json() == second.json()
        assert "Set-Cookie" in first.headers
        assert "Set-Cookie" not in second.headers
        assert second.headers["X-Cache"] == "HIT"
        visitor = Visitor(server)
        assert visitor.refusal() == (403, "rest_cookie_invalid_nonce")


def test_answers_are_held_back() -> None:
    """A response arrives in one piece when it is complete."""
    with Server(holds_answers=True) as server, closing(dial(server)) as sock:
        server.stalls(after=["Hel"])
        sock.sendall(http_request(server))
        sock.settimeout(0.1)
        with pytest.raises(socket.timeout):
            sock.recv(1)

        server.release()

        sock.settimeout(TIMEOUT)
        assert b'"Hel"' in read_until(sock, b'"end"')


@pytest.mark.parametrize("how", ["clean", "torn"])
def test_a_response_that_is_held_back_may_break_off(how: str) -> None:
    """A cut and raw bytes are sent as without the proxy."""
    with Server(holds_answers=True, pace=0.01) as server:
        server.cuts("Hel", "lo", how=how)
        server.writes(b"raw", step=1)

        request = http_request(server, CHAT, b"", "Connection: close")
        answers = [response_bytes(server, request) for _ in range(2)]

    assert b'"Hel"' in answers[0]
    assert answers[0].endswith(b"0\r\n\r\n") == (how == "clean")
    assert answers[1] == b"raw"


def image_url(session: requests.Session, server: Server) -> str:
    """Return the URL of a file on the site."""
    server.bot("painter", mode="images")
    answer = ask(session, server, botId="painter", stream=False)
    (url,) = json.loads(answer.text[len(WARNING) :])["images"]
    return str(url)


@pytest.mark.parametrize("prints", [WARNING, WARNING.encode()])
def test_another_plugin_prints_before_each_response(prints: Union[str, bytes]) -> None:
    """The output precedes JSON, streams and pages, but not files."""
    with Server(prints=prints) as server, requests.Session() as session:
        page = session.get(server.url, timeout=TIMEOUT)
        streamed = ask(session, server)
        plain = ask(session, server, stream=False)
        started = session.post(server.url + START, timeout=TIMEOUT)
        image = session.get(image_url(session, server), timeout=TIMEOUT)

    assert page.text.startswith(WARNING + "<!doctype html>")
    assert streamed.text.startswith(WARNING + "data: {")
    assert plain.text.startswith(WARNING + "{")
    assert started.text.startswith(WARNING + "{")
    assert image.headers["Content-Type"] == "image/png"
    assert image.content.startswith(b"\x89PNG")


def test_idle_connections_are_closed() -> None:
    """An idle connection is closed in time, which a header announces."""
    with Server(keep_alive=1) as server, closing(dial(server)) as sock:
        for _ in range(2):
            sock.sendall(http_request(server))
            assert b"Keep-Alive: timeout=1\r\n" in read_until(sock, b"0\r\n\r\n")

        assert sock.recv(1) == b""


def test_a_client_may_close_an_idle_connection() -> None:
    """A client that leaves before the time is up does no harm; ``Connection: close`` wins."""
    with Server(keep_alive=60) as server:
        with closing(dial(server)) as sock:
            sock.sendall(http_request(server))
            read_until(sock, b"0\r\n\r\n")
        last = response_bytes(server, http_request(server, CHAT, b"", "Connection: close"))

    assert b"Keep-Alive" not in last


def test_the_web_server_limits_bodies(session: requests.Session) -> None:
    """A body over the web server's limit is a 413, whatever its route."""
    with Server(client_max_body_size=200) as server:
        accepted, refused = (ask(session, server, "x" * size) for size in (10, 200))

    assert accepted.status_code == 200
    assert (refused.status_code, "413 " in refused.text) == (413, True)


def test_php_reads_no_body_over_its_limit(session: requests.Session) -> None:
    """For WordPress, a body over PHP's limit is empty."""
    with Server(post_max_size=200) as server:
        accepted, refused = (ask(session, server, "x" * size) for size in (10, 200))

    assert accepted.status_code == 200
    assert refusal(refused)[0] == 403
