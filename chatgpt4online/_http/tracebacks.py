"""
Errors without local variables, since those of frames that send requests contain secrets.

Debuggers and error trackers show the variables of each frame of a traceback. What is cleared here
are the frames of this package and of the libraries below it, never those of the caller.
"""

from __future__ import annotations

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
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _PACKAGES
