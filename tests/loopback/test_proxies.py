"""The way to a site: proxies and certificates."""

from __future__ import annotations

import gc
import http.client
import io
import os
import socket
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Iterator, List, Optional
from urllib.parse import urlsplit

import pytest
import requests
from support import dead_address, relay, tls_context, wait_for

from chatgpt4online import ChatGPT4OnlineError, Client, StatusError, TransportError
from chatgpt4online._http import retry
from chatgpt4online._http.proxies import is_loopback
from chatgpt4online.cli import main
from chatgpt4online.testing import Server

PASSWORD = "hunter2"
#: A site whose name does not resolve: it can only be reached through the proxy.
SITE = "http://site.invalid"


class Proxy:
    """
    A proxy on loopback that sends everything to one server, and records its requests.

    Args:
        server: where everything is sent.
        refuse: whether it demands a password instead.
        tls: its side of TLS, if it speaks TLS.
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
        """The URL for a client."""
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

            def do_GET(self) -> None:
                self.do_POST()

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
        body = handler.rfile.read(int(handler.headers["content-length"] or 0))
        onward = http.client.HTTPConnection(*self._target)
        path = urlsplit(handler.path).path
        onward.request(handler.command, path, body, dict(handler.headers.items()))
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
    """Start a proxy in front of the site."""
    with Proxy(server) as running:
        yield running


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Make a caller's session."""
    with requests.Session() as own:
        yield own


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Start a site with TLS, whose authority the environment trusts."""
    with Server(tls=tls_context(tmp_path, monkeypatch, "site.invalid")) as server:
        yield server


@pytest.fixture
def dead_url() -> Iterator[str]:
    """Return the URL of a port on which nobody listens."""
    with dead_address() as address:
        yield f"http://{address}"


def ask(site: str, **settings: Any) -> None:
    """Ask a site, and get the answer."""
    with Client(site, **settings) as client:
        assert client.chat("Hi") == "Echo(1 msgs): Hi"


# ---------------------------------------------------------------------------------- proxies

NONCE_AND_CHAT = [
    f"POST {SITE}/wp-json/mwai/v1/start_session",
    f"POST {SITE}/wp-json/mwai-ui/v1/chats/submit",
]


@pytest.mark.parametrize("with_session", [False, True])
def test_proxy(proxy: Proxy, session: requests.Session, *, with_session: bool) -> None:
    """With `proxy`, every request goes through it, including the one for the nonce."""
    ask(SITE, proxy=proxy.url, session=session if with_session else None)
    assert proxy.asked == NONCE_AND_CHAT


def test_proxy_of_a_secure_site(secure: Server) -> None:
    """A site with TLS is reached through a tunnel."""
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


def test_proxy_password(proxy: Proxy, server: Server) -> None:
    """A proxy's login is sent to the proxy, and nowhere else."""
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
    """Without `proxy`, the environment names the proxy."""
    monkeypatch.setenv(name, proxy.url)
    ask(SITE, session=session if with_session else None)
    assert proxy.asked == NONCE_AND_CHAT


