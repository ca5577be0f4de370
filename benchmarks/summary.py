"""The figures of a run, as the docs keep them: medians and quartiles, not each round."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from .bench import LIMIT, Case
from .client import OVER_LIMIT
from .peers import DISTRIBUTIONS

_DIGITS = 3


class Figures(NamedTuple):
    """
    The figures of a library: ratios to the base, if there is one, else values in the unit.

    `value` is always the median in the unit.
    """

    median: float
    lower_quartile: float
    upper_quartile: float
    value: float


class Summary(NamedTuple):
    """A `Case` without its rounds; `notes` says why figures are missing or not to be compared."""

    scenario: str
    name: str
    unit: str
    base: str
    target: Optional[float]
    at_least: bool
    figures: Dict[str, Figures]
    notes: Dict[str, str]

    def libraries(self) -> List[str]:
        """Return the names of those that took part."""
        return list(dict.fromkeys([*self.figures, *self.notes]))

    def misses(self, library: str) -> bool:
        """Return whether a library is on the wrong side of the target."""
        figures = self.figures.get(library)
        if figures is None or self.target is None:
            return False
        return figures.median < self.target if self.at_least else figures.median > self.target


def summarize(case: Case) -> Summary:
    """Return a case's summary."""
    figures = {}
    for library, values in case.values.items():
        compared = case.compared(library)
        if compared:
            numbers = (median(compared), *_quartiles(compared), median(values))
            figures[library] = Figures(*(float(f"{number:.{_DIGITS}g}") for number in numbers))
    notes = dict.fromkeys(case.wrong, "wrong text")
    notes.update({library: _reason(why) for library, why in case.failed.items()})
    return Summary(
        case.scenario,
        case.name,
        case.unit,
        case.base,
        case.target,
        case.at_least,
        figures,
        notes,
    )


def _quartiles(values: Sequence[float]) -> Sequence[float]:
    if len(values) < 2:
        return [values[0], values[0]]
    return quantiles(values, n=4, method="inclusive")[::2]


def _reason(why: str) -> str:
    if why == OVER_LIMIT:
        return f"over {LIMIT:g} s"
    return "not installed" if "ModuleNotFoundError" in why else "failed"


def setting() -> Dict[str, Any]:
    """Return when and where this run takes place, and the versions of what it measures."""
    names = dict.fromkeys(name for each in DISTRIBUTIONS.values() for name in each)
    versions = {name: _version(name) for name in names}
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} processors, {platform.system()}",
        "python": platform.python_version(),
        "versions": {name: found for name, found in versions.items() if found},
        "load": round(os.getloadavg()[2], 1),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    if sys.platform == "linux":
        output = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
        names = [line.split(":")[1].strip() for line in output.split("\n") if "Model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def save(where: Dict[str, Any], summaries: List[Summary], path: Path) -> None:
    """Write a run as JSON, one line per case."""
    lines = ",\n".join(f"  {json.dumps(each._asdict(), ensure_ascii=False)}" for each in summaries)
    head = json.dumps(where, indent=1)[:-2]
    path.write_text(f'{head},\n "cases": [\n{lines}\n ]\n}}\n', encoding="utf-8")


class Run(NamedTuple):
    """A run that was saved: its setting and its cases."""

    setting: Dict[str, Any]
    summaries: List[Summary]


def load(path: Path) -> Run:
    """Return a run from JSON."""
    where: Dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    cases = where.pop("cases")
    for each in cases:
        each["figures"] = {name: Figures(*row) for name, row in each["figures"].items()}
    return Run(where, [Summary(**each) for each in cases])
