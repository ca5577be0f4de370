"""
The values that a client accepts and returns.

They are frozen dataclasses, except `Message`, a dict, and `Reply`, a str.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypedDict,
    Union,
    cast,
)

from ._json import json_ready

__all__ = [
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
]


class _Value:
    """
    What all values have in common: they are compared, hashed and shown by their fields.

    A value whose fields include a dict or a list, such as an `Action`, cannot be hashed.

    `dataclass` would write these methods for each class, at 4 ms of `import chatgpt4online`.
    """

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__qualname__}({shown})"


class Message(TypedDict):
    """One turn of a conversation: a plain dict."""

    role: str
    """``"user"``, ``"assistant"`` or ``"system"``."""

    content: str
    """The text of the turn."""


#: A turn as callers pass it. Type checkers do not accept a dict in a variable as a `Message`. Its
#: content may also be a list of parts, ``{"type": "text", "text": ...}``.
Turn = Union[Message, Mapping[str, object]]


@dataclass(frozen=True, eq=False, repr=False)
class Usage(_Value):
    """
    What an answer cost, as reported by the site.

    Source: AI Engine 3.6.2, `usage` in the answer of mwai-ui/v1/chats/submit.
    """

    prompt_tokens: Optional[int] = None
    """Tokens sent to the model, or None if the site did not say."""

    completion_tokens: Optional[int] = None
    """Tokens written by the model, or None if the site did not say."""

    total_tokens: Optional[int] = None
    """Tokens sent and written, or None if the site did not say."""

    price: Optional[float] = None
    """Price in US dollars, or None if the site did not say."""

    queries: Optional[int] = None
    """How many queries the site counted for this answer, or None if it did not say."""

    accuracy: Optional[str] = None
    """
    How the site found the numbers, one of ``"none"``, ``"estimated"``, ``"tokens"``,
    ``"price"`` and ``"full"``. None before AI Engine 2.8.8.
    """


@dataclass(frozen=True, eq=False, repr=False)
class Event(_Value):
    """
    One event of a stream.

    Source: AI Engine 3.6.2, `live` events of mwai-ui/v1/chats/submit.
    """

    kind: str
    """``"content"`` for a piece of the answer, or the plugin's word, such as ``"thinking"``."""

    text: str
    """The piece of the answer, or a note about the site's work."""

    visibility: Optional[str]
    """``"visible"``, ``"collapsed"`` or ``"hidden"``, or None if the plugin did not say."""

    metadata: Mapping[str, Any]
    """Details from the plugin; often empty."""

    timestamp: Optional[float]
    """When the site sent the event, in seconds since 1970, or None if it did not say."""


@dataclass(frozen=True, eq=False, repr=False)
class Image(_Value):
    """An image made by a model. Notebooks display it."""

    url: str
    """The address of the image."""

    def _repr_html_(self) -> str:
        """Return an HTML element that shows the image."""
        from html import escape  # imported here to keep `import chatgpt4online` fast

        return f'<img src="{escape(self.url, quote=True)}">'


@dataclass(frozen=True, eq=False, repr=False)
class Action(_Value):
    """
    Something that the model asks the visitor's browser to do. This package never runs it.

    Source: AI Engine 3.6.2, `actions` in the answer of mwai-ui/v1/chats/submit.
    """

    kind: str
    """``"function"`` or ``"javascript"``."""

    name: str
    """The name of the function; empty for JavaScript."""

    args: Mapping[str, Any]
    """The arguments of the function, by name; empty for JavaScript."""

    data: Mapping[str, Any]
    """The action's JSON object, as the plugin sent it."""


@dataclass(frozen=True, eq=False, repr=False)
class Shortcut(_Value):
    """
    A button that the site offers below an answer. Pass it to `Client.chat` to click it.

    Source: AI Engine 3.6.2, `shortcuts` in the answer of mwai-ui/v1/chats/submit.
    """

    label: str
    """The text on the button."""

    message: str
    """The message that a click sends; empty if only the site knows it (see `shortcut_id`)."""

    shortcut_id: Optional[str]
    """The id by which the site finds a message that it keeps to itself, or None."""

    data: Mapping[str, Any]
    """The shortcut's JSON object, as the plugin sent it."""


@dataclass(frozen=True, eq=False, repr=False)
class File(_Value):
    """
    A file that has been uploaded to the site.

    Source: AI Engine 3.6.2, mwai-ui/v1/files/upload and /list.
    """

    id: str
    """The id by which questions refer to the file and `Files.delete` deletes it."""

    url: str
    """The address of the file. Anyone who knows it can read the file until it expires."""

    name: str
    """The file name."""

    type: str
    """
    ``"image"`` or ``"file"``, by the extension in `url`. This is not the plugin's own word, since
    an upload and a list use different ones for the same image from AI Engine 2.8.5 on.
    """

    purpose: Optional[str]
    """What the file was uploaded for, in the plugin's words, or None if the site did not say."""

    created: Optional[datetime]
    """When the file was uploaded, in UTC, or None if the site did not say."""

    expires: Optional[datetime]
    """
    When the site deletes the file, in UTC, or None if it did not say. By default, an hour after
    the upload.
    """


