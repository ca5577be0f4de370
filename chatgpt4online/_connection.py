"""
Connections that a `Call` can end before an answer has begun, and that share their TLS settings.

It stands on what urllib3 1.26 and 2.x have in common: `_new_conn`, `connect`, `request`,
`putheader` and `send` of their connections, and pools by scheme. Without `_buffer` in http.client,
or `get_connection_with_tls_context` in requests, it is slower.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from contextlib import suppress
from queue import LifoQueue
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Type
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from ._call import Call, current, shut

#: How many idle connections a client keeps; more threads than that still work.
POOL_SIZE = 256

#: Head and body of a request are sent in one piece if together they have no more bytes.
_PIECE = 64 * 1024

#: Header lines that a client remembers; most of a request's are those of the last one.
MOST_HEADER_LINES = 256


class _Response(http.client.HTTPResponse):
    """A response that any interim one may precede; http.client knows 100 Continue alone."""

    def begin(self) -> None:
        super().begin()
        while self.status < 200 and self.status != 101:  # RFC 9110, 15.2
            self.headers = self.msg = None  # type: ignore[assignment] # as before it began
            super().begin()


class _Watched:
    """
    What our connections add to urllib3's: they tell the thread's call what its socket is.

    They also send a short request in one piece, unless it is an upload that tells of its progress,
    and remember its header lines, most of which are those of the next one.
    """

    header_lines: Dict[Tuple[str, ...], bytes]

    response_class = _Response
    sock: Any
    auto_open: int
    _handle: Optional[socket.socket] = None
    _held: Optional[bytes] = None

    def _watch(self, sock: socket.socket) -> None:
        """Watch a handle of its own, since a TLS handshake takes the socket object out of use."""
        self._handle = sock.dup()
        current.call.watch(self._handle)
        current.call.check()  # a socket that was shut while it connected may look connected

    def _tunnel(self) -> None:
        super()._tunnel()  # type: ignore[misc]
        current.call.check()  # a proxy's answer that is shut off looks like a short one

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        except BaseException:
            shut(self._handle)  # where Ctrl-C ends a handshake, ssl leaves its socket open
            raise
        finally:
            current.call.watch(self.sock)
            current.call.sent = False  # what went out, if anything, was for a proxy
            if self._handle is not None:
                self._handle.close()
                self._handle = None

    def request(self, method: str, url: str, body: Any = None, **options: Any) -> None:
        if body is None or isinstance(body, bytes):  # an upload tells of its progress when read
            self._held = b""
        try:
            super().request(method, url, body=body, **options)  # type: ignore[misc]
            self._send_held()
        finally:
            self._held = None

    def putheader(self, *header: str) -> None:
        waiting: List[bytes] = getattr(self, "_buffer", [])  # http.client's, for this request
        line = self.header_lines.get(header)
        if line is not None:
            waiting.append(line)
            return
        before = len(waiting)
        super().putheader(*header)  # type: ignore[misc]
        if len(self.header_lines) >= MOST_HEADER_LINES:
            self.header_lines.clear()
        if len(waiting) > before:  # urllib3 leaves some out
            self.header_lines[header] = waiting[-1]

    def send(self, data: Any) -> None:
        if self._held is not None and len(self._held) + len(data) <= _PIECE:
            self._held += data
            return
        self._send_held()
        if self.sock is None and self.auto_open:
            self.connect()
        call: Call = current.call
        if self._handle is None:  # connected: urllib3 would send within the limit of connecting
            self.sock.settimeout(call.within(call.limits[1]))
        call.watch(self._handle or self.sock)
        call.sent = True
        super().send(data)  # type: ignore[misc]

    def _send_held(self) -> None:
        held, self._held = self._held, None
        if held:
            self.send(held)


class _Direct(_Watched):
    """A connection to the site, or to a proxy that speaks HTTP."""

    timeout: Any
    socket_options: Any
    port: int
    _dns_host: str

    def _new_conn(self) -> socket.socket:
        this: Any = self
        try:
            return self._connect_to_any(_addresses(self._dns_host, self.port), current.call)
        except socket.timeout as error:
            raise ConnectTimeoutError(this, str(error)) from error
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(this, str(error)) from error

    def _connect_to_any(self, addresses: List[Tuple[int, Any]], call: Call) -> socket.socket:
        """Connect to the first address that answers, within what remains of the call's time."""
        for address in addresses[:-1]:
            with suppress(OSError):
                return self._connect_to(*address, call)
        return self._connect_to(*addresses[-1], call)

    def _connect_to(self, family: int, address: Any, call: Call) -> socket.socket:
        """Connect to one address."""
        call.check()
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(call.within(self.timeout))
            call.watch(sock)
            sock.connect(address)
            self._watch(sock)
        except BaseException:
            sock.close()
            raise
        return sock


def _addresses(host: str, port: int) -> List[Tuple[int, Any]]:
    """Return the addresses of a host, with their families, in the system's order."""
    found = socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)
    return [(info[0], info[4]) for info in found]


