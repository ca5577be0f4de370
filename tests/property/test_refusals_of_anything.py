"""Whatever a site refuses with, or a caller gives: a value, or an error of the right kind."""

from __future__ import annotations

import json
from typing import Any, Dict
from urllib.parse import urlsplit

import requests
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import json_values, quick

from chatgpt4online import ChatGPT4OnlineError, ReplyError, StatusError, _validation
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
    """Any refusal is one of our errors, with the status that came, in words that can be printed."""
    error = error_from_response(status, headers, body, now=NOW)
    assert isinstance(error, (StatusError, ReplyError))
    assert str(error).isprintable()
    assert len(str(error)) < 1500
    if isinstance(error, StatusError):
        assert error.status == status
        assert error.retry_after is None or error.retry_after >= 0


@quick
@given(HEADERS, BODIES)
def test_page(headers: Dict[str, str], body: str) -> None:
    """Any page in place of an answer is one of our errors, in words that can be printed."""
    error = page_error(200, headers, body, now=NOW)
    assert isinstance(error, ChatGPT4OnlineError)
    assert str(error).isprintable()


@quick
@given(st.one_of(st.text(), json_values()))
def test_plain(value: Any) -> None:
    """Anything that a site says becomes one line of printable text, of 500 characters at most."""
    words = plain_text(value)
    assert words.isprintable()
    assert len(words) <= 500
    assert words == words.strip()


DATES = st.lists(
    st.sampled_from(
        ["Mon,", "23", "Nov", "2026", "00:00:00", "GMT", "-0000", "+9999", "0", "-1", ":"]
    )
).map(" ".join)


@quick
@given(st.one_of(st.text(), DATES))
@example("Mon, 23 Nov 0000 00:00:00 GMT")
def test_retry_after(value: str) -> None:
    """Any Retry-After is a number of seconds that is not negative, or None."""
    seconds = retry_after({"retry-after": value}, NOW)
    assert seconds is None or seconds >= 0


PLACES = st.one_of(
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


@quick
@given(PLACES)
def test_moved_root(location: str) -> None:
    """Wherever a redirect leads, a question follows it to the same host over https alone."""
    moved = moved_root(ROOT, CHAT, location)
    if moved is not None:
        sent = urlsplit(str(requests.Request("POST", f"{moved}/{CHAT}").prepare().url))
        assert sent.scheme == "https"
        assert sent.hostname in ("example.com", "www.example.com")
        assert sent.path.endswith("/" + CHAT)
        assert (sent.port or 443, sent.username, sent.query) == (443, None, "")


@quick
@given(st.integers(300, 399), PLACES)
def test_redirect_error(status: int, target: str) -> None:
    """A redirect to anything is one of our errors, in words that can be printed."""
    error = redirect_error(status, target)
    assert error.status == status
    assert str(error).isprintable()


@quick
@given(PLACES)
def test_site(given_site: str) -> None:
    """Any text is a site's address, in a form that is kept, or refused with a ValueError."""
    try:
        site = _validation.site_url(given_site)
    except ValueError:
        return
    parts = urlsplit(site)
    assert parts.scheme in ("http", "https")
    assert parts.hostname
    assert not any((parts.username, parts.password, parts.query, parts.fragment))
    assert _validation.site_url(site) == site
    assert site.isascii()


@quick
@given(PLACES)
def test_proxy(value: str) -> None:
    """Any text is a proxy's URL, or refused with a ValueError."""
    try:
        assert _validation.proxy_url(value) == value
    except ValueError:
        return


@quick
@given(st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.text(max_size=5))))
def test_headers(headers: Dict[str, Any]) -> None:
    """Headers that are taken are those that requests and http.client send."""
    try:
        taken = _validation.headers(headers)
    except ValueError:
        return
    fields = {name: value for name, value in taken.items() if value is not None}
    prepared = requests.Request("POST", ROOT, headers=fields).prepare()
    for name in fields:
        str(prepared.headers[name]).encode("latin-1")
        name.encode("ascii")
