"""A conversation: the turns so far, which each new question is sent with."""

from __future__ import annotations

import json
import os
import tempfile
from copy import copy
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Sequence, Union

from . import _validation as validate
from ._protocol.request import (
    continuation_fields,
    message_text,
    new_chat_id,
    validate_messages,
)
from ._validation import type_name
from .types import Message, Reply, Shortcut, Turn

if TYPE_CHECKING:
    from .client import Client
    from .stream import Stream

__all__ = ["Conversation"]

Path = Union[str, "os.PathLike[str]"]


class Conversation:
    """
    A conversation. `Client.conversation` makes it. Not for sharing among threads.

    The site remembers nothing: each question is sent with all turns before it, of which the
    plugin keeps the first and the last 15 by default. A turn is kept only when its answer is
    whole: an error, a closed stream or Ctrl-C leave no trace.

    Args:
        client: the client that asks.
        system: what the model is told before the first turn, after the bot's own instructions.
        chat_id: the id under which the site files the conversation; by default a new one.
        messages: the turns so far.
    """

    def __init__(
        self,
        client: Client,
        *,
        system: Optional[str] = None,
        chat_id: Optional[str] = None,
        messages: Sequence[Turn] = (),
    ) -> None:
        self._client = client
        #: The turns so far, plain dicts in a plain list: save it, cut it, branch it.
        self.messages: List[Message] = validate_messages(messages)
        if system is not None:
            self.messages.insert(
                0, {"role": "system", "content": validate.identifier(system, "system")}
            )
        #: The id under which the site files it.
        self.chat_id: str = new_chat_id() if chat_id is None else chat_id
        validate.identifier(self.chat_id, "chat_id")
        #: The last answer; None before the first.
        self.last: Optional[Reply] = None
        self._response_id: Optional[str] = None
        self._answered: List[Message] = []  # the turns that the response id stands for
        self._newest: Optional[object] = None  # the question that was asked last

    def chat(self, message: Union[str, Shortcut], **options: Any) -> Reply:
        """
        Ask the next question, and return the whole answer.

        Args:
            message: the question, or a shortcut that an answer offered.
            options: those of `Client.chat`, but for `messages` and `chat_id`.

        Raises:
            ValueError: as `Client.chat`.
            TypeError: as `Client.chat`.
            ChatGPT4OnlineError: as `Client.chat`; the turn is not kept.
        """
        return self.stream(message, **options).result()

    def stream(self, message: Union[str, Shortcut], **options: Any) -> Stream:
        """
        Ask the next question, and return the answer as it comes.

        The turn is kept when the stream has been read to its end, unless another question has
        been asked by then.

        Args:
            message: as for `chat`.
            options: as for `chat`.

        Raises:
            ValueError: as `chat`.
            TypeError: as `chat`.
            ChatGPT4OnlineError: as `chat`.
        """
        if not isinstance(message, (str, Shortcut)):
            raise TypeError(f"message must be a str or a Shortcut, not {type_name(message)}")
        stream = self._client.stream(
            message,
            messages=self.messages,
            chat_id=self.chat_id,
            **{**options, "extra_body": self._extra_body(options.get("extra_body"))},
        )
        question = self._newest = object()

        def keep(reply: Reply) -> None:
            if self._newest is question:
                self._keep(message_text(message), reply)

        stream.on_reply(keep)
        return stream

    def _extra_body(self, given: Optional[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
        """Add the last answer's id, unless the turns have been changed since."""
        if self._response_id is None or self.messages != self._answered:
            return given
        return {**continuation_fields(self._response_id), **(given or {})}

    def _keep(self, question: str, reply: Reply) -> None:
        self.messages.append({"role": "user", "content": question})
        self.messages.append({"role": "assistant", "content": str(reply)})
        self.last = reply
        self._response_id = reply.response_id
        self._answered = _copied(self.messages)

    def save(self, path: Path) -> None:
        """
        Write the conversation to a file as JSON: all of it, or nothing.

        Args:
            path: the file, which is replaced if it is there.

        Raises:
            OSError: it cannot be written.
        """
        goes_on = self.messages == self._answered
        state = {
            "chat_id": self.chat_id,
            "messages": self.messages,
            "response_id": self._response_id if goes_on else None,
        }
        _replace(os.fspath(path), json.dumps(state, ensure_ascii=False, indent=1))

    @classmethod
    def load(cls, path: Path, client: Client) -> Conversation:
        """
        Return a conversation that was saved.

        Args:
            path: the file.
            client: the client that goes on with it.

        Raises:
            OSError: it cannot be read.
            ValueError: it holds no conversation.
        """
        with open(path, "rb") as file:  # noqa: PTH123 - a str may come
            data = file.read()
        try:
            state = json.loads(data.decode("utf-8"))
            talk = cls(client, chat_id=state["chat_id"], messages=state["messages"])
            talk._response_id = validate.optional(
                validate.identifier, state["response_id"], "response_id"
            )
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"{os.fspath(path)} holds no conversation: {error}") from None
        talk._answered = _copied(talk.messages)
        return talk

    def __repr__(self) -> str:
        """Return the id and the number of turns."""
        return f"<Conversation {self.chat_id}, {len(self.messages)} turns>"

    def _repr_markdown_(self) -> str:
        """Return the turns, for a notebook to render; HTML in them shows as text."""
        from ._display import for_markdown  # here, since every import would pay for it

        turns = (f"**{turn['role']}:**\n\n{turn['content']}" for turn in self.messages)
        return for_markdown("\n\n".join(turns))


def _copied(messages: List[Message]) -> List[Message]:
    """Return turns that stay as they are when the caller edits one."""
    return [copy(turn) for turn in messages]


def _replace(path: str, text: str) -> None:
    """Write a file beside the old one, and put it in its place when it is whole."""
    handle, beside = tempfile.mkstemp(dir=os.path.dirname(path) or ".")  # noqa: PTH120
    try:
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - a handle, no path
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)  # noqa: PTH105
    except BaseException:
        os.unlink(beside)  # noqa: PTH108
        raise
