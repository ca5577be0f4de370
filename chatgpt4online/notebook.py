"""Answers in notebooks: `display`, and the ``%%chat`` magic of ``%load_ext chatgpt4online``."""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, NamedTuple, NoReturn, Optional

from ._display import for_markdown, for_terminal
from ._http.deadlines import monotonic
from ._printing import print_deltas
from .client import Client
from .conversation import Conversation
from .errors import ChatGPT4OnlineError
from .types import Reply

if TYPE_CHECKING:
    from .stream import Stream

__all__ = ["display", "load", "unload"]

#: Seconds between two updates of a cell. Browsers draw no faster, and each update resends the text.
_UPDATE_INTERVAL = 0.1


def display(stream: Stream) -> Reply:
    """
    Show an answer as it arrives, and return it.

    In Jupyter and marimo, the cell is updated; in IPython in a terminal, the text is printed.
    Interrupting the kernel stops the answer and frees its connection. The text received so far
    stays in the cell.

    Args:
        stream: the stream that `Client.stream` or `Conversation.stream` returned.

    Raises:
        ImportError: IPython is not installed.
        ValueError: this is not a notebook or an IPython shell.
        ChatGPT4OnlineError: reading the stream failed.
    """
    if _in_marimo():
        return _update(stream, _update_marimo)
    ipython = _ipython()
    if _in_terminal(ipython):
        return print_deltas(stream, print)
    with stream:
        cell = ipython.display.display({"text/plain": "..."}, raw=True, display_id=True)
        return _update(stream, lambda text: cell.update(_mime_bundle(text), raw=True))


def _update(stream: Stream, show: Callable[[str], object]) -> Reply:
    """Show the text of a stream while it arrives, and the reply at the end."""
    with stream:
        next_update = float("-inf")
        try:
            for _ in stream:
                began = monotonic()
                if began >= next_update:
                    show(stream.text)
                    # A long text takes long to show. Most of the time is for reading.
                    ended = monotonic()
                    next_update = ended + max(_UPDATE_INTERVAL, 10 * (ended - began))
            reply = stream.result()
        except BaseException:
            show(stream.text)
            raise
        show(reply)
    return reply


def _in_marimo() -> bool:
    """Return whether this runs in a marimo notebook, which would have imported marimo."""
    marimo = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


def _update_marimo(text: str) -> None:
    import marimo

    marimo.output.replace(marimo.md(for_markdown(text)))


def _ipython() -> Any:
    try:
        import IPython
        import IPython.display
    except ImportError:
        raise ImportError("notebooks need IPython: pip install ipython") from None
    if IPython.get_ipython() is None:
        raise ValueError("not running in a notebook or IPython: iterate over the stream instead")
    return IPython


def _in_terminal(ipython: Any) -> bool:
    """Return whether the shell is IPython's own in a terminal, which would have been imported."""
    module = sys.modules.get("IPython.terminal.interactiveshell")
    return module is not None and isinstance(ipython.get_ipython(), module.TerminalInteractiveShell)


def _mime_bundle(text: str) -> Dict[str, str]:
    """Return a text as plain text and as Markdown without HTML, both without controls."""
    return {"text/plain": for_terminal(text), "text/markdown": for_markdown(text)}


class _ChatOptions(NamedTuple):
    """The options of ``%%chat``."""

    new: bool
    system: Optional[str]
    site: Optional[str]
    bot: Optional[str]

    @property
    def start_conversation(self) -> bool:
        """Whether to start a new conversation; any option does."""
        return self.new or any(value is not None for value in (self.system, self.site, self.bot))


class _ArgumentParser(argparse.ArgumentParser):
    """A parser whose errors do not end the kernel."""

    def error(self, message: str) -> NoReturn:
        """Raise ValueError instead of exiting."""
        raise ValueError(f"{message}. {self.format_usage().strip()}")


def _parse_options(line: str) -> _ChatOptions:
    parser = _ArgumentParser("%%chat", add_help=False, allow_abbrev=False)
    parser.add_argument("--new", action="store_true")
    for name in ("--system", "--site", "--bot"):
        parser.add_argument(name)
    return _ChatOptions(**vars(parser.parse_args(shlex.split(line))))


def _hide_traceback(error: Any) -> None:
    """Make IPython show an error as one line: a ``%%chat`` cell has no code to trace."""
    line = for_terminal(": ".join(filter(None, (type(error).__name__, str(error)))))
    error._render_traceback_ = partial(list, (line,))  # unlike a lambda, a partial can be pickled


class _ChatMagic:
    """The ``%%chat`` magic: each cell is the next question of one conversation."""

    def __init__(self) -> None:
        self._site: Optional[str] = None
        self._client: Optional[Client] = None
        self._conversation: Optional[Conversation] = None

    def chat(self, line: str, cell: str) -> None:
        """
        Ask the chatbot the question in this cell, continuing the conversation of earlier cells.

        ``%%chat [--new] [--system TEXT] [--site URL] [--bot ID]``

        Each option starts a new conversation. The site stays until you give another one; the bot
        stays until you give another bot or another site.
        """
        try:
            self._ask(_parse_options(line), cell.strip())
        except (ChatGPT4OnlineError, ValueError, KeyboardInterrupt) as error:
            _hide_traceback(error)
            raise

    def _ask(self, options: _ChatOptions, question: str) -> None:
        if not question:
            raise ValueError("the cell is empty")
        display(self._select_conversation(options).stream(question))

    def _select_conversation(self, options: _ChatOptions) -> Conversation:
        """Return the current conversation, or start the one that the options ask for."""
        if self._client is None or options.site is not None or options.bot is not None:
            site = options.site or self._site
            client = Client(site, bot=options.bot)
            self.close()
            self._site, self._client = site, client
        if self._conversation is None or options.start_conversation:
            self._conversation = self._client.conversation(system=options.system)
        return self._conversation

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
        self._client = self._conversation = None


def load(shell: Any) -> None:
    """
    Register the ``%%chat`` magic in an IPython shell.

    Args:
        shell: the shell that ``%load_ext`` passes on.
    """
    shell.register_magic_function(_ChatMagic().chat, "cell", "chat")


def unload(shell: Any) -> None:
    """
    Remove the ``%%chat`` magic and close its connections.

    Args:
        shell: the shell that ``%unload_ext`` passes on.
    """
    shell.magics_manager.magics["cell"].pop("chat").__self__.close()
