"""Uploads: which files are accepted, what is sent, and how progress is reported."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple, Type

import pytest
import requests

from chatgpt4online import (
    AuthError,
    ChatGPT4OnlineError,
    Client,
    NotFoundError,
    ProtocolError,
    ReplyError,
    ServerError,
    TransportError,
    files,
)
from chatgpt4online._http.outgoing import Upload
from chatgpt4online.testing import Server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300
USER = ("ada", "abcd efgh ijkl")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return the path of an image of 77 kB."""
    path = tmp_path / "dot.png"
    path.write_bytes(PNG)
    return path


def uploads(server: Server) -> List[bytes]:
    """Return the bodies of the uploads so far."""
    return [each.body for each in server.requests if each.path.endswith("files/upload")]


# ------------------------------------------------------------------------------------- what is sent


@pytest.mark.parametrize(
    "source",
    [
        lambda path: path,
        str,
        lambda path: path.open("rb"),
        lambda path: path.open("rb", buffering=0),
    ],
    ids=["Path", "str", "open", "raw"],
)
def test_a_file_is_uploaded(source: Callable[[Path], Any], image: Path, client: Client) -> None:
    """A path or an open binary file is uploaded byte by byte, and returned as the site has it."""
    given = source(image)
    file = client.files.upload(given)
    if hasattr(given, "close"):
        given.close()
    assert requests.get(file.url).content == PNG
    assert (file.name, file.type, file.purpose) == ("dot.png", "image", "analysis")
    assert file.id in file.url


def test_a_file_that_reads_in_pieces(client: Client) -> None:
    """A file whose `read` returns less than the requested size is read to its end."""

    class Pipe(io.RawIOBase):
        """A file that returns at most 3,000 bytes at a time."""

        def __init__(self) -> None:
            self.rest = io.BytesIO(PNG)

        def read(self, size: int = -1) -> bytes:
            return self.rest.read(min(size, 3000))

    file = client.files.upload(Pipe(), name="dot.png")  # type: ignore[arg-type]
    assert requests.get(file.url).content == PNG


def test_an_open_file_is_read_from_its_position(client: Client) -> None:
    """An open file is uploaded from its current position, and stays open."""
    file = io.BytesIO(b"head" + PNG)
    file.seek(4)
    assert requests.get(client.files.upload(file, name="a.png").url).content == PNG
    assert not file.closed


def test_what_an_upload_sends(server: Server, client: Client, image: Path) -> None:
    """An upload is a form with the file, its purpose and the widget's type, and has the nonce."""
    client.files.upload(image, purpose="vision")
    request = server.requests[-1]
    assert request.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert request.headers["X-WP-Nonce"] == client.nonce
    assert request.headers["Accept"] == "application/json"
    file = b'name="file"; filename="dot.png"\r\nContent-Type: image/png\r\n\r\n' + PNG
    assert file in request.body
    assert b'name="purpose"\r\n\r\nvision\r\n' in request.body
    assert b'name="type"\r\n\r\nN/A\r\n' in request.body


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("caf\u00e9 \U0001f389.png", "caf\u00e9 \U0001f389.png".encode()),
        ('a"b.png', b"a%22b.png"),
        ("a\r\nX-Evil: 1.png", b"a%0D%0AX-Evil: 1.png"),
        ("folder/a.png", b"a.png"),
        ("../../a.png", b"a.png"),
    ],
)
def test_names_are_escaped(name: str, sent: bytes, server: Server, client: Client) -> None:
    """A name is sent as one line in UTF-8, without directories, and cannot add a header."""
    client.files.upload(io.BytesIO(PNG), name=name)
    assert b'name="file"; filename="%b"\r\n' % sent in uploads(server)[0]


