"""PHP's own rules for JSON, trimming and truth, which the plugin's behaviour depends on."""

from __future__ import annotations

import json
from typing import Any


def php_trim(text: str) -> str:
    """Return a text without leading and trailing whitespace, as PHP's ``trim`` defines it."""
    return text.strip(" \t\n\r\0\x0b")


def php_json(value: Any) -> bytes:
    """Return JSON as PHP's ``json_encode`` writes it: no spaces, ASCII only, escaped slashes."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def php_bool(value: Any) -> bool:
    """Return a value's truth in PHP, where the string "0" is false and "false" is true."""
    return bool(value) and value != "0"