@dataclass(frozen=True, eq=False, repr=False)
class Discussion(_Value):
    """
    A conversation of a logged-in user, as stored by the site.

    Source: AI Engine 3.6.2, mwai-ui/v1/discussions/list.
    """

    chat_id: str
    """The id of the conversation."""

    title: Optional[str]
    """The title, or None until the site has found one."""

    messages: Tuple[Message, ...]
    """The turns, oldest first; empty if what the site has stored of them is broken."""

    bot: Optional[str]
    """The id of the bot, or None if the site did not say."""

    created: Optional[datetime]
    """When the conversation began, in UTC, or None if the site did not say."""

    updated: Optional[datetime]
    """When the conversation last changed, in UTC, or None if the site did not say."""


@dataclass(frozen=True, eq=False, repr=False)
class Bot(_Value):
    """
    A chatbot, as described by a page or by the public API.

    Source: AI Engine 3.6.2, `data-params` and `data-system` of a page; mwai/v1/listChatbots.
    """

    id: Optional[str]
    """The id of the bot, or None for a bot that a page defines (see `custom_id`)."""

    custom_id: Optional[str]
    """The id of a bot that a page defines, or None."""

    context_id: Optional[int]
    """The id of the WordPress page with the bot, or None if unknown."""

    site: str
    """The URL of the bot's site."""

    rest_url: Optional[str]
    """The root of the site's REST API, or None if unknown."""

    mode: Optional[str]
    """``"chat"``, ``"images"``, ``"assistant"`` or another mode; None if unknown."""

    start_sentence: Optional[str]
    """What the bot says before the first question, or None."""

    max_length: Optional[int]
    """The longest message that the bot accepts, in characters; None if unlimited or unknown."""

    uploads: bool
    """Whether the chat window offers to upload files; False if unknown."""

    name: Optional[str]
    """The name of the bot, or None if it has none."""


@dataclass(frozen=True, eq=False, repr=False)
class Check(_Value):
    """One step of `Client.check` and its result."""

    name: str
    """What was checked, such as ``"nonce"``."""

    level: str
    """``"ok"``, ``"warning"`` if the site answers but its owner should look, or ``"failed"``."""

    detail: str
    """One line about the result. Unless the check passed, it gives the reason and what to do."""

    seconds: float
    """How long the check took, in seconds."""

    @property
    def ok(self) -> bool:
        """Whether the check did not fail; True for a warning, too."""
        return self.level != "failed"


@dataclass(frozen=True, eq=False, repr=False)
class Health(_Value):
    """What `Client.check` found. True if no check failed; prints as a table."""

    checks: Tuple[Check, ...]
    """The checks, in order. The first failure is the last check."""

    reply: Optional[Reply] = None
    """The whole answer to the question, or None if none was asked or answered."""

    @property
    def level(self) -> str:
        """The worst level among the checks: ``"ok"``, ``"warning"`` or ``"failed"``."""
        levels = [check.level for check in self.checks]
        return next((level for level in ("failed", "warning") if level in levels), "ok")

    def __bool__(self) -> bool:
        """Return whether no check failed."""
        return all(check.ok for check in self.checks)

    def __str__(self) -> str:
        """Return one line per check."""
        lines = [
            f"{check.level:<7}  {check.name:<10}  {check.seconds:6.2f} s  {check.detail}"
            for check in self.checks
        ]
        return "\n".join(lines)


