"""
The process in which calls are interrupted, since one that goes wrong may hang, or leak.

It prints a line with number, scenario, action and target before each injection, and ``done`` at the
end. Where something goes wrong it prints what, or the stack of a hang, and exits with 1.
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

from instructions import Executed, Target, choose, find, record, run_with, spread

from chatgpt4online import ChatGPT4OnlineError, Client, Stream, StreamInterrupted

#: Where Ctrl-C is not pressed, as a module or ``module:function``, and why: nothing above the
#: standard library can help there. What these call is left out, too.
EXCLUDED = {
    "http.cookiejar": "acquires the jar's lock before the try block that releases it, and requests"
    " looks for cookies in each response",
    "importlib._bootstrap": "holds a module's lock while it imports",
    "importlib._bootstrap_external": "called with that lock held",
    "threading:start": "holds the locks of a handshake with the thread that begins",
    "urllib3.response:closed": "called by io's finalizer, which drops any exception unseen",
}

#: The action at each instruction: collect a cycle that holds a stream; close the client, as a
#: signal's handler may; press Ctrl-C.
ACTIONS = ("collect", "close", "interrupt")

#: Seconds within which the next call is answered, and after which a call hangs.
DEADLINE = 5.0
HANGS = 10.0

#: The questions that the server answers, lets wait, and answers along with those that wait.
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
    """A call to interrupt: a new client's if `first`, next to a blocked reader if `with_reader`."""

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


class Wrong(Exception):
    """What an injection broke."""


def expect(condition: object, message: str) -> None:
    """Fail unless a condition holds."""
    if not condition:
        raise Wrong(message)


