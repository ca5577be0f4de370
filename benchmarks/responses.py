"""
The bytes of responses: the same text for the API of each library, and in each framing.

Framings are ``event`` (a chunk per event), ``php`` (two chunks per event), ``tiny`` (chunks of a
few bytes), ``big`` (one chunk), ``length`` (Content-Length), ``close`` (until the connection
closes), ``gzip`` and ``close+gzip``.
"""

from __future__ import annotations

import json
import zlib
from typing import Callable, Dict, Iterable, List, NamedTuple

from .plan import Plan

#: The route of each API.
AI_ENGINE = "/wp-json/mwai-ui/v1/chats/submit"
OPENAI = "/v1/chat/completions"
ANTHROPIC = "/v1/messages"
OLLAMA = "/api/chat"

_TINY = 5  # bytes per HTTP chunk


class Response(NamedTuple):
    """A response: its head, what precedes the text, an item per piece of text, and the rest."""

    head: bytes
    before: bytes
    pieces: List[bytes]
    after: bytes
    end: bytes


class _Events(NamedTuple):
    before: List[bytes]
    pieces: List[bytes]
    after: List[bytes]


def response(route: str, plan: Plan) -> Response:
    """Return the response of a route to a plan."""
    events = _APIS[route](plan)
    blocks = [*events.before, *events.pieces, *events.after]
    head, framed, end = _framed(blocks, plan)
    first, last = len(events.before), len(events.before) + plan.events
    pieces = framed[first:last]
    return Response(head, b"".join(framed[:first]), pieces, b"".join(framed[last:]), end)


def _sse(value: object, name: str = "") -> bytes:
    event = f"event: {name}\n" if name else ""
    return f"{event}data: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


def _ai_engine(plan: Plan) -> _Events:
    pieces = plan.pieces()
    extra = {} if plan.kind == "text" else {"timestamp": 1795400000.25, "subtype": plan.kind}
    text = "".join(pieces) if plan.reply == "full" and plan.kind == "text" else "OK"
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    final = {"success": True, "reply": text, "images": None, "actions": [], "usage": usage}
    live = [_sse({"type": "live", "data": piece, **extra}) for piece in pieces]
    return _Events([], live, [_sse({"type": "end", "data": json.dumps(final)})])


def _openai(plan: Plan) -> _Events:
    def chunk(delta: Dict[str, str], reason: object = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        common = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return _sse({**common, "choices": [choice]})

    pieces = [chunk({"content": piece}) for piece in plan.pieces()]
    first = chunk({"role": "assistant", "content": ""})
    return _Events([first], pieces, [chunk({}, "stop"), b"data: [DONE]\n\n"])


def _anthropic(plan: Plan) -> _Events:
    def event(kind: str, **fields: object) -> bytes:
        return _sse({"type": kind, **fields}, kind)

    usage = {"input_tokens": 9, "output_tokens": 4}
    message = {"id": "m-1", "type": "message", "role": "assistant", "model": "m", "usage": usage}
    going: Dict[str, object] = {"content": [], "stop_reason": None, "stop_sequence": None}
    block = {"type": "text", "text": ""}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    pieces = [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        for piece in plan.pieces()
    ]
    return _Events(
        [
            event("message_start", message={**message, **going}),
            event("content_block_start", index=0, content_block=block),
        ],
        pieces,
        [
            event("content_block_stop", index=0),
            event("message_delta", delta=stop, usage=usage),
            event("message_stop"),
        ],
    )


def _ollama(plan: Plan) -> _Events:
    def line(text: str, *, done: bool) -> bytes:
        message = {"role": "assistant", "content": text}
        fields = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message}
        return json.dumps({**fields, "done": done}, separators=(",", ":")).encode() + b"\n"

    pieces = [line(piece, done=False) for piece in plan.pieces()]
    return _Events([], pieces, [line("", done=True)])


_APIS: Dict[str, Callable[[Plan], _Events]] = {
    AI_ENGINE: _ai_engine,
    OPENAI: _openai,
    ANTHROPIC: _anthropic,
    OLLAMA: _ollama,
}


class _Framed(NamedTuple):
    head: bytes
    blocks: List[bytes]
    end: bytes


def _framed(blocks: List[bytes], plan: Plan) -> _Framed:
    """Frame events. ``php`` sends the blank line after an event in a chunk of its own."""
    fields, end = [b"Content-Type: text/event-stream;charset=UTF-8"], b""
    if "gzip" in plan.framing:
        fields.append(b"Content-Encoding: gzip")
        *blocks, end = _gzipped(blocks)
    size = sum(map(len, blocks))
    if plan.framing == "length":
        fields.append(b"Content-Length: %d" % size)
    elif not plan.framing.startswith("close"):
        fields.append(b"Transfer-Encoding: chunked")
        blocks = _CHUNKS[plan.framing](blocks)
        end = (_chunk(end) if end else b"") + b"0\r\n\r\n"
    if plan.framing == "big":
        blocks[0] = b"%x\r\n%s" % (size, blocks[0])
        blocks[-1] += b"\r\n"
    if plan.lock:
        fields.append(b"Set-Cookie: PHPSESSID=cb2lhg2r; path=/")
    fields.append(b"Connection: " + (b"keep-alive" if keeps_alive(plan) else b"close"))
    return _Framed(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % b"\r\n".join(fields), blocks, end)


def keeps_alive(plan: Plan) -> bool:
    """Return whether the connection stays open after this response."""
    return bool(plan.keep) and not plan.framing.startswith("close")


def _gzipped(blocks: Iterable[bytes]) -> List[bytes]:
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    packed = [packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH) for block in blocks]
    return [*packed, packer.flush()]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _php(block: bytes) -> bytes:
    line = block.rstrip(b"\n")
    return _chunk(line) + _chunk(block[len(line) :])


def _tiny(block: bytes) -> bytes:
    return b"".join(_chunk(block[at : at + _TINY]) for at in range(0, len(block), _TINY))


_CHUNKS: Dict[str, Callable[[List[bytes]], List[bytes]]] = {
    "event": lambda blocks: list(map(_chunk, blocks)),
    "gzip": lambda blocks: list(map(_chunk, blocks)),
    "php": lambda blocks: list(map(_php, blocks)),
    "tiny": lambda blocks: list(map(_tiny, blocks)),
    "big": lambda blocks: blocks,
}
