"""
With another library in urllib3's place, as urllib3-future is, everything works.

Where niquests has installed that one, these tests run with it.
"""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any, Iterator, List, Tuple, Type

import pytest
from requests.adapters import HTTPAdapter
from support import (
    FRAMINGS,
    HELLO,
    PHP,
    SOON,
    Framing,
    Peer,
    RawServer,
    Serve,
    answering,
    at_once,
    background,
    chunk,
    dripping,
    ends_after,
    head,
    holding,
    live,
    reply,
    tls_context,
)

from chatgpt4online import (
    AuthError,
    ChatGPT4OnlineError,
    Client,
    ProtocolError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)
from chatgpt4online._http import session
from chatgpt4online.testing import Server

LIMIT = 0.3
ADA = ("ada", "abcd efgh")
TOKEN = "s3cr3t"


class Bare:
    """A response that has only what each urllib3 documents; that is without `read1`."""

    _KNOWN = ("read", "close", "release_conn", "connection", "length_remaining")

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        if name in self._KNOWN:
            return getattr(self._raw, name)
        raise AttributeError(name)


@pytest.fixture(params=["its own", "bare"], autouse=True)
def raw(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Use a plain session, whose responses may be bare ones."""
    monkeypatch.setattr(session, "is_known_urllib3", lambda: False)
    if request.param == "bare":
        build = HTTPAdapter.build_response

        def build_bare(self: HTTPAdapter, sent: Any, received: Any) -> Any:
            response = build(self, sent, received)
            response.raw = Bare(response.raw)
            return response

        monkeypatch.setattr(HTTPAdapter, "build_response", build_bare)
    return str(request.param)


@pytest.fixture
def user(server: Server) -> Iterator[Client]:
    """Make a client of a user."""
    server.user(*ADA)
    with Client(server.url, auth=ADA) as client:
        yield client


@pytest.mark.parametrize("framing", FRAMINGS)
def test_chat_and_stream(framing: str) -> None:
    """Questions are answered, and deltas come as they arrive."""
    answer = FRAMINGS[framing].answer()
    go_on = threading.Event()

    def serve(peer: Peer) -> None:
        while peer.question():
            peer.send(answer.head + answer.parts[0])
            peer.wait(go_on)
            peer.send(b"".join(answer.parts[1:]) + answer.last)
            if framing.startswith("close"):
                return

    with RawServer(serve) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        assert next(stream) == "Hel"
        go_on.set()
        assert stream.result() == "Hello"
        assert client.chat("Hi") == "Hello"


def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS works, and a certificate that is not trusted is an error at once."""
    context = tls_context(tmp_path, monkeypatch)
    with RawServer(answering(PHP.answer().bytes), context) as server:
        with Client(server.url) as client:
            assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        before = server.accepted
        with Client(server.url) as client, pytest.raises(TransportError, match="certificate"):
            client.chat("Hi")
        assert server.accepted == before + 1


CHUNKED = head("200 OK", "Transfer-Encoding: chunked")

SLOW = {
    "silent before the head": holding(),
    "silent in the body": holding(CHUNKED, chunk(live("a"))),
    "dripping in the body": dripping(CHUNKED, chunk(b"\n")),
}


@pytest.mark.parametrize("name", SLOW)
def test_deadlines(name: str) -> None:
    """A call ends at its deadline, except while the head of its answer drips in."""
    with RawServer(SLOW[name]) as server, Client(server.url) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", deadline=LIMIT)
        assert caught.value.phase == "deadline"


@pytest.mark.parametrize("name", ["silent before the head", "silent in the body"])
def test_silence(name: str) -> None:
    """Silence has its limit."""
    with RawServer(SLOW[name]) as server, Client(server.url) as client:
        with ends_after(LIMIT), pytest.raises(Timeout) as caught:
            client.chat("Hi", timeout=LIMIT)
        assert caught.value.phase == "read"


def test_close_from_another_thread() -> None:
    """A reader is woken when another thread closes the client."""
    with RawServer(SLOW["silent in the body"]) as server, Client(server.url) as client:
        stream = client.stream("Hi")
        assert next(stream) == "a"
        rest = background(lambda: list(stream))
        with at_once():
            client.close()
            assert isinstance(rest.exception(SOON), StreamInterrupted)


def test_a_call_that_ends_leaves_others_alone() -> None:
    """A stream whose response is complete is closed without harm to who uses its connection now."""
    asked, go_on = threading.Event(), threading.Event()
    answer = Framing("length").answer(HELLO).bytes

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(answer)
        peer.question()
        wait_and_answer(peer)

    def wait_and_answer(peer: Peer) -> None:
        asked.set()
        peer.wait(go_on)
        peer.send(answer)

    def serve_another(peer: Peer) -> None:
        if peer.number == 0:
            serve(peer)
        elif peer.question():
            wait_and_answer(peer)

    with RawServer(serve_another) as server, Client(server.url, timeout=SOON) as client:
        first = client.stream("Hi")
        assert next(first) == "Hel"
        second = background(lambda: client.chat("Hi"))
        assert asked.wait(SOON)
        first.close()
        go_on.set()
        assert second.result(SOON) == "Hello"


def test_files(user: Client) -> None:
    """Files are uploaded with progress, attached, listed and deleted."""
    seen: List[Tuple[int, int]] = []
    content = io.BytesIO(b"x" * 300_000)
    content.name = "notes.txt"
    file = user.files.upload(content, progress=lambda *args: seen.append(args))
    assert seen
    assert seen[-1][0] == seen[-1][1] > 300_000
    assert [each.id for each in user.files.list()] == [file.id]
    assert user.chat("Read it", files=[file])
    user.files.delete(file)
    assert user.files.list() == []


def test_an_error_of_the_progress_function_is_the_callers(user: Client) -> None:
    """What a progress function raises comes out as it is."""

    def fail(*_: int) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        user.files.upload(Path(__file__), progress=fail)


def test_everything_else(server: Server, user: Client) -> None:
    """Conversations, discussions, maps, nonces and checks are as with urllib3 itself."""
    talk = user.conversation()
    assert talk.chat("Who?")
    assert [each.chat_id for each in user.discussions] == [talk.chat_id]
    assert len(list(user.map(["a", "b", "c"]))) == 3
    assert user.refresh_nonce() == user.nonce
    assert user.check(ask="Hi")


def test_bots_of_a_page(server: Server, client: Client) -> None:
    """A page's bots are found."""
    server.page("/chat/", bots=["default"])
    assert [bot.id for bot in client.bots("/chat/")] == ["default"]


def test_the_public_api() -> None:
    """The public API answers a question and lists its bots."""
    with Server(token=TOKEN) as server, Client(server.url, token=TOKEN) as client:
        assert client.api.text("Hi").endswith("Hi")
        assert client.api.bots()


def test_a_wrong_token() -> None:
    """A token that the site refuses is an AuthError."""
    with Server(token=TOKEN) as server:
        client = Client(server.url, token="wrong")
        with client, pytest.raises(AuthError):
            client.api.text("Hi")


def test_cookies_are_kept(raw: str) -> None:
    """A cookie that the site has set is sent back, where requests finds it."""
    if raw == "bare":
        pytest.skip("requests finds no cookies there")
    answer = FRAMINGS["length"].answer(HELLO, "Set-Cookie: lb=7; Path=/").bytes
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
        assert [each.headers.get("cookie") for each in server.questions] == [None, "lb=7"]


def test_a_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential in .netrc, which nobody has given to the client, is not sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password secret\n", encoding="ascii")
    monkeypatch.setenv("NETRC", str(netrc))
    with RawServer(answering(PHP.answer().bytes)) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        assert not [each for each in server.requests if "authorization" in each.headers]


def once(data: bytes) -> Serve:
    """Serve one question with these bytes, and close."""

    def serve(peer: Peer) -> None:
        if peer.question():
            peer.send(data)

    return serve


#: What a wrong or broken site says, and the error that it is.
BROKEN: List[Tuple[bytes, Type[ChatGPT4OnlineError]]] = [
    (b"", TransportError),
    (b"SSH-2.0-OpenSSH\r\n\r\n", TransportError),
    (CHUNKED + chunk(live("a")), StreamInterrupted),
    (CHUNKED + b"zz\r\n", ProtocolError),
    (head("200 OK", "Content-Length: 100") + b'{"success": true,', StreamInterrupted),
    (head("204 No Content"), ProtocolError),
    (head("304 Not Modified"), StatusError),
    (head("302 Found", "Location: http://[::1/", "Content-Length: 0"), StatusError),
    (head("200 OK", "Content-Encoding: gzip", "Content-Length: 2") + b"no", ProtocolError),
    (head("200 OK", "Content-Encoding: br", "Content-Length: 2") + b"no", ProtocolError),
    (reply("200 OK", b"<!doctype html><p>Hello", "Content-Type: text/html"), ProtocolError),
    (reply("500 Internal Server Error", b"Oh no"), StatusError),
    (reply("401 Unauthorized"), AuthError),
]


@pytest.mark.parametrize(("data", "error"), BROKEN)
def test_a_broken_site(data: bytes, error: Type[ChatGPT4OnlineError]) -> None:
    """Whatever a wrong or broken site says, the error is one of ours."""
    with RawServer(once(data)) as server, Client(server.url, retries=0) as client:
        with pytest.raises(error) as caught:
            client.chat("Hi")
        assert caught.value.site == server.url


@pytest.mark.parametrize("site", ["http://127.0.0.1:9", "http://nowhere.invalid"])
def test_no_site(site: str) -> None:
    """A site that cannot be reached is an error of ours."""
    with Client(site, retries=0) as client, pytest.raises(TransportError, match="no answer"):
        client.chat("Hi")


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_no_proxy(scheme: str) -> None:
    """A proxy that cannot be reached is an error of ours."""
    client = Client("https://bot.invalid", proxy=f"{scheme}://127.0.0.1:9", retries=0)
    with client, pytest.raises(TransportError, match=r"the proxy|no answer"):
        client.chat("Hi")
