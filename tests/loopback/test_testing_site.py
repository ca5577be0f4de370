"""The rules of the embedded site that no recording shows: time, bots, files, users, pages."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from html import unescape
from typing import Any, Dict, Iterator, List, Mapping

import pytest
import requests

from chatgpt4online.testing import Server

HALF_DAY = 43200
SOON = 5.0
PASSWORD = "abcd efgh ijkl"
PNG = b"\x89PNG\r\n\x1a\n\x00\r\n--\xff"


@pytest.fixture
def server() -> Iterator[Server]:
    """Start a site with two users and the public API."""
    with Server(token="token") as server:
        server.user("ada", PASSWORD, email="ada@example.com")
        server.user("bob", PASSWORD)
        yield server


@pytest.fixture
def old() -> Iterator[Server]:
    """Start a site with an early version."""
    with Server("2.4.7", token="token") as server:
        server.user("ada", PASSWORD)
        yield server


class Visitor:
    """Somebody with cookies, and perhaps a login, who visits a site."""

    def __init__(self, server: Server, user: str = "", password: str = PASSWORD) -> None:
        self.root = f"{server.url}/wp-json"
        self.cookies = requests.cookies.RequestsCookieJar()
        self.headers: Dict[str, str] = {}
        self.auth = (user, password) if user else None
        self.nonce = self.start()["restNonce"]

    def send(self, method: str, route: str, **options: Any) -> requests.Response:
        """Send a request with the visitor's cookies and login."""
        with requests.Session() as session:
            session.cookies, session.auth = self.cookies, self.auth
            session.headers.update(self.headers)
            return session.request(method, f"{self.root}/{route}", timeout=SOON, **options)

    def start(self, **headers: str) -> Dict[str, Any]:
        """Start a session."""
        started = self.post("mwai/v1/start_session", headers=headers)
        fields: Dict[str, Any] = started.json()
        return fields

    def post(self, route: str, **options: Any) -> requests.Response:
        """Post to a route."""
        return self.send("POST", route, **options)

    def call(self, route: str, **fields: Any) -> requests.Response:
        """Post JSON to one of the widget's routes, with the nonce."""
        headers = {"X-WP-Nonce": self.nonce}
        return self.post(f"mwai-ui/v1/{route}", json=fields, headers=headers)

    def ask(self, message: Any = "Hi", **fields: Any) -> requests.Response:
        """Ask the default bot, or another."""
        return self.call("chats/submit", **{"botId": "default", "newMessage": message, **fields})

    def reply(self, message: str = "Hi", **fields: Any) -> str:
        """Return the reply to a question."""
        return str(self.ask(message, **fields).json()["reply"])

    def refusal(self, message: Any = "Hi", **fields: Any) -> Any:
        """Return the status and the sentence, or WordPress's code, of a refused question."""
        return said(self.ask(message, **fields))

    def upload(self, name: str = "dot.png", data: bytes = PNG, **parts: str) -> requests.Response:
        """Upload a file."""
        headers = {"X-WP-Nonce": self.nonce}
        files = {"file": (name, data)}
        form = parts or {"purpose": "vision"}
        return self.post("mwai-ui/v1/files/upload", files=files, data=form, headers=headers)

    def uploaded(self, name: str = "dot.png", data: bytes = PNG) -> str:
        """Upload a file and return its id."""
        return str(self.upload(name, data).json()["data"]["id"])

    def files(self, **fields: Any) -> List[Mapping[str, Any]]:
        """Return the listed files."""
        rows: List[Mapping[str, Any]] = self.call("files/list", **fields).json()["data"]["files"]
        return rows

    def discussions(self, **fields: Any) -> List[Mapping[str, Any]]:
        """Return the listed discussions."""
        answer = self.call("discussions/list", **{"botId": "default", **fields}).json()
        rows: List[Mapping[str, Any]] = answer["chats"]
        return rows


class Program:
    """A program that uses the public API of a site."""

    def __init__(self, server: Server, token: str = "token") -> None:
        self.server = server
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, route: str) -> requests.Response:
        """Get a route."""
        url = f"{self.server.url}/wp-json/mwai/v1/{route}"
        return requests.get(url, headers=self.headers, timeout=SOON)

    def post(self, route: str, **options: Any) -> requests.Response:
        """Post to a route."""
        url = f"{self.server.url}/wp-json/mwai/v1/{route}"
        return requests.post(url, headers=self.headers, timeout=SOON, **options)

    def call(self, route: str, **fields: Any) -> Any:
        """Return the data that a route gives for JSON."""
        return self.post(route, json=fields).json()["data"]

    def refusal(self, route: str, **fields: Any) -> Any:
        """Return the status and the sentence of a refused call."""
        return said(self.post(route, json=fields))


