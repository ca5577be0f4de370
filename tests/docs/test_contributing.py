"""What CONTRIBUTING.rst says about the repository is true."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Iterator, List, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "CONTRIBUTING.rst").read_text(encoding="utf-8")

INTRODUCTION = re.compile(r"In\s+``(?P<path>[\w./-]+)``:\n")
BLOCK = re.compile(r" *\.\. code-block:: python\n(?P<code>(?:[ ]+.*\n|\n)+)")
FOLDERS = ("chatgpt4online", "docs", "examples", "tests")


class Excerpt(NamedTuple):
    """Lines that CONTRIBUTING.rst shows from a file."""

    path: str
    code: str


def excerpts() -> Iterator[Excerpt]:
    """Yield the excerpts, each introduced by the file that it is from."""
    path, position = "", 0
    for block in BLOCK.finditer(TEXT):
        for introduction in INTRODUCTION.finditer(TEXT, position, block.start()):
            path = introduction["path"]
        code = re.split(r"\n(?=\S| {1,3}\S)", block["code"])[0]
        yield Excerpt(path, textwrap.dedent(code).strip("\n"))
        position = block.end()


EXCERPTS = list(excerpts())


def unindented(text: str) -> List[str]:
    """Return the lines of a text without indentation."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def is_up_to_date(excerpt: Excerpt) -> bool:
    """Return whether an excerpt is in the file that it is from."""
    lines = unindented((ROOT / excerpt.path).read_text(encoding="utf-8"))
    wanted = unindented(excerpt.code)
    starts = range(len(lines) - len(wanted) + 1)
    return any(lines[start : start + len(wanted)] == wanted for start in starts)


def test_excerpts() -> None:
    """Each excerpt is in the file that it is from."""
    old = [excerpt for excerpt in EXCERPTS if not is_up_to_date(excerpt)]
    assert not old, f"update these examples in CONTRIBUTING.rst, or choose other ones: {old}"


def test_paths() -> None:
    """Each file and folder that it names exists."""
    named = re.findall(r"``([\w.-]+(?:/[\w.*-]+)*/?)``", TEXT)
    paths = [
        name
        for name in named
        if name.split("/")[0] in FOLDERS or name.endswith((".rst", ".toml", ".py"))
    ]
    homes = (ROOT, ROOT / "chatgpt4online")
    assert paths
    assert not [name for name in paths if not any(list(home.glob(name)) for home in homes)]


def test_targets() -> None:
    """Each make target that it names exists."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:``|\$ )make ([a-z][a-z ]*[a-z])", TEXT))
    targets = {target for words in named for target in words.split()}
    assert "test" in targets
    assert not [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)]
