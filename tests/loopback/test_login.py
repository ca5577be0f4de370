"""Logins: acting as a user, the proof of a login, and credentials that stay with their site."""

from __future__ import annotations

import base64
import copy
import logging
import pickle
import ssl
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest
import requests
from support import Peer, RawServer, Received, json_reply, reply, session_reply, tls_context

from chatgpt4online import AuthError, Client, ServerError, StatusError
from chatgpt4online._http import retry
from chatgpt4online.testing import Server

USER = ("ada", "abcd efgh ijkl mnop")
NAMES = ("caf\u00e9", "p\u00e4ss w\u00f6rd \U0001f389")
TOKEN = "t0ken-s3cr3t"
ME = "/wp/v2/users/me"


@pytest.fixture
def ada(server: Server) -> Iterator[Client]:
    """Make a client that acts as a user."""
    server.user(*USER)
    with Client(server.url, auth=USER) as client:
        yield client


def basic(login: Any) -> str:
    """Return the header of a login."""
    return "Basic " + base64.b64encode(":".join(login).encode()).decode()


def paths(server: Server) -> List[str]:
    """Return the last parts of the requested paths."""
    return [each.path.rpartition("/")[2] for each in server.requests]


# --------------------------------------------------------------------------------- as a user


def test_a_user_asks(server: Server, ada: Client) -> None:
    """A login is sent with `start_session`, its proof and the question, which that user owns."""
    assert ada.chat("Hi", chat_id="mine") == "Echo(1 msgs): Hi"
    assert paths(server) == ["start_session", "me", "submit"]
    assert {each.headers.get("Authorization") for each in server.requests} == {basic(USER)}
    assert [each.chat_id for each in ada.discussions] == ["mine"]


@pytest.mark.parametrize("login", [NAMES, ("ada", "a:b:c"), ["ada", "abcd efgh"]])
def test_logins_in_any_script(login: Any, server: Server) -> None:
    """Names and passwords are sent in UTF-8, with any characters."""
    server.user(*login)
    with Client(server.url, auth=login) as client:
        assert client.chat("Hi")
    assert server.questions[0].headers["Authorization"] == basic(login)


def test_a_login_in_the_address(server: Server) -> None:
    """A login in the site's URL is removed from it and percent-decoded."""
    server.user("ada@home", "p/w")
    site = server.url.replace("http://", "http://ada%40home:p%2Fw@")
    with Client(site) as client:
        assert client.chat("Hi")
        assert client.site == server.url
    assert server.questions[0].headers["Authorization"] == basic(("ada@home", "p/w"))


def test_the_argument_wins_over_the_address(server: Server) -> None:
    """A login in `auth` wins over one in the URL."""
    server.user(*USER)
    with Client(server.url.replace("http://", "http://eve:x@"), auth=USER) as client:
        assert client.chat("Hi")


# -------------------------------------------------------------------------- logins that fail


@pytest.mark.parametrize("login", [("ada", "wrong"), ("eve", "abcd efgh ijkl mnop")])
def test_a_wrong_password(login: Any, server: Server, ada: Client) -> None:
    """A wrong password, which a site treats as a guest, is an AuthError before any question."""
    with Client(server.url, auth=login) as client:
        for act in (lambda: client.chat("Hi"), lambda: client.nonce, client.files.list):
            with pytest.raises(AuthError, match="the login was rejected") as caught:
                act()
            assert caught.value.route == "wp/v2/users/me"
            assert login[1] not in str(caught.value)
    assert server.questions == []


def test_a_proof_that_is_sent_again(
    server: Server, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request that proves a login changes nothing, so it is sent again after a 502."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)
    server.answers(502, route=ME)
    assert ada.chat("Hi") == "Echo(1 msgs): Hi"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 401, "body": {"code": "rest_login_required", "message": "No."}},
        {"status": 403, "body": {"code": "rest_forbidden", "message": "No."}},
        {"status": 404, "body": {"code": "rest_no_route", "message": "No."}},
        {"status": 404},
        {"status": 200, "body": {"id": 0}},
        {"status": 200, "body": {"id": "1"}},
        {"status": 200, "body": {"success": True}},
        {"status": 200, "body": "<html>Welcome</html>"},
    ],
    ids=str,
)
def test_a_login_that_cannot_be_proven(answer: Any, server: Server, ada: Client) -> None:
    """A login counts only if the site names the user; any other answer is an AuthError."""
    for _ in range(3):
        server.answers(**answer, route=ME)
    with pytest.raises(AuthError, match="the login was rejected") as caught:
        ada.chat("Hi")
    assert caught.value.status == answer["status"]
    assert server.questions == []


