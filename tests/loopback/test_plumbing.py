"""Users' recipes for sockets and DNS, shared TLS contexts, and how long connections are kept."""

from __future__ import annotations

import multiprocessing
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from functools import partial, wraps
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Tuple

import pytest
import requests
from support import (
    FRAMINGS,
    PHP,
    SOON,
    Peer,
    RawServer,
    answering,
    chunk,
    dripping,
    end,
    ends_after,
    head,
    reply,
    tls_context,
    together,
)
from urllib3.connection import HTTPConnection
from urllib3.util import connection as urllib3_connection

from chatgpt4online import Client, Timeout, TransportError
from chatgpt4online._http import connection, pool, tls

HELLO = FRAMINGS["length"].answer().bytes

LIMIT = 0.3

socks: Any = pytest.importorskip("socks")


@pytest.fixture
def site() -> Iterator[RawServer]:
    """Start a site."""
    with RawServer(answering(HELLO)) as server:
        yield server


# Users' recipes.


def test_ipv4_only(site: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`allowed_gai_family` of urllib3 decides on the addresses, when a connection is made."""
    families: List[int] = []
    look_up = socket.getaddrinfo

    def recording(host: Any, port: Any, family: int = 0, *args: Any) -> Any:
        families.append(family)
        return look_up(host, port, family, *args)

    monkeypatch.setattr(socket, "getaddrinfo", recording)
    with Client(site.url) as client:
        for family in (socket.AF_INET, socket.AF_UNSPEC):
            monkeypatch.setattr(urllib3_connection, "allowed_gai_family", partial(int, family))
            families.clear()
            site.accepted = 0
            assert client.chat("Hi") == "Hello"
            client._transport._session.close()
            assert families == [family]


Connect = Callable[..., socket.socket]


def by_own_dns(connect: Connect) -> Connect:
    """Return a `create_connection` that finds the site where no name server does."""

    def create_connection(address: Tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        host, port = address
        return connect(("127.0.0.1" if host == "bot.invalid" else host, port), *args, **options)

    return create_connection


def by_own_dns_wrapped(connect: Connect) -> Connect:
    """Return the same, named as what it replaces."""
    return wraps(connect)(by_own_dns(connect))


def by_own_dns_partial(connect: Connect) -> Connect:
    """Return the same as another kind of callable."""
    return partial(by_own_dns(connect))


@pytest.mark.parametrize("recipe", [by_own_dns, by_own_dns_wrapped, by_own_dns_partial])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_own_dns(
    recipe: Callable[[Connect], Connect],
    scheme: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A `create_connection` that was replaced in urllib3 makes the connections."""
    context = tls_context(tmp_path, monkeypatch, "bot.invalid") if scheme == "https" else None
    connect = recipe(urllib3_connection.create_connection)
    monkeypatch.setattr(urllib3_connection, "create_connection", connect)
    with RawServer(answering(HELLO), context) as server:
        with Client(server.url.replace("127.0.0.1", "bot.invalid")) as client:
            assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
        assert server.accepted == 1


def test_own_dns_that_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a `create_connection` of the user's raises is an error of ours."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no such host in my own DNS")

    monkeypatch.setattr(urllib3_connection, "create_connection", fail)
    client = Client("http://bot.invalid", retries=0)
    with client, pytest.raises(TransportError, match="in my own DNS"):
        client.chat("Hi")


BEFORE = """
    from urllib3.util import connection
    original = connection.create_connection

    def create_connection(address, *args, **options):
        return original(("127.0.0.1", address[1]), *args, **options)

    connection.create_connection = create_connection
    from chatgpt4online import Client
    print(Client("http://bot.invalid:{port}").chat("Hi"))
"""


def test_own_dns_before_the_import(site: RawServer) -> None:
    """A `create_connection` that was replaced before the package was imported is used, too."""
    port = site.address.partition(":")[2]
    program = textwrap.dedent(BEFORE).format(port=port)
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, timeout=60
    )
    assert done.stdout.decode().strip() == "Hello"


