"""
The command line: ``chatgpt4online --help``.

To add a command, write its options and help text in `options`, its ``run_...`` function in a module
of this package, and an entry in `COMMANDS`. Only this package prints: answers go to standard
output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import List, Optional

from chatgpt4online.errors import ChatGPT4OnlineError

from . import batch, chat, options, output, site
from .options import Command
from .output import ExitStatus

__all__ = ["main"]

COMMANDS = (
    Command(
        name="ask",
        run=chat.run_ask,
        add_options=options.add_ask_options,
        summary="ask one question",
        description=options.ASK,
    ),
    Command(
        name="chat",
        run=chat.run_chat,
        add_options=options.add_chat_options,
        summary="have a conversation",
        description=options.CHAT,
    ),
    Command(
        name="batch",
        run=batch.run_batch,
        add_options=options.add_batch_options,
        summary="ask many questions, resumable",
        description=options.BATCH,
    ),
    Command(
        name="bots",
        run=site.run_bots,
        add_options=options.add_bots_options,
        summary="list the chatbots on a page",
        description=options.BOTS,
    ),
    Command(
        name="check",
        run=site.run_check,
        add_options=options.add_check_options,
        summary="check whether a site works",
        description=options.CHECK,
    ),
    Command(
        name="serve",
        run=site.run_serve,
        add_options=options.add_serve_options,
        summary="run a test site",
        description=options.SERVE,
    ),
)


def main(arguments: Optional[List[str]] = None) -> int:
    """
    Run a command and return its exit status.

    Args:
        arguments: the command line after the program's name; None for that of the process.
    """
    output.tolerate_encodings()
    try:
        status = _run(options.build_parser(COMMANDS).parse_args(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        output.discard_output()  # the reader, such as head, has closed the pipe
        return ExitStatus.SUCCESS
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except (ChatGPT4OnlineError, ValueError, TypeError, OSError) as error:
        return output.report_error(error)
    return status


def _run(arguments: argparse.Namespace) -> int:
    with contextlib.ExitStack() as stack:
        if arguments.debug:
            stack.enter_context(output.debug_log())
        status: int = arguments.run(arguments, stack)
    return status
