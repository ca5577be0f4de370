"""`Client.check`: each step that may fail is told, with its reason, and nothing is raised."""

from __future__ import annotations

from threading import Event
from typing import Any, Callable, List, Optional, Tuple

import pytest
from support import PHP, Peer, RawServer, Serve, end, json_reply, live, session_reply

from chatgpt4online import Check, Client, Health, ProtocolError
from chatgpt4online._protocol.failures import check_object
from chatgpt4online.testing import Server

USER = ("ada", "abcd efgh")
WORDS = [f"word{number} " for number in range(30)]


def outcome(health: Health) -> List[Tuple[str, bool]]:
    """Return the checks' names and how they went."""
    return [(check.name, check.ok) for check in health.checks]


def test_all_is_well(server: Server, client: Client) -> None:
    """A site that works passes its three checks; no question is asked unless it is given."""
    health = client.check()
    assert health
    assert outcome(health) == [("site", True), ("AI Engine", True), ("nonce", True)]
    details = [check.detail for check in health.checks]
    assert details == [server.url, server.url + "/wp-json", "fetched as a guest"]
    assert all(0 <= check.seconds < 5 for check in health.checks)
    assert server.questions == []


def test_a_question(server: Server, client: Client) -> None:
    """Given a question, its answer is shown and judged, and it is asked once."""
    health = client.check(ask="Hi " * 50)
    assert outcome(health)[3:] == [("answer", True), ("streaming", True)]
    assert health.checks[3].detail.startswith("'Echo(1 msgs): Hi Hi")
    assert health.checks[3].detail.endswith("...'")
    assert "too fast" in health.checks[4].detail
    assert len(server.questions) == 1


def test_it_prints_as_a_table(client: Client) -> None:
    """A line for each check tells how it went, in how many seconds, and more."""
    lines = str(client.check()).splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "ok", "ok"]
    assert lines[2].endswith("fetched as a guest")
    failed = Health((Check("site", False, "down", 1.5),))
    assert str(failed) == "failed  site          1.50 s  down"
    assert not failed


@pytest.mark.parametrize(
    "options",
    [{"rest_prefix": "api"}, {"permalinks": False}, {"path": "/blog"}],
    ids=str,
)
def test_sites_of_other_forms(options: Any) -> None:
    """A site passes wherever its REST API is."""
    with Server(**options) as site, Client(site.url) as client:
        assert client.check(ask="Hi")


def test_as_a_user(server: Server) -> None:
    """The nonce's check says as whom, and finds a wrong password."""
    server.user(*USER)
    with Client(server.url, auth=USER) as client:
        assert client.check().checks[2].detail == "fetched as a user"
    with Client(server.url, auth=("ada", "wrong")) as client:
        health = client.check(ask="Hi")
    assert outcome(health)[-1] == ("nonce", False)
    assert "the login was rejected" in health.checks[-1].detail
    assert "wrong" not in str(health)


def test_a_kept_nonce_proves_nothing(server: Server, client: Client) -> None:
    """A nonce is fetched anew, whatever the client has."""
    assert client.check()
    assert client.nonce
    server.answers(500, route="start_session")
    assert outcome(client.check())[-1] == ("nonce", False)


Script = Callable[[Server], None]


def index(**answer: Any) -> Script:
    """Let the front page be as it is, and the REST API's index answer like this."""

    def script(server: Server) -> None:
        server.answers(200, body="<html></html>", route="/")
        server.answers(**answer, route="/")  # the index is the route "/"

    return script


CHALLENGE = "<title>Just a moment...</title>"
FAILURES: List[Tuple[Script, str, str]] = [
    (lambda it: it.answers(500, route="/"), "site", "HTTP 500"),
    (lambda it: it.answers(403, body=CHALLENGE, route="/"), "site", "firewall"),
    (index(status=500), "AI Engine", "HTTP 500"),
    (index(status=200, body="<html>"), "AI Engine", "a web page"),
    (index(status=200, body=b"[]"), "AI Engine", "unexpected response, not from AI Engine"),
    (index(status=200, body={}), "AI Engine", "does not offer mwai/v1 and mwai-ui/v1"),
    (index(status=200, body={"namespaces": ["mwai/v1", 5]}), "AI Engine", "offer mwai-ui/v1:"),
    (lambda it: it.fails("No.", route="start_session"), "nonce", "No."),
    (lambda it: it.answers(200, body={"success": True}, route="start_session"), "nonce",
     "no usable nonce"),
    (lambda it: it.fails("Our chatbot went to sleep."), "answer", "went to sleep"),
    (lambda it: it.cuts("Half an "), "answer", "stopped before its end"),
    (lambda it: it.answers(524), "answer", "HTTP 524"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "name", "words"), FAILURES)
