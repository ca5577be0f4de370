"""
Every fault, in each way of asking a question: one error, in time, and nothing left behind.

The rows are those of `faults`, each played by a site on loopback.
"""

from __future__ import annotations

import pickle
import ssl
import traceback
import warnings
from collections import Counter
from datetime import datetime, timezone
from functools import partial
from io import StringIO
from pathlib import Path
from time import monotonic
from typing import Callable, Dict

import pytest
import requests
from faults import (
    ANSWER,
    COOKIE,
    FAULTS,
    LIMIT,
    NONCE,
    RETRIES,
    Fault,
    Site,
    message_of,
)
from support import SOON, Peer, RawServer, answering, head, together, wait_for

from chatgpt4online import ChatGPT4OnlineError, Client, ProtocolError, StatusError
from chatgpt4online._http import retry
from chatgpt4online._protocol import fields, routes

Way = Callable[[Client, str], object]


def by_chat(client: Client, message: str) -> None:
    """Ask by `chat`."""
    client.chat(message)


def by_stream(client: Client, message: str) -> None:
    """Ask by `stream`; the deltas that arrive are the text so far, of the stream and the error."""
    stream = client.stream(message)
    joined = StringIO()
    with pytest.raises(ChatGPT4OnlineError) as caught:
        joined.writelines(stream)
    assert joined.getvalue() == stream.text
    assert stream.text == caught.value.text or len(caught.value.text) > LIMIT
    raise caught.value


def by_conversation(client: Client, message: str) -> None:
    """Ask in a conversation, which does not keep a turn that fails."""
    talk = client.conversation()
    try:
        talk.chat(message)
    finally:
        assert (talk.messages, talk.last) == ([], None)


def by_map(client: Client, message: str) -> None:
    """Ask by `map`, whose outcome has the error."""
    [outcome] = client.map([message])
    assert (outcome.index, outcome.message, outcome.reply) == (0, message, None)
    assert outcome.error is not None
    raise outcome.error


WAYS: Dict[str, Way] = {
    "chat": by_chat,
    "stream": by_stream,
    "conversation": by_conversation,
    "map": by_map,
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of the certificate that clients trust; a process reads a path only once."""
    return tmp_path_factory.mktemp("authority") / "authority.pem"


@pytest.fixture(scope="module")
def certificates(authority: Path) -> Dict[str, ssl.SSLContext]:
    """Return the server's side of TLS for each certificate that rows name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography warns of each old Python
        import trustme
    known, unknown = trustme.CA(), trustme.CA()
    known.cert_pem.write_to_path(str(authority))
    past = datetime(2020, 1, 1, tzinfo=timezone.utc)
    issued = {
        "good": known.issue_cert("127.0.0.1"),
        "another name": known.issue_cert("bot.invalid"),
        "expired": known.issue_cert("127.0.0.1", not_after=past),
        "unknown": unknown.issue_cert("127.0.0.1"),
    }
    contexts = {name: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for name in [*issued, "its own"]}
    for name, certificate in issued.items():
        certificate.configure_cert(contexts[name])
    with unknown.cert_pem.tempfile() as own, unknown.private_key_pem.tempfile() as key:
        contexts["its own"].load_cert_chain(own, key)
    return contexts


@pytest.fixture(autouse=True)
def _rows_apply(
    authority: Path, certificates: Dict[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trust the rows' authority, set their limit, and hardly wait between attempts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    monkeypatch.setattr(fields, "MAX_BYTES", LIMIT)
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)


def open_files() -> int:
    """Return how many files and sockets this process has open; 0 if that cannot be known."""
    listed = Path("/dev/fd")
    return len(list(listed.iterdir())) if listed.is_dir() else 0


def error_of(name: str, client: Client) -> ChatGPT4OnlineError:
    """Return the error of asking in this way."""
    with pytest.raises(ChatGPT4OnlineError) as caught:
        WAYS[name](client, name)
    return caught.value


def errors_of(fault: Fault, site: Site, client: Client) -> Dict[str, ChatGPT4OnlineError]:
    """Ask in each way, concurrently if it takes its time, and return the errors."""
    if fault.waits:
        futures = together([partial(error_of, name, client) for name in WAYS])
        return {name: future.result() for name, future in zip(WAYS, futures)}
    errors = {}
    for name in WAYS:
        site.forget()
        errors[name] = error_of(name, client)
    return errors


def check(error: ChatGPT4OnlineError, fault: Fault, site: str) -> None:
    """
    Check that an error is the row's, is printable, pickles, and contains no secret.

    One about an answer that cannot be read says whether the question may have run.
    """
    assert type(error) is fault.error
    assert (getattr(error, "status", 0), getattr(error, "phase", "")) == (fault.status, fault.phase)
    assert fault.text in (error.text, None)
    assert fault.words in str(error)
    assert (error.site, error.route) == (site, fault.route)
    line = str(error)
    assert line.startswith(f"{site} {fault.route}: ")
    if isinstance(error, ProtocolError):
        assert line.count(" The site may have run the request: check before you ask again.") == (
            fault.route == routes.CHAT
        )
    assert line.isprintable()
    assert len(line) < 1000
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), line, vars(error))
    shown = "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=0))
    for secret in (NONCE, COOKIE):
        assert secret not in shown + repr(vars(error))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_error_and_leaves_nothing(
    name: str, certificates: Dict[str, ssl.SSLContext]
) -> None:
    """A fault is one error in each way of asking, in time; the client stays usable."""
    fault = FAULTS[name]
    held = open_files()
    site = Site(fault, certificates)
    with RawServer(site.serve) as server:
        scheme = "https" if fault.certificate else "http"
        settings = {"timeout": SOON, "retries": RETRIES, **fault.settings}
        with Client(f"{scheme}://{server.address}", **settings) as client:
            began = monotonic()
            errors = errors_of(fault, site, client)
            assert monotonic() - began < SOON
            for way, error in errors.items():
                check(error, fault, client.site)
                assert Counter(map(message_of, server.requests))[way] == fault.sent
            if not fault.is_lasting:
                site.mend()
                assert client.chat("again", timeout=SOON, deadline=SOON) == "Hello"
                assert [message_of(each) for each in server.requests].count("again") == 1
    wait_for(lambda: open_files() <= held)
    assert errors  # which keep no socket open


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints", "199 Odd"])
def test_interim_responses_are_skipped(status: str) -> None:
    """Interim responses are skipped, and the connection is kept."""
    early = head(status, "Link: </style.css>; rel=preload")
    with RawServer(answering(early * 2 + ANSWER.data)) as server, Client(server.url) as client:
        assert [client.chat("Hi"), client.chat("Hi")] == ["Hello"] * 2
        assert server.accepted == 1


@pytest.mark.parametrize("status", ["101 Switching Protocols", "103 Early Hints"])
def test_an_answer_that_is_still_to_come_is_nobody_elses(status: str) -> None:
    """If no final response has come, the next question goes over another connection."""

    def serve(peer: Peer) -> None:
        if peer.number:
            answering(ANSWER.data)(peer)
        elif peer.question():
            peer.send(head(status))
            peer.wait_until_gone()

    with RawServer(serve) as server, requests.Session() as session:
        client = Client(server.url, session=session, timeout=SOON)
        with pytest.raises(StatusError) as caught:
            client.chat("Hi")
        assert caught.value.status == int(status[:3])
        assert client.chat("Hi") == "Hello"
        assert server.gone.get(timeout=SOON) == 0
