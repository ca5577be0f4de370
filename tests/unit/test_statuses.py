"""What each HTTP status, and each failure on the way, becomes; and what is sent again for it."""

from __future__ import annotations

import gzip
import zlib
from email.utils import formatdate
from http.client import RemoteDisconnected
from time import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple, Type, Union

import pytest
import requests
import responses
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    MaxRetryError,
    NewConnectionError,
)
from urllib3.exceptions import ProtocolError as BrokenConnection

from chatgpt4online import (
    AuthError,
    BlockedError,
    ChatGPT4OnlineError,
    Client,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ReplyError,
    ServerError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)
from chatgpt4online._http import retry

SITE = "https://example.com"
ROOT = SITE + "/wp-json"
CHAT = "/mwai-ui/v1/chats/submit"
SESSION = "/mwai/v1/start_session"
NONCE = "0123456789"
ANSWER = b'data: {"type":"end","data":"{\\"success\\":true,\\"reply\\":\\"Hello\\"}"}\n\n'
TYPE = "text/event-stream"

Body = Union[Dict[str, Any], str]


class Refusal(NamedTuple):
    """What a site answers each time, and what comes of it."""

    status: int
    body: Body
    kind: Type[ChatGPT4OnlineError]
    code: str = ""
    message: str = ""
    #: How often the question was sent.
    sent: int = 1
    headers: Dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    retry_after: Optional[float] = None

    def __str__(self) -> str:
        return f"{self.status} {self.code or self.kind.__name__} {self.retry_after}"


def wp(code: str, status: int, message: str = "No.") -> Dict[str, Any]:
    """Return a refusal of WordPress's."""
    return {"code": code, "message": message, "data": {"status": status}}


def page(title: str) -> str:
    """Return a page."""
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body>x</body></html>"


def plugin(message: str) -> Dict[str, Any]:
    """Return a failure of the plugin's."""
    return {"success": False, "message": message}


REJECTED = "Sorry, your query has been rejected."
CRITICAL = "There has been a critical error on this website."
MAINTENANCE = "Briefly unavailable for scheduled maintenance. Check back in a minute."

