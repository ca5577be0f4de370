"""How the testing site chooses among scripts, and the function that answers in their place."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import Any, Iterable, Iterator, List, Union

import pytest
import requests
from raw_client import CHAT, START, TIMEOUT, ask, data, question
from visitors import Program

from chatgpt4online.testing import Headers, Request, Server


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Make an HTTP client that keeps cookies and connections."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def reply(session: requests.Session, server: Server, message: str = "Hi", **fields: Any) -> str:
    """Return the reply to a question."""
    return str(ask(session, server, message, stream=False, **fields).json()["reply"])


# Scripts for some questions.


def test_a_script_for_a_text(server: Server, session: requests.Session) -> None:
    """With ``when``, a script waits for a question that contains a text; others echo."""
    server.says("Paris", when="France")
    server.says("Rome", when="Italy")

    countries = ("Italy", "Spain", "France", "France")
    replies = [reply(session, server, f"The capital of {name}?") for name in countries]

    assert replies == [
        "Rome",
        "Echo(1 msgs): The capital of Spain?",
        "Paris",
        "Echo(1 msgs): The capital of France?",
    ]


def test_a_script_for_a_function(server: Server, session: requests.Session) -> None:
    """``when`` may be a function that gets the request."""
    server.bot("other")
    server.says("It is the other.", when=lambda request: request.json["botId"] == "other")

    assert reply(session, server) == "Echo(1 msgs): Hi"
    assert reply(session, server, botId="other") == "It is the other."


@pytest.mark.parametrize("script", ["says", "answers"])
def test_a_function_is_called_once_per_request(
    script: str, server: Server, session: requests.Session
) -> None:
    """A function that chooses is called once for each request, and may count them."""
    seen: List[Request] = []

    def is_second(request: Request) -> bool:
        seen.append(request)
        return len(seen) == 2

    if script == "says":
        server.says("second", when=is_second)
    else:
        server.answers(503, body="second", when=is_second)
    texts = [ask(session, server, name).text for name in ("a", "b", "c")]
    assert ["second" in text for text in texts] == [False, True, False]
    assert [request.question for request in seen] == ["a", "b"]


def test_a_function_may_script(server: Server, session: requests.Session) -> None:
    """A function that chooses may use the server: script a response, or ask a question."""

    def is_outer(request: Request) -> bool:
        if request.question == "outer":
            assert "first" in ask(session, server, "inner").text
            server.says("second")
        return True

    server.answers(200, body="first", when=is_outer)  # used up by the inner question
    with requests.Session() as outer:
        outer.trust_env = False
        assert "second" in ask(outer, server, "outer").text


def test_the_first_script_that_fits_is_used(server: Server, session: requests.Session) -> None:
    """Scripts with and without ``when`` are tried in order."""
    server.says("any")
    server.says("hello", when="Hello")

    assert [reply(session, server, "Hello") for _ in range(2)] == ["any", "hello"]


def test_a_script_for_several_requests(server: Server, session: requests.Session) -> None:
    """``times`` is for how many requests a script is; None is for any number."""
    server.answers(503, times=2)
    server.says("always", times=None)

    assert [ask(session, server).status_code for _ in range(2)] == [503, 503]
    assert [reply(session, server) for _ in range(5)] == ["always"] * 5


def test_every_kind_of_script_can_choose(server: Server, session: requests.Session) -> None:
    """All methods that script a response have ``when`` and ``times``."""
    choice: Any = {"when": "one", "times": 1}
    server.fails("No.", **choice)
    server.cuts("Hel", **choice)
    server.stalls(seconds=0.01, **choice)
    server.sends(b"sent", **choice)
    server.writes(b"HTTP/1.1 200 OK\r\n\r\nwritten", **choice)

    answers = [ask(session, server, "one") for _ in range(5)]

    assert [data(answer) for answer in answers[:2]] == [["No."], ["Hel"]]
    assert data(answers[2])[-1]["reply"] == "Echo(1 msgs): one"
    assert [answer.text for answer in answers[3:]] == ["sent", "written"]


def test_two_workers_get_their_own_answers(server: Server) -> None:
    """Two threads that ask at once get the answers to their own questions."""
    names = [f"n{number}," for number in range(20)]
    for name in reversed(names):
        server.says(f"to {name}", when=name)

    def answer_to(name: str) -> str:
        with requests.Session() as session:
            return reply(session, server, name)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(answer_to, names)) == [f"to {name}" for name in names]


@pytest.mark.parametrize("times", [0, -1])
def test_a_script_is_for_at_least_one_request(server: Server, times: int) -> None:
    """``times`` below 1 raises ValueError."""
    with pytest.raises(ValueError, match="times must be at least 1"):
        server.says("Hello", times=times)


def test_every_script_must_be_used(server: Server, session: requests.Session) -> None:
    """``assert_all_used`` lists the scripts that are left, with their routes."""
    server.assert_all_used()
    server.says("Hel", "lo")
    server.says("yes", when="France", times=3)
    server.says("always", times=None)
    server.answers(503, route="start_session")

    with pytest.raises(AssertionError) as caught:
        server.assert_all_used()

    chat, start = "/mwai-ui/v1/chats/submit", "/mwai/v1/start_session"
    assert str(caught.value) == (
        "scripted responses were not used: "
        f"says('Hel', 'lo') for {chat}; says('yes', when='France') for {chat} (3 times); "
        f"says('always') for {chat}; answers(503) for {start}"
    )
    for message in ("Hi", "France", "France", "France", "Hi"):
        ask(session, server, message)
    session.post(server.url + START, timeout=TIMEOUT)
    server.assert_all_used()


def test_a_recorded_request_has_its_question() -> None:
    """``question`` is the text of a request to a chatbot or the public API, in JSON or a form."""

    def asked(body: bytes) -> str:
        return Request("POST", "/", Headers([]), body).question

    assert asked(b'{"newMessage": "Hi"}') == "Hi"
    assert asked(b'{"message": "Hi", "prompt": ""}') == "Hi"
    assert asked(b"prompt=Hi+there") == "Hi there"
    assert asked(b'{"newMessage": ["Hi"]}') == asked(b"[]") == asked(b"") == asked(b"\xff") == ""


# A function that answers.


def test_a_function_answers(session: requests.Session) -> None:
    """``answer`` gets the request and returns the reply, which is streamed word by word."""
    with Server(answer=lambda request: request.question.upper(), token="token") as server:
        assert data(ask(session, server, "Hello there"))[:-1] == ["HELLO", " THERE"]
        assert Program(server).call("simpleTextQuery", message="Hi") == "HI"


def test_a_function_may_answer_in_parts(session: requests.Session) -> None:
    """``answer`` may return parts, as for ``says``; None is the echo; scripts come first."""

    def answer(request: Request) -> Union[Iterable[Any], None]:
        if request.question == "Hi":
            return None
        return ({"subtype": "status", "data": "Thinking..."}, "Hel", "lo")

    with Server(answer=answer) as server:
        server.says("scripted")

        assert reply(session, server) == "scripted"
        assert data(ask(session, server, "Go"))[:-1] == ["Thinking...", "Hel", "lo"]
        assert reply(session, server) == "Echo(1 msgs): Hi"


def test_a_function_is_asked_only_what_is_accepted(session: requests.Session) -> None:
    """A question that the site refuses does not reach ``answer``."""
    with Server(answer=lambda request: pytest.fail("asked")) as server:
        refused = session.post(server.url + CHAT, json=question(), timeout=TIMEOUT)

    assert refused.status_code == 401


def test_functions_run_at_the_same_time() -> None:
    """A slow ``answer`` does not delay another."""
    both = Barrier(2, timeout=TIMEOUT)

    def answer(request: Request) -> str:
        both.wait()
        return request.question

    def reply_to(message: str) -> str:
        with requests.Session() as session:
            return reply(session, server, message)

    with Server(answer=answer) as server, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(reply_to, ["one", "two"])) == ["one", "two"]


# The port and the clock.


def test_a_port_can_be_chosen() -> None:
    """With ``port`` the site has this port; if it is in use, starting raises OSError."""
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match=r"in use|10048|10013"):
            Server(port=port).start()

    with Server(port=port) as server:
        assert server.url == f"http://127.0.0.1:{port}"


def test_a_stopped_clock_stops_no_answer(
    monkeypatch: pytest.MonkeyPatch, session: requests.Session
) -> None:
    """Pace, hold and stalls end while a test has stopped Python's clocks."""
    for name in ("time", "monotonic", "perf_counter"):
        now = getattr(time, name)()
        monkeypatch.setattr(time, name, lambda now=now: now)

    with Server(pace=0.01) as server:
        server.says("Hel", "lo", hold=0.12)
        server.stalls(after=["Hel"], seconds=0.12)

        assert data(ask(session, server))[:-1] == ["Hel", "lo"]
        assert data(ask(session, server))[:-1] == ["Hel"]
