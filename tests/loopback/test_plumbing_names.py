"""Without any one of the undocumented names that `_http` uses, calls are slower, not broken."""

from __future__ import annotations

import gc
import http.client
import socket
import ssl
import struct
import sys
import threading
import types
from functools import partial
from typing import Any, Callable, Iterator, List

import pytest
from support import (
    FRAMINGS,
    HELLO,
    PHP,
    SOON,
    Peer,
    RawServer,
    Serve,
    answering,
    at_once,
    background,
    chunk,
    dripping,
    ends_after,
    head,
    holding,
    live,
    tls_context,
    together,
    tunnel,
)
from urllib3.util import connection as urllib3_connection

from chatgpt4online import (
    Client,
    ProtocolError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)
from chatgpt4online._http import body, connection, cookies, dialing, failures, session, tls
from chatgpt4online.testing import Server

LIMIT = 0.2

#: The modules that use these names. Which modules urllib3 has depends on its version.
MODULES = [
    http.client,
    socket,
    *(
        module
        for name, module in list(sys.modules.items())
        if name.startswith(("urllib3.", "requests.")) and "packages" not in name
    ),
]

#: Names that those modules use for too much else. They are hidden from our modules only.
COMMON = {
    connection: [
        *("host", "port", "timeout", "socket_options", "headers"),
        *("create_connection", "allowed_gai_family"),
    ],
    body: ["connection", "length_remaining"],
    cookies: ["msg"],
    failures: ["original_error"],
}
HIDDEN_FROM = {name: module for module, names in COMMON.items() for name in names}

#: Names without which urllib3 reads the bodies.
BODIES = ["_original_response", "_sock", "fp", "chunked", "length", "will_close"]

#: Names without which a client uses a plain session of requests.
PLAIN = ["ConnectionCls", "QueueCls", "pool_classes_by_scheme"]

#: Names without which each connection reads the certificates again.
TLS = ["_new_conn", "ca_certs", "ca_cert_dir", "cert_reqs", "ssl_context", "proxy"]

#: Names without which a 103 response is taken for the answer.
INTERIM = ["response_class", "begin", "headers"]

NAMES = [*BODIES, *PLAIN, *TLS, *INTERIM, "sock", "pool", "pools", *HIDDEN_FROM]

#: Names without which urllib3 connects.
CONNECTING = ["_new_conn", "host", "port", "timeout"]


def only(*names: str) -> pytest.MarkDecorator:
    """Hide only some of the names."""
    return pytest.mark.parametrize("hidden", names, indirect=True, scope="module")


#: Hides only the names that matter for reading an answer.
hide_names_for_reading = only(*BODIES, *PLAIN, "_new_conn", "sock")


def rename(patch: pytest.MonkeyPatch, name: str) -> None:
    """Rename an attribute in the libraries' code, as a new version of them may."""

    def other(looked_up: str) -> str:
        return f"{name}_new" if looked_up == name else looked_up

    for module in [HIDDEN_FROM[name]] if name in HIDDEN_FROM else MODULES:
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
        if _uses(value.__code__, name):
            patch.setattr(value, "__code__", _renamed(value.__code__, name))
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


def _uses(code: types.CodeType, name: str) -> bool:
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return name in code.co_names or any(_uses(each, name) for each in inner)


def _renamed(code: types.CodeType, name: str) -> types.CodeType:
    constants = tuple(
        _renamed(each, name) if isinstance(each, types.CodeType) else each
        for each in code.co_consts
    )
    names = tuple(f"{name}_new" if each == name else each for each in code.co_names)
    return code.replace(co_consts=constants, co_names=names)


@pytest.fixture(scope="module", params=NAMES)
def hidden(request: pytest.FixtureRequest) -> Iterator[str]:
    """Hide one of the names."""
    with pytest.MonkeyPatch.context() as patch:
        rename(patch, request.param)
        yield request.param
        gc.collect(1)  # closes what uses the new names while they exist, and is young


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssl.SSLContext]:
    """Return a TLS context of a server that clients trust."""
    with pytest.MonkeyPatch.context() as patch:
        yield tls_context(tmp_path_factory.mktemp("authority"), patch)


def test_calls_work(hidden: str) -> None:
    """Without any one of the names, questions are answered under all framings."""
    answers = [FRAMINGS[name].answer().bytes for name in FRAMINGS]
    with RawServer(answering(*answers)) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in FRAMINGS] == ["Hello"] * len(FRAMINGS)
        assert list(client.stream("Hi")) == ["Hel", "lo"]


