"""The rules of a WordPress site with AI Engine: a request in, an answer out; no sockets here."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import secrets
import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Callable, Mapping, NamedTuple, Optional, Sequence, Union
from urllib.parse import parse_qs, urlsplit

from ._http import Answer, Headers, Pause, Request, Step

Part = Union[str, bytes, Mapping[str, Any]]

JSON_TYPE = "application/json; charset=UTF-8"
STREAM_TYPE = "text/event-stream;charset=UTF-8"
HTML_TYPE = "text/html; charset=UTF-8"

FORBIDDEN = "Sorry, you are not allowed to do that."
REJECTED = "Sorry, your query has been rejected."
HALF_DAY = 43200


# Versions.


@dataclass(frozen=True)
class Profile:
    """What differs between the plugin's versions."""

    sessions: bool  # a session id of its own, in a cookie
    new_token: bool  # a fresh nonce inside answers, next to the header
    extras: tuple[str, ...]  # keys of an answer beside success, reply, images and usage
    usage: Mapping[str, Any]  # keys of the usage beside the three counts
    unknown_bot_is_default: bool
    refuses_models: bool
    rest_route_beside_permalinks: bool
    empty: tuple[str, ...]  # messages that count as none


PROFILES = {
    "2.4.7": Profile(
        sessions=False,
        new_token=False,
        extras=(),
        usage={},
        unknown_bot_is_default=False,
        refuses_models=False,
        rest_route_beside_permalinks=False,
        empty=("", "0"),
    ),
    "3.6.2": Profile(
        sessions=True,
        new_token=True,
        extras=("actions", "shortcuts", "blocks"),
        usage={"price": None, "queries": 1, "accuracy": "estimated"},
        unknown_bot_is_default=True,
        refuses_models=True,
        rest_route_beside_permalinks=True,
        empty=("",),
    ),
}


# The model and its scripts.

COUNTED: Mapping[str, Any] = MappingProxyType({})
"""Stands for a usage that is counted: one completion token a part, as the recorded model does."""


@dataclass(frozen=True)
class Reply:
    """What the model says to one question; ``error`` makes it a failure after its parts."""

    parts: tuple[Part, ...] = ()
    final: Optional[str] = None
    usage: Optional[Mapping[str, Any]] = field(default_factory=lambda: COUNTED)
    images: Optional[Sequence[str]] = None
    actions: Sequence[Mapping[str, Any]] = ()
    shortcuts: Sequence[Mapping[str, Any]] = ()
    blocks: Sequence[Mapping[str, Any]] = ()
    response_id: Optional[str] = "cmpl-1"
    error: Optional[str] = None


@dataclass(frozen=True)
class Script:
    """
    What happens to one request of a route.

    ``reply`` is the model's (None: what it says untold); ``answer`` replaces the route's answer;
    ``at_door`` gives it before WordPress has looked at the request. The rest says how the answer
    travels: ``cut`` and ``stall`` break it off or hold it up after ``reply``'s parts.
    """

    reply: Optional[Reply] = None
    answer: Optional[Answer] = None
    at_door: bool = False
    cut: Optional[str] = None
    stall: Optional[Pause] = None
    headers_first: bool = True
    pace: Optional[float] = None
    hold: float = 0.0


UNTOLD = Script()


def event(kind: str, data: Any, **more: Any) -> bytes:
    """
    Return one event of a streamed answer, as PHP writes it.

    Args:
        kind: "live", "error" or "end".
        data: the text of a "live" or "error"; of an "end", the answer's JSON as a string.
        more: further keys, such as ``subtype`` and ``visibility`` of a status line.
    """
    return b"data: " + php_json({"type": kind, "data": data, **more}) + b"\n\n"


def php_json(value: Any) -> bytes:
    """Return JSON as PHP's json_encode gives it: no blanks, ASCII only, escaped slashes."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def spoken(parts: Sequence[Part]) -> str:
    """Return the text in an answer's parts, trimmed as the plugin trims its reply."""
    return "".join(part for part in parts if isinstance(part, str)).strip()


def tokens(text: str) -> tuple[str, ...]:
    """Cut a text before its white space, as the recorded model streams it."""
    return tuple(re.findall(r"\s*\S+", text))


def part_event(part: Part, now: float) -> bytes:
    """Return the bytes of one part of a stream: text, an event's keys, or bytes as they are."""
    if isinstance(part, bytes):
        return part
    if isinstance(part, str):
        return event("live", part)
    keys = dict(part)
    kind, data = keys.pop("type", "live"), keys.pop("data", "")
    if "subtype" in keys:
        keys = {"timestamp": now, "visibility": "visible", **keys}
    return event(kind, data, **keys)


# Answers.


