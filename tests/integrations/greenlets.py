"""
A program that uses a client from greenlets. It fails, and says where, unless everything works.

Usage: greenlets.py LIBRARY WHEN SITE, where WHEN says whether ``threading``, ``socket`` and the
rest are patched ``first`` or ``late``, after the package was imported. The site is silent after
its first delta if the question is "after", and before its headers if it is "before".
"""

from __future__ import annotations

import importlib
import sys
import warnings
from functools import partial
from typing import Any, Callable, List

warnings.simplefilter("ignore")  # eventlet is deprecated, and gevent advises against late patching

LIBRARY, WHEN, SITE = sys.argv[1:]
library: Any = importlib.import_module(LIBRARY)


def patch() -> None:
    """Replace what blocks by what switches to another greenlet."""
    if LIBRARY == "gevent":
        importlib.import_module("gevent.monkey").patch_all()
    else:
        library.monkey_patch()


if WHEN == "first":
    patch()

import requests  # noqa: E402

from chatgpt4online import Client, StreamInterrupted, Timeout  # noqa: E402
from chatgpt4online.testing import Server  # noqa: E402

LIMIT = 0.2


def spawn(function: Callable[[], object]) -> Callable[[], Any]:
    """Run a function in a greenlet, and return what waits for its result."""
    greenlet = library.spawn(function)
    wait: Callable[[], Any] = getattr(greenlet, "get", None) or greenlet.wait
    return wait


def error_of(function: Callable[[], object]) -> str:
    """Return which of our errors a function raises, and at what limit."""
    try:
        return f"none, but {function()!r}"
    except Timeout as error:
        return error.phase
    except StreamInterrupted as error:
        return f"closed after {error.text}" if "closed" in str(error) else str(error)


def close_later(close: Callable[[], object]) -> Callable[[], Any]:
    """Close something in another greenlet."""

    def later() -> None:
        library.sleep(LIMIT)
        close()

    return spawn(later)


def ask(client: Client) -> None:
    """Ask in one greenlet."""
    assert client.chat("Hi") == "Echo(1 msgs): Hi"
    stream = client.stream("Hi")
    assert "".join(stream) == "Echo(1 msgs): Hi"
    stream = client.stream("Hi")
    next(stream)
    stream.close()
    assert error_of(lambda: client.chat("after", deadline=LIMIT)) == "deadline"
    assert error_of(lambda: client.chat("before", deadline=LIMIT)) == "deadline"
    assert error_of(lambda: client.chat("after", timeout=LIMIT)) == "read"
    outcomes = client.map(["1", "2", "3"], workers=2)
    assert [str(each.reply) for each in outcomes] == [f"Echo(1 msgs): {n}" for n in "123"]


def ask_in_many(client: Client) -> None:
    """Ask in many greenlets, whose questions and deadlines overlap."""

    def one(number: int) -> List[str]:
        library.sleep(number * 0.003)
        late = error_of(lambda: client.chat("after", deadline=LIMIT))
        return [str(client.chat(f"{number}")), late]

    waits = [spawn(partial(one, number)) for number in range(20)]
    for number, wait in enumerate(waits):
        assert wait() == [f"Echo(1 msgs): {number}", "deadline"]


def close_elsewhere(client: Client) -> None:
    """Close a stream, and a client, in another greenlet than the one that reads."""
    for owner in (None, client):
        stream = client.stream("after")
        assert next(stream) == "a"
        wait = close_later((owner or stream).close)
        assert error_of(partial(list, stream)) == "closed after a"
        wait()


def main() -> None:
    """Use the client's own session, and a given one; then ask a site in this process."""
    for session in (None, requests.Session()):
        with Client(SITE, session=session) as client:
            ask(client)
            ask_in_many(client)
            close_elsewhere(client)
    if WHEN == "first":
        with Server() as server, Client(server.url) as client:
            assert client.chat("Hi") == "Echo(1 msgs): Hi"


if WHEN == "late":
    patch()
main()
