"""HTTP/1.1 as a web server speaks it: reads requests, frames and writes responses."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, replace
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
from urllib.parse import parse_qsl, urlsplit

HeaderFields = Sequence[Tuple[str, str]]


class Headers(Mapping[str, str]):
    """
    The header fields of a request, a mapping whose names are case-insensitive.

    Args:
        fields: pairs of name and value; the values of a repeated field are joined by commas.
    """

    def __init__(self, fields: HeaderFields) -> None:
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
    """One request as it reached the site."""

    method: str
    """The HTTP method, in capitals."""

    path: str
    """The request target as received, with its query."""

    headers: Headers
    """The header fields; names are case-insensitive."""

    body: bytes
    """The body; empty if there is none."""

    @property
    def question(self) -> str:
        """The question of a request to a chatbot or to the public API; "" if there is none."""
        fields = self.json
        if not isinstance(fields, dict):
            fields = dict(parse_qsl(self.body.decode("latin-1")))
        found = [fields.get(name) for name in ("newMessage", "message", "prompt")]
        return next((text for text in found if isinstance(text, str) and text), "")

    @property
    def json(self) -> Any:
        """The decoded JSON body; None if the body is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Pause(NamedTuple):
    """A pause of ``seconds`` (None: without limit), which ``until`` ends early when it is set."""

    seconds: Optional[float]
    until: Optional[Event] = None


Step = Union[bytes, Pause]


@dataclass(frozen=True)
class HTTPResponse:
    """
    A response: status, header fields, and a body in steps that are written one by one.

    Args:
        status: the HTTP status.
        headers: the header fields, without those for framing and the connection.
        steps: bytes to write, and pauses between them.
        delay: a pause before the headers.
        pace: seconds between two steps of bytes; the server's if None.
        end: "complete"; "torn" to close the connection within the last step; "reset" to reset
            it after that step.
        framing: how the body is delimited; the server's if None.
    """

    status: int
    headers: HeaderFields
    steps: Tuple[Step, ...] = ()
    delay: Optional[Pause] = None
    pace: Optional[float] = None
    end: str = "complete"
    framing: Optional[Framing] = None


# Requests.


def read_request(stream: BinaryIO) -> Optional[Request]:
    """Return the next request on a connection; None at its end or if the bytes are not HTTP."""
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
            raise ValueError("header line without a colon")
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
        raise ValueError("incomplete request body")
    return data


def query_parameter(request: Request, name: str) -> Optional[str]:
    """Return the last value of a parameter in a request's query; None if it is missing or empty."""
    return dict(parse_qsl(urlsplit(request.path).query)).get(name)


# Framing.


def _unsplit(piece: bytes) -> Iterable[bytes]:
    return (piece,)


def _split_like_php(piece: bytes) -> Iterable[bytes]:
    """Split an event into its line and the blank line, which PHP sends as two HTTP chunks."""
    return (piece[:-2], b"\n\n") if piece.endswith(b"\n\n") else (piece,)


def _split_bytes(piece: bytes) -> Iterable[bytes]:
    return (piece[i : i + 1] for i in range(len(piece)))


class Framing(NamedTuple):
    """
    How a body is sent.

    Args:
        delimiter: what ends the body: "chunks", "length", "close", or "raw" to write the steps
            without a head.
        split: cuts a piece into the parts that are written one by one.
        events_per_chunk: how many neighbouring steps are joined into one piece.
        gzip: compress the body.
    """

    delimiter: str = "chunks"
    split: Callable[[bytes], Iterable[bytes]] = _unsplit
    events_per_chunk: int = 1
    gzip: bool = False


FRAMINGS = {
    "php": Framing(split=_split_like_php),
    "event": Framing(),
    "big": Framing(events_per_chunk=8),
    "tiny": Framing(split=_split_bytes),
    "close": Framing("close"),
    "length": Framing("length"),
    "gzip": Framing(gzip=True),
    "close+gzip": Framing("close", gzip=True),
}

RAW = Framing("raw")


def _join_steps(steps: Iterable[Step], count: int) -> Iterator[Step]:
    """Yield the steps with up to ``count`` neighbouring steps of bytes joined into one."""
    joined: List[bytes] = []
    for step in steps:
        if joined and (isinstance(step, Pause) or len(joined) == count):
            yield b"".join(joined)
            joined = []
        if isinstance(step, Pause):
            yield step
        else:
            joined.append(step)
    if joined:
        yield b"".join(joined)


