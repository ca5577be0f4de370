"""The headers of each request, as they reach the site."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest
import requests

from chatgpt4online import WIDGET_HEADERS, Client
from chatgpt4online.testing import Request, Server

HINTS = {"sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform"}
CHAT, SESSION = "chats/submit", "start_session"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Return a session of the caller's."""
    with requests.Session() as session:
        yield session


def sent(server: Server, route: str) -> Request:
    """Return the first request to a route."""
    return next(request for request in server.requests if request.path.endswith(route))


def fields(request: Request) -> Dict[str, str]:
    """Return a request's headers by lower-case name, without those that differ between runs."""
    names = {"host", "content-length", "cookie", "x-wp-nonce"}
    return {n.lower(): v for n, v in request.headers.items() if n.lower() not in names}


def widget(server: Server) -> Dict[str, str]:
    """Return the headers that the widget sends with a question."""
    return {
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "accept-language": "en-US,en;q=0.9",
        "content-type": "application/json",
        "dnt": "1",
        "origin": server.url,
        "priority": "u=1, i",
        "referer": server.url + "/",
        "sec-ch-ua": '"Not/A)Brand";v="8", "Chromium";v="126"',
        "sec-ch-ua-mobile": "?0",
        "sec-ch-ua-platform": '"Linux"',
        "sec-fetch-dest": "empty",
        "sec-fetch-mode": "cors",
        "sec-fetch-site": "same-origin",
        "user-agent": (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/126.0.0.0 Safari/537.36"
        ),
    }


def test_question(server: Server, client: Client) -> None:
    """A question has the widget's headers and no others."""
    client.chat("Hi")
    request = sent(server, CHAT)
    assert fields(request) == widget(server)
    assert int(request.headers["content-length"]) == len(request.body)
    assert request.headers["x-wp-nonce"] == server.nonce


def test_start_session(server: Server, client: Client) -> None:
    """`start_session` has the widget's headers for JSON, no body and no nonce."""
    client.chat("Hi")
    server.expire_nonce()
    client.chat("Hi")
    expected = {**widget(server), "accept": "application/json"}
    del expected["content-type"]
    starts = [request for request in server.requests if request.path.endswith(SESSION)]
    assert len(starts) == 2
    for request in starts:
        assert fields(request) == expected
        assert (request.body, request.headers["content-length"]) == (b"", "0")
        assert "x-wp-nonce" not in request.headers


def test_widget_headers_are_public(server: Server) -> None:
    """`WIDGET_HEADERS` are the default headers, without those that depend on the site."""
    ours = {"origin", "referer", "accept-encoding"}
    assert {n: v for n, v in widget(server).items() if n not in ours} == dict(WIDGET_HEADERS)


def test_directory() -> None:
    """The origin of a site in a directory does not contain the directory."""
    with Server(path="/blog") as server, Client(server.url) as client:
        client.chat("Hi")
        origin = server.url[: -len("/blog")]
        headers = sent(server, CHAT).headers
        assert (headers["origin"], headers["referer"]) == (origin, origin + "/")
        assert sent(server, CHAT).path == "/blog/wp-json/mwai-ui/v1/chats/submit"


CHANGES: List[Tuple[Dict[str, Any], Dict[str, Any]]] = [
    ({"X-Own": "caf\u00e9"}, {"x-own": "caf\u00e9"}),
    ({"Accept": "a/b", "DNT": "0"}, {"accept": "a/b", "dnt": "0"}),
    ({"dnt": None, "Priority": None, "ACCEPT-LANGUAGE": None}, {}),
    ({"origin": None, "referer": "https://example.com/"}, {"referer": "https://example.com/"}),
    ({"sec-ch-ua-mobile": "?1"}, {"sec-ch-ua-mobile": "?1"}),
    ({"user-agent": "mine"}, {"user-agent": "mine"}),
    ({"user-agent": None}, {}),
    ({"user-agent": "mine", "sec-ch-ua": "own"}, {"user-agent": "mine", "sec-ch-ua": "own"}),
]


