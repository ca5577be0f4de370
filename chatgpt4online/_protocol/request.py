"""
Request bodies: chat, files and discussions.

Pure except that `new_chat_id` draws from `os.urandom`. How a body is sent is in `_http.request`.
"""

from __future__ import annotations

import json
import re
from os import urandom
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from chatgpt4online._validation import identifier, plain_str, text, type_name
from chatgpt4online.errors import MessageError
from chatgpt4online.types import Message, Shortcut, Turn

#: The roles that the plugin knows. Source: `messages` of mwai-ui/v1/chats/submit.
ROLES = ("user", "assistant", "system")

#: The purpose of an upload. Source: that of chats since 3.2.8, which maps others to it.
DEFAULT_PURPOSE = "analysis"

#: A file's name, content and media type.
FilePart = Tuple[str, bytes, str]

_CHAT_ID_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PHP_WHITESPACE = " \t\n\r\0\x0b"  # the plugin strips it before it counts characters


# -------------------------------------------------------------------------------------- history


def validate_messages(messages: Sequence[Turn]) -> List[Message]:
    """
    Return a copy of the turns, with only their roles and contents, as plain str.

    Raises:
        MessageError: a wrong role, a part that is not text, or a lone surrogate.
        TypeError: not a list, or an item that is not a turn.
    """
    return [_turn(message) for message in _sequence(messages)]


def build_history(
    message: Union[str, Shortcut, Sequence[Turn]],
    messages: Sequence[Turn],
    *,
    has_files: bool = False,
) -> List[Message]:
    """
    Return all turns of a question, the new one last.

    Args:
        message: the new turn, or all turns.
        messages: the turns before it.
        has_files: whether files come with it, so that it may be empty.

    Raises:
        MessageError: an empty message, a wrong role, a last turn that is not the user's, a part
            that is not text, or a lone surrogate.
        ValueError: both arguments contain earlier turns.
        TypeError: something that is neither a str nor a turn.
    """
    history = validate_messages(messages)
    if isinstance(message, (str, Shortcut)):
        content = text(message_text(message), "message", MessageError)
        history.append({"role": "user", "content": content})
    elif not isinstance(message, (list, tuple)):
        raise TypeError(f"message must be a str or a list of turns, not {type_name(message)}")
    elif history:
        raise ValueError("give the history once: in message or in messages, not in both")
    else:
        history = validate_messages(message)
    if not history or history[-1]["role"] != "user":
        raise MessageError("the last turn of the history must be the user's")
    if not history[-1]["content"].strip() and not has_files and not shortcut_fields(message):
        raise MessageError("the message is empty")
    return history


def message_text(message: Union[str, Shortcut]) -> str:
    """Return the text that a history contains for a question, or for a click on a shortcut."""
    if isinstance(message, Shortcut):
        return message.message or message.label
    return plain_str(message)


def format_prompt(messages: Sequence[Turn]) -> str:
    """
    Flatten a history into one text.

    Args:
        messages: the turns. A single turn stays as it is; several become lines such as
            ``User: ...`` and ``Assistant: ...``, and a final ``Assistant:``.

    Raises:
        ValueError: there are no turns.
        MessageError: a turn has a wrong role, a part that is not text, or a lone surrogate.
        TypeError: a turn is not a dict, or its content is neither a str nor a list of parts.
    """
    turns = validate_messages(messages)
    if not turns:
        raise ValueError("messages is empty")
    if len(turns) == 1:
        return turns[0]["content"]
    lines = ["{}: {}".format(turn["role"].capitalize(), turn["content"]) for turn in turns]
    return "\n".join([*lines, "Assistant:"])


def _sequence(messages: Sequence[Turn]) -> Sequence[Turn]:
    if not isinstance(messages, (list, tuple)):
        raise TypeError(f"messages must be a list of turns, not {type_name(messages)}")
    return messages


