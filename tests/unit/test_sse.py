"""From bytes to what the plugin says in them: where an answer starts, and its events."""

from __future__ import annotations

import json
import logging
import tracemalloc
from contextlib import suppress
from time import thread_time
from typing import Any, Callable, Dict, Iterator, List, Union

import pytest

from chatgpt4online import Event, ProtocolError
from chatgpt4online._http import sse
from chatgpt4online._protocol import fields
from chatgpt4online._protocol.events import End, Failure

BOM = b"\xef\xbb\xbf"
HEL = b'data: {"type":"live","data":"Hel"}\n\n'
LO = b'data: {"type":"live","data":"lo"}\n\n'
END = b'data: {"type":"end","data":"{\\"success\\":true,\\"reply\\":\\"Hello\\"}"}\n\n'
ANSWER = [End({"success": True, "reply": "Hello"})]
WARNING = b"<br />\n<b>Warning</b>:  Undefined array key in <b>/x.php</b> on line <b>5</b><br />\n"

Item = Union[str, Event, End, Failure]


def items(*chunks: bytes) -> List[Item]:
    """Return what these chunks of a stream say."""
    return list(sse.parse(iter(chunks)))


def cut(body: bytes, size: int) -> List[bytes]:
    """Cut bytes into pieces of a size."""
    return [body[at : at + size] for at in range(0, len(body), size)]


def test_events() -> None:
    """Each event says something, in order; nothing more is said after the last."""
    failure = b'data: {"type":"error","data":"No."}\n\n'
    status = b'data: {"type":"live","data":"Hm","subtype":"status"}\n\n'
    assert items(status + HEL + LO + failure + END) == [
        Event("status", "Hm", None, {}, None),
        "Hel",
        "lo",
        Failure("No."),
        *ANSWER,
    ]


SKIPPED = [
    b"",
    b"\n",
    b"\n\n\n",
    b": keepalive\n\n",
    b":\n",
    b"data:\n\n",
    b"data: \n\n",
    b"data\n\n",
    b"retry: 5\n\n",
    b"retry: soon\n\n",
    b"id: 1\n",
    b"id\n\n",
    b"event: message\n",
    b"odd: field\n",
    b"no field\n\n",
    b'data: {"type":"heartbeat"}\n\n',
]


@pytest.mark.parametrize("noise", SKIPPED)
def test_skipped(noise: bytes) -> None:
    """Comments, empty data and unknown fields say nothing, wherever they stand."""
    assert items(noise + HEL + noise + LO + noise + END + noise) == ["Hel", "lo", *ANSWER]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_newlines(newline: bytes, size: int) -> None:
    """A line may end in LF, CR LF or CR, and be cut anywhere."""
    body = (HEL + b": a\n\n" + LO + END).replace(b"\n", newline)
    chunks = cut(body, size)
    assert items(*chunks) == ["Hel", "lo", *ANSWER]


@pytest.mark.parametrize(
    "body", [HEL.replace(b"\n\n", b"\n\r\n"), HEL.replace(b"\n\n", b"\r\n\n"), HEL + b"\r\n\r\n"]
)
def test_mixed_newlines(body: bytes) -> None:
    """Kinds of line ends may be mixed: every event is one."""
    assert items(body + LO) == ["Hel", "lo"]


def test_lines_of_one_event() -> None:
    """Several data lines of one event are one text, of which the newline is a part."""
    assert items(b'data: {"type":"live",\ndata:"data":"x"}\n\n') == ["x"]


def test_no_space_after_the_colon() -> None:
    """The blank after the colon is optional, and only one is taken off."""
    assert items(HEL.replace(b"data: ", b"data:")) == ["Hel"]
    assert items(HEL.replace(b"data: ", b"data:  ")) == ["Hel"]


def test_separators_within_text() -> None:
    """Characters that Python's `splitlines` splits at are text like any other."""
    said = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1e"
    event = json.dumps({"type": "live", "data": said}, ensure_ascii=False).encode()
    assert items(b"data: " + event + b"\n\n") == [said]


def test_unfinished_event() -> None:
    """An event whose empty line has not come is not said, however whole it looks."""
    assert items(HEL + LO[:-1]) == ["Hel"]
    assert items(LO[:-2]) == []
    assert items(HEL, LO[:-1], b":") == ["Hel"]


