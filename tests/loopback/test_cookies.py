"""Cookies of a broken or hostile site: none is lost for another, and they take bounded memory."""

from __future__ import annotations

import warnings
from http.cookiejar import CookieJar
from typing import Any, Iterator, List
from unittest.mock import Mock

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.cookies import MockRequest, MockResponse, RequestsCookieJar, create_cookie
from support import HELLO, PHP, Peer, RawServer, answering

from chatgpt4online import Client
from chatgpt4online._http import cookies
from chatgpt4online._http import session as sessions

SESSIONS = ("own", "plain", "user")
BAD = [
    "bad=1; Max-Age=" + "9" * 400,
    "bad=1; max-age = -" + "9" * 5000,
    "bad=1; Expires=Wed, 09 Jun 99999999999 10:18:14 GMT",
    "bad=1; Expires=Thu, 01 Mai 2026 10:18:14 GMT; Path=/",
    "bad=1; Expires=Thu, 01 Mai 99999999999 10:18:14 GMT",
    'bad=1; Path=/; Max-Age="' + "1" * 400 + '"',
    "bad=1; Max-Age",
    "bad=1; Version; Path=/",
]


@pytest.fixture(params=SESSIONS)
def options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield the client's options for each kind of session."""
    if request.param == "plain":
        monkeypatch.setattr(sessions, "is_known_urllib3", lambda: False)
    with requests.Session() as session:
        yield {"session": session} if request.param == "user" else {}


