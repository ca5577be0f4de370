"""
An AI Engine site on 127.0.0.1, to test code that talks to one.

``Server`` is the site, ``Request`` what it records, ``event()`` makes the bytes of one event of a
streamed answer. With pytest, the fixture ``chatgpt4online_server`` is a started server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

__all__ = ["Headers", "Request", "Server", "event"]

#: The module of each public name, imported on first use: `Server` loads ssl.
_MODULES = {"Headers": "_http", "Request": "_http", "Server": "_server", "event": "_model"}

if TYPE_CHECKING:
    from ._http import Headers, Request
    from ._model import event
    from ._server import Server
else:  # hidden from type checkers, which would otherwise accept any name

    def __getattr__(name: str) -> Any:
        """Import a public name on first use (PEP 562)."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        return value


def __dir__() -> List[str]:
    """Return all names, those not yet imported included."""
    return sorted({*globals(), *__all__})
