"""What serves a connection: reads requests, records them, and writes the site's responses."""

from __future__ import annotations

from threading import Lock
from typing import List

from ._front import FrontEnd, FrontEndConfig
from ._http import Framing, HTTPResponse, Request, Writer, read_request
from ._listener import Connection
from ._script_queue import ScriptQueues
from ._site import Site


class Handler:
    """
    Serves connections, each in the thread that calls ``serve``.

    Args:
        site: the site.
        front_end: what stands in front of the site.
        scripts: the scripts that have not been used yet.
        framing: how bodies are sent, unless a response says otherwise.
        pace: seconds between two events, unless a response says otherwise.
    """

    def __init__(
        self,
        site: Site,
        front_end: FrontEndConfig,
        scripts: ScriptQueues,
        framing: Framing,
        pace: float,
    ) -> None:
        self._site = site
        self._front_end = FrontEnd(front_end, site.script_key, site.respond)
        self._holds_answers = front_end.holds_answers
        self._keep_alive = front_end.keep_alive
        self._scripts = scripts
        self._framing = framing
        self._pace = pace
        self._lock = Lock()
        self._requests: List[Request] = []

    @property
    def requests(self) -> List[Request]:
        """The requests recorded so far, in order of arrival."""
        with self._lock:
            return list(self._requests)

    def serve(self, connection: Connection) -> None:
        """Serve requests until the connection is to be closed."""
        while self._serve_request(connection) and connection.wait_for_request(self._keep_alive):
            pass

    def _serve_request(self, connection: Connection) -> bool:
        """Serve one request; return False if the connection is to be closed."""
        request = read_request(connection.stream)
        if request is None:
            return False
        with self._lock:
            self._requests.append(request)
        response = self._respond(request)
        framing = response.framing or self._framing
        is_last = framing.delimiter in ("close", "raw") or response.end != "complete"
        closing = is_last or request.headers.get("Connection", "").lower() == "close"
        has_body = request.method != "HEAD" and response.status not in (204, 304)
        writer = Writer(
            connection.write,
            connection.wait,
            self._pace,
            holds_answers=self._holds_answers,
            keep_alive=self._keep_alive,
        )
        writer.send(response, framing, body=has_body, closing=closing)
        if response.end == "reset":
            connection.reset_on_close()
        elif closing:
            connection.send_close_notify()
        return not closing

    def _respond(self, request: Request) -> HTTPResponse:
        scripts = self._scripts.for_request(self._site.script_key(request), request)
        script = scripts.take(before_wordpress=True)
        return script.response or self._front_end.respond(request, scripts.take)
