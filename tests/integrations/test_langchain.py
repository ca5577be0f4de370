"""The LangChain chat model: LangChain's standard tests, and ours."""

from __future__ import annotations

import pickle
from typing import Any, Dict, List, Type

import pytest

from chatgpt4online import Client
from chatgpt4online.testing import Server

pytest.importorskip("langchain_core", exc_type=ImportError)
pytest.importorskip("langchain_tests", exc_type=ImportError)

from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_tests.unit_tests import ChatModelUnitTests

from chatgpt4online.integrations.langchain import ChatGPT4Online


class TestStandard(ChatModelUnitTests):
    """LangChain's standard tests for a chat model without tools and structured output."""

    @property
    def chat_model_class(self) -> Type[ChatGPT4Online]:
        """The class under test."""
        return ChatGPT4Online

    @property
    def chat_model_params(self) -> Dict[str, Any]:
        """Its arguments."""
        return {"site": "https://example.com"}

    @property
    def standard_chat_model_params(self) -> Dict[str, Any]:
        """The standard parameters that it supports."""
        return {"timeout": 60, "max_retries": 2}

    @pytest.mark.xfail(reason="it needs max_tokens and stop, which only a site's owner can set")
    def test_standard_params(self, model: Any) -> None:
        """Parameters that a site does not accept are rejected instead of ignored."""
        super().test_standard_params(model)

    @property
    def has_tool_calling(self) -> bool:
        """Tools run on the site."""
        return False

    @property
    def has_structured_output(self) -> bool:
        """Answers are text."""
        return False


@pytest.fixture
def model(server: Server) -> ChatGPT4Online:
    """Return a model for the test site."""
    return ChatGPT4Online(site=server.url)


def test_an_answer(model: ChatGPT4Online, server: Server) -> None:
    """An answer is an AIMessage with usage and response metadata."""
    message = model.invoke("Hello")
    assert message.content == "Echo(1 msgs): Hello"
    assert message.usage_metadata == {"input_tokens": 11, "output_tokens": 3, "total_tokens": 14}
    assert message.response_metadata["response_id"] == "cmpl-1"


def test_a_history(model: ChatGPT4Online, server: Server) -> None:
    """Messages are sent with their roles, and text blocks are joined."""
    answer = AIMessage([{"type": "reasoning", "reasoning": "Hm"}, {"type": "text", "text": "Hi"}])
    history = [SystemMessage("Be brief."), HumanMessage(["He", "llo"]), answer]
    assert model.invoke([*history, HumanMessage("Two")]).content == "Echo(3 msgs): Two"
    sent = server.questions[0].json["messages"]
    assert [message["content"] for message in sent] == ["Be brief.", "Hello", "Hi"]


def test_a_stream(model: ChatGPT4Online, server: Server) -> None:
    """Chunks add up to the message; the last one has the usage."""
    server.says("Hel", "lo")
    chunks = list(model.stream("Hi"))
    assert [chunk.content for chunk in chunks if chunk.content] == ["Hel", "lo"]
    whole = sum(chunks[1:], chunks[0])
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 2
    assert whole.response_metadata["model_provider"] == "chatgpt4online"


def test_callbacks_get_each_token(model: ChatGPT4Online, server: Server) -> None:
    """Callbacks get each delta of a stream."""
    from langchain_core.callbacks import BaseCallbackHandler

    tokens: List[str] = []

    class TokenCollector(BaseCallbackHandler):
        def on_llm_new_token(self, token: str, **_: Any) -> None:  # type: ignore[override]
            tokens.append(token)

    server.says("Hel", "lo")
    list(model.stream("Hi", config={"callbacks": [TokenCollector()]}))
    assert tokens[:2] == ["Hel", "lo"]


def test_missing_usage(model: ChatGPT4Online, server: Server) -> None:
    """If the site reports no usage, the message has none."""
    server.says("Hello", usage=None)
    assert model.invoke("Hi").usage_metadata is None


@pytest.mark.parametrize(
    ("messages", "options"),
    [
        ("Hi", {"stop": ["x"]}),
        ("Hi", {"temperature": 0}),
        ([HumanMessage([{"type": "image", "url": "https://a.b/c.png"}])], {}),
        ([ToolMessage("4", tool_call_id="1"), HumanMessage("Hi")], {}),
    ],
)
def test_unsupported_input(
    model: ChatGPT4Online, server: Server, messages: Any, options: Dict[str, Any]
) -> None:
    """Options and messages that a site does not accept raise ValueError before anything is sent."""
    with pytest.raises(ValueError, match=r"^(the site|a site|a message)"):
        model.invoke(messages, **options)
    assert not server.requests


def test_arguments(server: Server) -> None:
    """Unknown and invalid arguments raise ValueError; a given client is used."""
    with pytest.raises(ValueError, match="temperature"):
        ChatGPT4Online(temperature=0)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="site"):
        ChatGPT4Online(site="ftp://example.com")
    with Client(server.url) as client:
        model = ChatGPT4Online(client=client)
        assert model.invoke("Hi").content == "Echo(1 msgs): Hi"
        assert model._identifying_params["site"] == server.url


def test_pickling(model: ChatGPT4Online) -> None:
    """A model can be pickled."""
    assert pickle.loads(pickle.dumps(model)).invoke("Hi").content == "Echo(1 msgs): Hi"
