"""Asking a chatbot: what the plugin refuses, what reaches the model, how its answer is put."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from typing import Any, Dict, Iterable, List, Mapping, Optional

from ._bots import Bot, Bots
from ._discussions import Discussions
from ._files import Files, StoredFile
from ._http import Answer, Step
from ._model import (
    COUNTED,
    Question,
    RefusalError,
    Reply,
    echo,
    event,
    part_bytes,
    php_json,
    php_trim,
)
from ._place import Place
from ._wordpress import JSON_TYPE, Call, json_answer, php_true

STREAM_TYPE = "text/event-stream;charset=UTF-8"
REJECTED = "Sorry, your query has been rejected."
BANNED = "Your query has been rejected."
FLAGGED = "Sorry, your message has been rejected by moderation."


class Guard:
    """What the site's owner has forbidden: words, and too many queries."""

    def __init__(self) -> None:
        self.banned: List[str] = []
        self.flagged: List[str] = []
        self.queries_left: Optional[int] = None
        self.over_limit = ""

    def flags(self, text: str) -> bool:
        """Tell whether the moderator objects to a text."""
        return _has(text, self.flagged)

    def objection(self, text: str) -> Optional[str]:
        """Return why a query is not let through to the model, counting it if it is."""
        if _has(text, self.banned):
            return BANNED
        if self.queries_left == 0:
            return self.over_limit
        if self.queries_left:
            self.queries_left -= 1
        return None


def _has(text: str, words: Iterable[str]) -> bool:
    return any(word.lower() in text.lower() for word in words)


