"""Streams: cuts make no difference, and any bytes are parsed or raise ProtocolError."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Union

from hypothesis import example, given
from hypothesis import strategies as st
from strategies import cut, json_values, offsets, quick, surrogates

from chatgpt4online import ChatGPT4OnlineError, Event, ProtocolError
from chatgpt4online._http import sse
from chatgpt4online._protocol import prelude
from chatgpt4online._protocol.advice import RequestInfo
from chatgpt4online._protocol.answers import parse_reply
from chatgpt4online._protocol.events import End, Failure, parse_event
from chatgpt4online._protocol.failures import check_success
from chatgpt4online._protocol.fields import parse_json

WIRE = Path(__file__).parent.parent / "wire"
BOM = b"\xef\xbb\xbf"
LONGEST = prelude.MAX_PRELUDE

Item = Union[str, Event, End, Failure]


class Parsed(NamedTuple):
    """The items of a stream, and the message of the error that ended it, or an empty one."""

    items: List[Item]
    error: str


def parse(chunks: Iterable[bytes]) -> Parsed:
    """Parse the chunks of a stream; only ProtocolError may be raised."""
    items: List[Item] = []
    try:
        for item in sse.parse(iter(chunks)):
            items.append(item)  # noqa: PERF402 - the items before an error count
    except ProtocolError as error:
        return Parsed(items, str(error))
    return Parsed(items, "")


def recorded_streams() -> List[str]:
    """Return the bodies of all recorded streams."""
    exchanges = [json.loads(path.read_text("utf-8")) for path in sorted(WIRE.glob("*/*.json"))]
    bodies = {exchange["response"]["body"] for exchange in exchanges}
    return sorted(body for body in bodies if body.startswith("data:"))


STREAMS = recorded_streams()


def expected_items(stream: str) -> List[Any]:
    """Return the deltas and the answer of a recorded stream, by a simple parser of its own."""
    events = [json.loads(line[6:]) for line in stream.splitlines() if line]
    texts = [event["data"] for event in events if event["type"] == "live" and len(event) == 2]
    return [*texts, *(json.loads(event["data"]) for event in events if event["type"] == "end")]


def shortest_of_each_shape() -> List[str]:
    """Return the shortest of the recorded streams whose events have the same fields."""
    shortest: Dict[Any, str] = {}
    for stream in sorted(STREAMS, key=len):
        events = [json.loads(line[6:]) for line in stream.splitlines() if line]
        shape = frozenset((event["type"], event.get("subtype"), *event) for event in events)
        shortest.setdefault(shape, stream)
    return list(shortest.values())


def test_there_are_recordings() -> None:
    """There are recorded streams of real sites, with an end and with an error."""
    assert len(STREAMS) > 10
    assert {event for event in ("end", "error") for s in STREAMS if f'"{event}"' in s} == {
        "end",
        "error",
    }


def test_recorded_byte_by_byte() -> None:
    """A recorded stream of each shape is parsed byte by byte as by the simple parser."""
    for stream in shortest_of_each_shape():
        body = stream.encode()
        items, error = parse(body[at : at + 1] for at in range(len(body)))
        values = [item.answer if isinstance(item, End) else item for item in items]
        found = [each for each in values if isinstance(each, (str, dict))]
        assert (found, error) == (expected_items(stream), ""), stream


@quick
@given(st.sampled_from(STREAMS), offsets, st.sampled_from(["\n", "\r\n", "\r"]))
def test_recorded_under_any_cuts(stream: str, where: List[int], newline: str) -> None:
    """A recorded stream is parsed the same under any cuts and line endings."""
    body = stream.replace("\n", newline).encode()
    assert parse(cut(body, where)) == parse([stream.encode()])


@quick
@given(st.sampled_from(STREAMS), st.integers(0, 1 << 20), offsets)
def test_recorded_cut_off(stream: str, place: int, where: List[int]) -> None:
    """A truncated recorded stream gives a proper prefix of its items, and no error."""
    body = stream.encode()
    part = parse(cut(body[: place % len(body)], where))
    whole = parse([body])
    assert part.items == whole.items[: len(part.items)]
    assert len(part.items) < len(whole.items)
    assert part.error == ""


TEXTS = st.text(max_size=30).map(lambda text: {"type": "live", "data": text})
OTHERS = st.fixed_dictionaries(
    {"type": st.just("live"), "data": st.text(max_size=9), "subtype": st.text(max_size=9)}
)
EVENTS = st.lists(st.one_of(TEXTS, TEXTS, OTHERS), max_size=10)
NOISE = st.sampled_from(["", "\n", ": keepalive\n\n", "data:\n\n", "id: 5\n", "retry: 5\n\n"])


@quick
@given(EVENTS, NOISE, offsets, st.booleans())
def test_generated_under_any_cuts(
    events: List[Any], noise: str, where: List[int], ascii_only: bool
) -> None:
    """All text comes out in order under any cuts, whatever the text is."""
    lines = [f"data: {json.dumps(event, ensure_ascii=ascii_only)}\n\n" for event in events]
    body = noise.join(["", *lines, ""]).encode()
    items, error = parse(cut(body, where))
    texts = [e["data"] for e in events if e.get("subtype", "content") in ("", "content")]
    assert [item for item in items if isinstance(item, str)] == [text for text in texts if text]
    assert sum(isinstance(item, Event) for item in items) == len(events) - len(texts)
    assert error == ""


FRAGMENTS = st.sampled_from(
    [
        *(b"data: ", b"data", b":", b"\n", b"\n\n", b"\r", b"\r\n", b"id: 1\n", b"event: x\n"),
        *(b'{"type":"live","data":"x"}', b'{"type":"end","data":"{}"}', b"[", b'"', b"\\ud83d"),
        *(b"\xff", b"\xe2\x80", BOM, b"\x00", b'{"type":"error","data":""}', b"retry: x\n"),
    ]
)
#: Whole events, in the forms that the plugin and what stands between may give them.
WHOLE = st.sampled_from(
    [
        b'data: {"type":"live","data":"Hel"}\n\n',
        'data: {"type":"live","data":"\u00e4\U0001f600"}\n\n'.encode(),
        b'data:{"type":"live","data":"lo"}\r\n\r\n',
        b': keepalive\ndata: {"type":"live",\ndata: "data":"!"}\n\n',
        b'id: 1\ndata: {"type":"live","data":"a","subtype":"status"}\r\r',
        b'data: {"type":"error","data":"No"}\n\n',
        b'data: {"type":"end","data":"{\\"success\\":true}"}\n\n',
    ]
)


def mutated(events: List[bytes], fragment: bytes, place: int, size: int) -> bytes:
    """Return events in which a fragment stands in place of some bytes."""
    body = b"".join(events)
    at = place % (len(body) + 1)
    return body[:at] + fragment + body[at + size :]


NEARLY_WHOLE = st.builds(
    mutated,
    st.lists(WHOLE, min_size=1, max_size=6),
    st.one_of(st.just(b""), FRAGMENTS),
    st.integers(0, 1 << 10),
    st.integers(0, 3),
)
ANY_BYTES = st.one_of(NEARLY_WHOLE, st.binary(), st.lists(FRAGMENTS, max_size=20).map(b"".join))

PRINTED = st.sampled_from([b"x", b" ", b"<!--", b"-->", b"<", b"{", b'{"success":true}'])
STARTS = st.lists(st.one_of(FRAGMENTS, PRINTED), max_size=20).map(b"".join)


@quick
@given(ANY_BYTES, offsets)
@example(b"data: \xff\n\ndata: {}\n\n", range(99))
def test_any_bytes(body: bytes, where: List[int]) -> None:
    """Any bytes are parsed or raise ProtocolError, the same under any cuts."""
    whole, pieces = parse([body]), parse(cut(body, where))
    assert whole == pieces


@quick
@given(ANY_BYTES, st.booleans())
def test_start_of_any_bytes(body: bytes, ended: bool) -> None:
    """Any bytes start somewhere within them, or need more; at the end they do not."""
    found = prelude.find_start(body, ended=ended)
    assert found is not None or not ended
    assert found is None or 0 <= found.at <= len(body)


@quick
@given(ANY_BYTES, ANY_BYTES)
def test_start_once_found_stays(body: bytes, more: bytes) -> None:
    """More bytes do not change where an answer has been found to start."""
    found = prelude.find_start(body, ended=False)
    assert found in (None, prelude.find_start(body + more, ended=False))


@quick
@given(STARTS, offsets)
@example(b" " * LONGEST + b"data: {}\n", [LONGEST + 1])
@example(b"x" * (LONGEST - 1) + b'\ndata: {"type":"live","data":""}\n', [LONGEST + 9])
@example(b"<!--" + b"x" * LONGEST + b"-->\ndata: {}\n", [9, LONGEST + 9])
def test_start_under_any_cuts(body: bytes, where: List[int]) -> None:
    """A body starts at the same place however it is cut."""
    finder = prelude.StartFinder()
    starts = [finder.feed(piece) for piece in [*filter(None, cut(body, where)), b""]]
    assert next(filter(None, starts)) == prelude.find_start(body, ended=True)


#: Events of known types, whose other fields may be anything.
FORMED = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["live", "live", "end", "error", "more"]),
        "data": st.one_of(st.text(max_size=9), st.just('{"success":true}'), json_values()),
    },
    optional=dict.fromkeys(["subtype", "visibility", "metadata", "timestamp"], json_values()),
)
FORMED_TEXTS = st.builds(
    lambda event, cut_off: json.dumps(event)[: -1 if cut_off else None], FORMED, st.booleans()
)


@quick
@given(st.one_of(FORMED_TEXTS, st.text()))
def test_event_of_any_text(data: str) -> None:
    """Any data of an event is parsed, skipped or raises ProtocolError."""
    try:
        item = parse_event(data)
    except ProtocolError:
        return
    assert item is None or isinstance(item, (str, Event, End, Failure))
    assert item != ""


@quick
@given(
    st.one_of(
        FORMED,
        st.dictionaries(
            st.sampled_from(["type", "data", "subtype", "visibility", "metadata", "timestamp"]),
            st.one_of(st.sampled_from(["live", "end", "error"]), json_values()),
        ),
    )
)
def test_event_of_any_json(event: Any) -> None:
    """An event with any fields is parsed, skipped or raises ProtocolError."""
    try:
        item = parse_event(json.dumps(event))
    except ProtocolError:
        return
    if isinstance(item, Event):
        assert isinstance(item.kind, str)
        assert isinstance(item.metadata, dict)
        assert item.visibility is None or isinstance(item.visibility, str)
    json.dumps(item, ensure_ascii=False, default=vars).encode()


ANYTHING = json_values()
NAMES = ["type", "data", "label", "message", "name", "args"]
PARTS = st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=3)
KEYS = [
    *("success", "reply", "images", "actions", "shortcuts", "blocks", "usage", "responseId"),
    *("new_token", "message", "code", "data"),
]
ANSWERS = st.dictionaries(
    st.sampled_from(KEYS), st.one_of(ANYTHING, st.lists(PARTS, max_size=2)), max_size=5
)


#: Answers that say whether they are a success, and have a text.
REPORTS = st.builds(
    lambda fields, success, text: {**fields, "success": success, "reply": text},
    ANSWERS,
    st.booleans(),
    st.one_of(st.text(max_size=9), surrogates()),
)


@quick
@given(st.one_of(REPORTS, ANSWERS), st.text(max_size=9))
def test_reply_of_any_json(answer: Any, so_far: str) -> None:
    """Any JSON object is a reply or raises an error, and all text in it can be encoded."""
    decoded = parse_json(json.dumps(answer))
    try:
        reply = parse_reply(decoded, so_far, "abc")
    except ChatGPT4OnlineError as error:
        str(error).encode()
        return
    assert "new_token" not in reply.raw
    values = (reply.usage, reply.images, reply.actions, reply.shortcuts, reply.blocks, reply.raw)
    json.dumps([reply, *values], ensure_ascii=False, default=vars).encode()


@quick
@given(st.one_of(REPORTS, ANSWERS, ANYTHING), st.integers(100, 599))
def test_success_of_any_json(answer: Any, status: int) -> None:
    """Any JSON reports success, or raises an error with a printable message."""
    decoded = parse_json(json.dumps(answer))
    try:
        assert check_success(decoded, status, RequestInfo)["success"] is True
    except ChatGPT4OnlineError as error:
        assert str(error).isprintable()  # noqa: PT017 - it may also succeed
