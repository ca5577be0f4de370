"""What each failure says for which it takes a socket: a row for each thing that goes wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Iterable, NamedTuple

import pytest
import requests.adapters
from support import (
    PHP,
    SOON,
    Peer,
    RawServer,
    Serve,
    answering,
    background,
    dead_address,
    full_listener,
    head,
    json_reply,
    reply,
    session_reply,
    tls_context,
    wait_for,
)
from support.advice_rows import SCENES

from chatgpt4online import ChatGPT4OnlineError, Client, NotFoundError, TransportError
from chatgpt4online.testing import Server

#: A site whose name does not resolve: it can only be reached through a proxy.
SITE = "http://site.invalid"
PASSWORD = "hunter2"
ANSWER = PHP.answer().bytes


class Scene(NamedTuple):
    """Where a row happens: a working site, and pytest's fixtures."""

    server: Server
    folder: Path
    patch: pytest.MonkeyPatch


def chat(site: str, **settings: Any) -> None:
    """Ask a question, without a second try."""
    with Client(site, retries=0, **settings) as client:
        client.chat("Hi")


# -------------------------------------------------------------------------------------- addresses


def no_listener(_: Scene) -> None:
    """Ask where nobody listens."""
    with dead_address() as address:
        chat(f"http://{address}")


def no_such_host(_: Scene) -> None:
    """Ask a site whose name does not resolve."""
    chat(SITE)


def no_rest_api(scene: Scene) -> None:
    """Ask a site that has no WordPress."""
    scene.server.answers(404, body="<title>Not here</title>", route="start_session", times=None)
    scene.server.answers(404, body="<title>Not here</title>", route="/", times=None)
    chat(scene.server.url)


def no_connection(_: Scene) -> None:
    """Ask a site that accepts no more connections."""
    with full_listener() as address:
        chat(f"http://{address}", timeout=0.2)


def not_wordpress(scene: Scene) -> None:
    """Get a page for an answer."""
    scene.server.answers(200, body="<html><title>Welcome</title></html>")
    chat(scene.server.url)


def moved_elsewhere(scene: Scene) -> None:
    """Get a redirect to another site."""
    there = {"Location": "https://other.example/wp-json/mwai-ui/v1/chats/submit"}
    scene.server.answers(301, headers=there)
    chat(scene.server.url)


def page_without_bots(scene: Scene) -> None:
    """Look for a chatbot on a page that has none."""
    Client.from_page(scene.server.url + "/")


def moved(scene: Scene) -> None:
    """Log in to a site that has moved from http to https, where the login is not sent."""
    context = tls_context(scene.folder, scene.patch)
    refused = {"code": "rest_not_logged_in", "message": "No.", "data": {"status": 401}}

    def serve(peer: Peer) -> None:
        is_tls = peer.begins_tls()
        if is_tls:
            peer.secure(context)
        received = peer.receive()
        while received:
            location = f"Location: https://{server.address}{received.target}"
            if not is_tls:
                peer.send(reply("301 Moved Permanently", b"", location))
            elif received.is_session:
                peer.send(session_reply())
            else:
                peer.send(json_reply("401 Unauthorized", refused))
            received = peer.receive()

    with RawServer(serve) as server:
        chat(server.url, auth=("ada", PASSWORD))


# --------------------------------------------------------------------------- certificates and TLS


def untrusted(scene: Scene) -> None:
    """Ask a site whose certificate nobody trusts."""
    context = tls_context(scene.folder, scene.patch)
    scene.patch.delenv("REQUESTS_CA_BUNDLE")
    with RawServer(answering(ANSWER), context) as server:
        chat(server.url)


def plain_http(_: Scene) -> None:
    """Ask a site that speaks http as if it spoke https, and answers as nginx does."""

    def serve(peer: Peer) -> None:
        assert peer.begins_tls()
        peer.send(reply("400 Bad Request", b"<title>400 Bad Request</title>", "Connection: close"))
        peer.wait_until_gone()

    with RawServer(serve) as server:
        chat(server.url.replace("http:", "https:"))


# ---------------------------------------------------------------------------------------- proxies


def wants_login(peer: Peer) -> None:
    """Refuse each request as a proxy does."""
    while peer.receive():
        peer.send(reply("407 Proxy Authentication Required", b""))


