"""Faults of refusals, nonces and redirects, failures in a row, and limits of time."""

from __future__ import annotations

from typing import Any, Type

from support import HELLO, chunk, head, json_reply, live, reply

from chatgpt4online import (
    AuthError,
    BlockedError,
    ChatGPT4OnlineError,
    ProtocolError,
    RateLimitError,
    ReplyError,
    ServerError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)

from .site import (
    ANSWER,
    CHAT,
    CHUNKED,
    DEADLINE,
    LIMIT,
    RETRIES,
    SESSION,
    SILENCE,
    START_SESSION,
    Fault,
    Faults,
    Reaction,
    cuts,
    drips,
    resets,
    says,
    stalls,
    title,
)

BEGUN = CHUNKED + chunk(live("a"))
FAILURE = {"success": False, "message": "No session."}


def refused(error: Type[ChatGPT4OnlineError], status: int, *reactions: Reaction) -> Fault:
    """Return a row of a question that is refused."""
    return Fault(error, reactions, status=status)


#: Each status has a row in the unit tests; these differ in their bytes.
STATUSES: Faults = {
    "a refusal without a body": refused(ServerError, 500, says(reply("500 Oops"))),
    "a refusal in HTML": refused(ServerError, 502, says(reply("502 Oops", title("Bad Gateway")))),
    "a challenge in place of an answer": refused(
        BlockedError, 503, says(reply("503 Wait", title("Just a moment..."), "Retry-After: 0"))
    ),
    "a refusal that closes": refused(
        StatusError, 408, says(reply("408 Request Timeout", b"", "Connection: close"))
    ),
    "a refusal that is cut": refused(
        ServerError, 500, cuts(head("500 Oops", "Content-Length: 99") + b"<title>Oo")
    ),
    "a refusal of broken chunks": refused(
        ServerError, 500, cuts(head("500 Oops", "Transfer-Encoding: chunked") + b"oops\r\n")
    ),
    "a refusal of broken gzip": refused(
        ServerError, 500, says(reply("500 Oops", b"oops", "Content-Encoding: gzip"))
    ),
    "a refusal that is a stream": refused(
        ServerError, 500, says(reply("500 Oops", b"".join(HELLO)))
    ),
    "a refusal that lasts": refused(
        ServerError, 500, cuts(head("500 Oops", "Connection: close") + b"x" * 500_000)
    ),
}

STALE = says(
    json_reply("403 Forbidden", {"code": "rest_cookie_invalid_nonce", "message": "Not so."})
)
BUSY = says(reply("429 Too Many", b"", "Retry-After: 0"))
OOPS = says(reply("500 Oops"))

#: Failures of a question that has been sent again.
SECOND_TIME: Faults = {
    "a stale nonce, then a failing server": Fault(ServerError, (STALE, OOPS), sent=2, status=500),
    "a stale nonce, then a cut": Fault(TransportError, (STALE, cuts()), sent=2),
    "a stale nonce, then a cut answer": Fault(
        StreamInterrupted, (STALE, cuts(BEGUN)), text="a", sent=2
    ),
    "a stale nonce, then a failure": Fault(
        ReplyError, (STALE, says(json_reply("500 Oops", FAILURE))), sent=2
    ),
    "a stale nonce, then a busy site": Fault(
        RateLimitError, (STALE, BUSY), sent=2 + RETRIES, status=429
    ),
    "a busy site, then a failing server": Fault(ServerError, (BUSY, OOPS), sent=2, status=500),
    "a busy site, then a reset": Fault(TransportError, (BUSY, resets()), sent=2),
    "a busy site, then a stale nonce": Fault(
        AuthError, (BUSY, STALE), sent=2 + RETRIES, status=403, words="rest_cookie_invalid_nonce"
    ),
    "a stale nonce, and no new one": Fault(
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


def no_nonce(error: Type[ChatGPT4OnlineError], *reactions: Reaction, **fields: Any) -> Fault:
    """Return a row of a site that gives no nonce, so that no question is sent."""
    return Fault(error, sent=0, route=START_SESSION, session=reactions, **fields)


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
    "no nonce: JSON without one": no_nonce(
        ProtocolError, says(json_reply("200 OK", {"success": True, "sessionId": "N/A"}))
    ),
    "no nonce: one of two lines": no_nonce(
        ProtocolError,
        says(json_reply("200 OK", {"success": True, "restNonce": "a\r\nX-Evil: 1"})),
    ),
    "no nonce: one without success": no_nonce(
        ProtocolError, says(json_reply("200 OK", {"restNonce": "0123456789"}))
    ),
    "no nonce: a failure": no_nonce(
        ReplyError, says(json_reply("200 OK", FAILURE)), words="No session."
    ),
    "no nonce: a stream": no_nonce(ProtocolError, ANSWER),
    "no nonce: a page": no_nonce(ProtocolError, says(reply("200 OK", title("Home")))),
    "no nonce: a challenge": no_nonce(
        BlockedError, says(reply("403 No", title("Just a moment..."))), status=403
    ),
    "no nonce: a refusal": no_nonce(ServerError, says(reply("500 Oops")), status=500),
    "no nonce: broken gzip": no_nonce(
        ProtocolError, says(reply("200 OK", b"oops", "Content-Encoding: gzip"))
    ),
    "no nonce: the coding br": no_nonce(
        ProtocolError, says(reply("200 OK", b"oops", "Content-Encoding: br"))
    ),
    "no nonce: a redirect to the login page": no_nonce(
        StatusError, says(reply("302 Found", b"", "Location: /wp-login.php?next=x")), status=302
    ),
}


def moved(location: str, status: str = "301 Moved", **fields: Any) -> Fault:
    """Return a row of a redirect that is not followed."""
    reaction = says(reply(status, b"<html>moved</html>", f"Location: {location}"))
    return Fault(StatusError, (reaction,), status=int(status.split(maxsplit=1)[0]), **fields)


#: Each redirect has a row in the unit tests; these differ in their bytes.
REDIRECTS: Faults = {
    "a redirect to another port": moved(f"http://127.0.0.1:1/wp-json/{CHAT}", words="127.0.0.1:1"),
    "a redirect of two lines": moved("/wp-login.php\r\n Set-Cookie: a=b"),
    "a redirect without an address": Fault(StatusError, (says(reply("302 Found")),), status=302),
    "304 without a length": Fault(StatusError, (says(head("304 Not Modified")),), status=304),
    "redirects in a circle": moved(f"/wp-json/{CHAT}", "307 Temporary Redirect", sent=6),
    "a redirect from https to http": moved(
        f"http://127.0.0.1:1/wp-json/{CHAT}", certificate="good", words="http://127.0.0.1:1"
    ),
}


def silence(*reactions: Reaction, text: str = "", **fields: Any) -> Fault:
    """Return a row of a site that is silent for longer than the limit."""
    settings = {"timeout": (10, SILENCE)}
    return Fault(Timeout, reactions, text, phase="read", settings=settings, **fields)


def too_late(*reactions: Reaction, text: str = "") -> Fault:
    """Return a row of a site that has not finished by the deadline."""
    return Fault(Timeout, reactions, text, phase="deadline", settings={"deadline": DEADLINE})


def from_session(fault: Fault) -> Fault:
    """Return the row of the same fault in the response to a request for a nonce."""
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

REFUSALS: Faults = {**STATUSES, **SECOND_TIME, **NO_NONCE, **REDIRECTS, **TIMES}
