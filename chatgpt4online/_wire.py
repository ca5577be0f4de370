"""
Every fact about the AI Engine plugin, without I/O: what to send, and what answers mean.

Unless said otherwise, the facts are those of AI Engine 3.6.2.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from os import urandom
from time import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Type, Union
from urllib.parse import urljoin, urlsplit

from ._arguments import LONE_SURROGATE, identifier, kind, text
from ._value import Value
from ._version import __version__
from .errors import (
    AuthError,
    BlockedError,
    ChatGPT4OnlineError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ReplyError,
    ServerError,
    StatusError,
)
from .types import (
    Action,
    Bot,
    Discussion,
    Event,
    File,
    Image,
    Message,
    Reply,
    Shortcut,
    Turn,
    Usage,
)

DEFAULT_SITE = "https://chatgpt4online.org"
DEFAULT_BOT = "default"

#: Routes below the REST root.
CHAT = "mwai-ui/v1/chats/submit"
START_SESSION = "mwai/v1/start_session"
ME = "wp/v2/users/me"
UPLOAD = "mwai-ui/v1/files/upload"
LIST_FILES = "mwai-ui/v1/files/list"
DELETE_FILES = "mwai-ui/v1/files/delete"
LIST_DISCUSSIONS = "mwai-ui/v1/discussions/list"
RENAME_DISCUSSION = "mwai-ui/v1/discussions/edit"
DELETE_DISCUSSIONS = "mwai-ui/v1/discussions/delete"
API = "mwai/v1/"

#: The largest event or JSON body, and the longest text, that is held in memory, in bytes.
LIMIT = 32 * 1024 * 1024

#: What the widget in a visitor's browser sends; `origin` and `referer` are added for each site.
WIDGET_HEADERS: Mapping[str, str] = {
    "accept": "text/event-stream",
    "accept-language": "en-US,en;q=0.9",
    "content-type": "application/json",
    "dnt": "1",
    "priority": "u=1, i",
    "sec-ch-ua": '"Not/A)Brand";v="8", "Chromium";v="126"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "sec-fetch-dest": "empty",
    "sec-fetch-mode": "cors",
    "sec-fetch-site": "same-origin",
    "user-agent": (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Safari/537.36"
    ),
}

#: Headers that tell of the browser that the user agent names.
CLIENT_HINTS = frozenset({"sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform"})

_ROLES = ("user", "assistant", "system")
_CHAT_ID_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_NONCE = re.compile(r"[0-9A-Za-z_-]{1,128}")
_PHP_BLANKS = " \t\n\r\0\x0b"  # the plugin leaves them out before it counts


# ---------------------------------------------------------------------------------- the question


def widget_headers(
    overrides: Mapping[str, Optional[str]], **further: Optional[str]
) -> Dict[str, Optional[str]]:
    """
    Return the widget's headers, changed by `further` and then by the caller's overrides.

    Names are in lower case. None marks a header that is not sent, whatever a session has.
    """
    headers: Dict[str, Optional[str]] = dict(WIDGET_HEADERS)
    headers.update((name.replace("_", "-"), value) for name, value in further.items())
    if "user-agent" in overrides:
        headers.update(dict.fromkeys(CLIENT_HINTS))
    headers.update(overrides)
    return headers


def plain_headers(**further: str) -> Dict[str, Optional[str]]:
    """Return the headers of what no widget asks for; they say who we are."""
    headers: Dict[str, Optional[str]] = {
        "origin": None,
        "referer": None,
        "user-agent": "chatgpt4online/" + __version__,
    }
    headers.update((name.replace("_", "-"), value) for name, value in further.items())
    return headers


def new_chat_id() -> str:
    """Return an id for a new conversation: 10 characters of ``0-9a-z``, as the widget makes it."""
    number = int.from_bytes(urandom(8), "big")
    letters = []
    for _ in range(10):
        number, at = divmod(number, 36)
        letters.append(_CHAT_ID_LETTERS[at])
    return "".join(letters)


def format_prompt(messages: Sequence[Turn]) -> str:
    """
    Flatten a history into one text.

    Args:
        messages: the turns. One turn stays as it is; several become lines such as
            ``User: ...`` and ``Assistant: ...``, and a final ``Assistant:``.

    Raises:
        ValueError: there is no turn, or one has a wrong role.
        TypeError: a turn is not a dict with a text.
    """
    turns = [_turn(message) for message in _sequence(messages)]
    if not turns:
        raise ValueError("messages holds no turn")
    if len(turns) == 1:
        return turns[0]["content"]
    lines = ["{}: {}".format(turn["role"].capitalize(), turn["content"]) for turn in turns]
    return "\n".join([*lines, "Assistant:"])


def turns(messages: Sequence[Turn]) -> List[Message]:
    """
    Return turns as they are sent, checked.

    Raises:
        ValueError: a wrong role, or text that UTF-8 cannot hold.
        TypeError: something that is not a turn.
    """
    return [_turn(each) for each in _sequence(messages)]


def asked(
    message: Union[str, Shortcut, Sequence[Turn]],
    messages: Sequence[Turn],
    *,
    has_files: bool = False,
) -> List[Message]:
    """
    Return all turns, the new one last, checked.

    Args:
        message: the new turn, or all of them.
        messages: the turns before it.
        has_files: files come with it, so that it may be empty.

    Raises:
        ValueError: an empty message, a wrong role, a last turn that is not the user's, or text
            that UTF-8 cannot hold.
        TypeError: something that is not a text or a turn.
    """
    history = turns(messages)
    if isinstance(message, (str, Shortcut)):
        history.append({"role": "user", "content": text(said(message), "message")})
    elif not isinstance(message, (list, tuple)):
        raise TypeError(f"message must be a str or a list of turns, not {kind(message)}")
    elif history:
        raise ValueError("give the history once: in message or in messages, not in both")
    else:
        history = turns(message)
    if not history or history[-1]["role"] != "user":
        raise ValueError("the last turn of the history must be the user's")
    if not history[-1]["content"].strip() and not has_files and not clicked(message):
        raise ValueError("the message is empty")
    return history


def said(message: Union[str, Shortcut]) -> str:
    """Return what a turn of a history says of a question, which may be a click."""
    if isinstance(message, Shortcut):
        return message.message or message.label
    return str(message)


def _sequence(messages: Sequence[Turn]) -> Sequence[Turn]:
    if not isinstance(messages, (list, tuple)):
        raise TypeError(f"messages must be a list of turns, not {kind(messages)}")
    return messages


def _turn(message: Turn) -> Message:
    if not isinstance(message, Mapping):
        raise TypeError(f'a turn must be {{"role": ..., "content": ...}}, not {kind(message)}')
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        raise ValueError(f"a turn's role must be user, assistant or system, not {role!r}")
    return {"role": str(role), "content": text(content, "a turn's content")}


def question(
    history: List[Message],
    *,
    bot: Optional[str],
    custom_id: Optional[str],
    context_id: Optional[int],
    chat_id: str,
    flat: bool,
    model: Optional[str],
    extra_body: Optional[Mapping[str, Any]],
    further: Mapping[str, Any],
    longest: Optional[int],
) -> bytes:
    """
    Return the JSON body of a question.

    The plugin merges unknown fields over the bot's settings, so nothing is sent that the widget
    does not send, but for `model` and `extra_body` when given.

    Args:
        history: all turns, the new one last.
        bot: the bot's id, or None.
        custom_id: the id of a page's own bot, or None.
        context_id: the id of the WordPress page, or None.
        chat_id: the id of the conversation.
        flat: all turns go into the question.
        model: the model to ask for, or None.
        extra_body: the caller's further fields.
        further: our own further fields, from `clicked` and `attached`.
        longest: the characters that the bot takes, or None.

    Raises:
        ValueError: it is longer than the bot takes, or a field cannot be sent.
        TypeError: a field is of the wrong kind.

    Source: mwai-ui/v1/chats/submit; `messages` and `chatId` are always there, since 2.6.8 to 2.9.1
    print warnings without them.
    """
    body: Dict[str, Any] = {
        "botId": bot,
        "customId": custom_id,
        "contextId": context_id,
        "chatId": chat_id,
        "messages": [] if flat else history[:-1],
        "newMessage": format_prompt(history) if flat else history[-1]["content"],
        "stream": True,
        **further,
    }
    size = len(body["newMessage"].strip(_PHP_BLANKS))
    if longest is not None and size > longest:
        raise ValueError(f"the message has {size} characters; the bot takes {longest} at most")
    if model is not None:
        body["model"] = identifier(model, "model")
    body.update(_extra(extra_body, body))
    return encoded(body, "extra_body")


def clicked(message: object) -> Dict[str, Any]:
    """
    Return the fields that a click on a shortcut sends beside, or in place of, a message.

    Source: AI Engine 3.3.3, `shortcutId` of mwai-ui/v1/chats/submit; `shortcutName` from 3.4.3 on.
    """
    if isinstance(message, Shortcut) and message.shortcut_id:
        fields = {"shortcutId": message.shortcut_id, "shortcutName": message.label}
        return {"newMessage": "", **fields}
    return {}


def attached(file_ids: Sequence[str]) -> Dict[str, Any]:
    """
    Return the fields that attach files to a question.

    Source: AI Engine 2.1.5, `newFileId`, and 2.9.7, `newFileIds`, of mwai-ui/v1/chats/submit.
    """
    return {"newFileId": file_ids[0], "newFileIds": list(file_ids)} if file_ids else {}


def is_file_id(word: str) -> bool:
    """
    Say whether a word looks like the id of an uploaded file.

    Source: AI Engine 2.1.5, mwai-ui/v1/files/upload: 32 hexadecimal digits.
    """
    return re.fullmatch("[0-9a-f]{32}", word) is not None


def encoded(body: Mapping[str, Any], name: str) -> bytes:
    """
    Return the JSON of a request's body.

    Raises:
        ValueError: what the caller gave, under this name, cannot be sent.
        TypeError: it is of a kind that JSON does not know.
    """
    try:
        return json.dumps(body, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        problem = "it holds half of a surrogate pair"
    except TypeError as error:
        raise TypeError(f"{name} cannot be sent as JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        problem = str(error)
    raise ValueError(f"{name} cannot be sent as JSON: {problem}")


def _extra(extra_body: Optional[Mapping[str, Any]], body: Mapping[str, Any]) -> Mapping[str, Any]:
    if extra_body is None:
        return {}
    if not isinstance(extra_body, Mapping):
        raise TypeError(f"extra_body must be a dict, not {kind(extra_body)}")
    for name in extra_body:
        if not isinstance(name, str):
            raise TypeError(f"extra_body's names must be str, not {kind(name)}")
        if name in body and name != "stream":
            raise ValueError(f"extra_body must not replace {name!r}")
    return extra_body


# ----------------------------------------------------------------------------- the answer's parts


class End(Value):
    """The last event of a stream: the answer's JSON object, or None where it could not be read."""

    answer: Optional[Dict[str, Any]]

    @property
    def has_reply(self) -> bool:
        """Whether it holds a reply, in whose place the text so far is not needed."""
        return self.answer is not None and "reply" in self.answer


