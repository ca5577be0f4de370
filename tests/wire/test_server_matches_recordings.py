"""The embedded site answers each recorded request as the recorded site did."""

from __future__ import annotations

import html
import http.client
import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple
from urllib.parse import urlsplit

import pytest

from chatgpt4online.testing import Server

HERE = Path(__file__).parent
HALF_DAY = 43200
PASSWORD = "abcd efgh ijkl mnop"
TOKEN = "rig-token"
GUEST_COOKIE = "mwai_session_id=6b038b8024816"

Setup = Callable[[Server], None]


class Request(NamedTuple):
    """A request as it is sent."""

    method: str
    path: str
    headers: Dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What came back, or was recorded: header fields with small names, in their order."""

    status: int
    fields: List[Tuple[str, str]]
    body: str

    def values(self, name: str) -> List[str]:
        """Return the values of all fields of a name."""
        return [value for field, value in self.fields if field == name]

    @property
    def kind(self) -> str:
        """The content type."""
        (content_type,) = self.values("content-type")
        return content_type


class Recording(NamedTuple):
    """One exchange with a real site."""

    version: str
    name: str
    request: Mapping[str, Any]
    answer: Answer

    def __str__(self) -> str:
        return f"{self.version}/{self.name}"


def read(path: Path) -> Recording:
    """Return the exchange in a file."""
    exchange = json.loads(path.read_text(encoding="utf-8"))
    response = exchange["response"]
    fields = [(name.lower(), value) for name, value in response["headers"]]
    answer = Answer(int(response["status_line"].split()[1]), fields, response["body"])
    return Recording(path.parent.name, path.stem, exchange["request"], answer)


RECORDINGS = [read(path) for path in sorted(HERE.glob("*/*.json"))]


# What the recorded sites had, and what the language model behind them knew.


def rig(version: str) -> Server:
    """Return a server with what the recorded sites had."""
    server = Server(version, token=TOKEN)
    server.bot("strict", name="Strict", max_length=20, start_sentence="")
    server.bot("tools")
    server.bot("shortcuts")
    server.bot("painter", mode="images")
    greeting = "Yo &amp; hi" if version == "3.6.2" else "Yo &amp; <b>hi</b>"
    server.bot("helper", custom=True, start_sentence=greeting)
    server.page("/chat-page/", bots=["default"])
    server.page("/custom-page/", bots=["helper"])
    server.page("/two-bots/", bots=["default", "strict"])
    server.page("/plain-page/")
    server.user("admin", PASSWORD, email="admin@example.com")
    server.bans("heck")
    return server


def says(*parts: Any, **options: Any) -> Setup:
    """Have the model say something."""
    return lambda server: server.says(*parts, **options)


def fails(message: str, **options: Any) -> Setup:
    """Have the plugin fail."""
    return lambda server: server.fails(message, **options)


def answers(status: int, **options: Any) -> Setup:
    """Have something before WordPress answer."""
    return lambda server: server.answers(status, **options)


def nothing(server: Server) -> None:
    """Leave the model to itself."""


CALL = {"type": "function", "data": {"name": "get_weather", "args": {"city": "Paris"}}}
STARTING = {
    "data": "Starting stream...",
    "subtype": "status",
    "visibility": "collapsed",
    "metadata": {"model": "fake-1", "id": "cmpl-1"},
}
UNICODE = (
    *("naïve", " café", " —", " 日本語", " 🎉", " \u2028line", "\u2029sep", " \u0085nel"),
    *(" \\", " back", ' "quote"', " </script>", " [link](https://x.y/z)"),
)
MARKDOWN = (
    *("#", " Title", "\n\n-", " a", "\n-", " b", "\n\n```python", "\nprint('x')", "\n```"),
    "  \n",
)
LONG = ("word0", *(f" word{number}" for number in range(1, 2000)))
SHORTCUTS = says(
    *("Echo(1", " msgs):", " hello"),
    actions=[{"type": "javascript", "data": {"snippet": "alert(1)"}}],
    shortcuts=[
        {"type": "message", "data": {"label": "Say hi", "variant": "info", "message": "hi"}},
        {"type": "callback", "data": {"label": "Call", "onClick": "function(){}"}},
    ],
    blocks=[{"type": "content", "data": {"html": "<p>Block</p>", "script": ""}}],
)
BRIEFLY = "Briefly unavailable for scheduled maintenance. Check back in a minute."
WP_DIE = {"code": "wp_die", "message": BRIEFLY, "data": {"status": 503}, "additional_errors": []}
NGINX = {"Content-Type": "text/html"}

ANY_VERSION = {
    "api_json": says('{"a":1,"b":[1,2,3]}', route="simpleJsonQuery"),
    "chat_json_empty_reply": says(),
    "chat_shortcuts_blocks": SHORTCUTS,
    "chat_stream_empty_reply": says(),
    "chat_stream_long": says(*LONG),
    "chat_stream_markdown": says(*MARKDOWN),
    "chat_stream_unicode": says(*UNICODE),
    "maintenance": answers(503, body=WP_DIE, retry_after=600),
    "maintenance_start_session": answers(503, retry_after=600, route="start_session"),
    "php_down_502": answers(502, headers=NGINX),
    "php_down_502_start_session": answers(502, headers=NGINX, route="start_session"),
    "too_large_413": answers(413, headers=NGINX),
}


def vendor_trouble(vendor: str, plain_500: str, blocked: str) -> Dict[str, Setup]:
    """Return what the vendor's failures look like, which each version words in its own way."""
    died = f"{vendor}: cURL error 18: transfer closed with outstanding read data remaining"
    return {
        "api_chatbot_upstream_500": fails(plain_500, route="simpleChatbotQuery"),
        "api_moderation": fails(blocked, route="moderationCheck"),
        "api_moderation_flagged": fails(blocked, route="moderationCheck"),
        "died_midway_stream": fails(died, after=("Echo(1", " msgs):", " DIEMID")),
        "upstream_429_json": fails(f"{vendor}: Rate limit reached"),
        "upstream_429_stream": fails(f"{vendor}: Error: Rate limit reached (rate_limit)"),
        "upstream_500_json": fails(plain_500),
        "upstream_500_stream": fails(f"{vendor}: Error: The server had an error (server_error)"),
    }


