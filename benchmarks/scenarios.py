"""What is measured: each scenario does the same work with every library."""

from __future__ import annotations

from typing import Dict, Iterator

from .bench import Bench, Case, Scenario, case
from .plan import Plan

_FRAMINGS = {"event": "one chunk an event", "php": "PHP's two chunks an event"}


def small_events(bench: Bench) -> Iterator[Case]:
    """Measure the client's processor time for each event of 16 bytes, and its growth."""
    for framing, words in _FRAMINGS.items():
        sizes = (1_000, 20_000) if bench.quick else (1_000, 100_000, 300_000)
        cases = [_per_event(bench, events, 16, framing, words) for events in sizes]
        yield from cases
        yield _growth(cases[0], cases[-1], words)


def _per_event(bench: Bench, events: int, size: int, framing: str, words: str) -> Case:
    plan = Plan(events, size, framing)
    chats = max(1, 20_000 // events)

    def job(library: str) -> tuple[float, bool]:
        result = bench.ask(library, bench.site.url(), "cpu", plan, chats=chats)
        return result["cpu"] / events * 1e6, bool(result["right"])

    name = f"{events:,} events of {size:,} B, {words}"
    target = 2.5 if size == 16 else 1.7
    empty = case("cpu an event", name, "us an event", target, relative=True)
    return bench.measure(empty, 7 if events < 100_000 else 5, job)


def _growth(first: Case, last: Case, words: str) -> Case:
    """Return how much dearer an event is in a long answer than in a short one."""
    name = f"growth from {first.name.split()[0]} to {last.name.split()[0]} events, {words}"
    grown = case("cpu an event", name, "times", 1.1)
    for library, values in last.values.items():
        pairs = zip(values, first.values[library])
        grown.values[library] = [long / short for long, short in pairs]
    return grown


def large_events(bench: Bench) -> Iterator[Case]:
    """Measure the client's processor time for events of 2 KB, and for a single one of 30 MB."""
    yield _per_event(bench, 2_000, 2_048, "php", _FRAMINGS["php"])
    sizes = (1_000_000, 4_000_000) if bench.quick else (3_000_000, 30_000_000)
    for size in sizes:
        yield _single(bench, size)


def _single(bench: Bench, size: int) -> Case:
    plan = Plan(1, size, "close", reply="short")

    def job(library: str) -> tuple[float, bool]:
        result = bench.ask(library, bench.site.url(), "cpu", plan)
        return result["cpu"] * 1e3, bool(result["right"])

    name = f"one event of {size / 1e6:.0f} MB"
    return bench.measure(case("cpu an event", name, "ms", 1.7, relative=True), 5, job)


def short_chats(bench: Bench) -> Iterator[Case]:
    """Measure the client's processor time for a whole short chat on an open connection."""

    def job(library: str) -> tuple[float, bool]:
        result = bench.ask(library, bench.site.url(), "cpu", Plan(10), chats=100)
        return result["cpu"] * 1e6, bool(result["right"])

    empty = case("cpu a chat", "a chat of 10 events", "us", 6.5, relative=True)
    yield bench.measure(empty, 11, job)


SCENARIOS: Dict[str, Scenario] = {
    "1": small_events,
    "2": large_events,
    "3": short_chats,
}
