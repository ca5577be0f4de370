"""No repr, log or error contains a secret."""

from __future__ import annotations

import logging
import traceback
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest
import requests
from support import dead_address

from chatgpt4online import ChatGPT4OnlineError, Client
from chatgpt4online.testing import Server

SECRET = "hunter2"
#: A fresh nonce in an answer.
FRESH_NONCE = "feedfacecafe"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture the records of all loggers."""
    caplog.set_level(logging.DEBUG)
    for name in ("chatgpt4online", "sseclient", "urllib3", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def test_repr() -> None:
    """Neither the repr nor the str of a client shows a header or a proxy's password."""
    client = Client(
        "https://example.com",
        headers={"authorization": SECRET, "cookie": SECRET},
        proxy=f"http://user:{SECRET}@127.0.0.1:9",
    )
    with client:
        assert SECRET not in repr(client) + str(client) + f"{client}"


def end(**fields: Any) -> bytes:
    """Return a complete stream whose end contains a fresh nonce."""
    answer = f'{{"success":true,"reply":"Hello {SECRET}","new_token":"{FRESH_NONCE}"}}'
    quoted = answer.replace('"', '\\"')
    live = f'data: {{"type":"live","data":"Hello {SECRET}"}}\n\n'
    return f'{live}odd: {SECRET}\ndata: {{"type":"end","data":"{quoted}"}}\n\n'.encode()


def test_logs(server: Server, log: pytest.LogCaptureFixture) -> None:
    """At every level, the log names routes and statuses, but no secret, question or answer."""
    server.sends(end())
    nonce = server.nonce
    with Client(server.url, headers={"authorization": SECRET}) as client:
        assert client.chat(f"I am {SECRET}") == f"Hello {SECRET}"
        assert client.nonce == FRESH_NONCE
    server.answers(503, retry_after=0)
    server.sends(end())
    with requests.Session() as session:
        session.auth = ("user", SECRET)
        with Client(server.url, session=session) as client:
            client.chat(SECRET)
    for secret in (SECRET, FRESH_NONCE, nonce, "Hello"):
        assert secret not in log.text
    records = [record for record in log.records if record.name == "chatgpt4online"]
    assert {record.levelno for record in records} == {logging.DEBUG}
    messages = " ".join(record.getMessage() for record in records)
    for part in ("mwai/v1/start_session: 200 after", "mwai-ui/v1/chats/submit: 503", "sent again"):
        assert part in messages


@pytest.fixture
def dead() -> Iterator[str]:
    """Return a port on which nothing listens."""
    with dead_address() as address:
        yield address.rpartition(":")[2]


def traceback_of(error: BaseException) -> str:
    """Return the traceback that Python prints for an uncaught error, its causes included."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


FAILURES: List[Tuple[str, Dict[str, Any]]] = [
    ("http://site.invalid", {"proxy": "http://user:{secret}@127.0.0.1:{dead}"}),
    ("https://site.invalid", {"proxy": "http://user:{secret}@127.0.0.1:{dead}"}),
    ("http://site.invalid", {"proxy": "http://user:{secret}@pro xy:1"}),
    ("http://site.invalid", {"proxy": "http://user:{secret}@:80"}),
    ("http://site.invalid", {"proxy": "socks5://user:{secret}@127.0.0.1:{dead}"}),
    ("http://127.0.0.1:{dead}", {"headers": {"authorization": "{secret}"}}),
    ("http://site.invalid", {"headers": {"cookie": "{secret}"}}),
]


@pytest.mark.parametrize(("site", "settings"), FAILURES)
def test_errors(
    site: str, settings: Dict[str, Any], dead: str, log: pytest.LogCaptureFixture
) -> None:
    """An error on the way to a site contains no secret, nor do its causes and the log."""

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(each) for name, each in value.items()}
        return value.format(secret=SECRET, dead=dead)

    try:
        client = Client(fill(site), retries=0, **fill(settings))
    except ValueError as error:
        assert SECRET not in traceback_of(error)  # noqa: PT017 - it may raise now or later
        return
    with client, pytest.raises(ChatGPT4OnlineError) as caught:
        client.chat(SECRET)
    assert SECRET not in traceback_of(caught.value) + log.text


@pytest.mark.parametrize(
    "proxy",
    [
        "socks7://user:{secret}@127.0.0.1:1",
        "socks5://user:{secret}@127.0.0.1:1x",
        "http://user:{secret}@127.0.0.1:1x",
        "http://user:{secret}@:80",
        "user:{secret}@pro xy",
    ],
)
def test_proxies_of_the_environment(
    proxy: str, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """An error about a proxy from the environment does not contain its password."""
    monkeypatch.setenv("http_proxy", proxy.format(secret=SECRET))
    client = Client("http://site.invalid", retries=0)
    with client, pytest.raises(ChatGPT4OnlineError) as caught:
        client.chat("Hi")
    assert SECRET not in traceback_of(caught.value) + log.text


@pytest.mark.parametrize("location", [f"https://user:{SECRET}@other.example/", f"/?key={SECRET}"])
def test_redirects(location: str, server: Server, log: pytest.LogCaptureFixture) -> None:
    """An error about a redirect names its URL without its login and query."""
    server.answers(302, headers={"Location": location})
    with Client(server.url) as client, pytest.raises(ChatGPT4OnlineError) as caught:
        client.chat("Hi")
    assert SECRET not in traceback_of(caught.value) + log.text


@pytest.mark.parametrize("how", ["chat", "stream", "conversation", "map"])
def test_tracebacks_show_no_header_of_one_call(how: str, server: Server, client: Client) -> None:
    """A traceback with the variables of our functions shows no value of a call's headers."""
    ways: Dict[str, Callable[..., Any]] = {
        "chat": client.chat,
        "stream": client.stream,
        "conversation": client.conversation().chat,
        "map": lambda message, **options: next(client.map([message], **options)).result(),
    }
    server.answers(500)
    with pytest.raises(ChatGPT4OnlineError) as caught:
        ways[how]("Hi", headers={"Authorization": SECRET})
    error = caught.value
    shown = traceback.TracebackException(
        type(error), error, error.__traceback__, capture_locals=True
    )
    frames = [
        frame for frame in shown.stack if "chatgpt4online" in frame.filename.split("tests")[-1]
    ]
    assert len(frames) > 3
    assert SECRET not in str([frame.locals for frame in frames])


def test_a_token_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's token, which `api` validates, is not in the error or its traceback."""
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", "https://example.com")
    monkeypatch.setenv("CHATGPT4ONLINE_TOKEN", f"{SECRET}\n")
    with Client() as client, pytest.raises(ValueError, match="token is empty or") as caught:
        client.api.whoami()
    error = caught.value
    shown = traceback.TracebackException(
        type(error), error, error.__traceback__, capture_locals=True
    )
    assert SECRET not in "".join(shown.format())
