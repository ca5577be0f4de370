"""
Use a site's chatbot from code that was written for the package openai.

The adapter has the method that most of that code calls, ``chat.completions.create``. Pass it where
the code expects an ``openai.OpenAI``. The site's owner has chosen the model: ``model`` is accepted
and not sent. An option that cannot be honoured, such as ``temperature``, is a ``TypeError``.
"""

from __future__ import annotations

from types import SimpleNamespace as Part
from typing import Any, Iterator, Optional, Sequence

from chatgpt4online import Client, Message, Stream


class OpenAI:
    """A chatbot in the shape of ``openai.OpenAI``. The client stays the caller's to close."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.chat = Part(completions=Part(create=self._create))

    def _create(
        self,
        *,
        messages: Sequence[Message],
        model: str = "",
        stream: bool = False,
        timeout: Optional[float] = None,
    ) -> Any:
        if stream:
            return self._chunks(self._client.stream(list(messages), timeout=timeout), model)
        reply = self._client.chat(list(messages), timeout=timeout)
        choice = Part(index=0, message=said(str(reply)), finish_reason="stop")
        return Part(id=reply.chat_id, model=model, choices=[choice], usage=reply.usage)

    def _chunks(self, stream: Stream, model: str) -> Iterator[Part]:
        with stream:
            for text in stream:
                choice = Part(index=0, delta=said(text), finish_reason=None)
                yield Part(id=None, model=model, choices=[choice], usage=None)
            reply = stream.result()
        choice = Part(index=0, delta=said(None), finish_reason="stop")
        yield Part(id=reply.chat_id, model=model, choices=[choice], usage=reply.usage)


def said(text: Optional[str]) -> Part:
    """Return a message of the assistant, or a piece of one."""
    return Part(role="assistant", content=text)