class Failure(Value):
    """An `error` event. An empty message is followed by another one that says more."""

    message: str


def parse_event(data: str) -> Union[str, Event, End, Failure, None]:
    """
    Return what one event says: a piece of the text as str, another `Event`, its end or a failure.

    None is an event without meaning, which is skipped: no text, or a type that is not known.

    Raises:
        ProtocolError: the data is not an event of the plugin.

    Source: the events `live`, `error` and `end` of mwai-ui/v1/chats/submit. A `live` event is text
    if it has no `subtype`, or the subtype `content`.
    """
    if not data or data.isspace():
        return None
    event = parse_json(data)
    if not isinstance(event, dict):
        raise ProtocolError("an event is not a JSON object")
    kind, value = event.get("type"), event.get("data")
    if kind == "live":
        return _live(event, value)
    if kind == "end":
        return End(_answer(value))
    if kind == "error":
        return Failure(plain(value))
    return None


def _live(event: Dict[str, Any], value: object) -> Union[str, Event, None]:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ProtocolError("an event's text is not a string")
    subtype = event.get("subtype") or "content"
    if subtype == "content":
        return value or None
    return Event(
        _words(subtype),
        value,
        _optional(event.get("visibility"), str),
        _mapping(event.get("metadata")),
        _number(event.get("timestamp")),
    )