def json_answer(value: Any, status: int = 200, content_type: str = JSON_TYPE) -> Answer:
    return Answer(status, (("Content-Type", content_type),), (php_json(value),))


def html_answer(text: str, status: int = 200) -> Answer:
    return Answer(status, (("Content-Type", HTML_TYPE),), (text.encode(),))


def wordpress_error(status: int, code: str, message: str, **data: Any) -> Answer:
    return json_answer(
        {"code": code, "message": message, "data": {"status": status, **data}}, status
    )


def critical_error() -> Answer:
    """What WordPress says when PHP died."""
    message = (
        "<p>There has been a critical error on this website.</p>"
        '<p><a href="https://wordpress.org/support/article/faq-troubleshooting/">'
        "Learn more about troubleshooting WordPress.</a></p>"
    )
    code = "internal_server_error"
    died = {"code": code, "message": message, "data": {"status": 500}, "additional_errors": []}
    return json_answer(died, 500)


def no_route() -> Answer:
    message = "No route was found matching the URL and request method."
    return wordpress_error(404, "rest_no_route", message)


class RefusalError(Exception):
    """The plugin's refusal of a request; ``status`` is that of its plain JSON form."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def with_headers(answer: Answer, fields: Sequence[tuple[str, str]]) -> Answer:
    return _changed(answer, headers=(*answer.headers, *fields))


def _changed(answer: Answer, **values: Any) -> Answer:
    return Answer(**{**answer.__dict__, **values})


# The clock and the nonces.


class Clock:
    """
    The site's clock: it starts in the middle of the present half day and runs; tests move it.

    In the middle, so that no test runs into the end of a nonce's half day by chance.
    """

    def __init__(self) -> None:
        now = time.time()
        self._ahead = now // HALF_DAY * HALF_DAY + HALF_DAY / 2 - now

    def now(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


class Nonces:
    """WordPress's nonces: one a user and half day, good until the end of the next half day."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.expire_all()

    def expire_all(self) -> None:
        self._secret = secrets.token_bytes(16)

    def issue(self, user: int, ticks_ago: int = 0) -> str:
        tick = math.ceil(self._clock.now() / HALF_DAY) - ticks_ago
        text = f"{tick}|wp_rest|{user}".encode()
        return hmac.new(self._secret, text, hashlib.md5).hexdigest()[-12:-2]

    def age(self, nonce: str, user: int) -> int:
        """Return 1 for a nonce of this half day, 2 for the last one's, 0 for any other."""
        return {self.issue(user, 1): 2, self.issue(user): 1}.get(nonce, 0)


# The site.


@dataclass
class Bot:
    """A chatbot of the site."""

    id: str
    max_length: Optional[int] = None


@dataclass
class Call:
    """One request on its way through the site: who asks, with what, and for what."""

    request: Request
    route: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    user: int = 0
    nonce_age: int = 0
    cookies: Mapping[str, str] = field(default_factory=dict)
    session: str = "N/A"

    @property
    def streams(self) -> bool:
        return php_true(self.fields.get("stream"))


class Question(NamedTuple):
    """A message on its way to the model, and how many messages the model is given."""

    message: str
    seen: int


def php_true(value: Any) -> bool:
    """PHP's idea of truth: the string "0" is false, and "false" is true."""
    return bool(value) and value != "0"


