"""Sockets and threads: one thread accepts, one serves each connection, close() ends them all."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from io import BufferedReader
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Callable, Optional, Set

from ._http import Pause

if TYPE_CHECKING:
    import ssl

_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_POLL_INTERVAL = 0.05  # seconds between two checks for a closed peer or a living thread


class Connection:
    """
    One accepted connection: ``stream`` to read from, ``write`` to send bytes at once.

    Args:
        sock: the accepted socket.
        tls: the server-side TLS context; None for a plain connection.
        closing: set when the server is about to close.
    """

    def __init__(self, sock: socket.socket, tls: Optional[ssl.SSLContext], closing: Event) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls: Optional[ssl.SSLSocket] = None
        if tls:
            self._tls = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._sock: socket.socket = self._tls or sock
        self._closing = closing
        self.stream: BufferedReader = self._sock.makefile("rb")
        self.write: Callable[[bytes], None] = self._sock.sendall

    def do_handshake(self) -> None:
        """Start the TLS session, if there is one."""
        if self._tls:
            self._tls.do_handshake()

    def wait_for_request(self, seconds: Optional[float]) -> bool:
        """Wait for the next request; return False if it does not begin in time. None: no limit."""
        if seconds is None:
            return True
        self._sock.settimeout(seconds)
        try:
            self.stream.peek()
        except socket.timeout:
            return False
        self._sock.settimeout(None)
        return True

    def wait(self, pause: Pause) -> None:
        """
        Wait for the end of a pause.

        The time is that of the waits themselves, since a test may have stopped the clock.

        Raises:
            ConnectionError: either side has closed the connection.
        """
        until = pause.until or self._closing
        left = float("inf") if pause.seconds is None else pause.seconds
        while not until.wait(max(0.0, min(_POLL_INTERVAL, left))) and left > _POLL_INTERVAL:
            left -= _POLL_INTERVAL
            self._raise_if_peer_closed()
        if self._closing.is_set():
            raise ConnectionAbortedError

    def _raise_if_peer_closed(self) -> None:
        self._sock.settimeout(0)
        try:
            # SSLSocket.recv() cannot peek.
            if not socket.socket.recv(self._sock, 1, socket.MSG_PEEK):
                raise ConnectionAbortedError
        except BlockingIOError:
            pass  # the peer is connected and has sent nothing
        finally:
            self._sock.settimeout(None)

    def reset_on_close(self) -> None:
        """Make ``close()`` reset the connection, whatever has been written."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)

    def send_close_notify(self) -> None:
        """End the TLS session, if there is one, as a web server does: without waiting."""
        if self._tls:
            self._tls.settimeout(0)
            with contextlib.suppress(OSError):
                self._tls.unwrap()

    def abort(self) -> None:
        """Interrupt the thread that serves this connection, from another thread."""
        with contextlib.suppress(OSError):
            if self._tls:  # its own method would drop the TLS session while a reader uses it
                socket.SocketType.shutdown(self._tls, socket.SHUT_RDWR)
            else:
                self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, in the thread that serves it."""
        self.stream.close()
        self._sock.close()


class Listener:
    """
    Accepts connections on 127.0.0.1.

    Args:
        port: the port; 0 for a free one.
        serve: called with each connection, in a thread of its own.
        tls: the server-side TLS context; None for plain connections.
        closing: set by the caller before ``close()``.
    """

    def __init__(
        self,
        port: int,
        serve: Callable[[Connection], None],
        tls: Optional[ssl.SSLContext],
        closing: Event,
    ) -> None:
        self.accepted = 0
        self._serve = serve
        self._tls = tls
        self._closing = closing
        self._lock = Lock()
        self._connections: Set[Connection] = set()
        self._threads: Set[Thread] = set()
        self._socket = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._acceptor = Thread(target=self._accept, name="testing.Server", daemon=True)
        self._acceptor.start()

    @property
    def open(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    def close(self) -> None:
        """Close every connection at once and wait for the threads to end."""
        # Not every system wakes a blocked accept() when its socket is closed.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._acceptor.join()
        self._socket.close()
        for thread in self._threads:
            while thread.is_alive():
                # Repeat: a new connection may not be registered yet.
                self._abort_all()
                thread.join(_POLL_INTERVAL)

    def _abort_all(self) -> None:
        with self._lock:
            for connection in self._connections:
                connection.abort()

    def _accept(self) -> None:
        while True:
            sock, _ = self._socket.accept()
            if self._closing.is_set():
                sock.close()
                return
            self.accepted += 1
            self._threads = {thread for thread in self._threads if thread.is_alive()}
            thread = Thread(target=self._run, args=(sock,), name="testing.Server", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        # An OSError means that the client has left, which needs no report.
        with contextlib.closing(sock), contextlib.suppress(OSError):
            connection = Connection(sock, self._tls, self._closing)
            with self._lock:
                self._connections.add(connection)
            try:
                connection.do_handshake()
                self._serve(connection)
            finally:
                with self._lock:
                    self._connections.remove(connection)
                connection.close()
