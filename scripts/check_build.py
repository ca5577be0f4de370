"""
Check that the wheel and the sdist in a folder hold exactly what they should.

The package's own files, its licence and its metadata belong there; tests do not. The wheel must
import from where no source is in the way, and the tests of examples/project pass with it, as a
user's tests would. Prints a line a file and one for that project; exits with 1 when something is
wrong.
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
BESIDE = {
    "CHANGELOG.rst",
    "LICENSE",
    "MANIFEST.in",
    "PKG-INFO",
    "README.rst",
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
    """Return the names in a wheel, those of its metadata without their folder."""
    names = zipfile.ZipFile(wheel).namelist()
    return {name.split(".dist-info/")[-1] for name in names}


def sdist_files(sdist: Path) -> Set[str]:
    """Return the names of an sdist's files, without its folder and setuptools' notes."""
    with tarfile.open(sdist) as archive:
        names = [member.name.split("/", 1)[1] for member in archive if member.isfile()]
    return {name for name in names if ".egg-info/" not in name}


def same(built: Path, held: Set[str], wanted: Set[str]) -> bool:
    """Print what a built file has too much or too little; return whether that is nothing."""
    for name in sorted(held - wanted):
        print(f"{built.name}: {name} should not be in it")
    for name in sorted(wanted - held):
        print(f"{built.name}: {name} is missing")
    if held == wanted:
        print(f"{built.name}: {len(held)} files, as it should be")
    return held == wanted


def imports(wheel: Path) -> bool:
    """Return whether the package imports from the wheel alone, in an empty folder."""
    code = "import chatgpt4online as c, chatgpt4online.testing; assert '.whl' in c.__file__"
    environment = {**os.environ, "PYTHONPATH": str(wheel.resolve())}
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, cwd=empty, env=environment
        )
    return done.returncode == 0


def new_python(folder: Path, wheel: Path) -> str:
    """Return the Python of a new virtual environment that has the wheel and pytest."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--python", python]
    subprocess.run([*pip, "install", str(wheel.resolve()), "pytest"], check=True)
    return python


def serves_a_project(wheel: Path) -> bool:
    """Return whether the example project's tests pass with the wheel, and nothing else of ours."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as empty:
        project = Path(empty, "project")
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
        python = new_python(Path(empty, "venv"), wheel)
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
    """Check the one wheel and the one sdist of this folder; return the exit status."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    package = package_files()
    right = [
        same(wheel, wheel_files(wheel), package | METADATA),
        same(sdist, sdist_files(sdist), package | BESIDE),
        imports(wheel),
        serves_a_project(wheel),
    ]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