REFUSALS = [
    # WordPress itself (protocol.md 3.1)
    Refusal(
        403,
        wp("rest_cookie_invalid_nonce", 403),
        AuthError,
        sent=2,
        code="rest_cookie_invalid_nonce",
        message="No.",
    ),
    Refusal(401, wp("rest_forbidden", 401), AuthError, "rest_forbidden", "No.", sent=2),
    Refusal(403, wp("rest_forbidden", 403), AuthError, "rest_forbidden", "No."),
    Refusal(401, wp("rest_login_required", 401), AuthError, "rest_login_required", "No."),
    Refusal(403, wp("rest_cannot_access", 403), AuthError, "rest_cannot_access", "No."),
    Refusal(401, page("Login"), AuthError, message="Login"),
    Refusal(404, wp("rest_no_route", 404), NotFoundError, "rest_no_route", "No."),
    Refusal(404, page("Not found"), NotFoundError, message="Not found"),
    Refusal(400, wp("rest_invalid_json", 400), StatusError, "rest_invalid_json", "No."),
    Refusal(500, wp("rest_encode_error", 500), ServerError, "rest_encode_error", "No."),
    # WordPress and its server dying (3.2)
    Refusal(
        500,
        wp("internal_server_error", 500, CRITICAL),
        ServerError,
        "internal_server_error",
        CRITICAL,
    ),
    Refusal(500, page("Database Error"), ServerError, message="Database Error"),
    Refusal(500, "", ServerError),
    Refusal(
        503,
        wp("wp_die", 503, MAINTENANCE),
        ServerError,
        "wp_die",
        MAINTENANCE,
        headers={"Retry-After": "600"},
        retry_after=600.0,
    ),
    Refusal(
        503,
        page("Maintenance"),
        ServerError,
        message="Maintenance",
        sent=3,
        headers={"Retry-After": "0"},
        retry_after=0.0,
    ),
    Refusal(503, page("Unavailable"), ServerError, message="Unavailable"),
    Refusal(502, page("502 Bad Gateway"), ServerError, message="502 Bad Gateway"),
    Refusal(502, "", ServerError, headers={"Retry-After": "0"}, retry_after=0.0),
    Refusal(504, page("504 Gateway Time-out"), ServerError, message="504 Gateway Time-out"),
    Refusal(520, "error code: 520", ServerError),
    Refusal(524, page("A timeout occurred"), ServerError, message="A timeout occurred"),
    Refusal(413, page("413 Too Large"), StatusError, message="413 Too Large"),
    Refusal(418, "", StatusError),
    # before the site: firewalls and CDNs
    Refusal(403, page("Just a moment..."), BlockedError, message="Just a moment..."),
    Refusal(403, page("Forbidden"), BlockedError, message="Forbidden"),
    Refusal(403, "", BlockedError),
    Refusal(
        503,
        page("Just a moment..."),
        BlockedError,
        message="Just a moment...",
        headers={"Retry-After": "0"},
        retry_after=0.0,
    ),
    Refusal(
        429,
        page("Just a moment..."),
        BlockedError,
        message="Just a moment...",
        headers={"Retry-After": "0"},
        retry_after=0.0,
    ),
    Refusal(429, "", BlockedError, headers={"cf-mitigated": "challenge"}),
    Refusal(200, page("Chat"), BlockedError, message="Chat", headers={"cf-mitigated": "challenge"}),
    Refusal(200, page("Just a moment..."), BlockedError, message="Just a moment..."),
    # rates
    Refusal(429, "", RateLimitError),
    Refusal(
        429,
        wp("too_many", 429),
        RateLimitError,
        "too_many",
        "No.",
        sent=3,
        headers={"Retry-After": "0"},
        retry_after=0.0,
    ),
    Refusal(429, "", RateLimitError, headers={"Retry-After": "61"}, retry_after=61.0),
    Refusal(429, "", RateLimitError, headers={"Retry-After": "soon"}),
    Refusal(
        429,
        "",
        RateLimitError,
        sent=3,
        retry_after=0.0,
        headers={"Retry-After": formatdate(0, usegmt=True)},
    ),
    Refusal(429, plugin("Slow down."), RateLimitError, message="Slow down."),
    # redirects that are not followed
    Refusal(
        302,
        "",
        StatusError,
        message="https://other.example/x",
        headers={"Location": "https://other.example/x?y"},
    ),
    Refusal(
        307,
        "",
        StatusError,
        message="https://example.com/wp-login.php",
        headers={"Location": "/wp-login.php?next=x"},
    ),
    Refusal(303, "", StatusError, message=f"{ROOT}{CHAT}", headers={"Location": f"{ROOT}{CHAT}"}),
    Refusal(300, "", StatusError, message="https://example.com/a", headers={"Location": "/a"}),
    Refusal(
        308,
        "",
        StatusError,
        message="an address that is not a URL",
        headers={"Location": "https://["},
    ),
    Refusal(302, page("Found"), StatusError, message="Found"),
    Refusal(304, "", StatusError),
]

FAILURES = [
    # the plugin's own (3.3)
    Refusal(403, plugin(REJECTED), ReplyError, message=REJECTED),
    Refusal(
        400,
        plugin("Invalid or expired shortcut."),
        ReplyError,
        message="Invalid or expired shortcut.",
    ),
    Refusal(
        500,
        plugin("You have reached the limit."),
        ReplyError,
        message="You have reached the limit.",
    ),
    Refusal(503, plugin("Busy."), ReplyError, message="Busy.", headers={"Retry-After": "0"}),
    Refusal(200, plugin("<b>No</b> credit."), ReplyError, message="No credit."),
    Refusal(200, plugin(""), ReplyError),
    Refusal(200, {"success": False}, ReplyError),
    Refusal(
        200, 'data: {"type":"error","data":"No credit."}\n\n', ReplyError, message="No credit."
    ),
    Refusal(200, 'data: {"type":"error","data":""}\n\n', ReplyError),
    Refusal(
        200,
        'data: {"type":"error","data":""}\n\ndata: {"type":"error","data":"No."}\n\n',
        ReplyError,
        message="No.",
    ),
]