def said(answer: requests.Response) -> Any:
    """Return the status and the sentence, or WordPress's code, of a refusal."""
    fields = answer.json()
    return answer.status_code, fields.get("code") or fields["message"]


REJECTED = "Sorry, your query has been rejected."


# Nonces and the clock.


def test_a_nonce_lives_to_the_end_of_the_next_half_day(server: Server) -> None:
    """It is good for its own half day and the next; the clock starts in the middle of one."""
    visitor = Visitor(server)

    server.advance(HALF_DAY - 60)  # in the next half day
    assert visitor.ask().status_code == 200
    server.advance(HALF_DAY / 2 + 120)  # in the one after
    assert visitor.refusal() == (403, "rest_cookie_invalid_nonce")
    server.advance(-HALF_DAY)
    assert visitor.ask().status_code == 200


def test_the_clock_starts_in_the_middle_of_a_half_day(server: Server) -> None:
    """Six hours to each side."""
    assert server.now % HALF_DAY == pytest.approx(HALF_DAY / 2, abs=60)


def test_a_nonce_is_the_same_for_all_guests_of_a_half_day(server: Server) -> None:
    """It has ten hexadecimal digits; users have one each."""
    nonces = [Visitor(server).nonce, Visitor(server).nonce, server.nonce]
    users = [Visitor(server, "ada").nonce, Visitor(server, "bob").nonce]

    assert len(set(nonces)) == 1
    assert len({*nonces, *users}) == 3
    assert re.fullmatch("[0-9a-f]{10}", nonces[0])


def test_expired_nonces_fail_and_new_ones_do_not(server: Server) -> None:
    """``expire_nonce`` lets those given out so far fail."""
    visitor = Visitor(server)
    server.expire_nonce()

    assert visitor.refusal() == (403, "rest_cookie_invalid_nonce")
    visitor.nonce = visitor.start()["restNonce"]
    assert visitor.ask().status_code == 200


def test_a_bad_nonce_is_refused_wherever_it_comes(server: Server) -> None:
    """Public routes check it, too; the one in the query wins."""
    visitor = Visitor(server)
    route = "mwai/v1/start_session"
    bad, good = {"X-WP-Nonce": "bad"}, {"X-WP-Nonce": server.nonce}

    assert said(visitor.post(route, headers=bad)) == (403, "rest_cookie_invalid_nonce")
    assert visitor.post(f"{route}?_wpnonce={server.nonce}", headers=bad).status_code == 200
    assert visitor.post(f"{route}?_wpnonce=bad", headers=good).status_code == 403
    assert said(visitor.post("nowhere", headers=bad)) == (403, "rest_cookie_invalid_nonce")


def test_a_good_nonce_brings_a_fresh_one(server: Server) -> None:
    """The header has it always, the answer when the nonce is in the second half of its life."""
    visitor = Visitor(server)
    young = visitor.ask()
    server.advance(HALF_DAY)
    old = visitor.ask()
    streamed = visitor.ask(stream=True)
    started = visitor.start(**{"X-WP-Nonce": visitor.nonce})
    refused = visitor.ask("")

    assert young.headers["X-WP-Nonce"] == visitor.nonce
    assert "new_token" not in young.json()
    fresh = old.headers["X-WP-Nonce"]
    assert fresh == server.nonce != visitor.nonce
    assert old.json()["new_token"] == refused.json()["new_token"] == fresh
    assert started["new_token"] == started["restNonce"] == fresh
    assert f'\\"new_token\\":\\"{fresh}\\"' in streamed.text


# Reading requests.


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"botId": NaN}', "Syntax error"),
        ("{bad", "Syntax error"),
        ('{"newMessage": "\\ud83d"}', "Single unpaired high surrogate in Unicode escape"),
    ],
)
def test_json_that_php_cannot_read(server: Server, body: str, reason: str) -> None:
    """It is refused before anybody asks whether the caller may."""
    headers = {"Content-Type": "application/json"}
    answer = Visitor(server).post("mwai-ui/v1/chats/submit", data=body, headers=headers)

    assert said(answer) == (400, "rest_invalid_json")
    assert answer.json()["data"]["json_error_message"] == reason


@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_a_question_must_be_a_json_object(server: Server, kind: str) -> None:
    """Any other type of content, or a list, holds no fields: the plugin sees an empty question."""
    headers = {"Content-Type": kind, "X-WP-Nonce": server.nonce}
    body = '["botId"]' if kind == "application/json" else '{"botId": "default", "newMessage": "Hi"}'
    answer = Visitor(server).post("mwai-ui/v1/chats/submit", data=body, headers=headers)

    assert said(answer) == (403, REJECTED)


