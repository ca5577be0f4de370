"""The public API: routes for programs that know the site's bearer token."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from typing import Any, Dict, Optional, Tuple

from ._bots import Bot, Bots
from ._chats import Chats, messages_for_model, with_images
from ._config import SiteConfig
from ._discussions import Discussions
from ._files import DEFAULT_LIFETIME, Files, check_type
from ._http import HTTPResponse
from ._model import PluginError, Question, Reply
from ._responses import json_response
from ._rest import Endpoint, RestRequest, Upload
from ._users import GUEST, Users

_ANY_BOT = Bot("", "", max_length=None)
_PAINTER = Bot("", "", mode="images", max_length=None)


class PublicApi:
    """
    The routes ``simple*``, ``moderationCheck`` and ``listChatbots``.

    Args:
        token: the site's bearer token; None if the public API is off.
        config: the site's version, address and clock.
        users: its users; the token acts as the first administrator.
        bots: its chatbots.
        files: its files.
        discussions: where ``simpleChatbotQuery`` finds earlier messages.
        chats: whose rules also apply here.

    Source: AI Engine 3.6.2, 3.3.9 and 2.4.7, mwai/v1/simple*, /moderationCheck, /listChatbots.
    """

    def __init__(
        self,
        token: Optional[str],
        *,
        config: SiteConfig,
        users: Users,
        bots: Bots,
        files: Files,
        discussions: Discussions,
        chats: Chats,
    ) -> None:
        self._token = token
        self._profile = config.profile
        self._messages = config.profile.api_messages
        self._users = users
        self._bots = bots
        self._files = files
        self._discussions = discussions
        self._chats = chats
        self._policy = chats.policy

    def endpoints(self) -> Dict[Tuple[str, str], Endpoint]:
        """Return the endpoint of each method and route; none if the API is off."""
        if self._token is None:
            return {}
        table = {
            ("GET", "simpleAuthCheck"): Endpoint(self._auth_check, self._is_allowed, allow="GET"),
            ("GET", "listChatbots"): Endpoint(self._list_chatbots, self._is_allowed, allow="GET"),
            ("POST", "simpleFileUpload"): Endpoint(self._upload, self._is_allowed),
            ("POST", "moderationCheck"): Endpoint(self._moderation, self._is_allowed),
        }
        queries = {
            "simpleTextQuery": self._text,
            "simpleFastTextQuery": self._text,
            "simpleImageQuery": self._image,
            "simpleImageEditQuery": self._image_edit,
            "simpleVisionQuery": self._vision,
            "simpleJsonQuery": self._json,
            "simpleTranscribeAudio": self._transcribe,
            "simpleChatbotQuery": self._chatbot,
        }
        for name, callback in queries.items():
            table["POST", name] = Endpoint(callback, self._is_allowed, asks_model=True)
        return {(method, f"/mwai/v1/{name}"): each for (method, name), each in table.items()}

    def _is_allowed(self, request: RestRequest) -> bool:
        """Permit users, and the token, which acts as the first administrator."""
        if request.http.headers.get("Authorization") == f"Bearer {self._token}":
            request.user = self._users.admin
        return request.user is not GUEST

    # Routes.

    def _auth_check(self, request: RestRequest) -> HTTPResponse:
        return _data({"type": "email", "value": request.user.email})

    def _list_chatbots(
        self,
        request: RestRequest,  # noqa: ARG002 (callbacks share a signature)
    ) -> HTTPResponse:
        return _data([_bot_fields(bot) for bot in self._bots.registered()])

    def _text(self, request: RestRequest) -> HTTPResponse:
        return _data(self._ask_model(request, self._message(request)).text)

    def _json(self, request: RestRequest) -> HTTPResponse:
        message = self._message(request)
        if not self._profile.json_queries:
            raise PluginError("The url and path are not supported yet by the simpleJsonQuery.")
        try:
            return _data(json.loads(self._ask_model(request, message).text))
        except ValueError:
            return _data(None)

    def _vision(self, request: RestRequest) -> HTTPResponse:
        message = self._message(request)
        if not request.text("url"):
            raise PluginError(self._messages["no url"])
        return _data(self._ask_model(request, with_images(message, [request.text("url")])).text)

    def _image(self, request: RestRequest) -> HTTPResponse:
        return self._generate_image(request, self._message(request))

    def _image_edit(self, request: RestRequest) -> HTTPResponse:
        message = self._message(request)
        if not request.text("mediaId"):
            raise PluginError("The mediaId is required.")
        return self._generate_image(request, message)

    def _transcribe(self, request: RestRequest) -> HTTPResponse:
        source = request.text("url") or request.text("mediaId")
        if not source:
            raise PluginError(self._messages["no audio"])
        return _data(self._ask_model(request, source).text)

    def _moderation(self, request: RestRequest) -> HTTPResponse:
        if not request.text("text"):
            raise PluginError(self._messages["no text"])
        return _data(self._policy.is_flagged(request.text("text")))

    def _upload(self, request: RestRequest) -> HTTPResponse:
        upload = request.uploads.get("file") or self._base64_upload(request)
        check_type(upload, 500)
        purpose = request.text("purpose") or "analysis"
        lifetime = request.number("ttl", DEFAULT_LIFETIME)
        return self._files.store(request, upload, purpose, lifetime)

    def _chatbot(self, request: RestRequest) -> HTTPResponse:
        message = request.text("message") or request.text("prompt")
        if not request.text("botId") or not message:
            raise PluginError("The botId and message are required.")
        bot = self._chats.check(self._bots.find(request.text("botId")), message)
        chat_id = self._discussions.chat_id(request)
        stored = self._discussions.messages(chat_id) if self._profile.api_sends_history else []
        question = Question(message, len(messages_for_model(stored)) + 1)
        reply = self._ask(request, question, bot)
        self._discussions.append(request, bot, chat_id, message, reply)
        fields: Dict[str, Any] = {"success": True, "data": reply.text}
        if self._profile.chatbot_extra:
            fields["extra"] = {"actions": list(reply.actions), "chatId": chat_id}
        return json_response(fields)

    # Shared by the routes.

    def _message(self, request: RestRequest) -> str:
        message = request.text("message") or request.text("prompt")
        if not message:
            raise PluginError("The message is required.")
        return message

    def _ask_model(self, request: RestRequest, message: str) -> Reply:
        """
        Return the reply to a message without history, which no bot limits.

        Raises:
            PluginError: the owner's rules or the request's options forbid it, or the script fails.
        """
        options = request.fields.get("options")
        options = options if isinstance(options, dict) else {}
        if not options.get("envId") and not self._chats.offers(options.get("model"), _ANY_BOT):
            raise PluginError("The environment is required.")
        return self._ask(request, Question(message, 1), _ANY_BOT)

    def _ask(self, request: RestRequest, question: Question, bot: Bot) -> Reply:
        request.session_id()
        refusal = self._policy.count_query(question.message)
        if refusal is not None:
            raise PluginError(refusal)
        scripted = request.take_script().reply
        reply = scripted or self._chats.default_reply(request, bot, question)
        reply.raise_for_error()
        return reply

    def _generate_image(self, request: RestRequest, message: str) -> HTTPResponse:
        reply = self._ask(request, Question(message, 1), _PAINTER)
        return _data(reply.images[0] if reply.images else reply.text)

    def _base64_upload(self, request: RestRequest) -> Upload:
        """
        Return the file that a JSON body contains.

        Raises:
            PluginError: it contains none, or not in base64.
        """
        name, data = request.text("filename"), request.text("base64")
        if not data or not name:
            raise PluginError(self._messages["no file"])
        try:
            return Upload(name, b64decode(data, validate=True))
        except binascii.Error:
            raise PluginError(self._messages["bad base64"]) from None


def _data(value: Any) -> HTTPResponse:
    return json_response({"success": True, "data": value})


def _bot_fields(bot: Bot) -> Dict[str, Any]:
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
