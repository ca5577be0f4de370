"""What was measured, as a table and as JSON."""

from __future__ import annotations

from statistics import median
from typing import List

from .bench import Case


def table(cases: List[Case]) -> str:
    """Return all cases as text: medians and the spread of the rounds, a block for each."""
    return "\n\n".join(map(_block, cases))


def _block(done: Case) -> str:
    unit = f"times {done.base}" if done.base else done.unit
    target = "" if done.target is None else f"; target {done.target:g}"
    lines = [f"{done.scenario}: {done.name} ({unit}{target})"]
    libraries = dict.fromkeys([*done.values, *done.failed])
    lines += [f"  {library:22}{cell(done, library)}" for library in libraries]
    return "\n".join(lines)


def cell(done: Case, library: str) -> str:
    """Return what is said of one library in one case."""
    if library in done.failed:
        return done.failed[library]
    shown = done.shown(library)
    if not shown:
        return "-"
    spread = f" ({min(shown):.3g} to {max(shown):.3g})" if len(shown) > 1 else " (once)"
    wrong = ", wrong text" if library in done.wrong else ""
    value = f", {median(done.values[library]):.3g} {done.unit}" if done.base else ""
    return f"{median(shown):.3g}{spread}{value}{wrong}"
