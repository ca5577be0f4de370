"""`Client.map`: many messages at once, each with its own outcome, in a run that can be resumed."""

from __future__ import annotations

import atexit
import os
import sys
import warnings
import weakref
from concurrent.futures import CancelledError, Executor, Future, wait
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    Mapping,
    NamedTuple,
    Optional,
    Set,
    Sized,
    Tuple,
    Union,
    cast,
)
from uuid import uuid4

from . import _validation as validate
from ._http.groups import CallGroup, current_group
from ._journal import Journal, in_use_error
from ._protocol.fields import plain_text
from ._workers import DaemonThreadPool, Question, Result, Worker, ask
from .errors import ChatGPT4OnlineError, TransportError
from .types import AnyOutcome, Outcome, Reply

if TYPE_CHECKING:
    from .client import Client

    #: What a worker has finished: the outcome, or the error that prevented one. None wakes up
    #: whoever waits.
    _Finished = SimpleQueue[Optional[Tuple[Future[Any], Union[Outcome, BaseException]]]]
else:
    Client = Any  # for `typing.get_type_hints`: that module imports this one

__all__ = ["Outcomes"]

#: How many finished outcomes per worker may wait for an earlier one before asking stops.
_LOOKAHEAD = 16

#: Seconds between two chances for Ctrl-C: on Windows it does not wake a blocked thread.
_POLL_INTERVAL = 0.2

#: Seconds to wait for threads to end. Connecting through a session of the caller's goes on.
_SHUTDOWN_TIMEOUT = 1.0


def outcomes(
    client: Client,
    messages: Iterable[Question],
    *,
    scope: Dict[str, Any],
    options: Mapping[str, Any],
    workers: int,
    executor: Optional[Executor],
    ordered: bool,
    progress: bool,
    journal: Union[str, os.PathLike[str], None],
) -> Outcomes:
    """
    Ask many messages; see `Client.map`.

    Args:
        client: the client that asks.
        messages: the questions.
        scope: what determines the answers in addition to the messages, for the journal's keys.
        options: those of `Client.chat`, the same for each question; None is the client's.
        workers: how many questions are in progress at a time.
        executor: where they run; None for threads of our own.
        ordered: yield in the order of the messages.
        progress: show a progress bar.
        journal: the path of the journal.
    """
    validate.positive(workers, "workers")
    if isinstance(messages, (str, bytes)):
        raise TypeError("messages must be a list or another iterable of messages, not a single one")
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(f"executor must be an Executor, not {validate.type_name(executor)}")
    total = len(messages) if isinstance(messages, Sized) else None
    return Outcomes(
        client,
        {name: value for name, value in options.items() if value is not None},
        enumerate(messages),
        workers=workers,
        executor=executor,
        ordered=ordered,
        bar=partial(_bar(), total=total, unit="message") if progress else None,
        journal=None if journal is None else _open_journal(Path(journal), scope),
    )


def _open_journal(path: Path, scope: Dict[str, Any]) -> Journal:
    """Open a journal; take it from a run of this process that is not being iterated over."""
    for run in _live_runs():
        run._give_up_journal(path)  # noqa: SLF001 - of this module
    return Journal(path, scope)


class _Task(NamedTuple):
    """A question on its way to an outcome."""

    position: int
    key: Optional[str]
    message: Question

    def succeeded(self, reply: Reply, seconds: Optional[float]) -> Outcome:
        """Return the outcome for an answer."""
        return Outcome(self.position, self.key, self.message, reply, None, seconds)

    def failed(self, error: Exception, seconds: Optional[float] = None) -> Outcome:
        """Return the outcome for an error."""
        return Outcome(self.position, self.key, self.message, None, error, seconds)

    def outcome(self, future: Future[Result]) -> Outcome:
        """Return the outcome of the question that a future ran."""
        failure = CancelledError() if future.cancelled() else future.exception()
        if failure is not None:
            return self.failed(_executor_error(failure))
        value, seconds = future.result()
        if isinstance(value, Exception):
            return self.failed(value, seconds)
        return self.succeeded(value, seconds if value.seconds is None else value.seconds)


