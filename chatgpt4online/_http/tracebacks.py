"""
Errors without local variables, since those of frames that send requests contain secrets.

Debuggers and error trackers show the variables of each frame of a traceback. This module clears the
frames of this package and of the libraries below it, never those of the caller.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import wraps
from types import FrameType
from typing import Any, Callable, Iterator, List, Set, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

#: The packages whose frames may contain a secret.
_PACKAGES = frozenset(
    {
        *("chatgpt4online", "requests", "urllib3", "socks", "email", "http", "json", "socket"),
        *("ssl", "urllib"),
    }
)

#: Those whose errors may quote what was sent. Python's own modules are recognized by their place.
_LIBRARIES = _PACKAGES | {"OpenSSL", "eventlet", "gevent", "idna"}

_PYTHON = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - pathlib would be imported for it


def clear(error: BaseException) -> None:
    """Clear the local variables of all frames that an error has left, and its causes' frames."""
    for each in _chain(error):
        traceback = each.__traceback__
        while traceback is not None:
            if _is_inner(traceback.tb_frame):
                with suppress(RuntimeError):  # it is still running
                    traceback.tb_frame.clear()
            traceback = traceback.tb_next


def strip(error: BaseException) -> None:
    """Take the tracebacks from an error and its causes."""
    for each in _chain(error):
        each.__traceback__ = None


def callers_line(error: BaseException) -> str:
    """
    Return file and line of the caller's code that raised an error; empty if a library raised it.

    What Python's own modules raise counts as raised by the code that called them.
    """
    place, traceback = "", error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        path = frame.f_code.co_filename
        if not _is_pythons(path):
            is_callers = _root(frame) not in _LIBRARIES
            place = f"{os.path.basename(path)}, line {traceback.tb_lineno}" if is_callers else ""  # noqa: PTH119
        traceback = traceback.tb_next
    return place


def _is_pythons(path: str) -> bool:
    """Return whether a source file is of a module that comes with Python."""
    if not path.startswith(_PYTHON):
        return path.startswith("<frozen")
    return not path[len(_PYTHON) :].startswith(("site-packages", "dist-packages"))


def clears_frames(function: F) -> F:
    """Make a function hide its arguments, and all variables below it, from what it raises."""

    @wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except BaseException as error:
            del args, options
            clear(error)
            raise

    return cast("F", wrapper)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those before it, except what the caller was handling at the time."""
    seen: Set[int] = set()
    found: List[BaseException] = [error]
    while found:
        each = found.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        before = (each.__cause__, each.__context__)
        found += [other for other in before if other is not None and _is_from_below(other)]
        yield each


def _is_from_below(error: BaseException) -> bool:
    return error.__traceback__ is None or _is_inner(error.__traceback__.tb_frame)


def _is_inner(frame: FrameType) -> bool:
    return _root(frame) in _PACKAGES


def _root(frame: FrameType) -> str:
    """Return the name of a frame's package."""
    return str(frame.f_globals.get("__name__")).partition(".")[0]
