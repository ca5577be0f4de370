"""A chat model for LangChain. It needs ``langchain-core``."""

from __future__ import annotations

import json
from typing import (
    Any,
    ClassVar,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
)
from urllib.parse import urlsplit, urlunsplit

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall, ToolCallChunk, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, PrivateAttr, model_validator

from chatgpt4online import _settings
from chatgpt4online.client import Client
from chatgpt4online.types import Message, Reply

__all__ = ["ChatGPT4Online"]

_ROLES = ((SystemMessage, "system"), (HumanMessage, "user"), (AIMessage, "assistant"))


class _CachedClient(NamedTuple):
    """A client, and the settings that it was made from."""

    settings: Tuple[Any, ...]
    client: Client


class ChatGPT4Online(BaseChatModel):
    """
    A LangChain chat model for a chatbot of a site that runs AI Engine.

    Options that the site's owner decides are rejected: temperature, maximum length and tools. Stop
    words are applied here: the text is cut before the first one.

    Args:
        site: URL of the site, as for `Client`. A user and password in it are used, and not shown.
        bot: id of the bot, as for `Client`.
        model: name of the model, if the site's owner lets callers choose it.
        timeout: the longest silence in seconds; None for the default of `Client`.
        deadline: seconds for a whole call; None for no limit.
        max_retries: as `retries` of `Client`.
        streaming: whether `invoke` also passes each token to callbacks.
        stop: the stop words of every question that does not name its own.
        client: the client to use instead of one made from these arguments.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    site: Optional[str] = None
    bot: Optional[str] = None
    model: Optional[str] = None
    timeout: Optional[float] = None
    deadline: Optional[float] = None
    max_retries: int = 2
    streaming: bool = False
    stop: Optional[List[str]] = None
    client: Optional[Client] = None
    _login: Optional[Tuple[str, str, str]] = PrivateAttr(None)  # site, user and password
    _made: Optional[_CachedClient] = PrivateAttr(None)

    @model_validator(mode="wrap")
    @classmethod
    def _hide_login(cls, values: Any, handler: Any) -> Any:
        """Move a login from the site's URL to where nothing shows it."""
        site = values.get("site") if isinstance(values, dict) else None
        login = _settings.login_from_url(site) if isinstance(site, str) and "@" in site else None
        if login is None:
            return handler(values)
        bare = _without_login(str(site))
        model = handler({**values, "site": bare})
        model._login = (bare, *login)  # noqa: SLF001 - the class's own
        return model

    def model_post_init(self, context: Any, /) -> None:
        """Check the arguments by making a client. It sends nothing yet."""
        super().model_post_init(context)
        self._current_client()

    def _current_client(self) -> Client:
        """Return a client for the present settings: they may be assigned, and updated in a copy."""
        if self.client is not None:
            return self.client
        login = self._login[1:] if self._login and self._login[0] == self.site else None
        names = ("site", "bot", "model", "timeout", "deadline", "max_retries")
        settings = (*(getattr(self, name) for name in names), login)
        made = self._made
        if made is None or made.settings != settings:
            self._made = made = _CachedClient(settings, self._make_client(login))
        return made.client

    def _make_client(self, login: Optional[Tuple[str, str]]) -> Client:
        options: Dict[str, Any] = {} if self.timeout is None else {"timeout": self.timeout}
        return Client(
            self.site,
            bot=self.bot,
            auth=login,
            model=self.model,
            deadline=self.deadline,
            retries=self.max_retries,
            **options,
        )

    def __repr_args__(self) -> Any:
        """Return what a repr, and a tracer, shows: no password."""
        for name, value in super().__repr_args__():
            yield name, _without_login(value) if name == "site" and value else value

    @property
    def _llm_type(self) -> str:
        return "chatgpt4online"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        client = self._current_client()
        return {"site": client.site, "bot": client.bot, "model_name": self.model}

    def _get_ls_params(self, stop: Optional[List[str]] = None, **options: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **options)
        name = self._model_name(options.get("model"))
        return {**params, "ls_provider": "chatgpt4online", "ls_model_name": name}

    def _model_name(self, model: Optional[str]) -> str:
        return model or self.model or self._current_client().bot

    def bind_tools(self, *_: Any, **__: Any) -> NoReturn:
        """
        Refuse tools of the caller's.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            "a site's owner decides on its bots' tools. Functions that a bot calls in the browser"
            " arrive as tool_calls of the answer."
        )

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,  # noqa: ARG002 - LangChain's
        *,
        model: Optional[str] = None,
        **options: Any,
    ) -> ChatResult:
        _reject(options)
        reply = self._current_client().chat(_messages(messages), model=model)
        text = "".join(_until_stop([str(reply)], stop or self.stop))
        metadata = _metadata(reply, self._model_name(model))
        message = AIMessage(content=text, tool_calls=_tool_calls(reply), **metadata)
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
        _reject(options)
        with self._current_client().stream(_messages(messages), model=model) as stream:
            for delta in _until_stop(stream, stop or self.stop):
                yield ChatGenerationChunk(message=AIMessageChunk(content=delta))
            reply = stream.result()
        chunks = _tool_call_chunks(reply)
        metadata = _metadata(reply, self._model_name(model))
        last = AIMessageChunk(content="", tool_call_chunks=chunks, **metadata)
        yield ChatGenerationChunk(message=last)


def _without_login(site: str) -> str:
    """Return a URL without its user and password."""
    parts = urlsplit(site)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _reject(options: Dict[str, Any]) -> None:
    """Raise ValueError for options that a site does not accept, instead of ignoring them."""
    if options:
        names = ", ".join(options)
        raise ValueError(f"the site's owner sets these options, not the caller: {names}")


def _messages(messages: Sequence[BaseMessage]) -> List[Message]:
    return [{"role": _role(message), "content": _text(message)} for message in messages]


def _role(message: BaseMessage) -> str:
    for message_type, role in _ROLES:
        if isinstance(message, message_type):
            return role
    if isinstance(message, ChatMessage) and message.role in dict(_ROLES).values():
        return message.role
    raise ValueError(f"a site does not accept {message.type} messages")


def _text(message: BaseMessage) -> str:
    """Return a message's text. Other parts of an answer, such as reasoning, are not sent back."""
    if isinstance(message.content, str):
        return message.content
    blocks = [b if isinstance(b, dict) else {"type": "text", "text": b} for b in message.content]
    others = [str(block.get("type")) for block in blocks if block.get("type") != "text"]
    if others and not isinstance(message, AIMessage):
        raise ValueError(f"a message can contain only text, not {others[0]}")
    texts: List[Any] = [block.get("text") for block in blocks if block.get("type") == "text"]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a part of type text has no text")
    return "".join(texts)


