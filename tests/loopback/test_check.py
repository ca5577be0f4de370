"""`Client.check` reports each step that fails, with the reason, and raises nothing."""

from __future__ import annotations

from threading import Event
from typing import Any, Callable, List, Optional, Tuple

import pytest
from support import PHP, Peer, RawServer, Serve, end, json_reply, live, session_reply

from chatgpt4online import Check, Client, Health, ProtocolError
from chatgpt4online._protocol.advice import RequestInfo
from chatgpt4online._protocol.failures import check_object
from chatgpt4online.testing import Server

USER = ("ada", "abcd efgh")
WORDS = [f"word{number} " for number in range(30)]


def outcome(health: Health) -> List[Tuple[str, str]]:
    """Return the name of each check, and its level."""
    return [(check.name, check.level) for check in health.checks]


def test_a_healthy_site(server: Server, client: Client) -> None:
    """A working site passes four checks; without `ask`, no question is sent."""
    health = client.check()
    assert health
    assert (health.level, health.reply) == ("ok", None)
    assert [check.name for check in health.checks] == ["site", "AI Engine", "nonce", "web server"]
    details = [check.detail for check in health.checks]
    assert details == [
        server.url,
        server.url + "/wp-json",
        "fetched as a guest",
        "no cache and no other output found",
    ]
    assert all(0 <= check.seconds < 5 for check in health.checks)
    assert server.questions == []


def test_a_question(server: Server, client: Client) -> None:
    """With `ask`, the question is sent once, and its answer is shown and checked."""
    health = client.check(ask="Hi " * 50)
    assert outcome(health)[-2:] == [("answer", "ok"), ("streaming", "ok")]
    answer, streaming = health.checks[-2:]
    assert answer.detail.startswith("'Echo(1 msgs): Hi Hi")
    assert answer.detail.endswith("...'")
    assert "too fast" in streaming.detail
    assert len(server.questions) == 1
    assert health.reply is not None
    assert health.reply == "Echo(1 msgs):" + " Hi" * 50
    assert health.reply.seconds is not None


def test_it_prints_as_a_table(client: Client) -> None:
    """Each line has a check's level, name, duration and detail."""
    lines = str(client.check()).splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "ok", "ok", "ok"]
    assert lines[2].endswith("fetched as a guest")
    failed = Health((Check("site", "failed", "down", 1.5),))
    assert str(failed) == "failed   site          1.50 s  down"


@pytest.mark.parametrize(
    ("levels", "level"),
    [
        ([], "ok"),
        (["ok"], "ok"),
        (["ok", "warning"], "warning"),
        (["warning", "ok"], "warning"),
        (["warning", "failed"], "failed"),
    ],
)
def test_levels(levels: List[str], level: str) -> None:
    """The level of a site is its worst; it is healthy unless a check failed."""
    health = Health(tuple(Check("site", each, "", 0.0) for each in levels))
    assert health.level == level
    assert bool(health) is (level != "failed")
    assert [check.ok for check in health.checks] == [each != "failed" for each in levels]


@pytest.mark.parametrize(
    "options",
    [{"rest_prefix": "api"}, {"permalinks": False}, {"path": "/blog"}],
    ids=str,
)
def test_other_rest_roots(options: Any) -> None:
    """A site passes wherever its REST API is."""
    with Server(**options) as site, Client(site.url) as client:
        assert client.check(ask="Hi")


def test_as_a_user(server: Server) -> None:
    """The check of the nonce reports the login, and detects a wrong password."""
    server.user(*USER)
    with Client(server.url, auth=USER) as client:
        assert client.check().checks[2].detail == "fetched as a user"
    with Client(server.url, auth=("ada", "wrong")) as client:
        health = client.check(ask="Hi")
    assert outcome(health)[-1] == ("nonce", "failed")
    assert "the login was rejected" in health.checks[-1].detail
    assert "wrong" not in str(health)


