from __future__ import annotations

import importlib
import io
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, Callable, List, NamedTuple

import pytest
from support import SOON, background

from chatgpt4online.cli import COMMANDS, batch, main, output
from chatgpt4online.testing import Server


class Result(NamedTuple):
    """A command's exit status and output."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> List[Any]:
        """The JSON objects on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Result]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command line with the given standard input."""

    def run(*words: str, stdin: Any = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        try:
            status = main(list(words))
        except SystemExit as end:
            status = int(end.code or 0)
        return Result(status, *capsys.readouterr())

    return run


# ------------------------------------------------------------------------------------------- ask


@pytest.mark.parametrize(
    ("words", "stdin", "question"),
    [
        (["One"], "", "One"),
        ([], "Two\nlines\n", "Two\nlines"),
        (["Sum up:"], "a\nb\n", "Sum up:\n\na\nb"),
        (["Three"], Terminal(), "Three"),
    ],
)
def test_question_sources(
    run: Run, server: Server, words: List[str], stdin: Any, question: str
) -> None:
    """A question is the argument, standard input, or the argument followed by standard input."""
    result = run("ask", *words, "--site", server.url, stdin=stdin)
    assert result == (0, f"Echo(1 msgs): {question}\n", "")


@pytest.mark.parametrize("stdin", ["", "\n", Terminal()])
def test_no_question(run: Run, server: Server, stdin: Any) -> None:
    """Without a question nothing is sent, and the error shows an example."""
    result = run("ask", "--site", server.url, stdin=stdin)
    assert result.status == 2
    assert 'chatgpt4online ask "Who are you?"' in result.err
    assert not server.requests


def test_json_is_one_object(run: Run, server: Server) -> None:
    """--json prints a whole answer as one line of JSON without control characters."""
    shortcuts = [{"data": {"label": "x"}}]
    server.says("A\x9b1m\n", "b", images=["https://a.b/c.png"], shortcuts=shortcuts)
    result = run("ask", "Hello", "--site", server.url, "--json")
    (answer,) = result.objects
    assert result.status == 0
    assert answer["text"] == "A\x9b1m\nb"
    assert answer["usage"]["total_tokens"] == 13
    assert answer["images"] == ["https://a.b/c.png"]
    assert answer["shortcuts"] == [{"label": "x"}]
    assert "\x9b" not in result.out
    assert run("ask", "Hello", "--site", server.url, "--json").objects[0]["chat_id"]


def test_json_of_a_failure(run: Run, server: Server) -> None:
    """With --json a failure is also an object, with the text received so far."""
    server.fails("No.", after=["Well"])
    result = run("ask", "Hello", "--site", server.url, "--json")
    (answer,) = result.objects
    assert (result.status, answer["error"]["class"], answer["text"]) == (1, "ReplyError", "Well")


def test_a_failure_is_one_line(run: Run, server: Server) -> None:
    """A failure is one line on standard error without control characters; the text stays."""
    server.fails("\x1b[2JNo\nnever.", after=["Well"])
    result = run("ask", "Hello", "--site", server.url)
    assert (result.status, result.out) == (1, "Well\n")
    assert result.err.startswith(f"chatgpt4online: {server.url} ")
    assert result.err.endswith("[2JNo never.\n")
    assert result.err.count("\n") == 1
    assert "\x1b" not in result.err


def test_a_failure_without_text(run: Run, server: Server) -> None:
    """If no text arrived before a failure, standard output is empty."""
    server.answers(503)
    assert run("ask", "Hello", "--site", server.url).out == ""


def test_a_reply_drives_no_terminal(run: Run, server: Server) -> None:
    """Plain output has no escape sequence, wherever deltas split it, also with --raw."""
    for _ in range(2):
        server.says("A\x1b", "[31mB\x07\tC\n")
    result = run("ask", "Hello", "--site", server.url)
    assert result.out == run("ask", "Hello", "--site", server.url, "--raw").out
    assert "\x1b" not in result.out
    assert result.out.startswith("A[31mB\tC\n")


def test_final_answer_differs(run: Run, server: Server) -> None:
    """A final answer that differs from the streamed text is printed after a notice."""
    server.says("Helo", final="Hello")
    result = run("ask", "Hello", "--site", server.url)
    assert result.out == "Helo\nHello\n"
    assert "changed its answer" in result.err


def test_image_urls(run: Run, server: Server) -> None:
    """URLs of images are printed unless the text contains them."""
    server.says(final="", images=["https://a.b/c.png"])
    server.says("![x](https://a.b/d.png)", images=["https://a.b/d.png"])
    assert run("ask", "Paint", "--site", server.url) == (0, "https://a.b/c.png\n", "")
    assert run("ask", "Paint", "--site", server.url).out == "![x](https://a.b/d.png)\n"


def test_file_option(run: Run, server: Server, tmp_path: Path) -> None:
    """Each --file is uploaded and sent with the question."""
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    files = ["--file", str(tmp_path / "a.txt"), "--file", str(tmp_path / "b.txt")]
    assert run("ask", "Read", *files, "--site", server.url).status == 0
    assert len(server.questions[-1].json["newFileIds"]) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["ask", "Hello", "--file", "/no/such/file"],
        ["ask", "Hello", "--timeout", "0"],
        ["ask", "Hello", "--timeout", "soon"],
        ["ask", "Hello", "--site", "ftp://example.com"],
        ["ask", "Hello", "--site", "https://me:secret@example.com"],
        ["ask", "Hello", "--user", "me"],
        ["ask", "Hello", "--page", "https://example.com/", "--bot", "b"],
        ["ask", "Hello", "--demo", "--bot", "b"],
        ["ask", "Hello", "--si", "https://example.com"],
        ["chat", "saved.json", "--system", "Be brief."],
        ["chat", "/no/such/file", "--demo"],
        ["batch", "/no/such/file", "-o", "out"],
        ["bots", "nowhere", "--demo"],
        [],
    ],
)
def test_usage_errors(run: Run, words: List[str]) -> None:
    """A usage error prints a message, exits with 2 and sends nothing."""
    result = run(*words)
    assert (result.status, result.out) == (2, "")
    assert result.err
    assert "secret" not in result.err


def test_help_has_examples(run: Run) -> None:
    """The help of every command has examples and lists the environment variables."""
    for command in COMMANDS:
        result = run(command.name, "--help")
        assert f"  chatgpt4online {command.name}" in result.out
        assert "CHATGPT4ONLINE_SITE" in result.out
        assert max(map(len, result.out.splitlines())) <= 100
    assert run("--version").out.startswith("chatgpt4online ")


def test_time_limits(run: Run, server: Server) -> None:
    """--timeout and --deadline end an answer that stalls."""
    for option in ("--timeout", "--deadline"):
        server.stalls(after=["Hm"])
        result = run("ask", "Hello", "--site", server.url, option, "0.2")
        assert (result.status, result.out) == (1, "Hm\n")


def test_debug_shows_the_log(run: Run, server: Server) -> None:
    """--debug logs each request without the nonce, and restores logging afterwards."""
    result = run("ask", "Hello", "--site", server.url, "--debug")
    assert "chats/submit: 200" in result.err
    assert server.nonce not in result.err
    log = logging.getLogger("chatgpt4online")
    assert (log.level, log.handlers) == (logging.NOTSET, [])


def test_demo_needs_no_site(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """--demo uses the built-in site, whatever the environment says."""
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", "https://example.com")
    monkeypatch.setenv("CHATGPT4ONLINE_BOT", "theirs")
    assert run("ask", "Hello", "--demo") == (0, "Echo(1 msgs): Hello\n", "")
    assert run("bots", "/chat/", "--demo").out.startswith("default")


# ---------------------------------------------------------------------------------- site and bot


def test_user_option(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """--user logs in with the password from the environment."""
    server.user("ada", "abcd efgh")
    monkeypatch.setenv("CHATGPT4ONLINE_APP_PASSWORD", "abcd efgh")
    result = run("check", "--site", server.url, "--user", "ada")
    assert "as a user" in result.out


def test_password_stays_with_its_site(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password from the environment is not sent to a site other than the environment's."""
    monkeypatch.setenv("CHATGPT4ONLINE_APP_PASSWORD", "abcd efgh")
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", "https://example.com")
    result = run("ask", "Hello", "--site", server.url, "--user", "ada")
    assert result.status == 2
    assert "CHATGPT4ONLINE_SITE" in result.err
    assert not server.requests


