"""Files: sending them with a question, listing and deleting them."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any, Iterator, Type

import pytest
import requests

from chatgpt4online import (
    Client,
    File,
    Image,
    ReplyError,
    ServerError,
)
from chatgpt4online.testing import Server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300
USER = ("ada", "abcd efgh ijkl")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return the path of an image of 77 kB."""
    path = tmp_path / "dot.png"
    path.write_bytes(PNG)
    return path


@pytest.fixture
def member(server: Server) -> Iterator[Client]:
    """Return a client of a user."""
    server.user(*USER)
    with Client(server.url, auth=USER) as client:
        yield client


# ---------------------------------------------------------------------------------- with a question


def test_files_go_with_a_question(server: Server, client: Client, image: Path) -> None:
    """Files, ids, paths and open files are sent with a question, in the order given."""
    first, second = client.files.upload(image), client.files.upload(image)
    with image.open("rb") as opened:
        reply = client.chat("See?", files=[first, second.id, image, str(image), opened])
    fields: Any = server.questions[-1].json
    assert fields["newFileIds"][:2] == [first.id, second.id]
    assert len(set(fields["newFileIds"])) == 5
    assert fields["newFileId"] == first.id
    assert reply.count("image_url") == 10


def test_a_file_without_a_message(server: Server, client: Client, image: Path) -> None:
    """A message may be empty only if it comes with a file."""
    assert "image_url" in client.chat("", files=[image])
    with pytest.raises(ValueError, match="the message is empty"):
        client.chat("", files=[])