def test_a_malformed_token_in_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A malformed token in the environment is reported as a failed check."""
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", server.url)
    monkeypatch.setenv("CHATGPT4ONLINE_TOKEN", "s3cr3t t0ken")
    with Client() as client:
        health = client.check(ask="Hi")
    assert outcome(health)[-1] == ("token", "failed")
    assert "token is empty or contains characters" in health.checks[-1].detail
    assert "s3cr3t" not in str(health)


def test_a_cached_nonce_is_not_used(server: Server, client: Client) -> None:
    """`check` fetches a new nonce, even if the client has one."""
    assert client.check()
    assert client.nonce
    server.answers(500, route="start_session")
    assert outcome(client.check())[-1] == ("nonce", "failed")


Script = Callable[[Server], None]


def index(**answer: Any) -> Script:
    """Script the REST API's index, and leave the front page as it is."""

    def script(server: Server) -> None:
        server.answers(200, body="<html></html>", route="/")
        server.answers(**answer, route="/")  # the index, whose route is "/" too

    return script


#: What a site lists whose chatbots are switched off.
NO_CHATS = {
    "namespace": "mwai-ui/v1",
    "routes": {"/mwai-ui/v1": {}, "/mwai-ui/v1/files/list": {}, "/mwai-ui/v1/files/delete": {}},
}
CHALLENGE = "<title>Just a moment...</title>"
FAILURES: List[Tuple[Script, str, str]] = [
    (lambda it: it.answers(500, route="/"), "site", "HTTP 500"),
    (lambda it: it.answers(403, body=CHALLENGE, route="/"), "site", "firewall"),
    (index(status=500), "AI Engine", "HTTP 500"),
    (index(status=200, body="<html>"), "AI Engine", "a web page"),
    (index(status=200, body=b"[]"), "AI Engine", "unexpected response, not from AI Engine"),
    (index(status=200, body={}), "AI Engine", "does not offer mwai/v1 and mwai-ui/v1"),
    (index(status=200, body={"namespaces": ["mwai/v1", 5]}), "AI Engine", "offer mwai-ui/v1:"),
    (lambda it: it.answers(200, body=NO_CHATS, route="/mwai-ui/v1"), "AI Engine", "switched off"),
    (lambda it: it.answers(500, route="/mwai-ui/v1"), "AI Engine", "HTTP 500"),
    (lambda it: it.fails("No.", route="start_session"), "nonce", "No."),
    (lambda it: it.answers(200, body={"success": True}, route="start_session"), "nonce",
     "no usable nonce"),
    (lambda it: it.fails("Our chatbot went to sleep."), "answer", "went to sleep"),
    (lambda it: it.cuts("Half an "), "answer", "stopped before its end"),
    (lambda it: it.answers(524), "answer", "HTTP 524"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "name", "words"), FAILURES)
def test_a_failed_check(
    script: Script, name: str, words: str, server: Server, client: Client
) -> None:
    """No check follows the first failed one, whose detail gives the reason."""
    script(server)
    health = client.check(ask="Hi")
    failed: Optional[Check] = next((check for check in health.checks if not check.ok), None)
    assert failed is health.checks[-1]
    assert failed.name == name
    assert words in failed.detail
    assert not health


@pytest.mark.parametrize("answer", [[], None, "x", 5])
def test_an_index_that_is_not_an_object(answer: Any) -> None:
    """JSON that is not an object raises `ProtocolError`."""
    with pytest.raises(ProtocolError, match="answered 200 with JSON that is not an object"):
        check_object(answer, 200, RequestInfo)


def test_an_unreachable_site() -> None:
    """An unreachable or silent site is reported as a failed check."""
    with Client("http://127.0.0.1:1", retries=0) as client:
        assert outcome(client.check(ask="Hi")) == [("site", "failed")]
    with RawServer(Peer.wait_until_gone) as silent, Client(silent.url, timeout=0.2) as client:
        health = client.check()
    assert outcome(health) == [("site", "failed")]
    assert "silent for longer" in health.checks[0].detail
    assert 0.1 < health.checks[0].seconds < 3


