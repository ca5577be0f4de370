"""
A synchronous client for chatbots served by the WordPress plugin AI Engine.

>>> from chatgpt4online import Client
>>> client = Client("https://example.com")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

from ._version import __version__

__all__ = [
    "WIDGET_HEADERS",
    "Action",
    "AuthError",
    "BlockedError",
    "Bot",
    "ChatGPT4OnlineError",
    "Check",
    "Client",
    "Conversation",
    "Discussion",
    "Event",
    "File",
    "Health",
    "Image",
    "Message",
    "MessageError",
    "NotFoundError",
    "Outcome",
    "Outcomes",
    "ProtocolError",
    "RateLimitError",
    "Reply",
    "ReplyError",
    "ServerError",
    "Shortcut",
    "StatusError",
    "Stream",
    "StreamInterrupted",
    "Timeout",
    "TransportError",
    "Usage",
    "__version__",
    "format_prompt",
]

#: The public names of each module. A module is imported when one of them is used for the first
#: time, so that `chatgpt4online.testing` loads neither requests nor ssl.
_EXPORTS = {
    "_protocol.headers": ("WIDGET_HEADERS",),
    "_protocol.request": ("format_prompt",),
    "batch": ("Outcomes",),
    "client": ("Client",),
    "conversation": ("Conversation",),
    "discussions": (),
    "errors": (
        "AuthError",
        "BlockedError",
        "ChatGPT4OnlineError",
        "MessageError",
        "NotFoundError",
        "ProtocolError",
        "RateLimitError",
        "ReplyError",
        "ServerError",
        "StatusError",
        "StreamInterrupted",
        "Timeout",
        "TransportError",
    ),
    "files": (),
    "public_api": (),
    "stream": ("Stream",),
    "types": (
        "Action",
        "Bot",
        "Check",
        "Discussion",
        "Event",
        "File",
        "Health",
        "Image",
        "Message",
        "Outcome",
        "Reply",
        "Shortcut",
        "Usage",
    ),
}

if TYPE_CHECKING:
    from ._protocol.headers import WIDGET_HEADERS
    from ._protocol.request import format_prompt
    from .batch import Outcomes
    from .client import Client
    from .conversation import Conversation
    from .errors import (
        AuthError,
        BlockedError,
        ChatGPT4OnlineError,
        MessageError,
        NotFoundError,
        ProtocolError,
        RateLimitError,
        ReplyError,
        ServerError,
        StatusError,
        StreamInterrupted,
        Timeout,
        TransportError,
    )
    from .stream import Stream
    from .types import (
        Action,
        Bot,
        Check,
        Discussion,
        Event,
        File,
        Health,
        Image,
        Message,
        Outcome,
        Reply,
        Shortcut,
        Usage,
    )
else:  # hidden from type checkers, which would otherwise accept any name

    def __getattr__(name: str) -> Any:
        """Import a public name, or a module that holds some, on first use (PEP 562)."""
        if name in _EXPORTS:
            return import_module(f".{name}", __name__)
        for module, names in _EXPORTS.items():
            if name in names:
                value = getattr(import_module(f".{module}", __name__), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    """Return all names, those not yet imported included."""
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """Add ``%%chat`` to IPython; called by ``%load_ext chatgpt4online``."""
    from .notebook import load  # imported here because it needs IPython

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Remove ``%%chat`` again; called by ``%unload_ext chatgpt4online``."""
    from .notebook import unload

    unload(shell)
