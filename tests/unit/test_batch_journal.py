"""A journal's file: what of it is kept, what is cut off, and what is left as it is."""

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

from chatgpt4online import Client, Reply, ServerError, StreamInterrupted, _journal, _workers
from chatgpt4online._journal import Journal
from chatgpt4online.types import Outcome

MESSAGES = ["one", "zwei 🙂", [{"role": "user", "content": "three"}]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a journal may be."""
    return tmp_path / "journal"


def write(path: Path) -> bytes:
    """Write a journal of an answer for each message, and return its bytes."""
    journal = Journal(path, {})
    for index, message in enumerate(MESSAGES):
        raw = {"success": True, "reply": str(message)}
        reply = Reply(str(message), chat_id="c", raw=raw)
        journal.add(Outcome(index, journal.key(message), message, reply, None))  # type: ignore[arg-type]
    journal.close()
    return path.read_bytes()


def remembered(path: Path) -> List[Optional[str]]:
    """Open a journal, and return the text of what it knows of each message."""
    journal = Journal(path, {})
    try:
        replies = [journal.reply(journal.key(message)) for message in MESSAGES]
    finally:
        journal.close()
    return [None if reply is None else str(reply) for reply in replies]


ALL = [str(message) for message in MESSAGES]


def test_a_torn_line_is_cut(path: Path) -> None:
    """Wherever the last line was torn, it is cut off, and every line before it is kept."""
    whole = write(path)
    start = whole.rindex(b"\n", 0, -1) + 1
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        assert remembered(path) == [*ALL[:2], None]
        assert path.read_bytes() == whole[:start]


def test_it_goes_on_after_a_torn_line(path: Path) -> None:
    """What is written after a torn line was cut off is whole."""
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
    "no UTF-8": b"\xff\xfe\n",
    "a deep list": b"[" * 100_000 + b"\n",
    "a list with the right names": b'["key", "message", "text", "error", "raw"]\n',
    "a key that is none": LINE.replace(b'"%b"' % (b"0" * 32), b"5"),
    "neither reply nor error": ANSWER,
    "reply and error": LINE.replace(b'"text": null', b'"text": "a"'),
    "a reply that is none": ANSWER.replace(b'"text": null', b'"text": "a"').replace(b"{}", b'"a"'),
    "a text that is none": ANSWER.replace(b'"text": null', b'"text": 5'),
    "an object that begins like ours": LINE.replace(b'"error": "ServerError", ', b"").strip(),
    "ours, then another's": LINE + b"Dear diary",
    "ours, torn, then ours": LINE + LINE[:60] + b"\n" + LINE,
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=list(FOREIGN))
def test_another_file_is_left_as_it_is(path: Path, content: bytes) -> None:
    """A file that is no journal is refused, and not changed."""
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"line [12] is not an outcome"):
        Journal(path, {})
    assert path.read_bytes() == content
    path.unlink()  # nobody holds it


@given(
    content=st.binary()
    | st.binary().map(lambda other: LINE + other)
    | st.integers(0, len(LINE)).flatmap(
        lambda end: st.binary(max_size=8).map(lambda other: LINE + LINE[:end] + other)
    )
)
def test_any_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Any file is either refused and left, or opened, and then nothing but a torn end is cut."""
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
    """A failure is written with its class and its words; it is no answer."""
    journal = Journal(path, {})
    journal.add(Outcome(0, journal.key("one"), "one", None, ServerError("Too busy.", status=500)))
    journal.close()
    fields = json.loads(path.read_text(encoding="utf-8"))
    assert (fields["error"], fields["error_message"]) == ("ServerError", "Too busy.")
    assert remembered(path)[0] is None


def test_a_closed_journal_takes_nothing(path: Path) -> None:
    """What comes after a journal is closed is not written."""
    journal = Journal(path, {})
    journal.close()
    journal.close()
    journal.add(Outcome(0, "k", "one", None, StreamInterrupted("late")))
    assert path.read_bytes() == b""


class Echo(Executor):
    """The caller's own executor: it answers at once."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:  # type: ignore[override,unused-ignore]
        """Answer."""
        future: Future[Any] = Future()
        reply = Reply("yes", raw={"success": True, "reply": "yes"})
        future.set_result(_workers.Result(reply, 0.5))
        return future


def messages(count: int) -> Iterator[str]:
    """Yield messages that are made when they are needed, 200 characters each."""
    for number in range(count):
        yield f"{number:0200}"


@pytest.mark.parametrize("ordered", [True, False])
def test_memory_is_flat(ordered: bool) -> None:
    """However many messages there are, no more than a few are held."""
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


def test_a_journal_knows_messages_by_little(path: Path) -> None:
    """A journal holds about a hundred bytes a message in memory, not the message nor the answer."""
    with Client("http://127.0.0.1:9") as client:
        found = client.map(messages(600), executor=Echo(), journal=path)
        tracemalloc.start()
        try:
            assert sum(1 for _ in found) == 600
            assert tracemalloc.get_traced_memory()[1] < 150 * 600 + 100_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_disk_that_fails_ends_the_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    """An outcome that cannot be kept ends the run with the disk's error; its line is taken back."""
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
    """Do what a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_forked_child_leaves_a_journal(path: Path) -> None:
    """What runs in a forked child frees its hold on each journal, and writes no more to it."""
    journal = Journal(path, {})
    _journal._after_fork()
    journal.add(Outcome(0, "k", "one", None, StreamInterrupted("late")))
    other = Journal(path, {})
    other.close()
    journal.close()
    assert path.read_bytes() == b""


def test_a_process_keeps_one_client() -> None:
    """However many tasks come to a process, they are asked by one client of those settings."""
    with Client("http://127.0.0.1:9") as client, Client("http://127.0.0.1:9", bot="b") as other:
        tasks = [pickle.dumps(_workers.Worker(each, {})) for each in (client, client, other)]
        workers = [pickle.loads(task) for task in tasks]
    assert workers[0].client is workers[1].client
    assert workers[0].client.bot == "default"
    assert workers[2].client.bot == "b"
    _workers._clients.clear()


def test_a_run_is_over_for_its_children_too(path: Path) -> None:
    """Another run may begin at once, though a child that was just forked has the file open yet."""
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


@pytest.mark.parametrize(
    "code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP]
)
def test_a_file_system_without_fsync(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Where a file system has no fsync, a journal is written all the same."""

    def unsupported(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", unsupported)
    assert write(path).count(b"\n") == 3
    assert remembered(path) == ALL


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
    assert remembered(path) == ALL


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
