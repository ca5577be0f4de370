"""The testing site's pages, and the URLs at which a site can be found."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any, Dict, Iterator, List

import pytest
import requests
from visitors import PNG, TIMEOUT, Visitor, current_site, refusal

from chatgpt4online.testing import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """Start a site with two users and the public API."""
    with current_site() as server:
        yield server


# Pages.


def systems(page: str) -> List[Dict[str, Any]]:
    """Return the data-system of each chatbot in a page."""
    found = re.findall("data-system='([^']*)'", page)
    return [json.loads(unescape(text)) for text in found]


def test_pages_show_bots(server: Server) -> None:
    """A page has one element per bot, in order; an id of digits becomes a number."""
    server.bot("123", start_sentence='It\'s <me> & "you"')
    server.bot("9", custom=True)
    server.page("/chat/", bots=["123", "default", "9"])
    page = requests.get(server.url + "/chat/?x=y", timeout=TIMEOUT)

    assert [system["botId"] for system in systems(page.text)] == [123, "default", None]
    assert [system["customId"] for system in systems(page.text)] == [None, None, 9]
    params = json.loads(unescape(re.findall("data-params='([^']*)'", page.text)[0]))
    assert params["startSentence"] == 'It\'s <me> & "you"'
    assert f'<{server.url}/wp-json/>; rel="https://api.w.org/"' in page.headers["Link"]


def test_a_page_needs_known_bots(server: Server) -> None:
    """A page with an unknown bot raises ValueError."""
    with pytest.raises(ValueError, match="no bot 'nobody'"):
        server.page("/chat/", bots=["default", "nobody"])


def test_a_page_can_be_given_as_html(server: Server) -> None:
    """``html`` is the complete page; the front page exists from the start."""
    assert requests.get(server.url + "/", timeout=TIMEOUT).status_code == 200
    server.page("/", html="<p>é</p>")

    page = requests.get(server.url + "/", timeout=TIMEOUT)
    assert (page.text, page.headers["Content-Type"]) == ("<p>é</p>", "text/html; charset=UTF-8")
    assert requests.post(server.url + "/", timeout=TIMEOUT).status_code == 404


def test_a_page_can_be_scripted(server: Server) -> None:
    """A page is scripted by its path, as a route by its name."""
    server.sends(b"<p>", content_type="text/html", route="/chat/")
    server.stalls(seconds=0.01, route="/")

    assert requests.get(server.url + "/chat/", timeout=TIMEOUT).text == "<p>"
    assert requests.get(server.url + "/", timeout=TIMEOUT).status_code == 200


def test_version_2_4_3_has_its_nonce_in_the_page() -> None:
    """Version 2.4.3 has no start_session, and a valid nonce in its pages."""
    with Server("2.4.3") as server:
        server.page("/chat/", bots=["default"])
        root = server.url + "/wp-json"
        start = requests.post(f"{root}/mwai/v1/start_session", timeout=TIMEOUT)
        (system,) = systems(requests.get(server.url + "/chat/", timeout=TIMEOUT).text)
        headers = {"X-WP-Nonce": system["restNonce"]}
        question = {"botId": "default", "newMessage": "Hi"}
        answer = requests.post(
            f"{root}/mwai-ui/v1/chats/submit", json=question, headers=headers, timeout=TIMEOUT
        )

    assert refusal(start) == (404, "rest_no_route")
    assert answer.json()["reply"] == "Echo(1 msgs): Hi"


def test_a_page_without_its_slash_redirects(server: Server) -> None:
    """WordPress redirects to the page's own address, with the query; others are a 404."""
    server.page("/chat/", bots=["default"])

    page = requests.get(server.url + "/chat?x=y", timeout=TIMEOUT)

    assert [step.status_code for step in page.history] == [301]
    assert page.url == server.url + "/chat/?x=y"
    assert requests.get(server.url + "/other", timeout=TIMEOUT).status_code == 404


