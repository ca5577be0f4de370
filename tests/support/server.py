"""
A server that sends exactly the bytes that a test scripts, as slowly as the test wants.

`chatgpt4online.testing.Server` always speaks correct HTTP; this one speaks what a test scripts.
"""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import ssl
import struct
import sys
import threading
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Set

import pytest

from .messages import head, session_reply
from .timing import SOON

_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Received(NamedTuple):
    """A request as the server received it; header names are in lower case."""

    line: str
    headers: Dict[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """The request's target: a path and query, or a whole URL."""
        return self.line.split()[1]

    @property
    def is_session(self) -> bool:
        """Whether it requests a nonce."""
        return self.target.endswith("/start_session")


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: RawServer, sock: socket.socket, number: int) -> None:
        self.number = number
        self._server = server
        self._sock = sock
        self._file = sock.makefile("rb")

    def secure(self, context: ssl.SSLContext) -> None:
        """Switch to TLS."""
        self._file.close()
        self._sock = self._server.keep(context.wrap_socket(self._sock, server_side=True))
        self._file = self._sock.makefile("rb")

    def begins_tls(self) -> bool:
        """Return whether the first byte that arrives is that of a TLS handshake."""
        return self._sock.recv(1, socket.MSG_PEEK) == b"\x16"

    def receive(self) -> Optional[Received]:
        """Return the next request; None once the client has closed the connection."""
        line = self._file.readline().decode().strip()
        if not line:
            return None
        headers = {}
        for field in iter(self._file.readline, b"\r\n"):
            name, _, value = field.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = self._file.read(int(headers.get("content-length", "0")))
        received = Received(line, headers, body)
        self._server.note(received)
        return received

    def read(self, size: int) -> bytes:
        """Return exactly this many bytes, or fewer at the end."""
        return self._file.read(size)

    def relay(self, host: str, port: int) -> None:
        """Relay bytes to and from another server until one side closes."""
        with socket.create_connection((host, port)) as upstream:
            relay(self._sock, upstream)

    def question(self) -> Optional[Received]:
        """Return the next question; answer requests for a nonce before it."""
        while True:
            received = self.receive()
            if received is None or not received.is_session:
                return received
            self.send(session_reply())

    def send(self, data: bytes) -> None:
        """Write bytes."""
        self._sock.sendall(data)

    def drip(self, data: bytes, pace: float) -> None:
        """Write the same bytes again and again, `pace` seconds apart, until the server closes."""
        while not self._server.closing.wait(pace):
            self.send(data)

    def wait_until_gone(self) -> None:
        """Send nothing until the client has closed the connection, and record that it has."""
        with contextlib.suppress(OSError):
            while self._sock.recv(65536):
                pass
        self._server.gone.put(self.number)

    def sleep(self) -> None:
        """Neither read nor write until the server closes."""
        self._server.closing.wait()

    def wait(self, event: threading.Event) -> None:
        """Send nothing until an event is set."""
        assert event.wait(SOON), "the event that the server waits for was never set"

    def reset(self) -> None:
        """Reset the connection."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._sock.close()


Serve = Callable[[Peer], None]


class RawServer:
    """
    A server on loopback, with one thread per connection.

    If `serve` raises anything but an OSError, `close` raises that.

    Args:
        serve: serves one connection, which is closed when it returns.
        tls: the server's TLS context, or None.
        port: the port to listen on; any free one if 0.
    """

    def __init__(self, serve: Serve, tls: Optional[ssl.SSLContext] = None, port: int = 0) -> None:
        self.closing = threading.Event()
        #: The numbers of the connections that clients have closed.
        self.gone: queue.Queue[int] = queue.Queue()
        self.requests: List[Received] = []
        self.accepted = 0
        self._serve = serve
        self._tls = tls
        self._lock = threading.Lock()
        self._sockets: Set[socket.socket] = set()
        self._threads: List[threading.Thread] = []
        self._failures: List[BaseException] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"http{'s' if tls else ''}://{self.address}"
        self._acceptor = threading.Thread(target=self._accept, name="RawServer", daemon=True)
        self._acceptor.start()

    @property
    def questions(self) -> List[Received]:
        """The requests with a question for a chatbot."""
        return [each for each in self.requests if not each.is_session]

    @property
    def sessions(self) -> List[Received]:
        """The requests for a nonce."""
        return [each for each in self.requests if each.is_session]

    def note(self, received: Received) -> None:
        """Record a request."""
        with self._lock:
            self.requests.append(received)

    def keep(self, sock: socket.socket) -> Any:
        """Record a socket, which is shut down when the server closes."""
        with self._lock:
            self._sockets.add(sock)
        return sock

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self.closing.is_set():
                sock.close()
                return
            arguments = (self.keep(sock), self.accepted)
            self.accepted += 1
            thread = threading.Thread(target=self._run, args=arguments, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket, number: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(self, sock, number)
        try:
            if self._tls:
                peer.secure(self._tls)
            self._serve(peer)
        except OSError:  # the client has closed the connection
            self.gone.put(number)
        except BaseException as error:  # noqa: BLE001 - raised by close()
            self._failures.append(error)
        finally:
            with contextlib.suppress(OSError):
                peer.close()

    def close(self) -> None:
        """Shut down all connections, wait for the threads, and raise the first of their errors."""
        self.closing.set()
        socket.create_connection(self._listener.getsockname()).close()
        self._acceptor.join()
        self._listener.close()
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()
        if self._failures:
            raise self._failures[0]

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def relay(client: socket.socket, upstream: socket.socket) -> None:
    """Relay bytes in both directions until one side closes."""
    targets = {client: upstream, upstream: client}
    while True:
        for source in select.select(list(targets), [], [])[0]:
            data = source.recv(65536)
            if not data:
                return
            targets[source].sendall(data)


def answering(*answers: bytes) -> Serve:
    """Answer each question with the next of these responses; the last one repeats."""
    remaining = list(answers)
    lock = threading.Lock()

    def serve(peer: Peer) -> None:
        while peer.question():
            with lock:
                answer = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            peer.send(answer)

    return serve


def holding(*pieces: bytes) -> Serve:
    """Answer a question with these bytes, then send nothing until the client has closed."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(b"".join(pieces))
            peer.wait_until_gone()

    return serve


def dripping(begin: bytes, piece: bytes, pace: float = 0.02) -> Serve:
    """Answer a question with some bytes, then with the same piece again and again."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(begin)
            peer.drip(piece, pace)

    return serve


def tunnel(peer: Peer) -> None:
    """Serve as an HTTP proxy that opens a tunnel."""
    received = peer.receive()
    if received is not None:
        host, _, port = received.target.partition(":")
        peer.send(head("200 Connection established"))
        peer.relay(host, int(port))


def tls_context(directory: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> ssl.SSLContext:
    """Return a TLS context for 127.0.0.1 and these names, and make clients trust it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography warns about old Python versions
        import trustme
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", *names).configure_cert(context)
    authority.cert_pem.write_to_path(str(directory / "authority.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(directory / "authority.pem"))
    return context


@contextlib.contextmanager
def dead_address() -> Iterator[str]:
    """Yield the address of a port on which nobody listens, nor can another process meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def full_listener() -> Iterator[str]:
    """Yield the address of a listener whose backlog is full, so that connecting to it hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(20):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0.1)
            try:
                sock.connect(listener.getsockname())
            except socket.timeout:
                break
        else:
            pytest.skip("this system queues any number of connections")
        yield f"127.0.0.1:{listener.getsockname()[1]}"