def test_a_hidden_index(server: Server, client: Client) -> None:
    """A site that hides its list of routes passes."""
    body = {"code": "rest_login_required", "message": "No.", "data": {"status": 401}}
    index(status=401, body=body)(server)
    health = client.check()
    assert health
    assert health.checks[1].detail == "the site hides its list of routes"


@pytest.mark.parametrize(("status", "code"), [(401, "rest_forbidden"), (404, "rest_no_route")])
def test_a_hidden_list_of_routes(status: int, code: str, server: Server, client: Client) -> None:
    """A site that hides the routes of a namespace passes."""
    body = {"code": code, "message": "No.", "data": {"status": status}}
    server.answers(status, body=body, route="/mwai-ui/v1", times=None)
    assert client.check().level == "ok"


def test_a_missing_front_page(server: Server, client: Client) -> None:
    """A site whose front page is missing or private passes."""
    server.answers(404, route="/")
    assert client.check()
    server.answers(401, body={"code": "x", "message": "No."}, route="/")
    assert client.check()


# If the machine stalls between two deltas, the site seems to hold answers back.
stalls = pytest.mark.flaky(reruns=2, only_rerun="AssertionError")


@stalls
def test_streamed_and_held_back_answers(server: Server, client: Client) -> None:
    """An answer that arrives all at once after a delay is a warning; a streamed one passes."""
    server.says(*WORDS, pace=0.02)
    health = client.check(ask="Hi")
    assert health
    assert health.checks[-1].detail.startswith("30 deltas, the first after 0.")
    server.stalls(after=[], headers=False, seconds=0.55)
    health = client.check(ask="Hi " * 30)
    assert outcome(health)[-2:] == [("answer", "ok"), ("streaming", "warning")]
    assert "holds answers back until they are complete" in health.checks[-1].detail
    assert (bool(health), health.level) == (True, "warning")


def thinking(pieces: List[str], pace: float) -> Serve:
    """Serve a site that waits for 0.6 seconds, then sends a delta every `pace` seconds."""
    namespaces = json_reply("200 OK", {"namespaces": ["mwai/v1", "mwai-ui/v1"]})

    def serve(peer: Peer) -> None:
        while True:
            received = peer.receive()
            if received is None:
                return
            if not received.target.endswith("/submit"):
                peer.send(session_reply() if received.is_session else namespaces)
                continue
            answer = PHP.answer([*map(live, pieces), end("".join(pieces))])
            Event().wait(0.6)
            if not pace:
                peer.send(answer.bytes)
                continue
            peer.send(answer.head)
            for part in answer.parts:
                Event().wait(pace)
                peer.send(part)
            peer.send(answer.last)

    return serve


@stalls
def test_a_delay_before_a_streamed_answer() -> None:
    """A long delay before an answer that is then streamed is not reported as holding back."""
    with RawServer(thinking(WORDS, 0.005)) as server, Client(server.url) as client:
        health = client.check(ask="Hi")
    assert health.level == "ok", str(health)
    assert "too fast" not in health.checks[-1].detail


@stalls
@pytest.mark.parametrize("text", ["Yes.", "An answer in one piece, of some length."])
def test_one_piece(text: str) -> None:
    """A long single delta after a delay counts as held back; a single word does not."""
    with RawServer(thinking([text], 0.0)) as server, Client(server.url) as client:
        health = client.check(ask="Hi")
    assert (health.level == "ok") is (len(text) < 20), str(health)


@pytest.mark.parametrize(("ask", "kind"), [("", ValueError), (" ", ValueError), (5, TypeError)])
def test_bad_questions(ask: Any, kind: Any, server: Server, client: Client) -> None:
    """An invalid question or a closed client raises before any request is sent."""
    with pytest.raises(kind):
        client.check(ask=ask)
    client.close()
    with pytest.raises(ValueError, match="the client is closed"):
        client.check()
    assert server.requests == []
