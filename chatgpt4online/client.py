"""The client: arguments, and one expression a method."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
)

import requests

from . import _validation as validate
from ._health import examine
from ._http import discovery
from ._http.credentials import basic, bearer, origin_of
from ._http.request import Request, Settings
from ._http.transport import Transport
from ._protocol import routes
from ._protocol.request import (
    build_history,
    chat_body,
    file_fields,
    new_chat_id,
    shortcut_fields,
)
from ._validation import Timeouts, type_name
from .conversation import Conversation
from .discussions import Discussions
from .files import Files, Source, read_files, upload_all
from .public_api import PublicAPI
from .stream import Stream
from .types import Bot, Discussion, File, Health, Message, Reply, Shortcut, Turn

if TYPE_CHECKING:
    import os
    from concurrent.futures import Executor
    from typing import SupportsIndex

    from .batch import Outcomes

__all__ = ["Client"]

C = TypeVar("C", bound="Client")


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
        auth: a user and an application password of WordPress, to act as that user. By default
            those in the site's URL, or else the environment's ``CHATGPT4ONLINE_USER`` and
            ``CHATGPT4ONLINE_APP_PASSWORD`` if the site is the environment's too.
        token: the bearer token of the site's public API, for `api` alone. By default the
            environment's ``CHATGPT4ONLINE_TOKEN`` if the site is the environment's too.
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
        auth: Optional[Tuple[str, str]] = None,
        token: Optional[str] = None,
        model: Optional[str] = None,
        history: str = "messages",
        headers: Optional[Mapping[str, Optional[str]]] = None,
        proxy: Optional[str] = None,
        timeout: Timeouts = (10, 330),
        deadline: Optional[float] = None,
        retries: int = 2,
        session: Optional[requests.Session] = None,
    ) -> None:
        place = validate.from_environment(site, "SITE", routes.DEFAULT_SITE)
        address = validate.site_url(place)
        environment = validate.environment if _is_environments(address) else _nothing
        self._settings: Dict[str, Any] = {
            "site": address,
            "bot": validate.identifier(
                validate.from_environment(bot, "BOT", routes.DEFAULT_BOT), "bot"
            ),
            "custom_id": validate.optional(validate.identifier, custom_id, "custom_id"),
            "context_id": validate.optional(validate.count, context_id, "context_id"),
            "auth": validate.login(auth) or validate.login_in(place) or _login(environment),
            "token": validate.token(environment("TOKEN") if token is None else token),
            "model": validate.optional(validate.identifier, model, "model"),
            "history": validate.one_of(history, ("messages", "prompt"), "history"),
            "headers": validate.headers(headers),
            "proxy": validate.proxy_url(proxy),
            "timeout": validate.limits(timeout),
            "deadline": validate.seconds(deadline, "deadline"),
            "retries": validate.count(retries, "retries"),
            "session": validate.session(session),
        }
        self._page_context = _PageContext(None, None)
        self._start()

    def _start(self) -> None:
        settings = self._settings
        login = settings["auth"] and basic(settings["auth"], self.site)
        names = ("site", "headers", "proxy", "timeout", "deadline", "retries", "session")
        self._transport = Transport(
            Settings(login=login, **{name: settings[name] for name in names}),
            root=None if self._page_context.bot is None else self._page_context.bot.rest_url,
            page=self._page_context.page,
        )

    @classmethod
    def from_page(cls, url: str, index: int = 0, **options: Any) -> Client:
        """
        Return a client of a chatbot that a page has.

        Args:
            url: the page's URL.
            index: which of its chatbots, counted from 0.
            options: those of the class, but for the site and the bot, which the page tells.

        Raises:
            ValueError: the page has no such chatbot, or an option cannot be used.
            TypeError: an option is of the wrong kind, or is not known.
            ChatGPT4OnlineError: the page cannot be had.

        Source: AI Engine 3.6.2, `data-system` and `data-params` of a page.
        """
        validate.count(index, "index")
        with cls(routes.site_of(validate.page_url(url)), **options) as visitor:
            bots = visitor.bots(url)
        if index >= len(bots):
            raise ValueError(f"the page has {len(bots)} chatbots; there is no number {index}")
        return cls._of(bots[index], url, options)

    @classmethod
    def _of(cls, bot: Bot, page: str, options: Dict[str, Any]) -> Client:
        if not routes.is_same_site(page, bot.site):
            raise ValueError(f"the chatbot belongs to another site, {bot.site}: ask that one")
        if {"auth", "token"}.intersection(options) and origin_of(page) != origin_of(bot.site):
            raise ValueError(f"give a login only to a page of the chatbot's own site, {bot.site}")
        client = cls(
            bot.site, bot=bot.id, custom_id=bot.custom_id, context_id=bot.context_id, **options
        )
        client._page_context = _PageContext(page, bot)
        client._start()
        return client

    @property
    def site(self) -> str:
        """The URL of the site."""
        return str(self._settings["site"])

    @property
    def bot(self) -> str:
        """The id of the bot."""
        return str(self._settings["bot"])

    @property
    def custom_id(self) -> Optional[str]:
        """The id of a bot that a page defines, or None."""
        custom_id: Optional[str] = self._settings["custom_id"]
        return custom_id

    @property
    def context_id(self) -> Optional[int]:
        """The id of the WordPress page with the bot, or None."""
        context_id: Optional[int] = self._settings["context_id"]
        return context_id

    @property
    def model(self) -> Optional[str]:
        """The model to ask for, or None for the bot's own."""
        model: Optional[str] = self._settings["model"]
        return model

    def chat(
        self,
        message: Union[str, Shortcut, Sequence[Turn]],
        *,
        messages: Sequence[Turn] = (),
        chat_id: Optional[str] = None,
        files: Sequence[Union[File, Source]] = (),
        model: Optional[str] = None,
        extra_body: Optional[Mapping[str, Any]] = None,
        timeout: Timeouts = None,
        deadline: Optional[float] = None,
    ) -> Reply:
        """
        Ask, and return the whole answer.

        Args:
            message: the question; a shortcut that an answer offered, which is then clicked; or a
                whole history, whose last turn is the user's.
            messages: earlier turns, such as ``{"role": "assistant", "content": reply}``. The site
                remembers none by itself.
            chat_id: the id of the conversation, under which the site files it. By default a new
                one, which `Reply.chat_id` tells.
            files: what goes with the question: uploaded files, their ids, or paths and open
                binary files, which are uploaded first.
            model: as for the client.
            extra_body: further fields of the request, for what the site's owner allows.
            timeout: as for the client, in seconds; None is the client's.
            deadline: as for the client, in seconds; None is the client's.

        Raises:
            ValueError: something cannot be sent: an empty message, one that is longer than the
                bot is known to take, a wrong role, a file over 100 MB, a closed client.
            OSError: a file cannot be read.
            TypeError: an argument is of the wrong kind.
            ReplyError: the plugin answered with a failure.
            ChatGPT4OnlineError: anything else that went wrong; see `chatgpt4online.errors`.

        Source: AI Engine 3.6.2, mwai-ui/v1/chats/submit.
        """
        return self.stream(
            message,
            messages=messages,
            chat_id=chat_id,
            files=files,
            model=model,
            extra_body=extra_body,
            timeout=timeout,
            deadline=deadline,
        ).result()

    def stream(
        self,
        message: Union[str, Shortcut, Sequence[Turn]],
        *,
        messages: Sequence[Turn] = (),
        chat_id: Optional[str] = None,
        files: Sequence[Union[File, Source]] = (),
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
            files: as for `chat`.
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
        chat_id = new_chat_id() if chat_id is None else validate.identifier(chat_id, "chat_id")
        history = build_history(message, messages, has_files=bool(files))
        contents = read_files(files)
        question = partial(self._question, history, chat_id, model, extra_body)
        shortcut = shortcut_fields(message)
        body = question(shortcut)  # before an upload, for what cannot be sent is refused here
        with self._transport.calling(timeout, deadline) as call:
            if contents:
                file_ids = upload_all(self._transport, contents, call)
                body = question({**shortcut, **file_fields(file_ids)})
            request = Request(
                routes.CHAT, self._transport.widget(), body, content_type="application/json"
            )
            began = monotonic()
            return Stream(self._transport.send(request, call), chat_id, began)

    def _question(
        self,
        history: List[Message],
        chat_id: str,
        model: Optional[str],
        extra_body: Optional[Mapping[str, Any]],
        fields: Mapping[str, Any],
    ) -> bytes:
        settings, place = self._settings, self._page_context
        return chat_body(
            history,
            **self._identity(),
            context_id=settings["context_id"],
            chat_id=chat_id,
            flat=settings["history"] == "prompt",
            model=settings["model"] if model is None else model,
            fields=fields,
            extra_body=extra_body,
            max_length=None if place.bot is None else place.bot.max_length,
        )

    def _identity(self) -> Dict[str, Optional[str]]:
        custom_id = self._settings["custom_id"]
        return {"bot": None if custom_id else self.bot, "custom_id": custom_id}

    def conversation(
        self,
        *,
        system: Optional[str] = None,
        chat_id: Optional[str] = None,
        messages: Sequence[Turn] = (),
    ) -> Conversation:
        """
        Return a conversation, whose questions are sent with all turns before them.

        Args:
            system: what the model is told first, beside the bot's own instructions.
            chat_id: the id under which the site files it; by default a new one.
            messages: turns that it begins with; by default the bot's start sentence, if a page
                has told it.

        Raises:
            ValueError: an id is empty, or a turn has a wrong role.
            TypeError: something is of the wrong kind.
        """
        greeting = self._page_context.bot and self._page_context.bot.start_sentence
        if greeting and not messages:
            messages = [{"role": "assistant", "content": greeting}]
        return Conversation(self, system=system, chat_id=chat_id, messages=messages)

    def resume(self, discussion: Discussion) -> Conversation:
        """
        Return a conversation that goes on with a discussion which the site has kept.

        Args:
            discussion: as `discussions` gives it.
        """
        if not isinstance(discussion, Discussion):
            raise TypeError(f"discussion must be a Discussion, not {type_name(discussion)}")
        return Conversation(self, chat_id=discussion.chat_id, messages=discussion.messages)

    @property
    def files(self) -> Files:
        """The visitor's or user's files."""
        return Files(self._transport)

    @property
    def discussions(self) -> Discussions:
        """The user's conversations with this bot, as the site has kept them."""
        return Discussions(self._transport, **self._identity())

    @property
    def api(self) -> PublicAPI:
        """
        The site's public API, opened by `token`, or else by `auth`.

        Raises:
            ValueError: the client has neither.
        """
        token: Optional[str] = self._settings["token"]
        login: Any = self._settings["auth"]
        if token is None and login is None:
            raise ValueError("the public API needs a token, or auth")
        credential = bearer(token, self.site) if token else basic(login, self.site)
        return PublicAPI(self._transport, credential, self.bot)

    def bots(self, page: str) -> List[Bot]:
        """
        Return the chatbots that a page has; an empty list if it has none.

        Args:
            page: its URL, or its path on the client's site.

        Raises:
            ValueError: that is no address.
            ChatGPT4OnlineError: the page cannot be had.

        Source: AI Engine 3.6.2, `data-system` and `data-params` of a page.
        """
        with self._transport.calling() as call:
            bots = discovery.read_page(
                self._transport, validate.page_url(page, self.site), call
            ).bots
            call.finish()
            return list(bots)

    def map(
        self,
        messages: Iterable[Union[str, Sequence[Turn]]],
        *,
        workers: int = 4,
        executor: Optional[Executor] = None,
        ordered: bool = True,
        progress: bool = False,
        journal: Union[str, os.PathLike[str], None] = None,
        model: Optional[str] = None,
        extra_body: Optional[Mapping[str, Any]] = None,
        timeout: Timeouts = None,
        deadline: Optional[float] = None,
    ) -> Outcomes:
        """
        Ask many messages concurrently, and yield the `Outcome` of each.

        A failure never stops the other questions: it is the outcome of its message. Messages are
        drawn, and outcomes held, only as many at a time as the workers need. Threads ask by `chat`,
        that of a subclass too, and see the caller's context variables. Leaving the loop, or Ctrl-C
        while it waits, ends the questions in progress in threads.

        Args:
            messages: the questions: any iterable of what `chat` takes as `message`.
            workers: how many questions are in progress at a time.
            executor: what runs them; by default threads. Any `concurrent.futures.Executor`:
                processes, or that of a Dask cluster. It is not shut down.
            ordered: yield in the order of the messages, or else as answers arrive.
            progress: show a bar, which counts failures (needs tqdm).
            journal: the path of a file to which each outcome is written as soon as it is known. A
                second run with it asks only what is missing, has failed or had an empty answer.
            model: as for `chat`.
            extra_body: as for `chat`.
            timeout: as for `chat`, for each question.
            deadline: as for `chat`, for each question.

        Raises:
            ValueError: an argument cannot be used, another run is writing to the journal, it is not
                a journal, or the client is closed.
            TypeError: an argument is of the wrong kind.
            OSError: the journal cannot be opened.
            ImportError: tqdm is missing.
        """
        from .batch import outcomes  # here, since few need it and it takes its time to import

        validate.optional(validate.identifier, model, "model")
        validate.limits(timeout)
        validate.seconds(deadline, "deadline")
        with self._transport.calling() as call:  # which a closed client refuses
            call.finish()
        names = ("site", "bot", "custom_id", "context_id", "model", "history")
        scope = {name: self._settings[name] for name in names}
        changes = {"model": model, "extra_body": extra_body}
        scope.update((name, value) for name, value in changes.items() if value is not None)
        return outcomes(
            self,
            messages,
            scope=scope,
            options={**changes, "timeout": timeout, "deadline": deadline},
            workers=workers,
            executor=executor,
            ordered=ordered,
            progress=progress,
            journal=journal,
        )

    def check(self, *, ask: Optional[str] = None) -> Health:
        """
        Find out whether the site can be reached, has AI Engine, and gives a nonce.

        Args:
            ask: a short question, to see whether the bot answers too, and whether its answer
                comes as it is written. The site runs and bills it.

        Raises:
            ValueError: the question cannot be sent, or the client is closed.

        A site that is down raises nothing: the result is false, and says why.
        """
        validate.optional(validate.identifier, ask, "ask")
        return examine(self._transport, None if ask is None else partial(self.stream, ask))

    @property
    def nonce(self) -> str:
        """
        The site's REST nonce, fetched on first use.

        Source: AI Engine 3.6.2, mwai/v1/start_session.
        """
        with self._transport.calling() as call:
            nonce = self._transport.issued_nonce(call).value
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

    def __enter__(self: C) -> C:  # noqa: PYI019 - typing has no Self before Python 3.11
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def __repr__(self) -> str:
        """Return the site and the bot; no secret."""
        return f"Client({self.site!r}, bot={self.bot!r})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickle the settings, with login and token, and what a subclass has added."""
        reduced: Any = super().__reduce_ex__(protocol)
        validate.picklable(reduced[2], type_name(self), ("_settings", "_page_context"))
        return reduced

    def __copy__(self) -> Client:
        """Return a client with these settings and connections of its own."""
        clone = type(self).__new__(type(self))
        clone.__setstate__(self.__getstate__())
        return clone

    def __getstate__(self) -> Dict[str, Any]:
        """Return all attributes except the connections and the nonce."""
        return {name: value for name, value in vars(self).items() if name != "_transport"}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        """Begin anew with the settings of a pickle."""
        self.__dict__.update(state)
        self._start()


class _PageContext(NamedTuple):
    """The page that a client's chatbot was found on, and the bot as that page describes it."""

    page: Optional[str]
    bot: Optional[Bot]


def _is_environments(site: str) -> bool:
    """Say whether a site is the one that the environment's credentials were given for."""
    theirs = validate.environment("SITE")
    return theirs is not None and origin_of(validate.site_url(theirs)) == origin_of(site)


def _nothing(_: str) -> None:
    """Return no credential: those of the environment were given for another site."""


def _login(environment: Callable[[str], Optional[str]]) -> validate.Login:
    user, password = environment("USER"), environment("APP_PASSWORD")
    return validate.login((user, password)) if user and password else None
