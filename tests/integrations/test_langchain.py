"""The chat model for LangChain, in the real LangChain: its own standard tests, and ours."""

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
    """LangChain's own tests of a chat model, for one without tools and structured output."""

    @property
    def chat_model_class(self) -> Type[ChatGPT4Online]:
        """What is tested."""
        return ChatGPT4Online

    @property
    def chat_model_params(self) -> Dict[str, Any]:
        """What it is made with."""
        return {"site": "https://example.com"}

    @property
    def standard_chat_model_params(self) -> Dict[str, Any]:
        """What of LangChain's common parameters it has."""
        return {"timeout": 60, "max_retries": 2}

    @pytest.mark.xfail(reason="it wants max_tokens and stop, which a site's owner decides on")
    def test_standard_params(self, model: Any) -> None:
        """Fail: what a site does not take is refused, and not left out without a word."""
        super().test_standard_params(model)

    @property
    def has_tool_calling(self) -> bool:
        """A site calls its own tools."""
        return False

    @property
    def has_structured_output(self) -> bool:
        """A site gives text."""
        return False


@pytest.fixture
def model(server: Server) -> ChatGPT4Online:
    """Return a model of the site."""
    return ChatGPT4Online(site=server.url)


def test_an_answer(model: ChatGPT4Online, server: Server) -> None:
    """An answer is an AIMessage with its tokens, and what else the site told."""
    message = model.invoke("Hello")
    assert message.content == "Echo(1 msgs): Hello"
    assert message.usage_metadata == {"input_tokens": 11, "output_tokens": 3, "total_tokens": 14}
    assert message.response_metadata["response_id"] == "cmpl-1"


def test_a_history(model: ChatGPT4Online, server: Server) -> None:
    """Messages become turns, texts in blocks too."""
    answer = AIMessage([{"type": "reasoning", "reasoning": "Hm"}, {"type": "text", "text": "Hi"}])
    history = [SystemMessage("Be brief."), HumanMessage(["He", "llo"]), answer]
    assert model.invoke([*history, HumanMessage("Two")]).content == "Echo(3 msgs): Two"
    sent = server.questions[0].json["messages"]
    assert [turn["content"] for turn in sent] == ["Be brief.", "Hello", "Hi"]


def test_a_stream(model: ChatGPT4Online, server: Server) -> None:
    """Pieces are chunks that add up to the message, its tokens with the last one."""
    server.says("Hel", "lo")
    chunks = list(model.stream("Hi"))
    assert [chunk.content for chunk in chunks if chunk.content] == ["Hel", "lo"]
    whole = sum(chunks[1:], chunks[0])
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 2
    assert whole.response_metadata["model_provider"] == "chatgpt4online"


def test_callbacks_hear_each_piece(model: ChatGPT4Online, server: Server) -> None:
    """Callbacks are told each piece of a stream when it comes."""
    from langchain_core.callbacks import BaseCallbackHandler

    heard: List[str] = []

    class Ears(BaseCallbackHandler):
        def on_llm_new_token(self, token: str, **_: Any) -> None:  # type: ignore[override]
            heard.append(token)

    server.says("Hel", "lo")
    list(model.stream("Hi", config={"callbacks": [Ears()]}))
    assert heard[:2] == ["Hel", "lo"]


def test_tokens_that_are_not_told(model: ChatGPT4Online, server: Server) -> None:
    """Where the site tells no usage, none is made up."""
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
def test_what_a_site_does_not_take(
    model: ChatGPT4Online, server: Server, messages: Any, options: Dict[str, Any]
) -> None:
    """What cannot be sent is a ValueError, and is not left out without a word."""
    with pytest.raises(ValueError, match=r"^(the site|a site|a message)"):
        model.invoke(messages, **options)
    assert not server.requests


def test_arguments(server: Server) -> None:
    """An unknown or wrong argument is refused when the model is made; a client of yours is used."""
    with pytest.raises(ValueError, match="temperature"):
        ChatGPT4Online(temperature=0)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="site"):
        ChatGPT4Online(site="ftp://example.com")
    with Client(server.url) as client:
        model = ChatGPT4Online(client=client)
        assert model.invoke("Hi").content == "Echo(1 msgs): Hi"
        assert model._identifying_params["site"] == server.url


def test_it_pickles(model: ChatGPT4Online) -> None:
    """A model travels to other processes."""
    assert pickle.loads(pickle.dumps(model)).invoke("Hi").content == "Echo(1 msgs): Hi"
