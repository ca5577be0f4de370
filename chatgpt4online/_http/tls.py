"""
TLS contexts, made once per process and trust settings.

To read the system's certificates takes about 40 ms, longer than a short answer does.
"""

from __future__ import annotations

import os
import ssl
import threading
from _thread import start_new_thread
from contextlib import suppress
from typing import Any, Dict, Tuple

from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

_Trusted = Tuple[Any, ...]

_contexts: Dict[_Trusted, ssl.SSLContext] = {}
_locks: Dict[_Trusted, threading.RLock] = {}


def context(cert_reqs: Any, ca_certs: Any, ca_cert_dir: Any) -> ssl.SSLContext:
    """
    Return the context for what requests says of a connection.

    Raises:
        OSError: the certificates cannot be read.
    """
    trusted = (cert_reqs, ca_certs, ca_cert_dir)
    made = _contexts.get(trusted)
    if made is not None:
        return made
    with _locks.setdefault(trusted, threading.RLock()):
        if trusted not in _contexts:
            made = create_urllib3_context(cert_reqs=resolve_cert_reqs(cert_reqs))
            made.load_verify_locations(ca_certs, ca_cert_dir)
            _contexts[trusted] = made
        return _contexts[trusted]


def prepare(*trusted: Any) -> None:
    """Begin to make a context in a thread, unless there is one already."""
    if trusted not in _contexts:
        with suppress(RuntimeError):  # no thread is left, or the interpreter is shutting down
            start_new_thread(_prepare, trusted)


def _prepare(*trusted: Any) -> None:
    with suppress(OSError):  # `context` runs into it again, and raises
        context(*trusted)


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_locks.clear)
