"""Many messages over the caller's own executors: threads, processes, a cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterator, List, Sequence

import pytest
import requests
from support import SOON, at_once, background, wait_for

from chatgpt4online import Client, MessageError, Outcome, TransportError
from chatgpt4online.testing import Server

# Those that fork in a process with threads: what a child runs here needs none of their locks.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

METHODS = [each for each in multiprocessing.get_all_start_methods() if each != "forkserver"]
needs_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill on this system")


def questions(server: Server) -> List[str]:
    """Return the questions that came, in the order of their arrival."""
    return [request.json["newMessage"] for request in server.questions]


def nonces(server: Server) -> int:
    """Return how many nonces were fetched."""
    return len(server.requests) - len(server.questions)


def replies(outcomes: Sequence[Outcome]) -> List[str]:
    """Return the replies' texts; each outcome must have one."""
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
    return [str(outcome.reply) for outcome in outcomes]


@pytest.fixture(scope="module", params=METHODS)
def pool(request: pytest.FixtureRequest) -> Iterator[ProcessPoolExecutor]:
    """Return two processes that have begun, in each of the two ways."""
    with two_processes(request.param) as executor:
        executor.submit(len, "").result(SOON)
        yield executor


def two_processes(method: str) -> ProcessPoolExecutor:
    """Return an executor of two processes."""
    return ProcessPoolExecutor(2, multiprocessing.get_context(method))


def test_processes_ask(server: Server, client: Client, pool: ProcessPoolExecutor) -> None:
    """Processes ask as threads do; each fetches one nonce for all its questions of two runs."""
    for _ in range(2):
        found = list(client.map(["a", "a", "b", ""] * 5, executor=pool, workers=4))
        assert [str(outcome.reply or "") for outcome in found] == [
            "Echo(1 msgs): a",
            "Echo(1 msgs): a",
            "Echo(1 msgs): b",
            "",
        ] * 5
        assert [type(outcome.error) for outcome in found[:4]] == [type(None)] * 3 + [MessageError]
        assert found[0].reply is not None
        assert found[0].reply.usage is not None
    assert len(server.questions) == 30
    assert nonces(server) <= 2


def test_a_callers_session_travels(server: Server, pool: ProcessPoolExecutor) -> None:
    """A process asks by a copy of the caller's session, one for all its questions."""
    with requests.Session() as session:
        session.headers["x-mine"] = "yes"
        with Client(server.url, session=session) as client:
            replies(list(client.map(["a"] * 8, executor=pool)))
    assert {request.headers["X-Mine"] for request in server.requests} == {"yes"}
    assert nonces(server) <= 2


@needs_kill
@pytest.mark.parametrize("method", METHODS)
def test_a_killed_process_ends_no_run(server: Server, client: Client, method: str) -> None:
    """Where a process is killed, the rest of its pool's outcomes fail; nothing is asked twice."""
    with two_processes(method) as executor:
        found = client.map(map(str, range(12)), executor=executor, workers=2, ordered=False)
        outcomes = [next(found) for _ in range(3)]
        server.stalls()
        server.stalls()
        reader = background(lambda: outcomes.extend(found))
        wait_for(lambda: len(server.questions) >= 5)
        os.kill(next(iter(executor._processes)), signal.SIGKILL)
        reader.result(SOON)
    assert sorted(each.index for each in outcomes) == list(range(12))
    errors = [each.error for each in outcomes if each.error]
    assert {type(error) for error in errors} == {TransportError}
    assert "BrokenProcessPool" in str(errors[-1])
    assert "before you ask it again" in str(errors[-1])
    assert set(Counter(questions(server)).values()) == {1}


