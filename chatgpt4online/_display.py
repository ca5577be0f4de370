"""Make untrusted text safe to show in a terminal and as Markdown."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Dict, Iterator, List, NamedTuple

__all__ = ["for_markdown", "for_terminal"]

_CONTROLS = dict.fromkeys([*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)])

_LINE_END = re.compile(r"\r\n|[\r\n\u2028\u2029]")
#: The line above a code block. With more than a language, such as a "|" that could be a table's, it
#: is not one everywhere. The look-ahead keeps matching linear.
_OPENING = re.compile(r"( {0,3})(`{3,}|~{3,}(?!~))[ \t]*(?:[\w#.+-]+[ \t]*)?", re.ASCII)
#: Makes a heading of the lines above it, up to an empty one; in some renderers of code blocks too.
_UNDERLINE = re.compile(r"[\s>]*(?:=+|-+)\s*")
_LIKE_A_FENCE = re.compile(r"[\s>*+\-\d.)]*(?:`{3}|~{3})")
#: In pymdown, which marimo uses, fences after it may be text.
_INDENTED_CODE = re.compile(r"(?: {4}| {0,3}\t)[ \t]*(?![*+-] |\d+[.)] )[^ \t]")
_RULE_OR_HEADING = re.compile(r" {0,3}(?:#|[-=*_]{2})")
_DEEP_FENCE = re.compile(r"(?: {4}| {0,3}\t)[ \t]*(?:`{3}|~{3})")
#: The end of a formula. In some renderers a formula can start before a code block and end in it.
_ENDS_FORMULA = re.compile(r"\$\$|\\[\])]|\\end\{")
#: A boundary of a table cell or a formula, which in some renderers also ends a code span.
_MAY_CUT_SPANS = re.compile(r"[\n|$]|\\[\[\]()]|\\(?:begin|end)\{")
_RUN = re.compile("`+")
_RUN_OR_ESCAPE = re.compile(r"`+|\\[^\n]")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
#: In pymdown, this begins a block with whatever HTML attributes it names, such as onclick.
_BLOCK = re.compile(r"(?<![:/\\])(?=///)")
_LINK = re.compile(r"\]([(:])(?!\s*<?(?:https?://|mailto:|#))", re.IGNORECASE)


def for_terminal(text: str) -> str:
    """
    Return a text without control characters, so that it cannot control the terminal.

    Newlines and tabs stay. The printable part of an escape sequence stays as text.
    """
    return text.translate(_CONTROLS)


def for_markdown(text: str) -> str:
    """
    Return Markdown in which HTML shows as text, without control characters.

    Links and images whose target is not http, https, mailto or an anchor on the page also show as
    text. Code is unchanged where every renderer agrees that it is code. Where renderers may
    disagree, as in a quoted or unusually indented block, HTML in it shows with ``&lt;``.
    """
    lines = for_terminal(_LINE_END.sub("\n", text)).split("\n")
    return "\n".join(_Escaper(lines).escaped_lines())


class _Escaper:
    """Splits the lines of a text into fenced code blocks and paragraphs, and escapes them."""

    def __init__(self, lines: List[str]) -> None:
        self._may_be_heading = _may_be_heading(lines)
        self._lines = iter(enumerate(lines))
        self._is_unambiguous = True  # whether all renderers agree so far what is code

    def escaped_lines(self) -> Iterator[str]:
        """Yield the escaped text, in pieces of one or more lines."""
        paragraph: List[str] = []
        starts_block = True
        for number, line in self._lines:
            may_open = self._is_unambiguous and (starts_block or not self._may_be_heading[number])
            opening = _OPENING.fullmatch(line) if may_open else None
            starts_block = bool(opening) or not line
            if opening or not line.strip(" \t"):
                yield from self._escape_paragraph(paragraph)
                yield line
                paragraph = []
            else:
                begins = not paragraph or _RULE_OR_HEADING.match(paragraph[-1])
                if (begins and _INDENTED_CODE.match(line)) or _LIKE_A_FENCE.match(line):
                    self._is_unambiguous = False
                paragraph.append(line)
            if opening:
                yield from self._escape_fenced(opening[1], opening[2])
        yield from self._escape_paragraph(paragraph)

    def _escape_fenced(self, indent: str, fence: str) -> Iterator[str]:
        """Yield the lines of a fenced code block, with a closing fence."""
        closing = re.compile(rf" {{0,3}}{fence[0]}{{{len(fence)},}}[ \t]*")
        code: List[str] = []
        for _, line in self._lines:
            code.append(line)
            if closing.fullmatch(line):
                break
        else:
            code.append(indent + fence)  # without it, some renderers see no code
        last = code.pop()
        is_closed = last.rstrip(" \t") == indent + fence
        self._is_unambiguous = is_closed and not any(
            fence in line or _is_ambiguous(line, indent) for line in code
        )
        code.append(last)
        yield from code if self._is_unambiguous else map(_escape, code)

    def _escape_paragraph(self, lines: List[str]) -> Iterator[str]:
        """Yield the lines between two blank ones, with code spans unchanged."""
        if lines:
            text = "\n".join(lines)
            escaped = _escape(text)
            if escaped != text and self._is_unambiguous and _has_unambiguous_spans(text):
                escaped = "\n".join(map(_escape_around_spans, lines))
            yield escaped


def _may_be_heading(lines: List[str]) -> List[bool]:
    """Return for each line whether it, or one after it and before an empty one, is an underline."""
    found = False
    result: List[bool] = []
    for line in reversed(lines):
        found = bool(line) and (found or bool(_UNDERLINE.fullmatch(line)))
        result.append(found)
    return result[::-1]


def _is_ambiguous(line: str, indent: str) -> bool:
    """Return whether renderers may disagree whether this line ends its code block."""
    if not indent:
        return bool(_ENDS_FORMULA.search(line))
    leaves_list = bool(line.strip(" \t")) and not line.startswith(indent)
    return leaves_list or bool(_DEEP_FENCE.match(line) or _ENDS_FORMULA.search(line)) or "$" in line


def _has_unambiguous_spans(text: str) -> bool:
    """Return whether all backticks are paired, even if cells and formulas end code spans."""
    return all(span.is_code for part in _MAY_CUT_SPANS.split(text) for span in _spans(part))


def _escape_around_spans(line: str) -> str:
    parts: List[str] = []
    end = 0
    for span in [span for span in _spans(line) if span.is_code]:
        parts += _escape(line[end : span.start]), line[span.start : span.end]
        end = span.end
    return "".join([*parts, _escape(line[end:])])


class _Span(NamedTuple):
    """A code span with its backticks, or backticks without a counterpart."""

    start: int
    end: int
    is_code: bool


def _spans(line: str) -> Iterator[_Span]:
    """Yield the code spans of a line and what is left of its backticks, in linear time."""
    runs: Dict[int, List[int]] = {}
    for run in _RUN.finditer(line):
        runs.setdefault(len(run.group()), []).append(run.start())
    match = _RUN_OR_ESCAPE.search(line)
    while match:
        start, end = match.span()
        if line[start] == "`":
            starts = runs.get(end - start, [])
            index = bisect_left(starts, end)
            # To some renderers, "~`" is text.
            is_code = index < len(starts) and line[start - 1 : start] != "~"
            if is_code:
                end = starts[index] + (end - start)
            yield _Span(start, end, is_code)
        match = _RUN_OR_ESCAPE.search(line, end)


def _escape(text: str) -> str:
    return _BLOCK.sub(r"\\", _LINK.sub(r"]\\\1", _TAG.sub("&lt;", text)))
