"""The example notebooks run from top to bottom, each in a kernel of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

NOTEBOOKS = Path(__file__).resolve().parent.parent.parent / "examples" / "notebooks"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a kernel find this package, and keep its settings and history in a folder."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))


def run(path: Path, folder: Path) -> Any:
    """Return a notebook as it is after its cells have run; one that fails raises."""
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    for needed in ("ipykernel", "matplotlib"):
        pytest.importorskip(needed)
    book = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    return client(book, timeout=50, kernel_name="python3", resources=resources).execute()


def outputs(book: Any) -> List[Dict[str, Any]]:
    """Return what the cells have put out."""
    return [output for cell in book.cells for output in cell.get("outputs", ())]


def shown(book: Any, kind: str) -> List[str]:
    """Return what a notebook shows in one of its forms."""
    return [output["data"][kind] for output in outputs(book) if kind in output.get("data", ())]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, environment: None, tmp_path: Path) -> None:
    """A notebook runs without an error or a warning, and shows what its text promises."""
    book = run(path, tmp_path)
    told = [output["text"] for output in outputs(book) if output.get("name") == "stderr"]
    assert not [text for text in told if "building the font cache" not in text]
    promised = {
        "first-steps": ("text/markdown", "Echo(3 msgs): What is my name?"),
        "conversation-with-files": ("text/html", "<img src="),
        "a-thousand-prompts": ("image/png", "iVBOR"),
    }
    kind, beginning = promised[path.stem]
    assert any(text.startswith(beginning) for text in shown(book, kind))


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_kept_bare(path: Path) -> None:
    """Notebooks are kept without outputs, which would grow old."""
    text = path.read_text(encoding="utf-8")
    assert '"output_type"' not in text
    assert '"execution_count": null' in text
