"""Answers in a notebook: in a real IPython shell, and in a real kernel."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from support import SOON, wait_for

from chatgpt4online import Client, ReplyError
from chatgpt4online.notebook import display
from chatgpt4online.testing import Server


class Cell:
    """What a notebook's cell shows, from its first state to its last."""

    def __init__(self) -> None:
        self.states: List[Dict[str, str]] = []

    def publish(self, data: Dict[str, str], **_: Any) -> None:
        """Take a state, as IPython's display publisher gives it."""
        self.states.append(data)


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
    """Return what the shell's cell shows."""
    cell = Cell()
    monkeypatch.setattr(shell.display_pub, "publish", cell.publish)
    return cell


def test_a_cell_follows_the_answer(cell: Cell, server: Server, client: Client) -> None:
    """The cell shows the text as it comes, then the final reply, which is returned."""
    server.says("**Hel", "lo**", "!", final="**Hello**!", pace=0.15)
    reply = display(client.stream("Hello"))
    assert reply == "**Hello**!"
    shown = [state["text/plain"] for state in cell.states]
    assert shown[0] == "..."
    assert "**Hello**" in shown[1:-1]
    assert cell.states[-1] == {"text/plain": "**Hello**!", "text/markdown": "**Hello**!"}


def test_a_quick_answer_is_drawn_once(cell: Cell, server: Server, client: Client) -> None:
    """A cell is not drawn for each of many pieces, which would cost the more the longer it is."""
    server.says(*("word " for _ in range(300)))
    display(client.stream("Hello"))
    assert len(cell.states) < 60
    assert cell.states[-1]["text/plain"].count("word") == 300


def test_a_cell_shows_no_html(cell: Cell, server: Server, client: Client) -> None:
    """Neither while it comes nor at its end does an answer bring HTML into a page."""
    server.says("<img src=x onerror=alert(1)>", " Hello", pace=0.15)
    display(client.stream("Hello"))
    assert len(cell.states) > 1
    assert not [state for state in cell.states if "<img" in state.get("text/markdown", "")]


def test_a_failed_answer_stays_in_its_cell(cell: Cell, server: Server, client: Client) -> None:
    """What had come before a failure stays, and the failure is raised."""
    server.fails("No.", after=["Well"])
    with pytest.raises(ReplyError):
        display(client.stream("Hello"))
    assert cell.states[-1]["text/plain"] == "Well"


