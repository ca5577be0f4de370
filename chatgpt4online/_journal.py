"""`Journal`: outcomes in a file, so that a killed run can be resumed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import threading
import weakref
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterable, Optional, Tuple, TypeVar

from . import _disk
from ._json import finite_json
from ._protocol.answers import parse_reply
from ._protocol.fields import as_dict
from .errors import ChatGPT4OnlineError
from .types import Outcome, Reply, Usage, has_content

T = TypeVar("T")

#: How a line begins, and an example.
_BEGINNING = re.compile(rb'\{"key": "[0-9a-f]{32}", "message": ')
_EXAMPLE = b'{"key": "%b", "message": ' % (b"0" * 32)

_USAGE_FIELDS = ("prompt_tokens", "completion_tokens", "total_tokens", "price")

#: How many times to reopen a journal that `sort` replaces at the same moment. It is limited because
#: on file systems without stable inode numbers a file never looks the same.
_MAX_REOPENINGS = 2

#: What parsing a line that is not an outcome may raise.
_NOT_AN_OUTCOME = (
    AttributeError,
    ChatGPT4OnlineError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Journal:
    """
    The outcomes of runs in a file: one JSON object per line, written to disk at once.

    An unfinished last line of a killed run is cut off. Threads may share a journal. It takes
    about 100 bytes of memory per message.

    Args:
        path: the file, created if it does not exist.
        scope: what determines the answers in addition to the messages; part of each key.

    Raises:
        ValueError: another process is writing to the file, or it is not a journal (and stays as it
            is), or no file at all.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, scope: Dict[str, Any]) -> None:
        self.path = path
        self._scope = scope
        self._counts: Dict[bytes, int] = {}
        self._offsets: Dict[str, int] = {}
        self._lock = threading.RLock()  # a finalizer may close a journal while its thread writes
        self._is_writing = False
        self._is_closed = False
        self._files = ExitStack()
        if path.exists() and not path.is_file():  # a pipe would block
            raise ValueError(f"the journal {path} is not a file")
        try:
            self._open(path)
            self._reader = self._files.enter_context(path.open("rb"))
            self._read(path)
        except BaseException:
            self._files.close()
            raise

    def _open(self, path: Path) -> None:
        """Open and lock the file; again if `sort` has replaced it meanwhile."""
        self._open_once(path)
        for _ in range(_MAX_REOPENINGS):
            if not self.writes_to(path):
                self._release()
                self._open_once(path)

    def _open_once(self, path: Path) -> None:
        # Unbuffered, so that a forked child has nothing left to write.
        file = open(path, "ab", buffering=0, opener=_disk.open_private)  # noqa: SIM115
        self._file = self._files.enter_context(file)
        _journals.add(self)
        _lock(self._file, path)

    def writes_to(self, path: Path) -> bool:
        """Return whether a path names the file of this journal, which must not be closed."""
        try:
            return os.path.samestat(path.stat(), os.fstat(self._file.fileno()))
        except (OSError, ValueError):  # no such file; or the journal has just been closed
            return False

    def _read(self, path: Path) -> None:
        """Find each answer, and cut off the unfinished line of a killed run."""
        offset = 0
        for number, line in enumerate(self._reader, 1):
            if _is_torn(line):
                self._file.truncate(offset)
                break
            try:
                key, reply = _parse(line)
            except _NOT_AN_OUTCOME:
                raise ValueError(
                    f"{path} is not a journal: line {number} is not an outcome"
                ) from None
            if reply is not None and has_content(reply):
                self._offsets[key] = offset
            offset += len(line)

    def key(self, message: object) -> str:
        """
        Return the key of a message. Equal messages are counted, so that each has its own key.

        Raises:
            TypeError: the message cannot be written as JSON.
        """
        try:
            text = json.dumps([self._scope, message], ensure_ascii=False, sort_keys=True)
        except (RecursionError, TypeError, ValueError) as error:
            raise TypeError(f"the message cannot be written to a journal: {error}") from None
        digest = hashlib.sha256(_encoded(text)).digest()[:16]
        number = self._counts[digest] = self._counts.get(digest, 0) + 1
        return hashlib.sha256(b"%b %d" % (digest, number)).hexdigest()[:32]

    def reply(self, key: str) -> Optional[Reply]:
        """Return the answer that an earlier run got, or None."""
        offset = self._offsets.pop(key, None)
        if offset is None:
            return None
        self._reader.seek(offset)
        return _parse(self._reader.readline())[1]

    def add(self, outcome: Outcome) -> None:
        """
        Write an outcome to disk. A closed journal ignores it.

        Raises:
            OSError: the outcome cannot be written; the journal is unchanged.
            TypeError: JSON has no such value.
            ValueError: a value contains itself.
            RecursionError: a value is nested too deeply.
        """
        line = _line(outcome)
        with self._lock:
            if not self._is_closed:
                self._is_writing = True
                try:
                    self._write(line)
                finally:
                    self._is_writing = False
                    self._close_files()  # if a finalizer has closed it meanwhile

    def _write(self, line: bytes) -> None:
        end = self._file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[self._file.write(line) :]
            _disk.sync(self._file)
        except BaseException:
            self._file.truncate(end)  # a torn line would make the following ones unreadable
            raise

    def close(self) -> None:
        """Close the file, so that another run can write to it."""
        with self._lock:
            self._is_closed = True
            self._close_files()

    def _close_files(self) -> None:
        if self._is_closed and not self._is_writing:
            self._release()

    def _release(self) -> None:
        _unlock_and_close(self._file)
        self._files.close()

    def after_fork(self) -> None:
        """Close the file in a forked child; the lock stays with the parent process."""
        self._lock = threading.RLock()
        self._is_closed = True
        self._file.close()