class Reply(str):
    """
    An answer: a str with its text, which also carries everything else that the site sent.

    The text is the site's final answer. It may differ from the joined deltas of a stream; keep
    this one in a history. An empty text is falsy even if there are images or actions.

    Args:
        text: the text of the answer, usually Markdown. Each other argument becomes the attribute
            of the same name.
    """

    usage: Optional[Usage]
    """Tokens and price, or None if the site did not say."""

    images: Tuple[Image, ...]
    """The images that the model made; empty if it made none."""

    actions: Tuple[Action, ...]
    """What the model asks a browser to do. This package never runs it."""

    shortcuts: Tuple[Shortcut, ...]
    """The buttons offered below the answer."""

    blocks: Tuple[Mapping[str, Any], ...]
    """The HTML blocks offered below the answer, as the plugin sent them."""

    response_id: Optional[str]
    """The model vendor's id of this answer, or None."""

    chat_id: Optional[str]
    """The id of the conversation, or None if it has none."""

    raw: Dict[str, Any]
    """
    The answer's JSON object without the nonce that it may contain; empty if the site could not
    encode it.
    """

    seconds: Optional[float]
    """
    Seconds from the start of the request to the end of the answer. Fetching a nonce and retries are
    included, uploading files is not. None for a reply that was not returned by `Client.chat`, a
    stream or `Client.map`.
    """

    first_seconds: Optional[float]
    """
    Seconds from the start of the request to the first text, measured like `seconds`; None if no
    text arrived.
    """

    def __new__(
        cls,
        text: str = "",
        *,
        usage: Optional[Usage] = None,
        images: Tuple[Image, ...] = (),
        actions: Tuple[Action, ...] = (),
        shortcuts: Tuple[Shortcut, ...] = (),
        blocks: Tuple[Mapping[str, Any], ...] = (),
        response_id: Optional[str] = None,
        chat_id: Optional[str] = None,
        raw: Optional[Dict[str, Any]] = None,
        seconds: Optional[float] = None,
        first_seconds: Optional[float] = None,
    ) -> Reply:
        """Return a str with the text and these attributes."""
        self = super().__new__(cls, text)
        self.usage = usage
        self.images = images
        self.actions = actions
        self.shortcuts = shortcuts
        self.blocks = blocks
        self.response_id = response_id
        self.chat_id = chat_id
        self.raw = {} if raw is None else raw
        self.seconds = seconds
        self.first_seconds = first_seconds
        return self

    def to_dict(self) -> Dict[str, Any]:
        """
        Return the text and the attributes, except `raw`, as a dict that JSON can encode.

        Images are their URLs; usage, actions and shortcuts are dicts of their fields. A number that
        JSON does not have (NaN, infinity) is None.
        """
        fields = {
            "text": str(self),
            "chat_id": self.chat_id,
            "response_id": self.response_id,
            "usage": self.usage and vars(self.usage),
            "images": [image.url for image in self.images],
            "actions": [vars(action) for action in self.actions],
            "shortcuts": [vars(shortcut) for shortcut in self.shortcuts],
            "blocks": list(self.blocks),
            "seconds": self.seconds,
            "first_seconds": self.first_seconds,
        }
        return {name: json_ready(value) for name, value in fields.items()}

    def _repr_markdown_(self) -> str:
        """Return the text as Markdown for a notebook; any HTML in it shows as text."""
        from ._display import for_markdown  # imported here to keep `import chatgpt4online` fast

        return for_markdown(self)


@dataclass(frozen=True, eq=False, repr=False)
class Outcome(_Value):
    """
    The result of one of many messages: a reply or an error.

    For outcomes of `Client.map`, type checkers infer that ``reply`` is a `Reply` if ``error is
    None``, and None otherwise.
    """

    index: int
    """The position of the message in the input, counted from 0."""

    key: Optional[str]
    """The key of the message in the journal, or None without one."""

    message: Union[str, Sequence[Turn]]
    """The message, as it was given."""

    reply: Optional[Reply]
    """The answer, or None if there is an `error`."""

    error: Optional[Exception]
    """The exception that the message raised, or None if there is a `reply`."""

    seconds: Optional[float] = None
    """
    How long the question took, in seconds, retries included; for a reply from a journal, how long
    it took originally. None if it was not asked.
    """

    @property
    def ok(self) -> bool:
        """
        Whether there is a reply that contains anything.

        Some sites report success, with an empty reply, when the model failed.
        """
        return self.reply is not None and has_content(self.reply)

    def result(self) -> Reply:
        """
        Return the reply, also an empty one.

        Raises:
            Exception: the `error`, if there is one.
        """
        if self.reply is not None:
            return self.reply
        raise cast(Exception, self.error)

    def to_dict(self) -> Dict[str, Any]:
        """
        Return a flat dict that JSON can encode: one row of a table.

        Its keys are ``index``, ``key``, ``message``, ``text``, ``error`` (the name of the
        exception's class), ``error_message``, ``seconds``, ``first_seconds``, ``prompt_tokens``,
        ``completion_tokens``, ``total_tokens``, ``price`` and ``chat_id``. What does not apply, or
        is unknown, is None.
        """
        reply, error = self.reply, self.error
        usage = (None if reply is None else reply.usage) or Usage()
        fields = {
            "index": self.index,
            "key": self.key,
            "message": self.message,
            "text": None if reply is None else str(reply),
            "error": None if error is None else type(error).__name__,
            "error_message": None if error is None else str(error),
            "seconds": self.seconds,
            "first_seconds": None if reply is None else reply.first_seconds,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
            "price": usage.price,
            "chat_id": None if reply is None else reply.chat_id,
        }
        return {name: json_ready(value) for name, value in fields.items()}


if TYPE_CHECKING:

    class Answered(Outcome):
        """An outcome as type checkers see it where `error` is None."""

        reply: Reply
        error: None

    class Failed(Outcome):
        """An outcome as type checkers see it where `error` is not None."""

        reply: None
        error: Exception

    AnyOutcome = Union[Answered, Failed]
else:
    AnyOutcome = Outcome


def has_content(reply: Reply) -> bool:
    """Return whether a reply contains anything that a user could see or run."""
    others = (reply.images, reply.actions, reply.shortcuts, reply.blocks)
    return bool(reply.strip() or any(others))
