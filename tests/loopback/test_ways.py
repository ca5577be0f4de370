"""The way to the site: proxies, certificates, .netrc, and what a caller's session decides."""

from __future__ import annotations

import gc
import http.client
import os
import socket
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from support import relay, tls_context, wait_for

from chatgpt4online import Client, NotFoundError, StatusError, TransportError
from chatgpt4online._http import retry
from chatgpt4online.testing import Server

PASSWORD = "hunter2"
#: A site that no name server knows: who reaches it goes through the proxy.
SITE = "http://site.invalid"


class Proxy:
    """
    A proxy on loopback that takes everything to one server, and notes what it was asked.

    Args:
        server: where everything goes.
        refuse: whether it asks for a password instead.
        tls: what it speaks TLS by, if it does.
    """

    def __init__(
        self, server: Server, *, refuse: bool = False, tls: Optional[ssl.SSLContext] = None
    ) -> None:
        self.asked: List[str] = []
        self.passwords: List[Optional[str]] = []
        self._target = ("127.0.0.1", urlsplit(server.url).port or 0)
        self._refuse = refuse
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._scheme = "https" if tls else "http"
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._http.server_address[1]}"

    @property
    def url(self) -> str:
        """The URL that a client is given."""
        return f"{self._scheme}://{self.address}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _handler(self) -> Any:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                if proxy._admits(self):
                    proxy._forward(self)

            def do_CONNECT(self) -> None:
                if proxy._admits(self):
                    proxy._tunnel(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name
                """Log nothing."""

        return Handler

    def _admits(self, handler: BaseHTTPRequestHandler) -> bool:
        self.asked.append(f"{handler.command} {handler.path}")
        self.passwords.append(handler.headers["proxy-authorization"])
        if self._refuse:
            handler.send_error(407)
        return not self._refuse

    def _forward(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        onward = http.client.HTTPConnection(*self._target)
        path = urlsplit(handler.path).path
        onward.request("POST", path, body, dict(handler.headers.items()))
        answer = onward.getresponse()
        data = answer.read()
        onward.close()
        handler.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection"):
                handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    def _tunnel(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with socket.create_connection(self._target) as onward:
            relay(handler.connection, onward)


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """Start a proxy before the site."""
    with Proxy(server) as running:
        yield running


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Make a session of the caller's."""
    with requests.Session() as own:
        yield own


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Start a site with TLS, whose authority the environment names."""
    with Server(tls=tls_context(tmp_path, monkeypatch, "site.invalid")) as server:
        yield server


def dead_url() -> str:
    """Return the URL of a port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


def ask(site: str, **settings: Any) -> None:
    """Ask a site something, and get the answer."""
    with Client(site, **settings) as client:
        assert client.chat("Hi") == "Echo(1 msgs): Hi"


NONCE_AND_CHAT = [
    f"POST {SITE}/wp-json/mwai/v1/start_session",
    f"POST {SITE}/wp-json/mwai-ui/v1/chats/submit",
]


@pytest.mark.parametrize("with_session", [False, True])
def test_proxy(proxy: Proxy, session: requests.Session, *, with_session: bool) -> None:
    """With a proxy, every request goes through it, that for the nonce included."""
    ask(SITE, proxy=proxy.url, session=session if with_session else None)
    assert proxy.asked == NONCE_AND_CHAT


def test_proxy_of_a_secure_site(secure: Server) -> None:
    """A site with TLS is reached through a tunnel, in which the proxy sees nothing."""
    with Proxy(secure) as proxy:
        ask("https://site.invalid", proxy=proxy.url)
        assert set(proxy.asked) == {"CONNECT site.invalid:443"}


def test_secure_proxy_of_a_secure_site(
    secure: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy may speak TLS itself; both certificates are verified."""
    trusted = os.environ["REQUESTS_CA_BUNDLE"]
    (tmp_path / "proxy").mkdir()
    with Proxy(secure, tls=tls_context(tmp_path / "proxy", monkeypatch)) as proxy:
        both = [Path(each).read_bytes() for each in (trusted, os.environ["REQUESTS_CA_BUNDLE"])]
        for each in both:
            (tmp_path / "one.pem").write_bytes(each)
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "one.pem"))
            client = Client("https://site.invalid", proxy=proxy.url, retries=0)
            with client, pytest.raises(TransportError):
                client.chat("Hi")
        assert secure.requests == []
        (tmp_path / "both.pem").write_bytes(b"".join(both))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "both.pem"))
        ask("https://site.invalid", proxy=proxy.url)


def test_unreadable_authorities(
    secure: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle of authorities that is none fails the call, and leaves no connection open."""
    (tmp_path / "none.pem").write_text("no certificate")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with Client(secure.url, retries=0) as client, pytest.raises(TransportError):
        client.chat("Hi")
    wait_for(lambda: secure.open_connections == 0)
    assert secure.requests == []


def test_proxy_password(proxy: Proxy, server: Server) -> None:
    """A proxy's login goes to the proxy, and only there."""
    ask(SITE, proxy=f"http://user:{PASSWORD}@{proxy.address}")
    assert proxy.passwords == ["Basic dXNlcjpodW50ZXIy"] * 2
    assert not [r for r in server.requests if "authorization" in r.headers]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize("with_session", [False, True])
def test_proxy_of_the_environment(
    *,
    name: str,
    with_session: bool,
    proxy: Proxy,
    session: requests.Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without an argument, the environment says which proxy there is."""
    monkeypatch.setenv(name, proxy.url)
    ask(SITE, session=session if with_session else None)
    assert proxy.asked == NONCE_AND_CHAT


@pytest.mark.parametrize("with_session", [False, True])
def test_no_proxy_of_the_environment(
    *,
    with_session: bool,
    server: Server,
    session: requests.Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment's exceptions hold for its proxy."""
    monkeypatch.setenv("http_proxy", dead_url())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    ask(server.url, session=session if with_session else None)


@pytest.mark.parametrize("with_session", [False, True])
def test_argument_before_environment(
    *, with_session: bool, proxy: Proxy, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The argument wins over the environment, its exceptions included."""
    monkeypatch.setenv("http_proxy", dead_url())
    monkeypatch.setenv("no_proxy", "*")
    ask(SITE, proxy=proxy.url, session=session if with_session else None)
    assert proxy.asked == NONCE_AND_CHAT


def test_session_before_environment(
    proxy: Proxy, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session's proxies win over the environment's."""
    monkeypatch.setenv("http_proxy", dead_url())
    session.proxies = {"http": proxy.url}
    ask(SITE, session=session)
    assert proxy.asked == NONCE_AND_CHAT


def test_argument_before_session(proxy: Proxy, session: requests.Session) -> None:
    """The argument wins over a session's proxies, which stay what they are."""
    session.proxies = {"http": "http://dead.invalid"}
    ask(SITE, proxy=proxy.url, session=session)
    assert proxy.asked == NONCE_AND_CHAT
    assert session.proxies == {"http": "http://dead.invalid"}


def test_session_that_trusts_no_environment(
    server: Server, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that does not trust the environment is not made to."""
    monkeypatch.setenv("http_proxy", dead_url())
    session.trust_env = False
    ask(server.url, session=session)


def test_dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is not there is a `TransportError`, without its password."""
    monkeypatch.setattr("chatgpt4online._http.retry.FIRST_BACKOFF", 0.001)
    url = dead_url().replace("//", f"//user:{PASSWORD}@")
    with Client(SITE, proxy=url) as client, pytest.raises(TransportError) as caught:
        client.chat("Hi")
    assert PASSWORD not in str(caught.value)


def test_proxy_that_refuses(server: Server) -> None:
    """A proxy's refusal of a plain request is a `StatusError`, without its password."""
    with Proxy(server, refuse=True) as proxy:
        url = f"http://user:{PASSWORD}@{proxy.address}"
        with Client(SITE, proxy=url) as client, pytest.raises(StatusError) as caught:
            client.chat("Hi")
    assert caught.value.status == 407
    assert PASSWORD not in str(caught.value)
    assert server.requests == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_proxy_that_refuses_a_tunnel(secure: Server) -> None:
    """A proxy's refusal of a tunnel is a `TransportError` that names it."""
    with Proxy(secure, refuse=True) as proxy:
        client = Client("https://site.invalid", proxy=proxy.url, retries=0)
        with client, pytest.raises(TransportError, match="407"):
            client.chat("Hi")
    gc.collect()  # http.client of Python 3.8 leaves a proxy's answer to the collector


def test_many_pages_take_no_memory(server: Server) -> None:
    """What is remembered of a URL is forgotten where a client reads ever more pages."""

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


def test_proxy_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of proxy that needs a library which is not there is an error that names it."""

    def missing(*_: object, **__: object) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", missing)  # as requests does it
    client = Client(SITE, proxy="socks5://127.0.0.1:9", retries=0)
    with client, pytest.raises(TransportError, match=r"needs PySocks .*requests\[socks\]"):
        client.chat("Hi")


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this machine a .netrc with a login for the site."""
    path = tmp_path / "netrc"
    path.write_text(f"machine 127.0.0.1 login ada password {PASSWORD}\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


@pytest.mark.usefixtures("netrc")
def test_netrc_is_not_read(server: Server) -> None:
    """A login that lies in .netrc is not sent by itself."""
    ask(server.url)
    assert not [r for r in server.requests if "authorization" in r.headers]


@pytest.mark.usefixtures("netrc")
def test_netrc_is_the_callers(server: Server, session: requests.Session) -> None:
    """A session of the caller's reads .netrc, if it would without us."""
    server.user("ada", PASSWORD)
    ask(server.url, session=session)
    logins = [request.headers.get("authorization") for request in server.requests]
    assert logins == ["Basic YWRhOmh1bnRlcjI="] * 2
    session.trust_env = False
    ask(server.url, session=session)
    assert "authorization" not in server.requests[-1].headers


def test_certificates(secure: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site whose certificate is not known is not asked, and the reason is told."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    client = Client(secure.url, retries=0)
    with client, pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
        client.chat("Hi")
    assert secure.requests == []


def test_certificates_of_another_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site whose certificate is another site's is not asked, however trusted that is."""
    with Server(tls=tls_context(tmp_path, monkeypatch)) as server, Proxy(server) as proxy:
        client = Client("https://site.invalid", proxy=proxy.url, retries=0)
        with client, pytest.raises(TransportError, match=r"site\.invalid"):
            client.chat("Hi")
        assert server.requests == []
        ask(server.url)


def test_certificates_of_a_session(
    secure: Server, session: requests.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session's own certificates hold, whatever the environment says."""
    session.verify = os.environ["REQUESTS_CA_BUNDLE"]
    other = tmp_path / "other"
    other.mkdir()
    tls_context(other, monkeypatch)
    assert os.environ["REQUESTS_CA_BUNDLE"] != session.verify
    ask(secure.url, session=session)


class Recorder(HTTPAdapter):
    """An adapter of the caller's that notes how it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.options: List[Dict[str, Any]] = []
        self.closed = False

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Take note of the options, and send without the certificate, which is none."""
        self.options.append({**options, "url": request.url})
        return super().send(request, **{**options, "cert": None})

    def close(self) -> None:
        """Take note."""
        self.closed = True
        super().close()


def test_adapters_of_a_session(server: Server, session: requests.Session) -> None:
    """A session's own adapters carry every request, with the session's settings and our limits."""
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
    """Return what a session is set to, but for its cookies, in values that do not change."""
    state = {name: getattr(session, name) for name in session.__attrs__ if name != "cookies"}
    return {name: dict(each) if hasattr(each, "items") else each for name, each in state.items()}


def test_session_is_not_changed(server: Server, session: requests.Session) -> None:
    """Nothing of the caller's session is changed but its cookies."""
    session.headers["X-Own"] = "1"
    session.params = {"a": "b"}
    before = settings(session)
    ask(server.url, session=session, headers={"x-other": "2"})
    assert settings(session) == before
    assert "mwai_session_id" in session.cookies


def test_auth_of_a_session(server: Server, session: requests.Session) -> None:
    """A session's own login goes with every request."""
    server.user("ada", PASSWORD)
    session.auth = ("ada", PASSWORD)
    ask(server.url, session=session)
    assert [r.headers["authorization"] for r in server.requests] == ["Basic YWRhOmh1bnRlcjI="] * 2


def test_hooks_of_a_session(server: Server, session: requests.Session) -> None:
    """A session's own hooks see every response, redirects as the site sent them."""
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


class Busy(requests.Session):
    """A session to which, as it prepares a request, another thread brings a cookie; or worse."""

    def __init__(self, error: RuntimeError) -> None:
        super().__init__()
        self.errors = [error]

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Fail once, then prepare the request."""
        if self.errors:
            raise self.errors.pop()
        return super().prepare_request(request)


def test_cookies_of_other_threads(server: Server) -> None:
    """A cookie that another thread gets at the wrong moment is no error: it is looked at again."""
    with Busy(RuntimeError("dictionary changed size during iteration")) as session:
        ask(server.url, session=session)
    assert len(server.requests) == 2


def test_errors_of_a_session(server: Server) -> None:
    """Any other failure of a session's own comes out as it is."""
    error = RuntimeError("mine")
    with Busy(error) as session, Client(server.url, session=session) as client:
        with pytest.raises(RuntimeError) as caught:
            client.chat("Hi")
        assert caught.value is error
    assert server.requests == []


@pytest.mark.parametrize(("tries", "longest"), [(0, 0.5), (1, 1.0), (3, 4.0), (4, 8.0), (9, 8.0)])
def test_the_wait_before_another_try(tries: int, longest: float) -> None:
    """It doubles from half a second up to 8, of which up to a half is left out by chance."""
    assert [retry._backoff(tries, jitter) for jitter in (0.5, 1.0)] == [longest / 2, longest]