def test_page_option(run: Run, server: Server) -> None:
    """--page asks the chatbot on a page, even one that exists only there."""
    server.bot("mine", custom=True)
    server.page("/talk/", bots=["mine"])
    result = run("ask", "Hello", "--page", f"{server.url}/talk/")
    assert result.out == "Echo(1 msgs): Hello\n"
    assert server.questions[-1].json["customId"] == "mine"
    assert "--page" in run("bots", f"{server.url}/talk/").out


def test_bots_of_a_page(run: Run, server: Server) -> None:
    """`bots` prints one line or object per chatbot, and exits with 1 without any."""
    server.bot("a", name="Ann")
    server.page("/talk/", bots=["a", "default"])
    assert [line.split()[0] for line in run("bots", f"{server.url}/talk/").out.splitlines()] == [
        "a",
        "default",
    ]
    result = run("bots", "/talk/", "--site", server.url, "--json")
    assert [bot["id"] for bot in result.objects] == ["a", "default"]
    server.page("/none/")
    assert run("bots", f"{server.url}/none/").status == 1


# ------------------------------------------------------------------------------------------ chat


def test_lines_are_questions(run: Run, server: Server) -> None:
    """Lines from a pipe are questions of one conversation; empty lines are skipped."""
    result = run("chat", "--site", server.url, stdin="One\n\n Two\n/quit\nThree\n")
    assert result == (0, "Echo(1 msgs): One\nEcho(3 msgs): Two\n", "")


