"""
The client reads recorded answers of real sites, replayed over a socket.

The expected values come from the recorded body through plain `json`, not through the package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple, Type

import pytest
from support import Peer, RawServer, chunk

from chatgpt4online import (
    AuthError,
    ChatGPT4OnlineError,
    Client,
    ProtocolError,
    Reply,
    ReplyError,
    ServerError,
    StatusError,
    Stream,
    StreamInterrupted,
)

HERE = Path(__file__).parent
VERSIONS = ("2.4.7", "3.3.9", "3.6.2")

LAST_CHUNK = b"0\r\n\r\n"

#: Returns the pieces of a response that are written one by one, the head first.
Cut = Callable[["Recording"], List[bytes]]


class Expected(NamedTuple):
    """What a body contains: deltas, and then the JSON object of the answer, or an error."""

    pieces: List[str]
    answer: Optional[Dict[str, Any]]
    error: Optional[Type[ChatGPT4OnlineError]] = None
    message: str = ""


class Recording(NamedTuple):
    """One exchange with a real site."""

    name: str
    status: int
    status_line: str
    fields: List[Tuple[str, str]]
    body: bytes
    sizes: List[int]

    def head(self, *framing: str) -> bytes:
        """Return the recorded head with other framing headers."""
        dropped = ("transfer-encoding", "content-length", "connection")
        kept = [f"{name}: {value}" for name, value in self.fields if name.lower() not in dropped]
        return "\r\n".join([self.status_line, *kept, *framing, "", ""]).encode()

    def expected(self) -> Expected:
        """Return what the body contains."""
        if self.body.startswith(b"data:"):
            return expected_of_events(self.body.decode().split("\n\n")[:-1])
        answer = json.loads(self.body)
        if answer.get("success"):
            return Expected([answer["reply"]] if answer["reply"] else [], answer)
        return Expected([], None, expected_class(self.status, answer), answer["message"])


def expected_class(status: int, answer: Dict[str, Any]) -> Type[ChatGPT4OnlineError]:
    """Return the expected error class for a refusal in JSON."""
    if answer.get("success") is False:
        return ReplyError
    return {400: StatusError, 401: AuthError, 403: AuthError, 503: ServerError}[status]


def expected_of_events(events: List[str]) -> Expected:
    """Return what the events of a stream contain, each given as one ``data:`` line."""
    pieces: List[str] = []
    for each in events:
        event = json.loads(each[len("data: ") :])
        if event["type"] == "error":
            return Expected(pieces, None, ReplyError, event["data"])
        if event["type"] == "end":
            answer = json.loads(event["data"])
            return Expected(pieces or list(filter(None, [answer["reply"]])), answer)
        if event.get("subtype", "content") == "content":
            pieces.append(event["data"])
    return Expected(pieces, None, StreamInterrupted)


def recordings() -> Iterator[Recording]:
    """Yield the recorded answers to questions."""
    for version in VERSIONS:
        for path in sorted((HERE / version).glob("*.json")):
            exchange = json.loads(path.read_text(encoding="utf-8"))
            if not exchange["request"]["path"].endswith("chats/submit"):
                continue
            response = exchange["response"]
            yield Recording(
                f"{version}/{path.stem}",
                int(response["status_line"].split()[1]),
                response["status_line"],
                [(name, value) for name, value in response["headers"]],
                response["body"].encode(),
                response["chunk_sizes"],
            )


RECORDINGS = {recording.name: recording for recording in recordings()}


# How a recording is sent.


def recorded_chunks(recording: Recording) -> List[bytes]:
    """Return the response in its recorded chunks."""
    pieces, at = [recording.head("Transfer-Encoding: chunked")], 0
    for size in recording.sizes:
        pieces.append(chunk(recording.body[at : at + size]))
        at += size
    return [*pieces, LAST_CHUNK]


def single_bytes(recording: Recording) -> List[bytes]:
    """Return the response with one byte of the body per chunk."""
    body = recording.body
    framed = b"".join(chunk(body[i : i + 1]) for i in range(len(body)))
    return [recording.head("Transfer-Encoding: chunked"), framed, LAST_CHUNK]


def until_close(recording: Recording) -> List[bytes]:
    """Return the response with a body that ends with the connection."""
    return [recording.head("Connection: close"), recording.body]


def with_length(recording: Recording) -> List[bytes]:
    """Return the response with a Content-Length."""
    return [recording.head(f"Content-Length: {len(recording.body)}"), recording.body]


CUTS: List[Cut] = [recorded_chunks, single_bytes, until_close]


class Site:
    """A server and a client; the server sends ``response`` to every question."""

    def __init__(self) -> None:
        self.response: List[bytes] = []
        self.server = RawServer(self._serve)
        self.client = Client(self.server.url, retries=0)

    def _serve(self, peer: Peer) -> None:
        while peer.question():
            response = self.response  # the next one may be set before the last piece has left
            for piece in response:
                peer.send(piece)
            if response[-1] != LAST_CHUNK:
                return

    def close(self) -> None:
        """Close the client and the server."""
        self.client.close()
        self.server.close()


@pytest.fixture
def site() -> Iterator[Site]:
    """Start a site."""
    site = Site()
    yield site
    site.close()


# What the client must return.


def check_reply(reply: Reply, answer: Dict[str, Any]) -> None:
    """Check a reply against the recorded JSON of the answer."""
    assert reply == answer["reply"]
    assert [image.url for image in reply.images] == (answer["images"] or [])
    for name in ("prompt_tokens", "completion_tokens", "total_tokens", "price", "queries"):
        assert getattr(reply.usage, name) == answer["usage"].get(name)
    assert reply.response_id == answer.get("responseId")
    assert list(reply.blocks) == answer.get("blocks", [])
    check_actions(reply, answer.get("actions", []))
    check_shortcuts(reply, answer.get("shortcuts", []))
    assert reply.raw == {name: value for name, value in answer.items() if name != "new_token"}


def check_actions(reply: Reply, actions: List[Any]) -> None:
    """Check a reply's actions against the recorded ones."""
    assert len(reply.actions) == len(actions)
    for action, recorded in zip(reply.actions, actions):
        assert action.kind == recorded["type"]
        assert action.name == recorded["data"].get("name", "")
        assert action.args == (recorded["data"].get("args") or {})
        assert action.data == recorded["data"]


