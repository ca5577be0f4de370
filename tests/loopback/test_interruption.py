"""A client stays usable wherever a signal or the garbage collector interrupts one of its calls."""

from __future__ import annotations

import pytest
from interruption import PROGRAMS, interrupt, run_program
from interruption_worker import SCENARIOS

#: Instructions for each scenario and action. ``make soak`` takes them all.
SAMPLE = 20


@pytest.mark.timeout(180)
def test_interrupted_calls() -> None:
    """Ctrl-C, a finalizer or `Client.close` at any instruction of a call leaves nothing broken."""
    report = interrupt(*SCENARIOS, sample=SAMPLE)
    assert not report.failures, report.failures[0]
    assert report.made == len(SCENARIOS) * 3 * SAMPLE
    assert report.missed <= report.made // 20


@pytest.mark.parametrize("name", PROGRAMS)
def test_interruptions_by_the_system(name: str) -> None:
    """Calls do not hang when the collector frees streams, or a handler raises or closes."""
    printed = run_program(name, rounds=150)
    assert not printed, "\n".join(printed)