class Chats:
    """
    The route ``chats/submit``.

    Args:
        place: the site's address, clock and version.
        bots: its chatbots.
        files: its files.
        discussions: where exchanges are written down.

    Source: AI Engine 3.6.2 and 2.4.7, mwai-ui/v1/chats/submit.
    """

    def __init__(self, place: Place, bots: Bots, files: Files, discussions: Discussions) -> None:
        self.guard = Guard()
        self._place = place
        self._bots = bots
        self._files = files
        self._discussions = discussions
        self._shortcuts: Dict[str, str] = {}

    def submit(self, call: Call) -> Answer:
        """Ask a chatbot."""
        _check_types(call.fields)
        try:
            message = self._message(call)
            bot = self._checked_bot(call, message)
        except RefusalError as refusal:
            if php_true(call.fields.get("stream")) and refusal.status == 500:
                # The headers of a stream are sent after these checks.
                return _stream([event("error", refusal.message)], JSON_TYPE)
            raise
        objection = self.guard.objection(message)
        if objection is not None:
            return self._put(call, bot, Reply(error=objection))
        reply = call.take_script().reply or self._untold(call, bot, message)
        if reply.error is None and call.script.answer is None:
            chat_id = call.text("chatId") or call.session()
            self._discussions.append(call, bot, chat_id, message, reply)
        return self._put(call, bot, reply)

    # What is asked.

    def _message(self, call: Call) -> str:
        message = php_trim(call.text("newMessage"))
        if not message and call.text("shortcutId"):
            if call.text("shortcutId") not in self._shortcuts:
                raise RefusalError("Invalid or expired shortcut.", 400)
            message = self._shortcuts[call.text("shortcutId")]
        named = call.text("botId") or call.text("customId")
        is_empty = message in self._place.profile.empty_messages and not self._file_ids(call)
        if not named or is_empty:
            raise RefusalError(REJECTED, 403)
        return message

    def _checked_bot(self, call: Call, message: str) -> Bot:
        bot = self._bots.find(call)
        if bot is None or (bot.max_length and len(message) > bot.max_length):
            raise RefusalError(REJECTED)
        if call.text("model") and self._place.profile.refuses_models:
            raise RefusalError(f"The model '{call.text('model')}' is not available.")
        if self.guard.flags(message):
            raise RefusalError(FLAGGED)
        return bot

    def _file_ids(self, call: Call) -> List[str]:
        """Earlier versions know ``newFileId`` alone; later ones, where there is no list."""
        several = call.fields.get("newFileIds") if self._place.profile.owned_files else None
        return [str(name) for name in several or [call.fields.get("newFileId")] if name]

    def _untold(self, call: Call, bot: Bot, message: str) -> Reply:
        """Return what the model says by itself."""
        if bot.mode == "images":
            return self._painted(call)
        earlier = call.fields.get("messages") or []
        seen = 1 + sum(item.get("role") != "system" for item in earlier)
        files = self._files.named(self._file_ids(call))
        return echo(Question(with_pictures(message, map(_data_url, _pictures(files))), seen))

    def _painted(self, call: Call) -> Reply:
        url = self._files.url(self._files.paint(call.user, call.session()))
        usage = self._place.profile.image_usage
        return Reply(final=f"![Image]({url})\n", images=[url], usage=usage, response_id=None)

    # How the answer is put.

    def _put(self, call: Call, bot: Bot, reply: Reply) -> Answer:
        if not php_true(call.fields.get("stream")):
            return json_answer(self._values(call, reply.checked()))
        now = self._place.clock.now()
        steps = [part_bytes(part, now) for part in reply.parts]
        if reply.error is not None:
            steps.append(event("error", reply.error))
        elif call.script.cut in (None, "torn"):
            steps.append(event("end", php_json(self._values(call, reply)).decode()))
        plain = bot.mode == "images" and not self._place.profile.image_bots_stream
        return _stream(steps, JSON_TYPE if plain else STREAM_TYPE)

    def _values(self, call: Call, reply: Reply) -> Dict[str, Any]:
        """Return the answer's JSON, which goes alone or inside a stream's ``end``."""
        values: Dict[str, Any] = {"success": True, "reply": reply.text, "images": reply.images}
        values.update((key, list(getattr(reply, key))) for key in self._place.profile.extras)
        if "shortcuts" in values:
            values["shortcuts"] = [self._hidden(shortcut) for shortcut in reply.shortcuts]
        values["usage"] = self._usage(reply)
        if self._place.profile.extras and reply.response_id is not None:
            values["responseId"] = reply.response_id
        return {**values, **call.new_token}

    def _usage(self, reply: Reply) -> Optional[Mapping[str, Any]]:
        if reply.usage is not COUNTED:
            return reply.usage
        count = sum(isinstance(part, str) for part in reply.parts)
        counts = {"prompt_tokens": 11, "completion_tokens": count, "total_tokens": 11 + count}
        return {**counts, **self._place.profile.usage}

    def _hidden(self, shortcut: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put an id in the place of a shortcut's message, which stays on the site."""
        data = dict(shortcut.get("data", {}))
        if "message" not in data:
            return shortcut
        token = b64encode(secrets.token_bytes(64)).decode()
        self._shortcuts[token] = data.pop("message")
        return {**shortcut, "data": {**data, "shortcutId": token}}


def _stream(steps: List[bytes], content_type: str) -> Answer:
    fields = [("Content-Type", content_type)]
    if content_type == STREAM_TYPE:
        fields.append(("Cache-Control", "no-cache"))
    body: List[Step] = [*steps]
    return Answer(200, fields, tuple(body))


def _check_types(fields: Mapping[str, Any]) -> None:
    """
    Check the fields that PHP's typed setters die of.

    Raises:
        TypeError: one is of another type than the plugin wants.
    """
    messages = fields.get("messages") or []
    texts = [fields.get(name) for name in ("newMessage", "chatId")]
    if any(isinstance(text, (list, dict)) for text in texts) or not isinstance(messages, list):
        raise TypeError
    if not all(isinstance(item, dict) for item in messages):
        raise TypeError


def with_pictures(message: str, urls: Iterable[str]) -> str:
    """Return what the recorded model repeats of a message that came with pictures."""
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return json.dumps([{"type": "text", "text": message}, *pictures]) if pictures else message


def _pictures(files: Iterable[StoredFile]) -> List[StoredFile]:
    """Return the files that reach the model: documents are dropped without a word."""
    return [file for file in files if file.type == "image"]


def _data_url(file: StoredFile) -> str:
    return f"data:{file.content_type};base64,{b64encode(file.data).decode()}"
