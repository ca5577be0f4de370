"""What a site keeps beside its chatbots: files, discussions, and its public API."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import (
    Any,
    BinaryIO,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
    Union,
)

from urllib3.filepost import encode_multipart_formdata

from . import _validation as validate
from ._auth import Credential
from ._call import Call
from ._protocol import routes
from ._protocol.answers import parse_discussions, parse_files, parse_upload
from ._protocol.headers import plain_headers
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
from ._protocol.request import (
    DEFAULT_PURPOSE,
    delete_discussions_body,
    delete_files_body,
    encode_json,
    is_file_id,
    list_discussions_body,
    list_files_body,
    rename_discussion_body,
    upload_parts,
)
from ._transport import Request, Transport
from ._validation import type_name
from ._value import changed
from .types import Bot, Discussion, File, Image, Reply

__all__ = ["Discussions", "Files", "PublicAPI"]

#: The largest file that is uploaded, in bytes: it is held in memory as a whole.
LARGEST_FILE = 100 * 1000 * 1000

_NOT_BINARY = "a file must be open in binary mode, as open(path, 'rb') does it"

#: A path, or an open binary file.
Source = Union[str, "os.PathLike[str]", BinaryIO]

#: Called with the bytes sent so far, and those of the whole request.
Progress = Callable[[int, int], object]

T = TypeVar("T")
#: Reads a value from the JSON object of an answer.
Read = Callable[[Dict[str, Any]], T]


class _Content(NamedTuple):
    """A file that has been read."""

    name: str
    data: bytes
    type: str


class Files:
    """
    The files that a visitor or user has uploaded. `Client.files` is one.

    A guest's files belong to the client's cookies; a site deletes them after an hour or so.
    Threads may share it.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self,
        path_or_file: Source,
        *,
        name: Optional[str] = None,
        purpose: str = DEFAULT_PURPOSE,
        progress: Optional[Progress] = None,
    ) -> File:
        """
        Upload one file and return it.

        Args:
            path_or_file: a path, or an open binary file, which is read to its end.
            name: the name that the site sees. Its ending decides the type.
            purpose: what it is for, in the plugin's words.
            progress: called with the bytes sent so far, and those of the whole request.

        Raises:
            ValueError: no name is known, or it is larger than 100 MB.
            TypeError: it is neither a path nor a binary file.
            OSError: it cannot be read.
            ReplyError: the site does not take this file; `message` says why.
            ChatGPT4OnlineError: anything else that went wrong.

        Source: AI Engine 3.6.2, mwai-ui/v1/files/upload.
        """
        content = _read(path_or_file, name)
        with self._transport.calling() as call:
            purpose = validate.identifier(purpose, "purpose")
            file = _upload(self._transport, content, purpose, progress, call)
            call.finish()
            return file

    def list(self, *, page: int = 1, limit: int = 10) -> List[File]:
        """
        Return the files of one page, the newest first.

        Args:
            page: which page, from 1 on.
            limit: how many files a page has.

        Raises:
            ChatGPT4OnlineError: what went wrong. Sites with 2.9.6 to 3.6.2 fail for guests.

        Source: AI Engine 3.6.2, mwai-ui/v1/files/list.
        """
        fields = list_files_body(
            limit=validate.positive(limit, "limit"), page=validate.positive(page, "page")
        )
        return _post(self._transport, routes.LIST_FILES, fields, parse_files, repeatable=True)

    def delete(self, *files: Union[File, str]) -> None:
        """
        Delete files.

        Args:
            files: those files, or their ids.

        Raises:
            ValueError: none is given, or an id is empty.
            ReplyError: the site knows none of them, or they belong to others.

        Source: AI Engine 3.6.2, mwai-ui/v1/files/delete.
        """
        ids = [file_id(file) for file in _some(files, "files")]
        _post(self._transport, routes.DELETE_FILES, delete_files_body(ids), dict)


