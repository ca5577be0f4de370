"""Leaving or dropping a stream frees its connection, and so does dropping its client."""

from __future__ import annotations

import gc
import ssl
import subprocess
import sys
import threading
from typing import Callable, Optional

import pytest
from blocking import CHUNKED
from support import (
    FRAMINGS,
    HELLO,
    PHP,
    SOON,
    Peer,
    RawServer,
    answering,
    at_once,
    chunk,
    holding,
    live,
)

from chatgpt4online import Client, ProtocolError, Stream


def leave_block(stream: Stream) -> None:
    """Leave a stream's ``with`` block."""
    with stream:
        assert next(stream) == "a"


def raise_in_block(stream: Stream) -> None:
    """Leave a stream's ``with`` block by an exception."""
    with pytest.raises(ZeroDivisionError), stream:
        raise ZeroDivisionError


def leave_loop(stream: Stream) -> None:
    """Leave a loop over a stream."""
    for _ in stream:
        break


def leave_loop_over_events(stream: Stream) -> None:
    """Leave a loop over a stream's events."""
    for _ in stream.events():
        break


def drop(stream: Stream) -> None:
    """Drop the last reference to a stream."""


@pytest.mark.usefixtures("read_path")
@pytest.mark.parametrize(
    "leave", [leave_block, raise_in_block, leave_loop, leave_loop_over_events, drop]
)
def test_leaving_a_stream_closes_its_connection(
    leave: Callable[[Stream], None], tls: Optional[ssl.SSLContext]
) -> None:
    """Leaving a stream's block, or dropping the last reference to it, closes its connection."""
    serve = holding(CHUNKED, chunk(live("a")))
    with RawServer(serve, tls) as server, Client(server.url) as client, at_once():
        leave(client.stream("Hi"))
        server.gone.get(timeout=SOON)


def test_an_error_closes_its_connection() -> None:
    """An error in an answer closes its connection at once, even while the error is referenced."""
    serve = holding(CHUNKED, chunk(live("a")), chunk(b"data: nonsense\n\n"))
    with RawServer(serve) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        with pytest.raises(ProtocolError) as caught:
            stream.result()
        server.gone.get(timeout=SOON)
        assert caught.value.text == "a"


def test_a_stream_outlives_its_client() -> None:
    """A stream continues after the last reference to its client is gone."""
    proceed = threading.Event()

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(CHUNKED + chunk(HELLO[0]))
        peer.wait(proceed)
        peer.send(b"".join(map(chunk, HELLO[1:])) + chunk(b""))

    with RawServer(serve) as server:
        stream = Client(server.url).stream("Hi")
        gc.collect()
        proceed.set()
        assert list(stream) == ["Hel", "lo"]


DROPPED = """
import gc, sys
from chatgpt4online import Client

def chat():
    client = Client(sys.argv[1])
    assert client.chat("Hi") == "Hello"

def streams():
    client = Client(sys.argv[1])
    read, unread = client.stream("Hi"), client.stream("Hi")
    assert list(read) == ["Hel", "lo"] and next(unread) == "Hel"

def cycle():
    client = Client(sys.argv[1])
    client.itself = client
    assert client.chat("Hi") == "Hello"

for use in (chat, streams, cycle):
    use()
    gc.collect()
"""


@pytest.mark.parametrize("framing", ["an event a chunk", "close", "without end"])
def test_dropped_objects_are_closed(framing: str) -> None:
    """A dropped client or stream causes no ResourceWarning about an open socket."""
    answer = FRAMINGS.get(framing, PHP).answer()
    if framing == "without end":
        answer = answer._replace(last=b"")
    command = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", DROPPED]
    with RawServer(answering(answer.bytes)) as server:
        done = subprocess.run(
            [*command, server.url], capture_output=True, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
