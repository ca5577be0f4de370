"""`Conversation`: a history that every question is sent with."""

from __future__ import annotations

import json
import os
from copy import copy
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Union

from . import _disk
from . import _validation as validate
from ._options import ChatOptions, Unpack, hide_headers
from ._protocol.fields import as_word
from ._protocol.request import (
    continuation_fields,
    message_text,
    new_chat_id,
    validate_messages,
)
from ._validation import type_name
from .files import StrPath
from .stream import Stream
from .types import Message, Reply, Shortcut, Turn

if TYPE_CHECKING:
    from .client import Client
else:
    Client = Any  # for `typing.get_type_hints`: that module imports this one

__all__ = ["Conversation"]


class Conversation:
    """
    A conversation, created by `Client.conversation`. Do not share one between threads.

    Each question is sent with all turns before it, since a site does not remember them. By default,
    the plugin passes the first and the last 15 of them to the model. An exchange is kept only if
    its answer is complete: an error, a closed stream or Ctrl-C leaves no trace.

    Args:
        client: the client that asks.
        system: instructions for the model, after those of the bot itself.
        chat_id: the id under which the site stores the conversation; by default a new one.
        messages: the turns so far.

    Raises:
        MessageError: as `Client.conversation`.
        ValueError: as `Client.conversation`.
        TypeError: as `Client.conversation`.
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
        #: The turns so far, plain dicts in a plain list that you may save, cut or branch.
        self.messages: List[Message] = validate_messages(messages)
        if system is not None:
            self.messages.insert(
                0, {"role": "system", "content": validate.identifier(system, "system")}
            )
        #: The id under which the site stores the conversation.
        self.chat_id: str = (
            new_chat_id() if chat_id is None else validate.identifier(chat_id, "chat_id")
        )
        #: The last answer, or None before the first.
        self.last: Optional[Reply] = None
        self._response_id: Optional[str] = None
        self._answered: List[Message] = []  # the turns that the response id covers
        self._newest: Optional[object] = None  # the last question asked

    def chat(self, message: Union[str, Shortcut], **options: Unpack[ChatOptions]) -> Reply:
        """
        Ask the next question, and return the whole answer.

        Args:
            message: the question, or a shortcut that an answer offered.
            options: those of `Client.chat`, except `messages` and `chat_id`.

        Raises:
            MessageError: as `Client.chat`.
            ValueError: as `Client.chat`.
            TypeError: as `Client.chat`.
            OSError: as `Client.chat`.
            ChatGPT4OnlineError: as `Client.chat`; the exchange is not kept.
        """
        hide_headers(options)
        return self.stream(message, **options).result()

    def stream(self, message: Union[str, Shortcut], **options: Unpack[ChatOptions]) -> Stream:
        """
        Ask the next question, and return the answer as it arrives.

        The exchange is kept once the stream has been read to its end, unless another question has
        been asked in the meantime.

        Args:
            message: as for `chat`.
            options: as for `chat`.

        Raises:
            MessageError: as `chat`.
            ValueError: as `chat`.
            TypeError: as `chat`.
            OSError: as `chat`.
            ChatGPT4OnlineError: as `chat`.
        """
        hide_headers(options)
        if not isinstance(message, (str, Shortcut)):
            raise TypeError(f"message must be a str or a Shortcut, not {type_name(message)}")
        options["extra_body"] = self._extra_body(options.get("extra_body"))
        stream = self._client.stream(
            message, messages=self.messages, chat_id=self.chat_id, **options
        )
        question = self._newest = object()

        def keep(reply: Reply) -> None:
            if self._newest is question:
                self._keep(message_text(message), reply)

        stream.on_reply(keep)
        return stream

    def _extra_body(self, given: Optional[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
        """Add the id of the last answer, unless the turns have changed since."""
        if self._response_id is None or self.messages != self._answered:
            return given
        return {**continuation_fields(self._response_id), **(given or {})}

    def _keep(self, question: str, reply: Reply) -> None:
        asked: Message = {"role": "user", "content": question}
        answered: Message = {"role": "assistant", "content": str(reply)}
        self.messages.extend((asked, answered))  # in one step, since Ctrl-C may come between two
        self.last = reply
        self._response_id = reply.response_id
        self._answered = _copied(self.messages)

    def to_dict(self) -> Dict[str, Any]:
        """
        Return the conversation as a dict that JSON can encode, for a database: what `save` writes.

        Its keys are ``chat_id``; ``messages``, a copy of the turns; and ``response_id``, by which
        the model's vendor finds its own record of the conversation, or None. It contains no
        credentials.
        """
        is_unchanged = self.messages == self._answered
        return {
            "chat_id": self.chat_id,
            "messages": _copied(self.messages),
            "response_id": self._response_id if is_unchanged else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], client: Client) -> Conversation:
        """
        Return the conversation that `to_dict` returned as a dict.

        Args:
            data: the dict, which is not changed. Keys that `to_dict` does not have are ignored.
            client: the client that asks from now on.

        Raises:
            TypeError: `data` is not a dict.
            ValueError: it does not contain a conversation; the message says what is wrong.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"data must be a dict, as from json.loads, not {type_name(data)}")
        try:
            return cls._restored(data, client)
        except (ValueError, TypeError) as error:
            raise ValueError(f"data does not contain a conversation: {error}") from None

    @classmethod
    def _restored(cls, state: Any, client: Client) -> Conversation:
        """Return the conversation in a dict of `to_dict`; raise if there is none in it."""
        missing = {"chat_id", "messages", "response_id"}.difference(state)
        if missing:
            raise ValueError(f"it has no {min(missing)}")
        chat_id, response_id = state["chat_id"], state["response_id"]
        validate.identifier(chat_id, "chat_id")
        validate.optional(validate.text, response_id, "response_id")
        talk = cls(client, chat_id=chat_id, messages=state["messages"])
        talk._response_id = as_word(response_id)
        talk._answered = _copied(talk.messages)
        return talk

    def save(self, path: StrPath) -> None:
        """
        Write the conversation to a file as JSON, all of it or nothing.

        Args:
            path: the file, which is replaced if it exists; a symbolic link stays one.

        Raises:
            OSError: the file cannot be written.
        """
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
        _disk.replace(os.fspath(path), text)

    @classmethod
    def load(cls, path: StrPath, client: Client) -> Conversation:
        """
        Return a conversation that `save` wrote.

        Args:
            path: the file.
            client: the client that asks from now on.

        Raises:
            OSError: the file cannot be read.
            ValueError: it does not contain a conversation.
        """
        with open(path, "rb") as file:  # noqa: PTH123 - path may be a str
            data = file.read()
        try:
            return cls._restored(json.loads(data.decode("utf-8")), client)
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{os.fspath(path)} does not contain a conversation: {error}"
            ) from None

    def __repr__(self) -> str:
        """Return the id and the number of turns."""
        return f"<Conversation {self.chat_id}, {len(self.messages)} turns>"

    def _repr_markdown_(self) -> str:
        """Return the turns as Markdown for a notebook; any HTML in them shows as text."""
        from ._display import for_markdown  # imported here to keep `import chatgpt4online` fast

        turns = (f"**{turn['role']}:**\n\n{turn['content']}" for turn in self.messages)
        return for_markdown("\n\n".join(turns))


def _copied(messages: List[Message]) -> List[Message]:
    """Return copies, which stay as they are if the caller edits a turn."""
    return [copy(turn) for turn in messages]
