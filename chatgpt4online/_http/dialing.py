"""
Connecting to a host that has several addresses, of which some may be dead.

Attempts are staggered, so that a dead address costs 250 ms and not the whole time limit (RFC 8305,
"Happy Eyeballs"). The address that worked last is tried first.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from itertools import zip_longest
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .call import Call

#: Seconds from one attempt to the next. Source: RFC 8305, 5.
STAGGER = 0.25

#: Seconds between two looks at whether the call was ended: not every system wakes a selector.
_POLL_INTERVAL = 0.1

SocketOption = Tuple[Any, ...]

#: A name and a port.
Host = Tuple[str, int]

#: The address that worked last, by host and port.
_last_good: Dict[Host, Any] = {}
_MAX_REMEMBERED = 256
_NO_ADDRESS = "the host has no address"


class Address(NamedTuple):
    """An address of a host, as `socket.getaddrinfo` returns it."""

    family: int
    sockaddr: Any


def connect(
    host: Host,
    addresses: Sequence[Address],
    call: Call,
    *,
    limit: Optional[float],
    options: Sequence[SocketOption],
) -> socket.socket:
    """
    Return a connection to the first address that accepts one.

    Args:
        host: name and port, by which the address that works is remembered.
        addresses: the host's addresses, in the system's order.
        call: the call that it is for; ending it ends this.
        limit: seconds for all addresses together (for each, where `socket.socket` was replaced);
            None is no limit except the call's.
        options: set on each socket.

    Raises:
        OSError: none accepts one; `socket.timeout` if the time is over.
        CallEnded: the call was ended.
    """
    ordered = _in_order(addresses, _last_good.get(host))
    # Where it was replaced, by PySocks for instance, `connect` must block.
    if getattr(socket.socket, "__module__", "") != "socket":
        sock, address = _one_by_one(ordered, call, limit, options)
    else:
        race = _Race(call, call.within(limit), options)
        try:
            sock, address = race.run(ordered)
        finally:
            race.close()
    if len(_last_good) >= _MAX_REMEMBERED:
        _last_good.clear()
    _last_good[host] = address
    sock.settimeout(call.within(limit))  # of a TLS handshake, or a proxy's answer
    return sock


def _one_by_one(
    addresses: List[Address],
    call: Call,
    limit: Optional[float],
    options: Sequence[SocketOption],
) -> Tuple[socket.socket, Address]:
    """Return a connection and its address; each address has the whole limit."""
    error = OSError(_NO_ADDRESS)
    for address in addresses:
        call.raise_if_ended()
        try:
            return _connected(address, call, limit, options), address
        except OSError as failure:
            error = failure
    raise error


def _connected(
    address: Address, call: Call, limit: Optional[float], options: Sequence[SocketOption]
) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        for option in options:
            sock.setsockopt(*option)
        sock.settimeout(call.within(limit))
        call.watch(sock)
        sock.connect(address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _in_order(addresses: Sequence[Address], last: Optional[Address]) -> List[Address]:
    """Return the last good address first, then the others, their families alternating."""
    families = list(dict.fromkeys(address.family for address in addresses))
    groups = [[each for each in addresses if each.family == family] for family in families]
    mixed = [each for row in zip_longest(*groups) for each in row if each is not None]
    return sorted(mixed, key=lambda address: address != last)


class _Race:
    """
    Attempts to connect, each begun when the one before has failed or taken long.

    It adds up the time that it waits, and reads no clock, since tests may freeze that.
    """

    def __init__(self, call: Call, limit: Optional[float], options: Sequence[SocketOption]) -> None:
        self._call = call
        self._left = limit
        self._options = options
        import selectors  # here, since importing the package would pay for it

        self._selector = selectors.DefaultSelector()
        self._writable = selectors.EVENT_WRITE
        self._pending: Dict[socket.socket, Address] = {}
        self._error: OSError = OSError(_NO_ADDRESS)

    def run(self, addresses: List[Address]) -> Tuple[socket.socket, Address]:
        """Return the first connection and its address."""
        for left, address in zip(range(len(addresses) - 1, -1, -1), addresses):
            self._begin(address)
            won = self._wait(STAGGER if left else None)
            if won is not None:
                return won
        raise self._error

    def _begin(self, address: Address) -> None:
        self._call.raise_if_ended()
        try:
            sock = socket.socket(address.family, socket.SOCK_STREAM)
        except OSError as error:  # the system has no such family, or no more files
            self._error = error
            return
        self._pending[sock] = address
        try:
            for option in self._options:
                sock.setsockopt(*option)
            sock.setblocking(False)
            with suppress(BlockingIOError):
                sock.connect(address.sockaddr)
            self._selector.register(sock, self._writable)
        except OSError as error:
            self._drop(sock, error)
        self._call.watch(*self._pending)

    def _wait(self, seconds: Optional[float]) -> Optional[Tuple[socket.socket, Address]]:
        """
        Wait until an attempt succeeds or fails, for at most `seconds`. With None, wait until one
        succeeds or all have failed.
        """
        waited = 0.0
        while self._pending and (seconds is None or waited < seconds):
            self._call.raise_if_ended()
            limits = (seconds and seconds - waited, self._left, _POLL_INTERVAL)
            step = min(limit for limit in limits if limit is not None)
            ready = self._selector.select(step)
            for key, _ in ready:
                won = self._judge(key.fileobj)
                if won is not None or seconds is not None:
                    return won  # a failure makes room for the next attempt
            if not ready:
                waited += step
                self._spend(step)
        return None

    def _spend(self, seconds: float) -> None:
        if self._left is not None:
            self._left -= seconds
            if self._left <= 0:
                raise socket.timeout("timed out")

    def _judge(self, sock: Any) -> Optional[Tuple[socket.socket, Address]]:
        """Return a connection that is made; drop one that has failed."""
        self._selector.unregister(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._drop(sock, OSError(code, os.strerror(code)))
            return None
        return sock, self._pending.pop(sock)

    def _drop(self, sock: socket.socket, error: OSError) -> None:
        self._error = error
        del self._pending[sock]
        sock.close()

    def close(self) -> None:
        """Give up what is still pending."""
        for sock in self._pending:
            sock.close()
        self._selector.close()