def test_json_lines(run: Run, server: Server) -> None:
    """With --json each line in gets one object out, so that programs can chat."""
    result = run("chat", "--site", server.url, "--json", stdin="One\nTwo\n")
    texts = [answer["text"] for answer in result.objects]
    assert texts == ["Echo(1 msgs): One", "Echo(3 msgs): Two"]


def test_save_load_and_new(run: Run, server: Server, tmp_path: Path) -> None:
    """/save writes a conversation, /load and the argument continue it, /new starts another."""
    path = tmp_path / "talk.json"
    lines = f"One\n/save {path}\n/new\nTwo\n/load {path}\nThree\n"
    result = run("chat", "--site", server.url, stdin=lines)
    assert result.out.splitlines() == [
        "Echo(1 msgs): One",
        "Echo(1 msgs): Two",
        "Echo(3 msgs): Three",
    ]
    result = run("chat", str(path), "--site", server.url, stdin="Four\n")
    assert result.out == "Echo(3 msgs): Four\n"


def test_system_option(run: Run, server: Server) -> None:
    """--system is sent with each question, also after /new."""
    run("chat", "--site", server.url, "--system", "Be brief.", stdin="One\n/new\nTwo\n")
    for question in server.questions:
        assert question.json["messages"][0]["content"] == "Be brief."


def test_files_of_a_question(run: Run, server: Server, tmp_path: Path) -> None:
    """/file and --file send a file with the next question that succeeds, and only with it."""
    (tmp_path / "a.txt").write_text("a")
    server.answers(503)
    words = ["chat", "--site", server.url, "--file", str(tmp_path / "a.txt")]
    run(*words, stdin=f"/file {tmp_path / 'a.txt'}\nFails\nOne\nTwo\n")
    sent = [len(question.json.get("newFileIds", ())) for question in server.questions]
    assert sent == [2, 2, 0]


@pytest.mark.parametrize("line", ["/nope", "/file", "/file /no/such", "/load /no/such", "/save"])
def test_invalid_commands(run: Run, server: Server, line: str) -> None:
    """An invalid command is one line of error, and the conversation continues."""
    result = run("chat", "--site", server.url, stdin=f"{line}\n/etc/hosts is what?\n /new?\n")
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert result.out == "Echo(1 msgs): /etc/hosts is what?\nEcho(3 msgs): /new?\n"


def test_help_command(run: Run, server: Server) -> None:
    """/help lists every command of a conversation."""
    result = run("chat", "--site", server.url, stdin="/help\n")
    for command in ("/new", "/file", "/save", "/load", "/help", "/quit"):
        assert command in result.err


def test_conversation_continues_after_a_failure(run: Run, server: Server) -> None:
    """After a failed question the next one is asked; the exit status is still 1."""
    server.fails("No.")
    result = run("chat", "--site", server.url, stdin="One\nTwo\n")
    assert (result.status, result.out) == (1, "Echo(1 msgs): Two\n")


# ----------------------------------------------------------------------------------------- batch


def test_a_batch_of_lines(run: Run, server: Server, tmp_path: Path) -> None:
    """Each line is asked once; a second run asks only what failed."""
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\ufeffOne\n\nTwo\nThree\n", encoding="utf-8")
    server.answers(503)
    words = ["batch", str(source), "-o", str(out), "--site", server.url, "--workers", "1"]
    result = run(*words)
    assert result.status == 1
    assert "message 1: " in result.err
    assert "2 answered, 1 failed" in result.err
    assert run(*words).status == 0
    asked = [question.json["newMessage"] for question in server.questions]
    assert asked == ["One", "Two", "Three", "One"]


