"""Bearer and basic credentials, each bound to the origin that it was given for."""

from __future__ import annotations

from base64 import b64encode
from typing import Dict, Tuple
from urllib.parse import urlsplit


class Credential:
    """
    An ``Authorization`` header for one origin and no other. Its repr shows no secret.

    It is not a tuple, since tools that show variables look into those.
    """

    def __init__(self, value: str, origin: str) -> None:
        self.value = value
        self.origin = origin

    def header(self, url: str) -> Dict[str, str]:
        """Return the header for a URL; nothing if the URL has another origin."""
        return {"authorization": self.value} if origin_of(url) == self.origin else {}

    @property
    def is_bearer(self) -> bool:
        """Whether it is a bearer token."""
        return self.value.startswith("Bearer ")

    def __repr__(self) -> str:
        return f"Credential(origin={self.origin!r})"


def basic(login: Tuple[str, str], site: str) -> Credential:
    """Return the credential of a user with an application password (RFC 7617)."""
    pair = b64encode(":".join(login).encode()).decode("ascii")
    return Credential("Basic " + pair, origin_of(site))


def bearer(token: str, site: str) -> Credential:
    """Return the credential for a bearer token (RFC 6750)."""
    return Credential("Bearer " + token, origin_of(site))


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL; the port only where it is not the scheme's default."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, default) else f":{parts.port}"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"
