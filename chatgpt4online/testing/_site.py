"""One WordPress site with AI Engine: takes a request, returns a response; no sockets here."""

from __future__ import annotations

import secrets
from threading import Lock
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.parse import urlsplit

from ._bots import Bots
from ._chats import Chats
from ._config import SiteConfig
from ._discussions import Discussions
from ._files import Files
from ._http import HTTPResponse, Request, query_parameter
from ._model import PluginError
from ._pages import Pages
from ._public_api import PublicApi
from ._responses import (
    critical_error,
    forbidden,
    json_response,
    no_route,
    with_headers,
    wordpress_error,
)
from ._rest import Endpoint, InvalidJsonError, RestRequest, parse_body, require_nonce
from ._script import Script
from ._users import GUEST, Nonces, Users

NAMESPACES = ["oembed/1.0", "mwai-ui/v1", "mwai/v1", "wp/v2", "wp-site-health/v1"]
ALLOWED_HEADERS = "Authorization, X-WP-Nonce, Content-Disposition, Content-MD5, Content-Type"
REST_HEADERS = [
    ("X-Robots-Tag", "noindex"),
    ("X-Content-Type-Options", "nosniff"),
    ("Access-Control-Expose-Headers", "X-WP-Total, X-WP-TotalPages, Link"),
    ("Access-Control-Allow-Headers", ALLOWED_HEADERS),
]


