"""Whose `chat` a run asks by, with which options: subclasses, mocks, and their pickles."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, Dict, List, Sequence
from unittest import mock

import pytest
from raw_client import wait_until
from support import SOON, RawServer, answering, json_reply

from chatgpt4online import Client, Outcome, Reply, Timeout, _workers
from chatgpt4online.testing import Server


class Polite(Client):
    """A subclass with an attribute and a `chat` of its own."""

    def __init__(self, site: str, please: str = "please") -> None:
        super().__init__(site)
        self.please = please

    def chat(self, message: Any, **options: Any) -> Reply:
        """Ask politely."""
        return super().chat(f"{message}, {self.please}", **options)


class Locked(Client):
    """A subclass with an attribute that does not pickle."""

    def __init__(self, site: str) -> None:
        super().__init__(site)
        self.lock = threading.Lock()


class Tidy(Locked):
    """A subclass that leaves out such an attribute, and makes it anew."""

    def __getstate__(self) -> Dict[str, Any]:
        """Return the state without the lock."""
        state = super().__getstate__()
        del state["lock"]
        return state

    def __setstate__(self, state: Dict[str, Any]) -> None:
        """Add a lock."""
        super().__setstate__(state)
        self.lock = threading.Lock()


def replies(outcomes: Sequence[Outcome]) -> List[str]:
    """Return the replies' texts; each outcome must have one."""
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
    return [str(outcome.reply) for outcome in outcomes]


# Subclasses and mocks.


def test_threads_ask_by_the_chat_of_a_subclass(server: Server) -> None:
    """In threads, questions go through a subclass's `chat`, which sees its attributes."""
    with Polite(server.url) as client:
        client.please = "now"
        found = replies(list(client.map(["a", "b"])))
    assert found == ["Echo(1 msgs): a, now", "Echo(1 msgs): b, now"]


def test_processes_ask_by_the_chat_of_a_subclass(server: Server) -> None:
    """In processes, questions go through a subclass's `chat`, which sees its attributes."""
    with Polite(server.url, "now") as client, ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert replies(list(client.map(["a"], executor=pool))) == ["Echo(1 msgs): a, now"]


def test_a_mocked_chat_is_asked(server: Server, client: Client) -> None:
    """A mocked `chat` gets the questions, with the options given to `map` and no others."""
    with mock.patch.object(client, "chat", return_value="mocked") as chat:
        found = list(client.map(["a"], model="m", deadline=5))
        assert replies(found) == ["mocked"]
        assert type(found[0].reply) is Reply
        assert replies(list(client.map(["b"]))) == ["mocked"]
    assert chat.mock_calls == [mock.call("a", model="m", deadline=5), mock.call("b")]
    assert server.requests == []


def test_what_is_not_a_reply_is_an_error(client: Client) -> None:
    """A `chat` that returns neither a Reply nor a str is that outcome's error."""
    with mock.patch.object(client, "chat", return_value=5):
        (outcome,) = client.map(["a"])
    assert str(outcome.error) == "chat must return a Reply, not int"


def test_connections_are_shared_with_the_client(server: Server, client: Client) -> None:
    """A run asks over the connections of its client, with its nonce."""
    client.chat("a")
    list(client.map(["b", "c"], workers=1))
    assert server.connections == 1
    assert len(server.requests) == 4


# Options.


def test_options_apply_to_each_question(server: Server, client: Client) -> None:
    """`model` and `extra_body` are sent with each question."""
    list(client.map(["a", "b"], model="gpt-x", extra_body={"temperature": 0.5}))
    for request in server.questions:
        assert (request.json["model"], request.json["temperature"]) == ("gpt-x", 0.5)


@pytest.mark.parametrize("options", [{"deadline": 0.2}, {"timeout": 0.2}, {"timeout": (5, 0.2)}])
def test_limits_apply_to_each_question(
    server: Server, client: Client, options: Dict[str, Any]
) -> None:
    """`timeout` and `deadline` hold for each question, in place of the client's."""
    server.stalls()
    first, second = client.map(["a", "b"], workers=1, **options)
    assert type(first.error) is Timeout
    assert first.seconds is not None
    assert 0.2 <= first.seconds < SOON
    assert second.ok


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"timeout": 0}, ValueError),
        ({"timeout": "5"}, TypeError),
        ({"deadline": -1}, ValueError),
        ({"model": ""}, ValueError),
        ({"model": 5}, TypeError),
        ({"extra_body": 5}, TypeError),
        ({"extra_body": {5: "x"}}, TypeError),
        ({"extra_body": {"x": object()}}, TypeError),
        ({"extra_body": {"x": float("nan")}}, ValueError),
        ({"extra_body": {"newMessage": "x"}}, ValueError),
        ({"extra_body": {"model": "x"}, "model": "m"}, ValueError),
    ],
)
def test_wrong_options_are_refused(
    server: Server, client: Client, options: Dict[str, Any], kind: type
) -> None:
    """What cannot be is refused at once, before anything is sent."""
    with pytest.raises(kind):
        client.map(["a"], **options)
    assert server.requests == []


