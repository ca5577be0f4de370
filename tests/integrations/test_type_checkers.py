"""What type checkers know about the package."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

PROGRAM = """
from typing import Any, Dict, Iterator, List

from chatgpt4online import Client, Outcome, Outcomes, Reply


def ask(client: Client) -> Iterator[Reply]:
    with client.map(["a"], model="m", extra_body={"x": 1}, timeout=(1, 2), deadline=3) as outcomes:
        known: Outcomes = outcomes
        for outcome in known:
            if outcome.error is None:
                reveal_type(outcome.reply)  # Reply
                yield outcome.reply
            else:
                reveal_type(outcome.error)  # Exception
                reveal_type(outcome.reply)  # None
            if outcome.reply is None:
                raise outcome.error
            reveal_type(outcome.reply)  # Reply
            keep(outcome)


def keep(outcome: Outcome) -> List[Dict[str, Any]]:
    reveal_type(outcome.result())  # Reply
    reveal_type(outcome.ok)  # bool
    reveal_type(outcome.seconds)  # Optional[float]
    return [outcome.to_dict(), outcome.result().to_dict()]
"""
ROOT = Path(__file__).resolve().parent.parent.parent
EXPECTED = ["Reply", "Exception", "None", "Reply", "Reply", "bool", "float | None"]
PYRIGHT = next(
    (
        str(path)
        for name in ("pyright", "basedpyright")
        for path in [Path(sys.executable).with_name(name)]
        if shutil.which(str(path))
    ),
    "",
)


def revealed(report: str) -> List[str]:
    """Return the types in a checker's report, as this Python would write them."""
    types = re.findall(r'(?:Revealed type is|Type of ".*" is) ["\']([^"\']+)["\']', report)
    names = [type_.replace("chatgpt4online.types.", "").replace("builtins.", "") for type_ in types]
    return [re.sub(r"Union\[(.*), None\]", r"\1 | None", name) for name in names]


def check(program: Path, *command: str) -> List[str]:
    """Run a type checker, which must find no error, and return what it reveals."""
    program.write_text(PROGRAM)
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return revealed(done.stdout)


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed")
@pytest.mark.timeout(300)
def test_mypy_narrows(tmp_path: Path) -> None:
    """For mypy, an outcome of `map` without an error has a Reply, and the reverse."""
    program = tmp_path / "program.py"
    assert check(program, sys.executable, "-m", "mypy", "--strict", str(program)) == EXPECTED


@pytest.mark.skipif(not PYRIGHT, reason="pyright is not installed")
@pytest.mark.timeout(300)
def test_pyright_narrows(tmp_path: Path) -> None:
    """For pyright, an outcome of `map` without an error has a Reply, and the reverse."""
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [PYRIGHT, "--pythonpath", sys.executable, "--project", str(tmp_path)]
    assert check(tmp_path / "program.py", *command) == EXPECTED


@pytest.mark.skipif(not PYRIGHT, reason="pyright is not installed")
@pytest.mark.timeout(300)
def test_every_public_type_is_known() -> None:
    """Each public name has a type that pyright does not have to infer."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [PYRIGHT, "--verifytypes", "chatgpt4online", "--ignoreexternal"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
    )
    assert "Type completeness score: 100%" in done.stdout, done.stdout
