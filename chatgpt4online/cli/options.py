"""Command-line options and help texts."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any, Callable, Iterable, NamedTuple

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
  NO_COLOR                      set to any value to turn colours off

exit status:
  0    success
  1    the site failed
  2    usage error
  130  interrupted by Ctrl-C
"""

ASK = """\
Ask one question and print the answer as it arrives. The question is MESSAGE, standard input, or
both: MESSAGE first.

  chatgpt4online ask "Why is the sky blue?"
  chatgpt4online ask "Sum this up in three lines:" < report.txt
  chatgpt4online ask "What is in this picture?" --file cat.jpg
  chatgpt4online ask "Ten words of French" --json | jq -r .text
"""

CHAT = """\
Have a conversation. Each question is sent together with the conversation so far. Ctrl-C stops an
answer, /quit or Ctrl-D ends the conversation, /help lists the commands. CONVERSATION is a file
written by /save.

  chatgpt4online chat --system "Answer in French."
  chatgpt4online chat monday.json
"""

BATCH = """\
Ask many questions concurrently. IN has one question per line. If its name ends in .jsonl or
.ndjson, each line is JSON: a string, {"message": string}, or a list of messages
{"role": ..., "content": ...}.

Each outcome is written to OUT as one line of JSON as soon as it is known. Run the same command
again to ask only the questions that are missing there or have failed.

  chatgpt4online batch questions.txt -o answers.jsonl
  chatgpt4online batch questions.txt -o answers.jsonl --workers 8
  jq -r .reply.text answers.jsonl
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
Run a test site with AI Engine on this machine until Ctrl-C. Its chatbot repeats the question.
Nothing leaves the machine.

  chatgpt4online serve
"""


class UsageError(ValueError):
    """The command line is wrong."""


class Command(NamedTuple):
    """A command of the program."""

    name: str
    #: Runs the command and returns its exit status. The stack is unwound when it has returned.
    run: Callable[[argparse.Namespace, contextlib.ExitStack], int]
    add_options: Callable[[argparse.ArgumentParser], None]
    #: One line for the list of commands.
    summary: str
    #: What ``--help`` says before the options, with examples.
    description: str


def build_parser(commands: Iterable[Command]) -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    style: Any = {
        "epilog": _EPILOG,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    parser = argparse.ArgumentParser("chatgpt4online", description=_DESCRIPTION, **style)
    parser.add_argument("--version", action="version", version=f"chatgpt4online {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for command in commands:
        subparser = subparsers.add_parser(
            command.name, help=command.summary, description=command.description, **style
        )
        subparser.set_defaults(run=command.run)
        command.add_options(subparser)
    return parser


def add_ask_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ask``."""
    parser.add_argument("message", nargs="?", metavar="MESSAGE", help="the question")
    _add_file_option(parser)
    _add_common_options(parser)


def add_chat_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``chat``."""
    parser.add_argument(
        "conversation", nargs="?", metavar="CONVERSATION", help="continue a saved conversation"
    )
    parser.add_argument("--system", metavar="TEXT", help="system prompt")
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
    parser.add_argument("--debug", action="store_true", help="log to standard error")


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
