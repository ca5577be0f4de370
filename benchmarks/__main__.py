"""Measure what the package costs, beside a hand-written floor and its peers."""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import List

from .bench import Bench, Case
from .peers import LIBRARIES
from .processes import Site
from .results import DOCS, load, report, save, text, verdict, write_docs
from .scenarios import SCENARIOS


def main() -> None:
    """Measure, and print what was measured. A run of everything is written into the docs."""
    options = _arguments()
    if options.docs_from:
        write_docs(load(options.docs_from))
        return
    cases: List[Case] = []
    with TemporaryDirectory() as folder, Site(Path(folder)) as site:
        bench = Bench(site, options.libraries, quick=options.quick)
        for name in options.scenarios or SCENARIOS:
            for done in SCENARIOS[name](bench):
                cases.append(done)
                if options.json:
                    save(report(cases), options.json)
            site.dismiss()
    print(text(cases))
    print(f"\n{verdict(cases)}")
    if not (options.scenarios or options.quick) and set(options.libraries) == set(LIBRARIES):
        save(report(cases), DOCS / "performance.json")
        write_docs(report(cases))


def _arguments() -> argparse.Namespace:
    told = "\n".join(f"  {number:3}{each.__doc__}" for number, each in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"scenarios:\n{told}\n\nlibraries: {', '.join(LIBRARIES)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("scenarios", nargs="*", help="numbers; all by default", metavar="SCENARIO")
    add("--libraries", nargs="+", choices=list(LIBRARIES), default=list(LIBRARIES), metavar="NAME")
    add("--quick", action="store_true", help="less work, and two rounds")
    add("--json", type=Path, metavar="FILE", help="write the results to a file")
    add("--docs-from", type=Path, metavar="FILE", help="write the page from such a file")
    options = parser.parse_args()
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    main()
