"""
Check the documentation in a folder that Sphinx has built.

The reference must list each public name, method, property and field, and a search for a word must
find the page about it by a heading. Prints what is missing; exits with 1 if something is.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, Set

import chatgpt4online
from chatgpt4online import ChatGPT4OnlineError, discussions, files, public_api, testing

MODULES = (chatgpt4online, testing, files, discussions, public_api)

#: What readers search for, and the page that a heading or title must lead them to.
SEARCHED = {
    "nonce": "first-steps",
    "notebook": "notebooks",
    "proxy": "proxies",
    "retries": "errors",
    "timeouts": "timeouts",
}


def public_names() -> Iterator[str]:
    """Yield the full name of everything public."""
    for module in MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            if name != "__version__":
                yield f"{home(module, value)}.{name}"
            if inspect.isclass(value):
                yield from (f"{home(module, value)}.{name}.{member}" for member in members(value))


def home(module: ModuleType, value: Any) -> str:
    """Return the module under which the reference lists a public value."""
    is_exported = getattr(value, "__name__", "") in chatgpt4online.__all__
    return "chatgpt4online" if is_exported and module is not testing else module.__name__


def members(cls: type) -> Set[str]:
    """Return the names of the public methods, properties and fields that a class itself has."""
    names = {*vars(cls), *vars(cls).get("__annotations__", {})}
    if dataclasses.is_dataclass(cls):
        names |= {field.name for field in dataclasses.fields(cls)}
    if issubclass(cls, Exception):
        names |= vars(cls()).keys() - members_of_bases(cls)
    return {name for name in names if not name.startswith("_")}


def members_of_bases(cls: type) -> Set[str]:
    """Return the names of the fields that an exception has from its bases."""
    bases = (base for base in cls.__mro__[1:] if issubclass(base, ChatGPT4OnlineError))
    return {name for base in bases for name in vars(base())}


def index(folder: Path) -> Dict[str, Any]:
    """Return Sphinx's search index."""
    text = (folder / "searchindex.js").read_text(encoding="utf-8")
    found: Dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return found


def documented(search: Dict[str, Any]) -> Set[str]:
    """Return the full names of all objects in the index."""
    return {
        f"{prefix}.{entry[-1]}"
        for prefix, entries in search["objects"].items()
        for entry in entries
    }


def pages_with_heading(search: Dict[str, Any], word: str) -> Set[str]:
    """Return the pages that have a word in a heading."""
    return {
        search["docnames"][number]
        for title, places in search["alltitles"].items()
        if word in title.lower()
        for number, _ in places
    }


def problems(folder: Path) -> List[str]:
    """Return what is missing in the documentation."""
    search = index(folder)
    known = documented(search)
    missing = [f"the reference lacks {name}" for name in sorted({*public_names()} - known)]
    return missing + [
        f"no heading of {page} has the word {word!r}"
        for word, page in SEARCHED.items()
        if page not in pages_with_heading(search, word)
    ]


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