def _answer(value: object) -> Optional[Dict[str, Any]]:
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ProtocolError:
            return None
    return value if isinstance(value, dict) else None


def parse_json(text: str) -> Any:
    """
    Return the JSON value that a text begins with; what follows it is a server's noise.

    Raises:
        ProtocolError: it begins with no JSON value.
    """
    try:
        value = _decode(text.lstrip())[0]
        # To look for a backslash first is quicker by far.
        halves = "\\" in text and ("\\ud" in text or "\\uD" in text)
        return _whole(value) if halves else value
    except (ValueError, RecursionError):
        raise ProtocolError("what came is not JSON") from None


def _integer(digits: str) -> int:
    """Return an integer. Older Pythons take the square of their number for very many digits."""
    if len(digits) > _MOST_DIGITS:
        raise ValueError
    return int(digits)


_MOST_DIGITS = 1000
_decode = json.JSONDecoder(parse_int=_integer).raw_decode


def _whole(value: Any) -> Any:
    """Replace halves of surrogate pairs, which no text can hold when it is printed or sent back."""
    if isinstance(value, str):
        return LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return value


def reply(answer: Dict[str, Any], so_far: str, chat_id: str) -> Reply:
    """
    Return the `Reply` that an answer's JSON object holds.

    Args:
        answer: the object; its `new_token` is left out of `Reply.raw`.
        so_far: the text so far, which stands in where the object has no `reply`.
        chat_id: the id that the question was sent under.

    Raises:
        ReplyError: its `success` is false.
        ProtocolError: its `reply` is no text.

    Source: the answer of mwai-ui/v1/chats/submit; 2.4.7 knows `reply`, `images` and `usage` alone.
    """
    if answer.get("success") is False:
        raise reply_error(plain(answer.get("message")))
    said = answer.get("reply", so_far or None)
    if not isinstance(said, str):
        raise ProtocolError("the answer holds no reply")
    return Reply(
        said,
        usage=_usage(answer.get("usage")),
        images=tuple(Image(url) for url in _items(answer, "images", str)),
        actions=tuple(_action(item) for item in _items(answer, "actions", dict)),
        shortcuts=tuple(_shortcut(item) for item in _items(answer, "shortcuts", dict)),
        blocks=tuple(_items(answer, "blocks", dict)),
        response_id=_optional(answer.get("responseId"), str),
        chat_id=chat_id,
        raw={name: value for name, value in answer.items() if name != "new_token"},
    )


