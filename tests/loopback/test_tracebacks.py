"""No frame of the package shows a secret in its local variables, whatever fails."""

from __future__ import annotations

import base64
import contextlib
import io
import signal
import threading
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest
import requests
import responses
from support import (
    PHP,
    SOON,
    Peer,
    RawServer,
    Received,
    background,
    end,
    full_listener,
    head,
    json_reply,
    live,
    reply,
    session_reply,
    tls_context,
)

from chatgpt4online import ChatGPT4OnlineError, Client
from chatgpt4online._http import retry, tracebacks

PASSWORD = "pass w0rd marker"
TOKEN = "t0ken-marker-" + "x" * 100
PROXY_PASSWORD = "pr0xy-marker"
HEADER = "header-marker"
ISSUED = "n0ncemarker"
FRESH = "freshn0ncemarker"
BASIC = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD, TOKEN, PROXY_PASSWORD, HEADER, ISSUED, FRESH, BASIC)

TESTS = str(Path(__file__).parent)
SETTINGS: Dict[str, Any] = {
    "auth": ("user", PASSWORD),
    "token": TOKEN,
    "headers": {"x-api-key": HEADER},
    "retries": 1,
    "timeout": 5,
}


# --------------------------------------------------------------------- what tools show of a frame


def shown(value: object, depth: int = 6) -> Iterator[str]:
    """Yield what tools show of a variable: its repr, and that of what is in a collection."""
    yield repr(value)
    if isinstance(value, str) or not depth:
        return
    if isinstance(value, Mapping):
        for name, each in list(value.items()):
            yield from shown(name, depth - 1)
            yield from shown(each, depth - 1)
    elif isinstance(value, (Sequence, AbstractSet)):
        for each in value:
            yield from shown(each, depth - 1)


def chain(error: Optional[BaseException]) -> Iterator[BaseException]:
    """Yield an error with its causes and contexts."""
    found, seen = [error], set()
    while found:
        each = found.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            found += [each.__cause__, each.__context__]
            yield each


def frames(error: BaseException) -> Iterator[FrameType]:
    """Yield the frames of an error and its causes, except those of tests."""
    for each in chain(error):
        traceback = each.__traceback__
        while traceback is not None:
            if not traceback.tb_frame.f_code.co_filename.startswith(TESTS):
                yield traceback.tb_frame
            traceback = traceback.tb_next


def leaks(error: BaseException) -> List[str]:
    """Return the variables that contain a secret, each with its function."""
    found = []
    for frame in frames(error):
        for name, value in list(frame.f_locals.items()):
            if any(secret in text for text in shown(value) for secret in SECRETS):
                found.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}: {name}")
    messages = [str(each) for each in chain(error) if type(each).__module__ != "builtins"]
    return found + [text for text in messages if any(secret in text for secret in SECRETS)]


def test_what_is_shown() -> None:
    """A secret is found in the variables of a frame, in collections too, and of a cause."""
    code = compile(
        "def f(x):\n raise ValueError\ntry: f(y)\nexcept Exception as e: raise e", "a", "exec"
    )
    for value in (TOKEN, [TOKEN], {"a": (TOKEN,)}, {TOKEN}):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - it has no message
            exec(code, {"y": value})
        assert "a:f: x" in leaks(caught.value)


# ------------------------------------------------------------------------------ what may go wrong


ISSUING = session_reply(ISSUED)


class Site:
    """A site that issues a nonce, accepts the login, and answers everything else the same way."""

    def __init__(
        self, answer: bytes, *, session: Optional[bytes] = None, me: Optional[bytes] = None
    ) -> None:
        self.answer = answer
        self.session = ISSUING if session is None else session
        self.me = json_reply("200 OK", {"id": 1}) if me is None else me

    def __call__(self, peer: Peer) -> None:
        """Serve a connection; an empty answer closes it."""
        while True:
            received = peer.receive()
            if received is None:
                return
            answer = self.choose(received)
            peer.send(answer)
            if answer is self.answer or answer is self.session is not ISSUING:
                return

    def choose(self, received: Received) -> bytes:
        """Return the answer to a request."""
        if received.is_session:
            return self.session
        return self.me if "users/me" in received.target else self.answer


