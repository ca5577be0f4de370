"""
Run the tests on every installed Python, and once with the oldest dependencies.

One virtual environment and one log a leg are kept under ``.matrix``. Prints a line a leg;
exits with 1 when one fails.
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
from typing import Dict, List, Optional

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".matrix"
VERSIONS = [f"3.{minor}" for minor in range(8, 14)]
OLDEST = "oldest"
# urllib3 1.26.0 carries a module loader that Python 3.12 no longer takes.
OLDEST_RUNS_ON = VERSIONS[:4]
# Editable installs write to the source tree, so they take turns.
installing = threading.Lock()


def is_version(python: str, version: str) -> bool:
    """True if this program starts and is that Python; pyenv's shims may be there and not start."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [python, "-c", code], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return False
    return answer.stdout.decode().strip() == version


def find_python(version: str) -> Optional[str]:
    """Return a Python of that version: this one, one on PATH or one of pyenv's; else None."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    candidates = [sys.executable, shutil.which(f"python{version}"), *map(str, pyenv)]
    found = (python for python in candidates if python and is_version(python, version))
    return next(found, None)


def find_legs() -> Dict[str, str]:
    """Return each leg's name with the Python that runs it."""
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


def set_up(leg: str, python: str) -> str:
    """Make the leg's virtual environment if it is not as setup.py wants it; return its Python."""
    venv, stamp = HOME / leg, HOME / leg / "made-for"
    wanted = python + "\n" + (ROOT / "setup.py").read_text(encoding="utf-8")
    inside = str(venv / ("Scripts" if os.name == "nt" else "bin") / "python")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return inside
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    pip = [inside, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    pins = oldest_requirements() if leg == OLDEST else []
    with installing:
        subprocess.run([*pip, "--editable", ".[test]", *pins], check=True, cwd=str(ROOT))
    stamp.write_text(wanted, encoding="utf-8")
    return inside


def run_leg(leg: str, python: str, coverage: bool) -> bool:
    """Run the tests on one leg and print one line, more if they fail; return whether they pass."""
    command = [set_up(leg, python), *(["-m", "coverage", "run"] if coverage else [])]
    command += ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    log = HOME / f"{leg}.log"
    with log.open("wb") as file:
        done = subprocess.run(
            command, check=False, cwd=str(ROOT), stdout=file, stderr=subprocess.STDOUT
        )
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() or ["no output"]
    if done.returncode:
        print("\n".join(lines[-60:]))
    print(f"{leg:7} {'ok' if done.returncode == 0 else 'FAILED':7} {lines[-1]}", flush=True)
    return done.returncode == 0


def main() -> int:
    """Run the legs that the command line names, all by default; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1, help="how many legs run at a time")
    parser.add_argument("--coverage", action="store_true", help="leave .coverage.* files")
    parser.add_argument("legs", nargs="*", metavar="LEG", help=f"3.8 ... 3.13, {OLDEST}")
    options = parser.parse_args()
    found = find_legs()
    wanted = options.legs or [*VERSIONS, OLDEST]
    for leg in wanted:
        if leg not in found:
            print(f"{leg:7} skipped no Python for it is installed")
    legs = [leg for leg in wanted if leg in found]
    HOME.mkdir(exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        passed = list(pool.map(lambda leg: run_leg(leg, found[leg], options.coverage), legs))
    return 0 if passed and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