@pytest.mark.parametrize(
    "fields",
    [
        {"newMessage": ["Hi"]},
        {"chatId": {"a": 1}, "newMessage": "Hi"},
        {"messages": "Hi", "newMessage": "Hi"},
        {"messages": ["Hi"], "newMessage": "Hi"},
    ],
)
def test_wrong_types_kill_php(server: Server, fields: Dict[str, Any]) -> None:
    """WordPress answers for it: a critical error."""
    answer = Visitor(server).call("chats/submit", **{"botId": "default", **fields})

    assert said(answer) == (500, "internal_server_error")


@pytest.mark.parametrize(
    ("route", "fields"), [("files/delete", {"files": 1}), ("discussions/delete", {"chatIds": 1})]
)
def test_wrong_types_kill_php_on_any_route(
    server: Server, route: str, fields: Dict[str, Any]
) -> None:
    """A number where a list is wanted."""
    assert said(Visitor(server, "ada").call(route, **fields)) == (500, "internal_server_error")


def test_wrong_methods_and_routes_are_no_routes(server: Server) -> None:
    """There is no 405."""
    root = f"{server.url}/wp-json"

    for route in ("mwai/v1/start_session", "mwai/v2/chats/submit"):
        answer = requests.get(f"{root}/{route}", timeout=SOON)
        assert said(answer) == (404, "rest_no_route")


# Questions.


def test_what_counts_as_a_message(server: Server, old: Server) -> None:
    """Blank is none; "0" is none for early versions; any file is enough."""
    visitor, earlier = Visitor(server), Visitor(old)

    assert visitor.refusal(" \n") == visitor.refusal(None) == (403, REJECTED)
    assert visitor.reply("0") == "Echo(1 msgs): 0"
    assert earlier.refusal("0") == (403, REJECTED)
    assert visitor.ask("", newFileId=visitor.uploaded()).status_code == 200


def test_stream_is_true_as_php_has_it(server: Server) -> None:
    """The text "false" streams, "0" does not."""
    visitor = Visitor(server)

    assert visitor.ask(stream="false").text.startswith("data:")
    assert visitor.ask(stream="0").json()["success"]


def test_the_echo_counts_messages(server: Server) -> None:
    """System messages are not counted."""
    turns = [{"role": role, "content": "x"} for role in ("system", "user", "assistant")]

    assert Visitor(server).reply("Hi", messages=turns) == "Echo(3 msgs): Hi"


def test_the_echo_is_to_the_letter(server: Server) -> None:
    """White space stays as it is, but for what PHP trims off the ends."""
    assert Visitor(server).reply(" \v a  b\u2028c\u2003\n") == "Echo(1 msgs): a  b\u2028c\u2003"


def test_length_limits_count_characters(server: Server) -> None:
    """A message as long as the limit goes through, one longer does not; not bytes."""
    server.bot("short", max_length=3)
    visitor = Visitor(server)

    assert visitor.reply("äöü", botId="short") == "Echo(1 msgs): äöü"
    assert visitor.refusal("äöüß", botId="short") == (500, REJECTED)
    streamed = visitor.ask("äöüß", botId="short", stream=True)
    assert (streamed.status_code, streamed.headers["Content-Type"]) == (
        200,
        "application/json; charset=UTF-8",
    )
    assert streamed.text.startswith('data: {"type":"error"')


def test_bots_may_be_changed(server: Server) -> None:
    """A bot of the same id replaces the earlier one."""
    server.bot("default", max_length=1)

    assert Visitor(server).refusal("Hi") == (500, REJECTED)


def test_custom_bots_live_for_a_day_after_their_page(server: Server, old: Server) -> None:
    """Before, and after, ``customId`` is unknown: later versions ask the default bot then."""
    for site in (server, old):
        site.bot("helper", custom=True, max_length=3)
        site.page("/help/", bots=["helper"])
    visitor, earlier = Visitor(server), Visitor(old)

    assert visitor.ask("Hello", customId="helper", botId=None).status_code == 200
    assert earlier.refusal("Hi", customId="helper", botId=None) == (500, REJECTED)
    for site in (server, old):
        requests.get(site.url + "/help/", timeout=SOON)
    assert visitor.refusal("Hello", customId="helper", botId=None) == (500, REJECTED)
    assert earlier.ask("Hi", customId="helper", botId=None).status_code == 200
    server.advance(2 * HALF_DAY)
    visitor.nonce = server.nonce
    assert visitor.ask("Hello", customId="helper", botId=None).status_code == 200


def test_image_bots_paint(server: Server) -> None:
    """The reply shows a picture, which is there."""
    server.bot("painter", mode="images")
    answer = Visitor(server).ask("A cat", botId="painter").json()

    (url,) = answer["images"]
    assert answer["reply"] == f"![Image]({url})\n"
    assert "responseId" not in answer
    assert requests.get(url, timeout=SOON).headers["Content-Type"] == "image/png"


