"""
What may go wrong between a question and its answer: one row for each way, and what comes of it.

A row tells what the site does, byte by byte, and what the package is to make of it. The numbers of
questions are those of the rule that one is sent again only if it cannot have run.
"""

from __future__ import annotations

import json
import ssl
import threading
import zlib
from collections import Counter
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Type
from typing import Counter as CounterOf

from support import (
    FRAMINGS,
    HELLO,
    PHP,
    Framing,
    Peer,
    Received,
    chunk,
    end,
    event,
    failure,
    head,
    json_reply,
    live,
    reply,
)

from chatgpt4online import (
    AuthError,
    BlockedError,
    ChatGPT4OnlineError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ReplyError,
    ServerError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)

CHAT = "mwai-ui/v1/chats/submit"
START_SESSION = "mwai/v1/start_session"

#: How often a client of these rows sends again what may be sent again.
RETRIES = 1

#: The limits of rows that wait, in seconds: more than a busy machine takes for what comes before.
SILENCE = 0.4
DEADLINE = 0.4

#: The largest event, JSON body or text while these rows run, in bytes.
LIMIT = 100_000

#: What no error may hold.
NONCE = "5ec4e7f00d"
COOKIE = "c00c1ec0ffee"


class Does(NamedTuple):
    """What a site does with a request: some bytes, and then this."""

    data: bytes = b""
    #: "goes on", "closes", "resets", "is silent" or "drips".
    then: str = "goes on"
    #: What it drips.
    drop: bytes = b""

    def to(self, peer: Peer) -> bool:
        """Do it; return whether the connection goes on."""
        peer.send(self.data)
        if self.then == "resets":
            peer.reset()
        elif self.then == "is silent":
            peer.wait_until_gone()
        elif self.then == "drips":
            peer.drip(self.drop, 0.02)
        return self.then == "goes on"


def says(data: bytes) -> Does:
    """Answer, and keep the connection."""
    return Does(data)


def cuts(data: bytes = b"") -> Does:
    """Answer, and close the connection."""
    return Does(data, "closes")


def resets(data: bytes = b"") -> Does:
    """Answer, and break the connection off."""
    return Does(data, "resets")


def stalls(data: bytes = b"") -> Does:
    """Answer, and say no more."""
    return Does(data, "is silent")


def drips(data: bytes, drop: bytes) -> Does:
    """Answer, and go on with the same piece over and over."""
    return Does(data, "drips", drop)


ANSWER = says(PHP.answer().bytes)
SESSION = says(
    json_reply(
        "200 OK",
        {"success": True, "sessionId": COOKIE, "restNonce": NONCE},
        f"Set-Cookie: mwai_session_id={COOKIE}; Path=/; HttpOnly",
    )
)
FRONT_PAGE = says(reply("200 OK", b"<html><title>Home</title></html>", "Content-Type: text/html"))


class Fault(NamedTuple):
    """
    One thing that goes wrong, and what comes of it.

    `question` and `session` are what the site does the first time that it is asked, the second
    time and so on; the last one stands for all further ones. `greeting` is what it does before
    anything is asked, and `certificate` says which one it shows, if it speaks TLS.
    """

    error: Type[ChatGPT4OnlineError]
    question: Sequence[Does] = (ANSWER,)
    #: The text so far; None where that is some of a longer one.
    text: Optional[str] = ""
    #: How many requests with the question reach the site.
    sent: int = 1
    #: What the error says among others.
    words: str = ""
    status: int = 0
    phase: str = ""
    route: str = CHAT
    session: Sequence[Does] = (SESSION,)
    greeting: Optional[Does] = None
    certificate: str = ""
    #: The client's settings beside the rows' own.
    settings: Mapping[str, Any] = {}

    @property
    def waits(self) -> bool:
        """Whether it takes its time."""
        return bool(self.phase) or "deadline" in self.settings

    @property
    def is_lasting(self) -> bool:
        """Whether it is not the site that is to be mended."""
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
        """Begin anew with what is done the first time, the second time and so on."""
        self._asked.clear()

    def mend(self) -> None:
        """Answer everything well from now on."""
        self._mended = True

    def serve(self, peer: Peer) -> None:
        """Serve one connection."""
        if self._fault.greeting is not None and not self._mended:
            if self._fault.certificate:
                peer.begins_tls()  # ssl leaves a socket open that is reset before that
            self._fault.greeting.to(peer)
            return
        if self._fault.certificate:
            peer.secure(self._certificates["good" if self._mended else self._fault.certificate])
        received = peer.receive()
        while received is not None and self._reaction(received).to(peer):
            received = peer.receive()

    def _reaction(self, received: Received) -> Does:
        key = message_of(received)
        script: Sequence[Does] = (FRONT_PAGE,)
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


# ------------------------------------------------------------------- from connecting to headers

def unreached(error: Type[ChatGPT4OnlineError] = TransportError, **fields: Any) -> Fault:
    """Return a row of a site that no request reaches."""
    return Fault(error, sent=0, route=START_SESSION, **fields)