class Helper:
    """A thread that does one task at a time."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="helper", daemon=True)
        self._thread.start()

    def begin(self, task: Callable[[], object]) -> None:
        """Begin a task."""
        self._tasks.put(task)

    def result(self) -> Any:
        """Return what the task has returned or raised."""
        return self._results.get()

    def run(self, task: Callable[[], object]) -> Any:
        """Do a task, and return what it has returned or raised."""
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
            del task  # which refers to a client


def outcome(task: Callable[[], object]) -> object:
    """Return what a task returns or raises, without the frames that an error holds."""
    try:
        return task()
    except BaseException as error:  # noqa: BLE001 - whoever asks looks at it
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return error


class Cycle:
    """What only the collector can free, with the stream that it holds."""

    def __init__(self, stream: Stream) -> None:
        self.me = self
        self.stream = stream


class Held(NamedTuple):
    """How many descriptors and threads this process has."""

    files: int
    threads: int


def held() -> Held:
    """Return what this process holds; no descriptors where the system does not list them."""
    directory = Path("/dev/fd")
    return Held(len(os.listdir(directory)) if directory.exists() else 0, threading.active_count())  # noqa: PTH208 - in a hurry


class Subject:
    """A client whose calls are interrupted, and that must be as good as new after each."""

    def __init__(self, url: str, scenario: Scenario) -> None:
        self._url = url
        self._scenario = scenario
        self._other = Helper()
        self._reader = Helper()
        self._ignored: List[object] = []  # exceptions that Python could not raise
        self._client: Optional[Client] = None
        sys.unraisablehook = lambda hook: self._ignored.append(hook.exc_type)
        self._files = held().files
        self._most_files = self._most_threads = sys.maxsize

    def warm_up(self) -> List[Executed]:
        """Return the instructions of a call, after two traced ones."""
        executed: List[Executed] = []

        def run(call: Callable[[], str]) -> str:
            def note() -> None:
                said.append(call())

            said: List[str] = []
            executed[:] = record(note, __file__, EXCLUDED)
            return said[0]

        for _ in range(3):
            self._prepare()
            self._hold("", self._call(run))
        sleep(0.1)  # threads that are ending have ended then
        self._most_files, self._most_threads = held()  # idle connections and a shared thread stay
        self._close()
        gc.freeze()
        return executed

    def inject(self, action: str, target: Target) -> bool:
        """Act at a target, and hold the client to be well then; return whether it was reached."""
        self._prepare()
        reached: List[bool] = []
        act = self._act(action)

        def note_and_act() -> None:
            reached.append(True)
            act()

        run = partial(run_with, target, note_and_act)
        results = self._call(run)
        self._hold(action if reached else "", results)
        return bool(reached)

    def _act(self, action: str) -> Callable[[], object]:
        if action == "collect":
            return self._collector()
        return self._known.close if action == "close" else _interrupt

    def _collector(self) -> Callable[[], object]:
        """Return what collects a cycle with a stream that is open now."""
        if self._scenario.first:
            cycle = Cycle(Client(self._url).stream(HI))
        else:
            cycle = Cycle(self._known.stream(HI))
            self._connect()  # for the call that follows
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
        """Leave as many idle connections as a call needs, its reader included."""
        self._block_reader()
        expect(self._known.chat(GO) == ANSWER, "the client is not well")
        self._release_reader("")

    def _block_reader(self) -> None:
        """Have another thread wait for a stream, if the scenario has a reader."""
        if self._scenario.with_reader:
            begun = threading.Semaphore(0)
            self._reader.begin(partial(_read, self._known, begun))
            begun.acquire()

    def _release_reader(self, action: str) -> None:
        """Hold the reader's stream to be whole, unless its client has been closed."""
        if self._scenario.with_reader:
            read = self._reader.result()
            good = read == ANSWER or (action == "close" and isinstance(read, StreamInterrupted))
            expect(good, f"the reader got {read!r}")

    def _call(self, run: Callable[[Callable[[], str]], object]) -> object:
        """Return the outcome of a call, made while the reader waits if there is one."""
        self._block_reader()
        return outcome(partial(run, partial(self._scenario.call, self._known)))

    def _hold(self, action: str, result: object) -> None:
        """Hold everything that may have suffered to be well."""
        good = result == ANSWER
        if action == "interrupt":  # where a finalizer runs, Python ignores Ctrl-C
            good = isinstance(result, KeyboardInterrupt) or (good and bool(self._ignored))
        elif action == "close":
            good = good or isinstance(result, ChatGPT4OnlineError) or _says_closed(result)
        expect(good, f"the call got {result!r}")
        self._hold_next(action)
        self._release_reader(action)
        client = self._known  # a closed one leaves nothing, though somebody may refer to it
        if action == "close":
            self._client = None
        self._hold_held()
        del client

    def _hold_next(self, action: str) -> None:
        """Hold the next calls to be answered, in this thread and in another one."""
        ask = partial(self._known.chat, GO, deadline=DEADLINE)
        for answer in (outcome(ask), self._other.run(ask)):
            good = _says_closed(answer) if action == "close" else answer == ANSWER
            expect(good, f"the next call got {answer!r}")

    def _hold_held(self) -> None:
        """Hold the process to have no more threads, nor more descriptors than idle connections."""
        gc.collect()
        ends = monotonic() + DEADLINE
        while threading.active_count() > self._most_threads and monotonic() < ends:
            sleep(0.0002)
        names = [thread.name for thread in threading.enumerate()]
        expect(len(names) <= self._most_threads, f"threads are left: {names}")
        if self._client is None or held().files > self._most_files:
            self._close()

    @property
    def _known(self) -> Client:
        assert self._client is not None
        return self._client

    def _close(self) -> None:
        """Close the client, and hold it to leave no descriptor."""
        if self._client is not None:
            self._client.close()
            self._client = None
        gc.collect()
        left = held().files - self._files
        expect(left <= 0, f"{left} descriptors are left")

    def close(self) -> None:
        """Close the client and end the threads, and hold everything to be gone."""
        self._close()
        for helper in (self._other, self._reader):
            helper.end()


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
    """Interrupt one call after the other, in one scenario after the other."""
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
    """Yield the actions and where they are done."""
    for action in options.actions:
        if options.at:
            yield action, find(executed, options.at)
        else:
            chance = random.Random(f"{options.seed} {action}")
            found = choose(executed, chance, only_interruptible=action == "interrupt")
            for target in found if options.sample is None else spread(found, options.sample):
                yield action, target


def _words(text: str) -> List[str]:
    return text.split(",")


def main() -> None:
    """Read the options, and work."""
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
    except Wrong:
        traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