def test_calls_work_through_a_proxy(hidden: str, context: ssl.SSLContext) -> None:
    """Without any one of the names, TLS works through an HTTPS proxy."""
    answer = FRAMINGS["length"].answer().bytes
    site = RawServer(answering(answer), context)
    with site, RawServer(tunnel, context) as proxy, Client(site.url, proxy=proxy.url) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2


@hide_names_for_reading
def test_deltas_are_yielded_as_they_arrive(hidden: str) -> None:
    """A delta is yielded before the next one is sent."""
    proceed = threading.Event()
    answer = PHP.answer()

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(answer.head + answer.parts[0])
        peer.wait(proceed)
        peer.send(b"".join(answer.parts[1:]) + answer.last)

    with RawServer(serve) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        assert next(stream) == "Hel"
        proceed.set()
        assert stream.result() == "Hello"


CHUNKED = head("200 OK", "Transfer-Encoding: chunked")

SLOW = {
    "silent before the headers": holding(),
    "silent in the body": holding(CHUNKED, chunk(live("a"))),
    "dripping in the body": dripping(CHUNKED, chunk(b"\n")),
}


@hide_names_for_reading
def test_deadlines_hold(hidden: str) -> None:
    """Without any one of the names, calls end at their deadline."""
    for future in together([partial(ask_until_the_deadline, serve) for serve in SLOW.values()]):
        future.result()


def ask_until_the_deadline(serve: Serve) -> None:
    """Ask a question that ends at its deadline."""
    with RawServer(serve) as server, Client(server.url) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"


@hide_names_for_reading
def test_closing_the_client_unblocks_a_reader(hidden: str) -> None:
    """Closing the client in another thread unblocks a reader."""
    with RawServer(SLOW["silent in the body"]) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        assert next(stream) == "a"
        rest = background(lambda: list(stream))
        with at_once():
            client.close()
            assert isinstance(rest.exception(SOON), StreamInterrupted)


def test_the_names_are_listed() -> None:
    """The docstring of `connection` says what happens without each name."""
    assert [name for name in NAMES if f"``{name}``" not in (connection.__doc__ or "")] == []


def test_which_session_is_used(hidden: str, server: Server) -> None:
    """If urllib3 does not accept our connections and pools, a plain session is used."""
    with Client(server.url) as client:
        kind = type(client._transport._session)
    assert kind is (session.PlainSession if hidden in PLAIN else session.OwnSession)


