"""The replies of the language model behind the site, and the events that stream them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ._http import Request
from ._php import php_json, php_trim

Part = Union[str, bytes, Mapping[str, Any]]
Answer = Callable[[Request], Union[str, Iterable[Part], None]]

COUNTED_USAGE: Mapping[str, Any] = MappingProxyType({})
"""Placeholder for a usage that is counted: one completion token per text part."""


class PluginError(Exception):
    """A request that the plugin refuses or fails; ``status`` is used if the answer is JSON."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class FatalError(Exception):
    """An error in PHP that the plugin does not catch, such as a TypeError."""


@dataclass(frozen=True)
class Reply:
    """The model's reply to one question; with ``error`` set, it fails after streaming its parts."""

    parts: Tuple[Part, ...] = ()
    final: Optional[str] = None
    usage: Optional[Mapping[str, Any]] = field(default_factory=lambda: COUNTED_USAGE)
    images: Optional[Sequence[str]] = None
    actions: Sequence[Mapping[str, Any]] = ()
    shortcuts: Sequence[Mapping[str, Any]] = ()
    blocks: Sequence[Mapping[str, Any]] = ()
    response_id: Optional[str] = "cmpl-1"
    error: Optional[str] = None

    @property
    def text(self) -> str:
        """The final text: ``final``, or the text parts joined and trimmed as the plugin does."""
        if self.final is not None:
            return self.final
        return php_trim("".join(part for part in self.parts if isinstance(part, str)))

    def raise_for_error(self) -> None:
        """
        Raise the error that the reply ends in, if any.

        Raises:
            PluginError: ``error`` is set.
        """
        if self.error is not None:
            raise PluginError(self.error)


class Question(NamedTuple):
    """What reaches the model: the message with its images, and the number of messages in all."""

    message: str
    message_count: int


class Model:
    """
    The language model behind the site.

    Args:
        answer: returns the reply to a request: a text, its parts, or None for an echo; if None,
            every reply is an echo.
        lock: held by the caller of ``reply``, and released while ``answer`` runs.
    """

    def __init__(self, answer: Optional[Answer], lock: Lock) -> None:
        self._answer = answer
        self._lock = lock

    def reply(self, request: Request, question: Question) -> Reply:
        """Return the reply to a question that has no script."""
        parts = self._answer_parts(self._answer, request) if self._answer else None
        if parts is None:
            parts = split_words(f"Echo({question.message_count} msgs): {question.message}")
        return Reply(parts)

    def _answer_parts(self, answer: Answer, request: Request) -> Optional[Tuple[Part, ...]]:
        self._lock.release()  # a slow answer must not delay other requests
        try:
            reply = answer(request)
            if reply is None:
                return None
            return split_words(reply) if isinstance(reply, str) else tuple(reply)
        finally:
            self._lock.acquire()


def split_words(text: str) -> Tuple[str, ...]:
    """Return a text in the parts in which the recorded model streamed it: one per word."""
    return tuple(re.findall(r"\s*\S+|\s+$", text))


def event(kind: str, data: Any, /, **more: Any) -> bytes:
    """
    Return the bytes of one event of a streamed answer.

    Args:
        kind: "live", "error" or "end".
        data: the text of a "live" or "error" event; the answer's JSON, as a string, of an "end".
        more: additional keys, such as the ``subtype`` of a status line.

    Source: AI Engine 2.4.7 and 3.6.2, mwai-ui/v1/chats/submit.
    """
    return b"data: " + php_json({"type": kind, "data": data, **more}) + b"\n\n"


def encode_part(part: Part, now: float) -> bytes:
    """Return the bytes that stream a part: text and keys become an event, bytes stay as given."""
    if isinstance(part, bytes):
        return part
    if isinstance(part, str):
        return event("live", part)
    defaults = {"timestamp": now, "visibility": "visible"} if "subtype" in part else {}
    keys = {"type": "live", "data": "", **defaults, **part}
    return event(keys.pop("type"), keys.pop("data"), **keys)