def _usage(value: object) -> Optional[Usage]:
    if not isinstance(value, dict):
        return None
    return Usage(
        _optional(value.get("prompt_tokens"), int),
        _optional(value.get("completion_tokens"), int),
        _optional(value.get("total_tokens"), int),
        _number(value.get("price")),
        _optional(value.get("queries"), int),
        _optional(value.get("accuracy"), str),
    )


def _action(item: Dict[str, Any]) -> Action:
    data = _mapping(item.get("data", item))  # before 2.4.9 the fields stand beside `type`
    name = _optional(data.get("name"), str) or ""
    return Action(plain(item.get("type")), name, _mapping(data.get("args")), data)


def _shortcut(item: Dict[str, Any]) -> Shortcut:
    data = _mapping(item.get("data"))
    shortcut_id = _optional(data.get("shortcutId"), str)
    return Shortcut(_words(data.get("label")), _words(data.get("message")), shortcut_id, data)


def namespaces(answer: Mapping[str, Any]) -> List[str]:
    """
    Return the names of the REST API's parts, such as ``mwai/v1``.

    Source: WordPress, the index of its REST API.
    """
    return [str(item) for item in _items(answer, "namespaces", str)]


def _items(answer: Mapping[str, Any], name: str, kind: type) -> List[Any]:
    items = answer.get(name)
    return [item for item in items if isinstance(item, kind)] if isinstance(items, list) else []


def _mapping(value: object) -> Dict[str, Any]:
    """Return a JSON object; PHP writes an empty one as ``[]``."""
    return value if isinstance(value, dict) else {}


def _words(value: object) -> str:
    """Return a site's text as it is, whatever marks or lines are in it."""
    return value if isinstance(value, str) else plain(value)


