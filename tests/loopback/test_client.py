"""The client's arguments: what they send, and that invalid ones send nothing."""

from __future__ import annotations

import copy
import os
import pickle
import re
from contextlib import suppress
from typing import Any, Callable, Dict, List, Tuple, Type

import pytest
import requests

from chatgpt4online import ChatGPT4OnlineError, Client, Message, MessageError, Reply, Stream
from chatgpt4online.testing import Server

CHAT = "mwai-ui/v1/chats/submit"
SURROGATE = "\ud83d"  # a lone one

USER: Message = {"role": "user", "content": "Who?"}
ASSISTANT: Message = {"role": "assistant", "content": "Voltaire."}
NEXT: Message = {"role": "user", "content": "When?"}

BAD_SETTINGS: List[Tuple[Dict[str, Any], Type[Exception], str]] = [
    ({"site": ""}, ValueError, "site is empty"),
    ({"site": 5}, TypeError, "site must be a str, not int"),
    ({"site": "ftp://example.com"}, ValueError, "site must be a URL that begins with https://"),
    ({"bot": ""}, ValueError, "bot is empty"),
    ({"bot": 5}, TypeError, "bot must be a str, not int"),
    ({"bot": SURROGATE}, ValueError, "bot contains a lone surrogate"),
    ({"custom_id": " "}, ValueError, "custom_id is empty"),
    ({"custom_id": 5}, TypeError, "custom_id must be a str, not int"),
    ({"context_id": "5"}, TypeError, "context_id must be an int, not str"),
    ({"context_id": -5}, ValueError, "context_id must not be negative"),
    ({"model": ""}, ValueError, "model is empty"),
    ({"model": 5}, TypeError, "model must be a str, not int"),
    ({"history": "none"}, ValueError, "history must be one of 'messages', 'prompt', not 'none'"),
    ({"headers": "a: b"}, TypeError, "headers must be a dict, not str"),
    ({"headers": {"a": 5}}, TypeError, "the header a must be a str or None, not int"),
    ({"proxy": "localhost"}, ValueError, "proxy must be a URL such as http://host:port"),
    ({"proxy": {}}, TypeError, "proxy must be a str, not dict"),
    ({"timeout": "10"}, TypeError, "timeout must be a number of seconds, not str"),
    ({"timeout": 0}, ValueError, "timeout must be more than 0 seconds"),
    ({"timeout": (1, 2, 3)}, ValueError, "timeout must be a number, or a pair"),
    ({"deadline": -1}, ValueError, "deadline must be more than 0 seconds"),
    ({"deadline": (1, 2)}, TypeError, "deadline must be a number of seconds, not tuple"),
    ({"retries": -1}, ValueError, "retries must not be negative"),
    ({"retries": 1.5}, TypeError, "retries must be an int, not float"),
    ({"retries": None}, TypeError, "retries must be an int, not NoneType"),
    ({"session": "x"}, TypeError, "session must be a requests.Session, not str"),
    ({"sites": "x"}, TypeError, "unexpected keyword argument 'sites'"),
]

BAD_QUESTIONS: List[Tuple[Any, Dict[str, Any], Type[Exception], str]] = [
    ("", {}, MessageError, "the message is empty"),
    (" \n", {}, MessageError, "the message is empty"),
    (SURROGATE, {}, MessageError, "message contains a lone surrogate"),
    (5, {}, TypeError, "not int"),
    (None, {}, TypeError, "not NoneType"),
    (b"Hi", {}, TypeError, "not bytes"),
    ([], {}, MessageError, "the last turn of the history must be the user's"),
    ([ASSISTANT], {}, MessageError, "the last turn of the history must be the user's"),
    ([NEXT], {"messages": [USER]}, ValueError, "give the history once"),
    ("Hi", {"messages": "x"}, TypeError, "messages must be a list of turns, not str"),
    ("Hi", {"messages": None}, TypeError, "messages must be a list of turns, not NoneType"),
    ("Hi", {"messages": [{"role": "ai", "content": "x"}]}, MessageError, "not 'ai'"),
    ("Hi", {"messages": [{"role": "user"}]}, TypeError, "content must be a str, not NoneType"),
    ("Hi", {"messages": ["x"]}, TypeError, "a turn must be"),
    ("Hi", {"chat_id": ""}, ValueError, "chat_id is empty"),
    ("Hi", {"chat_id": 5}, TypeError, "chat_id must be a str, not int"),
    ("Hi", {"model": ""}, ValueError, "model is empty"),
    ("Hi", {"model": 5}, TypeError, "model must be a str, not int"),
    ("Hi", {"extra_body": []}, TypeError, "extra_body must be a dict, not list"),
    ("Hi", {"extra_body": {"newMessage": "x"}}, ValueError, "must not replace 'newMessage'"),
    ("Hi", {"extra_body": {"x": object()}}, TypeError, "extra_body cannot be sent as JSON"),
    ("Hi", {"extra_body": {"x": SURROGATE}}, ValueError, "extra_body cannot be sent as JSON"),
    ("Hi", {"timeout": 0}, ValueError, "timeout must be more than 0 seconds"),
    ("Hi", {"timeout": "x"}, TypeError, "timeout must be a number of seconds, not str"),
    ("Hi", {"deadline": 0}, ValueError, "deadline must be more than 0 seconds"),
    ("Hi", {"deadline": True}, TypeError, "deadline must be a number of seconds, not bool"),
    ("Hi", {"temperature": 0.5}, TypeError, "unexpected keyword argument 'temperature'"),
]

