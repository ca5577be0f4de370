"""What type checkers and `typing.get_type_hints` know of options and signatures."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

import pytest

import chatgpt4online
from chatgpt4online import Client, Conversation, _options, discussions, files, public_api

ROOT = Path(__file__).resolve().parent.parent.parent

PROGRAM = """
from chatgpt4online import Client, Conversation


class Shop(Client):
    pass


client = Shop.from_page("https://a.example/", auth=("a", "b"), retries=5, headers={"a": None})
reveal_type(client)  # Shop
talk = client.conversation()
talk.chat("Hi", files=["a.txt", b"x"[:0].decode()], deadline=5, headers={"x-id": "1"}, model=None)
talk.stream("Hi", timeout=(1, None), extra_body={"temperature": 1})
client.map(["Hi"], headers={"x-id": "1"}, deadline=5)
client.chat("Hi", messages=[{"role": "user", "content": [{"type": "text", "text": "Hello"}]}])

Client.from_page("https://a.example/", retires=5)  # error
Client.from_page("https://a.example/", retries="5")  # error
talk.chat("Hi", dead_line=5)  # error
talk.chat("Hi", deadline="5")  # error
talk.stream("Hi", header={})  # error
client.map(["Hi"], time_out=5)  # error
client.chat("Hi", dead_line=5)  # error
"""


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed")
@pytest.mark.timeout(300)
def test_mypy_finds_a_misspelt_option(tmp_path: Path) -> None:
    """Each misspelt or wrong option is an error for mypy, and nothing else is."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", str(program)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    found = [int(line) for line in re.findall(r"program\.py:(\d+): error", done.stdout)]
    lines = enumerate(PROGRAM.splitlines(), 1)
    assert found == [number for number, line in lines if "# error" in line], done.stdout
    assert re.search('Revealed type is "program.Shop"', done.stdout), done.stdout


def routines() -> Iterator[Tuple[str, Any]]:
    """Yield what users call, by its name."""
    known: Dict[str, Any] = {name: getattr(chatgpt4online, name) for name in chatgpt4online.__all__}
    for module in (discussions, files, public_api):
        known.update((name, getattr(module, name)) for name in module.__all__)
    for name, value in known.items():
        if inspect.isfunction(value):
            yield name, value
        for member, function in inspect.getmembers(value, inspect.isroutine):
            if inspect.isclass(value) and inspect.isfunction(
                getattr(function, "__func__", function)
            ):
                yield f"{name}.{member}", getattr(function, "__func__", function)


def unreadable(function: Any) -> str:
    """Return why the hints of a function cannot be read, or an empty string."""
    try:
        typing.get_type_hints(function)
    except (AttributeError, NameError, TypeError) as error:
        return repr(error)
    return ""


def test_the_hints_can_be_read() -> None:
    """`typing.get_type_hints` works for each public function and method."""
    found = {name: unreadable(function) for name, function in routines()}
    assert len(found) > 100
    assert {name: why for name, why in found.items() if why} == {}


def test_options_at_run_time() -> None:
    """Options are an `Unpack` where `typing` has it; anything elsewhere, without a dependency."""
    hint = typing.get_type_hints(Conversation.chat)["options"]
    page_hint = typing.get_type_hints(Client.from_page)["options"]
    if hasattr(typing, "Unpack"):
        assert typing.get_args(hint) == (_options.ChatOptions,)
        assert typing.get_args(page_hint) == (_options.ClientOptions,)
    else:
        assert (hint, page_hint) == (Any, Any)
    stand_in: Any = _options.NoUnpack
    assert stand_in[_options.ChatOptions] is Any


def test_options_are_the_arguments() -> None:
    """The typed options are those of the functions that they are passed on to."""
    chat = set(inspect.signature(Client.chat).parameters) - {"self", "message"}
    assert chat == {*_options.ChatOptions.__annotations__, "messages", "chat_id"}
    of_page = {"site", "bot", "custom_id", "context_id"}
    assert set(inspect.signature(Client).parameters) == {
        *_options.ClientOptions.__annotations__,
        *of_page,
    }
    for options, function in (
        (_options.ChatOptions, Client.chat),
        (_options.ClientOptions, Client.__init__),
    ):
        hints = typing.get_type_hints(function)
        for name, hint in typing.get_type_hints(options).items():
            assert hint == hints[name], name
