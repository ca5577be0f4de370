"""VCR.py and betamax record and replay answers, whichever session sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, List, Optional

import pytest
import requests

from chatgpt4online import Client, Timeout
from chatgpt4online.testing import Server

vcr = pytest.importorskip("vcr", exc_type=ImportError)
betamax = pytest.importorskip("betamax", exc_type=ImportError)

# betamax calls datetime.utcnow, which Python 3.12 and later warn of.
pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")

FRAMINGS = ["php", "length", "close", "tiny", "gzip"]


@pytest.fixture(params=["own session", "given session"])
def session(request: pytest.FixtureRequest) -> Iterator[Optional[requests.Session]]:
    """Make a session to give to a client, or None."""
    with requests.Session() as given:
        yield given if request.param == "given session" else None


def ask(client: Client) -> List[str]:
    """Ask twice, and return the answer and the deltas of the other one."""
    return [client.chat("Hi", chat_id="fixed"), *client.stream("Bye", chat_id="fixed")]


ANSWERS = ["Hello", "Good", "bye"]


def script(server: Server) -> None:
    """Script the two answers."""
    server.says("Hel", "lo", when="Hi")
    server.says("Good", "bye", when="Bye")


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("made", ["before", "within"])
def test_vcr(made: str, framing: str, session: Optional[requests.Session], tmp_path: Path) -> None:
    """A cassette replays what it recorded, for clients that are made before it or within it."""

    def play(url: str) -> Any:
        client = Client(url, session=session) if made == "before" else None
        with vcr.use_cassette(str(tmp_path / "a.yaml")) as cassette:
            client = client or Client(url, session=session)
            assert ask(client) == ANSWERS
            client.close()
        return cassette

    with Server(framing=framing) as server:
        script(server)
        play(server.url)
        assert len(server.requests) == 3
    if session is not None:
        session.cookies.clear()
    assert play(server.url).play_count == 3


def test_vcr_before_within_and_after(server: Server, tmp_path: Path) -> None:
    """One client asks the site before and after a cassette, with the same cookies and nonce."""
    with Client(server.url) as client:
        client.chat("One")
        with vcr.use_cassette(str(tmp_path / "a.yaml")) as cassette:
            client.chat("Two")
        client.chat("Three")
    assert [request.uri for request in cassette.requests] == [server.url + server.questions[0].path]
    assert [each.json["newMessage"] for each in server.questions] == ["One", "Two", "Three"]
    assert len({each.headers["cookie"] for each in server.questions}) == 1
    assert len(server.requests) == 4


def test_vcr_leaves_later_clients_alone(server: Server, tmp_path: Path) -> None:
    """A client that is made within a cassette records nothing after it, and neither do others."""
    path = tmp_path / "a.yaml"
    with vcr.use_cassette(str(path)):
        client = Client(server.url)
        client.chat("Hi")
    recorded = path.read_bytes()
    with client, Client(server.url) as other:
        client.chat("Hi")
        other.chat("Hi")
    assert path.read_bytes() == recorded
    assert len(server.questions) == 3


def test_a_question_is_recorded_once(
    server: Server, session: Optional[requests.Session], tmp_path: Path
) -> None:
    """A question that may have run is not sent again while it is recorded."""
    server.stalls(headers=False)
    client = Client(server.url, session=session)
    cassette = vcr.use_cassette(str(tmp_path / "a.yaml"))
    with client, cassette, pytest.raises(Timeout) as caught:
        client.chat("Hi", timeout=0.2)
    assert caught.value.phase == "read"
    assert len(server.questions) == 1


def test_vcr_says_what_was_not_recorded(server: Server, tmp_path: Path) -> None:
    """A question that is not in the recording raises VCR.py's own error."""
    with vcr.use_cassette(str(tmp_path / "a.yaml")), Client(server.url) as client:
        client.chat("Hi")
    replay = vcr.use_cassette(str(tmp_path / "a.yaml"), record_mode="none")
    with replay, Client(server.url) as client:
        client.chat("Hi")
        with pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException):
            client.chat("Something else")


@pytest.mark.parametrize("framing", FRAMINGS)
def test_betamax(framing: str, tmp_path: Path) -> None:
    """Betamax replays what it recorded of a given session."""

    def play(url: str) -> None:
        with requests.Session() as session, Client(url, session=session) as client:
            recorder = betamax.Betamax(session, cassette_library_dir=str(tmp_path))
            with recorder.use_cassette("a", match_requests_on=["method", "uri", "body"]):
                assert ask(client) == ANSWERS

    with Server(framing=framing) as server:
        script(server)
        play(server.url)
        assert len(server.requests) == 3
    play(server.url)
