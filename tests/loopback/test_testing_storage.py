"""The files and discussions that the testing site stores."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from typing import Iterator

import pytest
import requests
from visitors import PNG, TIMEOUT, Visitor, current_site, early_site, refusal

from chatgpt4online.testing import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """Start a site with two users and the public API."""
    with current_site() as server:
        yield server


@pytest.fixture
def old() -> Iterator[Server]:
    """Start a site with an early version."""
    with early_site() as server:
        yield server


# Files.


def test_an_upload_is_served_for_an_hour(server: Server) -> None:
    """An upload has a public URL that serves its bytes for an hour."""
    uploaded = Visitor(server).upload().json()["data"]

    answer = requests.get(uploaded["url"], timeout=TIMEOUT)
    assert (answer.content, answer.headers["Content-Type"]) == (PNG, "image/png")
    assert uploaded["id"] in uploaded["url"]
    server.advance(3601)
    assert requests.get(uploaded["url"], timeout=TIMEOUT).status_code == 404


def test_refused_uploads(server: Server) -> None:
    """An upload needs a file of an accepted type, and a purpose."""
    visitor = Visitor(server)
    headers = {"X-WP-Nonce": visitor.nonce}
    route = "mwai-ui/v1/files/upload"

    form = visitor.post(route, data={"purpose": "x"}, headers=headers)
    assert refusal(form) == (400, "No file provided.")
    unbounded = {**headers, "Content-Type": "multipart/form-data"}
    assert refusal(visitor.post(route, data="x", headers=unbounded)) == (400, "No file provided.")
    assert refusal(visitor.upload(type="N/A")) == (400, "Purpose is required.")
    assert refusal(visitor.upload("evil.php")) == (400, "Invalid file type.")


def test_only_images_reach_the_model(server: Server) -> None:
    """An image reaches the model; a document and an unknown file do not."""
    visitor = Visitor(server)
    picture, text = visitor.uploaded(), visitor.uploaded("note.txt", b"Hello")

    reply = visitor.reply("See", newFileIds=[text, picture, "unknown"])

    assert b64encode(PNG).decode() in reply
    assert visitor.reply("See", newFileId=text) == "Echo(1 msgs): See"


def test_early_versions_read_one_file_of_any_type(old: Server) -> None:
    """Version 2.4.7 takes a document for an image, and fails with an unknown file."""
    visitor = Visitor(old)
    picture, text = visitor.uploaded(), visitor.uploaded("note.txt", b"Hello")

    assert b64encode(PNG).decode() in visitor.reply("See", newFileId=picture)
    assert "data:text/plain;base64," in visitor.reply("See", newFileId=text)
    assert visitor.reply("See", newFileIds=[picture]) == "Echo(1 msgs): See"
    assert visitor.refusal("See", newFileId="unknown") == (500, "internal_server_error")


def test_an_image_reaches_the_model_unchanged(server: Server) -> None:
    """The model gets the image byte for byte."""
    visitor = Visitor(server)
    reply = visitor.reply("See", newFileIds=[visitor.uploaded()])

    (encoded,) = re.findall('base64,([^"]*)', reply)
    assert b64decode(encoded) == PNG


def test_a_list_of_files_takes_precedence(server: Server) -> None:
    """``newFileId`` is read only if the list ``newFileIds`` is empty."""
    visitor = Visitor(server)
    picture, text = visitor.uploaded(), visitor.uploaded("note.txt", b"Hello")

    assert visitor.reply("See", newFileIds=[text], newFileId=picture) == "Echo(1 msgs): See"
    assert "image_url" in visitor.reply("See", newFileIds=[], newFileId=picture)


def test_guests_own_files_by_their_cookie(server: Server) -> None:
    """A guest's session cookie owns uploads: only the owner can delete them, once."""
    owner, other = Visitor(server), Visitor(server)
    names = [owner.uploaded()] * 2

    assert refusal(other.call("files/delete", files=names)) == (
        403,
        "No authorized files to delete",
    )
    assert owner.call("files/delete", files=names).json() == {"success": True, "deleted": 1}
    assert refusal(owner.call("files/delete", files=names)) == (400, "No valid files to delete")
    assert refusal(owner.call("files/delete")) == (400, "No valid files to delete")


def test_users_list_and_delete_their_own_files(server: Server) -> None:
    """A user lists, by purpose and page, and deletes only files of their own."""
    ada, bob = Visitor(server, "ada"), Visitor(server, "bob")
    mine = [ada.uploaded() for _ in range(3)]
    bob.uploaded()

    assert [row["refId"] for row in ada.files()] == mine
    assert [row["refId"] for row in ada.files(limit=2, page=2)] == mine[2:]
    assert [row["refId"] for row in ada.files(limit="x", userId=None)] == mine
    assert ada.files(purpose=["generated"]) == []
    assert len(ada.files(purpose="vision")) == 3
    foreign = refusal(ada.call("files/list", userId=1))
    assert foreign == (403, "Unauthorized access to other user files")
    assert bob.call("files/delete", files=mine).status_code == 403
    assert ada.call("files/delete", files=mine).json()["deleted"] == 3