class Discussions:
    """
    The conversations that a site keeps for its users. `Client.discussions` is one.

    Only a client with `auth` has any: a site refuses guests. Iterating yields all of one bot's,
    asking for more pages as needed. Threads may share it.
    """

    def __init__(self, transport: Transport, bot: Optional[str], custom_id: Optional[str]) -> None:
        self._transport = transport
        self._bot = bot
        self._custom_id = custom_id

    def __iter__(self) -> Iterator[Discussion]:
        """Yield each discussion once, in the site's order."""
        known: Set[str] = set()
        page, read = self.list(), 0
        # A site that does not look at the offset gives the same ones again.
        while not known.issuperset(each.chat_id for each in page):
            for discussion in page:
                if discussion.chat_id not in known:
                    known.add(discussion.chat_id)
                    yield discussion
            read += len(page)
            page = self.list(offset=read)

    def list(self, *, offset: int = 0, limit: int = 10) -> List[Discussion]:
        """
        Return some discussions, in the site's order. The site may ask a model for their titles.

        Args:
            offset: how many to leave out at the beginning.
            limit: how many to return at most.

        Raises:
            ReplyError: the client is a guest.
            ChatGPT4OnlineError: anything else that went wrong.

        Source: AI Engine 3.6.2, mwai-ui/v1/discussions/list.
        """
        fields = list_discussions_body(
            bot=self._bot,
            custom_id=self._custom_id,
            offset=validate.count(offset, "offset"),
            limit=validate.positive(limit, "limit"),
        )
        route = routes.LIST_DISCUSSIONS
        return _post(self._transport, route, fields, parse_discussions, repeatable=True)

    def rename(self, discussion: Union[Discussion, str], title: str) -> None:
        """
        Give a discussion another title.

        Args:
            discussion: the discussion, or its `chat_id`.
            title: the title, which the site cuts at 64 characters.

        Raises:
            ValueError: the title is empty.
            ReplyError: the client is a guest.

        Source: AI Engine 3.6.2, mwai-ui/v1/discussions/edit.
        """
        fields = rename_discussion_body(chat_id(discussion), validate.identifier(title, "title"))
        _post(self._transport, routes.RENAME_DISCUSSION, fields, dict)

    def delete(self, *discussions: Union[Discussion, str]) -> None:
        """
        Delete discussions: all of them, or none.

        Args:
            discussions: the discussions, or their `chat_id`.

        Raises:
            ValueError: none is given.
            AuthError: one of them is not the user's, or the client is a guest.

        Source: AI Engine 3.6.2, mwai-ui/v1/discussions/delete.
        """
        ids = [chat_id(each) for each in _some(discussions, "discussions")]
        _post(self._transport, routes.DELETE_DISCUSSIONS, delete_discussions_body(ids), dict)