SCRIPTS = {
    "2.4.7": {
        **ANY_VERSION,
        **vendor_trouble(
            "From OpenAI",
            "From OpenAI: The server had an error",
            "From OpenAI: external blocked",
        ),
        "chat_function_json": says("Echo(3", " msgs):", " TOOL", " weather"),
        "chat_function_stream": says("Echo(3", " msgs):", " TOOL", " weather"),
    },
    "3.6.2": {
        **ANY_VERSION,
        **vendor_trouble(
            "Fake",
            'Fake: {"error": {"message": "The server had an error", "type": "server_error"}}',
            "OpenAI: external blocked",
        ),
        "chat_function_json": says(actions=[CALL]),
        "chat_function_stream": says(actions=[CALL]),
        "chat_stream_event_logs": says(
            *("Echo(1", " msgs):", " Hello", " with", " events"), events=[STARTING]
        ),
    },
}


# Sending.


def send(server: Server, request: Request) -> Answer:
    """Send one request as it is, on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request(request.method, request.path, request.body, request.headers)
        response = connection.getresponse()
        fields = [(name.lower(), value) for name, value in response.getheaders()]
        return Answer(response.status, fields, response.read().decode())
    finally:
        connection.close()


def recorded_request(version: str, name: str) -> Request:
    """Return a recorded request, as it was sent then."""
    request = read(HERE / version / f"{name}.json").request
    body = (request["body"] or "").encode("latin-1")
    if request["json"] is not None:
        body = json.dumps(request["json"]).encode()
    return Request(request["method"], request["path"], dict(request["headers"]), body)


def for_today(server: Server, recording: Recording) -> Request:
    """Return a recorded request with the nonce, password and file id that are good here."""
    request = recorded_request(recording.version, recording.name)
    headers = request.headers
    if "Authorization" in headers and headers["Authorization"].startswith("Basic"):
        password = "wrong" if "wrong_password" in recording.name else PASSWORD
        credentials = b64encode(f"admin:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {credentials}"
    if "X-WP-Nonce" in headers and recording.name != "nonce_invalid":
        headers["X-WP-Nonce"] = nonce(server, headers)
    return request


def nonce(server: Server, headers: Mapping[str, str]) -> str:
    """Return a nonce of who sends such headers, or of any guest."""
    kept = {name: value for name, value in headers.items() if name == "Authorization"}
    session = send(server, Request("POST", "/wp-json/mwai/v1/start_session", kept, b""))
    return str(json.loads(session.body)["restNonce"])


# What went before a request.


def with_upload(server: Server, recording: Recording, request: Request) -> Request:
    """Upload the recorded picture, and name it as the recorded request named its own."""
    version = recording.version
    upload = read(HERE / version / "upload_png.json")
    uploaded = send(server, for_today(server, upload))
    old_id = json.loads(upload.answer.body)["data"]["id"]
    new_id = json.loads(uploaded.body)["data"]["id"]
    return request._replace(body=request.body.replace(old_id.encode(), new_id.encode()))


def prepared(server: Server, recording: Recording) -> Request:
    """Do what had been done before a recorded request, and return that request."""
    version, name = recording.version, recording.name
    request = for_today(server, recording)
    if name.startswith("files_") or name == "chat_with_image":
        request = with_upload(server, recording, request)
    if name == "files_delete_again":
        send(server, request)
    if name.startswith("user_discussions"):
        send(server, for_today(server, read(HERE / version / "user_chat.json")))
    earlier = {"api_chatbot_chat_id": 2, "api_chatbot_chat_id_2": 3}.get(name, 0)
    for _ in range(earlier if version == "3.6.2" else earlier - 2):
        send(server, recorded_request(version, "api_chatbot_chat_id"))
    if name.startswith(("nonce_ageing", "nonce_expired")):
        server.advance(HALF_DAY * (2 if name == "nonce_expired" else 1))
    return request


# Comparing.

EXACT = {"code", "message", "mode", "reply", "role", "startSentence", "success", "type"}
COMPARED_FIELDS = {
    *("content-type", "link", "retry-after", "x-content-type-options"),
    *("access-control-allow-headers", "access-control-expose-headers", "x-robots-tag"),
    *("x-wp-nonce", "set-cookie"),
}


def outline(value: Any, key: str = "") -> Any:
    """
    Return what must be the same in two answers.

    That is the keys and types, and the text where the site's rules decide it; lists are compared
    by the kinds of their items, text that is JSON by what it holds.
    """
    if isinstance(value, dict):
        return {name: outline(item, name) for name, item in value.items()}
    if isinstance(value, list):
        kinds: List[Any] = []
        for item in value:
            kinds += [kind for kind in [outline(item)] if kind not in kinds]
        return kinds
    if isinstance(value, str) and value[:1] in ("{", "["):
        return {"JSON": outline(json.loads(value))}
    if isinstance(value, str) and key in EXACT:
        return re.sub(r"http://127.0.0.1:\d+\S*(?=\))", "URL", value)
    return value if key in EXACT else type(value).__name__


def events(body: str) -> List[Any]:
    """Return a stream's events: text and errors as they are, the others in outline."""
    parsed = [json.loads(event[len("data: ") :]) for event in body.split("\n\n") if event]
    return [
        event if set(event) == {"type", "data"} and event["type"] != "end" else outline(event)
        for event in parsed
    ]


