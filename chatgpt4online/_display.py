"""Make untrusted text safe to show in a terminal and as Markdown."""

from __future__ import annotations

import re
from typing import Iterator, List

__all__ = ["for_markdown", "for_terminal"]

_CONTROLS = dict.fromkeys([*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)])

_LINE_END = re.compile(r"\r\n|\r|\n")
_OPENING = re.compile(r"( {0,3})(`{3,}|~{3,})[^`]*")
_LIKE_A_FENCE = re.compile(r"[\s>*+\-\d.)]*(?:`{3}|~{3})")
_DEEP_FENCE = re.compile(r"(?: {4}| {0,3}\t)[ \t]*(?:`{3}|~{3})")
#: The end of a formula. In some renderers a formula can start before a code block and end in it.
_ENDS_FORMULA = re.compile(r"\$\$|\\[\])]|\\end\{")
#: A boundary of a table cell or a formula, which in some renderers also ends a code span.
_MAY_CUT_SPANS = re.compile(r"[\n|$]|\\[\[\]()]|\\(?:begin|end)\{")
_SPAN = re.compile(r"\\[^\n]|(?P<code>(`+)(?!`)(?:.*?)(?<!`)\2(?!`))|(?P<alone>`+)")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LINK = re.compile(r"\]([(:])(?!\s*<?(?:https?://|mailto:|#))", re.IGNORECASE)


def for_terminal(text: str) -> str:
    """
    Return a text without control characters, so that it cannot control the terminal.

    Newlines and tabs stay. The printable part of an escape sequence stays as text.
    """
    return text.translate(_CONTROLS)


def for_markdown(text: str) -> str:
    """
    Return Markdown in which HTML shows as text.

    So do links and images whose target is not http, https, mailto or an anchor on the page.
    Code is unchanged where every renderer agrees that it is code. Where renderers may disagree,
    as in a quoted or unusually indented block, HTML in it shows with ``&lt;``.
    """
    return "\n".join(_Escaper(_LINE_END.split(text)).escaped_lines())


class _Escaper:
    """Splits the lines of a text into fenced code blocks and paragraphs, and escapes them."""

    def __init__(self, lines: List[str]) -> None:
        self._lines = iter(lines)
        self._is_unambiguous = True  # whether all renderers agree so far what is code

    def escaped_lines(self) -> Iterator[str]:
        """Yield the escaped text, in pieces of one or more lines."""
        paragraph: List[str] = []
        for line in self._lines:
            opening = _OPENING.fullmatch(line) if self._is_unambiguous else None
            if opening or not line.strip(" \t"):
                yield from self._escape_paragraph(paragraph)
                yield line
                paragraph = []
            else:
                paragraph.append(line)
                self._is_unambiguous = self._is_unambiguous and not _LIKE_A_FENCE.match(line)
            if opening:
                yield from self._escape_fenced(opening[1], opening[2])
        yield from self._escape_paragraph(paragraph)

    def _escape_fenced(self, indent: str, fence: str) -> Iterator[str]:
        """Yield the lines of a fenced code block, including the closing fence."""
        closing = re.compile(rf" {{0,3}}{fence[0]}{{{len(fence)},}}[ \t]*")
        for line in self._lines:
            self._is_unambiguous = self._is_unambiguous and not _is_ambiguous(line, indent)
            yield line if self._is_unambiguous else _escape(line)
            if closing.fullmatch(line):
                return

    def _escape_paragraph(self, lines: List[str]) -> Iterator[str]:
        """Yield the lines between two blank ones, with code spans unchanged."""
        if lines:
            text = "\n".join(lines)
            is_unambiguous = self._is_unambiguous and _has_unambiguous_spans(text)
            yield _escape_around_spans(text) if is_unambiguous else _escape(text)


def _is_ambiguous(line: str, indent: str) -> bool:
    """Return whether renderers may disagree whether this line ends its code block."""
    if not indent:
        return bool(_ENDS_FORMULA.search(line))
    leaves_list = bool(line.strip(" \t")) and not line.startswith(indent)
    return leaves_list or bool(_DEEP_FENCE.match(line) or _ENDS_FORMULA.search(line)) or "$" in line


def _has_unambiguous_spans(text: str) -> bool:
    """Return whether all backticks are paired, even if cells and formulas end code spans."""
    return not any(
        match["alone"] for part in _MAY_CUT_SPANS.split(text) for match in _SPAN.finditer(part)
    )


def _escape_around_spans(text: str) -> str:
    parts: List[str] = []
    end = 0
    for match in _SPAN.finditer(text):
        if match["code"]:
            parts += _escape(text[end : match.start()]), match["code"]
            end = match.end()
    return "".join([*parts, _escape(text[end:])])


def _escape(text: str) -> str:
    return _LINK.sub(r"]\\\1", _TAG.sub("&lt;", text))
