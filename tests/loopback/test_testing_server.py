"""The embedded server's own rules: bytes on the wire, scripts in order, threads and sockets."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Tuple
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from chatgpt4online.testing import Headers, Request, Server, event, pytest_plugin

if TYPE_CHECKING:
    import trustme

CHAT = "/wp-json/mwai-ui/v1/chats/submit"
START = "/wp-json/mwai/v1/start_session"
SOON = 5.0

shipped_server = pytest_plugin.chatgpt4online_server


@pytest.fixture
def server() -> Iterator[Server]:
    """Start a server."""
    with Server() as server:
        yield server


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Make a client that keeps cookies and connections."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def question(message: str = "Hi", **fields: Any) -> Dict[str, Any]:
    """Return the JSON that asks a question."""
    return {"botId": "default", "newMessage": message, "stream": True, **fields}


def ask(
    session: requests.Session, server: Server, message: str = "Hi", **fields: Any
) -> requests.Response:
    """Ask the server's default bot; return the whole answer."""
    headers = {"X-WP-Nonce": server.nonce}
    body = question(message, **fields)
    return session.post(server.url + CHAT, json=body, headers=headers, timeout=SOON)


def data(response: requests.Response) -> List[Any]:
    """Return the data of a stream's events, that of its end decoded."""
    events = [json.loads(line[len("data: ") :]) for line in response.text.split("\n\n") if line]
    return [json.loads(e["data"]) if e["type"] == "end" else e["data"] for e in events]


def dial(server: Server) -> socket.socket:
    """Return a plain connection to the server."""
    address = urlsplit(server.url)
    return socket.create_connection((str(address.hostname), int(address.port or 0)), SOON)


def http_request(
    server: Server, path: str = CHAT, body: bytes = b"", *headers: str, method: str = "POST"
) -> bytes:
    """Return the bytes of a request, with a nonce that is good."""
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
    """Send requests on one connection and return all bytes until the server closes it."""
    with closing(dial(server)) as sock:
        sock.sendall(b"".join(requests_))
        return b"".join(iter(lambda: sock.recv(65536), b""))


def body_of(server: Server, *headers: str) -> Tuple[bytes, bytes]:
    """Ask once on a connection that closes; return the answer's head and body."""
    request = http_request(server, CHAT, b"", "Connection: close", *headers)
    head, _, body = response_bytes(server, request).partition(b"\r\n\r\n")
    return head.lower(), body


def read_until(sock: socket.socket, marker: bytes) -> bytes:
    """Return what comes, up to the first bytes that hold the marker."""
    read = b""
    while marker not in read:
        read += sock.recv(65536)
    return read


def chunks(body: bytes) -> List[bytes]:
    """Cut a chunked body into its chunks; the last is empty if the body is whole."""
    found = []
    while body:
        size, _, body = body.partition(b"\r\n")
        found.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return found


FRAMINGS = ["php", "event", "big", "tiny", "close", "length", "gzip", "close+gzip"]
HEL, LO = event("live", "Hel"), event("live", "lo")


# Framing.


def test_php_framing_sends_an_event_in_two_chunks(server: Server) -> None:
    """Each event is a chunk with its line and a chunk with the blank line, as PHP flushes them."""
    server.says("Hel", "lo")

    head, body = body_of(server)

    sent = chunks(body)
    assert b"transfer-encoding: chunked" in head
    assert sent[:4] == [HEL[:-2], b"\n\n", LO[:-2], b"\n\n"]
    assert [sent[5], sent[6:]] == [b"\n\n", [b""]]


def test_event_framing_sends_an_event_a_chunk() -> None:
    """Each event is one chunk."""
    with Server(framing="event") as server:
        server.says("Hel", "lo")
        _, body = body_of(server)

    assert chunks(body)[:2] == [HEL, LO]
    assert len(chunks(body)) == 4


def test_big_framing_gathers_events() -> None:
    """Eight events share a chunk, and the rest the next."""
    with Server(framing="big") as server:
        server.says(*"abcdefgh")
        _, body = body_of(server)

    assert [chunk.count(b"\n\n") for chunk in chunks(body)] == [8, 1, 0]


