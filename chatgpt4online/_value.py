"""
The base of all values: classes whose annotations are their fields.

A dataclass would do the same; but to import dataclasses, or to make named tuples of as many kinds,
takes a twentieth of the time that it takes to import requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, ClassVar, Dict, Tuple, Type, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[Type[T]], Type[T]]:
        """Tell type checkers, which read this at home, that subclasses are like dataclasses."""
        return lambda cls: cls


V = TypeVar("V", bound="Value")


@dataclass_transform(frozen_default=True)
class Value:
    """A value: its fields do not change once it is made, and it equals one with equal fields."""

    _fields: ClassVar[Tuple[str, ...]] = ()
    _defaults: ClassVar[Dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        """Find the fields. Those that the class gives a value need not be given."""
        cls._fields = tuple(cls.__annotations__)
        cls._defaults = {name: vars(cls)[name] for name in cls._fields if name in vars(cls)}

    def __init__(self, *values: Any, **named: Any) -> None:
        given = dict(zip(self._fields, values), **named)
        fields = {**self._defaults, **given}
        if len(given) < len(values) + len(named) or fields.keys() != set(self._fields):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self._fields)}")
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} does not change: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} does not change: {name} cannot be deleted")

    def _values(self) -> Tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._fields)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        fields = zip(self._fields, self._values())
        shown = ", ".join(f"{name}={value!r}" for name, value in fields)
        return f"{type(self).__name__}({shown})"


def changed(value: V, **changes: Any) -> V:
    """Return the same value but for some fields."""
    return type(value)(**{**vars(value), **changes})