@pytest.mark.parametrize("body", [None, {"code": "rest_no_route", "message": "No."}])
def test_a_site_that_hides_its_users(body: Any, server: Server, ada: Client) -> None:
    """If the route of users is missing, the error says so, and the REST API counts as found."""
    server.answers(404, body=body, route=ME)
    with pytest.raises(AuthError, match="hides wp/v2/users/me"):
        ada.chat("Hi")
    assert ada.chat("Hi") == "Echo(1 msgs): Hi"
    assert server.requests[-1].path.startswith("/wp-json/")


def test_a_site_that_is_down_says_nothing_about_the_login(server: Server, ada: Client) -> None:
    """If the proof gets a server error, that is raised, not an AuthError."""
    server.answers(500, route=ME)
    with pytest.raises(ServerError):
        ada.chat("Hi")


def test_the_proof_is_asked_for_with_each_nonce(server: Server, ada: Client) -> None:
    """The login is proven once for each fetched nonce, not for each question."""
    ada.chat("Hi")
    ada.chat("Hi")
    ada.refresh_nonce()
    assert paths(server).count("me") == paths(server).count("start_session") == 2


def test_a_revoked_password(server: Server, ada: Client) -> None:
    """A user whose password has been revoked gets an AuthError, not a guest's answer."""
    assert ada.chat("Hi")
    server.user(USER[0], "another")
    with pytest.raises(AuthError, match="the login was rejected"):
        ada.chat("Hi")
    assert len(server.questions) == 2


def test_a_user_outlives_the_nonce(server: Server, ada: Client) -> None:
    """A user's stale nonce, 403 rest_forbidden, is renewed once; a second refusal is raised."""
    assert ada.chat("Hi")
    server.expire_nonce()
    assert ada.chat("Hi") == "Echo(1 msgs): Hi"
    assert paths(server).count("start_session") == 2
    for _ in range(2):
        server.answers(403, body={"code": "rest_forbidden", "message": "No."})
    with pytest.raises(AuthError):
        ada.chat("Hi")
    assert paths(server).count("start_session") == 3


# ------------------------------------------------------------------------- whose credentials