CONNECTING: Faults = {
    "closed when connected": unreached(greeting=cuts()),
    "reset when connected": unreached(greeting=resets()),
    "another protocol's greeting": unreached(greeting=cuts(b"220 mail.example.com ESMTP\r\n")),
    "a dead proxy": unreached(settings={"proxy": "http://127.0.0.1:1"}),
    "an unknown proxy": unreached(settings={"proxy": "http://proxy.invalid:3128"}),
    "a certificate of another name": unreached(certificate="another name", words="match"),
    "a certificate signed by itself": unreached(certificate="its own", words="certificate"),
    "a certificate of an unknown authority": unreached(certificate="unknown", words="certificate"),
    "a certificate that has expired": unreached(certificate="expired", words="certificate"),
    "HTTP on the port of TLS": unreached(
        certificate="good", greeting=cuts(reply("400 Bad Request", b"plain HTTP"))
    ),
    "a handshake that is closed": unreached(certificate="good", greeting=cuts()),
    "a handshake that is reset": unreached(certificate="good", greeting=resets()),
    "a handshake that is cut off": unreached(
        certificate="good", greeting=cuts(b"\x16\x03\x03\x00\x7a\x02\x00")
    ),
    "a handshake that is refused": unreached(
        certificate="good", greeting=cuts(b"\x15\x03\x03\x00\x02\x02\x28")
    ),
    "a handshake of garbage": unreached(certificate="good", greeting=cuts(b"\x00" * 100)),
    "a handshake that stalls": unreached(
        Timeout,
        certificate="good",
        greeting=stalls(),
        phase="connect",
        settings={"timeout": SILENCE, "retries": 0},
    ),
    "a handshake beyond the deadline": unreached(
        Timeout,
        certificate="good",
        greeting=stalls(),
        phase="deadline",
        settings={"deadline": DEADLINE},
    ),
}


def cut_in_head(data: bytes, **fields: Any) -> Fault:
    """Return a row of a response that is none, whose connection is closed after it."""
    return Fault(TransportError, (cuts(data),), **fields)


STATUS_LINES: Faults = {
    "nothing": cut_in_head(b""),
    "a reset": Fault(TransportError, (resets(),)),
    "half a status line": cut_in_head(b"HTTP/1.1 2"),
    "half a status line, reset": Fault(TransportError, (resets(b"HTTP/1.1 2"),)),
    "a blank status line": cut_in_head(b"\r\n\r\n"),
    "a status line without status": cut_in_head(b"HTTP/1.1\r\n\r\n"),
    "a status that is no number": cut_in_head(b"HTTP/1.1 OK 200\r\n\r\n"),
    "a status of two digits": cut_in_head(b"HTTP/1.1 20 OK\r\n\r\n"),
    "a status of four digits": cut_in_head(b"HTTP/1.1 2000 OK\r\n\r\n"),
    "an unknown version of HTTP": cut_in_head(b"HTTP/3.0 200 OK\r\n\r\n"),
    "a frame of HTTP/2": cut_in_head(b"\x00\x00\x06\x04" + bytes(7) + b"\x03\x00\x00\x00\x64"),
    "an answer without a head": cut_in_head(b"".join(HELLO)),
    "the greeting of a mail server": cut_in_head(b"220 mail.example.com ESMTP\r\n"),
    "an alert of TLS": cut_in_head(b"\x15\x03\x03\x00\x02\x02\x28"),
    "a page without a head": cut_in_head(b"<html><body>Hello</body></html>\r\n"),
    "a status line without end": cut_in_head(b"HTTP/1.1 200 " + b"O" * 70_000),
    "an interim response alone": cut_in_head(head("100 Continue")),
    "early hints alone": cut_in_head(head("103 Early Hints", "Link: </a.css>; rel=preload")),
    "early hints, then nothing of use": cut_in_head(head("103 Early Hints") + b"oops\r\n"),
    "a switch to another protocol": Fault(
        StatusError, (says(head("101 Switching Protocols", "Upgrade: h2c")),), status=101
    ),
}

CHUNKED = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
CLOSING = head("200 OK", "Content-Type: text/event-stream", "Connection: close")
STREAM = b"".join(HELLO)

HEADERS: Faults = {
    "cut within a header": Fault(StreamInterrupted, (cuts(b"HTTP/1.1 200 OK\r\nX-"),)),
    "reset within a header": Fault(TransportError, (resets(b"HTTP/1.1 200 OK\r\nX-"),)),
    "a header without end": cut_in_head(b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 70_000),
    "too many headers": cut_in_head(head("200 OK", *["X-A: b"] * 200)),
    "two lengths": cut_in_head(
        head("200 OK", "Content-Length: 5", "Content-Length: 6") + STREAM
    ),
    "a length beyond the answer": Fault(
        StreamInterrupted, (cuts(head("200 OK", "Content-Length: 9000") + HELLO[0]),), "Hel"
    ),
    "a length short of the answer": Fault(
        StreamInterrupted,
        (cuts(head("200 OK", f"Content-Length: {len(STREAM) - 1}") + STREAM),),
        "Hello",
    ),
    "a length of nothing": Fault(
        StreamInterrupted, (cuts(head("200 OK", "Content-Length: 0") + STREAM),)
    ),
    "chunks that are not announced": Fault(
        ProtocolError, (cuts(CLOSING + b"".join(map(chunk, HELLO))),), words="not AI Engine's"
    ),
    "chunks announced that are none": Fault(ProtocolError, (cuts(CHUNKED + STREAM),)),
    "chunks within an unknown coding": Fault(
        ProtocolError,
        (cuts(head("200 OK", "Transfer-Encoding: snappy, chunked") + chunk(STREAM)),),
    ),
}


# --------------------------------------------------------------- framing, and where a body is cut


