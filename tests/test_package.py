"""The package as a whole: its layers, its public face and its house rules."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import pydoc
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, Set, Tuple

import pytest

import chatgpt4online
from chatgpt4online import testing

PACKAGE = Path(chatgpt4online.__file__).parent

# From the top: a module imports only from modules above it. "testing" is separate.
LAYERS = [
    "_version",
    "errors",
    "_display",
    "_json",
    "types",
    "_validation",
    "_protocol",
    "_protocol.fields",
    "_protocol.routes",
    "_protocol.headers",
    "_protocol.request",
    "_protocol.events",
    "_protocol.failures",
    "_protocol.answers",
    "_protocol.public_api",
    "_protocol.page",
    "_protocol.prelude",
    "_http",
    "_http.deadlines",
    "_http.call",
    "_http.credentials",
    "_http.nonce",
    "_http.framing",
    "_http.retry",
    "_http.tls",
    "_http.connection",
    "_http.session",
    "_http.body",
    "_http.sse",
    "_http.failures",
    "_http.response",
    "_http.request",
    "_http.discovery",
    "_http.transport",
    "stream",
    "files",
    "discussions",
    "public_api",
    "_disk",
    "conversation",
    "_journal",
    "_workers",
    "batch",
    "_health",
    "client",
    "notebook",
    "integrations",
    "integrations.llm",
    "integrations.langchain",
    "cli.options",
    "cli.connect",
    "cli.output",
    "cli.chat",
    "cli.batch",
    "cli.site",
    "cli",
    "__main__",
    "__init__",
]
PURE = ["errors", "_display", "_json", "types", "_http.framing", "_http.retry"]
OUTSIDE_WORLD = {
    *("asyncio", "ftplib", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random"),
    *("requests", "secrets", "select", "selectors", "shutil", "signal", "socket", "ssl"),
    *("subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "urllib3", "uuid"),
}
# Ids of new conversations are random.
RANDOM = {"_protocol.request": {"os.urandom"}}
# Calls that read a clock, a file or a terminal without an import that shows it.
HIDDEN_INPUT = {"input", "now", "open", "print", "today", "utcnow"}
# Imported by nobody but who uses them.
OPTIONAL = ["__main__", "cli", "integrations", "notebook", "testing"]
# Slow to import, and of no use to a chat.
HEAVY = {"asyncio", "concurrent", "http.server", "multiprocessing", "sqlite3", "unittest", "xml"}

Tree = ast.Module


def module_name(path: Path) -> str:
    """Return a file's name as a module inside the package: ``testing._site``, ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def trees() -> Dict[str, Tree]:
    """Return each of the package's modules, parsed."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {module_name(file): ast.parse(file.read_text(encoding="utf-8")) for file in files}


TREES = trees()
LAYERED = [name for name in TREES if name.split(".")[0] != "testing"]
TESTING = [name for name in TREES if name.split(".")[0] == "testing"]
PROTOCOL = [name for name in TREES if name.split(".")[0] == "_protocol"]


def run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a module less what only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.dump(node.test).find("TYPE_CHECKING") >= 0:
            continue
        yield node
        yield from run_time_nodes(node)


def imported(module: str) -> Set[str]:
    """Return the full dotted names that a module imports when it runs."""
    names: Set[str] = set()
    for node in run_time_nodes(TREES[module]):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


def absolute(module: str, node: ast.ImportFrom) -> str:
    """Return where a ``from ... import`` looks, written without leading dots."""
    if not node.level:
        return node.module or ""
    here = ["chatgpt4online", *module.split(".")]
    is_folder = (PACKAGE / Path(*module.split("."))).is_dir()
    up = here if is_folder and node.level == 1 else here[: len(here) - node.level + is_folder]
    return ".".join([*up, node.module] if node.module else up)


def ours(names: Set[str]) -> Set[str]:
    """Return, of imported names, the package's modules that they are or come from."""
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != "chatgpt4online":
            continue
        inner = [".".join(parts[1:end]) for end in range(len(parts), 1, -1)]
        found.add(next((module for module in inner if module in TREES), "__init__"))
    return found


