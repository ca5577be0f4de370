"""Many messages: asked side by side, each one's failure its own, and resumable."""

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

#: How many outcomes may wait for an earlier one, for each worker, before no more are asked.
_AHEAD = 16

#: Seconds after which Ctrl-C is looked for: Windows does not wake a thread that waits.
_TICK = 0.2

#: Seconds that the threads have to end. Where the caller's own session connects, none can be made.
_GRACE = 1.0


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
    Ask many messages, as `Client.map` does.

    Args:
        client: the client that asks; it is closed at the end.
        messages: as there, as are the others.
        scope: what decides the answers beside the messages, for the journal's keys.
        workers: how many questions are under way at a time.
        executor: what runs them.
        ordered: yield in the order of the messages.
        progress: show a bar.
        journal: the path of the journal.
    """
    validate.positive(workers, "workers")
    if isinstance(messages, (str, bytes)):
        raise TypeError("messages must be many: a list, or anything else to iterate over")
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(f"executor must be an Executor, not {validate.type_name(executor)}")
    total = len(messages) if isinstance(messages, Sized) else None
    numbered = enumerate(messages)
    bar = _bar() if progress else None
    book = None if journal is None else Journal(Path(journal), scope)
    found = _Outcomes(
        client, numbered, workers=workers, executor=executor, ordered=ordered, journal=book
    )
    return found if bar is None else _with_bar(found, bar, total)


class _Asked(NamedTuple):
    """A question that is under way."""

    place: int
    key: Optional[str]
    message: Question

    def answered(self, reply: Reply) -> Outcome:
        """Return the outcome of a question that has an answer."""
        return Outcome(self.place, self.key, self.message, reply, None)

    def failed(self, error: Exception) -> Outcome:
        """Return the outcome of a question that has none."""
        return Outcome(self.place, self.key, self.message, None, error)

    def outcome(self, future: Future[Union[Reply, Exception]]) -> Outcome:
        """Return what has become of it."""
        lost = CancelledError() if future.cancelled() else future.exception()
        if lost is not None:
            return self.failed(_executor_error(lost))
        result = future.result()
        return self.failed(result) if isinstance(result, Exception) else self.answered(result)


class _Outcomes(Iterator[Outcome]):
    """
    One run over many messages: an iterator of their outcomes.

    Its end, an error, `close`, and dropping the last reference to it end what is under way.
    """

    _is_closed = True  # until there is something to close

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
        self._under_way: Set[Future[Any]] = set()
        #: What the workers have finished: the outcome, or why it could not be kept.
        self._finished: SimpleQueue[Tuple[Future[Any], Union[Outcome, BaseException]]]
        self._finished = SimpleQueue()
        #: Outcomes that have not been yielded, by their indices.
        self._waiting: Dict[int, Outcome] = {}
        self._following = 0
        self._problem: Optional[Exception] = None
        self._process = os.getpid()
        self._is_closed = False

    def __next__(self) -> Outcome:
        """Return the next outcome, as soon as it is there."""
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
        if self._problem is not None:
            raise self._problem
        raise StopIteration

    def _advance(self) -> Optional[Outcome]:
        """Return the next outcome, or None after the last."""
        while True:
            while not self._finished.empty():
                self._take()
            self._begin_more()
            index = self._ready()
            if index is not None:
                self._following += 1
                return self._waiting.pop(index)
            if not self._under_way:
                return None
            self._take()

    def _ready(self) -> Optional[int]:
        """Return the index of an outcome that may be yielded now, or None."""
        if not self._ordered:
            return next(iter(self._waiting), None)
        return self._following if self._following in self._waiting else None

    def _begin_more(self) -> None:
        """Draw messages and ask them, as many as there are workers that would be idle."""
        while len(self._under_way) < self._workers and len(self._waiting) < self._most():
            drawn = self._draw()
            if drawn is None:
                break
            self._begin(*drawn)

    def _most(self) -> int:
        """Return how many outcomes may wait: fewer where they wait for the caller."""
        return self._workers * (_AHEAD if self._ready() is None else 1)

    def _draw(self) -> Optional[Tuple[int, Question]]:
        """Return the next message; None at the end, or where the caller's iterator fails."""
        drawn = None
        try:
            drawn = next(self._messages, None)
        except Exception as error:  # noqa: BLE001 - raised once all that was asked is answered
            self._problem = error
        if drawn is None:
            self._messages = iter(())
        return drawn

    def _begin(self, index: int, message: Question) -> None:
        """Ask a question, unless its answer is known."""
        key = reply = None
        if self._journal is not None:
            try:
                key = self._journal.key(message)
            except TypeError as error:
                self._waiting[index] = Outcome(index, None, message, None, error)
                return
            reply = self._journal.reply(key)
        asked = _Asked(index, key, message)
        if reply is None:
            self._submit(asked)
        else:
            self._waiting[index] = asked.answered(reply)

    def _submit(self, asked: _Asked) -> None:
        try:
            # The token keeps an executor that remembers results from asking equal ones once.
            future = self._executor.submit(_ask, self._worker, asked.message, uuid4().hex)
        except Exception as error:  # noqa: BLE001 - each executor has errors of its own
            self._waiting[asked.place] = asked.failed(_executor_error(error))
            return
        self._under_way.add(future)
        # It knows no more than it needs, so that the run can be dropped while it is under way.
        future.add_done_callback(partial(_finish, asked, self._journal, self._finished))

    def _take(self) -> None:
        """Wait until a worker has finished a question."""
        while True:
            with suppress(Empty):
                future, result = self._finished.get(timeout=_TICK)
                break
        self._under_way.discard(future)
        if isinstance(result, BaseException):
            raise result
        self._waiting[result.index] = result

    def close(self) -> None:
        """End what is under way, in threads at once. Its outcomes are lost."""
        if self._is_closed or self._process != os.getpid():
            return  # in a forked child, threads and locks are the parent's
        self._is_closed = True
        if self._journal is not None:
            self._journal.close()
        for future in self._under_way:
            future.cancel()
        self._client.close()
        if self._is_own:
            wait(self._under_way, _GRACE)
            self._executor.shutdown(wait=False)

    def __del__(self) -> None:
        """End what is under way."""
        self.close()