def check_shortcuts(reply: Reply, shortcuts: List[Any]) -> None:
    """Check a reply's shortcuts against the recorded ones."""
    assert len(reply.shortcuts) == len(shortcuts)
    for shortcut, recorded in zip(reply.shortcuts, shortcuts):
        assert shortcut.label == recorded["data"]["label"]
        assert shortcut.message == recorded["data"].get("message", "")
        assert shortcut.shortcut_id == recorded["data"].get("shortcutId")
        assert shortcut.data == recorded["data"]


def check_error(error: ChatGPT4OnlineError, expected: Expected) -> None:
    """Check an error against the recorded one."""
    assert type(error) is expected.error
    assert error.text == "".join(expected.pieces)
    assert isinstance(error, (ReplyError, StatusError))
    assert error.message == expected.message
    if expected.message:
        assert expected.message.rstrip(".") in str(error)


def test_recordings_are_there() -> None:
    """The recordings of each version include streams, JSON, failures and refusals."""
    kinds = {
        (name.split("/")[0], each.expected().error, each.body[:1])
        for name, each in RECORDINGS.items()
    }
    for version in VERSIONS:
        assert {error for v, error, _ in kinds if v == version} >= {None, ReplyError, AuthError}
        assert {begin for v, _, begin in kinds if v == version} == {b"d", b"{"}


@pytest.mark.parametrize("name", RECORDINGS)
def test_an_answer_is_what_was_recorded(site: Site, name: str) -> None:
    """
    `chat` and `stream` return the recorded answer with all its parts, or raise the failure.

    Before that, `stream` yields the recorded deltas, and no status line. The framing is the
    recorded one, and for the newest version any.
    """
    for cut in CUTS if name.startswith(VERSIONS[-1]) else [recorded_chunks]:
        site.response = cut(RECORDINGS[name])
        check_answer(site, RECORDINGS[name].expected())