def option(sock: socket.socket, name: str, level: int = socket.IPPROTO_TCP) -> int:
    """Return a socket option."""
    return sock.getsockopt(level, getattr(socket, name))


def idle_socket(client: Client) -> socket.socket:
    """Return the socket of a client's one idle connection."""
    adapter: Any = client._transport._session.session.get_adapter("http://")
    maps = [each.pools for each in (adapter.poolmanager, *adapter.proxy_manager.values())]
    [pool] = [each[key] for each in maps for key in each.keys()]  # noqa: SIM118 - not a dict
    [kept] = pool.pool._idle
    sock: socket.socket = kept.sock
    return sock


def test_default_socket_options(site: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`HTTPConnection.default_socket_options` holds, and wins over options of ours."""
    mine = [
        *HTTPConnection.default_socket_options,
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0),
        (socket.SOL_SOCKET, socket.SO_RCVBUF, 9999),
    ]
    monkeypatch.setattr(HTTPConnection, "default_socket_options", mine)
    with Client(site.url) as client:
        assert client.chat("Hi") == "Hello"
        sock = idle_socket(client)
        assert option(sock, "SO_KEEPALIVE", socket.SOL_SOCKET) == 0
        assert option(sock, "SO_RCVBUF", socket.SOL_SOCKET) in (9999, 2 * 9999)
        assert option(sock, "TCP_NODELAY") != 0


def test_no_socket_options(site: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """None for the default options is no option of urllib3's."""
    monkeypatch.setattr(HTTPConnection, "default_socket_options", None)
    with Client(site.url) as client:
        assert client.chat("Hi") == "Hello"
        assert option(idle_socket(client), "TCP_NODELAY") == 0


def test_every_socket_by_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """`socket.socket` may be replaced by that of PySocks, with a proxy for everything."""

    def serve(peer: Peer) -> None:
        peer.read(3)
        peer.send(b"\x05\x00")  # RFC 1928: no password
        peer.read(10)
        peer.send(b"\x05\x00\x00\x01" + bytes(6))  # granted
        answering(HELLO)(peer)

    with RawServer(serve) as proxy:
        host, _, port = proxy.address.partition(":")
        monkeypatch.setattr(socks.socksocket, "default_proxy", None)
        socks.set_default_proxy(socks.SOCKS5, host, int(port))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "socket", socks.socksocket)
            with Client("http://127.0.0.1:9") as client:
                assert [client.chat("Hi"), client.chat("Hi", deadline=SOON)] == ["Hello"] * 2
        assert proxy.accepted == 1


def test_a_deadline_where_every_socket_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TLS connection, whose class is not the one put in place, is ended on time as well."""
    context = tls_context(tmp_path, monkeypatch)

    class Replaced(socket.socket):
        """A socket of another library's."""

    serve = dripping(b"HTTP/1.1 200 OK\r\nX-A: ", b"b")
    with RawServer(serve, context) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", Replaced)
        with Client(server.url) as client, ends_after(LIMIT), pytest.raises(Timeout):
            client.chat("Hi", deadline=LIMIT)


@pytest.mark.parametrize("is_own", [True, False])
def test_a_function_in_place_of_every_socket(is_own: bool, tls: Optional[ssl.SSLContext]) -> None:
    """`socket.socket` may be replaced by a function, as in recipes for a source address."""
    replaced = partial(socket.socket)
    answers = RawServer(answering(PHP.answer().bytes), tls)
    noise = RawServer(dripping(head("200 OK", "Transfer-Encoding: chunked"), chunk(b"\n")), tls)
    with answers, noise, pytest.MonkeyPatch.context() as patch, requests.Session() as session:
        patch.setattr(socket, "socket", replaced)
        used = None if is_own else session
        with Client(answers.url, session=used) as client:
            assert [client.chat("Hi"), client.chat("Hi", deadline=SOON)] == ["Hello"] * 2
            assert answers.accepted == 1
        client = Client(noise.url, session=used)
        with client, ends_after(LIMIT), pytest.raises(Timeout):
            client.chat("Hi", deadline=LIMIT)


