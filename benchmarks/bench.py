"""How things are measured: in interleaved rounds, so that what else the machine does hits all."""

from __future__ import annotations

import sys
from statistics import median
from time import monotonic
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .plan import Plan
from .processes import Site, Unfit

FLOOR = "floor"

#: The longest time of one job, and that beyond which a library sits out further rounds (seconds).
LIMIT = 30.0
SLOW = 4.0


class Case(NamedTuple):
    """
    What was measured in one case: for each library one value a round.

    `target` is the highest median of ours that is wanted, or None: of the ratio to the floor where
    `relative`, else of the values themselves, which are in `unit`. Where `more` is true it is the
    lowest. `wrong` are libraries that gave a wrong text, `failed` says why others gave none.
    """

    scenario: str
    name: str
    unit: str
    target: Optional[float]
    values: Dict[str, List[float]]
    wrong: List[str]
    failed: Dict[str, str]
    relative: bool = False
    more: bool = False

    def shown(self, library: str) -> List[float]:
        """Return what is shown of a library, by round: ratios to the floor, or values."""
        values = self.values.get(library, [])
        if not self.relative:
            return values
        return [value / floor for value, floor in zip(values, self.values.get(FLOOR, []))]


class Bench:
    """One run: the site, the libraries, and how much is to be done."""

    def __init__(self, site: Site, libraries: List[str], *, quick: bool) -> None:
        self.site = site
        self.libraries = libraries
        self.quick = quick

    def rounds(self, number: int) -> int:
        """Return how many rounds are run."""
        return 2 if self.quick else number

    def measure(
        self,
        case: Case,
        rounds: int,
        job: Callable[[str], Tuple[float, bool]],
        libraries: Optional[List[str]] = None,
    ) -> Case:
        """Fill a case: in each round, have each library do a job that gives a value and a check."""
        active = list(self.libraries if libraries is None else libraries)
        for _ in range(self.rounds(rounds)):
            for library in list(active):
                began = monotonic()
                try:
                    value, right = job(library)
                except Unfit as error:
                    case.failed[library] = str(error)
                    active.remove(library)
                    continue
                case.values.setdefault(library, []).append(value)
                if not right and library not in case.wrong:
                    case.wrong.append(library)
                if monotonic() - began > SLOW:
                    active.remove(library)
        _tell(case)
        return case

    def ask(self, library: str, url: str, job: str, plan: Plan, **options: int) -> Dict[str, float]:
        """Have a library's client do a job."""
        try:
            client = self.site.client(library, url)
            return client.ask({"job": job, "plan": plan._asdict(), **options}, LIMIT)
        except Unfit:
            self.site.forget(library, url)
            raise


def case(
    scenario: str,
    name: str,
    unit: str,
    target: Optional[float],
    *,
    relative: bool = False,
    more: bool = False,
) -> Case:
    """Return a case with nothing measured yet."""
    return Case(scenario, name, unit, target, {}, [], {}, relative, more)


def _tell(done: Case) -> None:
    values = {library: done.shown(library) for library in done.values}
    told = ", ".join(f"{name} {median(each):.3g}" for name, each in values.items() if each)
    print(f"{done.scenario}: {done.name}: {told}", file=sys.stderr, flush=True)


Scenario = Callable[[Bench], Iterator[Case]]
