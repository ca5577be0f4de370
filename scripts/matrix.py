"""
Run the tests on every installed Python, with the oldest dependencies, and with urllib3-future.

Uses the Python that runs it, and those on PATH, of pyenv, of uv and of the Windows launcher. Each
leg has a virtual environment and a log under ``.matrix``. Prints one line per leg, and which
Pythons it did not find; exits with 1 if a leg fails.
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
from typing import IO, Dict, Iterator, List, Optional

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".matrix"
VERSIONS = [f"3.{minor}" for minor in range(8, 16)]
OLDEST = "oldest"
# niquests installs it in urllib3's place.
FUTURE = "urllib3-future"
# The Pythons that may run a leg, the preferred one first. urllib3 1.26.0 bundles an importer that
# Python 3.12 no longer supports.
RUN_ON = {OLDEST: VERSIONS[:4], FUTURE: ["3.11", "3.12", "3.13", "3.10", "3.9"]}
FUTURE_TESTS = "tests/loopback/test_another_urllib3.py"
# Its patch numbers begin at 900, by which it can be told from urllib3.
IS_FUTURE = "import urllib3; assert int(urllib3.__version__.split('.')[2]) >= 900"
# Editable installs write to the source tree, so they take turns.
installing = threading.Lock()


def output(command: List[str]) -> str:
    """Return what a program prints; empty if it does not start, as some of pyenv's shims."""
    try:
        answer = subprocess.run(
            command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return ""
    return answer.stdout.decode(errors="replace").strip()


def is_version(python: str, version: str) -> bool:
    """Return whether this program is that Python, of the usual kind, and starts."""
    code = "import sys; print('%d.%d%s' % (*sys.version_info[:2], getattr(sys, 'abiflags', '')))"
    return bool(python) and output([python, "-c", code]) == version


def candidates(version: str) -> Iterator[str]:
    """Yield programs that may be a Python of that version; the newest patch release first."""
    yield sys.executable
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield from filter(None, [shutil.which(f"python{version}", path=folder)])
    roots = [
        Path.home() / ".pyenv" / "versions",
        Path.home() / ".local" / "share" / "uv" / "python",
    ]
    for root in roots:
        found = [
            *root.glob(f"{version}.*/bin/python"),
            *root.glob(f"cpython-{version}.*/bin/python"),
        ]
        yield from map(str, sorted(found, key=patch_number, reverse=True))
    launcher = shutil.which("py")
    if launcher:
        yield output([launcher, f"-{version}", "-c", "import sys; print(sys.executable)"])


def patch_number(python: Path) -> int:
    """Return the last number of a version in the name of an installation's folder."""
    numbers = re.findall(r"\d+", python.parent.parent.name)
    return int([*numbers, "0", "0"][2])


def find_python(version: str) -> Optional[str]:
    """Return a Python of that version, or None."""
    return next((each for each in candidates(version) if is_version(each, version)), None)


def find_legs() -> Dict[str, str]:
    """Return the available legs and the Python that runs each."""
    pythons = {version: find_python(version) for version in VERSIONS}
    legs = {version: python for version, python in pythons.items() if python}
    for leg, versions in RUN_ON.items():
        python = next((legs[version] for version in versions if version in legs), None)
        if python:
            legs[leg] = python
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


def steps(leg: str) -> List[List[str]]:
    """Return the arguments of the Pythons that fill a leg's virtual environment."""
    pip = ["-m", "pip", "-qq", "--disable-pip-version-check", "install"]
    further = {OLDEST: oldest_requirements(), FUTURE: ["niquests"]}.get(leg, [])
    common = [[*pip, "--upgrade", "pip"], [*pip, "--editable", ".[test]", *further]]
    if leg != FUTURE:
        return common
    # Once more, since pip may have installed urllib3 over it.
    return [*common, [*pip, "--force-reinstall", "--no-deps", FUTURE], ["-c", IS_FUTURE]]


def set_up(leg: str, python: str, log: IO[bytes]) -> bool:
    """Create the leg's virtual environment if setup.py has changed; return success."""
    stamp = HOME / leg / "made-for"
    wanted = python + "\n" + (ROOT / "setup.py").read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return True
    made = call([python, "-m", "venv", "--clear", str(HOME / leg)], log)
    with installing:
        made = made and all(call([python_of(leg), *command], log) for command in steps(leg))
    if made:
        stamp.write_text(wanted, encoding="utf-8")
    return made


def test_command(leg: str, coverage: bool, jobs: int) -> List[str]:
    """Return the command that runs a leg's tests; concurrent legs share the processors."""
    measured = ["-m", "coverage", "run"] if coverage else []
    workers = min(4, (os.cpu_count() or 1) // jobs + 1)  # some tests wait
    options = ["-q", "-p", "no:cacheprovider", "-n", str(workers), "--dist", "worksteal"]
    tests = [FUTURE_TESTS] if leg == FUTURE else []
    if not tests and not coverage:  # the folders that testpaths leaves out, too
        tests = ["tests", "--ignore=tests/integrations"]
    return [python_of(leg), *measured, "-m", "pytest", *options, *tests]


def run_leg(leg: str, python: str, tests: List[str]) -> bool:
    """Run one leg, print one line (more on failure), and return whether the tests passed."""
    path = HOME / f"{leg}.log"
    with path.open("wb") as log:
        passed = set_up(leg, python, log) and call(tests, log)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or ["no output"]
    if not passed:
        print("\n".join(lines[-60:]))
    print(f"{leg:14} {'ok' if passed else 'FAILED':7} {lines[-1]}", flush=True)
    return passed


def main() -> int:
    """Run the legs on the command line, all by default; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1, help="number of legs to run at a time")
    parser.add_argument("--coverage", action="store_true", help="leave .coverage.* files")
    parser.add_argument("legs", nargs="*", metavar="LEG", help=f"3.8 ... 3.15, {OLDEST}, {FUTURE}")
    options = parser.parse_args()
    found = find_legs()
    wanted = options.legs or [*VERSIONS, *RUN_ON]
    for leg in wanted:
        if leg not in found:
            needed = " or ".join(RUN_ON.get(leg, [leg]))
            print(f"{leg:14} skipped Python {needed} was not found", flush=True)
    legs = [leg for leg in wanted if leg in found]
    HOME.mkdir(exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        commands = [test_command(leg, options.coverage, options.jobs) for leg in legs]
        passed = list(pool.map(run_leg, legs, map(found.__getitem__, legs), commands))
    return 0 if passed and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
