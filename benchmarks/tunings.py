"""
The package's tunings, each with a way to switch it off, so that a run can compare both.

To add one, write a function that undoes it by `patch(owner, name, value)`, and enter it in
`TUNINGS`. The package has no such switch itself.
"""

from __future__ import annotations

from http.client import HTTPConnection
from typing import Any, Callable, Dict, NamedTuple, Tuple

from requests.adapters import HTTPAdapter

from chatgpt4online._http import body, connection, pool, session, tls

#: Sets an attribute: `setattr`, or a test's ``monkeypatch.setattr``.
Patch = Callable[[Any, str, Any], object]

# What tunings are measured by; see `scenarios.tunings`.
SHORT_CHAT = "CPU time of a short chat"
SMALL_EVENTS = "CPU time per 16-byte event"
NEW_TLS_CONNECTION = "CPU time of a new TLS connection"
FIRST_TLS_CHAT = "elapsed time of the first TLS chat with a distant site"
THREADS = "elapsed time of a chat, 32 threads at a time, with a distant site"


class Tuning(NamedTuple):
    """What a tuning does, what shows its effect, and how to switch it off."""

    summary: str
    measures: Tuple[str, ...]
    switch_off: Callable[[Patch], None]


def _prepare_each_request(patch: Patch) -> None:
    send = session.OwnSession.send

    def send_unprepared(self: Any, outgoing: Any, call: Any) -> Any:
        self._prepared.clear()
        return send(self, outgoing, call)

    patch(session.OwnSession, "send", send_unprepared)


def _look_up_each_pool(patch: Patch) -> None:
    name = "get_connection_with_tls_context"
    patch(pool.Adapter, name, getattr(HTTPAdapter, name, None))


def _load_certificates_each_time(patch: Patch) -> None:
    def new_conn(self: Any) -> Any:
        return super(connection.SharedContextConnection, self)._new_conn()

    patch(connection.SharedContextConnection, "_new_conn", new_conn)


def _load_certificates_after_connecting(patch: Patch) -> None:
    patch(tls, "prepare", lambda *_: None)


def _read_through_urllib3(patch: Patch) -> None:
    patch(body, "_http_response", lambda _: None)


def _look_at_each_socket(patch: Patch) -> None:
    patch(body, "_is_plain", lambda _: False)


def _send_heads_at_once(patch: Patch) -> None:
    patch(connection.WatchedConnection, "endheaders", HTTPConnection.endheaders)


TUNINGS: Dict[str, Tuning] = {
    "prepared requests": Tuning(
        "What requests finds out about a URL is found out once.",
        (SHORT_CHAT,),
        _prepare_each_request,
    ),
    "pool lookup by URL": Tuning(
        "The connection pool for a URL is looked up by the URL, not by all settings.",
        (SHORT_CHAT,),
        _look_up_each_pool,
    ),
    "one packet": Tuning(
        "The head and the body of a question are sent together.",
        (SHORT_CHAT, THREADS),
        _send_heads_at_once,
    ),
    "shared TLS contexts": Tuning(
        "The trusted certificates are loaded once per process.",
        (NEW_TLS_CONNECTION,),
        _load_certificates_each_time,
    ),
    "certificates loaded while connecting": Tuning(
        "A thread loads the trusted certificates while the first connection is made.",
        (FIRST_TLS_CHAT,),
        _load_certificates_after_connecting,
    ),
    "reading the socket's file": Tuning(
        "A body is read below urllib3, which also tells when its connection can be kept.",
        (SHORT_CHAT, SMALL_EVENTS),
        _read_through_urllib3,
    ),
    "complete responses": Tuning(
        "A plain connection whose response is complete is kept without a look at its socket.",
        (SHORT_CHAT, THREADS),
        _look_at_each_socket,
    ),
}
