"""A journal's file: which lines are kept, which are cut off, and which files stay unchanged."""

from __future__ import annotations

import errno
import json
import os
import pickle
import tracemalloc
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatgpt4online import (
    Client,
    Reply,
    ServerError,
    StreamInterrupted,
    _disk,
    _journal,
    _workers,
)
from chatgpt4online._journal import Journal, sort
from chatgpt4online.types import Outcome

MESSAGES = ["one", "zwei 🙂", [{"role": "user", "content": "three"}]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a journal that does not exist yet."""
    return tmp_path / "journal"


def write(path: Path) -> bytes:
    """Write a journal with an answer to each message, and return its bytes."""
    journal = Journal(path, {})
    for index, message in enumerate(MESSAGES):
        raw = {"success": True, "reply": str(message)}
        reply = Reply(str(message), chat_id="c", raw=raw)
        journal.add(Outcome(index, journal.key(message), message, reply, None))  # type: ignore[arg-type]
    journal.close()
    return path.read_bytes()


def stored(path: Path) -> List[Optional[str]]:
    """Open a journal, and return the text of its answer to each message, or None."""
    journal = Journal(path, {})
    try:
        replies = [journal.reply(journal.key(message)) for message in MESSAGES]
    finally:
        journal.close()
    return [None if reply is None else str(reply) for reply in replies]


ALL = [str(message) for message in MESSAGES]


def keys(path: Path) -> List[str]:
    """Return the key of each line."""
    return [json.loads(line)["key"] for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("raw", [{"success": False, "message": "No."}, [], None, "a"])
def test_a_reply_of_a_subclass(path: Path, raw: Any) -> None:
    """Whatever a subclass's reply has as `raw`, a journal gives the reply back."""
    journal = Journal(path, {})
    reply = Reply("Hello", chat_id="c", raw=raw)
    journal.add(Outcome(0, journal.key("one"), "one", reply, None))
    journal.close()
    assert stored(path)[0] == "Hello"


@pytest.mark.parametrize("is_closed_first", [True, False])
def test_sorting(path: Path, is_closed_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal is sorted, with one line for each key; the others follow."""
    monkeypatch.setattr(_disk, "CANNOT_REPLACE_OPEN_FILES", is_closed_first)
    write(path)
    one, two, three = keys(path)
    sort(path, [three, "none", one])
    assert keys(path) == [three, one, two]
    assert stored(path) == ALL


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no file that is open")
def test_a_run_that_begins_while_a_journal_is_sorted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other run can begin while a journal is sorted, whose lines would be lost."""
    write(path)
    order, real, refused = keys(path)[::-1], os.replace, []

    def replace(source: str, target: str) -> None:
        with pytest.raises(ValueError, match="another run is writing to the journal") as caught:
            Journal(path, {})
        refused.append(caught.value)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    sort(path, order)
    assert len(refused) == 1
    assert keys(path) == order
    Journal(path, {}).close()


def test_a_journal_in_use_is_not_sorted(path: Path) -> None:
    """A journal that a run is writing to is not sorted, which would lose the run's lines."""
    whole = write(path)
    journal = Journal(path, {})
    with pytest.raises(ValueError, match="another run is writing to the journal"):
        sort(path, keys(path)[::-1])
    journal.close()
    assert path.read_bytes() == whole


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no file that is open")
def test_a_journal_that_is_sorted_while_it_is_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that opened a journal just before it was sorted writes to the new file."""
    whole = write(path)
    path.unlink()
    real = _journal._lock
    sorted_once: List[Path] = []

    def lock(file: Any, where: Path) -> None:
        if not sorted_once:
            sorted_once.append(where)
            path.unlink()
            path.write_bytes(whole)
        real(file, where)

    monkeypatch.setattr(_journal, "_lock", lock)
    assert stored(path) == ALL
    write(path)
    assert path.read_bytes() == 2 * whole


def test_a_file_system_that_numbers_no_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file can be recognized, a journal works."""
    monkeypatch.setattr(os.path, "samestat", lambda *_: False)
    write(path)
    assert stored(path) == ALL


def test_a_torn_line_is_cut(path: Path) -> None:
    """An incomplete last line is cut off, wherever it ends; every line before it is kept."""
    whole = write(path)
    start = whole.rindex(b"\n", 0, -1) + 1
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        assert stored(path) == [*ALL[:2], None]
        assert path.read_bytes() == whole[:start]


def test_writing_after_a_torn_line(path: Path) -> None:
    """Lines written after an incomplete one was cut off are complete."""
    whole = write(path)
    path.write_bytes(whole[:-5])
    write(path)
    assert path.read_bytes() == whole[: whole.rindex(b"\n", 0, -1) + 1] + whole


FAILED = Outcome(0, "0" * 32, "a", None, ServerError("No.", status=500)).to_dict()
LINE = json.dumps({"key": "", "message": "", **FAILED, "raw": None}).encode() + b"\n"
ANSWER = LINE.replace(b'"ServerError"', b"null").replace(b'"raw": null', b'"raw": {}')
FOREIGN = {
    "a text": b"Dear diary",
    "a line of text": b"Dear diary\n",
    "a page": b"<html></html>",
    "a table": b"key,message\n1,2\n",
    "an object": b'{"key": "sk-123", "secret": true}',
    "a line with an object": b'{"key": "sk-123", "secret": true}\n',
    "an error": b'{"error": {"message": "No"}}',
    "objects": b'{"a": 1}\n{"a": 2}\n',
    "numbers": b"1\n2\n",
    "an empty line": b"\n",
    "null bytes": b"\0" * 100,
    "not UTF-8": b"\xff\xfe\n",
    "a deep list": b"[" * 100_000 + b"\n",
    "a list with the right names": b'["key", "message", "text", "error", "raw"]\n',
    "a key that is a number": LINE.replace(b'"%b"' % (b"0" * 32), b"5"),
    "neither reply nor error": ANSWER,
    "reply and error": LINE.replace(b'"text": null', b'"text": "a"'),
    "a reply that is a text": ANSWER.replace(b'"text": null', b'"text": ""').replace(b"{}", b'"a"'),
    "a reply's text that is a number": ANSWER.replace(b'"text": null', b'"text": 5'),
    "an object that begins like an outcome": LINE.replace(b'"error": "ServerError", ', b"").strip(),
    "an outcome, then a text": LINE + b"Dear diary",
    "an outcome, a torn one, an outcome": LINE + LINE[:60] + b"\n" + LINE,
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=list(FOREIGN))
def test_other_files_stay_unchanged(path: Path, content: bytes) -> None:
    """A file that is not a journal raises ValueError and stays unchanged."""
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"line [12] is not an outcome"):
        Journal(path, {})
    assert path.read_bytes() == content
    path.unlink()  # fails on Windows if the file is still open


@given(
    content=st.binary()
    | st.binary().map(lambda other: LINE + other)
    | st.integers(0, len(LINE)).flatmap(
        lambda end: st.binary(max_size=8).map(lambda other: LINE + LINE[:end] + other)
    )
)
def test_any_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Any file is either rejected unchanged, or opened, losing at most an incomplete last line."""
    path = tmp_path_factory.mktemp("any") / "journal"
    path.write_bytes(content)
    try:
        Journal(path, {}).close()
    except ValueError:
        assert path.read_bytes() == content
    else:
        kept = path.read_bytes()
        assert content.startswith(kept)
        assert b"\n" not in content[len(kept) :]


def test_an_error_has_a_line(path: Path) -> None:
    """A failure is written with its class and its message, and is not read as an answer."""
    journal = Journal(path, {})
    journal.add(Outcome(0, journal.key("one"), "one", None, ServerError("Too busy.", status=500)))
    journal.close()
    fields = json.loads(path.read_text(encoding="utf-8"))
    assert (fields["error"], fields["error_message"]) == ("ServerError", "Too busy.")
    assert stored(path)[0] is None


def test_a_closed_journal_ignores_outcomes(path: Path) -> None:
    """An outcome that comes after the journal was closed is not written."""
    journal = Journal(path, {})
    journal.close()
    journal.close()
    journal.add(Outcome(0, "k", "one", None, StreamInterrupted("late")))
    assert path.read_bytes() == b""


class Echo(Executor):
    """An executor that answers every question at once, without running the task."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:  # type: ignore[override,unused-ignore]
        """Return a finished future."""
        future: Future[Any] = Future()
        reply = Reply("yes", raw={"success": True, "reply": "yes"})
        future.set_result(_workers.Result(reply, 0.5))
        return future


def messages(count: int) -> Iterator[str]:
    """Yield messages of 200 characters, each created only when it is drawn."""
    for number in range(count):
        yield f"{number:0200}"


@pytest.mark.parametrize("ordered", [True, False])
def test_messages_are_drawn_as_they_are_needed(ordered: bool) -> None:
    """Messages without end can be asked: no more are drawn than may be in progress, or wait."""
    drawn: List[int] = []

    def endless() -> Iterator[str]:
        while True:
            drawn.append(len(drawn))
            yield "Hi"

    with Client("http://127.0.0.1:9") as client:
        found = client.map(endless(), executor=Echo(), workers=2, ordered=ordered)
        for _ in range(10):
            next(found)
    assert len(drawn) <= 10 + 2 + 2


@pytest.mark.parametrize("ordered", [True, False])
def test_memory_is_flat(ordered: bool) -> None:
    """Memory stays flat, however many messages there are."""
    with Client("http://127.0.0.1:9") as client:
        found = client.map(messages(4_000), executor=Echo(), ordered=ordered)
        for _ in range(1000):
            next(found)
        tracemalloc.start()
        try:
            assert sum(1 for _ in found) == 3_000
            assert tracemalloc.get_traced_memory()[1] < 200_000
        finally:
            tracemalloc.stop()


def test_memory_of_a_journal(path: Path) -> None:
    """A journal takes about 100 bytes of memory per message, and keeps no message or answer."""
    with Client("http://127.0.0.1:9") as client:
        found = client.map(messages(600), executor=Echo(), journal=path)
        tracemalloc.start()
        try:
            assert sum(1 for _ in found) == 600
            assert tracemalloc.get_traced_memory()[1] < 150 * 600 + 100_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_disk_error_ends_the_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    """An outcome that cannot be written ends the run with the OSError, and leaves no line."""
    with Client("http://127.0.0.1:9") as client:
        found = client.map(messages(3), executor=Echo(), journal=path, ordered=ordered, workers=1)
        next(found)
        kept = path.read_bytes()
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            list(found)
        assert list(found) == []
    assert path.read_bytes() == kept
    assert kept.count(b"\n") == 1


def full(_: int) -> None:
    """Fail like a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_forked_child_leaves_a_journal(path: Path) -> None:
    """A forked child closes each journal of its parent, and writes nothing to it."""
    journal = Journal(path, {})
    _journal._after_fork()
    journal.add(Outcome(0, "k", "one", None, StreamInterrupted("late")))
    other = Journal(path, {})
    other.close()
    journal.close()
    assert path.read_bytes() == b""


class Sender(Echo):
    """An executor that pickles its tasks, as for another process, and keeps what arrives there."""

    def __init__(self) -> None:
        self.arrived: List[Any] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:  # type: ignore[override,unused-ignore]
        """Send a task, and return a finished future."""
        worker = pickle.loads(pickle.dumps((function, args)))[1][0]
        self.arrived.append(worker)
        return super().submit(function, *args, **options)


def test_a_process_keeps_one_client() -> None:
    """All tasks that a process receives share one client for each client that sent them."""
    sender = Sender()
    with Client("http://127.0.0.1:9") as client, Client("http://127.0.0.1:9", bot="b") as other:
        for each in (client, client, other):
            assert list(each.map(["Hi"], executor=sender))
    first, second, third = sender.arrived
    assert first.client is second.client
    assert first.client.bot == "default"
    assert third.client.bot == "b"


def test_a_journal_is_free_although_a_child_has_it_open(path: Path) -> None:
    """Closing a journal unlocks its file, even if a child forked just now still has it open."""
    journal = Journal(path, {})
    as_in_a_child = os.dup(journal._file.fileno())
    try:
        with pytest.raises(ValueError, match="another run"):
            Journal(path, {})
        journal.close()
        journal.close()
        Journal(path, {}).close()
    finally:
        os.close(as_in_a_child)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP])
def test_a_file_system_without_fsync(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Where a file system has no fsync, a journal is written all the same."""

    def unsupported(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", unsupported)
    assert write(path).count(b"\n") == 3
    assert stored(path) == ALL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no flock")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Where a file system has no locks, a journal is written all the same."""
    import fcntl

    def unsupported(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    write(path)
    assert stored(path) == ALL


def test_a_finalizer_may_close_a_journal_that_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that is closed while its own thread writes finishes the line, and then closes."""
    journal = Journal(path, {})
    fsync = os.fsync

    def close(number: int) -> None:
        journal.close()
        fsync(number)

    monkeypatch.setattr(os, "fsync", close)
    journal.add(Outcome(0, journal.key("one"), "one", None, StreamInterrupted("late")))
    assert journal._file.closed
    assert path.read_bytes().endswith(b"}\n")
    monkeypatch.undo()
    Journal(path, {}).close()


def test_a_closed_journal_writes_to_no_file(path: Path) -> None:
    """A journal knows its own file by whatever name, until it is closed."""
    journal = Journal(path, {})
    try:
        assert journal.writes_to(path.parent / "." / path.name)
        assert not journal.writes_to(path.parent / "another")
        assert not journal.writes_to(path.parent)
    finally:
        journal.close()
    assert not journal.writes_to(path)


def test_what_is_not_a_file(tmp_path: Path) -> None:
    """A folder, or a pipe that would block, is not opened as a journal."""
    with pytest.raises(ValueError, match="is not a file"):
        Journal(tmp_path, {})
