"""Files: what may be uploaded, what reaches the site, and what goes with a question."""

from __future__ import annotations

import io
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Type

import pytest
import requests

from chatgpt4online import (
    AuthError,
    ChatGPT4OnlineError,
    Client,
    File,
    Image,
    NotFoundError,
    ProtocolError,
    ReplyError,
    ServerError,
    TransportError,
    files,
)
from chatgpt4online._http.session import Upload
from chatgpt4online._protocol.answers import parse_upload
from chatgpt4online.testing import Server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300
USER = ("ada", "abcd efgh ijkl")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Write a picture of 77 kB to a file."""
    path = tmp_path / "dot.png"
    path.write_bytes(PNG)
    return path


@pytest.fixture
def member(server: Server) -> Iterator[Client]:
    """Make a client of a user."""
    server.user(*USER)
    with Client(server.url, auth=USER) as client:
        yield client


def uploads(server: Server) -> List[bytes]:
    """Return the bodies of the uploads so far."""
    return [each.body for each in server.requests if each.path.endswith("files/upload")]


# -------------------------------------------------------------------------------------- uploads


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
def test_a_picture_arrives_unharmed(
    source: Callable[[Path], Any], picture: Path, client: Client
) -> None:
    """A path or an open binary file is uploaded byte for byte, and told of as the site has it."""
    given = source(picture)
    file = client.files.upload(given)
    if hasattr(given, "close"):
        given.close()
    assert requests.get(file.url).content == PNG
    assert (file.name, file.type, file.purpose) == ("dot.png", "image", "analysis")
    assert file.id in file.url


def test_a_file_in_small_pieces(client: Client) -> None:
    """A file that gives less than it is asked for is read to its end all the same."""

    class Pipe(io.RawIOBase):
        """Gives three bytes at a time."""

        def __init__(self) -> None:
            self.rest = io.BytesIO(PNG)

        def read(self, size: int = -1) -> bytes:
            return self.rest.read(min(size, 3000))

    file = client.files.upload(Pipe(), name="dot.png")  # type: ignore[arg-type]
    assert requests.get(file.url).content == PNG


def test_an_open_file_goes_from_where_it_stands(client: Client) -> None:
    """Of an open file the rest is uploaded; it stays open."""
    file = io.BytesIO(b"head" + PNG)
    file.seek(4)
    assert requests.get(client.files.upload(file, name="a.png").url).content == PNG
    assert not file.closed


def test_what_an_upload_sends(server: Server, client: Client, picture: Path) -> None:
    """An upload is a form with the file, its purpose and the widget's type, and the nonce."""
    client.files.upload(picture, purpose="vision")
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
def test_odd_names(name: str, sent: bytes, server: Server, client: Client) -> None:
    """A name is sent as one line in UTF-8, without folders, and cannot add a header."""
    client.files.upload(io.BytesIO(PNG), name=name)
    assert b'name="file"; filename="%b"\r\n' % sent in uploads(server)[0]


@pytest.mark.parametrize(
    ("name", "kind", "content_type"),
    [
        ("a.PNG", "image", b"image/png"),
        ("a.txt", "file", b"text/plain"),
        ("a.mp3", "file", b"audio/mpeg"),
    ],
)
def test_types(name: str, kind: str, content_type: bytes, server: Server, client: Client) -> None:
    """A file's ending tells its type."""
    content = {"a.PNG": PNG, "a.txt": b"x", "a.mp3": b"ID3"}[name]
    assert client.files.upload(io.BytesIO(content), name=name).type == kind
    assert b"\r\nContent-Type: %b\r\n\r\n%b" % (content_type, content) in uploads(server)[0]


def test_an_unknown_type_is_for_the_site_to_refuse(server: Server, client: Client) -> None:
    """What a site does not take it refuses in its own words."""
    with pytest.raises(ReplyError) as caught:
        client.files.upload(io.BytesIO(b"x"), name="a.qqq")
    assert caught.value.message == "Invalid file type."
    assert (caught.value.site, caught.value.route) == (server.url, "mwai-ui/v1/files/upload")
    assert b"Content-Type: application/octet-stream" in uploads(server)[0]