NOT_THE_PLUGINS: List[Tuple[int, Body, Type[ChatGPT4OnlineError], str]] = [
    (200, page("My blog"), ProtocolError, "a web page (My blog) came instead of an answer"),
    (200, "<br />\n<b>Fatal error</b>: x", ProtocolError, "a web page came instead"),
    (200, {}, ProtocolError, "JSON that is not AI Engine's"),
    (200, {"reply": "Hello"}, ProtocolError, "JSON that is not AI Engine's"),
    (200, {"success": True}, ProtocolError, "the answer contains no reply"),
    (200, {"success": True, "reply": 5}, ProtocolError, "the answer contains no reply"),
    (200, "null", ProtocolError, "unexpected response, not from AI Engine: 'null'"),
    (200, "[]", ProtocolError, "unexpected response, not from AI Engine: '[]'"),
    (200, "{]", ProtocolError, "the answer is broken JSON"),
    (200, "", StreamInterrupted, "the answer is empty"),
    (204, "", StreamInterrupted, "the answer is empty"),
    (200, " \n", StreamInterrupted, "the answer is empty"),
    (200, ": keepalive\n\n", StreamInterrupted, "the answer stopped before its end"),
    (200, 'data: {"type":"live","data":""}\n\n', StreamInterrupted, "stopped before its end"),
    (
        200,
        'data: {"type":"end","data":false}\n\n',
        ProtocolError,
        "the end of the answer cannot be",
    ),
    (200, "data: {\n\n", ProtocolError, "the response is not JSON"),
    (200, wp("rest_forbidden", 401), AuthError, "HTTP 401 rest_forbidden: No."),
    (200, wp("rest_no_route", 404), NotFoundError, "HTTP 404 rest_no_route: No."),
]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send again at once."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.0)


@pytest.fixture
def site() -> Iterator[responses.RequestsMock]:
    """Make a site that gives a nonce, and has no page."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add("POST", ROOT + SESSION, json={"success": True, "restNonce": NONCE})
        mock.add("GET", SITE + "/", status=404)
        yield mock


@pytest.fixture(params=["chat", "stream"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return what asks a question, in each of the two ways."""

    def asking(**settings: Any) -> Any:
        with Client(SITE, **settings) as client:
            return getattr(client, request.param)("Hi")

    return asking


def answers(site: responses.RequestsMock, route: str, status: int, body: Body, **more: Any) -> None:
    """Let a route answer this, from now on or once more."""
    content = {"json": body} if isinstance(body, dict) else {"body": body}
    headers = dict(more.pop("headers", {}))
    more.setdefault("content_type", headers.pop("Content-Type", "text/html"))
    site.add("POST", ROOT + route, status=status, headers=headers, **content, **more)


def count(site: responses.RequestsMock, route: str) -> int:
    """Return how often a route was asked."""
    return sum(call.request.url.endswith(route) for call in site.calls)  # type: ignore[union-attr]


def in_json(refusal: Refusal) -> Dict[str, Any]:
    """Return the options of an answer that is JSON."""
    return {"content_type": "application/json"} if isinstance(refusal.body, dict) else {}


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_refusals(refusal: Refusal, site: responses.RequestsMock, ask: Callable[..., Any]) -> None:
    """A refusal becomes the error for it, with all that the site said; few are asked again."""
    headers = {**refusal.headers, "X-Request-Id": "r-1"}
    answers(site, CHAT, refusal.status, refusal.body, headers=headers)
    with pytest.raises(StatusError) as caught:
        ask()
    error = caught.value
    assert type(error) is refusal.kind
    assert (error.status, error.code, error.message) == (
        refusal.status,
        refusal.code,
        refusal.message,
    )
    assert error.retry_after == refusal.retry_after
    assert error.request_id == (None if "Location" in refusal.headers else "r-1")
    assert (error.site, error.route, error.text) == (SITE, CHAT[1:], "")
    renewed = refusal.sent == 2
    assert (count(site, SESSION), count(site, CHAT)) == (1 + renewed, refusal.sent)


