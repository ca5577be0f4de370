"""
The command line: ``chatgpt4online --help``.

The one module that prints. Answers go to standard output, all else to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from time import sleep
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, TextIO, Tuple, Union

from . import _validation as validate
from ._display import for_markdown, for_terminal
from ._http.credentials import origin_of
from ._protocol.routes import site_of
from ._version import __version__
from .client import Client
from .conversation import Conversation
from .errors import ChatGPT4OnlineError
from .stream import Stream
from .types import Bot, Outcome, Reply

__all__ = ["main"]

Ask = Callable[[], Stream]
Show = Callable[[Ask], Reply]

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

_HISTORY = Path("~/.chatgpt4online_history")
_HISTORY_LINES = 1000
_FAILURES_SHOWN = 5

#: Seconds between two pieces of an embedded site's answer, about as a model writes.
_PACE = 0.04

#: Where an embedded site shows its chatbot.
_DEMO_PAGE = "/chat/"

_DESCRIPTION = """\
Ask the chatbots of WordPress sites that run AI Engine.

  chatgpt4online ask "Who are you?" --demo        try it without a network
  chatgpt4online ask "Hello" --site example.com   one question, one answer
  chatgpt4online chat --site example.com          a conversation
"""

_EPILOG = """\
environment:
  CHATGPT4ONLINE_SITE           the site, for want of --site
  CHATGPT4ONLINE_BOT            the bot's id, for want of --bot
  CHATGPT4ONLINE_USER           a WordPress user to act as, for want of --user
  CHATGPT4ONLINE_APP_PASSWORD   that user's application password
  NO_COLOR                      set to anything: no colours

exit status:
  0  done    1  the site failed    2  used wrongly    130  stopped by Ctrl-C
"""

_ASK = """\
Ask one question and show the answer while it comes. The question is the argument, standard input,
or both: the argument first.

  chatgpt4online ask "Why is the sky blue?"
  chatgpt4online ask "Sum this up in three lines:" < report.txt
  chatgpt4online ask "What is in this picture?" --file cat.jpg
  chatgpt4online ask "Ten words of French" --json | jq -r .text
"""

_CHAT = """\
Hold a conversation. Each question is sent with all turns before it. Ctrl-C stops an answer, /quit
or Ctrl-D ends the conversation; /help lists the commands. CONVERSATION is a file that /save wrote.

  chatgpt4online chat --system "Answer in French."
  chatgpt4online chat monday.json
"""

_BATCH = """\
Ask many questions side by side. IN has a question on each line; in a file that ends in .jsonl each
line is JSON: a string, {"message": string}, or a list of turns {"role": ..., "content": ...}.

Each outcome is a line of JSON in OUT as soon as it is known. The same command run again asks only
what is missing there or has failed.

  chatgpt4online batch questions.txt -o answers.jsonl
  chatgpt4online batch questions.txt -o answers.jsonl --workers 8
  jq -r .reply.text answers.jsonl
"""

_BOTS = """\
List the chatbots on a page of a site: their ids, kinds and names.

  chatgpt4online bots https://example.com/contact/
  chatgpt4online bots /contact/ --site example.com
"""

_CHECK = """\
Find out step by step whether a site can be reached, has AI Engine and lets visitors chat. With
--ask also whether its bot answers, and whether the answer comes as it is written; the site's owner
pays for that question.

  chatgpt4online check example.com
  chatgpt4online check example.com --ask
"""

_SERVE = """\
Run a site with AI Engine on this machine, for trying things out, until Ctrl-C. Its chatbot repeats
the question. Nothing leaves the machine.

  chatgpt4online serve
