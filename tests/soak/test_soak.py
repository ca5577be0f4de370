"""
A client in a service that runs for months: many threads, many calls, and nothing piles up.

Each scenario is run small with all other tests, and in full, for minutes, by ``make soak``.
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

#: A part of the full sizes, for who has less time.
SCALE = float(os.environ.get("SOAK_SCALE", "1"))

PROCESS = Path("/proc/self")


def full(function: Callable[[], None]) -> Callable[[], None]:
    """Mark a test that takes minutes, and looks at what the process holds."""
    known = (PROCESS / "statm").exists()
    skipped = pytest.mark.skipif(not known, reason="this system does not tell what a process holds")
    return pytest.mark.soak(pytest.mark.timeout(7200)(skipped(function)))


class Held(NamedTuple):
    """What this process holds: memory in bytes, open files and sockets, and threads."""

    memory: int
    files: int
    threads: int


def held() -> Held:
    """Return what this process holds."""
    pages = int((PROCESS / "statm").read_text("ascii").split()[1])
    files = len(list((PROCESS / "fd").iterdir()))
    return Held(pages * os.sysconf("SC_PAGE_SIZE"), files, threading.active_count())


class Watch:
    """Notes what the process holds from time to time, and prints it for who waits."""

    def __init__(self, name: str) -> None:
        self.samples: List[Held] = []
        self._name = name
        self._began = monotonic()

    def look(self, chats: int) -> None:
        """Take a sample after so many chats."""
        sample = held()
        self.samples.append(sample)
        print(  # noqa: T201 - the figures are what a soak is run for
            f"{self._name}: {chats} chats, {chats / (monotonic() - self._began):.0f} a second,"
            f" {sample.memory / MEBIBYTE:.1f} MiB, {sample.files} files, {sample.threads} threads"
        )

    def hold(self, memory: int, files: int) -> None:
        """Allow for so much more at the end than when the process was warm."""
        warm, last = self.samples[1], self.samples[-1]
        assert last.memory - warm.memory < memory
        assert last.files - warm.files <= files
        assert last.threads <= warm.threads


def nothing(_: int) -> None:
    """Take no sample."""


# Many threads.


class Asker:
    """Asks in a thread of its own until it is enough, and holds each answer to its question."""

    def __init__(self, client: Client, name: str) -> None:
        self.done = 0
        self.cuts = 0
        self._client = client
        self._name = name

    def run(self, enough: threading.Event) -> None:
        """Ask on."""
        while not enough.is_set():
            self._ask(f"question {self.done} of {self._name}" + " and so on" * (self.done % 7))
            self.done += 1

    def _ask(self, message: str) -> None:
        expected = f"Echo(1 msgs): {message}"
        client, streams = self._client, self.done % 2
        try:
            said = "".join(client.stream(message)) if streams else client.chat(message)
            assert said == expected
        except StreamInterrupted as error:
            self.cuts += expected.startswith(error.text)


def crowd(
    site: Site, threads: int, chats: int, waves: int, look: Callable[[int], None] = nothing
) -> None:
    """Have threads share a client, while nonces expire in waves and answers are cut or slow."""
    enough = threading.Event()
    with Client(site.opens()) as client, ThreadPoolExecutor(threads) as pool:
        client.chat("Hi")
        askers = [Asker(client, f"thread {number}") for number in range(threads)]
        futures = [pool.submit(asker.run, enough) for asker in askers]
        try:
            for wave in range(1, waves + 1):
                wait_for_all(askers, futures, wave * chats // (waves + 1), 2 * (wave - 1))
                for how in ("clean", "torn"):
                    site.cuts(how=how)
                site.slows(0.002)
                site.expire_nonce()
                look(sum(asker.done for asker in askers))
            wait_for_all(askers, futures, chats, 2 * waves)
        finally:
            enough.set()
        for future in futures:
            future.result()
        asked = sum(asker.done for asker in askers)
        look(asked)
        seen = site.seen()
    assert seen.sessions == 1 + waves
    assert 0 < seen.questions - 1 - asked <= waves * threads  # a wave refuses each once at most
    # One connection a thread, and some more while the ends of responses are still to come.
    assert seen.open <= 2 * threads
    assert seen.connections <= 2 * threads + 2 * waves


def wait_for_all(askers: List[Asker], futures: List[Future[None]], chats: int, cuts: int) -> None:
    """Wait for so many chats and cuts in all, and until the last wave has been met by each."""
    # The first answer may be to a question from before that wave, the second one is not.
    goals = [asker.done + 2 for asker in askers]
    while (
        sum(asker.done for asker in askers) < chats
        or sum(asker.cuts for asker in askers) < cuts
        or any(asker.done < goal for asker, goal in zip(askers, goals))
    ):
        assert not any(future.done() for future in futures), "a thread has failed"
        sleep(0.005)


def test_a_crowd() -> None:
    """Each of many threads gets its own answers, and each wave of expired nonces costs one."""
    with closing(Site()) as site:
        crowd(site, threads=8, chats=80, waves=3)


@full
def test_a_crowd_in_full() -> None:
    """The same with 64 threads and 5,000 chats, and the client's memory stays as it is."""
    watch = Watch("64 threads")
    with remote_site() as site:
        crowd(site, threads=64, chats=int(5000 * SCALE), waves=10, look=watch.look)
    watch.hold(8 * MEBIBYTE, files=64)