def check_answer(site: Site, expected: Expected) -> None:
    """Ask the site by `chat` and `stream`, and check both answers and the deltas."""
    pieces: List[str] = []
    for ask in (site.client.chat, lambda message: read(site.client.stream(message), pieces)):
        if expected.answer is not None:
            check_reply(ask("Hi"), expected.answer)
        else:
            with pytest.raises(ChatGPT4OnlineError) as caught:
                ask("Hi")
            check_error(caught.value, expected)
    assert pieces == expected.pieces


def read(stream: Stream, pieces: List[str]) -> Reply:
    """Read a stream to its end; append its deltas to ``pieces``."""
    for piece in stream:
        pieces.append(piece)  # noqa: PERF402 - keeps the deltas before an error
    assert stream.text == "".join(pieces)
    return stream.result()


def test_status_lines_are_only_events(site: Site) -> None:
    """A status line is an event of kind `status`, not text."""
    site.response = recorded_chunks(RECORDINGS["3.6.2/chat_stream_event_logs"])
    stream = site.client.stream("Hi")
    events = list(stream.events())
    assert [each.text for each in events if each.kind == "status"] == ["Starting stream..."]
    assert "".join(each.text for each in events if each.kind == "content") == stream.text
    assert "Starting" not in stream.text + stream.result()


# Truncated responses.


def cut_chunks(recording: Recording, at: int) -> List[bytes]:
    """Return the response, truncated after ``at`` bytes of its chunked body."""
    begin, *rest = recorded_chunks(recording)
    return [begin, b"".join(rest)[:at]]


def cut_length(recording: Recording, at: int) -> List[bytes]:
    """Return the response, truncated after ``at`` bytes of a body with a Content-Length."""
    begin, body = with_length(recording)
    return [begin, body[:at]]


def cut_close(recording: Recording, at: int) -> List[bytes]:
    """Return the response, truncated after ``at`` bytes of a body that ends by closing."""
    begin, body = until_close(recording)
    return [begin, body[:at]]


def places(body: bytes) -> List[int]:
    """Return where a body is truncated: around each line, chunk and object, and every 8 bytes."""
    size = len(body)
    marks = [at for at in range(size) if body[at : at + 1] in (b"\r", b"\n", b"{", b"}")]
    near = {at + step for at in marks for step in (0, 1)}
    return sorted((near | {*range(0, size, 8)} | {*range(size - 8, size)}) & {*range(size)})


#: The bytes after the last one that an answer needs.
FRAMING_AT_END = {"cut_chunks": len(b"\r\n" + LAST_CHUNK), "cut_length": 0, "cut_close": 0}


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("chat_json", cut_chunks),
        ("chat_json", cut_length),
        ("chat_json", cut_close),
        ("died_midway_stream", cut_length),
        ("nonce_ageing_stream", cut_chunks),
        ("nonce_ageing_stream", cut_close),
    ],
)
def test_no_cut_answer_looks_whole(
    site: Site, name: str, cut: Callable[[Recording, int], List[bytes]]
) -> None:
    """An answer truncated at any byte raises an error with the text so far."""
    recording = RECORDINGS[f"2.4.7/{name}"]
    expected, framing_at_end = recording.expected(), FRAMING_AT_END[cut.__name__]
    body = b"".join(cut(recording, 10**9)[1:])
    size = len(body)
    for at in places(body[: size - framing_at_end]):
        site.response = cut(recording, at)
        with pytest.raises(ProtocolError) as caught:
            site.client.chat("Hi")
        assert type(caught.value) in (StreamInterrupted, ProtocolError)
        assert "".join(expected.pieces).startswith(caught.value.text)
    for at in range(size - framing_at_end, size):
        site.response = cut(recording, at)
        if expected.answer is None:
            with pytest.raises(ReplyError):
                site.client.chat("Hi")
        else:
            check_reply(site.client.chat("Hi"), expected.answer)
