"""The testing site's rules for questions that no recording shows."""

from __future__ import annotations

from typing import Dict, Iterator

import pytest
import requests
from visitors import HALF_DAY, REJECTED, TIMEOUT, Visitor, current_site, early_site

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


def test_empty_messages_are_refused(server: Server, old: Server) -> None:
    """Whitespace is no message, and neither is "0" in early versions; a file is enough."""
    visitor, earlier = Visitor(server), Visitor(old)

    assert visitor.refusal(" \n") == visitor.refusal(None) == (403, REJECTED)
    assert visitor.reply("0") == "Echo(1 msgs): 0"
    assert earlier.refusal("0") == (403, REJECTED)
    assert visitor.ask("", newFileId=visitor.uploaded()).status_code == 200


def test_stream_has_php_truth(server: Server) -> None:
    """As in PHP, "false" is true and "0" is false."""
    visitor = Visitor(server)

    assert visitor.ask(stream="false").text.startswith("data:")
    assert visitor.ask(stream="0").json()["success"]


def test_the_echo_counts_messages(server: Server) -> None:
    """The echo counts all messages except system messages."""
    turns = [{"role": role, "content": "x"} for role in ("system", "user", "assistant")]

    assert Visitor(server).reply("Hi", messages=turns) == "Echo(3 msgs): Hi"


def test_the_model_gets_the_first_and_the_last_messages(server: Server) -> None:
    """Of the history, the first message and the last 15 reach the model."""
    turns = [{"role": "user", "content": "x"}] * 30
    visitor = Visitor(server)

    assert visitor.reply("Hi", messages=turns) == "Echo(17 msgs): Hi"
    assert visitor.reply("Hi", messages=turns[:16]) == "Echo(17 msgs): Hi"
    assert visitor.reply("Hi", messages=turns[:15]) == "Echo(16 msgs): Hi"


@pytest.mark.parametrize("turn", [{"content": "x"}, {"role": "robot", "content": "x"}])
def test_messages_without_a_known_role_are_dropped(server: Server, turn: Dict[str, str]) -> None:
    """A message without a role, or with an unknown one, does not reach the model."""
    assert Visitor(server).reply("Hi", messages=[turn]) == "Echo(1 msgs): Hi"


def test_the_echo_preserves_whitespace(server: Server) -> None:
    """Whitespace is preserved, except what PHP trims off the ends."""
    assert Visitor(server).reply(" \v a  b\u2028c\u2003\n") == "Echo(1 msgs): a  b\u2028c\u2003"


def test_length_limits_count_characters(server: Server) -> None:
    """A length limit counts characters, not bytes, and is inclusive."""
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


def test_early_versions_limit_bytes(old: Server) -> None:
    """Version 2.4.7 counts bytes."""
    old.bot("short", max_length=4)
    visitor = Visitor(old)

    assert visitor.reply("äö", botId="short") == "Echo(1 msgs): äö"
    assert visitor.refusal("äöü", botId="short") == (500, REJECTED)


def test_messages_are_limited_by_default(server: Server) -> None:
    """A bot takes 512 characters, unless its limit is another or none."""
    server.bot("free", max_length=None)
    visitor = Visitor(server)

    assert visitor.ask("x" * 512).status_code == 200
    assert visitor.refusal("x" * 513) == (500, REJECTED)
    assert visitor.ask("x" * 513, botId="free").status_code == 200


def test_unknown_models(server: Server, old: Server) -> None:
    """Later versions refuse an unknown model within the stream; early ones pass it on."""
    visitor = Visitor(server)
    message = "The model 'gpt-0' is not available."

    streamed = visitor.ask(model="gpt-0", stream=True)

    assert streamed.headers["Content-Type"].startswith("text/event-stream")
    assert message in streamed.text
    assert visitor.refusal(model="gpt-0") == (500, message)
    assert visitor.reply(model="fake-1") == "Echo(1 msgs): Hi"
    server.offers("gpt-0")
    assert visitor.reply(model="gpt-0") == "Echo(1 msgs): Hi"
    assert Visitor(old).reply(model="gpt-0") == "Echo(1 msgs): Hi"


def test_bots_can_be_replaced(server: Server) -> None:
    """A bot replaces an earlier one with the same id."""
    server.bot("default", max_length=1)

    assert Visitor(server).refusal("Hi") == (500, REJECTED)


def test_custom_bots_are_known_for_a_day(server: Server, old: Server) -> None:
    """A custom bot is known for a day after its page; otherwise later versions use the default."""
    for site in (server, old):
        site.bot("helper", custom=True, max_length=3)
        site.page("/help/", bots=["helper"])
    visitor, earlier = Visitor(server), Visitor(old)

    assert visitor.ask("Hello", customId="helper", botId=None).status_code == 200
    assert earlier.refusal("Hi", customId="helper", botId=None) == (500, REJECTED)
    for site in (server, old):
        requests.get(site.url + "/help/", timeout=TIMEOUT)
    assert visitor.refusal("Hello", customId="helper", botId=None) == (500, REJECTED)
    assert earlier.ask("Hi", customId="helper", botId=None).status_code == 200
    server.advance(2 * HALF_DAY)
    visitor.nonce = server.nonce
    assert visitor.ask("Hello", customId="helper", botId=None).status_code == 200


def test_image_bots_reply_with_an_image(server: Server) -> None:
    """An image bot's reply shows an image that can be downloaded."""
    server.bot("painter", mode="images")
    answer = Visitor(server).ask("A cat", botId="painter").json()

    (url,) = answer["images"]
    assert answer["reply"] == f"![Image]({url})\n"
    assert "responseId" not in answer
    assert requests.get(url, timeout=TIMEOUT).headers["Content-Type"] == "image/png"


def test_banned_and_flagged_words(server: Server) -> None:
    """A banned word fails within the stream; a flagged one before it, as another Content-Type."""
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
    """Beyond the limit, queries fail with the owner's message, and not as a 429."""
    server.limits(2, "Come back tomorrow.")
    visitor = Visitor(server)
    server.says("one")

    assert [visitor.reply(), visitor.reply()] == ["one", "Echo(1 msgs): Hi"]
    assert visitor.refusal() == (500, "Come back tomorrow.")


def test_a_shortcut_asks_its_hidden_message(server: Server) -> None:
    """A shortcut's message becomes an id that asks it; any other id is refused."""
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


def test_early_versions_have_no_shortcuts(old: Server) -> None:
    """Version 2.4.7 does not read the id of a shortcut: the question is empty."""
    assert Visitor(old).refusal("", shortcutId="x") == (403, REJECTED)
