"""
A loopback server in a process of its own: raw sockets, and responses built before they are sent.

``python -m benchmarks.server CERTIFICATE`` prints its ports as JSON and serves until its
standard input ends. ``GET /log`` returns when the pieces of the latest answer were written, and
``GET /counts`` the connections, requests and nonces since its last call.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
from collections import Counter, defaultdict
from contextlib import nullcontext
from functools import lru_cache
from time import monotonic, sleep
from typing import ContextManager, DefaultDict, List, Optional, Tuple

from .plan import Plan, plan_in
from .responses import Response, keeps_alive, response

START_SESSION = "/wp-json/mwai/v1/start_session"

_response = lru_cache(maxsize=8)(response)


@lru_cache(maxsize=8)
def _at_once(route: str, plan: Plan) -> Tuple[bytes, bytes]:
    """Return a response without its end, and the end."""
    made = response(route, plan)
    return b"".join([made.head, made.before, *made.pieces, made.after]), made.end


class Server:
    """The server, with its counts and the locks of its PHP sessions."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._log: List[float] = []
        self._locks: DefaultDict[bytes, threading.Lock] = defaultdict(threading.Lock)

    def listen(self, context: Optional[ssl.SSLContext] = None) -> int:
        """Serve on a new port, and return it."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        threading.Thread(target=self._accept, args=(listener, context), daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    def _accept(self, listener: socket.socket, context: Optional[ssl.SSLContext]) -> None:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection, context), daemon=True).start()

    def _serve(self, connection: socket.socket, context: Optional[ssl.SSLContext]) -> None:
        try:
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as file:
                first = True
                while self._exchange(connection, file, first=first):
                    first = False
        except OSError:
            pass  # the client has gone

    def _exchange(self, connection: socket.socket, file: object, *, first: bool) -> bool:
        """Respond to one request; return whether the connection stays open."""
        route, head, body = _request(file)
        if not route:
            return False
        if route in ("/log", "/counts"):
            connection.sendall(_json(self._log if route == "/log" else self._counts))
            if route == "/counts":
                self._counts = Counter()
            return False
        self._counts["connections"] += first
        self._counts["requests"] += 1
        if route == START_SESSION:
            self._counts["nonces"] += 1
            fields = {"success": True, "sessionId": "6b038b8024816", "restNonce": "9718f6cf07"}
            connection.sendall(_json(fields, keep=True, cookie=True))
            return True
        plan = plan_in(body)
        with self._session(head) if plan.lock else nullcontext():
            self._send(connection, route, plan)
        return keeps_alive(plan)

    def _session(self, head: bytes) -> ContextManager[object]:
        """Return the lock of the PHP session that a request names; a null context without one."""
        _, found, rest = head.partition(b"PHPSESSID=")
        return self._locks[rest[:8]] if found else nullcontext()

    def _send(self, connection: socket.socket, route: str, plan: Plan) -> None:
        if plan.pace:
            made = _response(route, plan)
            self._send_paced(connection, made, plan.pace)
            end = made.end
        else:
            content, end = _at_once(route, plan)
            self._log = [monotonic()]
            connection.sendall(content if plan.hold else content + end)
        if plan.pace or plan.hold:
            sleep(plan.hold)
            connection.sendall(end)

    def _send_paced(self, connection: socket.socket, made: Response, pace: float) -> None:
        log = []
        connection.sendall(made.head + made.before)
        due = monotonic()
        for block in made.pieces:
            due += pace
            sleep(max(0.0, due - monotonic()))
            log.append(monotonic())
            connection.sendall(block)
        sleep(pace)
        self._log = log
        connection.sendall(made.after)


def _request(file: object) -> Tuple[str, bytes, bytes]:
    """Return the route, head and body of a request; an empty route at the end of the connection."""
    lines: List[bytes] = []
    read_line, read = getattr(file, "readline"), getattr(file, "read")  # noqa: B009
    length = 0
    while True:
        line = read_line()
        if line.lower().startswith(b"content-length:"):
            length = int(line[15:])
        if line in (b"\r\n", b""):
            break
        lines.append(line)
    route = lines[0].split(b" ")[1].decode() if lines else ""
    return route, b"".join(lines), read(length)


def _json(value: object, *, keep: bool = False, cookie: bool = False) -> bytes:
    body = json.dumps(value)
    lines = [
        "HTTP/1.1 200 OK",
        "Content-Type: application/json; charset=UTF-8",
        f"Content-Length: {len(body)}",
        f"Connection: {'keep-alive' if keep else 'close'}",
    ]
    if cookie:
        lines += ["Set-Cookie: PHPSESSID=cb2lhg2r; path=/"]
    return "\r\n".join([*lines, "", body]).encode()


def main() -> None:
    """Serve until standard input ends."""
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    print(json.dumps({"http": server.listen(), "https": server.listen(context)}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