def _optional(value: Any, kind: type) -> Any:
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _number(value: object) -> Optional[float]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return None


def nonce(value: object) -> Optional[str]:
    """Return a nonce if that is what the value is, else None."""
    return value if isinstance(value, str) and _NONCE.fullmatch(value) else None


def session_nonce(fields: Mapping[str, Any]) -> str:
    """
    Return the nonce that a new session brings.

    Raises:
        ProtocolError: there is none.

    Source: mwai/v1/start_session.
    """
    found = nonce(fields.get("restNonce"))
    if found is None:
        raise ProtocolError("the site gave no nonce that could be used.")
    return found


# --------------------------------------------------------------------- files, discussions, bots


def uploaded(fields: Mapping[str, Any], name: str, kind: str, purpose: str) -> File:
    """
    Return the file that an upload made.

    Raises:
        ProtocolError: the answer does not name it.
    """
    data = _mapping(fields.get("data"))
    identity, url = _word(data.get("id")), _optional(data.get("url"), str)
    if not identity or not url:
        raise ProtocolError("the site does not name the file that it got")
    return File(identity, url, name, kind, purpose, None, None)


def files(fields: Mapping[str, Any]) -> List[File]:
    """
    Return the files of a list.

    Source: mwai-ui/v1/files/list. A row's `refId` is the id that questions and deletions take.
    """
    rows = _items(_mapping(fields.get("data")), "files", dict)
    return [_file(row) for row in rows]


def _file(row: Mapping[str, Any]) -> File:
    url = _words(row.get("url"))
    return File(
        _word(row.get("refId")) or _word(row.get("id")) or "",
        url,
        url.rpartition("/")[2],
        _words(row.get("type")),
        _word(row.get("purpose")),
        _moment(row.get("created")),
        _moment(row.get("expires")),
    )


def discussions(fields: Mapping[str, Any]) -> List[Discussion]:
    """
    Return the discussions of a list.

    Source: mwai-ui/v1/discussions/list. A row's `messages` are JSON within the JSON.
    """
    return [_discussion(row) for row in _items(fields, "chats", dict)]


def _discussion(row: Mapping[str, Any]) -> Discussion:
    said = parse_json(_optional(row.get("messages"), str) or "[]")
    turns = [turn for turn in said if isinstance(turn, dict)] if isinstance(said, list) else []
    messages = [
        Message(role=turn["role"], content=turn["content"])
        for turn in turns
        if turn.get("role") in _ROLES and isinstance(turn.get("content"), str)
    ]
    return Discussion(
        _word(row.get("chatId")) or "",
        _optional(row.get("title"), str),
        tuple(messages),
        _word(row.get("botId")),
        _moment(row.get("created")),
        _moment(row.get("updated")),
    )


def bot(
    system: Mapping[str, Any], params: Mapping[str, Any], page: str, rest_root: Optional[str]
) -> Bot:
    """
    Return the chatbot that a page's element tells of.

    Args:
        system: its `data-system`, whose texts may have become numbers.
        params: its `data-params`.
        page: the page's URL.
        rest_root: the REST root that the page links to, for elements that do not name theirs.
    """
    rest_url = named_root(system.get("restUrl"), page) or rest_root
    return Bot(
        _word(system.get("botId")),
        _word(system.get("customId") or system.get("id")),
        _count(system.get("contextId")),
        site_of(rest_url or page),
        rest_url,
        _optional(params.get("mode"), str),
        _optional(params.get("startSentence"), str) or None,
        _count(params.get("textInputMaxLength")) or None,
        bool(params.get("fileUpload") or params.get("imageUpload")),
        _words(params.get("aiName")).rstrip(": ") or None,
    )


def api_text(fields: Mapping[str, Any]) -> str:
    """
    Return the text that the public API answered.

    Raises:
        ProtocolError: it is no text.
    """
    data = fields.get("data")
    if not isinstance(data, str):
        raise ProtocolError("the public API's answer holds no text")
    return data


