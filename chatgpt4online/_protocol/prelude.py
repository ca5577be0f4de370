"""
Where an answer starts: after whatever other plugins, PHP and caches print before it.

The widget skips every line that does not begin with ``data: ``, so it shows an answer that follows
a warning, a debug line or a script (source: AI Engine 2.4.3 to 3.6.2). This module does the same.
"""

from __future__ import annotations

import re
from typing import FrozenSet, NamedTuple, Optional, Tuple, Union

from chatgpt4online.errors import ProtocolError

from .events import EVENT_TYPES, FIELD_PREFIXES
from .fields import json_end, parse_json

#: An answer starts within this many bytes; an error quotes a page up to here.
MAX_PRELUDE = 64 * 1024

#: The first keys of answers, by their sender. Errors of WordPress begin with ``code``.
PLUGIN_KEYS = frozenset({"success", "code"})
USER_KEYS = frozenset({"id", "code"})
INDEX_KEYS = frozenset({"name", "namespaces", "code"})
NAMESPACE_KEYS = frozenset({"namespace", "routes", "code"})

_BYTES_BOM = b"\xef\xbb\xbf"
_PAGE = (b"<!doctype", b"<html")
_FIRST_KEY = re.compile(rb'\{\s*"(\w+)"\s*:')
#: The beginning of an event, in the rest of a line.
_EVENT = re.compile(
    rb'[ \t\f\v]*\{[ \t\f\v]*"(?:type|data|subtype|visibility|timestamp|metadata)"[ \t\f\v]*:'
)
_LINE_END = re.compile(rb"[\r\n]")
_BLANKS = re.compile(rb"[ \t\n\r\f\v]*")
#: The most candidates that are parsed to find an answer.
_MAX_ATTEMPTS = 8
#: So many bytes decide whether a body begins as a stream or as a page.
_MAX_WORD = 16

Bytes = Union[bytes, bytearray]


class Start(NamedTuple):
    """Where an answer starts, and whether it is a stream."""

    at: int
    is_stream: bool


class StartFinder:
    """
    Finds where the answer starts in a body that arrives in pieces. It looks at each byte once.

    A body without an answer, such as a page, starts at its first byte that is not blank.

    Args:
        keys: the first keys of what is an answer in JSON.
    """

    def __init__(self, keys: FrozenSet[str] = PLUGIN_KEYS) -> None:
        #: The bytes so far.
        self.head = bytearray()
        self._keys = keys
        self._begin = 0  # where the blanks and comments end, as far as they have been skipped
        self._is_noise = False  # what follows them begins neither a stream nor a page
        self._searched = 0  # where to look for the end of a comment, and then of a line
        self._line = 0  # where the first line begins that has not ended
        self._attempts = 0

    def feed(self, data: bytes) -> Optional[Start]:
        """
        Return where the answer starts; None if more bytes are needed to decide.

        Args:
            data: the next bytes; none at the end of the body.
        """
        self.head += data
        start = None if self._is_noise else self._find_beginning(ended=not data)
        if start is None and self._is_noise:
            start = self._find_stream(ended=not data)
        if start is None and not data:
            at = _find_json(self.head, self._begin, self._keys)
            start = Start(at, is_stream=False)
        return start

    def _find_beginning(self, *, ended: bool) -> Optional[Start]:
        """Return where a body starts that begins as a stream or as a page."""
        head = self.head
        self._begin = _skip_blanks(head, self._begin, MAX_PRELUDE, self._searched)
        self._searched = max(self._begin, len(head) - len(b"--"))
        body = bytes(head[self._begin : self._begin + _MAX_WORD])
        if body.startswith(FIELD_PREFIXES):
            return Start(self._begin, is_stream=True)
        if body.lower().startswith(_PAGE):
            return Start(self._begin, is_stream=False)
        if ended or len(head) >= MAX_PRELUDE + _MAX_WORD or not _is_undecided(body):
            self._is_noise = True
            self._line = self._searched = self._begin
        return None

    def _find_stream(self, *, ended: bool) -> Optional[Start]:
        """Return where the first event starts in the lines that have ended since the last look."""
        head = self.head
        end = len(head) if ended else _last_line_end(head, self._searched)
        self._searched = len(head)
        at = head.find(b"data:", self._line, min(end, MAX_PRELUDE))
        while at >= 0 and self._attempts < _MAX_ATTEMPTS:
            # Only then: finding the end of its line for each "data:" would take quadratic time.
            if _EVENT.match(head, at + len(b"data:")):
                line, is_whole = _rest_of_line(head, at + len(b"data:"))
                self._attempts += 1
                if _is_event(line) or (not is_whole and _is_cut(line)):
                    return Start(at, is_stream=True)
            at = head.find(b"data:", at + 1, min(end, MAX_PRELUDE))
        self._line = max(self._line, end)
        return None