def test_a_batch_of_json(run: Run, server: Server, tmp_path: Path) -> None:
    """A JSON line is a string, an object with a message, or a list of messages."""
    messages = [{"role": "system", "content": "Hm"}, {"role": "user", "content": "C"}]
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(map(json.dumps, ["A\nb", {"message": "B"}, messages])))
    out = str(tmp_path / "out")
    result = run("batch", str(source), "-o", out, "--site", server.url, "--json")
    texts = {outcome["index"]: outcome["text"] for outcome in result.objects}
    assert texts == {0: "Echo(1 msgs): A\nb", 1: "Echo(1 msgs): B", 2: "Echo(1 msgs): C"}


def test_a_batch_from_standard_input(run: Run, server: Server, tmp_path: Path) -> None:
    """IN may be standard input, read as JSONL with --jsonl."""
    words = ["batch", "-", "-o", str(tmp_path / "out"), "--site", server.url]
    assert "2 answered" in run(*words, stdin="A\nB\n").err
    assert "1 answered" in run(*words, "--jsonl", stdin='"C"\n').err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_batch_from_a_named_pipe(run: Run, server: Server, tmp_path: Path) -> None:
    """IN may be a named pipe, as from ``<(...)`` in a shell, which can be read only once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    background(lambda: pipe.write_text("A\nB\n"))
    result = run("batch", str(pipe), "-o", str(tmp_path / "out"), "--site", server.url)
    assert "2 answered" in result.err


@pytest.mark.parametrize("line", ["{", "7", '{"question": "A"}'])
def test_a_batch_with_an_invalid_line(run: Run, server: Server, tmp_path: Path, line: str) -> None:
    """An invalid line is a usage error that names its number."""
    words = ["batch", "-", "--jsonl", "-o", str(tmp_path / "out"), "--site", server.url]
    result = run(*words, stdin=f'"A"\n{line}\n')
    assert result.status == 2
    assert "line 2 of IN" in result.err


def test_a_batch_without_tqdm(
    run: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch works without tqdm, and prints at most five failures."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    server.limits(1)
    words = ["batch", "-", "-o", str(tmp_path / "out"), "--site", server.url]
    result = run(*words, stdin="A\n" * 10)
    assert result.err.count("message ") == 5
    assert "1 answered, 9 failed" in result.err


def test_an_interrupted_batch(
    run: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends a batch with status 130 and a line that says how to continue."""

    def interrupted() -> Any:
        yield "A"
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "_read_questions", lambda *_: interrupted())
    result = run("batch", "-", "-o", str(tmp_path / "out"), "--site", server.url)
    assert result.status == 130
    assert "Run the same command again to continue." in result.err


# ----------------------------------------------------------------------------- without a terminal


def test_plain_without_rich(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets plain text where rich is not installed."""
    monkeypatch.setitem(sys.modules, "rich", None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main(["ask", "**Hi**", "--site", server.url]) == 0
    assert terminal.getvalue() == "Echo(1 msgs): **Hi**\n"


def test_chat_without_readline(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """`chat` works in a terminal without readline."""
    monkeypatch.setitem(sys.modules, "readline", None)
    result = run("chat", "--site", server.url, stdin=Terminal("One\n"))
    assert (result.status, result.out) == (0, "Echo(1 msgs): One\n")


def test_ctrl_c_with_piped_lines(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the questions come from a pipe, Ctrl-C ends the program."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(output, "_print_plain", interrupted)
    assert run("chat", "--site", server.url, stdin="One\nTwo\n").status == 130
    assert not server.questions


class Display:
    """Stands in for one of rich's displays, and records its calls."""

    def __init__(self, on_start: Callable[[], object]) -> None:
        self.on_start = on_start
        self.calls: List[str] = []

    def start(self) -> None:
        """Run the callback."""
        self.on_start()
        self.calls.append("started")

    def stop(self) -> None:
        """Record the call."""
        self.calls.append("stopped")


def test_ctrl_c_at_the_start_of_a_display() -> None:
    """Ctrl-C while a display starts is raised when it has started, and stops it."""
    display = Display(lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), output._running(display):
        display.calls.append("shown")
    assert display.calls == ["started", "stopped"]


def test_a_display_in_another_thread() -> None:
    """A display also works outside the main thread, where no signal handler can be set."""
    display = Display(lambda: None)

    def show() -> None:
        with output._running(display):
            display.calls.append("shown")

    background(show).result(SOON)
    assert display.calls == ["started", "shown", "stopped"]


def test_importing_main_runs_nothing() -> None:
    """Importing ``chatgpt4online.__main__``, as worker processes do, does not run the program."""
    importlib.import_module("chatgpt4online.__main__")
