"""How libraries are measured: in interleaved rounds, so that other load affects all of them."""

from __future__ import annotations

import sys
from statistics import median
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from .plan import Plan
from .processes import Site, Unfit

FLOOR = "floor"
OURS = "chatgpt4online"
BEST_PEER = "best peer"

#: A job that takes more CPU time is stopped; a library that takes more than SLOW does one round
#: only; a job that takes longer by the clock hangs. In seconds.
LIMIT = 20.0
SLOW = 3.0
HANGING = 300.0

#: What a client reports about a job.
Result = Dict[str, Any]


class Case(NamedTuple):
    """
    One quantity, measured for several libraries.

    Args:
        scenario: the scenario's name.
        name: what was measured.
        unit: the unit of the values.
        values: of each library, by round.
        wrong: the libraries that returned a wrong text.
        failed: why a library has no values.
        base: the library that the others are compared with in each round, or ``""``.
        target: the highest median wanted of ours (the ratio, if there is a base), or None.
        at_least: whether the target is the lowest one instead.
    """

    scenario: str
    name: str
    unit: str
    values: Dict[str, List[float]]
    wrong: List[str]
    failed: Dict[str, str]
    base: str = ""
    target: Optional[float] = None
    at_least: bool = False

    def compared(self, library: str) -> List[float]:
        """Return a library's ratios to the base in the same round; its values without a base."""
        values = self.values.get(library, [])
        if not self.base:
            return values
        return [value / base for value, base in zip(values, self.values.get(self.base, []))]


class Runs(NamedTuple):
    """What the clients of the libraries reported, by round, and why some did not."""

    results: Dict[str, List[Result]]
    failed: Dict[str, str]

    def case(
        self, scenario: str, name: str, unit: str, value: Callable[[Result], float], **fields: Any
    ) -> Case:
        """Return a case of these runs; `fields` are further ones of a `Case`."""
        values = {library: list(map(value, results)) for library, results in self.results.items()}
        wrong = [
            library
            for library, results in self.results.items()
            if not all(result["correct"] for result in results)
        ]
        case = Case(scenario, name, unit, values, wrong, self.failed, **fields)
        _print_progress(case)
        return case

    def only(self, *libraries: str) -> Runs:
        """Return the runs of these libraries."""
        results = {name: each for name, each in self.results.items() if name in libraries}
        return Runs(results, {name: why for name, why in self.failed.items() if name in libraries})

    def renamed(self, names: Dict[str, str]) -> Runs:
        """Return the runs under other names."""
        return Runs(
            {names[name]: each for name, each in self.results.items()},
            {names[name]: why for name, why in self.failed.items()},
        )

    def with_best(self, peers: Sequence[str], value: Callable[[Result], float]) -> Runs:
        """Return our runs and, as `BEST_PEER`, those of the peer with the least value by round."""
        running = [self.results[name] for name in peers if name in self.results]
        rounds = len(self.results.get(OURS, []))
        best = [
            min((results[number] for results in running if number < len(results)), key=value)
            for number in range(rounds if running else 0)
        ]
        return Runs({**self.only(OURS).results, BEST_PEER: best}, {})


def _print_progress(case: Case) -> None:
    medians = {library: case.compared(library) for library in case.values}
    shown = ", ".join(f"{name} {median(each):.3g}" for name, each in medians.items() if each)
    print(f"{case.scenario}: {case.name}: {shown}", file=sys.stderr, flush=True)


class Bench:
    """One run: the site, the libraries that take part, and whether it is a quick one."""

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
        shorter: Optional[Runs] = None,
    ) -> Runs:
        """
        Have each library do a job in each round, slow ones in the first round only.

        Args:
            rounds: how many.
            job: does the job with a library.
            libraries: those that take part; None for all of the run.
            shorter: runs of the same job with less to do; who failed there is left out.
        """
        runs = Runs({}, {} if shorter is None else dict(shorter.failed))
        everyone = self.libraries if libraries is None else libraries
        active = [name for name in everyone if name not in runs.failed]
        for number in range(min(rounds, 2) if self.quick else rounds):
            # Every other round goes backwards, so that a drift of the machine cancels out.
            for library in active[:: -1 if number % 2 else 1]:
                self._used = 0.0
                try:
                    runs.results.setdefault(library, []).append(job(library))
                except Unfit as error:
                    runs.failed[library] = str(error)
                if self._used > SLOW or library in runs.failed:
                    active.remove(library)
        return runs

    def ask(
        self, library: str, url: str, job: str, plan: Plan, *, warm: bool = True, **options: float
    ) -> Result:
        """
        Have a library's client do a job.

        Raises:
            Unfit: it failed.
        """
        try:
            client = self.site.client(library, url, warm=warm)
            request = {"job": job, "plan": plan._asdict(), "limit": LIMIT, **options}
            result = client.ask(request, HANGING)
            self._used += result["used"]
        except Unfit:
            self.site.forget(library, url)
            raise
        return result


Scenario = Callable[[Bench], Iterator[Case]]
