"""
A plugin for ``llm``: ``llm -m chatgpt4online "Who are you?" -o site https://example.com``.

``pip install 'chatgpt4online[llm]'`` brings it; ``llm`` finds it by its entry point.
"""

from __future__ import annotations

import mimetypes
from io import BytesIO
from typing import Any, Callable, Iterator, List, Optional

import llm
from pydantic import Field

from chatgpt4online.client import Client
from chatgpt4online.types import File, Message, Reply

__all__ = ["Chatbot", "register_models"]


class Chatbot(llm.Model):
    """A chatbot of a site with AI Engine, as a model of ``llm``."""

    model_id = "chatgpt4online"
    can_stream = True
    attachment_types = {  # noqa: RUF012 - llm reads it from the class
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
    }

    class Options(llm.Options):
        """Where to ask; unset, the environment decides, as for `Client`."""

        site: Optional[str] = Field(default=None, description="URL of the WordPress site")
        bot: Optional[str] = Field(default=None, description="the bot's id on that site")

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: Optional[llm.Conversation],
    ) -> Iterator[str]:
        """
        Ask a question and yield the answer's text.

        Args:
            prompt: the question, with its turns before, its attachments and its options.
            stream: yield pieces as they come, or the whole answer.
            response: is told the usage, and the answer's JSON.
            conversation: whose id names it to the site; its turns are the prompt's.

        Raises:
            ChatGPT4OnlineError: as `Client.stream`.
        """
        turns = _turns(prompt)
        options: Any = prompt.options
        with Client(options.site, bot=options.bot) as client:
            files = [_uploaded(client, attachment) for attachment in prompt.attachments]
            chat_id = conversation.id if conversation else None
            with client.stream(turns, files=files, chat_id=chat_id) as answer:
                if stream:
                    yield from answer
                reply = answer.result()
        if not stream:
            yield str(reply)
        _note(response, reply)


def _turns(prompt: llm.Prompt) -> List[Message]:
    """Return the turns; pictures of earlier ones stay away, since the site drops them too."""
    return [
        {"role": message.role, "content": text}
        for message in prompt.messages
        for text in ["".join(getattr(part, "text", "") for part in message.parts)]
        if text
    ]


def _uploaded(client: Client, attachment: Any) -> File:
    ending = mimetypes.guess_extension(attachment.resolve_type() or "") or ""
    content = BytesIO(attachment.content_bytes())
    return client.files.upload(content, name=f"picture{ending}")


def _note(response: llm.Response, reply: Reply) -> None:
    response.response_json = reply.raw
    if reply.usage:
        response.set_usage(
            input=reply.usage.prompt_tokens, output=reply.usage.completion_tokens
        )


@llm.hookimpl
def register_models(register: Callable[..., Any]) -> None:
    """Tell ``llm`` of the model."""
    register(Chatbot())