def test_how_often_certificates_are_read(
    hidden: str, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificates are read once, or for each connection without some of the names."""
    reads = count_reads(monkeypatch)
    monkeypatch.setattr(tls, "_contexts", {})
    with RawServer(answering(PHP.answer().bytes), context) as server:
        for _ in range(2):
            with Client(server.url) as client:
                assert client.chat("Hi") == "Hello"
    assert len(reads) == (2 if hidden in [*TLS, *PLAIN] else 1)


def count_reads(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """Return a list to which each read of certificates adds an item."""
    reads: List[Any] = []
    load = ssl.SSLContext.load_verify_locations

    def counting(self: ssl.SSLContext, *args: Any, **options: Any) -> None:
        reads.append(args)
        load(self, *args, **options)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counting)
    return reads


def test_interim_responses(hidden: str) -> None:
    """Interim responses are skipped, but raise an error without `response_class`."""
    serve = answering(head("103 Early Hints") + PHP.answer().bytes)
    with RawServer(serve) as server, Client(server.url) as client:
        if hidden in [*PLAIN, *INTERIM]:
            with pytest.raises(StatusError, match="103"):
                client.chat("Hi")
        else:
            assert client.chat("Hi") == "Hello"


@hide_names_for_reading
def test_which_connections_are_kept(hidden: str) -> None:
    """Connections are kept, but not if urllib3 reads the body and its end has not been read."""
    chunks = FRAMINGS["an event a chunk"].answer().bytes
    with RawServer(answering(chunks)) as server, Client(server.url) as client:
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
        assert server.accepted == (3 if hidden in BODIES else 1)


def test_closing_a_client_closes_its_connections(hidden: str) -> None:
    """Closing a client closes its idle connection."""

    def serve(peer: Peer) -> None:
        while peer.question():
            peer.send(FRAMINGS["length"].answer().bytes)
        peer.wait_until_gone()

    with RawServer(serve) as server:
        with Client(server.url) as client:
            assert client.chat("Hi") == "Hello"
        if hidden != "pools":
            assert server.gone.get(timeout=SOON) == 0


@hide_names_for_reading
def test_a_cut_answer_is_noticed(hidden: str) -> None:
    """A truncated response raises `StreamInterrupted`."""
    cut = head("200 OK", "Content-Length: 100") + b'{"success": true, "reply": "Hel'

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(cut)

    with RawServer(serve) as site, Client(site.url) as client, pytest.raises(StreamInterrupted):
        client.chat("Hi")


def test_who_connects(hidden: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """urllib3 makes the connections if it keeps the address elsewhere."""
    connects: List[Any] = []
    connect = dialing.connect

    def recording(*args: Any, **options: Any) -> socket.socket:
        connects.append(args)
        return connect(*args, **options)

    monkeypatch.setattr(dialing, "connect", recording)
    with Client(server.url) as client:
        client.chat("Hi")
    assert len(connects) == (hidden not in [*CONNECTING, *PLAIN])


@only("create_connection", "allowed_gai_family", "port")
def test_recipes_of_users(hidden: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that a user has put into urllib3 is called if urllib3 still calls it."""
    calls: List[str] = []

    def recording(name: str) -> Callable[..., Any]:
        original = getattr(urllib3_connection, name)

        def record(*args: Any, **options: Any) -> Any:
            calls.append(name)
            return original(*args, **options)

        return record

    for name in ("create_connection", "allowed_gai_family"):
        monkeypatch.setattr(urllib3_connection, name, recording(name))
    with Client(server.url) as client:
        assert client.chat("Hi")
    expected = {"create_connection": {"allowed_gai_family"}}
    assert set(calls) == expected.get(hidden, {"create_connection", "allowed_gai_family"})


@only("socket_options", "sock")
def test_a_socks_proxy(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions pass a SOCKS proxy, without TCP keepalive if urllib3 takes no options."""
    options: List[Any] = []
    watch = connection.WatchedConnection.watch

    def recording(self: Any, sock: socket.socket) -> None:
        options.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0)
        watch(self, sock)

    monkeypatch.setattr(connection.WatchedConnection, "watch", recording)
    site = RawServer(answering(PHP.answer().bytes))
    proxy = RawServer(socks_proxy)
    with site, proxy, Client(site.url, proxy=f"socks5://{proxy.address}") as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
    assert options == [hidden != "socket_options"]


def socks_proxy(peer: Peer) -> None:
    """Serve as a SOCKS5 proxy (RFC 1928) without a password."""
    peer.read(3)
    peer.send(b"\x05\x00")
    host, port = struct.unpack("!4x4sH", peer.read(10))
    peer.send(b"\x05\x00\x00\x01" + bytes(6))
    peer.relay(socket.inet_ntoa(host), port)


@only("_original_response", "msg", "fp")
@pytest.mark.filterwarnings("ignore:http.cookiejar bug")
def test_broken_cookies(hidden: str) -> None:
    """A broken cookie costs the others of its answer if the headers cannot be changed."""
    broken = ("Set-Cookie: a=1", "Set-Cookie: b=2; Max-Age=" + "9" * 400)
    answer = PHP.answer(HELLO, *broken).bytes
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
    sent = server.questions[-1].headers.get("cookie", "")
    assert ("a=1" in sent) == (hidden == "fp")


@pytest.fixture
def read_by_urllib3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let urllib3 read the bodies, as where another name is missing as well."""
    monkeypatch.setattr(body, "_http_response", lambda _: None)


@only("connection")
@pytest.mark.usefixtures("hidden", "read_by_urllib3")
def test_closing_the_client_does_not_unblock_a_reader() -> None:
    """Where the socket is not known, a reader waits until the end of its own time limit."""
    server = RawServer(SLOW["silent in the body"])
    with server, Client(server.url, timeout=LIMIT) as client:
        stream = client.stream("Hi")
        assert next(stream) == "a"
        rest = background(lambda: list(stream))
        client.close()
        with ends_after(LIMIT):
            assert isinstance(rest.exception(SOON), StreamInterrupted)


@only("length_remaining", "_sock")
@pytest.mark.usefixtures("read_by_urllib3")
def test_a_cut_body(hidden: str) -> None:
    """A truncated response is an error, whoever reads it and whatever is known of its length."""
    errors = (StreamInterrupted, *([ProtocolError] if hidden == "length_remaining" else []))
    cut = head("200 OK", "Content-Length: 100") + b'{"success": true, "reply": "Hel'

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(cut)

    with RawServer(serve) as site, Client(site.url) as client, pytest.raises(errors):
        client.chat("Hi")


@only("original_error", "sock")
def test_the_reason_of_an_error(hidden: str) -> None:
    """An error of a proxy names the reason, or a class."""
    client = Client("https://bot.invalid", proxy="http://127.0.0.1:9", retries=0)
    with client, pytest.raises(TransportError) as caught:
        client.chat("Hi")
    assert ("refused" in str(caught.value)) == (hidden == "sock"), str(caught.value)
