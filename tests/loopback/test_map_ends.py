"""What ends a run of `map`, and what does not: processes, variables that stay, other threads."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import threading
from contextvars import ContextVar
from pathlib import Path
from time import monotonic
from typing import Any, Dict, Iterator, List, Tuple

import pytest
from support import SOON, at_once, background, wait_for

from chatgpt4online import Client, Outcomes, StreamInterrupted
from chatgpt4online.testing import Server

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

#: Seconds that a process may take, most of them to import the package on a busy machine.
PROCESS = 8.0


def questions(server: Server) -> List[str]:
    """Return the questions that arrived, in the order of their arrival."""
    return [request.json["newMessage"] for request in server.questions]


# The end of a process.

PROGRAM = """
import os, signal, sys
from functools import partial
from threading import Timer
import requests
from chatgpt4online import Client

client = Client(sys.argv[1], session={session})
results = client.map(
    list("{messages}"), workers=3, ordered=False, journal=sys.argv[2], progress={progress}
)
first = next(results)
press = partial(os.kill, os.getpid(), signal.SIGINT)
print("asked", flush=True)
sys.stdin.readline()
{end}
"""
ENDS: Dict[str, Any] = {
    "the last line": ("pass", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an exception": ("raise LookupError", 1),
    "Ctrl-C in the loop": ("raise KeyboardInterrupt", -2),
    "Ctrl-C in next": ("Timer(0.3, press).start(); next(results)", -2),
    "an exception that keeps the frame": ("sys.last = results; 1 / 0", 1),
}
needs_sigint = pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends a process there")


def ends(server: Server, path: Path, stalled: int, **parts: Any) -> Tuple[int, str]:
    """
    Run a program that leaves a run in a variable while the site is silent.

    Return its exit status, and what it wrote to standard error.
    """
    program = PROGRAM.format(**{"messages": "abcdef", "session": None, "progress": False, **parts})
    with subprocess.Popen(
        [sys.executable, "-W", "default", "-c", program, server.url, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stdout
            assert child.stdin
            assert child.stdout.readline() == "asked\n"
            wait_for(lambda: len(server.questions) == stalled + 1)
            child.stdin.write("\n")
            child.stdin.flush()
            began = monotonic()
            child.wait(PROCESS)
            late = monotonic() - began - 3.0
            assert late < 0, f"it waited for the site, and ended {late:.3f} s after its time"
        finally:
            child.kill()
        assert child.stderr
        return child.returncode, child.stderr.read()


@needs_sigint
@pytest.mark.parametrize("way", ENDS)
def test_a_process_ends_while_the_site_is_silent(server: Server, tmp_path: Path, way: str) -> None:
    """A run in a variable does not keep a process from ending, whatever ends it."""
    end, status = ENDS[way]
    server.says("first")
    for _ in range(3):
        server.stalls()
    returned, errors = ends(server, tmp_path / "journal", stalled=3, end=end)
    assert returned == status
    assert not [word for word in ("ignored", "ResourceWarning", "Fatal") if word in errors]
    assert len(server.questions) == 4


@needs_sigint
@pytest.mark.parametrize("headers", [True, False])
def test_a_process_ends_with_a_session_of_the_callers(
    server: Server, tmp_path: Path, headers: bool
) -> None:
    """Threads that nobody can end, since they use the caller's session, do not hold a process."""
    server.says("first")
    for _ in range(3):
        server.stalls(headers=headers)
    options = {"end": "sys.exit(3)", "session": "requests.Session()"}
    assert ends(server, tmp_path / "journal", stalled=3, **options)[0] == 3
    server.release()


@needs_sigint
def test_a_process_ends_with_a_bar(server: Server, tmp_path: Path) -> None:
    """A bar is closed when the process ends."""
    pytest.importorskip("tqdm")
    server.says("first")
    for _ in range(3):
        server.stalls()
    options = {"end": "sys.exit(3)", "progress": True}
    status, errors = ends(server, tmp_path / "journal", stalled=3, **options)
    assert status == 3
    assert "1/6" in errors
    assert errors.endswith("\n")


