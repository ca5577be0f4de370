"""`PublicAPI`: a site's public API, if its owner has enabled it."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, TypeVar, Union

from urllib3.filepost import encode_multipart_formdata

from . import _validation as validate
from ._http.credentials import Credential
from ._http.request import Request
from ._http.transport import Transport
from ._protocol import routes
from ._protocol.public_api import (
    api_chatbot_body,
    api_moderate_body,
    api_query_body,
    api_transcribe_body,
    api_upload_parts,
    parse_api_image,
    parse_api_json,
    parse_api_reply,
    parse_api_text,
    parse_bots,
    parse_user,
    parse_verdict,
)
from ._protocol.request import DEFAULT_PURPOSE, encode_json
from .files import Source, file_ids, parse_uploaded, read_file
from .types import Bot, File, Image, Reply

__all__ = ["PublicAPI"]

T = TypeVar("T")
#: Returns a value from the JSON object of a response.
Parse = Callable[[Dict[str, Any]], T]


class PublicAPI:
    """
    A site's public API, if its owner has enabled it. `Client.api` is one.

    The bearer token acts as the site's first administrator: guard it like that account's password.
    Nothing streams here. A request that the site may have processed is sent again only by `bots`
    and `whoami`. Threads may share this object.

    Each method raises `ValueError` or `TypeError` for an invalid argument before anything is sent,
    `AuthError` if the token or login is refused, `NotFoundError` if the API is disabled or the
    plugin is too old, `ReplyError` if the plugin fails, and another `ChatGPT4OnlineError` if
    anything else goes wrong. `upload` also raises `OSError`.
    """

    def __init__(self, transport: Transport, credential: Credential, bot: str) -> None:
        self._transport = transport
        self._credential = credential
        self._bot = bot

    def chatbot(
        self,
        message: str,
        *,
        bot: Optional[str] = None,
        chat_id: Optional[str] = None,
        files: Sequence[Union[File, str]] = (),
    ) -> Reply:
        """
        Ask a chatbot and return its answer.

        Args:
            message: the question.
            bot: the id of the bot. Defaults to the client's.
            chat_id: the id of an earlier conversation, which the site continues if it stores
                discussions.
            files: uploaded files, or their ids.

        Source: AI Engine 3.6.2, mwai/v1/simpleChatbotQuery.
        """
        fields = api_chatbot_body(
            validate.identifier(message, "message"),
            self._bot if bot is None else validate.identifier(bot, "bot"),
            validate.optional(validate.identifier, chat_id, "chat_id"),
            file_ids(files),
        )
        return self._post(routes.API_CHATBOT, fields, parse_api_reply)

    def text(self, message: str, **options: Any) -> str:
        """
        Ask a model and return its text.

        Args:
            message: the question.
            options: parameters of the query, spelled as in Python: `model`, `temperature`,
                `max_tokens`...

        Source: AI Engine 3.6.2, mwai/v1/simpleTextQuery.
        """
        return self._ask(routes.API_TEXT, parse_api_text, message, options)

    def fast_text(self, message: str, **options: Any) -> str:
        """
        Ask the site's fast model and return its text.

        Args:
            message: the question.
            options: as for `text`.

        Source: AI Engine 2.9.2, mwai/v1/simpleFastTextQuery.
        """
        return self._ask(routes.API_FAST_TEXT, parse_api_text, message, options)

    def json(self, message: str, **options: Any) -> Any:
        """
        Ask a model for JSON and return the parsed value.

        Args:
            message: the question.
            options: as for `text`.

        Raises:
            ReplyError: what the model wrote is not JSON.

        Source: AI Engine 3.6.2, mwai/v1/simpleJsonQuery.
        """
        return self._ask(routes.API_JSON, parse_api_json, message, options)

    def vision(self, message: str, url: str, **options: Any) -> str:
        """
        Ask a model about an image and return its text.

        Args:
            message: the question.
            url: the URL of the image, which the site must be able to fetch.
            options: as for `text`.

        Source: AI Engine 3.6.2, mwai/v1/simpleVisionQuery.
        """
        url = validate.identifier(url, "url")
        return self._ask(routes.API_VISION, parse_api_text, message, options, url=url)

    def image(self, message: str, **options: Any) -> Image:
        """
        Generate an image and return it.

        Args:
            message: the prompt: what the image shows.
            options: as for `text`, and `resolution`, such as ``"1024x1024"``.

        Source: AI Engine 3.6.2, mwai/v1/simpleImageQuery.
        """
        return self._ask(routes.API_IMAGE, parse_api_image, message, options)

    def edit_image(self, message: str, media_id: int, **options: Any) -> Image:
        """
        Edit an image from the site's media library and return the new one.

        Args:
            message: the prompt: what to change.
            media_id: the id of the image in WordPress.
            options: as for `image`.

        Source: AI Engine 2.8.2, mwai/v1/simpleImageEditQuery.
        """
        media = validate.positive(media_id, "media_id")
        return self._ask(routes.API_EDIT_IMAGE, parse_api_image, message, options, media_id=media)

    def transcribe(self, url: str, **options: Any) -> str:
        """
        Transcribe a recording and return its text.

        Args:
            url: the URL of the recording, which the site must be able to fetch.
            options: as for `text`.

        Source: AI Engine 2.8.9, mwai/v1/simpleTranscribeAudio.
        """
        fields = api_transcribe_body(validate.identifier(url, "url"), options)
        return self._post(routes.API_TRANSCRIBE, fields, parse_api_text)

    def moderate(self, text: str) -> bool:
        """
        Return whether a text violates the rules of the model's vendor.

        Args:
            text: the text.

        Raises:
            ReplyError: the vendor gave no verdict.

        Source: AI Engine 3.6.2, mwai/v1/moderationCheck.
        """
        fields = api_moderate_body(validate.identifier(text, "text"))
        return self._post(routes.API_MODERATE, fields, parse_verdict)

    def upload(
        self, path_or_file: Source, *, name: Optional[str] = None, purpose: str = DEFAULT_PURPOSE
    ) -> File:
        """
        Upload one file as the token's user and return it.

        Args:
            path_or_file: as for `Files.upload`.
            name: as for `Files.upload`.
            purpose: as for `Files.upload`.

        Source: AI Engine 2.9.3, mwai/v1/simpleFileUpload.
        """
        purpose = validate.identifier(purpose, "purpose")
        with self._transport.calling() as call:
            content = read_file(path_or_file, name)
            body, content_type = encode_multipart_formdata(api_upload_parts(content, purpose))
            request = self._request(routes.API_UPLOAD, body=body, content_type=content_type)
            return self._transport.fetch(request, call, parse_uploaded(content, purpose))

    def bots(self) -> List[Bot]:
        """
        Return the site's chatbots.

        Source: AI Engine 2.8.5, mwai/v1/listChatbots.
        """
        return self._get(routes.API_BOTS, partial(parse_bots, site=self._transport.site))

    def whoami(self) -> str:
        """
        Return the e-mail address of the user that you are authenticated as.

        Source: AI Engine 2.1.6, mwai/v1/simpleAuthCheck.
        """
        return self._get(routes.API_WHOAMI, parse_user)

    def _ask(
        self, route: str, parse: Parse[T], message: str, options: Mapping[str, Any], **subject: Any
    ) -> T:
        message = validate.identifier(message, "message")
        return self._post(route, api_query_body(message, options, **subject), parse)

    def _post(self, route: str, fields: Mapping[str, Any], parse: Parse[T]) -> T:
        body = encode_json(fields, "options")
        request = self._request(route, body=body, content_type="application/json")
        return self._transport.ask(request, parse)

    def _get(self, route: str, parse: Parse[T]) -> T:
        request = self._request(route, method="GET", idempotent=True)
        return self._transport.ask(request, parse)

    def _request(self, route: str, **options: Any) -> Request:
        headers = self._transport.headers.plain(accept="application/json")
        return Request(route, headers, credential=self._credential, with_nonce=False, **options)
