"""REST requests as WordPress and the plugin read them, and what serves a route."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import parse_qsl

from ._http import HTTPResponse, Request
from ._model import FatalError
from ._profiles import Profile
from ._script_queue import NO_SCRIPT, Script, TakeScript
from ._users import GUEST, User

NO_SESSION = "N/A"  # the session id of versions without sessions


class Upload(NamedTuple):
    """An uploaded file."""

    name: str
    data: bytes


@dataclass
class RestRequest:
    """
    One request on its way through WordPress.

    Args:
        http: the HTTP request.
        route: its REST route, such as "/mwai/v1/start_session"; "" for a page.
        profile: the plugin version of the site.
        next_script: removes and returns the script that is due for the request.
        fields: the fields of the body.
        uploads: the uploaded files, by form field.
        user: who sent the request.
        nonce_age: 1 for a nonce of this half day, 2 for one of the last, 0 for none.
        script: the script that was taken.
        new_token: the fresh nonce to add to the answer, under its field name; else empty.
        opened_session: the id of the session that the request opened, if any.
    """

    http: Request
    route: str
    profile: Profile
    next_script: TakeScript
    fields: Mapping[str, Any] = field(default_factory=dict)
    uploads: Mapping[str, Upload] = field(default_factory=dict)
    user: User = GUEST
    nonce_age: int = 0
    script: Script = NO_SCRIPT
    new_token: Mapping[str, str] = field(default_factory=dict)
    opened_session: Optional[str] = None

    def take_script(self) -> Script:
        """Remove and return the script that is due for this request."""
        self.script = self.next_script()
        return self.script

    @property
    def cookies(self) -> Dict[str, str]:
        """The cookies of the request."""
        pairs = (pair.partition("=") for pair in self.http.headers.get("Cookie", "").split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs}

    def session_id(self) -> str:
        """
        Return the visitor's session id; open a session if there is none.

        Source: AI Engine 3.6.2, cookie mwai_session_id; "N/A" in 2.4.7.
        """
        if not self.profile.session_cookies:
            return NO_SESSION
        known = self.cookies.get("mwai_session_id")
        if not known and not self.opened_session:
            self.opened_session = secrets.token_hex(7)[:13]
        return known or str(self.opened_session)

    def text(self, name: str) -> str:
        """Return a field as text; "" if it is missing or null."""
        value = self.fields.get(name)
        return "" if value is None else str(value)

    def items(self, name: str) -> List[Any]:
        """
        Return a field that is a list; empty if it is missing or null.

        Raises:
            FatalError: it is something else.
        """
        value = self.fields.get(name) or []
        if not isinstance(value, list):
            raise FatalError
        return value

    def number(self, name: str, default: int) -> int:
        """Return a field as a number; the default if it is not one."""
        text = self.text(name)
        return int(text) if text.isdecimal() else default


def allow_anyone(request: RestRequest) -> bool:  # noqa: ARG001 (permissions share a signature)
    """Permit every request."""
    return True


def require_nonce(request: RestRequest) -> bool:
    """Permit requests whose header, not query, has a valid nonce of their user."""
    return request.nonce_age > 0 and "X-WP-Nonce" in request.http.headers


@dataclass(frozen=True)
class Endpoint:
    """
    What serves one route.

    Args:
        callback: returns the response.
        permission: returns whether a request is permitted.
        asks_model: the callback takes the script itself, at the point where it asks the model.
        new_token: answers may contain a fresh nonce.
        allow: the methods in the header Allow of responses to permitted requests; "" for none.
    """

    callback: Callable[[RestRequest], HTTPResponse]
    permission: Callable[[RestRequest], bool] = allow_anyone
    asks_model: bool = False
    new_token: bool = False
    allow: str = "POST"


class InvalidJsonError(ValueError):
    """A JSON body that PHP cannot decode; its arguments are PHP's error number and message."""


def parse_body(request: Request) -> Tuple[Mapping[str, Any], Mapping[str, Upload]]:
    """
    Return the fields and uploaded files of a request's body, according to its Content-Type.

    Raises:
        InvalidJsonError: the Content-Type says JSON, and the body is not valid JSON.
    """
    media_type, _, parameters = request.headers.get("Content-Type", "").partition(";")
    media_type = media_type.strip().lower()
    if is_json(request) and request.body:
        return _json_fields(request.body), {}
    if media_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(request.body.decode("latin-1"))), {}
    boundary = re.search('boundary="?([^";]+)', parameters)
    if media_type == "multipart/form-data" and boundary:
        return _multipart_fields(request.body, boundary.group(1).encode())
    return {}, {}


def is_json(request: Request) -> bool:
    """Return whether the Content-Type of a request says JSON."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return media_type == "application/json"


def _json_fields(body: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(body.decode(), parse_constant=_reject_constant)
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        reason = "Malformed UTF-8 characters, possibly incorrectly encoded"
        raise InvalidJsonError(5, reason) from None
    except UnicodeEncodeError:
        reason = "Single unpaired UTF-16 surrogate in unicode escape"
        raise InvalidJsonError(10, reason) from None
    except RecursionError:
        raise InvalidJsonError(1, "Maximum stack depth exceeded") from None
    except ValueError:
        raise InvalidJsonError(4, "Syntax error") from None
    return fields if isinstance(fields, dict) else {}


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def _multipart_fields(
    body: bytes, boundary: bytes
) -> Tuple[Mapping[str, Any], Mapping[str, Upload]]:
    fields, uploads = {}, {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, data = part[:-2].partition(b"\r\n\r\n")
        quoted = dict(re.findall(r'(\w+)="([^"]*)"', head.decode(errors="replace")))
        if "filename" in quoted:
            uploads[quoted.get("name", "")] = Upload(quoted["filename"], data)
        else:
            fields[quoted.get("name", "")] = data.decode(errors="replace")
    return fields, uploads
