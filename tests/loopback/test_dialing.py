"""Connecting to a host with several addresses, of which some are dead."""

from __future__ import annotations

import socket
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack
from typing import Any, Iterator, List

import pytest
from support import HELLO, PHP, SOON, RawServer, answering, background, ends_after

from chatgpt4online import Client
from chatgpt4online._http import connection, dialing
from chatgpt4online._http.call import Call, CallEnded
from chatgpt4online._http.dialing import Address

ANSWER = PHP.answer(HELLO).bytes
REFUSING = Address(socket.AF_INET, ("127.0.0.1", 1))
#: Addresses that the system cannot try: of a family that it lacks, and one that takes no TCP.
NO_FAMILY = Address(0xFFF, ("::1", 1))
BROADCAST = Address(socket.AF_INET, ("127.255.255.255", 80))


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test without addresses that have worked."""
    monkeypatch.setattr(dialing, "_last_good", {})


@pytest.fixture
def silent() -> Iterator[Address]:
    """Return an address that neither accepts nor refuses: its backlog is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield Address(socket.AF_INET, listener.getsockname())


@pytest.fixture
def site() -> Iterator[RawServer]:
    """Start a server that answers."""
    with RawServer(answering(ANSWER)) as server:
        yield server


def address_of(server: RawServer) -> Address:
    """Return where a server listens."""
    host, port = server.address.split(":")
    return Address(socket.AF_INET, (host, int(port)))


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: Address) -> None:
    """Give every host these addresses."""
    monkeypatch.setattr(connection, "_addresses", lambda *_: list(addresses))


def test_a_silent_address_costs_a_quarter_of_a_second(
    silent: Address, site: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second address is tried before the first has used up the time limit."""
    resolve_to(monkeypatch, silent, address_of(site))
    with Client(site.url, timeout=(SOON, SOON)) as client, ends_after(0.25):
        assert client.chat("Hi") == "Hello"


def test_the_address_that_worked_is_first(
    silent: Address, site: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later connection begins with the address that worked last."""
    monkeypatch.setattr(dialing, "STAGGER", 0.01)
    addresses = [silent, address_of(site)]
    host = ("a.example", 80)
    for _ in range(2):
        dialing.connect(host, addresses, Call(), limit=SOON, options=[]).close()
        monkeypatch.setattr(dialing, "STAGGER", 3600.0)


@pytest.mark.parametrize("count", [1, 2])
def test_refusals_end_at_once(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that refuses makes room for the next at once; the last refusal is the error."""
    monkeypatch.setattr(dialing, "STAGGER", 3600.0)
    with pytest.raises(ConnectionRefusedError):
        dialing.connect(("a", 1), [REFUSING] * count, Call(), limit=SOON, options=[])


def test_families_alternate() -> None:
    """IPv6 and IPv4 addresses take turns, in the system's order."""
    six = [Address(socket.AF_INET6, ("::1", port, 0, 0)) for port in (1, 2)]
    four = [Address(socket.AF_INET, ("127.0.0.1", port)) for port in (1, 2, 3)]
    ordered = dialing._in_order([*six, *four], None)
    assert ordered == [six[0], four[0], six[1], four[1], four[2]]
    assert dialing._in_order([*six, *four], four[2])[0] == four[2]


def test_the_limit_holds_for_all_addresses(silent: Address) -> None:
    """The limit of connecting is for all addresses together."""
    with pytest.raises(socket.timeout):
        dialing.connect(("a", 1), [silent] * 3, Call(), limit=0.05, options=[])


def test_the_limit_holds_on_a_frozen_clock(
    silent: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a test has frozen the clock, connecting ends all the same."""
    monkeypatch.setattr("time.monotonic", lambda: 5.0)
    with pytest.raises(socket.timeout):
        dialing.connect(("a", 1), [silent], Call(), limit=0.05, options=[])


def test_nothing_is_left_open(silent: Address, site: RawServer) -> None:
    """Sockets that lose the race are closed: a warning for each would be an error here."""
    monkey = [silent, silent, address_of(site)]
    dialing.connect(("a", 1), monkey, Call(), limit=SOON, options=[]).close()


def test_no_address() -> None:
    """A host without an address is an error."""
    with pytest.raises(OSError, match="no address"):
        dialing.connect(("a", 1), [], Call(), limit=SOON, options=[])


@pytest.mark.parametrize("limit", [None, SOON])
def test_a_replaced_socket_class(
    limit: Any, site: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where a library has replaced `socket.socket`, addresses are tried one after the other.

    Each has the whole limit and the options; one that cannot be tried makes room for the next.
    """

    class Replaced(socket.socket):
        made: List[Any] = []  # noqa: RUF012

        def connect(self, address: Any) -> None:
            keepalive = self.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            self.made.append((self.gettimeout(), bool(keepalive)))
            super().connect(address)

    monkeypatch.setattr(socket, "socket", Replaced)
    addresses = [NO_FAMILY, REFUSING, address_of(site)]
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    dialing.connect(("a", 1), addresses, Call(), limit=limit, options=options).close()
    assert Replaced.made == [(limit, True)] * 2
    with pytest.raises(ConnectionRefusedError):
        dialing.connect(("a", 1), [REFUSING], Call(), limit=limit, options=[])


def test_few_hosts_are_remembered(site: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many hosts are asked, few are remembered."""
    monkeypatch.setattr(dialing, "_MAX_REMEMBERED", 3)
    for port in range(10):
        dialing.connect(("a", port), [address_of(site)], Call(), limit=SOON, options=[]).close()
    assert len(dialing._last_good) <= 3


@pytest.mark.parametrize("bad", [NO_FAMILY, BROADCAST], ids=["family", "address"])
def test_an_address_that_cannot_be_tried(bad: Address, site: RawServer) -> None:
    """An address that the system cannot try, such as IPv6 where it is off, ends no attempt."""
    addresses = [bad, address_of(site)]
    dialing.connect(("a", 1), addresses, Call(), limit=SOON, options=[]).close()


def test_an_address_that_cannot_be_tried_while_another_is(
    silent: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt in progress goes on, though the system cannot try the next address."""
    monkeypatch.setattr(dialing, "STAGGER", 0.01)
    addresses = [silent, NO_FAMILY]
    with pytest.raises(socket.timeout):
        dialing.connect(("a", 1), addresses, Call(), limit=0.05, options=[])


def test_an_option_that_cannot_be_set(site: RawServer) -> None:
    """A socket whose options cannot be set is a failed attempt, and is closed."""
    with pytest.raises(OSError, match=r"\[Errno|\[WinError"):
        dialing.connect(("a", 1), [address_of(site)], Call(), limit=SOON, options=[(9999, 9999, 1)])


def test_no_limit_but_the_calls(silent: Address) -> None:
    """Without a limit, connecting goes on until the call is ended."""
    call = Call()
    connecting = background(
        lambda: dialing.connect(("a", 1), [silent], call, limit=None, options=[])
    )
    with pytest.raises(FutureTimeout):
        connecting.result(0.3)
    call.end("closed")
    assert isinstance(connecting.exception(SOON), (CallEnded, OSError))


def test_ctrl_c_with_a_replaced_socket_class(
    site: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while such a socket connects closes it."""

    class Replaced(socket.socket):
        def connect(self, address: Any) -> None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Replaced)
        with pytest.raises(KeyboardInterrupt):
            dialing.connect(("a", 1), [address_of(site)], Call(), limit=SOON, options=[])