def test_events_are_said_at_once() -> None:
    """An event is said when its last byte has come, before the next chunk is asked for."""
    asked: List[bytes] = []

    def chunks() -> Iterator[bytes]:
        for chunk in (HEL[:-2], b"\n", b"\n", LO[:-1], LO[-1:] + END[:5], END[5:]):
            asked.append(chunk)
            yield chunk

    stream = sse.parse(chunks())
    assert (next(stream), len(asked)) == ("Hel", 3)
    assert (next(stream), len(asked)) == ("lo", 5)
    assert (next(stream), len(asked)) == (*ANSWER, 6)


def test_events_of_one_chunk() -> None:
    """Events that come together are said together, before the next chunk is asked for."""

    def chunks() -> Iterator[bytes]:
        yield HEL + LO + END[:9]
        pytest.fail("asked for more")

    stream = sse.parse(chunks())
    assert [next(stream), next(stream)] == ["Hel", "lo"]


@pytest.mark.parametrize("data", [b"\xff", b'{"type":"live","data":"caf\xe9"}', b"\xed\xa0\x80"])
def test_not_utf_8(data: bytes) -> None:
    """An event that is not UTF-8 is an error, after those before it."""
    stream = sse.parse([HEL, b"data: " + data + b"\n\n", LO])
    assert next(stream) == "Hel"
    with pytest.raises(ProtocolError, match="an event is not UTF-8"):
        next(stream)


def test_broken_event() -> None:
    """An event that is not the plugin's is an error, after those before it."""
    stream = sse.parse([HEL + b"data: {\n\n" + LO])
    assert next(stream) == "Hel"
    with pytest.raises(ProtocolError, match="the response is not JSON"):
        next(stream)


def test_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event may be as large as the limit, whatever its chunks; not a byte larger."""
    monkeypatch.setattr(fields, "MAX_BYTES", 100)
    text = "x" * (100 - len(HEL) + len("Hel"))
    event = HEL.replace(b"Hel", text.encode())
    assert items(HEL, HEL, event[:50], event[50:]) == ["Hel", "Hel", text]
    assert items(b":" * 100, b"\n\n", b":" * 100, b"\n\n") == []
    with pytest.raises(ProtocolError, match="an event is larger than 100 bytes"):
        items(event[:90], b"x" * 11, event[90:])
    with pytest.raises(ProtocolError, match="an event is larger than 100 bytes"):
        items(b":" * 101, b"\n\n")


def test_limit_is_for_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream may be longer than the limit of an event."""
    monkeypatch.setattr(fields, "MAX_BYTES", 100)
    assert items(*[HEL] * 100) == ["Hel"] * 100
    assert items(HEL * 100) == ["Hel"] * 100


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_an_event_of_two_lines(newline: str) -> None:
    """Data in two lines is one event's, however its bytes are cut."""
    body = newline.join(['data: {"type":"live",', 'data: "data":"Hel"}', "", ""]).encode()
    assert items(*[body[at : at + 1] for at in range(len(body))]) == items(body) == ["Hel"]


def test_an_event_of_many_lines() -> None:
    """An event of more lines than sseclient joins in a moment is an error."""
    line = b'data: {"type":"live","data":"Hel"}\n'
    assert items(b"data: \n" * 999 + line + b"\n") == ["Hel"]
    with pytest.raises(ProtocolError, match="an event has more than 1000 lines"):
        items(b"data: \n" * 1000 + line + b"\n")


def test_long_events() -> None:
    """No event is lost next to a long one, however its bytes are cut."""
    text = "\u00e4" * 100_000
    long = HEL.replace(b"Hel", text.encode())
    body = HEL + long + LO + long + long + END
    said = ["Hel", text, "lo", text, text, *ANSWER]
    assert items(body) == items(*cut(body, 5_000)) == items(*cut(body, len(long))) == said


@pytest.mark.parametrize(
    ("event", "is_text"),
    [
        (b'data:{"type":"live","data":"%b"}\n\n', True),
        (b'data:  {"type":"live","data":"%b"} \n\n\n\n', True),
        (b'data: {"type":"live","data":"%b"}\r\n\r\n', True),
        (b'data: {"type":"live",\ndata: "data":"%b"}\n\n', True),
        (b'data: {"type":"live","data":"%b"}\nid: 1\n\n', True),
        (b'event: data\ndata: {"type":"live","data":"%b"}\n\n', True),
        (b'\ndata: {"type":"live","data":"%b"}\n\n', True),
        (b":data: %b\n\n", False),
        (b"id: %b\n\n", False),
        (b"%b: data\n\n", False),
    ],
)
def test_forms_of_a_long_event(event: bytes, is_text: bool) -> None:
    """A long event means what a short one of the same form does."""
    body = event % (b"x" * 150_000)
    texts = ["Hel", "x" * 150_000, "lo"] if is_text else ["Hel", "lo"]
    assert items(HEL, *cut(body, 5_000), LO) == texts


