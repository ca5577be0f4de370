"""The check of an argument that names one of several choices."""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Union


def check_choice(name: str, value: str, known: Union[Mapping[str, Any], Sequence[str]]) -> None:
    """
    Check that a value is one of the known ones.

    Raises:
        ValueError: it is not.
    """
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}; known are {', '.join(sorted(known))}")
