"""What differs on Windows, simulated where these tests run on another system."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from chatgpt4online import Client, Conversation, Outcome, Reply, _disk, _journal
from chatgpt4online._http import call

# -------------------------------------------------------------------------------------- journals


class Msvcrt(ModuleType):
    """The locks of Windows, each of one byte at the file's position, for one process."""

    LK_UNLCK, LK_NBLCK = 0, 2

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.locked: Dict[Tuple[int, int], int] = {}

    def locking(self, handle: int, mode: int, size: int) -> None:
        """Lock or unlock the byte at the position."""
        place = (os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR))
        assert size == 1
        if mode == self.LK_UNLCK:
            if self.locked.pop(place, None) != handle:
                raise PermissionError(errno.EACCES, "Permission denied")
        elif self.locked.setdefault(place, handle) != handle:
            raise PermissionError(errno.EACCES, "Permission denied")


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> Msvcrt:
    """Put a simulated `msvcrt` in place."""
    locks = Msvcrt()
    monkeypatch.setitem(sys.modules, "msvcrt", locks)
    return locks


@pytest.fixture
def journals(locks: Msvcrt) -> Iterator[Any]:
    """Return the module of journals as Windows loads it."""
    spec = importlib.util.spec_from_file_location(
        "chatgpt4online._journal_of_windows", _journal.__file__
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        spec.loader.exec_module(module)
    yield module
    assert not locks.locked


def test_one_run_writes_to_a_journal(journals: Any, tmp_path: Path) -> None:
    """A journal that one run writes to is refused to another one, until it is closed."""
    path = tmp_path / "answers.jsonl"
    first = journals.Journal(path, {})
    with pytest.raises(ValueError, match="another run is writing"):
        journals.Journal(path, {})
    first.close()
    journals.Journal(path, {}).close()


def test_lines_stand_before_the_lock(journals: Any, tmp_path: Path) -> None:
    """The locked byte is far beyond the lines, which other programs can read."""
    path = tmp_path / "answers.jsonl"
    journal = journals.Journal(path, {})
    for index, message in enumerate(["a", "b"]):
        reply = Reply(message, chat_id="c", raw={})
        key = journal.key(message)
        journal.add(Outcome(index=index, message=message, reply=reply, error=None, key=key))
    assert len(path.read_bytes().splitlines()) == 2
    assert path.stat().st_size < 2000
    journal.close()


def test_a_file_system_without_locks(
    journals: Any, locks: Msvcrt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without locks, a journal works."""

    def fails(*_: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(locks, "locking", fails)
    journals.Journal(tmp_path / "answers.jsonl", {}).close()


# ----------------------------------------------------------------------------- replacing a file


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> List[int]:
    """
    Return the attempts to replace a file that another program has open.

    The first item is the number of attempts that fail; each attempt adds its number.
    """
    attempts = [0]
    real = os.replace

    def replace(source: str, target: str) -> None:
        attempts.append(len(attempts))
        if len(attempts) <= attempts[0] + 1:
            raise PermissionError(errno.EACCES, "Access is denied", source, 5, target)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(_disk, "CANNOT_REPLACE_OPEN_FILES", True)
    monkeypatch.setattr(_disk, "sleep", lambda seconds: None)
    return attempts


def save(path: Path) -> None:
    """Save a conversation."""
    with Client("https://a.example") as client:
        Conversation(client, messages=[{"role": "user", "content": "Hi"}]).save(path)


@pytest.mark.parametrize("failures", [0, 1, len(_disk._RETRY_DELAYS)])
def test_a_file_that_is_open_for_a_moment(
    tmp_path: Path, attempts: List[int], failures: int
) -> None:
    """A file that another program has open for a moment is replaced when it is closed."""
    attempts[0] = failures
    save(tmp_path / "talk.json")
    assert attempts[1:] == list(range(1, failures + 2))
    assert [each.name for each in tmp_path.iterdir()] == ["talk.json"]


def test_a_file_that_stays_open(tmp_path: Path, attempts: List[int]) -> None:
    """A file that stays open is an error within about a second, and stays as it was."""
    attempts[0] = 100
    path = tmp_path / "talk.json"
    path.write_text("old")
    with pytest.raises(PermissionError):
        save(path)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["talk.json"]
    assert 0.5 < sum(_disk._RETRY_DELAYS) < 1.5


def test_elsewhere_a_refusal_is_final(
    tmp_path: Path, attempts: List[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On other systems, being open is no reason to refuse: the first refusal is final."""
    attempts[0] = 1
    monkeypatch.setattr(_disk, "CANNOT_REPLACE_OPEN_FILES", False)
    with pytest.raises(PermissionError):
        save(tmp_path / "talk.json")
    assert attempts[1:] == [1]


# ----------------------------------------------------------------------------------------- Ctrl-C


class Lock:
    """A lock that is released never, or at an acquisition; it records how long each waits."""

    def __init__(self, woken_at: int = 0) -> None:
        self.waits: List[float] = []
        self._woken_at = woken_at

    def acquire(self, timeout: float = -1) -> bool:
        """Return False, as when the time is over, unless it is woken now."""
        self.waits.append(timeout)
        return len(self.waits) == self._woken_at


@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.5, 60.0])
def test_a_wait_is_in_short_steps(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a wait within half a second, though Windows reports none while a lock waits."""
    wakeup = call.Wakeup()
    lock = Lock()
    monkeypatch.setattr(wakeup, "_lock", lock)
    assert not wakeup.wait(seconds)
    assert sum(lock.waits) == pytest.approx(seconds)
    assert max(lock.waits) <= 0.5


def test_a_wait_without_limit_ends_when_it_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait without a limit is in short steps, too, and goes on until it is woken."""
    wakeup = call.Wakeup()
    lock = Lock(woken_at=3)
    monkeypatch.setattr(wakeup, "_lock", lock)
    assert wakeup.wait(None)
    assert len(lock.waits) == 3
    assert 0 < max(lock.waits) <= 0.5
