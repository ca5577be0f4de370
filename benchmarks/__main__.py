"""Measure what the package costs, compared with a hand-written floor and with its peers."""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Iterator

from .bench import Bench, Case
from .peers import LIBRARIES
from .processes import Site
from .results import DOCS, text, write_docs
from .scenarios import SCENARIOS
from .summary import Run, load, save, setting, summarize

DATA = DOCS / "performance.json"


def main() -> None:
    """Measure and print the figures; a run of everything also replaces those in the docs."""
    options = _arguments()
    if options.docs_from:
        write_docs(load(options.docs_from))
        return
    run = Run(setting(), [])
    for case in _cases(options):
        run.summaries.append(summarize(case))
        if options.json:
            save(run.setting, run.summaries, options.json)
    print(text(run.summaries))
    if not (options.scenarios or options.quick) and set(options.libraries) == set(LIBRARIES):
        save(run.setting, run.summaries, DATA)
        write_docs(load(DATA))


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    with TemporaryDirectory() as folder, Site(Path(folder)) as site:
        bench = Bench(site, options.libraries, quick=options.quick)
        for name in options.scenarios or SCENARIOS:
            yield from SCENARIOS[name](bench)
            site.dismiss()


def _arguments() -> argparse.Namespace:
    titles = [(each.__doc__ or "").strip().split("\n")[0] for each in SCENARIOS.values()]
    listed = "\n".join(f"  {name:17}{title}" for name, title in zip(SCENARIOS, titles))
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"scenarios:\n{listed}\n\nlibraries: {', '.join(LIBRARIES)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("scenarios", nargs="*", help="all by default", metavar="SCENARIO")
    add("--libraries", nargs="+", choices=list(LIBRARIES), default=list(LIBRARIES), metavar="NAME")
    add("--quick", action="store_true", help="less work, and two rounds")
    add("--json", type=Path, metavar="FILE", help="write the figures to a file")
    add("--docs-from", type=Path, metavar="FILE", help="write the tables and the chart from a file")
    options = parser.parse_args()
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    main()