@pytest.mark.parametrize("module", LAYERED)
def test_imports_from_above(module: str) -> None:
    """A module imports only from the modules above it; each has its place in the table."""
    above = set(LAYERS[: LAYERS.index(module)])
    if module == "cli.connect":
        above.add("testing")  # for --demo and serve
    assert ours(imported(module)) <= above


@pytest.mark.parametrize("module", TESTING)
def test_testing_stands_alone(module: str) -> None:
    """The testing site knows nothing of the package, so that it cannot share its mistakes."""
    assert ours(imported(module)) <= set(TESTING)


@pytest.mark.parametrize("module", [*PURE, *PROTOCOL])
def test_pure_modules_touch_nothing(module: str) -> None:
    """A pure module imports nothing for I/O, clocks, random numbers or threads."""
    outside = {name for name in imported(module) if any(is_below(name, at) for at in OUTSIDE_WORLD)}
    assert outside == RANDOM.get(module, set())


@pytest.mark.parametrize("module", [*PURE, *PROTOCOL])
def test_pure_modules_ask_nobody(module: str) -> None:
    """A pure module reads no clock, file or terminal."""
    calls = [node.func for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    assert not {getattr(call, "attr", getattr(call, "id", "")) for call in calls} & HIDDEN_INPUT


def is_below(name: str, package: str) -> bool:
    """Return whether a dotted name is a package or something in it."""
    return f"{name}.".startswith(f"{package}.")


# Routes, namespaces, cookies, headers and fields of AI Engine and WordPress, by their spelling.
SPELLING = re.compile(
    r"mwai|wp/v2|wp-json|rest_|new_token|PHPSESSID|x-wp-|api\.w\.org|\b_fields=", re.IGNORECASE
)
CAMEL_CASE = re.compile("[a-z]+([A-Z][a-z]*)+")


def strings(tree: Tree) -> Set[str]:
    """Return the texts in a module's code, docstrings not counted."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        if node.body and isinstance(node.body[0], ast.Expr)
    }
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {
        node.value
        for node in constants
        if isinstance(node.value, str) and id(node) not in docstrings
    }


FIELDS = {text for name in PROTOCOL for text in strings(TREES[name]) if CAMEL_CASE.fullmatch(text)}


@pytest.mark.parametrize("module", sorted({*LAYERED} - {*PROTOCOL}))
def test_the_protocol_is_in_one_place(module: str) -> None:
    """Only ``_protocol`` spells a route, namespace, cookie, header or field of the site's."""
    assert not {text for text in strings(TREES[module]) if text in FIELDS or SPELLING.search(text)}


def test_fields_are_found() -> None:
    """The fields that only ``_protocol`` may spell are collected from its code."""
    known = {"botId", "newMessage", "newFileIds", "previousResponseId", "restNonce"}
    assert FIELDS.issuperset(known)


def test_one_importer_of_sseclient() -> None:
    """Only ``_http.sse`` knows sseclient."""
    users = [name for name in TREES if any("sseclient" in found for found in imported(name))]
    assert users == ["_http.sse"]


def test_one_place_for_raw_bodies() -> None:
    """Only ``_http.body`` reaches below requests, to a response's ``raw``."""
    users = {
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "raw" and is_response(node.value)
    }
    assert users == {"_http.body"}


# Of other libraries. What happens without them stands in ``_http.connection``.
PRIVATE_NAMES = {"_new_conn", "_original_response", "_sock"}


def private_names(tree: Tree) -> Iterator[str]:
    """Yield names with a leading underscore that are read from anything but the object itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not is_self(node.value):
            yield node.attr
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr"):
            yield str(getattr(node.args[1], "value", ""))


def is_self(node: ast.AST) -> bool:
    """Return whether an expression is the present object or class."""
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def test_few_private_names_of_other_libraries() -> None:
    """`_http` uses at most four private names of other libraries, each of them listed."""
    ours = {
        name
        for module, tree in TREES.items()
        if module.startswith("_http.")
        for name in private_names(tree)
        if name.startswith("_") and not name.startswith("__")
    }
    assert ours - {"_replace"} == PRIVATE_NAMES
    listed = ast.get_docstring(TREES["_http.connection"]) or ""
    assert not [name for name in PRIVATE_NAMES if name not in listed]


def is_response(node: ast.AST) -> bool:
    """Return whether an expression is called a response."""
    name = getattr(node, "attr", getattr(node, "id", ""))
    return str(name).lower().endswith("response")


def functions(tree: Tree) -> Iterator[ast.FunctionDef]:
    """Yield every function and method of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node


def length(function: ast.FunctionDef) -> int:
    """Return how many lines a function's body has, its docstring not counted."""
    body = function.body[ast.get_docstring(function) is not None :]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    """No function is over 30 lines, so that each can be read at a glance."""
    long = {
        f"{module}.{function.name}": length(function)
        for module, tree in TREES.items()
        for function in functions(tree)
        if length(function) > 30
    }
    assert not long


def test_is_typed() -> None:
    """The package tells type checkers that it has types."""
    assert (PACKAGE / "py.typed").is_file()


IMPORTS = """
import json, sys
import requests, sseclient
before = set(sys.modules)
from chatgpt4online import Client
new = {name: getattr(sys.modules[name], "__file__", None) for name in set(sys.modules) - before}
print(json.dumps(new))
"""


@pytest.fixture(scope="module")
def loaded() -> Dict[str, str]:
    """Return what importing the client loads beyond requests and sseclient: name and file."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], check=True, stdout=subprocess.PIPE)
    return {name: file or "" for name, file in json.loads(done.stdout).items()}


def test_import_is_light(loaded: Dict[str, str]) -> None:
    """The import loads no other package, and nothing of the standard library that is slow."""
    others = {name: file for name, file in loaded.items() if not name.startswith("chatgpt4online")}
    packages = [name for name, file in others.items() if "site-packages" in file]
    heavy = [name for name in others if any(f"{name}.".startswith(f"{h}.") for h in HEAVY)]
    assert (packages, heavy) == ([], [])


def test_import_leaves_out_what_is_optional(loaded: Dict[str, str]) -> None:
    """The import runs no module of ours that only some users want."""
    optional = {f"chatgpt4online.{name}" for name in OPTIONAL}
    assert not [name for name in loaded if ".".join(name.split(".")[:2]) in optional]


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
    "timeout=None, deadline=None)"
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
        "journal=None, model=None, extra_body=None, timeout=None, deadline=None)"
    ),
    "Client.refresh_nonce": "(self)",
    "Client.resume": "(self, discussion)",
    "Client.stream": ASK,
    "Conversation": "(client, *, system=None, chat_id=None, messages=())",
    "Conversation.chat": "(self, message, **options)",
    "Conversation.load": "(path, client)",
    "Conversation.save": "(self, path)",
    "Conversation.stream": "(self, message, **options)",
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
    "Client.api",
    "Client.bot",
    "Client.context_id",
    "Client.custom_id",
    "Client.discussions",
    "Client.files",
    "Client.model",
    "Client.nonce",
    "Client.site",
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
    """Yield a class's public methods and properties, less those that it has from elsewhere."""
    for name, value in inspect.getmembers(cls):
        function = value.fget if isinstance(value, property) else value
        is_ours = str(getattr(function, "__module__", "")).startswith("chatgpt4online")
        if is_ours and inspect.isroutine(function) and not name.startswith("_"):
            yield name, value


def interface(module: ModuleType) -> Dict[str, Any]:
    """Return a module's public classes and functions, and the classes' members, by dotted name."""
    found = dict(public(module))
    for name, cls in public(module):
        if inspect.isclass(cls):
            found.update({f"{name}.{member}": value for member, value in members(cls)})
    return found


INTERFACE = {**interface(chatgpt4online), **interface(testing)}


def signature(function: Any) -> str:
    """Return a signature without its types."""
    bare = inspect.signature(function)
    parameters = [p.replace(annotation=p.empty) for p in bare.parameters.values()]
    return str(inspect.Signature(parameters))


def test_public_names_are_frozen() -> None:
    """A public name comes or goes only together with this list."""
    assert set(chatgpt4online.__all__) == PUBLIC_NAMES
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
    """Each public name has its place on the page that describes the interface."""
    page = (PACKAGE.parent / "docs" / "api.rst").read_text(encoding="utf-8")
    names = {*chatgpt4online.__all__, *testing.__all__} - {"__version__"}
    assert not [name for name in names if f":: {name}" not in page]


@pytest.mark.parametrize("name", sorted(INTERFACE))
def test_all_is_documented(name: str) -> None:
    """Each public class, function, method and property says what it is."""
    assert INTERFACE[name].__doc__


def with_parameters() -> List[str]:
    """
    Return the names of all that takes a user's arguments.

    A Client makes a Stream and Outcomes, and a dataclass documents its fields one by one.
    """
    return sorted(
        name
        for name, value in INTERFACE.items()
        if inspect.isroutine(value) or (inspect.isclass(value) and "__init__" in vars(value))
        if name not in ("Outcomes", "Stream") and not dataclasses.is_dataclass(value)
    )


@pytest.mark.parametrize("name", with_parameters())
def test_parameters_are_documented(name: str) -> None:
    """Each parameter of a public function or class is named in its docstring."""
    value = INTERFACE[name]
    text = inspect.getdoc(value) or ""
    function = value.__init__ if inspect.isclass(value) else value
    parameters = [p for p in inspect.signature(function).parameters if p != "self"]
    assert not [p for p in parameters if not re.search(rf"\b{p}\b", text)]


def run(program: str) -> Any:
    """Return what a fresh interpreter prints as JSON."""
    done = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", [chatgpt4online, testing])
def test_dir_lists_every_public_name(module: ModuleType) -> None:
    """`dir()` and `help()` show every public name, whether or not it has been used."""
    program = "import json, {0}; print(json.dumps([dir({0}), {0}.__all__]))"
    listed, public_names = run(program.format(module.__name__))
    assert set(public_names) <= set(listed)
    text = pydoc.plain(pydoc.render_doc(module))
    assert not [name for name in module.__all__ if name not in text and name != "__version__"]


@pytest.mark.parametrize("module", [chatgpt4online, testing])
def test_star_import(module: ModuleType) -> None:
    """`import *` brings every public name."""
    program = "import json; from {} import *; print(json.dumps(sorted(globals())))"
    assert set(module.__all__) <= set(run(program.format(module.__name__)))


@pytest.mark.parametrize("module", [chatgpt4online, testing])
def test_unknown_names(module: ModuleType) -> None:
    """A name that does not exist raises the usual errors."""
    name = module.__name__
    with pytest.raises(AttributeError, match=f"^module '{name}' has no attribute 'Clinet'$"):
        _ = module.Clinet
    with pytest.raises(ImportError, match=f"cannot import name 'Clinet' from '{name}'"):
        exec(f"from {name} import Clinet")


def test_submodules_are_attributes() -> None:
    """A public module is an attribute of the package, whether or not it has been imported."""
    program = "import json, chatgpt4online as c; print(json.dumps([c.errors.__name__, {}]))"
    assert run(program) == ["chatgpt4online.errors", {}]


@pytest.mark.parametrize("package", ["__init__", "testing"])
def test_type_checkers_see_every_public_name(package: str) -> None:
    """A type checker finds each public name where it is imported from, and no other name."""
    module = chatgpt4online if package == "__init__" else testing
    (block,) = (node for node in TREES[package].body if isinstance(node, ast.If))
    assert ast.dump(block.test) == ast.dump(ast.parse("TYPE_CHECKING", mode="eval").body)
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: node.module for node in imports for alias in node.names}
    assert homes.keys() == set(module.__all__) - {"__version__"}
    for name, home in homes.items():
        assert getattr(module, name) is getattr(sys.modules[f"{module.__name__}.{home}"], name)


LIGHT = """
import json, sys
import {before}
before = set(sys.modules)
import {module}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.mark.parametrize(
    ("before", "module"),
    [
        ("importlib, typing", "chatgpt4online.testing"),
        ("pytest", "chatgpt4online.testing.pytest_plugin"),
    ],
)
def test_the_pytest_plugin_is_light(before: str, module: str) -> None:
    """Before the fixture is used, the plugin loads nothing: no requests, no ssl, no server."""
    package = ["chatgpt4online", "chatgpt4online._version", "chatgpt4online.testing"]
    loaded = run(LIGHT.format(before=before, module=module))
    assert loaded == sorted({*package, module})
