"""
A plugin for ``llm``: ``llm -m chatgpt4online "Who are you?" -o site https://example.com``.

It needs ``llm`` (``pip install llm``), which finds it through its entry point.
"""

from __future__ import annotations

import mimetypes
from io import BytesIO
from typing import Any, Callable, Iterable, Iterator, List, Optional, Set

import llm
from pydantic import Field

from chatgpt4online.client import Client
from chatgpt4online.types import File, Message, Reply

__all__ = ["Chatbot", "register_models"]

#: SQLite's integers have 64 bits.
_SQLITE_LIMIT = 2**63

#: How deep the JSON of an answer may be nested to be logged.
_DEEPEST = 50


class Chatbot(llm.Model):
    """An ``llm`` model for a chatbot of a site that runs AI Engine."""

    model_id = "chatgpt4online"
    can_stream = True
    attachment_types: Set[str] = {  # noqa: RUF012 - llm reads it from the class
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
    }

    class Options(llm.Options):
        """The site and bot to ask. The defaults come from the environment, as for `Client`."""

        site: Optional[str] = Field(default=None, description="URL of the WordPress site")
        bot: Optional[str] = Field(default=None, description="id of the bot on that site")

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: Optional[llm.Conversation],
    ) -> Iterator[str]:
        """
        Ask a question and yield the text of the answer.

        Args:
            prompt: the question, with the earlier messages, attachments and options.
            stream: whether to yield deltas as they arrive, or the whole answer at once.
            response: where to store the usage and the answer's JSON.
            conversation: its id becomes the site's ``chatId``. The prompt has its messages.

        Raises:
            ChatGPT4OnlineError: as for `Client.stream`.
        """
        messages = _to_messages(prompt)
        options: Any = prompt.options
        with Client(options.site, bot=options.bot) as client:
            files = [_upload(client, attachment) for attachment in prompt.attachments]
            chat_id = conversation.id if conversation else None
            with client.stream(messages, files=files, chat_id=chat_id) as deltas:
                if stream:
                    yield from deltas
                reply = deltas.result()
        if not stream:
            yield str(reply)
        _store_metadata(response, reply)


def _to_messages(prompt: llm.Prompt) -> List[Message]:
    """
    Return the messages as text. Earlier images are left out, as the site does not keep them.

    The last message is the question, which may be empty next to an image.
    """
    messages: List[Message] = [
        {"role": message.role, "content": "".join(getattr(p, "text", "") for p in message.parts)}
        for message in prompt.messages
    ]
    return [each for each in messages[:-1] if each["content"]] + messages[-1:]


def _upload(client: Client, attachment: Any) -> File:
    extension = mimetypes.guess_extension(attachment.resolve_type() or "") or ""
    content = BytesIO(attachment.content_bytes())
    return client.files.upload(content, name=f"picture{extension}")


def _store_metadata(response: llm.Response, reply: Reply) -> None:
    """Store what llm can log: it keeps counts in SQLite, and walks through the JSON recursively."""
    if not _is_deep(reply.raw):
        response.response_json = reply.raw
    if reply.usage:
        usage = (reply.usage.prompt_tokens, reply.usage.completion_tokens)
        prompt, completion = (_storable(count) for count in usage)
        response.set_usage(input=prompt, output=completion)


def _storable(count: Optional[int]) -> Optional[int]:
    return count if count is not None and abs(count) < _SQLITE_LIMIT else None


def _is_deep(value: Any) -> bool:
    """Return whether a JSON value is nested more deeply than any answer of the plugin."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


@llm.hookimpl
def register_models(register: Callable[..., Any]) -> None:
    """Register the model with ``llm``."""
    register(Chatbot())
