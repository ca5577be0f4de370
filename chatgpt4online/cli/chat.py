"""The commands ``ask``, one question, and ``chat``, a conversation."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

from chatgpt4online.client import Client
from chatgpt4online.conversation import Conversation
from chatgpt4online.errors import ChatGPT4OnlineError

from . import prompt
from .connect import connect, with_system
from .options import UsageError, check_encoding
from .output import ExitStatus, Printer, reply_printer, report, report_error

__all__ = ["run_ask", "run_chat"]


def run_ask(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    """Ask one question."""
    message = with_system(options.system, _message(options))
    client = connect(options, stack)
    reply_printer(options)(lambda: client.stream(message, files=options.file))
    return ExitStatus.SUCCESS


def _message(options: argparse.Namespace) -> str:
    """Return the question: the argument, standard input, or the one followed by the other."""
    parts = [options.message or ""]
    if options.stdin or (options.message is None and not sys.stdin.isatty()):
        parts.append(prompt.read_input().rstrip("\n"))
    else:
        prompt.note_unread_input()
    parts = [part for part in parts if part.strip()]
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
        stack.enter_context(prompt.line_editing())
        print(f"{client.site}: /help lists the commands, Ctrl-D leaves.", file=sys.stderr)
    for entry in prompt.entries():
        chat.handle(entry)
        if chat.is_over:
            break
    return ExitStatus.SUCCESS if sys.stdin.isatty() else chat.status


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

    def handle(self, entry: str) -> None:
        """Run an entry that is a command, or send it as a question. Errors are printed."""
        try:
            check_encoding(entry, "the question")
            if _is_command(entry.rstrip()):
                self._run_command(entry.rstrip())
            elif entry.strip():
                self._ask(entry.strip())
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            report("stopped; this exchange is not kept")
        except BrokenPipeError:
            raise
        except (ChatGPT4OnlineError, ValueError, OSError) as error:
            self.status = report_error(error)

    def _run_command(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        command = _COMMANDS.get(name)
        if command is None:
            raise UsageError(f"unknown command {name}; /help lists the commands")
        if command.argument == "PATH" and not argument.strip():
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
        file = prompt.expand(path)
        if not Path(file).is_file():
            raise UsageError(f"no such file: {path}")
        self._files = [*self._files, file]
        report(f"{file} goes with the next question")

    def save(self, path: str) -> None:
        """Write the conversation to a file."""
        file = prompt.expand(path)
        self._conversation.save(file)
        report(f"saved to {file}: {len(self._conversation.messages)} turns")

    def load(self, path: str) -> None:
        """Continue a conversation from a file."""
        file = prompt.expand(path)
        self._conversation = Conversation.load(file, self._client)
        report(f"loaded {file}: {len(self._conversation.messages)} turns")

    def edit(self, text: str) -> None:
        """Ask what the user writes in an editor."""
        if not sys.stdin.isatty():
            raise UsageError("/edit needs a terminal")
        question = prompt.edit(text).strip()
        if question:
            self._ask(question)
        else:
            report("the text is empty; nothing was asked")

    def help(self, _: str) -> None:
        """Print the commands."""
        for name, command in _COMMANDS.items():
            usage = f"{name} {command.argument}"
            print(f"{usage:<12} {command.summary}", file=sys.stderr)
        print(_HELP, file=sys.stderr)

    def quit(self, _: str) -> None:
        """End the conversation."""
        self.is_over = True


_HELP = """\
A pasted block is one question; so is the text between two \"\"\".
A line that begins with a space is always a question."""


def _is_command(entry: str) -> bool:
    """Return whether a line is a command rather than a question about a path such as /etc/hosts."""
    name = entry.partition(" ")[0]
    return name.startswith("/") and "/" not in name[1:] and "\n" not in entry


class _Command(NamedTuple):
    """A command of a conversation: what a line that begins with its name does."""

    run: Callable[[_Chat, str], None]
    #: The argument's name in /help; empty if the command takes none.
    argument: str
    summary: str


_COMMANDS: Dict[str, _Command] = {
    "/new": _Command(_Chat.new, "", "start a new conversation"),
    "/file": _Command(_Chat.attach, "PATH", "send this file with the next question"),
    "/edit": _Command(_Chat.edit, "[TEXT]", "write the question in $EDITOR"),
    "/save": _Command(_Chat.save, "PATH", "write the conversation to a file"),
    "/load": _Command(_Chat.load, "PATH", "continue a conversation from a file"),
    "/help": _Command(_Chat.help, "", "list the commands"),
    "/quit": _Command(_Chat.quit, "", "leave, same as Ctrl-D"),
}
