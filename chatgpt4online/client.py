"""`Client`: the settings, and one method for each thing that a site can do."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    SupportsIndex,
    Tuple,
    Type,
    TypeVar,
    Union,
)

import requests

from . import _settings
from . import _validation as validate
from ._http import discovery
from ._http.credentials import bearer, origin_of
from ._http.request import Request
from ._http.tracebacks import clears_frames
from ._http.transport import Transport
from ._options import ClientOptions, Unpack
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
from .errors import MessageError
from .files import Files, Source, StrPath, read_files, upload_all
from .stream import Stream
from .types import AnyOutcome, Bot, Discussion, File, Health, Message, Reply, Shortcut, Turn

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from .batch import Outcomes
    from .public_api import PublicAPI
else:  # for `typing.get_type_hints`; importing them takes time
    Executor, Outcomes, PublicAPI = Any, Iterator[AnyOutcome], Any

__all__ = ["Client"]

C = TypeVar("C", bound="Client")


class Client:
    """
    A client for one chatbot on one site. Threads may share it, and forked children may use it.

    Pickling a client keeps its settings, but not its connections and its nonce.

    Args:
        site: the URL of the WordPress site. A host name without a scheme gets ``https://``, or
            ``http://`` if it is this machine, ``.local`` or ``.test``. ``/wp-admin``, ``/wp-json``,
            ``/wp-login.php``, ``/index.php`` and what follows are cut off. Defaults to the
            environment variable ``CHATGPT4ONLINE_SITE``, then to https://chatgpt4online.org.
        bot: the id of the chatbot on that site. Defaults to ``CHATGPT4ONLINE_BOT``, then to
            ``default``.
        custom_id: the id of a chatbot that is defined on a page of the site. Once the site has
            forgotten it, `bot` answers if it is given; else the site decides.
        context_id: the id of the WordPress page that contains the chatbot.
        auth: a WordPress user name and an application password; the client acts as that user.
            Defaults to the login in the site's URL, then to ``CHATGPT4ONLINE_USER`` and
            ``CHATGPT4ONLINE_APP_PASSWORD``. These two are used only for the site in
            ``CHATGPT4ONLINE_SITE``.
        token: the bearer token of the site's public API, used only by `api`. Defaults to
            ``CHATGPT4ONLINE_TOKEN``, which is used only for the site in ``CHATGPT4ONLINE_SITE``.
        model: the model to ask for, if the site's owner lets visitors choose.
        history: how earlier turns are sent: ``"messages"`` sends them as a list, ``"prompt"``
            merges all turns into one text, as `format_prompt` does.
        headers: headers that are added to those of the site's chat widget (`WIDGET_HEADERS`), or
            replace them. The value None removes a header. Setting ``user-agent`` also removes the
            headers that describe the widget's browser.
        proxy: the URL of a proxy for all requests. Defaults to the proxies that requests finds in
            the environment, which do not apply to a site on this machine.
        timeout: the longest wait for a connection, and the longest silence while reading, in
            seconds: one number for both, or a pair. None means no limit.
        deadline: the time limit for a whole call, from its start to the last byte of its answer,
            retries included, in seconds. None means no limit. It cannot interrupt reading files,
            name resolution, some connections through a SOCKS proxy, or a `session` of your own
            before the headers of its response arrive.
        retries: how many times a request is sent again after a failed connection, or after 429 or
            503 with Retry-After. A request that changes nothing is also sent again after a broken
            connection, 429, 502, 503 or 504. Renewed nonces and redirects do not count.
        session: a `requests.Session` to send requests with, for adapters, proxies, certificates
            or headers of your own. The client never closes it, and changes only its cookies.

    Raises:
        ValueError: an argument has an invalid value.
        TypeError: an argument has the wrong type.
    """

    @clears_frames
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
        self._settings = _settings.Settings(
            site=site,
            bot=bot,
            custom_id=custom_id,
            context_id=context_id,
            auth=auth,
            token=token,
            model=model,
            history=history,
            headers=headers,
            proxy=proxy,
            timeout=timeout,
            deadline=deadline,
            retries=retries,
            session=session,
        )
        self._start(_PageContext())

    def _start(self, context: _PageContext) -> None:
        self._transport = Transport(self._settings)
        self._use_page(context)

    def _use_page(self, context: _PageContext) -> None:
        self._page_context = context
        if context.bot is not None:
            self._transport.use_page(context.page, context.bot.rest_url)

    @classmethod
    @clears_frames
    def from_page(cls: Type[C], url: str, index: int = 0, **options: Unpack[ClientOptions]) -> C:
        """
        Return a client for a chatbot on a page.

        Args:
            url: the URL of the page.
            index: which chatbot of the page to use, counted from 0.
            options: arguments of `Client`, except `site`, `bot`, `custom_id` and `context_id`,
                which come from the page.

        Raises:
            ValueError: the page does not have that chatbot, or an option has an invalid value.
            TypeError: an option has the wrong type or does not exist.
            ChatGPT4OnlineError: the page could not be fetched.

        Source: AI Engine 3.6.2, `data-system` and `data-params` of a page.
        """
        validate.count(index, "index")
        site = routes.site_of(_settings.page_url(url))
        with cls(site, bot=routes.DEFAULT_BOT, **options) as client:
            bots = client.bots(url)
        if not bots:
            raise ValueError("the page has no AI Engine chatbot")
        if index >= len(bots):
            raise ValueError(f"there is no chatbot with index {index}: the page has {len(bots)}")
        return cls._for_bot(bots[index], url, options)

    @classmethod
    def _for_bot(cls: Type[C], bot: Bot, page: str, options: ClientOptions) -> C:
        """Return a client for a chatbot that was found on a page."""
        if not routes.is_same_site(page, bot.site):
            raise ValueError(f"the chatbot belongs to another site: make a client of {bot.site}")
        has_credential = any(options.get(name) is not None for name in ("auth", "token"))
        if has_credential and origin_of(page) != origin_of(bot.site):
            raise ValueError(f"auth and token need a page on the chatbot's own site, {bot.site}")
        client = cls(
            bot.site,
            bot=bot.id or routes.DEFAULT_BOT,  # not the environment's
            custom_id=bot.custom_id,
            context_id=bot.context_id,
            **options,
        )
        if bot.custom_id is not None:
            client._settings.bot = bot.id  # which may be None
        client._use_page(_PageContext(page, bot))
        return client

    @property
    def site(self) -> str:
        """The URL of the site."""
        return self._settings.site

    @property
    def bot(self) -> str:
        """The id of the bot; ``default`` if only `custom_id` names one."""
        return self._settings.bot or routes.DEFAULT_BOT

    @property
    def custom_id(self) -> Optional[str]:
        """The id of a bot that a page defines, or None."""
        return self._settings.custom_id

    @property
    def context_id(self) -> Optional[int]:
        """The id of the WordPress page with the bot, or None."""
        return self._settings.context_id

    @property
    def model(self) -> Optional[str]:
        """The model to ask for, or None for the bot's own."""
        return self._settings.model

    def chat(
        self,
        message: Union[str, Shortcut, Sequence[Turn]],
        *,
        messages: Sequence[Turn] = (),
        chat_id: Optional[str] = None,
        files: Sequence[Union[File, Source]] = (),
        model: Optional[str] = None,
        extra_body: Optional[Mapping[str, Any]] = None,
        headers: Optional[Mapping[str, Optional[str]]] = None,
        timeout: Timeouts = None,
        deadline: Optional[float] = None,
    ) -> Reply:
        """
        Ask a question and return the whole answer.

        Args:
            message: the question; or a shortcut from an earlier answer, to click on it; or a
                whole history, whose last turn is the user's.
            messages: the earlier turns, such as ``{"role": "assistant", "content": reply}``. The
                site itself does not remember any.
            chat_id: the id under which the site stores the conversation. Defaults to a new one,
                which is then in `Reply.chat_id`.
            files: files to send with the question: paths or open binary files, which are
                uploaded first, or files that have been uploaded, or the ids of such files.
            model: the model to ask for. Defaults to the client's.
            extra_body: additional fields for the body of the request.
            headers: headers for this call, such as a request id: added to the client's, or in
                place of them. None removes one.
            timeout: as for `Client`, in seconds. None means the client's.
            deadline: as for `Client`, in seconds. None means the client's.

        Raises:
            MessageError: the message is empty, longer than the bot allows, or contains a lone
                surrogate or a part that is not text; or a role is wrong, or the last turn is not
                the user's.
            ValueError: a file is larger than 100 MB, another argument is invalid, or the client is
                closed.
            TypeError: an argument has the wrong type.
            OSError: a file cannot be read.
            ReplyError: the plugin could not answer.
            ChatGPT4OnlineError: anything else went wrong; see `chatgpt4online.errors`.

        Source: AI Engine 3.6.2, mwai-ui/v1/chats/submit.
        """
        headers = _settings.secret_headers(headers)  # whose repr, unlike a dict's, shows no values
        return self.stream(
            message,
            messages=messages,
            chat_id=chat_id,
            files=files,
            model=model,
            extra_body=extra_body,
            headers=headers,
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
        headers: Optional[Mapping[str, Optional[str]]] = None,
        timeout: Timeouts = None,
        deadline: Optional[float] = None,
    ) -> Stream:
        """
        Ask a question and return the answer as it arrives.

        This waits for the first event; the site sends nothing while the model is thinking.

        Args:
            message: as for `chat`.
            messages: as for `chat`.
            chat_id: as for `chat`.
            files: as for `chat`.
            model: as for `chat`.
            extra_body: as for `chat`.
            headers: as for `chat`.
            timeout: as for `chat`, in seconds.
            deadline: as for `chat`, in seconds. It covers reading the stream to its end.

        Raises:
            MessageError: as for `chat`.
            ValueError: as for `chat`.
            TypeError: as for `chat`.
            OSError: as for `chat`.
            ReplyError: as for `chat`, if the plugin fails before the first text.
            ChatGPT4OnlineError: as for `chat`.

        Source: AI Engine 3.6.2, mwai-ui/v1/chats/submit.
        """
        chat_id = new_chat_id() if chat_id is None else validate.identifier(chat_id, "chat_id")
        headers = _settings.secret_headers(headers)
        shortcut = shortcut_fields(message)
        with self._naming_the_site():
            history = build_history(message, messages, has_files=bool(files))
            build = partial(
                self._body, history=history, chat_id=chat_id, model=model, extra_body=extra_body
            )
            body = build(shortcut)  # before any upload, because this raises for invalid arguments
        with self._transport.open_call(timeout, deadline) as call:
            contents = read_files(files)
            if contents:
                file_ids = upload_all(self._transport, contents, headers, call)
                body = build({**shortcut, **file_fields(file_ids)})
            read = partial(Stream, chat_id=chat_id)
            return self._transport.send(self._question(body, headers), call, read)

    def _question(self, body: bytes, headers: _settings.SecretHeaders) -> Request:
        widget = self._transport.headers.widget()
        return Request(
            routes.CHAT, widget, body, content_type="application/json", call_headers=headers
        )

    @contextmanager
    def _naming_the_site(self) -> Iterator[None]:
        """Put site and route into a `MessageError`."""
        try:
            yield
        except MessageError as error:
            error.site, error.route = self.site, routes.CHAT
            raise

    def _body(
        self,
        fields: Mapping[str, Any],
        *,
        history: List[Message],
        chat_id: str,
        model: Optional[str],
        extra_body: Optional[Mapping[str, Any]],
    ) -> bytes:
        bot = self._page_context.bot
        return chat_body(
            history,
            **self._identity(),
            context_id=self.context_id,
            chat_id=chat_id,
            flat=self._settings.history == "prompt",
            model=self.model if model is None else model,
            fields=fields,
            extra_body=extra_body,
            max_length=None if bot is None else bot.max_length,
        )

    def _checked(self, extra_body: Mapping[str, Any], model: Optional[str]) -> Dict[str, Any]:
        """Return additional fields as a dict; raise if no question can be sent with them."""
        question: List[Message] = [{"role": "user", "content": ""}]
        self._body({}, history=question, chat_id="", model=model, extra_body=extra_body)
        return dict(extra_body)

    def _identity(self) -> Dict[str, Optional[str]]:
        return {"bot": self._settings.bot, "custom_id": self._settings.custom_id}

    def conversation(
        self,
        *,
        system: Optional[str] = None,
        chat_id: Optional[str] = None,
        messages: Sequence[Turn] = (),
    ) -> Conversation:
        """
        Return a conversation, which sends all earlier turns with each question.

        Args:
            system: instructions for the model, in addition to those of the bot itself.
            chat_id: the id under which the site stores the conversation. Defaults to a new one.
            messages: the turns to begin with. Defaults to the bot's start sentence if the client
                was made by `from_page`.

        Raises:
            MessageError: a turn has a wrong role, a part that is not text, or a lone surrogate.
            ValueError: an argument is empty.
            TypeError: an argument has the wrong type.
        """
        greeting = self._page_context.bot and self._page_context.bot.start_sentence
        if greeting and not messages:
            messages = [{"role": "assistant", "content": greeting}]
        with self._naming_the_site():
            return Conversation(self, system=system, chat_id=chat_id, messages=messages)

    def resume(self, discussion: Discussion) -> Conversation:
        """
        Return a conversation that continues a discussion stored by the site.

        Args:
            discussion: a discussion from `discussions`.

        Raises:
            TypeError: it is not a `Discussion`.
        """
        if not isinstance(discussion, Discussion):
            raise TypeError(f"discussion must be a Discussion, not {type_name(discussion)}")
        return Conversation(self, chat_id=discussion.chat_id, messages=discussion.messages)

    @property
    def files(self) -> Files:
        """The files that this visitor or user has uploaded."""
        return Files(self._transport)

    @property
    def discussions(self) -> Discussions:
        """The user's conversations with this bot that the site has stored."""
        return Discussions(self._transport, **self._identity())

    @property
    @clears_frames
    def api(self) -> PublicAPI:
        """
        The site's public API, with the client's `token` or else its `auth`.

        Raises:
            ValueError: the client has neither, or the token in the environment is invalid.
        """
        from .public_api import PublicAPI  # imported here because few programs need it

        token = _settings.bearer_token(self._settings.token)
        credential = self._settings.login if token is None else bearer(token, self.site)
        if credential is None:
            raise ValueError("the public API needs a token or auth")
        return PublicAPI(self._transport, credential, self.bot)

    def bots(self, page: str) -> List[Bot]:
        """
        Return the chatbots on a page, or an empty list.

        Args:
            page: the URL of the page, or its path on the client's site, such as ``/contact/``.

        Raises:
            ValueError: it is neither a URL nor a path, or the client is closed.
            TypeError: it is not a str.
            ChatGPT4OnlineError: the page could not be fetched.

        Source: AI Engine 3.6.2, `data-system` and `data-params` of a page.
        """
        with self._transport.calling() as call:
            page = _settings.page_url(page, self.site)
            return list(discovery.read_page(self._transport, page, call).bots)

    def map(
        self,
        messages: Iterable[Union[str, Sequence[Turn]]],
        *,
        workers: int = 4,
        executor: Optional[Executor] = None,
        ordered: bool = True,
        progress: bool = False,
        journal: Optional[StrPath] = None,
        model: Optional[str] = None,
        extra_body: Optional[Mapping[str, Any]] = None,
        headers: Optional[Mapping[str, Optional[str]]] = None,
        timeout: Timeouts = None,
        deadline: Optional[float] = None,
    ) -> Outcomes:
        """
        Ask many questions concurrently, and yield an `Outcome` for each.

        A question that fails does not stop the others: its outcome contains the error. Messages
        are taken from the iterable, and outcomes kept in memory, only as the workers need them.
        Threads ask by `chat`, also that of a subclass, and see the caller's context variables.
        Leaving the loop, or Ctrl-C while it waits, ends all questions that are in progress in
        threads.

        Args:
            messages: the questions: an iterable of values that `chat` accepts as `message`.
            workers: how many questions are in progress at a time.
            executor: any `concurrent.futures.Executor`, such as a process pool or that of a Dask
                cluster. Defaults to threads. It is not shut down at the end.
            ordered: whether to yield outcomes in the order of the messages. If not, each is
                yielded as soon as it is known.
            progress: whether to show a progress bar, which counts failures (needs tqdm).
            journal: the path of a file to which each outcome is written as soon as it is known. A
                second run with it asks only the questions that are missing, have failed or had an
                empty answer.
            model: as for `chat`.
            extra_body: as for `chat`.
            headers: as for `chat`, the same for each question.
            timeout: as for `chat`, for each question.
            deadline: as for `chat`, for each question.

        Raises:
            ValueError: an argument cannot be used, the file is not a journal, another run is
                writing to it, or the client is closed.
            TypeError: an argument has the wrong type.
            OSError: the journal cannot be opened.
            ImportError: tqdm is not installed.

        Iterating raises what iterating over `messages` raises, after the last outcome; `OSError` if
        the journal cannot be written; and `RuntimeError` if a later run has taken it over.
        """
        from .batch import outcomes  # imported here to keep `import chatgpt4online` fast

        model = validate.optional(validate.identifier, model, "model")
        extra_body = None if extra_body is None else self._checked(extra_body, model)
        headers = _settings.secret_headers(headers) or None
        validate.limits(timeout)
        validate.seconds(deadline, "deadline")
        with self._transport.calling():  # which a closed client refuses
            pass
        names = ("site", "bot", "custom_id", "context_id", "model", "history")
        scope = {name: getattr(self._settings, name) for name in names}
        changes = {"model": model, "extra_body": extra_body}
        scope.update((name, value) for name, value in changes.items() if value is not None)
        return outcomes(
            self,
            messages,
            scope=scope,
            options={**changes, "headers": headers, "timeout": timeout, "deadline": deadline},
            workers=workers,
            executor=executor,
            ordered=ordered,
            progress=progress,
            journal=journal,
        )

    def check(self, *, ask: Optional[str] = None) -> Health:
        """
        Check that the site can be reached, lets visitors chat, and accepts the login and token.

        What fails does not raise: the result is false and says why. Caches, other plugins' output
        and answers that are held back are warnings. Nothing on the site is changed, unless `ask`
        is given.

        Args:
            ask: a short question, to check also that the bot answers, and that the site streams
                the answer. The site's owner pays for it.

        Raises:
            ValueError: the question is empty, or the client is closed.
            TypeError: the question is not a str.
        """
        validate.optional(validate.identifier, ask, "ask")
        from ._health import CheckTarget, examine  # imported here because few programs need them

        settings = self._settings
        has_api = settings.token is not None or settings.login is not None
        target = CheckTarget(
            self._transport,
            bot=self.bot,
            custom_id=self.custom_id,
            is_of_page=self._page_context.bot is not None,
            api=(lambda: self.api) if has_api else None,
            has_token=settings.token is not None,
        )
        return examine(target, None if ask is None else partial(self.stream, ask))

    @property
    def nonce(self) -> str:
        """
        The site's REST nonce, fetched on first use: 10 hexadecimal digits.

        Raises:
            ValueError: the client is closed.
            ChatGPT4OnlineError: the site did not give one, or rejected the login.

        Source: AI Engine 3.6.2, mwai/v1/start_session.
        """
        with self._transport.calling() as call:
            return self._transport.issued_nonce(call).value

    def refresh_nonce(self) -> str:
        """
        Fetch a new nonce and return it.

        You rarely need this: the client renews a nonce that the site no longer accepts.

        Raises:
            ValueError: the client is closed.
            ChatGPT4OnlineError: the site did not give one, or rejected the login.

        Source: AI Engine 3.6.2, mwai/v1/start_session.
        """
        self._transport.nonce.forget()
        return self.nonce

    def close(self) -> None:
        """
        Close all connections. Calls in progress in other threads raise `StreamInterrupted`.

        Calls made afterwards raise `ValueError`. Leaving its ``with`` block also closes it.
        """
        self._transport.close()

    def __enter__(self: C) -> C:  # noqa: PYI019 - typing has no Self before Python 3.11
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def __repr__(self) -> str:
        """Return the site and the bot, and no secrets."""
        return f"Client({self.site!r}, bot={self.bot!r})"

    @clears_frames
    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickle the settings, with login and token, and what a subclass has added."""
        reduced: Any = super().__reduce_ex__(protocol)
        _settings.raise_if_unpicklable(reduced[2], type_name(self), ("_settings", "_page_context"))
        return reduced

    def __copy__(self) -> Client:
        """Return a client with these settings and connections of its own. Nothing is pickled."""
        clone = type(self).__new__(type(self))
        clone.__setstate__(self.__getstate__())
        return clone

    def __getstate__(self) -> Dict[str, Any]:
        """Return all attributes except the connections and the nonce."""
        return {name: value for name, value in vars(self).items() if name != "_transport"}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        """Restore the settings; connections and the nonce start afresh."""
        self.__dict__.update(state)
        self._start(self._page_context)


class _PageContext(NamedTuple):
    """The page on which a client's chatbot was found, and the bot as the page describes it."""

    page: str = ""
    bot: Optional[Bot] = None
