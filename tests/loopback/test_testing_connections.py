"""The testing site's connections, TLS and threads, from start to close."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from contextlib import closing
from typing import TYPE_CHECKING, Any, Dict, Iterator, List

import pytest
import requests
from raw_client import (
    CHAT,
    TIMEOUT,
    ask,
    data,
    dial,
    http_request,
    question,
    read_until,
    response_bytes,
    wait_until,
)

from chatgpt4online.testing import Server, pytest_plugin

if TYPE_CHECKING:
    import trustme

shipped_server = pytest_plugin.chatgpt4online_server


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Make an HTTP client that keeps cookies and connections."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


# Connections.


def test_a_connection_serves_many_requests(server: Server, session: requests.Session) -> None:
    """Connections are kept alive, whatever the responses."""
    server.answers(503)
    server.fails("no")
    for _ in range(5):
        ask(session, server)

    assert server.connections == 1
    assert len(server.questions) == 5


def test_a_connection_is_closed_on_request(server: Server, session: requests.Session) -> None:
    """``Connection: close`` closes the connection."""
    session.headers["Connection"] = "close"
    for _ in range(3):
        ask(session, server)

    assert server.connections == 3


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """Two requests sent at once get two responses."""
    first = http_request(server, CHAT, json.dumps(question("one")).encode())
    second = http_request(server, CHAT, json.dumps(question("two")).encode(), "Connection: close")

    answers = response_bytes(server, first, second)

    assert answers.index(b'" one"') < answers.index(b'" two"')


def test_a_chunked_request_is_read(server: Server, session: requests.Session) -> None:
    """The body of a request may be chunked."""
    parts = iter([b'{"botId":"default",', b'"newMessage":"Hi"}'])
    headers = {"X-WP-Nonce": server.nonce, "Content-Type": "application/json"}

    answer = session.post(server.url + CHAT, data=parts, headers=headers, timeout=TIMEOUT)

    assert answer.json()["reply"] == "Echo(1 msgs): Hi"


@pytest.mark.parametrize(
    "nonsense",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc",
        b"",
    ],
)
def test_bytes_that_are_not_http_end_the_connection(server: Server, nonsense: bytes) -> None:
    """Bytes that are not HTTP get no response, are not recorded, and do no harm."""
    with closing(dial(server)) as sock:
        sock.sendall(nonsense)
        sock.shutdown(socket.SHUT_WR)

        assert sock.recv(100) == b""

    assert server.requests == []


def test_a_client_that_leaves_during_a_stall_is_noticed(server: Server) -> None:
    """When the client leaves during a stall, its connection is closed without ``release()``."""
    server.stalls(after=["Hel"])
    with closing(dial(server)) as sock:
        sock.sendall(http_request(server))
        read_until(sock, b"Hel")
        assert server.open_connections == 1

    wait_until(lambda: server.open_connections == 0)


def test_a_request_during_a_stall_waits(server: Server) -> None:
    """A request sent during a stall waits for its turn."""
    server.stalls(seconds=0.12)
    with closing(dial(server)) as sock:
        sock.sendall(http_request(server))
        read_until(sock, b"\r\n\r\n")
        sock.sendall(http_request(server, CHAT, b"", "Connection: close"))

        rest = b"".join(iter(lambda: sock.recv(65536), b""))

    assert rest.count(b'"type":"end"') == 2


def test_many_threads_are_served_at_once(server: Server) -> None:
    """Sixty-four clients each get the answers to their own questions."""
    failures: List[str] = []

    def chat(name: int) -> None:
        with requests.Session() as session:
            for number in range(2):
                message = f"{name}/{number}"
                answer = ask(session, server, message, stream=False).json()["reply"]
                if answer != f"Echo(1 msgs): {message}":
                    failures.append(answer)

    threads = [threading.Thread(target=chat, args=(name,)) for name in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(server.questions) == 128
    assert server.connections == 64


# TLS.


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Make a certificate authority."""
    with warnings.catch_warnings():
        # cryptography warns that it will drop old Pythons.
        warnings.simplefilter("ignore")
        import trustme
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """Make a server-side TLS context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize("framing", ["php", "close"])
def test_tls(
    framing: str, tls: ssl.SSLContext, authority: trustme.CA, session: requests.Session
) -> None:
    """With a context the site speaks TLS, ends it properly, and marks its cookies as secure."""
    with Server(framing=framing, tls=tls) as server, authority.cert_pem.tempfile() as path:
        session.verify = path
        server.stalls(after=["Hel"], seconds=0.06)

        answer = data(ask(session, server))

        assert server.url.startswith("https://")
        assert answer[-1]["reply"] == "Hel"
        assert "mwai_session_id" in session.cookies
        assert all(cookie.secure for cookie in session.cookies)


def test_a_failed_handshake_does_no_harm(
    tls: ssl.SSLContext, authority: trustme.CA, session: requests.Session
) -> None:
    """A failed handshake does not keep the server from serving the next client."""
    with Server(tls=tls) as server, authority.cert_pem.tempfile() as path:
        with closing(dial(server)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        session.verify = path

        assert ask(session, server).status_code == 200
        assert len(server.requests) == 1


def test_close_ends_a_handshake(tls: ssl.SSLContext) -> None:
    """A client that never sends anything does not block close()."""
    server = Server(tls=tls).start()
    with closing(dial(server)) as sock:
        wait_until(lambda: server.open_connections)

        server.close()

        assert sock.recv(100) == b""


# Starting and closing.


def test_close_ends_every_pause() -> None:
    """close() ends stalls, holds and pauses at once, closes connections and leaves no thread."""
    before = threading.active_count()
    server = Server().start()
    server.stalls(after=["Hel"])
    server.stalls(headers=False)
    server.says("Hel", hold=60)
    server.says("Hel", "lo", pace=60)
    clients = [dial(server) for _ in range(5)]  # the last one sends nothing
    for client in clients[:4]:
        client.sendall(http_request(server))
    wait_until(lambda: len(server.requests) == 4)

    start = time.monotonic()
    server.close()

    late = time.monotonic() - start
    assert late < 0.5, f"it ended {late:.3f} s after its time"
    assert threading.active_count() == before
    for client in clients:
        with closing(client):
            while client.recv(65536):
                pass


def test_close_ends_a_blocked_write() -> None:
    """A response that is larger than the sockets' buffers does not block close()."""
    server = Server().start()
    server.sends(b"x" * 50_000_000)
    with closing(dial(server)) as sock:
        sock.sendall(http_request(server))
        sock.recv(1)

        server.close()


