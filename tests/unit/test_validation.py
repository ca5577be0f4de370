"""Validation of arguments: which values are accepted, what they become, and what raises."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Callable, Dict, List, Tuple, Type

import pytest
import requests
from hypothesis import given, strategies

from chatgpt4online import _settings
from chatgpt4online import _validation as validate

SECRET = "hunter2"
SURROGATE = "\ud83d"  # a lone one


def named(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return a check that calls its value ``it`` in messages."""
    return lambda value: function(value, "it")


def headers(value: Any) -> Dict[str, Any]:
    """Check headers, and return them as a plain dict."""
    return dict(_settings.secret_headers(value))


def one_of(value: Any) -> str:
    """Check for one of two values."""
    return validate.one_of(value, ("messages", "prompt"), "it")


ACCEPTED: List[Tuple[Callable[[Any], Any], Any, Any]] = [
    (named(validate.text), "", ""),
    (named(validate.text), "na\u00efve \U0001f389\x00", "na\u00efve \U0001f389\x00"),
    (named(validate.identifier), " bot ", " bot "),
    (named(validate.count), 0, 0),
    (named(validate.count), 10**30, 10**30),
    (one_of, "prompt", "prompt"),
    (named(validate.seconds), None, None),
    (named(validate.seconds), 1, 1.0),
    (named(validate.seconds), 0.001, 0.001),
    (named(validate.seconds), 1e6, 1e6),
    (named(validate.seconds), 1e6 + 1, None),
    (named(validate.seconds), 10**400, None),
    (named(validate.seconds), float("inf"), None),
    (validate.limits, None, (None, None)),
    (validate.limits, 5, (5.0, 5.0)),
    (validate.limits, (3, 60), (3.0, 60.0)),
    (validate.limits, [3, None], (3.0, None)),
    (validate.limits, (None, float("inf")), (None, None)),
    (headers, None, {}),
    (headers, {}, {}),
    (headers, {"X-A": "b", "DNT": None}, {"x-a": "b", "dnt": None}),
    (headers, {"x-a": ""}, {"x-a": ""}),
    (headers, {"x-a": "caf\u00e9\tau lait"}, {"x-a": "caf\u00e9\tau lait"}),
    (_settings.proxy_url, None, None),
    (_settings.proxy_url, "http://127.0.0.1:3128", "http://127.0.0.1:3128"),
    (_settings.proxy_url, "HTTPS://u:p@proxy.example", "HTTPS://u:p@proxy.example"),
    (_settings.proxy_url, "socks5h://localhost:1080", "socks5h://localhost:1080"),
    (_settings.requests_session, None, None),
]

SITES = {
    "example.com": "https://example.com",
    " example.com\n": "https://example.com",
    "example.com/blog/": "https://example.com/blog",
    "example.com:8443": "https://example.com:8443",
    "https://example.com": "https://example.com",
    "https://example.com/": "https://example.com",
    "https://user:secret@example.com": "https://example.com",
    "user:secret@example.com/blog": "https://example.com/blog",
    "https://example.com//": "https://example.com",
    "http://example.com/blog/fr": "http://example.com/blog/fr",
    "HTTPS://EXAMPLE.com/Blog": "https://example.com/Blog",
    "http://127.0.0.1:8000": "http://127.0.0.1:8000",
    "http://[::1]:8000/wp": "http://[::1]:8000/wp",
    "http://[fe80::1%25eth0]": "http://[fe80::1%25eth0]",
    "http://my_host-1": "http://my_host-1",
    "https://b\u00fccher.example": "https://xn--bcher-kva.example",
    "https://example.com/caf\u00e9": "https://example.com/caf%C3%A9",
    # This machine, and names for tests, speak http unless told otherwise.
    "localhost": "http://localhost",
    "LocalHost:8080/wp/": "http://localhost:8080/wp",
    "user:secret@localhost:8080": "http://localhost:8080",
    "localhost.": "http://localhost.",
    "site.test.": "http://site.test.",
    "blog.localhost": "http://blog.localhost",
    "127.0.0.1:8000": "http://127.0.0.1:8000",
    "127.1.2.3": "http://127.1.2.3",
    "[::1]:8000/wp": "http://[::1]:8000/wp",
    "site.local": "http://site.local",
    "shop.site.test/blog": "http://shop.site.test/blog",
    "https://localhost": "https://localhost",
    "https://site.test": "https://site.test",
    "localhost.example.com": "https://localhost.example.com",
    "127.0.0.1.example.com": "https://127.0.0.1.example.com",
    "test": "https://test",
    "10.0.0.1": "https://10.0.0.1",
    # Pages of WordPress's own are not a part of its address.
    "https://example.com/wp-json": "https://example.com",
    "https://example.com/wp-json/mwai-ui/v1": "https://example.com",
    "example.com/blog/wp-admin/": "https://example.com/blog",
    "https://example.com/wp-admin/admin.php?page=mwai_settings#x": "https://example.com",
    "example.com/wp-login.php?redirect_to=https://example.com/wp-admin/": "https://example.com",
    "https://user:secret@example.com/fr/index.php/chat/": "https://example.com/fr",
    "https://example.com/index.php?rest_route=/": "https://example.com",
    "localhost:8080/wp-admin": "http://localhost:8080",
    "https://example.com/wp-administration": "https://example.com/wp-administration",
    "https://example.com/my-wp-json": "https://example.com/my-wp-json",
    "https://example.com/index.phpx": "https://example.com/index.phpx",
}

