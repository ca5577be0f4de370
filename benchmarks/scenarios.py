"""
What is measured. In each scenario every library does the same work.

A scenario's docstring is its title and, after a blank line, what its table shows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from operator import itemgetter
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional

from . import tunings as catalog
from .bench import BEST_PEER, FLOOR, OURS, Bench, Case, Result, Runs, Scenario
from .peers import IMPORTS, OF_AI_ENGINE, PEERS, WITHOUT
from .plan import Plan
from .processes import Unfit

#: The round trip to a distant site, in seconds.
ROUND_TRIP = 0.025

_CHUNKS = {"event": "a chunk per event", "php": "two chunks per event, as PHP sends"}
_FRAMINGS = {
    "event": "a chunk per event",
    "big": "one chunk",
    "tiny": "chunks of 5 bytes",
    "close": "until the connection closes",
    "length": "Content-Length",
    "gzip": "gzip, a chunk per event",
    "close+gzip": "gzip, until the connection closes",
}
_NEAREST = "httpx-sse"
_THREADS = 32
_CHATS = 200  # of these threads

# The cases of the chart.
SMALL_EVENTS = f"100,000 events of 16 bytes, {_CHUNKS['php']}"
SHORT_CHAT = "a chat of 10 events of 16 bytes"
LARGE_EVENT = "one event of 3 MB"


def small_events(bench: Bench) -> Iterator[Case]:
    """
    CPU time per small event.

    The client's CPU time for an answer of events with 16 bytes of text each, per event. Growth is
    the cost of an event in the longest answer, compared with the shortest one.
    """
    for framing, words in _CHUNKS.items():
        sizes = (1_000, 20_000) if bench.quick else (1_000, 100_000, 300_000)
        runs: List[Runs] = []
        for events in sizes:
            runs.append(_read_events(bench, Plan(events, 16, framing), runs[-1] if runs else None))
            name = f"{events:,} events of 16 bytes, {words}"
            yield _per_event("small-events", name, runs[-1], events, target=2.5, base=FLOOR)
            pair = runs[-1].only(OURS, _NEAREST)
            name += f", compared with {_NEAREST}"
            yield _per_event("small-events", name, pair, events, target=0.6, base=_NEAREST)
        yield _growth(runs[0], runs[-1], sizes[-1] / sizes[0], words)


def _read_events(bench: Bench, plan: Plan, shorter: Optional[Runs] = None) -> Runs:
    """Read at least 20,000 events in each round, in as many chats as that takes."""
    chats = max(1, 20_000 // plan.events)
    rounds = 7 if plan.events < 100_000 else 3
    job = partial(bench.ask, url=bench.site.url(), job="cpu", plan=plan, chats=chats)
    return bench.run(rounds, job, shorter=shorter)


def _per_event(
    scenario: str, name: str, runs: Runs, events: int, *, target: float, base: str
) -> Case:
    def value(result: Result) -> float:
        return float(result["cpu"]) / events * 1e6

    return runs.case(scenario, name, "µs", value, target=target, base=base)


def _growth(short: Runs, long: Runs, times: float, words: str) -> Case:
    usual = {name: median(each["cpu"] for each in done) for name, done in short.results.items()}
    grown = {
        name: [{**each, "growth": each["cpu"] / times / usual[name]} for each in done]
        for name, done in long.results.items()
    }
    name = f"growth of an event's cost in an answer {times:.0f} times as long, {words}"
    runs = Runs(grown, long.failed)
    return runs.case("small-events", name, "x", itemgetter("growth"), target=1.1)


def large_events(bench: Bench) -> Iterator[Case]:
    """
    CPU time per large event.

    The client's CPU time for events of 2 KB, per event, and for an answer that is one event.
    """
    runs = _read_events(bench, Plan(2_000, 2_048, "php", reply="short"))
    name = f"2,000 events of 2 KB, {_CHUNKS['php']}"
    yield _per_event("large-events", name, runs, 2_000, target=2.5, base=FLOOR)
    plan = Plan(1, 3_000_000, "close", reply="short")
    runs = bench.run(5, partial(bench.ask, url=bench.site.url(), job="cpu", plan=plan))
    yield runs.case("large-events", LARGE_EVENT, "ms", _cpu(1e3), base=FLOOR)


def _cpu(scale: float) -> Callable[[Result], float]:
    return lambda result: result["cpu"] * scale


def short_chat(bench: Bench) -> Iterator[Case]:
    """
    CPU time of a short chat.

    The client's CPU time for a whole chat on a connection that is open already. The best peer is
    the library with the lowest CPU time of those that keep cookies and connections.
    """
    job = partial(bench.ask, url=bench.site.url(), job="cpu", plan=Plan(), chats=100)
    runs, value = bench.run(11, job), _cpu(1e6)
    yield runs.case("short-chat", SHORT_CHAT, "µs", value, target=9.5, base=FLOOR)
    best = runs.with_best(PEERS, value)
    name = f"{SHORT_CHAT}, compared with the best peer"
    yield best.case("short-chat", name, "µs", value, target=1, base=BEST_PEER)


def delta_delay(bench: Bench) -> Iterator[Case]:
    """
    Delay of a delta.

    The time from the server's write of an event to the moment when its text is yielded. The server
    writes an event every 20 ms.
    """
    for framing, words in _FRAMINGS.items():
        plan = Plan(20 if bench.quick else 100, 16, framing, pace=0.02)
        runs = bench.run(1, partial(_delays, bench, plan))
        name = f"median, {words}"
        yield runs.case("delta-delay", name, "ms", lambda each: median(each["delays"]), target=0.6)
        yield runs.case("delta-delay", f"99th percentile, {words}", "ms", _slowest, target=1.5)


def _delays(bench: Bench, plan: Plan, library: str) -> Result:
    result = bench.ask(library, bench.site.url(), "arrivals", plan)
    pairs = zip(result["times"], bench.site.query("log"))
    delays = sorted((arrived - sent) * 1e3 for arrived, sent in pairs)
    return {"correct": result["correct"], "delays": delays or [0.0]}


def _slowest(result: Result) -> float:
    delays: List[float] = result["delays"]
    return delays[int(len(delays) * 0.99) - 1]


def distant_site(bench: Bench) -> Iterator[Case]:
    """
    Chats with a distant site.

    The elapsed time of a new client's first chat and of the next five, in round trips of 25 ms,
    and the number of connections that the client opens for the six.
    """
    for scheme, first, following in (("http", 3.4, 1.2), ("https", 5.4, 1.2)):
        runs = bench.run(3, partial(_distant_chats, bench, bench.site.url(scheme, ROUND_TRIP)))
        for key, unit, target in (
            ("first chat", "round trips", first),
            ("later chats", "round trips", following),
            ("connections", "", 1),
        ):
            name = f"{key}, {scheme}"
            yield runs.case("distant-site", name, unit, itemgetter(key), target=target)


def _distant_chats(bench: Bench, url: str, library: str) -> Result:
    """Measure six chats of a new client, which has no connection yet."""
    bench.site.query("counts")
    first = bench.ask(library, url, "cpu", Plan(), warm=False)
    later = bench.ask(library, url, "cpu", Plan(), chats=5)
    bench.site.forget(library, url)
    return {
        "correct": first["correct"] and later["correct"],
        "first chat": first["time"] / ROUND_TRIP,
        "later chats": later["time"] / ROUND_TRIP,
        "connections": bench.site.query("counts")["connections"],
    }


def late_end(bench: Bench) -> Iterator[Case]:
    """
    Answers whose HTTP body ends late.

    PHP may go on working after the answer is complete. Waiting for the end of the body would delay
    the caller, and not waiting for it costs a new connection for the next chat.
    """
    runs = bench.run(3, partial(_late_ends, bench))
    name = "delay of a complete answer whose body ends 500 ms later"
    yield runs.case("late-end", name, "ms", itemgetter("delay"), target=25)
    name = "connections for 10 chats whose bodies end 2 ms later"
    yield runs.case("late-end", name, "", itemgetter("connections"), target=1)


def _late_ends(bench: Bench, library: str) -> Result:
    url = bench.site.url()
    bench.site.forget(library, url)
    bench.site.query("counts")
    brief = bench.ask(library, url, "cpu", Plan(hold=0.002), warm=False, chats=10)
    connections = bench.site.query("counts")["connections"]
    long = bench.ask(library, url, "arrivals", Plan(hold=0.5))
    delay = long["ended"] - bench.site.query("log")[0]
    correct = brief["correct"] and long["correct"]
    return {"correct": correct, "delay": delay * 1e3, "connections": connections}


def threads(bench: Bench) -> Iterator[Case]:
    """
    32 threads that share a client.

    200 chats with a site 25 ms away, and then six bursts of 32 chats.
    """
    runs = bench.run(3, partial(_crowd, bench))
    yield runs.case(
        "threads",
        "chats per second",
        "per second",
        itemgetter("rate"),
        target=0.85,
        base=FLOOR,
        at_least=True,
    )
    for count, target in (("connections", _THREADS), ("nonces", 1)):
        name = f"{count} for the {_CHATS} chats and the bursts"
        yield runs.case("threads", name, "", itemgetter(count), target=target)


def _crowd(bench: Bench, library: str) -> Result:
    url = bench.site.url("http", ROUND_TRIP)
    bench.site.query("counts")
    results = [
        bench.ask(library, url, "together", Plan(), chats=chats, threads=_THREADS)
        for chats in (_CHATS, *[_THREADS] * 6)
    ]
    bench.site.forget(library, url)
    correct = all(result["correct"] for result in results)
    counts = {"nonces": 0, **bench.site.query("counts")}
    return {"correct": correct, "rate": _CHATS / results[0]["time"], **counts}


def import_time(bench: Bench) -> Iterator[Case]:
    """
    Import time.

    The CPU time of a new Python process that imports a library, and of one that also creates a
    client, compared with ``import requests``.
    """
    base = "import requests"
    known = [name for name in IMPORTS if name in (base, *bench.libraries)]
    runs = bench.run(15, lambda name: _cold(IMPORTS[name][0]), known)
    yield runs.case("import", "import", "ms", _cpu(1e3), target=1.25, base=base)
    runs = bench.run(7, lambda name: _cold("; ".join(IMPORTS[name])), known)
    yield runs.case("import", "import and create a client", "ms", _cpu(1e3), base=base)


def _cold(program: str) -> Result:
    # Packages in development have no bytecode otherwise, while installed ones do.
    usual = {name: each for name, each in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = getrusage(RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program], env=usual, capture_output=True, check=False
    )
    after = getrusage(RUSAGE_CHILDREN)
    if done.returncode:
        raise Unfit(done.stderr.decode().strip().split("\n")[-1])
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"correct": True, "cpu": used}


def memory(bench: Bench) -> Iterator[Case]:
    """
    Memory of a long answer.

    The growth of the client's peak memory while an answer is read event by event, and the CPU time
    of reading the text so far after each event.
    """
    speakers = [name for name in bench.libraries if name in OF_AI_ENGINE]
    shorter = None
    for events in (100_000,) if bench.quick else (100_000, 1_000_000):
        plan = Plan(events, kind="thinking", reply="short")
        runs = bench.run(1, partial(_memory, bench, plan), speakers)
        name = f"{events:,} events of thinking and a short reply"
        yield runs.case("memory", name, "MB", lambda each: each["memory"] / 1e6, target=1)
    for events in (100_000,) if bench.quick else (100_000, 500_000):  # ours accepts 8 MiB
        runs = shorter = bench.run(1, partial(_memory, bench, Plan(events)), shorter=shorter)
        name = f"{events:,} events of text, {events * Plan().size / 1e6:.1f} MB in all"
        yield runs.case("memory", name, "x the text", itemgetter("times"), target=9)
    job = partial(bench.ask, url=bench.site.url(), job="texts", plan=Plan(10_000))
    runs = bench.run(3, job, [name for name in bench.libraries if name == OURS])
    yield runs.case("memory", "stream.text after each of 10,000 events", "µs", _cpu(1e6))


def _memory(bench: Bench, plan: Plan, library: str) -> Result:
    bench.site.forget(library, bench.site.url())
    result = bench.ask(library, bench.site.url(), "memory", plan)
    bench.site.forget(library, bench.site.url())
    return {**result, "times": result["memory"] / (plan.events * plan.size)}


def php_sessions(bench: Bench) -> Iterator[Case]:
    """
    Concurrent chats on a site that locks PHP sessions.

    On such a site the requests of one session wait for each other, so a client that returns the
    session's cookie cannot chat concurrently.
    """
    plan, url = Plan(pace=0.02, lock=1), bench.site.url()

    def job(library: str) -> Result:
        one, four = (
            bench.ask(library, url, "together", plan, chats=chats, threads=chats)
            for chats in (1, 4)
        )
        correct = one["correct"] and four["correct"]
        return {"correct": correct, "ratio": four["time"] / one["time"]}

    runs = bench.run(5, job)
    name = "elapsed time of four concurrent chats, compared with one"
    yield runs.case("php-sessions", name, "x", itemgetter("ratio"), target=1.1)


def new_connections(bench: Bench) -> Iterator[Case]:
    """
    CPU time of a new TLS connection.

    The client's CPU time for a chat on a new TLS connection, less that on a new plain one. The
    clients trust the usual certificate authorities.
    """
    runs = bench.run(7, partial(_tls_cost, bench))
    yield runs.case("new-connections", "a new TLS connection", "ms", _cpu(1e3), target=2)


def _tls_cost(bench: Bench, library: str) -> Result:
    plain, tls = (
        bench.ask(library, bench.site.url(scheme), "cpu", Plan(keep=0), chats=20)
        for scheme in ("http", "https")
    )
    correct = plain["correct"] and tls["correct"]
    return {"correct": correct, "cpu": tls["cpu"] - plain["cpu"]}


def _elapsed(result: Result) -> float:
    milliseconds: float = result["time"] * 1e3
    return milliseconds


class _Measure(NamedTuple):
    unit: str
    rounds: int
    job: Callable[[Bench, str], Result]
    value: Callable[[Result], float]


def _chats(bench: Bench, library: str) -> Result:
    return bench.ask(library, bench.site.url(), "cpu", Plan(), chats=100)


def _events(bench: Bench, library: str) -> Result:
    return bench.ask(library, bench.site.url(), "cpu", Plan(20_000, framing="php"))


def _first_tls_chat(bench: Bench, library: str) -> Result:
    url = bench.site.url("https", ROUND_TRIP)
    result = bench.ask(library, url, "cpu", Plan(), warm=False)
    bench.site.forget(library, url)
    return result


def _chats_in_threads(bench: Bench, library: str) -> Result:
    url = bench.site.url("http", ROUND_TRIP)
    result = bench.ask(library, url, "together", Plan(), chats=_CHATS, threads=_THREADS)
    return {**result, "time": result["time"] / _CHATS}


_MEASURES: Dict[str, _Measure] = {
    catalog.SHORT_CHAT: _Measure("µs", 25, _chats, _cpu(1e6)),
    catalog.SMALL_EVENTS: _Measure("µs", 15, _events, _cpu(1e6 / 20_000)),
    catalog.NEW_TLS_CONNECTION: _Measure("ms", 9, _tls_cost, _cpu(1e3)),
    catalog.FIRST_TLS_CHAT: _Measure("ms", 9, _first_tls_chat, _elapsed),
    catalog.THREADS: _Measure("ms", 15, _chats_in_threads, _elapsed),
}


def tunings(bench: Bench) -> Iterator[Case]:
    """
    What each tuning saves.

    The package with all its tunings and the package without one of them take turns. The ratio is
    the median of the ratios within each round.
    """
    for name, tuning in catalog.TUNINGS.items():
        variants = {OURS: "with", f"{OURS}{WITHOUT}{name}": "without"}
        for words in tuning.measures:
            unit, rounds, job, value = _MEASURES[words]
            runs = bench.run(rounds, partial(job, bench), list(variants)).renamed(variants)
            yield runs.case("tunings", f"{name}: {words}", unit, value, base="with")


SCENARIOS: Dict[str, Scenario] = {
    "small-events": small_events,
    "large-events": large_events,
    "short-chat": short_chat,
    "delta-delay": delta_delay,
    "distant-site": distant_site,
    "late-end": late_end,
    "threads": threads,
    "import": import_time,
    "memory": memory,
    "php-sessions": php_sessions,
    "new-connections": new_connections,
    "tunings": tunings,
}
