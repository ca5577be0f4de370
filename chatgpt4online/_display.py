"""What others wrote, made harmless to show: by a terminal, and as Markdown."""

from __future__ import annotations

import re
from typing import Iterator, List

__all__ = ["for_markdown", "for_terminal"]

_CONTROLS = dict.fromkeys([*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)])

_LINE_END = re.compile(r"\r\n|\r|\n")
_OPENING = re.compile(r"( {0,3})(`{3,}|~{3,})[^`]*")
_LIKE_A_FENCE = re.compile(r"[\s>*+\-\d.)]*(?:`{3}|~{3})")
_DEEP_FENCE = re.compile(r"(?: {4}| {0,3}\t)[ \t]*(?:`{3}|~{3})")
#: What ends a formula. Some renderers let one begin before a block of code and end inside it.
_ENDS_FORMULA = re.compile(r"\$\$|\\[\])]|\\end\{")
#: Where a table's cell or a formula may begin or end, which to some renderers matters more.
_MAY_CUT_SPANS = re.compile(r"[\n|$]|\\[\[\]()]|\\(?:begin|end)\{")
_SPAN = re.compile(r"\\[^\n]|(?P<code>(`+)(?!`)(?:.*?)(?<!`)\2(?!`))|(?P<alone>`+)")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LINK = re.compile(r"\]([(:])(?!\s*<?(?:https?://|mailto:|#))", re.IGNORECASE)


def for_terminal(text: str) -> str:
    """
    Return a text without control characters, so that it cannot drive a terminal.

    Line ends and tabs stay. What else an escape sequence had is left as text.
    """
    return text.translate(_CONTROLS)


def for_markdown(text: str) -> str:
    """
    Return Markdown that renders as it was meant, but for HTML, which shows as text.

    Links and images to anything but http, https, mailto and the page itself show as text too.
    Code stays as it is where every renderer agrees that it is code. Where they may not, as in a
    quoted or an oddly indented block, HTML inside of it shows with ``&lt;``.
    """
    return "\n".join(_Text(_LINE_END.split(text)).harmless())


class _Text:
    """The lines of a text, taken apart into fenced code and the rest."""

    def __init__(self, lines: List[str]) -> None:
        self._lines = iter(lines)
        self._is_clear = True  # so far it has been beyond doubt where code begins and ends

    def harmless(self) -> Iterator[str]:
        """Yield the lines with what they need to be harmless."""
        paragraph: List[str] = []
        for line in self._lines:
            opening = _OPENING.fullmatch(line) if self._is_clear else None
            if opening or not line.strip(" \t"):
                yield from self._prose(paragraph)
                yield line
                paragraph = []
            else:
                paragraph.append(line)
                self._is_clear = self._is_clear and not _LIKE_A_FENCE.match(line)
            if opening:
                yield from self._fenced(opening[1], opening[2])
        yield from self._prose(paragraph)

    def _fenced(self, indent: str, fence: str) -> Iterator[str]:
        """Yield the lines of a block of code, and the one that closes it."""
        closing = re.compile(rf" {{0,3}}{fence[0]}{{{len(fence)},}}[ \t]*")
        for line in self._lines:
            self._is_clear = self._is_clear and not _is_doubtful(line, indent)
            yield line if self._is_clear else _escaped(line)
            if closing.fullmatch(line):
                return

    def _prose(self, lines: List[str]) -> Iterator[str]:
        """Yield the lines between two blank ones, code spans as they are."""
        if lines:
            text = "\n".join(lines)
            is_clear = self._is_clear and _has_clear_spans(text)
            yield _outside_spans(text) if is_clear else _escaped(text)


def _is_doubtful(line: str, indent: str) -> bool:
    """Say whether a line may, or may not, end the block of code that it stands in."""
    if not indent:
        return bool(_ENDS_FORMULA.search(line))
    leaves_list = bool(line.strip(" \t")) and not line.startswith(indent)
    return leaves_list or bool(_DEEP_FENCE.match(line) or _ENDS_FORMULA.search(line)) or "$" in line


def _has_clear_spans(text: str) -> bool:
    """Say whether each backtick has its partner, wherever cells and formulas are cut."""
    return not any(
        match["alone"] for part in _MAY_CUT_SPANS.split(text) for match in _SPAN.finditer(part)
    )


def _outside_spans(text: str) -> str:
    parts: List[str] = []
    done = 0
    for match in _SPAN.finditer(text):
        if match["code"]:
            parts += _escaped(text[done : match.start()]), match["code"]
            done = match.end()
    return "".join([*parts, _escaped(text[done:])])


def _escaped(text: str) -> str:
    return _LINK.sub(r"]\\\1", _TAG.sub("&lt;", text))
