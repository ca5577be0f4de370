"""`Journal`: outcomes in a file, so that a killed run can be resumed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import threading
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Dict, Optional, Tuple

from ._protocol.answers import parse_reply
from .errors import ChatGPT4OnlineError
from .types import Outcome, Reply

#: How a line begins, and an example.
_BEGINNING = re.compile(rb'\{"key": "[0-9a-f]{32}", "message": ')
_EXAMPLE = b'{"key": "%b", "message": ' % (b"0" * 32)

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
        ValueError: another run is writing to the file, or it is not a journal (and stays as it
            is).
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, scope: Dict[str, Any]) -> None:
        self._scope = scope
        self._counts: Dict[bytes, int] = {}
        self._offsets: Dict[str, int] = {}
        self._lock = threading.Lock()
        self._files = ExitStack()
        try:
            # Unbuffered, so that a forked child has nothing left to write.
            file = path.open("ab", buffering=0)
            self._file = self._files.enter_context(file)
            self._reader = self._files.enter_context(path.open("rb"))
            _journals.add(self)
            _lock(self._file, path)
            self._read(path)
        except BaseException:
            self._files.close()
            raise

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
            if reply is not None:
                self._offsets[key] = offset
            offset += len(line)

    def key(self, message: object) -> str:
        """
        Return the key of a message. Equal messages are counted, so that each has its own key.

        Raises:
            TypeError: the message cannot be written as JSON.
        """
        try:
            scoped = _json([self._scope, message], sort_keys=True)
        except (RecursionError, TypeError, ValueError) as error:
            raise TypeError(f"the message cannot be written to a journal: {error}") from None
        digest = hashlib.sha256(scoped).digest()[:16]
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
        """
        line = _json(_fields(outcome)) + b"\n"
        with self._lock:
            if not self._file.closed:
                self._write(line)

    def _write(self, line: bytes) -> None:
        end = self._file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except BaseException:
            self._file.truncate(end)  # a torn line would make the following ones unreadable
            raise

    def close(self) -> None:
        """Close the file, so that another run can write to it."""
        with self._lock:
            if not self._file.closed:
                _unlock(self._file)
            self._files.close()

    def after_fork(self) -> None:
        """Close the file in a forked child; the lock stays with the parent process."""
        self._file.close()


def _parse(line: bytes) -> Tuple[str, Optional[Reply]]:
    """Return the key of the outcome in a line, and its reply; None if it failed."""
    entry = json.loads(line)
    key, reply, error = entry["key"], entry["reply"], entry["error"]
    if not isinstance(key, str) or "message" not in entry or (reply is None) == (error is None):
        raise ValueError
    if reply is None:
        return key, None
    return key, parse_reply(reply["raw"], reply["text"], reply["chat_id"])


def _fields(outcome: Outcome) -> Dict[str, Any]:
    """Return the fields of a line. The key comes first, by which `_is_torn` recognizes a line."""
    reply, error = outcome.reply, outcome.error
    return {
        "key": outcome.key,
        "message": outcome.message,
        "reply": None
        if reply is None
        else {"text": str(reply), "chat_id": reply.chat_id, "raw": reply.raw},
        "error": None if error is None else {"class": type(error).__name__, "text": str(error)},
    }


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
        json.loads(line)
    except (RecursionError, ValueError):
        return False
    return True


def _json(value: object, *, sort_keys: bool = False) -> bytes:
    """Return JSON in UTF-8. Only lone surrogates are escaped, so that any language is readable."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=sort_keys)
    return text.encode("utf-8", "backslashreplace")


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock_or_fail(file: BinaryIO) -> None:
        file.seek(0x7FFFFFFE)  # beyond the last line, because others cannot read locked bytes
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: BinaryIO) -> None:
        """Do nothing: closing the file unlocks it."""

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
        raise ValueError(f"another run is writing to the journal {path}") from None


_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def _after_fork() -> None:
    for journal in list(_journals):
        journal.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
