"""HTTP/1.1 as a site's web server speaks it: requests read, answers framed."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from threading import Event
from typing import (
    Any,
    BinaryIO,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

Fields = Sequence[Tuple[str, str]]


class Headers(Mapping[str, str]):
    """The header fields of a request: names in any case, repeated fields joined by a comma."""

    def __init__(self, fields: Fields) -> None:
        self._fields: Dict[str, Tuple[str, str]] = {}
        for name, value in fields:
            _, earlier = self._fields.get(name.lower(), (name, ""))
            self._fields[name.lower()] = (name, f"{earlier}, {value}" if earlier else value)

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


@dataclass(frozen=True)
class Request:
    """
    One request as it reached the site.

    ``method`` is in capitals; ``path`` is the request's target as it came, with its query;
    ``headers`` is a mapping whose names may be asked for in any case; ``body`` is bytes,
    empty if none came.
    """

    method: str
    path: str
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON gives it; None if the body is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Pause(NamedTuple):
    """A silence of so many seconds (None: without end), which ``until`` ends early."""

    seconds: Optional[float]
    until: Optional[Event] = None


Step = Union[bytes, Pause]


@dataclass(frozen=True)
class Answer:
    """
    What goes back: status, header fields, and the body as steps, each written by itself.

    ``before`` is a silence before the headers; ``pace`` is the seconds between two steps of bytes.
    ``end`` is "whole"; "torn" if the connection closes within the last step; "reset" if it is reset
    after it. ``pace`` and ``framing`` are the server's where they are None.
    """

    status: int
    headers: Fields
    steps: Tuple[Step, ...] = ()
    before: Optional[Pause] = None
    pace: Optional[float] = None
    end: str = "whole"
    framing: Optional[Framing] = None


# Reading.


def read_request(stream: BinaryIO) -> Optional[Request]:
    """Return the next request of a connection; None if none comes, or what comes is not HTTP."""
    try:
        method, target, _ = stream.readline().decode("latin-1").split()
        headers = Headers(list(_read_fields(stream)))
        return Request(method, target, headers, _read_body(stream, headers))
    except ValueError:
        return None


def _read_fields(stream: BinaryIO) -> Iterator[Tuple[str, str]]:
    for line in iter(stream.readline, b"\r\n"):
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise ValueError("a header line without a colon")
        yield name, value.strip()


def _read_body(stream: BinaryIO, headers: Headers) -> bytes:
    if headers.get("Transfer-Encoding", "").lower() == "chunked":
        return b"".join(_read_chunks(stream))
    return _read_exactly(stream, int(headers.get("Content-Length", "0")))


def _read_chunks(stream: BinaryIO) -> Iterator[bytes]:
    size = int(stream.readline(), 16)
    while size:
        yield _read_exactly(stream, size)
        stream.readline()
        size = int(stream.readline(), 16)
    stream.readline()


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ValueError("the request breaks off")
    return data


# Framing.


def _as_it_is(piece: bytes) -> Iterable[bytes]:
    return (piece,)


def _as_php_flushes(piece: bytes) -> Iterable[bytes]:
    """PHP writes an event's line, then the blank line: two chunks on the wire."""
    return (piece[:-2], b"\n\n") if piece.endswith(b"\n\n") else (piece,)


def _byte_by_byte(piece: bytes) -> Iterable[bytes]:
    return (piece[i : i + 1] for i in range(len(piece)))


class Framing(NamedTuple):
    """How a body travels: cut into what, delimited by what, compressed or not."""

    delimiter: str = "chunks"
    split: Callable[[bytes], Iterable[bytes]] = _as_it_is
    at_once: int = 1
    gzip: bool = False


FRAMINGS = {
    "php": Framing(split=_as_php_flushes),
    "event": Framing(),
    "big": Framing(at_once=8),
    "tiny": Framing(split=_byte_by_byte),
    "close": Framing("close"),
    "length": Framing("length"),
    "gzip": Framing(gzip=True),
    "close+gzip": Framing("close", gzip=True),
}

RAW = Framing("raw")  # nothing is added, not even a status line


def _gathered(steps: Iterable[Step], at_once: int) -> Iterator[Step]:
    """Join up to so many neighbouring steps of bytes into one."""
    gathered: List[bytes] = []
    for step in steps:
        if gathered and (isinstance(step, Pause) or len(gathered) == at_once):
            yield b"".join(gathered)
            gathered = []
        if isinstance(step, Pause):
            yield step
        else:
            gathered.append(step)
    if gathered:
        yield b"".join(gathered)


def _paced(steps: Iterable[Step], pace: float) -> Iterator[Step]:
    """Put a pause of ``pace`` seconds before each step of bytes but the first."""
    first = True
    for step in steps:
        if isinstance(step, bytes):
            if not first and pace:
                yield Pause(pace)
            first = False
        yield step


class Writer:
    """
    Writes answers to one connection.

    Args:
        write: takes bytes to the wire at once.
        wait: sits a ``Pause`` out.
        pace: seconds between two steps, for answers that do not say.
    """

    def __init__(
        self, write: Callable[[bytes], None], wait: Callable[[Pause], None], pace: float
    ) -> None:
        self._write = write
        self._wait = wait
        self._pace = pace

    def send(self, answer: Answer, framing: Framing, *, body: bool, closing: bool) -> None:
        """
        Send one answer.

        Args:
            answer: the answer.
            framing: how its body travels.
            body: False for an answer that has none by HTTP's rules (to HEAD; 204, 304).
            closing: the connection will be closed after it.
        """
        if answer.before:
            self._wait(answer.before)
        if framing.delimiter != "raw":
            self._write(_head(answer, framing, body=body, closing=closing))
        if body:
            self._send_body(answer, framing)

    def _send_body(self, answer: Answer, framing: Framing) -> None:
        squeeze = zlib.compressobj(wbits=31) if framing.gzip else None
        pace = self._pace if answer.pace is None else answer.pace
        steps = list(_paced(_gathered(answer.steps, framing.at_once), pace))
        for number, step in enumerate(steps, 1):
            if isinstance(step, Pause):
                self._wait(step)
                continue
            data = _squeezed(step, squeeze) if squeeze else step
            framed = [_delimited(part, framing) for part in framing.split(data)]
            if answer.end == "torn" and number == len(steps):
                framed = [_half(b"".join(framed))]
            for part in framed:
                self._write(part)
        if answer.end == "whole":
            self._finish(framing, squeeze.flush() if squeeze else b"")

    def _finish(self, framing: Framing, rest: bytes) -> None:
        if rest:
            self._write(_delimited(rest, framing))
        if framing.delimiter == "chunks":
            self._write(b"0\r\n\r\n")


def _squeezed(data: bytes, squeeze: zlib._Compress) -> bytes:
    return squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH)


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _delimited(data: bytes, framing: Framing) -> bytes:
    if framing.delimiter != "chunks" or not data:
        return data
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(answer: Answer, framing: Framing, *, body: bool, closing: bool) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {reason(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    lines.append(f"Date: {formatdate(usegmt=True)}")
    lines.append(f"Connection: {'close' if closing else 'keep-alive'}")
    if body and framing.gzip:
        lines.append("Content-Encoding: gzip")
    if body and framing.delimiter == "chunks":
        lines.append("Transfer-Encoding: chunked")
    if body and framing.delimiter == "length":
        size = sum(len(step) for step in answer.steps if isinstance(step, bytes))
        # A body that a reset cuts short has more to come.
        lines.append(f"Content-Length: {size + (answer.end == 'reset')}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def reason(status: int) -> str:
    """Return the words that go with a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
