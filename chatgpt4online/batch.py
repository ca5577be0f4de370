"""Many messages: asked side by side, each one's failure its own, and resumable."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import sys
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from typing import (
    TYPE_CHECKING,
    Any,
    BinaryIO,
    Callable,
    Dict,
    Iterable,
    Iterator,
    NamedTuple,
    Optional,
    Sequence,
    Sized,
    Tuple,
    Union,
)
from uuid import uuid4

from . import _arguments as check
from . import _wire
from .errors import ChatGPT4OnlineError, TransportError
from .types import Message, Outcome, Reply

if TYPE_CHECKING:
    from .client import Client

__all__ = ["outcomes"]

Question = Union[str, Sequence[Message]]

#: How many outcomes may wait for an earlier one, for each worker, before no more are asked.
_AHEAD = 16

#: What a question may fail with; its outcome tells.
_FAILURES = (ChatGPT4OnlineError, ValueError, TypeError, OSError)


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
        client: the client that asks.
        messages: as there, as are the others.
        scope: what decides the answers beside the messages, for the journal's keys.
        workers: how many questions are under way at a time.
        executor: what runs them.
        ordered: yield in the order of the messages.
        progress: show a bar.
        journal: the path of the journal.
    """
    check.positive(workers, "workers")
    if isinstance(messages, (str, bytes)):
        raise TypeError("messages must be many: a list, or anything else to iterate over")
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(f"executor must be an Executor, not {check.kind(executor)}")
    total = len(messages) if isinstance(messages, Sized) else None
    book = None if journal is None else Journal(os.fspath(journal), scope)
    run = _Map(client, messages, workers, executor, book)
    found = run.ordered() if ordered else run.completed()
    return _with_bar(found, total) if progress else found


class _Asked(NamedTuple):
    """A question that is under way."""

    place: int
    key: Optional[str]
    message: Question

    def outcome(self, reply: Optional[Reply], error: Optional[Exception]) -> Outcome:
        """Return what became of it."""
        return Outcome(self.place, self.key, self.message, reply, error)


class _Map:
    """One run over many messages."""

    def __init__(
        self,
        client: Client,
        messages: Iterable[Question],
        workers: int,
        executor: Optional[Executor],
        journal: Optional[Journal],
    ) -> None:
        self._messages = enumerate(messages)
        self._workers = workers
        self._journal = journal
        self._client = copy.copy(client)  # closing it ends what is under way, and nothing else
        self._own = ThreadPoolExecutor(workers) if executor is None else None
        self._executor = executor or self._own
        self._under_way: Dict[Future[Reply], _Asked] = {}
        self._is_broken = False

    def ordered(self) -> Iterator[Outcome]:
        """Yield the outcomes in the order of the messages."""
        waiting: Dict[int, Outcome] = {}
        following = 0
        for outcome in self.completed(lambda: len(waiting) < _AHEAD * self._workers):
            waiting[outcome.index] = outcome
            while following in waiting:
                yield waiting.pop(following)
                following += 1

    def completed(self, may_draw: Callable[[], bool] = lambda: True) -> Iterator[Outcome]:
        """Yield the outcomes as they come."""
        try:
            drawn_all = False
            while self._under_way or not drawn_all:
                while len(self._under_way) < self._workers and not drawn_all and may_draw():
                    drawn = next(self._messages, None)
                    drawn_all = drawn is None
                    if drawn is not None:
                        yield from self._begin(*drawn)
                yield from self._collect()
        finally:
            self._end()

    def _begin(self, index: int, message: Question) -> Iterator[Outcome]:
        """Ask a question, or yield its outcome if there is nothing to ask."""
        key = None if self._journal is None else self._journal.key(message)
        asked = _Asked(index, key, message)
        reply = None if self._journal is None else self._journal.reply(key)
        if reply is not None:
            yield asked.outcome(reply, None)
        elif self._is_broken:
            yield asked.outcome(None, _broken())
        else:
            try:
                assert self._executor is not None  # noqa: S101 - one of the two is there
                # The token keeps an executor that remembers results from asking equal ones once.
                future = self._executor.submit(_ask, _Worker(self._client), message, uuid4().hex)
                self._under_way[future] = asked
            except (BrokenExecutor, RuntimeError):
                self._is_broken = True
                yield asked.outcome(None, _broken())

    def _collect(self) -> Iterator[Outcome]:
        """Wait for an answer, and yield the outcomes that are there."""
        done = wait(self._under_way, return_when=FIRST_COMPLETED).done if self._under_way else ()
        for future in done:
            asked = self._under_way.pop(future)
            outcome = asked.outcome(*self._result(future))
            if self._journal is not None:
                self._journal.add(outcome)
            yield outcome

    def _result(self, future: Future[Reply]) -> Tuple[Optional[Reply], Optional[Exception]]:
        try:
            return future.result(), None
        except _FAILURES as error:
            return None, error
        except (BrokenExecutor, CancelledError):
            self._is_broken = True
            return None, _broken()

    def _end(self) -> None:
        for future in self._under_way:
            future.cancel()
        self._client.close()
        if self._own is not None:
            self._own.shutdown()
        if self._journal is not None:
            self._journal.close()


