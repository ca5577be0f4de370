"""
What to do about a refusal: one sentence, from the route, the method, the login and the response.

Nothing is said that a client cannot know. The rules are tried in order; the first that applies
is used. What `Client.check` advises owners is here, too.

What is not a refusal is explained where its error is made: a page, a redirect, a REST API that is
not there and files that stay in `failures`; what goes wrong without a response in
`_http.failures`.
"""

from __future__ import annotations

from typing import Callable, Iterable, Literal, NamedTuple, Optional, Tuple

from . import routes

#: PHP's default for the largest upload, in bytes. Source: PHP, `upload_max_filesize`.
_PHP_UPLOAD_LIMIT = 2 * 1024 * 1024

#: Codes of what closes the REST API to visitors. Source: WordPress's handbook; the plugins Disable
#: WP REST API and Disable REST API.
_CLOSED = ("rest_not_logged_in", "rest_login_required", "rest_cannot_access", "rest_disabled")

_LOST_AUTHORIZATION = (
    "or the web server drops the Authorization header, as Apache does with CGI or php-fpm unless a"
    " rule passes it on"
)

#: What a wrong id leads to. Source: AI Engine 3.0.3.
WRONG_BOT = "AI Engine 3.0.3 and newer answer with the default bot for an unknown id"

_EXCLUDE = "the owner should exclude the REST API from it"

CACHED_NONCE = (
    "a cache keeps the answer of start_session, so that expired nonces are given out: " + _EXCLUDE
)

CHATBOTS_OFF = (
    "AI Engine is active there, but its chatbots are switched off: the owner can turn them on in"
    " its settings"
)

PROXY_LOGIN = "The proxy wants a login: give it in the proxy's URL, as http://user:password@host."

#: As whom a request was sent; see `RequestInfo`.
LoginState = Literal["guest", "user", "token", "withheld"]


class RequestInfo(NamedTuple):
    """
    What was sent, and as whom.

    Args:
        route: the REST route, or the URL of a page.
        idempotent: it changes nothing on the site.
        login: ``"guest"``, ``"user"`` (with `auth`), ``"token"``, or ``"withheld"`` where a login
            was not sent, since the site has moved to another origin.
        size: the bytes of an upload, or None.
        site: where the site is now, after redirects.
        proxy: the address of the proxy on the way, without its login; empty if there is none.
    """

    route: str = ""
    idempotent: bool = False
    login: LoginState = "guest"
    size: Optional[int] = None
    site: str = ""
    proxy: str = ""

    @property
    def is_page(self) -> bool:
        """Whether it is for a page."""
        return "://" in self.route


#: Where nothing is known about the request.
UNKNOWN_REQUEST = RequestInfo()


class Refusal(NamedTuple):
    """A response that is not a success, as far as advice depends on it."""

    request_info: RequestInfo
    status: int
    code: str
    is_blocked: bool = False
    retry_after: Optional[float] = None
    wants_password: bool = False  # the header WWW-Authenticate
    is_by_proxy: bool = False


AdviceRule = Tuple[Callable[[Refusal], bool], Callable[[Refusal], str]]


def advice(refusal: Refusal) -> str:
    """Return what to do about a refusal."""
    return next(text(refusal) for applies, text in _RULES if applies(refusal))


def advice_on_reply(message: str, request_info: RequestInfo) -> str:
    """
    Return what to do about a failure that the plugin reports; empty if nothing is known.

    Args:
        message: the plugin's own message.
        request_info: what was sent, and as whom.

    Source: mwai-ui/v1/chats/submit, whose message gives no reason for a rejection.
    """
    if "rejected" in message.lower():
        return (
            " Most often, the message is longer than the bot allows (512 characters by default) or"
            " contains a banned word, or the bot's id is wrong: shorten the message, or check the"
            " id."
        )
    return _advice_on_upload(request_info)


def _advice_on_upload(request_info: RequestInfo) -> str:
    """
    Return what to do about an upload that the plugin refused; empty if its size is no reason.

    Source: 2.8.5 to 3.6.2 answer 500 over PHP's `upload_max_filesize`, and "No file provided." over
    its `post_max_size`.
    """
    size = request_info.size
    if size is None or size <= _PHP_UPLOAD_LIMIT:
        return ""
    return (
        f" The file may be larger than the site accepts: the request has {size} bytes, and"
        " PHP's default limit is 2 MB."
    )


def without_plugin(missing: Iterable[str]) -> str:
    """Return what to do about a site whose REST API lacks these namespaces."""
    return f"the site does not offer {' and '.join(missing)}: is AI Engine installed and active?"


def with_other_output(printed: str) -> str:
    """Return what to do about text that stands before each answer, or its beginning."""
    return (
        f"something prints {printed!r} before each answer: the owner should find the plugin or"
        " theme that prints it"
    )


