"""The commands about a site: ``bots`` and ``check`` inspect one, ``serve`` runs a test site."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Callable, Dict, Optional, Tuple

from chatgpt4online._display import for_terminal
from chatgpt4online._protocol.routes import site_of
from chatgpt4online.types import Bot

from .connect import connect, start_test_site
from .options import UsageError
from .output import ExitStatus, print_json, report
from .prompt import lines

if TYPE_CHECKING:
    from chatgpt4online.testing import Request

__all__ = ["run_bots", "run_check", "run_serve"]


def run_bots(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    """List the chatbots on a page."""
    if "://" in options.url and not (options.site or options.page or options.demo):
        options.site = site_of(options.url)
    bots = connect(options, stack).bots(options.url)
    for bot in bots:
        if options.json:
            print_json(vars(bot))
        else:
            print(for_terminal(_bot_line(bot)))
    if not bots:
        report("no AI Engine chatbot on this page")
    return ExitStatus.SUCCESS if bots else ExitStatus.FAILURE


def _bot_line(bot: Bot) -> str:
    name = bot.id or f"{bot.custom_id} (only on this page: use --page)"
    return "  ".join(filter(None, [name, bot.mode, bot.name]))


def run_check(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    """Check whether a site works."""
    if options.target and options.site:
        raise UsageError("give the site either as SITE or with --site, not both")
    options.site = options.site or options.target
    health = connect(options, stack).check(ask=options.ask)
    if options.json:
        for check in health.checks:
            print_json(vars(check))
    else:
        print(for_terminal(str(health)))
    return ExitStatus.SUCCESS if health else ExitStatus.FAILURE


def run_serve(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    """Run a test site until Ctrl-C."""
    if not 0 <= options.port < 1 << 16:
        raise UsageError(f"{options.port} is not a port")
    answers = None if options.answers is None else _read_answers(options.answers)
    url = start_test_site(stack, port=options.port, answer=answers)
    print(url, flush=True)
    report(f"try: chatgpt4online ask Hello --site {url} (press Ctrl-C to stop)")
    with contextlib.suppress(KeyboardInterrupt):
        _sleep_forever()
    return ExitStatus.SUCCESS


def _read_answers(path: str) -> Callable[[Request], Optional[str]]:
    """Return a function that finds the answer to a request in a file; None if there is none."""
    answers: Dict[str, str] = {}
    with Path(path).open(encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(lines(file, path), 1):
            if line.strip():
                try:
                    question, text = _parse_answer(line)
                except (ValueError, TypeError, LookupError, RecursionError):
                    raise ValueError(
                        f'line {number} of {path}: expected {{"message": ..., "text": ...}}'
                    ) from None
                if text is not None:  # else a batch got no answer
                    answers[question] = text
    return lambda request: answers.get(request.question.strip())


def _parse_answer(line: str) -> Tuple[str, Optional[str]]:
    value = json.loads(line)
    message, text = value["message"], value["text"]
    question = message if isinstance(message, str) else message[-1]["content"]
    if not isinstance(question, str) or not isinstance(text, (str, type(None))):
        raise TypeError
    return question.strip(), text


def _sleep_forever() -> None:
    while True:
        sleep(3600)  # unlike Event.wait, Ctrl-C interrupts it on Windows too
