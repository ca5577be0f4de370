"""
A synchronous client for chatbots served by the WordPress plugin AI Engine.

>>> from chatgpt4online import Client
>>> client = Client("https://example.com")
"""

from __future__ import annotations

from typing import Any

from ._protocol.headers import WIDGET_HEADERS
from ._protocol.request import format_prompt
from ._version import __version__
from .client import Client
from .conversation import Conversation
from .errors import (
    AuthError,
    BlockedError,
    ChatGPT4OnlineError,
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
    "NotFoundError",
    "Outcome",
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


def load_ipython_extension(shell: Any) -> None:
    """Do what ``%load_ext chatgpt4online`` asks for: bring ``%%chat``."""
    from .notebook import load  # here, since only notebooks want it

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Do what ``%unload_ext chatgpt4online`` asks for."""
    from .notebook import unload

    unload(shell)
