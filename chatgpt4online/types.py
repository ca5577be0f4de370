"""The values that the client gives and takes. They do not change once made."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, TypedDict, Union

from ._value import Value

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


class Message(TypedDict):
    """One turn of a history: `role` is ``user``, ``assistant`` or ``system``."""

    role: str
    content: str


#: A turn as callers give it: type checkers take a dict in a variable for no `Message`.
Turn = Union[Message, Mapping[str, str]]


class Usage(Value):
    """
    What an answer cost, as the site reports it. None: the site did not say.

    Source: AI Engine 3.6.2, `usage` in the answer of mwai-ui/v1/chats/submit.
    """

    prompt_tokens: Optional[int] = None
    completion_tokens: Optional[int] = None
    total_tokens: Optional[int] = None
    #: US dollars.
    price: Optional[float] = None
    queries: Optional[int] = None
    #: How the numbers were found, one of ``none``, ``estimated``, ``tokens``, ``price``, ``full``.
    accuracy: Optional[str] = None


class Event(Value):
    """
    One event of a stream.

    Source: AI Engine 3.6.2, `live` events of mwai-ui/v1/chats/submit.
    """

    #: ``content`` for the text of the answer, else a word of the plugin such as ``thinking``.
    kind: str
    text: str
    #: ``visible``, ``collapsed`` or ``hidden``, where the plugin says so.
    visibility: Optional[str]
    #: What the plugin gave beside the text; often empty.
    metadata: Mapping[str, Any]
    #: Seconds since 1970, or None.
    timestamp: Optional[float]


class Image(Value):
    """A picture that an image bot made. A notebook shows it."""

    url: str

    def _repr_html_(self) -> str:
        """Return the picture as an HTML element."""
        from html import escape  # here, since every import of the package would pay for it

        return f'<img src="{escape(self.url, quote=True)}">'


class Action(Value):
    """
    Something that the model asks the visitor's browser to do. It is data: nothing here runs it.

    Source: AI Engine 3.6.2, `actions` in the answer of mwai-ui/v1/chats/submit.
    """

    #: ``function`` or ``javascript``.
    kind: str
    #: The function's name; empty for javascript.
    name: str
    #: The function's arguments by name.
    args: Mapping[str, Any]
    #: The whole of what the plugin gave.
    data: Mapping[str, Any]


class Shortcut(Value):
    """
    A button that the site offers below its answer.

    Source: AI Engine 3.6.2, `shortcuts` in the answer of mwai-ui/v1/chats/submit.
    """

    label: str
    #: The text that a click sends; empty when the site keeps it and gives a `shortcut_id`.
    message: str
    shortcut_id: Optional[str]
    #: The whole of what the plugin gave.
    data: Mapping[str, Any]


class File(Value):
    """
    A file that has been uploaded to the site.

    Source: AI Engine 3.6.2, mwai-ui/v1/files/upload and /list.
    """

    id: str
    #: Anybody who knows it can read the file, while it lasts.
    url: str
    name: str
    #: ``image`` or ``file``.
    type: str
    purpose: Optional[str]
    #: In UTC, as are the others; None where the site did not say.
    created: Optional[datetime]
    #: When the site deletes it: mostly an hour after the upload.
    expires: Optional[datetime]


class Discussion(Value):
    """
    A conversation of a logged-in user that the site has stored.

    Source: AI Engine 3.6.2, mwai-ui/v1/discussions/list.
    """

    chat_id: str
    #: None where the site has not thought of one yet.
    title: Optional[str]
    messages: Tuple[Message, ...]
    #: The bot's id.
    bot: Optional[str]
    #: In UTC.
    created: Optional[datetime]
    #: In UTC.
    updated: Optional[datetime]


class Bot(Value):
    """
    A chatbot, as a page or the public API tells of it. None: it does not say.

    Source: AI Engine 3.6.2, `data-params` and `data-system` of a page; mwai/v1/listChatbots.
    """

    #: None for a bot that a page defines; it has a `custom_id`.
    id: Optional[str]
    custom_id: Optional[str]
    #: The id of the WordPress page that it stands on.
    context_id: Optional[int]
    #: The URL of its site.
    site: str
    #: The root of the site's REST API.
    rest_url: Optional[str]
    #: ``chat``, ``images``, ``assistant``...
    mode: Optional[str]
    #: What it says before the first question.
    start_sentence: Optional[str]
    #: Characters of the longest message that it takes; None is no limit, or unknown.
    max_length: Optional[int]
    #: Whether its widget offers to upload files.
    uploads: bool
    name: Optional[str]


class Check(Value):
    """One thing that was looked at, how it went, and how many seconds it took."""

    name: str
    ok: bool
    detail: str
    seconds: float


class Health(Value):
    """What `Client.check` found. It is true if all is well, and prints as a table."""

    checks: Tuple[Check, ...]

    def __bool__(self) -> bool:
        """Whether all is well."""
        return all(check.ok for check in self.checks)

    def __str__(self) -> str:
        """Return a line for each check."""
        lines = [
            f"{'ok    ' if check.ok else 'failed'}  {check.name:<10}  {check.seconds:6.2f} s"
            f"  {check.detail}"
            for check in self.checks
        ]
        return "\n".join(lines)


class Reply(str):
    """
    An answer: a str with its text, equal to that str, and with what else came.

    The text is the site's final answer, which may differ from the joined deltas; it is the one to
    keep in a history. An empty text is falsy although images or actions may be there.

    Args:
        text: the answer's text, usually Markdown.
        usage: tokens and price, or None.
        images: of an image bot.
        actions: what the model asks a browser to do; never run here.
        shortcuts: buttons offered with the answer.
        blocks: pieces of HTML offered with the answer, as the plugin gave them.
        response_id: the model vendor's id of this answer, or None.
        chat_id: the id of the conversation that the question was sent under.
        raw: the answer's JSON object; empty when the site could not encode it.
    """

    usage: Optional[Usage]
    images: Tuple[Image, ...]
    actions: Tuple[Action, ...]
    shortcuts: Tuple[Shortcut, ...]
    blocks: Tuple[Mapping[str, Any], ...]
    response_id: Optional[str]
    chat_id: Optional[str]
    raw: Dict[str, Any]

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
    ) -> Reply:
        """Make the str, and hang the rest on it."""
        self = super().__new__(cls, text)
        self.usage = usage
        self.images = images
        self.actions = actions
        self.shortcuts = shortcuts
        self.blocks = blocks
        self.response_id = response_id
        self.chat_id = chat_id
        self.raw = {} if raw is None else raw
        return self

    def _repr_markdown_(self) -> str:
        """Return the text, for a notebook to render; HTML in it shows as text."""
        from ._display import for_markdown  # here, since every import would pay for it

        return for_markdown(self)


class Outcome(Value):
    """What became of one of many messages: a reply, or else an error."""

    #: Its place among the messages, from 0 on.
    index: int
    #: Its name in a journal; None without one.
    key: Optional[str]
    message: Union[str, Sequence[Turn]]
    reply: Optional[Reply]
    error: Optional[Exception]
