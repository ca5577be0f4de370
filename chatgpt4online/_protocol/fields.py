"""
Readers for loosely typed JSON, and conversion of a site's messages to plain text.

PHP writes an empty object as ``[]``, and AI Engine writes an id that looks like a number as a
number. Each reader returns a default for a value of another type, so that one unexpected field
does not make the whole answer unreadable.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional

from chatgpt4online._validation import LONE_SURROGATE
from chatgpt4online.errors import ProtocolError

_MOST_DIGITS = 1000
#: No character has a number of more digits.
_LONG_REFERENCE = re.compile("&#(?:[xX][0-9a-fA-F]{8,}|[0-9]{8,});?")


def parse_json(text: str) -> Any:
    """
    Return the JSON value at the start of a text. What servers append to it is ignored.

    A lone surrogate becomes U+FFFD, because it can be neither printed nor sent back.

    Raises:
        ProtocolError: the text does not begin with a JSON value.
    """
    try:
        value = _decode(text.lstrip())[0]
        # Most texts have no backslash, and looking for one is the cheapest test.
        has_surrogates = "\\" in text and ("\\ud" in text or "\\uD" in text)
        return _without_surrogates(value) if has_surrogates else value
    except (ValueError, RecursionError):
        raise ProtocolError("the response is not JSON") from None


def json_end(text: str) -> int:
    """
    Return where the JSON value ends that a text begins with.

    Raises:
        ProtocolError: the text does not begin with a JSON value.
    """
    try:
        return _decode(text)[1]
    except (ValueError, RecursionError):
        raise ProtocolError("the response is not JSON") from None


def _integer(digits: str) -> int:
    """Return an integer. Too many digits raise, because older Pythons need quadratic time."""
    if len(digits) > _MOST_DIGITS:
        raise ValueError
    return int(digits)


_decode = json.JSONDecoder(parse_int=_integer).raw_decode


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def as_dict(value: object) -> Dict[str, Any]:
    """Return a JSON object; an empty one for anything else, such as PHP's ``[]``."""
    return value if isinstance(value, dict) else {}


def list_of(fields: Mapping[str, Any], name: str, item_type: type) -> List[Any]:
    """Return the items of one type in a field's list; ``[]`` if the field is not a list."""
    items = fields.get(name)
    if not isinstance(items, list):
        return []
    return [item for item in items if isinstance(item, item_type)]


def as_str(value: object) -> Optional[str]:
    """Return a str, or None."""
    return value if isinstance(value, str) else None


def as_int(value: object) -> Optional[int]:
    """Return an int, or None; a bool is not one."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_number(value: object) -> Optional[float]:
    """Return an int or a float, or None; a bool is not one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return None


def as_count(value: object) -> Optional[int]:
    """Return a whole number of at least 0, which may be written as digits; else None."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,18}", value):
        return int(value)
    number = as_int(value)
    return None if number is None or number < 0 else number


def as_id(value: object) -> Optional[str]:
    """Return an id as text, even if it was written as a number; else None."""
    number = as_int(value)
    return (as_str(value) or None) if number is None else str(number)


def as_time(value: object) -> Optional[datetime]:
    """Return a UTC time such as ``2026-11-23 00:40:50``; None for anything else."""
    try:
        return datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def as_text(value: object) -> str:
    """Return a site's text unchanged, markup and line breaks included."""
    return value if isinstance(value, str) else plain_text(value)


def plain_text(value: object) -> str:
    """Return a site's message as one line of printable text, at most 500 characters long."""
    if not isinstance(value, str):
        return "" if value is None or value is False else plain_text(_dumped(value))
    from html import unescape  # imported here to keep `import chatgpt4online` fast

    untagged = re.sub(r"<[a-zA-Z/!?][^<>]*>", " ", value[:5000])
    words = unescape(without_long_references(untagged)).split()
    printable = " ".join(filter(None, ("".join(filter(str.isprintable, word)) for word in words)))
    return printable if len(printable) <= 500 else printable[:499] + "…"


def without_long_references(html: str) -> str:
    """Replace character references like ``&#99...9;``, whose numbers Python refuses to read."""
    return _LONG_REFERENCE.sub("\ufffd", html)


def _dumped(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return ""


def sentence(message: str) -> str:
    """Return a message with a full stop, unless it already ends like a sentence."""
    return message if message.endswith((".", "!", "?")) else message + "."