def test_tiny_framing_sends_a_byte_a_chunk() -> None:
    """Each chunk has one byte."""
    with Server(framing="tiny") as server:
        server.says("Hel")
        _, body = body_of(server)

    sent = chunks(body)
    assert {len(chunk) for chunk in sent[:-1]} == {1}
    assert b"".join(sent).startswith(HEL)


def test_close_framing_ends_the_body_with_the_connection(session: requests.Session) -> None:
    """The body stands as it is, has no length, and ends when the server closes."""
    with Server(framing="close") as server:
        server.says("Hel")
        head, body = body_of(server)
        ask(session, server)
        ask(session, server)

        assert server.connections == 3

    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head
    assert body.startswith(HEL)


def test_length_framing_announces_the_size() -> None:
    """The head has the exact Content-Length."""
    with Server(framing="length") as server:
        server.says("Hel")
        head, body = body_of(server)

    assert b"content-length: %d" % len(body) in head
    assert body.startswith(HEL)


@pytest.mark.parametrize("framing", ["gzip", "close+gzip"])
def test_gzip_framing_flushes_each_event(framing: str) -> None:
    """The body is gzip, asked for or not, and what came of it so far can be read."""
    with Server(framing=framing) as server:
        server.says("Hel", "lo")
        head, body = body_of(server, "Accept-Encoding: identity")

    pieces = chunks(body) if framing == "gzip" else [body]
    assert b"content-encoding: gzip" in head
    assert zlib.decompress(b"".join(pieces), wbits=31).startswith(HEL + LO)
    if framing == "gzip":
        assert zlib.decompressobj(wbits=31).decompress(pieces[0]) == HEL


@pytest.mark.parametrize("framing", FRAMINGS)
def test_what_precedes_a_silence_has_been_sent(framing: str) -> None:
    """Under every framing the client has the events before a stall while the server is silent."""
    with Server(framing=framing) as server, requests.Session() as session:
        server.stalls(after=["Hel"])
        headers = {"X-WP-Nonce": server.nonce, "Accept-Encoding": "identity"}
        body = question()
        with session.post(
            server.url + CHAT, json=body, headers=headers, stream=True, timeout=SOON
        ) as response:
            pieces = response.iter_content(1)
            seen = b""
            while len(seen) < len(HEL):
                seen += next(pieces)
            server.release()
            rest = b"".join(pieces)

    assert seen == HEL
    assert b'"type":"end"' in rest


@settings(max_examples=20)
@given(parts=st.lists(st.text()), framing=st.sampled_from(FRAMINGS))
def test_how_an_answer_travels_does_not_change_it(parts: List[str], framing: str) -> None:
    """Any text comes out as it went in, under every framing, in any number of parts."""
    with Server(framing=framing) as server, requests.Session() as session:
        server.says(*parts)

        answer = data(ask(session, server))

    assert answer[:-1] == parts
    assert answer[-1]["reply"] == "".join(parts).strip(" \t\n\r\0\x0b")


def test_an_answer_without_a_body_has_none(server: Server, session: requests.Session) -> None:
    """HEAD, 204 and 304 are answered by a head alone, and the connection goes on."""
    server.answers(204)
    server.answers(304)
    statuses = [ask(session, server).status_code for _ in range(2)]
    head = session.head(server.url + "/", timeout=SOON)

    assert statuses == [204, 304]
    assert (head.status_code, head.text) == (200, "")
    assert ask(session, server).status_code == 200
    assert server.connections == 1


# Connections.


def test_a_connection_serves_many_requests(server: Server, session: requests.Session) -> None:
    """Connections are kept alive, whatever the answers."""
    server.answers(503)
    server.fails("no")
    for _ in range(5):
        ask(session, server)

    assert server.connections == 1
    assert len(server.questions) == 5


def test_a_connection_is_closed_when_asked(server: Server, session: requests.Session) -> None:
    """``Connection: close`` is honoured."""
    session.headers["Connection"] = "close"
    for _ in range(3):
        ask(session, server)

    assert server.connections == 3


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """Two requests sent at once get two answers."""
    first = http_request(server, CHAT, json.dumps(question("one")).encode())
    second = http_request(server, CHAT, json.dumps(question("two")).encode(), "Connection: close")

    answers = response_bytes(server, first, second)

    assert answers.index(b'" one"') < answers.index(b'" two"')