def test_a_path_that_looks_like_an_id(
    server: Server, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text of 32 hexadecimal digits is an id, unless a file has that name."""
    monkeypatch.chdir(tmp_path)
    file_id = "0123456789abcdef" * 2
    client.chat("Hi", files=[file_id])
    assert server.questions[-1].json["newFileIds"] == [file_id]
    Path(file_id).write_bytes(b"x")
    with pytest.raises(ReplyError, match="Invalid file type"):
        client.chat("Hi", files=[file_id])
    with pytest.raises(FileNotFoundError):
        client.chat("Hi", files=[file_id.upper()])


@pytest.mark.parametrize("files", ["abc", b"abc", None, 5, {"a"}, iter(["a"])])
def test_files_is_a_list(files: Any, server: Server, client: Client) -> None:
    """`files` must be a list or a tuple, not one file."""
    with pytest.raises(TypeError, match="files must be a list, not"):
        client.chat("Hi", files=files)
    assert server.requests == []


def test_a_bad_question_uploads_nothing(server: Server, client: Client, image: Path) -> None:
    """An invalid question raises before its files are uploaded."""
    with pytest.raises(TypeError):
        client.chat("Hi", files=[image], extra_body={"x": object()})
    assert server.requests == []


def test_a_rejected_file_sends_no_question(server: Server, client: Client, image: Path) -> None:
    """If the site rejects a file, the question is not sent."""
    server.fails("File type is not allowed.", route="files/upload")
    with pytest.raises(ReplyError) as caught:
        client.chat("Hi", files=[image])
    assert caught.value.message == "File type is not allowed."
    assert server.questions == []


def test_files_in_a_conversation(server: Server, client: Client, image: Path) -> None:
    """A question of a conversation can have files."""
    talk = client.conversation()
    assert "image_url" in talk.chat("See?", files=(image,))
    assert talk.messages[0] == {"role": "user", "content": "See?"}


def test_generated_images(server: Server, client: Client) -> None:
    """The images of an image bot are in `Reply.images`, and a notebook shows them."""
    server.bot("painter", mode="images")
    with Client(server.url, bot="painter") as painter:
        reply = painter.chat("A dot")
    (image,) = reply.images
    assert isinstance(image, Image)
    assert requests.get(image.url).headers["Content-Type"] == "image/png"
    assert image._repr_html_() == f'<img src="{image.url}">'


# ---------------------------------------------------------------------------------- list and delete


def test_listed_and_deleted(member: Client, image: Path) -> None:
    """A user's files are listed as they were uploaded, with their times, and can be deleted."""
    files = [member.files.upload(image) for _ in range(3)]
    listed = member.files.list()
    assert {file.id for file in listed} == {file.id for file in files}
    (one,) = member.files.list(page=3, limit=1)
    assert one in listed
    assert (one.type, one.purpose, one.name) == ("image", "analysis", one.id + ".png")
    assert one.created
    assert one.expires
    assert one.created.utcoffset() == timedelta(0)
    assert one.expires - one.created == timedelta(hours=1)
    member.files.delete(files[0], files[1].id)
    assert [file.id for file in member.files.list()] == [files[2].id]
    assert member.files.list(page=2) == []


def test_a_guests_files(server: Server, client: Client, image: Path) -> None:
    """A guest can delete only files that belong to the client's cookies."""
    file = client.files.upload(image)
    with Client(server.url) as another, pytest.raises(ReplyError, match="No authorized files"):
        another.files.delete(file)
    client.files.delete(file)
    with pytest.raises(ReplyError, match="No valid files"):
        client.files.delete(file)


def test_a_guests_list(server: Server, client: Client) -> None:
    """Listing files as a guest, for which AI Engine 3.6.2 crashes, raises ServerError."""
    with pytest.raises(ServerError, match="critical error"):
        client.files.list()
    with Server(version="2.4.7") as old, Client(old.url) as guest:
        file = guest.files.upload(io.BytesIO(PNG), name="dot.png")
        assert [each.id for each in guest.files.list()] == [file.id]


def test_all_files(member: Client, image: Path) -> None:
    """Iterating yields each file once, from all pages, the newest first."""
    files = [member.files.upload(image).id for _ in range(12)]
    assert sorted(file.id for file in member.files) == sorted(files)
    first = next(iter(member.files))
    assert first == member.files.list(limit=1)[0]


def test_a_site_that_ignores_pages(server: Server, member: Client) -> None:
    """A site that returns the same page again and again is not asked for ever."""
    row = b'{"refId":"a","url":"https://a.example/a.png"}'
    page = b'{"success":true,"data":{"files":[%s,%s]}}' % (row, row)
    for _ in range(2):
        server.sends(page, content_type="application/json", route="files/list")
    assert [file.id for file in member.files] == ["a"]


def test_no_files(member: Client) -> None:
    """Iterating yields nothing if the user has no files."""
    assert list(member.files) == []


@pytest.mark.parametrize("version", ["2.4.7", "3.3.9", "3.6.2"])
def test_an_old_site_deletes_nothing(version: str) -> None:
    """A deletion that deletes nothing raises, also where the site reports success."""
    with Server(version=version) as server, Client(server.url) as guest:
        file = guest.files.upload(io.BytesIO(PNG), name="dot.png")
        if version == "2.4.7":
            with pytest.raises(ReplyError, match=r"before 3\.2\.8") as caught:
                guest.files.delete(file)
            assert caught.value.route == "mwai-ui/v1/files/delete"
            assert guest.files.list()
        else:
            guest.files.delete(file)
            with pytest.raises(ReplyError, match="No valid files"):
                guest.files.delete(file)


@pytest.mark.parametrize("count", [b"0", b"null", b'"0"', b"[]"])
def test_no_deleted_files(count: bytes, server: Server, client: Client) -> None:
    """A site that counts no deleted file has deleted none."""
    answer = b'{"success":true,"deleted":%s}' % count
    server.sends(answer, content_type="application/json", route="files/delete")
    with pytest.raises(ReplyError, match="the site deleted none of the files"):
        client.files.delete("a")


@pytest.mark.parametrize(
    ("name", "data", "expected"), [("a.PNG", PNG, "image"), ("a.txt", b"Hello", "file")]
)
@pytest.mark.parametrize("version", ["2.4.7", "3.3.9", "3.6.2"])
def test_the_type_of_a_file(version: str, name: str, data: bytes, expected: str) -> None:
    """The type of a file is the same from its upload and from a list, in each version."""
    with Server(version=version) as server:
        server.user(*USER)
        with Client(server.url, auth=USER) as user:
            uploaded = user.files.upload(io.BytesIO(data), name=name)
            assert [uploaded.type, *(file.type for file in user.files)] == [expected] * 2


@pytest.mark.parametrize(
    ("options", "error_type"),
    [
        ({"page": 0}, ValueError),
        ({"limit": 0}, ValueError),
        ({"limit": -1}, ValueError),
        ({"page": "1"}, TypeError),
        ({"limit": None}, TypeError),
    ],
)
def test_bad_pages(
    options: Any, error_type: Type[Exception], server: Server, client: Client
) -> None:
    """The page and the limit must be 1 or more."""
    with pytest.raises(error_type):
        client.files.list(**options)
    assert server.requests == []


@pytest.mark.parametrize(
    ("files", "error_type", "message"),
    [
        ((), ValueError, "no files given"),
        (("",), ValueError, "a file's id is empty"),
        ((5,), TypeError, "a file's id must be a str, not int"),
        ((["a"],), TypeError, "a file's id must be a str, not list"),
    ],
)
def test_bad_deletions(
    files: Any, error_type: Type[Exception], message: str, server: Server, client: Client
) -> None:
    """Deleting without files, or with invalid ids, raises before anything is sent."""
    with pytest.raises(error_type, match=message):
        client.files.delete(*files)
    assert server.requests == []


def test_incomplete_rows(server: Server, member: Client) -> None:
    """A row with missing fields becomes a file with the fields that it has."""
    rows = b'{"success":true,"data":{"files":[{"id":"7","created":"soon"},5],"total":"1"}}'
    server.sends(rows, content_type="application/json", route="files/list")
    assert member.files.list() == [File("7", "", "", "file", None, None, None)]
    server.sends(b'{"success":true}', content_type="application/json", route="files/list")
    assert member.files.list() == []