def test_forbidden_words(server: Server) -> None:
    """A ban is told in the stream; the moderator's objection before it, under another type."""
    server.bans("heck")
    server.flags("doom")
    visitor = Visitor(server)
    banned, flagged = visitor.ask("What the HECK", stream=True), visitor.ask("Doom!", stream=True)

    assert banned.headers["Content-Type"].startswith("text/event-stream")
    assert "Your query has been rejected." in banned.text
    assert flagged.headers["Content-Type"].startswith("application/json")
    assert "rejected by moderation" in flagged.text
    assert visitor.refusal("heck") == (500, "Your query has been rejected.")


def test_limits(server: Server) -> None:
    """So many queries are answered, and the others refused in the owner's words: no 429."""
    server.limits(2, "Come back tomorrow.")
    visitor = Visitor(server)
    server.says("one")

    assert [visitor.reply(), visitor.reply()] == ["one", "Echo(1 msgs): Hi"]
    assert visitor.refusal() == (500, "Come back tomorrow.")


def test_a_shortcut_asks_what_it_hides(server: Server) -> None:
    """Its message becomes an id; the id asks the message; another id is refused."""
    shortcut = {"type": "message", "data": {"label": "More", "message": "Tell me more"}}
    callback = {"type": "callback", "data": {"label": "Call", "onClick": "f"}}
    server.says("Hi", shortcuts=[shortcut, callback])
    visitor = Visitor(server)

    hidden, untouched = visitor.ask().json()["shortcuts"]

    assert untouched == callback
    assert set(hidden["data"]) == {"label", "shortcutId"}
    name = hidden["data"]["shortcutId"]
    assert visitor.reply("", shortcutId=name) == "Echo(1 msgs): Tell me more"
    assert visitor.refusal("", shortcutId="x") == (400, "Invalid or expired shortcut.")


# Sessions.


def test_a_visitor_keeps_a_session(server: Server, old: Server) -> None:
    """Later versions set it as a cookie once; early ones have none."""
    visitor = Visitor(server)
    name = visitor.cookies["mwai_session_id"]

    assert visitor.start()["sessionId"] == name
    assert "PHPSESSID" in visitor.cookies
    assert "Set-Cookie" not in visitor.ask().headers
    assert Visitor(old).start()["sessionId"] == "N/A"
    assert not Visitor(old).cookies


def test_a_question_without_a_cookie_opens_a_session(server: Server) -> None:
    """The answer sets the cookie."""
    visitor = Visitor(server)
    visitor.cookies.clear()
    visitor.ask()

    assert set(visitor.cookies.keys()) == {"mwai_session_id"}


# Files.


def test_an_upload_is_served_for_an_hour(server: Server) -> None:
    """Its address is public, its bytes are those sent; then it is gone."""
    uploaded = Visitor(server).upload().json()["data"]

    answer = requests.get(uploaded["url"], timeout=SOON)
    assert (answer.content, answer.headers["Content-Type"]) == (PNG, "image/png")
    assert uploaded["id"] in uploaded["url"]
    server.advance(3601)
    assert requests.get(uploaded["url"], timeout=SOON).status_code == 404


def test_uploads_that_are_refused(server: Server) -> None:
    """No file, no purpose, a type that the site does not take."""
    visitor = Visitor(server)
    headers = {"X-WP-Nonce": visitor.nonce}
    route = "mwai-ui/v1/files/upload"

    form = visitor.post(route, data={"purpose": "x"}, headers=headers)
    assert said(form) == (400, "No file provided.")
    unbounded = {**headers, "Content-Type": "multipart/form-data"}
    assert said(visitor.post(route, data="x", headers=unbounded)) == (400, "No file provided.")
    assert said(visitor.upload(type="N/A")) == (400, "Purpose is required.")
    assert said(visitor.upload("evil.php")) == (400, "Invalid file type.")


def test_the_model_sees_pictures_alone(server: Server, old: Server) -> None:
    """A picture reaches it, a document does not; early versions know one file."""
    for site, field in ((server, "newFileIds"), (old, "newFileId")):
        visitor = Visitor(site)
        picture, text = visitor.uploaded(), visitor.uploaded("note.txt", b"Hello")
        given = [text, picture, "unknown"] if field == "newFileIds" else picture

        assert b64encode(PNG).decode() in visitor.reply("See", **{field: given})
        assert visitor.reply("See", newFileId=text) == "Echo(1 msgs): See"


def test_a_picture_reaches_the_model_unharmed(server: Server) -> None:
    """What the model was shown is what was uploaded, to the byte."""
    visitor = Visitor(server)
    reply = visitor.reply("See", newFileIds=[visitor.uploaded()])

    (encoded,) = re.findall('base64,([^"]*)', reply)
    assert b64decode(encoded) == PNG


