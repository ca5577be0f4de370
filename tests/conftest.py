"""Fixtures for all tests: a site and a client, only loopback, and no thread left running."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import os
import signal
import socket
import sys
import threading
from typing import Any, Callable, Iterator, Optional

import pytest
from hypothesis import HealthCheck, settings

from chatgpt4online import Client
from chatgpt4online.testing import Server

# A slow machine is not a failure.
settings.register_profile(
    "tests", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

# Programs that a shell runs in the background ignore Ctrl-C, which some tests need.
signal.signal(signal.SIGINT, signal.default_int_handler)

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
LEAK_LIMIT = 5.0
MEASURED = "COVERAGE_PROCESS_START"


def is_loopback(host: Any) -> bool:
    """Return whether this host, a name or an address, is this machine."""
    if isinstance(host, bytes):
        host = host.decode()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "")


def guarded_connect(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``connect`` or ``connect_ex``, which fails a test that connects to another machine."""

    def connect(self: socket.socket, address: Any) -> Any:
        is_network = self.family in (socket.AF_INET, socket.AF_INET6)
        if is_network and not is_loopback(address[0]):
            pytest.fail(f"a test connects to {address}")
        return real(self, address)

    return connect


def guarded_getaddrinfo(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``getaddrinfo`` without name servers; ``.invalid`` is unknown (RFC 6761)."""

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        if host is None or is_loopback(host):
            return real(host, *args, **options)
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return pytest.fail(f"a test looks up {host}")

    return getaddrinfo


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Measure coverage in the workers of pytest-xdist too, and let them report without delay."""
    if hasattr(config, "workerinput") and MEASURED in os.environ:
        import coverage

        coverage.process_startup()
        os.environ.pop(MEASURED)  # programs that tests start are not measured
    elif "coverage" in sys.modules:
        os.environ[MEASURED] = str(config.inipath)
    sock = getattr(getattr(config, "failures_db", None), "sock", None)
    if sock is not None:  # of pytest-rerunfailures; Nagle's algorithm costs 40 ms per test
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@pytest.fixture(autouse=True)
def _only_loopback(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep every test on this machine, except those marked as live."""
    if request.node.get_closest_marker("live"):
        return
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded_connect(getattr(socket.socket, name)))
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo(socket.getaddrinfo))


@pytest.fixture(autouse=True)
def _no_connection_in_unit_tests(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail a unit test that connects a socket or listens on one."""

    def refuse(*_: Any) -> None:
        pytest.fail("a unit test opens a connection")

    if request.path.parent.name == "unit":
        for name in ("connect", "connect_ex", "listen"):
            monkeypatch.setattr(socket.socket, name, refuse)


@pytest.fixture(autouse=True)
def _bare_environment(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hide the proxies and settings of the person who runs a test."""
    if request.node.get_closest_marker("live"):
        return
    for name in list(os.environ):
        if name.lower() in PROXIES or name.startswith("CHATGPT4ONLINE_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a thread running."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(LEAK_LIMIT)
    running = [thread.name for thread in left if thread.is_alive()]
    assert not running, f"threads left running: {running}"


@pytest.fixture
def server() -> Iterator[Server]:
    """Start an AI Engine 3.6.2 site on loopback; it echoes questions without a scripted answer."""
    with Server(version="3.6.2") as site:
        yield site


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """Create a client of that site, as a guest."""
    with Client(server.url) as guest:
        yield guest


@pytest.fixture(autouse=True)
def _unit_tests_open_no_connection(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail a unit test that connects a socket or listens on one."""
    if "/unit/" not in request.node.nodeid:
        return

    def refuse(self: socket.socket, *args: Any) -> None:
        pytest.fail("a unit test opens a connection")

    for name in ("connect", "connect_ex", "listen"):
        monkeypatch.setattr(socket.socket, name, refuse)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> Optional[bool]:
    """Run a test that is a coroutine function, as LangChain's are, without a plugin."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    names = inspect.signature(test).parameters
    asyncio.run(test(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