class Outcomes(Iterator[AnyOutcome]):
    """
    The outcomes of a run of `Client.map`: an iterator, and a context manager that closes it.

    One thread at a time may iterate; a second one gets `ValueError`. Reaching the end, an error in
    the iteration, `close`, or dropping the last reference ends the run: questions in progress in
    threads end at once. A run that is left open, as by an exception in the loop, begins no further
    questions, and does not keep the process from ending.
    """

    _is_closed = True  # until __init__ has something to close

    def __init__(
        self,
        client: Client,
        options: Mapping[str, Any],
        messages: Iterator[Tuple[int, Question]],
        *,
        workers: int,
        executor: Optional[Executor],
        ordered: bool,
        bar: Optional[Callable[[], Any]],
        journal: Optional[Journal],
    ) -> None:
        self._messages = messages
        self._workers = workers
        self._ordered = ordered
        self._bar: Optional[_Bar] = None if bar is None else _Bar(bar)
        self._journal = journal
        self._calls = CallGroup()
        context = copy_context()
        context.run(current_group.set, self._calls)
        self._worker = Worker(client, options, context)
        self._executor = DaemonThreadPool(workers) if executor is None else executor
        self._in_progress: Set[Future[Any]] = set()
        self._finished: _Finished = SimpleQueue()
        #: Outcomes not yet yielded, by index.
        self._waiting: Dict[int, Outcome] = {}
        self._next_index = 0
        self._source_error: Optional[Exception] = None
        self._is_iterating = False
        self._has_lost_journal = False
        self._process = os.getpid()
        self._is_closed = False
        _runs[id(self)] = self

    def __next__(self) -> AnyOutcome:
        """Return the next outcome as soon as it is known."""
        if self._process != os.getpid():
            raise RuntimeError("the run belongs to the parent process")
        if self._is_iterating:
            raise ValueError("another thread is iterating over these outcomes")
        try:
            self._is_iterating = True
            return cast(AnyOutcome, self._next())
        except BaseException:
            self.close()
            raise
        finally:
            self._is_iterating = False

    def _next(self) -> Outcome:
        if self._bar is not None and not self._is_closed:
            self._bar.show()
        outcome = self._advance()
        if self._has_lost_journal:
            raise RuntimeError("a later run has taken over the journal, which ended this run")
        if outcome is not None:
            if self._bar is not None:
                self._bar.count(outcome)
            return outcome
        error, self._source_error = self._source_error, None
        raise StopIteration if error is None else error

    def _advance(self) -> Optional[Outcome]:
        """Return the next outcome; None after the last, or if the run has been closed."""
        while not self._is_closed:
            while not self._finished.empty():
                self._collect()
            self._ask_more()
            index = self._ready()
            if index is not None:
                self._next_index += 1
                return self._waiting.pop(index)
            if not self._in_progress:
                break
            self._collect()
        return None

    def _ready(self) -> Optional[int]:
        """Return the index of an outcome that may be yielded now, or None."""
        if not self._ordered:
            return next(iter(self._waiting), None)
        return self._next_index if self._next_index in self._waiting else None

    def _ask_more(self) -> None:
        """Draw and ask as many messages as there are idle workers."""
        while len(self._in_progress) < self._workers and len(self._waiting) < self._waiting_limit():
            drawn = self._draw()
            if drawn is None or self._is_closed:
                break
            self._start(*drawn)

    def _waiting_limit(self) -> int:
        """Return how many outcomes may wait: fewer if they wait for the caller."""
        return self._workers * (_LOOKAHEAD if self._ready() is None else 1)

    def _draw(self) -> Optional[Tuple[int, Question]]:
        """Return the next message; None at the end, or if the caller's iterator fails."""
        drawn = None
        try:
            drawn = next(self._messages, None)
        except Exception as error:  # noqa: BLE001 - raised after the last outcome
            self._source_error = error
        if drawn is None:
            self._messages = iter(())
        return drawn

    def _start(self, index: int, message: Question) -> None:
        """Ask a question, unless the journal has its answer."""
        key = reply = None
        if self._journal is not None:
            try:
                key = self._journal.key(message)
            except TypeError as error:
                self._waiting[index] = Outcome(index, None, message, None, error)
                return
            reply = self._journal.reply(key)
        task = _Task(index, key, message)
        if reply is None:
            self._submit(task)
        else:
            self._waiting[index] = task.succeeded(reply, reply.seconds)

    def _submit(self, task: _Task) -> None:
        try:
            # With the token, executors that cache results run equal questions separately.
            future = self._executor.submit(ask, self._worker, task.message, uuid4().hex)
        except Exception as error:  # noqa: BLE001 - executors raise whatever they like
            self._waiting[task.position] = task.failed(_executor_error(error))
            return
        self._in_progress.add(future)
        # The callback does not refer to the run, which can thus be dropped while it is in progress.
        future.add_done_callback(partial(_finish, task, self._journal, self._finished))

    def _collect(self) -> None:
        """Wait until a worker has finished a question, and keep the outcome."""
        with suppress(Empty):
            finished = self._finished.get(timeout=_POLL_INTERVAL)
            if finished is None:
                return
            future, result = finished
            self._in_progress.discard(future)
            if isinstance(result, BaseException):
                raise result
            self._waiting[result.index] = result

    def _give_up_journal(self, path: Path) -> None:
        """End the run if it writes to this file; raise ValueError if it is iterated over."""
        if self._is_closed or self._journal is None or not self._journal.writes_to(path):
            return
        if self._is_iterating:
            raise in_use_error(path)
        self._has_lost_journal = True
        self.close()

    def close(self) -> None:
        """End the run; questions in threads end at once. Outcomes not yet yielded are lost."""
        self._end()
        if isinstance(self._executor, DaemonThreadPool) and self._process == os.getpid():
            wait(list(self._in_progress), _SHUTDOWN_TIMEOUT)

    def _end(self) -> None:
        if self._is_closed or self._process != os.getpid():
            return  # in a forked child, the threads and locks belong to the parent
        self._is_closed = True
        if self._bar is not None:
            self._bar.close()
        if self._journal is not None:
            self._journal.close()
        for future in list(self._in_progress):
            future.cancel()
        self._calls.end()
        self._finished.put(None)
        if isinstance(self._executor, DaemonThreadPool):
            self._executor.shutdown()

    def __enter__(self) -> Outcomes:
        """Return the outcomes themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the run."""
        self.close()

    def __del__(self) -> None:
        """End the run."""
        if not sys.is_finalizing():  # pragma: no branch - nothing is measured then
            self._end()