def test_a_list_of_files_wins_over_one(server: Server) -> None:
    """``newFileId`` counts where the list is empty."""
    visitor = Visitor(server)
    picture, text = visitor.uploaded(), visitor.uploaded("note.txt", b"Hello")

    assert visitor.reply("See", newFileIds=[text], newFileId=picture) == "Echo(1 msgs): See"
    assert "image_url" in visitor.reply("See", newFileIds=[], newFileId=picture)


def test_guests_own_files_by_their_cookie(server: Server) -> None:
    """Another visitor cannot delete them; the owner can, once."""
    owner, other = Visitor(server), Visitor(server)
    names = [owner.uploaded()] * 2

    assert said(other.call("files/delete", files=names)) == (403, "No authorized files to delete")
    assert owner.call("files/delete", files=names).json() == {"success": True, "deleted": 1}
    assert said(owner.call("files/delete", files=names)) == (400, "No valid files to delete")
    assert said(owner.call("files/delete")) == (400, "No valid files to delete")


def test_users_list_and_delete_their_own_files(server: Server) -> None:
    """By purpose, page by page; nobody else's."""
    ada, bob = Visitor(server, "ada"), Visitor(server, "bob")
    mine = [ada.uploaded() for _ in range(3)]
    bob.uploaded()

    assert [row["refId"] for row in ada.files()] == mine
    assert [row["refId"] for row in ada.files(limit=2, page=2)] == mine[2:]
    assert [row["refId"] for row in ada.files(limit="x", userId=None)] == mine
    assert ada.files(purpose=["generated"]) == []
    assert len(ada.files(purpose="vision")) == 3
    foreign = said(ada.call("files/list", userId=1))
    assert foreign == (403, "Unauthorized access to other user files")
    assert bob.call("files/delete", files=mine).status_code == 403
    assert ada.call("files/delete", files=mine).json()["deleted"] == 3


def test_listed_files_tell_all(server: Server) -> None:
    """Rows hold text: the database's times in UTC, an hour apart."""
    ada = Visitor(server, "ada")
    ada.upload()

    (row,) = ada.files()

    assert (row["type"], row["status"], row["purpose"]) == ("image", "uploaded", "analysis")
    assert row["userId"] == "2"
    assert row["created"] < row["expires"]
    assert row["url"].endswith(row["path"][len("/var/www/html") :])


def test_early_versions_delete_files_by_number(old: Server) -> None:
    """Whoever asks; an id means nothing to them, and they always say yes."""
    visitor = Visitor(old)
    name = visitor.uploaded()
    (row,) = visitor.files(purpose="vision")

    assert visitor.call("files/delete", files=[name]).json() == {"success": True}
    assert len(visitor.files()) == 1
    assert Visitor(old).call("files/delete", files=[row["id"]]).json() == {"success": True}
    assert visitor.files() == []


# Users.


@pytest.mark.parametrize("password", [PASSWORD, PASSWORD.replace(" ", "")])
def test_an_application_password_logs_in(server: Server, password: str) -> None:
    """With or without blanks; the nonce is the user's, and no header renews it."""
    ada = Visitor(server, "ada", password)
    me = ada.send("GET", "wp/v2/users/me").json()

    assert (me["id"], me["name"]) == (2, "ada")
    answer = ada.ask()
    assert answer.status_code == 200
    assert "X-WP-Nonce" not in answer.headers


@pytest.mark.parametrize("authorization", ["Basic !", "Basic /w==", "Basic YWRhOng=", "Bearer x"])
def test_a_wrong_password_makes_a_guest(server: Server, authorization: str) -> None:
    """It is not refused: the nonce is a guest's, and only users/me says who one is."""
    visitor = Visitor(server)
    visitor.headers["Authorization"] = authorization

    assert visitor.start()["restNonce"] == server.nonce
    me = visitor.send("GET", "wp/v2/users/me")
    assert said(me) == (401, "rest_not_logged_in")


def test_a_user_without_a_password_cannot_log_in(server: Server) -> None:
    """The administrator has none until given one, and stays the first user then."""
    assert Visitor(server, "admin", "").nonce == server.nonce

    server.user("admin", "x", email="root@example.com")
    admin = Visitor(server, "admin", "x")
    me = admin.send("GET", "wp/v2/users/me").json()
    assert me["id"] == 1
    assert Program(server).get("simpleAuthCheck").json()["data"]["value"] == "root@example.com"


def test_a_user_needs_a_nonce_of_his_own(server: Server) -> None:
    """With a guest's, an expired or no nonce, a user is forbidden; the nonce check is not it."""
    ada = Visitor(server, "ada")
    own, ada.nonce = ada.nonce, server.nonce
    assert ada.refusal() == (403, "rest_forbidden")
    none = ada.post("mwai-ui/v1/chats/submit", json={})
    assert said(none) == (403, "rest_forbidden")

    ada.nonce = own
    assert ada.ask().status_code == 200
    server.expire_nonce()
    assert ada.refusal() == (403, "rest_forbidden")


