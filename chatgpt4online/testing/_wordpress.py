"""What WordPress itself does: its clock, nonces and users, its reading of requests, its errors."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import math
import re
import secrets
import time
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import parse_qsl, urlsplit

from ._http import Answer, Request
from ._model import UNTOLD, Script, php_json
from ._profiles import Profile

HALF_DAY = 43200  # seconds: half of a nonce's life
JSON_TYPE = "application/json; charset=UTF-8"
HTML_TYPE = "text/html; charset=UTF-8"


# Answers.


def json_answer(value: Any, status: int = 200) -> Answer:
    """Return JSON as the answer."""
    return Answer(status, (("Content-Type", JSON_TYPE),), (php_json(value),))


def html_answer(text: str, status: int = 200) -> Answer:
    """Return a page as the answer."""
    return Answer(status, (("Content-Type", HTML_TYPE),), (text.encode(),))


def with_headers(answer: Answer, fields: Sequence[Tuple[str, str]]) -> Answer:
    """Return an answer with further header fields."""
    return replace(answer, headers=(*answer.headers, *fields))


def wordpress_error(status: int, code: str, message: str, **data: Any) -> Answer:
    """Return an error of WordPress's own."""
    error = {"code": code, "message": message, "data": {"status": status, **data}}
    return json_answer(error, status)


def no_route() -> Answer:
    """Return the answer to a route, or a method, that is not there."""
    message = "No route was found matching the URL and request method."
    return wordpress_error(404, "rest_no_route", message)


def forbidden(user: User) -> Answer:
    """Return the answer to one who may not."""
    message = "Sorry, you are not allowed to do that."
    return wordpress_error(403 if user.id else 401, "rest_forbidden", message)


def critical_error() -> Answer:
    """Return what WordPress says when PHP has died."""
    message = (
        "<p>There has been a critical error on this website.</p>"
        '<p><a href="https://wordpress.org/support/article/faq-troubleshooting/">'
        "Learn more about troubleshooting WordPress.</a></p>"
    )
    code = "internal_server_error"
    died = {"code": code, "message": message, "data": {"status": 500}, "additional_errors": []}
    return json_answer(died, 500)


# The clock, the nonces, the users.


class Clock:
    """
    The site's clock: it starts in the middle of the present half day and runs; tests move it.

    In the middle, so that no test runs into the end of a half day by chance.
    """

    def __init__(self) -> None:
        now = time.time()
        self._ahead = now // HALF_DAY * HALF_DAY + HALF_DAY / 2 - now

    def now(self) -> float:
        """Return the time, in unix seconds."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock by so many seconds."""
        self._ahead += seconds

    def text(self, seconds: Optional[float] = None) -> str:
        """Return a time (None: now) as the database holds it, in UTC."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds or self.now()))


class Nonces:
    """One nonce a user and half day, good until the end of the next half day."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.expire_all()

    def expire_all(self) -> None:
        """Let every nonce fail that has been given out."""
        self._secret = secrets.token_bytes(16)

    def issue(self, user: User, half_days_ago: int = 0) -> str:
        """Return the nonce of a user, 10 hexadecimal digits."""
        tick = math.ceil(self._clock.now() / HALF_DAY) - half_days_ago
        text = f"{tick}|wp_rest|{user.id}".encode()
        return hmac.new(self._secret, text, hashlib.md5).hexdigest()[-12:-2]

    def age(self, nonce: str, user: User) -> int:
        """Return 1 for a nonce of this half day, 2 for the last one's, 0 for any other."""
        return {self.issue(user, 1): 2, self.issue(user): 1}.get(nonce, 0)


class User(NamedTuple):
    """Who asks: 0 is the id of a guest, 1 that of the site's first administrator."""

    id: int
    name: str
    email: str
    password: str


GUEST = User(0, "", "", "")


class Users:
    """The site's users with their application passwords."""

    def __init__(self) -> None:
        self.admin = User(1, "admin", "admin@example.com", "")
        self._by_name = {"admin": self.admin}

    def add(self, name: str, password: str, email: str) -> None:
        """Add a user, or give one another password and address."""
        number = self._by_name[name].id if name in self._by_name else len(self._by_name) + 1
        user = User(number, name, email, _spaceless(password))
        self._by_name[name] = user
        if number == self.admin.id:
            self.admin = user

    def authenticated(self, authorization: str) -> User:
        """Return the user of an Authorization header; a wrong password makes a guest."""
        name, _, password = _basic(authorization).partition(":")
        user = self._by_name.get(name, GUEST)
        right = bool(user.password) and user.password == _spaceless(password)
        return user if right else GUEST


