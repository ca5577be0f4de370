"""The chat route: what the plugin refuses, what reaches the model, and how its reply is sent."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from typing import Any, Dict, Iterable, List, Mapping, Optional

from ._bots import Bot, Bots
from ._config import SiteConfig
from ._discussions import Discussions
from ._files import Files, StoredFile
from ._http import HTTPResponse
from ._model import (
    COUNTED_USAGE,
    FatalError,
    Model,
    PluginError,
    Question,
    Reply,
    encode_part,
    event,
)
from ._php import php_bool, php_json, php_trim
from ._responses import JSON_TYPE, json_response
from ._rest import RestRequest, is_json

STREAM_TYPE = "text/event-stream;charset=UTF-8"
REJECTED = "Sorry, your query has been rejected."
BANNED = "Your query has been rejected."
FLAGGED = "Sorry, your message has been rejected by moderation."

ROLES = ("system", "user", "assistant")  # messages with another role are dropped
MAX_MESSAGES = 15  # the plugin's option maxMessages: so many reach the model after the first one


class Policy:
    """The owner's rules: words, models, and a limit of queries."""

    def __init__(self) -> None:
        self.models: List[str] = []
        self.banned_words: List[str] = []
        self.flagged_words: List[str] = []
        self.queries_left: Optional[int] = None
        self.limit_message = ""

    def is_flagged(self, text: str) -> bool:
        """Return whether moderation flags a text."""
        return _contains_any(text, self.flagged_words)

    def count_query(self, text: str) -> Optional[str]:
        """Count a query and return None; if the rules forbid it, return the plugin's message."""
        if _contains_any(text, self.banned_words):
            return BANNED
        if self.queries_left == 0:
            return self.limit_message
        if self.queries_left:
            self.queries_left -= 1
        return None


def _contains_any(text: str, words: Iterable[str]) -> bool:
    return any(word.lower() in text.lower() for word in words)


