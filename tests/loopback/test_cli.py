"""The commands ask, chat, serve and bots: what they send and print, and how they end."""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import shlex
import signal
import sys
import tempfile
import types
from pathlib import Path
from typing import Any, Callable, List

import pytest
from support import SOON, background
from support.commands import Run, Terminal

import chatgpt4online.__main__
from chatgpt4online import Client, Reply
from chatgpt4online._http import retry
from chatgpt4online.cli import COMMANDS, main, output, site
from chatgpt4online.testing import Server

# ------------------------------------------------------------------------------------------- ask


@pytest.mark.parametrize(
    ("words", "stdin", "question"),
    [
        (["One"], "", "One"),
        ([], "Two\nlines\n", "Two\nlines"),
        (["-"], "\ufeffTwo\r\n", "Two"),
        (["Sum up:", "-"], "a\nb\n", "Sum up:\n\na\nb"),
        (["-", "Sum up:"], "a\nb\n", "Sum up:\n\na\nb"),
        (["Sum up:", "--raw", "-"], "a\nb\n", "Sum up:\n\na\nb"),
        (["Sum up:", "-"], Terminal("a\nb\n"), "Sum up:\n\na\nb"),
        (["Sum up:"], "a\nb\n", "Sum up:"),
        (["Three"], Terminal(), "Three"),
    ],
)
def test_question_sources(
    run: Run, server: Server, words: List[str], stdin: Any, question: str
) -> None:
    """A question is the argument; with "-", standard input follows; without one, it is that."""
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
    """--json prints `Reply.to_dict()` as one line without control characters, and no error."""
    shortcuts = [{"data": {"label": "x"}}]
    server.says("A\x9b1m\x7f\n", "b", images=["https://a.b/c.png"], shortcuts=shortcuts)
    result = run("ask", "Hello", "--site", server.url, "--json")
    (answer,) = result.objects
    assert result.status == 0
    assert answer["text"] == "A\x9b1m\x7f\nb"
    assert answer["usage"]["total_tokens"] == 13
    assert answer["images"] == ["https://a.b/c.png"]
    assert answer["shortcuts"][0]["label"] == "x"
    assert answer["seconds"] >= answer["first_seconds"] > 0
    assert {*answer} == {*Reply().to_dict(), "error", "error_message"}
    assert answer["error"] is answer["error_message"] is None
    assert not {"\x9b", "\x7f"} & {*result.out}
    assert run("ask", "Hello", "--site", server.url, "--json").objects[0]["chat_id"]


def test_json_of_a_failure(run: Run, server: Server) -> None:
    """With --json a failure is an object too: error, error_message, and the text so far."""
    server.fails("No.", after=["Well"])
    result = run("ask", "Hello", "--site", server.url, "--json")
    (answer,) = result.objects
    assert (result.status, answer["error"], answer["text"]) == (1, "ReplyError", "Well")
    assert answer["error_message"].endswith("No.")


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
    """Without a terminal, a final answer that differs from the streamed text replaces it."""
    server.says("Helo", final="Hello")
    assert run("ask", "Hello", "--site", server.url) == (0, "Hello\n", "")


def test_image_urls(run: Run, server: Server) -> None:
    """URLs of images are printed unless the text contains them."""
    server.says(final="", images=["https://a.b/c.png"])
    server.says("![x](https://a.b/d.png)", images=["https://a.b/d.png"])
    assert run("ask", "Paint", "--site", server.url) == (0, "https://a.b/c.png\n", "")
    assert run("ask", "Paint", "--site", server.url).out == "![x](https://a.b/d.png)\n"


def test_an_empty_reply(run: Run, server: Server) -> None:
    """Nothing is printed for an empty reply."""
    server.says("")
    assert run("ask", "Hello", "--site", server.url) == (0, "", "")


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


@pytest.mark.parametrize(
    ("line", "usage", "message"),
    [
        ("Who are you?", "COMMAND", "unknown command 'Who'; did you mean: ask \"Who are you?\""),
        ("Who --site x", "COMMAND", 'did you mean: ask "Who"'),
        ("chek", "COMMAND", "did you mean: check"),
        ("--site x ask Who?", "COMMAND", "options follow the command"),
        ("", "COMMAND", "required: COMMAND"),
        ("ask", "ask [MESSAGE]", "no question given"),
        ("ask Who are you?", "ask [MESSAGE]", "put the question in quotes"),
        ("ask Who? --sit x", "ask [MESSAGE]", "unrecognized arguments: --sit"),
        ("ask Who? --timeout soon", "ask [MESSAGE]", "--timeout: invalid float"),
        ("batch in.txt", "batch IN -o OUT", "required: -o/--output"),
        ("check a --asc b", "check [SITE ...]", "unrecognized arguments: --asc"),
        ("serve --port 65536", "serve ", "65536 is not a port"),
        ("chat a.json --system Hm", "chat [CONVERSATION]", "--system cannot be combined"),
    ],
)
def test_usage_errors_show_the_usage(run: Run, line: str, usage: str, message: str) -> None:
    """A usage error shows how this command is used, and what was meant if that can be guessed."""
    result = run(*line.split())
    first, second = result.err.splitlines()
    assert result.status == 2
    assert first.startswith(f"usage: chatgpt4online {usage}")
    assert second.startswith("chatgpt4online: ")
    assert message in second


