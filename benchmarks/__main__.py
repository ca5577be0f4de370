"""Run the benchmarks: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import List

from .bench import Bench, Case
from .peers import LIBRARIES
from .processes import Site
from .results import table
from .scenarios import SCENARIOS


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help="all by default")
    parser.add_argument("--libraries", nargs="+", choices=list(LIBRARIES), metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="less work, fewer rounds")
    options = parser.parse_args()
    cases: List[Case] = []
    with TemporaryDirectory() as folder, Site(Path(folder)) as site:
        bench = Bench(site, options.libraries or list(LIBRARIES), quick=options.quick)
        for name in options.scenarios or SCENARIOS:
            cases.extend(SCENARIOS[name](bench))
    print(table(cases))


if __name__ == "__main__":
    main()
