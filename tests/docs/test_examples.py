"""
The examples in the README and the docs run unchanged against the embedded site.

The blocks of a page run in order: Python blocks in one namespace, shell blocks in one folder.
``https://example.com`` stands for the site, in output too. Python blocks with ``>>>`` are checked
as doctests, and so is the output of commands after ``$``. A block with a ``:caption:`` is a file of
that name. ``.. invisible-code-block: python``, which readers do not see, prepares the site, named
``server``. A block after ``.. needs: NAME`` runs only if there is such a module, or such a function
in a module. The programs in ``examples`` can be imported.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import importlib.util
import io
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple

import pytest

import chatgpt4online
from chatgpt4online.cli import main
from chatgpt4online.testing import Server

ROOT = Path(__file__).resolve().parent.parent.parent
SITE = "https://example.com"
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]
BLOCK = re.compile(
    r"(?:^\.\. needs: (?P<needs>[\w.]+)\n\n)?"
    r"^\.\. (?:code-block::|invisible-code-block:) (?P<language>\w+)\n"
    r"(?: +:caption: (?P<caption>\S+)\n)?"
    r"(?P<source>(?:[ ]+.*\n|\n)+)",
    re.MULTILINE,
)

#: Languages of blocks that are not run: other programs' configuration, and output.
NOT_RUN = {"apache", "ini", "nginx", "text"}

#: Scripts that replace the commands of examples. make only prints what it would do.
COMMANDS = {
    "chatgpt4online": f'exec {shlex.quote(sys.executable)} -m chatgpt4online "$@"',
    "mail": "cat > mail.txt",
    "python": f'exec {shlex.quote(sys.executable)} "$@"',
}
MAKE = shutil.which("make")
if MAKE:
    COMMANDS["make"] = f'exec {MAKE} -n -C {shlex.quote(str(ROOT))} "$@"'
DOCTEST = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A block of code on a page; lines are counted from 0."""

    language: str
    source: str
    needs: str
    file: str
    page: Path
    line: int


def read(path: Path) -> str:
    """Return the text of a file."""
    return path.read_text(encoding="utf-8")


def blocks(page: Path, site: str = SITE) -> List[Block]:
    """Return a page's blocks, with the address of a real site in place of the example's."""
    text = read(page)
    return [
        Block(
            found["language"],
            textwrap.dedent(found["source"]).replace(SITE, site),
            found["needs"] or "",
            found["caption"] or "",
            page,
            text.count("\n", 0, found.start("source")),
        )
        for found in BLOCK.finditer(text)
    ]


