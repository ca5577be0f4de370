"""The tests that docs/reliability.rst names exist."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path
from typing import Set

from faults import FAULTS

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "reliability.rst").read_text(encoding="utf-8")
ROWS = re.findall(r"^    \* - (.*)\n(?:        .*\n)*      - (.*)$", PAGE, re.MULTILINE)
NAMED = re.findall(r"``(tests/[\w/]+\.py)::(\w+)``", PAGE)


@lru_cache(maxsize=None)
def names_in(path: Path) -> Set[str]:
    """Return the names of a file's functions, classes and variables."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    values = {
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return values | {
        node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }


def test_each_named_test_exists() -> None:
    """Each test that the page names is in the named file, under a name that pytest collects."""
    assert [name for _, name in NAMED if not name.lower().startswith("test")] == []
    missing = [(file, name) for file, name in NAMED if name not in names_in(ROOT / file)]
    assert not missing, f"update docs/reliability.rst: there is no {missing}"


def test_each_promise_names_its_test() -> None:
    """Each promise on the page names a test."""
    promises = [row for row in ROWS if row != ("promise", "test")]
    assert len(promises) > 50
    assert [row for row in promises if not row[1].startswith("``tests/")] == []


def test_there_are_as_many_faults_as_the_page_says() -> None:
    """The number of faults on the page is not exaggerated."""
    [number] = re.findall(r"over (\d+) faults", PAGE)
    assert len(FAULTS) > int(number)
