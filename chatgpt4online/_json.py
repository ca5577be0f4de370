"""Encode values as JSON, even if they contain what JSON cannot express."""

from __future__ import annotations

import json
import reprlib
from typing import Any


def finite_json(value: object) -> str:
    """
    Return a value as JSON, with None for each number that JSON does not have: NaN, infinity.

    Raises:
        TypeError: JSON has no such value.
        ValueError: the value contains itself.
        RecursionError: it is nested too deeply.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(finite, ensure_ascii=False)


def json_ready(value: Any) -> Any:
    """Return a value, or the next best that JSON can encode: a description as the last resort."""
    if value is None or type(value) in (str, int):
        return value
    try:
        return json.loads(finite_json(value))
    except (TypeError, ValueError, RecursionError):
        return reprlib.repr(value)