# A long life.


def long_life(site: Site, chats: int, steps: int, look: Callable[[int], None] = nothing) -> None:
    """Chat on, while half a day passes and then a whole one, in turns, before each further step."""
    with Client(site.opens()) as client:
        for step in range(1, steps + 1):
            for number in range(chats // steps):
                assert client.chat(f"question {number}") == f"Echo(1 msgs): question {number}"
            look(step * chats // steps)
            site.advance(HALF_DAY * (1 + step % 2))
        seen = site.seen()
    # After half a day the site sends a fresh nonce by itself; after a whole one it refuses the old.
    assert seen.sessions == 1 + steps // 2
    assert seen.questions == chats + steps // 2
    assert seen.connections <= 2


def test_a_long_life() -> None:
    """A client whose nonce is outdated, again and again, loses no call by it."""
    with closing(Site()) as site:
        long_life(site, chats=40, steps=4)


@full
def test_a_long_life_in_full() -> None:
    """The same for 100,000 chats: memory, files and threads stay as they are."""
    watch = Watch("one thread")
    with remote_site() as site:
        long_life(site, chats=int(100_000 * SCALE), steps=10, look=watch.look)
    watch.hold(2 * MEBIBYTE, files=0)


# Connections that end while they are idle, as with Apache after 5 seconds.


class Idler:
    """A server's side of the connections, which all end when it is told so."""

    def __init__(self) -> None:
        self.peers: List[Peer] = []

    def serve(self, peer: Peer) -> None:
        """Serve a connection."""
        self.peers.append(peer)
        while peer.question():
            peer.send(ANSWER)

    def hang_up(self) -> None:
        """End all connections, as a server does that has waited long enough."""
        for peer in self.peers:
            with suppress(OSError):  # it has ended already
                peer._sock.shutdown(socket.SHUT_RDWR)
        self.peers.clear()


def idle(threads: int, rounds: int) -> None:
    """Have threads chat at the same time, and again when the server has ended all connections."""
    idler = Idler()
    with RawServer(idler.serve) as server, Client(server.url) as client:
        for _ in range(rounds):
            futures = together([lambda: client.chat("Hi")] * threads)
            assert [future.result() for future in futures] == ["Hello"] * threads
            idler.hang_up()
        assert len(server.questions) == threads * rounds
        assert rounds <= server.accepted <= threads * rounds + 1


def test_idle_connections_that_end() -> None:
    """A server that ends connections while they are idle costs no call, and no question twice."""
    idle(threads=4, rounds=5)


@full
def test_idle_connections_that_end_in_full() -> None:
    """The same with 64 threads, again and again."""
    idle(threads=64, rounds=int(100 * SCALE))


# A site that moves.


def test_a_site_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site that has another address now is found there by the next connection."""
    now: List[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any) -> Any:
        if host != "bot.invalid":
            return real(host, *arguments)
        address, port = now[-1].split(":")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port)))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    moved = FRAMINGS["length"].answer([live("I have moved"), end("I have moved")]).bytes
    with RawServer(answering(moved)) as new, Client("http://bot.invalid") as client:
        with RawServer(answering(ANSWER)) as old:
            now.append(old.address)
            assert client.chat("Hi") == "Hello"
            now.append(new.address)
            assert client.chat("Hi") == "Hello"  # over the connection that is there
        assert client.chat("Hi") == "I have moved"
        assert (len(old.questions), len(new.questions)) == (2, 1)
