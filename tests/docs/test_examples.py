"""
The examples of the README and the docs run as they stand, against the embedded site.

A file's Python blocks run one after the other in one namespace. ``https://example.com`` stands
for the site, also in what an example prints. A block with ``>>>`` is checked as a doctest.
``.. invisible-code-block: python``, a comment to its reader, prepares the site, ``server``.
"""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import re
import textwrap
from pathlib import Path
from typing import Any, Dict, List

import pytest

import chatgpt4online
from chatgpt4online.testing import Server

ROOT = Path(__file__).resolve().parent.parent.parent
SITE = "https://example.com"
BLOCK = re.compile(
    r"^\.\. (?:code-block::|invisible-code-block:) python\n((?:[ ]+.*\n|\n)+)", re.MULTILINE
)
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]
WITH_EXAMPLES = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


def check(test: doctest.DocTest) -> None:
    """Run a doctest in the namespace it holds and fail with its report if it is wrong."""
    report: List[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    failed = runner.run(test, out=report.append, clear_globs=False).failed
    assert not failed, "".join(report)


def run_block(source: str, namespace: Dict[str, Any], page: Path, line: int) -> None:
    """Run one block, whose first line is the page's line of that number, counted from 0."""
    if ">>>" not in source:
        # Blank lines before it make a traceback name the page's own line.
        exec(compile("\n" * line + source, str(page), "exec"), namespace)
        return
    test = doctest.DocTestParser().get_doctest(source, {}, page.name, str(page), line)
    test.globs = namespace
    check(test)


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_examples_run(
    page: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a page shows can be typed, and answers what the page says."""
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    namespace: Dict[str, Any] = {"__name__": "__main__", "server": server}
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(1))
        source = textwrap.dedent(block.group(1)).replace(SITE, server.url)
        run_block(source, namespace, page, line)


def modules_with_examples() -> List[str]:
    """Return the names of the package's modules whose docstrings hold doctests."""
    found = pkgutil.walk_packages(chatgpt4online.__path__, "chatgpt4online.")
    names = ["chatgpt4online", *(module.name for module in found)]
    return [name for name in names if ">>>" in source_of(name)]


def source_of(name: str) -> str:
    """Return a module's source text; nothing optional is imported for that."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstring_examples_run(name: str, server: Server) -> None:
    """What a docstring shows can be typed, and answers what it says."""
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        for example in test.examples:
            example.source = example.source.replace(SITE, server.url)
            example.want = example.want.replace(SITE, server.url)
        test.globs["server"] = server
        check(test)
