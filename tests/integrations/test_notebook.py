"""Notebook support in a real IPython shell and a real kernel."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from support import SOON, wait_for

from chatgpt4online import Client, ReplyError, notebook
from chatgpt4online.notebook import display
from chatgpt4online.testing import Server


class Cell:
    """The successive outputs of a notebook cell."""

    def __init__(self) -> None:
        self.outputs: List[Dict[str, str]] = []

    def publish(self, data: Dict[str, str], **_: Any) -> None:
        """Record an output, in place of IPython's display publisher."""
        self.outputs.append(data)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return an IPython shell with the extension loaded."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    interactive = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    config = pytest.importorskip("traitlets.config").Config()
    config.HistoryManager.enabled = False
    shell = interactive.instance(config=config)
    shell.run_line_magic("load_ext", "chatgpt4online")
    yield shell
    if "chatgpt4online" in shell.extension_manager.loaded:
        shell.run_line_magic("unload_ext", "chatgpt4online")
    interactive.clear_instance()


@pytest.fixture
def cell(shell: Any, monkeypatch: pytest.MonkeyPatch) -> Cell:
    """Return the outputs of the shell's cells."""
    cell = Cell()
    monkeypatch.setattr(shell.display_pub, "publish", cell.publish)
    return cell


def test_a_cell_is_updated(cell: Cell, server: Server, client: Client) -> None:
    """display() shows the text as it arrives, then the final reply, and returns it."""
    server.says("**Hel", "lo**", "!", final="**Hello**!", pace=0.15)
    reply = display(client.stream("Hello"))
    assert reply == "**Hello**!"
    shown = [output["text/plain"] for output in cell.outputs]
    assert shown[0] == "..."
    assert "**Hello**" in shown[1:-1]
    assert cell.outputs[-1] == {"text/plain": "**Hello**!", "text/markdown": "**Hello**!"}


def test_updates_are_limited(cell: Cell, server: Server, client: Client) -> None:
    """A fast answer does not update its cell for each delta: every update resends the text."""
    server.says(*("word " for _ in range(300)))
    display(client.stream("Hello"))
    assert len(cell.outputs) < 60
    assert cell.outputs[-1]["text/plain"].count("word") == 300


def test_a_cell_shows_no_html(cell: Cell, server: Server, client: Client) -> None:
    """No output of a cell contains HTML, neither during an answer nor at its end."""
    server.says("<img src=x onerror=alert(1)>", " Hello", pace=0.15)
    display(client.stream("Hello"))
    assert len(cell.outputs) > 1
    assert not [output for output in cell.outputs if "<img" in output.get("text/markdown", "")]


def test_a_failed_answer_stays_in_the_cell(cell: Cell, server: Server, client: Client) -> None:
    """The text received before a failure stays in the cell, and the error is raised."""
    server.fails("No.", after=["Well"])
    with pytest.raises(ReplyError):
        display(client.stream("Hello"))
    assert cell.outputs[-1]["text/plain"] == "Well"