@needs_kill
@pytest.mark.skipif("fork" not in METHODS, reason="this system has no fork")
def test_a_forked_process_does_not_keep_a_journal(client: Client, tmp_path: Path) -> None:
    """Processes that were forked during a run, and live on, do not hold its journal."""
    with two_processes("fork") as executor:
        for message in ("a", "b"):
            found = client.map([message], executor=executor, journal=tmp_path / "journal")
            assert replies(list(found)) == [f"Echo(1 msgs): {message}"]


def test_the_callers_threads_ask(server: Server, client: Client) -> None:
    """The caller's threads ask, no more at a time than `workers`, and are left running."""
    with ThreadPoolExecutor(8) as executor:
        assert len(replies(list(client.map(["a"] * 20, executor=executor, workers=2)))) == 20
        assert server.connections < 8  # two, and some while a response is to end
        assert executor.submit(len, "abc").result(SOON) == 3


def test_leaving_the_loop_frees_the_callers_threads(server: Server, client: Client) -> None:
    """A loop that is left ends what the caller's threads are asking, and what waits for them."""
    server.says("a")
    server.stalls()
    server.stalls()
    with ThreadPoolExecutor(2) as executor:
        for _ in client.map(map(str, range(9)), executor=executor, workers=5, ordered=False):
            wait_for(lambda: len(server.questions) == 3)
            break
        with at_once():
            assert executor.submit(len, "abc").result(SOON) == 3
    assert len(server.questions) == 3


def test_an_executor_that_is_shut(server: Server, client: Client) -> None:
    """An executor that takes nothing leaves each message a failed outcome that says why."""
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    found = list(client.map(["a", "b"], executor=executor))
    assert [type(outcome.error) for outcome in found] == [TransportError] * 2
    assert "cannot schedule new futures after shutdown" in str(found[0].error)
    assert type(getattr(found[0].error, "__cause__", None)) is RuntimeError
    assert server.requests == []


class Unfair(Executor):
    """The caller's own executor: it cancels every second question, and refuses every third."""

    def __init__(self) -> None:
        self.count = 0

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:  # type: ignore[override,unused-ignore]
        """Run a task at once, or not."""
        self.count += 1
        future: Future[Any] = Future()
        if self.count % 3 == 0:
            raise LookupError("nobody is here")
        if self.count % 2 == 0:
            future.cancel()
        else:
            future.set_result(function(*args, **options))
        return future


def test_what_an_executor_refuses_is_an_outcome(server: Server, client: Client) -> None:
    """Whatever an executor raises or cancels is that message's outcome, and no other's."""
    found = list(client.map(["1", "2", "3", "4", "5"], executor=Unfair()))
    causes = [type(getattr(each.error, "__cause__", None)).__name__ for each in found]
    assert causes == ["NoneType", "CancelledError", "LookupError", "CancelledError", "NoneType"]
    assert questions(server) == ["1", "5"]


class Patient(Executor):
    """The caller's own executor: it keeps tasks, and begins none."""

    def __init__(self) -> None:
        self.futures: List[Future[Any]] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:  # type: ignore[override,unused-ignore]
        """Keep a task."""
        self.futures.append(Future())
        return self.futures[-1]


def test_what_has_not_begun_is_cancelled(server: Server, client: Client) -> None:
    """The end of a run cancels the tasks that its executor has not begun."""
    executor = Patient()
    found = client.map(["a", "b", "c"], executor=executor, workers=2)
    waiting = background(lambda: next(found, None))
    wait_for(lambda: len(executor.futures) == 2)
    found.close()
    assert [future.cancelled() for future in executor.futures] == [True, True]
    assert waiting.result(SOON) is None
    assert server.requests == []


def test_what_cannot_travel_is_an_outcome(
    server: Server, client: Client, pool: ProcessPoolExecutor
) -> None:
    """A message that cannot be sent to a process does not stop the others."""
    found = list(client.map(["a", [threading.Lock()], "b"], executor=pool))  # type: ignore[list-item]
    assert [type(each.error) for each in found] == [type(None), TransportError, type(None)]
    assert sorted(questions(server)) == ["a", "b"]