def refusal(status: str, code: str) -> bytes:
    """Return a refusal of WordPress that quotes nothing."""
    return json_reply(status, {"code": code, "message": "No"})


CUT = PHP.answer([live("Hel")]).head + PHP.answer([live("Hel")]).parts[0]
SITES: Dict[str, Callable[[Peer], None]] = {
    "a closed connection": Site(b""),
    "no HTTP": Site(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "a nonce refused twice": Site(refusal("403 Forbidden", "rest_cookie_invalid_nonce")),
    "401": Site(refusal("401 Unauthorized", "rest_not_logged_in")),
    "403": Site(refusal("403 Forbidden", "other")),
    "a firewall": Site(reply("403 Forbidden", b"<html>Just a moment...")),
    "404": Site(refusal("404 Not Found", "rest_no_route")),
    "404 without a code": Site(reply("404 Not Found", b"no")),
    "429": Site(reply("429 Slow", b"", "Retry-After: 1000")),
    "500": Site(refusal("500 Oops", "oops")),
    "a redirect elsewhere": Site(reply("302 Found", b"", "Location: https://other.example/x")),
    "redirects for ever": Site(
        reply("302 Found", b"", "Location: /wp-json/mwai-ui/v1/chats/submit")
    ),
    "a broken Location": Site(reply("302 Found", b"", "Location: http://[")),
    "a cut stream": Site(CUT),
    "broken chunks": Site(CUT + b"zz\r\n"),
    "broken JSON": Site(reply("200 OK", b'{"success": true, "new_token": "%b", ' % FRESH.encode())),
    "cut JSON": Site(
        head("200 OK", "Content-Length: 500") + b'{"new_token": "%b"' % FRESH.encode()
    ),
    "other JSON": Site(json_reply("200 OK", {"new_token": FRESH, "a": [FRESH]})),
    "a failure": Site(
        json_reply("200 OK", {"success": False, "message": "No", "new_token": FRESH})
    ),
    "a page": Site(reply("200 OK", b"<html><title>Hi</title>")),
    "an event without text": Site(PHP.answer([b'data: {"type":"live","data":[1]}\n\n']).bytes),
    "an end that is a failure": Site(PHP.answer([end("", success=False, new_token=FRESH)]).bytes),
    "an end after text that is a failure": Site(
        PHP.answer([live("Hel"), end("", success=False, new_token=FRESH)]).bytes
    ),
    "an unknown coding": Site(reply("200 OK", b"x", "Content-Encoding: gzip")),
    "151 headers": Site(head("200 OK", *["a: b"] * 151)),
    "no nonce": Site(
        b"", session=json_reply("200 OK", {"success": True, "restNonce": f"{ISSUED}\n"})
    ),
    "start_session fails": Site(b"", session=refusal("500 Oops", "oops")),
    "start_session is cut": Site(
        b"", session=head("200 OK", "Content-Length: 99") + b'{"restNonce":"%b"' % ISSUED.encode()
    ),
    "a refused login": Site(b"", me=refusal("401 Unauthorized", "incorrect_password")),
    "a login that names nobody": Site(b"", me=json_reply("200 OK", {})),
}


def fail(*_: object) -> None:
    """Raise an error of the caller's."""
    raise LookupError("the caller's")


def ask_many(client: Client) -> None:
    """Ask questions in threads, and raise the error of one."""
    with client.map(["Hi"]) as outcomes:
        for outcome in outcomes:
            outcome.result()


def broken_callback(client: Client) -> None:
    """Read a stream whose callback fails."""
    with client.stream("Hi") as stream:
        stream.on_reply(fail)
        stream.result()


ACTIONS: Dict[str, Callable[[Client], object]] = {
    "chat": lambda client: client.chat("Hi"),
    "stream": lambda client: list(client.stream("Hi")),
    "stream with a broken callback": broken_callback,
    "upload": lambda client: client.files.upload(io.BytesIO(b"x"), name="a.txt"),
    "broken progress": lambda client: client.files.upload(
        io.BytesIO(b"x"), name="a.txt", progress=fail
    ),
    "files": lambda client: client.files.list(),
    "discussions": lambda client: list(client.discussions),
    "api": lambda client: client.api.text("Hi"),
    "api bots": lambda client: client.api.bots(),
    "pages": lambda client: client.bots("/contact/"),
    "from_page": lambda client: Client.from_page(client.site + "/contact/", **SETTINGS),
    "nonce": lambda client: client.refresh_nonce(),
    "map": ask_many,
    "conversation": lambda client: client.conversation().chat("Hi"),
    "wrong arguments": lambda client: client.chat("Hi", extra_body={"a": {1}}),
    "a wrong limit": lambda client: client.chat("Hi", timeout=-1),
}


def check(action: Callable[..., object], *args: Any) -> Optional[BaseException]:
    """Run an action, check what it raises, if it does, and return that."""
    raised: Optional[BaseException] = None
    try:
        action(*args)
    except BaseException as error:  # noqa: BLE001 - whatever it is
        raised = error
    assert raised is None or leaks(raised) == []
    return raised


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("own", [True, False], ids=["own", "user"])
def test_what_a_site_does(site: str, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a site does that makes a question fail, no frame shows a secret."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)
    with RawServer(SITES[site]) as server, requests.Session() as session:
        session.headers["x-api-key"] = HEADER
        options: Dict[str, Any] = {} if own else {"session": session}
        with Client(server.url, **SETTINGS, **options) as client:
            has_raised = {name: check(ACTIONS[name], client) is not None for name in ACTIONS}
    assert has_raised["chat"]


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
@pytest.mark.parametrize("site", ["http://site.invalid", "https://site.invalid"])
def test_proxies_that_fail(scheme: str, site: str) -> None:
    """Where a proxy refuses, is not there or breaks off, no frame shows its password."""
    answers = [b"", reply("407 Login", b"", "Proxy-Authenticate: Basic"), reply("502 Oops", b"")]
    for answer in answers:

        def serve(peer: Peer, answer: bytes = answer) -> None:
            peer.send(answer)
            peer.read(4)  # what a client says first, however short; then the proxy breaks off

        with RawServer(serve) as server:
            proxy = f"{scheme}://user:{PROXY_PASSWORD}@{server.address}"
            with Client(site, proxy=proxy, **{**SETTINGS, "retries": 0}) as client:
                assert check(lambda: client.chat("Hi"))
    with Client(site, proxy=proxy, **{**SETTINGS, "retries": 0}) as client:
        assert check(lambda: client.chat("Hi"))


@pytest.mark.parametrize("own", [True, False], ids=["own", "user"])
def test_sites_that_are_not_reached(
    own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no connection is made, no frame shows a secret."""
    context = tls_context(tmp_path, monkeypatch, "localhost")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with RawServer(Site(b""), tls=context) as untrusted, full_listener() as full:
        addresses = ["http://site.invalid", untrusted.url, untrusted.url.replace("s:", ":")]
        for address in [*addresses, f"http://{full}", "http://127.0.0.1:1"]:
            settings = {**SETTINGS, "timeout": 0.3, "retries": 0}
            with requests.Session() as session:
                options: Dict[str, Any] = {} if own else {"session": session}
                with Client(address, **settings, **options) as client:
                    assert check(lambda: client.chat("Hi"))


def test_time_limits() -> None:
    """Where a limit ends a call, before or in its answer, no frame shows a secret."""

    def serve(peer: Peer) -> None:
        peer.receive()
        peer.send(ISSUING)
        peer.receive()
        peer.wait_until_gone()

    for limit in ({"timeout": 0.2}, {"deadline": 0.2}):
        with RawServer(serve) as server, Client(server.url, **{**SETTINGS, **limit}) as client:
            assert check(lambda: client.chat("Hi"))


def test_closed_clients() -> None:
    """A closed client's error shows no secret."""
    client = Client("https://site.invalid", **SETTINGS)
    client.close()
    for action in ACTIONS.values():
        assert check(action, client)


WRONG: List[Dict[str, Any]] = [
    {"bot": ""},
    {"auth": ("user", PASSWORD, 1)},
    {"auth": ("us:er", PASSWORD)},
    {"auth": ("user", PASSWORD + "\n")},
    {"token": TOKEN + "\n"},
    {"token": [TOKEN]},
    {"headers": {"x-api-key": HEADER + "\n"}},
    {"headers": {"x-api-key": [HEADER]}},
    {"headers": [HEADER]},
    {"proxy": f"nothing://user:{PROXY_PASSWORD}@127.0.0.1"},
    {"proxy": f"http://user:{PROXY_PASSWORD}@127.0.0.1:x"},
    {"site": f"https://user:{BASIC}@"},
    {"site": f"https://user:{BASIC}@host:port"},
    {"site": f"https://user:{BASIC}@host/?a=b"},
    {"site": f"ftp://user:{BASIC}@host"},
    {"retries": -1},
    {"session": PASSWORD},
    {"unknown": TOKEN},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_wrong_settings(wrong: Dict[str, Any]) -> None:
    """An error about an argument shows neither it nor the others."""
    settings = {"site": f"https://user:{BASIC}@host", "proxy": f"http://u:{PROXY_PASSWORD}@h:1"}
    assert check(lambda: Client(**{**settings, **SETTINGS, **wrong}))
    assert check(lambda: Client.from_page("https://host/a", **{**SETTINGS, **wrong}))


def test_clients_that_do_not_pickle() -> None:
    """An error about an attribute that does not pickle shows no secret."""
    import pickle

    client = Client("https://host", **SETTINGS)
    client.__dict__["mine"] = lambda: None
    assert check(lambda: pickle.dumps(client))


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX only")
@pytest.mark.parametrize(
    ("point", "own"),
    [
        ("connecting", True),
        ("in a nonce", True),
        ("before the answer", True),
        ("before the answer", False),
        ("in the answer", True),
        ("in the answer", False),
    ],
)
def test_ctrl_c(point: str, own: bool) -> None:
    """Ctrl-C in a call shows no secret of the frames that it leaves."""
    blocked, over = threading.Event(), threading.Event()

    def serve(peer: Peer) -> None:
        while True:
            received = peer.receive()
            if received is None:
                return
            if point == "in a nonce" or not (received.is_session or "users/me" in received.target):
                break
            peer.send(Site(b"").choose(received))
        peer.send(CUT if point == "in the answer" else b"")
        blocked.set()
        peer.wait_until_gone()

    def press() -> None:
        assert blocked.wait(SOON)
        wait = 0.1
        while not over.wait(wait):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            wait = 2.0

    def ask() -> None:
        try:
            client.chat("Hi")
        finally:
            over.set()

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(RawServer(serve))
        url = server.url
        if point == "connecting":
            url = "http://" + stack.enter_context(full_listener())
            blocked.set()
        session = stack.enter_context(requests.Session())
        options: Dict[str, Any] = {} if own else {"session": session}
        client = stack.enter_context(Client(url, **{**SETTINGS, "timeout": SOON}, **options))
        presser = background(press)
        error = check(ask)
        assert presser.result(SOON) is None
        assert isinstance(error, KeyboardInterrupt)


# -------------------------------------------------------------------------------- the caller's own


def test_errors_of_libraries_for_tests() -> None:
    """What a library for tests raises in place of an answer shows no secret either."""
    with responses.RequestsMock() as mock:
        mock.post("https://host/wp-json/mwai/v1/start_session", body=LookupError("mine"))
        mock.post("https://host/wp-json/mwai/v1/start_session", body=requests.ReadTimeout("late"))
        for expected in (LookupError, ChatGPT4OnlineError):
            with Client("https://host", **{**SETTINGS, "retries": 0}) as client:
                assert isinstance(check(lambda: client.chat("Hi")), expected)


def test_the_callers_frames_stay() -> None:
    """The variables of the caller's own frames, and what it was handling, keep their state."""

    def callback(sent: int, size: int) -> None:
        raise LookupError(f"{sent} of {size}")

    with RawServer(Site(b"")) as server, Client(server.url, **SETTINGS) as client:
        with pytest.raises(LookupError) as caught:
            client.files.upload(io.BytesIO(b"x"), name="a.txt", progress=callback)
        assert caught.traceback[-1].frame.f_locals["sent"] > 0

    with Client("http://127.0.0.1:1", retries=0) as client:
        try:
            fail()
        except LookupError as handled:
            with pytest.raises(ChatGPT4OnlineError):
                client.chat("Hi")
            before = handled
        assert before.__traceback__ is not None


def test_circular_causes() -> None:
    """Errors that are each other's cause are looked at once."""
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    one.__context__ = other
    tracebacks.clear(one)
    tracebacks.strip(one)
    assert one.__traceback__ is None
