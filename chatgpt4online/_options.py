"""The keyword options that `Client.from_page` and `Conversation` pass on, for type checkers."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any, Mapping, Optional, Sequence, Tuple, TypedDict, Union

import requests

from . import _settings
from ._validation import Timeouts
from .files import Source
from .types import File


class NoUnpack:
    """Stands for `typing.Unpack` before Python 3.11: an option may then be anything."""

    def __class_getitem__(cls, options: type) -> Any:
        """Return the type of a single option."""
        return Any


if TYPE_CHECKING:
    from typing_extensions import Unpack  # which type checkers bring along
else:
    Unpack = getattr(typing, "Unpack", NoUnpack)

__all__ = ["ChatOptions", "ClientOptions", "Unpack", "hide_headers"]


class ClientOptions(TypedDict, total=False):
    """Arguments of `Client` that do not come from a page."""

    auth: Optional[Tuple[str, str]]
    token: Optional[str]
    model: Optional[str]
    history: str
    headers: Optional[Mapping[str, Optional[str]]]
    proxy: Optional[str]
    timeout: Timeouts
    deadline: Optional[float]
    retries: int
    session: Optional[requests.Session]


class ChatOptions(TypedDict, total=False):
    """Arguments of `Client.chat` that a conversation does not set itself."""

    files: Sequence[Union[File, Source]]
    model: Optional[str]
    extra_body: Optional[Mapping[str, Any]]
    headers: Optional[Mapping[str, Optional[str]]]
    timeout: Timeouts
    deadline: Optional[float]


def hide_headers(options: ChatOptions) -> None:
    """Validate headers in place, and keep their values out of tracebacks that show variables."""
    if options.get("headers") is not None:
        options["headers"] = _settings.secret_headers(options["headers"])