@pytest.mark.parametrize(
    "options",
    [
        {"model": "m"},
        {"extra_body": {"temperature": 1}},
        {"extra_body": MappingProxyType({"temperature": 1})},
    ],
    ids=str,
)
def test_a_journal_knows_the_options(tmp_path: Path, options: Dict[str, Any]) -> None:
    """What is answered with another model or other fields is not taken for the answer."""
    with Server(version="2.4.7") as server, Client(server.url) as client:
        for each in ({}, options, options):
            list(client.map(["a"], journal=tmp_path / "journal", **each))
        assert len(server.questions) == 2


# Times.


def test_outcomes_have_times(server: Server, client: Client) -> None:
    """An outcome says how long its question took, a failure too, and when its text began."""
    server.says("a", "b", pace=0.1)
    server.fails("No.")
    first, second, third = client.map(["1", "2", ""], workers=1)
    assert first.reply is not None
    assert first.reply.seconds is not None
    assert first.reply.first_seconds is not None
    assert 0.1 <= first.reply.seconds < SOON
    assert 0 < first.reply.first_seconds <= first.reply.seconds - 0.09
    assert first.seconds == first.reply.seconds
    assert second.seconds is not None
    assert third.seconds is not None


def test_a_stream_has_times(server: Server, client: Client) -> None:
    """The reply of a stream has them too; without a text there is no first one."""
    server.says("a", "b", pace=0.05)
    with client.stream("1") as stream:
        reply = stream.result()
    assert reply.seconds is not None
    assert reply.first_seconds is not None
    assert reply.first_seconds < reply.seconds
    server.says("", images=["https://example.com/a.png"])
    reply = client.chat("2")
    assert reply.first_seconds is None
    assert reply.seconds is not None


def test_an_answer_in_one_piece_has_times() -> None:
    """An answer that comes in one piece has its first text at its end."""
    answer = json_reply("200 OK", {"success": True, "reply": "a"})
    with RawServer(answering(answer)) as server, Client(server.url) as client:
        reply = client.chat("1")
    assert reply == "a"
    assert reply.first_seconds is not None
    assert reply.seconds is not None
    assert 0 < reply.first_seconds <= reply.seconds


# Pickles, copies and properties.


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_keeps_what_a_subclass_adds(server: Server, protocol: int) -> None:
    """A pickled client has its settings, and the attributes of a subclass."""
    with Polite(server.url, "s'il vous plaît") as client:
        client.chat("a")
        with pickle.loads(pickle.dumps(client, protocol)) as other:
            assert (type(other), other.please) == (Polite, "s'il vous plaît")
            assert vars(other).keys() == vars(client).keys()
            assert other.chat("b") == "Echo(1 msgs): b, s'il vous plaît"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_does_not_pickle_is_named(protocol: int) -> None:
    """An attribute that does not pickle is named, with what to do."""
    with Locked("https://a.example") as client, pytest.raises(TypeError) as caught:
        pickle.dumps(client, protocol)
    message = str(caught.value)
    assert message.startswith("the attribute 'lock' of Locked cannot be pickled (")
    assert message.endswith("): leave it out in a __getstate__ of Locked")


def test_a_subclass_may_leave_out_what_does_not_pickle() -> None:
    """A `__getstate__` of the subclass, built on the inherited one, is what is pickled."""
    with Tidy("https://a.example") as client, pickle.loads(pickle.dumps(client)) as other:
        assert other.lock is not client.lock


def test_a_copy_needs_no_pickle() -> None:
    """A copy has the attributes of a subclass, also those that do not pickle."""
    with Locked("https://a.example") as client, copy.copy(client) as other:
        assert (type(other), other.lock) == (Locked, client.lock)
        assert other._transport is not client._transport


class Pickling(Executor):
    """The caller's own executor: it runs a task's pickle at once."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:  # type: ignore[override,unused-ignore]
        """Run a task."""
        future: Future[Any] = Future()
        task = pickle.loads(pickle.dumps((function, args)))
        future.set_result(task[0](*task[1]))
        return future


def test_an_outcome_names_what_does_not_pickle(server: Server) -> None:
    """In a run too, the attribute is named."""
    with Locked(server.url) as client:
        (outcome,) = client.map(["a"], executor=Pickling())
    assert "the attribute 'lock' of Locked cannot be pickled" in str(outcome.error)
    assert server.requests == []


def test_a_process_keeps_the_latest_clients(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process keeps the clients of the last few runs, and the connections of no others."""
    monkeypatch.setattr(_workers, "_clients", {})
    for number in [*range(20), 19]:
        with Client(server.url, headers={"X-Id": str(number)}) as client:
            replies(list(client.map(["a"], executor=Pickling())))
    assert server.connections == 20
    gc.collect()
    wait_until(lambda: server.open_connections == _workers._MAX_CLIENTS)


def test_settings_can_be_read_and_not_changed() -> None:
    """What a client was made with can be read; a new client is needed for other settings."""
    settings: Dict[str, Any] = {
        "site": "https://a.example",
        "bot": "b",
        "custom_id": "c",
        "context_id": 7,
        "model": "m",
    }
    with Client(**settings) as client:
        for name, value in settings.items():
            assert getattr(client, name) == value
            with pytest.raises(AttributeError):
                setattr(client, name, value)
    with Client("https://a.example") as client:
        assert (client.bot, client.custom_id, client.context_id, client.model) == (
            "default",
            None,
            None,
            None,
        )
