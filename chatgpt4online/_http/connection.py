"""
Connections that a call can end at any moment, and the undocumented names that we use.

We stand on what requests, urllib3, http.client and sseclient document, and on these names:

==========================  ===================  ================================================
name                        of                   what happens when it is missing
==========================  ===================  ================================================
``_new_conn``               urllib3,             a call is not ended while it connects, which has
                            connections          a limit of its own; each connection reads the
                                                 certificates anew (40 ms)
``host``, ``port``,         urllib3,             a call is not ended while it connects; a dead
``timeout``                 connections          address costs the whole limit of connecting
``create_connection``,      urllib3.util,        a user's function of this name is not called
``allowed_gai_family``      connection
``socket_options``          urllib3,             no TCP keepalive through a SOCKS proxy
                            connections
``ca_certs``,               urllib3,             each connection reads the certificates anew
``ca_cert_dir``,            connections
``cert_reqs``, ``proxy``,
``ssl_context``
``sock``                    http.client,         a call is not ended while it sends, or waits for
                            connections          the head of the answer; sending has the limit of
                                                 connecting
``response_class``          http.client,         a 103 response is taken for the answer
                            connections
``begin``, ``headers``      http.client,         likewise; the server's Keep-Alive is not obeyed
                            responses
``_original_response``      urllib3, responses   a body is read through urllib3; a connection is
                                                 kept only if the end of its body was read; a
                                                 broken cookie costs the others of its answer
``msg``                     http.client,         a broken cookie costs the others of its answer
                            responses
``fp``, ``chunked``,        http.client,         a body is read through urllib3; a connection is
``length``, ``will_close``  responses            kept only if the end of its body was read
``_sock``                   socket.SocketIO      likewise
``connection``              urllib3, responses   while urllib3 reads a body, `close` in another
                                                 thread does not wake the reader
``length_remaining``        urllib3, responses   where urllib3 1.26 reads a body that is cut, the
                                                 error is a `ProtocolError`
``ConnectionCls``,          urllib3, pools and   a plain session of requests is used: calls work,
``QueueCls``,               managers             with less exact deadlines (see `session`)
``pool_classes_by_scheme``
``pool``                    urllib3, pools       a pool is looked up for each request (8 %); a
                                                 connection put back during `close` stays open
``pools``                   urllib3, managers    idle connections may outlive the client's `close`
``original_error``          urllib3, ProxyError  an error names a class, and not the reason
``__module__``              sseclient, as the    where all loggers log at DEBUG level, each event
                            name of its logger   is logged, which is slower
``events``                  sseclient, called    a stream would lose events: a test would fail
                            anew for a stream
==========================  ===================  ================================================
"""

from __future__ import annotations

import http.client
import re
import socket
from typing import Any, List, Optional, Tuple

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util import connection as urllib3_connection

from . import dialing, tls
from .call import Call, current_call, shut_down

#: Seconds after which an idle connection is not used again: routers forget connections.
MAX_IDLE = 60.0

#: A connection is not used in the last second before the server may close it.
_IDLE_MARGIN = 1.0

#: Keeps routers from forgetting a connection while a model thinks, and notices a dead one.
_KEEPALIVE_SECONDS = {"TCP_KEEPIDLE": 45, "TCP_KEEPALIVE": 45, "TCP_KEEPINTVL": 15}

#: The longest body, in bytes, that is copied behind its head.
_SHORT_BODY = 64 * 1024

_KEEP_ALIVE_TIMEOUT = r"(?i)(?:^|[\s,;])timeout\s*=\s*\"?(\d{1,9})"


class _Response(http.client.HTTPResponse):
    """A response that skips every interim (1xx) one; http.client skips only 100 Continue."""

    def begin(self) -> None:
        super().begin()
        while self._is_interim() and hasattr(self, "headers"):
            self.headers = None  # type: ignore[assignment] # as before it began
            super().begin()

    def _is_interim(self) -> bool:
        return self.status < 200 and self.status != 101  # RFC 9110, 15.2


class WatchedConnection:
    """What our connections add to urllib3's: the current call watches their socket."""

    response_class = _Response
    sock: Any
    default_socket_options: Any
    #: Seconds that the connection may be idle before it is used again.
    idle_limit = MAX_IDLE
    #: When it is too late to use it again.
    idle_until = 0.0
    _handle: Optional[socket.socket] = None
    #: Whether what is sent next is the head of a request.
    _at_head = False
    #: A head that waits for its body.
    _head = b""

    def watch(self, sock: socket.socket) -> None:
        """Watch a duplicate, since a TLS handshake takes the socket object out of use."""
        self._handle = sock.dup()
        call = _require_call()
        call.watch(self._handle)
        call.raise_if_ended()  # a socket that was shut down while connecting may look connected

    def connect(self) -> None:
        call = _require_call()
        try:
            super().connect()  # type: ignore[misc]
        except BaseException:
            shut_down(self._handle)  # where Ctrl-C ends a handshake, ssl leaves its socket open
            raise
        finally:
            call.watch(getattr(self, "sock", None))
            call.sent = False  # what was sent, if anything, was for a proxy
            if self._handle is not None:
                self._handle.close()
                self._handle = None
        call.raise_if_ended()  # a proxy's answer that is cut off looks like a short one

    def endheaders(self, *args: Any, **options: Any) -> None:
        self._at_head, self._head = hasattr(self, "sock"), b""
        super().endheaders(*args, **options)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        """
        Send the head of a request together with its body; send anything else at once.

        Together they are one packet, and wait once for the socket and for Python's lock.
        """
        at_head, self._at_head = self._at_head, False  # connecting may send too, to a proxy
        if hasattr(self, "sock") and self.sock is None:
            self.connect()
        if at_head:
            self._head = data
            return
        head, self._head = self._head, b""
        if head and isinstance(data, bytes) and len(data) <= _SHORT_BODY:
            data = head + data
        elif head:
            self._send(head)
        self._send(data)

    def _send(self, data: Any) -> None:
        has_sock = hasattr(self, "sock")
        call = _require_call()
        if has_sock and self._handle is None:  # connected: urllib3 would keep that time limit
            self.sock.settimeout(call.within(call.limits[1]))
        call.watch(self._handle or getattr(self, "sock", None))
        call.sent = True
        super().send(data)  # type: ignore[misc]

    def getresponse(self, *args: Any, **options: Any) -> Any:
        if self._head:
            self.send(b"")
        response = super().getresponse(*args, **options)  # type: ignore[misc]
        headers = getattr(response, "headers", {})
        self.idle_limit = _idle_limit(headers.get("keep-alive") or "")
        return response

    def options(self) -> List[Any]:
        """Return the socket options: TCP keepalive, and urllib3's, which users may have changed."""
        return [*_KEEPALIVE_OPTIONS, *(self.default_socket_options or ())]