SETTINGS: Dict[str, Any] = {
    "bot": "support",
    "custom_id": "c1",
    "context_id": 5,
    "history": "prompt",
    "headers": {"x-own": "1", "dnt": None, "cookie": "a=b"},
    "timeout": (3, 60),
    "deadline": 90,
    "retries": 5,
}


def by_pickle(client: Client) -> Client:
    """Pickle and unpickle a client."""
    copied: Client = pickle.loads(pickle.dumps(client))
    return copied


COPIERS = [copy.copy, copy.deepcopy, by_pickle]


@pytest.mark.parametrize(("settings", "error_type", "text"), BAD_SETTINGS)
def test_bad_settings(settings: Dict[str, Any], error_type: Type[Exception], text: str) -> None:
    """An invalid setting raises when the client is created, with a message that says why."""
    with pytest.raises(error_type) as caught:
        Client(**{"site": "https://example.com", **settings})
    assert type(caught.value) is error_type
    assert text in str(caught.value)


@pytest.mark.parametrize("method", ["chat", "stream"])
@pytest.mark.parametrize(("message", "options", "error_type", "text"), BAD_QUESTIONS)
def test_bad_questions(
    *,
    message: Any,
    options: Dict[str, Any],
    error_type: Type[Exception],
    text: str,
    method: str,
    server: Server,
    client: Client,
) -> None:
    """An invalid question raises before anything is sent, with a message that says why."""
    with pytest.raises(error_type) as caught:
        getattr(client, method)(message, **options)
    assert type(caught.value) is error_type
    assert text in str(caught.value)
    assert (server.requests, server.connections) == ([], 0)
    if isinstance(caught.value, MessageError):
        assert (caught.value.site, caught.value.route) == (server.url, CHAT)


def test_default_site() -> None:
    """Without arguments, a client is for the site that the package is named after."""
    with Client() as client:
        assert (client.site, client.bot) == ("https://chatgpt4online.org", "default")


def test_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Site and bot may come from the environment; arguments take precedence."""
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", server.url)
    monkeypatch.setenv("CHATGPT4ONLINE_BOT", "theirs")
    with Client() as client:
        client.chat("Hi")
        assert client.site == server.url
    with Client("https://example.com", bot="ours") as other:
        assert (other.site, other.bot) == ("https://example.com", "ours")
    assert server.questions[0].json["botId"] == "theirs"


def test_bad_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment variables are validated like arguments."""
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", "ftp://example.com")
    with pytest.raises(ValueError, match="site must be a URL that begins with https://"):
        Client()


GOOD = "https://example.com"


