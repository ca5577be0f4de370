"""Any refusal by a site and any argument give a valid value or the right exception."""

from __future__ import annotations

import json
from typing import Any, Dict
from urllib.parse import urlsplit

import requests
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import json_values, quick

from chatgpt4online import ChatGPT4OnlineError, ReplyError, StatusError, _settings
from chatgpt4online._protocol.advice import UNKNOWN_REQUEST
from chatgpt4online._protocol.failures import (
    error_from_response,
    page_error,
    redirect_error,
    retry_after,
)
from chatgpt4online._protocol.fields import plain_text
from chatgpt4online._protocol.routes import moved_root

ROOT = "https://example.com/wp-json"
CHAT = "mwai-ui/v1/chats/submit"
NOW = 1700000000.0

BODIES = st.one_of(
    st.text(),
    json_values().map(json.dumps),
    st.dictionaries(
        st.sampled_from(["code", "message", "data", "success", "type"]), json_values()
    ).map(json.dumps),
    st.lists(
        st.sampled_from(
            ["<title>", "</title>", "{", "}", '"code"', ":", "<", ">", "cf-chl", "\x1b"]
        )
    ).map("".join),
)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "cf-mitigated", "x-request-id", "cf-ray"]),
    st.one_of(st.text(), st.integers().map(str), st.datetimes().map(lambda d: d.ctime())),
)


@quick
@given(st.integers(300, 999), HEADERS, BODIES)
def test_refusal(status: int, headers: Dict[str, str], body: str) -> None:
    """Any refusal becomes an error of the package, with its status and a printable message."""
    error = error_from_response(status, headers, body, now=NOW, request_info=UNKNOWN_REQUEST)
    assert isinstance(error, (StatusError, ReplyError))
    assert str(error).isprintable()
    assert len(str(error)) < 1500
    if isinstance(error, StatusError):
        assert error.status == status
        assert error.retry_after is None or error.retry_after >= 0


@quick
@given(HEADERS, BODIES)
def test_page(headers: Dict[str, str], body: str) -> None:
    """Any page instead of an answer becomes an error of the package with a printable message."""
    error = page_error(200, headers, body, now=NOW, request_info=UNKNOWN_REQUEST)
    assert isinstance(error, ChatGPT4OnlineError)
    assert str(error).isprintable()


@quick
@given(st.one_of(st.text(), json_values()))
def test_plain_text(value: Any) -> None:
    """Any message of a site becomes one printable line of at most 500 characters."""
    text = plain_text(value)
    assert text.isprintable()
    assert len(text) <= 500
    assert text == text.strip()


DATES = st.builds(
    " ".join,
    st.tuples(
        st.sampled_from(["Mon,", "Tue,", ""]),
        st.sampled_from(["23", "1", "31", "0", "-1"]),
        st.sampled_from(["Nov", "Feb", "Mai"]),
        st.sampled_from(["2026", "2000", "1", "9999", "99999"]),
        st.sampled_from(["00:00:00", "23:59", "25:00:00", ":"]),
        st.sampled_from(["GMT", "-0000", "+9999", "+0200", ""]),
    ),
)
SECONDS = st.one_of(st.integers(-9, 9), st.integers()).map(str)


@quick
@given(st.one_of(DATES, SECONDS, st.text()))
@example("Mon, 23 Nov 0000 00:00:00 GMT")
def test_retry_after(value: str) -> None:
    """Any Retry-After gives a non-negative number of seconds or None."""
    seconds = retry_after({"retry-after": value}, NOW)
    assert seconds is None or seconds >= 0


URLS = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            [
                "https://",
                "http://",
                "//",
                "example.com",
                "www.",
                "evil.example",
                "@",
                ":",
                "80",
                "\\",
                "/",
                CHAT,
                "/wp-json/",
                "?",
                "#",
                "[",
                "]",
                "\t",
                " ",
                "user",
                "%2f",
                "..",
            ]
        )
    ).map("".join),
)


