"""What the package uses of other libraries without a promise of theirs, and users' recipes."""

from __future__ import annotations

import gc
import http.client
import socket
import ssl
import sys
import threading
import types
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest
import requests
import urllib3
from support import (
    FRAMINGS,
    HELLO,
    PHP,
    SOON,
    Peer,
    RawServer,
    answering,
    at_once,
    background,
    chunk,
    dripping,
    end,
    ends_after,
    head,
    holding,
    live,
    reply,
    session_reply,
    tls_context,
)
from urllib3.util import connection as urllib3_connection

from chatgpt4online import Client, StatusError, StreamInterrupted, Timeout, TransportError
from chatgpt4online._http import connection, session, tls
from chatgpt4online.testing import Server

LIMIT = 0.3

#: The modules whose code knows these names; not all of urllib3's exist in each version.
MODULES = [
    http.client,
    socket,
    *(
        module
        for name, module in list(sys.modules.items())
        if name.startswith(("urllib3.", "requests.")) and "packages" not in name
    ),
]

#: The names, each alone.
NAMES = [
    "_new_conn",
    "_original_response",
    "_sock",
    "response_class",
    "sock",
    "fp",
    "chunked",
    "length",
    "will_close",
    "ConnectionCls",
    "QueueCls",
    "pool_classes_by_scheme",
    "pool",
    "pools",
    "ca_certs",
    "ca_cert_dir",
    "cert_reqs",
    "ssl_context",
    "proxy",
]


def rename(patch: pytest.MonkeyPatch, name: str) -> None:
    """Rename an attribute in the code of the libraries, as a new version of theirs may."""

    def other(looked_up: str) -> str:
        return f"{name}_new" if looked_up == name else looked_up

    for module in MODULES:
        for value in list(vars(module).values()):
            if getattr(value, "__module__", None) == module.__name__:
                _rename_in(patch, value, name)
        if name in vars(module):
            patch.setattr(module, f"{name}_new", vars(module)[name], raising=False)
        for look_up in (getattr, hasattr):
            shim = partial(_look_up, look_up, other)
            patch.setattr(module, look_up.__name__, shim, raising=False)


def _look_up(look_up: Any, other: Callable[[str], str], of: Any, name: str, *default: Any) -> Any:
    return look_up(of, other(name), *default)


def _rename_in(patch: pytest.MonkeyPatch, value: Any, name: str) -> None:
    if isinstance(value, types.FunctionType):
        code = _renamed(value.__code__, name)
        if code != value.__code__:
            patch.setattr(value, "__code__", code)
        _rename_in(patch, getattr(value, "__wrapped__", None), name)
    elif isinstance(value, (classmethod, staticmethod)):
        _rename_in(patch, value.__func__, name)
    elif isinstance(value, property):
        for function in (value.fget, value.fset, value.fdel):
            _rename_in(patch, function, name)
    elif isinstance(value, type):
        for member in list(vars(value).values()):
            if not isinstance(member, type):
                _rename_in(patch, member, name)
        if name in vars(value):
            patch.setattr(value, f"{name}_new", vars(value)[name], raising=False)
            patch.delattr(value, name)


def _renamed(code: types.CodeType, name: str) -> types.CodeType:
    constants = tuple(
        _renamed(each, name) if isinstance(each, types.CodeType) else each
        for each in code.co_consts
    )
    names = tuple(f"{name}_new" if each == name else each for each in code.co_names)
    return code.replace(co_consts=constants, co_names=names)


@pytest.fixture(params=NAMES)
def hidden(request: pytest.FixtureRequest) -> Iterator[str]:
    """Hide each of the names, one after another."""
    with pytest.MonkeyPatch.context() as patch:
        rename(patch, request.param)
        yield request.param
        gc.collect()  # what is closed only now knows the new names


def test_the_list_is_whole() -> None:
    """Each of these names stands in the list that says what happens without it."""
    assert not [name for name in NAMES if f"``{name}``" not in (connection.__doc__ or "")]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssl.SSLContext]:
    """Make a server's side of TLS that clients trust."""
    with pytest.MonkeyPatch.context() as patch:
        yield tls_context(tmp_path_factory.mktemp("authority"), patch)


def tunnel(peer: Peer) -> None:
    """Serve as a proxy that opens tunnels."""
    received = peer.receive()
    if received is not None:
        host, _, port = received.target.partition(":")
        peer.send(head("200 Connection established"))
        peer.relay(host, int(port))


@pytest.mark.parametrize("way", ["http", "https", "proxy"])
def test_calls_work(hidden: str, way: str, context: ssl.SSLContext) -> None:
    """Questions are answered without any one of the names, whatever the framing."""
    answers = [FRAMINGS[name].answer().bytes for name in FRAMINGS]
    with ExitStack() as stack:
        server = stack.enter_context(
            RawServer(answering(*answers), None if way == "http" else context)
        )
        proxy = stack.enter_context(RawServer(tunnel, context)) if way == "proxy" else None
        with Client(server.url, proxy=proxy and proxy.url, timeout=SOON) as client:
            assert [client.chat("Hi") for _ in FRAMINGS] == ["Hello"] * len(FRAMINGS)
            assert list(client.stream("Hi")) == ["Hel", "lo"]


@pytest.mark.parametrize("framing", ["two chunks an event", "length+gzip"])
def test_deltas_come_as_they_arrive(hidden: str, framing: str) -> None:
    """A delta is returned before the next one has been sent."""
    go_on = threading.Event()
    answer = FRAMINGS[framing].answer()

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(answer.head + answer.parts[0])
        peer.wait(go_on)
        peer.send(b"".join(answer.parts[1:]) + answer.last)

    with RawServer(serve) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        assert next(stream) == "Hel"
        go_on.set()
        assert stream.result() == "Hello"


CHUNKED = head("200 OK", "Transfer-Encoding: chunked")

SLOW = {
    "silent before the head": holding(),
    "silent in the body": holding(CHUNKED, chunk(live("a"))),
    "dripping in the body": dripping(CHUNKED, chunk(b"\n")),
}


@pytest.mark.parametrize("name", SLOW)
def test_deadlines_hold(hidden: str, name: str) -> None:
    """A call ends at its deadline without any one of the names."""
    with RawServer(SLOW[name]) as server, Client(server.url) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"


def test_a_client_can_be_closed(hidden: str) -> None:
    """A reader is woken when another thread closes the client."""
    with RawServer(SLOW["silent in the body"]) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        assert next(stream) == "a"
        rest = background(lambda: list(stream))
        with at_once():
            client.close()
            assert isinstance(rest.exception(SOON), StreamInterrupted)