def _turn(message: Turn) -> Message:
    if not isinstance(message, Mapping):
        raise TypeError(f'a turn must be {{"role": ..., "content": ...}}, not {type_name(message)}')
    role = message.get("role")
    role = plain_str(role) if isinstance(role, str) else role
    if not isinstance(role, str) or role not in ROLES:
        raise MessageError(f"a turn's role must be user, assistant or system, not {role!r}")
    return {"role": role, "content": _content(message.get("content"))}


def _content(content: object) -> str:
    """Return the text of a turn, which may come in parts, as OpenAI's API has them."""
    if isinstance(content, (list, tuple)):
        content = "".join(map(_part, content))
    return text(content, "a turn's content", MessageError)


def _part(part: object) -> str:
    if not isinstance(part, Mapping):
        raise TypeError(f'a part must be {{"type": "text", "text": ...}}, not {type_name(part)}')
    if part.get("type") != "text":
        raise MessageError(
            f"a turn's content may contain only text parts, not {part.get('type')!r}:"
            " send files with files="
        )
    return text(part.get("text"), "a part's text", MessageError)


# ----------------------------------------------------------------------------------------- chat


def new_chat_id() -> str:
    """Return an id for a new conversation: 10 characters of ``0-9a-z``, like the widget's."""
    number = int.from_bytes(urandom(8), "big")
    letters = []
    for _ in range(10):
        number, index = divmod(number, 36)
        letters.append(_CHAT_ID_LETTERS[index])
    return "".join(letters)


def chat_body(
    history: List[Message],
    *,
    bot: Optional[str],
    custom_id: Optional[str],
    context_id: Optional[int],
    chat_id: str,
    flat: bool,
    model: Optional[str],
    fields: Mapping[str, Any],
    extra_body: Optional[Mapping[str, Any]],
    max_length: Optional[int],
) -> bytes:
    """
    Return the JSON body of a question.

    The plugin lets unknown fields override the bot's settings. So the body has only the widget's
    fields, and `model` and `extra_body` if they are given.

    Args:
        history: all turns, the new one last.
        bot: the bot's id, or None.
        custom_id: the id of a bot that a page defines, or None.
        context_id: the id of the WordPress page, or None.
        chat_id: the id of the conversation.
        flat: whether all turns go into the question's text.
        model: the model to ask for, or None.
        fields: those of `shortcut_fields` and `file_fields`.
        extra_body: the caller's additional fields.
        max_length: the most characters that the bot accepts, or None.

    Raises:
        MessageError: the message is longer than that.
        ValueError: a field cannot be sent.
        TypeError: a field has the wrong type.

    Source: mwai-ui/v1/chats/submit. `messages` and `chatId` are always there, because 2.6.8 to
    2.9.1 print warnings without them. The length is `textInputMaxLength`: bytes in 2.2.0 to 2.4.8,
    characters since.
    """
    body: Dict[str, Any] = {
        "botId": bot,
        "customId": custom_id,
        "contextId": context_id,
        "chatId": chat_id,
        "messages": [] if flat else history[:-1],
        "newMessage": format_prompt(history) if flat else history[-1]["content"],
        "stream": True,
        **fields,
    }
    size = len(body["newMessage"].strip(_PHP_WHITESPACE))
    if max_length is not None and size > max_length:
        raise MessageError(
            f"the message has {size} characters; the bot allows at most {max_length}"
        )
    if model is not None:
        body["model"] = identifier(model, "model")
    body.update(_extra_fields(extra_body, body))
    return encode_json(body, "extra_body")


def _extra_fields(
    extra_body: Optional[Mapping[str, Any]], body: Mapping[str, Any]
) -> Mapping[str, Any]:
    if extra_body is None:
        return {}
    if not isinstance(extra_body, Mapping):
        raise TypeError(f"extra_body must be a dict, not {type_name(extra_body)}")
    for name in extra_body:
        if not isinstance(name, str):
            raise TypeError(f"extra_body's names must be str, not {type_name(name)}")
    fields = {plain_str(name): value for name, value in extra_body.items()}
    for name in fields:
        if name in body and name != "stream":
            raise ValueError(f"extra_body must not replace {name!r}")
    return fields


