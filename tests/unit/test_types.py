"""The public values: `Reply`, which is a str with attributes, and the frozen dataclasses."""

from __future__ import annotations

import ast
import copy
import dataclasses
import enum
import inspect
import json
import pickle
import textwrap
from datetime import datetime, timezone
from typing import Any, Callable, Dict, List
from unittest import mock

import pytest

from chatgpt4online import (
    Action,
    Bot,
    Check,
    Discussion,
    Event,
    File,
    Health,
    Image,
    Message,
    Outcome,
    RateLimitError,
    Reply,
    Shortcut,
    Usage,
    types,
)

USAGE = Usage(1, 2, 3, 0.5, 1, "full")
ATTRIBUTES: Dict[str, Any] = {
    "usage": USAGE,
    "images": (Image("https://example.com/cat.png"),),
    "actions": (Action("function", "alarm", {"hour": 7}, {"name": "alarm"}),),
    "shortcuts": (Shortcut("Yes", "I agree", None, {"label": "Yes"}),),
    "blocks": ({"type": "content"},),
    "response_id": "resp_1",
    "chat_id": "abc",
    "raw": {"success": True, "reply": "Hi"},
    "seconds": 2.5,
    "first_seconds": 0.5,
}
NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
CHECK = Check("site", "failed", "down", 1.5)
VALUES: List[Any] = [
    USAGE,
    Event("thinking", "Hm", "collapsed", {"a": 1}, 1.5),
    *ATTRIBUTES["images"],
    *ATTRIBUTES["actions"],
    *ATTRIBUTES["shortcuts"],
    File("f1", "https://example.com/a.txt", "a.txt", "file", "analysis", NOON, None),
    Discussion("abc", None, (Message(role="user", content="Hi"),), "default", NOON, NOON),
    Bot("default", None, 7, "https://example.com", None, "chat", "Hi!", 512, False, "Ada"),
    CHECK,
    Health((CHECK,)),
    Outcome(0, None, "Hi", Reply("Hello", **ATTRIBUTES), None),
]
#: Those without a dict in their fields, which can be hashed.
HASHABLE = [USAGE, *ATTRIBUTES["images"], VALUES[5], VALUES[7], CHECK, VALUES[9], VALUES[10]]


def name_of(value: Any) -> str:
    """Return the name of a value's class."""
    return type(value).__name__


each_value = pytest.mark.parametrize("value", VALUES, ids=name_of)


def by_pickle(protocol: int) -> Callable[[Any], Any]:
    """Return a function that pickles and unpickles a value with this protocol."""
    return lambda value: pickle.loads(pickle.dumps(value, protocol))


COPIERS: List[Callable[[Any], Any]] = [
    *(copy.copy, copy.deepcopy),
    *map(by_pickle, range(pickle.HIGHEST_PROTOCOL + 1)),
]


def test_reply_is_its_text() -> None:
    """A reply equals, hashes and works like the str of its text, whatever its attributes."""
    reply = Reply("Hi", **ATTRIBUTES)
    assert reply == "Hi"
    assert reply == Reply("Hi")
    assert {"Hi": 1}[reply] == 1
    assert reply + "!" == "Hi!"
    assert json.dumps({"content": reply}) == '{"content": "Hi"}'
    assert (repr(reply), f"{reply}") == ("'Hi'", "Hi")


def test_reply_attributes() -> None:
    """A reply has the attributes that it was created with."""
    assert vars(Reply("Hi", **ATTRIBUTES)) == ATTRIBUTES


def test_reply_of_text_only() -> None:
    """Attributes are None or empty by default, and no two replies share a dict."""
    reply = Reply("Hi")
    assert vars(reply) == {
        **dict.fromkeys(("usage", "response_id", "chat_id", "seconds", "first_seconds")),
        **dict.fromkeys(("images", "actions", "shortcuts", "blocks"), ()),
        "raw": {},
    }
    assert reply.raw is not Reply("Hi").raw


def test_empty_reply() -> None:
    """A reply without text is falsy, even if it has images."""
    reply = Reply("", images=ATTRIBUTES["images"])
    assert not reply
    assert reply.images