def missing(folder: Path) -> Any:
    """Return the path of no file."""
    return folder / "none.png"


def a_folder(folder: Path) -> Any:
    """Return the path of a folder."""
    return folder


def text_mode(folder: Path) -> Any:
    """Return a file that is open as text, and holds none."""
    (folder / "a.png").write_bytes(PNG)
    return (folder / "a.png").open(encoding="utf-8")


def text_in_memory(folder: Path) -> Any:
    """Return text that looks like a file."""
    return io.StringIO("x")


def read_as_text(folder: Path) -> Any:
    """Return something of no known kind that reads as text."""

    class Odd:
        name = "a.txt"

        def read(self, size: int) -> str:
            return "x"

    return Odd()


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
    (a_folder, OSError, None),
    (text_mode, TypeError, "must be open in binary mode"),
    (text_in_memory, TypeError, "must be open in binary mode"),
    (read_as_text, TypeError, "must be open in binary mode"),
    (nameless, ValueError, "give the file a name"),
    (numbered, ValueError, "give the file a name"),
    (closed, ValueError, None),
    (lambda folder: 5, TypeError, "must be a path or an open binary file, not int"),
    (lambda folder: b"a.png", TypeError, "must be a path or an open binary file, not bytes"),
    (lambda folder: None, TypeError, "must be a path or an open binary file, not NoneType"),
    (lambda folder: "a\0.png", ValueError, None),
]


@pytest.mark.parametrize(("make", "kind", "words"), BAD_FILES)
def test_bad_files(make: Any, kind: Any, words: Any, server: Server, tmp_path: Path) -> None:
    """What cannot be uploaded is refused before anything at all is sent."""
    source = make(tmp_path)
    with Client(server.url) as client:
        with pytest.raises(kind, match=words):
            client.files.upload(source)
        with pytest.raises(kind, match=words):
            client.chat("Hi", files=[source])
    if hasattr(source, "close"):
        source.close()
    assert server.requests == []


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="this user may read everything",
)
def test_an_unreadable_file(server: Server, client: Client, picture: Path) -> None:
    """A file that may not be read is the system's own error, before anything is sent."""
    picture.chmod(0)
    with pytest.raises(PermissionError):
        client.files.upload(picture)
    assert server.requests == []


def test_bad_names_and_purposes(server: Server, client: Client) -> None:
    """A name that is a folder's, or no text, and an empty purpose are refused before sending."""
    for options in ({"name": "a/"}, {"name": "\ud83d.png"}, {"name": "a.png", "purpose": " "}):
        with pytest.raises(ValueError, match=r"give the file a name|surrogate|purpose is empty"):
            client.files.upload(io.BytesIO(b"x"), **options)  # type: ignore[arg-type]
    assert server.requests == []


class Endless:
    """A file without end that counts what is taken of it."""

    name = "endless.png"
    taken = 0

    def read(self, size: int) -> bytes:
        """Return as much as is asked for, but no more than 1 MB at a time."""
        size = min(size, 10**6)
        self.taken += size
        return bytes(size)


