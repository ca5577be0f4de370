"""The public API: what a site lets programs do that know its bearer token."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Callable, Dict

from ._chats import with_pictures
from ._files import LIFETIME, check_type
from ._model import Question, RefusalError, Reply, echo
from ._wordpress import GUEST, Upload, json_answer

if TYPE_CHECKING:
    from ._bots import Bot, Bots
    from ._chats import Chats
    from ._discussions import Discussions
    from ._files import Files
    from ._http import Answer
    from ._place import Place
    from ._wordpress import Call, Users


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
        token: str | None,
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

    def routes(self) -> Dict[tuple[str, str], Callable[[Call], Answer]]:
        """Return the callbacks by method and route; none where the API is off."""
        if self._token is None:
            return {}
        return {
            ("GET", "/mwai/v1/simpleAuthCheck"): self._auth_check,
            ("GET", "/mwai/v1/listChatbots"): self._list_chatbots,
            ("POST", "/mwai/v1/simpleTextQuery"): self._text,
            ("POST", "/mwai/v1/simpleFastTextQuery"): self._text,
            ("POST", "/mwai/v1/simpleImageQuery"): self._image,
            ("POST", "/mwai/v1/simpleImageEditQuery"): self._image_edit,
            ("POST", "/mwai/v1/simpleVisionQuery"): self._vision,
            ("POST", "/mwai/v1/simpleJsonQuery"): self._json,
            ("POST", "/mwai/v1/simpleTranscribeAudio"): self._transcribe,
            ("POST", "/mwai/v1/simpleFileUpload"): self._upload,
            ("POST", "/mwai/v1/simpleChatbotQuery"): self._chatbot,
            ("POST", "/mwai/v1/moderationCheck"): self._moderation,
        }

    def may(self, call: Call) -> bool:
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
        self._message(call)
        return self._painted(call)

    def _image_edit(self, call: Call) -> Answer:
        self._message(call)
        self._required(call, "mediaId")
        return self._painted(call)

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
        reply = self._said(call, message, len(self._discussions.messages(chat_id)) + 1)
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

    def _said(self, call: Call, message: str, seen: int = 1) -> Reply:
        call.session()
        objection = self._chats.guard.objection(message)
        if objection is not None:
            raise RefusalError(objection)
        return call.script.reply or echo(Question(message, seen))

    def _painted(self, call: Call) -> Answer:
        if call.script.reply:
            return _data(call.script.reply.text)
        return _data(self._files.url(self._files.paint(call.user, call.session())))

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