def dead_proxy(_: Scene) -> None:
    """Ask through a proxy that is not there."""
    with dead_address() as address:
        chat(SITE, proxy=f"http://user:{PASSWORD}@{address}")


def unknown_proxy(_: Scene) -> None:
    """Ask through a proxy whose name does not resolve."""
    chat(SITE, proxy=f"http://user:{PASSWORD}@proxy.invalid:3128")


def proxy_login(_: Scene) -> None:
    """Ask through a proxy that wants a login."""
    with RawServer(wants_login) as proxy:
        chat(SITE, proxy=f"http://user:{PASSWORD}@{proxy.address}")


def tunnel_login(_: Scene) -> None:
    """Ask an https site through a proxy that wants a login."""
    with RawServer(wants_login) as proxy:
        chat("https://site.invalid", proxy=f"http://user:{PASSWORD}@{proxy.address}")


def broken_proxy(_: Scene) -> None:
    """Name a proxy by something that is not a URL."""
    chat(SITE, proxy=f"user:{PASSWORD}@proxy.invalid")


def broken_proxy_of_the_environment(scene: Scene) -> None:
    """Let the environment name a proxy by something that is not a URL."""
    scene.patch.setenv("http_proxy", f"http://user:{PASSWORD}@:3128")
    chat(SITE)


def socks_without_pysocks(scene: Scene) -> None:
    """Use a SOCKS proxy without the library for it."""

    def missing(*_: Any, **__: Any) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    scene.patch.setattr(requests.adapters, "SOCKSProxyManager", missing)
    with dead_address() as address:
        chat(SITE, proxy=f"socks5://user:{PASSWORD}@{address}", session=requests.Session())


# ------------------------------------------------------------------------------------ connections


def bug_in_a_hook(scene: Scene) -> None:
    """Use a session with a hook that has a bug."""

    def hook(response: requests.Response, **_: Any) -> None:
        response.close()
        raise ValueError

    with requests.Session() as session:
        session.hooks["response"] = [hook]
        chat(scene.server.url, session=session)


def reset_on_reuse(_: Scene) -> None:
    """Ask twice on one connection, which is reset the second time."""

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(ANSWER)
        peer.question()
        peer.reset()

    with RawServer(serve) as server, Client(server.url) as client:
        assert client.chat("Hi") == "Hello"
        client.chat("Hi")


def reset_of_a_list(_: Scene) -> None:
    """List files on a connection that is reset."""

    def serve(peer: Peer) -> None:
        peer.question()
        peer.reset()

    with RawServer(serve) as server, Client(server.url, retries=0) as client:
        client.files.list()


def silent_nonce(_: Scene) -> None:
    """Ask for a nonce that does not come."""
    with RawServer(Peer.wait_until_gone) as server:
        chat(server.url, timeout=0.2)


def late(scene: Scene) -> None:
    """Ask for less time than the answer takes."""
    scene.server.stalls(after=["Hm"])
    chat(scene.server.url, deadline=0.2)


def cut(scene: Scene) -> None:
    """Get half an answer."""
    scene.server.cuts("Half an ")
    chat(scene.server.url)


def empty(scene: Scene) -> None:
    """Get an answer of no bytes."""
    scene.server.answers(200, body=b"")
    chat(scene.server.url)


def empty_list(scene: Scene) -> None:
    """Get a list of no bytes."""
    scene.server.answers(200, body=b"", route="files/list")
    with Client(scene.server.url, retries=0) as client:
        client.files.list()


def broken_json(scene: Scene) -> None:
    """Get half of an answer in JSON."""
    scene.server.answers(200, body=b'{"success": true, "reply": "Half an ')
    chat(scene.server.url)


def without_reply(scene: Scene) -> None:
    """Get an answer in JSON without a text."""
    scene.server.answers(200, body={"success": True})
    chat(scene.server.url)


def silent(_: Scene) -> None:
    """Ask a site that answers nothing."""

    def serve(peer: Peer) -> None:
        peer.question()
        peer.wait_until_gone()

    with RawServer(serve) as server:
        chat(server.url, timeout=0.2)


def sending(fields: Iterable[str]) -> Serve:
    """Return what answers a question with header fields."""
    data = head("200 OK", *fields)

    def serve(peer: Peer) -> None:
        peer.question()
        peer.send(data)

    return serve