REJECTED: List[Tuple[Callable[[Any], Any], Any, Type[Exception], str]] = [
    (named(validate.text), None, TypeError, "it must be a str, not NoneType"),
    (named(validate.text), b"x", TypeError, "it must be a str, not bytes"),
    (named(validate.text), SURROGATE, ValueError, "it contains a lone surrogate"),
    (named(validate.identifier), "", ValueError, "it is empty"),
    (named(validate.identifier), " \t\n", ValueError, "it is empty"),
    (named(validate.identifier), 5, TypeError, "it must be a str, not int"),
    (named(validate.count), -1, ValueError, "it must not be negative"),
    (named(validate.count), True, TypeError, "it must be an int, not bool"),
    (named(validate.count), 1.0, TypeError, "it must be an int, not float"),
    (named(validate.count), "1", TypeError, "it must be an int, not str"),
    (one_of, "both", ValueError, "it must be one of 'messages', 'prompt', not 'both'"),
    (one_of, None, ValueError, "it must be one of 'messages', 'prompt', not None"),
    (one_of, [], ValueError, "it must be one of 'messages', 'prompt', not []"),
    (named(validate.seconds), 0, ValueError, "it must be more than 0 seconds"),
    (named(validate.seconds), -1.5, ValueError, "it must be more than 0 seconds"),
    (named(validate.seconds), float("nan"), ValueError, "it must be more than 0 seconds"),
    (named(validate.seconds), True, TypeError, "it must be a number of seconds, not bool"),
    (named(validate.seconds), "10", TypeError, "it must be a number of seconds, not str"),
    (named(validate.seconds), Decimal(1), TypeError, "it must be a number of seconds, not Decimal"),
    (validate.limits, (), ValueError, "timeout must be a number, or a pair (connect, silence)"),
    (validate.limits, (1, 2, 3), ValueError, "timeout must be a number, or a pair"),
    (validate.limits, (1, 0), ValueError, "timeout must be more than 0 seconds"),
    (validate.limits, ("1", 2), TypeError, "timeout must be a number of seconds, not str"),
    (validate.limits, {}, TypeError, "timeout must be a number of seconds, not dict"),
    (_settings.secret_headers, [("a", "b")], TypeError, "headers must be a dict, not list"),
    (_settings.secret_headers, "a: b", TypeError, "headers must be a dict, not str"),
    (_settings.secret_headers, {1: "b"}, TypeError, "a header's name must be a str, not int"),
    (_settings.secret_headers, {"a b": "c"}, ValueError, "'a b' cannot be a header's name"),
    (_settings.secret_headers, {"a\n": "c"}, ValueError, "'a\\n' cannot be a header's name"),
    (_settings.secret_headers, {"": "c"}, ValueError, "'' cannot be a header's name"),
    (_settings.secret_headers, {"h\u00e9": "c"}, ValueError, "'h\u00e9' cannot be a header's name"),
    (
        _settings.secret_headers,
        {SURROGATE: "c"},
        ValueError,
        "a header's name contains a lone surrogate",
    ),
    (
        _settings.secret_headers,
        {"Content-Length": "5"},
        ValueError,
        "the header Content-Length is set for",
    ),
    (
        _settings.secret_headers,
        {"transfer-encoding": "chunked"},
        ValueError,
        "transfer-encoding is set for",
    ),
    (
        _settings.secret_headers,
        {"X-A": 5},
        TypeError,
        "the header X-A must be a str or None, not int",
    ),
    (
        _settings.secret_headers,
        {"X-A": b"c"},
        TypeError,
        "the header X-A must be a str or None, not bytes",
    ),
    (_settings.proxy_url, 5, TypeError, "proxy must be a str, not int"),
    (_settings.proxy_url, "", ValueError, "proxy must be a URL such as http://host:port"),
    (_settings.proxy_url, "proxy.example:3128", ValueError, "proxy must be a URL such as"),
    (
        _settings.proxy_url,
        "ftp://proxy.example",
        ValueError,
        "its scheme may be http, https, socks4",
    ),
    (_settings.proxy_url, "http://", ValueError, "proxy must be a URL such as"),
    (_settings.proxy_url, "http://[", ValueError, "proxy is not a URL"),
    (_settings.proxy_url, "http://proxy.example:port", ValueError, "proxy is not a URL"),
    (
        _settings.requests_session,
        requests,
        TypeError,
        "session must be a requests.Session, not module",
    ),
    (
        _settings.requests_session,
        requests.Session,
        TypeError,
        "session must be a requests.Session, not type",
    ),
    (_settings.site_url, 5, TypeError, "site must be a str, not int"),
    (_settings.site_url, "", ValueError, "site is empty"),
    (_settings.site_url, "  ", ValueError, "site is empty"),
    (_settings.site_url, SURROGATE, ValueError, "site contains a lone surrogate"),
    (_settings.site_url, "ftp://example.com", ValueError, "begins with https:// or http://"),
    (_settings.site_url, "https://", ValueError, "site is not the address of a site: 'https://'"),
    (_settings.site_url, "https:///blog", ValueError, "site is not the address of a site"),
    (_settings.site_url, "https://[", ValueError, "site is not a URL"),
    (_settings.site_url, "http:example.com", ValueError, "begins with https:// or http://"),
    (_settings.site_url, "http:/x", ValueError, "begins with https:// or http://"),
    (_settings.site_url, "https:/example.com/blog", ValueError, "begins with https:// or http://"),
    (_settings.site_url, "HTTP//example.com", ValueError, "begins with https:// or http://"),
    (_settings.site_url, "https:\\\\example.com", ValueError, "begins with https:// or http://"),
    (_settings.site_url, "http://https://example.com", ValueError, "begins with https:// or http"),
    (_settings.site_url, "://example.com", ValueError, "site is not the address of a site"),
    (_settings.site_url, "//example.com", ValueError, "site is not the address of a site"),
    (_settings.site_url, "example.com?p=1", ValueError, "without ? or #"),
    (_settings.site_url, "https://example.com:99999", ValueError, "site is not a URL"),
    (_settings.site_url, "https://exa mple.com", ValueError, "site is not the address of a site"),
    (_settings.site_url, "https://example.com\\blog", ValueError, "is not the address of a site"),
    (_settings.site_url, "https://*.com", ValueError, "site is not the address of a site"),
    (_settings.site_url, "https://a%20b.com", ValueError, "site is not the address of a site"),
    (_settings.site_url, "\x1b", ValueError, "site is not the address of a site"),
    (_settings.site_url, "https://example..com", ValueError, "site is not the address of a site"),
    (_settings.site_url, f"https://{'a' * 64}.com", ValueError, "is not the address of a site"),
    (_settings.site_url, "https://example.com/?p=1", ValueError, "without ? or #"),
    (_settings.site_url, "https://example.com/#chat", ValueError, "without ? or #"),
]