class PublicAPI:
    """
    A site's public API, where its owner has switched it on. `Client.api` is one.

    The bearer token acts as the site's first administrator: keep it like that password. Nothing
    streams here, and no method but `bots` and `whoami` is sent again once it may have run.
    Threads may share it.

    Each method raises `AuthError` for a wrong token, `NotFoundError` where the API is off or the
    site's plugin too old, and `ReplyError` for what the plugin cannot do.
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
        Ask a chatbot, and return its answer.

        Args:
            message: the question.
            bot: the bot's id; by default the client's.
            chat_id: the id of a conversation, which the site remembers if it keeps discussions.
            files: uploaded files, or their ids.

        Source: AI Engine 3.6.2, mwai/v1/simpleChatbotQuery.
        """
        fields = api_chatbot_body(
            validate.identifier(message, "message"),
            self._bot if bot is None else validate.identifier(bot, "bot"),
            validate.optional(validate.identifier, chat_id, "chat_id"),
            [file_id(file) for file in files],
        )
        return self._post(routes.API_CHATBOT, fields, parse_api_reply)

    def text(self, message: str, **options: Any) -> str:
        """
        Ask a model, and return its text.

        Args:
            message: the question.
            options: of the query, in Python's spelling: `model`, `temperature`, `max_tokens`...

        Source: AI Engine 3.6.2, mwai/v1/simpleTextQuery.
        """
        return self._ask(routes.API_TEXT, parse_api_text, message, options)

    def fast_text(self, message: str, **options: Any) -> str:
        """
        Ask the site's fast model, and return its text.

        Args:
            message: the question.
            options: as for `text`.

        Source: AI Engine 2.9.2, mwai/v1/simpleFastTextQuery.
        """
        return self._ask(routes.API_FAST_TEXT, parse_api_text, message, options)

    def json(self, message: str, **options: Any) -> Any:
        """
        Ask a model for JSON, and return its value.

        Args:
            message: the question.
            options: as for `text`.

        Raises:
            ReplyError: what the model wrote is no JSON.

        Source: AI Engine 3.6.2, mwai/v1/simpleJsonQuery.
        """
        return self._ask(routes.API_JSON, parse_api_json, message, options)

    def vision(self, message: str, url: str, **options: Any) -> str:
        """
        Ask a model about a picture, and return its text.

        Args:
            message: the question.
            url: of the picture, which the site must be able to fetch.
            options: as for `text`.

        Source: AI Engine 3.6.2, mwai/v1/simpleVisionQuery.
        """
        url = validate.identifier(url, "url")
        return self._ask(routes.API_VISION, parse_api_text, message, options, url=url)

    def image(self, message: str, **options: Any) -> Image:
        """
        Have a picture made, and return it.

        Args:
            message: what it shows.
            options: as for `text`; also `resolution`, such as ``"1024x1024"``.

        Source: AI Engine 3.6.2, mwai/v1/simpleImageQuery.
        """
        return self._ask(routes.API_IMAGE, parse_api_image, message, options)

    def edit_image(self, message: str, media_id: int, **options: Any) -> Image:
        """
        Have a picture of the site's media library changed, and return the new one.

        Args:
            message: what to change.
            media_id: the picture's id in WordPress, a whole number.
            options: as for `image`.

        Source: AI Engine 2.8.2, mwai/v1/simpleImageEditQuery.
        """
        media = validate.positive(media_id, "media_id")
        return self._ask(routes.API_EDIT_IMAGE, parse_api_image, message, options, media_id=media)

    def transcribe(self, url: str, **options: Any) -> str:
        """
        Return the words of a recording.

        Args:
            url: of the recording, which the site must be able to fetch.
            options: as for `text`.

        Source: AI Engine 2.8.9, mwai/v1/simpleTranscribeAudio.
        """
        fields = api_transcribe_body(validate.identifier(url, "url"), options)
        return self._post(routes.API_TRANSCRIBE, fields, parse_api_text)

    def moderate(self, text: str) -> bool:
        """
        Say whether a text breaks the model vendor's rules.

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
        Upload one file as the token's user, and return it.

        Args:
            path_or_file: as for `Files.upload`.
            name: as for `Files.upload`.
            purpose: as for `Files.upload`.

        Source: AI Engine 2.9.3, mwai/v1/simpleFileUpload.
        """
        content = _read(path_or_file, name)
        purpose = validate.identifier(purpose, "purpose")
        body, content_type = encode_multipart_formdata(api_upload_parts(content, purpose))
        request = self._request(routes.API_UPLOAD)
        return self._transport.ask(
            changed(request, body=body, content_type=content_type), _uploaded(content, purpose)
        )

    def bots(self) -> List[Bot]:
        """
        Return the site's chatbots.

        Source: AI Engine 2.8.5, mwai/v1/listChatbots.
        """
        return self._get(routes.API_BOTS, partial(parse_bots, site=self._transport.site))

    def whoami(self) -> str:
        """
        Return the e-mail address of the user that the site takes us for.

        Source: AI Engine 2.1.6, mwai/v1/simpleAuthCheck.
        """
        return self._get(routes.API_WHOAMI, parse_user)

    def _ask(
        self, route: str, read: Read[T], message: str, options: Mapping[str, Any], **subject: Any
    ) -> T:
        message = validate.identifier(message, "message")
        return self._post(route, api_query_body(message, options, **subject), read)

    def _post(self, route: str, fields: Mapping[str, Any], read: Read[T]) -> T:
        body = encode_json(fields, "options")
        request = changed(self._request(route), body=body, content_type="application/json")
        return self._transport.ask(request, read)

    def _get(self, route: str, read: Read[T]) -> T:
        request = changed(self._request(route), method="GET", repeatable=True)
        return self._transport.ask(request, read)

    def _request(self, route: str) -> Request:
        headers = plain_headers(accept="application/json")
        return Request(route, headers, credential=self._credential, with_nonce=False)