#: Where a redirect may lead, near enough to the site that some of them are followed.
MOVED = st.builds(
    "{}://{}{}{}/{}{}".format,
    st.sampled_from([*["https"] * 3, "http"]),
    st.sampled_from([*["example.com", "www.example.com"] * 2, "evil.example", "u@example.com"]),
    st.sampled_from([*["", ":443"] * 2, ":8443", ":x"]),
    st.sampled_from(["/wp-json", "/fr/wp-json", ""]),
    st.sampled_from([*[CHAT] * 4, "mwai-ui/v1"]),
    st.sampled_from(["", "", "?", "#x", "?x=1"]),
)


@quick
@given(st.one_of(MOVED, URLS))
@example(f"https://www.example.com:443/fr/wp-json/{CHAT}#x")
def test_moved_root(location: str) -> None:
    """Wherever a redirect leads, a question follows it only to the same host over https."""
    moved = moved_root(ROOT, CHAT, location)
    if moved is not None:
        sent = urlsplit(str(requests.Request("POST", f"{moved}/{CHAT}").prepare().url))
        assert sent.scheme == "https"
        assert sent.hostname in ("example.com", "www.example.com")
        assert sent.path.endswith("/" + CHAT)
        assert (sent.port or 443, sent.username, sent.query) == (443, None, "")


@quick
@given(st.integers(300, 399), URLS)
def test_redirect_error(status: int, target: str) -> None:
    """A redirect to any target becomes an error with its status and a printable message."""
    error = redirect_error(status, target)
    assert error.status == status
    assert str(error).isprintable()


@quick
@given(URLS)
def test_site(given_site: str) -> None:
    """Any text is normalized to the URL of a site, or raises ValueError."""
    try:
        site = _settings.site_url(given_site)
    except ValueError:
        return
    parts = urlsplit(site)
    assert parts.scheme in ("http", "https")
    assert parts.hostname
    assert not any((parts.username, parts.password, parts.query, parts.fragment))
    assert _settings.site_url(site) == site
    assert site.isascii()


PROXIES = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https", "socks5", "socks5h", "SOCKS4", "ftp"]),
    st.sampled_from(["", "user:pass@", "user@", ":@"]),
    st.sampled_from(["127.0.0.1", "[::1]", "proxy.example", "a", "[", ""]),
    st.sampled_from(["", ":3128", ":0", ":x", ":99999", "/", "?x"]),
)


@quick
@given(st.one_of(PROXIES, URLS))
def test_proxy(value: str) -> None:
    """Any text is the URL of a proxy, with a host and a port that it may have, or an error."""
    try:
        given = _settings.proxy_url(value)
    except ValueError:
        return
    assert given == value
    parts = urlsplit(value)
    assert parts.scheme in ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
    assert parts.hostname
    assert parts.port in (None, *range(1 << 16))


LATIN = st.characters(max_codepoint=0x17F)
NAMES = st.one_of(
    st.sampled_from(["X-A", "x-b", "Cookie", "Content-Type", "Content-Length", "x y", "\u00e9"]),
    st.text(LATIN, max_size=5),
)
#: Headers of which many can be sent, some with a character that cannot.
FIELDS = st.dictionaries(
    st.sampled_from(["X-A", "x-b", "Cookie", "Content-Type"]),
    st.one_of(
        st.none(),
        st.text(st.sampled_from("aZ9;= \t\u00e9\u00ff"), max_size=5),
        st.text(LATIN, max_size=3),
    ),
    max_size=3,
)
ANY_FIELDS = st.dictionaries(NAMES, st.one_of(st.none(), st.text(max_size=5)), max_size=3)


@quick
@given(st.one_of(FIELDS, ANY_FIELDS))
def test_headers(headers: Dict[str, Any]) -> None:
    """Any headers can be sent by requests and http.client, or raise ValueError."""
    try:
        accepted = _settings.secret_headers(headers)
    except ValueError:
        return
    fields = {name: value for name, value in accepted.items() if value is not None}
    prepared = requests.Request("POST", ROOT, headers=fields).prepare()
    for name in fields:
        str(prepared.headers[name]).encode("latin-1")
        name.encode("ascii")