# URLs.


def started(url: str) -> bool:
    """Return whether start_session works at a URL."""
    return (
        requests.post(url, timeout=TIMEOUT).headers["Content-Type"].startswith("application/json")
    )


def test_a_site_in_a_directory() -> None:
    """With ``path``, all URLs are below it, including those that the site returns."""
    with Server(path="/blog/") as server:
        visitor = Visitor(server)
        uploaded = visitor.upload().json()["data"]
        home = requests.get(server.url + "/", timeout=TIMEOUT)

        assert server.url.endswith("/blog")
        assert visitor.reply() == "Echo(1 msgs): Hi"
        assert requests.get(uploaded["url"], timeout=TIMEOUT).content == PNG
        assert f"{server.url}/wp-json/" in home.headers["Link"]
        assert not started(server.url[: -len("/blog")] + "/wp-json/mwai/v1/start_session")


@pytest.mark.parametrize("path", ["/", "/abcd/", "/blogs/", "/abcd", "/blo"])
def test_outside_of_the_directory(path: str) -> None:
    """A site in a directory answers nothing outside it."""
    with Server(path="/blog") as site:
        origin = site.url[: -len("/blog")]
        assert requests.get(site.url + "/", timeout=TIMEOUT).status_code == 200
        assert requests.get(site.url, timeout=TIMEOUT).url == site.url + "/"
        outside = requests.get(origin + path, timeout=TIMEOUT)
        nonce = requests.post(origin + path + "wp-json/mwai/v1/start_session", timeout=TIMEOUT)
    assert (outside.status_code, outside.history, nonce.status_code) == (404, [], 404)
    assert "Link" not in outside.headers


def test_a_site_with_another_prefix() -> None:
    """``rest_prefix`` replaces wp-json."""
    with Server(rest_prefix="api") as server:
        assert started(server.url + "/api/mwai/v1/start_session")
        assert not started(server.url + "/wp-json/mwai/v1/start_session")
        assert f"<{server.url}/api/>" in requests.get(server.url, timeout=TIMEOUT).headers["Link"]


@pytest.mark.parametrize("version", ["2.4.7", "3.6.2"])
def test_a_site_without_permalinks(version: str) -> None:
    """Without permalinks, routes are in the query, with or without index.php."""
    with Server(version, permalinks=False) as server:
        server.page("/chat/", bots=["default"])
        (system,) = systems(requests.get(server.url + "/chat/", timeout=TIMEOUT).text)

        assert system["restUrl"] == server.url + "/index.php?rest_route="
        assert started(system["restUrl"] + "/mwai/v1/start_session")
        assert started(server.url + "/?rest_route=/mwai/v1/start_session")
        assert not started(server.url + "/wp-json/mwai/v1/start_session")


@pytest.mark.parametrize("address", ["/wp-json", "/wp-json/", "/?rest_route=/"])
def test_the_index_lists_namespaces_and_routes(server: Server, address: str) -> None:
    """The index has namespaces and routes, or only the requested fields."""
    index = requests.get(server.url + address, timeout=TIMEOUT).json()
    joint = "&" if "?" in address else "?"
    part = requests.get(f"{server.url}{address}{joint}_fields=url,nothing", timeout=TIMEOUT).json()

    assert {"mwai/v1", "mwai-ui/v1"} <= set(index["namespaces"])
    assert "/mwai-ui/v1/chats/submit" in index["routes"]
    assert index["url"] == server.url
    assert set(part) == {"url", "_links"}


def test_a_namespace_lists_its_routes(server: Server) -> None:
    """The index of a namespace has its routes only."""
    index = requests.get(server.url + "/wp-json/mwai-ui/v1", timeout=TIMEOUT).json()

    assert index["namespace"] == "mwai-ui/v1"
    assert "/mwai-ui/v1/chats/submit" in index["routes"]
    assert "/mwai/v1/start_session" not in index["routes"]
