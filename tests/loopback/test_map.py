"""Many messages over threads: their outcomes, and what ends a run, over real sockets."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any, Dict, Generator, Iterator, List, Optional, Sequence, Tuple

import pytest
import requests
from support import (
    HELLO,
    PHP,
    SOON,
    Peer,
    RawServer,
    at_once,
    background,
    ends_after,
    wait_for,
)

from chatgpt4online import (
    Client,
    Message,
    MessageError,
    Outcome,
    ReplyError,
    ServerError,
    StreamInterrupted,
    Timeout,
)
from chatgpt4online.testing import Server

needs_signals = pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="this system has no signals for threads"
)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def questions(server: Server) -> List[str]:
    """Return the questions that came, in the order of their arrival."""
    return [request.json["newMessage"] for request in server.questions]


def replies(outcomes: Sequence[Outcome]) -> List[str]:
    """Return the replies' texts; each outcome must have one."""
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
    return [str(outcome.reply) for outcome in outcomes]


def echoes(messages: List[str]) -> List[str]:
    """Return what the site answers without a script."""
    return [f"Echo(1 msgs): {message}" for message in messages]


# Outcomes.


@pytest.mark.parametrize("workers", [1, 3, 50])
def test_outcomes_are_in_order(client: Client, workers: int) -> None:
    """Each message has its outcome, in the order of the messages; without a journal, no key."""
    messages = [f"message {number}" for number in range(20)]
    found = list(client.map(messages, workers=workers))
    assert replies(found) == echoes(messages)
    assert [(each.index, each.key, each.message) for each in found] == [
        (index, None, message) for index, message in enumerate(messages)
    ]


def test_no_message_has_no_outcome(server: Server, client: Client) -> None:
    """Of no messages nothing comes, and nothing is sent."""
    assert (list(client.map([])), server.requests) == ([], [])


def test_a_slow_answer_holds_back_those_after_it(server: Server, client: Client) -> None:
    """In order, an outcome waits for those before it, while further messages are asked."""
    server.stalls()
    messages = [f"message {number}" for number in range(10)]
    found = background(lambda: list(client.map(messages, workers=2)))
    wait_for(lambda: len(server.questions) == 10)
    assert not found.done()
    server.release()
    assert replies(found.result(SOON)) == echoes(messages)


def test_a_slow_answer_holds_back_no_other(server: Server, client: Client) -> None:
    """As completed, the outcome of a slow question comes last, whichever it was."""
    server.stalls()
    found = client.map(["a", "b", "c", "d"], workers=2, ordered=False)
    quick = [next(found) for _ in range(3)]
    slow = questions(server)[0]
    assert slow not in [outcome.message for outcome in quick]
    server.release()
    assert [outcome.message for outcome in found] == [slow]


@pytest.mark.parametrize("threads", [None, 8])
def test_as_many_questions_are_under_way_as_there_are_workers(threads: Optional[int]) -> None:
    """`workers` is how many questions are in progress at a time: that many, and never more."""
    executor = ThreadPoolExecutor(threads) if threads else None
    context = executor or contextlib.nullcontext()
    barrier = threading.Barrier(3)
    under_way: List[int] = []

    def serve(peer: Peer) -> None:
        while peer.question():
            under_way.append(peer.number)
            barrier.wait(SOON)  # which fewer could not pass
            assert len(under_way) <= 3
            barrier.wait(SOON)
            under_way.remove(peer.number)
            peer.send(PHP.answer(HELLO).bytes)

    with context, RawServer(serve) as server, Client(server.url) as client:
        found = client.map(map(str, range(12)), workers=3, executor=executor)
        assert replies(list(found)) == ["Hello"] * 12


