"""
What each failure says and advises: a row for each thing that goes wrong.

`ROWS` need a response only, and are tested without a network; `SCENES` need sockets, files or
pages, and are played by ``tests/loopback/test_messages.py``.
"""

from __future__ import annotations

import json
from typing import Dict, NamedTuple, Type

from chatgpt4online import (
    AuthError,
    BlockedError,
    ChatGPT4OnlineError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ReplyError,
    ServerError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)
from chatgpt4online._protocol import routes
from chatgpt4online._protocol.advice import RequestInfo
from chatgpt4online._protocol.failures import error_from_response

NO_ROUTE = json.dumps({"code": "rest_no_route", "message": "No route.", "data": {"status": 404}})
FORBIDDEN = json.dumps({"code": "rest_forbidden", "message": "Sorry.", "data": {"status": 403}})
NONCE = json.dumps({"code": "rest_cookie_invalid_nonce", "message": "Cookie check failed"})
CLOSED = json.dumps({"code": "rest_not_logged_in", "message": "You are not logged in."})
NO_FILE = json.dumps({"success": False, "message": "No file provided."})
REJECTED = json.dumps({"success": False, "message": "Sorry, your query has been rejected."})
IMUNIFY = json.dumps({"message": "Access denied by Imunify360 bot-protection."})
BEFORE = "check before you ask again"


class Row(NamedTuple):
    """What was sent, what came back, and what is and is not said."""

    request_info: RequestInfo
    status: int
    body: str
    error: Type[ChatGPT4OnlineError]
    says: str
    never_says: str = BEFORE
    headers: Dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default


CHAT = RequestInfo(routes.CHAT)
USER_CHAT = CHAT._replace(login="user")
SESSION = RequestInfo(routes.START_SESSION, idempotent=True)
LIST = RequestInfo(routes.LIST_DISCUSSIONS, idempotent=True, login="user")
DELETE = RequestInfo(routes.DELETE_DISCUSSIONS, login="user")
TEXT = RequestInfo(routes.API_TEXT, login="token")
ME = RequestInfo(routes.ME, idempotent=True, login="user")
PAGE = RequestInfo("https://a.example/chat/", idempotent=True)
UPLOAD = RequestInfo(routes.UPLOAD, size=5_000_000)

ROWS = {
    "the public API is off": Row(TEXT, 404, NO_ROUTE, NotFoundError, "1.3.90 or newer"),
    "a route of a newer plugin": Row(
        RequestInfo(routes.API_UPLOAD, login="token"),
        404,
        NO_ROUTE,
        NotFoundError,
        "2.9.3 or newer",
    ),
    "discussions are off": Row(DELETE, 404, NO_ROUTE, NotFoundError, "Discussions are off"),
    "an older plugin": Row(SESSION, 404, NO_ROUTE, NotFoundError, "use Client.from_page"),
    "chatbots are off": Row(CHAT, 404, NO_ROUTE, NotFoundError, "chatbots are off"),
    "no such page": Row(PAGE, 404, "<title>Oops</title>", NotFoundError, "no such page"),
    "no REST API": Row(SESSION, 404, "", NotFoundError, "No WordPress REST API"),
    "a plugin with a fault": Row(SESSION, 401, FORBIDDEN, AuthError, "AI Engine 2.9.0"),
    "a closed REST API": Row(SESSION, 401, CLOSED, AuthError, "log in with auth"),
    "a gate": Row(
        SESSION, 401, "", AuthError, "web server itself", headers={"www-authenticate": "Basic"}
    ),
    "a wrong login": Row(ME, 401, CLOSED, AuthError, "drops the Authorization header", "visitors"),
    "a hidden route": Row(
        ME, 404, NO_ROUTE, NotFoundError, "hides wp/v2/users/me, the route that proves a login"
    ),
    "a wrong token": Row(TEXT, 401, FORBIDDEN, AuthError, "The token is incorrect", "nonce"),
    "a login that was withheld": Row(
        ME._replace(login="withheld", site="https://b.example"),
        401,
        CLOSED,
        AuthError,
        "moved to https://b.example, and the login was not sent there",
        "incorrect",
    ),
    "a token that was withheld": Row(
        TEXT._replace(login="withheld"),
        401,
        FORBIDDEN,
        AuthError,
        "The site has moved, and",
        "token",
    ),
    "a nonce refused twice": Row(CHAT, 403, NONCE, AuthError, "cache", "log in"),
    "no such discussion": Row(DELETE, 403, FORBIDDEN, AuthError, "no such discussion", "nonce"),
    "a user who may not": Row(USER_CHAT, 403, FORBIDDEN, AuthError, "not allowed", "visitors"),
    "a visitor who may not": Row(
        DELETE._replace(login="guest"), 401, FORBIDDEN, AuthError, "log in"
    ),
    "a body too large": Row(UPLOAD, 413, "<h1>413</h1>", StatusError, "5000000 bytes"),
    "a question too large": Row(CHAT, 413, "", StatusError, "The request is larger"),
    "a file too large for PHP": Row(UPLOAD, 400, NO_FILE, ReplyError, "default limit is 2 MB"),
    "a small file": Row(UPLOAD._replace(size=5), 400, NO_FILE, ReplyError, "No file", "2 MB"),
    "a question that may have run": Row(CHAT, 502, "", ServerError, BEFORE, "Nothing was changed"),
    "a list that failed": Row(LIST, 500, "", ServerError, "Nothing was changed: try again later"),
    "a guest's list of files": Row(
        RequestInfo(routes.LIST_FILES, idempotent=True),
        500,
        "",
        ServerError,
        "fail when a guest lists files: log in with auth",
        "try again",
    ),
    "a user's list of files": Row(
        RequestInfo(routes.LIST_FILES, idempotent=True, login="user"),
        500,
        "",
        ServerError,
        "Nothing was changed: try again later",
        "log in",
    ),
    "maintenance": Row(
        SESSION, 503, "", ServerError, "try again in 600 seconds", headers={"retry-after": "600"}
    ),
    "too many requests": Row(CHAT, 429, "", RateLimitError, "Wait before you ask again"),
    "a time to wait": Row(
        CHAT, 429, "", RateLimitError, "Wait 30 seconds", headers={"retry-after": "30"}
    ),
    "a firewall's page": Row(CHAT, 403, "<h1>No</h1>", BlockedError, "firewall"),
    "AWS WAF": Row(
        CHAT, 405, "", BlockedError, "firewall", headers={"x-amzn-waf-action": "challenge"}
    ),
    "Imunify360": Row(CHAT, 415, IMUNIFY, BlockedError, "firewall"),
    "a proxy's login": Row(
        CHAT._replace(proxy="http://proxy.example:3128"),
        407,
        "",
        StatusError,
        "the proxy http://proxy.example:3128 refused with HTTP 407. The proxy wants a login",
        "the site",
    ),
    "a proxy's login in another status": Row(
        CHAT,
        401,
        "",
        AuthError,
        "the proxy refused with HTTP 401. The proxy wants a login",
        "the site",
        headers={"proxy-authenticate": "Basic"},
    ),
    "a limit of the plugin": Row(CHAT, 200, REJECTED, ReplyError, "longer than the bot allows"),
    "anything else": Row(CHAT, 418, "", StatusError, "Check the address and the request"),
}