def test_a_closed_server_refuses_connections() -> None:
    """A closed server refuses connections; closing it again does nothing."""
    with Server() as server:
        pass

    server.close()
    with pytest.raises(ConnectionRefusedError):
        dial(server)


def test_a_server_starts_once() -> None:
    """An unstarted server has no URL and can be closed; a server cannot be started twice."""
    server = Server()
    assert (server.url, server.connections, server.open_connections) == ("", 0, 0)
    server.close()

    with server, pytest.raises(RuntimeError, match="started before"):
        server.start()


def test_nothing_leaks() -> None:
    """With warnings as errors, a program that uses a server ends without output."""
    program = (
        "import http.client, urllib.parse\n"
        "from chatgpt4online.testing import Server\n"
        "with Server() as server:\n"
        "    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc)\n"
        "    connection.request('GET', '/')\n"
        "    connection.getresponse().read()\n"
        "    connection.close()\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]

    done = subprocess.run(command, check=False, capture_output=True, timeout=30)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_fixture_is_a_started_server(shipped_server: Server, session: requests.Session) -> None:
    """``chatgpt4online_server`` behaves like AI Engine 3.6.2."""
    assert "responseId" in ask(session, shipped_server, stream=False).json()


@pytest.mark.parametrize("wrong", [{"version": "1.0"}, {"framing": "raw"}])
def test_unknown_settings_are_errors(wrong: Dict[str, Any]) -> None:
    """An unknown version or framing raises ValueError, which lists the known ones."""
    with pytest.raises(ValueError, match="known are"):
        Server(**wrong)
