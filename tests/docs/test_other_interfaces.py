"""The examples for asynchronous programs, and for code that was written for openai."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any, Iterator, List

import pytest
from support import wait_for
from support.programs import EXAMPLES, needs, run

from chatgpt4online import Client, RateLimitError, StreamInterrupted
from chatgpt4online.testing import Server

# ----------------------------------------------------------------------------------------- openai


@pytest.fixture
def openai(client: Client, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the site's chatbot in the shape of openai's client."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("openai_adapter").OpenAI(client)


def complete(client: Any, question: str) -> str:
    """Ask as programs for openai do."""
    completion = client.chat.completions.create(
        model="gpt-4o",
        messages=[
            {"role": "system", "content": "Answer in French."},
            {"role": "user", "content": question},
        ],
    )
    assert completion.usage.total_tokens == (
        completion.usage.prompt_tokens + completion.usage.completion_tokens
    )
    return str(completion.choices[0].message.content)


def pieces(client: Any, question: str) -> Iterator[str]:
    """Stream as programs for openai do."""
    stream = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": question}], stream=True
    )
    for chunk in stream:
        if chunk.choices[0].delta.content is not None:
            yield chunk.choices[0].delta.content


def test_code_for_openai_gets_a_completion(openai: Any, server: Server) -> None:
    """The answer, its tokens and its end are where openai has them; the model is not sent."""
    assert complete(openai, "Who?") == "Echo(1 msgs): Who?"
    asked = server.questions[0].json
    assert [message["role"] for message in asked["messages"]] == ["system"]
    assert "model" not in asked
    done = openai.chat.completions.create(messages=[{"role": "user", "content": "Why?"}])
    assert (done.choices[0].finish_reason, done.choices[0].message.role) == ("stop", "assistant")


def test_code_for_openai_gets_chunks(openai: Any, server: Server) -> None:
    """Each delta is a chunk, and the last chunk has the end and the tokens."""
    server.says("Good ", "morning", final="Good morning!")
    assert list(pieces(openai, "Hello")) == ["Good ", "morning"]
    *_, last = openai.chat.completions.create(
        messages=[{"role": "user", "content": "Hello"}], stream=True
    )
    assert (last.choices[0].finish_reason, last.choices[0].delta.content) == ("stop", None)
    assert last.usage.total_tokens > 0


def test_code_for_openai_gets_errors(openai: Any, server: Server) -> None:
    """A refusal is raised by the call, a cut answer by the loop, an option by Python."""
    messages = [{"role": "user", "content": "Hello"}]
    server.answers(429)
    with pytest.raises(RateLimitError):
        openai.chat.completions.create(messages=messages, stream=True)
    server.cuts("Well")
    with pytest.raises(StreamInterrupted):
        list(pieces(openai, "Hello"))
    with pytest.raises(TypeError, match="temperature"):
        openai.chat.completions.create(messages=messages, temperature=0)


def test_a_loop_for_openai_that_is_left(openai: Any, server: Server) -> None:
    """Leaving the loop over the chunks frees the connection."""
    server.stalls(after=("Well",))
    chunks = pieces(openai, "Hello")
    assert next(chunks) == "Well"
    del chunks
    wait_for(lambda: not server.open_connections)


@needs("openai")
def test_the_adapter_invents_no_attribute(openai: Any) -> None:
    """Each attribute of a completion and of a chunk is one that openai's have."""
    chat = importlib.import_module("openai.types.chat")
    usage = importlib.import_module("openai.types").CompletionUsage
    messages = [{"role": "user", "content": "Hello"}]
    done = openai.chat.completions.create(messages=messages)
    chunk = next(openai.chat.completions.create(messages=messages, stream=True))
    assert vars(done).keys() <= chat.ChatCompletion.model_fields.keys()
    assert vars(chunk).keys() <= chat.ChatCompletionChunk.model_fields.keys()
    assert vars(done.choices[0].message).keys() <= chat.ChatCompletionMessage.model_fields.keys()
    assert {"prompt_tokens", "completion_tokens", "total_tokens"} <= usage.model_fields.keys()


# ---------------------------------------------------------------------------------------- asyncio

to_thread = pytest.mark.skipif(
    not hasattr(asyncio, "to_thread"), reason="asyncio.to_thread is new in Python 3.9"
)


@pytest.fixture
def astream(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the example's asynchronous generator."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("async_stream").astream


async def collect(deltas: Any, got: List[str]) -> None:
    """Append each delta to a list as it arrives."""
    async for delta in deltas:
        got.append(delta)  # noqa: PERF401 - what came before the end is wanted too


@to_thread
def test_an_asynchronous_stream(astream: Any, client: Client, server: Server) -> None:
    """An asynchronous program gets the same deltas, and the caller's client stays open."""
    server.says("Good ", "morning")
    got: List[str] = []
    asyncio.run(collect(astream(client, "Hello"), got))
    assert got == ["Good ", "morning"]
    assert client.chat("Hello") == "Echo(1 msgs): Hello"


@to_thread
@pytest.mark.parametrize("after", [(), ("Well",)], ids=["before the first text", "in the middle"])
def test_cancelling_frees_the_connection(
    astream: Any, client: Client, server: Server, after: Any
) -> None:
    """A cancelled task ends its answer at once, whether the answer has begun or not."""
    server.stalls(after=after, headers=bool(after))
    got: List[str] = []

    async def main() -> None:
        task = asyncio.ensure_future(collect(astream(client, "Hello"), got))
        await asyncio.to_thread(wait_for, lambda: server.questions and got == list(after))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())  # waits for the threads that asked
    wait_for(lambda: not server.open_connections)
    assert got == list(after)


@to_thread
def test_the_asynchronous_program(server: Server) -> None:
    """The program prints the answers in the order of the questions."""
    done = run(server, "async_stream.py", "Who?", "Why?")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["Echo(1 msgs): Who?", "Echo(1 msgs): Why?"]