"""

_COMMANDS = """\
/new         begin a new conversation
/file PATH   send this file with the next question
/save PATH   write the conversation to a file
/load PATH   go on with a conversation from a file
/help        show this list
/quit        leave, as Ctrl-D does
A line that begins with a blank is a question, whatever follows."""


class UsageError(ValueError):
    """The command line asks for what cannot be."""


# ------------------------------------------------------------------------------ the ways in and out


def main(arguments: Optional[List[str]] = None) -> int:
    """
    Run a command, and return its exit status.

    Args:
        arguments: the command line's words; those of the process if None.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a narrow terminal encoding stops no answer
    try:
        options = _parser().parse_args(arguments)
        status: int = _run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()  # whoever read it, as head does, has had enough
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except ChatGPT4OnlineError as error:
        _tell(error)
        return FAILED
    except (ValueError, TypeError, OSError) as error:
        _tell(error)
        return MISUSED
    return status


def _run(options: argparse.Namespace) -> int:
    with contextlib.ExitStack() as stack:
        if options.debug:
            stack.enter_context(_log_shown())
        status: int = options.run(options, stack)
    return status


def _drop_output() -> None:
    """Let nothing be written to a pipe that is closed, not even when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(news: object) -> None:
    """Put one line on standard error."""
    line = " ".join(for_terminal(str(news)).split())
    print(f"chatgpt4online: {line}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _log_shown() -> Iterator[None]:
    """Show the package's log, which holds no secrets, on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(relativeCreated)6d ms  %(message)s"))
    log = logging.getLogger("chatgpt4online")
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def _parser() -> argparse.ArgumentParser:
    style: Dict[str, Any] = {
        "epilog": _EPILOG,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    parser = argparse.ArgumentParser("chatgpt4online", description=_DESCRIPTION, **style)
    parser.add_argument("--version", action="version", version=f"chatgpt4online {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name, (run, add_options, summary, description) in _TABLE.items():
        command = commands.add_parser(name, help=summary, description=description, **style)
        command.set_defaults(run=run)
        add_options(command)
    return parser


def _ask_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("message", nargs="?", metavar="MESSAGE", help="the question")
    _file_option(parser)
    _common_options(parser)


def _chat_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "conversation", nargs="?", metavar="CONVERSATION", help="a saved one to go on with"
    )
    parser.add_argument("--system", metavar="TEXT", help="what the model is told first")
    _file_option(parser)
    _common_options(parser)


def _batch_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="IN", help="a file of questions; - is standard input")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="where the outcomes go"
    )
    parser.add_argument("--jsonl", action="store_true", help="IN is JSONL, whatever its name")
    parser.add_argument(
        "--workers", type=int, default=4, metavar="N", help="questions under way at a time (4)"
    )
    _common_options(parser)


def _bots_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="the page, or its path on the site")
    _common_options(parser)


def _check_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", nargs="?", metavar="SITE", help="the site; --site says the same")
    parser.add_argument(
        "--ask", nargs="?", const="Say hello.", metavar="QUESTION", help="ask something too"
    )
    _common_options(parser)


def _serve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--debug", action="store_true", help="log to standard error")


def _file_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file", action="append", default=[], metavar="PATH", help="send a file along; repeatable"
    )


def _common_options(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("where to ask")
    where.add_argument("--site", metavar="URL", help="the site; by default chatgpt4online.org")
    where.add_argument("--bot", metavar="ID", help="the bot's id on that site")
    where.add_argument("--page", metavar="URL", help="ask the chatbot that is on this page")
    where.add_argument(
        "--user", metavar="NAME", help="act as this user; the password is the environment's"
    )
    where.add_argument("--demo", action="store_true", help="ask a site inside this program")
    how = parser.add_argument_group("how")
    how.add_argument("--json", action="store_true", help="print JSON, one object a line")
    how.add_argument("--raw", action="store_true", help="show Markdown as it is written")
    how.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="give up after such a silence"
    )
    how.add_argument(
        "--deadline", type=float, metavar="SECONDS", help="give up after so long in all"
    )
    how.add_argument("--debug", action="store_true", help="log to standard error, no secrets")