def test_a_chunked_request_is_read(server: Server, session: requests.Session) -> None:
    """A request's body may come in chunks."""
    parts = iter([b'{"botId":"default",', b'"newMessage":"Hi"}'])
    headers = {"X-WP-Nonce": server.nonce, "Content-Type": "application/json"}

    answer = session.post(server.url + CHAT, data=parts, headers=headers, timeout=SOON)

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
def test_what_is_not_http_ends_the_connection(server: Server, nonsense: bytes) -> None:
    """Such bytes get no answer, are no request, and do no harm."""
    with closing(dial(server)) as sock:
        sock.sendall(nonsense)
        sock.shutdown(socket.SHUT_WR)

        assert sock.recv(100) == b""

    assert server.requests == []


def test_a_client_that_leaves_is_noticed_in_a_silence(server: Server) -> None:
    """The connection of one who left a stalled answer is closed without anybody's release."""
    server.stalls(after=["Hel"])
    with closing(dial(server)) as sock:
        sock.sendall(http_request(server))
        read_until(sock, b"Hel")
        assert server.open_connections == 1

    wait_until(lambda: server.open_connections == 0)


def test_a_client_that_asks_again_in_a_silence_is_still_there(server: Server) -> None:
    """What it sends meanwhile waits for its turn."""
    server.stalls(seconds=0.12)
    with closing(dial(server)) as sock:
        sock.sendall(http_request(server))
        read_until(sock, b"\r\n\r\n")
        sock.sendall(http_request(server, CHAT, b"", "Connection: close"))

        rest = b"".join(iter(lambda: sock.recv(65536), b""))

    assert rest.count(b'"type":"end"') == 2


def wait_until(condition: Any) -> None:
    """Wait for what another thread is about to do."""
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_many_threads_are_served_at_once(server: Server) -> None:
    """Sixty-four clients each get the answers to their own questions."""
    failures: List[str] = []

    def chat(name: int) -> None:
        with requests.Session() as session:
            for number in range(5):
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
    assert len(server.questions) == 320
    assert server.connections == 64


# TLS.


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Make a certificate authority."""
    with warnings.catch_warnings():
        # What it stands on says that it will drop old Pythons.
        warnings.simplefilter("ignore")
        import trustme
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """Make a server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize("framing", ["php", "close"])
def test_tls(
    framing: str, tls: ssl.SSLContext, authority: trustme.CA, session: requests.Session
) -> None:
    """With a context the site speaks TLS, ends it properly, and marks its cookie as secure."""
    with Server(framing=framing, tls=tls) as server, authority.cert_pem.tempfile() as path:
        session.verify = path
        server.stalls(after=["Hel"], seconds=0.06)

        answer = data(ask(session, server))

        assert server.url.startswith("https://")
        assert answer[-1]["reply"] == "Hel"
        assert "mwai_session_id" in session.cookies
        assert all(cookie.secure for cookie in session.cookies)


