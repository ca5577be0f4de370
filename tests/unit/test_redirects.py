"""Sites that move: which redirects are followed, and the way back. No socket."""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Tuple

import pytest
import requests
import responses

from chatgpt4online import Client, NotFoundError, StatusError
from chatgpt4online._http import retry
from chatgpt4online._protocol import routes

SITE = "https://example.com"
OLD = SITE + "/wp-json/"
NEW = "https://www.example.com/wp-json/"
CHAT = routes.CHAT
SESSION = routes.START_SESSION
ANSWER = 'data: {"type":"end","data":"{\\"success\\":true,\\"reply\\":\\"Hello\\"}"}\n\n'
NO_ROUTE = {"code": "rest_no_route", "message": "No.", "data": {"status": 404}}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send again at once."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.0)


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    """Answer requests without a network."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def works(web: responses.RequestsMock, root: str, nonce: str = "0123456789") -> None:
    """Let a REST root give a nonce and answer."""
    web.upsert("POST", root + SESSION, json={"success": True, "restNonce": nonce})
    web.upsert("POST", root + CHAT, body=ANSWER)


def moves(web: responses.RequestsMock, old: str, new: str, status: int = 308) -> None:
    """Let a REST root redirect to another one."""
    for route in (SESSION, CHAT):
        web.upsert("POST", old + route, status=status, headers={"Location": new + route})


def disappears(web: responses.RequestsMock, root: str) -> None:
    """Let a REST root be an address that no WordPress answers."""
    for route in (SESSION, CHAT):
        web.upsert("POST", root + route, status=404, body="<html>Not found</html>")


def asked(web: responses.RequestsMock) -> List[str]:
    """Return the URLs that were asked."""
    return [str(call.request.url) for call in web.calls]


# --------------------------------------------------------------------------------- following


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirected_nonce(status: int, web: responses.RequestsMock) -> None:
    """A moved site is asked at its new address, with a nonce from there, and remembered."""
    moves(web, OLD, NEW, status)
    works(web, NEW, nonce="a")
    with Client(SITE) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
    assert asked(web) == [OLD + SESSION, NEW + SESSION, NEW + CHAT, NEW + CHAT]
    assert {call.request.method for call in web.calls} == {"POST"}
    assert web.calls[2].request.headers["x-wp-nonce"] == "a"
    assert web.calls[2].request.headers["origin"] == "https://www.example.com"


@pytest.mark.parametrize("own", [False, True], ids=["own session", "caller's session"])
def test_headers_of_one_call_stay_on_their_origin(own: bool, web: responses.RequestsMock) -> None:
    """Of a call's headers, another origin sees those about the client and the content."""
    works(web, OLD)
    web.upsert("POST", OLD + CHAT, status=308, headers={"Location": NEW + CHAT})
    works(web, NEW)
    headers = {"X-Id": "1", "Authorization": "a", "User-Agent": "me", "Accept-Language": "de"}
    session = requests.Session() if own else None
    with Client(SITE, session=session) as client:
        client.chat("Hi", headers=headers)
    before, after = (
        each.request.headers for each in web.calls if str(each.request.url).endswith(CHAT)
    )
    assert {name: before.get(name) for name in headers} == headers
    assert {name: after.get(name) for name in headers} == {
        **headers,
        "X-Id": None,
        "Authorization": None,
    }


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirected_question(status: int, web: responses.RequestsMock) -> None:
    """A redirected question is asked whole at the new address, which never sees the old nonce."""
    new = SITE + "/blog/wp-json/"
    works(web, OLD, nonce="old")
    works(web, new, nonce="new")
    location = {"Location": f"/blog/wp-json/{CHAT}"}
    web.upsert("POST", OLD + CHAT, status=status, headers=location)
    with Client(SITE) as client:
        assert client.chat("Hi") == "Hello"
    assert asked(web) == [OLD + SESSION, OLD + CHAT, new + SESSION, new + CHAT]
    first, second = web.calls[1].request, web.calls[3].request
    assert first.body == second.body
    assert (first.headers["x-wp-nonce"], second.headers["x-wp-nonce"]) == ("old", "new")