def test_retry_after_date(site: responses.RequestsMock, ask: Callable[..., Any]) -> None:
    """A date in Retry-After is compared with the machine's clock."""
    date = formatdate(time() + 3600, usegmt=True)
    answers(site, CHAT, 429, "", headers={"Retry-After": date})
    with pytest.raises(RateLimitError) as caught:
        ask()
    assert caught.value.retry_after is not None
    assert 3590 < caught.value.retry_after <= 3600


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_failures(failure: Refusal, site: responses.RequestsMock, ask: Callable[..., Any]) -> None:
    """What the plugin itself says of its failure is a `ReplyError` under any status, asked once."""
    answers(site, CHAT, failure.status, failure.body, headers=failure.headers)
    with pytest.raises(ReplyError) as caught:
        ask()
    assert type(caught.value) is ReplyError
    assert caught.value.message == failure.message
    assert (caught.value.site, caught.value.route) == (SITE, CHAT[1:])
    assert (count(site, SESSION), count(site, CHAT)) == (1, 1)


@pytest.mark.parametrize(("status", "body", "kind", "words"), NOT_THE_PLUGINS)
def test_not_the_plugins(
    *,
    status: int,
    body: Body,
    kind: Type[ChatGPT4OnlineError],
    words: str,
    site: responses.RequestsMock,
    ask: Callable[..., Any],
) -> None:
    """What is neither an answer nor a refusal is an error that says what came; it is asked once."""
    answers(site, CHAT, status, body)
    with pytest.raises(ChatGPT4OnlineError) as caught:
        ask()
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{SITE} {CHAT[1:]}: ")
    assert count(site, CHAT) == 1


LIVE = 'data: {"type":"live","data":"Hel"}\n\n'


@pytest.mark.parametrize(
    ("rest", "kind"),
    [
        ("", StreamInterrupted),
        ('data: {"type":"error","data":"Died."}\n\n', ReplyError),
        ("data: {\n\n", ProtocolError),
        ('data: {"type":"end","data":"{\\"success\\":false}"}\n\n', ReplyError),
        ('data: {"type":"end","data":"{\\"reply\\":5}"}\n\n', ProtocolError),
    ],
)
def test_text_so_far(rest: str, kind: Type[Exception], site: responses.RequestsMock) -> None:
    """What had been answered before a failure is in the error."""
    answers(site, CHAT, 200, LIVE + LIVE.replace("Hel", "lo") + rest)
    with Client(SITE) as client:
        with pytest.raises(ChatGPT4OnlineError) as caught:
            client.chat("Hi")
        assert (type(caught.value), caught.value.text) == (kind, "Hello")
        stream = client.stream("Hi")
        with pytest.raises(ChatGPT4OnlineError) as caught:
            list(stream)
        assert (type(caught.value), caught.value.text, stream.text) == (kind, "Hello", "Hello")


SESSION_REFUSALS = [
    Refusal(500, "", ServerError),
    Refusal(502, "", ServerError, sent=3),
    Refusal(503, "", ServerError, sent=3),
    Refusal(504, "", ServerError, sent=3),
    Refusal(520, "", ServerError),
    Refusal(503, "", ServerError, sent=3, headers={"Retry-After": "0"}),
    Refusal(503, "", ServerError, headers={"Retry-After": "600"}),
    Refusal(503, page("Just a moment..."), BlockedError),
    Refusal(429, "", RateLimitError, sent=3),
    Refusal(429, "", RateLimitError, sent=3, headers={"Retry-After": "0"}),
    Refusal(401, wp("rest_forbidden", 401), AuthError),
    Refusal(403, wp("rest_cookie_invalid_nonce", 403), AuthError),
    Refusal(403, page("Forbidden"), BlockedError),
    Refusal(404, wp("rest_no_route", 404), NotFoundError),
    Refusal(400, "", StatusError),
    Refusal(200, {"success": True}, ProtocolError),
    Refusal(200, {"success": True, "restNonce": ""}, ProtocolError),
    Refusal(200, {"success": True, "restNonce": 5}, ProtocolError),
    Refusal(200, {"success": True, "restNonce": "a\r\nb"}, ProtocolError),
    Refusal(200, {"restNonce": NONCE}, ProtocolError),
    Refusal(200, plugin("No."), ReplyError),
    Refusal(200, page("My blog"), ProtocolError),
    Refusal(200, "", StreamInterrupted, sent=3),
    Refusal(200, ANSWER.decode(), ProtocolError),
]