def many_headers(_: Scene) -> None:
    """Get a response with hundreds of headers."""
    with RawServer(sending(f"X-Field-{number}: 1" for number in range(5000))) as server:
        chat(server.url)


def large_header(_: Scene) -> None:
    """Get a response with a header of a megabyte."""
    with RawServer(sending(["X-Field: " + "x" * 1_000_000])) as server:
        chat(server.url)


# --------------------------------------------------------------------------- firewalls and caches


def challenge(scene: Scene) -> None:
    """Get an empty success from AWS's firewall."""
    scene.server.answers(202, body=b"", headers={"x-amzn-waf-action": "challenge"})
    chat(scene.server.url)


def cached_nonce(_: Scene) -> None:
    """Get the same nonce from a cache that the site has just refused."""
    with Server(caches_start_session=True) as server, Client(server.url) as client:
        assert client.nonce
        server.expire_nonce()
        client.chat("Hi")


# --------------------------------------------------------------------------------------- journals


def journal_in_use(scene: Scene) -> None:
    """Write to a journal while another thread waits for an outcome of another run."""
    path = scene.folder / "a.jsonl"
    scene.server.stalls()
    with Client(scene.server.url) as client:
        run = client.map(["a"], journal=path)
        reader = background(lambda: list(run))
        wait_for(lambda: scene.server.questions)
        try:
            client.map(["b"], journal=path)
        finally:
            scene.server.release()
            reader.result(SOON)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Python 3.8's tunnel
@pytest.mark.parametrize("name", SCENES)
def test_messages(
    name: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure says what to do on one line, nothing that points elsewhere, and no password."""
    play, row = getattr(sys.modules[__name__], name), SCENES[name]
    with pytest.raises(row.error) as caught:
        play(Scene(server, tmp_path, monkeypatch))
    message = str(caught.value)
    assert type(caught.value) is row.error
    assert row.says in message
    assert row.never_says not in message
    assert PASSWORD not in message
    assert message.isprintable()


@pytest.mark.parametrize(
    "url",
    ["http://[", "http://a:port", "foo://a.invalid:1", "socks://a.invalid:1", "a b", "http://"],
)
@pytest.mark.parametrize("own", [True, False], ids=["own session", "caller's session"])
def test_broken_proxies_of_the_environment(
    url: str, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment names as a proxy, an error says that it is the proxy's URL."""
    monkeypatch.setenv("http_proxy", url)
    with requests.Session() as session, pytest.raises(TransportError, match="the proxy's URL"):
        chat(SITE, session=None if own else session)


@pytest.mark.parametrize("name", ["proxy_login", "tunnel_login", "dead_proxy"])
def test_proxies_are_named(
    name: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that is the proxy's names its address, without the login in it."""
    play = getattr(sys.modules[__name__], name)
    with pytest.raises(ChatGPT4OnlineError, match=r"the proxy http://127\.0\.0\.1:\d+ "):
        play(Scene(server, tmp_path, monkeypatch))


@pytest.mark.parametrize("site", [SITE, "https://site.invalid"])
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Python 3.8's tunnel
def test_check_blames_the_proxy(site: str) -> None:
    """`check` reports a proxy's refusal as the proxy's, and asks nothing further."""
    with RawServer(wants_login) as proxy, Client(site, proxy=proxy.url) as client:
        (check,) = client.check().checks
    assert (check.name, check.level) == ("site", "failed")
    assert f"the proxy http://{proxy.address} " in check.detail
    assert "The proxy wants a login" in check.detail


def test_tried_addresses_are_named(server: Server) -> None:
    """Where there is no REST API, the error names each address that was tried."""
    server.answers(404, body="<title>Not here</title>", route="start_session", times=None)
    with pytest.raises(NotFoundError) as caught:
        chat(server.url)
    assert f"{server.url}/wp-json, {server.url}/?rest_route=" in str(caught.value)


def test_a_journal_in_use_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file, and says who may be writing to it."""
    with pytest.raises(ValueError, match="in another process or thread") as caught:
        journal_in_use(Scene(server, tmp_path, monkeypatch))
    assert str(tmp_path / "a.jsonl") in str(caught.value)
