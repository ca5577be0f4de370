"""Parse the JSON of an answer into public values and nonces."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

from chatgpt4online.errors import ProtocolError
from chatgpt4online.types import (
    Action,
    Bot,
    Discussion,
    File,
    Image,
    Message,
    Reply,
    Shortcut,
    Usage,
)

from .failures import nothing_deleted, reply_error
from .fields import (
    as_count,
    as_dict,
    as_id,
    as_int,
    as_number,
    as_str,
    as_text,
    as_time,
    as_word,
    list_of,
    parse_json,
    plain_text,
)
from .request import ROLES
from .routes import CHAT, named_root, site_of

_NONCE = re.compile(r"[0-9A-Za-z_-]{1,128}")
_NEW_NONCE = "new_token"

#: Those of the images that WordPress accepts as uploads.
_IMAGE_EXTENSIONS = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".ico"),
    *(".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
)


# ----------------------------------------------------------------------------------------- chat


def parse_reply(answer: Mapping[str, Any], so_far: str, chat_id: str) -> Reply:
    """
    Return the reply in an answer's JSON object.

    Args:
        answer: the object; a fresh nonce in it is left out of `Reply.raw`.
        so_far: the text so far, used if the object has no `reply`.
        chat_id: the id of the conversation.

    Raises:
        ReplyError: its `success` is false.
        ProtocolError: its `reply` is not a str.

    Source: the answer of mwai-ui/v1/chats/submit. 2.4.7 has only `reply`, `images` and `usage`;
    `actions` and `blocks` came with 2.4.8, `shortcuts` with 2.4.9, `responseId` with 2.8.4.
    """
    if answer.get("success") is False:
        raise reply_error(plain_text(answer.get("message")))
    text = answer.get("reply", so_far or None)
    if not isinstance(text, str):
        raise ProtocolError("the answer contains no reply")
    raw = dict(answer)
    raw.pop(_NEW_NONCE, None)
    return Reply(
        text,
        usage=_usage(answer.get("usage")),
        images=tuple(Image(url) for url in list_of(answer, "images", str)),
        actions=parse_actions(answer),
        shortcuts=tuple(_shortcut(item) for item in list_of(answer, "shortcuts", dict)),
        blocks=tuple(list_of(answer, "blocks", dict)),
        response_id=as_word(answer.get("responseId")),
        chat_id=chat_id,
        raw=raw,
    )


def _usage(value: object) -> Optional[Usage]:
    """Return the usage of an answer. Source: mwai-ui/v1/chats/submit; `accuracy` since 2.8.8."""
    if not isinstance(value, dict):
        return None
    return Usage(
        prompt_tokens=as_int(value.get("prompt_tokens")),
        completion_tokens=as_int(value.get("completion_tokens")),
        total_tokens=as_int(value.get("total_tokens")),
        price=as_number(value.get("price")),
        queries=as_int(value.get("queries")),
        accuracy=as_str(value.get("accuracy")),
    )


def parse_actions(answer: Mapping[str, Any]) -> Tuple[Action, ...]:
    """
    Return what the model asks the visitor's browser to do.

    Source: `actions` of mwai-ui/v1/chats/submit since 2.4.8; their fields are in `data` since
    2.4.9, and were next to `type` before.
    """
    return tuple(_action(item) for item in list_of(answer, "actions", dict))


def _action(item: Dict[str, Any]) -> Action:
    data = as_dict(item.get("data", item))
    return Action(
        kind=plain_text(item.get("type")),
        name=as_str(data.get("name")) or "",
        args=as_dict(data.get("args")),
        data=data,
    )


def _shortcut(item: Dict[str, Any]) -> Shortcut:
    """Return a shortcut. Source: 2.4.9 to 3.3.2 send `message`, 3.3.3 and later `shortcutId`."""
    data = as_dict(item.get("data"))
    return Shortcut(
        label=as_text(data.get("label")),
        message=as_text(data.get("message")),
        shortcut_id=as_str(data.get("shortcutId")),
        data=data,
    )


# --------------------------------------------------------------------------- nonces and the index


def parse_nonce(value: object) -> Optional[str]:
    """Return a nonce; None if the value cannot be one. Source: WordPress's have 10 hex digits."""
    return value if isinstance(value, str) and _NONCE.fullmatch(value) else None


def parse_session_nonce(answer: Mapping[str, Any]) -> str:
    """
    Return the nonce of a new session.

    Raises:
        ProtocolError: the answer has no usable nonce.

    Source: mwai/v1/start_session, since 2.4.4.
    """
    nonce = parse_nonce(answer.get("restNonce"))
    if nonce is None:
        raise ProtocolError("the site's response contains no usable nonce.")
    return nonce


def parse_new_nonce(answer: Mapping[str, Any]) -> Optional[str]:
    """
    Return the fresh nonce that an answer contains, or None.

    Source: `new_token` since 2.8.5, in an answer to a nonce in the second half of its life.
    """
    return parse_nonce(answer.get(_NEW_NONCE))


def parse_namespaces(answer: Mapping[str, Any]) -> List[str]:
    """Return the REST API's namespaces, such as ``mwai/v1``. Source: WordPress's REST index."""
    return list_of(answer, "namespaces", str)


