"""`Client.map`: many messages at once, each with its own outcome, in a run that can be resumed."""

from __future__ import annotations

import os
import pickle
import warnings
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    Iterator,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Sized,
    Tuple,
    Union,
)
from uuid import uuid4

from . import _validation as validate
from ._journal import Journal
from ._protocol.fields import plain_text
from .errors import TransportError
from .types import Outcome, Reply, Turn

if TYPE_CHECKING:
    from .client import Client

__all__ = ["outcomes"]

Question = Union[str, Sequence[Turn]]

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
    workers: int,
    executor: Optional[Executor],
    ordered: bool,
    progress: bool,
    journal: Union[str, os.PathLike[str], None],
) -> Iterator[Outcome]:
    """
    Ask many messages; see `Client.map`.

    Args:
        client: the client that asks, closed at the end.
        messages: the questions.
        scope: what determines the answers in addition to the messages, for the journal's keys.
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
    numbered = enumerate(messages)
    bar = _bar() if progress else None
    run = _Outcomes(
        client,
        numbered,
        workers=workers,
        executor=executor,
        ordered=ordered,
        journal=None if journal is None else Journal(Path(journal), scope),
    )
    return run if bar is None else _with_bar(run, bar, total)


class _Task(NamedTuple):
    """A question on its way to an outcome."""

    position: int
    key: Optional[str]
    message: Question

    def succeeded(self, reply: Reply) -> Outcome:
        """Return the outcome for an answer."""
        return Outcome(self.position, self.key, self.message, reply, None)

    def failed(self, error: Exception) -> Outcome:
        """Return the outcome for an error."""
        return Outcome(self.position, self.key, self.message, None, error)

    def outcome(self, future: Future[Union[Reply, Exception]]) -> Outcome:
        """Return the outcome of the question that a future ran."""
        failure = CancelledError() if future.cancelled() else future.exception()
        if failure is not None:
            return self.failed(_executor_error(failure))
        result = future.result()
        return self.failed(result) if isinstance(result, Exception) else self.succeeded(result)


class _Outcomes(Iterator[Outcome]):
    """
    One run over many messages: an iterator of their outcomes.

    Reaching the end, an error, `close`, or dropping the last reference ends the run and every
    question in progress.
    """

    _is_closed = True  # until __init__ has something to close

    def __init__(
        self,
        client: Client,
        messages: Iterator[Tuple[int, Question]],
        *,
        workers: int,
        executor: Optional[Executor],
        ordered: bool,
        journal: Optional[Journal],
    ) -> None:
        self._client = client
        self._messages = messages
        self._workers = workers
        self._ordered = ordered
        self._journal = journal
        self._worker = _Worker(client)
        self._executor = ThreadPoolExecutor(workers) if executor is None else executor
        self._is_own = executor is None
        self._in_progress: Set[Future[Any]] = set()
        #: What the workers have finished: each outcome, or the error that prevented one.
        self._finished: SimpleQueue[Tuple[Future[Any], Union[Outcome, BaseException]]]
        self._finished = SimpleQueue()
        #: Outcomes not yet yielded, by index.
        self._waiting: Dict[int, Outcome] = {}
        self._next_index = 0
        self._source_error: Optional[Exception] = None
        self._process = os.getpid()
        self._is_closed = False

    def __next__(self) -> Outcome:
        """Return the next outcome as soon as it is known."""
        if self._is_closed:
            raise StopIteration
        try:
            outcome = self._advance()
        except BaseException:
            self.close()
            raise
        if outcome is not None:
            return outcome
        self.close()
        if self._source_error is not None:
            raise self._source_error
        raise StopIteration

    def _advance(self) -> Optional[Outcome]:
        """Return the next outcome; None after the last."""
        while True:
            while not self._finished.empty():
                self._collect()
            self._ask_more()
            index = self._ready()
            if index is not None:
                self._next_index += 1
                return self._waiting.pop(index)
            if not self._in_progress:
                return None
            self._collect()

    def _ready(self) -> Optional[int]:
        """Return the index of an outcome that may be yielded now, or None."""
        if not self._ordered:
            return next(iter(self._waiting), None)
        return self._next_index if self._next_index in self._waiting else None

    def _ask_more(self) -> None:
        """Draw and ask as many messages as there are idle workers."""
        while len(self._in_progress) < self._workers and len(self._waiting) < self._waiting_limit():
            drawn = self._draw()
            if drawn is None:
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
            self._waiting[index] = task.succeeded(reply)

    def _submit(self, task: _Task) -> None:
        try:
            # With the token, executors that cache results run equal questions separately.
            future = self._executor.submit(_ask, self._worker, task.message, uuid4().hex)
        except Exception as error:  # noqa: BLE001 - executors raise whatever they like
            self._waiting[task.position] = task.failed(_executor_error(error))
            return
        self._in_progress.add(future)
        # The callback does not refer to the run, which can thus be dropped while it is in progress.
        future.add_done_callback(partial(_finish, task, self._journal, self._finished))

    def _collect(self) -> None:
        """Wait until a worker has finished a question, and keep the outcome."""
        while True:
            with suppress(Empty):
                future, result = self._finished.get(timeout=_POLL_INTERVAL)
                break
        self._in_progress.discard(future)
        if isinstance(result, BaseException):
            raise result
        self._waiting[result.index] = result

    def close(self) -> None:
        """End the run; questions in threads end at once. Outcomes not yet yielded are lost."""
        if self._is_closed or self._process != os.getpid():
            return  # in a forked child, the threads and locks belong to the parent
        self._is_closed = True
        if self._journal is not None:
            self._journal.close()
        for future in self._in_progress:
            future.cancel()
        self._client.close()
        if self._is_own:
            wait(self._in_progress, _SHUTDOWN_TIMEOUT)
            self._executor.shutdown(wait=False)

    def __del__(self) -> None:
        """End the run."""
        self.close()


def _finish(
    task: _Task,
    journal: Optional[Journal],
    finished: SimpleQueue[Tuple[Future[Any], Union[Outcome, BaseException]]],
    future: Future[Any],
) -> None:
    """Write an outcome to the journal, in whatever thread this is; then hand it over."""
    try:
        outcome = task.outcome(future)
        if journal is not None:
            journal.add(outcome)
    except BaseException as error:  # noqa: BLE001 - the run must not wait for ever
        finished.put((future, error))
    else:
        finished.put((future, outcome))


def _executor_error(error: BaseException) -> TransportError:
    """Return the error for a question that an executor did not run to its end."""
    reason = ": ".join(filter(None, (type(error).__name__, plain_text(str(error)))))
    failure = TransportError(
        f"the executor returned no answer ({reason}). If the question had been sent, the site may"
        " have run it: check before you ask it again."
    )
    failure.__cause__ = error
    return failure


class _Worker:
    """A client inside a task: one per process and settings, however many tasks there are."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._settings = b""

    def __reduce__(self) -> Tuple[Any, ...]:
        """Pickle as the client's settings, which all tasks of a run share."""
        self._settings = self._settings or pickle.dumps(self.client)
        return _worker, (self._settings,)


_workers: Dict[bytes, _Worker] = {}


def _worker(settings: bytes) -> _Worker:
    if settings not in _workers:
        _workers.setdefault(settings, _Worker(pickle.loads(settings)))  # noqa: S301 - our own
    return _workers[settings]


def _ask(worker: _Worker, message: Question, token: str) -> Union[Reply, Exception]:  # noqa: ARG001
    """Ask a question. Return a failure, so that what is raised comes from the executor."""
    try:
        return worker.client.chat(message)
    except Exception as error:  # noqa: BLE001 - it becomes the outcome
        return error


def _bar() -> Any:
    """Return the progress bar class of tqdm; notebooks have one of their own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of missing ipywidgets: the bar is then plain text
            from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install 'chatgpt4online[batch]'") from None
    return tqdm


def _with_bar(outcomes: _Outcomes, bar: Any, total: Optional[int]) -> Iterator[Outcome]:
    with closing(outcomes), bar(total=total, unit="message") as shown:
        for outcome in outcomes:
            shown.update()
            yield outcome