def in_use_error(path: Path) -> ValueError:
    """Return the error for a journal that another run is writing to."""
    return ValueError(
        f"another run is writing to the journal {path}, in another process or thread: wait for its"
        " end, close it, or use another file"
    )


def sort(path: Path, keys: Iterable[Optional[str]]) -> None:
    """
    Sort a journal like these keys, one line for each; lines of others follow. It stays locked.

    Raises:
        ValueError: another run is writing to it.
        OSError: it cannot be written, and is as it was.
    """
    newest: Dict[Optional[str], str] = dict.fromkeys(keys, "")
    with path.open("rb+") as file:
        _lock(file, path)
        newest.update((_loads(line)["key"], line.decode().rstrip() + "\n") for line in file)
        if _disk.CANNOT_REPLACE_OPEN_FILES:
            _unlock_and_close(file)
        _disk.replace(str(path), "".join(newest.values()))


def _unlock_and_close(file: BinaryIO) -> None:
    if not file.closed:
        with suppress(OSError):  # it could not be locked
            _unlock(file)
        file.close()


def _parse(line: bytes) -> Tuple[str, Optional[Reply]]:
    """Return the key of the outcome in a line, and its reply; None if it failed."""
    entry = _loads(line)
    key, text, error = entry["key"], entry["text"], entry["error"]
    if not isinstance(key, str) or "message" not in entry or (text is None) == (error is None):
        raise ValueError
    return key, None if text is None else _reply(text, entry)


def _reply(text: object, entry: Dict[str, Any]) -> Reply:
    raw = entry["raw"]
    reply = parse_reply({**raw, "success": True, "reply": text}, "", entry["chat_id"])
    reply.raw = raw
    reply.seconds, reply.first_seconds = entry["seconds"], entry["first_seconds"]
    if reply.usage is None:  # of a subclass's own reply
        counts = {name: entry[name] for name in _USAGE_FIELDS if entry[name] is not None}
        reply.usage = Usage(**counts) if counts else None
    return reply


def _line(outcome: Outcome) -> bytes:
    """Return the line of an outcome. The key comes first, by which `_is_torn` recognizes it."""
    reply, row = outcome.reply, outcome.to_dict()
    fields = {
        "key": row.pop("key"),
        "message": row.pop("message"),
        **extra_fields(outcome.message),
        **row,
        # A subclass's reply may have anything there.
        "raw": None if reply is None else as_dict(reply.raw),
    }
    try:
        return _encoded(finite_json(fields)) + b"\n"
    except RecursionError:
        return _with_empty_stack(partial(_readable, fields))


def extra_fields(message: object) -> Dict[str, Any]:
    """Return what a message adds to its line, as those of `cli.batch` do."""
    fields: Dict[str, Any] = getattr(message, "journal_fields", {})
    return fields


def _readable(fields: Dict[str, Any]) -> bytes:
    line = _encoded(finite_json(fields)) + b"\n"
    _loads(line)
    return line


def _loads(line: bytes) -> Any:
    """Return the JSON value in a line, however deep the stack of the caller is."""
    try:
        return json.loads(line)
    except RecursionError:
        return _with_empty_stack(partial(json.loads, line))


def _with_empty_stack(function: Callable[[], T]) -> T:
    """Call a function in a thread of its own, where nesting may be the deepest."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            future.set_exception(error)

    threading.Thread(target=run, name="journal", daemon=True).start()
    return future.result()


def _is_torn(line: bytes) -> bool:
    """Return whether the last line of a file is an unfinished line of a journal."""
    if line.endswith(b"\n") or not _BEGINNING.match(line + _EXAMPLE[len(line) :]):
        return False
    try:
        _parse(line)  # complete, except for the line break
    except _NOT_AN_OUTCOME:
        return not _is_json(line)
    return True


def _is_json(line: bytes) -> bool:
    try:
        _loads(line)
    except (RecursionError, ValueError):
        return False
    return True


def _encoded(text: str) -> bytes:
    """Return JSON in UTF-8. Only lone surrogates are escaped, so that any language is readable."""
    return text.encode("utf-8", "backslashreplace")


if sys.platform == "win32":
    import msvcrt

    _LOCKED = 0x7FFFFFFE  # beyond the last line, because others cannot read a locked byte

    def _lock_or_fail(file: BinaryIO) -> None:
        file.seek(_LOCKED)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: BinaryIO) -> None:
        file.seek(_LOCKED)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)  # closing it would, some time later

    _TAKEN: Tuple[type, ...] = (PermissionError,)
else:
    import fcntl

    def _lock_or_fail(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)  # a forked child may still have the file open

    _TAKEN = (BlockingIOError,)


def _lock(file: BinaryIO, path: Path) -> None:
    """Lock a file until it is closed; raise ValueError if another run has locked it."""
    try:
        _lock_or_fail(file)
    except _TAKEN:
        raise in_use_error(path) from None
    except OSError:
        pass  # a file system without locks, where nobody can know


_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def _after_fork() -> None:
    for journal in list(_journals):
        journal.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