def test_without_ipython(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without IPython, the error says what to install."""
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(ImportError, match="pip install ipython"):
        display(client.stream("Hello"))


def test_without_a_notebook(client: Client) -> None:
    """Outside a notebook, the error says what to do instead, and the stream stays usable."""
    pytest.importorskip("IPython")
    with client.stream("Hello") as stream:
        with pytest.raises(ValueError, match="iterate over the stream"):
            display(stream)
        assert stream.result() == "Echo(1 msgs): Hello"


def test_the_first_delta_is_shown_at_once(cell: Cell, server: Server, client: Client) -> None:
    """The first delta is shown immediately: the next one may take minutes."""
    server.says("Well, ", "let me ", "see.")
    display(client.stream("Hello"))
    assert [output["text/plain"] for output in cell.outputs[:2]] == ["...", "Well, "]


def test_a_cell_has_no_control_characters(cell: Cell, server: Server, client: Client) -> None:
    """No output of a cell contains control characters, which a terminal would obey."""
    server.says("\x1b]0;mine\x07", "a\x9b2J", pace=0.15)
    display(client.stream("Hello"))
    assert not {"\x1b", "\x07", "\x9b"} & {*str(cell.outputs), *cell.outputs[-1]["text/plain"]}
    assert cell.outputs[-1] == {"text/plain": "]0;minea2J", "text/markdown": "]0;minea2J"}


def test_long_texts_are_shown_less_often(
    cell: Cell, server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading gets ten times as long as showing, however long that takes."""
    now = iter(range(10**6))
    monkeypatch.setattr(notebook, "monotonic", lambda: next(now))  # each update takes a second
    server.says(*("word " for _ in range(26)))
    display(client.stream("Hello"))
    shown = [output["text/plain"].count("word") for output in cell.outputs[1:]]
    assert shown == [1, 11, 21, 26]


# ------------------------------------------------------------------------ in a terminal, in marimo


def test_a_terminal_shows_the_deltas_once(
    cell: Cell,
    server: Server,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In IPython in a terminal, the deltas are printed once, without control characters."""
    terminal = pytest.importorskip("IPython.terminal.interactiveshell")
    shell = pytest.importorskip("IPython").get_ipython()
    monkeypatch.setattr(terminal, "TerminalInteractiveShell", type(shell))
    server.says("He\x1b[2J", "llo", pace=0.15)
    assert display(client.stream("Hello")) == "He\x1b[2Jllo"
    server.says("Helo", final="Hello")
    display(client.stream("Hello"))
    changed = "the site changed its answer at the end; the final answer is:"
    assert capsys.readouterr().out == f"He[2Jllo\nHelo\n{changed}\nHello\n"
    assert not cell.outputs


IN_A_TERMINAL = """\
import sys, chatgpt4online
from chatgpt4online import notebook
client = chatgpt4online.Client({!r})
reply = notebook.display(client.stream("Hello"))
client.close()
"""


def test_ipython_in_a_terminal(server: Server, tmp_path: Path) -> None:
    """In a real IPython of the terminal, the answer is printed once."""
    pytest.importorskip("IPython")
    server.says("One ", "two\x1b[2J ", "three", pace=0.15)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "IPython",
            "--simple-prompt",
            "-c",
            IN_A_TERMINAL.format(server.url),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=4 * SOON,
        env={**os.environ, "IPYTHONDIR": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (0, "One two[2J three\n"), done.stderr


def test_marimo_replaces_the_output(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a marimo notebook, the cell's output is replaced by Markdown without HTML."""
    outputs: List[str] = []
    marimo = types.SimpleNamespace(
        running_in_notebook=lambda: True,
        md=lambda text: f"md {text}",
        output=types.SimpleNamespace(replace=outputs.append),
    )
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    server.says("<img src=x onerror=alert(1)>", " Hello", pace=0.15)
    reply = display(client.stream("Hello"))
    assert outputs[0] == "md &lt;img src=x onerror=alert(1)>"
    assert outputs[-1] == f"{outputs[0]} Hello"
    assert reply == "<img src=x onerror=alert(1)> Hello"


def test_marimo_that_is_only_imported(
    cell: Cell, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that imports marimo, but is not a notebook of it, is shown as without it."""
    marimo = types.SimpleNamespace(running_in_notebook=lambda: False)
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    display(client.stream("Hello"))
    assert cell.outputs[-1]["text/plain"] == "Echo(1 msgs): Hello"


MARIMO_NOTEBOOK = """\
import marimo
app = marimo.App()

@app.cell
def _():
    import chatgpt4online
    from chatgpt4online import notebook
    with chatgpt4online.Client({!r}) as client:
        reply = notebook.display(client.stream("Hello"))
    return

if __name__ == "__main__":
    app.run()
"""


def test_a_real_marimo_notebook(server: Server, tmp_path: Path) -> None:
    """A real marimo kernel shows the answer as Markdown."""
    pytest.importorskip("marimo")
    (tmp_path / "book.py").write_text(MARIMO_NOTEBOOK.format(server.url))
    server.says("Some **bold", "** text", pace=0.15)
    done = subprocess.run(
        [*(sys.executable, "-m", "marimo", "export", "html", "book.py", "-o", "book.html")],
        check=False,
        capture_output=True,
        text=True,
        timeout=10 * SOON,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "book.html").read_text(encoding="utf-8")
    assert re.search(r"Some .{0,20}strong.{0,6}bold", page)


# ---------------------------------------------------------------------------------------- %%chat


def test_cells_are_one_conversation(shell: Any, cell: Cell, server: Server) -> None:
    """Cells continue one conversation; --new and --system start another."""
    shell.run_cell_magic("chat", f"--site {server.url}", "One\n")
    shell.run_cell_magic("chat", "", "Two")
    assert cell.outputs[-1]["text/plain"] == "Echo(3 msgs): Two"
    shell.run_cell_magic("chat", "--new", "Three")
    assert cell.outputs[-1]["text/plain"] == "Echo(1 msgs): Three"
    shell.run_cell_magic("chat", "--system 'Be brief.'", "Four")
    assert server.questions[-1].json["messages"][0]["content"] == "Be brief."


def test_another_bot_of_the_site(shell: Any, cell: Cell, server: Server) -> None:
    """--bot asks another bot of the same site in a new conversation."""
    server.bot("second")
    shell.run_cell_magic("chat", f"--site {server.url}", "One")
    shell.run_cell_magic("chat", "--bot second", "Two")
    assert server.questions[-1].json["botId"] == "second"
    assert cell.outputs[-1]["text/plain"] == "Echo(1 msgs): Two"


def test_another_site_closes_the_first(shell: Any, cell: Cell, server: Server) -> None:
    """A cell that names another site closes the client of the site before."""
    shell.run_cell_magic("chat", f"--site {server.url}", "One")
    first = shell.find_magic("chat", "cell").__self__._client
    with Server() as other:
        shell.run_cell_magic("chat", f"--site {other.url}", "Two")
    with pytest.raises(ValueError, match="closed"):
        first.chat("Three")
    assert len(server.questions) == 1


@pytest.mark.parametrize(
    ("line", "text"), [("--nope", "Hi"), ("--sys x", "Hi"), ("", " \n"), ("--site ftp://a", "Hi")]
)
def test_invalid_cells(shell: Any, cell: Cell, line: str, text: str) -> None:
    """Unknown and shortened options, an empty cell and an invalid site raise ValueError."""
    with pytest.raises(ValueError, match=r"^(unrecognized|the cell|site)"):
        shell.run_cell_magic("chat", line, text)
    assert not cell.outputs


def test_an_invalid_site_is_not_kept(shell: Any, cell: Cell, server: Server) -> None:
    """A cell with an invalid site leaves the current site as it was."""
    server.bot("second")
    shell.run_cell_magic("chat", f"--site {server.url}", "One")
    with pytest.raises(ValueError, match=r"^site"):
        shell.run_cell_magic("chat", "--site ftp://a", "Two")
    shell.run_cell_magic("chat", "--bot second", "Three")
    assert cell.outputs[-1]["text/plain"] == "Echo(1 msgs): Three"


def test_a_failure_is_one_line(
    shell: Any, cell: Cell, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed cell shows one line and no traceback."""
    server.fails("Too tired.", after=("Well",))
    ran = shell.run_cell(f"%%chat --site {server.url}\nHello")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("ReplyError: ")
    assert "Too tired." in line
    assert isinstance(ran.error_in_exec, ReplyError)


def test_ctrl_c_is_one_line(
    shell: Any,
    server: Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An interrupted cell shows one line, and its turn is not part of the conversation."""

    def interrupt(**_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shell.display_pub, "publish", interrupt)
        ran = shell.run_cell(f"%%chat --site {server.url}\nHello")
    assert isinstance(ran.error_in_exec, KeyboardInterrupt)
    assert capsys.readouterr().out == "KeyboardInterrupt\n"
    shell.run_cell("%%chat\nAgain")
    assert server.questions[-1].json["messages"] == []


def test_unloading_closes(shell: Any, cell: Cell, server: Server) -> None:
    """%unload_ext removes the magic and closes its connections."""
    shell.run_cell_magic("chat", f"--site {server.url}", "One")
    assert server.open_connections == 1
    shell.run_line_magic("unload_ext", "chatgpt4online")
    wait_for(lambda: server.open_connections == 0)
    assert shell.find_magic("chat", "cell") is None
    shell.run_line_magic("load_ext", "chatgpt4online")


# -------------------------------------------------------------------------------- many questions

IN_A_NOTEBOOK = """\
import sys
import ipykernel.zmqshell  # tqdm takes this for a notebook
from chatgpt4online import Client
with Client(sys.argv[1]) as client:
    print(len(list(client.map(["Hello"], progress=True))))
"""


def test_progress_bar_without_ipywidgets(server: Server, tmp_path: Path) -> None:
    """In a notebook without ipywidgets, the progress bar is text and there is no warning."""
    pytest.importorskip("ipykernel")
    pytest.importorskip("tqdm")
    if importlib.util.find_spec("ipywidgets"):
        pytest.skip("ipywidgets is installed")
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NOTEBOOK, server.url],
        check=False,
        capture_output=True,
        text=True,
        timeout=4 * SOON,
        env={**os.environ, "IPYTHONDIR": str(tmp_path)},
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
    assert "1/1" in done.stderr
    assert "Warning" not in done.stderr


# ------------------------------------------------------------------------------- in a real kernel


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Start an IPython kernel; return its client and manager."""
    pytest.importorskip("ipykernel")
    jupyter = pytest.importorskip("jupyter_client.manager")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    manager, client = jupyter.start_new_kernel(startup_timeout=4 * SOON)
    yield client, manager
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("default")
def test_interrupting_the_kernel_stops_the_answer(kernel: Any, server: Server) -> None:
    """Interrupting the kernel ends the cell, frees its connection and keeps the text."""
    client, manager = kernel
    server.stalls(after=["Well, I"])
    client.execute(
        "from chatgpt4online import Client, notebook\n"
        f"notebook.display(Client({server.url!r}).stream('Hello'))"
    )
    wait_for(lambda: server.questions)
    messages = iter(lambda: client.get_iopub_msg(timeout=SOON), None)
    next(message for message in messages if message["msg_type"] == "update_display_data")
    manager.interrupt_kernel()
    texts: List[str] = []
    names: List[str] = []
    for message in messages:
        content = message["content"]
        texts += [content["data"]["text/plain"]] if "data" in content else []
        names += [content["ename"]] if message["msg_type"] == "error" else []
        if content.get("execution_state") == "idle":
            break
    assert (texts[-1], names) == ("Well, I", ["KeyboardInterrupt"])
    wait_for(lambda: server.open_connections == 0)
