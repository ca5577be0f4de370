"""Answers in a notebook: `display`, and ``%%chat``, which ``%load_ext chatgpt4online`` brings."""

from __future__ import annotations

import argparse
import shlex
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, NoReturn, Optional

from ._display import for_markdown
from .client import Client
from .conversation import Conversation
from .errors import ChatGPT4OnlineError
from .types import Reply

if TYPE_CHECKING:
    from .stream import Stream

__all__ = ["display", "load", "unload"]

#: Seconds between two updates of a cell: a browser draws no faster, and each carries all the text.
_PAUSE = 0.1


def display(stream: Stream) -> Reply:
    """
    Show an answer in the notebook's cell while it comes, and return it.

    Interrupting the kernel stops the answer and frees its connection; what had come stays.

    Args:
        stream: as `Client.stream` and `Conversation.stream` give it.

    Raises:
        ImportError: IPython is not installed.
        ValueError: this is no notebook.
        ChatGPT4OnlineError: as reading the stream raises it.
    """
    ipython = _ipython()
    with stream:
        cell = ipython.display({"text/plain": "..."}, raw=True, display_id=True)
        shown = float("-inf")
        try:
            for _ in stream:
                if monotonic() - shown >= _PAUSE:
                    cell.update(_bundle(stream.text), raw=True)
                    shown = monotonic()
            reply = stream.result()
        except BaseException:
            cell.update(_bundle(stream.text), raw=True)
            raise
        cell.update(_bundle(reply), raw=True)
    return reply


def _ipython() -> Any:
    try:
        from IPython import display as ipython
        from IPython import get_ipython
    except ImportError:
        raise ImportError(
            "notebooks need IPython: pip install 'chatgpt4online[notebook]'"
        ) from None
    if get_ipython() is None:
        raise ValueError("there is no notebook to show an answer in: iterate over the stream")
    return ipython


def _bundle(text: str) -> Dict[str, str]:
    """Return a text as a notebook takes it: plain, and as Markdown without HTML."""
    return {"text/plain": text, "text/markdown": for_markdown(text)}


class _Options(NamedTuple):
    """The words after ``%%chat``."""

    new: bool
    system: Optional[str]
    site: Optional[str]
    bot: Optional[str]

    @property
    def is_change(self) -> bool:
        """Whether they ask for another conversation than the one under way."""
        return self.new or any(word is not None for word in (self.system, self.site, self.bot))


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes do not end the kernel."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong."""
        raise ValueError(f"{message}. {self.format_usage().strip()}")


def _options(line: str) -> _Options:
    parser = _Parser("%%chat", add_help=False, allow_abbrev=False)
    parser.add_argument("--new", action="store_true")
    for name in ("--system", "--site", "--bot"):
        parser.add_argument(name)
    return _Options(**vars(parser.parse_args(shlex.split(line))))


def _without_traceback(error: Any) -> None:
    """Let IPython show one line for an error: a cell of ``%%chat`` has no code to be traced."""
    line = ": ".join(filter(None, (type(error).__name__, str(error))))
    error._render_traceback_ = partial(list, (line,))  # which pickles, as the error does


class _Magic:
    """``%%chat``: the cell is the next question of a conversation that lasts from cell to cell."""

    def __init__(self) -> None:
        self._site: Optional[str] = None
        self._client: Optional[Client] = None
        self._talk: Optional[Conversation] = None

    def chat(self, line: str, cell: str) -> None:
        """
        Ask the chatbot what the cell says, in the conversation that the cells before began.

        ``%%chat [--new] [--system TEXT] [--site URL] [--bot ID]``

        Each option begins a new conversation. The site holds until another is given, the bot until
        another, or another site, is.
        """
        try:
            self._ask(_options(line), cell.strip())
        except (ChatGPT4OnlineError, ValueError, KeyboardInterrupt) as error:
            _without_traceback(error)
            raise

    def _ask(self, options: _Options, question: str) -> None:
        if not question:
            raise ValueError("the cell holds no question")
        display(self._conversation(options).stream(question))

    def _conversation(self, options: _Options) -> Conversation:
        """Return the conversation under way, or the one that the options ask for."""
        if self._client is None or options.site is not None or options.bot is not None:
            site = options.site or self._site
            client = Client(site, bot=options.bot)
            self.close()
            self._site, self._client = site, client
        if self._talk is None or options.is_change:
            self._talk = self._client.conversation(system=options.system)
        return self._talk

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
        self._client = self._talk = None


def load(shell: Any) -> None:
    """
    Give an IPython shell the magic ``%%chat``.

    Args:
        shell: IPython's, as ``%load_ext`` hands it on.
    """
    shell.register_magic_function(_Magic().chat, "cell", "chat")


def unload(shell: Any) -> None:
    """
    Take ``%%chat`` away again, and close its connections.

    Args:
        shell: IPython's, as ``%unload_ext`` hands it on.
    """
    shell.magics_manager.magics["cell"].pop("chat").__self__.close()