def _until_stop(deltas: Iterable[str], stop: Optional[Sequence[str]]) -> Iterator[str]:
    """Yield text up to the first stop word; what may be the beginning of one is held back."""
    words = [word for word in ([stop] if isinstance(stop, str) else stop or ()) if word]
    held = ""
    for delta in deltas:
        held += delta
        found = [at for at in map(held.find, words) if at >= 0]
        ready = min(found) if found else len(held) - _possible_beginning(held, words)
        if ready:
            yield held[:ready]
        if found:
            return
        held = held[ready:]
    if held:
        yield held


def _possible_beginning(text: str, words: List[str]) -> int:
    """Return how many characters at the end of a text may be the beginning of a stop word."""
    longest = max(map(len, words), default=1) - 1
    sizes = range(min(longest, len(text)), 0, -1)
    return next((n for n in sizes if any(word.startswith(text[-n:]) for word in words)), 0)


def _tool_calls(reply: Reply) -> List[ToolCall]:
    """Return the functions that the bot calls in the browser. They are data: nothing runs them."""
    return [
        tool_call(name=action.name, args=dict(action.args), id=f"{reply.response_id or 'call'}-{i}")
        for i, action in enumerate(reply.actions)
        if action.kind == "function"
    ]


def _tool_call_chunks(reply: Reply) -> List[ToolCallChunk]:
    calls = enumerate(_tool_calls(reply))
    return [
        tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=i)
        for i, call in calls
    ]


def _metadata(reply: Reply, model_name: str) -> Dict[str, Any]:
    """Return the fields in which LangChain keeps what comes with an answer."""
    response = {
        "model_provider": "chatgpt4online",
        "model_name": model_name,
        "chat_id": reply.chat_id,
        "response_id": reply.response_id,
        "price": reply.usage and reply.usage.price,
    }
    return {"usage_metadata": _usage(reply), "response_metadata": response}


def _usage(reply: Reply) -> Optional[UsageMetadata]:
    """Return the token counts, if the site sent both."""
    usage = reply.usage
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    total = usage.prompt_tokens + usage.completion_tokens
    return UsageMetadata(
        input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=total
    )