def test_a_process_closes_the_journal(server: Server, tmp_path: Path) -> None:
    """A run that stays open although all is answered leaves no file open: Python would warn."""
    options = {"messages": "a", "end": "pass"}
    status, errors = ends(server, tmp_path / "journal", stalled=0, **options)
    assert status == 0
    assert "ResourceWarning" not in errors


# A variable that outlives an exception.


def test_no_further_question_begins(server: Server, client: Client) -> None:
    """Where a variable outlives an exception in the loop, only what workers have taken is asked."""
    taken: List[str] = []

    def messages() -> Iterator[str]:
        for number in range(50):
            taken.append(str(number))
            yield str(number)

    found = client.map(messages(), workers=3)
    with contextlib.suppress(LookupError):
        for _ in found:
            raise LookupError
    assert len(taken) <= 3 * 3
    wait_for(lambda: all(future.done() for future in found._in_progress))
    assert sorted(questions(server)) == sorted(taken)
    assert client.chat("more") == "Echo(1 msgs): more"
    assert len(list(found)) == 49  # it goes on where it was


def test_a_cell_can_be_run_again(server: Server, client: Client, tmp_path: Path) -> None:
    """A notebook cell that failed can be run again with the same journal, while its run lives."""
    journal = tmp_path / "journal"
    kept: List[Outcomes] = []

    def cell(fails: bool) -> int:
        kept.append(client.map(map(str, range(8)), workers=2, journal=journal))
        count = 0
        for outcome in kept[-1]:
            assert outcome.ok
            count += 1
            if fails:
                raise LookupError
        return count

    for _ in range(3):
        with contextlib.suppress(LookupError):
            cell(fails=True)
    assert cell(fails=False) == 8
    with pytest.raises(RuntimeError, match="taken over"):
        next(kept[0])
    assert list(kept[-1]) == []


def test_a_block_ends_a_run(server: Server, client: Client) -> None:
    """Leaving the block of a run ends its questions at once, and closes it; not its client."""
    server.stalls()
    server.stalls()
    with client.map(list("abc"), workers=2) as found:
        waiting = background(lambda: next(found, None))
        wait_for(lambda: len(server.questions) == 2)
        with at_once():
            found.close()
            assert waiting.result(SOON) is None
    found.close()
    assert list(found) == []
    assert client.chat("d") == "Echo(1 msgs): d"
    assert questions(server)[-1] == "d"


def test_a_block_waits_for_its_threads(server: Server) -> None:
    """When the block of a run has been left, its threads have come to their ends."""
    may_end = threading.Event()
    ended: List[str] = []

    class Thorough(Client):
        def chat(self, message: Any, **options: Any) -> Any:
            try:
                return super().chat(message, **options)
            finally:
                assert may_end.wait(SOON)
                ended.append(message)

    server.stalls()
    server.stalls()
    later = threading.Timer(0.05, may_end.set)
    with Thorough(server.url) as client:
        with client.map(["a", "b"], workers=2) as found:
            waiting = background(lambda: next(found, None))
            wait_for(lambda: len(server.questions) == 2)
            later.start()
        assert sorted(ended) == ["a", "b"]
        assert waiting.result(SOON) is None


def test_the_end_of_a_run_spares_other_calls(server: Server, client: Client) -> None:
    """Ending a run ends its own questions, and none that its client is asking besides."""
    server.stalls()
    mine = background(lambda: client.chat("mine"))
    wait_for(lambda: server.questions)
    server.stalls()
    with client.map(["theirs"]) as found:
        waiting = background(lambda: next(found, None))
        wait_for(lambda: len(server.questions) == 2)
    assert waiting.result(SOON) is None
    assert not mine.done()
    server.release()
    assert mine.result(SOON) == "Echo(1 msgs): mine"


def test_what_begins_after_the_end_is_not_sent(server: Server) -> None:
    """A worker that comes to its question after the end of the run does not send it."""
    begin, ready = threading.Event(), threading.Event()
    errors: List[Exception] = []

    class Late(Client):
        def chat(self, message: Any, **options: Any) -> Any:
            ready.set()
            assert begin.wait(SOON)
            try:
                return super().chat(message, **options)
            except Exception as error:
                errors.append(error)
                raise

    with Late(server.url) as client:
        found = client.map(["a"])
        waiting = background(lambda: next(found, None))
        assert ready.wait(SOON)
        closing = background(found.close)
        assert waiting.result(SOON) is None
        begin.set()
        closing.result(SOON)
        wait_for(lambda: errors)
    assert type(errors[0]) is StreamInterrupted
    assert server.questions == []