@pytest.mark.parametrize(("changes", "changed"), CHANGES)
@pytest.mark.parametrize("with_session", [False, True])
def test_changes(
    *,
    changes: Dict[str, Any],
    changed: Dict[str, Any],
    with_session: bool,
    server: Server,
    session: requests.Session,
) -> None:
    """The caller's headers replace the widget's, None removes one, a user agent its hints."""
    session.headers.clear()
    given = session if with_session else None
    with Client(server.url, headers=changes, session=given) as client:
        client.chat("Hi")
    names = {name.lower() for name in changes} | (HINTS if "user-agent" in changes else set())
    for route in (CHAT, SESSION):
        headers = fields(sent(server, route))
        assert {n: v for n, v in headers.items() if n in names} == changed
        assert set(headers) >= set(WIDGET_HEADERS) - names - {"content-type"}


def test_the_callers_nonce_is_not_sent(server: Server, session: requests.Session) -> None:
    """A nonce in the caller's headers is never sent."""
    session.headers["X-WP-Nonce"] = "0000000000"
    for client in (
        Client(server.url, headers={"X-WP-Nonce": "1111111111"}),
        Client(server.url, session=session),
    ):
        with client:
            client.chat("Hi")
    nonces = [request.headers.get("x-wp-nonce") for request in server.requests]
    assert nonces == [None, server.nonce, None, server.nonce]


def test_unchanged_session(server: Server, session: requests.Session) -> None:
    """With an unchanged session of the caller's, the widget's headers are sent."""
    with Client(server.url, session=session) as client:
        client.chat("Hi")
    headers = fields(sent(server, CHAT))
    assert headers.pop("connection") == "keep-alive"
    assert headers == widget(server)
    assert sent(server, SESSION).headers["accept-encoding"] == "identity"


def test_session_headers_take_precedence(server: Server, session: requests.Session) -> None:
    """Headers set on a session take precedence, and its user agent removes the hints."""
    session.headers.update({"User-Agent": "theirs", "DNT": "0", "X-Own": "1"})
    with Client(server.url, session=session) as client:
        client.chat("Hi")
    for route in (CHAT, SESSION):
        headers = fields(sent(server, route))
        assert (headers["user-agent"], headers["dnt"], headers["x-own"]) == ("theirs", "0", "1")
        assert not HINTS & set(headers)
    assert sent(server, CHAT).headers["accept"] == "text/event-stream"


def test_session_without_agent(server: Server, session: requests.Session) -> None:
    """A session without a user agent sends the widget's."""
    del session.headers["User-Agent"]
    with Client(server.url, session=session) as client:
        client.chat("Hi")
    assert fields(sent(server, CHAT))["user-agent"] == WIDGET_HEADERS["user-agent"]


def test_content_type_is_needed(server: Server, session: requests.Session) -> None:
    """A session's content type is not sent, because the site only parses questions as JSON."""
    session.headers["Content-Type"] = "text/plain"
    with Client(server.url, session=session) as client:
        assert client.chat("Hi") == "Echo(1 msgs): Hi"
    assert "content-type" not in sent(server, SESSION).headers


def test_each_body_has_its_own_content_type(tmp_path: Path) -> None:
    """A caller's content type is on no request with a body: the site would not parse the body."""
    path = tmp_path / "a.txt"
    path.write_text("text")
    headers = {"content-type": "text/plain"}
    login = ("ada", "secret")
    with Server(token="t") as site, Client(site.url, auth=login, token="t", headers=headers) as ada:
        site.user(*login)
        ada.chat("Hi", files=[path], chat_id="a")
        ada.discussions.rename("a", "Title")
        ada.discussions.delete("a")
        assert ada.discussions.list() == []
        ada.files.delete(*ada.files.list())
        assert ada.api.text("Hi")
    bodies = [request for request in site.requests if request.body]
    assert len(bodies) == 8
    assert all(each.headers["content-type"] != "text/plain" for each in bodies)


def test_cookies() -> None:
    """The plugin's cookie is sent back, but not PHP's session (3.6.2 sets both)."""
    with Server() as server, requests.Session() as session:
        for given in (None, session):
            with Client(server.url, session=given) as client:
                client.chat("Hi")
                client.chat("Hi")
        for question in server.questions:
            name, _, value = question.headers["cookie"].partition("=")
            assert name == "mwai_session_id"
            assert value
            assert ";" not in value
        assert "PHPSESSID" in session.cookies


SESSION_COOKIES = [
    ("a=b; PHPSESSID=x; c=d", "a=b; c=d"),
    ("PHPSESSID=x", None),
    ("a=PHPSESSID=x", "a=PHPSESSID=x"),
]