def test_without_ipython(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where IPython is missing, one sentence says what to install."""
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(ImportError, match=r"pip install 'chatgpt4online\[notebook\]'"):
        display(client.stream("Hello"))


def test_without_a_notebook(client: Client) -> None:
    """In a plain program, one sentence says what to do instead."""
    pytest.importorskip("IPython")
    with client.stream("Hello") as stream:
        with pytest.raises(ValueError, match="iterate over the stream"):
            display(stream)
        assert stream.result() == "Echo(1 msgs): Hello"


def test_the_first_piece_is_shown_at_once(cell: Cell, server: Server, client: Client) -> None:
    """No piece is waited for after the first: the model may think for minutes then."""
    server.says("Well, ", "let me ", "see.")
    display(client.stream("Hello"))
    assert [state["text/plain"] for state in cell.states[:2]] == ["...", "Well, "]


# ---------------------------------------------------------------------------------------- %%chat


def test_cells_are_one_conversation(shell: Any, cell: Cell, server: Server) -> None:
    """Each cell is sent with the turns before it; --new and --system begin anew."""
    shell.run_cell_magic("chat", f"--site {server.url}", "One\n")
    shell.run_cell_magic("chat", "", "Two")
    assert cell.states[-1]["text/plain"] == "Echo(3 msgs): Two"
    shell.run_cell_magic("chat", "--new", "Three")
    assert cell.states[-1]["text/plain"] == "Echo(1 msgs): Three"
    shell.run_cell_magic("chat", "--system 'Be brief.'", "Four")
    assert server.questions[-1].json["messages"][0]["content"] == "Be brief."


def test_another_bot_of_the_site(shell: Any, cell: Cell, server: Server) -> None:
    """--bot asks another bot of the same site, in a new conversation."""
    server.bot("second")
    shell.run_cell_magic("chat", f"--site {server.url}", "One")
    shell.run_cell_magic("chat", "--bot second", "Two")
    assert server.questions[-1].json["botId"] == "second"
    assert cell.states[-1]["text/plain"] == "Echo(1 msgs): Two"


@pytest.mark.parametrize(
    ("line", "text"), [("--nope", "Hi"), ("", " \n"), ("--site ftp://a", "Hi")]
)
def test_wrong_cells(shell: Any, cell: Cell, line: str, text: str) -> None:
    """A wrong option, an empty cell and a wrong site are ValueErrors, and end no kernel."""
    with pytest.raises(ValueError, match=r"^(unrecognized|the cell|site)"):
        shell.run_cell_magic("chat", line, text)
    assert not cell.states


def test_a_wrong_site_is_not_kept(shell: Any, cell: Cell, server: Server) -> None:
    """A cell that could not be asked leaves the site as it was."""
    server.bot("second")
    shell.run_cell_magic("chat", f"--site {server.url}", "One")
    with pytest.raises(ValueError, match=r"^site"):
        shell.run_cell_magic("chat", "--site ftp://a", "Two")
    shell.run_cell_magic("chat", "--bot second", "Three")
    assert cell.states[-1]["text/plain"] == "Echo(1 msgs): Three"


def test_a_failure_is_one_line(
    shell: Any, cell: Cell, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cell that fails says why, without a traceback of code that is not in the cell."""
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
    """So does a cell that is interrupted. The next cell is not sent with its turn."""

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
    """%unload_ext takes the magic away and closes its connections."""
    shell.run_cell_magic("chat", f"--site {server.url}", "One")
    assert server.open_connections == 1
    shell.run_line_magic("unload_ext", "chatgpt4online")
    wait_for(lambda: server.open_connections == 0)
    assert shell.find_magic("chat", "cell") is None
    shell.run_line_magic("load_ext", "chatgpt4online")


# -------------------------------------------------------------------------------- many questions

IN_A_NOTEBOOK = """\
import sys
import ipykernel.zmqshell  # by which tqdm knows a notebook
from chatgpt4online import Client
with Client(sys.argv[1]) as client:
    print(len(list(client.map(["Hello"], progress=True))))
"""


def test_a_bar_without_a_warning(server: Server, tmp_path: Path) -> None:
    """A notebook without ipywidgets shows a bar of text, and no advice to install them."""
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
    """Start an IPython kernel, and return the client of it."""
    pytest.importorskip("ipykernel")
    manager = pytest.importorskip("jupyter_client.manager")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    process, client = manager.start_new_kernel(startup_timeout=4 * SOON)
    yield client, process
    client.stop_channels()
    process.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("default")
def test_interrupting_the_kernel_stops_the_answer(kernel: Any, server: Server) -> None:
    """The kernel's interrupt ends the cell at once, frees the connection, and keeps the text."""
    client, process = kernel
    server.stalls(after=["Well, I"])
    client.execute(
        "from chatgpt4online import Client, notebook\n"
        f"notebook.display(Client({server.url!r}).stream('Hello'))"
    )
    wait_for(lambda: server.questions)
    shown = iter(lambda: client.get_iopub_msg(timeout=SOON), None)
    next(message for message in shown if message["msg_type"] == "update_display_data")
    process.interrupt_kernel()
    states: List[str] = []
    names: List[str] = []
    for message in shown:
        content = message["content"]
        states += [content["data"]["text/plain"]] if "data" in content else []
        names += [content["ename"]] if message["msg_type"] == "error" else []
        if content.get("execution_state") == "idle":
            break
    assert (states[-1], names) == ("Well, I", ["KeyboardInterrupt"])
    wait_for(lambda: server.open_connections == 0)
