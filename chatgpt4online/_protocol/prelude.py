"""
Where an answer starts: after whatever other plugins, PHP and caches print before it.

The widget skips every line that does not begin with ``data: ``, so it shows an answer that follows
a warning, a debug line or a script (source: AI Engine 2.4.3 to 3.6.2). This module does the same.
"""

from __future__ import annotations

import re
from typing import FrozenSet, NamedTuple, Optional, Tuple

from chatgpt4online.errors import ProtocolError

from .fields import json_end, parse_json

#: An answer starts within so many bytes; so much of a page is read for an error.
LIMIT = 64 * 1024

#: The first keys of answers, by their sender. Errors of WordPress begin with ``code``.
PLUGIN_KEYS = frozenset({"success", "code"})
USER_KEYS = frozenset({"id", "code"})
INDEX_KEYS = frozenset({"name", "namespaces", "code"})
NAMESPACE_KEYS = frozenset({"namespace", "routes", "code"})

_BYTES_BOM = b"\xef\xbb\xbf"
_STREAM = (b"data:", b"event:", b"id:", b"retry:", b":")
_PAGE = (b"<!doctype", b"<html")
_EVENT_TYPES = frozenset({"live", "end", "error"})
_FIRST_KEY = re.compile(rb'\{\s*"(\w+)"\s*:')
#: The beginning of an event, in the rest of a line.
_EVENT = re.compile(
    rb'[ \t\f\v]*\{[ \t\f\v]*"(?:type|data|subtype|visibility|timestamp|metadata)"[ \t\f\v]*:'
)
_LINE_END = re.compile(rb"[\r\n]")
_BLANKS = re.compile(r"[ \t\n\r\f\v\ufeff]*")
#: The most candidates that are parsed to find an answer.
_MAX_ATTEMPTS = 8


class Start(NamedTuple):
    """Where an answer starts, and whether it is a stream."""

    at: int
    is_stream: bool


def find_start(head: bytes, *, ended: bool, keys: FrozenSet[str] = PLUGIN_KEYS) -> Optional[Start]:
    """
    Return where in the first bytes of a body its answer starts; None if more are needed to decide.

    A body without an answer, such as a page, starts at its first byte that is not blank.

    Args:
        head: the bytes so far.
        ended: no more bytes come.
        keys: the first keys of what is an answer in JSON.
    """
    begin = _blank_length(head)
    body = head[begin : begin + 16]
    if body.startswith(_STREAM):
        return Start(begin, is_stream=True)
    if body.lower().startswith(_PAGE):
        return Start(begin, is_stream=False)
    if not ended and len(head) <= LIMIT and _is_undecided(body):
        return None
    stream = _find_stream(head, begin, ended)
    if stream is not None:
        return Start(stream, is_stream=True) if stream >= 0 else None
    return Start(_find_json(head, begin, keys), is_stream=False) if ended else None


def _blank_length(head: bytes) -> int:
    """Return where the blanks, byte order marks and comments at the beginning end."""
    text = head[:LIMIT].decode("utf-8", "ignore")
    return len(text[: _skip_blanks(text, 0)].encode())


def _skip_blanks(text: str, at: int) -> int:
    """Return where the blanks, byte order marks and HTML comments that begin at an index end."""
    while True:
        at = _BLANKS.match(text, at).end()  # type: ignore[union-attr] # it can match nothing
        end = text.find("-->", at + 4) if text.startswith("<!--", at) else -1
        if end < 0:
            return at
        at = end + 3


def _is_undecided(body: bytes) -> bool:
    """Return whether these bytes are too few to decide what they are the beginning of."""
    words = (*_STREAM, *_PAGE, b"<!--", _BYTES_BOM)
    start = body.lower()
    return not body or body.startswith(b"<!--") or any(word.startswith(start) for word in words)


def _find_stream(head: bytes, begin: int, ended: bool) -> Optional[int]:
    """Return where the first event starts; -1 if its line has not ended; None if there is none."""
    attempts = 0
    at = head.find(b"data:", begin, LIMIT)
    while at >= 0 and attempts < _MAX_ATTEMPTS:
        # Only then: finding the end of its line for each "data:" would take quadratic time.
        if _EVENT.match(head, at + len(b"data:")):
            line, is_whole = _line(head, at + len(b"data:"))
            if not (is_whole or ended):
                return -1
            attempts += 1
            if _is_event(line) or (not is_whole and _is_cut(line)):
                return at
        at = head.find(b"data:", at + 1, LIMIT)
    return None


def _line(head: bytes, at: int) -> Tuple[bytes, bool]:
    """Return the rest of a line without surrounding blanks, and whether it is complete."""
    end = _LINE_END.search(head, at)
    return head[at : end.start() if end else len(head)].strip(), end is not None


def _has_first_key(text: bytes, keys: FrozenSet[str]) -> bool:
    match = _FIRST_KEY.match(text)
    return match is not None and match[1].decode("ascii", "replace") in keys


def _is_event(line: bytes) -> bool:
    try:
        event = parse_json(line.decode("utf-8")) if line.endswith(b"}") else None
    except (ProtocolError, UnicodeDecodeError):
        return False
    return isinstance(event, dict) and event.get("type") in _EVENT_TYPES and "data" in event


def _is_cut(line: bytes) -> bool:
    """Return whether a line is an incomplete object, not a complete one followed by other text."""
    try:
        json_end(line.decode("utf-8", "ignore"))
    except ProtocolError:
        return True
    return False


def _find_json(head: bytes, begin: int, keys: FrozenSet[str]) -> int:
    """Return where the last object that is an answer and ends the body starts, else `begin`."""
    if _has_first_key(head[begin : begin + 200], keys):
        return begin
    places = [
        match.start()
        for match in _FIRST_KEY.finditer(head, begin, begin + LIMIT)
        if match[1].decode("ascii", "replace") in keys
    ]
    last = places[: -_MAX_ATTEMPTS - 1 : -1]
    return next((at for at in last if _ends_body(head[at:])), begin)


def _ends_body(tail: bytes) -> bool:
    """Return whether the rest of a body is a JSON object, followed only by blanks and comments."""
    try:
        text = tail.decode("utf-8")
        return _skip_blanks(text, json_end(text)) == len(text)
    except (ProtocolError, UnicodeDecodeError):
        return False
