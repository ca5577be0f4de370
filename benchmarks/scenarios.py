"""What is measured: each scenario does the same work with every library."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from operator import itemgetter
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Dict, Iterator, List, Optional

from .bench import FLOOR, Bench, Case, Result, Runs, Scenario
from .peers import FIRST_LINES, OF_AI_ENGINE
from .plan import Plan
from .processes import Unfit

OURS = "chatgpt4online"
#: The round trip to a site that is far away, in seconds.
ROUND_TRIP = 0.025

_FRAMINGS = {"event": "one chunk an event", "php": "PHP's two chunks an event"}
_ALL_FRAMINGS = ("event", "big", "tiny", "close", "length", "gzip", "close+gzip")
_THREADS = 32


def small_events(bench: Bench) -> Iterator[Case]:
    """Client's processor time for each event of 16 bytes, and how it grows with their number."""
    for framing, words in _FRAMINGS.items():
        sizes = (1_000, 20_000) if bench.quick else (1_000, 100_000, 300_000)
        runs: List[Runs] = []
        for events in sizes:
            runs.append(_events(bench, Plan(events, 16, framing), runs[-1] if runs else None))
            yield _an_event(1, f"{events:,} events of 16 B, {words}", runs[-1], events, 2.5)
        yield _growth(runs[0], runs[-1], sizes[-1] / sizes[0], words)


