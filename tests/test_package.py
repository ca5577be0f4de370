"""The rules for the package's code: which module may import or spell what, and how long it is."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path
from typing import Callable, Dict, FrozenSet, Iterable, Iterator, Mapping, Set

import chatgpt4online

PACKAGE = Path(chatgpt4online.__file__).parent

# A module imports only from modules that come before it. "testing" is separate.
LAYERS = [
    "_version",
    "errors",
    "_display",
    "_json",
    "types",
    "_printing",
    "_validation",
    "_protocol",
    "_protocol.routes",
    "_protocol.fields",
    "_protocol.headers",
    "_protocol.request",
    "_protocol.events",
    "_protocol.advice",
    "_protocol.failures",
    "_protocol.answers",
    "_protocol.public_api",
    "_protocol.page",
    "_protocol.prelude",
    "_protocol.front_end",
    "_http",
    "_http.tracebacks",
    "_http.deadlines",
    "_http.call",
    "_http.groups",
    "_http.credentials",
    "_settings",
    "_http.nonce",
    "_http.framing",
    "_http.retry",
    "_http.tls",
    "_http.dialing",
    "_http.cookies",
    "_http.connection",
    "_http.pool",
    "_http.outgoing",
    "_http.proxies",
    "_http.session",
    "_http.body",
    "_http.sse",
    "_http.failures",
    "_http.response",
    "_http.request",
    "_http.headers",
    "_http.discovery",
    "_http.transport",
    "stream",
    "_paging",
    "files",
    "discussions",
    "public_api",
    "_options",
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
    "cli.prompt",
    "cli.chat",
    "cli.batch",
    "cli.site",
    "cli",
    "__main__",
    "__init__",
]
PURE = ["errors", "_display", "_json", "types", "_validation", "_http.framing", "_http.retry"]
OUTSIDE_WORLD = {
    *("asyncio", "ftplib", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random"),
    *("requests", "secrets", "select", "selectors", "shutil", "signal", "socket", "ssl"),
    *("subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "urllib3", "uuid"),
}
# Ids of new conversations are random, and the memory of a text depends on the interpreter.
ALLOWED = {"_protocol.request": {"os.urandom"}, "_protocol.fields": {"sys"}}
# Functions that read a clock, a file or a terminal, and need no import.
HIDDEN_INPUT = {"input", "now", "open", "print", "today", "utcnow"}

Tree = ast.Module


def module_name(path: Path) -> str:
    """Return a file's module name within the package, such as ``testing._site`` or ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


class Trees(Mapping[str, Tree]):
    """The syntax tree of each module of the package, parsed when it is looked at."""

    def __init__(self) -> None:
        self._files = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}
        self._parsed: Dict[str, Tree] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, module: str) -> Tree:
        if module not in self._parsed:
            self._parsed[module] = ast.parse(self.source(module))
        return self._parsed[module]

    def source(self, module: str) -> str:
        """Return the text of a module."""
        return self._files[module].read_text(encoding="utf-8")


TREES = Trees()
LAYERED = [name for name in TREES if name.split(".")[0] != "testing"]
TESTING = [name for name in TREES if name.split(".")[0] == "testing"]
PROTOCOL = [name for name in TREES if name.split(".")[0] == "_protocol"]


def failing(modules: Iterable[str], find: Callable[[str], Set[str]]) -> Dict[str, Set[str]]:
    """Return the modules in which something is found, with what it is."""
    return {module: found for module in modules for found in [find(module)] if found}


def run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield a module's nodes, except those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.dump(node.test).find("TYPE_CHECKING") >= 0:
            continue
        yield node
        yield from run_time_nodes(node)


def imported(module: str) -> Set[str]:
    """Return the full names that a module imports at run time."""
    names: Set[str] = set()
    for node in run_time_nodes(TREES[module]):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


def absolute(module: str, node: ast.ImportFrom) -> str:
    """Return the module that a ``from ... import`` names, without leading dots."""
    if not node.level:
        return node.module or ""
    here = ["chatgpt4online", *module.split(".")]
    is_folder = (PACKAGE / Path(*module.split("."))).is_dir()
    up = here if is_folder and node.level == 1 else here[: len(here) - node.level + is_folder]
    return ".".join([*up, node.module] if node.module else up)


def ours(names: Set[str]) -> Set[str]:
    """Return the package's modules that imported names are, or come from."""
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != "chatgpt4online":
            continue
        inner = [".".join(parts[1:end]) for end in range(len(parts), 1, -1)]
        found.add(next((module for module in inner if module in TREES), "__init__"))
    return found


def imported_too_early(module: str) -> Set[str]:
    """Return what a module imports although it does not come before it in `LAYERS`."""
    earlier = set(LAYERS[: LAYERS.index(module)])
    if module == "cli.connect":
        earlier.add("testing")  # for --demo and serve
    return ours(imported(module)) - earlier


def test_imports_of_earlier_modules() -> None:
    """A module imports only from modules that come before it in `LAYERS`, which lists all."""
    unlisted = set(LAYERED) - set(LAYERS)
    assert not unlisted, f"add {unlisted} to LAYERS, after all that they import"
    later = failing(LAYERED, imported_too_early)
    assert not later, f"these must not import what comes later in LAYERS: {later}"


