"""A chat model for LangChain. Install it with ``pip install 'chatgpt4online[langchain]'``."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Sequence

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, PrivateAttr

from chatgpt4online.client import Client
from chatgpt4online.types import Message, Reply

__all__ = ["ChatGPT4Online"]

_ROLES = {"system": "system", "human": "user", "ai": "assistant"}


class ChatGPT4Online(BaseChatModel):
    """
    A LangChain chat model for a chatbot of a site that runs AI Engine.

    Options that the site's owner decides are rejected: temperature, maximum length, stop words and
    tools.

    Args:
        site: URL of the site, as for `Client`.
        bot: id of the bot, as for `Client`.
        model: name of the model, if the site's owner lets callers choose it.
        timeout: the longest silence in seconds, as for `Client`.
        deadline: seconds for a whole call, as for `Client`.
        max_retries: how many times a request is sent again that cannot have run on the site.
        streaming: whether `invoke` also passes each token to callbacks.
        client: the client to use instead of one made from these arguments.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    site: Optional[str] = None
    bot: Optional[str] = None
    model: Optional[str] = None
    timeout: Optional[float] = None
    deadline: Optional[float] = None
    max_retries: int = 2
    streaming: bool = False
    client: Optional[Client] = None
    _client: Client = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Make the client. It sends nothing yet."""
        super().model_post_init(context)
        timeout = {} if self.timeout is None else {"timeout": self.timeout}
        self._client = self.client or Client(
            self.site,
            bot=self.bot,
            model=self.model,
            deadline=self.deadline,
            retries=self.max_retries,
            **timeout,  # type: ignore[arg-type]
        )

    @property
    def _llm_type(self) -> str:
        return "chatgpt4online"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {"site": self._client.site, "bot": self._client.bot, "model_name": self.model}

    def _get_ls_params(
        self, stop: Optional[List[str]] = None, **options: Any
    ) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **options)
        name = options.get("model") or self.model or self._client.bot
        return {**params, "ls_provider": "chatgpt4online", "ls_model_name": name}

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,  # noqa: ARG002 - LangChain's
        *,
        model: Optional[str] = None,
        **options: Any,
    ) -> ChatResult:
        _reject_options(stop, options)
        reply = self._client.chat(_to_messages(messages), model=model)
        message = AIMessage(content=str(reply), **_metadata(reply))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,  # noqa: ARG002 - LangChain's
        *,
        model: Optional[str] = None,
        **options: Any,
    ) -> Iterator[ChatGenerationChunk]:
        _reject_options(stop, options)
        with self._client.stream(_to_messages(messages), model=model) as stream:
            for delta in stream:
                yield ChatGenerationChunk(message=AIMessageChunk(content=delta))
            reply = stream.result()
        yield ChatGenerationChunk(message=AIMessageChunk(content="", **_metadata(reply)))


def _reject_options(stop: Optional[Sequence[str]], options: Dict[str, Any]) -> None:
    """Raise ValueError for options that a site does not accept, instead of ignoring them."""
    names = [*(["stop"] if stop else []), *options]
    if names:
        raise ValueError(f"the site's owner sets these options, not the caller: {', '.join(names)}")


def _to_messages(messages: Sequence[BaseMessage]) -> List[Message]:
    return [{"role": _role(message), "content": _text(message)} for message in messages]


def _role(message: BaseMessage) -> str:
    if message.type not in _ROLES:
        raise ValueError(f"a site does not accept {message.type} messages")
    return _ROLES[message.type]


def _text(message: BaseMessage) -> str:
    """Return a message's text. Other parts of an answer, such as reasoning, are not sent back."""
    if isinstance(message.content, str):
        return message.content
    blocks = [b if isinstance(b, dict) else {"type": "text", "text": b} for b in message.content]
    others = [str(block.get("type")) for block in blocks if block.get("type") != "text"]
    if others and message.type != "ai":
        raise ValueError(f"a message can contain only text, not {others[0]}")
    return "".join(block["text"] for block in blocks if block.get("type") == "text")


def _usage(reply: Reply) -> Optional[UsageMetadata]:
    """Return the token counts, if the site sent both."""
    usage = reply.usage
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    total = usage.prompt_tokens + usage.completion_tokens
    return UsageMetadata(
        input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=total
    )


def _metadata(reply: Reply) -> Dict[str, Any]:
    """Return the fields in which LangChain keeps what comes with an answer."""
    response = {
        "model_provider": "chatgpt4online",
        "chat_id": reply.chat_id,
        "response_id": reply.response_id,
        "price": reply.usage and reply.usage.price,
    }
    return {"usage_metadata": _usage(reply), "response_metadata": response}
