"""The commands about a site: ``bots`` and ``check`` inspect one, ``serve`` runs a test site."""

from __future__ import annotations

import argparse
import contextlib
from time import sleep

from chatgpt4online._display import for_terminal
from chatgpt4online._protocol.routes import site_of
from chatgpt4online.types import Bot

from .connect import connect, start_test_site
from .options import UsageError
from .output import ExitStatus, print_json, report

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


def run_serve(_: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    """Run a test site until Ctrl-C."""
    url = start_test_site(stack)
    print(url, flush=True)
    report(f"try: chatgpt4online ask Hello --site {url} (press Ctrl-C to stop)")
    with contextlib.suppress(KeyboardInterrupt):
        _sleep_forever()
    return ExitStatus.SUCCESS


def _sleep_forever() -> None:
    while True:
        sleep(3600)  # unlike Event.wait, Ctrl-C interrupts it on Windows too
