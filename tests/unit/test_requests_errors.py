"""What requests raises on the way to a site: our error, its cause, and what is sent again."""

from __future__ import annotations

import socket
import ssl
import struct
import zlib
from http.client import BadStatusLine, IncompleteRead, InvalidURL, RemoteDisconnected
from typing import Any, Dict, Iterator, NamedTuple, Tuple, Type

import pytest
import requests
import responses
from requests.adapters import HTTPAdapter
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    MaxRetryError,
    NewConnectionError,
)
from urllib3.exceptions import ProtocolError as BrokenConnection
from urllib3.exceptions import SSLError as TLSFailure

from chatgpt4online import ChatGPT4OnlineError, Client, StreamInterrupted, Timeout, TransportError
from chatgpt4online._http import retry
from chatgpt4online._protocol import routes

SITE = "https://example.com"
ROOT = SITE + "/wp-json/"
ANSWER = 'data: {"type":"end","data":"{\\"success\\":true,\\"reply\\":\\"Hello\\"}"}\n\n'
POOL: Any = None
SECRET = "s3cret"
UNSENDABLE = "URL can't contain control characters"


def unconnected(reason: Exception) -> MaxRetryError:
    """Return urllib3's error for a connection that could not be made."""
    return MaxRetryError(POOL, "/", reason)


class Failed(NamedTuple):
    """What requests raises, and what becomes of it."""

    raised: Exception
    words: str
    #: How often a question and a request for a nonce are sent.
    sent: Tuple[int, int] = (1, 3)
    error: Type[ChatGPT4OnlineError] = TransportError
    phase: str = ""


ABORTED = BrokenConnection("Connection aborted.", RemoteDisconnected("Remote end closed"))
ABORTED.__context__ = ABORTED.args[1]  # as it is when urllib3 raises it
UNTRUSTED = ssl.SSLCertVerificationError(1, "certificate verify failed")
errors = requests.exceptions

#: Of errors whose text may quote what was sent, only the type is named.
FAILED: Dict[str, Failed] = {
    "refused": Failed(
        requests.ConnectionError(unconnected(NewConnectionError(POOL, "refused"))), "", (3, 3)
    ),
    "not connected in time": Failed(
        requests.ConnectTimeout(unconnected(ConnectTimeoutError())),
        "no connection within the time limit",
        (3, 3),
        Timeout,
        "connect",
    ),
    "silence": Failed(requests.ReadTimeout(), "silent for longer", (1, 1), Timeout, "read"),
    "an untrusted certificate": Failed(
        errors.SSLError(unconnected(TLSFailure(UNTRUSTED))), "certificate verify failed", (1, 1)
    ),
    "aborted": Failed(requests.ConnectionError(ABORTED), "Remote end closed"),
    "reset": Failed(ConnectionResetError(104, "Reset"), "Reset"),
    "an error of the system": Failed(
        requests.ConnectionError(OSError(-2, "Name or service not known")), "Name or service"
    ),
    "TLS without a reason": Failed(ssl.SSLError("read error"), "read error"),
    "TLS": Failed(errors.SSLError(), "SSLError"),
    "a proxy": Failed(errors.ProxyError(), "ProxyError"),
    "chunks": Failed(errors.ChunkedEncodingError(), "ChunkedEncodingError"),
    "a long line": Failed(requests.ConnectionError(BadStatusLine("x" * 60_000)), "x" * 200 + "."),
    "compression": Failed(errors.ContentDecodingError(), "ContentDecodingError"),
    "a header": Failed(errors.InvalidHeader(SECRET), "InvalidHeader", (1, 1)),
    "a URL": Failed(errors.InvalidURL(SECRET), "InvalidURL", (1, 1)),
    "a URL of a proxy": Failed(errors.InvalidProxyURL(SECRET), "InvalidProxyURL", (1, 1)),
    "a URL for urllib3": Failed(LocationParseError(SECRET), "LocationParseError", (1, 1)),
    "a URL for http.client": Failed(InvalidURL(UNSENDABLE), UNSENDABLE, (1, 1)),
    "a URL in a pool": Failed(
        requests.ConnectionError(unconnected(LocationParseError(SECRET))), "", (1, 1)
    ),
    "a scheme": Failed(errors.InvalidSchema(SECRET), "InvalidSchema", (1, 1)),
    "a missing scheme": Failed(errors.MissingSchema(SECRET), "MissingSchema", (1, 1)),
    "a host name": Failed(UnicodeError(SECRET), "UnicodeError", (1, 1)),
    "a value": Failed(ValueError(SECRET), "ValueError", (1, 1)),
    "a warning": Failed(UserWarning(SECRET), "UserWarning"),
    "an early end": Failed(EOFError(), "EOFError"),
    "compression of an adapter": Failed(zlib.error(SECRET), "zlib.error"),
    "a format of an adapter": Failed(struct.error(SECRET), "struct.error"),
    "half a body": Failed(IncompleteRead(b""), "IncompleteRead"),
    "no address": Failed(socket.herror(1, "Unknown host"), "Unknown host"),
    "anything else": Failed(requests.RequestException(SECRET), "RequestException"),
}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send again at once."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.0)