@pytest.mark.parametrize("refusal", SESSION_REFUSALS, ids=str)
def test_no_nonce(refusal: Refusal, ask: Callable[..., Any]) -> None:
    """Without a nonce no question is sent; `start_session` changes nothing and is asked again."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as site:
        answers(site, SESSION, refusal.status, refusal.body, headers=refusal.headers)
        answers(site, CHAT, 200, ANSWER.decode())
        site.add("GET", SITE + "/", status=404)
        with pytest.raises(ChatGPT4OnlineError) as caught:
            ask()
        assert type(caught.value) is refusal.kind
        assert (count(site, SESSION), count(site, CHAT)) == (refusal.sent, 0)
        if refusal.status != 404:
            assert caught.value.route == SESSION[1:]


REFUSED_THEN_WELL: List[Tuple[int, Body, Dict[str, str], int]] = [
    (403, wp("rest_cookie_invalid_nonce", 403), {}, 2),
    (401, wp("rest_forbidden", 401), {}, 2),
    (429, "", {"Retry-After": "0"}, 1),
    (503, wp("wp_die", 503), {"Retry-After": "0"}, 1),
]


@pytest.mark.parametrize(("status", "body", "headers", "sessions"), REFUSED_THEN_WELL)
def test_refused_then_well(
    *, status: int, body: Body, headers: Dict[str, str], sessions: int, site: responses.RequestsMock
) -> None:
    """What cannot have run is asked again, with a fresh nonce if it was that, and then answered."""
    answers(site, CHAT, status, body, headers=headers)
    answers(site, CHAT, 200, ANSWER.decode(), content_type=TYPE)
    with Client(SITE) as client:
        assert client.chat("Hi") == "Hello"
    assert (count(site, SESSION), count(site, CHAT)) == (sessions, 2)
    bodies = [call.request.body for call in site.calls if call.request.url == ROOT + CHAT]
    assert bodies[0] == bodies[1]


def test_no_retries(site: responses.RequestsMock) -> None:
    """With ``retries=0`` nothing is asked again but for a fresh nonce."""
    answers(site, CHAT, 429, "", headers={"Retry-After": "0"})
    with Client(SITE, retries=0) as client, pytest.raises(RateLimitError):
        client.chat("Hi")
    assert count(site, CHAT) == 1


def test_wait_beyond_the_deadline(site: responses.RequestsMock) -> None:
    """A wait that would pass the deadline is not begun: the refusal is raised at once."""
    answers(site, CHAT, 429, "", headers={"Retry-After": "30"})
    with Client(SITE, deadline=20) as client, pytest.raises(RateLimitError) as caught:
        client.chat("Hi")
    assert caught.value.retry_after == 30.0
    assert count(site, CHAT) == 1


POOL: Any = None


def unsent(reason: Exception) -> requests.ConnectionError:
    """Return requests' error for a connection that could not be made."""
    return requests.ConnectionError(MaxRetryError(POOL, "/", reason))


class Failed(NamedTuple):
    """What requests raised, what comes of it, and how often the two routes were asked."""

    error: Exception
    kind: Type[ChatGPT4OnlineError]
    words: str
    #: For a question, and for `start_session`.
    sent: Tuple[int, int]
    phase: str = ""

    def __str__(self) -> str:
        return f"{type(self.error).__name__} {self.words}"


