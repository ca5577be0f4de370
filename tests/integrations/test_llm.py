"""The llm plugin, through llm's Python API and command line."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Tuple

import pytest

from chatgpt4online import ReplyError
from chatgpt4online.testing import Server

llm = pytest.importorskip("llm", exc_type=ImportError)

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the model, registered without the entry point."""
    from chatgpt4online.integrations.llm import register_models

    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    models: Dict[str, Any] = {}
    register_models(lambda found: models.update({found.model_id: found}))
    return models["chatgpt4online"]


def test_an_answer(model: Any, server: Server) -> None:
    """A prompt goes to the site and bot in its options, and the response has the usage."""
    server.bot("second")
    response = model.prompt("Hello", site=server.url, bot="second")
    assert response.text() == "Echo(1 msgs): Hello"
    assert server.questions[0].json["botId"] == "second"
    assert (response.usage().input, response.usage().output) == (11, 3)
    assert response.response_json["success"] is True


def test_streaming(model: Any, server: Server) -> None:
    """A stream yields deltas; without streaming the final answer is yielded at once."""
    server.says("Hel", "lo", final="Hello!")
    assert list(model.prompt("Hi", site=server.url)) == ["Hel", "lo"]
    server.says("Hel", "lo", final="Hello!")
    assert list(model.prompt("Hi", site=server.url, stream=False)) == ["Hello!"]


def test_a_conversation(model: Any, server: Server) -> None:
    """A conversation of llm sends its system prompt and earlier messages under one chatId."""
    conversation = model.conversation()
    conversation.prompt("One", system="Be brief.", site=server.url).text()
    assert conversation.prompt("Two", site=server.url).text() == "Echo(3 msgs): Two"
    first, second = (question.json for question in server.questions)
    assert first["chatId"] == second["chatId"] == conversation.id
    assert first["messages"][0]["content"] == "Be brief."


def test_attachments_are_uploaded(model: Any, server: Server) -> None:
    """An attached image is uploaded with the question."""
    response = model.prompt(
        "What is it?", attachments=[llm.Attachment(content=PNG)], site=server.url
    )
    assert "data:image/png;base64" in response.text()


def test_an_attachment_without_a_prompt(model: Any, server: Server) -> None:
    """An image may be the whole question; later questions leave it out of the history."""
    conversation = model.conversation()
    picture = llm.Attachment(content=PNG)
    answer = conversation.prompt("", attachments=[picture], site=server.url).text()
    assert "data:image/png;base64" in answer
    conversation.prompt("Why?", site=server.url).text()
    first, second = (question.json for question in server.questions)
    assert (first["newMessage"], second["newMessage"]) == ("", "Why?")
    assert [turn["content"] for turn in second["messages"]] == [answer]


def test_missing_usage(model: Any, server: Server) -> None:
    """If the site reports no usage, the response has none."""
    server.says("Hello", usage=None)
    assert model.prompt("Hi", site=server.url).usage().input is None


NESTED = b"[" * 900 + b"]" * 900


@pytest.mark.parametrize(
    ("more", "usage"),
    [
        (b'"usage":{"prompt_tokens":%d,"completion_tokens":3}' % (2**63), (None, 3)),
        (b'"usage":{"prompt_tokens":7,"completion_tokens":-%s}' % (b"9" * 900), (7, None)),
        (b'"usage":{"prompt_tokens":%d}' % (2**63 - 1), (2**63 - 1, None)),
        (b'"usage":{"price":NaN},"x":1e999', (None, None)),
        (b'"x":%s' % NESTED, (None, None)),
        (b'"x":{"y":%s}' % NESTED, (None, None)),
        (b'"x":"\\ud83d\\u0000"', (None, None)),
    ],
)
def test_odd_answers_are_logged(
    more: bytes, usage: Tuple[Any, Any], model: Any, server: Server
) -> None:
    """Whatever a site adds to its answer, llm can log the answer."""
    answer = b'{"success":true,"reply":"Hello",%s}' % more
    server.sends(answer, content_type="application/json")
    response = model.prompt("Hi", site=server.url)
    assert response.text() == "Hello"
    assert (response.usage().input, response.usage().output) == usage
    database = pytest.importorskip("sqlite_utils").Database(memory=True)
    pytest.importorskip("llm.migrations").migrate(database)
    response.log_to_db(database)
    assert (response.response_json is None) == (NESTED in more)


def test_a_failure(model: Any, server: Server) -> None:
    """A failure raises the package's own error."""
    server.fails("No.")
    with pytest.raises(ReplyError):
        model.prompt("Hi", site=server.url).text()


def test_the_command_line(server: Server, tmp_path: Path) -> None:
    """`llm -m chatgpt4online` asks, and -c continues the logged conversation."""
    code = (
        "import llm.plugins, llm.cli, chatgpt4online.integrations.llm as ours\n"
        "llm.plugins.load_plugins()\n"
        "pm = llm.plugins.pm\n"
        "pm.has_plugin('chatgpt4online') or pm.register(ours, 'chatgpt4online')\n"
        "llm.cli.cli()"
    )
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path)}
    environment["CHATGPT4ONLINE_SITE"] = server.url
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", code, "-m", "chatgpt4online"]
    answers = [
        subprocess.run(
            [*command, *words],
            check=True,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
        ).stdout
        for words in (["One"], ["-c", "Two"])
    ]
    assert answers == ["Echo(1 msgs): One\n", "Echo(3 msgs): Two\n"]