class Site:
    """
    One WordPress site with the plugin.

    Args:
        version: the plugin's, a key of ``PROFILES``.
        path: the directory that WordPress lives in, "" for the root.
        permalinks: False for a site that is reached by ``?rest_route=`` only.
        take: gives the script that is due for a route, or ``UNTOLD``.
    """

    def __init__(
        self, version: str, path: str, permalinks: bool, take: Callable[[str], Script]
    ) -> None:
        self.url = ""
        self.clock = Clock()
        self.nonces = Nonces(self.clock)
        self.bots: dict[str, Bot] = {"default": Bot("default")}
        self._profile = PROFILES[version]
        self._path = path
        self._permalinks = permalinks
        self._take = take

    # Routes.

    def route(self, request: Request) -> Optional[str]:
        """Return the REST route that a request names, such as ``/mwai/v1/start_session``."""
        url = urlsplit(request.path)
        asked = parse_qs(url.query).get("rest_route")
        root = self._path + "/wp-json"
        if self._permalinks and (url.path == root or url.path.startswith(root + "/")):
            return url.path[len(root) :] or "/"
        if asked and url.path in (self._path + "/", self._path + "/index.php"):
            return asked[0]
        return None

    def _hides(self, request: Request) -> bool:
        """2.4.7 registers nothing for ``?rest_route=`` where permalinks are on."""
        beside = self._permalinks and "rest_route=" in request.path
        return beside and not self._profile.rest_route_beside_permalinks

    @property
    def _rest_root(self) -> str:
        return self.url + ("/wp-json/" if self._permalinks else "/index.php?rest_route=/")

    # Judging, in WordPress's order: nonce, route, JSON, permission, callback.

    def answer(self, request: Request) -> Answer:
        """Answer one request by the site's rules."""
        route = self.route(request)
        link = ("Link", f'<{self._rest_root}>; rel="https://api.w.org/"')
        if route is None:
            return with_headers(html_answer("<!doctype html><title>Not found</title>", 404), [link])
        call = Call(request, route, cookies=_cookies(request.headers))
        return with_headers(self._judged(call), [link, *self._rest_headers(call)])

    def _judged(self, call: Call) -> Answer:
        nonce = call.request.headers.get("X-WP-Nonce")
        if nonce is not None:
            call.nonce_age = self.nonces.age(nonce, call.user)
            if not call.nonce_age:
                return wordpress_error(403, "rest_cookie_invalid_nonce", "Cookie check failed")
        callback = self._callback(call)
        if callback is None or self._hides(call.request):
            return no_route()
        call.fields, broken = _json_fields(call.request)
        if broken:
            return broken
        if callback == self._submit and not call.nonce_age:
            return wordpress_error(401, "rest_forbidden", FORBIDDEN)
        return self._called(call, callback)

    def _callback(self, call: Call) -> Optional[Callable[[Call], Answer]]:
        return {
            ("POST", "/mwai/v1/start_session"): self._start_session,
            ("POST", "/mwai-ui/v1/chats/submit"): self._submit,
        }.get((call.request.method, call.route))

    def _called(self, call: Call, callback: Callable[[Call], Answer]) -> Answer:
        call.session = self._session(call)
        if callback == self._submit:
            return self._submit(call)
        script = self._take(call.route)
        answer = script.answer or self._told(call, script) or callback(call)
        return travelled(answer, script, 0)

    def _told(self, call: Call, script: Script) -> Optional[Answer]:
        if script.reply and script.reply.error is not None:
            return self._failure(call, RefusalError(script.reply.error))
        return None

    def _rest_headers(self, call: Call) -> list[tuple[str, str]]:
        fields = [
            ("X-Robots-Tag", "noindex"),
            ("X-Content-Type-Options", "nosniff"),
            ("Access-Control-Expose-Headers", "X-WP-Total, X-WP-TotalPages, Link"),
            (
                "Access-Control-Allow-Headers",
                "Authorization, X-WP-Nonce, Content-Disposition, Content-MD5, Content-Type",
            ),
        ]
        if call.nonce_age:
            fields.append(("X-WP-Nonce", self.nonces.issue(call.user)))
        return fields + self._set_cookies(call)

    # Sessions.

    def _session(self, call: Call) -> str:
        if not self._profile.sessions:
            return "N/A"
        return call.cookies.get("mwai_session_id") or secrets.token_hex(7)[:13]

    def _set_cookies(self, call: Call) -> list[tuple[str, str]]:
        secure = "; Secure" if self.url.startswith("https:") else ""
        fields = []
        if self._profile.sessions and "/mwai/" in call.route and "PHPSESSID" not in call.cookies:
            fields.append(("Set-Cookie", f"PHPSESSID={secrets.token_hex(13)}; path=/"))
        if call.session != "N/A" and "mwai_session_id" not in call.cookies:
            value = f"mwai_session_id={call.session}; path=/; HttpOnly{secure}"
            fields.append(("Set-Cookie", value))
        return fields

    def _start_session(self, call: Call) -> Answer:
        values = {
            "success": True,
            "sessionId": call.session,
            "restNonce": self.nonces.issue(call.user),
        }
        return json_answer({**values, **self._new_token(call)})

    def _new_token(self, call: Call) -> dict[str, str]:
        if self._profile.new_token and call.nonce_age == 2:
            return {"new_token": self.nonces.issue(call.user)}
        return {}

    # Chatting.

    def _submit(self, call: Call) -> Answer:
        if _breaks_php(call.fields):
            return critical_error()
        try:
            question = self._question(call)
        except RefusalError as refusal:
            if call.streams and refusal.status == 500:
                # The stream's headers come later than these checks.
                return Answer(
                    200, (("Content-Type", JSON_TYPE),), (event("error", refusal.message),)
                )
            return self._failure(call, refusal)
        script = self._take(call.route)
        reply = script.reply or echo(question)
        if script.answer:
            return travelled(script.answer, script, len(reply.parts))
        answer = self._streamed(call, reply, script) if call.streams else self._plain(call, reply)
        return travelled(answer, script, len(reply.parts))

    def _question(self, call: Call) -> Question:
        """
        Return what the model is asked.

        Raises:
            RefusalError: the plugin does not ask the model.
        """
        fields = call.fields
        message = str(fields.get("newMessage") or "").strip()
        named = fields.get("botId") or fields.get("customId")
        if not named or message in self._profile.empty:
            raise RefusalError(REJECTED, 403)
        bot = self._bot(fields)
        if bot.max_length and len(message) > bot.max_length:
            raise RefusalError(REJECTED)
        if fields.get("model") and self._profile.refuses_models:
            raise RefusalError(f"The model '{fields['model']}' is not available.")
        earlier = fields.get("messages") or []
        return Question(message, 1 + sum(item.get("role") != "system" for item in earlier))

    def _bot(self, fields: Mapping[str, Any]) -> Bot:
        bot = self.bots.get(str(fields.get("botId")))
        if bot is None and self._profile.unknown_bot_is_default:
            bot = self.bots["default"]
        if bot is None:
            raise RefusalError(REJECTED)
        return bot

    def _streamed(self, call: Call, reply: Reply, script: Script) -> Answer:
        now = self.clock.now()
        steps: list[Step] = [part_event(part, now) for part in reply.parts]
        if reply.error is not None:
            steps.append(event("error", reply.error))
        elif script.cut in (None, "torn"):
            steps.append(event("end", php_json(self._values(call, reply)).decode()))
        fields = (("Content-Type", STREAM_TYPE), ("Cache-Control", "no-cache"))
        return Answer(200, fields, tuple(steps))

    def _plain(self, call: Call, reply: Reply) -> Answer:
        if reply.error is not None:
            return self._failure(call, RefusalError(reply.error))
        return json_answer(self._values(call, reply))

    def _failure(self, call: Call, refusal: RefusalError) -> Answer:
        values = {"success": False, "message": refusal.message, **self._new_token(call)}
        return json_answer(values, refusal.status)

    def _values(self, call: Call, reply: Reply) -> dict[str, Any]:
        """The answer's JSON, whether it goes alone or inside a stream's ``end``."""
        text = spoken(reply.parts) if reply.final is None else reply.final
        values: dict[str, Any] = {"success": True, "reply": text, "images": reply.images}
        values.update((key, list(getattr(reply, key))) for key in self._profile.extras)
        values["usage"] = self._usage(reply)
        if self._profile.extras and reply.response_id is not None:
            values["responseId"] = reply.response_id
        return {**values, **self._new_token(call)}

    def _usage(self, reply: Reply) -> Optional[Mapping[str, Any]]:
        if reply.usage is not COUNTED:
            return reply.usage
        count = sum(isinstance(part, str) for part in reply.parts)
        counts = {"prompt_tokens": 11, "completion_tokens": count, "total_tokens": 11 + count}
        return {**counts, **self._profile.usage}