@pytest.mark.parametrize(
    ("name", "value", "arguments"),
    [
        ("SITE", "ftp://example.com", {"site": GOOD}),
        ("SITE", "https://[", {"site": GOOD}),
        ("SITE", " ", {"site": GOOD, "auth": ("ada", "x")}),
        ("SITE", SURROGATE, {"site": GOOD}),
        ("BOT", " ", {"bot": "support"}),
        ("TOKEN", "t\n", {"token": "t0ken"}),
        ("TOKEN", "t\n", {}),
        ("APP_PASSWORD", "x\n", {"auth": ("ada", "x")}),
        ("APP_PASSWORD", "x\n", {"site": "https://ada:x@example.com"}),
        ("APP_PASSWORD", "x\n", {"site": "https://other.example"}),
    ],
)
def test_an_unused_variable_does_not_matter(
    name: str, value: str, arguments: Dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A malformed environment variable raises only where its value is used."""
    variables = {"SITE": GOOD, "BOT": "b", "TOKEN": "t", "USER": "ada", "APP_PASSWORD": "x"}
    variables[name] = value
    for each, content in variables.items():
        monkeypatch.setattr(
            os, "environ", {**os.environ, "CHATGPT4ONLINE_" + each: content}
        )  # which takes a lone surrogate on each system
    with Client(**arguments) as client:
        assert client.site == arguments.get("site", GOOD).replace("ada:x@", "")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SITE", " ", "site is empty"),
        ("BOT", " ", "bot is empty"),
        ("TOKEN", "t\n", "token is empty or contains"),
        ("APP_PASSWORD", "x\n", "auth contains characters"),
    ],
)
def test_a_used_variable_is_validated(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token's is used by the public API only."""
    for each, content in {"SITE": GOOD, "USER": "ada", name: value}.items():
        monkeypatch.setenv("CHATGPT4ONLINE_" + each, content)
    with pytest.raises(ValueError, match=message), Client() as client:
        client.api.text("Hi")


def test_a_page_has_no_use_for_the_environments_bot(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client from a page has the page's bot, whatever the environment says."""
    monkeypatch.setenv("CHATGPT4ONLINE_BOT", " ")
    server.bot("mine", custom=True)
    server.page("/chat/", bots=["mine", "default"])
    with Client.from_page(server.url + "/chat/") as client:
        client.chat("Hi")
        assert (client.bot, client.custom_id) == ("default", "mine")
    with Client.from_page(server.url + "/chat/", 1) as client:
        client.chat("Hi")
    sent = [(question.json["botId"], question.json["customId"]) for question in server.questions]
    assert sent == [(None, "mine"), ("default", None)]


class Odd(str):
    """A str that shows itself as something else, as members of ``(str, Enum)`` do."""

    def __str__(self) -> str:
        return "something else"

    __repr__ = __str__

    def __format__(self, _: str) -> str:
        return str(self)


Wrap = Callable[[str], str]

#: What takes texts from callers: with a site, each text in a type of its own.
CALLS: Dict[str, Callable[[str, Wrap], Any]] = {
    "site": lambda url, odd: Client(odd(url)).chat("Hi", chat_id="x"),
    "login": lambda url, odd: Client(odd(url.replace("//", "//ada:x@"))).chat("Hi", chat_id="x"),
    "bot": lambda url, odd: Client(url, bot=odd("b")).chat("Hi", chat_id="x"),
    "custom_id": lambda url, odd: Client(url, custom_id=odd("c")).chat("Hi", chat_id="x"),
    "auth": lambda url, odd: Client(url, auth=(odd("ada"), odd("x"))).chat("Hi", chat_id="x"),
    "model": lambda url, odd: Client(url, model=odd("m")).chat("Hi", chat_id="x"),
    "history": lambda url, odd: Client(url, history=odd("prompt")).chat([USER, NEXT], chat_id="x"),
    "headers": lambda url, odd: Client(url, headers={odd("x-a"): odd("b")}).chat("a", chat_id="x"),
    "token": lambda url, odd: Client(url, token=odd("t")).api.whoami(),
    "message": lambda url, odd: Client(url).chat(odd("Hi"), chat_id=odd("x")),
    "turn": lambda url, odd: Client(url).chat(
        [{"role": odd("user"), "content": odd("Hi")}], chat_id="x"
    ),
    "parts": lambda url, odd: Client(url).chat(
        [{"role": "user", "content": [{"type": odd("text"), "text": odd("Hi")}]}], chat_id="x"
    ),
    "options": lambda url, odd: Client(url).chat(
        "Hi",
        chat_id="x",
        model=odd("m"),
        extra_body={odd("a"): odd("b")},
        headers={odd("x-a"): odd("b")},
    ),
    "files": lambda url, odd: Client(url).chat("Hi", chat_id="x", files=[odd("0" * 32)]),
    "map": lambda url, odd: Client(url).map(
        [odd("Hi")], model=odd("m"), headers={odd("x-a"): odd("b")}
    ),
    "conversation": lambda url, odd: (
        Client(url)
        .conversation(
            system=odd("Be brief."),
            chat_id=odd("x"),
            messages=[{"role": odd("assistant"), "content": odd("Yes?")}],
        )
        .chat(odd("Hi"))
    ),
    "check": lambda url, odd: Client(url).check(ask=odd("Hi")),
    "bots": lambda url, odd: Client(url).bots(odd("/chat/")),
    "page": lambda url, odd: Client.from_page(odd(url + "/chat/")).chat("Hi", chat_id="x"),
    "delete": lambda url, odd: Client(url).files.delete(odd("a")),
    "rename": lambda url, odd: Client(url).discussions.rename(odd("x"), odd("title")),
    "chatbot": lambda url, odd: Client(url, token="t").api.chatbot(
        odd("Hi"), bot=odd("b"), chat_id=odd("x")
    ),
    "vision": lambda url, odd: Client(url, token="t").api.vision(
        odd("Hi"), odd(url), model=odd("m")
    ),
}


VARYING = {"cookie", "x-wp-nonce"}


def sent_by(name: str, server: Server, odd: Wrap) -> List[Tuple[Any, ...]]:
    """Return the requests that a call makes, without what differs between any two."""
    already = len(server.requests)
    with suppress(ChatGPT4OnlineError):  # a site may refuse it
        result = CALLS[name](server.url, odd)
        for _ in result if name == "map" else ():
            pass
    return [
        (
            request.method,
            request.path,
            re.sub(rb'"chatId": "[0-9a-z]{10}"', b"", request.body),
            [field for field in request.headers.items() if field[0].lower() not in VARYING],
        )
        for request in server.requests[already:]
    ]


@pytest.mark.parametrize("name", CALLS)
def test_a_str_is_its_characters(name: str) -> None:
    """A text whose `__str__` says something else, as an enum's does, is sent as its characters."""
    with Server(token="t") as server:
        server.user("ada", "x")
        server.page("/chat/", bots=["default"])
        plain = sent_by(name, server, str)
        assert plain
        assert sent_by(name, server, Odd) == plain


def test_question(server: Server, client: Client) -> None:
    """A question sends the widget's fields, and the reply has the chat id that was sent."""
    reply = client.chat("Hi")
    (question,) = server.questions
    assert type(reply) is Reply
    assert question.json == {
        "botId": "default",
        "customId": None,
        "contextId": None,
        "chatId": reply.chat_id,
        "messages": [],
        "newMessage": "Hi",
        "stream": True,
    }
    assert re.fullmatch("[0-9a-z]{10}", str(reply.chat_id))


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({"bot": "support"}, ("support", None, None)),
        ({"bot": "support", "context_id": 7}, ("support", None, 7)),
        ({"custom_id": "c1"}, (None, "c1", None)),
        ({"bot": "support", "custom_id": "c1", "context_id": 0}, ("support", "c1", 0)),
    ],
)
def test_which_bot(settings: Dict[str, Any], fields: Tuple[Any, ...], server: Server) -> None:
    """A bot is named by the ids that the client has: either, or both, as the widget does."""
    server.bot("c1", custom=True)
    server.bot("support")
    with Client(server.url, **settings) as client:
        client.chat("Hi")
    sent = server.questions[0].json
    assert (sent["botId"], sent["customId"], sent["contextId"]) == fields