def test_redirects_in_a_circle(web: responses.RequestsMock) -> None:
    """Five redirects are followed in one call, and no more, whatever `retries` is."""
    moves(web, OLD, NEW)
    moves(web, NEW, OLD)
    with Client(SITE, retries=9) as client, pytest.raises(StatusError) as caught:
        client.chat("Hi")
    assert caught.value.status == 308
    assert asked(web) == [OLD + SESSION, NEW + SESSION] * 3


class Refused(NamedTuple):
    """A redirect that is not followed, and how the error shows its address."""

    location: str
    shown: str
    status: int = 301


#: `moved_root` has a test for each reason; these are redirects as sites send them.
REFUSED: Dict[str, Refused] = {
    "another host": Refused(f"https://other.example/x/{CHAT}?y", f"https://other.example/x/{CHAT}"),
    "another port": Refused(f"{SITE}:8443/wp-json/{CHAT}", f"{SITE}:8443/wp-json/{CHAT}"),
    "another scheme": Refused(f"ftp://example.com/{CHAT}", f"ftp://example.com/{CHAT}"),
    "no TLS": Refused(f"http://example.com/wp-json/{CHAT}", f"http://example.com/wp-json/{CHAT}"),
    "another route": Refused(f"/wp-json/{SESSION}", f"{SITE}/wp-json/{SESSION}"),
    "the login page": Refused("/wp-login.php?next=x", f"{SITE}/wp-login.php"),
    "with a user": Refused(f"https://ada:s3cret@example.com/{CHAT}", f"{SITE}/{CHAT}"),
    "with a query": Refused(f"/fr/{CHAT}?lang=fr", f"{SITE}/fr/{CHAT}"),
    "not a URL": Refused("https://[", "an address that is not a URL"),
    "not a port": Refused(f"https://example.com:port/{CHAT}", f"https://example.com:port/{CHAT}"),
    "300": Refused(f"/new/{CHAT}", f"{SITE}/new/{CHAT}", 300),
    "303": Refused(f"/new/{CHAT}", f"{SITE}/new/{CHAT}", 303),
    "304": Refused(f"/new/{CHAT}", f"{SITE}/new/{CHAT}", 304),
    "305": Refused(f"/new/{CHAT}", f"{SITE}/new/{CHAT}", 305),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("way", ["chat", "stream"])
def test_refused_redirects(name: str, way: str, web: responses.RequestsMock) -> None:
    """Any other redirect is an error that names the new address without its secrets."""
    redirect = REFUSED[name]
    works(web, OLD)
    location = {"Location": redirect.location}
    web.upsert("POST", OLD + CHAT, status=redirect.status, headers=location)
    with Client(SITE) as client, pytest.raises(StatusError) as caught:
        getattr(client, way)("Hi")
    error = caught.value
    assert type(error) is StatusError
    assert (error.status, error.message) == (redirect.status, redirect.shown)
    assert (error.site, error.route) == (SITE, CHAT)
    assert redirect.shown in str(error)
    assert "s3cret" not in str(error)
    assert asked(web) == [OLD + SESSION, OLD + CHAT]


@pytest.mark.parametrize(
    ("status", "body", "message"), [(302, "<title>Found</title>", "Found"), (304, "", "")]
)
def test_redirect_without_an_address(
    status: int, body: str, message: str, web: responses.RequestsMock
) -> None:
    """A redirect that names no address is an error like any other status."""
    works(web, OLD)
    web.upsert("POST", OLD + CHAT, status=status, body=body)
    with Client(SITE) as client, pytest.raises(StatusError) as caught:
        client.chat("Hi")
    assert (caught.value.status, caught.value.message) == (status, message)
    assert len(web.calls) == 2


def test_refused_redirect_of_a_nonce(web: responses.RequestsMock) -> None:
    """A redirect of `start_session` to another site is refused in the same way."""
    moves(web, OLD, "https://other.example/wp-json/")
    with Client(SITE) as client, pytest.raises(StatusError, match=r"other\.example") as caught:
        client.chat("Hi")
    assert caught.value.route == SESSION
    assert asked(web) == [OLD + SESSION]


# ----------------------------------------------------------------------------------- the way back


def moved_client(web: responses.RequestsMock) -> Client:
    """Return a client that has followed a redirect from the old address to the new one."""
    moves(web, OLD, NEW)
    works(web, NEW, nonce="new")
    client = Client(SITE)
    assert client.chat("Hi") == "Hello"
    web.calls.reset()
    return client


def test_return(web: responses.RequestsMock) -> None:
    """If the new address disappears, the original one is asked again, with its own nonce."""
    with moved_client(web) as client:
        disappears(web, NEW)
        works(web, OLD, nonce="old")
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
    assert asked(web) == [NEW + CHAT, OLD + SESSION, OLD + CHAT, OLD + CHAT]
    assert web.calls[2].request.headers["x-wp-nonce"] == "old"
    assert web.calls[2].request.body == web.calls[0].request.body


def test_return_of_a_nonce(web: responses.RequestsMock) -> None:
    """A request for a nonce finds the way back too."""
    with moved_client(web) as client:
        disappears(web, NEW)
        works(web, OLD, nonce="old")
        assert client.refresh_nonce() == "old"
    assert asked(web) == [NEW + SESSION, OLD + SESSION]


def test_return_without_retries(web: responses.RequestsMock) -> None:
    """The way back is not one of the `retries`."""
    moves(web, OLD, NEW)
    works(web, NEW)
    with Client(SITE, retries=0) as client:
        assert client.chat("Hi") == "Hello"
        disappears(web, NEW)
        works(web, OLD)
        assert client.chat("Hi") == "Hello"


def test_return_once(web: responses.RequestsMock) -> None:
    """If the original address still redirects there, the 404 is raised the second time."""
    with moved_client(web) as client:
        web.upsert("POST", NEW + CHAT, status=404, body="<html>Not found</html>")
        web.upsert("POST", OLD + SESSION, json={"success": True, "restNonce": "old"})
        with pytest.raises(NotFoundError) as caught:
            client.chat("Hi")
    assert (caught.value.status, caught.value.route) == (404, CHAT)
    assert asked(web) == [
        *(NEW + CHAT, OLD + SESSION, OLD + CHAT),
        *(NEW + SESSION, NEW + CHAT),
    ]


def test_return_to_another_move(web: responses.RequestsMock) -> None:
    """If the original address redirects to a third one by now, that is where the site is."""
    third = SITE + "/blog/wp-json/"
    with moved_client(web) as client:
        disappears(web, NEW)
        moves(web, OLD, third)
        works(web, third, nonce="third")
        assert client.chat("Hi") == "Hello"
    assert asked(web) == [NEW + CHAT, OLD + SESSION, third + SESSION, third + CHAT]


#: Responses of the new address that are no reason to go back: status and body.
STILL_THERE: List[Tuple[int, object]] = [(404, NO_ROUTE), (410, {}), (500, {}), (403, {})]


@pytest.mark.parametrize(("status", "body"), STILL_THERE)
def test_no_return(status: int, body: object, web: responses.RequestsMock) -> None:
    """Only a 404 without a WordPress code leads back: any other refusal is the site's."""
    with moved_client(web) as client:
        web.upsert("POST", NEW + CHAT, status=status, json=body)
        works(web, OLD)
        with pytest.raises(StatusError) as caught:
            client.chat("Hi")
    assert caught.value.status == status
    assert asked(web) == [NEW + CHAT]


def test_404_of_a_site_that_has_not_moved(web: responses.RequestsMock) -> None:
    """A 404 without a redirect before it is raised at once."""
    works(web, OLD)
    web.upsert("POST", OLD + CHAT, status=404, body="<html>Not found</html>")
    with Client(SITE) as client, pytest.raises(NotFoundError):
        client.chat("Hi")
    assert asked(web) == [OLD + SESSION, OLD + CHAT]


def test_404_of_a_page(web: responses.RequestsMock) -> None:
    """A missing page says nothing about the REST API, which stays where it has moved."""
    web.add("GET", SITE + "/chat/", status=404)
    with moved_client(web) as client:
        with pytest.raises(NotFoundError):
            client.bots("/chat/")
        assert client.chat("Hi") == "Hello"
    assert asked(web) == [SITE + "/chat/", NEW + CHAT]
