"""Threads and sockets: one thread accepts, one serves each connection, close() ends them all."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
from threading import Event, Lock, Thread
from typing import BinaryIO, Callable

Serve = Callable[["Connection"], None]

_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Connection:
    """One accepted connection; ``stream`` reads it, ``write`` takes bytes to the wire at once."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream: BinaryIO = sock.makefile("rb")
        self.write: Callable[[bytes], None] = sock.sendall

    def shake_hands(self) -> None:
        if isinstance(self._sock, ssl.SSLSocket):
            self._sock.do_handshake()

    def reset(self) -> None:
        """Make ``close()`` send a reset, whatever has been written."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)

    def say_goodbye(self) -> None:
        """End a TLS session as a web server does, without waiting for the other side."""
        if isinstance(self._sock, ssl.SSLSocket):
            self._sock.settimeout(0)
            with contextlib.suppress(OSError, ValueError):
                self._sock.unwrap()

    def abort(self) -> None:
        """Wake up the thread that serves this connection, from another thread."""
        with contextlib.suppress(OSError):
            # Not SSLSocket's own: that one takes the session away from under a reader.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        self.stream.close()
        self._sock.close()


class Listener:
    """
    Serves connections to a port of its own on 127.0.0.1.

    Args:
        serve: is called with each connection, in its thread.
        tls: the server's side of TLS; None for plain connections.
        closing: set before ``close()`` is called.
    """

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None, closing: Event) -> None:
        self.accepted = 0
        self._serve = serve
        self._closing = closing
        self._tls = tls
        self._lock = Lock()
        self._connections: set[Connection] = set()
        self._threads: set[Thread] = set()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._acceptor = Thread(target=self._accept, name="testing.Server", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Close every connection at once and wait for the threads to end."""
        # Not all systems wake a blocked accept() when its socket is closed.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._acceptor.join()
        self._socket.close()
        with self._lock:
            for connection in self._connections:
                connection.abort()
        for thread in self._threads:
            thread.join()

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
        try:
            connection = Connection(self._secured(sock))
        except OSError:
            sock.close()
            return
        with self._lock:
            self._connections.add(connection)
            if self._closing.is_set():
                connection.abort()
        try:
            connection.shake_hands()
            self._serve(connection)
        except OSError:
            pass  # the client went away
        finally:
            with self._lock:
                self._connections.remove(connection)
            connection.close()

    def _secured(self, sock: socket.socket) -> socket.socket:
        if self._tls is None:
            return sock
        return self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
