"""
Interrupt calls at one instruction after another, and check that the client stays usable.

`interruption_worker` makes the calls in a separate process; the server runs in this one. A failure
says how to repeat one injection with this module.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

import pytest

import chatgpt4online

from .interruption_worker import ACTIONS
from .messages import HELLO, PHP, chunk, head, json_reply
from .server import Peer, RawServer, Received

WORKER = ("-m", "support.interruption_worker")
_BEGUN = re.compile(r"\d+ '")
_MAX_LINES = 60

_NONCE = "0123456789"


class Site(RawServer):
    """A server that answers at once, except that "wait" is answered after the next "go"."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._answer = PHP.answer(HELLO, f"X-WP-Nonce: {_NONCE}").bytes
        session = {"success": True, "sessionId": "s", "restNonce": _NONCE}
        cookie = "Set-Cookie: mwai_session_id=s; Path=/; HttpOnly"
        self._session = json_reply("200 OK", session, cookie)
        super().__init__(self._talk)

    def note(self, received: Received) -> None:
        """Record no request, since there are many."""

    def _talk(self, peer: Peer) -> None:
        while True:
            received = peer.receive()
            if received is None:
                return
            if received.is_session:
                peer.send(self._session)
            elif b'"wait"' in received.body:
                self._wait(peer)
            else:
                if b'"go"' in received.body:
                    self._go.set()
                peer.send(self._answer)

    def _wait(self, peer: Peer) -> None:
        self._go.set()  # the client that waited before is gone
        go = self._go = threading.Event()
        peer.send(head("200 OK", "Transfer-Encoding: chunked") + chunk(HELLO[0]))
        go.wait()
        peer.send(b"".join(map(chunk, HELLO[1:])) + chunk(b""))

    def close(self) -> None:
        """Answer all waiting questions, then close."""
        self._go.set()
        super().close()


class Report(NamedTuple):
    """How many injections were made, how many of them were never reached, and what failed."""

    made: int
    missed: int
    failures: List[str]


def interrupt(
    *scenarios: str,
    actions: Sequence[str] = ACTIONS,
    sample: Optional[int] = None,
    seed: int = 0,
    max_failures: int = 1,
) -> Report:
    """
    Interrupt calls, and return what happened.

    Args:
        scenarios: which of the worker's `SCENARIOS` to run.
        actions: which of the worker's `ACTIONS` to inject.
        sample: the number of instructions per scenario and action; None for all.
        seed: the seed for choosing instructions and their executions.
        max_failures: the number of failures after which to stop.
    """
    options = [",".join(scenarios), ",".join(actions), f"--seed={seed}"]
    if sample is not None:
        options.append(f"--sample={sample}")
    made = missed = 0
    failures: List[str] = []
    with Site() as site:
        while len(failures) < max_failures:
            lines = run_guarded(*WORKER, site.url, *options, f"--start={made}")
            if lines[-1:] and lines[-1].startswith("done "):
                _, more, unreached = lines[-1].split()
                return Report(made + int(more), missed + int(unreached), failures)
            begun = [line for line in lines if _BEGUN.match(line)]
            failures.append(_failure(begun, lines))
            made = int(begun[-1].split()[0]) + 1 if begun else made
    return Report(made, missed, failures)


def repeat(scenario: str, action: str, target: str) -> Optional[str]:
    """Make one injection; return its failure, or None."""
    with Site() as site:
        lines = run_guarded(*WORKER, site.url, scenario, action, f"--at={target}")
    if lines[-1:] and lines[-1].startswith("done "):
        return None
    return _failure([line for line in lines if _BEGUN.match(line)], lines)


def run_guarded(*arguments: str) -> List[str]:
    """Run Python with this package and these helpers, and return the lines that it prints."""
    path = [str(Path(chatgpt4online.__file__).parents[1]), str(Path(__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.splitlines()


def _failure(begun: List[str], lines: List[str]) -> str:
    """Return what failed, and how to repeat it."""
    if not begun:
        return "\n".join(["no injection was made:", *lines[-_MAX_LINES:]])
    injection = begun[-1].partition(" ")[2]
    output = lines[lines.index(begun[-1]) + 1 :][-_MAX_LINES:]
    repetition = f"to repeat it, in tests: python -m support.interruption {injection}"
    return "\n".join([f"after {injection}:", *output, repetition])


# The same with the real collector and real signals, which interrupt calls at random.

_BEGIN = """
import faulthandler, gc, random, signal, sys
from chatgpt4online import ChatGPT4OnlineError, Client

url, rounds, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
faulthandler.dump_traceback_later(limit, exit=True)
rng = random.Random(0)
armed = []

def arm(act):
    def handle(*_):
        if armed:
            armed.clear()
            act()

    signal.signal(signal.SIGALRM, handle)
    armed.append(True)
    signal.setitimer(signal.ITIMER_REAL, 1e-5 * 100 ** rng.random())  # 10 us to 1 ms
"""

PROGRAMS = {
    "the collector frees streams": """
class Cycle:
    pass

gc.set_threshold(97, 10, 10)
with Client(url) as client:
    for _ in range(rounds):
        cycle = Cycle()
        cycle.me = cycle
        cycle.stream = client.stream("Hi")
        del cycle
""",
    "Ctrl-C": """
sys.unraisablehook = lambda _: None  # where a finalizer runs, Python ignores Ctrl-C

def interrupt():
    raise KeyboardInterrupt

with Client(url) as client:
    for _ in range(rounds):
        try:
            arm(interrupt)
            client.chat("Hi")
            armed.clear()
        except KeyboardInterrupt:
            pass
        assert client.chat("Hi", deadline=5) == "Hello"
""",
    "a handler closes the client": """
for _ in range(rounds):
    client = Client(url)
    try:
        arm(client.close)
        assert client.chat("Hi") == client.chat("Hi", deadline=5) == "Hello"
    except (ChatGPT4OnlineError, ValueError) as error:
        assert "closed" in str(error), error
    armed.clear()
    client.close()
""",
}


def run_program(name: str, rounds: int, limit: int = 20) -> List[str]:
    """Run a program for this many rounds; return its output, which is empty if it succeeds."""
    if name != "the collector frees streams" and not hasattr(signal, "setitimer"):
        pytest.skip("this system has no signal.setitimer")
    with Site() as site:
        return run_guarded("-c", _BEGIN + PROGRAMS[name], site.url, str(rounds), str(limit))


if __name__ == "__main__":
    sys.exit(repeat(*sys.argv[1:4]))
