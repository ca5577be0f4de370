"""Sites that move, where it takes sockets: kept connections, proxies and TLS."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Callable

import pytest
from support import PHP, Peer, RawServer, Serve, answering, head, reply, tls_context

from chatgpt4online import Client, StatusError

ROUTE = "mwai-ui/v1/chats/submit"
ANSWER = PHP.answer().bytes


def redirect(location: str) -> bytes:
    """Return the response of a redirect."""
    return reply("301 Moved Permanently", b"<html>moved</html>", f"Location: {location}")


def serving(respond: Callable[[str, str], bytes]) -> Serve:
    """Serve each question with what a function returns for its path and host."""

    def serve(peer: Peer) -> None:
        received = peer.question()
        while received:
            peer.send(respond(received.target, received.headers["host"]))
            received = peer.question()

    return serve


def test_a_redirect_keeps_the_connection() -> None:
    """A redirect within a host is followed on the same connection."""

    def respond(path: str, _: str) -> bytes:
        return ANSWER if path.startswith("/new/") else redirect(f"/new/wp-json/{ROUTE}")

    with RawServer(serving(respond)) as server, Client(server.url) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
        assert len(server.questions) == 3
        assert server.accepted == 1


def test_a_refused_redirect_connects_to_nobody() -> None:
    """The address of a redirect that is not followed is not connected to."""
    with RawServer(answering(ANSWER)) as other:
        location = f"{other.url}/wp-json/{ROUTE}"
        with RawServer(serving(lambda *_: redirect(location))) as server:
            with Client(server.url) as client, pytest.raises(StatusError, match="redirects to"):
                client.chat("Hi")
            assert len(server.questions) == 1
        assert other.accepted == 0


def both(context: ssl.SSLContext, plain: Serve, secure: Serve) -> Serve:
    """Serve a connection with one of two scripts: in TLS if it begins so, or plain."""

    def serve(peer: Peer) -> None:
        if peer.begins_tls():
            peer.secure(context)
            secure(peer)
        else:
            plain(peer)

    return serve


def test_a_redirect_to_tls_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect from http to https of the same site is followed, and remembered."""
    context = tls_context(tmp_path, monkeypatch)
    plain = serving(lambda _, host: redirect(f"https://{host}/wp-json/{ROUTE}"))
    with RawServer(both(context, plain, answering(ANSWER))) as server:
        with Client(server.url) as client:
            assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
        assert len(server.questions) == 3
        assert server.accepted == 2


def test_a_redirect_from_tls_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect from https to http is refused: what was encrypted stays so."""
    context = tls_context(tmp_path, monkeypatch)
    secure = serving(lambda _, host: redirect(f"http://{host}/wp-json/{ROUTE}"))
    with RawServer(both(context, answering(ANSWER), secure)) as server:
        with Client(f"https://{server.address}") as client, pytest.raises(StatusError):
            client.chat("Hi")
        assert len(server.questions) == 1


@pytest.mark.parametrize("old", ["http://bot.invalid", "http://www.bot.invalid"])
@pytest.mark.parametrize("new", ["https://bot.invalid", "https://www.bot.invalid"])
def test_a_site_may_move_to_tls_and_www(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect from port 80 to 443 that adds or drops a leading www is followed, proxied too."""
    context = tls_context(tmp_path, monkeypatch, "bot.invalid", "www.bot.invalid")

    def proxy(peer: Peer) -> None:
        received = peer.question()
        while received:
            if received.line.startswith("CONNECT"):
                peer.send(head("200 OK"))
                peer.secure(context)
                answering(ANSWER)(peer)
                return
            peer.send(redirect(f"{new}/wp-json/{ROUTE}"))
            received = peer.question()

    with RawServer(proxy) as server, Client(old, proxy=server.url) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
        host = new.split("//")[1]
        lines = [each.line for each in server.questions]
        assert lines == [
            f"POST {old}/wp-json/{ROUTE} HTTP/1.1",
            lines[1],
            *[f"POST /wp-json/{ROUTE} HTTP/1.1"] * 2,
        ]
        assert lines[1].startswith(f"CONNECT {host}:443 ")
        assert {each.headers["host"] for each in server.questions[2:]} == {host}
        assert {each.headers["origin"] for each in server.questions[2:]} == {new}
