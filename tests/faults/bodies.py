"""Faults of a response's body: framing, cuts and content codings."""

from __future__ import annotations

import zlib
from typing import Type

from support import FRAMINGS, HELLO, Framing, chunk, failure, live, reply

from chatgpt4online import ChatGPT4OnlineError, ProtocolError, ReplyError, StreamInterrupted

from .site import CHUNKED, LIMIT, Fault, Faults, Reaction, cuts, resets, says

STREAM = b"".join(HELLO)


def in_framing(name: str, framing: Framing) -> Faults:
    """Return the rows of bodies that stop too early, or fail, in one framing."""
    whole = framing.answer()
    sent = {
        "cut after its head": (cuts(whole.head), ""),
        "cut within an event": (cut_within(whole.head, *whole.parts[:2]), "Hel"),
        "cut after an event": (cuts(b"".join([whole.head, *whole.parts[:2]])), "Hello"),
        "cut within its end": (cut_within(whole.head, *whole.parts), "Hello"),
        "ended without an end": (closing(framing, *HELLO[:2]), "Hello"),
        "ended before a blank line": (closing(framing, *HELLO[:2], HELLO[2][:-1]), "Hello"),
        "without an event": (closing(framing), ""),
    }
    found = {
        f"a body ({name}) {place}": Fault(StreamInterrupted, (reaction,), text)
        for place, (reaction, text) in sent.items()
    }
    failed = closing(framing, HELLO[0], failure("Sorry"))
    found[f"a body ({name}) with a failure"] = Fault(ReplyError, (failed,), "Hel", words="Sorry")
    return found


def cut_within(*parts: bytes) -> Reaction:
    """Cut a response in the middle of the last of its parts."""
    return cuts(b"".join(parts[:-1]) + parts[-1][: len(parts[-1]) // 2])


def closing(framing: Framing, *events: bytes) -> Reaction:
    """Send a whole response of these events, and close if that is what ends it."""
    answer = framing.answer(events).bytes
    return cuts(answer) if framing.delimiter == "close" else says(answer)


CUT: Faults = {
    row: fault
    for name, framing in FRAMINGS.items()
    if name not in ("a byte a chunk", "length+gzip", "close+gzip")
    for row, fault in in_framing(name, framing).items()
}

BEGUN = CHUNKED + chunk(live("a"))


def broken_chunk(data: bytes, error: Type[ChatGPT4OnlineError] = ProtocolError) -> Fault:
    """Return a row of a body that continues like this after its first chunk."""
    return Fault(error, (cuts(BEGUN + data),), "a")


CHUNKS: Faults = {
    "a chunk whose size is not a number": broken_chunk(b"oops\r\n"),
    "a chunk whose size is negative": broken_chunk(b"-5\r\nhello\r\n"),
    "a chunk without a size": broken_chunk(b"\r\nhello\r\n"),
    "a chunk longer than its size": broken_chunk(b"2\r\nhello\r\n"),
    "a chunk shorter than its size": broken_chunk(b"ff\r\nhello\r\n", StreamInterrupted),
    "a chunk of a size beyond all memory": broken_chunk(b"f" * 16 + b"\r\nx", StreamInterrupted),
    "a size without end": broken_chunk(b"0" * 70_000),
    "a chunk's extension without end": broken_chunk(b"1;" + b"x" * 70_000),
    "a last chunk too early": broken_chunk(b"0\r\n\r\n", StreamInterrupted),
    "a cut within a chunk's size": broken_chunk(b"1", StreamInterrupted),
    "a cut before a chunk's data": broken_chunk(b"10\r\n", StreamInterrupted),
    "a cut within the last chunk": broken_chunk(b"0\r\n", StreamInterrupted),
    "a reset after a chunk": Fault(StreamInterrupted, (resets(BEGUN),), "a"),
    "a page after a chunk": broken_chunk(b"<html>502 Bad Gateway</html>\r\n"),
}


def coded(coding: str, body: bytes, error: Type[ChatGPT4OnlineError] = ProtocolError) -> Fault:
    """Return a row of a body that is, or claims to be, in a content coding."""
    return Fault(error, (says(reply("200 OK", body, f"Content-Encoding: {coding}")),))


def squeezed(data: bytes, wbits: int = 31) -> bytes:
    """Return data, compressed."""
    squeeze = zlib.compressobj(9, wbits=wbits)
    return squeeze.compress(data) + squeeze.flush()


CODINGS: Faults = {
    "the coding br": coded("br", STREAM),
    "the coding zstd": coded("zstd", STREAM),
    "the coding compress": coded("compress", STREAM),
    "two codings": coded("gzip, gzip", squeezed(squeezed(STREAM))),
    "two headers of codings": coded("gzip\r\nContent-Encoding: br", squeezed(STREAM)),
    "gzip that is not gzip": coded("gzip", STREAM),
    "deflate that is not deflate": coded("deflate", STREAM),
    "gzip of nothing": coded("gzip", squeezed(b""), StreamInterrupted),
    "half of gzip's head": coded("gzip", squeezed(STREAM)[:5], StreamInterrupted),
    "gzip cut off": coded("gzip", squeezed(STREAM)[:20], StreamInterrupted),
    "gzip with a wrong checksum": coded("gzip", squeezed(b"data: {")[:-8] + b"\x00" * 8),
    "gzip of gzip": coded("gzip", squeezed(squeezed(STREAM))),
    "gzip of a bomb in JSON": coded("gzip", squeezed(b"{" + b" " * 3 * LIMIT)),
    "gzip of a bomb in an event": coded("gzip", squeezed(b"data: {" + b" " * 3 * LIMIT)),
    "deflate of a bomb": coded("deflate", squeezed(b"data: {" + b" " * 3 * LIMIT, 15)),
    "gzip of a page": coded("gzip", squeezed(b"<html><title>Log in</title></html>")),
}

BODIES: Faults = {**CUT, **CHUNKS, **CODINGS}