def test_a_reply_as_an_exact_str() -> None:
    """`str(reply)` is exactly a str, for libraries that refuse subclasses."""
    reply = Reply("Hel\u00e8ne", chat_id="abc")
    assert type(str(reply)) is str
    assert str(reply) == reply


@pytest.mark.parametrize(("module", "dump"), [("yaml", "safe_dump"), ("msgspec.json", "encode")])
def test_libraries_that_refuse_subclasses(module: str, dump: str) -> None:
    """Libraries that insist on exactly str refuse a reply and take `str(reply)`."""
    encode = getattr(pytest.importorskip(module), dump)
    with pytest.raises(Exception, match=r"cannot represent|unsupported"):
        encode(Reply("Hello"))
    assert "Hello" in str(encode(str(Reply("Hello"))))


def test_reply_survives() -> None:
    """A reply is copied and pickled with its text and all of its attributes."""
    for copier in COPIERS:
        other = copier(Reply("Hi", **ATTRIBUTES))
        assert (type(other), other, vars(other)) == (Reply, "Hi", ATTRIBUTES), copier


def test_reply_deepcopy_shares_nothing() -> None:
    """Changing the JSON of a deep copy leaves the original unchanged."""
    reply = Reply("Hi", **ATTRIBUTES)
    copy.deepcopy(reply).raw["reply"] = "changed"
    assert reply.raw["reply"] == "Hi"


def test_reply_in_a_notebook() -> None:
    """A notebook renders the text as Markdown."""
    assert Reply("**Hi**")._repr_markdown_() == "**Hi**"


def test_every_value_is_tested() -> None:
    """Every public class of values is tested here."""
    public = {vars(types)[name] for name in types.__all__}
    assert {type(value) for value in VALUES} == public - {Message, Reply}


@each_value
def test_values_survive(value: Any) -> None:
    """A value is copied and pickled with its class and its fields."""
    for copier in COPIERS:
        other = copier(value)
        assert (type(other), other, repr(other)) == (type(value), value, repr(value)), copier


@each_value
def test_values_are_immutable(value: Any) -> None:
    """No field of a value can be set or deleted."""
    for name in fields(value):
        with pytest.raises(AttributeError, match=name):
            setattr(value, name, None)
        with pytest.raises(AttributeError, match=name):
            delattr(value, name)


def fields(value: Any) -> Dict[str, Any]:
    """Return a value's fields by name, as `dataclasses` knows them."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


@each_value
def test_values_are_dataclasses(value: Any) -> None:
    """A value is created from its fields by name or position; `replace` returns an equal one."""
    kind = type(value)
    assert vars(value) == fields(value)
    assert kind(**fields(value)) == kind(*fields(value).values()) == value
    assert dataclasses.replace(value) == value
    assert value != fields(value)


@each_value
def test_comparison_with_other_types(value: Any) -> None:
    """Another type may say whether it equals a value, as `mock.ANY` does; else they are unequal."""
    assert value == mock.ANY
    assert [value] == [mock.ANY]
    assert value != object()
    assert dataclasses.make_dataclass("Other", fields(value))(**fields(value)) != value


def test_comparison_of_a_reply() -> None:
    """A reply equals whatever says that it equals a reply."""
    assert Reply("Hi") == mock.ANY
    assert Reply("Hi") != object()


@each_value
def test_replaced_fields(value: Any) -> None:
    """`replace` changes a field, and values with different fields are not equal."""
    for name in fields(value):
        other = dataclasses.replace(value, **{name: "another"})
        assert getattr(other, name) == "another"
        assert other != value


@each_value
def test_values_convert_to_dicts(value: Any) -> None:
    """`asdict` returns a dict by field, and nested values as dicts."""
    assert dataclasses.asdict(value).keys() == fields(value).keys()
    health = dataclasses.asdict(Health((CHECK,)))
    assert health == {"checks": (vars(CHECK),), "reply": None}


def test_an_outcome_converts_with_its_reply() -> None:
    """`asdict` of an outcome keeps the `Reply`, with all of its attributes."""
    reply = dataclasses.asdict(VALUES[10])["reply"]
    assert (type(reply), reply, vars(reply)) == (Reply, "Hello", ATTRIBUTES)


def test_an_outcome_converts_with_its_error() -> None:
    """`asdict` of an outcome keeps the class, message and fields of its error."""
    error = dataclasses.asdict(Outcome(0, None, "Hi", None, RateLimitError("No.", status=429)))
    assert (type(error["error"]), error["error"].status) == (RateLimitError, 429)


@pytest.mark.parametrize("value", HASHABLE, ids=name_of)
def test_values_hash(value: Any) -> None:
    """Equal values have equal hashes, if their fields hash."""
    assert hash(copy.copy(value)) == hash(value)


@pytest.mark.parametrize("value", [v for v in VALUES if v not in HASHABLE], ids=name_of)
def test_values_that_contain_dicts(value: Any) -> None:
    """A value that contains a dict does not hash."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(value)