def test_a_failure_is_an_outcome(server: Server, client: Client) -> None:
    """What fails has its error for an outcome, stops no other, and is not sent again."""
    server.says("a")
    server.fails("Sorry.")
    server.cuts("b")
    server.answers(500)
    found = list(client.map(["1", "2", "3", "4", "5"], workers=1))
    kinds = [type(outcome.error) for outcome in found]
    assert kinds == [type(None), ReplyError, StreamInterrupted, ServerError, type(None)]
    assert [outcome.reply is None for outcome in found] == [False, True, True, True, False]
    assert questions(server) == ["1", "2", "3", "4", "5"]


def test_what_cannot_have_run_is_sent_again(server: Server, client: Client) -> None:
    """A question is sent again as `chat` does it: after Retry-After, and with a fresh nonce."""
    server.answers(429, retry_after=0)
    server.expire_nonce()
    assert replies(list(client.map(["a", "b"], workers=1))) == echoes(["a", "b"])


BAD: Dict[str, Tuple[Any, type]] = {
    "empty": ("", MessageError),
    "no text": (b"bytes", TypeError),
    "half of a surrogate pair": ("\ud800", MessageError),
    "a wrong role": ([{"role": "robot", "content": "Hi"}], MessageError),
    "a single turn": ({"role": "user", "content": "Hi"}, TypeError),
    "one without end": ([[]], TypeError),
}
BAD["one without end"][0][0].append(BAD["one without end"][0])


@pytest.mark.parametrize("message", BAD.values(), ids=list(BAD))
@pytest.mark.parametrize("journal", [True, False])
def test_what_cannot_be_asked_is_an_outcome(
    server: Server, client: Client, tmp_path: Path, message: Tuple[Any, type], journal: bool
) -> None:
    """A message that cannot be sent, or kept, has its error for an outcome, and stops no other."""
    bad, kind = message
    path = tmp_path / "journal" if journal else None
    found = list(client.map(["a", bad, "b"], journal=path))
    assert [type(outcome.error) for outcome in found] == [type(None), kind, type(None)]
    assert found[1].message is bad
    assert not isinstance(found[1].error, MessageError) or found[1].error.site == server.url
    assert sorted(questions(server)) == ["a", "b"]


def test_a_message_may_be_a_history(server: Server, client: Client) -> None:
    """Messages are what `chat` takes: a text, or a history."""
    turns: List[Message] = [
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Who am I?"},
    ]
    assert replies(list(client.map([turns]))) == ["Echo(3 msgs): Who am I?"]


def test_a_deadline_holds_for_each_question(server: Server) -> None:
    """A client's deadline is that of each question, and ends it on time."""
    server.stalls()
    with Client(server.url, deadline=0.4) as client:
        found = client.map(["a", "b", "c"], workers=1)
        with ends_after(0.4):
            first = next(found)
        assert isinstance(first.error, Timeout)
        assert replies(list(found)) == echoes(["b", "c"])


def test_threads_share_one_nonce(server: Server, client: Client) -> None:
    """However many threads ask, one nonce is fetched."""
    list(client.map(map(str, range(30)), workers=10))
    assert len(server.requests) - len(server.questions) == 1


def test_a_callers_session_is_used_and_kept(server: Server) -> None:
    """A caller's session asks the questions, and is left open."""
    with requests.Session() as session:
        session.headers["x-mine"] = "yes"
        with Client(server.url, session=session) as client:
            assert replies(list(client.map(["a", "b"]))) == echoes(["a", "b"])
        assert {request.headers["X-Mine"] for request in server.questions} == {"yes"}
        assert session.get(server.url).ok


# Messages that are made as they are needed.


def test_a_failing_iterator_loses_no_answer(server: Server, client: Client) -> None:
    """Where the caller's iterator raises, the answers to what it gave come first."""

    def messages() -> Iterator[str]:
        yield from ("a", "b", "c")
        raise LookupError("no more")

    found: List[Outcome] = []
    with pytest.raises(LookupError, match="no more"):
        found.extend(iter_into(found, client.map(messages(), workers=8)))
    assert replies(found) == echoes(["a", "b", "c"])
    assert sorted(questions(server)) == ["a", "b", "c"]


