"""The landing page lists every page, and the reference every public name and field."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any, Dict, List

import pytest

from chatgpt4online._options import ChatOptions, ClientOptions

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
INDEX = (DOCS / "index.rst").read_text(encoding="utf-8")
REFERENCE = (DOCS / "api.rst").read_text(encoding="utf-8")
KINDS = ["Tutorial", "How-to guides", "Reference", "Explanation"]
OBJECT = re.compile(
    r"^\.\. (?:auto\w+|data):: (?P<name>[\w.]+).*\n(?P<content>(?:(?: +.*)?\n)*)", re.MULTILINE
)


def load(name: str) -> Any:
    """Return a program in scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_docs = load("check_docs")
CONTENTS = {
    found["name"].rpartition(".")[-1]: found["content"] for found in OBJECT.finditer(REFERENCE)
}


# ----------------------------------------------------------------------------------- landing page


def toctrees() -> Dict[str, List[str]]:
    """Return the pages of each table of contents, by its caption."""
    parts = INDEX.split(".. toctree::")[1:]
    return {
        str(re.findall(r":caption: (.*)", part)[0]): re.findall(
            r"^    ([\w-]+)$", part, re.MULTILINE
        )
        for part in parts
    }


def test_the_four_kinds_are_kept_apart() -> None:
    """The tables of contents are those of the four kinds of documentation, as the headings are."""
    assert list(toctrees()) == KINDS
    assert re.findall(r"^(.*)\n-+$", INDEX, re.MULTILINE) == KINDS


def test_the_landing_page_describes_each_page() -> None:
    """Each page is in one table of contents, and is described in the same order."""
    listed = [page for pages in toctrees().values() for page in pages]
    assert sorted(listed) == sorted({path.stem for path in DOCS.glob("*.rst")} - {"index"})
    described = re.findall(r"^- :doc:`([\w-]+)`\n\n  \S", INDEX, re.MULTILINE)
    assert described == listed


def test_no_page_lists_its_own_headings() -> None:
    """The theme shows a page's headings next to it, and an error in place of a second list."""
    pages = [*ROOT.glob("*.rst"), *DOCS.glob("*.rst")]
    wrong = [page.name for page in pages if ".. contents::" in page.read_text(encoding="utf-8")]
    assert not wrong


# -------------------------------------------------------------------------------------- reference


def is_listed(name: str) -> bool:
    """Return whether the reference lists a dotted name."""
    *_, owner, last = name.split(".")
    if owner not in CONTENTS:
        return last in CONTENTS
    names = re.findall(r"^    :members:(.*)$", CONTENTS[owner], re.MULTILINE)
    single = re.findall(r"^    \.\. attribute:: (\w+)$", CONTENTS[owner], re.MULTILINE)
    return last in single or bool(names and (not names[0].strip() or last in names[0]))


def test_the_reference_lists_every_public_name() -> None:
    """A public name has an entry, which lists all members of a class, or each by itself."""
    names = list(check_docs.public_names())
    assert len(names) > 100
    assert [name for name in names if not is_listed(name)] == []


def built(folder: Path, objects: Dict[str, List[Any]]) -> Path:
    """Write a search index as Sphinx does; return its folder."""
    titles = {word.title(): [[0, ""]] for word in check_docs.SEARCHED}
    search = {"alltitles": titles, "docnames": ["elsewhere"], "objects": objects}
    text = f"Search.setIndex({json.dumps(search)})"
    (folder / "searchindex.js").write_text(text, encoding="utf-8")
    return folder


def test_what_is_missing_is_reported(tmp_path: Path) -> None:
    """A built reference without a field is reported, and so is a heading on another page."""
    found = check_docs.problems(built(tmp_path, {"chatgpt4online": [[0, 1, 1, "", "Reply"]]}))
    assert "the reference lacks chatgpt4online.Usage.price" in found
    assert "the reference lacks chatgpt4online.Timeout.phase" in found
    assert "the reference lacks chatgpt4online.Reply" not in found
    assert "no heading of timeouts has the word 'timeouts'" in found


@pytest.mark.parametrize("options", [ChatOptions, ClientOptions])
def test_the_reference_lists_options(options: Any) -> None:
    """Where a signature names a set of options, the reference says which they are."""
    explained = REFERENCE.split(f"``{options.__name__}``\n", 1)[1].split("\n\n", 1)[0]
    assert set(options.__annotations__) <= set(re.findall(r"``(\w+)``", explained))
