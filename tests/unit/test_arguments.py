"""What callers may give: what is taken, in which form, and what is refused in which words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Callable, Dict, List, Tuple, Type

import pytest
import requests

from chatgpt4online import _arguments as check

SECRET = "hunter2"
HALF = "\ud83d"  # of a surrogate pair


def named(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return a check that is told that its value is called ``it``."""
    return lambda value: function(value, "it")


def one_of(value: Any) -> str:
    """Check for one of two words."""
    return check.one_of(value, ("messages", "prompt"), "it")


TAKEN: List[Tuple[Callable[[Any], Any], Any, Any]] = [
    (named(check.text), "", ""),
    (named(check.text), "na\u00efve \U0001f389\x00", "na\u00efve \U0001f389\x00"),
    (named(check.identifier), " bot ", " bot "),
    (named(check.count), 0, 0),
    (named(check.count), 10**30, 10**30),
    (one_of, "prompt", "prompt"),
    (named(check.seconds), None, None),
    (named(check.seconds), 1, 1.0),
    (named(check.seconds), 0.001, 0.001),
    (named(check.seconds), 1e6, 1e6),
    (named(check.seconds), 1e6 + 1, None),
    (named(check.seconds), 10**400, None),
    (named(check.seconds), float("inf"), None),
    (check.limits, None, (None, None)),
    (check.limits, 5, (5.0, 5.0)),
    (check.limits, (3, 60), (3.0, 60.0)),
    (check.limits, [3, None], (3.0, None)),
    (check.limits, (None, float("inf")), (None, None)),
    (check.headers, None, {}),
    (check.headers, {}, {}),
    (check.headers, {"X-A": "b", "DNT": None}, {"x-a": "b", "dnt": None}),
    (check.headers, {"x-a": ""}, {"x-a": ""}),
    (check.headers, {"x-a": "caf\u00e9\tau lait"}, {"x-a": "caf\u00e9\tau lait"}),
    (check.proxy_url, None, None),
    (check.proxy_url, "http://127.0.0.1:3128", "http://127.0.0.1:3128"),
    (check.proxy_url, "HTTPS://u:p@proxy.example", "HTTPS://u:p@proxy.example"),
    (check.proxy_url, "socks5h://localhost:1080", "socks5h://localhost:1080"),
    (check.session, None, None),
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
}

REFUSED: List[Tuple[Callable[[Any], Any], Any, Type[Exception], str]] = [
    (named(check.text), None, TypeError, "it must be a str, not NoneType"),
    (named(check.text), b"x", TypeError, "it must be a str, not bytes"),
    (named(check.text), HALF, ValueError, "it holds half of a surrogate pair"),
    (named(check.identifier), "", ValueError, "it is empty"),
    (named(check.identifier), " \t\n", ValueError, "it is empty"),
    (named(check.identifier), 5, TypeError, "it must be a str, not int"),
    (named(check.count), -1, ValueError, "it must not be negative"),
    (named(check.count), True, TypeError, "it must be an int, not bool"),
    (named(check.count), 1.0, TypeError, "it must be an int, not float"),
    (named(check.count), "1", TypeError, "it must be an int, not str"),
    (one_of, "both", ValueError, "it must be one of 'messages', 'prompt', not 'both'"),
    (one_of, None, ValueError, "it must be one of 'messages', 'prompt', not None"),
    (one_of, [], ValueError, "it must be one of 'messages', 'prompt', not []"),
    (named(check.seconds), 0, ValueError, "it must be more than 0 seconds"),
    (named(check.seconds), -1.5, ValueError, "it must be more than 0 seconds"),
    (named(check.seconds), float("nan"), ValueError, "it must be more than 0 seconds"),
    (named(check.seconds), True, TypeError, "it must be a number of seconds, not bool"),
    (named(check.seconds), "10", TypeError, "it must be a number of seconds, not str"),
    (named(check.seconds), Decimal(1), TypeError, "it must be a number of seconds, not Decimal"),
    (check.limits, (), ValueError, "timeout must be a number, or a pair (connect, silence)"),
    (check.limits, (1, 2, 3), ValueError, "timeout must be a number, or a pair"),
    (check.limits, (1, 0), ValueError, "timeout must be more than 0 seconds"),
    (check.limits, ("1", 2), TypeError, "timeout must be a number of seconds, not str"),
    (check.limits, {}, TypeError, "timeout must be a number of seconds, not dict"),
    (check.headers, [("a", "b")], TypeError, "headers must be a dict, not list"),
    (check.headers, "a: b", TypeError, "headers must be a dict, not str"),
    (check.headers, {1: "b"}, TypeError, "a header's name must be a str, not int"),
    (check.headers, {"a b": "c"}, ValueError, "'a b' cannot be a header's name"),
    (check.headers, {"a\n": "c"}, ValueError, "'a\\n' cannot be a header's name"),
    (check.headers, {"": "c"}, ValueError, "'' cannot be a header's name"),
    (check.headers, {"h\u00e9": "c"}, ValueError, "'h\u00e9' cannot be a header's name"),
    (check.headers, {HALF: "c"}, ValueError, "a header's name holds half of a surrogate pair"),
    (check.headers, {"Content-Length": "5"}, ValueError, "the header Content-Length is made for"),
    (check.headers, {"transfer-encoding": "chunked"}, ValueError, "transfer-encoding is made for"),
    (check.headers, {"X-A": 5}, TypeError, "the header X-A must be a str or None, not int"),
    (check.headers, {"X-A": b"c"}, TypeError, "the header X-A must be a str or None, not bytes"),
    (check.proxy_url, 5, TypeError, "proxy must be a str, not int"),
    (check.proxy_url, "", ValueError, "proxy must be a URL such as http://host:port"),
    (check.proxy_url, "proxy.example:3128", ValueError, "proxy must be a URL such as"),
    (check.proxy_url, "ftp://proxy.example", ValueError, "its scheme may be http, https, socks4"),
    (check.proxy_url, "http://", ValueError, "proxy must be a URL such as"),
    (check.proxy_url, "http://[", ValueError, "proxy is not a URL"),
    (check.proxy_url, "http://proxy.example:port", ValueError, "proxy is not a URL"),
    (check.session, requests, TypeError, "session must be a requests.Session, not module"),
    (check.session, requests.Session, TypeError, "session must be a requests.Session, not type"),
    (check.site_url, 5, TypeError, "site must be a str, not int"),
    (check.site_url, "", ValueError, "site is empty"),
    (check.site_url, "  ", ValueError, "site is empty"),
    (check.site_url, HALF, ValueError, "site holds half of a surrogate pair"),
    (check.site_url, "ftp://example.com", ValueError, "begins with https:// or http://"),
    (check.site_url, "https://", ValueError, "site is not the address of a site: 'https://'"),
    (check.site_url, "https:///blog", ValueError, "site is not the address of a site"),
    (check.site_url, "https://[", ValueError, "site is not a URL"),
    (check.site_url, "http:example.com", ValueError, "site is not a URL"),
    (check.site_url, "https://example.com:99999", ValueError, "site is not a URL"),
    (check.site_url, "https://exa mple.com", ValueError, "site is not the address of a site"),
    (check.site_url, "https://example.com\\blog", ValueError, "is not the address of a site"),
    (check.site_url, "https://*.com", ValueError, "site is not the address of a site"),
    (check.site_url, "https://a%20b.com", ValueError, "site is not the address of a site"),
    (check.site_url, "\x1b", ValueError, "site is not the address of a site"),
    (check.site_url, "https://example..com", ValueError, "site is not the address of a site"),
    (check.site_url, f"https://{'a' * 64}.com", ValueError, "is not the address of a site"),
    (check.site_url, "https://example.com/?p=1", ValueError, "without ? or #"),
    (check.site_url, "https://example.com/#chat", ValueError, "without ? or #"),
]

