"""Pools of our connections, and the session that uses them."""

from __future__ import annotations

import http.client
from collections import deque
from contextlib import suppress
from functools import lru_cache
from queue import Empty, Full
from typing import Any, Deque, Dict, Optional, Tuple, Type
from urllib.parse import urlsplit

import requests
from urllib3 import PoolManager
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .connection import (
    DirectConnection,
    SharedContextConnection,
    SocksConnection,
    WatchedConnection,
)
from .cookies import CookieAdapter
from .deadlines import monotonic

#: How many idle connections a client keeps; more threads than that still work.
POOL_SIZE = 256

_Pools = Dict[str, Type[HTTPConnectionPool]]


class _IdleConnections:
    """
    The idle connections of a pool, the last one used first; none that is idle for too long.

    It takes the place of urllib3's `queue.LifoQueue`, which has a lock that a finalizer or a
    signal handler could find taken by its own thread.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._maxsize = maxsize
        self._idle: Deque[Any] = deque()
        self._is_closed = False

    def put(self, item: Any, block: bool = True, timeout: Optional[float] = None) -> None:
        """Keep a connection; urllib3 also puts None for each that may come, which is ignored."""
        del block, timeout
        if item is None:
            return
        if len(self._idle) >= self._maxsize > 0:
            raise Full
        item.idle_until = monotonic() + item.idle_limit
        self._idle.append(item)
        if self._is_closed:  # looked at last, so that `close` cannot miss the connection
            self.close()

    def close(self) -> None:
        """Close all connections, and those that are put back from now on."""
        self._is_closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def get(self, block: bool = True, timeout: Optional[float] = None) -> Any:
        """Return a connection; raise `queue.Empty` if there is none that may be used."""
        del block, timeout
        while True:
            try:
                item = self._idle.pop()
            except IndexError:
                raise Empty from None
            if monotonic() < item.idle_until:
                return item
            item.close()

    def qsize(self) -> int:
        """Return how many connections there are."""
        return len(self._idle)


class _Pool:
    """Adds to urllib3's pools that `close` also closes connections that are put back later."""

    def close(self) -> None:
        idle = getattr(self, "pool", None)
        super().close()  # type: ignore[misc]
        if isinstance(idle, _IdleConnections):
            idle.close()


@lru_cache(maxsize=None)
def _pools(watched: Type[WatchedConnection], **originals: Type[HTTPConnectionPool]) -> _Pools:
    """
    Return pools of our connections.

    Args:
        watched: how the connections reach the site.
        originals: urllib3's pools, by scheme.
    """
    ours = {"http": (watched,), "https": (SharedContextConnection, watched)}
    pools = {}
    for scheme, pool in originals.items():
        connection = type("Connection", (*ours[scheme], _original(pool.ConnectionCls)), {})
        members = {"ConnectionCls": connection, "QueueCls": _IdleConnections}
        pools[scheme] = type("Pool", (_Pool, pool), members)
    return pools


def _original(connection: type) -> type:
    """Return urllib3's own class of connections, where another one has replaced it."""
    of_urllib3 = (each for each in connection.__mro__ if _is_of_urllib3(each))
    return next(of_urllib3, connection)


def _is_of_urllib3(connection: type) -> bool:
    return connection.__module__.startswith("urllib3.")


def connections_are_replaced() -> bool:
    """Return whether urllib3's connections are another library's now, as in VCR.py's cassettes."""
    return not _is_of_urllib3(HTTPConnectionPool.ConnectionCls)


def _direct_pools() -> _Pools:
    return _pools(DirectConnection, http=HTTPConnectionPool, https=HTTPSConnectionPool)


class Adapter(CookieAdapter):
    """requests' adapter with connections that a call can end before an answer has begun."""

    def __init__(self) -> None:
        #: urllib3's managers of pools, by proxy.
        self._managers: Dict[str, Any] = {}
        self._known_pools: Dict[Tuple[Any, ...], Any] = {}
        super().__init__(pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools of direct connections ours."""
        super().init_poolmanager(*args, **options)
        self._managers[""] = self.poolmanager
        self.poolmanager.pool_classes_by_scheme = _direct_pools()

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Make the pools of a proxy's connections ours."""
        self._managers[proxy] = manager = super().proxy_manager_for(proxy, **options)
        is_socks = proxy.lower().startswith("socks")
        manager.pool_classes_by_scheme = (
            _pools(SocksConnection, **type(manager).pool_classes_by_scheme)
            if is_socks
            else _direct_pools()
        )
        return manager

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the pool for a request. Looking it up by its URL saves 8 % of a short chat."""
        parts = urlsplit(request.url)
        key = (parts.scheme, parts.netloc, verify, cert, *(proxies or {}).items())
        pool = self._known_pools.get(key)
        if getattr(pool, "pool", None) is None:  # some versions of urllib3 close old ones
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            self._known_pools[key] = pool
        return pool

    def close(self) -> None:
        """
        Close all connections.

        urllib3 2 does not close the connections of a pool that a finished response still refers to,
        nor those of pools beyond the ten that its manager keeps.
        """
        for manager in list(self._managers.values()):
            pools = getattr(manager, "pools", {})
            for key in pools.keys():  # noqa: SIM118 - not a dict: it cannot be iterated
                pools[key].close()
        for pool in list(self._known_pools.values()):
            pool.close()
        super().close()


def is_known_urllib3() -> bool:
    """
    Return whether urllib3 takes connections and pools of ours.

    urllib3-future, which niquests installs in its place, has connections of another kind.
    """
    connection = getattr(HTTPConnectionPool, "ConnectionCls", object)
    return (
        issubclass(connection, http.client.HTTPConnection)
        and hasattr(HTTPConnectionPool, "QueueCls")
        and hasattr(PoolManager(), "pool_classes_by_scheme")
    )


def new_session() -> requests.Session:
    """Return a session whose connections a call can end, and which adds no headers."""
    session = requests.Session()
    session.headers.clear()
    adapter = Adapter()
    for prefix in ("https://", "http://"):
        session.mount(prefix, adapter)
    return session
