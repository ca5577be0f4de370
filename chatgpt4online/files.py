"""`Files`: the files that a visitor or user has uploaded to a site."""

from __future__ import annotations

import os
from functools import partial
from itertools import count
from operator import attrgetter
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    BinaryIO,
    Callable,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    TypeVar,
    Union,
)

from urllib3.filepost import encode_multipart_formdata

from . import _validation as validate
from ._http.call import Call
from ._http.outgoing import Headers
from ._http.request import Request
from ._http.transport import Transport
from ._paging import each_once
from ._protocol import routes
from ._protocol.answers import parse_deleted, parse_files, parse_upload
from ._protocol.request import (
    DEFAULT_PURPOSE,
    delete_files_body,
    is_file_id,
    list_files_body,
    upload_parts,
)
from ._validation import type_name
from .types import File

__all__ = ["Files"]

T = TypeVar("T")

#: The largest file to upload, in bytes, because the whole file is held in memory.
MAX_FILE_SIZE = 100 * 1000 * 1000

_NOT_BINARY = "a file must be opened in binary mode: open(path, 'rb')"

if TYPE_CHECKING:
    PathLike = os.PathLike[str]
else:
    PathLike = os.PathLike  # takes no type before Python 3.9

#: A path.
StrPath = Union[str, PathLike]

#: A path, or an open binary file.
Source = Union[str, PathLike, BinaryIO]

#: Called with the number of bytes sent so far and the size of the body.
Progress = Callable[[int, int], object]


class Content(NamedTuple):
    """A file that has been read."""

    name: str
    data: bytes
    type: str


class Files:
    """
    The files that a visitor or user has uploaded. `Client.files` is one.

    A guest's files belong to the client's cookies. The site deletes files after about an hour.
    Iterating yields all files, fetching pages as needed. Threads may share this object.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __iter__(self) -> Iterator[File]:
        """Yield each file once, the newest first."""
        return each_once((self.list(page=number) for number in count(1)), attrgetter("id"))

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
            name: the name to send. Its extension determines the media type. Defaults to the name
                of the file.
            purpose: what the file is for, in the plugin's words. The default is ``"analysis"``, as
                chats use since AI Engine 3.2.8.
            progress: called with the number of bytes sent so far and the size of the body.

        Raises:
            ValueError: the file has no name, or is larger than 100 MB.
            TypeError: it is neither a path nor a binary file, or `progress` cannot be called.
            OSError: it cannot be read.
            ReplyError: the site does not accept this file; `message` says why.
            ChatGPT4OnlineError: anything else went wrong.

        What `progress` raises is raised unchanged.

        Source: AI Engine 3.6.2, mwai-ui/v1/files/upload.
        """
        purpose = validate.identifier(purpose, "purpose")
        if progress is not None and not callable(progress):
            raise TypeError(f"progress must be a function, not {type_name(progress)}")
        with self._transport.calling() as call:
            content = read_file(path_or_file, name)
            return _upload(self._transport, content, purpose=purpose, progress=progress, call=call)

    def list(self, *, page: int = 1, limit: int = 10) -> List[File]:
        """
        Return one page of the files, the newest first.

        Args:
            page: which page, counted from 1.
            limit: how many files are on a page.

        Raises:
            ValueError: a number is less than 1.
            TypeError: a number is not an int.
            ChatGPT4OnlineError: the list could not be fetched. AI Engine 2.8.5, 3.3.9 and 3.6.2
                fail for guests, 2.4.7 and 2.9.2 do not.

        Source: AI Engine 3.6.2, mwai-ui/v1/files/list.
        """
        fields = list_files_body(
            limit=validate.positive(limit, "limit"), page=validate.positive(page, "page")
        )
        return self._transport.post(routes.LIST_FILES, fields, parse_files, idempotent=True)

    def delete(self, *files: Union[File, str]) -> None:
        """
        Delete files.

        Args:
            files: the files, or their ids.

        Raises:
            ValueError: no file is given, or an id is empty.
            TypeError: it is neither a file nor an id.
            ReplyError: the site deleted nothing: it knows none of the files, they belong to
                others, or its AI Engine is older than 3.2.8 and cannot delete files by their ids.
            ChatGPT4OnlineError: anything else went wrong.

        Source: AI Engine 3.6.2, mwai-ui/v1/files/delete.
        """
        ids = [file_id(file) for file in validate.at_least_one(files, "files")]
        self._transport.post(routes.DELETE_FILES, delete_files_body(ids), parse_deleted)