def test_one_thread_iterates(server: Server, client: Client) -> None:
    """A second thread that iterates at the same time is refused, and the first goes on."""
    server.stalls()
    found = client.map(["a"])
    waiting = background(lambda: next(found))
    wait_for(lambda: server.questions)
    with pytest.raises(ValueError, match="another thread is iterating"):
        next(found)
    server.release()
    assert waiting.result(SOON).ok


def test_a_run_in_a_cycle_ends(server: Server, client: Client, tmp_path: Path) -> None:
    """A run that only the garbage collector can find ends when it is found."""
    server.stalls()
    server.stalls()
    found: Any = client.map(list("abc"), workers=2, journal=tmp_path / "journal")
    found._ask_more()
    wait_for(lambda: len(server.questions) == 2)
    found.itself = found
    del found
    wait_for(lambda: gc.collect() >= 0 and server.open_connections == 0)
    assert len(list(client.map(["a"], journal=tmp_path / "journal"))) == 1


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_cannot_go_on(server: Server, client: Client) -> None:
    """A forked child that iterates over its parent's run gets an error, and does not hang."""
    found = client.map(["a", "b", "c"], workers=1)
    next(found)
    child = os.fork()
    if not child:  # pragma: no cover - the child is not measured
        try:
            next(found)
        except RuntimeError as error:
            os._exit(3 if "parent" in str(error) else 4)
        os._exit(5)
    assert os.waitpid(child, 0)[1] == 3 << 8
    assert len(list(found)) == 2


def test_threads_end_with_their_run(server: Server, client: Client) -> None:
    """The threads of a run end with it; there are no more of them than are needed."""
    before = threading.active_count()
    found = client.map(map(str, range(10)), workers=50)
    next(found)
    assert own_threads() <= 10
    assert len(list(found)) == 9
    wait_for(lambda: own_threads() == 0)
    assert threading.active_count() - before <= 10 + 20  # the site's


def own_threads() -> int:
    """Return how many threads ask questions."""
    return sum(thread.name == "chatgpt4online" for thread in threading.enumerate())


@pytest.mark.parametrize("allowed", [0, 2])
def test_threads_that_cannot_start(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    """Where threads cannot be started, the others ask; where there is none, each question fails."""
    left = iter([True] * allowed)
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "chatgpt4online" and not next(left, False):
            raise RuntimeError("can't start new thread")
        real(thread)

    server.stalls()
    monkeypatch.setattr(threading.Thread, "start", start)
    found = client.map(map(str, range(6)), workers=4, ordered=False)
    reader = background(lambda: list(found))
    wait_for(lambda: len(server.questions) >= min(allowed, 1))
    server.release()
    errors = [str(outcome.error) for outcome in reader.result(SOON) if outcome.error]
    assert len(errors) == (0 if allowed else 6)
    assert all("can't start new thread" in error for error in errors)


# Context variables.

LANGUAGE: ContextVar[str] = ContextVar("LANGUAGE", default="English")


class Speaking(Client):
    """A client that says in which language it asks."""

    def chat(self, message: Any, **options: Any) -> Any:
        """Ask in the language of the context."""
        language = LANGUAGE.get()
        LANGUAGE.set("changed in a thread")
        return super().chat(f"{message} in {language}", **options)


@pytest.fixture
def _in_french() -> Iterator[None]:
    token = LANGUAGE.set("French")
    yield
    LANGUAGE.reset(token)


@pytest.mark.usefixtures("_in_french")
def test_threads_see_context_variables(server: Server) -> None:
    """Threads see the context variables of the caller of `map`, each question anew."""
    with Speaking(server.url) as client:
        found = client.map(["a", "b", "c"], workers=1)
        LANGUAGE.set("Latin")
        assert [str(outcome.reply) for outcome in found] == [
            f"Echo(1 msgs): {letter} in French" for letter in "abc"
        ]
    assert LANGUAGE.get() == "Latin"
