"""Logins and tokens: which are valid, and for which origin."""

from __future__ import annotations

from typing import Any

import pytest

from chatgpt4online import Client
from chatgpt4online._http import credentials


@pytest.mark.parametrize(
    "login", ["ada:x", ("ada",), ("ada", "x", "y"), ("", "x"), ("ada", " "), ("a:b", "x"), (5, "x")]
)
def test_bad_logins(login: Any) -> None:
    """An invalid login is rejected when the client is made."""
    with pytest.raises((ValueError, TypeError), match="auth"):
        Client("https://example.com", auth=login)


def test_the_default_port_is_the_same_origin() -> None:
    """A URL with its scheme's default port has the same origin as one without a port."""
    credential = credentials.bearer("t0ken", "https://example.com:443/blog")
    assert credential.header("https://example.com/") == {"authorization": "Bearer t0ken"}
    assert credentials.origin_of("http://example.com:80/") == "http://example.com"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://[::1]:8080/wp", "http://[::1]:8080"),
        ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_origins_of_addresses(url: str, origin: str) -> None:
    """The origin of an IPv6 address keeps its brackets."""
    assert credentials.origin_of(url) == origin


@pytest.mark.parametrize(
    "url", ["https://example.com:80/", "http://example.com:443/", "http://example.com/"]
)
def test_other_origins(url: str) -> None:
    """A credential is not sent to another scheme or port."""
    assert credentials.bearer("t0ken", "https://example.com:443/blog").header(url) == {}
