"""The command line, run inside the test process."""

from __future__ import annotations

import io
import json
from typing import Any, Callable, List, NamedTuple


class Result(NamedTuple):
    """A command's exit status and output."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> List[Any]:
        """The JSON objects on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Result]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True
