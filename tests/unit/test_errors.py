"""The exceptions: their tree, their words, and that they survive a trip to another process."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any, Callable, Dict, List, Tuple, Type

import pytest

from chatgpt4online import errors
from chatgpt4online.errors import (
    AuthError,
    BlockedError,
    ChatGPT4OnlineError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ReplyError,
    ServerError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)

PARENTS: Dict[Type[ChatGPT4OnlineError], Tuple[type, ...]] = {
    ChatGPT4OnlineError: (Exception,),
    TransportError: (ChatGPT4OnlineError,),
    Timeout: (TransportError, TimeoutError),
    StatusError: (ChatGPT4OnlineError,),
    AuthError: (StatusError,),
    BlockedError: (StatusError,),
    NotFoundError: (StatusError,),
    RateLimitError: (StatusError,),
    ServerError: (StatusError,),
    ReplyError: (ChatGPT4OnlineError,),
    ProtocolError: (ChatGPT4OnlineError,),
    StreamInterrupted: (ProtocolError,),
}

WHERE = {"site": "https://example.com", "route": "mwai-ui/v1/chats/submit", "text": "Hel"}
STATUS: Dict[str, Any] = {
    "status": 429,
    "code": "too_many",
    "message": "Slow down.",
    "retry_after": 1.5,
    "request_id": "r-1",
}
FIELDS: Dict[Type[ChatGPT4OnlineError], Dict[str, Any]] = {
    Timeout: {"phase": "deadline"},
    ReplyError: {"message": "No."},
}


def filled(kind: Type[ChatGPT4OnlineError]) -> ChatGPT4OnlineError:
    """Return an error with a value in each of its fields."""
    fields = STATUS if issubclass(kind, StatusError) else FIELDS.get(kind, {})
    return kind("it failed.", **WHERE, **fields)


def by_pickle(protocol: int) -> Callable[[Any], Any]:
    """Return what a value becomes on its way through a pickle of this protocol."""
    return lambda value: pickle.loads(pickle.dumps(value, protocol))


WAYS = [copy.copy, copy.deepcopy, *map(by_pickle, range(pickle.HIGHEST_PROTOCOL + 1))]


def test_tree() -> None:
    """The exceptions are those of the tree, and each stands where the tree has it."""
    classes = {kind for _, kind in inspect.getmembers(errors, inspect.isclass)}
    assert classes == set(PARENTS)
    assert {kind: kind.__bases__ for kind in classes} == PARENTS
    assert sorted(errors.__all__) == sorted(kind.__name__ for kind in PARENTS)


def test_drawing() -> None:
    """The module's docstring draws the tree as the classes make it."""
    path: List[Tuple[int, str]] = []
    drawn = {}
    for indent, name in re.findall(r"^([ │├└─]{4,})(\w+)", errors.__doc__ or "", re.MULTILINE):
        path = [(depth, above) for depth, above in path if depth < len(indent)]
        drawn[name] = path[-1][1] if path else "Exception"
        path.append((len(indent), name))
    assert drawn == {kind.__name__: bases[0].__name__ for kind, bases in PARENTS.items()}


@pytest.mark.parametrize("kind", PARENTS)
@pytest.mark.parametrize("way", WAYS)
def test_survives(kind: Type[ChatGPT4OnlineError], way: Callable[[Any], Any]) -> None:
    """An error is copied and pickled with its class, its words and all of its fields."""
    error = filled(kind)
    other = way(error)
    assert (type(other), str(other), vars(other)) == (kind, str(error), vars(error))


@pytest.mark.parametrize("kind", PARENTS)
def test_says_where(kind: Type[ChatGPT4OnlineError]) -> None:
    """An error's text names the site and the route before it says what happened."""
    assert str(filled(kind)) == "https://example.com mwai-ui/v1/chats/submit: it failed."


def test_says_what_alone() -> None:
    """An error of no known place says what happened, and nothing else."""
    assert str(ReplyError("it failed.")) == "it failed."


@pytest.mark.parametrize("kind", PARENTS)
def test_needs_no_argument(kind: Type[ChatGPT4OnlineError]) -> None:
    """Each class can be raised bare, as a user's test may want; its texts are empty then."""
    error = kind()
    assert (str(error), error.site, error.route, error.text) == ("", "", "", "")


def test_status_fields_by_default() -> None:
    """What a site did not say is empty or None."""
    assert vars(StatusError()) == {
        "site": "",
        "route": "",
        "text": "",
        "status": 0,
        "code": "",
        "message": "",
        "retry_after": None,
        "request_id": None,
    }


def test_timeout_is_pythons() -> None:
    """Who catches Python's own `TimeoutError` catches ours, with what had been answered."""
    with pytest.raises(TimeoutError) as caught:
        raise Timeout("too slow.", phase="connect", text="Hel")
    assert isinstance(caught.value, Timeout)
    assert (caught.value.phase, caught.value.text, str(caught.value)) == (
        "connect",
        "Hel",
        "too slow.",
    )