class Site:
    """
    One WordPress site with the plugin.

    Args:
        config: the site's version, address and clock.
        token: the bearer token of the public API; None if the API is off.
        next_script: removes and returns the script that is due for a route or a page's path.

    Source: WordPress core, the order of checks and the headers of REST responses; AI Engine 3.6.2
    and 2.4.7, the routes.
    """

    def __init__(
        self, config: SiteConfig, token: Optional[str], next_script: Callable[[str], Script]
    ) -> None:
        self.config = config
        self.nonces = Nonces(config.clock)
        self.users = Users()
        self.bots = Bots(config)
        self.pages = Pages(config, self.bots, self.nonces)
        self._next_script = next_script
        self._lock = Lock()
        self._files = Files(config)
        self._discussions = Discussions(config)
        self._chats = Chats(config, self.bots, self._files, self._discussions)
        self.policy = self._chats.policy
        api = PublicApi(
            token,
            config=config,
            users=self.users,
            bots=self.bots,
            files=self._files,
            discussions=self._discussions,
            chats=self._chats,
        )
        endpoints = {**self._endpoint_table(), **api.endpoints()}
        missing = config.profile.missing_routes
        self._endpoints = {key: each for key, each in endpoints.items() if key[1] not in missing}

    def _endpoint_table(self) -> Dict[Tuple[str, str], Endpoint]:
        files, discussions = self._files, self._discussions
        return {
            ("GET", "/"): Endpoint(self._index),
            ("GET", "/wp/v2/users/me"): Endpoint(self._current_user),
            ("POST", "/mwai/v1/start_session"): Endpoint(self._start_session, new_token=True),
            ("POST", "/mwai-ui/v1/chats/submit"): Endpoint(
                self._chats.submit, require_nonce, asks_model=True, new_token=True
            ),
            ("POST", "/mwai-ui/v1/files/upload"): Endpoint(files.upload, require_nonce),
            ("POST", "/mwai-ui/v1/files/list"): Endpoint(self._list_files, require_nonce),
            ("POST", "/mwai-ui/v1/files/delete"): Endpoint(files.delete, require_nonce),
            ("POST", "/mwai-ui/v1/discussions/list"): Endpoint(discussions.list, new_token=True),
            ("POST", "/mwai-ui/v1/discussions/edit"): Endpoint(discussions.edit, new_token=True),
            ("POST", "/mwai-ui/v1/discussions/delete"): Endpoint(
                discussions.delete, discussions.may_delete, new_token=True
            ),
        }

    def script_key(self, request: Request) -> str:
        """Return the key under which scripts for a request are stored: its route or its path."""
        return self.config.route(request) or urlsplit(request.path).path

    def resolve(self, name: str) -> str:
        """
        Return the route with a short name such as "chats/submit"; a path stays as it is.

        Raises:
            ValueError: the site has no such route.
        """
        routes = {
            route.partition("/v1/")[2]: route for _, route in self._endpoints if "/v1/" in route
        }
        if name.startswith("/"):
            return name
        if name not in routes:
            known = ", ".join(sorted(routes))
            raise ValueError(f"unknown route {name!r}; known are {known}, and paths with a slash")
        return routes[name]

    # One request, checked in WordPress's order: nonce, route, JSON, permission, callback.

    def respond(self, request: Request) -> HTTPResponse:
        """Return the response to a request."""
        with self._lock:
            route = self.config.route(request)
            if route is None:
                return self._respond_to_page(request)
            rest_request = RestRequest(
                request, route, self.config.profile, lambda: self._next_script(route)
            )
            response = self._check_and_dispatch(rest_request)
            link = ("Link", self.config.link_header)
            return with_headers(response, [link, *REST_HEADERS, *self._headers(rest_request)])

    def _respond_to_page(self, request: Request) -> HTTPResponse:
        path = urlsplit(request.path).path
        response = self._files.download(path) or self.pages.respond(request)
        script = self._next_script(path)
        return script.apply_delivery(script.response or response)

    def _check_and_dispatch(self, request: RestRequest) -> HTTPResponse:
        headers = request.http.headers
        request.user = self.users.authenticate(headers.get("Authorization", ""))
        nonce = query_parameter(request.http, "_wpnonce") or headers.get("X-WP-Nonce")
        if nonce is not None:
            request.nonce_age = self.nonces.age(nonce, request.user)
            if request.user is GUEST and not request.nonce_age:
                return wordpress_error(403, "rest_cookie_invalid_nonce", "Cookie check failed")
        endpoint = self._endpoints.get((request.http.method, request.route))
        if endpoint is None or self.config.ignores_rest_route(request.http):
            return no_route()
        try:
            request.fields, request.uploads = parse_body(request.http)
        except InvalidJsonError as error:
            code, message = error.args
            data = {"json_error_code": code, "json_error_message": message}
            return wordpress_error(400, "rest_invalid_json", "Invalid JSON body passed.", **data)
        return self._dispatch(request, endpoint)

    def _dispatch(self, request: RestRequest, endpoint: Endpoint) -> HTTPResponse:
        if endpoint.new_token and self.config.profile.new_token and request.nonce_age == 2:
            request.new_token = {"new_token": self.nonces.issue(request.user)}
        try:
            if not endpoint.permission(request):
                return forbidden(logged_in=request.user is not GUEST)
            if not endpoint.asks_model:
                request.take_script().raise_for_error()
            response = endpoint.callback(request)
        except PluginError as error:
            fields = {"success": False, "message": error.message, **request.new_token}
            response = json_response(fields, error.status)
        except TypeError:
            # PHP's TypeError is not an Exception, so the plugin does not catch it.
            response = critical_error()
        script = request.script
        return script.apply_delivery(script.response or response)

    def _headers(self, request: RestRequest) -> List[Tuple[str, str]]:
        fields = []
        if request.nonce_age and request.user is GUEST:
            fields.append(("X-WP-Nonce", self.nonces.issue(request.user)))
        has_php_session = self.config.profile.session_cookies and "/mwai/" in request.route
        if has_php_session and "PHPSESSID" not in request.cookies:
            fields.append(("Set-Cookie", f"PHPSESSID={secrets.token_hex(13)}; path=/"))
        if request.opened_session:
            secure = "; Secure" if self.config.url.startswith("https:") else ""
            value = f"mwai_session_id={request.opened_session}; path=/; HttpOnly{secure}"
            fields.append(("Set-Cookie", value))
        return fields

    # Routes that need several parts of the site.

    def _index(self, request: RestRequest) -> HTTPResponse:
        url = self.config.url
        index: Dict[str, Any] = {
            "name": "AI Engine on loopback",
            "description": "",
            "url": url,
            "home": url,
            "namespaces": NAMESPACES,
            "routes": {route: {"methods": [method]} for method, route in self._endpoints},
        }
        requested = query_parameter(request.http, "_fields")
        names = requested.split(",") if requested else list(index)
        links = {"help": [{"href": "https://developer.wordpress.org/rest-api/"}]}
        fields = {name: index[name] for name in names if name in index}
        return json_response({**fields, "_links": links})

    def _current_user(self, request: RestRequest) -> HTTPResponse:
        if request.user is GUEST:
            return wordpress_error(401, "rest_not_logged_in", "You are not currently logged in.")
        name = request.user.name
        link = f"{self.config.url}/author/{name}/"
        user = {"id": request.user.id, "name": name, "url": "", "description": "", "link": link}
        return json_response({**user, "slug": name, "avatar_urls": {}, "meta": []})

    def _start_session(self, request: RestRequest) -> HTTPResponse:
        fields = {"sessionId": request.session_id(), "restNonce": self.nonces.issue(request.user)}
        return json_response({"success": True, **fields, **request.new_token})

    def _list_files(self, request: RestRequest) -> HTTPResponse:
        if request.user is GUEST and self.config.profile.guest_file_list_fails:
            return critical_error()
        return self._files.list(request)