@each_value
def test_signatures(value: Any) -> None:
    """A signature names each field with its type, for `help` and editors."""
    parameters = inspect.signature(type(value)).parameters
    assert list(parameters) == list(fields(value))
    assert all(p.annotation not in (p.empty, Any, "Any") for p in parameters.values())


@each_value
def test_patterns(value: Any) -> None:
    """A value's positional patterns are its fields in order, where Python has patterns."""
    assert getattr(value, "__match_args__", tuple(fields(value))) == tuple(fields(value))


def documented(kind: type) -> Dict[str, str]:
    """Return the docstrings of a class's fields, as Sphinx and editors find them."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    return {
        field.target.id: ast.literal_eval(text.value).strip()
        for field, text in zip(tree.body, tree.body[1:])
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr)
    }


@pytest.mark.parametrize("kind", [vars(types)[name] for name in types.__all__])
def test_fields_are_documented(kind: Any) -> None:
    """
    Each field has a docstring of whole sentences, and one that may be None says when.

    None has a colon in its first line: Sphinx would take what is before it for a type.
    """
    sentences = documented(kind)
    assert list(sentences) == list(kind.__annotations__)
    assert all(text.endswith(".") for text in sentences.values())
    assert not [text for text in sentences.values() if ": " in text.splitlines()[0]]
    optional = [name for name, type_ in kind.__annotations__.items() if "Optional" in str(type_)]
    assert not [name for name in optional if "None" not in sentences[name]]


def test_image_in_a_notebook() -> None:
    """A notebook shows an image element, and a hostile URL cannot break out of it."""
    assert Image("https://example.com/a.png?b=1&c=2")._repr_html_() == (
        '<img src="https://example.com/a.png?b=1&amp;c=2">'
    )
    assert Image('"><script>alert(1)</script>')._repr_html_() == (
        '<img src="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;">'
    )


def test_usage_defaults() -> None:
    """Every field of `Usage` is None by default."""
    assert Usage() == Usage(None, None, None, None, None, None)


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), (("a", "b"), {}), (("a",), {"url": "b"}), ((), {"url": "a", "size": 1})],
)
def test_values_take_their_fields_only(values: Any, named: Any) -> None:
    """A value requires each field without a default, and accepts no other arguments."""
    with pytest.raises(TypeError, match="argument"):
        Image(*values, **named)


def test_values_show_their_fields() -> None:
    """The repr of a value is the expression that creates it."""
    assert repr(Image(url="a")) == "Image(url='a')"


# Rows.


def test_a_reply_as_a_dict() -> None:
    """`to_dict` has the text and all parts but `raw`, in plain dicts and lists."""
    assert Reply("Hi", **ATTRIBUTES).to_dict() == {
        "text": "Hi",
        "chat_id": "abc",
        "response_id": "resp_1",
        "usage": vars(USAGE),
        "images": ["https://example.com/cat.png"],
        "actions": [
            {"kind": "function", "name": "alarm", "args": {"hour": 7}, "data": {"name": "alarm"}}
        ],
        "shortcuts": [
            {"label": "Yes", "message": "I agree", "shortcut_id": None, "data": {"label": "Yes"}}
        ],
        "blocks": [{"type": "content"}],
        "seconds": 2.5,
        "first_seconds": 0.5,
    }
    assert Reply("Hi").to_dict()["usage"] is None


ROW = {
    "index": 3,
    "key": "k",
    "message": "Hi",
    "text": None,
    "error": None,
    "error_message": None,
    "seconds": 2.5,
    "first_seconds": None,
    "prompt_tokens": None,
    "completion_tokens": None,
    "total_tokens": None,
    "price": None,
    "chat_id": None,
}
TOKENS = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "price": 0.5}


def test_an_answer_as_a_row() -> None:
    """`Outcome.to_dict` is flat; an empty reply keeps its tokens."""
    for text in ("Hello", ""):
        row = Outcome(3, "k", "Hi", Reply(text, **ATTRIBUTES), None, 2.5).to_dict()
        known = {**TOKENS, "text": text, "first_seconds": 0.5, "chat_id": "abc"}
        assert row == {**ROW, **known}
        assert list(row) == list(ROW)


def test_a_failure_as_a_row() -> None:
    """A failure's row has the class and the message of its error."""
    row = Outcome(3, "k", "Hi", None, RateLimitError("No.", status=429), 2.5).to_dict()
    assert row == {**ROW, "error": "RateLimitError", "error_message": "No."}


