"""How things are measured: in interleaved rounds, so that what else the machine does hits all."""

from __future__ import annotations

import sys
from statistics import median
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from .plan import Plan
from .processes import Site, Unfit

FLOOR = "floor"

#: The longest processor time of one job, and that beyond which a library sits out further rounds;
#: and the time after which a job hangs. In seconds.
LIMIT = 20.0
SLOW = 3.0
HANGING = 300.0

#: What a client says of a job.
Result = Dict[str, Any]


class Case(NamedTuple):
    """
    What was measured in one case: for each library one value a round.

    Where there is a `base`, what counts is the ratio to that library's value of the same round,
    else the values themselves, in `unit`. `target` is the highest median of ours that is wanted,
    the lowest where `more`; or None. `wrong` are the libraries that gave a wrong text, `failed`
    says why others gave none.
    """

    scenario: int
    name: str
    unit: str
    values: Dict[str, List[float]]
    wrong: List[str]
    failed: Dict[str, str]
    target: Optional[float] = None
    base: str = ""
    more: bool = False

    def shown(self, library: str) -> List[float]:
        """Return what counts of a library, by round."""
        values = self.values.get(library, [])
        if not self.base:
            return values
        return [value / base for value, base in zip(values, self.values.get(self.base, []))]


class Runs(NamedTuple):
    """What the libraries' clients said, by round, and why some said nothing."""

    results: Dict[str, List[Result]]
    failed: Dict[str, str]

    def case(
        self, scenario: int, name: str, unit: str, value: Callable[[Result], float], **fields: Any
    ) -> Case:
        """Return a case of these runs; `fields` are further ones of a `Case`."""
        values = {library: list(map(value, each)) for library, each in self.results.items()}
        wrong = [
            library
            for library, each in self.results.items()
            if not all(result["right"] for result in each)
        ]
        done = Case(scenario, name, unit, values, wrong, self.failed, **fields)
        _tell(done)
        return done


def _tell(done: Case) -> None:
    shown = {library: done.shown(library) for library in done.values}
    told = ", ".join(f"{library} {median(each):.3g}" for library, each in shown.items() if each)
    print(f"{done.scenario}: {done.name}: {told}", file=sys.stderr, flush=True)


class Bench:
    """One run: the site, the libraries, and whether it is to be a short one."""

    def __init__(self, site: Site, libraries: List[str], *, quick: bool) -> None:
        self.site = site
        self.libraries = libraries
        self.quick = quick
        self._used = 0.0

    def run(
        self,
        rounds: int,
        job: Callable[[str], Result],
        libraries: Optional[List[str]] = None,
        less: Optional[Runs] = None,
    ) -> Runs:
        """
        Have each library do a job in each round, the slow ones in the first alone.

        Args:
            rounds: how many.
            job: what a library does.
            libraries: which take part, if not all.
            less: runs of the same job with less to do; who failed there is not asked again.
        """
        runs = Runs({}, {} if less is None else dict(less.failed))
        everyone = self.libraries if libraries is None else libraries
        active = [name for name in everyone if name not in runs.failed]
        for _ in range(min(rounds, 2) if self.quick else rounds):
            for library in list(active):
                self._used = 0.0
                try:
                    runs.results.setdefault(library, []).append(job(library))
                except Unfit as error:
                    runs.failed[library] = str(error)
                if self._used > SLOW or library in runs.failed:
                    active.remove(library)
        return runs

    def ask(
        self, library: str, url: str, job: str, plan: Plan, *, warm: bool = True, **options: int
    ) -> Result:
        """
        Have a library's client do a job.

        Raises:
            Unfit: it did not.
        """
        try:
            client = self.site.client(library, url, warm=warm)
            asked = {"job": job, "plan": plan._asdict(), "limit": LIMIT, **options}
            result = client.ask(asked, HANGING)
            self._used += result["used"]
        except Unfit:
            self.site.forget(library, url)
            raise
        return result


Scenario = Callable[[Bench], Iterator[Case]]
