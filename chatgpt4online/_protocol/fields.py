"""
Readers for loosely typed JSON, and conversion of a site's messages to plain text.

PHP writes an empty object as ``[]``, and AI Engine writes an id that looks like a number as a
number. Each reader returns a default for a value of another type, so that one unexpected field
does not make the whole answer unreadable.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional

from chatgpt4online._validation import LONE_SURROGATE
from chatgpt4online.errors import ProtocolError

#: The most bytes of one event or JSON body. A text in it may take as many in memory, where one
#: character beyond U+00FF makes Python take 2 bytes for each, and one beyond U+FFFF 4 bytes. The
#: deltas of one stream may have as many characters in all.
MAX_BYTES = 8 * 1024 * 1024

#: The most values of one JSON text, counted by its commas and opening brackets.
MAX_VALUES = 500_000

#: What the json module of Python 3.8 turns into objects, but later ones do not: escapes.
_ESCAPES_ARE_VALUES = sys.version_info < (3, 9)

#: What a str takes in memory besides its characters, in bytes.
_STR_OVERHEAD = sys.getsizeof("\U00010000")

_MAX_DIGITS = 1000
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
#: No character's number has this many digits.
_LONG_REFERENCE = "&#(?:[xX][0-9a-fA-F]{8,}|[0-9]{8,});?"
_BLOCK = 64 * 1024


def parse_json(text: str) -> Any:
    """
    Return the JSON value at the start of a text. What servers append to it is ignored.

    A lone surrogate becomes U+FFFD, because it can be neither printed nor sent back.

    Raises:
        ProtocolError: the text does not begin with a JSON value, or exceeds a limit.
    """
    check_size(text)
    try:
        value = _decode(text, len(text) - len(text.lstrip()))[0]
        # Most texts have no backslash, and looking for one is the cheapest test.
        has_surrogates = "\\" in text and ("\\ud" in text or "\\uD" in text)
        return _without_surrogates(value) if has_surrogates else value
    except (ValueError, RecursionError):
        raise ProtocolError("the response is not JSON") from None


def json_end(text: str) -> int:
    """
    Return where the JSON value at the start of a text ends.

    Raises:
        ProtocolError: the text does not begin with a JSON value, or exceeds a limit.
    """
    check_size(text)
    try:
        return _decode(text)[1]
    except (ValueError, RecursionError):
        raise ProtocolError("the response is not JSON") from None


def check_size(text: str) -> None:
    """
    Check that parsing a JSON text costs little memory, without parsing it.

    Parsing takes at most 12 times what the text takes in memory, and 150 bytes per value.

    Raises:
        ProtocolError: the text exceeds `MAX_BYTES` or `MAX_VALUES`.
    """
    if len(text) <= MAX_VALUES:
        return  # in memory, it takes at most 4 bytes for each
    if sys.getsizeof(text) - _STR_OVERHEAD > MAX_BYTES:
        raise ProtocolError(f"a text of the answer takes more than {MAX_BYTES} bytes in memory")
    if _count_values(text) > MAX_VALUES:
        raise ProtocolError(f"the JSON of the answer has more than {MAX_VALUES} values")


def _count_values(text: str) -> int:
    """Return the number of values in a JSON text, or more, since strings hold commas too."""
    escapes = text.count("\\") - text.count("\\\\")
    values = text.count(",") + text.count("[") + text.count("{")
    return values + escapes * _ESCAPES_ARE_VALUES


def _integer(digits: str) -> int:
    """Return an integer. Too many digits raise, because older Pythons need quadratic time."""
    if len(digits) > _MAX_DIGITS:
        raise ValueError
    return int(digits)


_decode = json.JSONDecoder(parse_int=_integer).raw_decode


def _without_surrogates(value: Any) -> Any:
    """Return a JSON value without lone surrogates. Lists and objects are changed in place."""
    if isinstance(value, str):
        return _replace_surrogates(value)
    if isinstance(value, list):
        for index, item in enumerate(value):
            value[index] = _without_surrogates(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            value[key] = _without_surrogates(item)
        if any(map(LONE_SURROGATE.search, value)):
            return {_replace_surrogates(key): item for key, item in value.items()}
    return value


def _replace_surrogates(text: str) -> str:
    """Return a text with U+FFFD for each lone surrogate."""
    if len(text) <= _BLOCK:
        return LONE_SURROGATE.sub("\ufffd", text)
    if not LONE_SURROGATE.search(text):
        return text
    # In blocks, and joined as UTF-8, because both the pieces of a text with many surrogates and
    # those of a text with wide characters take many times its size.
    blocks = (text[at : at + _BLOCK] for at in range(0, len(text), _BLOCK))
    return b"".join(LONE_SURROGATE.sub("\ufffd", block).encode() for block in blocks).decode()


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


def as_word(value: object) -> Optional[str]:
    """Return a str that is not blank, or None."""
    return value if isinstance(value, str) and value.strip() else None


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
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).replace(tzinfo=timezone.utc)
    except ValueError:  # the 31st of February
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
    """Replace character references such as ``&#99...9;``, whose numbers Python cannot parse."""
    return re.sub(_LONG_REFERENCE, "\ufffd", html)


def _dumped(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return ""


def sentence(message: str) -> str:
    """Return a message with a full stop, unless it already ends like a sentence."""
    return message if message.endswith((".", "!", "?")) else message + "."
