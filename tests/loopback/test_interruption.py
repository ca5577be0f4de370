"""A client stays usable wherever a signal or the garbage collector interrupts a call."""

from __future__ import annotations

import pytest
from support.interruption import PROGRAMS, interrupt, run_program
from support.interruption_worker import SCENARIOS

#: Instructions per scenario and action. ``make soak`` interrupts at all of them.
SAMPLE = 8


@pytest.mark.timeout(180)
def test_interrupted_calls() -> None:
    """After Ctrl-C, a finalizer or `Client.close` at any instruction, nothing is broken."""
    report = interrupt(*SCENARIOS, sample=SAMPLE)
    assert not report.failures, report.failures[0]
    assert report.made == len(SCENARIOS) * 3 * SAMPLE
    assert report.missed <= report.made // 10


@pytest.mark.parametrize("name", PROGRAMS)
def test_interruptions_by_the_system(name: str) -> None:
    """Calls do not hang when the collector frees streams, or a handler raises or closes them."""
    printed = run_program(name, rounds=50)
    assert not printed, "\n".join(printed)