WITH_SECRETS: List[Tuple[Callable[[Any], Any], Any]] = [
    (_settings.secret_headers, {"Authorization": f"Bearer {SECRET}\n"}),
    (_settings.secret_headers, {"Authorization": f" {SECRET}"}),
    (_settings.secret_headers, {"Authorization": f"{SECRET}\u20ac"}),
    (_settings.proxy_url, f"ftp://user:{SECRET}@proxy.example"),
    (_settings.proxy_url, f"http://user:{SECRET}@"),
    (_settings.proxy_url, f"http://user:{SECRET}@proxy:port"),
    (_settings.proxy_url, f"http://user:{SECRET}@[proxy"),
    (_settings.proxy_url, f"user:{SECRET}@proxy:3128"),
    (_settings.site_url, f"https:/user:{SECRET}@example.com"),
    (_settings.site_url, f"https://user:1/{SECRET}@example.com"),
    (_settings.site_url, f"https://user:{SECRET}/@example.com"),
    (_settings.site_url, f"https://user:1/wp-admin/{SECRET}@example.com"),
    (_settings.site_url, f"https:user:{SECRET}@example.com"),
    (_settings.site_url, f"http//user:{SECRET}@example.com"),
    (_settings.site_url, f"user:{SECRET}://@example.com"),
    (_settings.site_url, f"https://example.com/?key={SECRET}"),
    (_settings.site_url, f"ftp://{SECRET}@example.com"),
]