# Discussions.


def test_discussions_are_written_down(server: Server) -> None:
    """A row holds the greeting and each exchange, as JSON in text; the latest row comes first."""
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


def test_failures_are_not_written_down(server: Server) -> None:
    """Only a whole answer is."""
    ada = Visitor(server, "ada")
    server.fails("no")
    server.sends(b"{}")
    for _ in range(2):
        ada.ask(chatId="a")

    assert ada.discussions() == []


def test_discussions_are_listed_page_by_page(server: Server) -> None:
    """For one bot; a limit of 0 means 5; the total counts them all."""
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
    assert said(nobody) == (200, "Bot ID is required.")


def test_a_discussion_belongs_to_one_user(server: Server) -> None:
    """A guest's becomes the first user's; another's is left alone, though the bot answers."""
    guest, ada, bob = Visitor(server), Visitor(server, "ada"), Visitor(server, "bob")

    for visitor in (guest, ada, bob):
        assert visitor.reply("Hi", chatId="a") == "Echo(1 msgs): Hi"

    (row,) = ada.discussions()
    assert len(json.loads(row["messages"])) == 5
    assert bob.discussions() == []
    assert said(guest.call("discussions/list", botId="default")) == (
        200,
        "You need to be connected.",
    )


def test_discussions_are_renamed(server: Server) -> None:
    """Titles have 64 characters at most; a discussion that is not there is no error."""
    ada = Visitor(server, "ada")
    ada.ask(chatId="a")

    assert ada.call("discussions/edit", chatId="a", title="x" * 100).json() == {"success": True}
    assert ada.call("discussions/edit", chatId="b", title="y").json() == {"success": True}
    assert ada.discussions()[0]["title"] == "x" * 64
    incomplete = ada.call("discussions/edit", chatId="a")
    assert said(incomplete) == (400, "chatId and title are required.")


def test_discussions_are_deleted_by_their_owner(server: Server) -> None:
    """All that are named, or none if one is not the user's."""
    ada, bob = Visitor(server, "ada"), Visitor(server, "bob")
    for chat_id in ("a", "b"):
        ada.ask(chatId=chat_id)

    assert said(bob.call("discussions/delete", chatIds=["a"])) == (403, "rest_forbidden")
    assert said(ada.call("discussions/delete", chatIds=["a", "x"])) == (403, "rest_forbidden")
    assert said(ada.call("discussions/delete", chatIds=[])) == (400, "chatIds is required.")
    assert ada.call("discussions/delete", chatIds=["a"]).json() == {"success": True}
    assert [row["chatId"] for row in ada.discussions()] == ["b"]


def test_early_versions_keep_plainer_rows(old: Server) -> None:
    """No title, no greeting, nothing for people to read."""
    ada = Visitor(old, "ada")
    ada.ask(chatId="a")

    (row,) = ada.discussions()
    assert not {"title", "metadata_display"} & set(row)
    assert len(json.loads(row["messages"])) == 2


# The public API.


def test_the_public_api_is_off_without_a_token() -> None:
    """Its routes are not there, and have no scripts."""
    with Server() as server:
        assert Program(server).refusal("simpleTextQuery") == (404, "rest_no_route")
        with pytest.raises(ValueError, match="unknown route"):
            server.says("Hi", route="simpleTextQuery")


def test_users_may_use_the_public_api(server: Server) -> None:
    """With a password instead of the token, and as themselves."""
    url = server.url + "/wp-json/mwai/v1/simpleAuthCheck"
    answer = requests.get(url, auth=("ada", PASSWORD), timeout=SOON)

    assert answer.json()["data"] == {"type": "email", "value": "ada@example.com"}


@pytest.mark.parametrize(
    ("route", "fields", "message"),
    [
        ("simpleTextQuery", {}, "The message is required."),
        ("simpleJsonQuery", {}, "The message is required."),
        ("simpleVisionQuery", {"message": "Hi"}, "The url is required."),
        ("simpleImageQuery", {}, "The message is required."),
        ("simpleImageEditQuery", {"message": "Hi"}, "The mediaId is required."),
        ("simpleTranscribeAudio", {}, "The url or mediaId is required."),
        ("moderationCheck", {}, "The text is required."),
        ("simpleChatbotQuery", {"message": "Hi"}, "The botId and message are required."),
        ("simpleFileUpload", {}, "No file provided."),
        ("simpleFileUpload", {"base64": "!", "filename": "a.png"}, "Invalid base64 data."),
        ("simpleFileUpload", {"base64": "", "filename": "a.png"}, "No file provided."),
        ("simpleFileUpload", {"base64": "AA==", "filename": "a.php"}, "Invalid file type."),
    ],
)
def test_what_the_public_api_needs(
    server: Server, route: str, fields: Dict[str, Any], message: str
) -> None:
    """Whatever is wrong is a 500 that says so."""
    assert Program(server).refusal(route, **fields) == (500, message)