# ------------------------------------------------------------------------------------- the client


def _client(options: argparse.Namespace, stack: contextlib.ExitStack) -> Client:
    """Return the client that the options describe; the stack closes it."""
    settings: Dict[str, Any] = {"deadline": options.deadline}
    if options.timeout is not None:
        settings["timeout"] = options.timeout
    if options.demo:
        return stack.enter_context(Client(_demo(options, stack), bot="default", **settings))
    _check_place(options)
    login = _login(options)
    if login is not None:
        settings["auth"] = login
    if options.page:
        return stack.enter_context(Client.from_page(options.page, **settings))
    return stack.enter_context(Client(options.site, bot=options.bot, **settings))


def _check_place(options: argparse.Namespace) -> None:
    if options.page and (options.site or options.bot):
        raise UsageError("--page tells the site and the bot: leave out --site and --bot")
    if options.site and validate.login_in(options.site):
        raise UsageError(
            "a password on the command line can be seen by others on this machine: put it into the"
            " environment as CHATGPT4ONLINE_APP_PASSWORD, and name the user with --user"
        )


def _login(options: argparse.Namespace) -> Optional[Tuple[str, str]]:
    """
    Return the user and the password to act as; None leaves it to the client.

    A password in the environment is for the site in the environment, if there is one.
    """
    if options.user is None:
        return None
    password, theirs = validate.environment("APP_PASSWORD"), validate.environment("SITE")
    place = options.page or options.site
    if password is None:
        raise UsageError("--user needs CHATGPT4ONLINE_APP_PASSWORD in the environment")
    if theirs and place and _origin(theirs) != _origin(place):
        raise UsageError("CHATGPT4ONLINE_APP_PASSWORD is for the site in CHATGPT4ONLINE_SITE")
    return options.user, password


def _origin(place: str) -> object:
    return origin_of(validate.site_url(place))


def _demo(options: argparse.Namespace, stack: contextlib.ExitStack) -> str:
    """Start a site inside this program, and return its URL."""
    from .testing import Server

    if options.site or options.bot or options.page or options.user:
        raise UsageError("--demo has a site of its own: leave out --site, --bot, --page and --user")
    server = stack.enter_context(Server(pace=_PACE))
    server.page(_DEMO_PAGE, bots=["default"])
    return server.url


# ---------------------------------------------------------------------------------------- answers


def _show(options: argparse.Namespace) -> Show:
    """Return what shows an answer as it comes."""
    if options.json:
        return _show_json
    can_render = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if options.raw or not can_render or find_spec("rich") is None:
        return _show_plain
    return _show_rich


def _show_plain(ask: Ask) -> Reply:
    with ask() as stream:
        try:
            for piece in stream:
                print(for_terminal(piece), end="", flush=True)
            reply = stream.result()
        finally:
            if stream.text and not stream.text.endswith("\n"):
                print(flush=True)
    if _all_of(reply).strip() != stream.text.strip():
        if stream.text.strip():
            _tell("the site has changed its answer at the end, to this:")
        print(for_terminal(_all_of(reply)), flush=True)
    return reply


def _all_of(reply: Reply) -> str:
    """Return a reply's text, and the addresses of pictures that it does not name."""
    unnamed = [image.url for image in reply.images if image.url not in reply]
    return "\n\n".join(filter(None, [str(reply), *unnamed]))


def _show_json(ask: Ask) -> Reply:
    try:
        with ask() as stream:
            reply = stream.result()
    except ChatGPT4OnlineError as error:
        _print_json({"error": _error_fields(error), "text": error.text})
        raise
    _print_json(
        {
            "text": str(reply),
            "chat_id": reply.chat_id,
            "response_id": reply.response_id,
            "usage": reply.usage and vars(reply.usage),
            "images": [image.url for image in reply.images],
            "actions": [action.data for action in reply.actions],
            "shortcuts": [shortcut.data for shortcut in reply.shortcuts],
            "blocks": list(reply.blocks),
        }
    )
    return reply