def _require_call() -> Call:
    call = current_call.get()
    assert call is not None  # noqa: S101 - our sessions send within a call only
    return call


def _idle_limit(keep_alive: str) -> float:
    """Return how many seconds a connection may be idle, from its Keep-Alive header."""
    seconds = announced_timeout(keep_alive)
    return MAX_IDLE if seconds is None else min(MAX_IDLE, seconds - _IDLE_MARGIN)


def announced_timeout(keep_alive: str) -> Optional[float]:
    """Return after how many seconds idle connections are closed; None if it is not announced."""
    match = re.search(_KEEP_ALIVE_TIMEOUT, keep_alive)
    return float(match.group(1)) if match else None


class DirectConnection(WatchedConnection):
    """A connection to the site, or to a proxy that speaks HTTP."""

    timeout: Any
    host: str
    port: int

    def _new_conn(self) -> socket.socket:
        this: Any = self
        if not all(hasattr(self, name) for name in _ADDRESS_NAMES):
            sock: socket.socket = super()._new_conn()  # type: ignore[misc]
            return _watched_or_closed(self, sock)
        try:
            return self._connect()
        except socket.timeout as error:
            raise ConnectTimeoutError(this, str(error)) from error
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(this, str(error)) from error

    def _connect(self) -> socket.socket:
        call = _require_call()
        create = getattr(urllib3_connection, "create_connection", None)
        if create is not None and _is_patched(create):
            call.raise_if_ended()
            limit = call.within(self.timeout)
            sock = create((self.host, self.port), limit, socket_options=self.options())
        else:
            sock = dialing.connect(
                (self.host, self.port),
                _addresses(self.host, self.port),
                call,
                limit=self.timeout,
                options=self.options(),
            )
        return _watched_or_closed(self, sock)


_ADDRESS_NAMES = ("host", "port", "timeout")


def _keepalive_options() -> List[Tuple[int, int, int]]:
    """Return the socket options for TCP keepalive, as far as this system has them."""
    timing = [
        (socket.IPPROTO_TCP, getattr(socket, name), seconds)
        for name, seconds in _KEEPALIVE_SECONDS.items()
        if hasattr(socket, name)
    ]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *timing]


_KEEPALIVE_OPTIONS = _keepalive_options()


def _is_patched(function: Any) -> bool:
    """Return whether a user has replaced a function of urllib3, for example to use their DNS."""
    return getattr(function, "__globals__", None) is not vars(urllib3_connection)


def _addresses(host: str, port: int) -> List[dialing.Address]:
    """Return the addresses of a host with their families, in the system's order."""
    # Looked up now, since users replace it.
    allowed_family = getattr(urllib3_connection, "allowed_gai_family", lambda: socket.AF_UNSPEC)
    found = socket.getaddrinfo(host, port, allowed_family(), socket.SOCK_STREAM)
    return [dialing.Address(info[0], info[4]) for info in found]


def _watched_or_closed(connection: WatchedConnection, sock: socket.socket) -> socket.socket:
    """Watch a new socket; close it if that raises."""
    try:
        connection.watch(sock)
    except BaseException:
        sock.close()
        raise
    return sock


class SocksConnection(WatchedConnection):
    """A connection through a SOCKS proxy. Until it reaches the site, only PySocks can end it."""

    def _new_conn(self) -> socket.socket:
        _require_call().raise_if_ended()
        self.socket_options = self.options()
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        return _watched_or_closed(self, sock)


class SharedContextConnection:
    """What our TLS connections add: all those of a process share their TLS contexts."""

    ca_certs: Any
    ca_cert_dir: Any
    cert_reqs: Any
    ssl_context: Any
    proxy: Any

    def _new_conn(self) -> socket.socket:
        if not self._may_share():
            return super()._new_conn()  # type: ignore[misc, no-any-return]
        trusted = (self.cert_reqs, self.ca_certs, self.ca_cert_dir)
        tls.prepare(*trusted)  # while the site takes its time to accept the connection
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        try:
            self.ssl_context = tls.context(*trusted)
        except BaseException:
            sock.close()
            raise
        self.ca_certs = self.ca_cert_dir = None  # else urllib3 reads them for each connection
        return sock

    def _may_share(self) -> bool:
        if not all(hasattr(self, name) for name in _TLS_NAMES) or self.ssl_context is not None:
            return False
        # urllib3 verifies a proxy that speaks TLS by the same attributes, and with no context.
        return getattr(self.proxy, "scheme", None) != "https"


_TLS_NAMES = ("ca_certs", "ca_cert_dir", "cert_reqs", "ssl_context", "proxy")
