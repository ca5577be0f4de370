"""What header opens a route, and what to do when it is refused."""

from __future__ import annotations

import copy
import threading
from base64 import b64encode
from typing import Callable, Dict, List, Optional, Tuple
from urllib.parse import urlsplit

from ._call import Call
from ._value import Value
from .errors import ChatGPT4OnlineError


class Credential(Value):
    """
    An ``Authorization`` header, for the origin that it was given for and no other.

    Its repr shows no secret.
    """

    value: str
    origin: str

    def header(self, url: str) -> Dict[str, str]:
        """Return the header for a URL; nothing if the URL is of another origin."""
        return {"authorization": self.value} if origin_of(url) == self.origin else {}

    def __repr__(self) -> str:
        """Return the origin alone."""
        return f"Credential(origin={self.origin!r})"


def basic(login: Tuple[str, str], site: str) -> Credential:
    """Return the credential of a user with an application password (RFC 7617)."""
    pair = b64encode(":".join(login).encode()).decode("ascii")
    return Credential("Basic " + pair, origin_of(site))


def bearer(token: str, site: str) -> Credential:
    """Return the credential that a bearer token is (RFC 6750)."""
    return Credential("Bearer " + token, origin_of(site))


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, the port only where it is not the scheme's own."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"


class Ticket(Value):
    """A nonce as one request used it, with the number of the renewal that brought it."""

    nonce: str
    generation: int


#: Seconds between two looks whether the call that fetches is still there.
_GLANCE = 1.0


class Nonce:
    """
    A site's REST nonce: fetched when first needed, shared by all threads, renewed when refused.

    Renewals are numbered, for nonces cannot tell an old one from a new one: all guests of a site
    get the same nonce for half a day. (WordPress: nonces of one tick of 12 hours are equal.)
    """

    def __init__(self) -> None:
        self._ticket: Optional[Ticket] = None
        self._generation = 0
        self.after_fork()

    def after_fork(self) -> None:
        """Leave a fetch under way, and a lock that may be held, to the parent process."""
        self._lock = threading.Lock()
        self._flight: Optional[_Flight] = None

    def ticket(self, call: Call, fetch: Callable[[Call], str]) -> Ticket:
        """
        Return the nonce to send.

        Args:
            call: the call that needs it, in whose time it is fetched or waited for.
            fetch: gets a new nonce from the site. One thread calls it; the others wait for that.

        Raises:
            ChatGPT4OnlineError: as `fetch` does.
        """
        while True:
            with self._lock:
                if self._ticket is not None:
                    return self._ticket
                if self._flight is None or self._flight.is_over():
                    self._flight = _Flight(call)
                flight = self._flight
            if flight.leader is call:
                return self._fetch(flight, fetch)
            flight.wait(call)

    def _fetch(self, flight: _Flight, fetch: Callable[[Call], str]) -> Ticket:
        try:
            nonce = fetch(flight.leader)
        except BaseException as error:
            self._land(flight, error)
            raise
        with self._lock:
            ticket = self._take(nonce)
        self._land(flight)
        return ticket

    def _land(self, flight: _Flight, error: Optional[BaseException] = None) -> None:
        with self._lock:
            self._flight = None
        flight.land(error)

    def is_fetched_by(self, call: Call) -> bool:
        """Say whether a call is the one that others wait for."""
        flight = self._flight
        return flight is not None and flight.leader is call

    def refused(self, ticket: Ticket) -> None:
        """Forget a nonce that the site did not accept, unless it has been renewed since."""
        with self._lock:
            if self._ticket == ticket:
                self._ticket = None

    def forget(self) -> None:
        """Forget the nonce, so that the next call fetches one."""
        with self._lock:
            self._ticket = None

    def adopt(self, ticket: Ticket, nonce: Optional[str]) -> None:
        """Take a fresh nonce that came in an answer to this one, unless it was renewed since."""
        with self._lock:
            if nonce is not None and self._ticket == ticket and nonce != ticket.nonce:
                self._take(nonce)

    def _take(self, nonce: str) -> Ticket:
        self._generation += 1
        self._ticket = Ticket(nonce, self._generation)
        return self._ticket


class _Flight:
    """One fetch, by its leader, that other threads' calls wait for."""

    def __init__(self, leader: Call) -> None:
        self.leader = leader
        self._lock = threading.Lock()
        self._waiting: List[Call] = []
        self._landed = False
        self._error: Optional[ChatGPT4OnlineError] = None

    def wait(self, call: Call) -> None:
        """
        Wait for the leader. What ended the leader alone does not end the others.

        Raises:
            ChatGPT4OnlineError: what the leader met, if the site is to blame.
            CallEnded: this call has been ended, or its time is over.
        """
        with self._lock:
            self._waiting.append(call)
        while not self.is_over():
            call.check()
            call.wait(_GLANCE)
        if self._error is not None and call.limits == self.leader.limits:
            raise copy.copy(self._error)

    def is_over(self) -> bool:
        """Say whether there is nothing to wait for: it has landed, or Ctrl-C kept it from that."""
        return self._landed or self.leader.over

    def land(self, error: Optional[BaseException]) -> None:
        """Tell the waiting calls that the fetch is over."""
        if isinstance(error, ChatGPT4OnlineError) and self.leader.ended is None:
            self._error = error
        with self._lock:
            self._landed = True
            for call in self._waiting:
                call.wake()