# TLS contexts are shared.


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """Return a list that grows with each read of certificates."""
    found: List[Any] = []
    load = ssl.SSLContext.load_verify_locations

    def counting(self: ssl.SSLContext, *args: Any, **options: Any) -> None:
        found.append(args)
        load(self, *args, **options)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counting)
    monkeypatch.setattr(tls, "_contexts", {})
    return found


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    """Start a site that speaks TLS."""
    with RawServer(answering(PHP.answer().bytes), tls_context(tmp_path, monkeypatch)) as server:
        yield server


def chat(server: RawServer) -> str:
    """Ask a question by a client of its own."""
    with Client(server.url, retries=0) as client:
        return str(client.chat("Hi"))


def test_clients_share_certificates(secure: RawServer, reads: List[Any]) -> None:
    """A second client reads no certificates."""
    assert [chat(secure), chat(secure)] == ["Hello"] * 2
    assert len(reads) == 1


def test_threads_share_certificates(secure: RawServer, reads: List[Any]) -> None:
    """Many threads that begin at once read the certificates once."""
    futures = together([partial(chat, secure)] * 16)
    assert [future.result(SOON) for future in futures] == ["Hello"] * 16
    assert len(reads) == 1


def test_other_certificates(
    secure: RawServer, reads: List[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where other certificates are to be trusted, they are, and the first ones are not."""
    assert chat(secure) == "Hello"
    other = tmp_path / "other"
    other.mkdir()
    tls_context(other, monkeypatch)
    with pytest.raises(TransportError, match="certificate"):
        chat(secure)
    assert len(reads) == 2
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    assert chat(secure) == "Hello"
    assert len(reads) == 2


def test_certificates_are_read_ahead(
    secure: RawServer, reads: List[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates are read in a thread of their own while a connection is made."""
    ahead: List[int] = []

    def run(function: Callable[..., None], arguments: Tuple[Any, ...]) -> None:
        function(*arguments)
        ahead.append(secure.accepted)

    monkeypatch.setattr(tls, "start_new_thread", run)
    assert chat(secure) == "Hello"
    assert ahead == [0]
    assert len(reads) == 1


@pytest.mark.parametrize("ahead", [False, True])
def test_certificates_that_cannot_be_read(
    ahead: bool, secure: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that contains no certificates raises TransportError, each time."""
    if ahead:
        monkeypatch.setattr(tls, "start_new_thread", lambda run, arguments: run(*arguments))
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate\n", encoding="ascii")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(broken))
    for _ in range(2):
        with pytest.raises(TransportError):
            chat(secure)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_shares_certificates(secure: RawServer, reads: List[Any]) -> None:
    """A forked child uses the contexts of its parent, and locks of its own."""
    assert chat(secure) == "Hello"
    for lock in list(tls._locks.values()):
        lock.acquire()  # as another thread may hold it
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()

    def run() -> None:
        answers.put((chat(secure), len(reads)))
        tls._contexts.clear()
        answers.put((chat(secure), len(reads)))

    child = fork.Process(target=run)
    child.start()
    child.join(SOON)
    assert child.exitcode == 0
    assert [answers.get(), answers.get()] == [("Hello", 1), ("Hello", 2)]


# How long a connection is kept.


class Clock:
    """The clock of idle connections, which a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def read(self) -> float:
        """Return its time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Take the place of the clock of idle connections."""
    clock = Clock()
    monkeypatch.setattr(pool, "monotonic", clock.read)
    return clock


#: A response's Keep-Alive header, and the seconds after which its connection is not used.
IDLE: List[Tuple[Optional[str], float]] = [
    (None, 60),
    ("", 60),
    ("max=100", 60),
    ("timeout=5", 4),
    ("timeout=5, max=100", 4),
    ("max=99,Timeout = 5", 4),
    ('timeout="5"', 4),
    ("timeout=1", 0),
    ("timeout=0", 0),
    ("timeout=61", 60),
    ("timeout=600", 60),
    ("timeout=" + "9" * 400, 60),
    ("timeout=-5", 60),
    ("timeout=soon", 60),
    ("xtimeout=5", 60),
]


@pytest.mark.parametrize(("header", "seconds"), IDLE)
def test_an_idle_connection_has_its_time(
    header: Optional[str], seconds: float, clock: Clock
) -> None:
    """A connection is not used again in the last second that the server keeps it, nor after 60."""
    fields = [] if header is None else [f"Keep-Alive: {header}"]
    serve = answering(reply("200 OK", end("Hello"), *fields))
    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        before = server.accepted
        for idle, more in ((seconds - 0.1, 0), (seconds, 1)):
            if idle >= 0:
                clock.now += idle
                assert client.chat("Hi") == "Hello"
                assert server.accepted == before + more


def test_each_answer_says_how_long(clock: Clock) -> None:
    """The last answer on a connection says how long it is kept."""
    short = reply("200 OK", end("Hello"), "Keep-Alive: timeout=5")
    with RawServer(answering(short, HELLO)) as server, Client(server.url) as client:
        for idle in (0, 3.9, 59.9, 59.9):
            clock.now += idle
            assert client.chat("Hi") == "Hello"
        assert server.accepted == 1


def test_connections_that_were_idle_for_too_long_are_closed(clock: Clock) -> None:
    """A connection that is not used again is closed when the next one is needed."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(HELLO)
            peer.wait_until_gone()

    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        clock.now += connection.MAX_IDLE
        assert client.chat("Hi") == "Hello"
        assert server.gone.get(timeout=SOON) == 0


def test_the_connection_used_last_is_used_first() -> None:
    """One question after another goes by one connection, so that the others can be closed."""
    used: List[int] = []
    meeting = threading.Barrier(2)

    def serve(peer: Peer) -> None:
        while peer.question():
            used.append(peer.number)
            if len(used) <= 2:
                meeting.wait(SOON)
            peer.send(HELLO)

    with RawServer(serve) as server, Client(server.url) as client:
        together([lambda: client.chat("Hi")] * 2)
        assert [client.chat("Hi") for _ in range(3)] == ["Hello"] * 3
    assert sorted(used[:2]) == [0, 1]
    assert len(set(used[2:])) == 1


def test_a_full_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections beyond those that a client keeps are closed once they are idle."""
    monkeypatch.setattr(pool, "POOL_SIZE", 1)
    meeting = threading.Barrier(3)

    def serve(peer: Peer) -> None:
        if peer.question():
            meeting.wait(SOON)
            peer.send(HELLO)
            peer.wait_until_gone()

    with RawServer(serve) as server, Client(server.url) as client:
        assert client.nonce
        futures = together([lambda: client.chat("Hi")] * 3)
        assert [future.result(SOON) for future in futures] == ["Hello"] * 3
        assert {server.gone.get(timeout=SOON) for _ in range(2)} < {0, 1, 2}


#: Seconds without data until a connection is tested, and from one test to the next.
KEEPALIVE = {"TCP_KEEPIDLE": 45, "TCP_KEEPALIVE": 45, "TCP_KEEPINTVL": 15}


def test_keepalive(site: RawServer) -> None:
    """TCP keepalive is set, with times where the system has them."""
    with Client(site.url) as client:
        assert client.chat("Hi") == "Hello"
        sock = idle_socket(client)
        assert option(sock, "SO_KEEPALIVE", socket.SOL_SOCKET) != 0
        for name, seconds in KEEPALIVE.items():
            if hasattr(socket, name):
                assert option(sock, name) == seconds


def test_keepalive_where_the_system_has_no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """TCP keepalive is set on any system."""
    for name in connection._KEEPALIVE_SECONDS:
        monkeypatch.delattr(socket, name, raising=False)
    assert connection._keepalive_options() == [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
