"""Without any one of the undocumented names that `_http` uses, calls work: slower, never broken."""

from __future__ import annotations

import gc
import http.client
import socket
import ssl
import sys
import threading
import types
from functools import partial
from typing import Any, Callable, Iterator, List

import pytest
from support import (
    FRAMINGS,
    PHP,
    SOON,
    Peer,
    RawServer,
    answering,
    at_once,
    background,
    chunk,
    ends_after,
    head,
    holding,
    live,
    tls_context,
)

from chatgpt4online import Client, StatusError, StreamInterrupted, Timeout
from chatgpt4online._http import connection, session, tls
from chatgpt4online.testing import Server

LIMIT = 0.2

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

#: Those without which urllib3 reads the bodies.
BODIES = ["_original_response", "_sock", "fp", "chunked", "length", "will_close"]

#: Those without which a client uses a session as requests makes them.
PLAIN = ["ConnectionCls", "QueueCls", "pool_classes_by_scheme"]

#: Those without which each connection reads the certificates anew.
TLS = ["_new_conn", "ca_certs", "ca_cert_dir", "cert_reqs", "ssl_context", "proxy"]

NAMES = [*BODIES, *PLAIN, *TLS, "response_class", "sock", "pool", "pools"]

#: Hides those that reading an answer has to do with.
without_any_for_reading = pytest.mark.parametrize(
    "hidden", [*BODIES, *PLAIN, "_new_conn", "sock"], indirect=True, scope="module"
)


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


@pytest.fixture(scope="module", params=NAMES)
def hidden(request: pytest.FixtureRequest) -> Iterator[str]:
    """Hide each of the names, one after another."""
    with pytest.MonkeyPatch.context() as patch:
        rename(patch, request.param)
        yield request.param
        gc.collect()  # what is closed only now knows the new names


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


def test_calls_work(hidden: str) -> None:
    """Questions are answered without any one of the names, whatever the framing."""
    answers = [FRAMINGS[name].answer().bytes for name in FRAMINGS]
    with RawServer(answering(*answers)) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in FRAMINGS] == ["Hello"] * len(FRAMINGS)
        assert list(client.stream("Hi")) == ["Hel", "lo"]


def test_calls_work_by_a_proxy(hidden: str, context: ssl.SSLContext) -> None:
    """TLS through a proxy that speaks TLS works without any one of the names."""
    answer = FRAMINGS["length"].answer().bytes
    site = RawServer(answering(answer), context)
    with site, RawServer(tunnel, context) as proxy, Client(site.url, proxy=proxy.url) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2


@without_any_for_reading
def test_deltas_come_as_they_arrive(hidden: str) -> None:
    """A delta is returned before the next one has been sent."""
    go_on = threading.Event()
    answer = PHP.answer()

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
}


@without_any_for_reading
@pytest.mark.parametrize("name", SLOW)
def test_deadlines_hold(hidden: str, name: str) -> None:
    """A call ends at its deadline without any one of the names."""
    with RawServer(SLOW[name]) as server, Client(server.url) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"


@without_any_for_reading
def test_a_client_can_be_closed(hidden: str) -> None:
    """A reader is woken when another thread closes the client."""
    with RawServer(SLOW["silent in the body"]) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        assert next(stream) == "a"
        rest = background(lambda: list(stream))
        with at_once():
            client.close()
            assert isinstance(rest.exception(SOON), StreamInterrupted)


def test_the_names_are_listed(hidden: str) -> None:
    """Each name stands in the list of what happens without it."""
    assert f"``{hidden}``" in (connection.__doc__ or "")


def test_which_session_is_used(hidden: str, server: Server) -> None:
    """Where urllib3 takes no connections or pools of ours, a plain session is used."""
    with Client(server.url) as client:
        kind = type(client._transport._session)
    assert kind is (session.PlainSession if hidden in PLAIN else session.OwnSession)


def test_how_often_certificates_are_read(
    hidden: str, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without some of the names, each connection reads the certificates."""
    reads = count_reads(monkeypatch)
    monkeypatch.setattr(tls, "_contexts", {})
    with RawServer(answering(PHP.answer().bytes), context) as server:
        for _ in range(2):
            with Client(server.url) as client:
                assert client.chat("Hi") == "Hello"
    assert len(reads) == (2 if hidden in [*TLS, *PLAIN] else 1)


def count_reads(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """Return a list that grows with each read of certificates."""
    reads: List[Any] = []
    load = ssl.SSLContext.load_verify_locations

    def counting(self: ssl.SSLContext, *args: Any, **options: Any) -> None:
        reads.append(args)
        load(self, *args, **options)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counting)
    return reads


def test_which_responses_are_skipped(hidden: str) -> None:
    """Without `response_class`, an interim response is taken for the answer, and is an error."""
    serve = answering(head("103 Early Hints") + PHP.answer().bytes)
    with RawServer(serve) as server, Client(server.url) as client:
        if hidden in [*PLAIN, "response_class"]:
            with pytest.raises(StatusError, match="103"):
                client.chat("Hi")
        else:
            assert client.chat("Hi") == "Hello"


@without_any_for_reading
def test_which_connections_are_kept(hidden: str) -> None:
    """Where urllib3 reads the bodies, a connection is kept only if the end of one was read."""
    chunks = FRAMINGS["an event a chunk"].answer().bytes
    with RawServer(answering(chunks)) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert server.accepted == (3 if hidden in BODIES else 1)


def test_closing_a_client_closes_its_connections(hidden: str) -> None:
    """An idle connection is closed with its client."""

    def serve(peer: Peer) -> None:
        while peer.question():
            peer.send(FRAMINGS["length"].answer().bytes)
        peer.wait_until_gone()

    with RawServer(serve) as server:
        with Client(server.url) as client:
            assert client.chat("Hi") == "Hello"
        if hidden != "pools":
            assert server.gone.get(timeout=SOON) == 0


@without_any_for_reading
def test_a_cut_answer_is_noticed(hidden: str) -> None:
    """A response that is cut is never taken for a whole one."""
    cut = head("200 OK", "Content-Length: 100") + b'{"success": true, "reply": "Hel'

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(cut)

    with RawServer(serve) as site, Client(site.url) as client, pytest.raises(StreamInterrupted):
        client.chat("Hi")