def elements(page: str) -> List[Any]:
    """Return the chatbots in a page, in outline."""
    found = re.findall(r"data-(\w+)='([^']*)'", page)
    return [(name, outline(json.loads(html.unescape(value)))) for name, value in found]


def meaning(answer: Answer) -> Any:
    """Return the outline of an answer's body, by its first character."""
    if answer.body.startswith("data:"):
        return events(answer.body)
    if answer.body.startswith("{"):
        return outline(json.loads(answer.body))
    return elements(answer.body)


def field_names(answer: Answer) -> List[str]:
    """Return which fields an answer has of those that the site's rules decide."""
    cookies = [value.partition("=")[0] for value in answer.values("set-cookie")]
    names = [name for name, _ in answer.fields if name in COMPARED_FIELDS]
    return sorted(names + cookies)


@pytest.mark.parametrize("recording", RECORDINGS, ids=str)
def test_the_server_answers_as_the_recorded_site(recording: Recording) -> None:
    """Status, content type, kept header fields, keys, types, events and texts are the same."""
    version = recording.version if recording.version in SCRIPTS else "3.6.2"
    with rig(version) as server:
        request = prepared(server, recording)
        SCRIPTS[version].get(recording.name, nothing)(server)

        answer = send(server, request)

    assert answer.status == recording.answer.status
    assert answer.kind == recording.answer.kind
    assert meaning(answer) == meaning(recording.answer)
    assert field_names(answer) == field_names(recording.answer)