class Chats:
    """
    The route ``chats/submit``.

    Args:
        config: the site's version, address and clock.
        model: the model behind it.
        bots: its chatbots.
        files: its files.
        discussions: where exchanges are stored.

    Source: AI Engine 3.6.2, 3.3.9 and 2.4.7, mwai-ui/v1/chats/submit.
    """

    def __init__(
        self, config: SiteConfig, model: Model, bots: Bots, files: Files, discussions: Discussions
    ) -> None:
        self.policy = Policy()
        self._model = model
        self._config = config
        self._profile = config.profile
        self._bots = bots
        self._files = files
        self._discussions = discussions
        self._shortcuts: Dict[str, str] = {}

    def submit(self, request: RestRequest) -> HTTPResponse:
        """Return the answer of a chatbot."""
        if not is_json(request.http):
            request.fields = {}  # those of a form are not read
        self._check_types(request)
        try:
            message = self._message(request)
            bot = self.check(self._bots.for_request(request), message)
            history = messages_for_model(request.items("messages"))
        except PluginError as error:
            if php_bool(request.fields.get("stream")) and error.status == 500:
                # The plugin sends the headers of a stream after these checks.
                return _stream([event("error", error.message)], JSON_TYPE)
            raise
        files = self._files.use(self._file_ids(request))
        refusal = self._refused_model(request, bot) or self.policy.count_query(message)
        if refusal is not None:
            return self._respond(request, bot, Reply(error=refusal))
        images = [file for file in files if file.is_image or self._profile.sends_documents]
        question = Question(with_images(message, map(_data_url, images)), len(history) + 1)
        reply = request.take_script().reply or self.default_reply(request, bot, question)
        if reply.error is None and request.script.response is None:
            chat_id = self._discussions.chat_id(request)
            self._discussions.append(request, bot, chat_id, message, reply)
        return self._respond(request, bot, reply)

    def check(self, bot: Optional[Bot], message: str) -> Bot:
        """
        Return the bot that a message is for.

        Raises:
            PluginError: there is none, or it does not take the message.
        """
        size = len(message.encode() if self._profile.counts_bytes else message)
        if bot is None or (bot.max_length and size > bot.max_length):
            raise PluginError(REJECTED)
        if self.policy.is_flagged(message):
            raise PluginError(FLAGGED)
        return bot

    def offers(self, model: Any, bot: Bot) -> bool:
        """Return whether a request to a bot may name a model; "" and None are the bot's own."""
        known = ("", None, bot.model, *self.policy.models)
        return model in known or not self._profile.refuses_models

    def default_reply(self, request: RestRequest, bot: Bot, question: Question) -> Reply:
        """Return the reply to a question that has no script."""
        if bot.mode != "images":
            return self._model.reply(request.http, question)
        url = self._files.url(self._files.add_image(request.user, request.session_id()))
        usage = self._profile.image_usage
        return Reply(final=f"![Image]({url})\n", images=[url], usage=usage, response_id=None)

    # The question.

    def _message(self, request: RestRequest) -> str:
        message = php_trim(request.text("newMessage"))
        if not message and request.text("shortcutId") and self._has_shortcuts:
            if request.text("shortcutId") not in self._shortcuts:
                raise PluginError("Invalid or expired shortcut.", 400)
            message = self._shortcuts[request.text("shortcutId")]
        names_bot = request.text("botId") or request.text("customId")
        is_empty = message in self._profile.empty_messages and not self._file_ids(request)
        if not names_bot or is_empty:
            raise PluginError(REJECTED, 403)
        return message

    @property
    def _has_shortcuts(self) -> bool:
        return "shortcuts" in self._profile.reply_fields

    def _check_types(self, request: RestRequest) -> None:
        """
        Check the fields whose PHP setters are typed.

        Raises:
            FatalError: a field has another type, which is a TypeError in PHP.
        """
        names = ("newMessage", "chatId") if self._profile.checks_chat_id else ("newMessage",)
        if any(isinstance(request.fields.get(name), (list, dict)) for name in names):
            raise FatalError
        request.items("messages")

    def _refused_model(self, request: RestRequest, bot: Bot) -> Optional[str]:
        model = request.text("model")
        if self.offers(model, bot):
            return None
        return f"The model '{model}' is not available."

    def _file_ids(self, request: RestRequest) -> List[str]:
        several = request.fields.get("newFileIds") if self._profile.several_files else None
        return [str(file_id) for file_id in several or [request.fields.get("newFileId")] if file_id]

    # The answer.

    def _respond(self, request: RestRequest, bot: Bot, reply: Reply) -> HTTPResponse:
        if not php_bool(request.fields.get("stream")):
            reply.raise_for_error()
            return json_response(self._answer(request, reply))
        now = self._config.clock.now()
        events = [encode_part(part, now) for part in reply.parts]
        if reply.error is not None:
            events.append(event("error", reply.error))
        elif request.script.cut in (None, "torn"):
            events.append(event("end", php_json(self._answer(request, reply)).decode()))
        has_json_type = bot.mode == "images" and not self._profile.image_bots_send_stream_type
        return _stream(events, JSON_TYPE if has_json_type else STREAM_TYPE)

    def _answer(self, request: RestRequest, reply: Reply) -> Dict[str, Any]:
        """Return the answer's JSON, which is the whole body or the data of a stream's ``end``."""
        fields: Dict[str, Any] = {"success": True, "reply": reply.text, "images": reply.images}
        fields.update((name, list(getattr(reply, name))) for name in self._profile.reply_fields)
        if self._has_shortcuts:
            fields["shortcuts"] = [self._hide_message(each) for each in reply.shortcuts]
        fields["usage"] = self._usage(reply)
        if self._profile.response_id and reply.response_id is not None:
            fields["responseId"] = reply.response_id
        return {**fields, **request.new_token}

    def _usage(self, reply: Reply) -> Optional[Mapping[str, Any]]:
        if reply.usage is not COUNTED_USAGE:
            return reply.usage
        count = sum(isinstance(part, str) for part in reply.parts)
        counts = {"prompt_tokens": 11, "completion_tokens": count, "total_tokens": 11 + count}
        return {**counts, **self._profile.usage_fields}

    def _hide_message(self, shortcut: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace a shortcut's message, which stays on the site, by an id (3.3.3)."""
        data = dict(shortcut.get("data", {}))
        if "message" not in data:
            return shortcut
        shortcut_id = b64encode(secrets.token_bytes(64)).decode()
        self._shortcuts[shortcut_id] = data.pop("message")
        return {**shortcut, "data": {**data, "shortcutId": shortcut_id}}


def _stream(events: List[bytes], content_type: str) -> HTTPResponse:
    fields = [("Content-Type", content_type)]
    if content_type == STREAM_TYPE:
        fields.append(("Cache-Control", "no-cache"))
    return HTTPResponse(200, fields, (*events,))


def messages_for_model(messages: Iterable[Any]) -> List[Mapping[str, Any]]:
    """
    Return the earlier messages that reach the model, without the system messages.

    Raises:
        PluginError: a message is not an object.

    Source: AI Engine 3.6.2 and 2.4.7; the first message and the last 15 with a known role.
    """
    known = []
    for message in messages:
        if not isinstance(message, dict):
            raise PluginError("Unsupported message type.")
        if message.get("role") in ROLES:
            known.append(message)
    kept = known[:1] + known[1:][-MAX_MESSAGES:]
    return [message for message in kept if message["role"] != "system"]


def with_images(message: str, urls: Iterable[str]) -> str:
    """Return a message with images in the form in which the recorded model echoed it."""
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return json.dumps([{"type": "text", "text": message}, *images]) if images else message


def _data_url(file: StoredFile) -> str:
    return f"data:{file.content_type};base64,{b64encode(file.data).decode()}"