@pytest.mark.parametrize(("function", "value", "expected"), ACCEPTED)
def test_accepted(function: Callable[[Any], Any], value: Any, expected: Any) -> None:
    """A valid value is returned in its normalized form."""
    result = function(value)
    assert (type(result), result) == (type(expected), expected)


@pytest.mark.parametrize(("given", "site"), SITES.items())
def test_sites(given: str, site: str) -> None:
    """A site's URL gets a scheme, loses its trailing slashes, and keeps its directory."""
    assert _settings.site_url(given) == site
    assert _settings.site_url(site) == site


@pytest.mark.parametrize(("function", "value", "error_type", "message"), REJECTED)
def test_rejected(
    function: Callable[[Any], Any], value: Any, error_type: Type[Exception], message: str
) -> None:
    """An invalid value raises ValueError or TypeError, with a message that names it."""
    with pytest.raises(error_type) as caught:
        function(value)
    assert type(caught.value) is error_type
    assert message in str(caught.value)


@pytest.mark.parametrize(("function", "value"), WITH_SECRETS)
def test_no_secret_is_quoted(function: Callable[[Any], Any], value: Any) -> None:
    """No message or cause quotes a value that may be a password or a token."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        function(value)
    error = caught.value
    assert SECRET not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


def test_headers_show_no_value() -> None:
    """The repr of a caller's headers has their names only."""
    checked = _settings.secret_headers({"Authorization": SECRET, "DNT": None})
    assert (
        f"{checked} {[checked]}"
        == "<SecretHeaders authorization, dnt> [<SecretHeaders authorization, dnt>]"
    )


class Odd(str):
    """A str that shows itself as something else, as members of ``(str, Enum)`` do."""

    def __str__(self) -> str:
        return "something else"

    __repr__ = __str__

    def __format__(self, _: str) -> str:
        return str(self)


PLAIN: List[Tuple[Callable[[Any], Any], str]] = [
    (validate.plain_str, ""),
    (named(validate.text), "a"),
    (named(validate.identifier), "a"),
    (one_of, "prompt"),
    (_settings.bearer_token, "t0ken"),
    (_settings.proxy_url, "http://127.0.0.1:3128"),
    (_settings.site_url, "https://example.com"),
    (_settings.page_url, "https://example.com/chat/"),
    (lambda value: _settings.secret_headers({value: "a"}).popitem()[0], "x-own"),
    (lambda value: _settings.secret_headers({"a": value})["a"], "own"),
    (lambda value: (_settings.login((value, "x")) or ("", ""))[0], "ada"),
    (lambda value: (_settings.login(("ada", value)) or ("", ""))[1], "x"),
]


@pytest.mark.parametrize(("function", "value"), PLAIN)
def test_a_str_is_its_characters(function: Callable[[Any], Any], value: str) -> None:
    """A str subclass with a `__str__` of its own counts as its characters, as a plain str."""
    result = function(Odd(value))
    assert (type(result), result) == (str, value)


@given(text=strategies.text())
def test_any_str_is_its_characters(text: str) -> None:
    """Any characters of a str subclass come out as a plain str of the same characters."""
    result = validate.plain_str(Odd(text))
    assert (type(result), result) == (str, text)


def test_session_of_a_subclass() -> None:
    """A session is returned itself, even if it is of a subclass."""
    session = type("OwnSession", (requests.Session,), {})()
    assert _settings.requests_session(session) is session


def test_optional() -> None:
    """None is accepted; any other value is checked."""
    assert validate.optional(validate.identifier, None, "it") is None
    assert validate.optional(validate.identifier, "x", "it") == "x"
    with pytest.raises(ValueError, match="it is empty"):
        validate.optional(validate.identifier, "", "it")


ENVIRONMENT: List[Tuple[Any, Dict[str, str], str]] = [
    (None, {}, "default"),
    (None, {"CHATGPT4ONLINE_BOT": "theirs"}, "theirs"),
    (None, {"CHATGPT4ONLINE_BOT": ""}, "default"),
    (None, {"BOT": "other"}, "default"),
    ("ours", {"CHATGPT4ONLINE_BOT": "theirs"}, "ours"),
    ("", {"CHATGPT4ONLINE_BOT": "theirs"}, ""),
]


@pytest.mark.parametrize(("given", "environment", "value"), ENVIRONMENT)
def test_environment(
    given: Any, environment: Dict[str, str], value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The argument wins, then an environment variable that is not empty, then the default."""
    for name, content in environment.items():
        monkeypatch.setenv(name, content)
    assert _settings.from_environment(given, "BOT", "default") == value