def _error_fields(error: Exception) -> Dict[str, str]:
    return {"class": type(error).__name__, "message": str(error)}


def _print_json(value: Dict[str, Any]) -> None:
    print(json.dumps(value, default=dict), flush=True)


def _show_rich(ask: Ask) -> Reply:
    """Show rendered Markdown: its last lines while it comes, and all of it at the end."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with _surely_stopped(console.status("waiting for the answer")):
        stream = ask()
    with stream:
        text = None
        try:
            live = Live(_Tail(stream), console=console, transient=True, refresh_per_second=10)
            with _surely_stopped(live):
                reply = stream.result()
            text = _all_of(reply)
        finally:
            console.print(_rendered(stream.text if text is None else text))
    return reply


@contextlib.contextmanager
def _surely_stopped(display: Any) -> Iterator[None]:
    """Show one of rich's displays, and stop it wherever Ctrl-C strikes."""
    try:
        with _ctrl_c_waiting():
            display.start()
        yield
    finally:
        with _ctrl_c_waiting():
            display.stop()


@contextlib.contextmanager
def _ctrl_c_waiting() -> Iterator[None]:
    """Let Ctrl-C strike after the block only: a thread that is just started would break on it."""
    struck: List[int] = []
    usual = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or usual is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, _: struck.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if struck:
        raise KeyboardInterrupt


def _rendered(text: str) -> Any:
    from rich.markdown import Markdown

    # A link shows its address, so that its text cannot lie about it.
    return Markdown(for_markdown(for_terminal(text)), hyperlinks=False)


