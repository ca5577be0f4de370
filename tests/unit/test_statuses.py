"""How often a request is sent: what `retry` decides is what a client does."""

from __future__ import annotations

import io
from email.utils import formatdate
from time import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Union

import pytest
import responses

from chatgpt4online import (
    AuthError,
    ChatGPT4OnlineError,
    Client,
    NotFoundError,
    ServerError,
    StatusError,
)
from chatgpt4online._http import retry
from chatgpt4online._protocol import routes

SITE = "https://example.com"
ROOT = SITE + "/wp-json/"
PAGE = "/chat/"
ANSWER = 'data: {"type":"end","data":"{\\"success\\":true,\\"reply\\":\\"Hello\\"}"}\n\n'
SESSION = {"success": True, "restNonce": "0123456789"}

Body = Union[Dict[str, Any], str]
Headers = Dict[str, str]
Ask = Callable[[Client], object]


def wordpress(code: str, status: int) -> Dict[str, Any]:
    """Return the body of a refusal of WordPress."""
    return {"code": code, "message": "No.", "data": {"status": status}}


class Case(NamedTuple):
    """A response that comes each time, and how often the request is sent."""

    status: int
    #: Of a request that may have run, such as a question, and of one that changes nothing.
    sent: int
    sent_if_idempotent: int
    headers: Headers = {}  # noqa: RUF012 - nobody changes it
    body: Body = ""

    def __str__(self) -> str:
        extra = [*self.headers.values(), *([str(self.body)[:20]] if self.body else [])]
        return " ".join([str(self.status), *extra])


WAIT = Case(429, 3, 3, {"Retry-After": "0"})

#: One for each way in which a request can end, with `retries=2`. The error of each status is in
#: ``test_failures``, and what is sent again after it in ``test_retry``.
CASES = [
    WAIT,
    Case(503, 1, 1, {"Retry-After": "61"}),
    Case(502, 1, 3),
    Case(500, 1, 1),
    Case(404, 1, 1, body=wordpress("rest_no_route", 404)),  # at no other root either
    Case(503, 1, 1, {"Retry-After": "0", "cf-mitigated": "challenge"}),
    Case(200, 1, 1, body="<html><title>Just a moment...</title></html>"),
    Case(200, 1, 1, body={"success": False, "message": "No credit."}),
    Case(200, 1, 3),  # it is cut
    Case(204, 1, 3),
]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send again at once."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.0)


