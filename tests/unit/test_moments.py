"""Moments that threads, forks and interruptions bring about, made to happen one at a time."""

from __future__ import annotations

import weakref
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import Any, Deque, List

import pytest

import chatgpt4online
from chatgpt4online import Client, Outcome, Reply, _workers, batch
from chatgpt4online._http import deadlines, pool, sse
from chatgpt4online._http.call import Call
from chatgpt4online._http.credentials import bearer
from chatgpt4online._http.nonce import IssuedNonce, Nonce
from chatgpt4online._http.outgoing import OutgoingRequest
from chatgpt4online._http.request import Request
from chatgpt4online._http.session import OwnSession, PlainSession
from chatgpt4online._journal import Journal
from chatgpt4online._protocol.prelude import Start, find_start
from chatgpt4online._settings import Settings

HEL = b'data: {"type":"live","data":"Hel"}\n\n'


class StoppedError(Exception):
    """Ends a loop that has no end of its own."""


class Announced:
    """What a watcher's queue gives, one after the other."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)

    def get(self, timeout: Any = None) -> Any:
        """Return or raise the next step."""
        step = self.steps.pop(0)
        if isinstance(step, type):
            raise step
        return step


def entry(number: int, call: Call, seconds: float = 0.0) -> Any:
    """Return the entry of a call in a watcher's queue."""
    return deadlines._Entry(monotonic() + seconds, number, weakref.ref(call))


def test_the_watcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher ends due calls in order, forgets dead ones, and can be started again."""
    monkeypatch.setattr(deadlines, "_MIN_TO_PRUNE", 1)
    watcher: Any = deadlines._Watcher()
    first, second, finished, dropped = Call(), Call(), Call(), Call()
    finished.finish()
    steps: List[Any] = [entry(1, second, 5.0), entry(2, first), Empty, entry(3, finished)]
    steps += [entry(4, dropped), Empty, Empty, Empty, StoppedError]
    del dropped
    watcher._announced = Announced(*steps)
    watcher._is_running = True
    with pytest.raises(StoppedError):
        watcher._run()
    assert (first.ended, second.ended, finished.ended) == ("deadline", "deadline", None)
    assert not watcher._is_running


def test_a_dropped_call_is_not_ended() -> None:
    """A call that is gone by its deadline is no concern of the watcher."""
    call = Call()
    gone = entry(1, call)
    del call
    deadlines._end(gone)
    assert not gone.is_due()


def test_a_forked_child_has_a_watcher_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent's thread does not exist in a child."""
    before = deadlines._watcher
    monkeypatch.setattr(deadlines, "_watcher", before)
    deadlines._after_fork()
    assert deadlines._watcher is not before


def test_no_repr_shows_a_secret() -> None:
    """What holds a secret does not show it."""
    credential = bearer("s3cret", "https://a.example")
    settings = Settings(
        site="https://a.example",
        bot=None,
        custom_id=None,
        context_id=None,
        auth=("ada", "s3cret"),
        token="s3cret",
        model=None,
        history="messages",
        headers={"cookie": "s3cret"},
        proxy="http://user:s3cret@b.example",
        timeout=(1, 1),
        deadline=None,
        retries=0,
        session=None,
    )
    request = Request("mwai", {"cookie": "s3cret"}, credential=credential)
    outgoing = OutgoingRequest("GET", "https://a.example/", {}, {"a": "s3cret"}, None)
    shown = [repr(each) for each in (credential, settings, request, outgoing)]
    shown.append(repr(IssuedNonce("s3cret", 1)))
    assert "s3cret" not in "".join(shown)
    assert "https://a.example" in shown[1]


def test_a_fork_during_a_fetch() -> None:
    """A nonce that is fetched while its process forks is issued all the same."""
    nonce = Nonce()

    def fetch(_: Call) -> str:
        nonce.after_fork()
        return "0123456789"

    assert nonce.get(Call(), fetch).value == "0123456789"


def test_a_plain_session_after_a_fork() -> None:
    """A child has connections of its own, and the same cookies."""
    session = PlainSession(None)
    session.session.cookies.set("a", "b")
    adapters = session.session.adapters
    session.after_fork()
    assert session.session.adapters is not adapters
    assert session.session.cookies["a"] == "b"
    session.close()


def test_a_recorded_session_after_a_fork() -> None:
    """A child that records has connections of its own, and the same cookies."""
    session = OwnSession(None)
    plain = session._plain_session()
    session.session.cookies.set("a", "b")
    session.after_fork()
    assert session._plain_session() is not plain
    assert session._plain_session().session.cookies["a"] == "b"
    session.close()


