"""The example notebooks run from top to bottom, each in its own kernel."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

NOTEBOOKS = Path(__file__).resolve().parent.parent.parent / "examples" / "notebooks"

#: The libraries that a notebook needs in addition to Jupyter's.
NEEDED = {"a-thousand-prompts": ("matplotlib", "pandas", "tqdm")}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a kernel import this package, and keep its settings and history in a temporary folder."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))


def run(path: Path, folder: Path) -> Any:
    """Run a notebook and return it with its outputs; raise if a cell fails."""
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    for needed in ("ipykernel", *NEEDED.get(path.stem, ())):
        pytest.importorskip(needed)
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    return client(notebook, timeout=50, kernel_name="python3", resources=resources).execute()


def outputs(notebook: Any) -> List[Dict[str, Any]]:
    """Return the outputs of all cells."""
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def outputs_of_type(notebook: Any, mime: str) -> List[str]:
    """Return the outputs of one MIME type."""
    found = [output.get("data", {}) for output in outputs(notebook)]
    return [data[mime] for data in found if mime in data]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, environment: None, tmp_path: Path) -> None:
    """A notebook runs without an error or a warning, and shows what its text promises."""
    notebook = run(path, tmp_path)
    stderr = [output["text"] for output in outputs(notebook) if output.get("name") == "stderr"]
    expected = ("building the font cache", "message/s")  # the latter in a progress bar
    others = [text for text in stderr if not any(words in text for words in expected)]
    assert not "".join(others).strip()
    promised = {
        "first-steps": ("text/markdown", "Echo(3 msgs): What is my name?"),
        "conversation-with-files": ("text/html", "<img src="),
        "a-thousand-prompts": ("image/png", "iVBOR"),
    }
    mime, beginning = promised[path.stem]
    assert any(text.startswith(beginning) for text in outputs_of_type(notebook, mime))


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    """Notebooks are stored without outputs, which would become outdated."""
    text = path.read_text(encoding="utf-8")
    assert '"output_type"' not in text
    assert '"execution_count": null' in text