def test_other_errors_show_no_usage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is not about the command line is one line."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)
    assert run("ask", "Hello", "--site", "http://127.0.0.1:9").err.count("\n") == 1
    assert run("batch", "/no/such/file", "-o", "out", "--demo").err.count("\n") == 1


def test_completion(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that completes a command line gets the parser by argcomplete, and only then."""
    parsers: List[Any] = []
    module = types.ModuleType("argcomplete")
    monkeypatch.setattr(module, "autocomplete", parsers.append, raising=False)
    monkeypatch.setitem(sys.modules, "argcomplete", module)
    assert run("ask", "Hello", "--demo").status == 0
    assert not parsers
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    run("ask", "Hello", "--demo")
    assert parsers[0].prog == "chatgpt4online"


@pytest.mark.parametrize("module", [chatgpt4online.__main__, chatgpt4online.cli])
def test_the_mark_for_completion(module: types.ModuleType) -> None:
    """Argcomplete finds its mark at the beginning of the program, however it is started."""
    assert "PYTHON_ARGCOMPLETE_OK" in Path(str(module.__file__)).read_text(encoding="utf-8")[:1024]


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


def test_system_and_model_options(run: Run, server: Server) -> None:
    """--system and --model go with a question."""
    words = ["ask", "Hello", "--system", "Hm.", "--model", "fake-1", "--site", server.url]
    assert run(*words).status == 0
    (question,) = server.questions
    assert question.json["messages"][0]["content"] == "Hm."
    assert question.json["model"] == "fake-1"


def test_debug_shows_the_log(run: Run, server: Server) -> None:
    """--debug logs each request without the nonce, and restores logging afterwards."""
    result = run("ask", "Hello", "--site", server.url, "--debug")
    assert "chats/submit: 200" in result.err
    assert server.nonce not in result.err
    log = logging.getLogger("chatgpt4online")
    assert (log.level, log.handlers) == (logging.NOTSET, [])


def test_the_log_drives_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What --debug logs has no control characters, whoever put them into a message."""
    with output.debug_log():
        logging.getLogger("chatgpt4online").debug("moved to %s", "a\x1b[2Jb")
    assert capsys.readouterr().err.endswith("  moved to a[2Jb\n")


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


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return a function that sets what to do while `serve` runs, before Ctrl-C."""

    def serve(action: Callable[[], object]) -> None:
        def sleep(_: float) -> None:
            action()
            raise KeyboardInterrupt

        monkeypatch.setattr(site, "sleep", sleep)

    return serve


def free_port() -> int:
    """Return a port that nobody listens on."""
    with Server() as server:
        return int(server.url.rpartition(":")[2])


def test_serve_answers(run: Run, served: Any, tmp_path: Path) -> None:
    """`serve` answers from a file, such as the OUT of a batch, at a port of one's choice."""
    path, port = tmp_path / "answers.jsonl", free_port()
    turns = [{"role": "system", "content": "Hm."}, {"role": "user", "content": "B"}]
    answers: List[Any] = [{"message": "A", "text": "One"}, {"message": turns, "text": "Two"}]
    answers += [{"message": "A", "text": None, "error": "Timeout"}]
    path.write_text("\n\n".join(map(json.dumps, answers)), encoding="utf-8")
    texts: List[str] = []

    def ask() -> None:
        with Client(f"http://127.0.0.1:{port}") as client:
            texts.extend(map(client.chat, "ABC"))

    served(ask)
    result = run("serve", "--port", str(port), "--answers", str(path))
    assert (result.status, texts) == (0, ["One", "Two", "Echo(1 msgs): C"])
    assert result.out == f"http://127.0.0.1:{port}\n"


@pytest.mark.parametrize(
    "line", ["{", "[]", "7", "{}", '{"message": 7, "text": "x"}', '{"message": "x", "text": 7}']
)
def test_invalid_answers(run: Run, tmp_path: Path, line: str) -> None:
    """A line that is not an answer is named by its number."""
    path = tmp_path / "answers.jsonl"
    path.write_text(f'{{"message": "A", "text": "B"}}\n{line}\n')
    result = run("serve", "--answers", str(path))
    assert result.status == 2
    assert f'line 2 of {path}: expected {{"message": ..., "text": ...}}' in result.err


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


def test_confirmations(run: Run, server: Server, tmp_path: Path) -> None:
    """/file, /save and /load say what they have done."""
    talk, file = tmp_path / "talk.json", tmp_path / "a.txt"
    file.write_text("a")
    stdin = f"One\n/save {talk}\n/load {talk}\n/file {file}\n"
    assert run("chat", "--site", server.url, stdin=stdin).err.splitlines() == [
        f"chatgpt4online: saved to {talk}: 2 turns",
        f"chatgpt4online: loaded {talk}: 2 turns",
        f"chatgpt4online: {file} goes with the next question",
    ]


@pytest.mark.parametrize(
    ("stdin", "question"),
    [
        ('"""\nOne\n\n  two\n"""\n', "One\n\n  two"),
        ('"""One\ntwo"""\n', "One\ntwo"),
        ('"""One"""\n', "One"),
        ('"""\n/new\n"""  \n', "/new"),
    ],
)
def test_triple_quotes(run: Run, server: Server, stdin: str, question: str) -> None:
    """What stands between triple quotes is one question and never a command."""
    result = run("chat", "--site", server.url, stdin=stdin)
    assert result == (0, f"Echo(1 msgs): {question}\n", "")


def test_open_triple_quotes(run: Run, server: Server) -> None:
    """A question whose triple quotes are not closed is not sent."""
    result = run("chat", "--site", server.url, stdin='"""\nOne\n')
    assert result.status == 2
    assert "nothing closes it" in result.err
    assert not server.questions


def editor(tmp_path: Path, code: str) -> str:
    """Return the command of an editor that runs code with the path of the text as ``path``."""
    program = tmp_path / "an editor.py"
    program.write_text(f"import pathlib, sys\npath = pathlib.Path(sys.argv[1])\n{code}\n")
    return (
        f'"{sys.executable}" "{program}"'
        if os.name == "nt"
        else shlex.join([sys.executable, str(program)])
    )


@pytest.mark.parametrize("variable", ["VISUAL", "EDITOR"])
def test_edit(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """/edit asks what is written in the user's editor, which begins with the text given."""
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "/no/such/editor")
    monkeypatch.setenv(variable, editor(tmp_path, "path.write_text(path.read_text() + '\\nTwo')"))
    result = run("chat", "--site", server.url, stdin=Terminal("/edit One\n"))
    assert (result.status, result.out) == (0, "Echo(1 msgs): One\nTwo\n")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.exit(3)", "failed with status 3; nothing was asked"),
        ("", "the text is empty; nothing was asked"),
        ("path.unlink()", "No such file"),
        ("path.write_bytes(b'Caf\\xe9')", "the text is not valid UTF-8"),
    ],
)
def test_edit_without_a_text(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, message: str
) -> None:
    """If the editor gives no text, nothing is asked, and the conversation goes on."""
    monkeypatch.setenv("VISUAL", editor(tmp_path, code))
    result = run("chat", "--demo", stdin=Terminal("/edit\nHello\n"))
    assert message in result.err
    assert (result.status, result.out) == (0, "Echo(1 msgs): Hello\n")


