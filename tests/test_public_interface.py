"""The public interface: its names, signatures and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, Tuple

import chatgpt4online
from chatgpt4online import testing

ROOT = Path(__file__).resolve().parent.parent

PUBLIC_NAMES = {
    "Action",
    "AuthError",
    "BlockedError",
    "Bot",
    "ChatGPT4OnlineError",
    "Check",
    "Client",
    "Conversation",
    "Discussion",
    "Event",
    "File",
    "Health",
    "Image",
    "Message",
    "MessageError",
    "NotFoundError",
    "Outcome",
    "Outcomes",
    "ProtocolError",
    "RateLimitError",
    "Reply",
    "ReplyError",
    "ServerError",
    "Shortcut",
    "StatusError",
    "Stream",
    "StreamInterrupted",
    "Timeout",
    "TransportError",
    "Usage",
    "WIDGET_HEADERS",
    "__version__",
    "format_prompt",
}

ASK = (
    "(self, message, *, messages=(), chat_id=None, files=(), model=None, extra_body=None, "
    "headers=None, timeout=None, deadline=None)"
)
SIGNATURES = {
    "Client": (
        "(site=None, *, bot=None, custom_id=None, context_id=None, auth=None, token=None, "
        "model=None, history='messages', headers=None, proxy=None, timeout=(10, 330), "
        "deadline=None, retries=2, session=None)"
    ),
    "Client.bots": "(self, page)",
    "Client.chat": ASK,
    "Client.check": "(self, *, ask=None)",
    "Client.close": "(self)",
    "Client.conversation": "(self, *, system=None, chat_id=None, messages=())",
    "Client.from_page": "(url, index=0, **options)",
    "Client.map": (
        "(self, messages, *, workers=4, executor=None, ordered=True, progress=False, "
        "journal=None, model=None, extra_body=None, headers=None, timeout=None, deadline=None)"
    ),
    "Client.refresh_nonce": "(self)",
    "Client.resume": "(self, discussion)",
    "Client.stream": ASK,
    "Conversation": "(client, *, system=None, chat_id=None, messages=())",
    "Conversation.chat": "(self, message, **options)",
    "Conversation.from_dict": "(data, client)",
    "Conversation.load": "(path, client)",
    "Conversation.save": "(self, path)",
    "Conversation.stream": "(self, message, **options)",
    "Conversation.to_dict": "(self)",
    "Outcome.result": "(self)",
    "Outcome.to_dict": "(self)",
    "Outcomes.close": "(self)",
    "Reply.to_dict": "(self)",
    "Stream.close": "(self)",
    "Stream.events": "(self)",
    "Stream.on_reply": "(self, callback)",
    "Stream.result": "(self)",
    "format_prompt": "(messages)",
}
PROPERTIES = {
    "Check.ok",
    "Client.api",
    "Client.bot",
    "Client.context_id",
    "Client.custom_id",
    "Client.discussions",
    "Client.files",
    "Client.model",
    "Client.nonce",
    "Client.site",
    "Health.level",
    "Outcome.ok",
    "Stream.text",
}


def public(module: ModuleType) -> Iterator[Tuple[str, Any]]:
    """Yield the classes and functions that a module exports, with their names."""
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value


def members(cls: type) -> Iterator[Tuple[str, Any]]:
    """Yield a class's public methods and properties that the package defines."""
    for name, value in inspect.getmembers(cls):
        function = value.fget if isinstance(value, property) else value
        is_ours = str(getattr(function, "__module__", "")).startswith("chatgpt4online")
        if is_ours and inspect.isroutine(function) and not name.startswith("_"):
            yield name, value


def interface(module: ModuleType) -> Dict[str, Any]:
    """Return a module's public classes, functions and members of classes, by dotted name."""
    found = dict(public(module))
    for name, cls in public(module):
        if inspect.isclass(cls):
            found.update({f"{name}.{member}": value for member, value in members(cls)})
    return found


INTERFACE = {**interface(chatgpt4online), **interface(testing)}


def signature(function: Any) -> str:
    """Return a signature without its annotations."""
    annotated = inspect.signature(function)
    parameters = [p.replace(annotation=p.empty) for p in annotated.parameters.values()]
    return str(inspect.Signature(parameters))


def test_public_names_are_frozen() -> None:
    """A public name is added or removed only together with this list."""
    changed = set(chatgpt4online.__all__) ^ PUBLIC_NAMES
    assert not changed, f"update PUBLIC_NAMES, docs/api.rst and CHANGELOG.rst for {changed}"
    assert len(chatgpt4online.__all__) == len(PUBLIC_NAMES)


def test_signatures_are_frozen() -> None:
    """A public signature changes only together with this table."""
    found = interface(chatgpt4online)
    callables = {name: value for name, value in found.items() if inspect.isroutine(value)}
    signatures = {name: signature(value) for name, value in callables.items()}
    for cls in (chatgpt4online.Client, chatgpt4online.Conversation):
        signatures[cls.__name__] = signature(cls)
    assert signatures == SIGNATURES
    assert {name for name, value in found.items() if isinstance(value, property)} == PROPERTIES


def test_the_docs_show_every_public_name() -> None:
    """The reference documents each public name."""
    page = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    names = {*chatgpt4online.__all__, *testing.__all__} - {"__version__"}
    missing = [name for name in names if f":: {name}" not in page]
    assert not missing, f"document {missing} in docs/api.rst"


def test_every_member_is_documented() -> None:
    """Each public class, function, method and property has a docstring."""
    assert [name for name, value in INTERFACE.items() if not value.__doc__] == []


def with_parameters() -> List[str]:
    """
    Return the names of everything that users call with arguments.

    Only a Client makes a Stream, and a dataclass documents its fields one by one.
    """
    return sorted(
        name
        for name, value in INTERFACE.items()
        if inspect.isroutine(value) or (inspect.isclass(value) and "__init__" in vars(value))
        if name not in ("Outcomes", "Stream") and not dataclasses.is_dataclass(value)
    )


def undocumented(name: str) -> Iterator[str]:
    """Yield the parameters that the docstring of a public function or class does not mention."""
    value = INTERFACE[name]
    text = inspect.getdoc(value) or ""
    function = value.__init__ if inspect.isclass(value) else value
    for parameter in inspect.signature(function).parameters:
        if parameter != "self" and not re.search(rf"\b{parameter}\b", text):
            yield f"{name}({parameter})"


def test_parameters_are_documented() -> None:
    """The docstring of a public function or class mentions each of its parameters."""
    missing = [parameter for name in with_parameters() for parameter in undocumented(name)]
    assert not missing, f"describe {missing} under Args in their docstrings"
