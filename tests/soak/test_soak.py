"""
A client in a long-running service: many threads and many calls, without growing.

Each scenario runs briefly with the other tests, and for minutes, in full, with ``make soak``.
"""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Callable, List, NamedTuple

import pytest
from sites import Site, remote_site
from support import FRAMINGS, HELLO, Peer, RawServer, answering, end, live, together

from chatgpt4online import Client, StreamInterrupted

HALF_DAY = 43200
MEBIBYTE = 1024 * 1024
ANSWER = FRAMINGS["two chunks an event"].answer(HELLO).bytes

#: A fraction of the full sizes, for shorter runs.
SCALE = float(os.environ.get("SOAK_SCALE", "1"))

PROCESS = Path("/proc/self")


def full(function: Callable[[], None]) -> Callable[[], None]:
    """Mark a test that takes minutes and measures the resources of the process."""
    has_proc = (PROCESS / "statm").exists()
    skipped = pytest.mark.skipif(not has_proc, reason="this system has no /proc")
    return pytest.mark.soak(pytest.mark.timeout(7200)(skipped(function)))


class Resources(NamedTuple):
    """The resources of this process: memory in bytes, open files and sockets, threads."""

    memory: int
    files: int
    threads: int


def current_resources() -> Resources:
    """Return the resources that this process uses now."""
    pages = int((PROCESS / "statm").read_text("ascii").split()[1])
    files = len(list((PROCESS / "fd").iterdir()))
    return Resources(pages * os.sysconf("SC_PAGE_SIZE"), files, threading.active_count())


class Monitor:
    """Samples the resources of this process, and prints the samples."""

    def __init__(self, name: str) -> None:
        self.samples: List[Resources] = []
        self._name = name
        self._started = monotonic()

    def sample(self, chats: int) -> None:
        """Take a sample after ``chats`` chats."""
        sample = current_resources()
        self.samples.append(sample)
        rate = chats / (monotonic() - self._started)
        print(  # noqa: T201 - the figures are the purpose of a soak run
            f"{self._name}: {chats} chats, {rate:.0f} a second,"
            f" {sample.memory / MEBIBYTE:.1f} MiB, {sample.files} files, {sample.threads} threads"
        )

    def check_growth(self, memory: int, files: int) -> None:
        """Check that nothing has grown beyond these limits since the second sample."""
        warm, last = self.samples[1], self.samples[-1]
        assert last.memory - warm.memory < memory
        assert last.files - warm.files <= files
        assert last.threads <= warm.threads


def no_sample(_: int) -> None:
    """Take no sample."""


# Many threads.


class Asker:
    """Asks questions in one thread until stopped, and checks each answer."""

    def __init__(self, client: Client, name: str) -> None:
        self.done = 0
        self.cuts = 0
        self._client = client
        self._name = name

    def run(self, stopped: threading.Event) -> None:
        """Ask until ``stopped`` is set."""
        while not stopped.is_set():
            self._ask(f"question {self.done} of {self._name}" + " and so on" * (self.done % 7))
            self.done += 1

    def _ask(self, message: str) -> None:
        expected = f"Echo(1 msgs): {message}"
        client, streams = self._client, self.done % 2
        try:
            answer = "".join(client.stream(message)) if streams else client.chat(message)
            assert answer == expected
        except StreamInterrupted as error:
            self.cuts += expected.startswith(error.text)


