"""Fixtures for all tests: a site and a client, loopback connections only, no leaked threads."""

from __future__ import annotations

import asyncio
import gc
import inspect
import io
import ipaddress
import os
import signal
import socket
import ssl
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest
from support import tls_context
from support.commands import Result, Run

from chatgpt4online import Client
from chatgpt4online._http import body
from chatgpt4online.cli import main
from chatgpt4online.testing import Server

# Collecting garbage as often as Python does takes a twentieth of the time of all tests.
gc.set_threshold(20_000)

# A shell makes background programs ignore Ctrl-C, which some tests need.
signal.signal(signal.SIGINT, signal.default_int_handler)

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
LEAK_LIMIT = 5.0

#: The folders whose tests open connections. Repeating costs 2 ms per test, even if it passes.
CONNECTED = {"docs", "integrations", "live", "loopback", "soak"}
#: How a test fails on a busy machine, which misses a limit of tenths of a second, or frees a
#: connection too late, but not three times in a row.
BUSY = ["s after its time", "was silent for longer", "the deadline passed", r"\.connections"]

#: Makes coverage.py measure the processes that are started with it.
MEASURED = "COVERAGE_PROCESS_START"


def is_loopback(host: Any) -> bool:
    """Return whether a host, given by name or address, is this machine."""
    if isinstance(host, bytes):
        host = host.decode()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "")


class Guard:
    """
    Keeps tests on this machine, unit tests off sockets, and the settings of the machine hidden.

    Fixtures for this would take a tenth of the time of all tests.
    """

    def __init__(self) -> None:
        self._is_live = True  # until the first test
        self._is_unit = False
        self._hidden: Dict[str, str] = {}
        real = socket.socket
        self._methods = {
            "connect": self._connecting(real.connect),
            "connect_ex": self._connecting(real.connect_ex),
            "listen": self._listening(real.listen),
        }
        self._getaddrinfo = self._looking_up(socket.getaddrinfo)

    def install(self) -> None:
        """Patch the module `socket`, also after a plugin, as pytest-socket, has restored it."""
        for name, method in self._methods.items():
            setattr(socket.socket, name, method)
        socket.getaddrinfo = self._getaddrinfo

    def begin(self, item: pytest.Item) -> None:
        """Apply the rules for a test: all, unless it is marked as live."""
        self.install()
        self._is_live = item.get_closest_marker("live") is not None
        self._is_unit = item.path.parent.name == "unit"
        if self._is_live:
            os.environ.update(self._hidden)
            self._hidden.clear()
        else:
            for name in list(os.environ):
                if name.lower() in PROXIES or name.startswith("CHATGPT4ONLINE_"):
                    self._hidden[name] = os.environ.pop(name)

    def _connecting(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def connect(sock: socket.socket, address: Any) -> Any:
            if self._is_unit:
                pytest.fail("a unit test opens a connection")
            is_network = sock.family in (socket.AF_INET, socket.AF_INET6)
            if is_network and not self._is_live and not is_loopback(address[0]):
                pytest.fail(f"a test connects to {address}")
            return real(sock, address)

        return connect

    def _listening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def listen(sock: socket.socket, *backlog: int) -> Any:
            if self._is_unit:
                pytest.fail("a unit test listens on a socket")
            return real(sock, *backlog)

        return listen

    def _looking_up(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
            if self._is_live or host is None or is_loopback(host):
                return real(host, *args, **options)
            if str(host).endswith(".invalid"):  # RFC 6761
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return pytest.fail(f"a test looks up {host}")

        return getaddrinfo


guard = Guard()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Apply the rules for a test."""
    guard.begin(item)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes ``-n auto`` starts: some wait, so two more than processors."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Set up the plugins."""
    if config.pluginmanager.hasplugin("hypothesispytest"):  # importing hypothesis is slow
        set_up_hypothesis()
    set_up_coverage(config)
    sock = getattr(getattr(config, "failures_db", None), "sock", None)
    if sock is not None:  # of pytest-rerunfailures; Nagle's algorithm costs 40 ms per test
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    """Let tests that open connections be repeated, where pytest-rerunfailures is installed."""
    if not hasattr(config, "failures_db") or config.option.usepdb:
        return
    repeat = pytest.mark.flaky(reruns=2, only_rerun=BUSY)
    for item in items:
        if item.path.parent.name in CONNECTED and not item.get_closest_marker("flaky"):
            item.add_marker(repeat)


def pytest_collection_finish() -> None:
    """Let the garbage collector ignore what is there before the first test: it takes most time."""
    gc.collect()
    gc.freeze()


def set_up_hypothesis() -> None:
    """Load our profile: a slow machine is not a failure."""
    from hypothesis import HealthCheck, settings

    checks = [HealthCheck.too_slow]
    settings.register_profile("tests", deadline=None, print_blob=True, suppress_health_check=checks)
    settings.load_profile("tests")


def set_up_coverage(config: pytest.Config) -> None:
    """Measure coverage in pytest-xdist's workers, too."""
    if hasattr(config, "workerinput") and MEASURED in os.environ:
        import coverage

        coverage.process_startup()
        os.environ.pop(MEASURED)  # programs that tests start are not measured
    elif "coverage" in sys.modules:
        os.environ[MEASURED] = str(config.inipath)


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
    """Start an AI Engine 3.6.2 site on loopback, which echoes questions unless scripted."""
    with Server(version="3.6.2") as site:
        yield site


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """Create a client of that site, as a guest."""
    with Client(server.url) as guest:
        yield guest


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command line with the given standard input."""

    def run(*words: str, stdin: Any = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        try:
            status = main(list(words))
        except SystemExit as end:
            status = int(end.code or 0)
        return Result(status, *capsys.readouterr())

    return run


@pytest.fixture(params=["plain", "TLS"])
def tls(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Optional[ssl.SSLContext]:
    """Return the TLS context of a server, or None for plain HTTP."""
    return tls_context(tmp_path, monkeypatch) if request.param == "TLS" else None


@pytest.fixture(params=["below urllib3", "through urllib3"])
def read_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read bodies below urllib3, or through it, as where the socket cannot be reached."""
    if request.param == "through urllib3":
        monkeypatch.setattr(body, "_http_response", lambda raw: None)
    return str(request.param)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> Optional[bool]:
    """Run coroutine functions, as some of LangChain's tests are, without a plugin."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    names = inspect.signature(test).parameters
    asyncio.run(test(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
