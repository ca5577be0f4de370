"""
What several folders of tests share.

For tests of sockets, time and threads: `messages` is what a site sends, `server` a server that
sends it byte by byte, and `timing` what tests of time limits and threads need; these names are also
here. `commands` runs the command line and `programs` the examples, `advice_rows` are what errors
say, and `interruption` interrupts calls.
"""

from __future__ import annotations

from .messages import (
    FRAMINGS,
    HELLO,
    NONCE,
    PHP,
    REUSABLE,
    Answer,
    Framing,
    chunk,
    end,
    event,
    failure,
    head,
    json_reply,
    live,
    reply,
    session_reply,
)
from .server import (
    Peer,
    RawServer,
    Received,
    Serve,
    answering,
    dead_address,
    dripping,
    full_listener,
    holding,
    relay,
    tls_context,
    tunnel,
)
from .timing import SOON, TOLERANCE, at_once, background, ends_after, together, wait_for

__all__ = [
    "FRAMINGS",
    "HELLO",
    "NONCE",
    "PHP",
    "REUSABLE",
    "SOON",
    "TOLERANCE",
    "Answer",
    "Framing",
    "Peer",
    "RawServer",
    "Received",
    "Serve",
    "answering",
    "at_once",
    "background",
    "chunk",
    "dead_address",
    "dripping",
    "end",
    "ends_after",
    "event",
    "failure",
    "full_listener",
    "head",
    "holding",
    "json_reply",
    "live",
    "relay",
    "reply",
    "session_reply",
    "tls_context",
    "together",
    "tunnel",
    "wait_for",
]