BROKEN = BrokenConnection("Connection aborted.", RemoteDisconnected("Remote end closed"))
BROKEN.__context__ = BROKEN.args[1]  # as it is when urllib3 raises it
NO_NAME = OSError(-2, "Name or service not known")
FAILED = [
    Failed(unsent(NewConnectionError(POOL, "refused")), TransportError, "no answer", (3, 3)),
    Failed(
        requests.ConnectTimeout(MaxRetryError(POOL, "/", ConnectTimeoutError())),
        *(Timeout, "no connection within the time limit", (3, 3), "connect"),
    ),
    Failed(requests.ReadTimeout(), Timeout, "silent for longer", (1, 1), "read"),
    Failed(requests.ConnectionError(BROKEN), TransportError, "Remote end closed", (1, 3)),
    Failed(requests.ConnectionError(NO_NAME), TransportError, "Name or service", (1, 3)),
    Failed(requests.exceptions.SSLError(), TransportError, "SSLError", (1, 3)),
    Failed(requests.exceptions.ProxyError(), TransportError, "ProxyError", (1, 3)),
    Failed(requests.exceptions.ChunkedEncodingError(), TransportError, "Chunked", (1, 3)),
    Failed(requests.exceptions.ContentDecodingError(), TransportError, "Content", (1, 3)),
    Failed(requests.exceptions.InvalidHeader("s3cret"), TransportError, "InvalidHeader", (1, 3)),
    Failed(requests.RequestException("s3cret"), TransportError, "RequestException", (1, 3)),
    Failed(LocationParseError("s3cret"), TransportError, "LocationParseError", (1, 3)),
    Failed(ConnectionResetError(104, "Reset"), TransportError, "Reset", (1, 3)),
    Failed(ValueError("s3cret"), TransportError, "ValueError", (1, 3)),
]


@pytest.mark.parametrize("failed", FAILED, ids=str)
@pytest.mark.parametrize("at_session", [False, True])
def test_failures_on_the_way(
    *, failed: Failed, at_session: bool, site: responses.RequestsMock, ask: Callable[..., Any]
) -> None:
    """
    Whatever requests raises is a `TransportError`, which has it as its cause.

    But for errors of values, which may quote a header, or a URL with its password. A question that
    may have gone out is asked once.
    """
    answers(site, CHAT, 200, ANSWER.decode())
    route = SESSION if at_session else CHAT
    site.replace("POST", ROOT + route, body=failed.error)
    with requests.Session() as session, pytest.raises(TransportError) as caught:
        ask(session=session)
    error = caught.value
    assert type(error) is failed.kind
    assert error.__cause__ is (None if isinstance(failed.error, ValueError) else failed.error)
    assert failed.words in str(error)
    assert "s3cret" not in str(error)
    assert getattr(error, "phase", "") == failed.phase
    assert count(site, route) == failed.sent[at_session]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(), MemoryError()])
def test_interruptions(interruption: BaseException, site: responses.RequestsMock) -> None:
    """What is not about the site, such as Ctrl-C, goes through as it is; the client works on."""

    def interrupt(_: object) -> Any:
        raise interruption

    site.add_callback("POST", ROOT + CHAT, interrupt)
    site.add("POST", ROOT + CHAT, body=ANSWER)
    with Client(SITE) as client:
        with pytest.raises(type(interruption)) as caught:
            client.chat("Hi")
        assert caught.value is interruption
        assert client.chat("Hi") == "Hello"


def moved(site: responses.RequestsMock, old: str, new: str, status: int = 308) -> None:
    """Let a site redirect both routes."""
    for route in (SESSION, CHAT):
        site.upsert("POST", old + route, status=status, headers={"Location": new + route})


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects(status: int, site: responses.RequestsMock) -> None:
    """A moved site is asked at its new address, with a nonce from there, and found at once then."""
    new = "https://www.example.com/wp-json"
    moved(site, ROOT, new, status)
    site.add("POST", new + SESSION, json={"success": True, "restNonce": "a"})
    site.add("POST", new + CHAT, body=ANSWER)
    with Client(SITE) as client:
        assert client.chat("Hi") == client.chat("Hi") == "Hello"
    assert [(call.request.method, call.request.url) for call in site.calls] == [
        ("POST", ROOT + SESSION),
        ("POST", new + SESSION),
        ("POST", new + CHAT),
        ("POST", new + CHAT),
    ]
    assert site.calls[2].request.headers["x-wp-nonce"] == "a"
    assert site.calls[2].request.headers["origin"] == "https://www.example.com"