@pytest.mark.parametrize(
    ("name", "file_type", "content_type"),
    [
        ("a.PNG", "image", b"image/png"),
        ("a.txt", "file", b"text/plain"),
        ("a.mp3", "file", b"audio/mpeg"),
    ],
)
def test_types(
    name: str, file_type: str, content_type: bytes, server: Server, client: Client
) -> None:
    """A file's extension determines its type."""
    content = {"a.PNG": PNG, "a.txt": b"x", "a.mp3": b"ID3"}[name]
    assert client.files.upload(io.BytesIO(content), name=name).type == file_type
    assert b"\r\nContent-Type: %b\r\n\r\n%b" % (content_type, content) in uploads(server)[0]


def test_the_site_rejects_unknown_types(server: Server, client: Client) -> None:
    """A type that the site does not accept raises the site's message."""
    with pytest.raises(ReplyError) as caught:
        client.files.upload(io.BytesIO(b"x"), name="a.qqq")
    assert caught.value.message == "Invalid file type."
    assert (caught.value.site, caught.value.route) == (server.url, "mwai-ui/v1/files/upload")
    assert b"Content-Type: application/octet-stream" in uploads(server)[0]


def missing(folder: Path) -> Any:
    """Return the path of a file that does not exist."""
    return folder / "none.png"


def directory(folder: Path) -> Any:
    """Return the path of a directory."""
    return folder


def text_mode(folder: Path) -> Any:
    """Return a binary file opened in text mode."""
    (folder / "a.png").write_bytes(PNG)
    return (folder / "a.png").open(encoding="utf-8")


def text_in_memory(folder: Path) -> Any:
    """Return a text file in memory."""
    return io.StringIO("x")


def read_as_text(folder: Path) -> Any:
    """Return an object whose `read` returns a str."""

    class TextReader:
        name = "a.txt"

        def read(self, size: int) -> str:
            return "x"

    return TextReader()


def nameless(folder: Path) -> Any:
    """Return a file that has no name."""
    return io.BytesIO(b"x")


def numbered(folder: Path) -> Any:
    """Return a file whose name is a number."""
    return os.fdopen(os.open(folder / "n", os.O_CREAT | os.O_RDONLY), "rb")


def closed(folder: Path) -> Any:
    """Return a file that has been closed."""
    file = (folder / "a.png").open("wb")
    file.close()
    return file


BAD_FILES: List[Tuple[Callable[[Path], Any], Type[Exception], Optional[str]]] = [
    (missing, FileNotFoundError, None),
    (directory, OSError, None),
    (text_mode, TypeError, "must be opened in binary mode"),
    (text_in_memory, TypeError, "must be opened in binary mode"),
    (read_as_text, TypeError, "must be opened in binary mode"),
    (nameless, ValueError, "give the file a name"),
    (numbered, ValueError, "give the file a name"),
    (closed, ValueError, None),
    (lambda folder: 5, TypeError, "must be a path or an open binary file, not int"),
    (lambda folder: b"a.png", TypeError, "must be a path or an open binary file, not bytes"),
    (lambda folder: None, TypeError, "must be a path or an open binary file, not NoneType"),
    (lambda folder: "a\0.png", ValueError, None),
]


@pytest.mark.parametrize(("make", "error_type", "message"), BAD_FILES)
def test_bad_files(
    make: Any, error_type: Any, message: Any, server: Server, tmp_path: Path
) -> None:
    """A file that cannot be uploaded raises before anything is sent."""
    source = make(tmp_path)
    with Client(server.url) as client:
        with pytest.raises(error_type, match=message):
            client.files.upload(source)
        with pytest.raises(error_type, match=message):
            client.chat("Hi", files=[source])
    if hasattr(source, "close"):
        source.close()
    assert server.requests == []


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="permissions do not apply to this user",
)
def test_an_unreadable_file(server: Server, client: Client, image: Path) -> None:
    """A file without read permission raises PermissionError before anything is sent."""
    image.chmod(0)
    with pytest.raises(PermissionError):
        client.files.upload(image)
    assert server.requests == []


def test_bad_names_and_purposes(server: Server, client: Client) -> None:
    """An invalid name and an empty purpose raise before anything is sent."""
    for options in ({"name": "a/"}, {"name": "\ud83d.png"}, {"name": "a.png", "purpose": " "}):
        with pytest.raises(ValueError, match=r"give the file a name|surrogate|purpose is empty"):
            client.files.upload(io.BytesIO(b"x"), **options)  # type: ignore[arg-type]
    assert server.requests == []


