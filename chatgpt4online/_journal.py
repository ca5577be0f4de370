"""Outcomes in a file, so that a run that was killed goes on where it was."""

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

#: A line's first bytes, and an example of them.
_BEGINNING = re.compile(rb'\{"key": "[0-9a-f]{32}", "message": ')
_EXAMPLE = b'{"key": "%b", "message": ' % (b"0" * 32)

#: What reading a line that is no outcome may raise.
_NO_OUTCOME = (
    AttributeError,
    ChatGPT4OnlineError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Journal:
    """
    The outcomes of runs in a file, one JSON object a line, each on the disk when it is known.

    A line that a killed run has left unfinished is cut off. Threads may add to it. It knows, in
    memory, each message by about 100 bytes.

    Args:
        path: the file; a new one is made.
        scope: what decides the answers beside the messages; a part of each key.

    Raises:
        ValueError: another run is writing to it, or it holds something else and is left as it is.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, scope: Dict[str, Any]) -> None:
        self._scope = scope
        self._counts: Dict[bytes, int] = {}
        self._places: Dict[str, int] = {}
        self._lock = threading.Lock()
        self._files = ExitStack()
        try:
            # Unbuffered, so that nothing of it is left to be written in a forked child.
            file = path.open("ab", buffering=0)
            self._file = self._files.enter_context(file)
            self._reader = self._files.enter_context(path.open("rb"))
            _journals.add(self)
            _lock(self._file)
            self._read()
        except BaseException:
            self._files.close()
            raise

    def _read(self) -> None:
        """Find each answer, and cut off what a killed run has left unfinished."""
        place = 0
        for number, line in enumerate(self._reader, 1):
            if _is_torn(line):
                self._file.truncate(place)
                break
            try:
                key, reply = _parse(line)
            except _NO_OUTCOME:
                raise ValueError(f"the journal is none: line {number} is no outcome") from None
            if reply is not None:
                self._places[key] = place
            place += len(line)

    def key(self, message: object) -> str:
        """
        Return a message's key. Equal messages are counted, so that each has a key of its own.

        Raises:
            TypeError: JSON cannot hold it.
        """
        try:
            asked = _json([self._scope, message], sort_keys=True)
        except (RecursionError, TypeError, ValueError) as error:
            raise TypeError(f"the message cannot be kept in a journal: {error}") from None
        digest = hashlib.sha256(asked).digest()[:16]
        number = self._counts[digest] = self._counts.get(digest, 0) + 1
        return hashlib.sha256(b"%b %d" % (digest, number)).hexdigest()[:32]

    def reply(self, key: str) -> Optional[Reply]:
        """Return the answer that an earlier run has got, or None."""
        place = self._places.pop(key, None)
        if place is None:
            return None
        self._reader.seek(place)
        return _parse(self._reader.readline())[1]

    def add(self, outcome: Outcome) -> None:
        """
        Write an outcome, down to the disk. Once the journal is closed, nothing is written.

        Raises:
            OSError: it cannot be written, and the journal is as it was.
        """
        line = _json(_fields(outcome)) + b"\n"
        with self._lock:
            if not self._file.closed:
                self._write(line)

    def _write(self, line: bytes) -> None:
        place = self._file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except BaseException:
            self._file.truncate(place)  # a torn line in the middle would spoil the rest
            raise

    def close(self) -> None:
        """Let another run write."""
        with self._lock:
            if not self._file.closed:
                _unlock(self._file)
            self._files.close()

    def after_fork(self) -> None:
        """Leave the file, and the lock that goes with it, to the parent process."""
        self._file.close()


def _parse(line: bytes) -> Tuple[str, Optional[Reply]]:
    """Return the key of the outcome that a line holds, and its reply; None if it is an error."""
    entry = json.loads(line)
    key, reply, error = entry["key"], entry["reply"], entry["error"]
    if not isinstance(key, str) or "message" not in entry or (reply is None) == (error is None):
        raise ValueError
    if reply is None:
        return key, None
    return key, parse_reply(reply["raw"], reply["text"], reply["chat_id"])


def _fields(outcome: Outcome) -> Dict[str, Any]:
    """Return what a line holds. It begins with the key, by which a torn one is known."""
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
    """Say whether a file's last line is the beginning of one of ours. A foreign file has none."""
    if line.endswith(b"\n") or not _BEGINNING.match(line + _EXAMPLE[len(line) :]):
        return False
    try:
        _parse(line)  # whole but for its end
    except _NO_OUTCOME:
        return not _is_json(line)
    return True


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (RecursionError, ValueError):
        return False
    return True


def _json(value: object, *, sort_keys: bool = False) -> bytes:
    """Return a value's JSON, readable in any language; halves of surrogate pairs are escaped."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=sort_keys)
    return text.encode("utf-8", "backslashreplace")


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock_or_fail(file: BinaryIO) -> None:
        file.seek(0x7FFFFFFE)  # where no line is, for others could not read what is locked
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: BinaryIO) -> None:
        """Do nothing: closing the file unlocks it."""

    _TAKEN: Tuple[type, ...] = (PermissionError,)
else:
    import fcntl

    def _lock_or_fail(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)  # a child that was just forked may have the file open yet

    _TAKEN = (BlockingIOError,)


def _lock(file: BinaryIO) -> None:
    """Refuse a file that another run has locked. The lock goes at the latest when it is closed."""
    try:
        _lock_or_fail(file)
    except _TAKEN:
        raise ValueError("another run is writing to the journal") from None


_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def _after_fork() -> None:
    for journal in list(_journals):
        journal.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