def iter_into(found: List[Outcome], outcomes: Iterator[Outcome]) -> List[Outcome]:
    """Append outcomes to a list as they come, and return nothing further."""
    for outcome in outcomes:
        found.append(outcome)  # noqa: PERF402 - those before an error are to be kept
    return []


# What ends a run.


def test_leaving_the_loop_ends_what_is_under_way() -> None:
    """A loop that is left ends what threads are asking at once; no connection stays."""
    first = iter([PHP.answer().bytes])

    def serve(peer: Peer) -> None:
        while peer.question():
            answer = next(first, None)
            if answer is None:
                peer.wait_until_gone()
                return
            peer.send(answer)

    with RawServer(serve) as server, Client(server.url) as client:
        for _ in client.map(["a", "b", "c"], workers=3, ordered=False):
            wait_for(lambda: len(server.questions) == 3)
            break
        with at_once():
            for _ in range(2):
                server.gone.get(timeout=SOON)


def test_a_closed_generator_ends_what_is_under_way(server: Server, client: Client) -> None:
    """A caller's own generator around a run ends it when it is closed."""

    def texts() -> Generator[str, None, None]:
        for outcome in client.map(["a", "b", "c"], workers=2, ordered=False):
            yield str(outcome.reply)

    server.stalls()
    around = texts()
    next(around)
    with at_once():
        around.close()
    wait_for(lambda: server.open_connections <= 1)  # the client keeps one that is idle


@needs_signals
def test_ctrl_c_ends_what_is_under_way(server: Server, client: Client) -> None:
    """Ctrl-C ends a run at once, and what its threads are asking."""
    for _ in range(3):
        server.stalls()

    def press() -> None:
        wait_for(lambda: len(server.questions) == 3)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    presser = background(press)
    outcomes = client.map(["a", "b", "c", "d"], workers=3)
    with contextlib.suppress(KeyboardInterrupt):
        next(outcomes)
    presser.result(SOON)
    with at_once():
        assert list(outcomes) == []
    wait_for(lambda: server.open_connections == 0)
    assert sorted(questions(server)) == ["a", "b", "c"]


def test_a_run_that_is_dropped_leaves_nothing(
    server: Server, client: Client, tmp_path: Path
) -> None:
    """A run that nobody iterates sends nothing, and leaves its journal to others."""
    client.map(["a"], journal=tmp_path / "journal")
    assert replies(list(client.map(["b"], journal=tmp_path / "journal"))) == echoes(["b"])
    assert questions(server) == ["b"]


def test_a_run_ends_once(client: Client) -> None:
    """After its end a run stays at its end."""
    found = client.map(["a"])
    assert replies(list(found)) == echoes(["a"])
    assert list(found) == []


def test_closing_the_client_ends_a_run(server: Server, client: Client) -> None:
    """`Client.close` ends what a run is asking at once; what is left fails, and is not sent."""
    server.stalls()
    found = background(lambda: list(client.map(["a", "b"], workers=1)))
    wait_for(lambda: server.questions)
    with at_once():
        client.close()
        outcomes = found.result(SOON)
    assert [type(outcome.error) for outcome in outcomes] == [StreamInterrupted, ValueError]
    assert questions(server) == ["a"]


def test_a_closed_client_asks_nothing(server: Server, client: Client) -> None:
    """A closed client refuses messages as it refuses one."""
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.map(["a"])


def test_a_run_leaves_its_client_open(client: Client) -> None:
    """The end of a run is not the end of its client, nor of another run."""
    other = client.map(["a", "b"], workers=1)
    next(other)
    with contextlib.suppress(StopIteration):
        next(client.map(["c", "d"]))
    assert replies(list(other)) == echoes(["b"])
    assert client.chat("e") == "Echo(1 msgs): e"