@pytest.mark.parametrize("name", ["files", "api"])
def test_a_file_is_not_read_for_nothing(name: str, server: Server) -> None:
    """An invalid purpose raises before the file is read."""
    source = io.BytesIO(PNG)
    with Client(server.url, token="t0ken") as client, pytest.raises(ValueError, match="purpose"):
        getattr(client, name).upload(source, name="a.png", purpose=" ")
    assert source.tell() == 0


@pytest.mark.parametrize("name", ["files", "api"])
def test_a_closed_client_reads_no_file(name: str) -> None:
    """A closed client says that it is closed, whatever there is to upload."""
    with Client("https://a.example", token="t0ken") as client:
        resource = getattr(client, name)
    with pytest.raises(ValueError, match="the client is closed"):
        resource.upload("no such file")


@pytest.mark.parametrize("name", ["files", "api"])
def test_reading_is_part_of_the_call(name: str, server: Server) -> None:
    """What ends the call while its file is read, as `close` does, ends the upload."""
    with Client(server.url, token="t0ken") as client:

        class Closing(io.BytesIO):
            """A file that closes the client while it is read."""

            def read(self, size: Optional[int] = -1) -> bytes:
                client.close()
                return super().read(size)

        with pytest.raises(ChatGPT4OnlineError, match="closed"):
            getattr(client, name).upload(Closing(PNG), name="dot.png")
    assert server.requests == []


@pytest.mark.parametrize("limit", ["timeout", "deadline"])
def test_a_question_reads_no_file_for_nothing(limit: str, client: Client) -> None:
    """An invalid limit raises before the files of a question are read."""
    with pytest.raises(ValueError, match=limit):
        client.chat("Hi", files=["no such file"], **{limit: -1})  # type: ignore[arg-type]


class Endless:
    """An endless file that counts the bytes that were read."""

    name = "endless.png"
    count = 0

    def read(self, size: int) -> bytes:
        """Return the requested number of bytes, at most 1 MB."""
        size = min(size, 10**6)
        self.count += size
        return bytes(size)


