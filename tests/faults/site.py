"""A site that has a fault, and what a row says about it."""

from __future__ import annotations

import json
import ssl
import threading
from collections import Counter
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Type
from typing import Counter as CounterOf

from support import PHP, Peer, Received, head, json_reply, reply

from chatgpt4online import ChatGPT4OnlineError

CHAT = "mwai-ui/v1/chats/submit"
START_SESSION = "mwai/v1/start_session"

#: The `retries` of these rows' clients.
RETRIES = 1

#: The limits of rows that wait, in seconds: more than a busy machine takes for what comes before.
SILENCE = 0.4
DEADLINE = 0.4

#: The largest event, JSON body or text in these rows, in bytes.
LIMIT = 100_000

#: What no error may contain.
NONCE = "5ec4e7f00d"
COOKIE = "c00c1ec0ffee"


class Reaction(NamedTuple):
    """What a site does with a request: it sends some bytes, and then this."""

    data: bytes = b""
    #: "goes on", "closes", "resets", "is silent" or "drips".
    then: str = "goes on"
    #: What it drips.
    drop: bytes = b""

    def play(self, peer: Peer) -> bool:
        """React, and return whether the connection goes on."""
        peer.send(self.data)
        if self.then == "resets":
            peer.reset()
        elif self.then == "is silent":
            peer.wait_until_gone()
        elif self.then == "drips":
            peer.drip(self.drop, 0.02)
        return self.then == "goes on"


def says(data: bytes) -> Reaction:
    """Respond, and keep the connection."""
    return Reaction(data)


def cuts(data: bytes = b"") -> Reaction:
    """Respond, and close the connection."""
    return Reaction(data, "closes")


def resets(data: bytes = b"") -> Reaction:
    """Respond, and reset the connection."""
    return Reaction(data, "resets")


def stalls(data: bytes = b"") -> Reaction:
    """Respond, and send nothing more."""
    return Reaction(data, "is silent")


def drips(data: bytes, drop: bytes) -> Reaction:
    """Respond, and then send the same piece over and over."""
    return Reaction(data, "drips", drop)


def title(words: str) -> bytes:
    """Return a page with this title."""
    return f"<!DOCTYPE html><html><head><title>{words}</title></head></html>".encode()


#: The beginning of a response in chunks.
CHUNKED = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
ANSWER = says(PHP.answer().bytes)
SESSION = says(
    json_reply(
        "200 OK",
        {"success": True, "sessionId": COOKIE, "restNonce": NONCE},
        f"Set-Cookie: mwai_session_id={COOKIE}; Path=/; HttpOnly",
    )
)
_FRONT_PAGE = says(reply("200 OK", title("Home"), "Content-Type: text/html"))


class Fault(NamedTuple):
    """
    One thing that goes wrong, and what comes of it.

    `question` and `session` are the site's reactions to the first request of that kind, the second
    and so on; the last one is for all further requests. `greeting` is what the site does before any
    request, and `certificate` names the one it shows, if it speaks TLS.
    """

    error: Type[ChatGPT4OnlineError]
    question: Sequence[Reaction] = (ANSWER,)
    #: The text so far; None if that is a part of a longer text.
    text: Optional[str] = ""
    #: How many requests with the question reach the site.
    sent: int = 1
    #: A part of the error's message.
    words: str = ""
    status: int = 0
    phase: str = ""
    route: str = CHAT
    session: Sequence[Reaction] = (SESSION,)
    greeting: Optional[Reaction] = None
    certificate: str = ""
    #: Settings of the client in addition to those of all rows.
    settings: Mapping[str, Any] = {}

    @property
    def waits(self) -> bool:
        """Whether it takes its time."""
        return bool(self.phase) or "deadline" in self.settings

    @property
    def is_lasting(self) -> bool:
        """Whether mending the site does not help."""
        return "proxy" in self.settings


Faults = Dict[str, Fault]


class Site:
    """
    A site that has a fault, until it is mended.

    Args:
        fault: what is wrong with it.
        certificates: the server's side of TLS, by the names that rows give it.
    """

    def __init__(self, fault: Fault, certificates: Mapping[str, ssl.SSLContext]) -> None:
        self._fault = fault
        self._certificates = certificates
        self._asked: CounterOf[str] = Counter()
        self._lock = threading.Lock()
        self._mended = False

    def forget(self) -> None:
        """Begin again with the first reactions."""
        self._asked.clear()

    def mend(self) -> None:
        """Answer everything correctly from now on."""
        self._mended = True

    def serve(self, peer: Peer) -> None:
        """Serve one connection."""
        if self._fault.greeting is not None and not self._mended:
            if self._fault.certificate:
                peer.begins_tls()  # ssl leaves a socket open that is reset before that
            self._fault.greeting.play(peer)
            return
        if self._fault.certificate:
            peer.secure(self._certificates["good" if self._mended else self._fault.certificate])
        received = peer.receive()
        while received is not None and self._reaction(received).play(peer):
            received = peer.receive()

    def _reaction(self, received: Received) -> Reaction:
        key = message_of(received)
        script: Sequence[Reaction] = (_FRONT_PAGE,)
        if received.is_session:
            script = (SESSION,) if self._mended else self._fault.session
        elif key:
            script = (ANSWER,) if self._mended else self._fault.question
        with self._lock:
            at = min(self._asked[key], len(script) - 1)
            self._asked[key] += 1
        return script[at]


def message_of(received: Received) -> str:
    """Return the question that a request asks; "" if it asks none."""
    if not received.line.startswith("POST") or received.is_session:
        return ""
    return str(json.loads(received.body)["newMessage"])
