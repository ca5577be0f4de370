"""What the language model behind the site says, and how a test tells it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ._http import Answer, Pause

Part = Union[str, bytes, Mapping[str, Any]]

COUNTED: Mapping[str, Any] = MappingProxyType({})
"""Stands for a usage that is counted, one completion token a text, as the recorded model does."""


class RefusalError(Exception):
    """The plugin's refusal of a request; ``status`` is the one it has as plain JSON."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass(frozen=True)
class Reply:
    """What the model says to one question; ``error`` makes it a failure after its parts."""

    parts: Tuple[Part, ...] = ()
    final: Optional[str] = None
    usage: Optional[Mapping[str, Any]] = field(default_factory=lambda: COUNTED)
    images: Optional[Sequence[str]] = None
    actions: Sequence[Mapping[str, Any]] = ()
    shortcuts: Sequence[Mapping[str, Any]] = ()
    blocks: Sequence[Mapping[str, Any]] = ()
    response_id: Optional[str] = "cmpl-1"
    error: Optional[str] = None

    @property
    def text(self) -> str:
        """The reply: ``final``, or the texts among the parts, trimmed as the plugin does it."""
        if self.final is not None:
            return self.final
        return php_trim("".join(part for part in self.parts if isinstance(part, str)))

    def checked(self) -> Reply:
        """
        Return the reply itself.

        Raises:
            RefusalError: it is a failure.
        """
        if self.error is not None:
            raise RefusalError(self.error)
        return self


@dataclass(frozen=True)
class Script:
    """
    What happens to one request of a route.

    ``reply`` is what the model says (None: what it says untold); ``answer`` replaces the route's
    own; ``at_door`` gives it before WordPress has looked at the request. The rest is about the
    answer's way: ``cut`` breaks it off, ``stall`` holds it up after the reply's parts.
    """

    reply: Optional[Reply] = None
    answer: Optional[Answer] = None
    at_door: bool = False
    cut: Optional[str] = None
    stall: Optional[Pause] = None
    headers_first: bool = True
    pace: Optional[float] = None
    hold: float = 0.0

    def check(self) -> None:
        """
        Do nothing, if what is to happen is no failure of the plugin.

        Raises:
            RefusalError: it is one.
        """
        if self.reply:
            self.reply.checked()


UNTOLD = Script()


def sent_as_told(answer: Answer, script: Script) -> Answer:
    """Return an answer with what a script says of its way; it stalls before its end comes."""
    steps = list(answer.steps)
    if script.stall and script.headers_first:
        parts = len(script.reply.parts) if script.reply else 0
        steps.insert(min(parts, len(steps) - 1), script.stall)
    if script.hold:
        steps.append(Pause(script.hold))
    return replace(
        answer,
        steps=tuple(steps),
        before=answer.before if script.headers_first else script.stall,
        pace=answer.pace if script.pace is None else script.pace,
        end=script.cut if script.cut in ("torn", "reset") else answer.end,
    )


class Question(NamedTuple):
    """What reaches the model: the message, images and all, and how many messages in all."""

    message: str
    seen: int


def echo(question: Question) -> Reply:
    """Return what the model says untold, in the parts in which the recorded one streams it."""
    text = f"Echo({question.seen} msgs): {question.message}"
    return Reply(tuple(re.findall(r"\s*\S+|\s+$", text)))


def php_trim(text: str) -> str:
    """Return a text without the white space at its ends that PHP takes for such."""
    return text.strip(" \t\n\r\0\x0b")


def php_json(value: Any) -> bytes:
    """Return JSON as PHP writes it: no blanks, ASCII alone, slashes escaped."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def event(kind: str, data: Any, /, **more: Any) -> bytes:
    """
    Return the bytes of one event of a streamed answer.

    Args:
        kind: "live", "error" or "end".
        data: the text of a "live" or "error"; of an "end", the answer's JSON as a string.
        more: further keys, such as the ``subtype`` of a status line.
    """
    return b"data: " + php_json({"type": kind, "data": data, **more}) + b"\n\n"


def part_bytes(part: Part, now: float) -> bytes:
    """Return a part as it is streamed: text and keys as an event, bytes as they are."""
    if isinstance(part, bytes):
        return part
    if isinstance(part, str):
        return event("live", part)
    defaults = {"timestamp": now, "visibility": "visible"} if "subtype" in part else {}
    keys = {"type": "live", "data": "", **defaults, **part}
    return event(keys.pop("type"), keys.pop("data"), **keys)
