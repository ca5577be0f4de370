"""
Run the tests on every installed Python, and once with the oldest dependencies.

Each leg has a virtual environment and a log under ``.matrix``. Prints one line per leg; exits with
1 if one fails.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Dict, List, Optional

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".matrix"
VERSIONS = [f"3.{minor}" for minor in range(8, 14)]
OLDEST = "oldest"
# urllib3 1.26.0 bundles an importer that Python 3.12 no longer supports.
OLDEST_RUNS_ON = VERSIONS[:4]
# Editable installs write to the source tree, so they take turns.
installing = threading.Lock()


def is_version(python: str, version: str) -> bool:
    """Return whether this program is that Python and starts; pyenv's shims may not start."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [python, "-c", code], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return False
    return answer.stdout.decode().strip() == version


def find_python(version: str) -> Optional[str]:
    """Return a Python of that version (this one, or from PATH or pyenv), or None."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    candidates = [sys.executable, shutil.which(f"python{version}"), *map(str, pyenv)]
    found = (python for python in candidates if python and is_version(python, version))
    return next(found, None)


def find_legs() -> Dict[str, str]:
    """Return the available legs and the Python that runs each."""
    pythons = {version: find_python(version) for version in VERSIONS}
    legs = {version: python for version, python in pythons.items() if python}
    oldest = next((legs[version] for version in OLDEST_RUNS_ON if version in legs), None)
    if oldest:
        legs[OLDEST] = oldest
    return legs


def oldest_requirements() -> List[str]:
    """Return setup.py's requirements, each pinned to its lower bound."""
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    listed = re.search(r"^INSTALL_REQUIRES = (\[.*?\])", setup, re.DOTALL | re.MULTILINE)
    assert listed, "setup.py has no INSTALL_REQUIRES"
    return [line.replace(">=", "==") for line in ast.literal_eval(listed.group(1))]


def call(command: List[str], log: IO[bytes]) -> bool:
    """Run a command in the source tree, log its output, and return whether it succeeded."""
    done = subprocess.run(command, check=False, cwd=str(ROOT), stdout=log, stderr=subprocess.STDOUT)
    return done.returncode == 0


def python_of(leg: str) -> str:
    """Return the Python of the leg's virtual environment."""
    return str(HOME / leg / ("Scripts" if os.name == "nt" else "bin") / "python")


def set_up(leg: str, python: str, log: IO[bytes]) -> bool:
    """Create the leg's virtual environment if setup.py has changed; return success."""
    stamp = HOME / leg / "made-for"
    wanted = python + "\n" + (ROOT / "setup.py").read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return True
    pip = [python_of(leg), "-m", "pip", "-qq", "--disable-pip-version-check", "install"]
    pins = oldest_requirements() if leg == OLDEST else []
    made = call([python, "-m", "venv", "--clear", str(HOME / leg)], log)
    made = made and call([*pip, "--upgrade", "pip"], log)
    with installing:
        made = made and call([*pip, "--editable", ".[test]", *pins], log)
    if made:
        stamp.write_text(wanted, encoding="utf-8")
    return made


def test_command(leg: str, coverage: bool, jobs: int) -> List[str]:
    """Return the command that runs a leg's tests; concurrent legs share the processors."""
    measured = ["-m", "coverage", "run"] if coverage else []
    workers = min(4, (os.cpu_count() or 1) // jobs)
    options = ["-q", "-p", "no:cacheprovider", "-n", str(workers), "--dist", "worksteal"]
    return [python_of(leg), *measured, "-m", "pytest", *options]


def run_leg(leg: str, python: str, tests: List[str]) -> bool:
    """Run one leg, print one line (more on failure), and return whether the tests passed."""
    path = HOME / f"{leg}.log"
    with path.open("wb") as log:
        passed = set_up(leg, python, log) and call(tests, log)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or ["no output"]
    if not passed:
        print("\n".join(lines[-60:]))
    print(f"{leg:7} {'ok' if passed else 'FAILED':7} {lines[-1]}", flush=True)
    return passed


def main() -> int:
    """Run the legs on the command line, all by default; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1, help="number of legs to run at a time")
    parser.add_argument("--coverage", action="store_true", help="leave .coverage.* files")
    parser.add_argument("legs", nargs="*", metavar="LEG", help=f"3.8 ... 3.13, {OLDEST}")
    options = parser.parse_args()
    found = find_legs()
    wanted = options.legs or [*VERSIONS, OLDEST]
    for leg in wanted:
        if leg not in found:
            print(f"{leg:7} skipped no such Python is installed")
    legs = [leg for leg in wanted if leg in found]
    HOME.mkdir(exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        commands = [test_command(leg, options.coverage, options.jobs) for leg in legs]
        passed = list(pool.map(run_leg, legs, map(found.__getitem__, legs), commands))
    return 0 if passed and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