def crowd(
    site: Site, threads: int, chats: int, waves: int, sample: Callable[[int], None] = no_sample
) -> None:
    """Let threads share a client, while nonces expire in waves and answers are cut or slow."""
    stopped = threading.Event()
    with Client(site.serve()) as client, ThreadPoolExecutor(threads) as pool:
        client.chat("Hi")
        askers = [Asker(client, f"thread {number}") for number in range(threads)]
        futures = [pool.submit(asker.run, stopped) for asker in askers]
        try:
            for wave in range(1, waves + 1):
                wait_for_all(askers, futures, wave * chats // (waves + 1), 2 * (wave - 1))
                for how in ("clean", "torn"):
                    site.cuts(how=how)
                site.slows(0.002)
                site.expire_nonce()
                sample(sum(asker.done for asker in askers))
            wait_for_all(askers, futures, chats, 2 * waves)
        finally:
            stopped.set()
        for future in futures:
            future.result()
        answered = sum(asker.done for asker in askers)
        sample(answered)
        counts = site.counts()
    # None if an answer that is being made when the nonces expire brings a new one.
    assert counts.sessions <= 1 + waves
    assert 0 < counts.questions - 1 - answered <= waves * threads  # one refusal per thread and wave
    # One connection per thread, and some more while the ends of responses are still to come.
    assert counts.open <= 2 * threads
    assert counts.connections <= 2 * threads + 2 * waves


def wait_for_all(askers: List[Asker], futures: List[Future[None]], chats: int, cuts: int) -> None:
    """Wait for this many chats and cuts in all, and until each thread has passed the last wave."""
    # The next answer may belong to a question from before that wave; the one after it does not.
    goals = [asker.done + 2 for asker in askers]
    while (
        sum(asker.done for asker in askers) < chats
        or sum(asker.cuts for asker in askers) < cuts
        or any(asker.done < goal for asker, goal in zip(askers, goals))
    ):
        assert not any(future.done() for future in futures), "a thread has failed"
        sleep(0.005)


def test_a_crowd() -> None:
    """Threads that share a client get their own answers; a wave costs at most one nonce."""
    with closing(Site()) as site:
        crowd(site, threads=8, chats=80, waves=3)


@full
def test_a_crowd_in_full() -> None:
    """With 64 threads and 5,000 chats, the client's memory does not grow."""
    monitor = Monitor("64 threads")
    with remote_site() as site:
        crowd(site, threads=64, chats=int(5000 * SCALE), waves=10, sample=monitor.sample)
    monitor.check_growth(8 * MEBIBYTE, files=64)


# Many calls.


def long_life(
    site: Site, chats: int, steps: int, sample: Callable[[int], None] = no_sample
) -> None:
    """Chat in steps; between two steps, half a day or a whole day passes, in turn."""
    with Client(site.serve()) as client:
        for step in range(1, steps + 1):
            for number in range(chats // steps):
                assert client.chat(f"question {number}") == f"Echo(1 msgs): question {number}"
            sample(step * chats // steps)
            site.advance(HALF_DAY * (1 + step % 2))
        counts = site.counts()
    # After half a day an answer brings a fresh nonce; after a whole day the old one is refused.
    assert counts.sessions == 1 + steps // 2
    assert counts.questions == chats + steps // 2
    assert counts.connections <= 2


def test_a_long_life() -> None:
    """A client loses no call to outdated nonces."""
    with closing(Site()) as site:
        long_life(site, chats=40, steps=4)


@full
def test_a_long_life_in_full() -> None:
    """In 100,000 chats, memory, open files and threads do not grow."""
    monitor = Monitor("one thread")
    with remote_site() as site:
        long_life(site, chats=int(100_000 * SCALE), steps=10, sample=monitor.sample)
    monitor.check_growth(2 * MEBIBYTE, files=0)


# Connections that the server closes while they are idle, as Apache does after 5 seconds.


class Idler:
    """A server that can close all its connections at once."""

    def __init__(self) -> None:
        self.peers: List[Peer] = []

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        self.peers.append(peer)
        while peer.question():
            peer.send(ANSWER)

    def hang_up(self) -> None:
        """Close all connections, as a server does after its keep-alive timeout."""
        for peer in self.peers:
            with suppress(OSError):  # the client has closed it already
                peer._sock.shutdown(socket.SHUT_RDWR)
        self.peers.clear()


def idle(threads: int, rounds: int) -> None:
    """Let threads chat in rounds; after each, the server closes all connections."""
    idler = Idler()
    with RawServer(idler.serve) as server, Client(server.url) as client:
        for _ in range(rounds):
            futures = together([lambda: client.chat("Hi")] * threads)
            assert [future.result() for future in futures] == ["Hello"] * threads
            idler.hang_up()
        assert len(server.questions) == threads * rounds
        assert rounds <= server.accepted <= threads * rounds + 1


def test_idle_connections_that_end() -> None:
    """Connections closed while idle cost no call, and no question is sent twice."""
    idle(threads=4, rounds=5)


@full
def test_idle_connections_that_end_in_full() -> None:
    """With 64 threads and many rounds, connections closed while idle cost no call."""
    idle(threads=64, rounds=int(100 * SCALE))


# A site whose address changes.


def test_a_site_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next connection goes to a site's current address."""
    addresses: List[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any) -> Any:
        if host != "bot.invalid":
            return real(host, *arguments)
        address, port = addresses[-1].split(":")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port)))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    moved = FRAMINGS["length"].answer([live("I have moved"), end("I have moved")]).bytes
    with RawServer(answering(moved)) as new, Client("http://bot.invalid") as client:
        with RawServer(answering(ANSWER)) as old:
            addresses.append(old.address)
            assert client.chat("Hi") == "Hello"
            addresses.append(new.address)
            assert client.chat("Hi") == "Hello"  # over the open connection
        assert client.chat("Hi") == "I have moved"
        assert (len(old.questions), len(new.questions)) == (2, 1)