def test_the_public_api_says_what_the_model_says(server: Server) -> None:
    """Scripts hold for its routes; untold, it echoes; ``prompt`` is the old name of a message."""
    program = Program(server)
    server.says("Hel", "lo", route="simpleTextQuery")
    server.says("http://x/y.png", route="simpleImageQuery")
    server.fails("No!", route="simpleTextQuery")

    assert program.call("simpleTextQuery", message="Hi") == "Hello"
    assert program.call("simpleImageQuery", message="Hi") == "http://x/y.png"
    assert program.refusal("simpleTextQuery", message="Hi") == (500, "No!")
    assert program.call("simpleTextQuery", prompt="Hi") == "Echo(1 msgs): Hi"
    assert program.call("simpleTranscribeAudio", url="http://x") == "Echo(1 msgs): http://x"
    assert program.call("simpleVisionQuery", message="Hi", url="http://x").count("http://x") == 1


def test_the_public_api_takes_forms(server: Server) -> None:
    """Fields may come as a form."""
    answer = Program(server).post("simpleTextQuery", data={"message": "Hi & bye"})

    assert answer.json()["data"] == "Echo(1 msgs): Hi & bye"


def test_the_public_api_obeys_the_owner(server: Server) -> None:
    """Banned words and limits hold for it; moderationCheck tells what the moderator says."""
    program = Program(server)
    server.bans("heck")
    server.flags("doom")
    server.limits(1)

    assert program.refusal("simpleTextQuery", message="heck")[1] == "Your query has been rejected."
    assert program.call("simpleTextQuery", message="Hi") == "Echo(1 msgs): Hi"
    assert program.refusal("simpleTextQuery", message="Hi")[1] == "You have reached the limit."
    checks = [program.call("moderationCheck", text=text) for text in ("Doom!", "Hi")]
    assert checks == [True, False]


def test_the_public_api_paints(server: Server) -> None:
    """Pictures are made, or made from another, and are there."""
    program = Program(server)
    urls = [
        program.call("simpleImageQuery", message="A cat"),
        program.call("simpleImageEditQuery", message="A dog", mediaId=1),
    ]

    assert [requests.get(url, timeout=SOON).status_code for url in urls] == [200, 200]


def test_the_public_api_takes_files(server: Server) -> None:
    """As base64 in JSON, or as an upload; kept for ``ttl`` seconds, as the administrator's."""
    program = Program(server)
    encoded = b64encode(PNG).decode()
    short = program.call("simpleFileUpload", base64=encoded, filename="a.png", ttl=10)
    form = program.post("simpleFileUpload", files={"file": ("b.png", PNG)})
    long = form.json()["data"]

    assert requests.get(short["url"], timeout=SOON).content == PNG
    server.advance(11)
    assert requests.get(short["url"], timeout=SOON).status_code == 404
    assert requests.get(long["url"], timeout=SOON).content == PNG


def test_the_public_api_remembers_a_chat(server: Server, old: Server) -> None:
    """The chat's id brings the earlier messages back; early versions do not tell the id."""
    program = Program(server)
    first = program.post("simpleChatbotQuery", json={"botId": "default", "message": "Hi"}).json()
    chat_id = first["extra"]["chatId"]

    more = {"botId": "default", "message": "More", "chatId": chat_id}
    assert program.call("simpleChatbotQuery", **more) == "Echo(4 msgs): More"
    assert "extra" not in Program(old).post("simpleChatbotQuery", json=more).json()
    unknown = Program(old).refusal("simpleChatbotQuery", botId="nobody", message="Hi")
    assert unknown[0] == 500


# Pages.


def systems(page: str) -> List[Dict[str, Any]]:
    """Return the data-system of each chatbot in a page."""
    found = re.findall("data-system='([^']*)'", page)
    return [json.loads(unescape(text)) for text in found]


def test_pages_show_bots(server: Server) -> None:
    """One element a bot, in order; an id of digits alone becomes a number."""
    server.bot("123", start_sentence='It\'s <me> & "you"')
    server.bot("9", custom=True)
    server.page("/chat/", bots=["123", "default", "9"])
    page = requests.get(server.url + "/chat/?x=y", timeout=SOON)

    assert [system["botId"] for system in systems(page.text)] == [123, "default", None]
    assert [system["customId"] for system in systems(page.text)] == [None, None, 9]
    params = json.loads(unescape(re.findall("data-params='([^']*)'", page.text)[0]))
    assert params["startSentence"] == 'It\'s <me> & "you"'
    assert f'<{server.url}/wp-json/>; rel="https://api.w.org/"' in page.headers["Link"]