QUOTES_NO_SECRET: List[Tuple[Callable[[Any], Any], Any]] = [
    (check.headers, {"Authorization": f"Bearer {SECRET}\n"}),
    (check.headers, {"Authorization": f" {SECRET}"}),
    (check.headers, {"Authorization": f"{SECRET}\u20ac"}),
    (check.proxy_url, f"ftp://user:{SECRET}@proxy.example"),
    (check.proxy_url, f"http://user:{SECRET}@"),
    (check.proxy_url, f"http://user:{SECRET}@proxy:port"),
    (check.proxy_url, f"http://user:{SECRET}@[proxy"),
    (check.proxy_url, f"user:{SECRET}@proxy:3128"),
    (check.site_url, f"https:/user:{SECRET}@example.com"),
    (check.site_url, f"https://user:1/{SECRET}@example.com"),
    (check.site_url, f"https://user:{SECRET}/@example.com"),
    (check.site_url, f"https://example.com/?key={SECRET}"),
    (check.site_url, f"ftp://{SECRET}@example.com"),
]


@pytest.mark.parametrize(("function", "value", "form"), TAKEN)
def test_taken(function: Callable[[Any], Any], value: Any, form: Any) -> None:
    """What can be used is returned in the one form that the rest of the package knows."""
    taken = function(value)
    assert (type(taken), taken) == (type(form), form)


@pytest.mark.parametrize(("given", "site"), SITES.items())
def test_sites(given: str, site: str) -> None:
    """A site's address gets a scheme, loses what stands for nothing, and keeps its directory."""
    assert check.site_url(given) == site
    assert check.site_url(site) == site


@pytest.mark.parametrize(("function", "value", "kind", "words"), REFUSED)
def test_refused(
    function: Callable[[Any], Any], value: Any, kind: Type[Exception], words: str
) -> None:
    """What cannot be used is refused with the class for its fault, in words that name it."""
    with pytest.raises(kind) as caught:
        function(value)
    assert type(caught.value) is kind
    assert words in str(caught.value)


@pytest.mark.parametrize(("function", "value"), QUOTES_NO_SECRET)
def test_no_secret_is_quoted(function: Callable[[Any], Any], value: Any) -> None:
    """A refusal never quotes what may be a password or a token, nor does its cause."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        function(value)
    error = caught.value
    assert SECRET not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


def test_session_is_itself() -> None:
    """A session is taken as it is, one of a class of the caller's too."""
    own = type("Own", (requests.Session,), {})()
    assert check.session(own) is own


def test_optional() -> None:
    """None passes without a check; anything else is checked."""
    assert check.optional(check.identifier, None, "it") is None
    assert check.optional(check.identifier, "x", "it") == "x"
    with pytest.raises(ValueError, match="it is empty"):
        check.optional(check.identifier, "", "it")


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
    """The argument wins, then the environment's variable unless it is empty, then the default."""
    for name, content in environment.items():
        monkeypatch.setenv(name, content)
    assert check.from_environment(given, "BOT", "default") == value
