"""Time limits that hold on a busy machine, and functions that run in threads."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future
from time import monotonic, sleep
from typing import Callable, Iterator, List, Sequence, TypeVar

T = TypeVar("T")

#: Seconds that a test waits at most for anything, even on the slowest machine.
SOON = 10.0

#: Seconds by which a time limit may be missed: 0.1 by the package, the rest by a busy machine.
TOLERANCE = 0.1 + 0.15


@contextlib.contextmanager
def ends_after(seconds: float) -> Iterator[None]:
    """
    Check that a block ends this many seconds after its beginning.

    It may be as late as a plain timer that runs at the same time, and `TOLERANCE` later.
    """
    lag: List[float] = []
    timer = threading.Timer(seconds, lambda: lag.append(monotonic() - began - seconds))
    began = monotonic()
    timer.start()
    try:
        yield
        over = monotonic() - began - seconds
    finally:
        timer.join()
    assert -0.01 <= over <= TOLERANCE + lag[0], f"it ended {over:.3f} s after its time"


def at_once() -> contextlib.AbstractContextManager[None]:
    """Check that a block ends at once."""
    return ends_after(0.0)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = monotonic() + SOON
    while not condition():
        assert monotonic() < deadline, "the condition that a test waits for never held"
        sleep(0.001)


def background(function: Callable[[], T]) -> Future[T]:
    """Run a function in a new thread, and return its future."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - the future raises it
            future.set_exception(error)

    threading.Thread(target=run, name="background", daemon=True).start()
    return future


def together(functions: Sequence[Callable[[], T]]) -> List[Future[T]]:
    """Run functions in one thread each, all starting at the same time, and wait for their ends."""
    barrier = threading.Barrier(len(functions))

    def begin(function: Callable[[], T]) -> T:
        barrier.wait(SOON)
        return function()

    futures = [background(lambda function=each: begin(function)) for each in functions]  # type: ignore[misc]
    for future in futures:
        future.exception(SOON)
    return futures
