"""The client that the command-line options describe, and the built-in test site."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any, Dict, Optional, Sequence, Tuple, Union

from chatgpt4online import _settings
from chatgpt4online._http.credentials import origin_of
from chatgpt4online.client import Client
from chatgpt4online.types import Turn

from .options import UsageError

__all__ = ["Question", "connect", "start_test_site", "with_system"]

Question = Union[str, Sequence[Turn]]

#: Seconds between two deltas of the test site, about the pace of a model.
_PACE = 0.04

#: The test site's page with a chatbot.
_PAGE = "/chat/"


def connect(options: argparse.Namespace, stack: contextlib.ExitStack) -> Client:
    """Return a client for the options. Unwinding the stack closes it."""
    settings: Dict[str, Any] = {
        "deadline": options.deadline,
        "model": getattr(options, "model", None),
    }
    if options.timeout is not None:
        settings["timeout"] = options.timeout
    if options.demo:
        if options.site or options.bot or options.page or options.user:
            raise UsageError("--demo cannot be combined with --site, --bot, --page or --user")
        return stack.enter_context(Client(start_test_site(stack), bot="default", **settings))
    _check_site(options)
    login = _login(options)
    if login is not None:
        settings["auth"] = login
    if options.page:
        return stack.enter_context(Client.from_page(options.page, **settings))
    return stack.enter_context(Client(options.site, bot=options.bot, **settings))


def with_system(system: Optional[str], question: Question) -> Question:
    """Return a question after a system prompt, if there is one."""
    if system is None:
        return question
    turns = [{"role": "user", "content": question}] if isinstance(question, str) else question
    return [{"role": "system", "content": system}, *turns]


def start_test_site(stack: contextlib.ExitStack, **options: Any) -> str:
    """
    Start a test site and return its URL. Unwinding the stack stops it.

    Args:
        stack: what stops it.
        options: those of `chatgpt4online.testing.Server`.
    """
    from chatgpt4online.testing import Server

    server = stack.enter_context(Server(pace=_PACE, **options))
    server.page(_PAGE, bots=["default"])
    return server.url


def _check_site(options: argparse.Namespace) -> None:
    if options.page and (options.site or options.bot):
        raise UsageError("--page already names the site and the bot: omit --site and --bot")
    if options.site and _settings.login_from_url(options.site):
        raise UsageError(
            "a password on the command line is visible to other users of this machine: set"
            " CHATGPT4ONLINE_APP_PASSWORD in the environment and name the user with --user"
        )


def _login(options: argparse.Namespace) -> Optional[Tuple[str, str]]:
    """
    Return the user and the password; None leaves them to the client.

    If the environment names a site, its password is for that site only.
    """
    if options.user is None:
        return None
    password = _settings.environment("APP_PASSWORD")
    if password is None:
        raise UsageError("--user needs CHATGPT4ONLINE_APP_PASSWORD in the environment")
    site, default_site = options.page or options.site, _settings.environment("SITE")
    if site and default_site and _origin(site) != _origin(default_site):
        raise UsageError("CHATGPT4ONLINE_APP_PASSWORD belongs to the site in CHATGPT4ONLINE_SITE")
    return options.user, password


def _origin(site: str) -> object:
    return origin_of(_settings.site_url(site))
