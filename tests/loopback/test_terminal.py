"""The command line in a real terminal: a program behind a pseudo-terminal, and its keys."""

from __future__ import annotations

import os
import re
import select
import signal
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

#: Measured too where these tests are: most of what needs a terminal runs in no other.
MEASURED = ["-m", "coverage", "run"] if "coverage" in sys.modules else []
PROGRAM = [sys.executable, "-X", "dev", *MEASURED, "-m", "chatgpt4online"]
SEQUENCE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
SIZE = (24, 80)  # lines and columns
CTRL_C, CTRL_D = b"\x03", b"\x04"


class Terminal:
    """
    A program in a terminal of 80 columns.

    Args:
        words: the command line after the program's name.
        environment: what it finds there.
    """

    def __init__(self, words: List[str], environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.raw = b""
        self._seen = 0
        self.process = subprocess.Popen(
            [*PROGRAM, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=lambda: _control(slave),  # noqa: PLW1509 - no thread of its own yet
        )
        os.close(slave)

    def keys(self, data: bytes) -> None:
        """Type."""
        os.write(self._master, data)

    def shows(self, text: str) -> None:
        """Wait until a text stands on the terminal, after those that were waited for before."""
        assert self._finds(text, SOON), f"no {text!r} in {self.text!r}"

    def insists(self, data: bytes, text: str) -> None:
        """Type again until a text stands there: Python hears Ctrl-C only when readline waits."""
        deadline = monotonic() + SOON
        self.keys(data)
        while not self._finds(text, SOON / 10):
            assert monotonic() < deadline, f"no {text!r} in {self.text!r}"
            self.keys(data)

    def _finds(self, text: str, seconds: float) -> bool:
        deadline = monotonic() + seconds
        while text not in self.text[self._seen :]:
            if not self._read(deadline):
                return False
        self._seen = self.text.index(text, self._seen) + len(text)
        return True

    @property
    def text(self) -> str:
        """What has been written, without what moves the cursor or colours."""
        return SEQUENCE.sub(b"", self.raw).decode(errors="replace")

    def ends(self) -> int:
        """Wait for the program's end, and return its exit status."""
        deadline = monotonic() + SOON
        while self._read(deadline):
            pass
        return self.process.wait(SOON)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(deadline - monotonic(), 0))
        try:
            data = os.read(self._master, 65536) if ready else b""
        except OSError:  # Linux says so when the program has gone
            data = b""
        self.raw += data
        return bool(data)

    def close(self) -> None:
        """End the program."""
        self.process.kill()
        self.process.wait(SOON)
        os.close(self._master)


def _control(terminal: int) -> None:
    """Let a new session's keys, Ctrl-C among them, come from a terminal."""
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", *SIZE, 0, 0))


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """Return an environment with a home of its own."""
    return {**os.environ, "HOME": str(tmp_path), "TERM": "xterm"}


@pytest.fixture
def chat(server: Server, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Start a conversation in a terminal."""
    terminal = Terminal(["chat", "--site", server.url], environment)
    yield terminal
    terminal.close()


def test_a_conversation(chat: Terminal, server: Server, tmp_path: Path) -> None:
    """Lines are questions, each sent with the turns before; Ctrl-D leaves, and lines are kept."""
    chat.shows("/help lists the commands")
    chat.keys(b"My name is Ada\n")
    chat.shows("Echo(1 msgs): My name is Ada")
    chat.shows("> ")
    chat.keys(b"What is it?\n")
    chat.shows("Echo(3 msgs): What is it?")
    chat.shows("> ")
    chat.keys(CTRL_D)
    assert chat.ends() == 0
    pytest.importorskip("readline")
    history = (tmp_path / ".chatgpt4online_history").read_text().split("\n")
    assert "My name is Ada" in history


def test_earlier_lines_come_back(chat: Terminal) -> None:
    """The up key brings the line before, to be edited."""
    pytest.importorskip("readline")
    chat.shows("> ")
    chat.keys(b"One\n")
    chat.shows("Echo(1 msgs): One")
    chat.shows("> ")
    chat.keys(b"\x1b[A two\n")
    chat.shows("Echo(3 msgs): One two")


def test_ctrl_c_stops_the_answer_alone(chat: Terminal, server: Server) -> None:
    """Ctrl-C ends an answer and frees its connection; the program and the turns before go on."""
    server.stalls(after=["Well, I"])
    chat.shows("> ")
    chat.keys(b"Hello\n")
    chat.shows("Well, I")
    chat.keys(CTRL_C)
    chat.shows("stopped; this turn is not kept")
    wait_for(lambda: server.open_connections == 0)
    chat.shows("> ")
    chat.keys(b"Again\n")
    chat.shows("Echo(1 msgs): Again")


def test_ctrl_c_stops_the_wait_for_an_answer(chat: Terminal, server: Server) -> None:
    """Ctrl-C works too while the model thinks and nothing has come."""
    server.stalls(headers=False)
    chat.shows("> ")
    chat.keys(b"Hello\n")
    wait_for(lambda: server.questions)
    chat.keys(CTRL_C)
    chat.shows("stopped; this turn is not kept")
    wait_for(lambda: server.open_connections == 0)
    chat.shows("> ")
    chat.keys(CTRL_D)
    assert chat.ends() == 0


def test_ctrl_c_at_the_prompt_drops_the_line(chat: Terminal) -> None:
    """Ctrl-C at the prompt says how to leave, and leaves nothing of the line."""
    chat.shows("> ")
    chat.keys(b"Never mi")
    chat.shows("Never mi")
    chat.insists(CTRL_C, "(press Ctrl-D or type /quit to leave)")
    chat.shows("> ")
    chat.keys(b"/quit\n")
    assert chat.ends() == 0


def test_ctrl_c_ends_a_single_question(server: Server, environment: Mapping[str, str]) -> None:
    """Where there is one answer, Ctrl-C ends the program: status 130, and no traceback."""
    server.stalls(after=["Well, I"])
    terminal = Terminal(["ask", "Hello", "--site", server.url], environment)
    try:
        terminal.shows("Well, I")
        terminal.keys(CTRL_C)
        assert terminal.ends() == 130
        assert "Traceback" not in terminal.text
    finally:
        terminal.close()


def test_markdown_is_rendered(server: Server, environment: Mapping[str, str]) -> None:
    """A terminal shows Markdown with its looks, HTML as text, and obeys no reply."""
    pytest.importorskip("rich")
    server.says("\x1b]0;mine\x07**Bold** <b>x</b> [a](https://b.c)\n\n", "line\n\n" * 40)
    terminal = Terminal(["ask", "Hello", "--site", server.url], environment)
    try:
        assert terminal.ends() == 0
    finally:
        terminal.close()
    assert b"\x1b]" not in terminal.raw
    assert b"\x1b[1mBold" in terminal.raw
    assert "]0;mineBold <b>x</b> a (https://b.c)" in terminal.text


@pytest.mark.parametrize("change", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_colours_can_be_refused(
    server: Server, environment: Mapping[str, str], change: Mapping[str, str]
) -> None:
    """A dumb terminal gets plain text, and one without colours no colour."""
    server.says("`code` and **bold**")
    terminal = Terminal(["ask", "Hello", "--site", server.url], {**environment, **change})
    try:
        assert terminal.ends() == 0
    finally:
        terminal.close()
    assert not re.search(rb"\x1b\[[\d;]*(3|4|9|10)[0-8]\D", terminal.raw)
    if "TERM" in change:
        assert terminal.text.endswith("`code` and **bold**\r\n")


def test_a_batch_has_a_bar(
    server: Server, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """On a terminal a batch shows how far it is."""
    pytest.importorskip("tqdm")
    (tmp_path / "in.txt").write_text("One\nTwo\n")
    words = ["batch", str(tmp_path / "in.txt"), "-o", str(tmp_path / "out"), "--site", server.url]
    terminal = Terminal(words, environment)
    try:
        assert terminal.ends() == 0
    finally:
        terminal.close()
    assert "100%" in terminal.text
    assert "2 answered, 0 failed" in terminal.text


def test_a_site_is_served_until_ctrl_c(environment: Mapping[str, str]) -> None:
    """`serve` tells its address, answers there, and ends well at Ctrl-C."""
    terminal = Terminal(["serve"], environment)
    try:
        terminal.shows("(press Ctrl-C to stop)")
        url = re.search(r"http://[\d.:]+", terminal.text)
        assert url
        asked = subprocess.run(
            [*PROGRAM, "ask", "Hello", "--site", url.group()],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=dict(environment),
            timeout=SOON,
        )
        assert asked.stdout == b"Echo(1 msgs): Hello\n"
        terminal.keys(CTRL_C)
        assert terminal.ends() == 0
    finally:
        terminal.close()


def test_a_reader_that_has_had_enough(server: Server) -> None:
    """A closed pipe, as that of ``| head``, ends the program without a word."""
    server.says(*("word " for _ in range(2000)), pace=0.001)
    asked = subprocess.Popen(
        [*PROGRAM, "ask", "Hello", "--site", server.url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert asked.stdout is not None
    assert asked.stderr is not None
    assert asked.stdout.read(4) == b"word"
    asked.stdout.close()
    assert asked.wait(SOON) == 0
    assert asked.stderr.read() == b""
    asked.stderr.close()


def test_a_reader_of_a_conversation_that_has_had_enough(server: Server) -> None:
    """A conversation ends as quietly when nobody reads its answers any more."""
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


def test_an_answer_comes_as_it_is_written(server: Server) -> None:
    """In a pipe too, each piece is there when it has come."""
    server.stalls(after=["Hel"])
    asked = subprocess.Popen(
        [*PROGRAM, "ask", "Hello", "--site", server.url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert asked.stdout is not None
    assert asked.stdout.read(3) == b"Hel"
    asked.send_signal(signal.SIGINT)
    assert asked.wait(SOON) == 130
    asked.stdout.close()
