"""The commands ``ask``, one question, and ``chat``, a conversation."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional

from chatgpt4online.client import Client
from chatgpt4online.conversation import Conversation
from chatgpt4online.errors import ChatGPT4OnlineError

from .connect import connect
from .options import UsageError
from .output import ExitStatus, Printer, reply_printer, report, report_error

__all__ = ["run_ask", "run_chat"]

_HISTORY_FILE = Path("~/.chatgpt4online_history")
_HISTORY_LENGTH = 1000


def run_ask(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    """Ask one question."""
    message = _message(options.message)
    client = connect(options, stack)
    reply_printer(options)(lambda: client.stream(message, files=options.file))
    return ExitStatus.SUCCESS


def _message(argument: Optional[str]) -> str:
    """Return the question: the argument, standard input, or both."""
    standard_input = "" if sys.stdin.isatty() else sys.stdin.read()
    parts = [part for part in (argument or "", standard_input.rstrip("\n")) if part.strip()]
    if not parts:
        raise UsageError('no question given; try: chatgpt4online ask "Who are you?"')
    return "\n\n".join(parts)


def run_chat(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    """Have a conversation, typed or piped in."""
    if options.conversation and options.system is not None:
        raise UsageError("--system cannot be combined with a saved conversation")
    client = connect(options, stack)
    chat = _Chat(client, reply_printer(options), options)
    if sys.stdin.isatty():
        stack.enter_context(_line_editing())
        print(f"{client.site}: /help lists the commands, Ctrl-D leaves.", file=sys.stderr)
    for line in _input_lines():
        chat.handle(line)
        if chat.is_over:
            break
    return ExitStatus.SUCCESS if sys.stdin.isatty() else chat.status


def _input_lines() -> Iterator[str]:
    """Yield the user's lines, without their ends."""
    if sys.stdin.isatty():
        yield from iter(_prompt, None)
    else:
        yield from (line.rstrip("\n") for line in sys.stdin)


def _prompt() -> Optional[str]:
    """Return the next line that is typed; None at Ctrl-D. Ctrl-C discards the line."""
    try:
        return input("> " if sys.stdout.isatty() else "")
    except KeyboardInterrupt:
        print("\n(press Ctrl-D or type /quit to leave)", file=sys.stderr)
        return ""
    except EOFError:
        print(file=sys.stderr)
        return None


@contextlib.contextmanager
def _line_editing() -> Iterator[None]:
    """Give input() line editing and a history that is kept, if Python has readline."""
    try:
        import readline
    except ImportError:  # on Windows, where the console itself edits lines
        yield
        return
    path = str(_HISTORY_FILE.expanduser())
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY_LENGTH)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(path)


class _Chat:
    """
    A conversation at the prompt.

    Args:
        client: asks the questions.
        print_reply: prints an answer.
        options: the options of ``chat``.
    """

    def __init__(self, client: Client, print_reply: Printer, options: argparse.Namespace) -> None:
        self.status = ExitStatus.SUCCESS
        self.is_over = False
        self._client = client
        self._print_reply = print_reply
        self._system: Optional[str] = options.system
        self._files: List[str] = []
        self.new()
        if options.conversation:
            self.load(options.conversation)
        for path in options.file:
            self.attach(path)

    def handle(self, line: str) -> None:
        """Run a line that is a command, or send it as a question. Errors are printed."""
        try:
            if _is_command(line):
                self._run_command(line)
            elif line.strip():
                self._ask(line.strip())
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            report("stopped; this turn is not kept")
        except BrokenPipeError:
            raise
        except (ChatGPT4OnlineError, ValueError, OSError) as error:
            self.status = report_error(error)

    def _run_command(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        command = _COMMANDS.get(name)
        if command is None:
            raise UsageError(f"unknown command {name}; /help lists the commands")
        if command.argument and not argument.strip():
            raise UsageError(f"{name} needs a path")
        command.run(self, argument.strip())

    def _ask(self, question: str) -> None:
        self._print_reply(lambda: self._conversation.stream(question, files=self._files))
        self._files = []

    def new(self, _: str = "") -> None:
        """Start a new conversation."""
        self._conversation = self._client.conversation(system=self._system)

    def attach(self, path: str) -> None:
        """Send a file with the next question."""
        file = Path(path).expanduser()
        if not file.is_file():
            raise UsageError(f"no such file: {path}")
        self._files = [*self._files, str(file)]

    def save(self, path: str) -> None:
        """Write the conversation to a file."""
        self._conversation.save(Path(path).expanduser())

    def load(self, path: str) -> None:
        """Continue a conversation from a file."""
        self._conversation = Conversation.load(Path(path).expanduser(), self._client)

    def help(self, _: str) -> None:
        """Print the commands."""
        for name, command in _COMMANDS.items():
            usage = f"{name} {command.argument}"
            print(f"{usage:<12} {command.summary}", file=sys.stderr)
        print("A line that begins with a space is always a question.", file=sys.stderr)

    def quit(self, _: str) -> None:
        """End the conversation."""
        self.is_over = True


def _is_command(line: str) -> bool:
    """Return whether a line is a command rather than a question about a path such as /etc/hosts."""
    name = line.partition(" ")[0]
    return name.startswith("/") and "/" not in name[1:]


class _Command(NamedTuple):
    """A command of a conversation: what a line that begins with its name does."""

    run: Callable[[_Chat, str], None]
    #: The argument's name in /help; empty if the command takes none.
    argument: str
    summary: str


_COMMANDS: Dict[str, _Command] = {
    "/new": _Command(_Chat.new, "", "start a new conversation"),
    "/file": _Command(_Chat.attach, "PATH", "send this file with the next question"),
    "/save": _Command(_Chat.save, "PATH", "write the conversation to a file"),
    "/load": _Command(_Chat.load, "PATH", "continue a conversation from a file"),
    "/help": _Command(_Chat.help, "", "list the commands"),
    "/quit": _Command(_Chat.quit, "", "leave, same as Ctrl-D"),
}