def test_a_page_shows_bots_that_are_there(server: Server) -> None:
    """Another id is an error."""
    with pytest.raises(ValueError, match="no bot 'nobody'"):
        server.page("/chat/", bots=["default", "nobody"])


def test_a_page_may_be_given_whole(server: Server) -> None:
    """``html`` is the page; the site's address has one, too, until it is replaced."""
    assert requests.get(server.url + "/", timeout=SOON).status_code == 200
    server.page("/", html="<p>é</p>")

    page = requests.get(server.url + "/", timeout=SOON)
    assert (page.text, page.headers["Content-Type"]) == ("<p>é</p>", "text/html; charset=UTF-8")
    assert requests.post(server.url + "/", timeout=SOON).status_code == 404


def test_a_page_may_be_scripted(server: Server) -> None:
    """By its path, as routes are by their names."""
    server.sends(b"<p>", content_type="text/html", route="/chat/")
    server.stalls(seconds=0.01, route="/")

    assert requests.get(server.url + "/chat/", timeout=SOON).text == "<p>"
    assert requests.get(server.url + "/", timeout=SOON).status_code == 200


def test_version_2_4_3_has_its_nonce_in_the_page() -> None:
    """There is no start_session, and the nonce of the page is good."""
    with Server("2.4.3") as server:
        server.page("/chat/", bots=["default"])
        root = server.url + "/wp-json"
        start = requests.post(f"{root}/mwai/v1/start_session", timeout=SOON)
        (system,) = systems(requests.get(server.url + "/chat/", timeout=SOON).text)
        headers = {"X-WP-Nonce": system["restNonce"]}
        question = {"botId": "default", "newMessage": "Hi"}
        answer = requests.post(
            f"{root}/mwai-ui/v1/chats/submit", json=question, headers=headers, timeout=SOON
        )

    assert said(start) == (404, "rest_no_route")
    assert answer.json()["reply"] == "Echo(1 msgs): Hi"


# Where a site lives.


def started(url: str) -> bool:
    """Tell whether a start_session at this address works."""
    return requests.post(url, timeout=SOON).headers["Content-Type"].startswith("application/json")


def test_a_site_in_a_directory() -> None:
    """Everything is below it, the addresses that the site gives away as well."""
    with Server(path="/blog/") as server:
        visitor = Visitor(server)
        uploaded = visitor.upload().json()["data"]
        home = requests.get(server.url + "/", timeout=SOON)

        assert server.url.endswith("/blog")
        assert visitor.reply() == "Echo(1 msgs): Hi"
        assert requests.get(uploaded["url"], timeout=SOON).content == PNG
        assert f"{server.url}/wp-json/" in home.headers["Link"]
        assert not started(server.url[: -len("/blog")] + "/wp-json/mwai/v1/start_session")


def test_a_site_with_another_prefix() -> None:
    """``rest_prefix`` stands where wp-json would."""
    with Server(rest_prefix="api") as server:
        assert started(server.url + "/api/mwai/v1/start_session")
        assert not started(server.url + "/wp-json/mwai/v1/start_session")
        assert f"<{server.url}/api/>" in requests.get(server.url, timeout=SOON).headers["Link"]


@pytest.mark.parametrize("version", ["2.4.7", "3.6.2"])
def test_a_site_without_permalinks(version: str) -> None:
    """Routes are in the query, with or without index.php, and pages say so."""
    with Server(version, permalinks=False) as server:
        server.page("/chat/", bots=["default"])
        (system,) = systems(requests.get(server.url + "/chat/", timeout=SOON).text)

        assert system["restUrl"] == server.url + "/index.php?rest_route="
        assert started(system["restUrl"] + "/mwai/v1/start_session")
        assert started(server.url + "/?rest_route=/mwai/v1/start_session")
        assert not started(server.url + "/wp-json/mwai/v1/start_session")


@pytest.mark.parametrize("address", ["/wp-json", "/wp-json/", "/?rest_route=/"])
def test_the_index_tells_what_there_is(server: Server, address: str) -> None:
    """Namespaces and routes, or the fields that were asked for."""
    index = requests.get(server.url + address, timeout=SOON).json()
    joint = "&" if "?" in address else "?"
    part = requests.get(f"{server.url}{address}{joint}_fields=url,nothing", timeout=SOON).json()

    assert {"mwai/v1", "mwai-ui/v1"} <= set(index["namespaces"])
    assert "/mwai-ui/v1/chats/submit" in index["routes"]
    assert index["url"] == server.url
    assert set(part) == {"url", "_links"}
