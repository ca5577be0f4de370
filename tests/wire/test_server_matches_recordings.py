"""The testing site answers each recorded request as the recorded site did."""

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
    """A request to send."""

    method: str
    path: str
    headers: Dict[str, str]
    body: bytes


class Response(NamedTuple):
    """A response, received or recorded: header fields in order, with names in lower case."""

    status: int
    fields: List[Tuple[str, str]]
    body: str

    def values(self, name: str) -> List[str]:
        """Return the values of all fields with a name."""
        return [value for field, value in self.fields if field == name]

    @property
    def content_type(self) -> str:
        """The Content-Type."""
        (content_type,) = self.values("content-type")
        return content_type


class Recording(NamedTuple):
    """One exchange with a real site."""

    version: str
    name: str
    request: Mapping[str, Any]
    response: Response

    def __str__(self) -> str:
        return f"{self.version}/{self.name}"


def read(path: Path) -> Recording:
    """Return the exchange in a file."""
    exchange = json.loads(path.read_text(encoding="utf-8"))
    recorded = exchange["response"]
    fields = [(name.lower(), value) for name, value in recorded["headers"]]
    response = Response(int(recorded["status_line"].split()[1]), fields, recorded["body"])
    return Recording(path.parent.name, path.stem, exchange["request"], response)


RECORDINGS = [read(path) for path in sorted(HERE.glob("*/*.json"))]


# The setup of the recorded sites, and the replies of the model behind them.


def recorded_setup(version: str) -> Server:
    """Return a server with the bots, pages and users of the recorded sites."""
    server = Server(version, token=TOKEN)
    server.bot("strict", name="Strict", max_length=20, start_sentence="")
    server.bot("tools")
    server.bot("shortcuts")
    server.bot("painter", mode="images")
    greeting = "Yo &amp; <b>hi</b>" if version == "2.4.7" else "Yo &amp; hi"
    server.bot("helper", custom=True, start_sentence=greeting)
    server.page("/chat-page/", bots=["default"])
    server.page("/custom-page/", bots=["helper"])
    server.page("/two-bots/", bots=["default", "strict"])
    server.page("/plain-page/")
    server.user("admin", PASSWORD, email="admin@example.com")
    server.bans("heck")
    return server


def says(*parts: Any, **options: Any) -> Setup:
    """Return a setup in which the model replies so."""
    return lambda server: server.says(*parts, **options)


def fails(message: str, **options: Any) -> Setup:
    """Return a setup in which the plugin fails so."""
    return lambda server: server.fails(message, **options)


def answers(status: int, **options: Any) -> Setup:
    """Return a setup in which something in front of WordPress responds so."""
    return lambda server: server.answers(status, **options)


def nothing(server: Server) -> None:
    """Script nothing."""


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
NO_CACHE = {
    "Cache-Control": "no-cache, must-revalidate, max-age=0",
    "Expires": "Wed, 11 Jan 1984 05:00:00 GMT",
}

ANY_VERSION = {
    "api_json": says('{"a":1,"b":[1,2,3]}', route="simpleJsonQuery"),
    "chat_json_empty_reply": says(),
    "chat_shortcuts_blocks": SHORTCUTS,
    "chat_stream_empty_reply": says(),
    "chat_stream_long": says(*LONG),
    "chat_stream_markdown": says(*MARKDOWN),
    "chat_stream_unicode": says(*UNICODE),
    "maintenance": answers(503, body=WP_DIE, headers=NO_CACHE, retry_after=600),
    "maintenance_start_session": answers(
        503, headers=NO_CACHE, retry_after=600, route="start_session"
    ),
    "php_down_502": answers(502, headers=NGINX),
    "php_down_502_start_session": answers(502, headers=NGINX, route="start_session"),
    "too_large_413": answers(413, headers=NGINX),
}


def vendor_trouble(vendor: str, plain_500: str, blocked: str) -> Dict[str, Setup]:
    """Return the setups for failures of the vendor, which each version words differently."""
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


