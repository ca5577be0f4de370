"""The public API: what a site lets programs do that know its bearer token."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from typing import Any, Dict, Optional, Tuple

from ._bots import Bot, Bots
from ._chats import Chats, with_pictures
from ._discussions import Discussions
from ._files import LIFETIME, Files, check_type
from ._http import Answer
from ._model import Question, RefusalError, Reply, echo
from ._place import Place
from ._wordpress import GUEST, Call, Endpoint, Upload, Users, json_answer


class PublicApi:
    """
    The routes ``simple*``, ``moderationCheck`` and ``listChatbots``.

    Args:
        token: the site's bearer token; None if the site does not have the public API switched on.
        place: the site's address, clock and version.
        users: its users: the token acts as the first administrator.
        bots: its chatbots.
        files: its files.
        discussions: where ``simpleChatbotQuery`` remembers earlier messages.
        chats: whose rules hold for what is asked here, too.

    Source: AI Engine 3.6.2 and 2.4.7, mwai/v1/simple*, /moderationCheck, /listChatbots.
    """

    def __init__(
        self,
        token: Optional[str],
        *,
        place: Place,
        users: Users,
        bots: Bots,
        files: Files,
        discussions: Discussions,
        chats: Chats,
    ) -> None:
        self._token = token
        self._place = place
        self._users = users
        self._bots = bots
        self._files = files
        self._discussions = discussions
        self._chats = chats

    def routes(self) -> Dict[Tuple[str, str], Endpoint]:
        """Return what serves each method and route; nothing where the API is off."""
        if self._token is None:
            return {}
        looks = {"simpleAuthCheck": self._auth_check, "listChatbots": self._list_chatbots}
        works = {"simpleFileUpload": self._upload, "moderationCheck": self._moderation}
        asks = {
            "simpleTextQuery": self._text,
            "simpleFastTextQuery": self._text,
            "simpleImageQuery": self._image,
            "simpleImageEditQuery": self._image_edit,
            "simpleVisionQuery": self._vision,
            "simpleJsonQuery": self._json,
            "simpleTranscribeAudio": self._transcribe,
            "simpleChatbotQuery": self._chatbot,
        }
        return {
            **{("GET", f"/mwai/v1/{name}"): Endpoint(do, self._may) for name, do in looks.items()},
            **{("POST", f"/mwai/v1/{name}"): Endpoint(do, self._may) for name, do in works.items()},
            **{
                ("POST", f"/mwai/v1/{name}"): Endpoint(do, self._may, asks_model=True)
                for name, do in asks.items()
            },
        }

    def _may(self, call: Call) -> bool:
        """Let users in, and the token, which acts as the first administrator."""
        if call.request.headers.get("Authorization") == f"Bearer {self._token}":
            call.user = self._users.admin
        return call.user is not GUEST

    # Routes.

    def _auth_check(self, call: Call) -> Answer:
        return _data({"type": "email", "value": call.user.email})

    def _list_chatbots(self, call: Call) -> Answer:  # noqa: ARG002 (all callbacks are called alike)
        return _data([self._described(bot) for bot in self._bots.listed()])

    def _text(self, call: Call) -> Answer:
        return _data(self._said(call, self._message(call)).text)

    def _json(self, call: Call) -> Answer:
        message = self._message(call)
        if not self._place.profile.json_query:
            raise RefusalError("The url and path are not supported yet by the simpleJsonQuery.")
        try:
            return _data(json.loads(self._said(call, message).text))
        except ValueError:
            return _data(None)

    def _vision(self, call: Call) -> Answer:
        message = with_pictures(self._message(call), [self._required(call, "url")])
        return _data(self._said(call, message).text)

    def _image(self, call: Call) -> Answer:
        return self._painted(call, self._message(call))

    def _image_edit(self, call: Call) -> Answer:
        message = self._message(call)
        self._required(call, "mediaId")
        return self._painted(call, message)

    def _transcribe(self, call: Call) -> Answer:
        source = call.text("url") or call.text("mediaId")
        if not source:
            raise RefusalError("The url or mediaId is required.")
        return _data(self._said(call, source).text)

    def _moderation(self, call: Call) -> Answer:
        return _data(self._chats.guard.flags(self._required(call, "text")))

    def _upload(self, call: Call) -> Answer:
        upload = call.uploads.get("file") or _decoded(call)
        check_type(upload, 500)
        purpose = call.text("purpose") or "analysis"
        return self._files.keep(call, upload, purpose, call.number("ttl", LIFETIME))

    def _chatbot(self, call: Call) -> Answer:
        message = call.text("message") or call.text("prompt")
        if not call.text("botId") or not message:
            raise RefusalError("The botId and message are required.")
        bot = self._bots.named(call.text("botId"))
        if bot is None:
            raise RefusalError("Chatbot not found.")
        chat_id = call.text("chatId") or call.session()
        seen = len(self._discussions.messages(chat_id)) + 1
        reply = self._said(call, message, echo(Question(message, seen)))
        self._discussions.append(call, bot, chat_id, message, reply)
        values: Dict[str, Any] = {"success": True, "data": reply.text}
        if self._place.profile.extras:
            values["extra"] = {"actions": list(reply.actions), "chatId": chat_id}
        return json_answer(values)

    # What they share.

    def _message(self, call: Call) -> str:
        return call.text("message") or self._required(call, "prompt", "message")

    def _required(self, call: Call, name: str, shown: str = "") -> str:
        if not call.text(name):
            raise RefusalError(f"The {shown or name} is required.")
        return call.text(name)

    def _said(self, call: Call, message: str, untold: Optional[Reply] = None) -> Reply:
        """Return what the model says to a message, which echoes where nothing else is given."""
        call.session()
        objection = self._chats.guard.objection(message)
        if objection is not None:
            raise RefusalError(objection)
        reply = call.take_script().reply or untold or echo(Question(message, 1))
        return reply.checked()

    def _painted(self, call: Call, message: str) -> Answer:
        url = self._files.url(self._files.paint(call.user, call.session()))
        return _data(self._said(call, message, Reply(final=url)).text)

    def _described(self, bot: Bot) -> Dict[str, Any]:
        vendor = "OpenAI" if bot.mode == "images" else "Fake"
        return {
            "id": bot.id,
            "name": bot.name,
            "type": bot.mode,
            "model": bot.model,
            "model_name": bot.model,
            "environment": f"env{vendor.lower()}",
            "environment_name": vendor,
            "functions": [],
            "tools": [],
            "mcp_servers": [],
        }


def _data(value: Any) -> Answer:
    return json_answer({"success": True, "data": value})


def _decoded(call: Call) -> Upload:
    """Return the file in a request's JSON."""
    if not call.text("base64") or not call.text("filename"):
        raise RefusalError("No file provided.")
    try:
        return Upload(call.text("filename"), b64decode(call.text("base64"), validate=True))
    except binascii.Error:
        raise RefusalError("Invalid base64 data.") from None
