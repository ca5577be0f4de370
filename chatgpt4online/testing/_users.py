"""The users of the site, their application passwords and their nonces."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import secrets
from typing import Any, Dict, NamedTuple

from ._clock import HALF_DAY, Clock
from ._config import SiteConfig


class User(NamedTuple):
    """The sender of a request; a guest has the id 0, the site's first administrator 1."""

    id: int
    name: str
    email: str
    password: str


GUEST = User(0, "", "", "")


class Users:
    """The users of a site with their application passwords; "admin" has none at first."""

    def __init__(self) -> None:
        self.admin = User(1, "admin", "admin@example.com", "")
        self._by_name = {"admin": self.admin}

    def add(self, name: str, password: str, email: str) -> None:
        """Add a user, or change the password and email address of an existing one."""
        number = self._by_name[name].id if name in self._by_name else len(self._by_name) + 1
        user = User(number, name, email, _without_spaces(password))
        self._by_name[name] = user
        if number == self.admin.id:
            self.admin = user

    def describe(self, user: User, config: SiteConfig) -> Dict[str, Any]:
        """Return what ``wp/v2/users/me`` reports about a user."""
        address = hashlib.md5(user.email.encode()).hexdigest()  # noqa: S324 (Gravatar wants it)
        avatar = f"http://2.gravatar.com/avatar/{address}?s="
        users = f"{config.rest_url}/wp/v2/users"
        return {
            "id": user.id,
            "name": user.name,
            "url": config.url if user.id == self.admin.id else "",
            "description": "",
            "link": f"{config.url}/author/{user.name}/",
            "slug": user.name,
            "avatar_urls": {size: f"{avatar}{size}&d=mm&r=g" for size in ("24", "48", "96")},
            "meta": [],
            "_links": {"self": [{"href": f"{users}/{user.id}"}], "collection": [{"href": users}]},
        }

    def authenticate(self, authorization: str) -> User:
        """Return the user of an Authorization header; ``GUEST`` if the password is wrong."""
        name, _, password = _basic_credentials(authorization).partition(":")
        user = self._by_name.get(name, GUEST)
        is_correct = bool(user.password) and user.password == _without_spaces(password)
        return user if is_correct else GUEST


def _without_spaces(password: str) -> str:
    """WordPress shows application passwords in groups and accepts them with or without spaces."""
    return "".join(password.split())


def _basic_credentials(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


class Nonces:
    """
    The nonces of a site: one per user and half day, valid until the end of the next half day.

    Source: WordPress core; half days begin at 00:00 and 12:00 UTC.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.expire_all()

    def expire_all(self) -> None:
        """Invalidate every nonce issued so far."""
        self._secret = secrets.token_bytes(16)

    def issue(self, user: User, half_days_ago: int = 0) -> str:
        """Return the nonce of a user: 10 hexadecimal digits."""
        tick = math.ceil(self._clock.now() / HALF_DAY) - half_days_ago
        text = f"{tick}|wp_rest|{user.id}".encode()
        return hmac.new(self._secret, text, hashlib.md5).hexdigest()[-12:-2]

    def age(self, nonce: str, user: User) -> int:
        """Return 1 for a nonce of this half day, 2 for one of the last half day, else 0."""
        return {self.issue(user, 1): 2, self.issue(user): 1}.get(nonce, 0)
