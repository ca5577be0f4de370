"""
A server whose every byte a test scripts, and what tests of time and threads stand on.

`chatgpt4online.testing.Server` speaks proper HTTP; this one says anything, as slowly as it likes.
"""

from __future__ import annotations

import contextlib
import json
import queue
import select
import socket
import ssl
import struct
import sys
import threading
import warnings
import zlib
from concurrent.futures import Future
from pathlib import Path
from time import monotonic, sleep
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    TypeVar,
)

import pytest

T = TypeVar("T")

#: Seconds within which anything that is to happen at all happens, on the slowest machine.
SOON = 10.0

#: Seconds by which the package may miss a time limit, and those that a busy machine adds.
LATE = 0.1
BUSY = 0.15

NONCE = "0123456789"
_LARGEST_RECORD = 16 * 1024  # of TLS
_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


# ------------------------------------------------------------------------- what the plugin says


def event(**fields: Any) -> bytes:
    """Return one event as the plugin writes it."""
    return b"data: %b\n\n" % json.dumps(fields, separators=(",", ":")).encode()


def live(text: str, **fields: Any) -> bytes:
    """Return an event that brings a piece of text."""
    return event(type="live", data=text, **fields)


def failure(message: str) -> bytes:
    """Return the event of a failure."""
    return event(type="error", data=message)


def end(reply: str, **fields: Any) -> bytes:
    """Return a stream's last event."""
    return event(type="end", data=json.dumps({"success": True, "reply": reply, **fields}))


#: A short stream, event by event, and its text.
HELLO = (live("Hel"), live("lo"), end("Hello"))


# --------------------------------------------------------------------------------- how it travels


def whole(data: bytes) -> Sequence[bytes]:
    """Leave data in one piece."""
    return (data,)


def as_php(data: bytes) -> Sequence[bytes]:
    """Cut an event as PHP flushes it: the line, then the blank line."""
    return (data[:-2], data[-2:])


def single_bytes(data: bytes) -> Sequence[bytes]:
    """Cut data into its bytes."""
    return [data[i : i + 1] for i in range(len(data))]


class Answer(NamedTuple):
    """An HTTP response: its head, what carries each event, and what ends the body."""

    head: bytes
    parts: List[bytes]
    last: bytes

    @property
    def bytes(self) -> bytes:
        """All of it."""
        return b"".join([self.head, *self.parts, self.last])


class Framing(NamedTuple):
    """How a body travels: what delimits it, how chunks are cut, and whether it is compressed."""

    delimiter: str = "chunks"
    cut: Callable[[bytes], Sequence[bytes]] = whole
    gzip: bool = False

    def answer(
        self, events: Sequence[bytes] = HELLO, *fields: str, status: str = "200 OK"
    ) -> Answer:
        """Return the response that carries these events."""
        squeeze = zlib.compressobj(wbits=31) if self.gzip else None
        bodies = [_squeezed(each, squeeze) if squeeze else each for each in events]
        tail = squeeze.flush() if squeeze else b""
        if self.delimiter == "chunks":
            fields += ("Transfer-Encoding: chunked",)
        elif self.delimiter == "length":
            fields += (f"Content-Length: {sum(map(len, bodies)) + len(tail)}",)
        else:
            fields += ("Connection: close",)
        if squeeze:
            fields += ("Content-Encoding: gzip",)
        return Answer(
            head(status, "Content-Type: text/event-stream", *fields),
            [self._framed(body) for body in bodies],
            self._framed(tail) + (b"0\r\n\r\n" if self.delimiter == "chunks" else b""),
        )

    def _framed(self, data: bytes) -> bytes:
        if self.delimiter != "chunks":
            return data
        return b"".join(chunk(piece) for piece in self.cut(data) if piece)


FRAMINGS = {
    "two chunks an event": Framing(cut=as_php),
    "an event a chunk": Framing(),
    "a byte a chunk": Framing(cut=single_bytes),
    "length": Framing("length"),
    "gzip": Framing(gzip=True),
    "length+gzip": Framing("length", gzip=True),
    "close": Framing("close"),
    "close+gzip": Framing("close", gzip=True),
}

