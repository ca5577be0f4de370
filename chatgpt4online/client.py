"""The client: arguments, and one expression a method."""

from __future__ import annotations

from typing import Any, ContextManager, Dict, Mapping, Optional, Sequence, Union

import requests

from . import _arguments as check
from . import _wire
from ._arguments import Timeouts
from ._call import Call
from ._transport import Request, Transport
from .stream import Stream
from .types import Message, Reply

__all__ = ["Client"]


class Client:
    """
    A client of one site's chatbot. Threads may share it; so may a parent process and its forks.

    It pickles with its settings, without its connections and its nonce.

    Args:
        site: the URL of the WordPress site; a bare host gets ``https://``. By default the
            environment's ``CHATGPT4ONLINE_SITE``, or else https://chatgpt4online.org.
        bot: the bot's id on that site. By default the environment's ``CHATGPT4ONLINE_BOT``, or
            else ``default``.
        custom_id: the id of a bot that a page of the site defines.
        context_id: the id of the WordPress page that the bot stands on.
        model: the model to ask for, where the site's owner allows that.
        history: ``"messages"`` sends earlier turns beside the question; ``"prompt"`` flattens all
            turns into the question, as `format_prompt` does.
        headers: changes to what the site's own widget sends (`WIDGET_HEADERS`). None removes a
            header; a ``user-agent`` of yours removes the hints about the widget's browser.
        proxy: the URL of one proxy for every request. By default the environment's rules hold.
        timeout: the longest wait for a connection and the longest silence, in seconds: one number
            for both, or a pair. None is no limit.
        deadline: seconds for a whole call, its retries and its last piece included. None is no
            limit. Outside it are name resolution and, before an answer's headers, connections of
            a `session` of yours.
        retries: how often a request that cannot have run on the site is sent again.
        session: your own `requests.Session`, with your adapters, proxies, certificates and
            headers. It is never closed here, and nothing but its cookies is changed.

    Raises:
        ValueError: an argument cannot be used.
        TypeError: an argument is of the wrong kind.
    """

    def __init__(
        self,
        site: Optional[str] = None,
        *,
        bot: Optional[str] = None,
        custom_id: Optional[str] = None,
        context_id: Optional[int] = None,
        model: Optional[str] = None,
        history: str = "messages",
        headers: Optional[Mapping[str, Optional[str]]] = None,
        proxy: Optional[str] = None,
        timeout: Timeouts = (10, 330),
        deadline: Optional[float] = None,
        retries: int = 2,
        session: Optional[requests.Session] = None,
    ) -> None:
        self._settings: Dict[str, Any] = {
            "site": check.site_url(check.from_environment(site, "SITE", _wire.DEFAULT_SITE)),
            "bot": check.identifier(check.from_environment(bot, "BOT", _wire.DEFAULT_BOT), "bot"),
            "custom_id": check.optional(check.identifier, custom_id, "custom_id"),
            "context_id": check.optional(check.count, context_id, "context_id"),
            "model": check.optional(check.identifier, model, "model"),
            "history": check.one_of(history, ("messages", "prompt"), "history"),
            "headers": check.headers(headers),
            "proxy": check.proxy_url(proxy),
            "timeout": check.limits(timeout),
            "deadline": check.seconds(deadline, "deadline"),
            "retries": check.count(retries, "retries"),
            "session": check.session(session),
        }
        self.site: str = self._settings["site"]
        self.bot: str = self._settings["bot"]
        self._transport = Transport(
            self.site,
            session_headers=self._headers(accept="application/json", content_type=None),
            proxy=self._settings["proxy"],
            session=session,
            retries=retries,
        )

    def chat(
        self,
        message: Union[str, Sequence[Message]],
        *,
        messages: Sequence[Message] = (),
        chat_id: Optional[str] = None,
        model: Optional[str] = None,
        extra_body: Optional[Mapping[str, Any]] = None,
        timeout: Timeouts = None,
        deadline: Optional[float] = None,
    ) -> Reply:
        """
        Ask, and return the whole answer.

        Args:
            message: the question; or a whole history, whose last turn is the user's.
            messages: earlier turns, such as ``{"role": "assistant", "content": reply}``. The site
                remembers none by itself.
            chat_id: the id of the conversation, under which the site files it. By default a new
                one, which `Reply.chat_id` tells.
            model: as for the client.
            extra_body: further fields of the request, for what the site's owner allows.
            timeout: as for the client, in seconds; None is the client's.
            deadline: as for the client, in seconds; None is the client's.

        Raises:
            ValueError: something cannot be sent: an empty message, a wrong role, a closed client.
            TypeError: an argument is of the wrong kind.
            ReplyError: the plugin answered with a failure.
            ChatGPT4OnlineError: anything else that went wrong; see `chatgpt4online.errors`.

        Source: AI Engine 3.6.2, mwai-ui/v1/chats/submit.
        """
        return self.stream(
            message,
            messages=messages,
            chat_id=chat_id,
            model=model,
            extra_body=extra_body,
            timeout=timeout,
            deadline=deadline,
        ).result()

    def stream(
        self,
        message: Union[str, Sequence[Message]],
        *,
        messages: Sequence[Message] = (),
        chat_id: Optional[str] = None,
        model: Optional[str] = None,
        extra_body: Optional[Mapping[str, Any]] = None,
        timeout: Timeouts = None,
        deadline: Optional[float] = None,
    ) -> Stream:
        """
        Ask, and return the answer as it comes.

        The site sends nothing while the model thinks, and this waits for the first event.

        Args:
            message: as for `chat`.
            messages: as for `chat`.
            chat_id: as for `chat`.
            model: as for `chat`.
            extra_body: as for `chat`.
            timeout: as for `chat`, in seconds.
            deadline: as for `chat`, in seconds, to the answer's last piece.

        Raises:
            ValueError: as for `chat`.
            TypeError: as for `chat`.
            ReplyError: as for `chat`, if the failure comes before any text.
            ChatGPT4OnlineError: as for `chat`.

        Source: AI Engine 3.6.2, mwai-ui/v1/chats/submit.
        """
        settings = self._settings
        chat_id = _wire.new_chat_id() if chat_id is None else check.identifier(chat_id, "chat_id")
        body = _wire.question(
            _wire.conversation(message, messages),
            bot=None if settings["custom_id"] else self.bot,
            custom_id=settings["custom_id"],
            context_id=settings["context_id"],
            chat_id=chat_id,
            history=settings["history"],
            model=settings["model"] if model is None else model,
            extra_body=extra_body,
        )
        request = Request(_wire.CHAT, self._headers(), body)
        with self._calling(timeout, deadline) as call:
            return Stream(self._transport.send(request, call), chat_id)

    @property
    def nonce(self) -> str:
        """
        The site's REST nonce, fetched on first use.

        Source: AI Engine 3.6.2, mwai/v1/start_session.
        """
        with self._calling() as call:
            nonce = self._transport.ticket(call).nonce
            call.finish()
            return nonce

    def refresh_nonce(self) -> str:
        """
        Fetch a new nonce, and return it. Nobody needs to: a nonce that is refused is renewed.

        Raises:
            ChatGPT4OnlineError: the site gave none.

        Source: AI Engine 3.6.2, mwai/v1/start_session.
        """
        self._transport.nonce.forget()
        return self.nonce

    def close(self) -> None:
        """
        Close the connections. Calls under way in other threads end with `StreamInterrupted`.

        The client cannot be used again. Leaving its ``with`` block closes it too.
        """
        self._transport.close()

    def _calling(
        self, timeout: Timeouts = None, deadline: Optional[float] = None
    ) -> ContextManager[Call]:
        settings = self._settings
        return self._transport.calling(
            settings["timeout"] if timeout is None else check.limits(timeout),
            settings["deadline"] if deadline is None else check.seconds(deadline, "deadline"),
        )

    def _headers(self, **further: Optional[str]) -> Dict[str, Optional[str]]:
        return _wire.widget_headers(
            self._settings["headers"], accept_encoding="identity", **further
        )

    def __enter__(self) -> Client:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def __repr__(self) -> str:
        """Return the site and the bot; no secret."""
        return f"Client({self.site!r}, bot={self.bot!r})"

    def __getstate__(self) -> Dict[str, Any]:
        """Return the settings, which a pickle holds."""
        return self._settings

    def __setstate__(self, settings: Dict[str, Any]) -> None:
        """Begin anew with the settings of a pickle."""
        self.__init__(**settings)  # type: ignore[misc]
