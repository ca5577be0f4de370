"""REST roots, and which URLs belong to which site."""

from __future__ import annotations

from typing import Callable, Optional

import pytest

from chatgpt4online._protocol import routes
from chatgpt4online._protocol.routes import (
    index_url,
    moved_root,
    named_root,
    plain_root,
    pretty_root,
    route_url,
    site_of,
)

ROOT = "https://example.com/wp-json"
CHAT = "mwai-ui/v1/chats/submit"
SITE = "https://example.com/blog"


#: The names of the plugin's routes. The others are WordPress's own.
NAMES = [
    name
    for name, value in vars(routes).items()
    if name.isupper()
    and isinstance(value, str)
    and name not in ("DEFAULT_SITE", "DEFAULT_BOT", "ME", "CHAT_INDEX")
]


@pytest.mark.parametrize("name", NAMES)
def test_each_route_is_known(name: str) -> None:
    """Each route of the plugin has a version, and belongs to the parts that it is named after."""
    route = getattr(routes, name)
    assert route in routes.SINCE
    assert (route in routes.PUBLIC_API) == name.startswith("API_")
    assert (route in routes.DISCUSSIONS) == ("DISCUSSION" in name)


@pytest.mark.parametrize("root", [pretty_root, plain_root])
def test_roots_belong_to_their_site(root: Callable[[str], str]) -> None:
    """A REST root belongs to the site that it was built from, sub-directory included."""
    assert site_of(root(SITE)) == SITE


def test_urls_below_a_root() -> None:
    """A route is appended to a root; the index asks only for namespaces, in one query."""
    pretty, plain = pretty_root(SITE), plain_root(SITE)
    assert route_url(pretty, "a/b") == "https://example.com/blog/wp-json/a/b"
    assert route_url(plain, "a/b") == "https://example.com/blog/?rest_route=/a/b"
    assert index_url(pretty) == "https://example.com/blog/wp-json/?_fields=namespaces"
    assert index_url(plain) == "https://example.com/blog/?rest_route=/&_fields=namespaces"


SITES = [
    ("https://example.com/wp-json", "https://example.com"),
    ("https://example.com/wp-json/", "https://example.com"),
    ("https://example.com/a/b/wp-json", "https://example.com/a/b"),
    ("https://example.com/blog/wp-json/", "https://example.com/blog"),
    ("https://example.com/index.php/wp-json", "https://example.com"),
    ("https://example.com/blog/index.php/wp-json/", "https://example.com/blog"),
    ("https://example.com/blog/index.php/chat/", "https://example.com/blog"),
    ("https://example.com/blog/wp-admin/admin.php?page=chat", "https://example.com/blog"),
    ("https://example.com/blog/?rest_route=/", "https://example.com/blog"),
    ("https://example.com/wp-json-api", "https://example.com"),
    ("https://example.com/page", "https://example.com"),
    ("https://example.com/?rest_route=", "https://example.com"),
    ("https://example.com/blog/index.php?rest_route=/", "https://example.com/blog"),
    ("https://example.com/blog/chat/?a=b", "https://example.com"),
    ("http://localhost:8080/", "http://localhost:8080"),
]


@pytest.mark.parametrize(("url", "site"), SITES)
def test_site_of_a_url(url: str, site: str) -> None:
    """A URL of WordPress's own belongs to the site above it; any other one, to its host."""
    assert site_of(url) == site


NAMED = [
    ("https://example.com/wp-json/", "https://example.com/wp-json"),
    ("/fr/wp-json", "https://example.com/fr/wp-json"),
    ("//other.example/wp-json", "https://other.example/wp-json"),
    ("/index.php?rest_route=/", "https://example.com/index.php?rest_route="),
    ("", None),
    (None, None),
    (5, None),
    ("ftp://example.com/wp-json", None),
    ("https://", "https://example.com/chat"),
    ("https://[", None),
    ("https://example.com:port/wp-json", None),
]


@pytest.mark.parametrize(("address", "root"), NAMED)
def test_root_named_by_a_page(address: object, root: Optional[str]) -> None:
    """A page may name its REST root with any http or https URL; anything else names none."""
    assert named_root(address, "https://example.com/chat/") == root


FOLLOWED = [
    (ROOT, f"https://www.example.com/wp-json/{CHAT}", "https://www.example.com/wp-json"),
    ("https://www.example.com/wp-json", f"https://example.com/x/{CHAT}", "https://example.com/x"),
    ("http://example.com/wp-json", f"https://example.com/wp-json/{CHAT}", ROOT),
    (
        "http://example.com:80/wp-json",
        f"https://example.com:443/a/{CHAT}",
        "https://example.com:443/a",
    ),
    ("http://example.com:8080/a", f"http://example.com:8080/b/{CHAT}", "http://example.com:8080/b"),
    (ROOT, f"https://EXAMPLE.com:443/fr/{CHAT}", "https://EXAMPLE.com:443/fr"),
    (ROOT, f"https://example.com/{CHAT}", "https://example.com"),
    (ROOT, f"https://example.com/a/{CHAT}#top", "https://example.com/a"),
    (ROOT, f"https://example.com/a/{CHAT}?", "https://example.com/a"),
    (
        "https://example.com/?rest_route=",
        f"https://www.example.com/?rest_route=/{CHAT}",
        "https://www.example.com/?rest_route=",
    ),
    ("http://[::1]/wp-json", f"http://[::1]/a/{CHAT}", "http://[::1]/a"),
]

NOT_FOLLOWED = [
    (ROOT, f"https://other.example/wp-json/{CHAT}"),
    (ROOT, f"https://www.www.example.com/wp-json/{CHAT}"),
    (ROOT, f"https://m.example.com/wp-json/{CHAT}"),
    (ROOT, f"https://example.com.evil.example/wp-json/{CHAT}"),
    (ROOT, f"http://example.com/wp-json/{CHAT}"),
    (ROOT, f"https://example.com:8443/wp-json/{CHAT}"),
    (ROOT, f"ftp://example.com/wp-json/{CHAT}"),
    ("http://example.com:8080/a", f"https://example.com:8443/a/{CHAT}"),
    ("http://example.com:8080/a", f"https://example.com/a/{CHAT}"),
    (ROOT, f"https://user@example.com/wp-json/{CHAT}"),
    (ROOT, f"https://:pw@example.com/wp-json/{CHAT}"),
    (ROOT, f"https://@example.com/wp-json/{CHAT}"),
    (ROOT, f"https://example.com\\@evil.example/{CHAT}"),
    (ROOT, f"https://example.com/wp-json/{CHAT}?a=b"),
    (ROOT, f"https://example.com/?rest_route=/{CHAT}"),
    (ROOT, "https://example.com/wp-login.php"),
    (ROOT, f"https://example.com/wp-json/x{CHAT}"),
    (ROOT, f"https://example.com/wp-json/{CHAT}/"),
    (ROOT, f"https://example.com:port/wp-json/{CHAT}"),
    (ROOT, f"https://[example.com/wp-json/{CHAT}"),
    (ROOT, f"/wp-json/{CHAT}"),
    (ROOT, ""),
]


@pytest.mark.parametrize(("root", "location", "moved"), FOLLOWED)
def test_redirects_followed(root: str, location: str, moved: str) -> None:
    """A redirect to ``www.``, https or another directory of the same site is followed."""
    assert moved_root(root, CHAT, location) == moved


@pytest.mark.parametrize(("root", "location"), NOT_FOLLOWED)
def test_redirects_not_followed(root: str, location: str) -> None:
    """A redirect to another host, port or route, to http, or with a query is not followed."""
    assert moved_root(root, CHAT, location) is None
