"""Bar charts as SVG, in colours that are readable on light and dark pages."""

from __future__ import annotations

from html import escape
from typing import List, Tuple

#: A library, its value and a remark; a title with such bars.
Bar = Tuple[str, float, str]
Panel = Tuple[str, List[Bar]]

_WIDTH, _LABEL, _ROW, _HEAD = 760, 170, 20, 40  # pixels
_REMARK = 150
_OURS, _OTHERS, _TEXT = "#d9822b", "#5b8fc7", "#808080"


def chart(panels: List[Panel]) -> str:
    """Return a chart of panels, one below the other."""
    parts, top = [], 0
    for panel in panels:
        parts += _panel(panel, top)
        top += _HEAD + _ROW * len(panel[1])
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 10}" '
        f'font-family="sans-serif" font-size="13" fill="{_TEXT}">\n{body}\n</svg>\n'
    )


def _panel(panel: Panel, top: int) -> List[str]:
    title, bars = panel
    longest = max([value for _, value, _ in bars] + [1.0])
    parts = [_words(0, top + 26, escape(title), 'font-weight="bold"')]
    for number, (name, value, remark) in enumerate(bars):
        y = top + _HEAD + _ROW * number
        width = (_WIDTH - _LABEL - _REMARK) * value / longest
        colour = _OURS if name == "chatgpt4online" else _OTHERS
        label = " ".join(filter(None, [f"{value:.3g}" if value else "", remark]))
        parts += [
            _words(_LABEL - 8, y + 11, escape(name), 'text-anchor="end"'),
            f'<rect x="{_LABEL}" y="{y}" width="{width:.1f}" height="14" fill="{colour}"/>',
            _words(_LABEL + width + 6, y + 11, escape(label), ""),
        ]
    return parts


def _words(x: float, y: float, label: str, attributes: str) -> str:
    return f'<text x="{x:.1f}" y="{y}" {attributes}>{label}</text>'
