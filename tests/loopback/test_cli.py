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

from chatgpt4online import cli
from chatgpt4online.cli import main
from chatgpt4online.testing import Server


class Done(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> List[Any]:
        """The JSON on its lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Done]


class Terminal(io.StringIO):
    """What is typed into a terminal, line by line."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs a command line, its standard input given."""

    def run(*words: str, stdin: Any = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        try:
            status = main(list(words))
        except SystemExit as end:
            status = int(end.code or 0)
        return Done(status, *capsys.readouterr())

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
def test_where_a_question_comes_from(
    run: Run, server: Server, words: List[str], stdin: Any, question: str
) -> None:
    """A question is the argument, standard input, or the one and then the other."""
    done = run("ask", *words, "--site", server.url, stdin=stdin)
    assert done == (0, f"Echo(1 msgs): {question}\n", "")


@pytest.mark.parametrize("stdin", ["", "\n", Terminal()])
def test_no_question(run: Run, server: Server, stdin: Any) -> None:
    """Without a question nothing is asked, and the line says how to."""
    done = run("ask", "--site", server.url, stdin=stdin)
    assert done.status == 2
    assert 'chatgpt4online ask "Who are you?"' in done.err
    assert not server.requests


def test_json_is_one_object(run: Run, server: Server) -> None:
    """With --json a script gets all of an answer on one line, safe for a terminal too."""
    shortcuts = [{"data": {"label": "x"}}]
    server.says("A\x9b1m\n", "b", images=["https://a.b/c.png"], shortcuts=shortcuts)
    done = run("ask", "Hello", "--site", server.url, "--json")
    (answer,) = done.objects
    assert done.status == 0
    assert answer["text"] == "A\x9b1m\nb"
    assert answer["usage"]["total_tokens"] == 13
    assert answer["images"] == ["https://a.b/c.png"]
    assert answer["shortcuts"] == [{"label": "x"}]
    assert "\x9b" not in done.out
    assert run("ask", "Hello", "--site", server.url, "--json").objects[0]["chat_id"]


def test_json_of_a_failure(run: Run, server: Server) -> None:
    """With --json a failure is an object too, with what had been answered."""
    server.fails("No.", after=["Well"])
    done = run("ask", "Hello", "--site", server.url, "--json")
    (answer,) = done.objects
    assert (done.status, answer["error"]["class"], answer["text"]) == (1, "ReplyError", "Well")


def test_a_failure_is_one_line(run: Run, server: Server) -> None:
    """A failure is one line on standard error that obeys no reply; what had come stays."""
    server.fails("\x1b[2JNo\nnever.", after=["Well"])
    done = run("ask", "Hello", "--site", server.url)
    assert (done.status, done.out) == (1, "Well\n")
    assert done.err.startswith(f"chatgpt4online: {server.url} ")
    assert done.err.endswith("[2JNo never.\n")
    assert done.err.count("\n") == 1
    assert "\x1b" not in done.err


def test_a_failure_without_text(run: Run, server: Server) -> None:
    """Where nothing had been answered, nothing is printed."""
    server.answers(503)
    assert run("ask", "Hello", "--site", server.url).out == ""


def test_a_reply_drives_no_terminal(run: Run, server: Server) -> None:
    """Plain text holds no escape sequence, however its pieces are cut, with --raw too."""
    for _ in range(2):
        server.says("A\x1b", "[31mB\x07\tC\n")
    done = run("ask", "Hello", "--site", server.url)
    assert done.out == run("ask", "Hello", "--site", server.url, "--raw").out
    assert "\x1b" not in done.out
    assert done.out.startswith("A[31mB\tC\n")


def test_a_changed_answer(run: Run, server: Server) -> None:
    """Where the final answer is not what was streamed, it is shown, and that is said."""
    server.says("Helo", final="Hello")
    done = run("ask", "Hello", "--site", server.url)
    assert done.out == "Helo\nHello\n"
    assert "changed its answer" in done.err


def test_pictures(run: Run, server: Server) -> None:
    """The addresses of pictures are shown when the text does not name them."""
    server.says(final="", images=["https://a.b/c.png"])
    server.says("![x](https://a.b/d.png)", images=["https://a.b/d.png"])
    assert run("ask", "Paint", "--site", server.url) == (0, "https://a.b/c.png\n", "")
    assert run("ask", "Paint", "--site", server.url).out == "![x](https://a.b/d.png)\n"


def test_files_go_along(run: Run, server: Server, tmp_path: Path) -> None:
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
        ["check", "example.com", "--site", "example.com"],
        ["batch", "/no/such/file", "-o", "out"],
        ["bots", "nowhere", "--demo"],
        [],
    ],
)
def test_wrong_use(run: Run, words: List[str]) -> None:
    """What cannot be is told in words and with status 2, and asks no site."""
    done = run(*words)
    assert (done.status, done.out) == (2, "")
    assert done.err
    assert "secret" not in done.err