def test_the_environments_login(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's login is used for the environment's site, however that is named."""
    server.user(*USER)
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", server.url)
    monkeypatch.setenv("CHATGPT4ONLINE_USER", USER[0])
    monkeypatch.setenv("CHATGPT4ONLINE_APP_PASSWORD", USER[1])
    for site in (None, server.url, server.url + "/"):
        with Client(site) as client:
            client.chat("Hi")
    assert {each.headers.get("Authorization") for each in server.questions} == {basic(USER)}


@pytest.mark.parametrize("site", [None, "http://127.0.0.1:1", "https://example.com"])
def test_the_environments_login_for_another_site(
    site: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's login and token go to no other site, not even on another port."""
    if site is not None:
        monkeypatch.setenv("CHATGPT4ONLINE_SITE", site)
    monkeypatch.setenv("CHATGPT4ONLINE_USER", USER[0])
    monkeypatch.setenv("CHATGPT4ONLINE_APP_PASSWORD", USER[1])
    monkeypatch.setenv("CHATGPT4ONLINE_TOKEN", TOKEN)
    with Client(server.url) as client:
        client.chat("Hi")
        with pytest.raises(ValueError, match="the public API needs a token"):
            client.api  # noqa: B018 - raising is what is tested
    assert all("Authorization" not in each.headers for each in server.requests)


@pytest.mark.parametrize("name", ["USER", "APP_PASSWORD"])
def test_half_a_login_is_ignored(
    name: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without a password, or a password without a user, is not a login."""
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", server.url)
    monkeypatch.setenv("CHATGPT4ONLINE_" + name, "x")
    with Client() as client:
        client.chat("Hi")
    assert "Authorization" not in server.questions[0].headers


class Moving:
    """
    A site on http that redirects every request to https on the same port.

    There it gives a nonce and refuses everything else.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.https: List[Received] = []
        self.address = ""

    def serve(self, peer: Peer) -> None:
        """Serve one connection, plain or TLS."""
        secure = peer.begins_tls()
        if secure:
            peer.secure(self.context)
        while True:
            received = peer.receive()
            if received is None:
                return
            if secure:
                self.https.append(received)
                peer.send(self.answer(received))
            else:
                location = f"Location: https://{self.address}{received.target}"
                peer.send(reply("301 Moved Permanently", b"", location))

    def answer(self, received: Received) -> bytes:
        """Return the site's response over TLS."""
        if received.is_session:
            return session_reply()
        refused = {"code": "rest_not_logged_in", "message": "No.", "data": {"status": 401}}
        return json_reply("401 Unauthorized", refused)


@pytest.fixture
def moving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moving]:
    """Start a site that has moved from http to https."""
    site = Moving(tls_context(tmp_path, monkeypatch))
    with RawServer(site.serve) as server:
        site.address = server.address
        yield site


@pytest.mark.parametrize("own", [False, True], ids=["own session", "caller's session"])
def test_no_redirect_takes_a_secret_along(own: bool, moving: Moving) -> None:
    """A login, token or Cookie that was given for http is not sent to https after a redirect."""
    headers = {"Authorization": "Custom c4ller", "Cookie": "c4ller=1", "X-Mine": "m1ne"}
    headers.update({"User-Agent": "me/1", "Accept-Language": "de"})
    with requests.Session() as session:
        session.auth = ("ada", "s3ssion")
        session.headers["X-Api-Key"] = "k3y"
        options: Dict[str, Any] = {"session": session} if own else {}
        site = f"http://{moving.address}"
        with Client(site, auth=USER, token=TOKEN, headers=headers, **options) as client:
            with pytest.raises(AuthError, match=r"moved to https:.*, and the login was not sent"):
                client.chat("Hi")
            with pytest.raises(StatusError):
                client.api.text("Hi")
    assert len(moving.https) >= 3
    for received in moving.https:
        assert "authorization" not in received.headers
        assert "c4ller" not in received.headers.get("cookie", "")
        assert not {"x-mine", "x-api-key"} & received.headers.keys()
        assert received.headers["user-agent"] == "me/1"
        assert received.headers["accept-language"] == "de"


def test_a_page_takes_no_secret_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's login or token is refused if the page names a REST root of another origin."""
    context = tls_context(tmp_path, monkeypatch)
    seen: List[Received] = []

    def serve(peer: Peer) -> None:
        if peer.begins_tls():
            peer.secure(context)
        while True:
            received = peer.receive()
            if received is None:
                return
            seen.append(received)
            root = f'{{"botId":"default","restUrl":"https://{server.address}/wp-json"}}'
            element = f"<div class='mwai-chatbot-container' data-system='{root}'></div>"
            peer.send(session_reply() if received.is_session else reply("200 OK", element.encode()))

    with RawServer(serve) as server:
        page = f"{server.url}/chat/"
        for options in ({"auth": USER}, {"token": TOKEN}):
            with pytest.raises(ValueError, match="own site, https://"):
                Client.from_page(page, **options)
        with Client.from_page(page, auth=None, token=None) as client:
            assert client.nonce
            assert client.site == f"https://{server.address}"
    assert all("authorization" not in each.headers for each in seen)


def test_pages_see_no_login(server: Server, ada: Client) -> None:
    """Pages are requested without the login."""
    server.page("/chat/", bots=["default"])
    assert ada.bots("/chat/")
    assert "Authorization" not in server.requests[-1].headers


def test_other_sites_pages_see_no_login(server: Server, ada: Client) -> None:
    """A page of another site is requested without the login."""
    with Server() as other:
        other.page("/chat/", bots=["default"])
        (bot,) = ada.bots(other.url + "/chat/")
        assert bot.site == other.url
        assert "Authorization" not in other.requests[-1].headers


def test_a_login_from_a_page(server: Server) -> None:
    """A client made from a page can have a login."""
    server.user(*USER)
    server.page("/chat/", bots=["default"])
    with Client.from_page(server.url + "/chat/", auth=USER) as client:
        assert client.chat("Hi")
    assert server.questions[0].headers["Authorization"] == basic(USER)


# ------------------------------------------------------------------------------------- secrecy


def test_nothing_shows_a_secret(
    server: Server, ada: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """No repr, log line or error contains a password, token or nonce."""
    caplog.set_level(logging.DEBUG)
    with Client(server.url, auth=USER, token=TOKEN) as client:
        nonce = client.nonce
        server.expire_nonce()
        client.chat("Hi")
        with pytest.raises(StatusError) as caught:
            client.api.text("Hi")
        shown = [repr(client), repr(client._transport._settings), repr(client.api._credential)]
        shown += [repr(client.files), repr(client.discussions), repr(client.conversation())]
    shown += [caplog.text, str(caught.value), repr(caught.value), repr(vars(caught.value))]
    for secret in (USER[1], TOKEN, nonce, basic(USER), basic(USER)[6:]):
        assert not [text for text in shown if secret in text]


@pytest.mark.parametrize("way", [copy.copy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_has_the_login(way: Callable[[Client], Client], server: Server, ada: Client) -> None:
    """A copied or unpickled client acts as the same user."""
    with way(ada) as another:
        assert another.chat("Hi")
    assert server.questions[0].headers["Authorization"] == basic(USER)
