"""What a response says about caches and other plugins between a client and the plugin."""

from __future__ import annotations

import re
from typing import Mapping

from .fields import plain_text
from .prelude import find_start

_HIT = re.compile(r"\bhit\b", re.IGNORECASE)
_NUMBER = re.compile(r"[1-9][0-9]*")

#: The most characters that are quoted of what something printed.
_QUOTED = 60


def is_from_cache(headers: Mapping[str, str]) -> bool:
    """
    Return whether a cache says that a response is a copy.

    Source: RFC 9111, Age; RFC 9211, Cache-Status; X-Cache, CF-Cache-Status, X-LiteSpeed-Cache,
    X-FastCGI-Cache and their like.
    """
    hits = [value for name, value in headers.items() if "cache" in name.lower()]
    return any(map(_HIT.search, hits)) or bool(_NUMBER.fullmatch(headers.get("age", "").strip()))


def printed_before(body: bytes) -> str:
    """
    Return the beginning of what stands before the plugin's JSON; empty if nothing does.

    Args:
        body: the first bytes of a response.
    """
    start = find_start(body, ended=True)
    before = body[: start.at if start else 0].decode("utf-8", "replace")
    shown = " ".join(before.replace("\ufeff", "").split())
    return plain_text(shown)[:_QUOTED] or shown[:_QUOTED]
