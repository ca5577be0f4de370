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
from ._model import COUNTED_USAGE, PluginError, Question, Reply, echo, encode_part, event
from ._php import php_bool, php_json, php_trim
from ._responses import JSON_TYPE, json_response
from ._rest import RestRequest

STREAM_TYPE = "text/event-stream;charset=UTF-8"
REJECTED = "Sorry, your query has been rejected."
BANNED = "Your query has been rejected."
FLAGGED = "Sorry, your message has been rejected by moderation."


class Policy:
    """The owner's rules: banned words, words that moderation flags, and a limit of queries."""

    def __init__(self) -> None:
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
        bots: its chatbots.
        files: its files.
        discussions: where exchanges are stored.

    Source: AI Engine 3.6.2 and 2.4.7, mwai-ui/v1/chats/submit.
    """

    def __init__(
        self, config: SiteConfig, bots: Bots, files: Files, discussions: Discussions
    ) -> None:
        self.policy = Policy()
        self._config = config
        self._profile = config.profile
        self._bots = bots
        self._files = files
        self._discussions = discussions
        self._shortcuts: Dict[str, str] = {}

    def submit(self, request: RestRequest) -> HTTPResponse:
        """Return the answer of a chatbot."""
        _check_types(request.fields)
        try:
            message = self._message(request)
            bot = self._bot(request, message)
        except PluginError as error:
            if php_bool(request.fields.get("stream")) and error.status == 500:
                # The plugin sends the headers of a stream after these checks.
                return _stream([event("error", error.message)], JSON_TYPE)
            raise
        refusal = self.policy.count_query(message)
        if refusal is not None:
            return self._respond(request, bot, Reply(error=refusal))
        reply = request.take_script().reply or self._default_reply(request, bot, message)
        if reply.error is None and request.script.response is None:
            chat_id = request.text("chatId") or request.session_id()
            self._discussions.append(request, bot, chat_id, message, reply)
        return self._respond(request, bot, reply)

    # The question.

    def _message(self, request: RestRequest) -> str:
        message = php_trim(request.text("newMessage"))
        if not message and request.text("shortcutId"):
            if request.text("shortcutId") not in self._shortcuts:
                raise PluginError("Invalid or expired shortcut.", 400)
            message = self._shortcuts[request.text("shortcutId")]
        names_bot = request.text("botId") or request.text("customId")
        is_empty = message in self._profile.empty_messages and not self._file_ids(request)
        if not names_bot or is_empty:
            raise PluginError(REJECTED, 403)
        return message

    def _bot(self, request: RestRequest, message: str) -> Bot:
        bot = self._bots.for_request(request)
        if bot is None or (bot.max_length and len(message) > bot.max_length):
            raise PluginError(REJECTED)
        if request.text("model") and self._profile.refuses_models:
            raise PluginError(f"The model '{request.text('model')}' is not available.")
        if self.policy.is_flagged(message):
            raise PluginError(FLAGGED)
        return bot

    def _file_ids(self, request: RestRequest) -> List[str]:
        several = request.fields.get("newFileIds") if self._profile.several_files else None
        return [str(file_id) for file_id in several or [request.fields.get("newFileId")] if file_id]

    def _default_reply(self, request: RestRequest, bot: Bot, message: str) -> Reply:
        if bot.mode == "images":
            return self._image_reply(request)
        history = request.fields.get("messages") or []
        count = 1 + sum(item.get("role") != "system" for item in history)
        images = _images(self._files.find(self._file_ids(request)))
        return echo(Question(with_images(message, map(_data_url, images)), count))

    def _image_reply(self, request: RestRequest) -> Reply:
        url = self._files.url(self._files.add_image(request.user, request.session_id()))
        usage = self._profile.image_usage
        return Reply(final=f"![Image]({url})\n", images=[url], usage=usage, response_id=None)

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
        if "shortcuts" in fields:
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


def _check_types(fields: Mapping[str, Any]) -> None:
    """
    Check the fields whose PHP setters are typed.

    Raises:
        TypeError: a field has another type, which is a fatal error in PHP.
    """
    messages = fields.get("messages") or []
    texts = [fields.get(name) for name in ("newMessage", "chatId")]
    if any(isinstance(text, (list, dict)) for text in texts) or not isinstance(messages, list):
        raise TypeError
    if not all(isinstance(item, dict) for item in messages):
        raise TypeError


def with_images(message: str, urls: Iterable[str]) -> str:
    """Return a message with images in the form in which the recorded model echoed it."""
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return json.dumps([{"type": "text", "text": message}, *images]) if images else message


def _images(files: Iterable[StoredFile]) -> List[StoredFile]:
    """Return the files that reach the model; documents are dropped silently."""
    return [file for file in files if file.type == "image"]


def _data_url(file: StoredFile) -> str:
    return f"data:{file.content_type};base64,{b64encode(file.data).decode()}"
