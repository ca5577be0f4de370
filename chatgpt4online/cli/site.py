"""The commands about a site: ``bots`` and ``check`` inspect one, ``serve`` runs a test site."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Pattern, Tuple

from chatgpt4online._display import for_terminal
from chatgpt4online._protocol.routes import site_of
from chatgpt4online.types import Bot, Check, Health

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
    """Check whether sites work."""
    _validate_check(options)
    expected = _pattern(options.expect)
    clients = []
    for site in options.targets or [options.site]:
        options.site = site
        clients.append(connect(options, stack))
    levels = []
    for client in clients:
        health = client.check(ask=options.ask)
        health = _judge_answer(health, expected, options.max_seconds)
        levels.append(health.level)
        if options.json:
            print_json(_health_fields(client.site, health))
        else:
            heading = f"{client.site}\n" if len(clients) > 1 else ""
            print(for_terminal(heading + str(health)), flush=True)
    return ExitStatus.FAILURE if "failed" in levels else ExitStatus.SUCCESS


def _validate_check(options: argparse.Namespace) -> None:
    if options.targets and options.site:
        raise UsageError("give the site either as SITE or with --site, not both")
    if len(options.targets) > 1 and options.user:
        raise UsageError("--user logs in to one site: check the sites one by one")
    if options.ask is None and (options.expect is not None or options.max_seconds is not None):
        raise UsageError("--expect and --max-seconds need --ask")
    if options.max_seconds is not None and not options.max_seconds > 0:
        raise UsageError("--max-seconds must be more than 0")


def _pattern(expression: Optional[str]) -> Optional[Pattern[str]]:
    try:
        return None if expression is None else re.compile(expression, re.IGNORECASE)
    except re.error as error:
        raise UsageError(f"--expect is not a regular expression: {error}") from None


def _judge_answer(
    health: Health, expected: Optional[Pattern[str]], max_seconds: Optional[float]
) -> Health:
    """Return a site's health with further checks of its answer, if it has answered."""
    reply = health.reply
    if reply is None:
        return health
    checks = [*health.checks]
    if expected is not None:
        matches = expected.search(reply) is not None
        detail = f"the answer {'contains' if matches else 'does not contain'} {expected.pattern}"
        checks.append(Check("expected", "ok" if matches else "failed", detail, 0.0))
    if max_seconds is not None:
        seconds = reply.seconds or 0.0
        detail = f"the answer took {seconds:.2f} s; the limit is {max_seconds:g} s"
        checks.append(Check("in time", "ok" if seconds <= max_seconds else "failed", detail, 0.0))
    return replace(health, checks=tuple(checks))


def _health_fields(site: str, health: Health) -> Dict[str, Any]:
    """Return a site's health as it stands in JSON output."""
    reply = health.reply
    return {
        "site": site,
        "level": health.level,
        "checks": [vars(check) for check in health.checks],
        "text": None if reply is None else str(reply),
        "seconds": None if reply is None else reply.seconds,
        "first_seconds": None if reply is None else reply.first_seconds,
    }


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