class _BySocks(_Watched):
    """A connection by a SOCKS proxy. Until that has reached the site, PySocks alone can end it."""

    def _new_conn(self) -> socket.socket:
        current.call.check()
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        try:
            self._watch(sock)
        except BaseException:
            sock.close()
            raise
        return sock


class _SharedTLS:
    """What our TLS connections add: they share what has been read of certificates."""

    contexts: _Contexts

    ca_certs: Any
    ca_cert_dir: Any
    cert_reqs: Any
    ssl_context: Any
    proxy: Any = None

    def _new_conn(self) -> socket.socket:
        connect: Callable[[], socket.socket] = super()._new_conn  # type: ignore[misc]
        # urllib3 verifies a proxy that speaks TLS by the same attributes, and with no context.
        if getattr(self.proxy, "scheme", None) == "https" or self.ssl_context is not None:
            return connect()
        trusted = (self.cert_reqs, self.ca_certs, self.ca_cert_dir)
        self.contexts.prepare(*trusted)  # while the site is on its way to answer
        sock = connect()
        try:
            self.ssl_context = self.contexts.get(*trusted)
        except BaseException:
            sock.close()
            raise
        self.ca_certs = self.ca_cert_dir = None  # else urllib3 reads them for each connection
        return sock


class _Contexts:
    """
    The TLS settings of a client's connections, by the certificates that they trust.

    To read a system's certificates takes tens of milliseconds, more than a whole short answer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: Dict[Tuple[Any, ...], ssl.SSLContext] = {}

    def prepare(self, *trusted: Any) -> None:
        """Begin to make the context that `get` returns for the same, unless there is one."""
        if trusted not in self._known:
            with suppress(RuntimeError):  # the system has no thread left, or the program ends
                threading.Thread(target=self._try, args=trusted, daemon=True).start()

    def _try(self, *trusted: Any) -> None:
        with suppress(OSError):  # `get` meets it again, and tells
            self.get(*trusted)

    def get(self, cert_reqs: Any, ca_certs: Any, ca_cert_dir: Any) -> ssl.SSLContext:
        """Return the context for what requests says of a connection, made when first needed."""
        key = (cert_reqs, ca_certs, ca_cert_dir)
        with self._lock:
            if key not in self._known:
                context = create_urllib3_context(cert_reqs=resolve_cert_reqs(cert_reqs))
                context.load_verify_locations(ca_certs, ca_cert_dir)
                self._known[key] = context
            return self._known[key]


class _Idle(LifoQueue):  # type: ignore[type-arg] # cannot be subscripted before Python 3.9
    """Idle connections; not, as urllib3's own, filled with a place for each that may come."""

    def put(self, item: Any, block: bool = True, timeout: Optional[float] = None) -> None:
        if item is not None:
            super().put(item, block, timeout)


def _pools(
    usual: Mapping[str, Type[HTTPConnectionPool]], way: Type[_Watched], shared: Dict[str, Any]
) -> Dict[str, Type[HTTPConnectionPool]]:
    """
    Return pools of our connections.

    Args:
        usual: urllib3's pools, by scheme.
        way: how the connections reach the site.
        shared: attributes of all connections.
    """
    ours = {"http": (way,), "https": (_SharedTLS, way)}
    pools = {}
    for scheme, pool in usual.items():
        connection = type("Connection", (*ours[scheme], pool.ConnectionCls), shared)
        pools[scheme] = type("Pool", (pool,), {"ConnectionCls": connection, "QueueCls": _Idle})
    return pools


class Adapter(HTTPAdapter):
    """requests' adapter with connections that a `Call` can end before an answer has begun."""

    def __init__(self) -> None:
        #: Attributes of all connections.
        self.shared = {"header_lines": {}, "contexts": _Contexts()}
        usual = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
        self._direct = _pools(usual, _Direct, self.shared)
        self._by_socks: Optional[Dict[str, Type[HTTPConnectionPool]]] = None
        self._known_pools: Dict[Tuple[Any, ...], Any] = {}
        super().__init__(pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._direct

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        pools = self._direct
        if proxy.lower().startswith("socks"):
            usual = type(manager).pool_classes_by_scheme
            pools = self._by_socks = self._by_socks or _pools(usual, _BySocks, self.shared)
        manager.pool_classes_by_scheme = pools
        return manager

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the pool for a request, which requests needs a twentieth of a short chat for."""
        parts = urlsplit(request.url)
        key = (parts.scheme, parts.netloc, verify, cert, *(proxies or {}).items())
        pool = self._known_pools.get(key)
        if pool is None or pool.pool is None:  # some urllib3 close those of the sites least asked
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            self._known_pools[key] = pool
        return pool

    def close(self) -> None:
        """
        Close all connections.

        urllib3 2 keeps those of a pool that an ended answer knows, and those of all pools but ten.
        """
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it is no dict, and cannot be iterated
                manager.pools[key].close()
        for pool in list(self._known_pools.values()):
            pool.close()
        super().close()


def new_session() -> requests.Session:
    """Return a session whose connections a `Call` can end, and which adds no headers."""
    session = requests.Session()
    session.headers.clear()
    adapter = Adapter()
    for prefix in ("https://", "http://"):
        session.mount(prefix, adapter)
    return session
