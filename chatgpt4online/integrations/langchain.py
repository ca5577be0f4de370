"""A chat model for LangChain; ``pip install 'chatgpt4online[langchain]'`` brings what it needs."""

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
    A chatbot of a site with AI Engine, as a chat model of LangChain.

    What a site's owner decides cannot be asked for: temperature, length, stop words and tools
    are refused.

    Args:
        site: the site's URL, as for `Client`.
        bot: the bot's id, as for `Client`.
        model: the model to ask for, where the site's owner allows that.
        timeout: the longest silence in seconds, as for `Client`.
        deadline: seconds for a whole call, as for `Client`.
        max_retries: how often a request that cannot have run on the site is sent again.
        streaming: tell callbacks of each piece under `invoke` too.
        client: asks instead of a client made of all these.
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
        """Make the client, which nothing is asked by yet."""
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
        _refuse(stop, options)
        reply = self._client.chat(_turns(messages), model=model)
        message = AIMessage(
            content=str(reply), usage_metadata=_usage(reply), response_metadata=_metadata(reply)
        )
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
        _refuse(stop, options)
        with self._client.stream(_turns(messages), model=model) as answer:
            for piece in answer:
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
            reply = answer.result()
        last = AIMessageChunk(
            content="", usage_metadata=_usage(reply), response_metadata=_metadata(reply)
        )
        yield ChatGenerationChunk(message=last)


def _refuse(stop: Optional[Sequence[str]], options: Dict[str, Any]) -> None:
    """
    Let nothing be asked for in vain.

    Raises:
        ValueError: something is asked for that a site does not take.
    """
    asked = [*(["stop"] if stop else []), *options]
    if asked:
        raise ValueError(f"the site's owner decides on this, not the caller: {', '.join(asked)}")


def _turns(messages: Sequence[BaseMessage]) -> List[Message]:
    return [{"role": _role(message), "content": _text(message)} for message in messages]


def _role(message: BaseMessage) -> str:
    if message.type not in _ROLES:
        raise ValueError(f"a site takes no {message.type} message")
    return _ROLES[message.type]


def _text(message: BaseMessage) -> str:
    """Return a message's text; what is beside it in an answer is of no use to the site."""
    if isinstance(message.content, str):
        return message.content
    blocks = [b if isinstance(b, dict) else {"type": "text", "text": b} for b in message.content]
    others = [str(block.get("type")) for block in blocks if block.get("type") != "text"]
    if others and message.type != "ai":
        raise ValueError(f"a message holds text alone here, no {others[0]}")
    return "".join(block["text"] for block in blocks if block.get("type") == "text")


def _usage(reply: Reply) -> Optional[UsageMetadata]:
    """Return the tokens, if the site has told all of them."""
    usage = reply.usage
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    total = usage.prompt_tokens + usage.completion_tokens
    return UsageMetadata(
        input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=total
    )


def _metadata(reply: Reply) -> Dict[str, Any]:
    return {
        "model_provider": "chatgpt4online",
        "chat_id": reply.chat_id,
        "response_id": reply.response_id,
        "price": reply.usage and reply.usage.price,
    }