#: Those after which the connection can be used again.
REUSABLE = sorted(name for name, framing in FRAMINGS.items() if framing.delimiter != "close")

PHP = FRAMINGS["two chunks an event"]


def head(status: str = "200 OK", *fields: str) -> bytes:
    """Return a status line and header lines, with the blank line after them."""
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    """Return one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def reply(status: str, body: bytes = b"", *fields: str) -> bytes:
    """Return a whole response of a known length."""
    return head(status, *fields, f"Content-Length: {len(body)}") + body


def json_reply(status: str, body: Any, *fields: str) -> bytes:
    """Return a whole response in JSON."""
    return reply(status, json.dumps(body).encode(), *fields, "Content-Type: application/json")


def session_reply(nonce: str = NONCE) -> bytes:
    """Return the response of start_session."""
    return json_reply("200 OK", {"success": True, "sessionId": "s", "restNonce": nonce})


def _squeezed(data: bytes, squeeze: Any) -> bytes:
    return bytes(squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH))


# -------------------------------------------------------------------------------------- the server


class Received(NamedTuple):
    """A request as it reached the server; header names are in lower case."""

    line: str
    headers: Dict[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """What was asked for."""
        return self.line.split()[1]

    @property
    def is_session(self) -> bool:
        """Whether it asks for a nonce."""
        return self.target.endswith("/start_session")


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: RawServer, sock: socket.socket, number: int) -> None:
        self.number = number
        self._server = server
        self._sock = sock
        self._file = sock.makefile("rb")

    def secure(self, context: ssl.SSLContext) -> None:
        """Go on in TLS."""
        self._file.close()
        self._sock = self._server.keep(context.wrap_socket(self._sock, server_side=True))
        self._file = self._sock.makefile("rb")

    def begins_tls(self) -> bool:
        """Say whether the first byte that comes is that of a TLS handshake."""
        return self._sock.recv(1, socket.MSG_PEEK) == b"\x16"

    def receive(self) -> Optional[Received]:
        """Return the next request; None when the other side has closed."""
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

    def arrival(self) -> bytes:
        """Return what has arrived; over TLS, no more than the other side wrote at once."""
        return self._sock.recv(_LARGEST_RECORD)

    def take(self, size: int) -> bytes:
        """Return the next bytes, so many of them."""
        return self._file.read(size)

    def relay(self, host: str, port: int) -> None:
        """Hand bytes on, to and from another server, until one side closes."""
        with socket.create_connection((host, port)) as far:
            relay(self._sock, far)

    def question(self) -> Optional[Received]:
        """Return the next request that is a question; give a nonce to those before it."""
        while True:
            received = self.receive()
            if received is None or not received.is_session:
                return received
            self.send(session_reply())

    def send(self, data: bytes) -> None:
        """Write bytes."""
        self._sock.sendall(data)

    def drip(self, data: bytes, pace: float) -> None:
        """Write these bytes over and over, so many seconds apart, until the other side is gone."""
        while not self._server.closing.wait(pace):
            self.send(data)

    def wait_until_gone(self) -> None:
        """Be silent until the other side has closed the connection, and make a note of that."""
        with contextlib.suppress(OSError):
            while self._sock.recv(65536):
                pass
        self._server.gone.put(self.number)

    def sleep(self) -> None:
        """Do nothing, not even read, until the server closes."""
        self._server.closing.wait()

    def wait(self, happened: threading.Event) -> None:
        """Be silent until something has happened."""
        assert happened.wait(SOON), "what the server waits for has not happened"

    def reset(self) -> None:
        """Break the connection off with a reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._sock.close()


Serve = Callable[[Peer], None]