def _post(
    transport: Transport,
    route: str,
    fields: Mapping[str, Any],
    read: Read[T],
    *,
    repeatable: bool = False,
) -> T:
    headers = transport.widget(accept="application/json")
    body = json.dumps(fields).encode("ascii")
    return transport.ask(Request(route, headers, body, repeatable=repeatable), read)


def _uploaded(content: _Content, purpose: str) -> Read[File]:
    return partial(parse_upload, name=content.name, media_type=content.type, purpose=purpose)


def _some(items: Tuple[Any, ...], name: str) -> Tuple[Any, ...]:
    if not items:
        raise ValueError(f"give some {name}")
    return items


def contents(files: Sequence[Union[File, Source]]) -> List[Union[str, _Content]]:
    """Return the ids of files, and what is in those that have to be uploaded."""
    if isinstance(files, (str, bytes)) or not isinstance(files, Sequence):
        raise TypeError(f"files must be a list, not {type_name(files)}")
    return [_id_or_content(file) for file in files]


def ids(transport: Transport, files: Sequence[Union[str, _Content]], call: Call) -> List[str]:
    """Upload what has been read, and return the ids of all."""
    return [
        file if isinstance(file, str) else _upload(transport, file, DEFAULT_PURPOSE, None, call).id
        for file in files
    ]


def _upload(
    transport: Transport,
    content: _Content,
    purpose: str,
    progress: Optional[Progress],
    call: Call,
) -> File:
    body, content_type = encode_multipart_formdata(upload_parts(content, purpose))
    headers = transport.widget(accept="application/json", content_type=None)
    request = Request(routes.UPLOAD, headers, body, content_type=content_type, progress=progress)
    return transport.fetch(request, call, _uploaded(content, purpose))


def file_id(file: Union[File, str]) -> str:
    """Return the id of an uploaded file."""
    return validate.identifier(file.id if isinstance(file, File) else file, "a file's id")


def chat_id(discussion: Union[Discussion, str]) -> str:
    """Return the id of a discussion."""
    known = discussion.chat_id if isinstance(discussion, Discussion) else discussion
    return validate.identifier(known, "a discussion's chat_id")


def _id_or_content(file: Union[File, Source]) -> Union[str, _Content]:
    if isinstance(file, File):
        return file_id(file)
    if isinstance(file, str) and is_file_id(file) and not os.path.exists(file):  # noqa: PTH110
        return file
    return _read(file, None)


def _read(source: Source, name: Optional[str]) -> _Content:
    """
    Read a file as a whole.

    Raises:
        ValueError: no name is known, or it is larger than 100 MB.
        TypeError: it is neither a path nor a binary file.
        OSError: it cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        with open(path, "rb") as file:  # noqa: PTH123 - a str may come
            return _content(file, name or path)
    if not hasattr(source, "read"):
        raise TypeError(f"a file must be a path or an open binary file, not {type_name(source)}")
    if hasattr(source, "encoding"):
        raise TypeError(_NOT_BINARY)
    return _content(source, name or getattr(source, "name", None))


def _content(file: BinaryIO, name: object) -> _Content:
    from mimetypes import guess_type  # here, since few upload files

    if not isinstance(name, str) or not os.path.basename(name):  # noqa: PTH119
        raise ValueError("give the file a name, whose ending tells the site its type")
    base = validate.text(os.path.basename(name), "a file's name")  # noqa: PTH119
    data = _whole(file)
    if len(data) > LARGEST_FILE:
        raise ValueError(f"{base} is larger than {LARGEST_FILE} bytes")
    return _Content(base, data, guess_type(base)[0] or "application/octet-stream")


def _whole(file: BinaryIO) -> bytes:
    """Return all that is in a file, or more than the limit; some give it in small pieces."""
    pieces: List[bytes] = []
    left = LARGEST_FILE + 1
    while left > 0:
        piece = file.read(left)
        if not isinstance(piece, bytes):
            raise TypeError(_NOT_BINARY)
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