@pytest.mark.parametrize("size", [16, 100, 5_000, 65_536, 1_000_000])
def test_memory_of_a_long_event(size: int) -> None:
    """A long event takes nine times its size while it is parsed, and three times then, at most."""
    length = 150_000 if size == 16 else 1_000_000
    body = HEL.replace(b"Hel", b"x" * length)
    chunks = cut(body + LO, size)
    stream = sse.parse(iter(chunks))
    tracemalloc.start()
    try:
        said = next(stream)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(said)) == length
    assert left < 3 * length + 200_000
    assert peak < 9.1 * length + 200_000


def seconds_for(chunks: List[bytes]) -> float:
    """Return the processor time that chunks take to be parsed or refused, the best of three."""
    times = []
    for _ in range(3):
        began = thread_time()
        with suppress(ProtocolError):
            items(*chunks)
        times.append(thread_time() - began)
    return min(times)


HOSTILE: Dict[str, Callable[[int], List[bytes]]] = {
    "line ends": lambda size: cut(b"\n" * size, 65_536),
    "line ends in one chunk": lambda size: [b"\n" * size],
    "short lines": lambda size: cut(b"a\n" * (size // 2), 65_536),
    "lines of data": lambda size: [*cut(b"data:\n" * (size // 6), 65_536), b"\n"],
    "an event in chunks of a byte": lambda size: cut(HEL.replace(b"l", b"x" * (size // 8)), 1),
    "deep lists": lambda size: [b"data: " + b"[" * min(size, 400_000) + b"\n\n"],
    "lone surrogates": lambda size: [HEL.replace(b"Hel", b"\\ud83dx" * (size // 7))],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_cost_time_in_proportion(name: str) -> None:
    """Eight times the bytes take about eight times the time."""
    short, long = (HOSTILE[name](size) for size in (100_000, 800_000))
    assert seconds_for(long) < 32 * seconds_for(short) + 0.05


def test_lines_of_a_long_event() -> None:
    """The longer an event, the fewer lines it may have, for sseclient copies it for each."""
    long = b'data: {"type":"live",\ndata: "data":"%b"}\n' % (b"x" * 1_000_000)
    assert len(str(*items(b"data: \n" * 60 + long + b"\n"))) == 1_000_000
    with pytest.raises(ProtocolError, match="an event has more than 67 lines"):
        items(b"data: \n" * 70 + long + b"\n")


def test_events_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """No event is logged by sseclient, whatever the levels of all other loggers."""
    caplog.set_level(logging.DEBUG)
    with caplog.at_level(logging.DEBUG, logger="sseclient"):
        assert items(HEL + b"odd: field\n\n" + LO) == ["Hel", "lo"]
    assert caplog.records == []
    assert logging.getLogger(sse.__name__).level == logging.WARNING


def begin_events(*events: bytes) -> Iterator[Any]:
    """Let the one parser of sseclient begin a stream."""
    sse._begun.set((*sse._begun.get(), iter(events)))
    return iter(sse._parser.events())


def test_a_stream_that_begins_within_another() -> None:
    """A stream that a signal handler reads while another one begins leaves that its events."""
    outer, inner = begin_events(b"data: a\n\n"), begin_events(b"data: b\n\n")
    assert [event.data for event in inner] == ["b"]
    assert [event.data for event in outer] == ["a"]
    assert sse._begun.get() == ()


@pytest.mark.parametrize("left", [b"data: b\n\n", b"data: b\n", b"id: 7\ndata: b"])
def test_a_parser_begins_anew(left: bytes) -> None:
    """A stream that the parser begins has nothing of one that it has left or is still parsing."""
    first = begin_events(b"data: a\n\n" + left, b"data: c\n\n")
    assert next(first).data == "a"
    second = [(each.data, each.id) for each in begin_events(b"data: d\n\n", b"data: e\n\n")]
    assert second == [("d", None), ("e", None)]
    assert next(first).data.startswith("b")
