"""Calls and the testing server while freezegun or time-machine has stopped Python's clocks."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from typing import Any, Callable, Iterator, List

import pytest

from chatgpt4online import ChatGPT4OnlineError, Client, Timeout, TransportError
from chatgpt4online.testing import Server

MOMENT = datetime(2030, 1, 1, tzinfo=timezone.utc)

#: Keeps the real clock, as both libraries would replace it here.
_clock = (time.monotonic,)

# Time limits stand well below this, and a clock that stands still would exceed it.
pytestmark = pytest.mark.timeout(20)


def freezegun() -> Any:
    """Stop the clock with freezegun."""
    return pytest.importorskip("freezegun").freeze_time(MOMENT)


def time_machine() -> Any:
    """Stop the clock with time-machine."""
    return pytest.importorskip("time_machine").travel(MOMENT, tick=False)


@pytest.fixture(params=[freezegun, time_machine])
def frozen(request: pytest.FixtureRequest) -> Iterator[None]:
    """Stop the clock."""
    with request.param():
        began = time.time()
        threading.Event().wait(0.01)
        assert time.time() == began
        yield


@pytest.fixture
def site(frozen: None) -> Iterator[Server]:
    """Start a site after the clock has stopped."""
    with Server() as server:
        yield server


@pytest.fixture
def client(site: Server) -> Iterator[Client]:
    """Return a client of it."""
    with Client(site.url) as client:
        yield client


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes by the real clock."""
    began = _clock[0]()
    call()
    return _clock[0]() - began


@pytest.mark.parametrize("after", ["1", "Tue, 01 Jan 2030 00:00:01 GMT"])
def test_retries(after: str, site: Server, client: Client) -> None:
    """A call waits as long as the site asks, counted from the stopped moment, and goes on."""
    site.answers(503, headers={"Retry-After": after})
    assert 0.9 < seconds(lambda: client.chat("Hi")) < 5.0
    assert len(site.questions) == 2


def test_refused_connections(frozen: None) -> None:
    """The pauses between attempts to connect end."""
    with Client("http://127.0.0.1:9", retries=2) as client, pytest.raises(TransportError):
        client.chat("Hi")


def test_deadlines(site: Server, client: Client) -> None:
    """Deadlines end calls on time, however many wait for the site at once."""
    for _ in range(4):
        site.stalls(after=("Well",))
    results = client.map(["a", "b", "c", "d"], deadline=0.5)
    outcomes: List[Any] = []
    assert seconds(lambda: outcomes.extend(results)) < 1.5
    assert [(type(each.error), each.error.phase) for each in outcomes] == [
        (Timeout, "deadline")
    ] * 4


def test_a_deadline_while_the_site_drips(frozen: None) -> None:
    """A deadline ends an answer that keeps arriving."""
    with Server(pace=0.1) as slow, Client(slow.url) as client:

        def read() -> None:
            with pytest.raises(Timeout) as caught:
                client.chat("Hi " * 100, deadline=0.5)
            assert caught.value.phase == "deadline"

        assert seconds(read) < 1.5


def test_silence(site: Server, client: Client) -> None:
    """The limit of silence ends a call."""
    site.stalls(after=("Well",))
    with pytest.raises(Timeout):
        client.chat("Hi", timeout=0.2)


def test_waiting_for_a_nonce(site: Server, client: Client) -> None:
    """Threads that wait for the nonce of another's call go on or end."""
    site.stalls(route="start_session")
    errors: List[ChatGPT4OnlineError] = []

    def ask() -> None:
        try:
            client.chat("Hi", deadline=0.5)
        except ChatGPT4OnlineError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(error, Timeout) for error in errors)
    assert client.chat("Hi").startswith("Echo")


def test_many_messages(site: Server, client: Client) -> None:
    """A run over many messages ends, with a pace, a pause and a connection kept."""
    with Server(pace=0.01) as paced, Client(paced.url) as other:
        paced.says("Hel", "lo", hold=0.05)
        paced.stalls(after=("Hel",), seconds=0.05)
        assert [outcome.ok for outcome in other.map(["a", "b", "c"], workers=1)] == [True] * 3
    assert client.check(ask="Hi")


@pytest.mark.parametrize("stopped", [freezegun, time_machine])
def test_the_clock_starts_again(stopped: Callable[[], Any], server: Server) -> None:
    """A client is usable before, while and after the clock stands still."""
    with Client(server.url) as client:
        answers = [client.chat("Hi", deadline=5.0)]
        with stopped():
            answers.append(client.chat("Hi", deadline=5.0))
        answers.append(client.chat("Hi", deadline=5.0))
    assert answers == ["Echo(1 msgs): Hi"] * 3


def test_measured_times() -> None:
    """While freezegun stops the clock, times are measured by the real one."""
    with freezegun(), Server(pace=0.02) as paced, Client(paced.url) as client:
        reply = client.chat("Hi there")
        (outcome,) = client.map(["Hi there"])
        health = client.check(ask="Hi there")
    assert (reply.seconds or 0.0) > (reply.first_seconds or 0.0) > 0.0
    assert (outcome.seconds or 0.0) > 0.0
    assert sum(check.seconds for check in health.checks) > 0.0