def message_of(row: Row) -> str:
    """Return what a row's error says."""
    return str(error_of(row))


def error_of(row: Row) -> ChatGPT4OnlineError:
    """Return the error for a row."""
    return error_from_response(
        row.status, row.headers, row.body, now=0.0, request_info=row.request_info
    )


class Saying(NamedTuple):
    """The class of a failure, and what it does and does not say."""

    error: Type[Exception]
    says: str
    never_says: str = BEFORE


UP = "Is the site up"
MAY_HAVE_RUN = f"The site may have run the request: {BEFORE}."

SCENES = {
    "no_listener": Saying(TransportError, "no answer: "),
    "no_such_host": Saying(TransportError, "no answer: "),
    "no_connection": Saying(Timeout, "no connection within the time limit. Is the site up?"),
    "no_rest_api": Saying(NotFoundError, "there is no WordPress REST API at ", "no such page"),
    "page_without_bots": Saying(ValueError, "the page has no AI Engine chatbot", "index"),
    "not_wordpress": Saying(
        ProtocolError, "came instead of an answer: check the site's address", UP
    ),
    "moved_elsewhere": Saying(StatusError, "the site redirects to https://other.example/wp-json/"),
    "moved": Saying(AuthError, ", and the login was not sent there", "incorrect"),
    "untrusted": Saying(TransportError, "the site's certificate is not trusted", UP),
    "plain_http": Saying(TransportError, "the server speaks http, not https", UP),
    "dead_proxy": Saying(TransportError, "Check the proxy's address", UP),
    "unknown_proxy": Saying(TransportError, "Check the proxy's address", UP),
    "proxy_login": Saying(StatusError, "The proxy wants a login", "address"),
    "tunnel_login": Saying(TransportError, "The proxy wants a login", "address"),
    "broken_proxy": Saying(ValueError, "proxy must be a URL such as http://host:port", UP),
    "broken_proxy_of_the_environment": Saying(TransportError, "the proxy's URL cannot be used", UP),
    "socks_without_pysocks": Saying(TransportError, "a SOCKS proxy needs PySocks", UP),
    "bug_in_a_hook": Saying(
        TransportError, "the session's own auth, hook or adapter failed: ValueError in ", UP
    ),
    "reset_on_reuse": Saying(TransportError, "the connection broke: ", "Nothing was changed"),
    "reset_of_a_list": Saying(TransportError, "Nothing was changed: try again later"),
    "silent": Saying(
        Timeout, "the site was silent for longer than the time limit", "Nothing was changed"
    ),
    "silent_nonce": Saying(Timeout, "Nothing was changed: try again later"),
    "late": Saying(
        Timeout, f"the deadline passed before the answer was complete. {MAY_HAVE_RUN}", UP
    ),
    "cut": Saying(StreamInterrupted, "the answer stopped before its end", UP),
    "empty": Saying(StreamInterrupted, f"the answer is empty. {MAY_HAVE_RUN}", UP),
    "broken_json": Saying(ProtocolError, f"the answer is broken JSON. {MAY_HAVE_RUN}", UP),
    "without_reply": Saying(ProtocolError, f"the answer contains no reply. {MAY_HAVE_RUN}", UP),
    "empty_list": Saying(StreamInterrupted, "the answer is empty"),
    "many_headers": Saying(TransportError, "the site's response headers are too large", UP),
    "large_header": Saying(TransportError, "the site's response headers are too large", UP),
    "challenge": Saying(BlockedError, "A firewall or CDN blocked the request"),
    "cached_nonce": Saying(AuthError, "A cache seems to keep the answer of start_session"),
    "journal_in_use": Saying(ValueError, "another run is writing to the journal"),
}
