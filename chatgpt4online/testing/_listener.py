"""Threads and sockets: one thread accepts, one serves each connection, close() ends them all."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
import time
from threading import Event, Lock, Thread
from typing import BinaryIO, Callable, Optional, Set

from ._http import Pause

_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_GLANCE = 0.05  # seconds between two looks at what another thread or the other side has done


class Connection:
    """One accepted connection; ``stream`` reads it, ``write`` takes bytes to the wire at once."""

    def __init__(self, sock: socket.socket, closing: Event) -> None:
        self._sock = sock
        self._closing = closing
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream: BinaryIO = sock.makefile("rb")
        self.write: Callable[[bytes], None] = sock.sendall

    def shake_hands(self) -> None:
        """Begin the TLS session, if there is to be one."""
        if isinstance(self._sock, ssl.SSLSocket):
            self._sock.do_handshake()

    def wait(self, pause: Pause) -> None:
        """
        Sit a pause out.

        Raises:
            ConnectionError: one side has closed the connection.
        """
        until = pause.until or self._closing
        end = float("inf") if pause.seconds is None else time.monotonic() + pause.seconds
        while not until.wait(min(_GLANCE, end - time.monotonic())) and time.monotonic() < end:
            self._check_other_side()
        if self._closing.is_set():
            raise ConnectionAbortedError

    def _check_other_side(self) -> None:
        self._sock.settimeout(0)
        try:
            # Not SSLSocket's own: that one cannot peek.
            if not socket.socket.recv(self._sock, 1, socket.MSG_PEEK):
                raise ConnectionAbortedError
        except BlockingIOError:
            pass  # it is there, and has nothing to say
        finally:
            self._sock.settimeout(None)

    def reset(self) -> None:
        """Make ``close()`` send a reset, whatever has been written."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)

    def say_goodbye(self) -> None:
        """End a TLS session as a web server does, without waiting for the other side."""
        if isinstance(self._sock, ssl.SSLSocket):
            self._sock.settimeout(0)
            with contextlib.suppress(OSError):
                self._sock.unwrap()

    def abort(self) -> None:
        """Wake up the thread that serves this connection, from another thread."""
        with contextlib.suppress(OSError):
            # Not SSLSocket's own: that one takes the session away from under a reader.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it, in the thread that serves it."""
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

    def __init__(
        self, serve: Callable[[Connection], None], tls: Optional[ssl.SSLContext], closing: Event
    ) -> None:
        self.accepted = 0
        self._serve = serve
        self._tls = tls
        self._closing = closing
        self._lock = Lock()
        self._connections: Set[Connection] = set()
        self._threads: Set[Thread] = set()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._acceptor = Thread(target=self._accept, name="testing.Server", daemon=True)
        self._acceptor.start()

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def close(self) -> None:
        """Close every connection at once and wait for the threads to end."""
        # Not all systems wake a blocked accept() when its socket is closed.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._acceptor.join()
        self._socket.close()
        for thread in self._threads:
            while thread.is_alive():
                # Again and again, as its connection may be too young to be among them.
                self._abort_all()
                thread.join(_GLANCE)

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
        # An OSError says that the other side went away: nothing to tell anybody.
        with contextlib.closing(sock), contextlib.suppress(OSError):
            connection = Connection(self._secured(sock), self._closing)
            with self._lock:
                self._connections.add(connection)
            try:
                connection.shake_hands()
                self._serve(connection)
            finally:
                with self._lock:
                    self._connections.remove(connection)
                connection.close()

    def _secured(self, sock: socket.socket) -> socket.socket:
        if self._tls is None:
            return sock
        return self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
