"""A plain HTTP client that sees the bytes of the testing site."""

from __future__ import annotations

import json
import socket
import time
from contextlib import closing
from typing import Any, Dict, List, Tuple
from urllib.parse import urlsplit

import requests

from chatgpt4online.testing import Server, event

CHAT = "/wp-json/mwai-ui/v1/chats/submit"
START = "/wp-json/mwai/v1/start_session"
TIMEOUT = 5.0
HEL, LO = event("live", "Hel"), event("live", "lo")


def question(message: str = "Hi", **fields: Any) -> Dict[str, Any]:
    """Return the JSON of a question."""
    return {"botId": "default", "newMessage": message, "stream": True, **fields}


def ask(
    session: requests.Session, server: Server, message: str = "Hi", **fields: Any
) -> requests.Response:
    """Ask the default bot; return the complete response."""
    headers = {"X-WP-Nonce": server.nonce}
    body = question(message, **fields)
    return session.post(server.url + CHAT, json=body, headers=headers, timeout=TIMEOUT)


def data(response: requests.Response) -> List[Any]:
    """Return the data of a stream's events, that of ``end`` decoded."""
    events = [json.loads(line[len("data: ") :]) for line in response.text.split("\n\n") if line]
    return [json.loads(e["data"]) if e["type"] == "end" else e["data"] for e in events]


def dial(server: Server) -> socket.socket:
    """Return a plain connection to the server."""
    address = urlsplit(server.url)
    return socket.create_connection((str(address.hostname), int(address.port or 0)), TIMEOUT)


def http_request(
    server: Server, path: str = CHAT, body: bytes = b"", *headers: str, method: str = "POST"
) -> bytes:
    """Return the bytes of a request with a valid nonce."""
    body = body or json.dumps(question()).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        f"X-WP-Nonce: {server.nonce}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def response_bytes(server: Server, *requests_: bytes) -> bytes:
    """Send requests on one connection; return all bytes until the server closes it."""
    with closing(dial(server)) as sock:
        sock.sendall(b"".join(requests_))
        return b"".join(iter(lambda: sock.recv(65536), b""))


def body_of(server: Server, *headers: str) -> Tuple[bytes, bytes]:
    """Ask once on a connection that closes; return the head in lower case, and the body."""
    request = http_request(server, CHAT, b"", "Connection: close", *headers)
    head, _, body = response_bytes(server, request).partition(b"\r\n\r\n")
    return head.lower(), body


def read_until(sock: socket.socket, marker: bytes) -> bytes:
    """Read until the marker has arrived; return what was read."""
    read = b""
    while marker not in read:
        read += sock.recv(65536)
    return read


def chunks(body: bytes) -> List[bytes]:
    """Return the chunks of a chunked body; the last one is empty if the body is complete."""
    found = []
    while body:
        size, _, body = body.partition(b"\r\n")
        found.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return found


def wait_until(condition: Any) -> None:
    """Wait until another thread has made a condition true."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