def find_start(head: bytes, *, ended: bool, keys: FrozenSet[str] = PLUGIN_KEYS) -> Optional[Start]:
    """
    Return where in the first bytes of a body its answer starts, as `StartFinder` does.

    Args:
        head: the bytes so far.
        ended: no more bytes come.
        keys: the first keys of what is an answer in JSON.
    """
    finder = StartFinder(keys)
    start = finder.feed(head) if head else None
    return finder.feed(b"") if start is None and ended else start


def _skip_blanks(data: Bytes, at: int, limit: int, searched: int = 0) -> int:
    """
    Return where the blanks, byte order marks and HTML comments that begin at an index end.

    Args:
        data: the bytes.
        at: the index.
        limit: where to stop.
        searched: no comment that begins at the index ends before this index.
    """
    while True:
        at = _BLANKS.match(data, at, limit).end()  # type: ignore[union-attr] # it can match nothing
        if data.startswith(_BYTES_BOM, at, limit):
            at += len(_BYTES_BOM)
            continue
        is_comment = data.startswith(b"<!--", at, limit)
        end = data.find(b"-->", max(at + len(b"<!--"), searched), limit) if is_comment else -1
        if end < 0:
            return at
        at = end + len(b"-->")


def _last_line_end(head: bytearray, at: int) -> int:
    """Return where the last line ends that ends after an index; 0 if none does."""
    return 1 + max(head.rfind(b"\n", at), head.rfind(b"\r", at))


def _is_undecided(body: bytes) -> bool:
    """Return whether these bytes are too few to decide what they are the beginning of."""
    words = (*FIELD_PREFIXES, *_PAGE, b"<!--", _BYTES_BOM)
    start = body.lower()
    return not body or body.startswith(b"<!--") or any(word.startswith(start) for word in words)


def _rest_of_line(head: Bytes, at: int) -> Tuple[Bytes, bool]:
    """Return the rest of a line without surrounding blanks, and whether it is complete."""
    end = _LINE_END.search(head, at)
    return head[at : end.start() if end else len(head)].strip(), end is not None


def _has_first_key(text: Bytes, keys: FrozenSet[str]) -> bool:
    match = _FIRST_KEY.match(text)
    return match is not None and match[1].decode("ascii", "replace") in keys


def _is_event(line: Bytes) -> bool:
    try:
        event = parse_json(line.decode("utf-8")) if line.endswith(b"}") else None
    except (ProtocolError, UnicodeDecodeError):
        return False
    return isinstance(event, dict) and event.get("type") in EVENT_TYPES and "data" in event


def _is_cut(line: Bytes) -> bool:
    """Return whether a line is an incomplete object, not a complete one followed by other text."""
    try:
        json_end(line.decode("utf-8", "ignore"))
    except ProtocolError:
        return True
    return False


def _find_json(head: Bytes, begin: int, keys: FrozenSet[str]) -> int:
    """Return where the last object that is an answer and ends the body starts, else `begin`."""
    if _has_first_key(head[begin : begin + 200], keys):
        return begin
    places = [
        match.start()
        for match in _FIRST_KEY.finditer(head, begin, begin + MAX_PRELUDE)
        if match[1].decode("ascii", "replace") in keys
    ]
    last = places[: -_MAX_ATTEMPTS - 1 : -1]
    return next((at for at in last if _ends_body(head[at:])), begin)


def _ends_body(tail: Bytes) -> bool:
    """Return whether the rest of a body is a JSON object, followed only by blanks and comments."""
    try:
        text = tail.decode("utf-8")
        rest = text[json_end(text) :].encode()
        return _skip_blanks(rest, 0, len(rest)) == len(rest)
    except (ProtocolError, UnicodeDecodeError):
        return False
