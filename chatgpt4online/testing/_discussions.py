"""The discussions that the site stores: everyone's are written, only users can read theirs."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Dict, List, Optional

from ._bots import Bot
from ._config import SiteConfig
from ._http import HTTPResponse
from ._model import PluginError, Reply
from ._php import php_json
from ._responses import json_response
from ._rest import NO_SESSION, RestRequest
from ._users import GUEST, User

MAX_TITLE_LENGTH = 64  # characters
DEFAULT_LIMIT = 10  # rows of a list
LIMIT_FOR_ZERO = 5


@dataclass
class Discussion:
    """One discussion; ``row_id`` is its number in the database."""

    row_id: int
    chat_id: str
    bot: Bot
    created: float
    user: User = GUEST
    session: str = ""
    title: Optional[str] = None
    updated: float = 0.0
    response_id: Optional[str] = None
    messages: List[Dict[str, Any]] = field(default_factory=list)


class Discussions:
    """
    The discussions of a site, and the routes ``discussions/*``.

    Source: AI Engine 3.6.2 and 2.4.7, mwai-ui/v1/discussions/list, /edit and /delete.
    """

    def __init__(self, config: SiteConfig) -> None:
        self._config = config
        self._profile = config.profile
        self._row_ids = count(1)
        self._by_chat_id: Dict[str, Discussion] = {}

    def append(
        self, request: RestRequest, bot: Bot, chat_id: str, message: str, reply: Reply
    ) -> None:
        """Store one exchange, unless the discussion belongs to another user."""
        discussion = self._by_chat_id.get(chat_id) or self._create(bot, chat_id)
        if discussion.user is not GUEST and discussion.user.id != request.user.id:
            return
        discussion.user = request.user
        discussion.session = request.session_id()
        discussion.updated = self._config.clock.now()
        discussion.response_id = reply.response_id
        discussion.messages += [
            {"role": "user", "content": message},
            {"role": "assistant", "content": reply.text, "extra": {"embeddings": None}},
        ]

    def chat_id(self, request: RestRequest) -> str:
        """
        Return the id under which a request's exchange is stored.

        Source: AI Engine 3.6.2 and 2.4.7; without a chatId, the visitor's session, or a random id.
        """
        chat_id, session = request.fields.get("chatId"), request.session_id()
        if isinstance(chat_id, (str, int)) and chat_id:
            return str(chat_id)
        return secrets.token_hex(4) if session == NO_SESSION else session

    def _create(self, bot: Bot, chat_id: str) -> Discussion:
        created = Discussion(next(self._row_ids), chat_id, bot, self._config.clock.now())
        if bot.start_sentence and self._profile.keeps_start_sentence:
            created.messages.append({"role": "assistant", "content": bot.start_sentence})
        self._by_chat_id[chat_id] = created
        return created

    def messages(self, chat_id: str) -> List[Dict[str, Any]]:
        """Return the messages of a discussion so far."""
        discussion = self._by_chat_id.get(chat_id)
        return discussion.messages if discussion else []

    # Routes.

    def list(self, request: RestRequest) -> HTTPResponse:
        """Return a page of the user's discussions with one bot, the latest first."""
        bot_id = request.text("customId") or request.text("botId")
        if not bot_id:
            return self._failure(request, "Bot ID is required.")
        if request.user is GUEST:
            return self._failure(request, "You need to be connected.")
        found = [each for each in self._owned_by(request.user) if each.bot.id == bot_id]
        found.sort(key=lambda each: (-int(each.updated), each.row_id))
        offset = request.number("offset", 0)
        limit = request.number("limit", DEFAULT_LIMIT) or LIMIT_FOR_ZERO
        page = [self._row(each) for each in found[offset : offset + limit]]
        fields = {"success": True, "total": str(len(found)), "chats": page}
        return json_response({**fields, **request.new_token})

    def edit(self, request: RestRequest) -> HTTPResponse:
        """Rename one of the user's discussions; an unknown one is not an error."""
        if not request.text("chatId") or not request.text("title"):
            raise PluginError("chatId and title are required.", 400)
        if request.user is GUEST:
            raise PluginError("You need to be logged in.", 401)
        title = re.sub("<[^>]*>", "", request.text("title"))
        for discussion in self._owned_by(request.user):
            if discussion.chat_id == request.text("chatId"):
                if len(title) > MAX_TITLE_LENGTH:
                    raise PluginError("Failed to update the discussion.")
                discussion.title = title
        return json_response({"success": True, **request.new_token})

    def may_delete(self, request: RestRequest) -> bool:
        """Return whether all discussions to delete belong to the user."""
        owned = {discussion.chat_id for discussion in self._owned_by(request.user)}
        return request.user is not GUEST and owned.issuperset(request.items("chatIds"))

    def delete(self, request: RestRequest) -> HTTPResponse:
        """Delete some of the user's discussions."""
        chat_ids = request.items("chatIds")
        if not chat_ids:
            raise PluginError("chatIds is required.", 400)
        for chat_id in chat_ids:
            self._by_chat_id.pop(chat_id, None)
        return json_response({"success": True, **request.new_token})

    def _owned_by(self, user: User) -> List[Discussion]:
        return [each for each in self._by_chat_id.values() if each.user.id == user.id]

    def _failure(self, request: RestRequest, message: str) -> HTTPResponse:
        return json_response({"success": False, "message": message, **request.new_token})

    def _row(self, discussion: Discussion) -> Dict[str, Any]:
        extra = {"session": discussion.session, "model": discussion.bot.model, "temperature": 0.8}
        row: Dict[str, Any] = {
            "id": str(discussion.row_id),
            "userId": str(discussion.user.id),
            "ip": "127.0.0.1",
            **({"title": discussion.title} if self._profile.titles else {}),
            "messages": _json_column(discussion.messages),
            "extra": _json_column({**extra, **self._previous_response(discussion)}),
            "botId": discussion.bot.id,
            "chatId": discussion.chat_id,
            "threadId": None,
            "storeId": None,
            "created": self._config.clock.format(discussion.created),
            "updated": self._config.clock.format(discussion.updated),
        }
        if self._profile.metadata_display:
            row["metadata_display"] = self._metadata(discussion)
        return row

    def _previous_response(self, discussion: Discussion) -> Dict[str, str]:
        if discussion.response_id is None or not self._profile.response_id:
            return {}
        date = self._config.clock.format(discussion.updated)
        return {"previousResponseId": discussion.response_id, "previousResponseDate": date}

    def _metadata(self, discussion: Discussion) -> Dict[str, Any]:
        return {
            "start_date": self._time_since(discussion.created),
            "last_update": self._time_since(discussion.updated),
            "message_count": len(discussion.messages),
        }

    def _time_since(self, then: float) -> str:
        minutes = int(self._config.clock.now() - then) // 60
        return f"{minutes}m ago" if minutes else "Just now"


def _json_column(value: Any) -> str:
    """Return a value as a column of the database stores it: JSON as text."""
    return php_json(value).decode()
