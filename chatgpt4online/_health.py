"""Whether a site answers, and how: `Client.check`."""

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

#: What took fewer seconds, or has fewer characters, does not show whether it was held back.
_TOO_QUICK_TO_TELL = 0.5
_TOO_SHORT_TO_TELL = 20

#: Seconds from one piece to the next: models write no faster than this, held-back text comes so.
_FASTER_THAN_WRITTEN = 0.0005

_Step = Callable[[], str]


def examine(transport: Transport, ask: Optional[Callable[[], Stream]]) -> Health:
    """
    Look at a site, step by step. The first failure ends it, and is told, not raised.

    Args:
        transport: the way to the site.
        ask: asks a short question, or None.
    """
    answer = _Answer(ask)
    steps = {
        "site": lambda: _site(transport),
        "AI Engine": lambda: _plugin(transport),
        "nonce": lambda: _nonce(transport),
    }
    if ask is not None:
        steps.update({"answer": answer.read, "streaming": answer.judge})
    checks: List[Check] = []
    for name, step in steps.items():
        checks.append(_checked(name, step))
        if not checks[-1].ok:
            break
    return Health(tuple(checks))


def _checked(name: str, step: _Step) -> Check:
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
            names = None  # some sites close this list, and not what is on it
        call.finish()
    if names is None:
        return "the site does not tell what it offers"
    missing = [name for name in NAMESPACES if name not in names]
    if missing:
        raise ProtocolError(f"the site does not offer {' and '.join(missing)}: is AI Engine on?")
    return transport.root


def _nonce(transport: Transport) -> str:
    with transport.calling() as call:
        transport.nonce.forget()
        transport.issued_nonce(call)
        call.finish()
    return "given, as a user" if transport.has_login else "given, as a guest"


class _Answer:
    """One short question, and how its answer came."""

    def __init__(self, ask: Optional[Callable[[], Stream]]) -> None:
        self._ask = ask
        self._pieces = self._size = 0
        self._first = self._whole = 0.0

    def read(self) -> str:
        """Ask, and return the answer's beginning."""
        assert self._ask is not None  # noqa: S101 - else it is not called
        began = monotonic()
        with self._ask() as stream:
            for self._pieces, _ in enumerate(stream, 1):
                self._first = self._first or monotonic() - began
            self._whole = monotonic() - began
            reply = stream.result()
        self._size = len(reply)
        return repr(reply[:60] + ("..." if len(reply) > 60 else ""))

    def judge(self) -> str:
        """
        Say whether the text came as it was written.

        Raises:
            ProtocolError: something on the way held it back to its end.
        """
        told = f"{self._pieces} pieces, the first after {self._first:.2f} s"
        if self._whole < _TOO_QUICK_TO_TELL or self._size < _TOO_SHORT_TO_TELL:
            return f"{told}; too quick or short an answer to tell more"
        if self._whole - self._first <= _FASTER_THAN_WRITTEN * self._pieces:
            raise ProtocolError(
                f"{told}, of {self._whole:.2f} s: the site, or a proxy before it, holds answers"
                " back until they are whole"
            )
        return f"{told}, of {self._whole:.2f} s"
