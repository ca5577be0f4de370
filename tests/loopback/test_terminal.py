"""The command line in a pseudo-terminal."""

from __future__ import annotations

import os
import re
import select
import struct
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Iterator, List, Mapping

import pytest
from support import SOON, wait_for

from chatgpt4online.testing import Server

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")

#: Most code that needs a terminal runs only here, so coverage follows the subprocess too.
COVERAGE = ["-m", "coverage", "run"] if "coverage" in sys.modules else []
PROGRAM = [sys.executable, "-W", "default", *COVERAGE, "-m", "chatgpt4online"]
ESCAPE_SEQUENCE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
SIZE = (24, 80)  # lines and columns
CTRL_C, CTRL_D = b"\x03", b"\x04"
BRACKETED_PASTE = b"\x1b[?2004h"  # asks the terminal to mark what is pasted


class Terminal:
    """
    The program in a terminal of 80 columns.

    Args:
        arguments: the command line after the program's name.
        environment: the environment variables.
    """

    def __init__(self, arguments: List[str], environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.raw = b""
        self._seen = 0
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=lambda: _set_terminal(slave),  # noqa: PLW1509 - no other thread runs yet
        )
        os.close(slave)

    def type(self, data: bytes) -> None:
        """Type."""
        os.write(self._master, data)

    def wait_for(self, text: str) -> None:
        """Wait until the terminal shows a text after the last one that was waited for."""
        assert self._find(text, SOON), f"no {text!r} in {self.text!r}"

    def type_until(self, data: bytes, text: str) -> None:
        """Type repeatedly until a text is shown: Ctrl-C counts only once readline is waiting."""
        deadline = monotonic() + SOON
        self.type(data)
        while not self._find(text, SOON / 10):
            assert monotonic() < deadline, f"no {text!r} in {self.text!r}"
            self.type(data)

    def _find(self, text: str, seconds: float) -> bool:
        deadline = monotonic() + seconds
        while text not in self.text[self._seen :]:
            if not self._read(deadline):
                return False
        self._seen = self.text.index(text, self._seen) + len(text)
        return True

    def has_received(self, data: bytes) -> bool:
        """Return whether the program has written this, escape sequences included."""
        self._read(monotonic())
        return data in self.raw

    @property
    def text(self) -> str:
        """The output so far, without escape sequences."""
        return ESCAPE_SEQUENCE.sub(b"", self.raw).decode(errors="replace")

    def wait(self) -> int:
        """Wait until the program exits, and return its exit status."""
        deadline = monotonic() + SOON
        while self._read(deadline):
            pass
        return self.process.wait(SOON)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(deadline - monotonic(), 0))
        try:
            data = os.read(self._master, 65536) if ready else b""
        except OSError:  # on Linux, the program has exited
            data = b""
        self.raw += data
        return bool(data)

    def close(self) -> None:
        """Kill the program."""
        self.process.kill()
        self.process.wait(SOON)
        os.close(self._master)


def _set_terminal(terminal: int) -> None:
    """Make a terminal the controlling one of this session, so that Ctrl-C is a signal."""
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", *SIZE, 0, 0))


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """Return an environment with an empty home directory."""
    return {**os.environ, "HOME": str(tmp_path), "TERM": "xterm"}


