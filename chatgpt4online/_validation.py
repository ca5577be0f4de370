"""Checks of what callers pass in. Each raises ValueError or TypeError and says what is wrong."""

from __future__ import annotations

import re
from typing import Any, Callable, Collection, Optional, Tuple, Type, TypeVar, Union

T = TypeVar("T")

#: Seconds, or (connect, silence) in seconds; None means no limit.
Timeouts = Union[None, float, Tuple[Optional[float], Optional[float]]]

#: (connect, silence) in seconds; None means no limit.
Limits = Tuple[Optional[float], Optional[float]]

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
#: A longer time limit counts as no limit, because threads and sockets cannot wait longer.
_MAX_SECONDS = 1e6


def plain_str(value: str) -> str:
    """
    Return the characters of a str as a plain one.

    `str` would call the `__str__` of a subclass, such as a member of a ``(str, Enum)`` class.
    """
    return str.__str__(value)


def text(value: object, name: str, error: Type[ValueError] = ValueError) -> str:
    """Return a plain str that UTF-8 can encode."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type_name(value)}")
    if LONE_SURROGATE.search(value):
        raise error(f"{name} contains a lone surrogate and cannot be encoded as UTF-8")
    return plain_str(value)


def identifier(value: object, name: str) -> str:
    """Return a plain str that is not blank."""
    given = text(value, name)
    if not given.strip():
        raise ValueError(f"{name} is empty")
    return given


def optional(check: Callable[[object, str], T], value: Optional[T], name: str) -> Optional[T]:
    """Return a value that passes the check, or None."""
    return None if value is None else check(value, name)


def count(value: object, name: str) -> int:
    """Return a whole number of at least 0."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type_name(value)}")
    if value < 0:
        raise ValueError(f"{name} must not be negative")
    return value


def positive(value: object, name: str) -> int:
    """Return a whole number above 0."""
    number = count(value, name)
    if number == 0:
        raise ValueError(f"{name} must be 1 or more")
    return number


def one_of(value: object, known: Collection[str], name: str) -> str:
    """Return a plain str that is one of the known values."""
    given = plain_str(value) if isinstance(value, str) else value
    if not isinstance(given, str) or given not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {given!r}")
    return given


def limits(timeout: Timeouts) -> Limits:
    """Return the pair of limits that a number of seconds, or a pair, means."""
    if isinstance(timeout, (tuple, list)):
        if len(timeout) != 2:
            raise ValueError("timeout must be a number, or a pair (connect, silence)")
        return seconds(timeout[0], "timeout"), seconds(timeout[1], "timeout")
    both = seconds(timeout, "timeout")
    return both, both


def seconds(value: Optional[float], name: str) -> Optional[float]:
    """Return a number of seconds above 0; None, which also stands for infinity, for no limit."""
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number of seconds, not {type_name(value)}")
    if not value > 0:  # also false for NaN
        raise ValueError(f"{name} must be more than 0 seconds")
    return None if value > _MAX_SECONDS else float(value)


def type_name(value: Any) -> str:
    """Return the name of a value's type."""
    return type(value).__name__


def at_least_one(values: Tuple[T, ...], name: str) -> Tuple[T, ...]:
    """Return the values, of which there must be at least one."""
    if not values:
        raise ValueError(f"no {name} given")
    return values