#: The runs that somebody refers to.
_runs: weakref.WeakValueDictionary[int, Outcomes] = weakref.WeakValueDictionary()


def _live_runs() -> Iterator[Outcomes]:
    for reference in _runs.valuerefs():  # a list, so that other threads may begin runs
        run = reference()
        if run is not None:  # pragma: no branch - a moment of the garbage collector's
            yield run


@atexit.register
def _close_runs() -> None:
    """End the runs that a variable still refers to when the process ends."""
    for run in _live_runs():
        run.close()


def _finish(
    task: _Task, journal: Optional[Journal], finished: _Finished, future: Future[Any]
) -> None:
    """Write an outcome to the journal, in whatever thread this is; then hand it over."""
    try:
        outcome = task.outcome(future)
        if journal is not None:
            outcome = _written(journal, task, outcome)
    except BaseException as error:  # noqa: BLE001 - the run must not wait for ever
        finished.put((future, error))
    else:
        finished.put((future, outcome))


def _written(journal: Journal, task: _Task, outcome: Outcome) -> Outcome:
    """
    Write an outcome to the journal and return it; if it cannot be written, a failed outcome
    instead.
    """
    try:
        journal.add(outcome)
    except (TypeError, ValueError, RecursionError) as error:
        if outcome.reply is None:
            raise
        failure = ChatGPT4OnlineError(
            f"the reply cannot be written to the journal ({error}). Its text is in this error.",
            text=str(outcome.reply),
        )
        failure.__cause__ = error
        outcome = task.failed(failure, outcome.seconds)
        journal.add(outcome)
    return outcome


def _executor_error(error: BaseException) -> TransportError:
    """Return the error for a question that an executor did not run to its end."""
    reason = ": ".join(filter(None, (type(error).__name__, plain_text(str(error)))))
    failure = TransportError(
        f"the executor returned no answer ({reason}). If the question had been sent, the site may"
        " have run it: check before you ask it again."
    )
    failure.__cause__ = error
    return failure


def _bar() -> Any:
    """Return the progress bar class of tqdm; notebooks have one of their own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of missing ipywidgets: the bar is then plain text
            from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install tqdm") from None
    return tqdm


class _Bar:
    """
    A progress bar that says how many outcomes are failures or empty.

    Args:
        make: makes the bar, which shows it.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._shown: Any = None
        self._failed = 0

    def show(self) -> None:
        """Show the bar, if it is not shown yet."""
        if self._shown is None:
            self._shown = self._make()

    def count(self, outcome: Outcome) -> None:
        """Show one more outcome."""
        self._failed += not outcome.ok
        self._shown.set_postfix(failed=self._failed, refresh=False)
        self._shown.update()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._shown is not None:  # pragma: no branch - Ctrl-C may strike before it is there
            self._shown.close()