def test_a_file_over_the_limit(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file over the limit no more is read than shows that it is, and nothing is sent."""
    monkeypatch.setattr(files, "LARGEST_FILE", 5 * 10**6)
    file: Any = Endless()
    with pytest.raises(ValueError, match=r"endless\.png is larger than 5000000 bytes"):
        client.files.upload(file)
    assert file.taken == 5 * 10**6 + 1
    assert server.requests == []


def test_a_file_at_the_limit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file as large as the limit is uploaded."""
    monkeypatch.setattr(files, "LARGEST_FILE", len(PNG))
    assert client.files.upload(io.BytesIO(PNG), name="dot.png").name == "dot.png"


def test_the_limit_is_100_mb() -> None:
    """Files up to 100 MB are taken."""
    assert files.LARGEST_FILE == 100_000_000


# ------------------------------------------------------------------------------------- progress


@pytest.mark.parametrize("own", [False, True], ids=["own session", "caller's session"])
def test_progress(own: bool, server: Server, picture: Path) -> None:
    """Progress is told in bytes, growing, up to all of the request, in pieces."""
    told: List[Tuple[int, int]] = []
    with requests.Session() as session, Client(server.url, session=session if own else None) as it:
        file = it.files.upload(picture, progress=lambda sent, size: told.append((sent, size)))
        assert session.get(file.url).content == PNG
    whole = len(uploads(server)[0])
    assert [size for _, size in told] == [whole] * len(told)
    assert [sent for sent, _ in told] == sorted({sent for sent, _ in told})
    assert told[-1] == (whole, whole)
    assert len(told) >= 3


def test_an_upload_can_be_iterated() -> None:
    """A body that tells of its progress can be taken piece by piece too, as requests allows."""
    told: List[Tuple[int, int]] = []
    body = Upload(PNG, lambda sent, size: told.append((sent, size)))
    assert b"".join(body) == PNG
    assert told[-1] == (len(PNG), len(PNG)) == (len(body), len(body))


def test_progress_of_an_upload_that_is_sent_again(
    server: Server, client: Client, picture: Path
) -> None:
    """An upload whose nonce was stale is sent once more, whole, and its progress begins anew."""
    assert client.nonce
    server.expire_nonce()
    told: List[int] = []
    file = client.files.upload(picture, progress=lambda sent, _: told.append(sent))
    assert requests.get(file.url).content == PNG
    assert len(uploads(server)) == 2
    assert told.count(told[0]) == told.count(told[-1]) == 2


@pytest.mark.parametrize(
    "reason",
    [
        ValueError("stop"),
        BrokenPipeError("stop"),
        requests.ConnectionError("stop"),
        TransportError("another client's"),
        NotFoundError("another client's", status=404),
        ServerError("another client's", status=503, retry_after=0.0),
    ],
    ids=lambda reason: type(reason).__name__,
)
@pytest.mark.parametrize("own", [False, True], ids=["own session", "caller's session"])
def test_progress_that_raises(own: bool, reason: Exception, server: Server, picture: Path) -> None:
    """What a progress function raises comes out as it is, at once; the client goes on to work."""
    told: List[int] = []

    def stop(sent: int, _: int) -> None:
        told.append(sent)
        raise reason

    with requests.Session() as session, Client(server.url, session=session if own else None) as it:
        with pytest.raises(type(reason)) as caught:
            it.files.upload(picture, progress=stop)
        assert caught.value is reason
        assert len(told) == 1
        assert it.chat("Hi") == "Echo(1 msgs): Hi"


def test_progress_without_a_connection(picture: Path) -> None:
    """No progress is told of what has not been sent."""
    told: List[int] = []
    with Server() as server:
        client = Client(server.url, retries=0)
        assert client.nonce
    with client, pytest.raises(TransportError):
        client.files.upload(picture, progress=lambda sent, _: told.append(sent))
    assert told == []


def test_progress_that_is_interrupted(server: Server, client: Client, picture: Path) -> None:
    """Ctrl-C in a progress function ends the upload."""

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.files.upload(picture, progress=stop)
    assert client.chat("Hi") == "Echo(1 msgs): Hi"


# ------------------------------------------------------------------------------ failing uploads


@pytest.mark.parametrize("status", [413, 500, 502, 504])
def test_an_upload_is_sent_once(status: int, server: Server, client: Client, picture: Path) -> None:
    """An upload that the site may have taken is not sent again."""
    server.answers(status, route="files/upload")
    with pytest.raises(ChatGPT4OnlineError):
        client.files.upload(picture)
    assert len(uploads(server)) == 1


def test_an_upload_that_is_not_named(server: Server, client: Client, picture: Path) -> None:
    """An answer that does not name the file is no success, and says where that was."""
    body = b'{"success":true,"data":{"id":"","url":null}}'
    server.sends(body, content_type="application/json", route="files/upload")
    with pytest.raises(ProtocolError, match="does not name the file") as caught:
        client.files.upload(picture)
    assert caught.value.route == "mwai-ui/v1/files/upload"


# --------------------------------------------------------------------------- with a question


def test_files_go_with_a_question(server: Server, client: Client, picture: Path) -> None:
    """Files, ids, paths and open files go with a question, in the order given."""
    first, second = client.files.upload(picture), client.files.upload(picture)
    with picture.open("rb") as opened:
        reply = client.chat("See?", files=[first, second.id, picture, str(picture), opened])
    fields: Any = server.questions[-1].json
    assert fields["newFileIds"][:2] == [first.id, second.id]
    assert len(set(fields["newFileIds"])) == 5
    assert fields["newFileId"] == first.id
    assert reply.count("image_url") == 10


def test_a_file_without_a_message(server: Server, client: Client, picture: Path) -> None:
    """With a file the message may be empty; without one it may not."""
    assert "image_url" in client.chat("", files=[picture])
    with pytest.raises(ValueError, match="the message is empty"):
        client.chat("", files=[])


def test_a_path_that_looks_like_an_id(
    server: Server, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word of 32 hexadecimal digits is an id, unless there is such a file."""
    monkeypatch.chdir(tmp_path)
    word = "0123456789abcdef" * 2
    client.chat("Hi", files=[word])
    assert server.questions[-1].json["newFileIds"] == [word]
    Path(word).write_bytes(b"x")
    with pytest.raises(ReplyError, match="Invalid file type"):
        client.chat("Hi", files=[word])
    with pytest.raises(FileNotFoundError):
        client.chat("Hi", files=[word.upper()])


@pytest.mark.parametrize("files", ["abc", b"abc", None, 5, {"a"}, iter(["a"])])
def test_files_is_a_list(files: Any, server: Server, client: Client) -> None:
    """`files` is a list or a tuple, and not one file."""
    with pytest.raises(TypeError, match="files must be a list, not"):
        client.chat("Hi", files=files)
    assert server.requests == []


def test_a_bad_question_uploads_nothing(server: Server, client: Client, picture: Path) -> None:
    """What cannot be asked is refused before its files are uploaded."""
    with pytest.raises(TypeError):
        client.chat("Hi", files=[picture], extra_body={"x": object()})
    assert server.requests == []


def test_a_refused_file_asks_nothing(server: Server, client: Client, picture: Path) -> None:
    """If the site refuses a file, the question is not asked."""
    server.fails("File type is not allowed.", route="files/upload")
    with pytest.raises(ReplyError) as caught:
        client.chat("Hi", files=[picture])
    assert caught.value.message == "File type is not allowed."
    assert server.questions == []


def test_files_in_a_conversation(server: Server, client: Client, picture: Path) -> None:
    """A conversation takes files too."""
    talk = client.conversation()
    assert "image_url" in talk.chat("See?", files=(picture,))
    assert talk.messages[0] == {"role": "user", "content": "See?"}


def test_painted_images(server: Server, client: Client) -> None:
    """The pictures of an image bot come as `Image`, which a notebook shows."""
    server.bot("painter", mode="images")
    with Client(server.url, bot="painter") as painter:
        reply = painter.chat("A dot")
    (image,) = reply.images
    assert isinstance(image, Image)
    assert requests.get(image.url).headers["Content-Type"] == "image/png"
    assert image._repr_html_() == f'<img src="{image.url}">'


# ------------------------------------------------------------------------------ list and delete


def test_listed_and_deleted(member: Client, picture: Path) -> None:
    """A user's files are listed as they were uploaded, with their times, and can be deleted."""
    files = [member.files.upload(picture) for _ in range(3)]
    listed = member.files.list()
    assert {file.id for file in listed} == {file.id for file in files}
    (one,) = member.files.list(page=3, limit=1)
    assert one in listed
    assert (one.type, one.purpose, one.name) == ("file", "analysis", one.id + ".png")
    assert one.created
    assert one.expires
    assert one.created.utcoffset() == timedelta(0)
    assert one.expires - one.created == timedelta(hours=1)
    member.files.delete(files[0], files[1].id)
    assert [file.id for file in member.files.list()] == [files[2].id]
    assert member.files.list(page=2) == []


def test_a_guests_files(server: Server, client: Client, picture: Path) -> None:
    """A guest deletes what belongs to the client's cookies, and nobody else's."""
    file = client.files.upload(picture)
    with Client(server.url) as another, pytest.raises(ReplyError, match="No authorized files"):
        another.files.delete(file)
    client.files.delete(file)
    with pytest.raises(ReplyError, match="No valid files"):
        client.files.delete(file)


def test_a_guests_list(server: Server, client: Client) -> None:
    """AI Engine 3.6.2 dies when a guest lists files, which is told as what it is."""
    with pytest.raises(ServerError, match="critical error"):
        client.files.list()
    with Server(version="2.4.7") as old, Client(old.url) as guest:
        file = guest.files.upload(io.BytesIO(PNG), name="dot.png")
        assert [each.id for each in guest.files.list()] == [file.id]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"page": 0}, ValueError),
        ({"limit": 0}, ValueError),
        ({"limit": -1}, ValueError),
        ({"page": "1"}, TypeError),
        ({"limit": None}, TypeError),
    ],
)
def test_bad_pages(options: Any, kind: Type[Exception], server: Server, client: Client) -> None:
    """Pages and their sizes are numbers from 1 on."""
    with pytest.raises(kind):
        client.files.list(**options)
    assert server.requests == []