def _events(bench: Bench, plan: Plan, less: Optional[Runs] = None) -> Runs:
    """Read 20,000 events or more in each round, in as many chats as that takes."""
    chats = max(1, 20_000 // plan.events)
    rounds = 7 if plan.events < 100_000 else 3
    job = partial(bench.ask, url=bench.site.url(), job="cpu", plan=plan, chats=chats)
    return bench.run(rounds, job, less=less)


def _an_event(scenario: int, name: str, runs: Runs, events: int, target: float) -> Case:
    def value(result: Result) -> float:
        return float(result["cpu"]) / events * 1e6

    return runs.case(scenario, name, "us an event", value, target=target, base=FLOOR)


def _growth(short: Runs, long: Runs, times: float, words: str) -> Case:
    """Return how much dearer an event is in a long answer than in a short one."""
    usual = {name: median(each["cpu"] for each in done) for name, done in short.results.items()}
    grown = {
        name: [{**each, "growth": each["cpu"] / times / usual[name]} for each in done]
        for name, done in long.results.items()
    }
    name = f"growth of an event's cost over {times:.0f} times as many, {words}"
    runs = Runs(grown, long.failed)
    return runs.case(1, name, "times", itemgetter("growth"), target=1.1)


def large_events(bench: Bench) -> Iterator[Case]:
    """Client's processor time for each event of 2 KB, and for a single one of up to 30 MB."""
    runs = _events(bench, Plan(2_000, 2_048, "php", reply="short"))
    yield _an_event(2, f"2,000 events of 2 KB, {_FRAMINGS['php']}", runs, 2_000, 1.7)
    less = None
    for size in (1, 4) if bench.quick else (3, 30):
        plan = Plan(1, size * 1_000_000, "close", reply="short")
        job = partial(bench.ask, url=bench.site.url(), job="cpu", plan=plan)
        runs = less = bench.run(5, job, less=less)
        name = f"one event of {size} MB"
        yield runs.case(2, name, "ms", lambda each: each["cpu"] * 1e3, target=1.7, base=FLOOR)


def short_chats(bench: Bench) -> Iterator[Case]:
    """Client's processor time for a whole short chat on an open connection."""
    job = partial(bench.ask, url=bench.site.url(), job="cpu", plan=Plan(), chats=100)
    runs = bench.run(11, job)
    name = "a chat of 10 events"
    yield runs.case(3, name, "us", lambda each: each["cpu"] * 1e6, target=6.5, base=FLOOR)


def delays(bench: Bench) -> Iterator[Case]:
    """Time from the server's write of an event to its being handed out, one every 20 ms."""
    for framing in _ALL_FRAMINGS:
        plan = Plan(20 if bench.quick else 100, 16, framing, pace=0.02)

        def job(name: str, plan: Plan = plan) -> Result:
            result = bench.ask(name, bench.site.url(), "arrivals", plan)
            pairs = zip(result["times"], bench.site.asked("log"))
            late = sorted((came - sent) * 1e3 for came, sent in pairs)
            return {"right": result["right"], "late": late or [0.0]}

        runs = bench.run(1, job)
        yield runs.case(
            4, f"{framing}, median", "ms", lambda each: median(each["late"]), target=0.6
        )
        yield runs.case(4, f"{framing}, 99 of 100", "ms", _slowest, target=1.5)


def _slowest(result: Result) -> float:
    late: List[float] = result["late"]
    return late[int(len(late) * 0.99) - 1]


def round_trips(bench: Bench) -> Iterator[Case]:
    """Time of the first and of following chats with a site that is 25 ms away, in round trips."""
    for scheme, first, following in (("http", 3.4, 1.2), ("https", 4.7, 1.2)):
        url = bench.site.url(scheme, ROUND_TRIP)
        runs = bench.run(3, partial(_far_chats, bench, url))
        unit = "round trips"
        yield runs.case(5, f"first chat, {scheme}", unit, itemgetter("first"), target=first)
        name = f"following chats, {scheme}"
        yield runs.case(5, name, unit, itemgetter("following"), target=following)
        name = f"connections for 6 chats, {scheme}"
        yield runs.case(5, name, "connections", itemgetter("connections"), target=1)


def _far_chats(bench: Bench, url: str, library: str) -> Result:
    """Measure six chats of a new client, which has connected to nothing yet."""
    bench.site.asked("counts")
    first = bench.ask(library, url, "cpu", Plan(), warm=False)
    following = bench.ask(library, url, "cpu", Plan(), chats=5)
    bench.site.forget(library, url)
    return {
        "right": first["right"] and following["right"],
        "first": first["time"] / ROUND_TRIP,
        "following": following["time"] / ROUND_TRIP,
        "connections": bench.site.asked("counts")["connections"],
    }


def held_open(bench: Bench) -> Iterator[Case]:
    """What becomes of an answer, and of its connection, when its body ends late."""
    runs = bench.run(3, partial(_held, bench))
    name = "from `end` to the whole answer, the body ending 500 ms later"
    yield runs.case(6, name, "ms", itemgetter("returned"), target=25)
    name = "connections for 10 chats whose bodies end 2 ms later"
    yield runs.case(6, name, "connections", itemgetter("connections"), target=1)


def _held(bench: Bench, library: str) -> Result:
    url = bench.site.url()
    bench.site.forget(library, url)
    bench.site.asked("counts")
    brief = bench.ask(library, url, "cpu", Plan(hold=0.002), warm=False, chats=10)
    connections = bench.site.asked("counts")["connections"]
    long = bench.ask(library, url, "arrivals", Plan(hold=0.5))
    late = long["ended"] - bench.site.asked("log")[0]
    right = brief["right"] and long["right"]
    return {"right": right, "returned": late * 1e3, "connections": connections}


def many_threads(bench: Bench) -> Iterator[Case]:
    """200 chats of 32 threads that share a client, 25 ms away; then six bursts of 32."""
    runs = bench.run(3, partial(_crowd, bench))
    name = "chats a second"
    yield runs.case(
        7, name, "a second", lambda each: each["rate"], target=0.9, base=FLOOR, more=True
    )
    for count, target in (("connections", _THREADS), ("nonces", 1)):
        name = f"{count} for the 200 chats and the bursts"
        yield runs.case(7, name, count, itemgetter(count), target=target)


def _crowd(bench: Bench, library: str) -> Result:
    url = bench.site.url("http", ROUND_TRIP)
    bench.site.asked("counts")
    results = [
        bench.ask(library, url, "together", Plan(), chats=chats, threads=_THREADS)
        for chats in (200, *[_THREADS] * 6)
    ]
    bench.site.forget(library, url)
    right = all(result["right"] for result in results)
    counts = {"nonces": 0, **bench.site.asked("counts")}
    return {"right": right, "rate": 200 / results[0]["time"], **counts}


def imports(bench: Bench) -> Iterator[Case]:
    """Processor time of a cold process that imports a library and makes a client."""
    base = "import requests"
    known = [name for name in FIRST_LINES if name in (base, *bench.libraries)]
    runs = bench.run(15, lambda name: {"right": True, "cpu": _cold(FIRST_LINES[name])}, known)
    name = "import and first client"
    yield runs.case(8, name, "ms", lambda each: each["cpu"] * 1e3, target=1.06, base=base)


def _cold(program: str) -> float:
    # Only installed packages would else be there as bytecode, where writing it is turned off.
    usual = {name: each for name, each in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = getrusage(RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program], env=usual, capture_output=True, check=False
    )
    after = getrusage(RUSAGE_CHILDREN)
    if done.returncode:
        raise Unfit(done.stderr.decode().strip().split("\n")[-1])
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def memory(bench: Bench) -> Iterator[Case]:
    """What the peak of memory grows by over idle while an answer is read event by event."""
    speakers = [name for name in bench.libraries if name in OF_AI_ENGINE]
    less = None
    for events in (100_000,) if bench.quick else (100_000, 1_000_000):
        plan = Plan(events, kind="thinking", reply="short")
        runs = bench.run(1, partial(_memory, bench, plan), speakers)
        name = f"{events:,} events of thinking and a short reply"
        yield runs.case(9, name, "MB", lambda each: each["memory"] / 1e6, target=1)
        runs = less = bench.run(1, partial(_memory, bench, Plan(events)), less=less)
        name = f"{events:,} events of text, a reply of {events * Plan().size / 1e6:.1f} MB"
        yield runs.case(9, name, "times its size", itemgetter("times"), target=9)
    ours = [name for name in bench.libraries if name == OURS]
    job = partial(bench.ask, url=bench.site.url(), job="texts", plan=Plan(10_000))
    name = "asking for the text so far after each of 10,000 events"
    yield bench.run(3, job, ours).case(9, name, "us each", lambda each: each["cpu"] * 1e6)


def _memory(bench: Bench, plan: Plan, library: str) -> Result:
    bench.site.forget(library, bench.site.url())
    result = bench.ask(library, bench.site.url(), "memory", plan)
    bench.site.forget(library, bench.site.url())
    return {**result, "times": result["memory"] / (plan.events * plan.size)}


def php_sessions(bench: Bench) -> Iterator[Case]:
    """Four questions at once to a site on which the calls of a PHP session wait for each other."""
    plan, url = Plan(pace=0.02, lock=1), bench.site.url()

    def job(library: str) -> Result:
        one, four = (
            bench.ask(library, url, "together", plan, chats=chats, threads=chats)
            for chats in (1, 4)
        )
        return {"right": one["right"] and four["right"], "ratio": four["time"] / one["time"]}

    name = "four questions at once"
    runs = bench.run(5, job)
    yield runs.case(10, name, "times one", itemgetter("ratio"), target=1.1)


def new_connections(bench: Bench) -> Iterator[Case]:
    """Client's processor time for TLS on each new connection, with the system's authorities."""
    plan = Plan(keep=0)

    def job(library: str) -> Result:
        plain, tls = (
            bench.ask(library, bench.site.url(scheme), "cpu", plan, chats=20)
            for scheme in ("http", "https")
        )
        return {"right": plain["right"] and tls["right"], "cpu": tls["cpu"] - plain["cpu"]}

    runs = bench.run(7, job)
    name = "a chat on a new TLS connection, less one on a new plain connection"
    yield runs.case(11, name, "ms", lambda each: each["cpu"] * 1e3, target=2)


SCENARIOS: Dict[str, Scenario] = {
    str(number): scenario
    for number, scenario in enumerate(
        (
            small_events,
            large_events,
            short_chats,
            delays,
            round_trips,
            held_open,
            many_threads,
            imports,
            memory,
            php_sessions,
            new_connections,
        ),
        1,
    )
}