def test_rows_of_listed_files(server: Server) -> None:
    """A row has the file's type, purpose, owner, path and times, all as text."""
    ada = Visitor(server, "ada")
    ada.upload()

    (row,) = ada.files()

    assert (row["type"], row["status"], row["purpose"]) == ("file", "uploaded", "vision")
    assert (row["envId"], row["metadata"]) == (None, [])
    assert row["userId"] == "2"
    assert row["created"] < row["expires"]
    assert row["url"].endswith(row["path"][len("/var/www/html") :])


def test_a_question_changes_the_rows_of_its_files(server: Server, old: Server) -> None:
    """A file that was part of a question has its environment, and in later versions a purpose."""
    for site, kind, purpose in ((server, "file", "analysis"), (old, "image", "vision")):
        ada = Visitor(site, "ada")
        ada.ask("See", newFileId=ada.uploaded())

        (row,) = ada.files()

        assert (row["type"], row["purpose"], row["envId"]) == (kind, purpose, "default")
        assert set(row["metadata"]) == {"query_envId", "query_session"}


@pytest.mark.parametrize(
    ("name", "data", "accepted"),
    [
        ("dot.png", PNG, True),
        ("dot.jpg", PNG, True),
        ("photo.jpg", b"\xff\xd8\xff\xe0", True),
        ("photo.webp", b"RIFF\x00\x00\x00\x00WEBP", True),
        ("text.png", b"Hello", False),
        ("empty.txt", b"", False),
        ("note.txt", "äöü\n\f".encode("latin-1"), True),
        ("note.csv", "a,b".encode("utf-16"), True),
        ("image.txt", PNG, False),
        ("binary.txt", b"a\x00b", False),
        ("text.pdf", b"Hello", False),
        ("file.pdf", b"%PDF-1.4", True),
        ("sound.mp3", b"\x00\x01", True),
    ],
)
def test_the_content_of_a_file_must_fit_its_name(
    server: Server, name: str, data: bytes, accepted: bool
) -> None:
    """A file whose content does not fit its extension, or that is empty, is refused."""
    answer = Visitor(server).upload(name, data)

    if accepted:
        assert answer.json()["success"]
    else:
        assert refusal(answer) == (400, "Invalid file type.")


def test_files_that_are_too_large() -> None:
    """A file over PHP's limit is a critical error; a body over PHP's limit has no file."""
    with Server(upload_max_filesize=100, post_max_size=1000) as server:
        visitor = Visitor(server)
        accepted = visitor.upload(data=PNG + bytes(100 - len(PNG)))
        large = visitor.upload(data=PNG + bytes(101 - len(PNG)))
        huge = visitor.upload(data=PNG + bytes(1000))

    assert accepted.status_code == 200
    assert (large.status_code, large.headers["Content-Type"]) == (500, "text/html; charset=UTF-8")
    assert "critical error" in large.text
    assert refusal(huge) == (400, "No file provided.")


def test_the_limits_of_php(server: Server) -> None:
    """By default a file may have 2 MB, and a body 8 MB."""
    visitor = Visitor(server)

    assert visitor.upload(data=PNG + bytes((2 << 20) - len(PNG))).status_code == 200
    assert visitor.upload(data=PNG + bytes(2 << 20)).status_code == 500
    assert refusal(visitor.upload(data=PNG + bytes(8 << 20))) == (400, "No file provided.")


def test_2_4_3_keeps_file_names() -> None:
    """In version 2.4.3 an upload's URL has the name of the file."""
    with Server("2.4.3") as server:
        files = {"file": ("my dot.png", PNG)}
        url = f"{server.url}/wp-json/mwai-ui/v1/files/upload"
        headers = {"X-WP-Nonce": server.nonce}
        answer = requests.post(
            url, files=files, data={"purpose": "x"}, headers=headers, timeout=TIMEOUT
        )

    assert answer.json()["data"]["url"].endswith("/my-dot.png")


def test_early_versions_delete_files_by_number(old: Server) -> None:
    """Early versions delete by row number, whoever asks, and always report success."""
    visitor = Visitor(old)
    name = visitor.uploaded()
    (row,) = visitor.files(purpose="vision")

    assert visitor.call("files/delete", files=[name]).json() == {"success": True}
    assert len(visitor.files()) == 1
    assert Visitor(old).call("files/delete", files=[row["id"]]).json() == {"success": True}
    assert visitor.files() == []


# Discussions.


