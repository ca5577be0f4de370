"""The values: what a reply is beside its text, and that none of them changes."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any, Callable, Dict

import pytest

from chatgpt4online import Action, Event, Image, Reply, Shortcut, Usage

USAGE = Usage(1, 2, 3, 0.5, 1, "full")
PARTS: Dict[str, Any] = {
    "usage": USAGE,
    "images": (Image("https://example.com/cat.png"),),
    "actions": (Action("function", "alarm", {"hour": 7}, {"name": "alarm"}),),
    "shortcuts": (Shortcut("Yes", "I agree", None, {"label": "Yes"}),),
    "blocks": ({"type": "content"},),
    "response_id": "resp_1",
    "chat_id": "abc",
    "raw": {"success": True, "reply": "Hi"},
}
VALUES = [
    USAGE,
    Event("thinking", "Hm", "collapsed", {"a": 1}, 1.5),
    *PARTS["images"],
    *PARTS["actions"],
    *PARTS["shortcuts"],
]


def by_pickle(protocol: int) -> Callable[[Any], Any]:
    """Return what a value becomes on its way through a pickle of this protocol."""
    return lambda value: pickle.loads(pickle.dumps(value, protocol))


WAYS = [copy.copy, copy.deepcopy, *map(by_pickle, range(pickle.HIGHEST_PROTOCOL + 1))]


def test_reply_is_its_text() -> None:
    """A reply equals, hashes and works as the str of its text, whatever else it holds."""
    reply = Reply("Hi", **PARTS)
    assert reply == "Hi"
    assert reply == Reply("Hi")
    assert {"Hi": 1}[reply] == 1
    assert reply + "!" == "Hi!"
    assert json.dumps({"content": reply}) == '{"content": "Hi"}'
    assert (repr(reply), f"{reply}") == ("'Hi'", "Hi")


def test_reply_to_str() -> None:
    """``str(reply)`` is a bare str, which a strict serializer takes."""
    assert type(str(Reply("Hi"))) is str


def test_reply_has_its_parts() -> None:
    """A reply has what it was made with."""
    assert vars(Reply("Hi", **PARTS)) == PARTS


def test_reply_of_text_alone() -> None:
    """Parts that did not come are None or empty, and no two replies share a dict."""
    reply = Reply("Hi")
    assert vars(reply) == {
        **dict.fromkeys(("usage", "response_id", "chat_id")),
        **dict.fromkeys(("images", "actions", "shortcuts", "blocks"), ()),
        "raw": {},
    }
    assert reply.raw is not Reply("Hi").raw


def test_empty_reply() -> None:
    """A reply without text is falsy, although it may hold images."""
    reply = Reply("", images=PARTS["images"])
    assert not reply
    assert reply.images


@pytest.mark.parametrize("way", WAYS)
def test_reply_survives(way: Callable[[Any], Any]) -> None:
    """A reply is copied and pickled with its text and all of its parts."""
    other = way(Reply("Hi", **PARTS))
    assert (type(other), other, vars(other)) == (Reply, "Hi", PARTS)


def test_reply_deepcopy_shares_nothing() -> None:
    """A deep copy's JSON can be changed without the original's."""
    reply = Reply("Hi", **PARTS)
    copy.deepcopy(reply).raw["reply"] = "changed"
    assert reply.raw["reply"] == "Hi"


def test_reply_in_a_notebook() -> None:
    """A notebook is given the text to render as Markdown."""
    assert Reply("**Hi**")._repr_markdown_() == "**Hi**"


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("way", WAYS)
def test_values_survive(value: Any, way: Callable[[Any], Any]) -> None:
    """A value is copied and pickled with its class."""
    other = way(value)
    assert (type(other), other) == (type(value), value)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_do_not_change(value: Any) -> None:
    """No field of a value can be set."""
    for name in value._fields:
        with pytest.raises(AttributeError):
            setattr(value, name, None)


def test_image_in_a_notebook() -> None:
    """A notebook is given an image element, and a hostile address stays within it."""
    assert Image("https://example.com/a.png?b=1&c=2")._repr_html_() == (
        '<img src="https://example.com/a.png?b=1&amp;c=2">'
    )
    assert Image('"><script>alert(1)</script>')._repr_html_() == (
        '<img src="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;">'
    )


def test_usage_says_nothing_by_default() -> None:
    """A usage without numbers has None in each field."""
    assert Usage() == Usage(None, None, None, None, None, None)


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), (("a", "b"), {}), (("a",), {"url": "b"}), ((), {"url": "a", "size": 1})],
)
def test_values_take_their_fields_alone(values: Any, named: Any) -> None:
    """A value is made of all fields that have no default, and of nothing else."""
    with pytest.raises(TypeError, match="Image takes url"):
        Image(*values, **named)


def test_values_compare_by_kind_and_fields() -> None:
    """Values are equal, and equally hashed, if they are of one kind and have equal fields."""
    assert Image("a") == Image("a")
    assert hash(Image("a")) == hash(Image("a"))
    assert Image("a") != Image("b")
    assert Image("a") != "a"


def test_values_lose_nothing() -> None:
    """No field of a value can be deleted."""
    with pytest.raises(AttributeError, match="url cannot be deleted"):
        del Image("a").url


def test_values_show_their_fields() -> None:
    """The repr of a value is the expression that makes it."""
    assert repr(Image(url="a")) == "Image(url='a')"
