"""
Interrupt a call at one instruction after the other, and hold the client to be usable after each.

The calls are made in a process of their own, by `interruption_worker`; the server runs here. To
repeat one injection, run this file with what a failure says.
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
from interruption_worker import ACTIONS
from support import HELLO, PHP, Peer, RawServer, Received, chunk, head, json_reply

import chatgpt4online

WORKER = Path(__file__).with_name("interruption_worker.py")
_BEGUN = re.compile(r"\d+ '")
_MOST_LINES = 60

_NONCE = "0123456789"


class Site(RawServer):
    """A server that answers at once; "wait" has to wait for the next "go"."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._answer = PHP.answer(HELLO, f"X-WP-Nonce: {_NONCE}").bytes
        session = {"success": True, "sessionId": "s", "restNonce": _NONCE}
        cookie = "Set-Cookie: mwai_session_id=s; Path=/; HttpOnly"
        self._session = json_reply("200 OK", session, cookie)
        super().__init__(self._talk)

    def note(self, received: Received) -> None:
        """Remember no request, since there are many."""

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
        self._go.set()  # whoever has waited is gone
        go = self._go = threading.Event()
        peer.send(head("200 OK", "Transfer-Encoding: chunked") + chunk(HELLO[0]))
        go.wait()
        peer.send(b"".join(map(chunk, HELLO[1:])) + chunk(b""))

    def close(self) -> None:
        """Let nobody wait any more."""
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
    most_failures: int = 1,
) -> Report:
    """
    Interrupt calls.

    Args:
        scenarios: some of the worker's `SCENARIOS`.
        actions: some of the worker's `ACTIONS`.
        sample: how many instructions for each scenario and action; None is all.
        seed: of the choice of instructions, and of their executions.
        most_failures: after so many, stop.
    """
    options = [",".join(scenarios), ",".join(actions), f"--seed={seed}"]
    if sample is not None:
        options.append(f"--sample={sample}")
    made = missed = 0
    failures: List[str] = []
    with Site() as site:
        while len(failures) < most_failures:
            lines = run_guarded(str(WORKER), site.url, *options, f"--start={made}")
            if lines[-1:] and lines[-1].startswith("done "):
                _, more, unreached = lines[-1].split()
                return Report(made + int(more), missed + int(unreached), failures)
            begun = [line for line in lines if _BEGUN.match(line)]
            failures.append(_failure(begun, lines))
            made = int(begun[-1].split()[0]) + 1 if begun else made
    return Report(made, missed, failures)


def repeat(scenario: str, action: str, target: str) -> Optional[str]:
    """Make one injection; return how it failed, if it did."""
    with Site() as site:
        lines = run_guarded(str(WORKER), site.url, scenario, action, f"--at={target}")
    if lines[-1:] and lines[-1].startswith("done "):
        return None
    return _failure([line for line in lines if _BEGUN.match(line)], lines)


def run_guarded(*arguments: str) -> List[str]:
    """Run Python with this package, and return the lines that it has printed."""
    path = [str(Path(chatgpt4online.__file__).parent.parent), str(WORKER.parent)]
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
        return "\n".join(["no injection was made:", *lines[-_MOST_LINES:]])
    injection = begun[-1].partition(" ")[2]
    said = lines[lines.index(begun[-1]) + 1 :][-_MOST_LINES:]
    repetition = f"to repeat it: python tests/interruption.py {injection}"
    return "\n".join([f"after {injection}:", *said, repetition])


# The same by the collector and by signals themselves, wherever they happen to strike.

_BEGIN = """
import faulthandler, gc, random, signal, sys
from chatgpt4online import ChatGPT4OnlineError, Client

url, rounds, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
faulthandler.dump_traceback_later(limit, exit=True)
chance = random.Random(0)
armed = []

def arm(act):
    def handle(*_):
        if armed:
            armed.clear()
            act()

    signal.signal(signal.SIGALRM, handle)
    armed.append(True)
    signal.setitimer(signal.ITIMER_REAL, 1e-5 * 100 ** chance.random())  # 10 us to 1 ms
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
    """Run a program for so many rounds; return what it prints, which is how it failed."""
    if name != "the collector frees streams" and not hasattr(signal, "setitimer"):
        pytest.skip("this system has no timer that sends signals")
    with Site() as site:
        return run_guarded("-c", _BEGIN + PROGRAMS[name], site.url, str(rounds), str(limit))


if __name__ == "__main__":
    sys.exit(repeat(*sys.argv[1:4]))
