"""One event of a stream: a delta of the reply's text, another event, the end, or a failure."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Union

from chatgpt4online.errors import ProtocolError
from chatgpt4online.types import Event

from .fields import as_dict, as_number, as_str, as_text, check_size, parse_json, plain_text

#: What the lines of an event begin with.
FIELD_PREFIXES = (b"data:", b"event:", b"id:", b"retry:", b":")

_LIVE, _END, _ERROR = "live", "end", "error"

#: The types of events; others are skipped.
EVENT_TYPES = (_LIVE, _END, _ERROR)


class End(NamedTuple):
    """The last event of a stream: the answer's JSON object, or None if it could not be read."""

    answer: Optional[Dict[str, Any]]

    @property
    def has_reply(self) -> bool:
        """Whether it contains the reply, so that the text so far is not needed."""
        return self.answer is not None and "reply" in self.answer


class Failure(NamedTuple):
    """An `error` event. After one with an empty message, another one follows that says more."""

    message: str


def parse_event(data: str) -> Union[str, Event, End, Failure, None]:
    """
    Parse one event: return a delta as str, another `Event`, the end or a failure.

    Return None for an event to skip: one without text, or of an unknown type.

    Raises:
        ProtocolError: the data is not an event of the plugin.

    Source: the events `live`, `error` and `end` of mwai-ui/v1/chats/submit, since 1.6.94.
    """
    if not data or data.isspace():
        return None
    event = parse_json(data)
    if not isinstance(event, dict):
        raise ProtocolError("an event is not a JSON object")
    event_type, value = event.get("type"), event.get("data")
    if event_type == _LIVE:
        return _live(event, value)
    if event_type == _END:
        return End(_answer(value))
    if event_type == _ERROR:
        return Failure(plain_text(value))
    return None


def _live(event: Dict[str, Any], value: object) -> Union[str, Event, None]:
    """
    Parse a `live` event. It is text if its `subtype` is missing or ``content``.

    Source: `subtype` and the fields that come with it since 2.8.3.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ProtocolError("an event's text is not a string")
    subtype = event.get("subtype") or "content"
    if subtype == "content":
        return value or None
    return Event(
        kind=as_text(subtype),
        text=value,
        visibility=as_str(event.get("visibility")),
        metadata=as_dict(event.get("metadata")),
        timestamp=as_number(event.get("timestamp")),
    )


def _answer(value: object) -> Optional[Dict[str, Any]]:
    """Return the object in an `end`: a JSON text, or ``false`` if PHP could not encode it."""
    if isinstance(value, str):
        check_size(value)
        try:
            value = parse_json(value)
        except ProtocolError:
            return None
    return value if isinstance(value, dict) else None
