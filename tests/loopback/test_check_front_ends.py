"""`Client.check` recognizes what stands in front of a site, and who is asked there."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, NamedTuple, Optional

import pytest

from chatgpt4online import Check, Client, Health
from chatgpt4online.testing import Server

PASSWORD = "abcd efgh"
WORDS = [f"word{number} " for number in range(30)]


def found(health: Health, name: str) -> Check:
    """Return the check with a name."""
    return next(check for check in health.checks if check.name == name)


def with_a_user(server: Server) -> None:
    """Add the user who logs in."""
    server.user("ada", PASSWORD)


def with_a_stale_nonce(server: Server) -> None:
    """Let the cache keep a nonce that has expired since."""
    with Client(server.url) as visitor:
        assert visitor.nonce
    server.expire_nonce()


def with_a_slow_answer(server: Server) -> None:
    """Let the answer take long enough to see how it arrives."""
    server.says(*WORDS, pace=0.02)


class Row(NamedTuple):
    """What stands in front of a site, who asks, and which check says what."""

    server: Dict[str, Any]
    name: str
    level: str
    words: str
    client: Dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple's default
    prepare: Optional[Callable[[Server], object]] = None


ROWS = {
    "nothing": Row({}, "web server", "ok", "no cache and no other output found"),
    "a gate": Row({"gate": ("staff", "x")}, "AI Engine", "failed", "web server itself asks"),
    "closed to guests": Row(
        {"closed_to_guests": True}, "nonce", "failed", "closes its REST API to visitors"
    ),
    "closed to guests, as a user": Row(
        {"closed_to_guests": True},
        "nonce",
        "ok",
        "fetched as a user",
        {"auth": ("ada", PASSWORD)},
        with_a_user,
    ),
    "a login that is dropped": Row(
        {"drops_authorization": True},
        "nonce",
        "failed",
        "web server drops the Authorization header",
        {"auth": ("ada", PASSWORD)},
        with_a_user,
    ),
    "a token that is dropped": Row(
        {"drops_authorization": True, "token": "secret"},
        "token",
        "failed",
        "web server drops the Authorization header",
        {"token": "secret"},
    ),
    "a wrong token": Row(
        {"token": "secret"}, "token", "failed", "token is incorrect", {"token": "public"}
    ),
    "a token without its API": Row(
        {}, "token", "failed", "public API is off", {"token": "secret"}
    ),
    "a token": Row({"token": "secret"}, "token", "ok", "accepted", {"token": "secret"}),
    "a cache": Row(
        {"caches_start_session": True}, "web server", "warning", "cache keeps the answer"
    ),
    "a cache with a stale nonce": Row(
        {"caches_start_session": True}, "nonce", "failed", "cache", {}, with_a_stale_nonce
    ),
    "answers held back": Row(
        {"holds_answers": True}, "streaming", "warning", "holds answers", {}, with_a_slow_answer
    ),
    "another plugin's output": Row(
        {"prints": "<br />\n<b>Warning</b>: foreach()\n"},
        "web server",
        "warning",
        "prints 'Warning : foreach()' before each answer",
    ),
    "another plugin's comment": Row(
        {"prints": "<!-- 0.2 s -->"}, "web server", "warning", "'<!-- 0.2 s -->'"
    ),
    "a byte order mark": Row({"prints": "\ufeff"}, "web server", "ok", "no other output"),
    "short keep-alive": Row({"keep_alive": 1}, "web server", "ok", "closed after 1 s"),
    "a small limit of the web server": Row(
        {"client_max_body_size": 100}, "answer", "failed", "larger than the web server accepts"
    ),
    "an older version": Row({"version": "2.4.3"}, "nonce", "failed", "use Client.from_page"),
}  # fmt: skip


# If the machine stalls between two deltas, an answer that is held back seems to be streamed.
@pytest.mark.flaky(reruns=2, only_rerun="AssertionError")
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_front_ends(row: Row) -> None:
    """One check says in one line what stands in front of a site; no later check fails for it."""
    with Server(**row.server) as server:
        (row.prepare or bool)(server)
        with Client(server.url, **row.client) as client:
            health = client.check(ask="Hi")
    check = found(health, row.name)
    assert check.level == row.level
    assert row.words in check.detail
    assert len(check.detail.splitlines()) == 1
    problems = [each.name for each in health.checks if each.level != "ok"]
    assert problems == ([] if row.level == "ok" else [row.name])


def test_an_older_version_by_its_page() -> None:
    """A version without start_session passes by a page, and its web server is not examined."""
    with Server("2.4.3") as server:
        server.page("/chat/", bots=["default"])
        with Client.from_page(server.url + "/chat/") as client:
            health = client.check(ask="Hi")
    assert health.level == "ok"
    assert "older than 2.4.4" in found(health, "web server").detail


#: A response of start_session with a header, and whether it comes from a cache.
CACHES = [
    ({"X-Cache": "HIT from proxy.example"}, True),
    ({"CF-Cache-Status": "HIT"}, True),
    ({"X-LiteSpeed-Cache": "hit,private"}, True),
    ({"Cache-Status": "Example; hit; ttl=30"}, True),
    ({"Age": "5"}, True),
    ({"Age": "0"}, False),
    ({"X-Cache": "MISS"}, False),
    ({"CF-Cache-Status": "DYNAMIC"}, False),
    ({"Cache-Control": "no-cache, must-revalidate"}, False),
    ({"X-Hit": "hit"}, False),
]


@pytest.mark.parametrize(("headers", "is_cached"), CACHES, ids=str)
def test_caches(
    headers: Dict[str, str], *, is_cached: bool, server: Server, client: Client
) -> None:
    """A cache is recognized by its headers, whatever its name."""
    body = {"success": True, "sessionId": "a", "restNonce": server.nonce}
    server.answers(200, body=body, headers=headers, route="start_session", times=None)
    health = client.check()
    assert health.level == ("warning" if is_cached else "ok")


def test_what_cannot_be_printed(server: Server, client: Client) -> None:
    """A check is one line without control characters, whatever a site sends."""
    fields = {"success": True, "sessionId": "a", "restNonce": server.nonce}
    body = "\x1b[31m\u202e\n" + json.dumps(fields)
    server.answers(200, body=body, route="start_session", times=None)
    detail = found(client.check(), "web server").detail
    assert detail.startswith("something prints '[31m' before")
    assert detail.isprintable()


def test_a_huge_response(server: Server, client: Client) -> None:
    """Of a huge response no more than its beginning is read."""
    body = {"success": True, "sessionId": "a", "restNonce": server.nonce}
    server.answers(200, body=body, route="start_session")
    server.answers(200, body=b"x" * 1_000_000, route="start_session")
    assert found(client.check(), "web server").level == "ok"


# ---------------------------------------------------------------------------------------- the bot


@pytest.fixture
def site() -> Any:
    """Start a site with a public API and two bots, one of them on a page."""
    with Server(token="secret") as server:
        server.bot("support")
        server.bot("shop")
        server.page("/chat/", bots=["shop"])
        yield server


def bot_check(client: Client) -> Optional[Check]:
    """Return the check of the bot, if it was checked."""
    checks = {check.name: check for check in client.check().checks}
    return checks.get("bot")


def test_the_default_bot_is_not_looked_up(site: Server) -> None:
    """The default bot is not looked up: each site has it."""
    with Client(site.url, token="secret") as client:
        assert bot_check(client) is None


@pytest.mark.parametrize(("bot", "level"), [("support", "ok"), ("suport", "failed")])
def test_a_bot_in_the_list_of_the_public_api(site: Server, bot: str, level: str) -> None:
    """The public API knows all bots: another id fails, since the default bot would answer."""
    with Client(site.url, bot=bot, token="secret") as client:
        check = bot_check(client)
    assert check is not None
    assert check.level == level
    assert f"'{bot}'" in check.detail
    assert ("answer with the default bot" in check.detail) is (level != "ok")


def test_a_login_opens_the_list_of_bots(site: Server) -> None:
    """A login opens the public API as a token does, so that a bot is looked up there."""
    with_a_user(site)
    with Client(site.url, bot="support", auth=("ada", PASSWORD)) as client:
        check = bot_check(client)
    assert check is not None
    assert check.detail == "the site lists 'support'"


def test_a_bot_of_a_page(site: Server) -> None:
    """A bot that its page has lost is a warning: it may only have moved."""
    with Client.from_page(site.url + "/chat/") as client:
        found_there = bot_check(client)
        site.page("/chat/", bots=["support"])
        lost = bot_check(client)
    assert found_there is not None
    assert found_there.detail == f"'shop' is on {site.url}/chat/"
    assert lost is not None
    assert lost.level == "warning"
    assert lost.detail.startswith(f"'shop' is not on {site.url}/chat/: ")


def test_a_bot_that_only_a_page_defines(site: Server) -> None:
    """A page's own bot is looked up by its custom id, on the page only."""
    site.bot("a1b2", custom=True)
    site.page("/chat/", bots=["a1b2"])
    with Client.from_page(site.url + "/chat/", token="secret") as client:
        check = bot_check(client)
    assert check is not None
    assert (check.level, check.detail) == ("ok", f"'a1b2' is on {site.url}/chat/")


def test_a_bot_of_the_front_page(server: Server) -> None:
    """Without a page or a token, a bot is looked up on the front page, which may lack it."""
    server.bot("support")
    with Client(server.url, bot="support") as client:
        unknown = bot_check(client)
        server.page("/", bots=["support"])
        known = bot_check(client)
    assert unknown is not None
    assert (unknown.level, "needs a token or a page" in unknown.detail) == ("ok", True)
    assert known is not None
    assert known.detail == f"'support' is on {server.url}/"


def test_a_list_that_cannot_be_had(server: Server) -> None:
    """With a login, but without the public API, a bot is looked up on pages."""
    with_a_user(server)
    with Client(server.url, bot="support", auth=("ada", PASSWORD)) as client:
        check = bot_check(client)
    assert check is not None
    assert (check.level, "needs a token or a page" in check.detail) == ("ok", True)
