"""Calls interrupted at each of their instructions; `tests/loopback` runs a sample."""

from __future__ import annotations

import os

import pytest
from support.interruption import PROGRAMS, interrupt, run_program
from support.interruption_worker import ACTIONS, SCENARIOS

SCALE = float(os.environ.get("SOAK_SCALE", "1"))

#: About the number of instructions of a warm call.
WARM = 8000

#: The sample of a first call, which is longer, and mostly the same as in the other scenarios.
FIRST = 1000


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_interrupted_calls_in_full(scenario: str, action: str) -> None:
    """After Ctrl-C, a finalizer or `Client.close` at each instruction, nothing is broken."""
    sample = int(FIRST * SCALE) if SCENARIOS[scenario].first else None
    if sample is None and SCALE < 1:
        sample = int(WARM * SCALE)
    report = interrupt(scenario, actions=(action,), sample=sample, max_failures=5)
    print(f"{scenario}, {action}: {report.made} instructions, {report.missed} not reached")  # noqa: T201
    assert not report.failures, "\n\n".join(report.failures)
    assert report.missed <= report.made // 20


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", PROGRAMS)
def test_interruptions_by_the_system_in_full(name: str) -> None:
    """Thousands of calls do not hang when the collector or a signal handler interrupts them."""
    printed = run_program(name, rounds=int(5000 * SCALE), limit=600)
    assert not printed, "\n".join(printed)
