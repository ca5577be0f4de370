"""The exceptions: their tree, their text, and that they can be copied and pickled."""

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
    MessageError,
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
    MessageError: (ChatGPT4OnlineError, ValueError),
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


def filled(error_class: Type[ChatGPT4OnlineError]) -> ChatGPT4OnlineError:
    """Return an error with a value in each field."""
    fields = STATUS if issubclass(error_class, StatusError) else FIELDS.get(error_class, {})
    return error_class("it failed.", **WHERE, **fields)


def by_pickle(protocol: int) -> Callable[[Any], Any]:
    """Return a function that pickles and unpickles a value with this protocol."""
    return lambda value: pickle.loads(pickle.dumps(value, protocol))


COPIERS: List[Callable[[Any], Any]] = [
    *(copy.copy, copy.deepcopy),
    *map(by_pickle, range(pickle.HIGHEST_PROTOCOL + 1)),
]


def test_tree() -> None:
    """The module has exactly the exceptions of the tree, each with its base classes."""
    classes = {error_class for _, error_class in inspect.getmembers(errors, inspect.isclass)}
    assert classes == set(PARENTS)
    assert {error_class: error_class.__bases__ for error_class in classes} == PARENTS
    assert sorted(errors.__all__) == sorted(error_class.__name__ for error_class in PARENTS)


def test_drawing() -> None:
    """The drawing in the module's docstring shows the real tree."""
    path: List[Tuple[int, str]] = []
    drawn = {}
    for indent, name in re.findall(r"^([ │├└─]{4,})(\w+)", errors.__doc__ or "", re.MULTILINE):
        path = [(depth, above) for depth, above in path if depth < len(indent)]
        drawn[name] = path[-1][1] if path else "Exception"
        path.append((len(indent), name))
    assert drawn == {each.__name__: bases[0].__name__ for each, bases in PARENTS.items()}


@pytest.mark.parametrize("error_class", PARENTS)
def test_survives(error_class: Type[ChatGPT4OnlineError]) -> None:
    """An error is copied and pickled with its class, its text and all of its fields."""
    error = filled(error_class)
    expected = (error_class, str(error), vars(error))
    for copier in COPIERS:
        other = copier(error)
        assert (type(other), str(other), vars(other)) == expected, copier


@pytest.mark.parametrize("error_class", [each for each in PARENTS if each is not MessageError])
def test_says_where(error_class: Type[ChatGPT4OnlineError]) -> None:
    """An error's text begins with the site and the route."""
    assert str(filled(error_class)) == "https://example.com mwai-ui/v1/chats/submit: it failed."


def test_a_message_error_suits_whoever_wrote_the_message() -> None:
    """The text of a `MessageError` does not name the site, and its attributes do."""
    error = filled(MessageError)
    assert (str(error), error.site, error.route) == ("it failed.", WHERE["site"], WHERE["route"])
    with pytest.raises(ValueError, match="it failed"):
        raise error


def test_without_a_site_and_route() -> None:
    """An error without a site and a route has only its message as text."""
    assert str(ReplyError("it failed.")) == "it failed."


@pytest.mark.parametrize("error_class", PARENTS)
def test_needs_no_argument(error_class: Type[ChatGPT4OnlineError]) -> None:
    """Each class can be raised without arguments, as in a user's test; its fields are empty."""
    error = error_class()
    assert (str(error), error.site, error.route, error.text) == ("", "", "", "")


def test_status_fields_by_default() -> None:
    """A field that the site did not send is empty or None."""
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


def test_timeout_is_a_timeout_error() -> None:
    """``except TimeoutError`` catches `Timeout`, with the text received so far."""
    with pytest.raises(TimeoutError) as caught:
        raise Timeout("too slow.", phase="connect", text="Hel")
    assert isinstance(caught.value, Timeout)
    assert (caught.value.phase, caught.value.text, str(caught.value)) == (
        "connect",
        "Hel",
        "too slow.",
    )