class RawServer:
    """
    A server on loopback; each connection is served by a thread of its own.

    An exception of `serve` other than an OSError is raised again when the server closes.

    Args:
        serve: speaks on one connection, which is closed when it returns.
        tls: the server's side of TLS, or None.
        port: where it listens; any free port if 0.
    """

    def __init__(self, serve: Serve, tls: Optional[ssl.SSLContext] = None, port: int = 0) -> None:
        self.closing = threading.Event()
        #: The numbers of the connections that the other side was seen to close.
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
        """The requests that asked a chatbot."""
        return [each for each in self.requests if not each.is_session]

    @property
    def sessions(self) -> List[Received]:
        """The requests that asked for a nonce."""
        return [each for each in self.requests if each.is_session]

    def note(self, received: Received) -> None:
        """Remember a request."""
        with self._lock:
            self.requests.append(received)

    def keep(self, sock: socket.socket) -> Any:
        """Remember a socket, to be shut when the server closes."""
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
        except OSError:  # the other side went away
            self.gone.put(number)
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            self._failures.append(error)
        finally:
            with contextlib.suppress(OSError):
                peer.close()

    def close(self) -> None:
        """Break off what is going on, wait for the threads, and tell what went wrong in them."""
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


def relay(near: socket.socket, far: socket.socket) -> None:
    """Hand bytes on, both ways, until one side closes."""
    ways = {near: far, far: near}
    while True:
        for source in select.select(list(ways), [], [])[0]:
            data = source.recv(65536)
            if not data:
                return
            ways[source].sendall(data)


def answering(*answers: bytes) -> Serve:
    """Serve each question with the next of these responses; the last one is used on and on."""
    left = list(answers)
    lock = threading.Lock()

    def serve(peer: Peer) -> None:
        while peer.question():
            with lock:
                answer = left.pop(0) if len(left) > 1 else left[0]
            peer.send(answer)

    return serve


def holding(*pieces: bytes) -> Serve:
    """Serve a question with these bytes, and then with silence until the other side has closed."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(b"".join(pieces))
            peer.wait_until_gone()

    return serve


def dripping(begin: bytes, piece: bytes, pace: float = 0.02) -> Serve:
    """Serve a question with some bytes, and then with the same piece over and over."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(begin)
            peer.drip(piece, pace)

    return serve


# ------------------------------------------------------------------------------ time and threads


@contextlib.contextmanager
def ends_after(seconds: float) -> Iterator[None]:
    """
    Hold a block to an end so many seconds after its beginning.

    What a plain timer of this machine is late by at the same time is allowed for.
    """
    lag: List[float] = []
    timer = threading.Timer(seconds, lambda: lag.append(monotonic() - began - seconds))
    began = monotonic()
    timer.start()
    try:
        yield
        over = monotonic() - began - seconds
    finally:
        timer.join()
    assert -0.01 <= over <= LATE + BUSY + lag[0], f"it ended {over:.3f} s after its time"


def at_once() -> contextlib.AbstractContextManager[None]:
    """Hold a block to an end at once."""
    return ends_after(0.0)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = monotonic() + SOON
    while not condition():
        assert monotonic() < deadline, "what a test waits for has not happened"
        sleep(0.001)


def background(function: Callable[[], T]) -> Future[T]:
    """Run a function in a thread of its own, and return its future."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - told to whoever asks the future
            future.set_exception(error)

    threading.Thread(target=run, name="background", daemon=True).start()
    return future


def together(functions: Sequence[Callable[[], T]]) -> List[Future[T]]:
    """Run functions in as many threads, which begin at the same time, and wait for their ends."""
    barrier = threading.Barrier(len(functions))

    def begin(function: Callable[[], T]) -> T:
        barrier.wait(SOON)
        return function()

    futures = [background(lambda function=each: begin(function)) for each in functions]  # type: ignore[misc]
    for future in futures:
        future.exception(SOON)
    return futures


def tls_context(
    directory: Path, monkeypatch: pytest.MonkeyPatch, *names: str
) -> ssl.SSLContext:
    """Return a server's side of TLS for these names and 127.0.0.1, which clients will trust."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography warns of each old Python
        import trustme
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", *names).configure_cert(context)
    authority.cert_pem.write_to_path(str(directory / "authority.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(directory / "authority.pem"))
    return context


@contextlib.contextmanager
def full_listener() -> Iterator[str]:
    """Give the address of a listener that takes no more connections, as if it dropped packets."""
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
            pytest.skip("this system lets any number of connections wait")
        yield f"127.0.0.1:{listener.getsockname()[1]}"
