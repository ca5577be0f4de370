"""Where an answer starts: behind a byte order mark, blanks, and the warnings of a site's PHP."""

from __future__ import annotations

import re

_BOM = b"\xef\xbb\xbf"
_STREAM = (b"data:", b"event:", b"id:", b"retry:", b":")
#: How PHP's warnings begin, which may stand before an answer.
_WARNINGS = (b"<br />", b"<br>", b"Warning:", b"Notice:", b"Deprecated:", b"PHP ")
_AFTER_WARNINGS = re.compile(rb"^(?:data:|event:|id:|retry:|:|\{)", re.MULTILINE)
#: How many bytes of warnings are looked through, and how much of a page is read for an error.
LIMIT = 64 * 1024


def answer_start(head: bytes, ended: bool) -> int:
    """
    Return where in the first bytes of a body its answer starts.

    Args:
        head: the bytes so far.
        ended: no more bytes come.

    Returns:
        The place of the first byte of an answer or page; -1 if more bytes are needed to decide.
    """
    begin = len(_BOM) if head.startswith(_BOM) else 0
    body = head[begin:].lstrip()
    begin = len(head) - len(body)
    if body.startswith(_WARNINGS):
        match = _AFTER_WARNINGS.search(body)
        if match:
            return begin + match.start()
        return begin if ended or len(body) > LIMIT else -1
    if ended or len(head) > LIMIT or not _is_undecided(body):
        return begin
    return -1


def _is_undecided(body: bytes) -> bool:
    """Return whether these bytes are too few to decide what they are the beginning of."""
    return not body or any(word.startswith(body) for word in (*_STREAM, *_WARNINGS, _BOM))


def is_stream(body: bytes) -> bool:
    """Return whether a body starts as an event stream does."""
    return body.startswith(_STREAM)
