"""
The process in which calls are interrupted: a failure may be a hang or a leak.

It prints number, scenario, action and target before each injection, and ``done`` at the end. On a
failure it prints the error, or the stacks of a hang, and exits with status 1.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import queue
import random
import sys
import threading
import traceback
import weakref
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Tuple

from chatgpt4online import ChatGPT4OnlineError, Client, Stream, StreamInterrupted

from .instructions import Executed, Target, choose, find, record, run_with, spread

#: Where Ctrl-C is not pressed, as a module or ``module:function``, and why: no caller of the
#: standard library can prevent the damage there. What these call is excluded too.
EXCLUDED = {
    "http.cookiejar": "acquires the jar's lock before the try block that releases it, and requests"
    " looks for cookies in each response",
    "importlib._bootstrap": "holds a module's lock while importing it",
    "importlib._bootstrap_external": "called with that lock held",
    "socket:dup": "has duplicated a descriptor that no object holds yet",
    "threading:start": "holds the locks of the handshake with the new thread",
    "urllib3.response:closed": "called by io's finalizer, which ignores exceptions",
}

#: What happens at an instruction: a cycle that refers to a stream is collected, the client is
#: closed, as a signal handler may do, or Ctrl-C is pressed.
ACTIONS = ("collect", "close", "interrupt")

#: Seconds: the deadline of the next call, and the time after which a call counts as hanging.
DEADLINE = 5.0
HANGS = 10.0

#: Questions: answered at once; answered after the next "go"; releases those that wait.
HI, WAIT, GO = "Hi", "wait", "go"
ANSWER = "Hello"


def chat(client: Client) -> str:
    """Chat."""
    return client.chat(HI)


def chat_with_deadline(client: Client) -> str:
    """Chat within a deadline."""
    return client.chat(HI, deadline=10 * DEADLINE)


def leave_stream(client: Client) -> str:
    """Leave a stream after its first delta."""
    with client.stream(HI) as stream:
        return ANSWER if next(stream) == "Hel" else ""


class Scenario(NamedTuple):
    """A call to interrupt: by a new client if `first`, with a blocked reader if `with_reader`."""

    call: Callable[[Client], str]
    first: bool = False
    with_reader: bool = False


SCENARIOS = {
    "chat": Scenario(chat),
    "deadline": Scenario(chat_with_deadline),
    "left early": Scenario(leave_stream),
    "blocked reader": Scenario(chat, with_reader=True),
    "first": Scenario(chat_with_deadline, first=True),
}


class Broken(Exception):
    """An injection has broken something."""


def expect(condition: object, message: str) -> None:
    """Raise `Broken` unless a condition holds."""
    if not condition:
        raise Broken(message)


class Worker:
    """A thread that runs one task at a time."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def begin(self, task: Callable[[], object]) -> None:
        """Start a task."""
        self._tasks.put(task)

    def result(self) -> Any:
        """Return the outcome of the task."""
        return self._results.get()

    def run(self, task: Callable[[], object]) -> Any:
        """Run a task, and return its outcome."""
        self.begin(task)
        return self.result()

    def end(self) -> None:
        """End the thread."""
        self._tasks.put(sys.exit)
        self._thread.join()

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            if task is sys.exit:
                return
            self._results.put(outcome(task))
            del task  # it refers to a client


def outcome(task: Callable[[], object]) -> object:
    """Return what a task returns, or the exception that it raises, without references to frames."""
    try:
        return task()
    except BaseException as error:  # noqa: BLE001 - the caller checks it
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return error


class Cycle:
    """A reference cycle with a stream, which only the collector can free."""

    def __init__(self, stream: Stream) -> None:
        self.me = self
        self.stream = stream


class Resources(NamedTuple):
    """The number of descriptors and threads of this process."""

    files: int
    threads: int


def current_resources() -> Resources:
    """Return the resources in use; 0 descriptors if the system does not list them."""
    directory = Path("/dev/fd")
    files = len(os.listdir(directory)) if directory.exists() else 0  # noqa: PTH208 - faster
    return Resources(files, threading.active_count())