def jar_of(client: Client) -> RequestsCookieJar:
    """Return the cookies of a client."""
    return client._transport._session.session.cookies


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad[:30])
@pytest.mark.filterwarnings("ignore:http.cookiejar bug")
def test_what_cannot_be_read(bad: str, options: Any) -> None:
    """A cookie that cannot be read costs the others nothing."""
    fields = ("Set-Cookie: first=1", f"Set-Cookie: {bad}", "Set-Cookie: last=1")
    with RawServer(answering(PHP.answer(HELLO, *fields).bytes)) as server:
        with Client(server.url, **options) as client:
            client.chat("Hi")
            client.chat("Hi")
        sent = server.questions[-1].headers["cookie"]
        assert "first=1" in sent
        assert "last=1" in sent


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad[:30])
@pytest.mark.parametrize("kind", ["own", "plain"])
def test_no_warning(bad: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session of the client's own does not even warn."""
    if kind == "plain":
        monkeypatch.setattr(sessions, "is_known_urllib3", lambda: False)
    answer = PHP.answer(HELLO, f"Set-Cookie: {bad}").bytes
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"  # warnings are errors in tests


def test_cookies_are_bounded(options: Any) -> None:
    """A jar keeps 64 KiB of cookies of a site; the largest go first."""

    def serve(peer: Peer) -> None:
        for number in range(3):
            big = [f"Set-Cookie: c{number}-{each}={'x' * 30_000}" for each in range(30)]
            peer.question()
            peer.send(PHP.answer(HELLO, f"Set-Cookie: good{number}=1", *big).bytes)
        peer.question()

    with RawServer(serve) as server, Client(server.url, **options) as client:
        for number in range(3):
            client.chat("Hi")
            jar = jar_of(client)
            assert sum(len(cookie.value or "") for cookie in jar) <= 64 * 1024
            assert f"good{number}" in jar
        assert "good0" in jar


def jar_with(*domains: str, size: int) -> RequestsCookieJar:
    """Return a jar with one cookie of this size for each domain, which may be given again."""
    jar = RequestsCookieJar()
    for number, domain in enumerate(domains):
        jar.set(f"c{number}", "x" * size, domain=domain)
    return jar


def test_no_more_is_removed_than_needed() -> None:
    """Of three cookies of 30,000 bytes, two stay."""
    jar = jar_with(*["a.example"] * 3, size=30_000)
    cookies.limit_size(jar)
    assert len(jar) == 2


def test_each_domain_is_bounded_by_itself() -> None:
    """What one domain sets takes nothing from another."""
    jar = jar_with("a.example", "b.example", "c.example", size=40_000)
    cookies.limit_size(jar)
    assert len(jar) == 3


def test_a_cookie_that_is_gone_is_not_replaced() -> None:
    """A cookie that was sent counts as replaced if the jar has another value, not if it is gone."""
    url = "http://a.example/"
    jar = RequestsCookieJar()
    assert not cookies.has_replaced(jar, url, "a=1")
    jar.set("a", "1", domain="a.example")
    assert not cookies.has_replaced(jar, url, "a=1")
    jar.set("a", "2", domain="a.example")
    assert cookies.has_replaced(jar, url, "a=1")


def test_attributes_of_cookies_are_bounded(options: Any) -> None:
    """A jar keeps no unknown attributes of a long cookie, which it would not count."""
    junk = "x" * 30_000
    long = [f"Set-Cookie: c{name}=1; path=/; junk={junk}; comment={junk}" for name in "ab"]
    answer = PHP.answer(HELLO, *long).bytes
    with RawServer(answering(answer)) as server, Client(server.url, **options) as client:
        client.chat("Hi")
        jar = jar_of(client)
    assert {cookie.name: (cookie.value, cookie.path) for cookie in jar} == {
        "ca": ("1", "/"),
        "cb": ("1", "/"),
    }
    assert not [cookie for cookie in jar if junk in str(vars(cookie))]


class ChangingJar(CookieJar):
    """A jar to which another thread adds cookies while it is read the first time."""

    def __init__(self, *cookies: Any) -> None:
        super().__init__()
        self.reads: List[Any] = [RuntimeError("dictionary changed size"), iter(cookies)]

    def __len__(self) -> int:
        """Return how many there are, about."""
        return 1

    def __iter__(self) -> Iterator[Any]:
        """Return an iterator the second time."""
        read = self.reads.pop(0)
        if isinstance(read, RuntimeError):
            raise read
        return iter(read)


def test_a_jar_that_changes() -> None:
    """A jar that another thread changes is read again, and what is gone already is no error."""
    jar = ChangingJar(create_cookie("a", "x" * 70_000, domain="a.example"))  # type: ignore[no-untyped-call]
    cookies.limit_size(jar)
    assert jar.reads == []


class InterruptedJar(RequestsCookieJar):
    """A jar from which another thread removes cookies while it is read the first time."""

    errors = 1
    message = "dictionary changed size during iteration"

    def add_cookie_header(self, request: Any) -> None:
        """Fail the first time."""
        if self.errors:
            self.errors -= 1
            raise RuntimeError(self.message)
        super().add_cookie_header(request)


def test_a_header_of_a_jar_that_changes() -> None:
    """A question's cookies are read again if another thread changes the jar meanwhile."""
    with RawServer(answering(PHP.answer(HELLO).bytes)) as server, Client(server.url) as client:
        session = client._transport._session.session
        session.cookies = jar = InterruptedJar()
        jar.set("a", "1")
        assert client.chat("Hi") == "Hello"
        assert jar.errors == 0
        assert server.questions[0].headers["cookie"] == "a=1"


def test_a_jar_that_fails() -> None:
    """Any other failure of a jar is raised, not tried again."""
    jar = InterruptedJar()
    jar.message = "out of cookies"
    with pytest.raises(RuntimeError, match="out of cookies"):
        cookies.header(jar, requests.Request("GET", "http://example.com").prepare())


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            [
                "a=1",
                ";",
                " ",
                "max-age",
                "expires",
                "=",
                "-",
                '"',
                "999999999999",
                "2030",
                "Wed, 09 Jun ",
                "Thu, 01 Mai ",
                " 10:18:14 GMT",
                "99999999999999999999",
                "path=/",
                "version",
                "domain",
                "port",
                "secure",
                "discard",
                "comment",
            ]
        )
    )
)
def test_any_set_cookie(parts: List[str]) -> None:
    """Whatever a Set-Cookie header says, reading it neither warns nor loses another."""
    import email.message

    message = email.message.Message()
    message["Set-Cookie"] = "".join(parts)
    message["Set-Cookie"] = "good=1"
    raw = Mock(_original_response=Mock(msg=message))
    cookies._repair(raw)
    jar = CookieJar()
    request = MockRequest(requests.Request("GET", "http://a.example/").prepare())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jar.extract_cookies(MockResponse(message), request)  # type: ignore[arg-type]
    assert "good" in [cookie.name for cookie in jar]


def test_a_response_without_a_message() -> None:
    """Where the headers cannot be reached, nothing is repaired."""
    cookies._repair(object())
