"""What the server is asked to answer. The question itself says it, so that any library can ask."""

from __future__ import annotations

import re
from typing import List, NamedTuple

_FILLER = "the site's answer, a few words at a time; "
_PLAN = re.compile(rb"plan\[([^\]]*)\]")


class Plan(NamedTuple):
    """
    An answer: how many events of how many characters, how framed, how fast.

    `pace` is the time from event to event, `hold` that from the last one to the end of the body,
    both in seconds. `kind` is ``text`` or ``thinking``, whose events are none of the reply.
    `reply` is ``full``, or ``short`` for a final answer of two letters. With `keep` 0 the server
    closes the connection, with `lock` 1 it lets the calls of one PHP session wait for each other.
    """

    events: int = 10
    size: int = 16
    framing: str = "event"
    pace: float = 0.0
    hold: float = 0.0
    kind: str = "text"
    reply: str = "full"
    keep: int = 1
    lock: int = 0

    def question(self) -> str:
        """Return the question that asks for this answer."""
        return f"plan[{' '.join(map(str, self))}]"

    def pieces(self) -> List[str]:
        """Return the text of each event."""
        filler = _FILLER * (self.size // len(_FILLER) + 1)
        return [f"{number:07d} {filler}"[: self.size] for number in range(self.events)]


def asked(body: bytes) -> Plan:
    """Return the plan that a request's body holds."""
    found = _PLAN.search(body)
    if found is None:
        raise ValueError("the question has no plan")
    defaults = Plan()._asdict()
    values = zip(defaults.items(), found[1].decode().split(" "))
    return Plan(**{name: type(default)(value) for (name, default), value in values})