def _insert_pauses(steps: Iterable[Step], pace: float) -> Iterator[Step]:
    """Yield the steps with a pause of ``pace`` seconds between two steps of bytes."""
    first = True
    for step in steps:
        if isinstance(step, bytes):
            if not first and pace:
                yield Pause(pace)
            first = False
        yield step


class Writer:
    """
    Writes responses to one connection.

    Args:
        write: sends bytes at once.
        wait: waits for the end of a ``Pause``.
        pace: seconds between two steps of responses that have no pace of their own.
        holds_answers: send each response only when it is complete, as a buffering proxy does.
        keep_alive: the seconds that the header Keep-Alive announces; None for no such header.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        wait: Callable[[Pause], None],
        pace: float,
        *,
        holds_answers: bool = False,
        keep_alive: Optional[float] = None,
    ) -> None:
        self._write = write
        self._wait = wait
        self._pace = pace
        self._holds_answers = holds_answers
        self._keep_alive = keep_alive

    def send(self, response: HTTPResponse, framing: Framing, *, body: bool, closing: bool) -> None:
        """
        Send one response.

        Args:
            response: the response.
            framing: how its body is sent.
            body: False for a response that has no body in HTTP (to HEAD; 204, 304).
            closing: the connection will be closed afterwards.
        """
        if response.delay:
            self._wait(response.delay)
        if self._holds_answers:
            response = self._hold_back(response)
        if framing.delimiter != "raw":
            keep_alive = None if closing else self._keep_alive
            fields = [] if keep_alive is None else [("Keep-Alive", f"timeout={keep_alive:g}")]
            complete = replace(response, headers=(*response.headers, *fields))
            self._write(_head(complete, framing, body=body, closing=closing))
        if body:
            self._send_body(response, framing)

    def _hold_back(self, response: HTTPResponse) -> HTTPResponse:
        """Wait for the end of a response, and return it in one piece without pauses."""
        steps = list(_insert_pauses(response.steps, self._pace_of(response)))
        for step in steps:
            if isinstance(step, Pause):
                self._wait(step)
        return replace(response, steps=(b"".join(s for s in steps if isinstance(s, bytes)),))

    def _pace_of(self, response: HTTPResponse) -> float:
        return self._pace if response.pace is None else response.pace

    def _send_body(self, response: HTTPResponse, framing: Framing) -> None:
        compressor = zlib.compressobj(wbits=31) if framing.gzip else None
        joined = _join_steps(response.steps, framing.events_per_chunk)
        steps = list(_insert_pauses(joined, self._pace_of(response)))
        for number, step in enumerate(steps, 1):
            if isinstance(step, Pause):
                self._wait(step)
                continue
            data = _compress(step, compressor) if compressor else step
            framed = [_frame(part, framing) for part in framing.split(data)]
            if response.end == "torn" and number == len(steps):
                framed = [_first_half(b"".join(framed))]
            for part in framed:
                self._write(part)
        if response.end == "complete":
            self._finish(framing, compressor.flush() if compressor else b"")

    def _finish(self, framing: Framing, rest: bytes) -> None:
        if rest:
            self._write(_frame(rest, framing))
        if framing.delimiter == "chunks":
            self._write(b"0\r\n\r\n")


def _compress(data: bytes, compressor: zlib._Compress) -> bytes:
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _first_half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _frame(data: bytes, framing: Framing) -> bytes:
    if framing.delimiter != "chunks" or not data:
        return data
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(response: HTTPResponse, framing: Framing, *, body: bool, closing: bool) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {reason_phrase(response.status)}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    lines.append(f"Date: {formatdate(usegmt=True)}")
    lines.append(f"Connection: {'close' if closing else 'keep-alive'}")
    if body and framing.gzip:
        lines.append("Content-Encoding: gzip")
    if body and framing.delimiter == "chunks":
        lines.append("Transfer-Encoding: chunked")
    if body and framing.delimiter == "length":
        size = sum(len(step) for step in response.steps if isinstance(step, bytes))
        # Announce one byte more if a reset follows, so that the body is incomplete.
        lines.append(f"Content-Length: {size + (response.end == 'reset')}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def reason_phrase(status: int) -> str:
    """Return the reason phrase of a status; "Unknown" if it is not registered."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
