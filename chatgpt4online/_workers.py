"""How `Client.map` asks: threads of our own, and a task that any executor can run."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import Future
from contextvars import Context
from functools import partial
from queue import SimpleQueue
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from ._http.deadlines import monotonic
from ._validation import plain_str, type_name
from .types import Reply, Turn

if TYPE_CHECKING:
    from .client import Client

Question = Union[str, Sequence[Turn]]


class Result(NamedTuple):
    """What became of a question, and how many seconds it took."""

    value: Union[Reply, Exception]
    seconds: float


class Worker:
    """
    A client inside a task. A process keeps it for the following tasks with the same settings.

    Args:
        client: the client that asks.
        options: those of `Client.chat`, the same for each question.
        context: the context variables that threads see.
    """

    def __init__(
        self, client: Client, options: Mapping[str, Any], context: Optional[Context] = None
    ) -> None:
        self.client = client
        self._options = options
        self._context = context
        self._pickled = b""

    def __reduce__(self) -> Tuple[Any, ...]:
        """Pickle as the client's settings, which all tasks of a run share."""
        self._pickled = self._pickled or pickle.dumps(self.client)
        return _unpickle_worker, (self._pickled, self._options)

    def chat(self, message: Question) -> Reply:
        """Ask a question, by whatever `chat` the client has."""
        chat = partial(self.client.chat, message, **self._options)
        reply: object = chat() if self._context is None else self._context.copy().run(chat)
        if isinstance(reply, Reply):
            return reply
        if isinstance(reply, str):
            return Reply(plain_str(reply))
        raise TypeError(f"chat must return a Reply, not {type_name(reply)}")


#: How many clients a process keeps for later tasks. A Dask worker may live for months.
_MAX_CLIENTS = 4

#: The latest of them, by their settings.
_clients: Dict[bytes, Client] = {}


def _unpickle_worker(settings: bytes, options: Mapping[str, Any]) -> Worker:
    client = _clients.get(settings)
    if client is None:
        client = _clients.setdefault(settings, pickle.loads(settings))  # noqa: S301 - our own
        for oldest in list(_clients)[:-_MAX_CLIENTS]:
            _clients.pop(oldest, None)  # not closed: it may be asking in another thread
    return Worker(client, options)


def ask(worker: Worker, message: Question, token: str) -> Result:  # noqa: ARG001
    """Ask a question. Return a failure, so that what is raised comes from the executor."""
    began = monotonic()
    try:
        value: Union[Reply, Exception] = worker.chat(message)
    except Exception as error:  # noqa: BLE001 - it becomes the outcome
        value = error
    return Result(value, monotonic() - began)


class DaemonThreadPool:
    """
    Daemon threads: those of `ThreadPoolExecutor` would keep the process waiting for the site.

    Args:
        max_workers: how many there may be. One is started when a task finds none idle.
    """

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._started = 0
        self._idle = threading.Semaphore(0)
        self._tasks: SimpleQueue[Optional[Callable[[], None]]] = SimpleQueue()

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """
        Run a function in a thread, and return its future.

        Raises:
            RuntimeError: no thread can be started.
        """
        if self._started < self._max_workers and not self._idle.acquire(blocking=False):
            self._start()
        future: Future[Any] = Future()
        self._tasks.put(partial(_run, future, partial(function, *args)))
        return future

    def _start(self) -> None:
        target = partial(_work, self._tasks, self._idle)
        self._started += 1  # first: a thread too few to `shutdown` would stay
        try:
            threading.Thread(target=target, name="chatgpt4online", daemon=True).start()
        except RuntimeError:
            self._started -= 1
            if not self._started:  # else the others do it
                raise

    def shutdown(self) -> None:
        """Let the threads end after the tasks that they have. Does not wait."""
        for _ in range(self._started):
            self._tasks.put(None)


def _work(tasks: SimpleQueue[Optional[Callable[[], None]]], idle: threading.Semaphore) -> None:
    for task in iter(tasks.get, None):
        task()
        del task  # which refers to the client
        idle.release()


def _run(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - raised where the result is wanted
        future.set_exception(error)
    else:
        future.set_result(result)