def _finish(
    asked: _Asked,
    journal: Optional[Journal],
    finished: SimpleQueue[Tuple[Future[Any], Union[Outcome, BaseException]]],
    future: Future[Any],
) -> None:
    """Keep the outcome of a question at once, in whatever thread that is; then hand it over."""
    try:
        outcome = asked.outcome(future)
        if journal is not None:
            journal.add(outcome)
    except BaseException as error:  # noqa: BLE001 - a run must not wait for ever
        finished.put((future, error))
    else:
        finished.put((future, outcome))


def _executor_error(error: BaseException) -> TransportError:
    """Return the error of a question that an executor did not run, or not to its end."""
    reason = ": ".join(filter(None, (type(error).__name__, plain_text(str(error)))))
    known = TransportError(
        f"the executor has no answer ({reason}). If the question had begun, the site may have run"
        " it all the same: look before you ask again."
    )
    known.__cause__ = error
    return known


class _Worker:
    """A client as a task carries it: one for each process and its settings, however many tasks."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._settings = b""

    def __reduce__(self) -> Tuple[Any, ...]:
        """Travel as the client's settings, which are the same for all tasks of a run."""
        self._settings = self._settings or pickle.dumps(self.client)
        return _worker, (self._settings,)


_workers: Dict[bytes, _Worker] = {}


def _worker(settings: bytes) -> _Worker:
    if settings not in _workers:
        _workers.setdefault(settings, _Worker(pickle.loads(settings)))  # noqa: S301 - our own
    return _workers[settings]


def _ask(worker: _Worker, message: Question, token: str) -> Union[Reply, Exception]:  # noqa: ARG001
    """Ask a question. A failure is returned: what is raised is the executor's own."""
    try:
        return worker.client.chat(message)
    except Exception as error:  # noqa: BLE001 - it is the question's outcome
        return error


def _bar() -> Any:
    """Return tqdm's bar, which is another one in a notebook."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without ipywidgets a notebook's bar is of text: fine
            from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install 'chatgpt4online[batch]'") from None
    return tqdm


def _with_bar(outcomes: _Outcomes, bar: Any, total: Optional[int]) -> Iterator[Outcome]:
    with closing(outcomes), bar(total=total, unit="message") as shown:
        for outcome in outcomes:
            shown.update()
            yield outcome