CIRCULAR: List[Any] = []
CIRCULAR.append(CIRCULAR)
DEEP: Any = []
for _ in range(100_000):
    DEEP = [DEEP]


class Word(str, enum.Enum):
    """A word."""

    HELLO = "Hello"


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        (b"Hi", "b'Hi'"),
        (Word.HELLO, "Hello"),
        (float("nan"), None),
        ([{"role": "user", "content": float("inf")}], [{"role": "user", "content": None}]),
        (({"role": "user", "content": "Hi"},), [{"role": "user", "content": "Hi"}]),
        (CIRCULAR, "[[[[[[[...]]]]]]]"),
        (DEEP, "[[[[[[[...]]]]]]]"),
        ("\ud800", "\ud800"),
    ],
    ids=["bytes", "an enum", "NaN", "infinity", "a tuple", "a circle", "deep", "a surrogate"],
)
def test_a_row_is_json(message: Any, encoded: Any) -> None:
    """A row can be encoded as JSON, whatever the message was."""
    row = Outcome(0, None, message, None, TypeError("no")).to_dict()
    assert row["message"] == encoded
    assert type(row["message"]) in (str, list, type(None))
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_a_reply_is_json() -> None:
    """A reply's dict can be encoded as JSON, whatever numbers and objects the site sent."""
    reply = Reply("Hi", usage=Usage(price=float("nan")), blocks=({"x": float("inf"), "y": DEEP},))
    fields = reply.to_dict()
    assert fields["usage"]["price"] is None
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields


@pytest.mark.parametrize(
    ("text", "parts", "ok"),
    [
        ("Hi", {}, True),
        ("", {}, False),
        (" \n", {}, False),
        ("", {"usage": USAGE, "response_id": "r", "chat_id": "c", "raw": {"a": 1}}, False),
        *[
            ("", {name: ATTRIBUTES[name]}, True)
            for name in ("images", "actions", "shortcuts", "blocks")
        ],
    ],
)
def test_an_outcome_is_ok(text: str, parts: Dict[str, Any], ok: bool) -> None:
    """An outcome is ok if its reply contains anything; `result` returns it in any case."""
    outcome = Outcome(0, None, "Hi", Reply(text, **parts), None)
    assert outcome.ok is ok
    assert outcome.result() is outcome.reply


def test_the_result_of_a_failure() -> None:
    """`result` raises the error of a failure, which is not ok."""
    error = RateLimitError("No.", status=429)
    outcome = Outcome(0, None, "Hi", None, error)
    assert outcome.ok is False
    with pytest.raises(RateLimitError) as caught:
        outcome.result()
    assert caught.value is error