@pytest.mark.parametrize(("cookie", "expected"), SESSION_COOKIES)
def test_session_cookie_header(
    *, cookie: str, expected: Any, server: Server, session: requests.Session
) -> None:
    """A session's cookie header is sent unchanged, except for PHP's session."""
    session.headers["Cookie"] = cookie
    with Client(server.url, session=session) as client:
        client.chat("Hi")
    assert sent(server, CHAT).headers.get("cookie") == expected


def test_an_agent_that_a_firewall_wants() -> None:
    """The caller's user agent goes with each request: pages, login proof, check and public API."""
    with Server(token="t0ken") as server:
        server.user("ada", "secret")
        server.page("/contact/", bots=["default"])
        options: Dict[str, Any] = {
            "auth": ("ada", "secret"),
            "token": "t0ken",
            "headers": {"User-Agent": "mine"},
        }
        with Client.from_page(server.url + "/contact/", **options) as client:
            client.chat("Hi")
            client.files.upload(BytesIO(b"x"), name="a.txt")
            list(client.files.list())
            list(client.discussions)
            client.api.bots()
            client.api.text("Hi")
            client.bots("/")
            assert client.check(ask="Hi")
        asked = {request.path for request in server.requests}
        agents = {request.headers["user-agent"] for request in server.requests}
    assert len(asked) >= 9
    assert agents == {"mine"}


def test_headers_of_one_call(server: Server) -> None:
    """A call's headers are merged over the client's, and None removes one; the next has its own."""
    ours = {"X-Own": "1", "X-Other": "2", "DNT": None}
    with Client(server.url, headers=ours) as client:
        client.chat("Hi", headers={"x-own": "3", "X-Other": None, "dnt": "0", "X-Id": "a"})
        client.chat("Hi")
        client.stream("Hi", headers={"X-Id": "b"}).result()
        list(client.map(["Hi"], headers={"X-Id": "c"}))
        client.conversation().chat("Hi", headers={"X-Id": "d"})
    names = ("x-own", "x-other", "dnt", "x-id")
    sent = [[each.headers.get(name) for name in names] for each in server.questions]
    assert sent == [["3", None, "0", "a"], ["1", "2", None, None]] + [
        ["1", "2", None, letter] for letter in "bcd"
    ]


@pytest.mark.parametrize("agent", ["mine", None])
@pytest.mark.parametrize("with_session", [False, True])
def test_user_agent_of_one_call(
    *, agent: Any, with_session: bool, server: Server, session: requests.Session
) -> None:
    """A call's user agent removes the hints of the widget's; None sends none."""
    session.headers["User-Agent"] = "theirs"
    with Client(server.url, session=session if with_session else None) as client:
        client.chat("Hi", headers={"User-Agent": agent})
    headers = fields(sent(server, CHAT))
    assert headers.get("user-agent") == agent
    assert not HINTS & set(headers)


def test_headers_of_one_call_and_of_a_session(server: Server, session: requests.Session) -> None:
    """A call's headers take precedence over those of a session."""
    session.headers.update({"X-Own": "1", "X-Other": "2"})
    with Client(server.url, session=session) as client:
        client.chat("Hi", headers={"X-Own": "3", "X-Other": None})
    headers = fields(sent(server, CHAT))
    assert (headers["x-own"], headers.get("x-other")) == ("3", None)


def test_uploads_have_the_headers_of_their_call(server: Server, tmp_path: Path) -> None:
    """Uploads for a question have its headers; a nonce's request, for all calls, has not."""
    path = tmp_path / "a.txt"
    path.write_text("text")
    with Client(server.url) as client:
        client.chat("Hi", files=[path], headers={"X-Id": "a", "Content-Type": "a/b"})
    for route in (CHAT, "files/upload"):
        assert sent(server, route).headers["x-id"] == "a"
        assert sent(server, route).headers["content-type"] != "a/b"
    assert "x-id" not in sent(server, SESSION).headers


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"a b": "c"}, "'a b' cannot be a header's name"),
        ({"X-A": "b\n"}, "the header X-A contains characters that cannot be sent"),
        ({"Content-Length": "5"}, "the header Content-Length is set for each request"),
    ],
)
@pytest.mark.parametrize("method", ["chat", "stream", "map"])
def test_bad_headers_of_one_call(
    method: str, headers: Dict[str, str], message: str, server: Server, client: Client
) -> None:
    """A call's headers are validated as a client's are, before anything is sent."""
    with pytest.raises(ValueError, match=message):
        getattr(client, method)("Hi" if method != "map" else ["Hi"], headers=headers)
    assert server.requests == []