def test_what_may_fail(
    script: Script, name: str, words: str, server: Server, client: Client
) -> None:
    """The first check that fails is the last one, and says why."""
    script(server)
    health = client.check(ask="Hi")
    failed: Optional[Check] = next((check for check in health.checks if not check.ok), None)
    assert failed is health.checks[-1]
    assert failed.name == name
    assert words in failed.detail
    assert not health


@pytest.mark.parametrize("answer", [[], None, "x", 5])
def test_an_index_that_is_no_object(answer: Any) -> None:
    """WordPress's own answers are JSON objects; another value is none of them."""
    with pytest.raises(ProtocolError, match="answered 200 with JSON that is not an object"):
        check_object(answer, 200)


def test_a_site_that_is_not_there() -> None:
    """A site that cannot be reached, or is silent, is told and not raised."""
    with Client("http://127.0.0.1:1", retries=0) as client:
        assert outcome(client.check(ask="Hi")) == [("site", False)]
    with RawServer(Peer.wait_until_gone) as silent, Client(silent.url, timeout=0.2) as client:
        health = client.check()
    assert outcome(health) == [("site", False)]
    assert "silent for longer" in health.checks[0].detail
    assert 0.1 < health.checks[0].seconds < 3


def test_a_closed_list(server: Server, client: Client) -> None:
    """A site that does not show its list of routes may have all of them."""
    body = {"code": "rest_login_required", "message": "No.", "data": {"status": 401}}
    index(status=401, body=body)(server)
    health = client.check()
    assert health
    assert health.checks[1].detail == "the site hides its list of routes"


def test_a_front_page_that_is_not_there(server: Server, client: Client) -> None:
    """A site whose front page is missing or closed may answer all the same."""
    server.answers(404, route="/")
    assert client.check()
    server.answers(401, body={"code": "x", "message": "No."}, route="/")
    assert client.check()


# A stall of the machine between two pieces looks like a site that holds answers back.
stalls = pytest.mark.flaky(reruns=2, only_rerun="AssertionError")


@stalls
def test_live_and_held_back(server: Server, client: Client) -> None:
    """An answer that comes as it is written is told from one that was held back to its end."""
    server.says(*WORDS, pace=0.02)
    health = client.check(ask="Hi")
    assert health
    assert health.checks[4].detail.startswith("30 deltas, the first after 0.")
    server.stalls(after=[], headers=False, seconds=0.55)
    health = client.check(ask="Hi " * 30)
    assert outcome(health)[3:] == [("answer", True), ("streaming", False)]
    assert "holds answers back until they are complete" in health.checks[4].detail


def thinking(pieces: List[str], pace: float) -> Serve:
    """Serve a site that thinks for 0.6 seconds, and then writes with so many seconds a piece."""
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
def test_a_thought_is_not_holding_back() -> None:
    """A bot that thinks for long and then writes at a model's pace is not taken for held back."""
    with RawServer(thinking(WORDS, 0.005)) as server, Client(server.url) as client:
        health = client.check(ask="Hi")
    assert health, str(health)
    assert "too fast" not in health.checks[4].detail


@stalls
@pytest.mark.parametrize("text", ["Yes.", "An answer in one piece, of some length."])
def test_one_piece(text: str) -> None:
    """One piece after a while is held back if it is long; a word alone tells nothing."""
    with RawServer(thinking([text], 0.0)) as server, Client(server.url) as client:
        health = client.check(ask="Hi")
    assert bool(health) is (len(text) < 20), str(health)


@pytest.mark.parametrize(("ask", "kind"), [("", ValueError), (" ", ValueError), (5, TypeError)])
def test_bad_questions(ask: Any, kind: Any, server: Server, client: Client) -> None:
    """What cannot be asked is refused before anything is looked at; so is a closed client."""
    with pytest.raises(kind):
        client.check(ask=ask)
    client.close()
    with pytest.raises(ValueError, match="the client is closed"):
        client.check()
    assert server.requests == []
