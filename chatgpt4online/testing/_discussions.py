"""The discussions that the site keeps: everybody's are written, users alone can read theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any, Dict, List, Optional

from ._bots import Bot
from ._http import Answer
from ._model import RefusalError, Reply, php_json
from ._place import Place
from ._wordpress import GUEST, Call, User, json_answer


@dataclass
class Discussion:
    """One discussion; ``row`` is its number in the database."""

    row: int
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

    def __init__(self, place: Place) -> None:
        self._place = place
        self._rows = count(1)
        self._kept: Dict[str, Discussion] = {}

    def append(self, call: Call, bot: Bot, chat_id: str, message: str, reply: Reply) -> None:
        """Write one exchange down, unless the discussion is another user's."""
        row = self._kept.get(chat_id) or self._begin(bot, chat_id)
        if row.user is not GUEST and row.user.id != call.user.id:
            return
        row.user = call.user
        row.session = call.session()
        row.updated = self._place.clock.now()
        row.response_id = reply.response_id
        row.messages += [
            {"role": "user", "content": message},
            {"role": "assistant", "content": reply.text, "extra": {"embeddings": None}},
        ]

    def _begin(self, bot: Bot, chat_id: str) -> Discussion:
        row = Discussion(next(self._rows), chat_id, bot, self._place.clock.now())
        if bot.start_sentence and self._place.profile.full_rows:
            row.messages.append({"role": "assistant", "content": bot.start_sentence})
        self._kept[chat_id] = row
        return row

    def messages(self, chat_id: str) -> List[Dict[str, Any]]:
        """Return the messages of a discussion so far."""
        row = self._kept.get(chat_id)
        return row.messages if row else []

    # Routes.

    def list(self, call: Call) -> Answer:
        """Return some of the user's discussions with one bot, the latest first."""
        bot_id = call.text("customId") or call.text("botId")
        if not bot_id:
            return self._failed(call, "Bot ID is required.")
        if call.user is GUEST:
            return self._failed(call, "You need to be connected.")
        rows = [row for row in self._owned(call.user) if row.bot.id == bot_id]
        rows.sort(key=lambda row: (-int(row.updated), row.row))
        offset = call.number("offset", 0)
        limit = call.number("limit", 10) or 5
        shown = [self._row(row) for row in rows[offset : offset + limit]]
        values = {"success": True, "total": str(len(rows)), "chats": shown}
        return json_answer({**values, **call.new_token})

    def edit(self, call: Call) -> Answer:
        """Rename a discussion of the user's; nothing happens if there is none."""
        if not call.text("chatId") or not call.text("title"):
            raise RefusalError("chatId and title are required.", 400)
        if call.user is GUEST:
            raise RefusalError("You need to be logged in.", 401)
        for row in self._owned(call.user):
            if row.chat_id == call.text("chatId"):
                row.title = call.text("title")[:64]
        return json_answer({"success": True, **call.new_token})

    def may_delete(self, call: Call) -> bool:
        """Tell whether all discussions to be deleted are the user's."""
        owned = {row.chat_id for row in self._owned(call.user)}
        return call.user is not GUEST and owned.issuperset(call.fields.get("chatIds") or [])

    def delete(self, call: Call) -> Answer:
        """Delete discussions of the user's."""
        names = call.fields.get("chatIds")
        if not names:
            raise RefusalError("chatIds is required.", 400)
        for name in names:
            self._kept.pop(name, None)
        return json_answer({"success": True, **call.new_token})

    def _owned(self, user: User) -> List[Discussion]:
        return [row for row in self._kept.values() if row.user.id == user.id]

    def _failed(self, call: Call, message: str) -> Answer:
        return json_answer({"success": False, "message": message, **call.new_token})

    def _row(self, row: Discussion) -> Dict[str, Any]:
        full = self._place.profile.full_rows
        extra = {"session": row.session, "model": row.bot.model, "temperature": 0.8}
        values = {
            "id": str(row.row),
            "userId": str(row.user.id),
            "ip": "127.0.0.1",
            **({"title": row.title} if full else {}),
            "messages": _as_column(row.messages),
            "extra": _as_column({**extra, **(self._response(row) if full else {})}),
            "botId": row.bot.id,
            "chatId": row.chat_id,
            "threadId": None,
            "storeId": None,
            "created": self._place.clock.text(row.created),
            "updated": self._place.clock.text(row.updated),
        }
        return {**values, "metadata_display": self._display(row)} if full else values

    def _response(self, row: Discussion) -> Dict[str, str]:
        if row.response_id is None:
            return {}
        date = self._place.clock.text(row.updated)
        return {"previousResponseId": row.response_id, "previousResponseDate": date}

    def _display(self, row: Discussion) -> Dict[str, Any]:
        return {
            "start_date": self._ago(row.created),
            "last_update": self._ago(row.updated),
            "message_count": len(row.messages),
        }

    def _ago(self, then: float) -> str:
        minutes = int(self._place.clock.now() - then) // 60
        return f"{minutes}m ago" if minutes else "Just now"


def _as_column(value: Any) -> str:
    """Return what a column of the database holds: JSON as text."""
    return php_json(value).decode()
