"""A caller's session: what it decides, and that nothing but its cookies is changed."""

from __future__ import annotations

import base64
import gc
import inspect
import traceback
from contextlib import suppress
from pathlib import Path
from types import CodeType
from typing import Any, Callable, Dict, Iterator, List
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from chatgpt4online import Client, NotFoundError, StatusError, StreamInterrupted, TransportError
from chatgpt4online.testing import Server

PASSWORD = "hunter2"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Make a caller's session."""
    with requests.Session() as own:
        yield own


def ask(site: str, **settings: Any) -> None:
    """Ask a site, and get the answer."""
    with Client(site, **settings) as client:
        assert client.chat("Hi") == "Echo(1 msgs): Hi"


class Recorder(HTTPAdapter):
    """A caller's adapter that records how it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.options: List[Dict[str, Any]] = []
        self.closed = False

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Record the options, and send without the certificate, which does not exist."""
        self.options.append({**options, "url": request.url})
        return super().send(request, **{**options, "cert": None})

    def close(self) -> None:
        """Record it."""
        self.closed = True
        super().close()


def test_adapters_of_a_session(server: Server, session: requests.Session) -> None:
    """A session's adapters send every request, with its settings and the client's limits."""
    adapter = Recorder()
    session.mount(server.url, adapter)
    session.cert, session.verify = ("cert.pem", "key.pem"), False
    ask(server.url, session=session, timeout=(3, 60))
    assert [urlsplit(each["url"]).path.rpartition("/")[2] for each in adapter.options] == [
        "start_session",
        "submit",
    ]
    for each in adapter.options:
        assert (each["cert"], each["verify"]) == (session.cert, False)
        assert (each["timeout"], each["stream"]) == ((3, 60), True)


def test_session_is_never_closed(server: Server, session: requests.Session) -> None:
    """Closing a client leaves the caller's session open."""
    adapter = Recorder()
    session.mount(server.url, adapter)
    ask(server.url, session=session)
    assert not adapter.closed
    assert session.get(server.url + "/").status_code


def settings(session: requests.Session) -> Dict[str, Any]:
    """Return copies of a session's settings, except its cookies."""
    state = {name: getattr(session, name) for name in session.__attrs__ if name != "cookies"}
    return {name: dict(each) if hasattr(each, "items") else each for name, each in state.items()}


def test_session_is_not_changed(server: Server, session: requests.Session) -> None:
    """Nothing of a caller's session is changed except its cookies."""
    session.headers["X-Own"] = "1"
    session.params = {"a": "b"}
    before = settings(session)
    ask(server.url, session=session, headers={"x-other": "2"})
    assert settings(session) == before
    assert "mwai_session_id" in session.cookies


def test_auth_of_a_session(server: Server, session: requests.Session) -> None:
    """A session's login is sent with every request."""
    server.user("ada", PASSWORD)
    session.auth = ("ada", PASSWORD)
    ask(server.url, session=session)
    assert [r.headers["authorization"] for r in server.requests] == ["Basic YWRhOmh1bnRlcjI="] * 2


def test_hook_that_reads(server: Server, session: requests.Session) -> None:
    """A hook may read a whole response, as to log it: the answer is not lost."""
    seen: List[str] = []
    session.hooks["response"] = [lambda response, **_: seen.append(response.text)]
    ask(server.url, session=session)
    assert "Echo" in seen[-1]


def test_hook_that_keeps_nothing(server: Server, session: requests.Session) -> None:
    """A hook that reads a response and keeps nothing of it leaves an error, never an answer."""
    session.hooks["response"] = [lambda response, **_: list(response.iter_content()) and None]
    with Client(server.url, session=session) as client, pytest.raises(StreamInterrupted):
        client.chat("Hi")


def test_hooks_of_a_session(server: Server, session: requests.Session) -> None:
    """A session's hooks see every response, and redirects as the site sent them."""
    seen = []

    def note(response: requests.Response, *_: Any, **__: Any) -> None:
        seen.append((response.status_code, response.headers.get("location")))

    session.hooks["response"] = [note]
    away = "https://other.example/"
    server.answers(307, headers={"Location": away})
    with Client(server.url, session=session) as client, pytest.raises(StatusError, match="other"):
        client.chat("Hi")
    assert seen == [(200, None), (307, away)]
    assert session.hooks == {"response": [note]}


@pytest.mark.parametrize("hooks", ["a function", "none", "no dict"])
def test_hooks_as_requests_takes_them(
    server: Server, session: requests.Session, hooks: str
) -> None:
    """A session's hooks may be a function, or missing; so may its proxies."""
    seen: List[int] = []
    session.hooks = {"response": lambda response, **_: seen.append(response.status_code)}
    if hooks == "none":
        session.hooks = {"response": None}
    elif hooks == "no dict":
        session.hooks = session.proxies = None  # type: ignore[assignment]
    ask(server.url, session=session)
    assert seen == ([200, 200] if hooks == "a function" else [])


def test_a_session_keeps_its_secrets_from_other_sites(
    server: Server, session: requests.Session
) -> None:
    """Another site gets no cookie without a domain, no parameter, header or login of a session."""
    session.cookies.set("login", PASSWORD)
    session.cookies.set("known", "1", domain="127.0.0.1")
    session.params = {"key": PASSWORD}
    session.headers["x-key"] = PASSWORD
    session.auth = ("ada", PASSWORD)
    with Server() as other, Client(server.url, session=session) as client:
        other.page("/chat/", bots=["default"])
        assert client.bots(f"{other.url}/chat/")
        client.chat("Hi")
        for request in other.requests:
            assert PASSWORD not in str((request.path, request.headers))
            assert request.headers["cookie"] == "known=1"
            assert "authorization" not in request.headers
    for request in server.requests:
        assert f"login={PASSWORD}" in request.headers["cookie"]
        assert f"key={PASSWORD}" in request.path
        assert request.headers["x-key"] == PASSWORD