def _broken() -> TransportError:
    return TransportError(
        "the worker that was to ask it is gone. If it had begun, the site may have run the"
        " question all the same: look before you ask again."
    )


class _Worker:
    """A client as a task carries it: one for each process and its settings, however many tasks."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __reduce__(self) -> Tuple[Any, ...]:
        """Travel as the client's settings."""
        return _worker, (pickle.dumps(self.client),)


_clients: Dict[bytes, Client] = {}


def _worker(settings: bytes) -> _Worker:
    if settings not in _clients:
        _clients.setdefault(settings, pickle.loads(settings))  # noqa: S301 - our own settings
    return _Worker(_clients[settings])


def _ask(worker: _Worker, message: Question, token: str) -> Reply:  # noqa: ARG001 - see submit
    return worker.client.chat(message)


class Journal:
    """
    The outcomes of a run in a file, one JSON object a line, each on the disk when it is known.

    What a killed run leaves unfinished is cut off; what it has written is not asked again.

    Args:
        path: the file.
        scope: what decides the answers beside the messages; a part of each key.

    Raises:
        ValueError: another run is writing to it, or it holds something else.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str, scope: Dict[str, Any]) -> None:
        self._scope = scope
        self._counts: Dict[bytes, int] = {}
        self._places: Dict[str, int] = {}
        self._file = open(path, "a+b")  # noqa: PTH123, SIM115 - it stays open
        try:
            _lock(self._file)
            self._read()
        except BaseException:
            self._file.close()
            raise

    def _read(self) -> None:
        """Find each answer, and cut off a line that a killed run has left unfinished."""
        self._file.seek(0)
        place = 0
        for line in iter(self._file.readline, b""):
            entry = _entry(line)
            if entry is None:
                if self._file.read(1):
                    raise ValueError("the journal holds a line that is no outcome")
                self._file.truncate(place)
                break
            if entry["error"] is None:
                self._places[entry["key"]] = place
            place += len(line)

    def key(self, message: Question) -> str:
        """Return a message's key; equal messages are counted."""
        digest = hashlib.sha256(_canonical([self._scope, message])).digest()
        number = self._counts[digest] = self._counts.get(digest, 0) + 1
        return hashlib.sha256(digest + str(number).encode()).hexdigest()[:32]

    def reply(self, key: Optional[str]) -> Optional[Reply]:
        """Return the answer that is known, or None."""
        place = self._places.get(key or "")
        if place is None:
            return None
        self._file.seek(place)
        fields = json.loads(self._file.readline())["reply"]
        return _wire.reply({**fields["raw"], "reply": fields["text"]}, "", fields["chat_id"])

    def add(self, outcome: Outcome) -> None:
        """Write an outcome, down to the disk."""
        self._file.seek(0, os.SEEK_END)
        place = self._file.tell()
        self._file.write(_canonical(_line(outcome)) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        if outcome.error is None:
            self._places[str(outcome.key)] = place

    def close(self) -> None:
        """Let another run write."""
        self._file.close()


def _line(outcome: Outcome) -> Dict[str, Any]:
    reply, error = outcome.reply, outcome.error
    return {
        "key": outcome.key,
        "message": outcome.message,
        "reply": None
        if reply is None
        else {"text": str(reply), "chat_id": reply.chat_id, "raw": reply.raw},
        "error": None if error is None else {"class": type(error).__name__, "text": str(error)},
    }


def _entry(line: bytes) -> Optional[Dict[str, Any]]:
    """Return the outcome that a line holds, or None."""
    try:
        entry = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    whole = isinstance(entry, dict) and {"key", "reply", "error"} <= entry.keys()
    return entry if whole else None


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode(
        "utf-8", "surrogatepass"
    )


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock_or_fail(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock_or_fail(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock(file: BinaryIO) -> None:
    """Refuse a file that another run has locked. The lock goes with the file."""
    try:
        _lock_or_fail(file)
    except OSError:
        raise ValueError("another run is writing to the journal") from None


def _with_bar(outcomes: Iterator[Outcome], total: Optional[int]) -> Iterator[Outcome]:
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install 'chatgpt4online[batch]'") from None
    return iter(tqdm(outcomes, total=total, unit="message"))
