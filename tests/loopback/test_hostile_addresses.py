"""Addresses that a site chooses drive no terminal: in errors, health checks and the log."""

from __future__ import annotations

import logging
from typing import Iterator

import pytest
from support import Peer, RawServer, reply

from chatgpt4online import ChatGPT4OnlineError, Client

HOSTILE = b"/a\x1b]0;mine\x07\x9b2J\x7f"
PAGE = b'<link rel="https://api.w.org/" href="%b/" /><title>\x1b[2J</title>' % HOSTILE


@pytest.fixture(params=["redirect", "page"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """Return a client of a site that names a hostile address."""

    def serve(peer: Peer) -> None:
        asked = peer.receive()
        assert asked is not None
        if request.param == "redirect" and not asked.target.startswith("/a"):
            peer.send(b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % HOSTILE)
        elif asked.line.startswith("GET / "):
            peer.send(reply("200 OK", PAGE, "Content-Type: text/html"))
        else:
            peer.send(reply("404 Not Found", b"no"))

    with RawServer(serve) as server, Client(server.url, retries=0) as client:
        yield client


def test_hostile_addresses(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """No error, health check or line of the log has a control character of a site's address."""
    caplog.set_level(logging.DEBUG, "chatgpt4online")
    shown = [str(client.check())]
    for action in (lambda: client.chat("Hi"), lambda: client.bots("/"), lambda: client.nonce):
        try:
            action()
        except ChatGPT4OnlineError as error:  # noqa: PERF203
            shown += [str(error), error.route, error.site]
    shown += [record.getMessage() for record in caplog.records if record.name == "chatgpt4online"]
    assert len(shown) > 4
    assert [text for text in shown if not text.replace("\n", "").isprintable()] == []