@pytest.fixture
def chat(server: Server, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Start `chat` in a terminal."""
    terminal = Terminal(["chat", "--site", server.url], environment)
    yield terminal
    terminal.close()


def test_a_conversation(chat: Terminal, server: Server, tmp_path: Path) -> None:
    """Each line is a question sent with the earlier turns. Ctrl-D leaves; the history is saved."""
    chat.wait_for("/help lists the commands")
    chat.type(b"My name is Ada\n")
    chat.wait_for("Echo(1 msgs): My name is Ada")
    chat.wait_for("> ")
    chat.type(b"What is it?\n")
    chat.wait_for("Echo(3 msgs): What is it?")
    chat.wait_for("> ")
    chat.type(CTRL_D)
    assert chat.wait() == 0
    pytest.importorskip("readline")
    history = (tmp_path / ".chatgpt4online_history").read_text().split("\n")
    assert "My name is Ada" in history


def test_line_history(chat: Terminal) -> None:
    """The up key recalls the previous line for editing."""
    pytest.importorskip("readline")
    chat.wait_for("> ")
    chat.type(b"One\n")
    chat.wait_for("Echo(1 msgs): One")
    chat.wait_for("> ")
    chat.type(b"\x1b[A two\n")
    chat.wait_for("Echo(3 msgs): One two")


def test_a_pasted_block_is_one_question(chat: Terminal, server: Server) -> None:
    """A block of ten lines that is pasted is one question, sent at Enter; so is the next one."""
    pytest.importorskip("readline")
    block = "\n".join(f"line {number}" for number in range(10))
    chat.wait_for("> ")
    wait_for(lambda: chat.has_received(BRACKETED_PASTE))
    for count in (1, 3):
        # A terminal sends a carriage return for each line end that is pasted.
        chat.type(b"\x1b[200~" + block.replace("\n", "\r").encode() + b"\x1b[201~")
        chat.wait_for("line 9")
        assert len(server.questions) == count // 2
        chat.type(b"\n")
        chat.wait_for(f"Echo({count} msgs): line 0")
        chat.wait_for("> ")
    assert [question.json["newMessage"] for question in server.questions] == [block, block]


def test_triple_quotes_in_a_terminal(chat: Terminal, server: Server) -> None:
    """Between triple quotes the prompt is another one, and Ctrl-C discards all of the lines."""
    chat.wait_for("> ")
    chat.type(b'"""One\n')
    chat.wait_for("... ")
    chat.type_until(CTRL_C, "(press Ctrl-D or type /quit to leave)")
    chat.wait_for("> ")
    chat.type(b'"""Two\n')
    chat.wait_for("... ")
    chat.type(b'three"""\n')
    chat.wait_for("Echo(1 msgs): Two")
    assert [question.json["newMessage"] for question in server.questions] == ["Two\nthree"]


def test_an_editor_in_a_terminal(
    server: Server, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """/edit gives the terminal to the editor, and asks what it leaves."""
    program = tmp_path / "edit.sh"
    program.write_text('read -r line\nprintf "%s\\nand more" "$line" > "$1"\n')
    terminal = Terminal(["chat", "--site", server.url], {**environment, "VISUAL": f"sh {program}"})
    try:
        terminal.wait_for("> ")
        terminal.type(b"/edit\n")
        terminal.type(b"Typed in the editor\n")
        terminal.wait_for("Echo(1 msgs): Typed in the editor")
    finally:
        terminal.close()
    assert server.questions[0].json["newMessage"] == "Typed in the editor\nand more"


def test_ctrl_c_stops_only_the_answer(chat: Terminal, server: Server) -> None:
    """Ctrl-C stops an answer and frees its connection; the conversation continues."""
    server.stalls(after=["Well, I"])
    chat.wait_for("> ")
    chat.type(b"Hello\n")
    chat.wait_for("Well, I")
    chat.type(CTRL_C)
    chat.wait_for("stopped; this exchange is not kept")
    wait_for(lambda: server.open_connections == 0)
    chat.wait_for("> ")
    chat.type(b"Again\n")
    chat.wait_for("Echo(1 msgs): Again")


def test_ctrl_c_stops_the_wait_for_an_answer(chat: Terminal, server: Server) -> None:
    """Ctrl-C also stops a question before any part of its answer has arrived."""
    server.stalls(headers=False)
    chat.wait_for("> ")
    chat.type(b"Hello\n")
    wait_for(lambda: server.questions)
    chat.type(CTRL_C)
    chat.wait_for("stopped; this exchange is not kept")
    wait_for(lambda: server.open_connections == 0)
    chat.wait_for("> ")
    chat.type(CTRL_D)
    assert chat.wait() == 0


def test_ctrl_c_at_the_prompt_discards_the_line(chat: Terminal) -> None:
    """Ctrl-C at the prompt discards the line and says how to leave."""
    chat.wait_for("> ")
    chat.type(b"Never mi")
    chat.wait_for("Never mi")
    chat.type_until(CTRL_C, "(press Ctrl-D or type /quit to leave)")
    chat.wait_for("> ")
    chat.type(b"/quit\n")
    assert chat.wait() == 0


def test_ctrl_c_ends_a_single_question(server: Server, environment: Mapping[str, str]) -> None:
    """Ctrl-C ends `ask` with status 130 and without a traceback."""
    server.stalls(after=["Well, I"])
    terminal = Terminal(["ask", "Hello", "--site", server.url], environment)
    try:
        terminal.wait_for("Well, I")
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.text
    finally:
        terminal.close()


def test_markdown_is_rendered(server: Server, environment: Mapping[str, str]) -> None:
    """In a terminal Markdown is rendered, HTML shows as text, and control characters are gone."""
    pytest.importorskip("rich")
    server.says("\x1b]0;mine\x07**Bold** <b>x</b> [a](https://b.c)\n\n", "line\n\n" * 40)
    terminal = Terminal(["ask", "Hello", "--site", server.url], environment)
    try:
        assert terminal.wait() == 0
    finally:
        terminal.close()
    assert b"\x1b]" not in terminal.raw
    assert b"\x1b[1mBold" in terminal.raw
    assert "]0;mineBold <b>x</b> a (https://b.c)" in terminal.text


@pytest.mark.parametrize("change", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_colours_can_be_turned_off(
    server: Server, environment: Mapping[str, str], change: Mapping[str, str]
) -> None:
    """A dumb terminal gets plain text; with NO_COLOR there are no colours."""
    server.says("`code` and **bold**")
    terminal = Terminal(["ask", "Hello", "--site", server.url], {**environment, **change})
    try:
        assert terminal.wait() == 0
    finally:
        terminal.close()
    assert not re.search(rb"\x1b\[[\d;]*(3|4|9|10)[0-8]\D", terminal.raw)
    if "TERM" in change:
        assert terminal.text.endswith("`code` and **bold**\r\n")


def test_a_batch_has_a_progress_bar(
    server: Server, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """`batch` shows its progress in a terminal."""
    pytest.importorskip("tqdm")
    (tmp_path / "in.txt").write_text("One\nTwo\n")
    words = ["batch", str(tmp_path / "in.txt"), "-o", str(tmp_path / "out"), "--site", server.url]
    terminal = Terminal(words, environment)
    try:
        assert terminal.wait() == 0
    finally:
        terminal.close()
    assert "100%" in terminal.text
    assert "2 answered, 0 failed" in terminal.text


def test_serve_runs_until_ctrl_c(environment: Mapping[str, str]) -> None:
    """`serve` prints its URL, answers there, and exits with 0 at Ctrl-C."""
    terminal = Terminal(["serve"], environment)
    try:
        terminal.wait_for("(press Ctrl-C to stop)")
        url = re.search(r"http://[\d.:]+", terminal.text)
        assert url
        done = subprocess.run(
            [*PROGRAM, "ask", "Hello", "--site", url.group()],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=dict(environment),
            timeout=SOON,
        )
        assert done.stdout == b"Echo(1 msgs): Hello\n"
        terminal.type(CTRL_C)
        assert terminal.wait() == 0
    finally:
        terminal.close()


def test_closed_pipe(server: Server) -> None:
    """A closed pipe, as with ``| head``, ends `ask` silently."""
    server.says("word " * 20_000)
    process = subprocess.Popen(
        [*PROGRAM, "ask", "Hello", "--site", server.url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(SOON) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_closed_pipe_of_a_conversation(server: Server) -> None:
    """A closed pipe also ends `chat` silently."""
    chat = subprocess.Popen(
        [*PROGRAM, "chat", "--site", server.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert chat.stdout is not None
    chat.stdout.close()
    _, errors = chat.communicate(b"One\nTwo\n", SOON)
    assert (chat.returncode, errors) == (0, b"")
    assert len(server.questions) == 1


def test_deltas_are_printed_in_a_terminal(server: Server, environment: Mapping[str, str]) -> None:
    """In a terminal, --raw prints each delta as it arrives, and says if the answer changes."""
    server.says("Hel", "o", final="Hello", pace=0.1)
    server.stalls(after=["Hel"])
    words = ["ask", "Hello", "--raw", "--site", server.url]
    terminal = Terminal(words, environment)
    try:
        assert terminal.wait() == 0
    finally:
        terminal.close()
    notice = "the site changed its answer at the end; the final answer is:"
    assert terminal.text == f"Helo\r\nchatgpt4online: {notice}\r\nHello\r\n"
    terminal = Terminal(words, environment)
    try:
        terminal.wait_for("Hel")
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
    finally:
        terminal.close()


def test_a_huge_table_is_plain_text(server: Server, environment: Mapping[str, str]) -> None:
    """A table that would take rich minutes to render is printed as it is."""
    pytest.importorskip("rich")
    server.says("|x" * 200 + "\n" + "|-" * 200 + "\n" + "|\n" * 1000 + "**end**")
    terminal = Terminal(["ask", "Hello", "--site", server.url], environment)
    try:
        assert terminal.wait() == 0
    finally:
        terminal.close()
    assert terminal.text.rstrip().endswith("**end**")