def test_edit_leaves_no_file(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file that an editor was given is gone afterwards, even if the editor failed."""
    folder = tmp_path / "texts"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("VISUAL", editor(tmp_path, "sys.exit(len(path.parent.name))"))
    result = run("chat", "--demo", stdin=Terminal("/edit Private\n"))
    assert "failed with status 5" in result.err
    assert list(folder.iterdir()) == []


def test_edit_needs_a_terminal(run: Run) -> None:
    """/edit in a pipe is an error: an editor would read the questions."""
    result = run("chat", "--demo", stdin="/edit\n")
    assert (result.status, result.err) == (2, "chatgpt4online: /edit needs a terminal\n")


def test_an_undecodable_question_is_not_sent(run: Run) -> None:
    """A typed question that is not UTF-8 is not sent, and the conversation goes on."""
    result = run("chat", "--demo", stdin=Terminal("Caf\udce9\nHello\n"))
    assert "the question is not valid UTF-8: byte 0xe9" in result.err
    assert result.out == "Echo(1 msgs): Hello\n"


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


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        (["One\n", "two"], "One\ntwo\n"),
        (["One\n"], "One\n"),
        ([], "https://a.b/c.png\n"),
    ],
)
def test_plain_in_a_terminal(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    parts: List[str],
    shown: str,
) -> None:
    """Plain text in a terminal ends with one line end, and images are their URLs, unannounced."""
    server.says(*parts, images=[] if parts else ["https://a.b/c.png"])
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["ask", "Hi", "--raw", "--site", server.url]) == 0
    assert terminal.getvalue() == shown
    assert capsys.readouterr().err == ""


def test_a_failure_leaves_the_rendered_text(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a terminal, the text that came before a failure stays, rendered."""
    pytest.importorskip("rich")
    server.fails("No.", after=["**Well**"])
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert main(["ask", "Hi", "--site", server.url]) == 1
    last = terminal.getvalue().rpartition("\x1b[2K")[2]
    assert "Well" in last
    assert "**" not in last
    assert capsys.readouterr().err.endswith("No.\n")


def test_chat_without_readline(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """`chat` works in a terminal without readline."""
    monkeypatch.setitem(sys.modules, "readline", None)
    result = run("chat", "--site", server.url, stdin=Terminal("One\n"))
    assert (result.status, result.out) == (0, "Echo(1 msgs): One\n")


def test_ctrl_c_with_piped_lines(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the questions come from a pipe, Ctrl-C ends the program."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(output, "_print_at_end", interrupted)
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