def test_what_cannot_be_ended_is_left_behind(server: Server) -> None:
    """Where a caller's session waits for headers, which nobody can end, the loop is left soon."""
    server.stalls(headers=False)
    with requests.Session() as session, Client(server.url, session=session) as client:
        found = client.map(["a", "b"], workers=2, ordered=False)
        next(found)
        del found
        assert server.open_connections
        server.release()


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_ends_no_run(server: Server, client: Client, tmp_path: Path) -> None:
    """A child that is forked in the loop may drop it: what is in progress is the parent's."""
    server.stalls()
    journal = tmp_path / "journal"
    found = client.map(["a", "b", "c"], workers=2, ordered=False, journal=journal)
    next(found)
    child = os.fork()
    if not child:  # pragma: no cover - the child is not measured
        del found
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert is_locked(journal)
    server.release()
    assert len(replies(list(found))) == 2
    assert Counter(questions(server)) == {"a": 1, "b": 1, "c": 1}


def is_locked(path: Path) -> bool:
    """Return whether another process finds a journal in use."""
    program = "import sys, fcntl; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE)
    return b"BlockingIOError" in done.stderr


# Arguments.


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"messages": "Hello"}, TypeError),
        ({"messages": b"Hello"}, TypeError),
        ({"messages": 5}, TypeError),
        ({"workers": 0}, ValueError),
        ({"workers": 1.5}, TypeError),
        ({"executor": "threads"}, TypeError),
        ({"journal": 5}, TypeError),
        ({"journal": "no/such/folder/journal"}, OSError),
    ],
)
def test_wrong_arguments_are_refused(
    server: Server, client: Client, options: Dict[str, Any], kind: type
) -> None:
    """What cannot be is refused at once, before anything is sent."""
    with pytest.raises(kind):
        client.map(**{"messages": ["Hello"], **options})
    assert server.requests == []


# The bar.


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return tqdm's module, which starts no thread of its own."""
    tqdm = pytest.importorskip("tqdm")
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    return tqdm


@pytest.mark.parametrize("ordered", [True, False])
def test_a_bar_counts(
    client: Client, bar: Any, capsys: pytest.CaptureFixture[str], ordered: bool
) -> None:
    """With `progress`, a bar counts the outcomes, of as many as there are known to be."""
    found = list(client.map(["a", "", "c"], progress=True, ordered=ordered))
    assert {outcome.message for outcome in found} == {"a", "", "c"}
    assert re.search("3/3.*failed=1", capsys.readouterr().err)
    list(client.map(iter(["a", "b"]), progress=True, ordered=ordered))
    assert "2message" in capsys.readouterr().err


def test_leaving_the_loop_ends_a_bar(server: Server, client: Client, bar: Any) -> None:
    """A loop that is left takes its bar along, and what is in progress."""
    server.stalls()
    for _ in client.map(["a", "b", "c"], workers=2, ordered=False, progress=True):
        break
    wait_for(lambda: server.open_connections <= 1)  # the client keeps one that is idle
    assert not bar.tqdm._instances


def test_a_missing_bar_says_what_to_do(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without tqdm, one sentence names the command, and no journal is begun."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError) as caught:
        client.map(["a"], progress=True, journal=tmp_path / "journal")
    assert str(caught.value) == "progress=True needs tqdm: pip install tqdm"
    assert not (tmp_path / "journal").exists()


# Pacing.


def test_a_session_may_pace_the_questions(server: Server) -> None:
    """A session that limits its rate limits that of a run, however many workers there are."""
    limiter = pytest.importorskip("requests_ratelimiter")
    began = monotonic()
    with limiter.LimiterSession(per_second=5) as paced, Client(server.url, session=paced) as client:
        found = list(client.map(["a", "b", "c", "d", "e"], workers=5))
    assert replies(found) == echoes(["a", "b", "c", "d", "e"])
    assert len(server.requests) == 6  # one of them for the nonce
    assert monotonic() - began > 0.9  # the sixth had to wait for the second second
