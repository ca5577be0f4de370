"""A site in a process of its own, whose memory and files do not count as the client's."""

from __future__ import annotations

import contextlib
import multiprocessing
from multiprocessing.managers import BaseManager
from typing import Iterator, NamedTuple, cast

from chatgpt4online.testing import Server
from chatgpt4online.testing._script_queue import Script


class Counts(NamedTuple):
    """What a site has counted: questions (refused ones included), sessions and connections."""

    questions: int
    sessions: int
    connections: int
    open: int


class Site(Server):
    """A testing site that counts requests and does not keep them."""

    _questions = 0
    _sessions = 0

    def slows(self, pace: float) -> None:
        """Script the model's default reply with ``pace`` seconds between two events."""
        self._add_script("chats/submit", Script(pace=pace))

    def serve(self) -> str:
        """Start serving; return the URL."""
        return self.start().url

    def counts(self) -> Counts:
        """Return the counts so far."""
        with self._handler._lock:
            paths = [request.path for request in self._handler._requests]
            self._handler._requests.clear()
        sessions = sum(path.endswith("start_session") for path in paths)
        self._sessions += sessions
        self._questions += len(paths) - sessions
        return Counts(self._questions, self._sessions, self.connections, self.open_connections)


class Sites(BaseManager):
    """The process in which remote sites run."""


Sites.register("site", Site)


@contextlib.contextmanager
def remote_site() -> Iterator[Site]:
    """Make a proxy for a site that runs in another process."""
    with Sites(ctx=multiprocessing.get_context("spawn")) as sites:
        site = cast("Site", sites.site())  # type: ignore[attr-defined]
        yield site
        site.close()