class Failing(requests.Session):
    """A session that fails the first time that it prepares a request."""

    def __init__(self, error: RuntimeError) -> None:
        super().__init__()
        self.errors = [error]

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Fail once, then prepare the request."""
        if self.errors:
            raise self.errors.pop()
        return super().prepare_request(request)


def test_cookies_of_other_threads(server: Server) -> None:
    """A cookie that another thread stores while a request is prepared does not fail the call."""
    with Failing(RuntimeError("dictionary changed size during iteration")) as session:
        ask(server.url, session=session)
    assert len(server.requests) == 2


def test_errors_of_a_session(server: Server) -> None:
    """Any other error of a session passes unchanged."""
    error = RuntimeError("mine")
    with Failing(error) as session, Client(server.url, session=session) as client:
        with pytest.raises(RuntimeError) as caught:
            client.chat("Hi")
        assert caught.value is error
    assert server.requests == []


def failing_auth(_: requests.PreparedRequest) -> requests.PreparedRequest:
    """Read a key that is not Base64, on the last line of this function."""
    raise AssertionError(base64.b64decode(PASSWORD))


def failing_hook(response: requests.Response, **_: Any) -> None:
    """Look for something that is not there, on the last line of this function."""
    response.close()
    raise AttributeError(PASSWORD)


class FailingAdapter(HTTPAdapter):
    """A caller's adapter with a bug."""

    def send(self, *_: Any, **__: Any) -> requests.Response:
        """Fail on the last line of this function."""
        raise ValueError(PASSWORD)


def with_auth(session: requests.Session, _: str) -> CodeType:
    """Give a session a login with a bug."""
    session.auth = failing_auth
    return failing_auth.__code__


def with_hook(session: requests.Session, _: str) -> CodeType:
    """Give a session a hook with a bug."""
    session.hooks["response"] = [failing_hook]
    return failing_hook.__code__


def with_adapter(session: requests.Session, url: str) -> CodeType:
    """Give a session an adapter with a bug."""
    session.mount(url, FailingAdapter())
    return FailingAdapter.send.__code__


@pytest.mark.parametrize(
    ("prepare", "kind", "sent"),
    [
        (with_auth, "binascii.Error", 0),
        (with_hook, "AttributeError", 1),
        (with_adapter, "ValueError", 0),
    ],
)
@pytest.mark.parametrize("is_nonce_known", [True, False])
def test_bugs_in_a_session(
    *,
    prepare: Callable[[requests.Session, str], CodeType],
    kind: str,
    sent: int,
    is_nonce_known: bool,
    server: Server,
    session: requests.Session,
) -> None:
    """
    A bug in a session's auth, hook or adapter is named with its line, and tried once.

    Its text is not shown, since it may quote a password.
    """
    with Client(server.url, session=session) as client:
        if is_nonce_known:
            client.nonce  # noqa: B018 - it is fetched
        before = len(server.requests)
        code = prepare(session, server.url)
        with pytest.raises(TransportError) as caught:
            client.chat("Hi")
    last = code.co_firstlineno + len(inspect.getsourcelines(code)[0]) - 1
    line = f"{kind} in test_user_sessions.py, line {last}."
    assert f"the session's own auth, hook or adapter failed: {line}" in str(caught.value)
    has_run = is_nonce_known and prepare is not with_auth
    assert ("The site may have run" in str(caught.value)) == has_run
    assert PASSWORD not in "".join(traceback.format_exception(None, caught.value, None))
    assert len(server.requests) == before + sent


def test_session_that_trusts_no_environment(
    server: Server, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that does not trust the environment ignores its proxy."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    session.trust_env = False
    ask(server.url, session=session)


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create a .netrc with a login for the site."""
    path = tmp_path / "netrc"
    path.write_text(f"machine 127.0.0.1 login ada password {PASSWORD}\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


@pytest.mark.usefixtures("netrc")
def test_netrc_is_not_read(server: Server) -> None:
    """A login in .netrc is not used."""
    ask(server.url)
    assert not [r for r in server.requests if "authorization" in r.headers]


@pytest.mark.usefixtures("netrc")
def test_netrc_is_the_callers(server: Server, session: requests.Session) -> None:
    """A caller's session reads .netrc if it trusts the environment."""
    server.user("ada", PASSWORD)
    ask(server.url, session=session)
    logins = [request.headers.get("authorization") for request in server.requests]
    assert logins == ["Basic YWRhOmh1bnRlcjI="] * 2
    session.trust_env = False
    ask(server.url, session=session)
    assert "authorization" not in server.requests[-1].headers


# ---------------------------------------------------------------------- the client's own session


def test_many_pages_take_no_memory(server: Server) -> None:
    """What a client remembers about URLs does not grow with the pages that it reads."""

    def prepared() -> int:
        gc.collect()
        return sum(type(each) is requests.PreparedRequest for each in gc.get_objects())

    with Client(server.url, retries=0) as client:
        before = prepared()
        for number in range(200):
            with suppress(NotFoundError):
                client.bots(f"/{number}/")
        assert prepared() - before < 100
        assert client.chat("Hi") == "Echo(1 msgs): Hi"