@pytest.fixture
def site() -> Iterator[responses.RequestsMock]:
    """Make a site that gives a nonce and answers."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        session = {"success": True, "restNonce": "0123456789"}
        mock.add("POST", ROOT + routes.START_SESSION, json=session)
        mock.add("POST", ROOT + routes.CHAT, body=ANSWER)
        yield mock


@pytest.mark.parametrize("name", FAILED)
@pytest.mark.parametrize("way", ["chat", "stream"])
@pytest.mark.parametrize("route", [routes.CHAT, routes.START_SESSION])
def test_errors_of_requests(
    *, name: str, way: str, route: str, site: responses.RequestsMock
) -> None:
    """
    Whatever requests raises is a TransportError with that as its cause.

    Except for errors of values, which may quote a header, or a URL with its password. A question
    that may have left this machine is sent once.
    """
    failed = FAILED[name]
    site.replace("POST", ROOT + route, body=failed.raised)
    with requests.Session() as session, pytest.raises(TransportError) as caught:
        getattr(Client(SITE, session=session), way)("Hi")
    error = caught.value
    assert type(error) is failed.error
    assert error.__cause__ is (None if isinstance(failed.raised, ValueError) else failed.raised)
    assert failed.words in str(error)
    assert SECRET not in str(error)
    assert getattr(error, "phase", "") == failed.phase
    sent = [call.request.url for call in site.calls].count(ROOT + route)
    assert sent == failed.sent[route == routes.START_SESSION]


@pytest.mark.parametrize(
    "proxy", ["http://[::1", f"http://:x:{SECRET}@", "http://:3128", "ftp://x", "http://x:99999"]
)
@pytest.mark.parametrize("is_own", [True, False])
def test_broken_proxy_of_the_environment(
    proxy: str, is_own: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy's URL that cannot be used is tried once, since that stays so."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    caplog.set_level("DEBUG", "chatgpt4online")
    session = None if is_own else requests.Session()
    with Client(SITE, session=session) as client, pytest.raises(TransportError) as caught:
        client.chat("Hi")
    assert "the proxy's URL cannot be used" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "sent again" not in caplog.text


class BrokenBody(HTTPAdapter):
    """A caller's adapter whose answer cannot be read, and raises this."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.count = 0

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        """Return an answer."""
        self.count += 1
        response = requests.Response()
        response.request, response.status_code, response.raw = request, 200, self
        return response

    def read1(self, *_: Any, **__: Any) -> bytes:
        """Fail."""
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        EOFError(SECRET),
        zlib.error(SECRET),
        struct.error(SECRET),
        IncompleteRead(b""),
        socket.herror(1, "Unknown host"),
        ssl.SSLError("read error"),
        UnicodeError(SECRET),
        AttributeError(SECRET),
    ],
    ids=lambda error: type(error).__module__ + type(error).__name__,
)
@pytest.mark.usefixtures("site")
def test_body_of_an_adapter(error: Exception) -> None:
    """An answer that an adapter of the caller's cannot read is an interrupted one."""
    with requests.Session() as session:
        adapter = BrokenBody(error)
        session.mount(ROOT + routes.CHAT, adapter)
        with Client(SITE, session=session) as client, pytest.raises(StreamInterrupted) as caught:
            client.chat("Hi")
    assert "the answer stopped before its end: " in str(caught.value)
    assert "The site may have run the request" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert adapter.count == 1


def test_read_timeout_of_a_mock(site: responses.RequestsMock) -> None:
    """A ReadTimeout that a mocking library raises means that the question may have run."""
    site.replace("POST", ROOT + routes.CHAT, body=requests.ReadTimeout())
    with Client(SITE) as client, pytest.raises(Timeout) as caught:
        client.chat("Hi")
    assert caught.value.phase == "read"
    assert [call.request.url for call in site.calls].count(ROOT + routes.CHAT) == 1


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(), MemoryError()])
def test_interruptions(interruption: BaseException, site: responses.RequestsMock) -> None:
    """What is not about the site, such as Ctrl-C, passes unchanged; the client stays usable."""

    def interrupt(_: object) -> Any:
        site.upsert("POST", ROOT + routes.CHAT, body=ANSWER)
        raise interruption

    site.remove("POST", ROOT + routes.CHAT)
    site.add_callback("POST", ROOT + routes.CHAT, interrupt)
    with Client(SITE) as client:
        with pytest.raises(type(interruption)) as caught:
            client.chat("Hi")
        assert caught.value is interruption
        assert client.chat("Hi") == "Hello"


def test_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of proxy that needs a library that is not installed is an error that names it."""

    def missing(*_: object, **__: object) -> None:
        raise errors.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", missing)  # as requests does it
    client = Client(SITE, proxy="socks5://127.0.0.1:9", retries=0)
    with client, pytest.raises(TransportError, match=r"needs PySocks .*requests\[socks\]"):
        client.chat("Hi")
