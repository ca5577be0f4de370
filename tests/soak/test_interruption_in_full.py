"""Calls interrupted at each of their instructions; a sample of them is in `tests/loopback`."""

from __future__ import annotations

import os

import pytest
from interruption import PROGRAMS, interrupt, run_program
from interruption_worker import ACTIONS, SCENARIOS

SCALE = float(os.environ.get("SOAK_SCALE", "1"))

#: About as many instructions as a warm call has.
MOST = 8000

#: Of a first call, which is longer, and most of which is the same in the others.
FIRST = 1000


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_interrupted_calls_in_full(scenario: str, action: str) -> None:
    """Ctrl-C, a finalizer or `Client.close` at each instruction of a call leaves nothing broken."""
    sample = int(FIRST * SCALE) if SCENARIOS[scenario].first else None
    if sample is None and SCALE < 1:
        sample = int(MOST * SCALE)
    report = interrupt(scenario, actions=(action,), sample=sample, most_failures=5)
    print(f"{scenario}, {action}: {report.made} instructions, {report.missed} not reached")  # noqa: T201
    assert not report.failures, "\n\n".join(report.failures)
    assert report.missed <= report.made // 20


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", PROGRAMS)
def test_interruptions_by_the_system_in_full(name: str) -> None:
    """Nor do they hang in thousands of calls."""
    printed = run_program(name, rounds=int(5000 * SCALE), limit=600)
    assert not printed, "\n".join(printed)