def in_framing(name: str, framing: Framing) -> Faults:
    """Return the rows of bodies that stop too early, or fail, in one framing."""
    whole = framing.answer()
    sent = {
        "cut after its head": (cuts(whole.head), ""),
        "cut within an event": (cut_within(whole.head, *whole.parts[:2]), "Hel"),
        "cut after an event": (cuts(b"".join([whole.head, *whole.parts[:2]])), "Hello"),
        "cut within its end": (cut_within(whole.head, *whole.parts), "Hello"),
        "ended without an end": (closing(framing, *HELLO[:2]), "Hello"),
        "ended before a blank line": (closing(framing, *HELLO[:2], HELLO[2][:-1]), "Hello"),
        "of no event": (closing(framing), ""),
    }
    found = {
        f"a body ({name}) {place}": Fault(StreamInterrupted, (does,), text)
        for place, (does, text) in sent.items()
    }
    failed = closing(framing, HELLO[0], failure("Sorry"))
    found[f"a body ({name}) with a failure"] = Fault(ReplyError, (failed,), "Hel", words="Sorry")
    return found


def cut_within(*parts: bytes) -> Does:
    """Cut a response in the middle of the last of its parts."""
    return cuts(b"".join(parts[:-1]) + parts[-1][: len(parts[-1]) // 2])


def closing(framing: Framing, *events: bytes) -> Does:
    """Send a whole response of these events, and close where that is what ends it."""
    answer = framing.answer(events).bytes
    return cuts(answer) if framing.delimiter == "close" else says(answer)


BODIES: Faults = {
    row: fault
    for name, framing in FRAMINGS.items()
    if name not in ("a byte a chunk", "length+gzip", "close+gzip")
    for row, fault in in_framing(name, framing).items()
}

BEGUN = CHUNKED + chunk(live("a"))


def broken_chunk(data: bytes, error: Type[ChatGPT4OnlineError] = ProtocolError) -> Fault:
    """Return a row of a body that goes on like this after its first chunk."""
    return Fault(error, (cuts(BEGUN + data),), "a")


CHUNKS: Faults = {
    "a chunk whose size is no number": broken_chunk(b"oops\r\n"),
    "a chunk whose size is negative": broken_chunk(b"-5\r\nhello\r\n"),
    "a chunk without a size": broken_chunk(b"\r\nhello\r\n"),
    "a chunk longer than its size": broken_chunk(b"2\r\nhello\r\n"),
    "a chunk shorter than its size": broken_chunk(b"ff\r\nhello\r\n", StreamInterrupted),
    "a chunk of a size beyond all memory": broken_chunk(b"f" * 16 + b"\r\nx", StreamInterrupted),
    "a size without end": broken_chunk(b"0" * 70_000),
    "a chunk's extension without end": broken_chunk(b"1;" + b"x" * 70_000),
    "a last chunk too early": broken_chunk(b"0\r\n\r\n", StreamInterrupted),
    "a cut within a chunk's size": broken_chunk(b"1", StreamInterrupted),
    "a cut before a chunk's data": broken_chunk(b"10\r\n", StreamInterrupted),
    "a cut within the last chunk": broken_chunk(b"0\r\n", StreamInterrupted),
    "a reset after a chunk": Fault(StreamInterrupted, (resets(BEGUN),), "a"),
    "a page after a chunk": broken_chunk(b"<html>502 Bad Gateway</html>\r\n"),
}


# ------------------------------------------------------------------------------- content codings


def coded(coding: str, body: bytes, error: Type[ChatGPT4OnlineError] = ProtocolError) -> Fault:
    """Return a row of a body in a content coding, or of one that only says so."""
    return Fault(error, (says(reply("200 OK", body, f"Content-Encoding: {coding}")),))


def squeezed(data: bytes, wbits: int = 31) -> bytes:
    """Return data, compressed."""
    squeeze = zlib.compressobj(9, wbits=wbits)
    return squeeze.compress(data) + squeeze.flush()


CODINGS: Faults = {
    "the coding br": coded("br", STREAM),
    "the coding zstd": coded("zstd", STREAM),
    "the coding compress": coded("compress", STREAM),
    "an unknown coding": coded("x-secret", STREAM),
    "two codings": coded("gzip, gzip", squeezed(squeezed(STREAM))),
    "two headers of codings": coded("gzip\r\nContent-Encoding: br", squeezed(STREAM)),
    "gzip that is none": coded("gzip", STREAM),
    "deflate that is none": coded("deflate", STREAM),
    "gzip of nothing": coded("gzip", squeezed(b""), StreamInterrupted),
    "half of gzip's head": coded("gzip", squeezed(STREAM)[:5], StreamInterrupted),
    "gzip cut off": coded("gzip", squeezed(STREAM)[:20], StreamInterrupted),
    "gzip with a wrong checksum": coded("gzip", squeezed(b"data: {")[:-8] + b"\x00" * 8),
    "gzip of gzip": coded("gzip", squeezed(squeezed(STREAM))),
    "gzip of a bomb in JSON": coded("gzip", squeezed(b"{" + b" " * 3 * LIMIT)),
    "gzip of a bomb in an event": coded("gzip", squeezed(b"data: {" + b" " * 3 * LIMIT)),
    "deflate of a bomb": coded("deflate", squeezed(b"data: {" + b" " * 3 * LIMIT, 15)),
    "gzip of a page": coded("gzip", squeezed(b"<html><title>Log in</title></html>")),
}


# ---------------------------------------------------------------------------- what the events say


def saying(
    *events: bytes, error: Type[ChatGPT4OnlineError] = ProtocolError, words: str = ""
) -> Fault:
    """Return a row of a whole stream of one piece of text and then these events."""
    return Fault(error, (says(PHP.answer([live("a"), *events]).bytes),), "a", words=words)


def failed(*events: bytes, words: str) -> Fault:
    """Return a row of a stream that tells of a failure after some text."""
    return saying(*events, error=ReplyError, words=words)


def odd_end(answer: Any) -> bytes:
    """Return a last event that holds any JSON."""
    return event(type="end", data=json.dumps(answer))


EVENTS: Faults = {
    "an event that is no JSON": saying(b"data: oops\n\n"),
    "an event of half a JSON": saying(b'data: {"type":"live","da\n\n'),
    "an event that is a list": saying(b"data: []\n\n"),
    "an event that is not UTF-8": saying(b'data: {"type":"live","data":"\xff"}\n\n'),
    "events in another encoding": saying(
        live("b").decode().encode("utf-16"), error=StreamInterrupted
    ),
    "an event with half a number": saying(b'data: {"type":"live","timestamp":1e}\n\n'),
    "text that is a number": saying(event(type="live", data=5)),
    "text that is an object": saying(event(type="live", data={"b": 1})),
    "an event over the limit": saying(live("x" * 3 * LIMIT)),
    "a line over the limit": saying(b": " + b"x" * 3 * LIMIT + b"\n\n"),
    "a text over the limit": saying(*[live("x" * 1000)] * 101)._replace(text=None),
    "comments alone": saying(*[b": keepalive\n\n"] * 3, error=StreamInterrupted),
    "empty events alone": saying(*[b"data: \n\n"] * 3, error=StreamInterrupted),
    "unknown events alone": saying(event(type="ping"), event(a=1), error=StreamInterrupted),
    "other fields alone": saying(b"event: end\nid: 7\nretry: 1\n\n", error=StreamInterrupted),
    "thoughts alone": saying(live("Hm", subtype="thinking"), error=StreamInterrupted),
    "noise alone": saying(b"<!-- cached -->\n\n", error=StreamInterrupted),
    "an end under another name": saying(event(type="done", data="{}"), error=StreamInterrupted),
    "a fatal error of PHP": saying(b"<br />\n<b>Fatal error</b>: x\n\n", error=StreamInterrupted),
    "a critical error": saying(b"<p>There has been a critical error.</p>", error=StreamInterrupted),
    "an end that tells of failure": failed(
        odd_end({"success": False, "message": "No credit"}), words="No credit"
    ),
    "an end whose reply is a number": saying(odd_end({"success": True, "reply": 5})),
    "an end whose reply is null": saying(odd_end({"success": True, "reply": None})),
    "a failure": failed(failure("Vendor: overloaded"), words="Vendor: overloaded"),
    "a failure in HTML": failed(failure("<b>No</b>\ncredit"), words="No credit"),
    "an empty failure": failed(failure(""), words="no reason"),
    "an empty failure, then another": failed(failure(""), failure("Really"), words="Really"),
    "a failure that is null": failed(event(type="error", data=None), words="no reason"),
    "a failure that is an object": failed(event(type="error", data={"a": "b"}), words='{"a": "b"}'),
    "a failure without data": failed(event(type="error"), words="no reason"),
    "a failure after a thought": failed(
        live("Hm", subtype="thinking"), failure("Sorry"), words="Sorry"
    ),
    "a failure before an end": failed(failure("Sorry"), end("a"), words="Sorry"),
}


def silent(*events: bytes, error: Type[ChatGPT4OnlineError] = ProtocolError) -> Fault:
    """Return a row of a whole stream without text."""
    return Fault(error, (says(PHP.answer(events).bytes),))


WITHOUT_TEXT: Faults = {
    "an end that is false": silent(event(type="end", data=False)),
    "an end that is cut off": silent(event(type="end", data='{"success":true,"rep')),
    "an end that is a list": silent(event(type="end", data="[]")),
    "an end without data": silent(event(type="end")),
    "an end without a reply": silent(odd_end({"success": True})),
    "an end that is empty": silent(odd_end({})),
    "a keepalive alone": silent(b": keepalive\n\n", error=StreamInterrupted),
    "a first event that is broken": silent(b"data: {\n\n"),
    "a first event that fails": silent(failure("Sorry"), error=ReplyError),
}


# ------------------------------------------------------------------------------ JSON, text, pages


def bare(body: bytes, error: Type[ChatGPT4OnlineError] = ProtocolError, **fields: Any) -> Fault:
    """Return a row of a whole body that is no stream."""
    return Fault(error, (says(reply("200 OK", body)),), **fields)


def answered(answer: Any, error: Type[ChatGPT4OnlineError] = ProtocolError, **fields: Any) -> Fault:
    """Return a row of an answer that is plain JSON."""
    return Fault(error, (says(json_reply("200 OK", answer)),), **fields)


JSON: Faults = {
    "JSON of nothing": answered({}),
    "JSON of something else": answered({"hello": "world"}),
    "JSON without success": answered({"reply": "Hello"}),
    "JSON whose success is no boolean": answered({"success": "true", "reply": "Hello"}),
    "JSON without a reply": answered({"success": True}),
    "JSON whose reply is a number": answered({"success": True, "reply": 5}),
    "JSON that is a list": answered([]),
    "JSON that is null": answered(None),
    "JSON that is a text": answered("Hello"),
    "JSON that is broken": bare(b'{"success": tru}'),
    "JSON that is cut off": bare(b'{"success": true, "reply": "Hel'),
    "JSON that is cut from its length": Fault(
        StreamInterrupted, (cuts(json_reply("200 OK", {"success": True, "reply": "Hello"})[:-5]),)
    ),
    "JSON that is not UTF-8": bare(b'{"success": true, "reply": "\xff"}'),
    "JSON over the limit": bare(b'{"success": true, "reply": "' + b"x" * 3 * LIMIT + b'"}'),
    "JSON of a failure": answered({"success": False, "message": "No"}, ReplyError, words="No"),
    "JSON of a failure without words": answered({"success": False}, ReplyError, words="no reason"),
    "JSON of a refusal": answered(
        {"code": "rest_no_route", "message": "No", "data": {"status": 404}},
        NotFoundError,
        status=404,
    ),
    "nothing at all": bare(b"", StreamInterrupted, words="empty"),
    "blank lines": bare(b" \r\n" * 10, StreamInterrupted, words="empty"),
    "a byte order mark alone": bare(b"\xef\xbb\xbf", StreamInterrupted, words="empty"),
    "plain text": bare(b"Hello", words="Hello"),
    "XML": bare(b'<?xml version="1.0"?><reply>Hello</reply>'),
    "a picture": bare(b"\x89PNG\r\n\x1a\n" + bytes(100)),
    "white space over the limit": bare(b" " * 3 * LIMIT, StreamInterrupted, words="empty"),
    "warnings alone": bare(b"<br />\n<b>Warning</b>: x\n"),
    "warnings over the limit": bare(b"<br />\n<b>Warning</b>: x\n" * 5000),
    "a fatal error alone": bare(b"<br />\n<b>Fatal error</b>: x"),
    "the login page": bare(b"<html><title>Log in</title></html>", words="Log in"),
    "a page without a title": bare(b"<!DOCTYPE html><p>Hello", words="web page"),
    "status 204": Fault(StreamInterrupted, (says(head("204 No Content")),)),
}


# ---------------------------------------------------------------- refusals, by protocol.md's table

LATE = "There has been a critical error on this website."
CRITICAL = {"code": "internal_server_error", "message": LATE, "data": {"status": 500}}


def title(words: str) -> bytes:
    """Return a page of this title."""
    return f"<!DOCTYPE html><html><head><title>{words}</title></head></html>".encode()


def refused(
    status: str, error: Type[ChatGPT4OnlineError], body: Any = b"", *fields: str, **more: Any
) -> Fault:
    """Return a row of a refusal, in JSON unless its body is bytes."""
    answer = reply if isinstance(body, bytes) else json_reply
    number = 0 if error is ReplyError else int(status.split(maxsplit=1)[0])
    return Fault(error, (says(answer(status, body, *fields)),), status=number, **more)


def wordpress(
    status: str, error: Type[ChatGPT4OnlineError], code: str, **more: Any
) -> Fault:
    """Return a row of a refusal of WordPress's."""
    body = {"code": code, "message": "Not so.", "data": {"status": int(status[:3])}}
    return refused(status, error, body, words=code, **more)


#: What WordPress refuses (3.1), and how it dies (3.2).
WORDPRESS: Faults = {
    "403 rest_cookie_invalid_nonce": wordpress(
        "403 Forbidden", AuthError, "rest_cookie_invalid_nonce", sent=2
    ),
    "401 rest_forbidden": wordpress("401 Unauthorized", AuthError, "rest_forbidden", sent=2),
    "403 rest_forbidden": wordpress("403 Forbidden", AuthError, "rest_forbidden"),
    "404 rest_no_route": wordpress("404 Not Found", NotFoundError, "rest_no_route"),
    "404 in HTML": refused("404 Not Found", NotFoundError, title("Not found")),
    "400 rest_invalid_json": wordpress("400 Bad Request", StatusError, "rest_invalid_json"),
    "401 rest_login_required": wordpress("401 No", AuthError, "rest_login_required"),
    "401 rest_not_logged_in": wordpress("401 No", AuthError, "rest_not_logged_in"),
    "403 rest_cannot_access": wordpress("403 No", AuthError, "rest_cannot_access"),
    "500 rest_encode_error": wordpress("500 Oops", ServerError, "rest_encode_error"),
    "a fatal error in JSON": refused("500 Oops", ServerError, CRITICAL, words=LATE),
    "a fatal error in HTML": refused("500 Oops", ServerError, title("WordPress &rsaquo; Error")),
    "maintenance in JSON": refused(
        "503 Service Unavailable",
        ServerError,
        {"code": "wp_die", "message": "Briefly unavailable.", "data": {"status": 503}},
        "Retry-After: 600",
    ),
    "maintenance in HTML": refused(
        "503 Service Unavailable", ServerError, title("Maintenance"), "Retry-After: 600"
    ),
    "a database that is down": refused(
        "500 Oops", ServerError, title("Database Error"), words="Database Error"
    ),
    "500 of nothing": refused("500 Internal Server Error", ServerError),
    "502 in HTML": refused("502 Bad Gateway", ServerError, title("502 Bad Gateway")),
    "503 in HTML": refused("503 Service Unavailable", ServerError, title("503")),
    "504 in HTML": refused("504 Gateway Time-out", ServerError, title("504")),
    "403 challenge": refused("403 Forbidden", BlockedError, title("Just a moment...")),
    "429 challenge": refused("429 Slow down", BlockedError, title("Just a moment...")),
    "503 challenge": refused("503 Wait", BlockedError, title("Just a moment..."), "Retry-After: 0"),
    "a challenge that a header tells of": refused(
        "503 Wait", BlockedError, b"", "cf-mitigated: challenge", "Retry-After: 0"
    ),
    "a challenge under 200": refused("200 OK", BlockedError, title("Just a moment...")),
    "413 in HTML": refused("413 Too Large", StatusError, title("413"), words="HTTP 413"),
    **{
        f"{status} of a CDN": refused(f"{status} Oops", ServerError, b"error code: %d" % status)
        for status in (520, 522, 524, 530)
    },
}

LIMIT_REACHED = "You have reached the limit (check the Insights Tab > Limits > Guests)."
REJECTED = "Sorry, your query has been rejected."
MODERATED = "Sorry, your message has been rejected by moderation."

#: The plugin's own failures that are raised before the stream begins (3.3).
EARLY: Dict[str, str] = {
    "no bot, or too long": REJECTED,
    "moderation": MODERATED,
}

#: Those that are raised when its headers have been sent.
STREAMED: Dict[str, str] = {
    "a banned word": "Your query has been rejected.",
    "the limit of guests": LIMIT_REACHED,
    "the limit of the system": "Our chatbot went to sleep. Please try again later.",
    "a filter": "Unauthorized query.",
    "output before the stream": "Headers already sent in x.php on line 7. Cannot start streaming.",
    "a model that is not there": "The model 'x' is not available.",
    "a missing key": "No API Key provided. Please visit the Settings.",
    "an invalid query": "Invalid query object (no class).",
    "an unknown environment": "Unknown environment type: x.",
    "a vector store": "Failed to add file to vector store.",
    "a file": "AI Engine: The file could not be read.",
    "a vendor": "From Anthropic: Overloaded",
    "another vendor": "AI Engine (Gemini Interactions) HTTP 429: Quota exceeded",
    "a vendor's code": "Error: The server is overloaded (503) (server_error)",
    "a function": "Function 'weather' not found in the tools.",
    "the server": "Oops! Something went wrong on the server. Please try again.",
    "a realtime model": "Realtime models (like x) are designed for voice/audio interactions only.",
}

#: Of these, those that stand for the others where the answer is no stream.
AS_JSON = ("a banned word", "the limit of guests", "a vendor", "the server")


def in_json(status: str, message: str) -> Fault:
    """Return a row of a failure in JSON."""
    body = {"success": False, "message": message}
    return refused(status, ReplyError, body, words=message)


def in_stream(message: str, kind: str) -> Fault:
    """Return a row of a failure in a stream, under this content type."""
    body = failure(message)
    answer = reply("200 OK", body, f"Content-Type: {kind}")
    return Fault(ReplyError, (says(answer),), words=message)


PLUGIN: Faults = {
    "rejected in JSON": in_json("403 Forbidden", REJECTED),
    "an expired shortcut": in_json("400 Bad Request", "Invalid or expired shortcut."),
    **{f"{name}, in JSON": in_json("500 Oops", said) for name, said in EARLY.items()},
    **{f"{name}, in JSON": in_json("500 Oops", STREAMED[name]) for name in AS_JSON},
    **{
        f"{name}, in a stream under JSON's type": in_stream(said, "application/json; charset=UTF-8")
        for name, said in EARLY.items()
    },
    **{
        f"{name}, in a stream": in_stream(said, "text/event-stream;charset=UTF-8")
        for name, said in STREAMED.items()
    },
}

STATUSES: Faults = {
    "400 of nothing": refused("400 Bad Request", StatusError),
    "401 in HTML": refused("401 Unauthorized", AuthError, title("Log in"), words="Log in"),
    "403 in HTML": refused("403 Forbidden", BlockedError, title("Forbidden")),
    "403 of nothing": refused("403 Forbidden", BlockedError),
    "405": refused("405 Method Not Allowed", StatusError, b"", "Allow: GET"),
    "407": refused("407 Proxy Authentication Required", StatusError),
    "408": refused("408 Request Timeout", StatusError, b"", "Connection: close"),
    "410": refused("410 Gone", StatusError),
    "425": refused("425 Too Early", StatusError, b"", "Retry-After: 0"),
    "451": refused("451 Unavailable For Legal Reasons", StatusError),
    "501": refused("501 Not Implemented", ServerError),
    "999": refused("999 Request Denied", ServerError),
    "429 of nothing": refused("429 Too Many Requests", RateLimitError),
    "429, back at once": refused(
        "429 Too Many Requests", RateLimitError, b"", "Retry-After: 0", sent=1 + RETRIES
    ),
    "429, back in an hour": refused("429 Too Many", RateLimitError, b"", "Retry-After: 3600"),
    "429, back beyond the deadline": refused(
        "429 Too Many", RateLimitError, b"", "Retry-After: 60", settings={"deadline": 30}
    ),
    "429, back some time": refused("429 Too Many", RateLimitError, b"", "Retry-After: soon"),
    "429, back before now": refused("429 Too Many", RateLimitError, b"", "Retry-After: -1"),
    "503, back at once": refused(
        "503 Unavailable", ServerError, b"", "Retry-After: 0", sent=1 + RETRIES
    ),
    "500, back at once": refused("500 Oops", ServerError, b"", "Retry-After: 0"),
    "502, back at once": refused("502 Bad Gateway", ServerError, b"", "Retry-After: 0"),
    "504, back at once": refused("504 Gateway Time-out", ServerError, b"", "Retry-After: 0"),
    "a refusal that is cut": Fault(
        ServerError, (cuts(head("500 Oops", "Content-Length: 99") + b"<title>Oo"),), status=500
    ),
    "a refusal of broken chunks": Fault(
        ServerError,
        (cuts(head("500 Oops", "Transfer-Encoding: chunked") + b"oops\r\n"),),
        status=500,
    ),
    "a refusal of broken gzip": refused("500 Oops", ServerError, b"oops", "Content-Encoding: gzip"),
    "a refusal that is a stream": refused("500 Oops", ServerError, b"".join(HELLO)),
    "a refusal that lasts": Fault(
        ServerError, (cuts(head("500 Oops", "Connection: close") + b"x" * 500_000),), status=500
    ),
}

STALE = wordpress("403 Forbidden", AuthError, "rest_cookie_invalid_nonce").question[0]
BUSY = refused("429 Too Many", RateLimitError, b"", "Retry-After: 0").question[0]
OOPS = says(reply("500 Oops"))

#: Failures that follow one after which a question may be sent again.
SECOND_TIME: Faults = {
    "a stale nonce, then a failing server": Fault(ServerError, (STALE, OOPS), sent=2, status=500),
    "a stale nonce, then a cut": Fault(TransportError, (STALE, cuts()), sent=2),
    "a stale nonce, then a cut answer": Fault(
        StreamInterrupted, (STALE, cuts(BEGUN)), text="a", sent=2
    ),
    "a stale nonce, then a failure": Fault(
        ReplyError, (STALE, in_stream("Sorry.", "text/event-stream").question[0]), sent=2
    ),
    "a stale nonce, then a busy site": Fault(
        RateLimitError, (STALE, BUSY), sent=2 + RETRIES, status=429
    ),
    "a busy site, then a failing server": Fault(ServerError, (BUSY, OOPS), sent=2, status=500),
    "a busy site, then a reset": Fault(TransportError, (BUSY, resets()), sent=2),
    "a busy site, then a stale nonce": Fault(
        AuthError, (BUSY, STALE), sent=2 + RETRIES, status=403, words="rest_cookie_invalid_nonce"
    ),
    "a stale nonce, and none to be had": Fault(
        ServerError, (STALE,), status=500, route=START_SESSION, session=(SESSION, OOPS)
    ),
    "a stale nonce, and a cut for the next": Fault(
        TransportError, (STALE,), route=START_SESSION, session=(SESSION, cuts())
    ),
    "a stale nonce, and a firewall": Fault(
        BlockedError,
        (STALE,),
        status=403,
        route=START_SESSION,
        session=(SESSION, says(reply("403 Forbidden", title("Just a moment...")))),
    ),
}


# ------------------------------------------------------------------------------------- the nonce


def no_nonce(error: Type[ChatGPT4OnlineError], *does: Does, **fields: Any) -> Fault:
    """Return a row of a site that gives no nonce, so that no question is sent."""
    return Fault(error, sent=0, route=START_SESSION, session=does, **fields)


def gives(fields: Any) -> Does:
    """Answer a request for a nonce with this JSON."""
    return says(json_reply("200 OK", fields))


def session_refused(status: str, error: Type[ChatGPT4OnlineError], body: Any = b"") -> Fault:
    """Return a row of a refused request for a nonce."""
    fault = refused(status, error, body)
    return no_nonce(error, *fault.question, status=fault.status)


def wordpress_body(code: str, status: int) -> Dict[str, Any]:
    """Return the JSON of a refusal of WordPress's."""
    return {"code": code, "message": "Not so.", "data": {"status": status}}


NO_NONCE: Faults = {
    "no nonce: a cut": no_nonce(TransportError, cuts()),
    "no nonce: a reset": no_nonce(TransportError, resets()),
    "no nonce: a cut in the headers": no_nonce(StreamInterrupted, cuts(b"HTTP/1.1 200 OK\r\nX-")),
    "no nonce: a cut in the body": no_nonce(StreamInterrupted, cuts(SESSION.data[:-5])),
    "no nonce: a cut in chunks": no_nonce(StreamInterrupted, cuts(CHUNKED + b'5\r\n{"suc\r\n')),
    "no nonce: not HTTP": no_nonce(TransportError, cuts(b"220 ftp.example.com ready\r\n")),
    "no nonce: nothing": no_nonce(StreamInterrupted, says(reply("200 OK"))),
    "no nonce: broken JSON": no_nonce(ProtocolError, says(reply("200 OK", b'{"success": tru}'))),
    "no nonce: not UTF-8": no_nonce(ProtocolError, says(reply("200 OK", b'{"a": "\xff"}'))),
    "no nonce: JSON over the limit": no_nonce(
        ProtocolError, says(reply("200 OK", b'{"a": "' + b"x" * LIMIT))
    ),
    "no nonce: none in it": no_nonce(ProtocolError, gives({"success": True, "sessionId": "N/A"})),
    "no nonce: null": no_nonce(ProtocolError, gives({"success": True, "restNonce": None})),
    "no nonce: a number": no_nonce(ProtocolError, gives({"success": True, "restNonce": 5})),
    "no nonce: a list of them": no_nonce(
        ProtocolError, gives({"success": True, "restNonce": [NONCE]})
    ),
    "no nonce: several lines": no_nonce(
        ProtocolError, gives({"success": True, "restNonce": f"{NONCE}\r\nX-Evil: 1"})
    ),
    "no nonce: letters that no header has": no_nonce(
        ProtocolError, gives({"success": True, "restNonce": "n\u00f6nce"})
    ),
    "no nonce: too long": no_nonce(ProtocolError, gives({"success": True, "restNonce": "a" * 129})),
    "no nonce: a failure": no_nonce(
        ReplyError, gives({"success": False, "message": "No session."}), words="No session."
    ),
    "no nonce: a stream": no_nonce(ProtocolError, ANSWER),
    "no nonce: a page": no_nonce(ProtocolError, says(reply("200 OK", title("Home")))),
    "no nonce: broken gzip": no_nonce(
        ProtocolError, says(reply("200 OK", b"oops", "Content-Encoding: gzip"))
    ),
    "no nonce: the coding br": no_nonce(
        ProtocolError, says(reply("200 OK", b"oops", "Content-Encoding: br"))
    ),
    "no nonce: 401 (2.9.0)": session_refused(
        "401 Unauthorized", AuthError, wordpress_body("rest_forbidden", 401)
    ),
    "no nonce: 403": session_refused(
        "403 Forbidden", AuthError, wordpress_body("rest_cannot_access", 403)
    ),
    "no nonce: a challenge": session_refused("403 No", BlockedError, title("Just a moment...")),
    "no nonce: 404 rest_no_route": session_refused(
        "404 Not Found", NotFoundError, wordpress_body("rest_no_route", 404)
    ),
    "no nonce: 404 in HTML": session_refused("404 Not Found", NotFoundError, title("Not found")),
    "no nonce: 500": session_refused("500 Oops", ServerError, CRITICAL),
    "no nonce: 503": session_refused("503 Unavailable", ServerError),
    "no nonce: a failure under 500": session_refused(
        "500 Oops", ReplyError, {"success": False, "message": "No"}
    ),
    "no nonce: maintenance": no_nonce(
        ServerError, says(reply("503 Unavailable", b"", "Retry-After: 600")), status=503
    ),
    "no nonce: twice busy": no_nonce(
        RateLimitError, says(reply("429 Too Many", b"", "Retry-After: 0")), status=429
    ),
    "no nonce: a redirect to another host": no_nonce(
        StatusError,
        says(reply("301 Moved", b"", "Location: http://localhost:1/wp-json/" + START_SESSION)),
        status=301,
        words="localhost",
    ),
    "no nonce: a redirect to the login page": no_nonce(
        StatusError, says(reply("302 Found", b"", "Location: /wp-login.php?next=x")), status=302
    ),
}


# --------------------------------------------------------------------------------------- redirects


def moved(location: str, status: str = "301 Moved", **fields: Any) -> Fault:
    """Return a row of a question that is sent elsewhere."""
    does = says(reply(status, b"<html>moved</html>", f"Location: {location}"))
    return Fault(StatusError, (does,), status=int(status.split(maxsplit=1)[0]), **fields)


REDIRECTS: Faults = {
    "a redirect to another host": moved(f"http://localhost:1/{CHAT}", words="localhost"),
    "a redirect to another port": moved(f"http://127.0.0.1:1/wp-json/{CHAT}", words="127.0.0.1:1"),
    "a redirect to another scheme": moved(f"ftp://127.0.0.1/wp-json/{CHAT}", words="ftp://"),
    "a redirect to another route": moved("/wp-json/mwai/v1/simpleTextQuery"),
    "a redirect to the login page": moved("/wp-login.php?redirect_to=x", "302 Found"),
    "a redirect with a user": moved(f"http://user:secret@127.0.0.1/{CHAT}"),
    "a redirect with a query": moved(f"/fr/{CHAT}?lang=fr"),
    "a redirect to no URL": moved("http://[", words="not a URL"),
    "a redirect to a port that is none": moved(f"http://127.0.0.1:port/{CHAT}"),
    "a redirect of several lines": moved("/wp-login.php\r\n Set-Cookie: a=b"),
    "a redirect to nowhere": Fault(StatusError, (says(reply("302 Found")),), status=302),
    "300": moved(f"/new/{CHAT}", "300 Multiple Choices"),
    "303": moved(f"/new/{CHAT}", "303 See Other"),
    "304": Fault(StatusError, (says(head("304 Not Modified")),), status=304),
    "305": moved(f"/new/{CHAT}", "305 Use Proxy"),
    "redirects in a circle": moved(f"/wp-json/{CHAT}", "307 Temporary Redirect", sent=6),
    "a redirect from https to http": moved(
        f"http://127.0.0.1:1/wp-json/{CHAT}", certificate="good", words="http://127.0.0.1:1"
    ),
}


# ---------------------------------------------------------------------------------- limits of time


def silence(*does: Does, text: str = "", **fields: Any) -> Fault:
    """Return a row of a site that is silent for longer than the caller allows."""
    settings = {"timeout": (10, SILENCE)}
    return Fault(Timeout, does, text, phase="read", settings=settings, **fields)


def too_late(*does: Does, text: str = "") -> Fault:
    """Return a row of a site that is not done by the deadline."""
    return Fault(Timeout, does, text, phase="deadline", settings={"deadline": DEADLINE})


def from_session(fault: Fault) -> Fault:
    """Return the row of the same thing where a nonce is asked for."""
    return fault._replace(session=fault.question, question=(ANSWER,), sent=0, route=START_SESSION)


TIMES: Faults = {
    "silence before the headers": silence(stalls()),
    "silence within the headers": silence(stalls(b"HTTP/1.1 200 OK\r\nX-")),
    "silence after an event": silence(stalls(BEGUN), text="a"),
    "silence after a stale nonce": silence(STALE, stalls(), sent=2),
    "silence instead of a nonce": from_session(silence(stalls())),
    "silence within the nonce's JSON": from_session(silence(stalls(SESSION.data[:-5]))),
    "a header beyond the deadline": too_late(drips(b"HTTP/1.1 200 OK\r\nX-A: ", b"b")),
    "comments beyond the deadline": too_late(drips(BEGUN, chunk(b": keepalive\n\n")), text="a"),
    "a refusal beyond the deadline": Fault(
        ServerError,
        (drips(head("500 Oops", "Connection: close"), b"x"),),
        status=500,
        settings={"deadline": DEADLINE},
    ),
    "a nonce beyond the deadline": from_session(
        too_late(drips(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"))
    ),
}

#: All rows that a site can play.
FAULTS: Faults = {
    **CONNECTING,
    **STATUS_LINES,
    **HEADERS,
    **BODIES,
    **CHUNKS,
    **CODINGS,
    **EVENTS,
    **WITHOUT_TEXT,
    **JSON,
    **WORDPRESS,
    **PLUGIN,
    **STATUSES,
    **SECOND_TIME,
    **NO_NONCE,
    **REDIRECTS,
    **TIMES,
}