def test_a_plain_client_does_a_tls_server_no_harm(
    tls: ssl.SSLContext, authority: trustme.CA, session: requests.Session
) -> None:
    """The handshake fails, and the server serves the next one."""
    with Server(tls=tls) as server, authority.cert_pem.tempfile() as path:
        with closing(dial(server)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        session.verify = path

        assert ask(session, server).status_code == 200
        assert len(server.requests) == 1


def test_close_ends_a_handshake(tls: ssl.SSLContext) -> None:
    """A client that never speaks does not hold close() up."""
    server = Server(tls=tls).start()
    with closing(dial(server)) as sock:
        wait_until(lambda: server.open_connections)

        server.close()

        assert sock.recv(100) == b""


# Life.


def test_close_frees_whatever_is_silent() -> None:
    """Stalls, holds and paces end at once, their connections are cut, no thread is left."""
    before = threading.active_count()
    server = Server().start()
    server.stalls(after=["Hel"])
    server.stalls(headers=False)
    server.says("Hel", hold=60)
    server.says("Hel", "lo", pace=60)
    clients = [dial(server) for _ in range(5)]  # the last one says nothing
    for client in clients[:4]:
        client.sendall(http_request(server))
    wait_until(lambda: len(server.requests) == 4)

    start = time.monotonic()
    server.close()

    assert time.monotonic() - start < 0.5
    assert threading.active_count() == before
    for client in clients:
        with closing(client):
            while client.recv(65536):
                pass


def test_close_frees_a_writer_whom_nobody_reads() -> None:
    """An answer that is too large for the sockets' buffers does not hold close() up."""
    server = Server().start()
    server.sends(b"x" * 50_000_000)
    with closing(dial(server)) as sock:
        sock.sendall(http_request(server))
        sock.recv(1)

        server.close()


def test_a_closed_server_is_gone() -> None:
    """Its port refuses connections; closing it again does nothing."""
    with Server() as server:
        pass

    server.close()
    with pytest.raises(ConnectionRefusedError):
        dial(server)


def test_a_server_starts_once() -> None:
    """Before it starts it has no address and nothing to close; it does not start twice."""
    server = Server()
    assert (server.url, server.connections, server.open_connections) == ("", 0, 0)
    server.close()

    with server, pytest.raises(RuntimeError, match="started before"):
        server.start()


def test_nothing_leaks() -> None:
    """With warnings as errors, a program that uses a server ends in silence."""
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
    """``chatgpt4online_server`` answers as AI Engine 3.6.2."""
    assert "responseId" in ask(session, shipped_server, stream=False).json()


@pytest.mark.parametrize("wrong", [{"version": "1.0"}, {"framing": "raw"}])
def test_unknown_settings_are_refused(wrong: Dict[str, Any]) -> None:
    """A version or framing that there is none of is an error, which names those that there are."""
    with pytest.raises(ValueError, match="known are"):
        Server(**wrong)


# What is recorded.


def test_requests_are_recorded(server: Server, session: requests.Session) -> None:
    """Requests are there in order: method, target, headers in any case, bytes, JSON."""
    session.get(server.url + "/?a=b", timeout=SOON)
    ask(session, server, "Hi")

    first, second = server.requests
    assert (first.method, first.path, first.body, first.json) == ("GET", "/?a=b", b"", None)
    assert second.headers["x-wp-nonce"] == second.headers["X-WP-NONCE"] == server.nonce
    assert second.json == question("Hi")
    assert server.questions == [second]


def test_headers_are_a_mapping() -> None:
    """Names keep their case but are found in any; repeated fields are joined."""
    headers = Headers([("Accept", "a"), ("X", "1"), ("accept", "b")])

    assert dict(headers) == {"accept": "a, b", "X": "1"}
    assert len(headers) == 2
    assert "ACCEPT" in headers
    assert headers.get("Cookie") is None
    assert repr(headers) == "Headers({'accept': 'a, b', 'X': '1'})"
    assert Request("GET", "/", headers, b"{").json is None


# Scripts.


def test_scripts_are_used_once_each_in_order(server: Server, session: requests.Session) -> None:
    """What was told first happens first; then the model echoes."""
    server.says("one")
    server.fails("two")
    server.answers(503)

    answers = [ask(session, server, "Hello there") for _ in range(4)]

    assert data(answers[0])[-1]["reply"] == "one"
    assert data(answers[1]) == ["two"]
    assert answers[2].status_code == 503
    assert data(answers[3])[:-1] == ["Echo(1", " msgs):", " Hello", " there"]
    assert data(answers[3])[-1]["reply"] == "Echo(1 msgs): Hello there"


def test_routes_have_scripts_of_their_own(server: Server, session: requests.Session) -> None:
    """A script waits for its own route, which may be named in full, or be a page's path."""
    server.answers(502, route="start_session")
    server.answers(418, route="/wp/v2/users/me")
    server.answers(410, route="/gone/")

    assert ask(session, server).status_code == 200
    assert session.post(server.url + START, timeout=SOON).status_code == 502
    assert session.post(server.url + START, timeout=SOON).status_code == 200
    me = "/wp-json/wp/v2/users/me"
    assert session.get(server.url + me, timeout=SOON).status_code == 418
    assert session.get(server.url + "/gone/", timeout=SOON).status_code == 410


def test_a_route_must_be_there(server: Server) -> None:
    """A script for a route that the site does not have is an error."""
    with pytest.raises(ValueError, match=r"unknown route 'chat'; known are chats/submit, "):
        server.fails("no", route="chat")


def test_a_refused_request_uses_up_no_script(server: Server, session: requests.Session) -> None:
    """The model is not asked when WordPress or the plugin refuses; the door comes before both."""
    server.says("Hello")
    refused = session.post(server.url + CHAT, json=question(), timeout=SOON)
    rejected = ask(session, server, " ")

    assert (refused.status_code, rejected.status_code) == (401, 403)
    assert data(ask(session, server))[-1]["reply"] == "Hello"

    server.answers(429)
    assert session.post(server.url + CHAT, json=question(), timeout=SOON).status_code == 429


def test_says_everything_that_an_answer_can_hold(server: Server, session: requests.Session) -> None:
    """Parts are streamed as told; the end holds what was given."""
    action = {"type": "function", "data": {"name": "f", "args": []}}
    block = {"type": "content", "data": {"html": "<p>"}}
    server.says(
        "Hel",
        b": keepalive\n\n",
        "lo ",
        events=[{"subtype": "status", "data": "Thinking..."}, {"data": "plain"}],
        final="Hello!",
        usage=None,
        images=["http://x/y.png"],
        actions=[action],
        blocks=[block],
        response_id=None,
    )
    answer = ask(session, server)

    status, *events, end = (line for line in answer.text.split("\n\n") if line)
    assert json.loads(status[6:]).keys() == {"type", "data", "timestamp", "subtype", "visibility"}
    assert events == [
        'data: {"type":"live","data":"plain"}',
        'data: {"type":"live","data":"Hel"}',
        ": keepalive",
        'data: {"type":"live","data":"lo "}',
    ]
    assert json.loads(json.loads(end[6:])["data"]) == {
        "success": True,
        "reply": "Hello!",
        "images": ["http://x/y.png"],
        "actions": [action],
        "shortcuts": [],
        "blocks": [block],
        "usage": None,
    }


def test_says_trims_the_reply_and_counts(server: Server, session: requests.Session) -> None:
    """Untold, the reply is the text trimmed, and the usage counts the texts."""
    server.says(" Hel", "lo\n", b": x\n\n")

    end = ask(session, server, stream=False).json()

    assert end["reply"] == "Hello"
    assert end["usage"]["completion_tokens"] == 2


def test_fails(server: Server, session: requests.Session) -> None:
    """A failure is an ``error`` event after the text, or a 500 with the sentence."""
    server.fails("Oops", after=["Hel", {"type": "error", "data": ""}])
    server.fails("Oops")
    server.fails("Full", route="start_session")

    streamed, plain = ask(session, server), ask(session, server, stream=False)
    started = session.post(server.url + START, timeout=SOON)

    assert data(streamed) == ["Hel", "", "Oops"]
    assert (plain.status_code, plain.json()) == (500, {"success": False, "message": "Oops"})
    assert (started.status_code, started.json()["message"]) == (500, "Full")


def test_cuts_cleanly(server: Server) -> None:
    """The response ends as HTTP wants it, without an ``end`` event."""
    server.cuts("Hel", "lo")

    _, body = body_of(server)

    assert b"".join(chunks(body)) == HEL + LO
    assert body.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("framing", ["php", "close", "length"])
def test_cuts_in_the_middle_of_an_event(framing: str) -> None:
    """The connection closes within the ``end`` event, and within its chunk or length."""
    with Server(framing=framing) as server:
        server.cuts("Hel", how="torn")
        head, body = body_of(server)

    assert b'{"type":"end"' in body
    assert not body.endswith(b"\n")
    assert b"connection: close" in head
    if framing == "length":
        assert int(head.partition(b"content-length: ")[2].split()[0]) > len(body)


@pytest.mark.parametrize("framing", ["php", "length"])
def test_cuts_with_a_reset(framing: str) -> None:
    """The connection is reset after the parts."""
    with Server(framing=framing) as server, closing(dial(server)) as sock:
        server.cuts("Hel", how="reset")
        sock.sendall(http_request(server))

        with pytest.raises(ConnectionError):
            list(iter(lambda: sock.recv(65536), b""))


def test_cuts_any_route(server: Server, session: requests.Session) -> None:
    """The answer of another route breaks off in its middle; ``how`` must be known."""
    server.cuts(how="torn", route="start_session")

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.post(server.url + START, timeout=SOON)
    with pytest.raises(ValueError, match="unknown how"):
        server.cuts(how="softly")


def test_stalls_before_the_headers(server: Server) -> None:
    """Nothing comes until the silence is over, then the whole answer."""
    server.stalls(headers=False)
    with closing(dial(server)) as sock:
        sock.sendall(http_request(server))
        wait_until(lambda: server.requests)
        sock.settimeout(0.1)
        with pytest.raises(socket.timeout):
            sock.recv(1)

        server.release()

        sock.settimeout(SOON)
        assert b"Echo(1" in read_until(sock, b'"end"')


@pytest.mark.parametrize("stream", [True, False])
def test_stalls_after_the_headers(server: Server, stream: bool) -> None:
    """The head comes, but nothing of the body until the silence is over; JSON waits whole."""
    server.stalls(after=[] if stream else ["Hi"])
    with closing(dial(server)) as sock:
        sock.sendall(http_request(server, CHAT, json.dumps(question(stream=stream)).encode()))
        assert read_until(sock, b"\r\n\r\n").endswith(b"\r\n\r\n")

        server.release()

        assert b"success" in read_until(sock, b"0\r\n\r\n")


def test_stalls_for_a_time_on_any_route(server: Server, session: requests.Session) -> None:
    """A silence of so many seconds ends by itself."""
    server.stalls(seconds=0.12, route="start_session")
    start = time.monotonic()

    answer = session.post(server.url + START, timeout=SOON)

    assert time.monotonic() - start >= 0.12
    assert answer.json()["success"]


def test_pace_and_hold(session: requests.Session) -> None:
    """``pace`` is the time between two events, an answer's own if it has one; ``hold`` is last."""
    with Server(pace=0.03) as server:
        server.says("a", "b", "c")  # and the end: three times the pace
        assert timed(session, server) >= 0.09

    with Server(pace=60) as server:
        server.says("a", pace=0, hold=0.08)
        assert timed(session, server) >= 0.08


def timed(session: requests.Session, server: Server) -> float:
    """Return how long an answer takes, in seconds."""
    start = time.monotonic()
    ask(session, server)
    return time.monotonic() - start


def test_sends_a_body_as_it_is(server: Server) -> None:
    """A body goes in the chunks that were asked for, or in the server's framing."""
    server.sends(b"abcdef", chunks=[1, 2, 3], content_type="text/x", status=201)
    head, body = body_of(server)

    assert chunks(body) == [b"a", b"bc", b"def", b""]
    assert head.startswith(b"http/1.1 201 created")
    assert b"content-type: text/x" in head

    server.sends(HEL)
    assert chunks(body_of(server)[1]) == [HEL[:-2], b"\n\n", b""]
    with pytest.raises(ValueError, match="chunks of 5 bytes for a body of 6"):
        server.sends(b"abcdef", chunks=[2, 3])


def test_sends_pieces_without_chunks() -> None:
    """Where the framing has no chunks, the pieces are writes."""
    with Server(framing="close") as server:
        server.sends(b"abcdef", chunks=[1, 5])

        assert body_of(server)[1] == b"abcdef"


def test_answers_anything(server: Server, session: requests.Session) -> None:
    """A status with a dict, text, bytes or nothing; given header fields win."""
    server.answers(503, body={"a/b": 1}, retry_after=7)
    server.answers(403, body="<b>é</b>", headers={"cf-mitigated": "challenge"})
    server.answers(200, body=b"\xff", headers={"Content-Type": "x/y"})
    server.answers(524)

    json_, page, raw, unknown = (ask(session, server) for _ in range(4))

    assert (json_.json(), json_.headers["Retry-After"]) == ({"a/b": 1}, "7")
    assert json_.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert (page.text, page.headers["cf-mitigated"]) == ("<b>é</b>", "challenge")
    assert (raw.content, raw.headers["Content-Type"]) == (b"\xff", "x/y")
    assert (unknown.status_code, "524 Unknown" in unknown.text) == (524, True)


@pytest.mark.parametrize("step", [0, 7])
def test_writes_raw_bytes(server: Server, step: int) -> None:
    """All bytes are the caller's, then the connection is closed."""
    server.writes(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nbody", step=step, pace=0.001)

    assert response_bytes(server, http_request(server)) == b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nbody"


def test_writes_nothing(server: Server) -> None:
    """No bytes at all: the connection is closed without an answer."""
    server.writes(b"")

    assert response_bytes(server, http_request(server)) == b""
