"""Files that survive a crash and that other users of the machine cannot read."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from time import sleep
from typing import IO, Any

#: Errors of a file system that does not support fsync; any other error is a failure.
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

#: Windows cannot replace an open file; virus scanners and editors open files for a moment.
CANNOT_REPLACE_OPEN_FILES = os.name == "nt"
_RETRY_DELAYS = (0.01, 0.03, 0.1, 0.3, 0.6)  # seconds


def sync(file: IO[Any]) -> None:
    """
    Flush a file to the disk, if the file system supports it.

    Raises:
        OSError: it cannot be written.
    """
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def open_private(path: str, flags: int) -> int:
    """Open a file as `os.open` does; a new one is for its owner only. For use as an opener."""
    return os.open(path, flags, 0o600)


def replace(path: str, text: str) -> None:
    """
    Write a file, all of it or nothing, in place of the one that it or a symbolic link names.

    Raises:
        OSError: the file cannot be written; the old one is as it was.
    """
    try:
        _replace(os.path.realpath(path), text)
    except OSError as error:  # it may name the temporary file, which the caller does not know
        raise OSError(error.errno, error.strerror, path) from None


def _replace(target: str, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(target))  # noqa: PTH120
    try:
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - a handle, not a path
            file.write(text)
            sync(file)
        _rename(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _rename(source: str, target: str) -> None:
    for delay in _RETRY_DELAYS if CANNOT_REPLACE_OPEN_FILES else ():
        with suppress(PermissionError):
            os.replace(source, target)  # noqa: PTH105
            return
        sleep(delay)
    os.replace(source, target)  # noqa: PTH105
