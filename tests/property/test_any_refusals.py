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


DATES = st.lists(
    st.sampled_from(
        ["Mon,", "23", "Nov", "2026", "00:00:00", "GMT", "-0000", "+9999", "0", "-1", ":"]
    )
).map(" ".join)


@quick
@given(st.one_of(st.text(), DATES))
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


@quick
@given(URLS)
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


@quick
@given(URLS)
def test_proxy(value: str) -> None:
    """Any text is the URL of a proxy, or raises ValueError."""
    try:
        assert _settings.proxy_url(value) == value
    except ValueError:
        return


@quick
@given(st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.text(max_size=5))))
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