@pytest.fixture
def site() -> Iterator[responses.RequestsMock]:
    """Make a site that gives a nonce, and whose front page has no chatbot."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add("POST", ROOT + routes.START_SESSION, json=SESSION)
        mock.add("GET", SITE + "/", body="<html></html>")
        yield mock


def answer(
    site: responses.RequestsMock,
    target: str,
    status: int = 200,
    headers: Headers = {},  # noqa: B006 - nobody changes it
    body: Body = ANSWER,
) -> None:
    """Let a route, or the page "/chat/", give this response, after those it already gives."""
    content: Any = {"json": body} if isinstance(body, dict) else {"body": body}
    method, url = ("GET", SITE + target) if target == PAGE else ("POST", ROOT + target)
    site.add(method, url, status=status, headers=headers, content_type="text/html", **content)


def count(site: responses.RequestsMock, target: str) -> int:
    """Return how often a route or page was asked."""
    return sum(str(call.request.url).partition("?")[0].endswith(target) for call in site.calls)


def times_sent(case: Case, site: responses.RequestsMock, target: str, ask: Ask) -> int:
    """Return how often a request is sent that gets this response each time."""
    if target == routes.START_SESSION:
        site.remove("POST", ROOT + target)
    answer(site, target, case.status, case.headers, case.body)
    with Client(SITE) as client, pytest.raises(ChatGPT4OnlineError) as caught:
        ask(client)
    assert caught.value.route.endswith(target)
    return count(site, target)


#: Requests that may have run, and requests that change nothing.
ONCE: Dict[str, Ask] = {
    routes.CHAT: lambda client: client.stream("Hi"),
    routes.UPLOAD: lambda client: client.files.upload(io.BytesIO(b"x"), name="x.txt"),
    routes.DELETE_FILES: lambda client: client.files.delete("abc"),
    routes.RENAME_DISCUSSION: lambda client: client.discussions.rename("abc", "x"),
    routes.DELETE_DISCUSSIONS: lambda client: client.discussions.delete("abc"),
}
IDEMPOTENT: Dict[str, Ask] = {
    PAGE: lambda client: client.bots(PAGE),
    routes.LIST_FILES: lambda client: client.files.list(),
    routes.LIST_DISCUSSIONS: lambda client: client.discussions.list(),
}

#: Those that mean the same for every route.
SAMPLES = [case for case in CASES if case.status >= 400]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_question(case: Case, site: responses.RequestsMock) -> None:
    """A question is sent again only if the site says that it has not run it, and when."""
    assert times_sent(case, site, routes.CHAT, lambda client: client.chat("Hi")) == case.sent
    assert count(site, routes.START_SESSION) == 1


@pytest.mark.parametrize("case", CASES, ids=str)
def test_request_for_a_nonce(case: Case, site: responses.RequestsMock) -> None:
    """`start_session` changes nothing, so it is sent again whenever that may help."""
    sent = times_sent(case, site, routes.START_SESSION, lambda client: client.chat("Hi"))
    assert sent == case.sent_if_idempotent
    assert count(site, routes.CHAT) == 0


def test_request_for_a_nonce_that_nobody_answers(site: responses.RequestsMock) -> None:
    """A 404 without a WordPress code is raised when no other REST root answers either."""
    site.remove("POST", ROOT + routes.START_SESSION)
    elsewhere = f"{SITE}/?rest_route=/{routes.START_SESSION}"
    for url in (ROOT + routes.START_SESSION, elsewhere):
        site.add("POST", url, status=404, body="<html></html>")
    with Client(SITE) as client, pytest.raises(NotFoundError) as caught:
        client.chat("Hi")
    assert (caught.value.status, caught.value.route) == (404, routes.START_SESSION)
    posts = [call.request.url for call in site.calls if call.request.method == "POST"]
    assert posts == [ROOT + routes.START_SESSION, elsewhere]


@pytest.mark.parametrize("target", ONCE)
@pytest.mark.parametrize("case", SAMPLES, ids=str)
def test_other_requests(case: Case, target: str, site: responses.RequestsMock) -> None:
    """Streams, uploads, deletions and renaming are sent as often as questions."""
    assert times_sent(case, site, target, ONCE[target]) == case.sent


@pytest.mark.parametrize("target", IDEMPOTENT)
@pytest.mark.parametrize("case", SAMPLES, ids=str)
def test_reads(case: Case, target: str, site: responses.RequestsMock) -> None:
    """Pages and lists are sent as often as `start_session`."""
    assert times_sent(case, site, target, IDEMPOTENT[target]) == case.sent_if_idempotent


STALE = [
    Case(403, 2, 2, body=wordpress("rest_cookie_invalid_nonce", 403)),
    Case(200, 2, 2, body=wordpress("rest_forbidden", 401)),  # some sites hide statuses
]


@pytest.mark.parametrize("target", [routes.CHAT, routes.UPLOAD, routes.LIST_FILES])
@pytest.mark.parametrize("case", STALE, ids=str)
@pytest.mark.parametrize("retries", [0, 2])
def test_stale_nonce(
    *, case: Case, target: str, retries: int, site: responses.RequestsMock
) -> None:
    """A refused nonce is renewed once, whatever `retries` is; a second refusal is raised."""
    answer(site, target, case.status, case.headers, case.body)
    with Client(SITE, retries=retries) as client, pytest.raises(AuthError):
        {**ONCE, **IDEMPOTENT}[target](client)
    assert (count(site, target), count(site, routes.START_SESSION)) == (2, 2)


@pytest.mark.parametrize("case", STALE, ids=str)
def test_no_nonce_to_renew(case: Case, site: responses.RequestsMock) -> None:
    """The same refusal of `start_session`, which sends no nonce, is raised at once."""
    sent = times_sent(case, site, routes.START_SESSION, lambda client: client.chat("Hi"))
    assert sent == 1


@pytest.mark.parametrize(("case", "sessions"), [(STALE[0], 2), (WAIT, 1)], ids=str)
def test_refused_then_answered(case: Case, sessions: int, site: responses.RequestsMock) -> None:
    """A question that is sent again is the same question, with a fresh nonce if that was stale."""
    answer(site, routes.CHAT, case.status, case.headers, case.body)
    answer(site, routes.CHAT)
    with Client(SITE) as client:
        assert client.chat("Hi") == "Hello"
    assert (count(site, routes.START_SESSION), count(site, routes.CHAT)) == (sessions, 2)
    bodies = [call.request.body for call in site.calls if call.request.url == ROOT + routes.CHAT]
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("retries", [0, 1, 3])
@pytest.mark.parametrize("target", [routes.CHAT, routes.START_SESSION])
def test_retries(retries: int, target: str, site: responses.RequestsMock) -> None:
    """`retries` is how often a request is sent again."""
    if target == routes.START_SESSION:
        site.remove("POST", ROOT + target)
    answer(site, target, 503, WAIT.headers, "")
    with Client(SITE, retries=retries) as client, pytest.raises(ServerError) as caught:
        client.chat("Hi")
    assert caught.value.retry_after == 0.0
    assert count(site, target) == retries + 1


@pytest.mark.parametrize("status", [429, 503])
def test_wait_beyond_the_deadline(status: int, site: responses.RequestsMock) -> None:
    """A wait that would pass the deadline is not begun: the refusal is raised at once."""
    answer(site, routes.CHAT, status, {"Retry-After": "30"}, "")
    with Client(SITE, deadline=20) as client, pytest.raises(StatusError) as caught:
        client.chat("Hi")
    assert caught.value.retry_after == 30.0
    assert count(site, routes.CHAT) == 1


ASKS: List[Ask] = [lambda client: client.chat("Hi"), lambda client: client.stream("Hi")]


@pytest.mark.parametrize("ask", ASKS)
def test_refusal(ask: Ask, site: responses.RequestsMock) -> None:
    """A refusal's error has all that the site said of it, whatever the case of its headers."""
    date = formatdate(time() + 3600, usegmt=True)
    headers = {"RETRY-AFTER": date, "X-Request-Id": "r-1"}
    answer(site, routes.CHAT, 503, headers, wordpress("wp_die", 503))
    with Client(SITE) as client, pytest.raises(ServerError) as caught:
        ask(client)
    error = caught.value
    assert (error.status, error.code, error.message) == (503, "wp_die", "No.")
    assert error.request_id == "r-1"
    assert error.retry_after is not None
    assert 3590 < error.retry_after <= 3600
    assert (error.site, error.route, error.text) == (SITE, routes.CHAT, "")