def read_files(files: Sequence[Union[File, Source]]) -> List[Union[str, Content]]:
    """Return the id of each uploaded file, and the content of each other one."""
    return [_id_or_content(file) for file in _file_list(files)]


def file_ids(files: Sequence[Union[File, str]]) -> List[str]:
    """Return the id of each uploaded file."""
    return [file_id(file) for file in _file_list(files)]


def _file_list(files: Sequence[T]) -> Sequence[T]:
    if isinstance(files, (str, bytes)) or not isinstance(files, Sequence):
        raise TypeError(f"files must be a list, not {type_name(files)}")
    return files


def upload_all(
    transport: Transport, files: Sequence[Union[str, Content]], call_headers: Headers, call: Call
) -> List[str]:
    """Upload the files that have no id yet, with the call's own headers, and return all ids."""
    upload = partial(
        _upload,
        transport,
        purpose=DEFAULT_PURPOSE,
        progress=None,
        call=call,
        call_headers=call_headers,
    )
    return [file if isinstance(file, str) else upload(file).id for file in files]


def _upload(
    transport: Transport,
    content: Content,
    *,
    purpose: str,
    progress: Optional[Progress],
    call: Call,
    call_headers: Headers = MappingProxyType({}),
) -> File:
    body, content_type = encode_multipart_formdata(upload_parts(content, purpose))
    headers = transport.headers.widget(accept="application/json", content_type=None)
    request = Request(
        routes.UPLOAD,
        headers,
        body,
        content_type=content_type,
        progress=progress,
        call_headers=call_headers,
    )
    return transport.fetch(request, call, parse_uploaded(content, purpose))


def parse_uploaded(content: Content, purpose: str) -> Callable[[Dict[str, Any]], File]:
    """Return a parser for the answer to an upload."""
    return partial(parse_upload, name=content.name, purpose=purpose)


def file_id(file: Union[File, str]) -> str:
    """Return the id of an uploaded file."""
    return validate.identifier(file.id if isinstance(file, File) else file, "a file's id")


def _id_or_content(file: Union[File, Source]) -> Union[str, Content]:
    if isinstance(file, File):
        return file_id(file)
    if isinstance(file, str) and is_file_id(file) and not os.path.exists(file):  # noqa: PTH110
        return file
    return read_file(file, None)


def read_file(source: Source, name: Optional[str]) -> Content:
    """
    Read a whole file.

    Raises:
        ValueError: it has no name, or is larger than 100 MB.
        TypeError: it is neither a path nor a binary file.
        OSError: it cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        with open(path, "rb") as file:  # noqa: PTH123 - path may be a str
            return _content(file, name or path)
    if not hasattr(source, "read"):
        raise TypeError(f"a file must be a path or an open binary file, not {type_name(source)}")
    if hasattr(source, "encoding"):
        raise TypeError(_NOT_BINARY)
    return _content(source, name or getattr(source, "name", None))


def _content(file: BinaryIO, name: object) -> Content:
    from mimetypes import guess_type  # imported here because few programs upload files

    if not isinstance(name, str) or not os.path.basename(name):  # noqa: PTH119
        raise ValueError("give the file a name: its extension determines the media type")
    base = validate.text(os.path.basename(name), "a file's name")  # noqa: PTH119
    data = _read_whole(file)
    if len(data) > MAX_FILE_SIZE:
        raise ValueError(f"{base} is larger than {MAX_FILE_SIZE} bytes")
    return Content(base, data, guess_type(base)[0] or "application/octet-stream")


def _read_whole(file: BinaryIO) -> bytes:
    """Return the content of a file, at most one byte over the limit. Some files read in pieces."""
    pieces: List[bytes] = []
    left = MAX_FILE_SIZE + 1
    while left > 0:
        piece = file.read(left)
        if not isinstance(piece, bytes):
            raise TypeError(_NOT_BINARY)
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