@pytest.mark.parametrize(
    ("files", "kind", "words"),
    [
        ((), ValueError, "no files given"),
        (("",), ValueError, "a file's id is empty"),
        ((5,), TypeError, "a file's id must be a str, not int"),
        ((["a"],), TypeError, "a file's id must be a str, not list"),
    ],
)
def test_bad_deletions(
    files: Any, kind: Type[Exception], words: str, server: Server, client: Client
) -> None:
    """Deleting needs files or ids, before anything is sent."""
    with pytest.raises(kind, match=words):
        client.files.delete(*files)
    assert server.requests == []


def test_rows_that_lack_things(server: Server, member: Client) -> None:
    """A file of which a site tells little is listed with what it tells."""
    rows = b'{"success":true,"data":{"files":[{"id":"7","created":"soon"},5],"total":"1"}}'
    server.sends(rows, content_type="application/json", route="files/list")
    assert member.files.list() == [File("7", "", "", "", None, None, None)]
    server.sends(b'{"success":true}', content_type="application/json", route="files/list")
    assert member.files.list() == []


def test_an_upload_is_the_users(server: Server, member: Client, picture: Path) -> None:
    """A user's upload outlives the nonce: 403 rest_forbidden renews it once."""
    assert member.nonce
    server.expire_nonce()
    file = member.files.upload(picture)
    assert [each.id for each in member.files.list()] == [file.id]
    server.answers(403, body={"code": "rest_forbidden", "message": "No."}, route="files/upload")
    server.answers(403, body={"code": "rest_forbidden", "message": "No."}, route="files/upload")
    with pytest.raises(AuthError):
        member.files.upload(picture)
    assert len(uploads(server)) == 4


@pytest.mark.parametrize("data", [{"id": "a" * 32}, {"url": "https://example.com/a.png"}, {}])
def test_half_a_name(data: Dict[str, Any]) -> None:
    """A file is named by its id and its address, both of them."""
    with pytest.raises(ProtocolError, match="does not name the file"):
        parse_upload({"data": data}, "a.png", "image/png", "vision")
