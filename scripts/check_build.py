"""
Check that the wheel and the sdist in a folder contain exactly the right files.

They must contain the package, its licence and its metadata, but no tests. The package must be
importable from the wheel, away from the source tree, and the tests of examples/project must pass
with it, as a user's tests would. Prints one line per file and one for that project; exits with 1 if
something is wrong.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Set

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "examples" / "project"
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}
SDIST_ONLY = {
    "CHANGELOG.rst",
    "LICENSE",
    "MANIFEST.in",
    "PKG-INFO",
    "README.rst",
    "docs/session.svg",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
}


def package_files() -> Set[str]:
    """Return the package's files as git knows them."""
    listed = subprocess.run(
        ["git", "ls-files", "--", "chatgpt4online"],
        check=True,
        cwd=str(ROOT),
        stdout=subprocess.PIPE,
        text=True,
    )
    return set(listed.stdout.splitlines())


def wheel_files(wheel: Path) -> Set[str]:
    """Return the names in a wheel, with metadata files relative to their folder."""
    names = zipfile.ZipFile(wheel).namelist()
    return {name.split(".dist-info/")[-1] for name in names}


def sdist_files(sdist: Path) -> Set[str]:
    """Return the names in an sdist, without its top folder and the egg-info."""
    with tarfile.open(sdist) as archive:
        names = [member.name.split("/", 1)[1] for member in archive if member.isfile()]
    return {name for name in names if ".egg-info/" not in name}


def compare(built: Path, actual: Set[str], expected: Set[str]) -> bool:
    """Print extra and missing files; return whether there are none."""
    for name in sorted(actual - expected):
        print(f"{built.name}: {name} should not be included")
    for name in sorted(expected - actual):
        print(f"{built.name}: {name} is missing")
    if actual == expected:
        print(f"{built.name}: {len(actual)} files, as expected")
    return actual == expected


def is_importable(wheel: Path) -> bool:
    """Return whether the package can be imported from the wheel, in an empty folder."""
    code = "import chatgpt4online as c, chatgpt4online.testing; assert '.whl' in c.__file__"
    environment = {**os.environ, "PYTHONPATH": str(wheel.resolve())}
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run([sys.executable, "-c", code], check=False, cwd=empty, env=environment)
    return done.returncode == 0


def make_environment(folder: Path, wheel: Path) -> str:
    """Create a virtual environment with the wheel and pytest; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--python", python]
    subprocess.run([*pip, "install", str(wheel.resolve()), "pytest"], check=True)
    return python


def passes_project_tests(wheel: Path) -> bool:
    """Return whether the example project's tests pass with only the wheel installed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as empty:
        project = Path(empty, "project")
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
        python = make_environment(Path(empty, "venv"), wheel)
        done = subprocess.run(
            [python, "-m", "pytest", "-q", "-W", "error"],
            check=False,
            cwd=str(project),
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
    lines = done.stdout.splitlines() or ["no output"]
    print(f"{PROJECT.name}: {lines[-1]}" if done.returncode == 0 else done.stdout)
    return done.returncode == 0


def main(folder: Path) -> int:
    """Check the only wheel and sdist in a folder; return the exit status."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    package = package_files()
    results = [
        compare(wheel, wheel_files(wheel), package | METADATA),
        compare(sdist, sdist_files(sdist), package | SDIST_ONLY),
        is_importable(wheel),
        passes_project_tests(wheel),
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
