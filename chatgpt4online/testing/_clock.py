"""The site's clock, which tests can move."""

from __future__ import annotations

import time

HALF_DAY = 43200  # seconds: half the lifetime of a WordPress nonce


class Clock:
    """
    A clock that starts in the middle of the current half day and runs at normal speed.

    Starting in the middle keeps a test from crossing the end of a half day by chance.
    """

    def __init__(self) -> None:
        now = time.time()
        self._offset = now // HALF_DAY * HALF_DAY + HALF_DAY / 2 - now

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward by this many seconds; backward if negative."""
        self._offset += seconds

    @staticmethod
    def format(seconds: float) -> str:
        """Return a Unix time as WordPress stores it: ``YYYY-MM-DD HH:MM:SS`` in UTC."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
