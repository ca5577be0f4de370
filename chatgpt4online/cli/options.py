"""Command-line options and help texts."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from itertools import takewhile
from typing import Any, Callable, List, NamedTuple, NoReturn, Optional, Sequence

from chatgpt4online._version import __version__

__all__ = [
    "ASK",
    "BATCH",
    "BOTS",
    "CHAT",
    "CHECK",
    "SERVE",
    "Command",
    "UsageError",
    "add_ask_options",
    "add_batch_options",
    "add_bots_options",
    "add_chat_options",
    "add_check_options",
    "add_serve_options",
    "build_parser",
    "check_encoding",
    "complete",
    "parse",
]

_DESCRIPTION = """\
Talk to the chatbots of WordPress sites that run AI Engine.

  chatgpt4online ask "Who are you?" --demo        try it without a network
  chatgpt4online ask "Hello" --site example.com   ask one question
  chatgpt4online chat --site example.com          have a conversation
"""

_EPILOG = """\
environment variables:
  CHATGPT4ONLINE_SITE           default for --site
  CHATGPT4ONLINE_BOT            default for --bot
  CHATGPT4ONLINE_USER           default for --user
  CHATGPT4ONLINE_APP_PASSWORD   application password of that user
  CHATGPT4ONLINE_TOKEN          token of the public API, which check tests
  NO_COLOR                      set to any value to turn colours off

exit status:
  0    success
  1    the site failed
  2    usage error
  130  interrupted by Ctrl-C
"""

ASK = """\
Ask one question and print the answer: in a terminal as it arrives, else when it is complete. The
question is MESSAGE; with -, standard input follows it. Without MESSAGE, it is standard input.

  chatgpt4online ask "Why is the sky blue?"
  chatgpt4online ask "Sum this up in three lines:" - < report.txt
  chatgpt4online ask "What is in this picture?" --file cat.jpg
  chatgpt4online ask "Ten words of French" --json | jq -r .text
"""

CHAT = """\
Have a conversation. Each question is sent together with the conversation so far. Ctrl-C stops an
answer, /quit or Ctrl-D ends the conversation, /help lists the commands. A pasted block is one
question; so is what stands between two \"\"\". CONVERSATION is a file written by /save.

  chatgpt4online chat --system "Answer in French."
  chatgpt4online chat monday.json
"""

BATCH = """\
Ask many questions concurrently. IN has one question per line. If its name ends in .jsonl or
.ndjson, each line is JSON: a string, a list of messages {"role": ..., "content": ...}, or an
object with "message" (a string) or "messages" (a list). The object's other keys appear in OUT as
"input".

Each outcome is written to OUT as one line of JSON as soon as it is known. Run the same command
again to ask only the questions that are missing there or have failed. With --ordered, OUT is sorted
like IN at the end.

  chatgpt4online batch questions.txt -o answers.jsonl
  chatgpt4online batch questions.txt -o answers.jsonl --workers 8
  jq -r .text answers.jsonl
"""

BOTS = """\
List the chatbots on a page: their ids, modes and names.

  chatgpt4online bots https://example.com/contact/
  chatgpt4online bots /contact/ --site example.com
"""

CHECK = """\
Check step by step whether sites can be reached, run AI Engine and let visitors chat. With --ask,
also check whether the bot answers and whether the answer is streamed; the site's owner pays for
that question. Each step is ok, a warning or failed; the exit status is 1 if one failed.

  chatgpt4online check example.com
  chatgpt4online check example.com shop.example.com --ask
  chatgpt4online check example.com --ask "When are you open?" --expect "9 (am|to)" --max-seconds 20
"""

SERVE = """\
Run a test site with AI Engine on this machine until Ctrl-C. Its chatbot repeats the question, or
answers from a file of JSON lines {"message": question, "text": answer}, such as the OUT of a batch.
Nothing leaves the machine.

  chatgpt4online serve
  chatgpt4online serve --port 8080 --answers answers.jsonl
"""


#: The surrogates that ``surrogateescape`` makes of bytes that cannot be decoded.
_UNDECODABLE = re.compile("[\udc80-\udcff]")


class UsageError(ValueError):
    """
    The command line is wrong.

    Args:
        message: what is wrong with it.
        parser: that of the command; None for the one that is running.
    """

    def __init__(self, message: str, parser: Optional[argparse.ArgumentParser] = None) -> None:
        super().__init__(message)
        self.parser = parser


class Command(NamedTuple):
    """A command of the program."""

    name: str
    #: Its arguments, for the line that begins with "usage:".
    usage: str
    #: Runs the command and returns its exit status. The stack is unwound when it has returned.
    run: Callable[[argparse.Namespace, contextlib.ExitStack], int]
    add_options: Callable[[argparse.ArgumentParser], None]
    #: One line for the list of commands.
    summary: str
    #: What ``--help`` says before the options, with examples.
    description: str


class _Parser(argparse.ArgumentParser):
    """A parser that raises."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError for this parser's command."""
        raise UsageError(message, self)