def parse_offers_chat(answer: Mapping[str, Any]) -> bool:
    """
    Return whether the index of the chat's namespace lists the chat's route; True without a list.

    Source: AI Engine 3.6.2 keeps the namespace where the module of the chatbots is off.
    """
    listed = answer.get("routes")
    return not isinstance(listed, dict) or f"/{CHAT}" in listed


# ------------------------------------------------------------------- files, discussions and bots


def parse_upload(answer: Mapping[str, Any], name: str, purpose: str) -> File:
    """
    Return the file that an upload created.

    Args:
        answer: the JSON object.
        name: the file's name.
        purpose: what it was uploaded for.

    Raises:
        ProtocolError: the answer has no id or URL.

    Source: mwai-ui/v1/files/upload and mwai/v1/simpleFileUpload.
    """
    data = as_dict(answer.get("data"))
    file_id, url = as_id(data.get("id")), as_str(data.get("url"))
    if not file_id or not url:
        raise ProtocolError("the site's response does not name the uploaded file")
    return File(
        id=file_id,
        url=url,
        name=name,
        type=_file_type(url),
        purpose=purpose,
        created=None,
        expires=None,
    )


def parse_files(answer: Mapping[str, Any]) -> List[File]:
    """
    Return the files in a list.

    Source: mwai-ui/v1/files/list. A row's `refId` is the id that questions and deletions take.
    """
    return [_file(row) for row in list_of(as_dict(answer.get("data")), "files", dict)]


def _file(row: Mapping[str, Any]) -> File:
    url = as_text(row.get("url"))
    return File(
        id=as_id(row.get("refId")) or as_id(row.get("id")) or "",
        url=url,
        name=url.rpartition("/")[2],
        type=_file_type(url),
        purpose=as_id(row.get("purpose")),
        created=as_time(row.get("created")),
        expires=as_time(row.get("expires")),
    )


def _file_type(url: str) -> str:
    """
    Return ``"image"`` or ``"file"``, by the extension of a file's URL.

    Source: an upload's answer has no `type`; in a list, 2.8.5 to 3.6.2 call images ``file``.
    """
    path = url.partition("?")[0].lower()
    return "image" if path.endswith(_IMAGE_EXTENSIONS) else "file"


def parse_deleted(answer: Mapping[str, Any]) -> int:
    """
    Return how many files were deleted.

    Raises:
        ReplyError: none, although the answer reports success.

    Source: mwai-ui/v1/files/delete: `deleted` since 3.2.8. Before, the route does not know the ids
    of uploads, deletes nothing, and answers ``{"success": true}``.
    """
    deleted = as_count(answer.get("deleted"))
    if not deleted:
        raise nothing_deleted(is_old=deleted is None)
    return deleted


def parse_discussions(answer: Mapping[str, Any]) -> List[Discussion]:
    """
    Return the discussions in a list.

    Source: mwai-ui/v1/discussions/list. A row's `messages` are JSON within the JSON.
    """
    return [_discussion(row) for row in list_of(answer, "chats", dict)]


def _discussion(row: Mapping[str, Any]) -> Discussion:
    return Discussion(
        chat_id=as_id(row.get("chatId")) or "",
        title=as_str(row.get("title")),
        messages=tuple(_messages(as_str(row.get("messages")) or "[]")),
        bot=as_id(row.get("botId")),
        created=as_time(row.get("created")),
        updated=as_time(row.get("updated")),
    )


def _messages(column: str) -> List[Message]:
    """Return the turns among a discussion's stored items, none if their JSON is broken."""
    try:
        stored = parse_json(column)
    except ProtocolError:  # one broken row must not hide the other discussions
        return []
    items = stored if isinstance(stored, list) else []
    return [
        Message(role=item["role"], content=item["content"])
        for item in items
        if isinstance(item, dict)
        and item.get("role") in ROLES
        and isinstance(item.get("content"), str)
    ]


def parse_bot(
    system: Mapping[str, Any], params: Mapping[str, Any], page: str, rest_root: Optional[str]
) -> Bot:
    """
    Return the chatbot that an element of a page describes.

    Args:
        system: its `data-system`, in which numbers may stand for strings.
        params: its `data-params`.
        page: the page's URL.
        rest_root: the REST root that the page links to, for elements that name none.

    Source: the page's HTML; `contextId` since 1.4.6, `id` 1.6.56 to 1.9.7 and `customId` since
    1.9.8, `botId` since 1.6.82.
    """
    rest_url = named_root(system.get("restUrl"), page) or rest_root
    return Bot(
        id=as_id(system.get("botId")),
        custom_id=as_id(system.get("customId") or system.get("id")),
        context_id=as_count(system.get("contextId")),
        site=site_of(rest_url or page),
        rest_url=rest_url,
        mode=as_str(params.get("mode")),
        start_sentence=as_str(params.get("startSentence")) or None,
        max_length=as_count(params.get("textInputMaxLength")) or None,
        uploads=bool(params.get("fileUpload") or params.get("imageUpload")),
        name=as_text(params.get("aiName")).rstrip(": ") or None,
    )


def parse_page_nonce(system: Mapping[str, Any]) -> Optional[str]:
    """
    Return the nonce in the `data-system` of a chatbot's element, or None.

    Source: `restNonce`, for everybody in 2.0.1 to 2.4.3; for logged-in users only since.
    """
    return parse_nonce(system.get("restNonce"))