def api_reply(fields: Mapping[str, Any]) -> Reply:
    """
    Return a chatbot's answer.

    Raises:
        ProtocolError: it is no text.

    Source: mwai/v1/simpleChatbotQuery; `extra` from 2.4.8 on.
    """
    extra = _mapping(fields.get("extra"))
    return Reply(
        api_text(fields),
        actions=tuple(_action(item) for item in _items(extra, "actions", dict)),
        chat_id=_word(extra.get("chatId")),
        raw=dict(fields),
    )


def api_json(fields: Mapping[str, Any]) -> Any:
    """
    Return the JSON value that the model wrote.

    Raises:
        ReplyError: it wrote none.

    Source: mwai/v1/simpleJsonQuery, whose null stands for that.
    """
    if fields.get("data") is None:
        raise reply_error("What the model wrote is no JSON")
    return fields["data"]


def api_image(fields: Mapping[str, Any]) -> Image:
    """
    Return the picture that the public API made; some engines put its URL into Markdown.

    Raises:
        ProtocolError: the answer holds no text.
    """
    text = api_text(fields)
    linked = re.search(r"!\[[^\]]*\]\(([^()\s]+)\)", text)
    return Image(linked.group(1) if linked else text.strip())


def api_verdict(fields: Mapping[str, Any]) -> bool:
    """
    Return what a moderation found.

    Raises:
        ReplyError: the vendor said nothing.
        ProtocolError: it is no verdict.

    Source: mwai/v1/moderationCheck, whose null stands for no verdict.
    """
    data = fields.get("data")
    if data is None:
        raise reply_error("The vendor gave no verdict")
    if not isinstance(data, bool):
        raise ProtocolError("the public API's answer holds no verdict")
    return data


def api_bots(fields: Mapping[str, Any], site: str) -> List[Bot]:
    """
    Return the chatbots of a list.

    Source: mwai/v1/listChatbots.
    """
    return [
        Bot(
            id=_word(row.get("id")),
            custom_id=None,
            context_id=None,
            site=site,
            rest_url=None,
            mode=_optional(row.get("type"), str),
            start_sentence=None,
            max_length=None,
            uploads=False,
            name=_word(row.get("name")),
        )
        for row in _items(fields, "data", dict)
    ]


def api_user(fields: Mapping[str, Any]) -> str:
    """
    Return the e-mail address of the user that the public API runs as.

    Raises:
        ProtocolError: there is none.

    Source: mwai/v1/simpleAuthCheck.
    """
    return api_text({"data": _mapping(fields.get("data")).get("value")})


def camel_case(name: str) -> str:
    """Return a name in the plugin's spelling: ``maxTokens`` for ``max_tokens``."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def named_root(address: object, page: str) -> Optional[str]:
    """Return the REST root that a page names, as a whole URL; None if it names none."""
    if not isinstance(address, str) or not address:
        return None
    try:
        root = urljoin(page, address).rstrip("/")
        parts = urlsplit(root)
        parts.port  # noqa: B018 - it raises where the port is no number
    except ValueError:
        return None
    return root if parts.scheme in ("http", "https") and parts.hostname else None


def site_of(url: str) -> str:
    """Return the site that a REST root, or else any other URL of it, belongs to."""
    below = re.fullmatch(r"(.*?)/(?:wp-json/?|(?:index\.php)?\?rest_route=.*)", url)
    if below:
        return below.group(1)
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _word(value: object) -> Optional[str]:
    """Return an id as text; a page writes those that look like numbers as numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _count(value: object) -> Optional[int]:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,18}", value):
        return int(value)
    number = _optional(value, int)
    return None if number is None or number < 0 else int(number)


def _moment(value: object) -> Optional[datetime]:
    """Return a time such as ``2026-11-23 00:40:50``, which is UTC."""
    try:
        return datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


# -------------------------------------------------------------------------------------- refusals


def check_success(answer: object, status: int) -> Dict[str, Any]:
    """
    Return the JSON object of a plugin's answer if it tells of success.

    Raises:
        ReplyError: the plugin's `success` is false.
        StatusError: WordPress refused.
        ProtocolError: it is neither.
    """
    if isinstance(answer, dict):
        if answer.get("success") is True:
            return answer
        if answer.get("success") is False:
            raise reply_error(plain(answer.get("message")))
        if isinstance(answer.get("code"), str) and "message" in answer:
            status = _optional(_mapping(answer.get("data")).get("status"), int) or status
            raise _refusal(status, {}, "", answer)
    raise ProtocolError("the site answered with JSON that is not AI Engine's")