class Subject:
    """A client whose calls are interrupted, and that has to work afterwards."""

    def __init__(self, url: str, scenario: Scenario) -> None:
        self._url = url
        self._scenario = scenario
        self._other = Worker()
        self._reader = Worker()
        self._ignored: List[object] = []  # exceptions that finalizers raised
        self._client: Optional[Client] = None
        sys.unraisablehook = lambda hook: self._ignored.append(hook.exc_type)
        self._files = current_resources().files
        self._max_files = self._max_threads = sys.maxsize

    def warm_up(self) -> List[Executed]:
        """Return the instructions of a call, recorded after two traced warm-up calls."""
        executed: List[Executed] = []

        def run(call: Callable[[], str]) -> str:
            def keep_answer() -> None:
                answers.append(call())

            answers: List[str] = []
            executed[:] = record(keep_answer, __file__, EXCLUDED)
            return answers[0]

        for _ in range(3):
            self._prepare()
            self._check("", self._call(run))
        sleep(0.1)  # lets threads end
        # Idle connections and the thread that watches deadlines remain.
        self._max_files, self._max_threads = current_resources()
        self._close()
        gc.freeze()
        return executed

    def inject(self, action: str, target: Target) -> bool:
        """Act at a target, then check the client; return whether the target was reached."""
        self._prepare()
        reached: List[bool] = []
        act = self._act(action)

        def act_at_target() -> None:
            reached.append(True)
            act()

        result = self._call(partial(run_with, target, act_at_target))
        self._check(action if reached else "", result)
        return bool(reached)

    def _act(self, action: str) -> Callable[[], object]:
        if action == "collect":
            return self._collector()
        return self._known.close if action == "close" else _interrupt

    def _collector(self) -> Callable[[], object]:
        """Return a function that collects a cycle with an open stream."""
        if self._scenario.first:
            cycle = Cycle(Client(self._url).stream(HI))
        else:
            cycle = Cycle(self._known.stream(HI))
            self._connect()  # for the next call
        alive = weakref.ref(cycle)

        def collect() -> None:
            gc.collect()
            expect(alive() is None, "the cycle was not collected")

        return collect

    def _prepare(self) -> None:
        self._ignored.clear()
        if self._scenario.first and self._client is not None:
            self._close()
        if self._client is None:
            self._client = Client(self._url)
            if not self._scenario.first:
                self._connect()

    def _connect(self) -> None:
        """Make as many idle connections as a call needs, its reader included."""
        self._block_reader()
        expect(self._known.chat(GO) == ANSWER, "the client does not work")
        self._release_reader("")

    def _block_reader(self) -> None:
        """Block a thread in reading a stream, if the scenario has a reader."""
        if self._scenario.with_reader:
            begun = threading.Semaphore(0)
            self._reader.begin(partial(_read, self._known, begun))
            begun.acquire()

    def _release_reader(self, action: str) -> None:
        """Check that the reader's stream is complete, unless the client was closed."""
        if self._scenario.with_reader:
            read = self._reader.result()
            good = read == ANSWER or (action == "close" and isinstance(read, StreamInterrupted))
            expect(good, f"the reader got {read!r}")

    def _call(self, run: Callable[[Callable[[], str]], object]) -> object:
        """Return the outcome of a call, made while the reader, if any, is blocked."""
        self._block_reader()
        return outcome(partial(run, partial(self._scenario.call, self._known)))

    def _check(self, action: str, result: object) -> None:
        """Check everything that an action may break."""
        good = result == ANSWER
        if action == "interrupt":  # Python ignores exceptions in finalizers
            good = isinstance(result, KeyboardInterrupt) or (good and bool(self._ignored))
        elif action == "close":
            good = good or isinstance(result, ChatGPT4OnlineError) or _says_closed(result)
        expect(good, f"the call got {result!r}")
        self._check_next_calls(action)
        self._release_reader(action)
        client = self._known  # a closed client frees everything while it is still referenced
        if action == "close":
            self._client = None
        self._check_resources()
        del client

    def _check_next_calls(self, action: str) -> None:
        """Check that the next calls are answered, in this thread and in another one."""
        ask = partial(self._known.chat, GO, deadline=DEADLINE)
        for answer in (outcome(ask), self._other.run(ask)):
            good = _says_closed(answer) if action == "close" else answer == ANSWER
            expect(good, f"the next call got {answer!r}")

    def _check_resources(self) -> None:
        """Check that there are no further threads, and only the descriptors of idle connections."""
        gc.collect()
        ends = monotonic() + DEADLINE
        while threading.active_count() > self._max_threads and monotonic() < ends:
            sleep(0.0002)
        names = [thread.name for thread in threading.enumerate()]
        expect(len(names) <= self._max_threads, f"threads are left: {names}")
        if self._client is None or current_resources().files > self._max_files:
            self._close()

    @property
    def _known(self) -> Client:
        assert self._client is not None
        return self._client

    def _close(self) -> None:
        """Close the client, and check that no descriptor is left."""
        if self._client is not None:
            self._client.close()
            self._client = None
        gc.collect()
        left = current_resources().files - self._files
        expect(left <= 0, f"{left} descriptors are left")

    def close(self) -> None:
        """Close the client and end the threads."""
        self._close()
        for worker in (self._other, self._reader):
            worker.end()


def _read(client: Client, begun: threading.Semaphore) -> str:
    try:
        stream = client.stream(WAIT)
        first = next(stream)
    finally:
        begun.release()
    return first + "".join(stream)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _says_closed(result: object) -> bool:
    return isinstance(result, ValueError) and "closed" in str(result)


def work(options: argparse.Namespace) -> None:
    """Interrupt one call after another, in each scenario."""
    number = missed = 0
    for scenario in options.scenarios:
        faulthandler.dump_traceback_later(3 * HANGS, exit=True)
        subject = Subject(options.url, SCENARIOS[scenario])
        for action, target in plan(subject.warm_up(), options):
            if number >= options.start:
                print(number, f"{scenario!r} {action} {str(target)!r}", flush=True)  # noqa: T201
                faulthandler.dump_traceback_later(HANGS, exit=True)
                missed += not subject.inject(action, target)
            number += 1
        subject.close()
    faulthandler.cancel_dump_traceback_later()
    print("done", number - options.start, missed, flush=True)  # noqa: T201


def plan(executed: List[Executed], options: argparse.Namespace) -> Iterator[Tuple[str, Target]]:
    """Yield each action with its targets."""
    for action in options.actions:
        if options.at:
            yield action, find(executed, options.at)
        else:
            rng = random.Random(f"{options.seed} {action}")
            found = choose(executed, rng, only_interruptible=action == "interrupt")
            for target in found if options.sample is None else spread(found, options.sample):
                yield action, target


def _words(text: str) -> List[str]:
    return text.split(",")


def main() -> None:
    """Parse the options, and run the injections."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("scenarios", type=_words)
    parser.add_argument("actions", type=_words)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--at")
    gc.disable()
    try:
        work(parser.parse_args())
    except Broken:
        traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