@pytest.mark.parametrize("with_session", [False, True])
def test_no_proxy_of_the_environment(
    *,
    with_session: bool,
    server: Server,
    session: requests.Session,
    dead_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment's `no_proxy` is respected."""
    monkeypatch.setenv("http_proxy", dead_url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    ask(server.url, session=session if with_session else None)


@pytest.mark.parametrize("with_session", [False, True])
def test_argument_before_environment(
    *,
    with_session: bool,
    proxy: Proxy,
    session: requests.Session,
    dead_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`proxy` wins over the environment, including its `no_proxy`."""
    monkeypatch.setenv("http_proxy", dead_url)
    monkeypatch.setenv("no_proxy", "*")
    ask(SITE, proxy=proxy.url, session=session if with_session else None)
    assert proxy.asked == NONCE_AND_CHAT


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "site.localhost."])
@pytest.mark.parametrize("with_session", [False, True])
def test_no_proxy_for_this_machine(
    *,
    host: str,
    with_session: bool,
    proxy: Proxy,
    server: Server,
    session: requests.Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A site on this machine is never asked through the environment's proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *args: look_up("127.0.0.1", *args))
    site = server.url.replace("127.0.0.1", host)
    ask(site, session=session if with_session else None)
    assert proxy.asked == []


@pytest.mark.parametrize("with_session", [False, True])
def test_a_proxy_for_this_machine(
    *, with_session: bool, proxy: Proxy, server: Server, session: requests.Session
) -> None:
    """A proxy that is given, to the client or to its session, is asked for this machine too."""
    session.proxies = {"http": proxy.url} if with_session else {}
    ask(server.url, **({"session": session} if with_session else {"proxy": proxy.url}))
    assert len(proxy.asked) == 2


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.8.9.1:80/", True),
        ("https://[::1]/", True),
        ("http://user:secret@LOCALHOST/", True),
        ("http://10.0.0.1/", False),
        ("http://0.0.0.0/", False),
        ("http://127.0.0.1.example/", False),
        ("http://127.0.0.1@example.org/", False),
        ("http://localhost.example/", False),
        ("http://notlocalhost/", False),
    ],
)
def test_which_sites_are_on_this_machine(url: str, expected: bool) -> None:
    """Loopback addresses are, `localhost` and names below it; names and users like them are not."""
    assert is_loopback(url) is expected


def test_demo_asks_no_proxy(
    proxy: Proxy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--demo` does not go through the environment's proxy."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["ask", "--demo", "Hi"]) == 0
    assert capsys.readouterr().out == "Echo(1 msgs): Hi\n"
    assert proxy.asked == []


def test_session_before_environment(
    proxy: Proxy, session: requests.Session, dead_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session's proxies win over the environment's."""
    monkeypatch.setenv("http_proxy", dead_url)
    session.proxies = {"http": proxy.url}
    ask(SITE, session=session)
    assert proxy.asked == NONCE_AND_CHAT


def test_argument_before_session(proxy: Proxy, session: requests.Session) -> None:
    """`proxy` wins over a session's proxies, which are not changed."""
    session.proxies = {"http": "http://dead.invalid"}
    ask(SITE, proxy=proxy.url, session=session)
    assert proxy.asked == NONCE_AND_CHAT
    assert session.proxies == {"http": "http://dead.invalid"}


def test_dead_proxy(dead_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreachable proxy is a TransportError without the proxy's password."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)
    url = dead_url.replace("//", f"//user:{PASSWORD}@")
    with Client(SITE, proxy=url) as client, pytest.raises(TransportError) as caught:
        client.chat("Hi")
    assert PASSWORD not in str(caught.value)


def test_proxy_that_refuses(server: Server) -> None:
    """A proxy's refusal of a plain request is a StatusError without the proxy's password."""
    with Proxy(server, refuse=True) as proxy:
        url = f"http://user:{PASSWORD}@{proxy.address}"
        with Client(SITE, proxy=url) as client, pytest.raises(StatusError) as caught:
            client.chat("Hi")
    assert caught.value.status == 407
    assert PASSWORD not in str(caught.value)
    assert server.requests == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_proxy_that_refuses_a_tunnel(secure: Server) -> None:
    """A proxy's refusal of a tunnel is a TransportError with its status."""
    with Proxy(secure, refuse=True) as proxy:
        client = Client("https://site.invalid", proxy=proxy.url, retries=0)
        with client, pytest.raises(TransportError, match="407"):
            client.chat("Hi")
    gc.collect()  # http.client of Python 3.8 leaves a proxy's answer to the collector


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("with_session", [False, True])
@pytest.mark.parametrize("site", [SITE, "https://site.invalid"])
def test_a_proxy_that_wants_a_login_is_asked_once(
    *, site: str, with_session: bool, server: Server, session: requests.Session
) -> None:
    """A proxy that refuses the login is not asked again, which could lock an account."""
    with Proxy(server, refuse=True) as proxy:
        url = f"http://user:{PASSWORD}@{proxy.address}"
        with Client(site, proxy=url, session=session if with_session else None) as client:
            with pytest.raises(ChatGPT4OnlineError, match="407") as caught:
                client.chat("Hi")
            assert len(proxy.asked) == 1
            health = client.check()
    gc.collect()  # http.client of Python 3.8 leaves a proxy's answer to the collector
    assert "The proxy wants a login" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert not health
    assert "proxy" in str(health)
    assert PASSWORD not in str(health)


@pytest.mark.parametrize(
    "proxy_url",
    [
        "http://user:{password}@127.0.0.1:1",
        "http://user:{password}@proxy.invalid:3128",
        "http://user:{password}@pro xy:1",
        "socks5://user:{password}@127.0.0.1:1",
        "socks5h://user:{password}@proxy.invalid:1080",
    ],
)
@pytest.mark.parametrize("site", [SITE, "https://site.invalid"])
def test_the_proxys_fault(site: str, proxy_url: str) -> None:
    """A proxy that cannot be reached is named, without its login, and not the site."""
    url = proxy_url.format(password=PASSWORD)
    with Client(site, proxy=url, retries=0) as client:
        with pytest.raises(TransportError, match="the proxy") as caught:
            client.chat("Hi")
        health = client.check()
    assert PASSWORD not in str(caught.value)
    assert "Is the site up" not in str(caught.value)
    assert "the proxy" in str(health)


@pytest.mark.parametrize("scheme", ["socks", "ftp"])
def test_unknown_schemes_of_a_proxy(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme that requests does not know is refused, or reads as the proxy's fault."""
    url = f"{scheme}://user:{PASSWORD}@127.0.0.1:1"
    with pytest.raises(ValueError, match="proxy must be a URL"):
        Client(SITE, proxy=url)
    monkeypatch.setenv("http_proxy", url)
    with Client(SITE, retries=0) as client, pytest.raises(TransportError, match="proxy") as caught:
        client.chat("Hi")
    assert PASSWORD not in str(caught.value)


# ----------------------------------------------------------------------------- certificates


def test_unreadable_authorities(
    secure: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invalid bundle of authorities is a TransportError, and leaves no connection open."""
    (tmp_path / "none.pem").write_text("no certificate")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with Client(secure.url, retries=0) as client, pytest.raises(TransportError):
        client.chat("Hi")
    wait_for(lambda: secure.open_connections == 0)
    assert secure.requests == []


def test_certificates(secure: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site with an untrusted certificate receives no request, and the error says why."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    client = Client(secure.url, retries=0)
    with client, pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
        client.chat("Hi")
    assert secure.requests == []


def test_certificates_of_another_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site with another site's certificate receives no request, even if that is trusted."""
    with Server(tls=tls_context(tmp_path, monkeypatch)) as server, Proxy(server) as proxy:
        client = Client("https://site.invalid", proxy=proxy.url, retries=0)
        with client, pytest.raises(TransportError, match=r"site\.invalid"):
            client.chat("Hi")
        assert server.requests == []
        ask(server.url)


def test_certificates_of_a_session(
    secure: Server, session: requests.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session's `verify` wins over the environment."""
    session.verify = os.environ["REQUESTS_CA_BUNDLE"]
    other = tmp_path / "other"
    other.mkdir()
    tls_context(other, monkeypatch)
    assert os.environ["REQUESTS_CA_BUNDLE"] != session.verify
    ask(secure.url, session=session)
