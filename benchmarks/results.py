"""What was measured: as text, as JSON, and as a page of the documentation with a chart."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, Dict, Iterable, List

from .bench import LIMIT, Case
from .chart import Panel, chart
from .client import OVER_LIMIT
from .peers import DISTRIBUTIONS
from .scenarios import OURS, SCENARIOS

DOCS = Path(__file__).resolve().parent.parent / "docs"
_CHARTED = {
    "100,000 events of 16 B, PHP's two chunks an event": "Cost of an event in a long answer",
    "a chat of 10 events": "Cost of a whole short chat",
    "one event of 30 MB": "Cost of one event of 30 MB",
}


def text(cases: List[Case]) -> str:
    """Return all cases as text: medians and the spread of the rounds, a block for each."""
    return "\n\n".join(map(_block, cases))


def _block(done: Case) -> str:
    lines = [f"{done.scenario}: {done.name} ({_unit(done)}; target {_target(done)})"]
    lines += [f"  {library:22}{cell(done, library)}" for library in _measured([done])]
    return "\n".join(lines)


def _unit(done: Case) -> str:
    return f"times {done.base}, {done.unit}" if done.base else done.unit


def _target(done: Case) -> str:
    if done.target is None:
        return "none"
    return f"{'at least' if done.more else 'at most'} {done.target:g}"


def _measured(cases: Iterable[Case]) -> List[str]:
    """Return the libraries that took part in any of the cases."""
    return list(dict.fromkeys(name for done in cases for name in (*done.values, *done.failed)))


def cell(done: Case, library: str) -> str:
    """Return what is said of one library in one case: the median, its spread, the value."""
    if library in done.failed:
        return _failure(done.failed[library])
    shown = done.shown(library)
    if not shown:
        return "-"
    parts = [_number(median(shown))]
    if len(shown) > 1 and library != done.base:
        parts.append(f"({_number(min(shown))} to {_number(max(shown))})")
    if done.base:
        parts.append(f"[{_number(median(done.values[library]))}]")
    if library in done.wrong:
        parts.append("wrong text")
    return " ".join(parts)


def _failure(said: str) -> str:
    if said == OVER_LIMIT:
        return f"over {LIMIT:g} s"
    return "not installed" if "ModuleNotFoundError" in said else "failed"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def report(cases: List[Case]) -> Dict[str, Any]:
    """Return all that is known of a run, for JSON."""
    return {**setting(), "cases": [done._asdict() for done in cases]}


def setting() -> Dict[str, Any]:
    """Return when and on what the run was made, and with which versions."""
    names = dict.fromkeys(name for each in DISTRIBUTIONS.values() for name in each)
    versions = {name: _version(name) for name in names}
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} processors, {platform.system()}",
        "python": platform.python_version(),
        "versions": {name: found for name, found in versions.items() if found},
        "load": os.getloadavg()[2],
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    if sys.platform == "linux":
        words = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
        names = [line.split(":")[1].strip() for line in words.split("\n") if "Model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def save(found: Dict[str, Any], path: Path) -> None:
    """Write a report as JSON."""
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Dict[str, Any]:
    """Return a report from JSON."""
    found: Dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write_docs(found: Dict[str, Any]) -> None:
    """Write the tables and the chart that docs/performance.rst shows."""
    cases = [Case(**each) for each in found["cases"]]
    (DOCS / "performance.svg").write_text(chart(_panels(cases)), encoding="utf-8")
    parts = [_about(found), *_tables(cases)]
    (DOCS / "performance-results.inc").write_text("\n".join(parts), encoding="utf-8")


def _panels(cases: List[Case]) -> List[Panel]:
    panels: List[Panel] = []
    for done in cases:
        if done.name in _CHARTED:
            bars = [
                (name, median(done.shown(name) or [0.0]), _mark(done, name))
                for name in _measured([done])
            ]
            panels.append((f"{_CHARTED[done.name]}, times the floor", bars))
    return panels


def _mark(done: Case, library: str) -> str:
    if library in done.failed:
        return _failure(done.failed[library])
    return "wrong text" if library in done.wrong else ""


def _about(found: Dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {each}" for name, each in found["versions"].items())
    return (
        f"Measured on {found['date']} on {found['machine']}, with Python {found['python']},\n"
        f"{versions}.\n"
        f"The load average over the last 15 minutes was {found['load']:.1f}. What exceeds one\n"
        "was the work of others, and shows in the spread.\n"
    )


def _tables(cases: List[Case]) -> Iterable[str]:
    for number, scenario in SCENARIOS.items():
        mine = [done for done in cases if str(done.scenario) == number]
        if mine:
            title = f"{number}. {(scenario.__doc__ or '').rstrip('.')}"
            yield f"{title}\n{'~' * len(title)}\n"
            yield _table(mine)


def _table(cases: List[Case]) -> str:
    """Return a table with a row for each case and a column for each library."""
    libraries = _measured(cases)
    rows = [["", "target", *libraries]]
    for done in cases:
        name = f"{done.name} ({_unit(done)})"
        rows.append([name, _target(done), *(_rst(done, library) for library in libraries)])
    lines = [".. list-table::", "   :header-rows: 1", "   :class: performance", ""]
    for row in rows:
        lines += [
            f"   {'* -' if at == 0 else '  -'} {each}".rstrip() for at, each in enumerate(row)
        ]
    return "\n".join([*lines, ""])


def _rst(done: Case, library: str) -> str:
    said = cell(done, library)
    return f"**{said}**" if library == OURS and _missed(done) else said


def _missed(done: Case) -> bool:
    """Say whether our median is on the wrong side of the target."""
    shown = done.shown(OURS)
    if not shown or done.target is None:
        return False
    return median(shown) < done.target if done.more else median(shown) > done.target


def verdict(cases: List[Case]) -> str:
    """Return one line for each target: whether our median met it."""
    lines = []
    for done in cases:
        shown = done.shown(OURS)
        if done.target is not None and shown:
            word = "MISSED" if _missed(done) else "met"
            lines.append(f"{word:7}{_target(done):14}{_number(median(shown)):8}{done.name}")
    return "\n".join(lines)