def test_question_moves(site: responses.RequestsMock) -> None:
    """A question that is redirected is asked at the new address whole, with a nonce from there."""
    new = "https://example.com/blog/wp-json"
    site.add("POST", ROOT + CHAT, status=307, headers={"Location": f"/blog/wp-json{CHAT}"})
    site.add("POST", new + SESSION, json={"success": True, "restNonce": "a"})
    site.add("POST", new + CHAT, body=ANSWER)
    with Client(SITE) as client:
        assert client.chat("Hi") == "Hello"
    first, second = (c.request for c in site.calls if str(c.request.url).endswith(CHAT))
    assert first.body == second.body
    assert (first.headers["x-wp-nonce"], second.headers["x-wp-nonce"]) == (NONCE, "a")


def test_redirects_in_a_circle(site: responses.RequestsMock) -> None:
    """Five redirects are followed in one call, and no more."""
    moved(site, ROOT, "https://www.example.com/wp-json")
    moved(site, "https://www.example.com/wp-json", ROOT)
    with Client(SITE) as client, pytest.raises(StatusError) as caught:
        client.chat("Hi")
    assert caught.value.status == 308
    assert count(site, SESSION) == 6


def raw_deflate(data: bytes) -> bytes:
    """Compress without a header."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


CODINGS: List[Tuple[str, Callable[[bytes], bytes]]] = [
    ("", bytes),
    ("identity", bytes),
    ("gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
]


@pytest.mark.parametrize(("coding", "compress"), CODINGS)
@pytest.mark.parametrize("body", [ANSWER, b'{"success":true,"reply":"Hello"}'])
def test_codings(
    *, body: bytes, coding: str, compress: Callable[[bytes], bytes], site: responses.RequestsMock
) -> None:
    """One layer of compression that nobody asked for is undone."""
    headers = {"Content-Encoding": coding} if coding else {}
    site.add("POST", ROOT + CHAT, body=compress(body), headers=headers)
    with Client(SITE) as client:
        assert client.chat("Hi") == "Hello"


def twice(data: bytes) -> bytes:
    """Compress what has been compressed."""
    return gzip.compress(gzip.compress(data))


BAD_CODINGS: List[Tuple[str, Callable[[bytes], bytes], str]] = [
    ("br", bytes, "has the content coding 'br'"),
    ("gzip, gzip", twice, "has the content coding 'gzip, gzip'"),
    ("zstd," * 100, bytes, f"has the content coding '{'zstd,' * 8}'"),
    ("gzip", twice, "unexpected response, not from AI Engine"),
    ("gzip", bytes, "the compression of the answer is broken"),
]


@pytest.mark.parametrize(("coding", "compress", "words"), BAD_CODINGS)
def test_bad_codings(
    *, coding: str, compress: Callable[[bytes], bytes], words: str, site: responses.RequestsMock
) -> None:
    """Any other coding is an error that says so; two layers are never undone."""
    headers = {"Content-Encoding": coding}
    site.add("POST", ROOT + CHAT, body=compress(ANSWER), headers=headers)
    with Client(SITE) as client, pytest.raises(ProtocolError) as caught:
        client.chat("Hi")
    assert words in str(caught.value)
    assert count(site, CHAT) == 1


def test_cut_compression(site: responses.RequestsMock) -> None:
    """A compressed answer that stops before its end is not taken for a whole one."""
    body = gzip.compress(ANSWER)
    for size in range(len(body) - 9):
        site.upsert("POST", ROOT + CHAT, body=body[:size], headers={"Content-Encoding": "gzip"})
        with Client(SITE) as client, pytest.raises(ProtocolError):
            client.chat("Hi")