class _Tail:
    """The last lines of a growing answer, as many as the terminal can show and take back."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        """Yield the lines, for rich to draw."""
        from rich.segment import Segment

        # Lines that fill the terminal would be torn by the ^C that it shows itself.
        narrower = options.update(width=max(console.width - 3, 1))
        lines = console.render_lines(_rendered(self._stream.text), narrower, pad=False)
        for line in lines[-(console.size.height - 1) :]:
            yield from line
            yield Segment.line()


# ------------------------------------------------------------------------------------------- ask


def _ask(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    message = _message(options.message)
    client = _client(options, stack)
    _show(options)(lambda: client.stream(message, files=options.file))
    return DONE


def _message(argument: Optional[str]) -> str:
    """Return the question: the argument, what standard input holds, or both."""
    piped = "" if sys.stdin.isatty() else sys.stdin.read()
    parts = [part for part in (argument or "", piped.rstrip("\n")) if part.strip()]
    if not parts:
        raise UsageError('what is the question? chatgpt4online ask "Who are you?"')
    return "\n\n".join(parts)


# ------------------------------------------------------------------------------------------ chat


def _chat(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    if options.conversation and options.system is not None:
        raise UsageError("a saved conversation has its own beginning: leave out --system")
    client = _client(options, stack)
    talk = _Talk(client, _show(options), options)
    if sys.stdin.isatty():
        stack.enter_context(_line_editing())
        print(f"{client.site}: /help lists the commands, Ctrl-D leaves.", file=sys.stderr)
    for line in _lines():
        if not talk.take(line):
            break
    return DONE if sys.stdin.isatty() else talk.status


def _lines() -> Iterator[str]:
    """Yield what the user types, line by line."""
    if sys.stdin.isatty():
        yield from iter(_typed, None)
    else:
        yield from (line.rstrip("\n") for line in sys.stdin)


def _typed() -> Optional[str]:
    """Return the next line that is typed; None at Ctrl-D. Ctrl-C drops the line."""
    try:
        return input("> " if sys.stdout.isatty() else "")
    except KeyboardInterrupt:
        print("\n(Ctrl-D or /quit leaves)", file=sys.stderr)
        return ""
    except EOFError:
        print(file=sys.stderr)
        return None


@contextlib.contextmanager
def _line_editing() -> Iterator[None]:
    """Let input() edit lines and remember them, where Python has readline."""
    try:
        import readline
    except ImportError:  # Windows, whose console edits lines by itself
        yield
        return
    path = str(_HISTORY.expanduser())
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY_LINES)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(path)


class _Talk:
    """
    A conversation that a user types.

    Args:
        client: asks.
        show: shows an answer.
        options: the command line's, for what it begins with.
    """

    def __init__(self, client: Client, show: Show, options: argparse.Namespace) -> None:
        self.status = DONE
        self._client = client
        self._show = show
        self._system: Optional[str] = options.system
        self._files: List[str] = []
        self._new("")
        if options.conversation:
            self._load(options.conversation)
        for path in options.file:
            self._file(path)

    def take(self, line: str) -> bool:
        """Do what a line says; False if the user wants to leave."""
        word, _, rest = line.partition(" ")
        try:
            if word == "/quit":
                return False
            if word.startswith("/") and "/" not in word[1:]:
                self._command(word, rest.strip())
            elif line.strip():
                self._ask(line.strip())
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            _tell("stopped; this turn is not kept")
        except BrokenPipeError:
            raise
        except (ChatGPT4OnlineError, ValueError, OSError) as error:
            self.status = FAILED if isinstance(error, ChatGPT4OnlineError) else MISUSED
            _tell(error)
        return True

    def _command(self, word: str, rest: str) -> None:
        commands = {
            "/new": self._new,
            "/file": self._file,
            "/save": self._save,
            "/load": self._load,
            "/help": self._help,
        }
        if word not in commands:
            raise UsageError(f"there is no {word}; /help lists the commands")
        if not rest and word in ("/file", "/save", "/load"):
            raise UsageError(f"{word} needs a path")
        commands[word](rest)

    def _ask(self, question: str) -> None:
        self._show(lambda: self._talk.stream(question, files=self._files))
        self._files = []

    def _new(self, _: str) -> None:
        self._talk = self._client.conversation(system=self._system)

    def _file(self, path: str) -> None:
        if not Path(path).expanduser().is_file():
            raise UsageError(f"there is no file {path}")
        self._files = [*self._files, str(Path(path).expanduser())]

    def _save(self, path: str) -> None:
        self._talk.save(Path(path).expanduser())

    def _load(self, path: str) -> None:
        self._talk = Conversation.load(Path(path).expanduser(), self._client)

    def _help(self, _: str) -> None:
        print(_COMMANDS, file=sys.stderr)


# ----------------------------------------------------------------------------------------- batch


def _batch(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    questions = _questions(options, stack)
    outcomes = _client(options, stack).map(
        questions,
        workers=options.workers,
        ordered=False,
        progress=_has_bar(),
        journal=options.output,
    )
    try:
        return _summed_up(outcomes, options)
    except KeyboardInterrupt:
        _tell(f"stopped; {options.output} has what was answered. The same command goes on.")
        raise


def _has_bar() -> bool:
    return sys.stderr.isatty() and find_spec("tqdm") is not None


def _summed_up(outcomes: Iterable[Outcome], options: argparse.Namespace) -> int:
    """Wait for the outcomes, tell of failures and numbers, and return the exit status."""
    answered, failed = 0, 0
    failures: List[str] = []
    for outcome in outcomes:
        answered += outcome.error is None
        failed += outcome.error is not None
        if outcome.error is not None and failed <= _FAILURES_SHOWN:
            failures.append(f"message {outcome.index + 1}: {outcome.error}")
        if options.json:
            _print_json(_outcome_fields(outcome))
    for failure in failures:
        _tell(failure)
    _tell(f"{answered} answered, {failed} failed; {options.output} has the answers")
    return FAILED if failed else DONE


def _outcome_fields(outcome: Outcome) -> Dict[str, Any]:
    error = outcome.error
    return {
        "index": outcome.index,
        "message": outcome.message,
        "text": outcome.reply,
        "error": error and _error_fields(error),
    }


class _Questions:
    """The questions in a file, read as they are needed; their number is known before."""

    def __init__(self, path: str, parse: Callable[[str], Any]) -> None:
        self._path = path
        self._parse = parse
        with _opened(path) as file:
            self._count = sum(bool(line.strip()) for line in file)

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def __iter__(self) -> Iterator[Any]:
        """Yield each question."""
        with _opened(self._path) as file:
            yield from _parsed(file, self._parse)


def _opened(path: str) -> TextIO:
    return Path(path).open(encoding="utf-8-sig")


def _questions(options: argparse.Namespace, stack: contextlib.ExitStack) -> Iterable[Any]:
    is_json = options.jsonl or options.source.endswith((".jsonl", ".ndjson"))
    parse = _from_json if is_json else str.strip
    if options.source == "-":
        return _parsed(sys.stdin, parse)
    if Path(options.source).is_file():
        return _Questions(options.source, parse)
    return _parsed(stack.enter_context(_opened(options.source)), parse)  # a pipe is read once


def _parsed(lines: Iterable[str], parse: Callable[[str], Any]) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                question = parse(line)
            except ValueError as error:
                raise UsageError(f"line {number} of IN: {error}") from None
            yield question


def _from_json(line: str) -> Union[str, List[Any]]:
    value = json.loads(line)
    if isinstance(value, dict):
        value = value.get("message")
    if not isinstance(value, (str, list)):
        raise UsageError('it is neither a string, nor {"message": string}, nor a list of turns')
    return value


# -------------------------------------------------------------------------- bots, check and serve


def _bots(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    if "://" in options.url and not (options.site or options.page or options.demo):
        options.site = site_of(options.url)
    client = _client(options, stack)
    bots = client.bots(options.url)
    for bot in bots:
        if options.json:
            _print_json(vars(bot))
        else:
            print(for_terminal(_bot_line(bot)))
    if not bots:
        _tell("the page has no chatbot")
    return DONE if bots else FAILED


def _bot_line(bot: Bot) -> str:
    name = bot.id or f"{bot.custom_id} (of this page alone: use --page)"
    return "  ".join(filter(None, [name, bot.mode, bot.name]))


def _check(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    if options.place and options.site:
        raise UsageError("SITE and --site say the same: leave one out")
    options.site = options.site or options.place
    health = _client(options, stack).check(ask=options.ask)
    if options.json:
        for found in health.checks:
            _print_json(vars(found))
    else:
        print(for_terminal(str(health)))
    return DONE if health else FAILED


def _serve(_: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    from .testing import Server

    server = stack.enter_context(Server(pace=_PACE))
    server.page(_DEMO_PAGE, bots=["default"])
    print(server.url, flush=True)
    _tell(f"try: chatgpt4online ask Hello --site {server.url}    Ctrl-C ends this.")
    with contextlib.suppress(KeyboardInterrupt):
        _wait()
    return DONE


def _wait() -> None:
    while True:
        sleep(3600)  # in a loop, since Windows lets Ctrl-C interrupt nothing but this


Command = Callable[[argparse.Namespace, contextlib.ExitStack], int]
Options = Callable[[argparse.ArgumentParser], None]

_TABLE: Dict[str, Tuple[Command, Options, str, str]] = {
    "ask": (_ask, _ask_options, "ask one question", _ASK),
    "chat": (_chat, _chat_options, "hold a conversation", _CHAT),
    "batch": (_batch, _batch_options, "ask many questions, resumable", _BATCH),
    "bots": (_bots, _bots_options, "list the chatbots on a page", _BOTS),
    "check": (_check, _check_options, "find out whether a site works", _CHECK),
    "serve": (_serve, _serve_options, "run a site for trying things out", _SERVE),
}
