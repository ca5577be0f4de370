"""The LangChain chat model: LangChain's standard tests, and ours."""

from __future__ import annotations

import pickle
from typing import Any, Dict, List, Type

import pytest

from chatgpt4online import Client
from chatgpt4online.testing import Server

pytest.importorskip("langchain_core", exc_type=ImportError)
pytest.importorskip("langchain_tests", exc_type=ImportError)

from langchain_core.load import dumpd, dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tracers import BaseTracer
from langchain_tests.integration_tests import ChatModelIntegrationTests
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

    @pytest.mark.xfail(reason="it needs max_tokens, which only a site's owner can set")
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


class TestIntegration(ChatModelIntegrationTests):
    """LangChain's integration tests, as far as its features apply, against the testing site."""

    @pytest.fixture(autouse=True)
    def _site(self, server: Server) -> None:
        self.server = server

    @property
    def chat_model_class(self) -> Type[ChatGPT4Online]:
        """The class under test."""
        return ChatGPT4Online

    @property
    def chat_model_params(self) -> Dict[str, Any]:
        """Its arguments."""
        return {"site": self.server.url}

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
        ("Hi", {"temperature": 0}),
        ([HumanMessage([{"type": "image", "url": "https://a.b/c.png"}])], {}),
        ([ChatMessage(role="critic", content="Hi")], {}),
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


def test_every_kind_of_history(model: ChatGPT4Online, server: Server) -> None:
    """What a stream added up to, and messages with a known role, are accepted as history."""
    streamed = AIMessageChunk(content="Hello.")
    history = [ChatMessage(role="system", content="Be brief."), HumanMessage("Hi"), streamed]
    model.invoke([*history, ChatMessage(role="user", content="Two")])
    sent = server.questions[0].json
    assert [turn["role"] for turn in sent["messages"]] == ["system", "user", "assistant"]
    assert sent["newMessage"] == "Two"


@pytest.mark.parametrize("part", [{"type": "text"}, {"type": "text", "text": None}])
def test_parts_without_text(model: ChatGPT4Online, server: Server, part: Dict[str, Any]) -> None:
    """A part of type text that has no text raises ValueError, and nothing is sent."""
    with pytest.raises(ValueError, match="has no text"):
        model.invoke([HumanMessage([part])])
    assert server.requests == []


@pytest.mark.parametrize("stop", ["lo w", ["lo w"], ["xyz", "lo w"], ["lo w", "world"]])
def test_stop_words(model: ChatGPT4Online, server: Server, stop: Any) -> None:
    """The text is cut before the first stop word, however the deltas cut the word."""
    for _ in range(2):
        server.says("Hel", "lo", " ", "wor", "ld")
    assert model.invoke("Hi", stop=stop).content == "Hel"
    chunks = list(model.stream("Hi", stop=stop))
    assert "".join(str(chunk.content) for chunk in chunks) == "Hel"
    assert any(chunk.usage_metadata for chunk in chunks)


def test_stop_words_of_the_model(server: Server) -> None:
    """The model's stop words hold for a question without any; its own take their place."""
    model = ChatGPT4Online(site=server.url, stop=["lo w"])
    for _ in range(3):
        server.says("Hel", "lo", " ", "wor", "ld")
    assert model.invoke("Hi").content == "Hel"
    assert "".join(str(chunk.content) for chunk in model.stream("Hi")) == "Hel"
    assert model.invoke("Hi", stop=["ld"]).content == "Hello wor"


def test_text_that_only_looks_like_a_stop_word(model: ChatGPT4Online, server: Server) -> None:
    """The beginning of a stop word is text if the word does not follow."""
    server.says("a lo", "t of lo")
    chunks = model.stream("Hi", stop=["lo w"])
    assert "".join(str(chunk.content) for chunk in chunks) == "a lot of lo"


def test_functions_are_tool_calls(model: ChatGPT4Online, server: Server) -> None:
    """A function that the bot calls in the browser arrives as a tool call."""
    action = {"type": "function", "data": {"name": "show", "args": {"color": "red"}}}
    for _ in range(2):
        server.says("Done.", actions=[action])
    (call,) = model.invoke("Hi").tool_calls
    assert (call["name"], call["args"]) == ("show", {"color": "red"})
    whole = sum(list(model.stream("Hi"))[1:], AIMessageChunk(content=""))
    assert whole.tool_calls[0]["args"] == {"color": "red"}


def test_usage_callback(model: ChatGPT4Online) -> None:
    """LangChain's usage callback counts tokens by the name of the model."""
    from langchain_core.callbacks import UsageMetadataCallbackHandler

    usage = UsageMetadataCallbackHandler()
    model.invoke("Hello", config={"callbacks": [usage]})
    assert usage.usage_metadata["default"]["total_tokens"] == 14


def test_changed_settings_make_a_new_client(model: ChatGPT4Online, server: Server) -> None:
    """A setting that is assigned, or updated in a copy, holds for the next question."""
    server.bot("other")
    copied = model.model_copy(update={"bot": "other"})
    copied.invoke("Hi")
    model.bot = "other"
    model.invoke("Hi")
    assert [question.json["botId"] for question in server.questions] == ["other", "other"]


def test_no_password_is_shown(server: Server) -> None:
    """A login in the URL is used for its site only, and shown by nothing."""
    server.user("ada", "s3cret")
    url = server.url.replace("//", "//ada:s3cret@")
    model = ChatGPT4Online(site=url)
    assert model.invoke("Hi").content
    assert server.questions[0].headers["authorization"]
    shown = [
        repr(model),
        str(model),
        dumps(model),
        str(model.model_dump()),
        str(model._get_ls_params()),
    ]
    shown.append(repr(model.model_copy(update={"site": url})))
    assert not [text for text in shown if "s3cret" in text]


def test_a_login_stays_with_its_site(server: Server) -> None:
    """Once another site is assigned, the login in the first one's URL is not sent."""
    server.user("ada", "s3cret")
    model = ChatGPT4Online(site=server.url.replace("//", "//ada:s3cret@"))
    with Server() as other:
        model.site = other.url
        model.invoke("Hi")
        assert [each for each in other.requests if "authorization" in each.headers] == []
    model.site = server.url
    model.invoke("Hi")
    assert server.questions[0].headers["authorization"]


class Tracer(BaseTracer):
    """Keeps what a tracer receives for each run."""

    def _persist_run(self, run: Any) -> None:
        self.seen = str(run)
        self.seen += str(run.model_dump())


@pytest.mark.parametrize("way", ["argument", "assignment", "copy"])
def test_tracers_see_no_password(way: str, server: Server) -> None:
    """However a login came into the URL, tracers and `dumpd` show none, and it is used."""
    server.user("ada", "s3cret")
    url = server.url.replace("//", "//ada:s3cret@")
    model = ChatGPT4Online(site=url if way == "argument" else server.url)
    if way == "assignment":
        model.site = url
    if way == "copy":
        model = model.model_copy(update={"site": url})
    tracer = Tracer()
    model.invoke("Hi", config={"callbacks": [tracer]})
    assert server.questions[0].headers["authorization"]
    assert "Echo" in tracer.seen
    assert "s3cret" not in tracer.seen + str(dumpd(model)) + repr(model)


def test_tools_are_refused_with_a_reason(model: ChatGPT4Online) -> None:
    """`bind_tools` says why it cannot."""
    with pytest.raises(NotImplementedError, match="owner"):
        model.bind_tools([])
