# PYTHON_ARGCOMPLETE_OK
"""
The command line: ``chatgpt4online --help``.

To add a command, write its options and help text in `options`, its ``run_...`` function in a module
of this package, and an entry in `COMMANDS`. Only this package and `_printing` print: answers go to
standard output, everything else to standard error.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Optional, Sequence

from chatgpt4online.errors import ChatGPT4OnlineError

from . import batch, chat, options, output, site
from .options import Command, UsageError
from .output import ExitStatus

__all__ = ["main"]

COMMANDS = (
    Command(
        name="ask",
        usage="[MESSAGE] [-] [options]",
        run=chat.run_ask,
        add_options=options.add_ask_options,
        summary="ask one question",
        description=options.ASK,
    ),
    Command(
        name="chat",
        usage="[CONVERSATION] [options]",
        run=chat.run_chat,
        add_options=options.add_chat_options,
        summary="have a conversation",
        description=options.CHAT,
    ),
    Command(
        name="batch",
        usage="IN -o OUT [options]",
        run=batch.run_batch,
        add_options=options.add_batch_options,
        summary="ask many questions, resumable",
        description=options.BATCH,
    ),
    Command(
        name="bots",
        usage="URL [options]",
        run=site.run_bots,
        add_options=options.add_bots_options,
        summary="list the chatbots on a page",
        description=options.BOTS,
    ),
    Command(
        name="check",
        usage="[SITE ...] [options]",
        run=site.run_check,
        add_options=options.add_check_options,
        summary="check whether a site works",
        description=options.CHECK,
    ),
    Command(
        name="serve",
        usage="[options]",
        run=site.run_serve,
        add_options=options.add_serve_options,
        summary="run a test site",
        description=options.SERVE,
    ),
)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """
    Run a command and return its exit status.

    Args:
        arguments: the command line after the program's name; None for that of the process.
    """
    output.prepare_streams()
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        output.discard(sys.stdout)  # the reader, such as head, has closed the pipe
        return ExitStatus.SUCCESS
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except UsageError as error:
        return output.report_usage_error(error)
    except OSError as error:
        output.discard(sys.stdout)  # which may be what cannot be written
        return output.report_error(error)
    except (ChatGPT4OnlineError, ValueError, TypeError) as error:
        return output.report_error(error)
    return status


def _run(words: Sequence[str]) -> int:
    parser = options.build_parser(COMMANDS)
    options.complete(parser)
    arguments = options.parse(parser, words, COMMANDS)
    with contextlib.ExitStack() as stack:
        if arguments.debug:
            stack.enter_context(output.debug_log())
        try:
            status: int = arguments.run(arguments, stack)
        except UsageError as error:
            error.parser = error.parser or arguments.parser
            raise
    return status
