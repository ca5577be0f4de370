"""What a transport has to find out about its site: the nonce, the login, the REST root, a page."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Callable, List, TypeVar

from chatgpt4online._protocol import routes
from chatgpt4online._protocol.answers import parse_namespaces, parse_session_nonce
from chatgpt4online._protocol.failures import check_object, check_user, login_error, rest_api_error
from chatgpt4online._protocol.prelude import INDEX_KEYS, USER_KEYS
from chatgpt4online.errors import ChatGPT4OnlineError, NotFoundError

from .call import Call, CallEnded
from .failures import ErrorContext
from .request import Request

if TYPE_CHECKING:
    from chatgpt4online._protocol.page import Page

    from .transport import Transport

T = TypeVar("T")

log = logging.getLogger("chatgpt4online")


def fetch_nonce(transport: Transport, call: Call) -> str:
    """
    Return a nonce of the client's user, or of a guest.

    The request must not carry a nonce: a stale one is refused.

    Raises:
        ChatGPT4OnlineError: the site gave none, or the login was rejected.
    """
    headers = transport.headers.widget(accept="application/json", content_type=None)
    request = Request(routes.START_SESSION, headers, with_nonce=False, idempotent=True)
    try:
        nonce = transport.fetch(request, call, parse_session_nonce)
    except NotFoundError as error:
        nonce = _nonce_in_page(transport, error, call)
    if transport.has_login:
        _verify_login(transport, call)
    log.debug("%s: a nonce was fetched", request.route)
    return nonce


def _nonce_in_page(transport: Transport, error: NotFoundError, call: Call) -> str:
    """
    Return the nonce of a site whose plugin is older.

    Source: AI Engine 2.0.1 to 2.4.3 print the nonce into the page and have no such route.
    """
    nonce = read_page(transport, transport.page, call).nonce if error.code else None
    if nonce is None:
        raise error
    return nonce


def _verify_login(transport: Transport, call: Call) -> None:
    """
    Raise if the site does not accept the login.

    Source: WordPress answers a wrong password as it answers a guest, except on this route.
    """
    headers = transport.headers.plain(accept="application/json")
    request = Request(
        routes.ME,
        headers,
        method="GET",
        with_nonce=False,
        idempotent=True,
        check=check_user,
        keys=USER_KEYS,
    )
    try:
        transport.fetch(request, call, dict)
    except ChatGPT4OnlineError as error:
        raise transport.context(request, call).translate(login_error(error)) from None


def read_page(transport: Transport, url: str, call: Call) -> Page:
    """
    Return what a page of the site says.

    Raises:
        ChatGPT4OnlineError: the page cannot be fetched.
    """
    from chatgpt4online._protocol.page import parse_page  # here, since few need its HTML parser

    headers = transport.headers.plain(accept="text/html")
    request = Request(url, headers, method="GET", with_nonce=False, idempotent=True)
    html, link = transport.fetch_page(request, call)
    try:
        return parse_page(html, url, link, call.raise_if_ended)
    except CallEnded as error:
        raise transport.context(request, call).translate(error) from None


def namespaces(transport: Transport, call: Call) -> List[str]:
    """
    Return the namespaces of the site's REST API, such as ``wp/v2``.

    Raises:
        ChatGPT4OnlineError: the list cannot be fetched.
    """
    try:
        return _index(transport, call)
    except NotFoundError as error:
        return try_other_roots(transport, error, call, partial(_index, transport, call))


def _index(transport: Transport, call: Call) -> List[str]:
    request = Request(
        routes.index_url(transport.root),
        transport.headers.plain(accept="application/json"),
        method="GET",
        with_nonce=False,
        idempotent=True,
        check=check_object,
        keys=INDEX_KEYS,
    )
    return transport.fetch(request, call, parse_namespaces)


def try_other_roots(
    transport: Transport, error: NotFoundError, call: Call, attempt: Callable[[], T]
) -> T:
    """
    Attempt something at the other places where a site may have its REST API.

    Raises:
        ChatGPT4OnlineError: as `attempt` does; the given error if none of them has a REST API.
    """
    known = transport.root
    try:
        named = read_page(transport, transport.page, call).rest_root
    except NotFoundError:  # which says less than that there is no REST API either
        named = None
    tried = [known]
    for root in (named, routes.plain_root(transport.site)):
        if root is not None and root not in tried and routes.is_same_site(known, root):
            tried.append(root)
            try:
                with transport.trying_root(root):
                    return attempt()
            except NotFoundError as another:
                log.debug("no REST API at %s", root)
                if not another.code:
                    continue
                if root == named:  # AI Engine 2.4.7 answers so at the plain root of any site
                    transport.use_root(root)
                raise
    raise ErrorContext(call, transport.site, error.route).translate(rest_api_error(error, tried))
