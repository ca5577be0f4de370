"""One WordPress site with AI Engine: takes a request, returns a response; no sockets here."""

from __future__ import annotations

import json
from dataclasses import replace
from threading import Lock
from typing import Any, Dict, Optional, Tuple
from urllib.parse import urlsplit

from ._bots import Bots
from ._chats import Chats
from ._config import SiteConfig
from ._discussions import Discussions
from ._files import Files
from ._headers import rest_headers
from ._http import HTTPResponse, Request, query_parameter
from ._model import Answer, FatalError, Model, PluginError
from ._pages import Pages
from ._public_api import PublicApi
from ._responses import (
    NO_CACHE,
    critical_error,
    forbidden,
    json_response,
    no_route,
    not_logged_in,
    with_headers,
    wordpress_error,
)
from ._rest import Endpoint, InvalidJsonError, RestRequest, parse_body, require_nonce
from ._script_queue import TakeScript
from ._users import GUEST, Nonces, Users

NAMESPACES = [
    *("oembed/1.0", "mwai-ui/v1", "mwai/v1", "wp/v2", "wp-site-health/v1", "wp-block-editor/v1")
]


class Site:
    """
    One WordPress site with the plugin.

    Args:
        config: the site's version, address and clock.
        token: the bearer token of the public API; None if the API is off.
        answer: the replies of the model behind the site; None for an echo.

    Source: WordPress core, the order of checks; AI Engine 3.6.2, 3.3.9 and 2.4.7, the routes.
    """

    def __init__(
        self,
        config: SiteConfig,
        token: Optional[str],
        answer: Optional[Answer],
    ) -> None:
        self.config = config
        self.nonces = Nonces(config.clock)
        self.users = Users()
        self.bots = Bots(config)
        self.pages = Pages(config, self.bots, self.nonces)
        self._lock = Lock()
        self._files = Files(config)
        self._discussions = Discussions(config)
        model = Model(answer, self._lock)
        self._chats = Chats(config, model, self.bots, self._files, self._discussions)
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
        self._routes = {route.lower(): route for _, route in self._endpoints}

    def _endpoint_table(self) -> Dict[Tuple[str, str], Endpoint]:
        files, discussions = self._files, self._discussions
        return {
            ("GET", "/"): Endpoint(self._index, allow="GET"),
            ("GET", "/wp/v2/users/me"): Endpoint(self._current_user, allow="GET"),
            ("POST", "/mwai/v1/start_session"): Endpoint(self._start_session, new_token=True),
            ("POST", "/mwai-ui/v1/chats/submit"): Endpoint(
                self._chats.submit, require_nonce, asks_model=True, new_token=True, allow=""
            ),
            ("POST", "/mwai-ui/v1/files/upload"): Endpoint(files.upload, require_nonce, allow=""),
            ("POST", "/mwai-ui/v1/files/list"): Endpoint(self._list_files, require_nonce, allow=""),
            ("POST", "/mwai-ui/v1/files/delete"): Endpoint(files.delete, require_nonce, allow=""),
            ("POST", "/mwai-ui/v1/discussions/list"): Endpoint(discussions.list, new_token=True),
            ("POST", "/mwai-ui/v1/discussions/edit"): Endpoint(discussions.edit, new_token=True),
            ("POST", "/mwai-ui/v1/discussions/delete"): Endpoint(
                discussions.delete, discussions.may_delete, new_token=True, allow=""
            ),
        }

    def script_key(self, request: Request) -> str:
        """Return the key under which scripts for a request are stored: its route or its path."""
        return self._route(request) or urlsplit(request.path).path

    def _route(self, request: Request) -> Optional[str]:
        """Return the REST route of a request, in which WordPress ignores case; None for a page."""
        route = self.config.route(request)
        return route and self._routes.get(route.lower(), route)

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

    def respond(self, request: Request, take_script: TakeScript) -> HTTPResponse:
        """Return the response to a request, for which `take_script` returns the script."""
        if len(request.body) > self.config.post_max_size:
            request = replace(request, body=b"")  # PHP does not read it
        with self._lock:
            route = self._route(request)
            if route is None:
                return self._respond_to_page(request, take_script)
            rest_request = RestRequest(request, route, self.config.profile, take_script)
            response = self._check_and_dispatch(rest_request)
            fields = rest_headers(rest_request, response, self.config)
            return self._print_before(with_headers(response, fields))

    def _respond_to_page(self, request: Request, take_script: TakeScript) -> HTTPResponse:
        path = urlsplit(request.path).path
        script = take_script()
        response = script.response or self._files.download(path)
        response = response or self._print_before(self.pages.respond(request))
        return script.apply_delivery(response)

    def _print_before(self, response: HTTPResponse) -> HTTPResponse:
        """Return a response with what other plugins print before it."""
        printed = self.config.prints
        return replace(response, steps=(printed, *response.steps)) if printed else response

    def _check_and_dispatch(self, request: RestRequest) -> HTTPResponse:
        headers = request.http.headers
        request.user = self.users.authenticate(headers.get("Authorization", ""))
        if self.config.closed_to_guests and request.user is GUEST:
            return not_logged_in()
        nonce = query_parameter(request.http, "_wpnonce") or headers.get("X-WP-Nonce")
        if nonce is not None:
            request.nonce_age = self.nonces.age(nonce, request.user)
            if request.user is GUEST and not request.nonce_age:
                error = wordpress_error(403, "rest_cookie_invalid_nonce", "Cookie check failed")
                return with_headers(error, NO_CACHE)
        response = self._find_and_dispatch(request)
        if request.nonce_age and request.user is GUEST:
            fresh = self.nonces.issue(request.user)
            response = with_headers(response, [("X-WP-Nonce", fresh)])
        return response

    def _find_and_dispatch(self, request: RestRequest) -> HTTPResponse:
        method = query_parameter(request.http, "_method") or request.http.method
        if method == "OPTIONS":
            return json_response(self._described(request.route) or [])
        endpoint = self._endpoints.get(("GET" if method == "HEAD" else method, request.route))
        if method == "GET" and request.route[1:] in NAMESPACES:
            endpoint = Endpoint(self._namespace_index, allow="GET")
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
        allow = [("Allow", endpoint.allow)] if endpoint.allow else []
        try:
            if not endpoint.permission(request):
                return forbidden(logged_in=request.user is not GUEST)
            if not endpoint.asks_model:
                request.take_script().raise_for_error()
            response = _selected_fields(request, endpoint.callback(request))
        except PluginError as error:
            fields = {"success": False, "message": error.message, **request.new_token}
            response = json_response(fields, error.status)
        except FatalError:
            return critical_error()
        script = request.script
        return with_headers(script.apply_delivery(script.response or response), allow)

    # Routes that need several parts of the site.

    def _index(self, request: RestRequest) -> HTTPResponse:
        url = self.config.url
        index: Dict[str, Any] = {
            "name": "AI Engine on loopback",
            "description": "",
            "url": url,
            "home": url,
            "namespaces": NAMESPACES,
            "routes": {route: self._described(route) for route in self._routes.values()},
        }
        requested = query_parameter(request.http, "_fields")
        names = requested.split(",") if requested else list(index)
        links = {"help": [{"href": "https://developer.wordpress.org/rest-api/"}]}
        fields = {name: value for name, value in index.items() if name in names}
        return json_response({**fields, "_links": links})

    def _namespace_index(self, request: RestRequest) -> HTTPResponse:
        namespace = request.route[1:]
        routes = {
            route: self._described(route)
            for route in self._routes.values()
            if route.startswith(f"/{namespace}/")
        }
        links = {"up": [{"href": f"{self.config.rest_url}/"}]}
        return json_response({"namespace": namespace, "routes": routes, "_links": links})

    def _described(self, route: str) -> Dict[str, Any]:
        """Return what WordPress reports about a route; empty if there is no such route."""
        methods = [method for method, each in self._endpoints if each == route]
        if not methods:
            return {}
        namespace = "/".join(route.split("/")[1:3])
        return {
            "namespace": namespace,
            "methods": methods,
            "endpoints": [{"methods": methods, "args": []}],
            "_links": {"self": [{"href": self.config.rest_url + route}]},
        }

    def _current_user(self, request: RestRequest) -> HTTPResponse:
        if request.user is GUEST:
            return not_logged_in()
        return json_response(self.users.describe(request.user, self.config))

    def _start_session(self, request: RestRequest) -> HTTPResponse:
        fields = {"sessionId": request.session_id(), "restNonce": self.nonces.issue(request.user)}
        return json_response({"success": True, **fields, **request.new_token})

    def _list_files(self, request: RestRequest) -> HTTPResponse:
        if request.user is GUEST and self.config.profile.guest_file_list_fails:
            raise FatalError
        return self._files.list(request)


def _selected_fields(request: RestRequest, response: HTTPResponse) -> HTTPResponse:
    """Return a JSON response with only the fields that ``_fields`` in the query names."""
    requested = query_parameter(request.http, "_fields")
    if not requested or response.status >= 400 or request.route == "/":
        return response
    body = b"".join(step for step in response.steps if isinstance(step, bytes))
    if not body.startswith(b"{"):
        return response
    names = requested.split(",")
    fields = {name: value for name, value in json.loads(body).items() if name in names}
    return replace(response, steps=json_response(fields).steps)