def test_history(server: Server, client: Client) -> None:
    """Earlier turns are sent as a list, whether in `messages` or in the message itself."""
    assert client.chat("When?", messages=[USER, ASSISTANT]) == "Echo(3 msgs): When?"
    assert client.chat([USER, ASSISTANT, NEXT]) == "Echo(3 msgs): When?"
    for question in server.questions:
        assert question.json["messages"] == [USER, ASSISTANT]
        assert question.json["newMessage"] == "When?"


def test_history_as_prompt(server: Server) -> None:
    """With ``history="prompt"``, all turns are merged into the question."""
    with Client(server.url, history="prompt") as client:
        client.chat("When?", messages=[USER, ASSISTANT])
        client.chat("Hi")
    texts = ["User: Who?\nAssistant: Voltaire.\nUser: When?\nAssistant:", "Hi"]
    assert [question.json["newMessage"] for question in server.questions] == texts
    assert [question.json["messages"] for question in server.questions] == [[], []]


def test_model() -> None:
    """A call's model takes precedence over the client's; none is sent unless given."""
    with Server(version="2.4.7") as server:  # this version accepts any model
        with Client(server.url) as client:
            client.chat("Hi")
        with Client(server.url, model="a") as client:
            client.chat("Hi")
            client.chat("Hi", model="b")
    assert [question.json.get("model") for question in server.questions] == [None, "a", "b"]
    assert "model" not in server.questions[0].json


def test_extra_body(server: Server, client: Client) -> None:
    """The extra fields of a call are sent with that call only; `stream` may be one of them."""
    assert client.chat("Hi", extra_body={"stream": False, "session": "s"}) == "Echo(1 msgs): Hi"
    client.chat("Hi")
    first, second = server.questions
    assert (first.json["stream"], first.json["session"]) == (False, "s")
    assert (second.json["stream"], "session" in second.json) == (True, False)