def test_help_has_examples(run: Run) -> None:
    """Every command's help shows how it is used, and what decides beside the options."""
    for command in cli._TABLE:
        done = run(command, "--help")
        assert f"  chatgpt4online {command}" in done.out
        assert "CHATGPT4ONLINE_SITE" in done.out
        assert max(map(len, done.out.splitlines())) <= 100
    assert run("--version").out.startswith("chatgpt4online ")


def test_time_limits(run: Run, server: Server) -> None:
    """--timeout and --deadline end an answer that does not come."""
    for option in ("--timeout", "--deadline"):
        server.stalls(after=["Hm"])
        done = run("ask", "Hello", "--site", server.url, option, "0.2")
        assert (done.status, done.out) == (1, "Hm\n")


def test_debug_shows_the_log(run: Run, server: Server) -> None:
    """--debug logs what is done, no nonce, and leaves logging as it was."""
    done = run("ask", "Hello", "--site", server.url, "--debug")
    assert "chats/submit: 200" in done.err
    assert server.nonce not in done.err
    log = logging.getLogger("chatgpt4online")
    assert (log.level, log.handlers) == (logging.NOTSET, [])


def test_demo_needs_no_site(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """--demo asks a site of its own, whatever the environment names."""
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", "https://example.com")
    monkeypatch.setenv("CHATGPT4ONLINE_BOT", "theirs")
    assert run("ask", "Hello", "--demo") == (0, "Echo(1 msgs): Hello\n", "")
    assert run("bots", "/chat/", "--demo").out.startswith("default")


# ------------------------------------------------------------------------------- who and where


def test_a_user_of_the_site(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """--user acts as that user, whose password only the environment tells."""
    server.user("ada", "abcd efgh")
    monkeypatch.setenv("CHATGPT4ONLINE_APP_PASSWORD", "abcd efgh")
    done = run("check", "--site", server.url, "--user", "ada")
    assert "as a user" in done.out


def test_a_password_stays_with_its_site(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password is not sent to another site than the environment names beside it."""
    monkeypatch.setenv("CHATGPT4ONLINE_APP_PASSWORD", "abcd efgh")
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", "https://example.com")
    done = run("ask", "Hello", "--site", server.url, "--user", "ada")
    assert done.status == 2
    assert "CHATGPT4ONLINE_SITE" in done.err
    assert not server.requests


def test_the_bot_on_a_page(run: Run, server: Server) -> None:
    """--page asks the chatbot that a page has, though it is of that page alone."""
    server.bot("mine", custom=True)
    server.page("/talk/", bots=["mine"])
    done = run("ask", "Hello", "--page", f"{server.url}/talk/")
    assert done.out == "Echo(1 msgs): Hello\n"
    assert server.questions[-1].json["customId"] == "mine"
    assert "--page" in run("bots", f"{server.url}/talk/").out


def test_bots_of_a_page(run: Run, server: Server) -> None:
    """`bots` lists them in lines or objects; a page without any is a failure."""
    server.bot("a", name="Ann")
    server.page("/talk/", bots=["a", "default"])
    assert [line.split()[0] for line in run("bots", f"{server.url}/talk/").out.splitlines()] == [
        "a",
        "default",
    ]
    done = run("bots", "/talk/", "--site", server.url, "--json")
    assert [bot["id"] for bot in done.objects] == ["a", "default"]
    server.page("/none/")
    assert run("bots", f"{server.url}/none/").status == 1


def test_check(run: Run, server: Server) -> None:
    """`check` prints what it found; its status says whether all is well."""
    assert run("check", server.url).status == 0
    assert not server.questions
    done = run("check", server.url, "--ask", "--json")
    assert [found["name"] for found in done.objects][-2:] == ["answer", "streaming"]
    assert run("check", "http://127.0.0.1:9").status == 1


# ------------------------------------------------------------------------------------------ chat


def test_lines_are_questions(run: Run, server: Server) -> None:
    """Piped lines are questions of one conversation; empty ones are not."""
    done = run("chat", "--site", server.url, stdin="One\n\n Two\n/quit\nThree\n")
    assert done == (0, "Echo(1 msgs): One\nEcho(3 msgs): Two\n", "")


def test_json_lines(run: Run, server: Server) -> None:
    """With --json a program can talk: a line in, an object out."""
    done = run("chat", "--site", server.url, "--json", stdin="One\nTwo\n")
    assert [answer["text"] for answer in done.objects] == ["Echo(1 msgs): One", "Echo(3 msgs): Two"]


def test_saved_and_continued(run: Run, server: Server, tmp_path: Path) -> None:
    """/save writes a conversation, /load and the argument go on with it, /new begins anew."""
    path = tmp_path / "talk.json"
    lines = f"One\n/save {path}\n/new\nTwo\n/load {path}\nThree\n"
    done = run("chat", "--site", server.url, stdin=lines)
    assert done.out.splitlines() == [
        "Echo(1 msgs): One",
        "Echo(1 msgs): Two",
        "Echo(3 msgs): Three",
    ]
    done = run("chat", str(path), "--site", server.url, stdin="Four\n")
    assert done.out == "Echo(3 msgs): Four\n"


def test_what_the_model_is_told_first(run: Run, server: Server) -> None:
    """--system is sent with each question, after /new too."""
    run("chat", "--site", server.url, "--system", "Be brief.", stdin="One\n/new\nTwo\n")
    for question in server.questions:
        assert question.json["messages"][0]["content"] == "Be brief."


def test_files_of_a_question(run: Run, server: Server, tmp_path: Path) -> None:
    """/file and --file send a file with the next question that is answered, and no later one."""
    (tmp_path / "a.txt").write_text("a")
    server.answers(503)
    words = ["chat", "--site", server.url, "--file", str(tmp_path / "a.txt")]
    run(*words, stdin=f"/file {tmp_path / 'a.txt'}\nFails\nOne\nTwo\n")
    sent = [len(question.json.get("newFileIds", ())) for question in server.questions]
    assert sent == [2, 2, 0]


@pytest.mark.parametrize("line", ["/nope", "/file", "/file /no/such", "/load /no/such", "/save"])
def test_wrong_commands(run: Run, server: Server, line: str) -> None:
    """A command that cannot be done is told, and the conversation goes on."""
    done = run("chat", "--site", server.url, stdin=f"{line}\n/etc/hosts is what?\n /new?\n")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert done.out == "Echo(1 msgs): /etc/hosts is what?\nEcho(3 msgs): /new?\n"


def test_help_in_a_conversation(run: Run, server: Server) -> None:
    """/help lists every command."""
    done = run("chat", "--site", server.url, stdin="/help\n")
    for command in ("/new", "/file", "/save", "/load", "/help", "/quit"):
        assert command in done.err


def test_a_conversation_goes_on_after_a_failure(run: Run, server: Server) -> None:
    """A failure is told; the next question is asked all the same, and the status remembers."""
    server.fails("No.")
    done = run("chat", "--site", server.url, stdin="One\nTwo\n")
    assert (done.status, done.out) == (1, "Echo(1 msgs): Two\n")


# ----------------------------------------------------------------------------------------- batch


def test_a_batch_of_lines(run: Run, server: Server, tmp_path: Path) -> None:
    """Each line is asked once; a second run asks only what failed, and says so."""
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\ufeffOne\n\nTwo\nThree\n", encoding="utf-8")
    server.answers(503)
    words = ["batch", str(source), "-o", str(out), "--site", server.url, "--workers", "1"]
    done = run(*words)
    assert done.status == 1
    assert "message 1: " in done.err
    assert "2 answered, 1 failed" in done.err
    assert run(*words).status == 0
    asked = [question.json["newMessage"] for question in server.questions]
    assert asked == ["One", "Two", "Three", "One"]


def test_a_batch_of_json(run: Run, server: Server, tmp_path: Path) -> None:
    """Lines of JSON are strings, objects with a message, or lists of turns; --json tells each."""
    turns = [{"role": "system", "content": "Hm"}, {"role": "user", "content": "C"}]
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(map(json.dumps, ["A\nb", {"message": "B"}, turns])))
    out = str(tmp_path / "out")
    done = run("batch", str(source), "-o", out, "--site", server.url, "--json")
    texts = {found["index"]: found["text"] for found in done.objects}
    assert texts == {0: "Echo(1 msgs): A\nb", 1: "Echo(1 msgs): B", 2: "Echo(1 msgs): C"}


def test_a_batch_from_standard_input(run: Run, server: Server, tmp_path: Path) -> None:
    """IN may be standard input, JSONL if --jsonl says so."""
    words = ["batch", "-", "-o", str(tmp_path / "out"), "--site", server.url]
    assert "2 answered" in run(*words, stdin="A\nB\n").err
    assert "1 answered" in run(*words, "--jsonl", stdin='"C"\n').err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_batch_from_a_pipe(run: Run, server: Server, tmp_path: Path) -> None:
    """IN may be a pipe, such as a shell makes of ``<(...)``: it can be read once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    background(lambda: pipe.write_text("A\nB\n"))
    done = run("batch", str(pipe), "-o", str(tmp_path / "out"), "--site", server.url)
    assert "2 answered" in done.err


@pytest.mark.parametrize("line", ["{", "7", '{"question": "A"}'])
def test_a_batch_with_a_wrong_line(run: Run, server: Server, tmp_path: Path, line: str) -> None:
    """A line that is no question is named, with status 2."""
    words = ["batch", "-", "--jsonl", "-o", str(tmp_path / "out"), "--site", server.url]
    done = run(*words, stdin=f'"A"\n{line}\n')
    assert done.status == 2
    assert "line 2 of IN" in done.err


def test_a_batch_without_a_bar(
    run: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without tqdm a batch does its work all the same; only a few failures are told singly."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    server.limits(1)
    words = ["batch", "-", "-o", str(tmp_path / "out"), "--site", server.url]
    done = run(*words, stdin="A\n" * 10)
    assert done.err.count("message ") == 5
    assert "1 answered, 9 failed" in done.err


def test_an_interrupted_batch(
    run: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends a batch with status 130, and says that the same command goes on."""

    def interrupted() -> Any:
        yield "A"
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_questions", lambda *_: interrupted())
    done = run("batch", "-", "-o", str(tmp_path / "out"), "--site", server.url)
    assert done.status == 130
    assert "The same command goes on" in done.err


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


def test_typed_without_readline(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversation can be typed where Python has no readline."""
    monkeypatch.setitem(sys.modules, "readline", None)
    done = run("chat", "--site", server.url, stdin=Terminal("One\n"))
    assert (done.status, done.out) == (0, "Echo(1 msgs): One\n")


def test_ctrl_c_where_lines_are_piped(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody types, Ctrl-C ends the whole program."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_show_plain", interrupted)
    assert run("chat", "--site", server.url, stdin="One\nTwo\n").status == 130
    assert not server.questions


class Display:
    """A display as rich's are, and what happens when it starts."""

    def __init__(self, at_start: Callable[[], object]) -> None:
        self.at_start = at_start
        self.seen: List[str] = []

    def start(self) -> None:
        """Do what happens at the start."""
        self.at_start()
        self.seen.append("started")

    def stop(self) -> None:
        """Be stopped."""
        self.seen.append("stopped")


def test_ctrl_c_at_the_start_of_a_display() -> None:
    """Ctrl-C strikes after a display has started its thread, which would break; it is stopped."""
    display = Display(lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), cli._surely_stopped(display):
        display.seen.append("shown")
    assert display.seen == ["started", "stopped"]


def test_a_display_in_another_thread() -> None:
    """A thread that Ctrl-C cannot strike shows answers as well."""
    display = Display(lambda: None)

    def show() -> None:
        with cli._surely_stopped(display):
            display.seen.append("shown")

    background(show).result(SOON)
    assert display.seen == ["started", "shown", "stopped"]


def test_importing_the_program_runs_nothing() -> None:
    """Worker processes that import the program do not start it again."""
    importlib.import_module("chatgpt4online.__main__")
