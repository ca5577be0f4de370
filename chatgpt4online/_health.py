"""`Client.check`: whether a site works, step by step."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Callable, List, Optional

from ._http import discovery
from ._protocol.routes import NAMESPACES
from .errors import AuthError, BlockedError, ChatGPT4OnlineError, ProtocolError, StatusError
from .types import Check, Health

if TYPE_CHECKING:
    from ._http.transport import Transport
    from .stream import Stream

#: A faster or shorter answer does not show whether it was held back.
_MIN_SECONDS = 0.5
_MIN_CHARACTERS = 20

#: Seconds between deltas. Models write more slowly; text that was held back arrives faster.
_MIN_DELTA_INTERVAL = 0.0005

_Step = Callable[[], str]


def examine(transport: Transport, ask: Optional[Callable[[], Stream]]) -> Health:
    """
    Check a site, step by step. The first failure is the last step; it is reported, not raised.

    Args:
        transport: the transport of the site.
        ask: a function that asks a short question, or None.
    """
    probe = _Probe(ask)
    steps = {
        "site": lambda: _site(transport),
        "AI Engine": lambda: _plugin(transport),
        "nonce": lambda: _nonce(transport),
    }
    if ask is not None:
        steps.update({"answer": probe.read, "streaming": probe.judge})
    checks: List[Check] = []
    for name, step in steps.items():
        checks.append(_run(name, step))
        if not checks[-1].ok:
            break
    return Health(tuple(checks))


def _run(name: str, step: _Step) -> Check:
    began = monotonic()
    try:
        detail, ok = step(), True
    except ChatGPT4OnlineError as error:
        detail, ok = str(error), False
    return Check(name, ok, detail, monotonic() - began)


def _site(transport: Transport) -> str:
    with transport.calling() as call:
        try:
            discovery.read_page(transport, transport.site + "/", call)
        except StatusError as error:
            if isinstance(error, BlockedError) or error.status >= 500:
                raise
        call.finish()
    return transport.site


def _plugin(transport: Transport) -> str:
    with transport.calling() as call:
        try:
            names = discovery.namespaces(transport, call)
        except AuthError:
            names = None  # some sites hide this list, but not the routes in it
        call.finish()
    if names is None:
        return "the site hides its list of routes"
    missing = [name for name in NAMESPACES if name not in names]
    if missing:
        raise ProtocolError(
            f"the site does not offer {' and '.join(missing)}: is AI Engine installed and active?"
        )
    return transport.root


def _nonce(transport: Transport) -> str:
    with transport.calling() as call:
        transport.nonce.forget()
        transport.issued_nonce(call)
        call.finish()
    return "fetched as a user" if transport.has_login else "fetched as a guest"


class _Probe:
    """One short question, and how its answer arrives."""

    def __init__(self, ask: Optional[Callable[[], Stream]]) -> None:
        self._ask = ask
        self._deltas = self._size = 0
        self._first = self._last = 0.0

    def read(self) -> str:
        """Ask, and return the beginning of the answer."""
        assert self._ask is not None  # noqa: S101 - only called with a question
        began = monotonic()
        with self._ask() as stream:
            for self._deltas, _ in enumerate(stream, 1):
                self._first = self._first or monotonic() - began
            self._last = monotonic() - began
            reply = stream.result()
        self._size = len(reply)
        return repr(reply[:60] + ("..." if len(reply) > 60 else ""))

    def judge(self) -> str:
        """
        Return how the text arrived.

        Raises:
            ProtocolError: it was held back until it was complete.
        """
        timing = (
            f"{self._deltas} deltas, the first after {self._first:.2f} s,"
            f" the last after {self._last:.2f} s"
        )
        if self._last < _MIN_SECONDS or self._size < _MIN_CHARACTERS:
            return f"{timing}; too fast or too short to say more"
        if self._last - self._first <= _MIN_DELTA_INTERVAL * self._deltas:
            raise ProtocolError(
                f"{timing}: the site, or a proxy in front of it, holds answers back until they"
                " are complete"
            )
        return timing