def echo(question: Question) -> Reply:
    """What the model says untold."""
    return Reply(tokens(f"Echo({question.seen} msgs): {question.message}"))


def travelled(answer: Answer, script: Script, after: int) -> Answer:
    """Return an answer with what the script says of its way; it stalls ``after`` so many steps."""
    steps = list(answer.steps)
    before = None
    if script.stall and script.headers_first:
        steps.insert(after, script.stall)
    elif script.stall:
        before = script.stall
    if script.hold:
        steps.append(Pause(script.hold))
    pace = answer.pace if script.pace is None else script.pace
    end = script.cut if script.cut in ("torn", "reset") else answer.end
    return _changed(answer, steps=tuple(steps), before=before, pace=pace, end=end)


def _json_fields(request: Request) -> tuple[Mapping[str, Any], Optional[Answer]]:
    """Return a request's JSON fields, and WordPress's refusal if the JSON is broken."""
    content_type = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if content_type != "application/json" or not request.body:
        return {}, None
    try:
        fields = json.loads(request.body, parse_constant=_no_constant)
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return {}, _broken_json(10, "Single unpaired high surrogate in Unicode escape")
    except ValueError:
        return {}, _broken_json(4, "Syntax error")
    return (fields if isinstance(fields, dict) else {}), None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _broken_json(code: int, message: str) -> Answer:
    data = {"json_error_code": code, "json_error_message": message}
    return wordpress_error(400, "rest_invalid_json", "Invalid JSON body passed.", **data)


def _breaks_php(fields: Mapping[str, Any]) -> bool:
    """PHP's typed setters die of these."""
    wrong_text = any(isinstance(fields.get(key), (list, dict)) for key in ("newMessage", "chatId"))
    return wrong_text or not isinstance(fields.get("messages") or [], list)


def _cookies(headers: Headers) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in headers.get("Cookie", "").split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}