def shortcut_fields(message: object) -> Dict[str, Any]:
    """
    Return the fields that replace the message when a shortcut with an id was clicked.

    Source: mwai-ui/v1/chats/submit; `shortcutId` since 3.3.3, `shortcutName` since 3.4.3.
    """
    if isinstance(message, Shortcut) and message.shortcut_id:
        fields = {"shortcutId": message.shortcut_id, "shortcutName": message.label}
        return {"newMessage": "", **fields}
    return {}


def file_fields(file_ids: Sequence[str]) -> Dict[str, Any]:
    """
    Return the fields that attach files to a question.

    Source: mwai-ui/v1/chats/submit; `newFileId` since 2.1.5, `newFileIds` since 2.9.7.
    """
    return {"newFileId": file_ids[0], "newFileIds": list(file_ids)} if file_ids else {}


def continuation_fields(response_id: str) -> Dict[str, Any]:
    """
    Return the fields that let the model's vendor continue from its own record of a conversation.

    Source: mwai-ui/v1/chats/submit, `previousResponseId` since 2.8.4.
    """
    return {"previousResponseId": response_id}


def encode_json(body: Mapping[str, Any], name: str) -> bytes:
    """
    Return the JSON of a request's body.

    Args:
        body: its fields.
        name: the argument with the caller's fields, for errors.

    Raises:
        ValueError: a value cannot be sent.
        TypeError: JSON has no such type.
    """
    try:
        return json.dumps(body, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        problem = "it contains a lone surrogate"
    except TypeError as error:
        raise TypeError(f"{name} cannot be sent as JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        problem = str(error)
    raise ValueError(f"{name} cannot be sent as JSON: {problem}")


# ------------------------------------------------------------------------- files and discussions


def is_file_id(value: str) -> bool:
    """
    Return whether a text looks like the id of an uploaded file.

    Source: mwai-ui/v1/files/upload: 32 hexadecimal digits since 2.1.5.
    """
    return re.fullmatch("[0-9a-f]{32}", value) is not None


def upload_parts(file: FilePart, purpose: str) -> Dict[str, Any]:
    """
    Return the parts of the multipart body that uploads a file.

    Source: mwai-ui/v1/files/upload. The widget sends the type ``N/A``, which the plugin ignores.
    """
    return {"file": file, "purpose": purpose, "type": "N/A"}


def list_files_body(*, limit: int, page: int) -> Dict[str, Any]:
    """Return the fields that ask for a page of files. Source: mwai-ui/v1/files/list."""
    return {"limit": limit, "page": page}


def delete_files_body(file_ids: List[str]) -> Dict[str, Any]:
    """Return the fields that delete files. Source: mwai-ui/v1/files/delete."""
    return {"files": file_ids}


def list_discussions_body(
    *, bot: Optional[str], custom_id: Optional[str], offset: int, limit: int
) -> Dict[str, Any]:
    """Return the fields that list a bot's discussions. Source: mwai-ui/v1/discussions/list."""
    identity = {"botId": bot, "customId": custom_id}
    known = {name: value for name, value in identity.items() if value is not None}
    return {**known, "offset": offset, "limit": limit}


def rename_discussion_body(chat_id: str, title: str) -> Dict[str, Any]:
    """Return the fields that rename a discussion. Source: mwai-ui/v1/discussions/edit."""
    return {"chatId": chat_id, "title": title}


def delete_discussions_body(chat_ids: List[str]) -> Dict[str, Any]:
    """Return the fields that delete discussions. Source: mwai-ui/v1/discussions/delete."""
    return {"chatIds": chat_ids}