def test_chat_ids(server: Server, client: Client) -> None:
    """A question has the given chat id, else a new one each time."""
    replies = [client.chat("Hi", chat_id="mine"), client.chat("Hi"), client.chat("Hi")]
    sent = [question.json["chatId"] for question in server.questions]
    assert [reply.chat_id for reply in replies] == sent
    assert sent[0] == "mine"
    assert len(set(sent)) == 3


def test_stream_sends_what_chat_sends(server: Server, client: Client) -> None:
    """`stream` and `chat` send the same question for the same arguments."""
    options: Dict[str, Any] = {
        "messages": [USER, ASSISTANT],
        "chat_id": "mine",
        "extra_body": {"session": "s"},
        "timeout": 5,
        "deadline": 50,
    }
    with client.stream("When?", **options) as stream:
        assert type(stream) is Stream
        assert "".join(stream) == client.chat("When?", **options)
    first, second = server.questions
    assert first.json == second.json


def test_nonce_is_cached(server: Server, client: Client) -> None:
    """The nonce is fetched on first use, and only once."""
    assert server.requests == []
    assert client.nonce == client.nonce == server.nonce
    client.chat("Hi")
    assert [request.method for request in server.requests] == ["POST", "POST"]
    assert server.questions[0].headers["x-wp-nonce"] == server.nonce


def test_refresh_nonce(server: Server, client: Client) -> None:
    """`refresh_nonce` fetches a new nonce and returns it."""
    old = client.nonce
    server.expire_nonce()
    assert client.refresh_nonce() == server.nonce != old
    assert len(server.requests) == 2


def test_closed(server: Server) -> None:
    """A closed client raises ValueError and sends nothing; closing it again has no effect."""
    with Client(server.url) as client:
        client.chat("Hi")
    client.close()
    sent = len(server.requests)
    for use in (client.chat, client.stream):
        with pytest.raises(ValueError, match="the client is closed"):
            use("Hi")
    with pytest.raises(ValueError, match="the client is closed"):
        client.refresh_nonce()
    assert len(server.requests) == sent


def test_error_closes(server: Server) -> None:
    """An error in the ``with`` block propagates, and the client is closed."""
    with pytest.raises(KeyError), Client(server.url) as client:
        raise KeyError
    with pytest.raises(ValueError, match="the client is closed"):
        client.chat("Hi")


@pytest.mark.parametrize("copier", COPIERS)
def test_copies(copier: Callable[[Client], Client], server: Server) -> None:
    """A client is copied and pickled with all of its settings."""
    server.bot("c1", custom=True)
    with Client(server.url, **SETTINGS) as client, copier(client) as other:
        assert (other.site, other.bot) == (server.url, "support")
        assert vars(other._settings) == vars(client._settings)
        for each in (client, other):
            each.chat("Hi", messages=[USER], chat_id="x")
    first, second = server.questions
    assert first.json == second.json
    assert first.json["customId"] == "c1"
    assert dict(first.headers) == dict(second.headers)


@pytest.mark.parametrize("copier", COPIERS)
def test_copies_are_independent(copier: Callable[[Client], Client], server: Server) -> None:
    """A copy has its own nonce and connections, and works after the original is closed."""
    with Client(server.url) as client:
        client.chat("Hi")
        other = copier(client)
    with other:
        assert other.chat("Hi") == "Echo(1 msgs): Hi"
    assert len(server.requests) == 4


def test_copy_of_a_closed_client(server: Server, client: Client) -> None:
    """A copy of a closed client is open."""
    client.close()
    with copy.copy(client) as other:
        assert other.chat("Hi") == "Echo(1 msgs): Hi"


def test_copies_of_a_callers_session(server: Server) -> None:
    """A copy shares the caller's session; a pickle contains a copy of it."""
    with requests.Session() as session:
        session.headers["x-own"] = "1"
        with Client(server.url, session=session) as client:
            copy.copy(client).chat("Hi")
            assert "mwai_session_id" in session.cookies
            other: Any = by_pickle(client)
        with other._settings.session:  # which no client closes
            other.chat("Hi")
    assert [question.headers["x-own"] for question in server.questions] == ["1", "1"]


def test_pickle_ignores_the_environment(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unpickled client keeps its site and bot, whatever the environment says."""
    pickled = pickle.dumps(client)
    monkeypatch.setenv("CHATGPT4ONLINE_SITE", "https://example.com")
    monkeypatch.setenv("CHATGPT4ONLINE_BOT", "other")
    with pickle.loads(pickled) as other:
        assert (other.site, other.bot) == (server.url, "default")


def test_repr() -> None:
    """The repr of a client names the site and the bot."""
    with Client("example.com/blog", bot="support") as client:
        assert repr(client) == "Client('https://example.com/blog', bot='support')"
