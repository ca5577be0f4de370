"""What the server is to answer. The question itself carries it, so any library can ask for it."""

from __future__ import annotations

import re
from typing import List, NamedTuple

_FILLER = "the site's answer, a few words at a time; "
_PLAN = re.compile(rb"plan\[([^\]]*)\]")


class Plan(NamedTuple):
    """
    An answer: how many events, how long, how framed, how fast.

    Args:
        events: how many events carry text.
        size: characters of text per event.
        framing: how the body is framed; see `responses`.
        pace: seconds between two events.
        hold: seconds between the last event and the end of the body.
        kind: ``text``, or ``thinking`` for events that are not part of the reply.
        reply: ``full``, or ``short`` for a final reply of two letters.
        keep: 0 closes the connection after the answer.
        lock: 1 makes concurrent requests of a PHP session wait for each other.
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

    def text(self) -> str:
        """Return the text of all events."""
        return "".join(self.pieces())


def plan_in(body: bytes) -> Plan:
    """Return the plan that a request's body contains."""
    match = _PLAN.search(body)
    if match is None:
        raise ValueError("the question contains no plan")
    defaults = Plan()._asdict()
    values = zip(defaults.items(), match[1].decode().split(" "))
    return Plan(**{name: type(default)(value) for (name, default), value in values})
