"""No secret comes out: not in a repr, not in a log, not in an error."""

from __future__ import annotations

import logging
import socket
import traceback
from typing import Any, Dict, List, Tuple

import pytest
import requests

from chatgpt4online import ChatGPT4OnlineError, Client
from chatgpt4online.testing import Server

SECRET = "hunter2"
#: A new nonce in an answer, which nobody else should see.
TOKEN = "feedfacecafe"


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Keep whatever any logger says."""
    caplog.set_level(logging.DEBUG)
    for name in ("chatgpt4online", "sseclient", "urllib3", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def test_repr() -> None:
    """Neither repr nor str of a client shows what it was given to be kept."""
    client = Client(
        "https://example.com",
        headers={"authorization": SECRET, "cookie": SECRET},
        proxy=f"http://user:{SECRET}@127.0.0.1:9",
    )
    with client:
        assert SECRET not in repr(client) + str(client) + f"{client}"


def end(**fields: Any) -> bytes:
    """Return a whole stream, whose end brings a new nonce."""
    answer = f'{{"success":true,"reply":"Hello {SECRET}","new_token":"{TOKEN}"}}'
    quoted = answer.replace('"', '\\"')
    live = f'data: {{"type":"live","data":"Hello {SECRET}"}}\n\n'
    return f'{live}odd: {SECRET}\ndata: {{"type":"end","data":"{quoted}"}}\n\n'.encode()


def test_logs(server: Server, everything: pytest.LogCaptureFixture) -> None:
    """At the lowest level, the log names routes and statuses, and nothing that was said or kept."""
    server.sends(end())
    nonce = server.nonce
    with Client(server.url, headers={"authorization": SECRET}) as client:
        assert client.chat(f"I am {SECRET}") == f"Hello {SECRET}"
        assert client.nonce == TOKEN
    server.answers(503, retry_after=0)
    server.sends(end())
    with requests.Session() as session:
        session.auth = ("user", SECRET)
        with Client(server.url, session=session) as client:
            client.chat(SECRET)
    log = everything.text
    for secret in (SECRET, TOKEN, nonce, "Hello"):
        assert secret not in log
    ours = [record for record in everything.records if record.name == "chatgpt4online"]
    assert {record.levelno for record in ours} == {logging.DEBUG}
    said = " ".join(record.getMessage() for record in ours)
    for part in ("mwai/v1/start_session: 200 after", "mwai-ui/v1/chats/submit: 503", "sent again"):
        assert part in said


def dead_port() -> int:
    """Return a port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def told(error: BaseException) -> str:
    """Return all that Python prints of an error that nobody caught, its causes included."""
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
def test_errors(site: str, settings: Dict[str, Any], everything: pytest.LogCaptureFixture) -> None:
    """What goes wrong on the way names no password, also not in the cause or in the log."""
    dead = dead_port()

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(each) for name, each in value.items()}
        return value.format(secret=SECRET, dead=dead)

    try:
        client = Client(fill(site), retries=0, **fill(settings))
    except ValueError as error:
        assert SECRET not in told(error)  # noqa: PT017 - it may be refused now or later
        return
    with client, pytest.raises(ChatGPT4OnlineError) as caught:
        client.chat(SECRET)
    assert SECRET not in told(caught.value) + everything.text


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
    proxy: str, monkeypatch: pytest.MonkeyPatch, everything: pytest.LogCaptureFixture
) -> None:
    """What is wrong with a proxy of the environment is told without its password."""
    monkeypatch.setenv("http_proxy", proxy.format(secret=SECRET))
    client = Client("http://site.invalid", retries=0)
    with client, pytest.raises(ChatGPT4OnlineError) as caught:
        client.chat("Hi")
    assert SECRET not in told(caught.value) + everything.text


@pytest.mark.parametrize("location", [f"https://user:{SECRET}@other.example/", f"/?key={SECRET}"])
def test_redirects(location: str, server: Server, everything: pytest.LogCaptureFixture) -> None:
    """A redirect's address is named without the login and the query that it holds."""
    server.answers(302, headers={"Location": location})
    with Client(server.url) as client, pytest.raises(ChatGPT4OnlineError) as caught:
        client.chat("Hi")
    assert SECRET not in told(caught.value) + everything.text