def test_testing_stands_alone() -> None:
    """`testing` imports nothing else of the package, so that it cannot share its mistakes."""
    others = failing(TESTING, lambda module: ours(imported(module)) - set(TESTING))
    assert not others, f"repeat in testing what these need, with its source: {others}"


def outside_world(module: str) -> Set[str]:
    """Return what a module imports for I/O, clocks, random numbers or threads."""
    outside = {name for name in imported(module) if any(is_below(name, at) for at in OUTSIDE_WORLD)}
    return outside - ALLOWED.get(module, set())


def test_pure_modules_import_no_input_or_output() -> None:
    """A pure module imports nothing for I/O, clocks, random numbers or threads."""
    found = failing([*PURE, *PROTOCOL], outside_world)
    assert not found, f"these are pure: let their callers use it, and pass the result in: {found}"


def hidden_input(module: str) -> Set[str]:
    """Return the functions that a module calls and that read a clock, file or terminal."""
    calls = [node.func for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    return {getattr(call, "attr", getattr(call, "id", "")) for call in calls} & HIDDEN_INPUT


def test_pure_modules_read_no_clock_or_file() -> None:
    """A pure module reads no clock, file or terminal."""
    found = failing([*PURE, *PROTOCOL], hidden_input)
    assert not found, f"these are pure: let their callers call it, and pass the result in: {found}"


def is_below(name: str, package: str) -> bool:
    """Return whether a dotted name is a package, or is in it."""
    return f"{name}.".startswith(f"{package}.")


# Matches routes, namespaces, cookies, headers and fields of AI Engine and WordPress.
SPELLING = re.compile(
    r"mwai|wp/v2|wp-json|rest_|start_session|new_token|PHPSESSID|x-wp-|api\.w\.org|\b_fields=",
    re.IGNORECASE,
)
CAMEL_CASE = re.compile("[a-z]+([A-Z][a-z]*)+")


def strings(tree: Tree) -> Set[str]:
    """Return the string constants of a module, except docstrings."""
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


@lru_cache(maxsize=None)
def fields() -> FrozenSet[str]:
    """Return the plugin's fields: what ``_protocol`` spells in camel case."""
    spelled = (text for name in PROTOCOL for text in strings(TREES[name]))
    return frozenset(filter(CAMEL_CASE.fullmatch, spelled))


def protocol_spellings(module: str) -> Set[str]:
    """Return the plugin's routes, namespaces, cookies, headers and fields that a module spells."""
    return {text for text in strings(TREES[module]) if text in fields() or SPELLING.search(text)}


def test_the_protocol_is_in_one_place() -> None:
    """Only ``_protocol`` spells the plugin's routes, namespaces, cookies, headers and fields."""
    found = failing({*LAYERED} - {*PROTOCOL}, protocol_spellings)
    assert not found, f"give what these spell a name, or a function, in _protocol: {found}"


def test_fields_are_found() -> None:
    """The fields that only ``_protocol`` may spell are collected from its code."""
    known = {"botId", "newMessage", "newFileIds", "previousResponseId", "restNonce"}
    assert fields() >= known


def test_one_importer_of_sseclient() -> None:
    """Only ``_http.sse`` imports sseclient."""
    users = [name for name in TREES if any("sseclient" in found for found in imported(name))]
    assert users == ["_http.sse"], "use _http.sse instead of sseclient"


def test_one_place_for_raw_bodies() -> None:
    """Only ``_http.body`` reads the ``raw`` of a response of requests, and only its body."""
    users = {
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "raw" and is_response(node.value)
    }
    assert users == {"_http.body", "_http.cookies"}, "read bodies with _http.body.Body"


# Private names of other libraries. ``_http.connection`` says what happens without them.
PRIVATE_NAMES = {"_new_conn", "_original_response", "_sock"}

# Others that are no part of the plumbing, and why they may be used.
ALLOWED_NAMES = {
    "_Compress": "zlib has no other name for this type, which only a type checker reads",
    "_get_ls_params": "LangChain's own models override it to tell LangSmith their name",
    "_render_traceback_": "IPython calls it to show an error",
    "_replace": "named tuples document it",
}


def private_names(tree: Tree) -> Iterator[str]:
    """Yield the attributes that are read from anything but the object itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not is_self(node.value):
            yield node.attr
    yield from looked_up(tree)


def looked_up(tree: Tree) -> Iterator[str]:
    """Yield the attributes that are looked up by a string."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in calls:
        name = call.args[1] if getattr(call.func, "id", "") in ("getattr", "hasattr") else None
        if isinstance(name, ast.Constant):
            yield str(name.value)


def is_self(node: ast.AST) -> bool:
    """Return whether an expression is ``self`` or ``cls``."""
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def test_few_private_names_of_other_libraries() -> None:
    """The package uses at most four private names of other libraries, and lists each of them."""
    names = {
        name
        for tree in TREES.values()
        for name in private_names(tree)
        if name.startswith("_") and not name.startswith("__")
    }
    more = names - package_names() - PRIVATE_NAMES - {*ALLOWED_NAMES}
    assert not more, f"do without {more}, which the next release of a library may rename"
    assert len(PRIVATE_NAMES) <= 4
    assert names >= PRIVATE_NAMES | {*ALLOWED_NAMES}, "a name is listed that is no longer used"
    listed = ast.get_docstring(TREES["_http.connection"]) or ""
    assert not [name for name in PRIVATE_NAMES if name not in listed]


def package_names() -> Set[str]:
    """Return the names that the package defines, except those that extend a library's."""
    nodes = [node for tree in TREES.values() for node in ast.walk(tree)]
    defined = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    defined.update(*(set_attributes(tree) for tree in TREES.values()))
    attributes = (node for node in nodes if isinstance(node, ast.Attribute))
    return defined - {node.attr for node in attributes if dotted(node.value) == "super()"}


# What libraries document of the objects that `_http` extends or reads.
DOCUMENTED_NAMES = {
    *("connect", "endheaders", "getresponse", "send", "status"),  # http.client
    *("default_socket_options", "read", "read1", "release_conn", "scheme"),  # urllib3
    *("build_response", "get_connection_with_tls_context", "init_poolmanager", "poolmanager"),
    *("proxy_manager_for",),  # requests
    *("__globals__", "__init__", "close", "closed", "raw"),  # Python
}
EXTENDING = ["_http.body", "_http.connection", "_http.cookies", "_http.pool"]


def library_names(tree: Tree) -> Set[str]:
    """Return the names that classes look up in what they extend or wrap, except their own."""
    found, own = set(), own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = dotted(node.value)
            is_of_library = owner.startswith(("super()", "self._raw", "self._http"))
            if is_of_library or (owner == "self" and node.attr not in own):
                found.add(node.attr)
    return found | set(looked_up(tree))


def dotted(node: ast.AST) -> str:
    """Return a name and the attributes after it as they are written."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Call):
        return f"{dotted(node.func)}()"
    return getattr(node, "id", "")


def own_names(tree: Tree) -> Set[str]:
    """Return the names that the classes of a module give a value, there or in `__init__`."""
    found = set()
    for owner in (each for each in ast.walk(tree) if isinstance(each, ast.ClassDef)):
        for node in owner.body:
            if isinstance(node, ast.FunctionDef):
                found.add(node.name)
                found |= set_attributes(node) if node.name == "__init__" else set()
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update(dotted(target) for target in targets)
    return found


def set_attributes(tree: ast.AST) -> Set[str]:
    """Return the attributes of ``self`` that code sets."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {node.attr for node in nodes if isinstance(node.ctx, ast.Store) and is_self(node.value)}


def test_undocumented_names_are_listed() -> None:
    """A name of a library is documented, or listed with what happens when it is missing."""
    listed = ast.get_docstring(TREES["_http.connection"]) or ""

    def unlisted(module: str) -> Set[str]:
        names = library_names(TREES[module]) - DOCUMENTED_NAMES
        return {name for name in names if f"``{name}``" not in listed}

    more = failing(EXTENDING, unlisted)
    assert not more, f"list {more} in _http.connection: what happens when they are missing?"


def test_undocumented_names_are_found() -> None:
    """Names of libraries are found in what our classes extend, wrap and look up."""
    found = {name for module in EXTENDING for name in library_names(TREES[module])}
    assert found >= {"_new_conn", "begin", "host", "_sock", "chunked", "pools", "socket_options"}
    assert found >= DOCUMENTED_NAMES, "DOCUMENTED_NAMES has a name that is no longer used"


def is_response(node: ast.AST) -> bool:
    """Return whether the name of an expression ends with "response"."""
    name = getattr(node, "attr", getattr(node, "id", ""))
    return str(name).lower().endswith("response")


def functions(tree: Tree) -> Iterator[ast.FunctionDef]:
    """Yield every function and method of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node


def length(function: ast.FunctionDef) -> int:
    """Return the number of lines of a function's body, without its docstring."""
    body = function.body[ast.get_docstring(function) is not None :]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    """No function is longer than 30 lines."""
    long = {
        f"{module}.{function.name}": length(function)
        for module, tree in TREES.items()
        for function in functions(tree)
        if length(function) > 30
    }
    assert not long, f"split what is too long: {long}"


MAX_LINES = 400


def docstring_lines(tree: Tree) -> Set[int]:
    """Return the numbers of the lines that are docstrings, those of attributes included."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }


def code_lines(module: str) -> int:
    """Return the number of lines of a module, without docstrings and blank lines."""
    docstrings = docstring_lines(TREES[module])
    lines = enumerate(TREES.source(module).splitlines(), 1)
    return sum(1 for number, line in lines if line.strip() and number not in docstrings)


def test_modules_are_short() -> None:
    """No module has more than 400 lines of code; docstrings and blank lines are not counted."""
    long = {module: code_lines(module) for module in TREES if code_lines(module) > MAX_LINES}
    assert not long, f"split what is too long: {long}"


def test_is_typed() -> None:
    """The package is marked as typed (PEP 561)."""
    assert (PACKAGE / "py.typed").is_file()
