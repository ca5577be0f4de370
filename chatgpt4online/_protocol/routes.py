"""Routes of AI Engine and WordPress, the roots of REST APIs, and which site a URL belongs to."""

from __future__ import annotations

import re
from typing import Optional
from urllib.parse import quote, urljoin, urlsplit

DEFAULT_SITE = "https://chatgpt4online.org"

#: The bot that every installation of AI Engine has.
DEFAULT_BOT = "default"

# Routes, relative to a site's REST root.

CHAT = "mwai-ui/v1/chats/submit"
START_SESSION = "mwai/v1/start_session"
UPLOAD = "mwai-ui/v1/files/upload"
LIST_FILES = "mwai-ui/v1/files/list"
DELETE_FILES = "mwai-ui/v1/files/delete"
LIST_DISCUSSIONS = "mwai-ui/v1/discussions/list"
RENAME_DISCUSSION = "mwai-ui/v1/discussions/edit"
DELETE_DISCUSSIONS = "mwai-ui/v1/discussions/delete"

# The public API, which a site's owner has to enable.

API_TEXT = "mwai/v1/simpleTextQuery"
API_MODERATE = "mwai/v1/moderationCheck"
API_CHATBOT = "mwai/v1/simpleChatbotQuery"
API_JSON = "mwai/v1/simpleJsonQuery"
API_VISION = "mwai/v1/simpleVisionQuery"
API_IMAGE = "mwai/v1/simpleImageQuery"
API_WHOAMI = "mwai/v1/simpleAuthCheck"
API_EDIT_IMAGE = "mwai/v1/simpleImageEditQuery"
API_BOTS = "mwai/v1/listChatbots"
API_TRANSCRIBE = "mwai/v1/simpleTranscribeAudio"
API_FAST_TEXT = "mwai/v1/simpleFastTextQuery"
API_UPLOAD = "mwai/v1/simpleFileUpload"

#: The version of AI Engine that brought each route.
SINCE = {
    CHAT: "1.6.76",
    START_SESSION: "2.4.4",
    UPLOAD: "1.9.95",
    LIST_FILES: "2.1.5",
    DELETE_FILES: "2.1.5",
    LIST_DISCUSSIONS: "1.6.79",
    RENAME_DISCUSSION: "2.6.5",
    DELETE_DISCUSSIONS: "2.6.5",
    API_TEXT: "1.3.90",
    API_MODERATE: "1.3.90",
    API_CHATBOT: "1.9.3",
    API_JSON: "1.9.96",
    API_VISION: "1.9.96",
    API_IMAGE: "2.1.6",
    API_WHOAMI: "2.1.6",
    API_EDIT_IMAGE: "2.8.2",
    API_BOTS: "2.8.5",
    API_TRANSCRIBE: "2.8.9",
    API_FAST_TEXT: "2.9.2",
    API_UPLOAD: "2.9.3",
}

DISCUSSIONS = frozenset(route for route in SINCE if "/discussions/" in route)
PUBLIC_API = frozenset(route for route in SINCE if route.startswith("mwai/v1/")) - {START_SESSION}

#: WordPress's own route for the current user.
ME = "wp/v2/users/me"

#: The index of the chat's namespace, which lists its routes. Source: WordPress.
CHAT_INDEX = "mwai-ui/v1"

#: The namespaces, in the index of a REST API, that a chat needs. Source: AI Engine 2.4.4.
NAMESPACES = ("mwai/v1", CHAT_INDEX)


def pretty_root(site: str) -> str:
    """Return the REST root of a site with pretty permalinks. Source: WordPress's default."""
    return site + "/wp-json"


def plain_root(site: str) -> str:
    """Return the REST root of a site with plain permalinks. Source: WordPress."""
    return site + "/?rest_route="


def route_url(root: str, route: str) -> str:
    """Return the URL of a route. It is appended, because a root may end in a query."""
    return f"{root}/{route}"


def index_url(root: str) -> str:
    """Return the URL of the index of a REST API, limited to its namespaces. Source: WordPress."""
    return f"{root}/{'&' if '?' in root else '?'}_fields=namespaces"


def printable_url(url: str) -> str:
    """Return a site's URL as errors and logs may show it: control characters are encoded."""
    if url.isprintable():
        return url
    return "".join(c if c.isprintable() else quote(c, errors="replace") for c in url)


def named_root(address: object, page: str) -> Optional[str]:
    """
    Return the REST root that a page names, as an absolute URL; None if it names none.

    Args:
        address: the page's value, which may be a relative URL or no URL at all.
        page: the page's URL.
    """
    if not isinstance(address, str) or not address:
        return None
    try:
        root = printable_url(urljoin(page, address).rstrip("/"))
        parts = urlsplit(root)
        parts.port  # noqa: B018 - raises if the port is not a number
    except ValueError:
        return None
    return root if parts.scheme in ("http", "https") and parts.hostname else None


def site_path(path: str) -> str:
    """
    Return a site's part of a URL's path: what precedes WordPress's own pages, or all of it.

    Source: WordPress's REST API, its dashboard, its login, and permalinks without rewrite rules.
    """
    own_pages = "/(?:wp-json|wp-admin|wp-login[.]php|index[.]php)(?=/|$)"
    return re.split(own_pages, path, maxsplit=1)[0]


def site_of(url: str) -> str:
    """Return the site of a REST root or another URL of WordPress; else scheme and host."""
    parts = urlsplit(url)
    path = site_path(parts.path)
    is_of_wordpress = path != parts.path or parts.query.startswith("rest_route=")
    return f"{parts.scheme}://{parts.netloc}" + (path.rstrip("/") if is_of_wordpress else "")


def is_same_site(old: str, new: str) -> bool:
    """
    Return whether a redirect from one URL to another may be followed.

    It may add or drop a leading ``www.``, and go from http on port 80 to https on port 443.
    """
    try:
        before, after = urlsplit(old), urlsplit(new)
        ports = (before.port or _port(before.scheme), after.port or _port(after.scheme))
    except ValueError:
        return False
    schemes = (before.scheme, after.scheme)
    return (
        _without_www(before.hostname) == _without_www(after.hostname)
        and schemes in (("http", "http"), ("https", "https"), ("http", "https"))
        and (ports[0] == ports[1] or ports == (80, 443))
        and after.username is None
    )


def moved_root(root: str, route: str, location: str) -> Optional[str]:
    """
    Return the REST root that a redirect leads to; None if the redirect must not be followed.

    It must keep the route at its end, and lead to the same site.

    Args:
        root: the REST root of the request.
        route: the route of the request.
        location: the URL that the response redirects to.
    """
    target = location.partition("#")[0].rstrip("?")
    is_kept = target.endswith("/" + route) and ("?" in target) == ("?" in root)
    return target[: -len(route) - 1] if is_kept and is_same_site(root, target) else None


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _without_www(host: Optional[str]) -> str:
    host = host or ""
    return host[4:] if host.startswith("www.") else host