def _too_old(refusal: Refusal) -> str:
    route = refusal.request_info.route
    since = routes.SINCE.get(route)
    if route in routes.PUBLIC_API:
        return f"The public API is off there, or this route needs AI Engine {since} or newer."
    if route in routes.DISCUSSIONS:
        return f"Discussions are off there, or this needs AI Engine {since} or newer."
    if route == routes.START_SESSION:
        return (
            f"AI Engine is not active there, or older than {since}, which puts its nonce into"
            " pages: use Client.from_page with the URL of a page that has a chatbot."
        )
    if since is None:
        return "AI Engine's chatbots are off there."
    return f"AI Engine's chatbots are off there, or this needs AI Engine {since} or newer."


def _wait(refusal: Refusal) -> str:
    seconds = refusal.retry_after
    return "Wait" + (f" {seconds:.0f} seconds" if seconds else "") + " before you ask again."


def _too_large(refusal: Refusal) -> str:
    size = refusal.request_info.size
    if size is None:
        return "The request is larger than the web server accepts."
    return f"The file is larger than the web server accepts: the request has {size} bytes."


def _server_error(refusal: Refusal) -> str:
    if not refusal.request_info.idempotent:
        return "The site may have run the request: check before you ask again."
    seconds = refusal.retry_after
    return "Nothing was changed: try again " + (
        f"in {seconds:.0f} seconds." if seconds else "later."
    )


def _moved(refusal: Refusal) -> str:
    site = refusal.request_info.site
    return (
        f"The site has moved{f' to {site}' if site else ''}, and the login was not sent there: give"
        " the client that address."
    )


def _is_user(refusal: Refusal) -> bool:
    return refusal.request_info.login == "user"


def _is_guests_file_list(request_info: RequestInfo) -> bool:
    """
    Return whether a guest asked for the list of files.

    Source: 2.8.5, 3.3.9 and 3.6.2 answer that with a fatal error; 2.4.7 and 2.9.2 do not.
    """
    return request_info.route == routes.LIST_FILES and request_info.login == "guest"


_RULES: Tuple[AdviceRule, ...] = (
    (
        lambda r: r.is_blocked,
        lambda _: (
            "A firewall or CDN blocked the request: ask the site's owner to let this client"
            " through."
        ),
    ),
    (lambda r: r.is_by_proxy, lambda _: PROXY_LOGIN),
    (lambda r: r.status == 429, _wait),
    (lambda r: r.status == 413, _too_large),
    (lambda r: r.status == 404 and r.request_info.is_page, lambda _: "There is no such page."),
    (
        lambda r: r.status == 404 and r.request_info.route == routes.ME,
        lambda _: (
            f"Something on the site, such as a security plugin, hides {routes.ME}, the route that"
            " proves a login: the owner should allow it."
        ),
    ),
    (lambda r: r.status == 404 and r.code == "rest_no_route", _too_old),
    (
        lambda r: r.status == 404,
        lambda _: "No WordPress REST API answers there: check the site's address.",
    ),
    (lambda r: r.request_info.login == "withheld" and r.status in (401, 403), _moved),
    (
        lambda r: r.status == 401 and not r.code and r.wants_password,
        lambda _: (
            "The web server itself asks for a password, before WordPress: give it with"
            " session.auth, or as an Authorization header. It cannot be combined with auth."
        ),
    ),
    (
        lambda r: r.request_info.login == "token" and r.status in (401, 403),
        lambda _: f"The token is incorrect, {_LOST_AUTHORIZATION}.",
    ),
    (
        lambda r: r.request_info.route == routes.ME and r.status in (401, 403),
        lambda _: f"The user or the application password is incorrect, {_LOST_AUTHORIZATION}.",
    ),
    (
        lambda r: r.code in _CLOSED and r.status in (401, 403),
        lambda _: "The site closes its REST API to visitors: log in with auth.",
    ),
    (
        lambda r: r.request_info.route == routes.START_SESSION and r.code == "rest_forbidden",
        lambda _: "AI Engine 2.9.0 refuses this to everybody: the owner should update it.",
    ),
    (
        lambda r: r.code == "rest_cookie_invalid_nonce",
        lambda _: (
            "A fresh nonce was refused, too. A cache seems to keep the answer of start_session:"
            f" {_EXCLUDE}."
        ),
    ),
    (
        lambda r: r.request_info.route in routes.DISCUSSIONS and r.status == 403 and _is_user(r),
        lambda _: "This user has no such discussion.",
    ),
    (
        lambda r: r.status in (401, 403) and _is_user(r),
        lambda _: "The user is not allowed to do this.",
    ),
    (
        lambda r: r.status in (401, 403),
        lambda _: "Visitors are not allowed to do this: log in with auth, or check the address.",
    ),
    (
        lambda r: r.status == 500 and _is_guests_file_list(r.request_info),
        lambda _: (
            "Some versions of AI Engine, such as 3.6.2, fail when a guest lists files: log in with"
            " auth."
        ),
    ),
    (lambda r: r.status >= 500, _server_error),
    (lambda _: True, lambda _: "Check the address and the request."),
)
