"""
The public API: its request bodies and its answers.

Source: AI Engine 3.6.2. An answer that reports success is ``{"success": true, "data": ...}``; a
chatbot's also has an `extra`.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional

from chatgpt4online.errors import ProtocolError
from chatgpt4online.types import Bot, Image, Reply

from .answers import parse_actions
from .failures import reply_error
from .fields import as_dict, as_id, as_str, list_of
from .request import FilePart

#: Options that are also sent next to `options`.
_OUTER_OPTIONS = ("resolution", "scope")


# --------------------------------------------------------------------------------------- requests


def api_chatbot_body(
    message: str, bot: str, chat_id: Optional[str], file_ids: List[str]
) -> Dict[str, Any]:
    """Return the fields that ask a chatbot. Source: mwai/v1/simpleChatbotQuery; `fileIds` 3.1.2."""
    body: Dict[str, Any] = {"botId": bot, "message": message}
    if chat_id is not None:
        body["chatId"] = chat_id
    if file_ids:
        body["fileIds"] = file_ids
    return body


def api_query_body(
    message: str,
    options: Mapping[str, Any],
    *,
    url: Optional[str] = None,
    media_id: Optional[int] = None,
) -> Dict[str, Any]:
    """
    Return the fields that ask a model.

    Args:
        message: the question.
        options: the query's parameters, spelled as in Python.
        url: the URL of an image to look at, or None.
        media_id: the id of an image to edit, or None.

    Source: mwai/v1/simpleTextQuery, simpleFastTextQuery, simpleJsonQuery, simpleImageQuery,
    simpleVisionQuery (`url`) and simpleImageEditQuery (`mediaId`).
    """
    given = {"url": url, "mediaId": media_id}
    known = {name: value for name, value in given.items() if value is not None}
    return {"message": message, **known, **api_options(options)}


def api_transcribe_body(url: str, options: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the fields that transcribe a recording. Source: mwai/v1/simpleTranscribeAudio."""
    return {"url": url, **api_options(options)}


def api_moderate_body(text: str) -> Dict[str, Any]:
    """Return the fields that moderate a text. Source: mwai/v1/moderationCheck."""
    return {"text": text}


def api_upload_parts(file: FilePart, purpose: str) -> Dict[str, Any]:
    """Return the parts of an upload's multipart body. Source: mwai/v1/simpleFileUpload."""
    return {"file": file, "purpose": purpose}


def api_options(options: Mapping[str, Any]) -> Dict[str, Any]:
    """
    Return a query's options as the plugin spells them: ``maxTokens`` for ``max_tokens``.

    Source: mwai/v1/simpleTextQuery and similar routes, which read two of them next to `options`.
    """
    inner = {_camel_case(name): value for name, value in options.items()}
    outer: Dict[str, Any] = {name: inner[name] for name in _OUTER_OPTIONS if name in inner}
    return {**outer, "options": inner} if inner else {}


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


# ---------------------------------------------------------------------------------------- answers


def parse_api_text(fields: Mapping[str, Any]) -> str:
    """
    Return the text in an answer of the public API.

    Raises:
        ProtocolError: it contains none.

    Source: mwai/v1/simpleTextQuery, simpleFastTextQuery, simpleVisionQuery and
    simpleTranscribeAudio.
    """
    return _text(fields.get("data"))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ProtocolError("the public API's answer contains no text")
    return value


def parse_api_reply(fields: Mapping[str, Any]) -> Reply:
    """
    Return a chatbot's answer.

    Raises:
        ProtocolError: it contains no text.

    Source: mwai/v1/simpleChatbotQuery; `extra` since 2.4.8.
    """
    extra = as_dict(fields.get("extra"))
    return Reply(
        parse_api_text(fields),
        actions=parse_actions(extra),
        chat_id=as_id(extra.get("chatId")),
        raw=dict(fields),
    )


def parse_api_json(fields: Mapping[str, Any]) -> Any:
    """
    Return the JSON value that the model wrote.

    Raises:
        ReplyError: it wrote something else.

    Source: mwai/v1/simpleJsonQuery, which answers null in that case.
    """
    if fields.get("data") is None:
        raise reply_error("What the model wrote is not JSON")
    return fields["data"]


def parse_api_image(fields: Mapping[str, Any]) -> Image:
    """
    Return the image that the public API generated. Some engines put its URL into Markdown.

    Raises:
        ProtocolError: the answer contains no text.

    Source: mwai/v1/simpleImageQuery and simpleImageEditQuery.
    """
    text = parse_api_text(fields)
    linked = re.search(r"!\[[^\[\]]*\]\(([^()\s]+)\)", text)
    return Image(linked.group(1) if linked else text.strip())


def parse_verdict(fields: Mapping[str, Any]) -> bool:
    """
    Return whether a moderated text violates the rules.

    Raises:
        ReplyError: the vendor gave no verdict.
        ProtocolError: the answer is not a verdict.

    Source: mwai/v1/moderationCheck, which answers null if there is no verdict.
    """
    verdict = fields.get("data")
    if verdict is None:
        raise reply_error("The vendor gave no verdict")
    if not isinstance(verdict, bool):
        raise ProtocolError("the public API's answer contains no verdict")
    return verdict


def parse_bots(fields: Mapping[str, Any], site: str) -> List[Bot]:
    """Return the chatbots of a site. Source: mwai/v1/listChatbots."""
    return [
        Bot(
            id=as_id(row.get("id")),
            custom_id=None,
            context_id=None,
            site=site,
            rest_url=None,
            mode=as_str(row.get("type")),
            start_sentence=None,
            max_length=None,
            uploads=False,
            name=as_id(row.get("name")),
        )
        for row in list_of(fields, "data", dict)
    ]


def parse_user(fields: Mapping[str, Any]) -> str:
    """
    Return the e-mail address of the user that a token or a login authenticates.

    Raises:
        ProtocolError: the answer contains no address.

    Source: mwai/v1/simpleAuthCheck.
    """
    return _text(as_dict(fields.get("data")).get("value"))