def check_object(answer: object, status: int) -> Dict[str, Any]:
    """
    Return the JSON object of an answer of WordPress itself.

    Raises:
        ProtocolError: it is another JSON value.
    """
    if isinstance(answer, dict):
        return answer
    raise ProtocolError(f"the site answered {status} with JSON that is no object")


def check_user(answer: object, status: int) -> Dict[str, Any]:
    """
    Return the JSON object of the user that WordPress takes us for.

    Raises:
        ProtocolError: it is not one.

    Source: WordPress, wp/v2/users/me.
    """
    if isinstance(answer, dict) and _optional(answer.get("id"), int):
        return answer
    raise ProtocolError(f"the site answered {status} without naming a user")


def login_error(error: ChatGPT4OnlineError) -> ChatGPT4OnlineError:
    """
    Return the error for a login that could not be proven.

    A site that is down, or asks to wait, or was not reached, says nothing about the login.
    """
    refused = isinstance(error, StatusError) and error.status < 500 and error.status != 429
    if not refused and type(error) is not ProtocolError:
        return error
    known = error if isinstance(error, StatusError) else StatusError(status=200)
    return AuthError(
        "the login did not take: check the user, the application password, and that the site's"
        " address is the one that they belong to (with https and www as there).",
        status=known.status,
        code=known.code,
        message=known.message,
        request_id=known.request_id,
    )


def reply_error(message: str) -> ReplyError:
    """Return the error for a failure that the plugin tells of."""
    said = message or "it gave no reason"
    advice = ""
    if "rejected" in message.lower():
        advice = (
            " Often the message is longer than the bot allows (512 characters by default), holds a"
            " banned word, or the bot's id is wrong: shorten it, or check the id."
        )
    return ReplyError(f"AI Engine could not answer: {_sentence(said)}{advice}", message=message)


#: Marks of pages that firewalls and CDNs put in place of an answer.
_CHALLENGE = (
    r"(?i)just a moment\.\.\.|cf-chl|_cf_chl_opt|challenge-platform"
    r"|attention required! \| cloudflare|checking your browser|error code: 10\d\d"
    r"|sucuri website firewall|_incapsula_resource|generated by wordfence|sgcaptcha|aws-?waf"
    r"|ddos-guard"
)

_ADVICE: Mapping[Type[StatusError], str] = {
    AuthError: "The nonce, or the login, is not accepted: check the site's address and the login.",
    BlockedError: (
        "A firewall or CDN stands before the site: ask its owner to let this client through."
    ),
    NotFoundError: (
        "Check the site's address, and that AI Engine 2.4.4 or newer and its chatbot are on there."
    ),
    RateLimitError: "Wait before you ask again.",
    ServerError: "The site may have done it all the same: look before you ask again.",
}


def refusal(status: int, headers: Mapping[str, str], body: str) -> ChatGPT4OnlineError:
    """
    Return the error for an HTTP status that is no success, or for a page in place of an answer.

    Args:
        status: the HTTP status.
        headers: the response's headers; names in any case if the mapping allows it.
        body: the beginning of its body.
    """
    return _refusal(status, headers, body, _json_object(body))


def _refusal(
    status: int, headers: Mapping[str, str], body: str, answer: Dict[str, Any]
) -> ChatGPT4OnlineError:
    if answer.get("success") is False and status != 429:
        return reply_error(plain(answer.get("message")))
    code = plain(answer.get("code"))
    said = answer.get("data") if answer.get("type") == "error" else answer.get("message")
    message = plain(said) or _title(body)
    kind = _class(status, headers, body, code)
    what = " ".join(filter(None, ("HTTP", str(status), code)))
    reason = f": {_sentence(message)}" if message else "."
    advice = _ADVICE.get(kind, "Check the address and the request.")
    return kind(
        f"the site refused with {what}{reason} {advice}",
        status=status,
        code=code,
        message=message,
        retry_after=retry_after(headers),
        request_id=plain(headers.get("x-request-id") or headers.get("cf-ray")) or None,
    )