def test_a_file_over_the_limit(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file over the limit is read to one byte over it, and nothing is sent."""
    monkeypatch.setattr(files, "MAX_FILE_SIZE", 5 * 10**6)
    file: Any = Endless()
    with pytest.raises(ValueError, match=r"endless\.png is larger than 5000000 bytes"):
        client.files.upload(file)
    assert file.count == 5 * 10**6 + 1
    assert server.requests == []


def test_a_file_at_the_limit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file as large as the limit is uploaded."""
    monkeypatch.setattr(files, "MAX_FILE_SIZE", len(PNG))
    assert client.files.upload(io.BytesIO(PNG), name="dot.png").name == "dot.png"


def test_the_limit_is_100_mb() -> None:
    """Files of up to 100 MB are accepted."""
    assert files.MAX_FILE_SIZE == 100_000_000


# ----------------------------------------------------------------------------------------- progress


def test_progress_is_a_function(server: Server, client: Client, image: Path) -> None:
    """A progress that cannot be called raises TypeError before anything is sent."""
    with pytest.raises(TypeError, match="progress must be a function, not str"):
        client.files.upload(image, progress="nope")  # type: ignore[arg-type]
    assert server.requests == []


@pytest.mark.parametrize("own", [False, True], ids=["default session", "caller's session"])
def test_progress(own: bool, server: Server, image: Path) -> None:
    """Progress is reported in several increasing steps, from the first bytes to the last."""
    steps: List[Tuple[int, int]] = []
    with requests.Session() as session, Client(server.url, session=session if own else None) as it:
        file = it.files.upload(image, progress=lambda sent, size: steps.append((sent, size)))
        assert session.get(file.url).content == PNG
    total = len(uploads(server)[0])
    assert [size for _, size in steps] == [total] * len(steps)
    assert [sent for sent, _ in steps] == sorted({sent for sent, _ in steps})
    assert steps[-1] == (total, total)
    assert len(steps) >= 3


def test_an_upload_can_be_iterated() -> None:
    """A body that reports progress can also be iterated over, as other adapters may do."""
    steps: List[Tuple[int, int]] = []
    body = Upload(PNG, lambda sent, size: steps.append((sent, size)))
    assert b"".join(body) == PNG
    assert steps[-1] == (len(PNG), len(PNG)) == (len(body), len(body))


def test_progress_of_an_upload_that_is_sent_again(
    server: Server, client: Client, image: Path
) -> None:
    """An upload with a stale nonce is sent again as a whole, and its progress starts again."""
    assert client.nonce
    server.expire_nonce()
    steps: List[int] = []
    file = client.files.upload(image, progress=lambda sent, _: steps.append(sent))
    assert requests.get(file.url).content == PNG
    assert len(uploads(server)) == 2
    assert steps.count(steps[0]) == steps.count(steps[-1]) == 2


@pytest.mark.parametrize(
    "error",
    [
        ValueError("stop"),
        BrokenPipeError("stop"),
        requests.ConnectionError("stop"),
        TransportError("another client's"),
        NotFoundError("another client's", status=404),
        ServerError("another client's", status=503, retry_after=0.0),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("own", [False, True], ids=["default session", "caller's session"])
def test_progress_that_raises(own: bool, error: Exception, server: Server, image: Path) -> None:
    """An exception from a progress function propagates unchanged, and the client stays usable."""
    steps: List[int] = []

    def stop(sent: int, _: int) -> None:
        steps.append(sent)
        raise error

    with requests.Session() as session, Client(server.url, session=session if own else None) as it:
        with pytest.raises(type(error)) as caught:
            it.files.upload(image, progress=stop)
        assert caught.value is error
        assert len(steps) == 1
        assert it.chat("Hi") == "Echo(1 msgs): Hi"


def test_progress_without_a_connection(image: Path) -> None:
    """Without a connection, no progress is reported."""
    steps: List[int] = []
    with Server() as server:
        client = Client(server.url, retries=0)
        assert client.nonce
    with client, pytest.raises(TransportError):
        client.files.upload(image, progress=lambda sent, _: steps.append(sent))
    assert steps == []


def test_progress_that_is_interrupted(server: Server, client: Client, image: Path) -> None:
    """Ctrl-C in a progress function ends the upload, and the client stays usable."""

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.files.upload(image, progress=stop)
    assert client.chat("Hi") == "Echo(1 msgs): Hi"


# ----------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize("status", [413, 500, 502, 504])
def test_an_upload_is_sent_once(status: int, server: Server, client: Client, image: Path) -> None:
    """An upload that the site may have stored is not sent again."""
    server.answers(status, route="files/upload")
    with pytest.raises(ChatGPT4OnlineError):
        client.files.upload(image)
    assert len(uploads(server)) == 1


def test_an_upload_that_is_not_named(server: Server, client: Client, image: Path) -> None:
    """An answer that does not name the file raises ProtocolError with the route."""
    body = b'{"success":true,"data":{"id":"","url":null}}'
    server.sends(body, content_type="application/json", route="files/upload")
    with pytest.raises(ProtocolError, match="does not name the uploaded file") as caught:
        client.files.upload(image)
    assert caught.value.route == "mwai-ui/v1/files/upload"


def test_a_users_nonce_is_renewed(server: Server, image: Path) -> None:
    """For a user's upload, 403 ``rest_forbidden`` renews the nonce once."""
    server.user(*USER)
    with Client(server.url, auth=USER) as member:
        assert member.nonce
        server.expire_nonce()
        file = member.files.upload(image)
        assert [each.id for each in member.files.list()] == [file.id]
        for _ in range(2):
            refusal = {"code": "rest_forbidden", "message": "No."}
            server.answers(403, body=refusal, route="files/upload")
        with pytest.raises(AuthError):
            member.files.upload(image)
    assert len(uploads(server)) == 4