def recorded_events(version: str, name: str) -> List[Dict[str, Any]]:
    """Return the events of a recorded stream; for JSON, its failure as an event."""
    body = read(HERE / version / f"{name}.json").response.body
    if body.startswith("{"):
        return [{"type": "error", "data": json.loads(body)["message"]}]
    return [json.loads(line[len("data: ") :]) for line in body.split("\n\n") if line]


def recorded_parts(version: str, name: str) -> List[Any]:
    """Return what the recorded model streamed: texts and status lines."""
    events = [event for event in recorded_events(version, name) if event["type"] == "live"]
    return [event if "subtype" in event else event["data"] for event in events]


def recorded_replies(version: str, *names: str) -> Dict[str, Setup]:
    """Return setups in which the model replies as it did when these were recorded."""
    return {name: says(*recorded_parts(version, name)) for name in names}


def recorded_failures(version: str, *names: str, **options: Any) -> Dict[str, Setup]:
    """Return setups in which the plugin fails as it did when these were recorded."""
    return {
        name: fails(
            recorded_events(version, name)[-1]["data"],
            after=recorded_parts(version, name),
            **options,
        )
        for name in names
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
    "3.3.9": {
        **ANY_VERSION,
        **recorded_failures("3.3.9", "api_chatbot_upstream_500", route="simpleChatbotQuery"),
        **recorded_failures("3.3.9", "upstream_429_json", "upstream_429_stream"),
        **recorded_failures("3.3.9", "upstream_500_json", "upstream_500_stream"),
        **recorded_failures("3.3.9", "died_midway_stream"),
        **recorded_replies("3.3.9", "chat_stream_event_logs", "chat_stream_long"),
        **recorded_replies("3.3.9", "chat_stream_markdown", "chat_stream_unicode"),
        **recorded_replies("3.3.9", "chat_with_image"),
        "api_vision": says("Echo(1 msgs): see [input_image]", route="simpleVisionQuery"),
        "chat_function_json": says(actions=[CALL]),
        "chat_function_stream": says(actions=[CALL]),
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


def send(server: Server, request: Request) -> Response:
    """Send one request on a new connection."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request(request.method, request.path, request.body, request.headers)
        response = connection.getresponse()
        fields = [(name.lower(), value) for name, value in response.getheaders()]
        return Response(response.status, fields, response.read().decode())
    finally:
        connection.close()


def recorded_request(version: str, name: str) -> Request:
    """Return a recorded request, as it was sent."""
    request = read(HERE / version / f"{name}.json").request
    body = (request["body"] or "").encode("latin-1")
    if request["json"] is not None:
        body = json.dumps(request["json"]).encode()
    return Request(request["method"], request["path"], dict(request["headers"]), body)


def with_valid_credentials(server: Server, recording: Recording) -> Request:
    """Return a recorded request with a nonce and password that are valid here."""
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
    """Return a nonce for the user whom the headers authenticate, or for a guest."""
    kept = {name: value for name, value in headers.items() if name == "Authorization"}
    session = send(server, Request("POST", "/wp-json/mwai/v1/start_session", kept, b""))
    return str(json.loads(session.body)["restNonce"])


# What precedes a request.


def with_upload(server: Server, recording: Recording, request: Request) -> Request:
    """Upload the recorded image, and replace the recorded file id in the request."""
    version = recording.version
    upload = read(HERE / version / "upload_png.json")
    uploaded = send(server, with_valid_credentials(server, upload))
    old_id = json.loads(upload.response.body)["data"]["id"]
    new_id = json.loads(uploaded.body)["data"]["id"]
    return request._replace(body=request.body.replace(old_id.encode(), new_id.encode()))


def prepare(server: Server, recording: Recording) -> Request:
    """Do what preceded a recorded request, and return that request."""
    version, name = recording.version, recording.name
    request = with_valid_credentials(server, recording)
    if name == "files_list":
        ask = with_valid_credentials(server, read(HERE / version / "chat_with_image.json"))
        send(server, with_upload(server, recording, ask))
    elif name.startswith("files_") or name == "chat_with_image":
        request = with_upload(server, recording, request)
    if name == "files_delete_again":
        send(server, request)
    if name.startswith("user_discussions"):
        send(server, with_valid_credentials(server, read(HERE / version / "user_chat.json")))
    earlier = {"api_chatbot_chat_id": 2, "api_chatbot_chat_id_2": 3}.get(name, 0)
    for _ in range(earlier - 2 if version == "2.4.7" else earlier):
        send(server, recorded_request(version, "api_chatbot_chat_id"))
    if name.startswith(("nonce_ageing", "nonce_expired")):
        server.advance(HALF_DAY * (2 if name == "nonce_expired" else 1))
    return request


# Comparing.

EXACT = {"code", "message", "mode", "reply", "role", "startSentence", "success", "type"}
COMPARED_FIELDS = {
    *("content-type", "link", "retry-after", "x-content-type-options"),
    *("access-control-allow-headers", "access-control-expose-headers", "x-robots-tag"),
    *("x-wp-nonce", "set-cookie", "allow", "cache-control", "expires", "pragma", "vary"),
}
EXACT_FIELDS = ("allow", "cache-control", "expires", "pragma", "vary")


def outline(value: Any, key: str = "") -> Any:
    """
    Return what must be equal in two responses.

    That is the keys and types, and text that the site's rules determine. Lists are compared by
    the distinct outlines of their items, text that is JSON by its decoded value.
    """
    if isinstance(value, dict):
        return {name: outline(item, name) for name, item in value.items()}
    if isinstance(value, list):
        outlines: List[Any] = []
        for item in value:
            outlines += [each for each in [outline(item)] if each not in outlines]
        return outlines
    if isinstance(value, str) and value[:1] in ("{", "["):
        return {"JSON": outline(json.loads(value))}
    if isinstance(value, str) and key in EXACT:
        return re.sub(r"http://127.0.0.1:\d+\S*(?=\))", "URL", value)
    return value if key in EXACT else type(value).__name__


def events(body: str) -> List[Any]:
    """Return a stream's events: text and errors unchanged, the others in outline."""
    parsed = [json.loads(event[len("data: ") :]) for event in body.split("\n\n") if event]
    return [
        event if set(event) == {"type", "data"} and event["type"] != "end" else outline(event)
        for event in parsed
    ]


def elements(page: str) -> List[Any]:
    """Return the chatbots in a page, in outline."""
    found = re.findall(r"data-(\w+)='([^']*)'", page)
    return [(name, outline(json.loads(html.unescape(value)))) for name, value in found]


def body_outline(response: Response) -> Any:
    """Return the outline of a body, whose format its first character shows."""
    if response.body.startswith("data:"):
        return events(response.body)
    if response.body.startswith("{"):
        return outline(json.loads(response.body))
    return elements(response.body)


def field_names(response: Response) -> List[str]:
    """Return the names of header fields and cookies that the site's rules determine."""
    cookies = [value.partition("=")[0] for value in response.values("set-cookie")]
    names = [name for name, _ in response.fields if name in COMPARED_FIELDS]
    return sorted(names + cookies)


@pytest.mark.parametrize("recording", RECORDINGS, ids=str)
def test_the_server_answers_as_the_recorded_site(recording: Recording) -> None:
    """Status, Content-Type, relevant headers, keys, types, events and texts are equal."""
    version = recording.version if recording.version in SCRIPTS else "3.6.2"
    with recorded_setup(version) as server:
        request = prepare(server, recording)
        SCRIPTS[version].get(recording.name, nothing)(server)

        response = send(server, request)

    assert response.status == recording.response.status
    assert response.content_type == recording.response.content_type
    assert body_outline(response) == body_outline(recording.response)
    assert field_names(response) == field_names(recording.response)
    for name in EXACT_FIELDS:
        assert response.values(name) == recording.response.values(name)