def _class(status: int, headers: Mapping[str, str], body: str, code: str) -> Type[StatusError]:
    if headers.get("cf-mitigated") or (not code and re.search(_CHALLENGE, body)):
        return BlockedError
    if status == 403 and not code:
        return BlockedError
    if status in (401, 403):
        return AuthError
    if status == 404:
        return NotFoundError
    if status == 429:
        return RateLimitError
    return ServerError if status >= 500 else StatusError


def redirect_error(status: int, target: str) -> StatusError:
    """Return the error for a redirect that is not followed; it names the new address."""
    shown = plain(_without_secrets(target))
    return StatusError(
        f"the site redirects to {shown} (HTTP {status}): if that is where it is now, give its"
        " address to the client.",
        status=status,
        message=shown,
    )


def _without_secrets(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is no URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def page_error(status: int, headers: Mapping[str, str], body: str) -> ChatGPT4OnlineError:
    """Return the error for a web page that came, under a status of success, for an answer."""
    if headers.get("cf-mitigated") or re.search(_CHALLENGE, body):
        return refusal(status, headers, body)
    title = _title(body)
    shown = f" ({title})" if title else ""
    return ProtocolError(
        f"a web page{shown} came instead of an answer: check the site's address, and that no cache"
        " or login page stands before its REST API."
    )


def retry_after(headers: Mapping[str, str]) -> Optional[float]:
    """Return the seconds that a response asks to wait, or None if it does not say (RFC 9110)."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,12}", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp() - time())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def renewable(status: int, code: str, as_user: bool) -> bool:
    """
    Say whether a refusal means that the nonce is not accepted, so that nothing has run.

    Source: WordPress's cookie check, and the route's permission callback, which answers a guest
    with 401 and an authenticated user with 403.
    """
    stale = {(403, "rest_cookie_invalid_nonce"), (403 if as_user else 401, "rest_forbidden")}
    return (status, code) in stale


def _json_object(body: str) -> Dict[str, Any]:
    start = body.find("{")
    try:
        return _mapping(parse_json(body[start:])) if start >= 0 else {}
    except ProtocolError:
        return {}


def _title(body: str) -> str:
    match = re.search(r"<title[^<>]*>([^<]*)<", body, re.IGNORECASE)
    return plain(match.group(1)) if match else ""


def _sentence(message: str) -> str:
    return message if message.endswith((".", "!", "?")) else message + "."


def _dumped(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return ""


def plain(value: object) -> str:
    """Return a site's words as one line of plain text, 500 characters at most."""
    if not isinstance(value, str):
        return "" if value is None or value is False else plain(_dumped(value))
    from html import unescape  # here, since every import of the package would pay for it

    words = unescape(re.sub(r"<[a-zA-Z/!?][^<>]*>", " ", value[:5000])).split()
    printable = " ".join(filter(None, ("".join(filter(str.isprintable, word)) for word in words)))
    return printable if len(printable) <= 500 else printable[:499] + "…"


# ------------------------------------------------------------------------------------ addresses


def is_same_site(old: str, new: str) -> bool:
    """
    Say whether a redirect from one URL to another may be followed.

    It may add or drop a leading ``www.``, and go from http on 80 to https on 443.
    """
    try:
        before, after = urlsplit(old), urlsplit(new)
        ports = (before.port or _port(before.scheme), after.port or _port(after.scheme))
    except ValueError:
        return False
    schemes = (before.scheme, after.scheme)
    return (
        _bare(before.hostname) == _bare(after.hostname)
        and schemes in (("http", "http"), ("https", "https"), ("http", "https"))
        and (ports[0] == ports[1] or ports == (80, 443))
        and after.username is None
    )


def moved_root(root: str, route: str, location: str) -> Optional[str]:
    """
    Return the REST root that a redirect leads to, or None if it must not be followed.

    It must keep the route at its end, and lead to the same site.
    """
    target = location.partition("#")[0].rstrip("?")
    kept = target.endswith("/" + route) and ("?" in target) == ("?" in root)
    return target[: -len(route) - 1] if kept and is_same_site(root, target) else None


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _bare(host: Optional[str]) -> str:
    host = host or ""
    return host[4:] if host.startswith("www.") else host