@pytest.mark.parametrize(
    ("body", "start"),
    [
        (b'x\ndata: {"type":"live", bad}\n' + HEL, Start(29, is_stream=True)),
        (b'x\ndata: {"type":"live","da', Start(2, is_stream=True)),
        (b'x\ndata: {"type":"live"} y', Start(0, is_stream=False)),
        (b'x\ndata: {"type":"\xff"}\n' + HEL, Start(21, is_stream=True)),
        (b'x{"success":\xff}', Start(0, is_stream=False)),
    ],
)
def test_what_only_looks_like_an_event(body: bytes, start: Start) -> None:
    """A line that is not an event is noise; one that is cut begins a stream."""
    assert find_start(body, ended=True) == start


def test_a_public_module_is_found_by_name() -> None:
    """A public module is an attribute of the package."""
    assert chatgpt4online.__getattr__("errors") is chatgpt4online.errors


class Raced(Deque[Any]):
    """A queue whose last item another thread takes first."""

    def __len__(self) -> int:
        """Return how many items there were before."""
        return super().__len__() + 1


def test_a_deferred_body_that_another_thread_takes() -> None:
    """Two threads that free the same connection do not hinder each other."""
    with Client("http://127.0.0.1:9") as client:
        transport: Any = client._transport
        transport._deferred = Raced()
        transport._try_release()
        transport._deferred = deque()


class Idle:
    """An idle connection."""

    idle_limit = 60.0
    closed = False

    def close(self) -> None:
        """Close it."""
        self.closed = True


def test_a_connection_that_is_put_back_while_its_pool_closes() -> None:
    """No connection stays open in a pool that has been closed."""
    idle, before, after = pool._IdleConnections(), Idle(), Idle()
    idle.put(before)
    idle.close()
    idle.put(after)
    assert before.closed
    assert after.closed
    assert idle.qsize() == 0


class InterruptedParser:
    """A parser that Ctrl-C interrupts before it has begun."""

    def events(self) -> None:
        """Raise what Ctrl-C raises."""
        raise KeyboardInterrupt


def test_ctrl_c_before_a_parser_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Ctrl-C interrupts a stream before its first event, no later stream gets its events."""
    monkeypatch.setattr(sse, "_parser", InterruptedParser())
    with pytest.raises(KeyboardInterrupt):
        next(sse._data(iter([HEL])))
    assert sse._begun.get() == ()


def test_a_task_that_raises() -> None:
    """What a task raises is its future's."""

    def fail() -> None:
        raise StoppedError

    future: Future[Any] = Future()
    _workers._run(future, fail)
    assert isinstance(future.exception(), StoppedError)


def test_a_run_of_the_parent_process() -> None:
    """A forked child does not iterate over its parent's run."""
    with Client("http://127.0.0.1:9") as client, client.map([]) as run:
        process, run._process = run._process, -1
        with pytest.raises(RuntimeError, match="parent process"):
            next(run)
        run._process = process


def test_runs_end_with_the_process() -> None:
    """What a variable still refers to ends when the process does."""
    with Client("http://127.0.0.1:9") as client:
        run = client.map(["Hi"])
        batch._close_runs()
        assert list(run) == []


class FullJournal(Journal):
    """A journal in which nothing can be written."""

    def add(self, outcome: Outcome) -> None:
        """Fail."""
        raise TypeError("no")


def test_an_error_that_cannot_be_written(tmp_path: Path) -> None:
    """An outcome without a reply that cannot be written ends the run."""
    journal = FullJournal(tmp_path / "a.jsonl", {})
    task: Any = None
    with pytest.raises(TypeError):
        batch._written(journal, task, Outcome(0, None, "Hi", None, ValueError("x"), 0.1))
    journal.close()


def test_a_line_from_a_deep_stack(tmp_path: Path) -> None:
    """A deeply nested reply is written whole, however deep the stack is."""
    raw: Any = {"success": True, "reply": "Hi", "deep": []}
    for _ in range(700):
        raw["deep"] = [raw["deep"]]
    journal = Journal(tmp_path / "a.jsonl", {})

    def add(depth: int) -> None:
        if depth:
            add(depth - 1)
        else:
            journal.add(Outcome(0, "k" * 32, "Hi", Reply("Hi", raw=raw), None, 0.1))

    add(500)
    journal.close()
    assert (tmp_path / "a.jsonl").read_bytes().count(b"[") >= 700
