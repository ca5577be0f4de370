"""What importing the package loads, and that its lazy names behave like ordinary ones."""

from __future__ import annotations

import ast
import inspect
import json
import pydoc
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Dict

import pytest

import chatgpt4online
from chatgpt4online import testing

PACKAGE = Path(chatgpt4online.__file__).parent

# Only loaded by those who use them.
OPTIONAL = ["__main__", "cli", "integrations", "notebook", "testing"]
# Slow to import, and useless for a chat.
HEAVY = {"asyncio", "concurrent", "http.server", "multiprocessing", "sqlite3", "unittest", "xml"}


def run(program: str) -> Any:
    """Run a program in a new interpreter, and return the JSON that it prints."""
    done = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


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
    """Return the modules, and their files, that the import loads after requests and sseclient."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], check=True, stdout=subprocess.PIPE)
    return {name: file or "" for name, file in json.loads(done.stdout).items()}


def test_import_is_light(loaded: Dict[str, str]) -> None:
    """The import loads no further package, and no slow module of the standard library."""
    others = {name: file for name, file in loaded.items() if not name.startswith("chatgpt4online")}
    packages = [name for name, file in others.items() if "site-packages" in file]
    heavy = [name for name in others if any(f"{name}.".startswith(f"{slow}.") for slow in HEAVY)]
    assert (packages, heavy) == ([], [])


PURE = """
import json, sys
from importlib import import_module
from chatgpt4online import WIDGET_HEADERS, Reply, format_prompt
loaded = {{"the package's pure names": sorted(sys.modules)}}
for name in {modules}:
    for earlier in [each for each in sys.modules if each.startswith("chatgpt4online")]:
        del sys.modules[earlier]
    import_module(f"chatgpt4online.{{name}}")
    loaded[name] = sorted(sys.modules)
print(json.dumps(loaded))
"""


def test_pure_modules_load_no_library() -> None:
    """What is pure loads no library, TLS or module that does I/O, also by what it imports."""
    files = [*sorted(PACKAGE.glob("_protocol/[!_]*.py")), PACKAGE / "_validation.py"]
    names = [".".join(file.relative_to(PACKAGE).with_suffix("").parts) for file in files]
    for module, loaded in run(PURE.format(modules=names)).items():
        assert not {"requests", "sseclient", "ssl", "urllib3"}.intersection(loaded), module
        assert not [name for name in loaded if name.startswith("chatgpt4online._http")], module


def test_import_leaves_out_what_is_optional(loaded: Dict[str, str]) -> None:
    """The import loads no optional module of the package."""
    optional = {f"chatgpt4online.{name}" for name in OPTIONAL}
    assert not [name for name in loaded if ".".join(name.split(".")[:2]) in optional]


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
        ("__future__, importlib, typing", "chatgpt4online.testing"),
        ("pytest", "chatgpt4online.testing.pytest_plugin"),
    ],
)
def test_the_pytest_plugin_is_light(before: str, module: str) -> None:
    """Until its fixture is used, the pytest plugin loads no requests, ssl or server."""
    package = ["chatgpt4online", "chatgpt4online._version", "chatgpt4online.testing"]
    loaded = run(LIGHT.format(before=before, module=module))
    assert loaded == sorted({*package, module})


@pytest.mark.parametrize("module", [chatgpt4online, testing])
def test_dir_lists_every_public_name(module: ModuleType) -> None:
    """`dir()` and `help()` list every public name, used or not."""
    program = "import json, {0}; print(json.dumps([dir({0}), {0}.__all__]))"
    listed, public_names = run(program.format(module.__name__))
    assert set(public_names) <= set(listed)
    text = pydoc.plain(pydoc.render_doc(module))
    assert not [name for name in module.__all__ if name not in text and name != "__version__"]


@pytest.mark.parametrize("module", [chatgpt4online, testing])
def test_star_import(module: ModuleType) -> None:
    """`import *` imports every public name."""
    program = "import json; from {} import *; print(json.dumps(sorted(globals())))"
    assert set(module.__all__) <= set(run(program.format(module.__name__)))


@pytest.mark.parametrize("module", [chatgpt4online, testing])
def test_unknown_names(module: ModuleType) -> None:
    """An unknown name raises the usual errors."""
    name = module.__name__
    with pytest.raises(AttributeError, match=f"^module '{name}' has no attribute 'Clinet'$"):
        _ = module.Clinet
    with pytest.raises(ImportError, match=f"cannot import name 'Clinet' from '{name}'"):
        exec(f"from {name} import Clinet")


def test_submodules_are_attributes() -> None:
    """A public module is an attribute of the package, imported or not."""
    program = "import json, chatgpt4online as c; print(json.dumps([c.errors.__name__, {}]))"
    assert run(program) == ["chatgpt4online.errors", {}]


@pytest.mark.parametrize("module", [chatgpt4online, testing])
def test_type_checkers_see_every_public_name(module: ModuleType) -> None:
    """Type checkers see an import of each public name, and of no other."""
    tree = ast.parse(inspect.getsource(module))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.dump(block.test) == ast.dump(ast.parse("TYPE_CHECKING", mode="eval").body)
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: node.module for node in imports for alias in node.names}
    assert homes.keys() == set(module.__all__) - {"__version__"}
    for name, home in homes.items():
        assert getattr(module, name) is getattr(sys.modules[f"{module.__name__}.{home}"], name)