def test_discussions_are_stored(server: Server) -> None:
    """A row has the greeting and each exchange as JSON text; the latest row comes first."""
    ada = Visitor(server, "ada")
    ada.ask("one", chatId="a")
    server.advance(60)
    ada.ask("two", chatId="b")
    server.advance(60)
    ada.ask("three", chatId="a", stream=True)
    server.says("no id", response_id=None)
    server.advance(60)
    ada.ask("four", chatId="c")

    newest, row, _ = ada.discussions()

    assert [(turn["role"], turn["content"]) for turn in json.loads(row["messages"])] == [
        ("assistant", "Hi! How can I help you?"),
        ("user", "one"),
        ("assistant", "Echo(1 msgs): one"),
        ("user", "three"),
        ("assistant", "Echo(1 msgs): three"),
    ]
    assert json.loads(row["extra"])["previousResponseId"] == "cmpl-1"
    assert "previousResponseId" not in json.loads(newest["extra"])
    display = {"start_date": "3m ago", "last_update": "1m ago", "message_count": 5}
    assert row["metadata_display"] == display
    assert (row["chatId"], row["title"]) == ("a", None)


def test_failures_are_not_stored(server: Server) -> None:
    """Only complete answers are stored."""
    ada = Visitor(server, "ada")
    server.fails("no")
    server.sends(b"{}")
    for _ in range(2):
        ada.ask(chatId="a")

    assert ada.discussions() == []


def test_discussions_are_listed_page_by_page(server: Server) -> None:
    """A list is for one bot; a limit of 0 means 5; the total counts all rows."""
    server.bot("other")
    ada = Visitor(server, "ada")
    for number in range(7):
        ada.ask(chatId=f"{number}")
    ada.ask(chatId="x", botId="other")

    assert [row["chatId"] for row in ada.discussions(offset=2, limit=3)] == ["2", "3", "4"]
    assert len(ada.discussions(limit=0)) == 5
    assert len(ada.discussions()) == 7
    assert [row["chatId"] for row in ada.discussions(customId="other")] == ["x"]
    assert ada.call("discussions/list", botId="default", limit=1).json()["total"] == "7"
    nobody = ada.call("discussions/list")
    assert refusal(nobody) == (200, "Bot ID is required.")


def test_a_discussion_belongs_to_one_user(server: Server) -> None:
    """A guest's discussion becomes the first user's; another user's is not extended."""
    guest, ada, bob = Visitor(server), Visitor(server, "ada"), Visitor(server, "bob")

    for visitor in (guest, ada, bob):
        assert visitor.reply("Hi", chatId="a") == "Echo(1 msgs): Hi"

    (row,) = ada.discussions()
    assert len(json.loads(row["messages"])) == 5
    assert bob.discussions() == []
    assert refusal(guest.call("discussions/list", botId="default")) == (
        200,
        "You need to be connected.",
    )


def test_discussions_are_renamed(server: Server) -> None:
    """Tags are stripped, over 64 characters fail; an unknown discussion is not an error."""
    ada = Visitor(server, "ada")
    ada.ask(chatId="a")

    title = f"<b>{'x' * 64}</b>"
    assert ada.call("discussions/edit", chatId="a", title=title).json() == {"success": True}
    assert ada.call("discussions/edit", chatId="b", title="y" * 65).json() == {"success": True}
    too_long = ada.call("discussions/edit", chatId="a", title="y" * 65)
    assert refusal(too_long) == (500, "Failed to update the discussion.")
    assert ada.discussions()[0]["title"] == "x" * 64
    incomplete = ada.call("discussions/edit", chatId="a")
    assert refusal(incomplete) == (400, "chatId and title are required.")


def test_discussions_are_deleted_by_their_owner(server: Server) -> None:
    """All discussions are deleted, or none if one is not the user's."""
    ada, bob = Visitor(server, "ada"), Visitor(server, "bob")
    for chat_id in ("a", "b"):
        ada.ask(chatId=chat_id)

    assert refusal(bob.call("discussions/delete", chatIds=["a"])) == (403, "rest_forbidden")
    assert refusal(ada.call("discussions/delete", chatIds=["a", "x"])) == (403, "rest_forbidden")
    assert refusal(ada.call("discussions/delete", chatIds=[])) == (400, "chatIds is required.")
    assert ada.call("discussions/delete", chatIds=["a"]).json() == {"success": True}
    assert [row["chatId"] for row in ada.discussions()] == ["b"]


def test_rows_of_early_versions(old: Server) -> None:
    """Early versions store no title, no greeting and no display metadata."""
    ada = Visitor(old, "ada")
    ada.ask(chatId="a")

    (row,) = ada.discussions()
    assert not {"title", "metadata_display"} & set(row)
    assert len(json.loads(row["messages"])) == 2
