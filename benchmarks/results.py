"""The figures of a run as text, and as tables and a chart for docs/performance.rst."""

from __future__ import annotations

import csv
from inspect import getdoc
from io import StringIO
from pathlib import Path
from typing import Any, Iterator, List

from .bench import FLOOR, OURS
from .chart import Panel, chart
from .scenarios import LARGE_EVENT, SCENARIOS, SHORT_CHAT, SMALL_EVENTS, tunings
from .summary import Run, Summary
from .tunings import TUNINGS

DOCS = Path(__file__).resolve().parent.parent / "docs"

_CHARTED = {
    SMALL_EVENTS: "CPU time of an event of 16 bytes in a long answer",
    SHORT_CHAT: "CPU time of a short chat",
    LARGE_EVENT: "CPU time of an event of 3 MB",
}


def text(summaries: List[Summary]) -> str:
    """Return a block of text per case, and whether each target is met."""
    return "\n\n".join([*map(_block, summaries), verdict(summaries)])


def _block(summary: Summary) -> str:
    lines = [f"{summary.scenario}: {summary.name} ({summary.unit}; {_target(summary) or '-'})"]
    lines += [
        f"  {library:30}{cell(summary, library):14}{_spread(summary, library)}"
        for library in summary.libraries()
    ]
    return "\n".join(lines)


def verdict(summaries: List[Summary]) -> str:
    """Return a line per target: whether our median meets it."""
    lines = []
    for summary in summaries:
        if summary.target is not None and OURS in summary.figures:
            word = "MISSED" if summary.misses(OURS) else "met"
            cells = (word, _target(summary), cell(summary, OURS), summary.name)
            lines.append("{:8}{:10}{:18}{}".format(*cells))
    return "\n".join(lines)


def _target(summary: Summary) -> str:
    if summary.target is None:
        return ""
    sign = "≥" if summary.at_least else "≤"
    return f"{sign} {summary.target:g} {'x' if summary.base else summary.unit}".strip()


def cell(summary: Summary, library: str) -> str:
    """Return a library's median: its ratio to the base, else with the unit."""
    figures, note = summary.figures.get(library), summary.notes.get(library, "")
    if figures is None:
        return note
    if summary.base and library != summary.base:
        shown = f"{_number(figures.median)} x"
    else:
        shown = f"{_number(figures.value)} {summary.unit}".strip()
    return f"{shown}, {note}" if note else shown


def _spread(summary: Summary, library: str) -> str:
    figures = summary.figures.get(library)
    if figures is None or library == summary.base:
        return ""
    return f"{_number(figures.lower_quartile)} to {_number(figures.upper_quartile)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_docs(run: Run) -> None:
    """Write the tables and the chart that docs/performance.rst shows."""
    (DOCS / "performance.svg").write_text(chart(_panels(run.summaries)), encoding="utf-8")
    parts = [_about(run.setting), *_sections(run.summaries)]
    (DOCS / "performance-results.inc").write_text("\n".join(parts), encoding="utf-8")


def _panels(summaries: List[Summary]) -> List[Panel]:
    charted = {each.name: each for each in summaries if each.base == FLOOR}
    return [
        (f"{title}, as a multiple of the floor", [_bar(charted[name], each) for each in libraries])
        for name, title in _CHARTED.items()
        for libraries in [charted[name].libraries()]
    ]


def _bar(summary: Summary, library: str) -> Any:
    figures = summary.figures.get(library)
    return library, figures.median if figures else 0.0, summary.notes.get(library, "")


def _about(setting: Any) -> str:
    versions = ", ".join(f"{name} {each}" for name, each in setting["versions"].items())
    return (
        f"Measured on {setting['date']} on {setting['machine']}, with Python {setting['python']},\n"
        f"{versions}.\nThe machine's load average over the last 15 minutes was "
        f"{setting['load']:.1f}; the benchmarks\nthemselves account for about 1.\n"
    )


def _sections(summaries: List[Summary]) -> Iterator[str]:
    for name, scenario in SCENARIOS.items():
        mine = [each for each in summaries if each.scenario == name]
        if mine:
            title, _, explanation = (getdoc(scenario) or "").partition("\n\n")
            title = title.rstrip(".")
            yield f"{title}\n{'~' * len(title)}\n\n{explanation}\n"
            if scenario is tunings:
                yield from (f"*{name}*\n   {each.summary}\n" for name, each in TUNINGS.items())
            yield _table(mine)


def _table(summaries: List[Summary]) -> str:
    """Return a table with a row per case and a column per library, ours first."""
    subject = OURS if OURS in summaries[0].libraries() else "without"
    everyone = dict.fromkeys(name for each in summaries for name in each.libraries())
    others = [name for name in everyone if name != subject]
    rows = [["", "target", subject, "quartiles", *others]]
    for each in summaries:
        ours = cell(each, subject)
        ours = f"**{ours}**" if each.misses(subject) else ours
        cells = [cell(each, name) for name in others]
        rows.append([each.name, _target(each), ours, _spread(each, subject), *cells])
    return ".. csv-table::\n   :header-rows: 1\n   :class: performance\n\n" + _csv(rows)


def _csv(rows: List[List[str]]) -> str:
    output = StringIO()
    csv.writer(output, lineterminator="\n").writerows(rows)
    return "".join(f"   {line}\n" for line in output.getvalue().splitlines())