def _spaceless(password: str) -> str:
    """WordPress shows application passwords in groups, and takes them with or without blanks."""
    return "".join(password.split())


def _basic(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


# Requests.


class Upload(NamedTuple):
    """A file in a request."""

    name: str
    data: bytes


@dataclass
class Call:
    """
    One request on its way through WordPress: who asks, for what, with what.

    ``take`` gives the script that is due; ``script`` is what it gave.
    """

    request: Request
    route: str
    profile: Profile
    take: Callable[[], Script]
    fields: Mapping[str, Any] = field(default_factory=dict)
    uploads: Mapping[str, Upload] = field(default_factory=dict)
    user: User = GUEST
    nonce_age: int = 0
    script: Script = UNTOLD
    new_token: Mapping[str, str] = field(default_factory=dict)
    opened_session: Optional[str] = None

    def take_script(self) -> Script:
        """Return what the server was told about this request."""
        self.script = self.take()
        return self.script

    @property
    def cookies(self) -> Dict[str, str]:
        """The cookies that came."""
        pairs = (pair.partition("=") for pair in self.request.headers.get("Cookie", "").split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs}

    def session(self) -> str:
        """Return the visitor's session id, opening a session where there is none."""
        if not self.profile.sessions:
            return "N/A"
        kept = self.cookies.get("mwai_session_id")
        if not kept and not self.opened_session:
            self.opened_session = secrets.token_hex(7)[:13]
        return kept or str(self.opened_session)

    def text(self, name: str) -> str:
        """Return a field as text; "" where it is missing or null."""
        value = self.fields.get(name)
        return "" if value is None else str(value)

    def number(self, name: str, default: int) -> int:
        """Return a field as a number; the default where it is none."""
        text = self.text(name)
        return int(text) if text.isdecimal() else default


def anyone(call: Call) -> bool:  # noqa: ARG001 (asked as the other permissions are)
    """Let everybody in."""
    return True


def with_nonce(call: Call) -> bool:
    """Let those in who have a nonce of theirs."""
    return call.nonce_age > 0


@dataclass(frozen=True)
class Endpoint:
    """
    What serves one route.

    ``asks_model`` is True where the callback takes the script itself, when it asks the model;
    ``new_token`` where answers may carry a fresh nonce.
    """

    callback: Callable[[Call], Answer]
    may: Callable[[Call], bool] = anyone
    asks_model: bool = False
    new_token: bool = False


class BrokenJsonError(ValueError):
    """A body that WordPress cannot read, with PHP's number and name for the reason."""


def read_fields(request: Request) -> Tuple[Mapping[str, Any], Mapping[str, Upload]]:
    """
    Return the fields and files of a request's body, which only its Content-Type tells how to read.

    Raises:
        BrokenJsonError: it says that it is JSON, and is not.
    """
    content_type, _, parameters = request.headers.get("Content-Type", "").partition(";")
    kind = content_type.strip().lower()
    if kind == "application/json" and request.body:
        return _json_fields(request.body), {}
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(request.body.decode("latin-1"))), {}
    boundary = re.search('boundary="?([^";]+)', parameters)
    if kind == "multipart/form-data" and boundary:
        return _form_parts(request.body, boundary.group(1).encode())
    return {}, {}


def _json_fields(body: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(body, parse_constant=_refuse_constant)
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BrokenJsonError(10, "Single unpaired high surrogate in Unicode escape") from None
    except ValueError:
        raise BrokenJsonError(4, "Syntax error") from None
    return fields if isinstance(fields, dict) else {}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is Python's, not JSON's")


def _form_parts(body: bytes, boundary: bytes) -> Tuple[Mapping[str, Any], Mapping[str, Upload]]:
    fields, uploads = {}, {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, data = part[:-2].partition(b"\r\n\r\n")
        quoted = dict(re.findall(r'(\w+)="([^"]*)"', head.decode(errors="replace")))
        if "filename" in quoted:
            uploads[quoted.get("name", "")] = Upload(quoted["filename"], data)
        else:
            fields[quoted.get("name", "")] = data.decode(errors="replace")
    return fields, uploads


def rest_route(request: Request) -> str:
    """Return the ``rest_route`` in a request's query; "" if there is none."""
    return dict(parse_qsl(urlsplit(request.path).query)).get("rest_route", "")


def php_true(value: Any) -> bool:
    """PHP's idea of truth: the text "0" is false, and "false" is true."""
    return bool(value) and value != "0"
