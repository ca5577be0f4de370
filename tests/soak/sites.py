"""A site in a process of its own, so that what it holds is not taken for the client's."""

from __future__ import annotations

import contextlib
import multiprocessing
from multiprocessing.managers import BaseManager
from typing import Iterator, NamedTuple, cast

from chatgpt4online.testing import Server
from chatgpt4online.testing._script import Script


class Seen(NamedTuple):
    """What a site has seen: questions, those of them refused included, nonces and connections."""

    questions: int
    sessions: int
    connections: int
    open: int


class Site(Server):
    """The testing site; it counts what it has seen, and keeps none of it."""

    _questions = 0
    _sessions = 0

    def slows(self, pace: float) -> None:
        """Let the next answer come with so many seconds between two events."""
        self._add_script("chats/submit", Script(pace=pace))

    def opens(self) -> str:
        """Start to serve; return the URL."""
        return self.start().url

    def seen(self) -> Seen:
        """Return what it has seen so far."""
        with self._handler._lock:
            paths = [request.path for request in self._handler._requests]
            self._handler._requests.clear()
        sessions = sum(path.endswith("start_session") for path in paths)
        self._sessions += sessions
        self._questions += len(paths) - sessions
        return Seen(self._questions, self._sessions, self.connections, self.open_connections)


class Sites(BaseManager):
    """The process in which sites are made."""


Sites.register("site", Site)


@contextlib.contextmanager
def remote_site() -> Iterator[Site]:
    """Make a site in another process; what is called here runs there."""
    with Sites(ctx=multiprocessing.get_context("spawn")) as sites:
        site = cast("Site", sites.site())  # type: ignore[attr-defined]
        yield site
        site.close()