def check(test: doctest.DocTest) -> None:
    """Run a doctest in its own namespace, and fail with its report if it fails."""
    report: List[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    failed = runner.run(test, out=report.append, clear_globs=False).failed
    assert not failed, "".join(report)


class Reader:
    """
    Runs the blocks of a page, as its reader would.

    Args:
        names: the namespace of Python blocks.
        stack: cleans up.
    """

    def __init__(self, names: Dict[str, Any], stack: contextlib.ExitStack) -> None:
        self._names = names
        self._stack = stack
        self._runners = {
            "console": self._console,
            "ipython": self._ipython,
            "pycon": self._python,
            "python": self._python,
            "sh": self._sh,
        }

    def run(self, block: Block) -> None:
        """Run a block, unless it is a file or needs something that is not installed."""
        if block.file:
            Path(block.file).write_text(block.source.lstrip(), encoding="utf-8")
            return
        needs = [block.needs, "IPython" if block.language == "ipython" else ""]
        has_shell = block.language not in ("sh", "console") or shutil.which("sh")
        if has_shell and all(map(exists, filter(None, needs))):
            self._runners[block.language](block)

    def _python(self, block: Block) -> None:
        if ">>>" not in block.source:
            # Blank lines before it make tracebacks show the line on the page.
            lines = "\n" * block.line + block.source
            exec(compile(lines, str(block.page), "exec"), self._names)
            return
        parse = doctest.DocTestParser().get_doctest
        test = parse(block.source, {}, block.page.name, str(block.page), block.line)
        test.globs = self._names
        check(test)

    def _sh(self, block: Block) -> None:
        for line in filter(can_run, block.source.strip().splitlines()):
            self._run_line(line)

    def _console(self, block: Block) -> None:
        """Run each command, and compare its output with the lines below it."""
        for command in re.split(r"^\$ ", block.source, flags=re.MULTILINE)[1:]:
            line, _, expected = command.partition("\n")
            got = self._run_line(line) if can_run(line) else expected
            is_equal = doctest.OutputChecker().check_output(expected.strip(), got.strip(), DOCTEST)
            assert is_equal, f"{line}\nshould print\n{expected}\nbut prints\n{got}"

    def _run_line(self, line: str) -> str:
        """Return the output of a line. Simple commands run in this process, which is faster."""
        program = line.split(maxsplit=1)[0]
        if program not in ("chatgpt4online", "llm") or re.search("[<>|&;$]", line):
            return self._shell(line)
        words = shlex.split(line, comments=True)[1:]
        return self._llm(words) if program == "llm" else self._chatgpt4online(words)

    def _shell(self, line: str) -> str:
        done = subprocess.run(
            ["sh", "-c", line],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=50,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _chatgpt4online(self, words: List[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            status = main(words)
        assert status == 0, printed.getvalue()
        return printed.getvalue()

    def _llm(self, words: List[str]) -> str:
        from click.testing import CliRunner
        from llm.cli import cli

        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, result.output
        return str(result.output)

    def _ipython(self, block: Block) -> None:
        self._cells().run_cell(block.source).raise_error()

    def _cells(self) -> Any:
        """Return an IPython shell that shares the page's namespace."""
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        if not InteractiveShell.initialized():
            config = Config()
            config.HistoryManager.enabled = False
            shell = InteractiveShell.instance(config=config, user_ns=self._names)
            self._stack.callback(InteractiveShell.clear_instance)
            self._stack.callback(shell.run_line_magic, "reload_ext", "chatgpt4online")
        return InteractiveShell.instance()


def exists(name: str) -> bool:
    """Return whether a module, or a function in a module, exists."""
    module, _, function = name.rpartition(".")
    with suppress(ModuleNotFoundError):
        if importlib.util.find_spec(name):
            return True
    return bool(
        module
        and importlib.util.find_spec(module)
        and hasattr(importlib.import_module(module), function)
    )


def can_run(line: str) -> bool:
    """Return whether the programs that a line needs are installed."""
    return all(shutil.which(name) for name in ("jq", "make") if f"{name} " in line)


def write_commands(folder: Path) -> Path:
    """Create a folder with the scripts that replace the commands of examples; return it."""
    folder.mkdir()
    for name, script in COMMANDS.items():
        command = folder / name
        command.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        command.chmod(0o755)
    return folder


@pytest.fixture
def reader(
    server: Server,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Reader]:
    """Create a reader in an empty folder, with empty standard input and no plugins for pytest."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "IPYTHONDIR", "LLM_USER_PATH"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", server.url)
    monkeypatch.setenv("PATH", str(write_commands(home / "commands")), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p chatgpt4online.testing.pytest_plugin")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as stack:
        yield Reader({"__name__": "__main__", "server": server}, stack)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name
)
def test_examples_run(page: Path, server: Server, reader: Reader) -> None:
    """The examples on a page run, and print what the page shows."""
    for block in blocks(page, server.url):
        if block.language not in NOT_RUN:
            reader.run(block)


def test_blocks_are_marked() -> None:
    """Each block of code names its language, so that these tests miss none."""
    marked = re.compile(r"^ *\.\. (?:invisible-)?(?:code-block|code|sourcecode)::?", re.MULTILINE)
    for page in PAGES:
        text = read(page)
        assert re.findall(r"^(?!\.\. ).*::$", text, re.MULTILINE) == [], page
        assert len(marked.findall(text)) == len(blocks(page)), page


def test_extras_exist() -> None:
    """Each extra that a page installs is defined in setup.py."""
    metadata = read(ROOT / "setup.py")
    named = {name for page in PAGES for name in re.findall(r"'\.\[(\w+)\]'", read(page))}
    assert "all" in named
    assert {name for name in named if f'"{name}"' not in metadata} == set()


def test_nothing_is_installed_from_an_index_that_lacks_it() -> None:
    """Pages and messages install this package from a checkout, and name other libraries."""
    programs = [
        path for name in ("chatgpt4online", "examples") for path in (ROOT / name).rglob("*")
    ]
    texts = [path for path in (*PAGES, *programs) if path.suffix in (".py", ".rst", ".ipynb")]
    wrong = re.compile(r"install (?:-\S+ )*['\"]?chatgpt4online\b")
    assert [str(path) for path in texts if wrong.search(read(path))] == []


def modules_with_examples() -> List[str]:
    """Return the names of the package's modules whose docstrings contain doctests."""
    found = pkgutil.walk_packages(chatgpt4online.__path__, "chatgpt4online.")
    names = ["chatgpt4online", *(module.name for module in found)]
    return [name for name in names if ">>>" in source_of(name)]


def source_of(name: str) -> str:
    """Return a module's source without importing it, since it may need an optional library."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return read(Path(spec.origin))


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstring_examples_run(name: str, server: Server) -> None:
    """The examples in a docstring run, and print what it shows."""
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        for example in test.examples:
            example.source = example.source.replace(SITE, server.url)
            example.want = example.want.replace(SITE, server.url)
        test.globs["server"] = server
        check(test)