def build_parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    style: Any = {
        "epilog": _EPILOG,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    usage = "chatgpt4online COMMAND [options]"
    parser = _Parser("chatgpt4online", usage=usage, description=_DESCRIPTION, **style)
    parser.add_argument("--version", action="version", version=f"chatgpt4online {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for command in commands:
        usage = f"chatgpt4online {command.name} {command.usage}".replace("%", "%%")
        subparser = subparsers.add_parser(
            command.name,
            usage=usage,
            help=command.summary,
            description=command.description,
            **style,
        )
        subparser.set_defaults(run=command.run, parser=subparser)
        command.add_options(subparser)
    return parser


def parse(
    parser: argparse.ArgumentParser, words: Sequence[str], commands: Sequence[Command]
) -> argparse.Namespace:
    """
    Return the options of a command line.

    Raises:
        UsageError: it is wrong.
    """
    names = [command.name for command in commands]
    if words and words[0] not in (*names, "-h", "--help", "--version"):
        raise UsageError(_unknown_command(words, names), parser)
    options, extra = parser.parse_known_args(list(words))
    if extra:
        hint = "; put the question in quotes" if options.command == "ask" else ""
        options.parser.error(f"unrecognized arguments: {' '.join(extra)}{hint}")
    for name, where in (("message", "MESSAGE"), ("system", "--system")):
        check_encoding(getattr(options, name, None) or "", where)
    return options


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that completes a command line, if argcomplete is installed, and exit."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete  # only the shell's hook, which comes with it, sets that variable

        argcomplete.autocomplete(parser)


def _unknown_command(words: Sequence[str], names: List[str]) -> str:
    """Return what is wrong with a command line that does not begin with a command."""
    if words[0].startswith("-"):
        return "options follow the command, as in: chatgpt4online ask MESSAGE --site URL"
    from difflib import get_close_matches  # imported here because it is rarely needed

    question = " ".join(takewhile(lambda word: not word.startswith("-"), words))
    likely = get_close_matches(words[0], names, 1) or [f'ask "{question}"']
    return f"unknown command {words[0]!r}; did you mean: {likely[0]}"


def check_encoding(text: str, where: str) -> str:
    """
    Return a text that was decoded with ``surrogateescape``.

    Args:
        text: the text.
        where: what it is, for the error.

    Raises:
        ValueError: a byte could not be decoded.
    """
    match = _UNDECODABLE.search(text)
    if match:
        byte = ord(match.group()) - 0xDC00
        raise ValueError(
            f"{where} is not valid UTF-8: byte 0x{byte:02x} at character {match.start() + 1}."
            " Convert it to UTF-8 first."
        )
    return text


def add_ask_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ask``."""
    parser.add_argument("message", nargs="?", metavar="MESSAGE", help="the question")
    # An option, because argparse stops looking for a second positional at the first option.
    parser.add_argument("-", dest="stdin", action="store_true", help="also read standard input")
    _add_question_options(parser)
    _add_file_option(parser)
    _add_common_options(parser)


def add_chat_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``chat``."""
    parser.add_argument(
        "conversation", nargs="?", metavar="CONVERSATION", help="continue a saved conversation"
    )
    _add_question_options(parser)
    _add_file_option(parser)
    _add_common_options(parser)


def add_batch_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``batch``."""
    parser.add_argument("source", metavar="IN", help="file of questions; - for standard input")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="file to write the outcomes to"
    )
    parser.add_argument("--jsonl", action="store_true", help="read IN as JSONL, whatever its name")
    parser.add_argument(
        "--workers",
        type=int,
        default=4,
        metavar="N",
        help="number of concurrent questions (default: %(default)s)",
    )
    parser.add_argument(
        "--ordered", action="store_true", help="sort OUT like IN at the end; print in that order"
    )
    _add_question_options(parser)
    _add_common_options(parser)


def add_bots_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``bots``."""
    parser.add_argument("url", metavar="URL", help="URL of the page, or its path on the site")
    _add_common_options(parser)


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``check``."""
    parser.add_argument("targets", nargs="*", metavar="SITE", help="a site; same as --site")
    parser.add_argument(
        "--ask",
        nargs="?",
        const="Say hello.",
        metavar="QUESTION",
        help="also ask a question (default: %(const)s)",
    )
    parser.add_argument(
        "--expect", metavar="REGEX", help="fail unless the answer contains this; case is ignored"
    )
    parser.add_argument(
        "--max-seconds", type=float, metavar="SECONDS", help="fail if the answer takes longer"
    )
    _add_common_options(parser)


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``serve``."""
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="port to listen on (default: a free one)"
    )
    parser.add_argument("--answers", metavar="FILE", help="JSON lines with message and text")
    parser.add_argument("--debug", action="store_true", help="log to standard error")


def _add_question_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--system", metavar="TEXT", help="system prompt")
    parser.add_argument("--model", metavar="NAME", help="model, if the bot lets visitors choose")


def _add_file_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file", action="append", default=[], metavar="PATH", help="attach a file; repeatable"
    )


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    site = parser.add_argument_group("site and bot")
    site.add_argument("--site", metavar="URL", help="URL of the site (default: chatgpt4online.org)")
    site.add_argument("--bot", metavar="ID", help="id of the bot")
    site.add_argument("--page", metavar="URL", help="use the chatbot on this page")
    site.add_argument(
        "--user",
        metavar="NAME",
        help="log in as this WordPress user; the password is CHATGPT4ONLINE_APP_PASSWORD",
    )
    site.add_argument("--demo", action="store_true", help="use a built-in test site, no network")
    output = parser.add_argument_group("output and time limits")
    output.add_argument("--json", action="store_true", help="print JSON, one object per line")
    output.add_argument("--raw", action="store_true", help="print Markdown as it is")
    output.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="give up after a silence this long"
    )
    output.add_argument(
        "--deadline", type=float, metavar="SECONDS", help="give up after this long in total"
    )
    output.add_argument(
        "--debug", action="store_true", help="log to standard error, without secrets"
    )
