"""scripts/check_prose.py finds phrases that do not read well, and only those."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "check_prose.py"


@pytest.fixture(scope="module")
def check_prose() -> Any:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("check_prose", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Written in two parts, so that the script does not find them here.
WRONG = [
    "The reader is " + "told.",
    "An answer that holds " + "no text.",
    "The journal is " + "none.",
    "used by the API " + "alone",
    "# calls that are " + "under\n    # way",
    "The caller need " + "not know.",
]
RIGHT = [
    "It returns None if there is none.",
    "if value is None: return",
    "It leaves the rest alone.",
    "nginx buffers unless told not to",
    "a name that is no longer used",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_phrase_is_found(check_prose: Any, text: str) -> None:
    """A phrase is found once, also across two lines of a comment."""
    (finding,) = check_prose.findings(f"First.\n{text}\n")
    assert finding.startswith("2: ")


@pytest.mark.parametrize("text", RIGHT)
def test_a_right_use_is_not(check_prose: Any, text: str) -> None:
    """Words of the list that are right in their place are not found."""
    assert list(check_prose.findings(text)) == []


def test_files_are_named(check_prose: Any, tmp_path: Path, capsys: Any) -> None:
    """A finding names the file and the line; a file without one is not mentioned."""
    wrong, right = tmp_path / "wrong.rst", tmp_path / "right.rst"
    wrong.write_text(WRONG[0], encoding="utf-8")
    right.write_text(RIGHT[0], encoding="utf-8")
    assert check_prose.main([str(wrong), str(right)])
    assert capsys.readouterr().out.startswith(f"{wrong.resolve()}:1: ")
    assert not check_prose.main([str(right)])
