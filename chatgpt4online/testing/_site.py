"""One WordPress site with AI Engine: a request in, an answer out; no sockets here."""

from __future__ import annotations

import secrets
from threading import Lock
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.parse import parse_qs, urlsplit

from ._api import PublicApi
from ._bots import Bots
from ._chats import Chats
from ._discussions import Discussions
from ._files import Files
from ._http import Answer, Request
from ._model import RefusalError, Script, sent_as_told
from ._pages import Pages
from ._place import Place
from ._wordpress import (
    GUEST,
    BrokenJsonError,
    Call,
    Endpoint,
    Nonces,
    Users,
    critical_error,
    forbidden,
    json_answer,
    no_route,
    read_fields,
    with_headers,
    with_nonce,
    wordpress_error,
)

NAMESPACES = ["oembed/1.0", "mwai-ui/v1", "mwai/v1", "wp/v2", "wp-site-health/v1"]
ALLOWED = "Authorization, X-WP-Nonce, Content-Disposition, Content-MD5, Content-Type"
REST_HEADERS = [
    ("X-Robots-Tag", "noindex"),
    ("X-Content-Type-Options", "nosniff"),
    ("Access-Control-Expose-Headers", "X-WP-Total, X-WP-TotalPages, Link"),
    ("Access-Control-Allow-Headers", ALLOWED),
]


class Site:
    """
    One WordPress site with the plugin.

    Args:
        place: the site's address, clock and version.
        token: the bearer token of the public API; None if that is switched off.
        take: gives the script that is due for a route, or for the path of a page.
    """

    def __init__(self, place: Place, token: Optional[str], take: Callable[[str], Script]) -> None:
        self.place = place
        self.nonces = Nonces(place.clock)
        self.users = Users()
        self.bots = Bots(place)
        self.pages = Pages(place, self.bots, self.nonces)
        self._take = take
        self._lock = Lock()
        self._files = Files(place)
        self._discussions = Discussions(place)
        self._chats = Chats(place, self.bots, self._files, self._discussions)
        self.guard = self._chats.guard
        api = PublicApi(
            token,
            place=place,
            users=self.users,
            bots=self.bots,
            files=self._files,
            discussions=self._discussions,
            chats=self._chats,
        )
        self._endpoints = self._routes(api)

    def _routes(self, api: PublicApi) -> Dict[Tuple[str, str], Endpoint]:
        files, rows = self._files, self._discussions
        endpoints = {
            ("GET", "/"): Endpoint(self._index),
            ("GET", "/wp/v2/users/me"): Endpoint(self._me),
            ("POST", "/mwai/v1/start_session"): Endpoint(self._start_session, new_token=True),
            ("POST", "/mwai-ui/v1/chats/submit"): Endpoint(
                self._chats.submit, with_nonce, asks_model=True, new_token=True
            ),
            ("POST", "/mwai-ui/v1/files/upload"): Endpoint(files.upload, with_nonce),
            ("POST", "/mwai-ui/v1/files/list"): Endpoint(self._list_files, with_nonce),
            ("POST", "/mwai-ui/v1/files/delete"): Endpoint(files.delete, with_nonce),
            ("POST", "/mwai-ui/v1/discussions/list"): Endpoint(rows.list, new_token=True),
            ("POST", "/mwai-ui/v1/discussions/edit"): Endpoint(rows.edit, new_token=True),
            ("POST", "/mwai-ui/v1/discussions/delete"): Endpoint(
                rows.delete, rows.may_delete, new_token=True
            ),
        }
        endpoints.update(api.routes())
        absent = self.place.profile.absent
        return {key: endpoint for key, endpoint in endpoints.items() if key[1] not in absent}

    def key(self, request: Request) -> str:
        """Return what scripts for a request are kept under: its route, or its path."""
        return self.place.route(request) or urlsplit(request.path).path

    def named(self, name: str) -> str:
        """
        Return the route, or the path, of a name such as "chats/submit".

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

    # Judging, in WordPress's order: nonce, route, JSON, permission, callback.

    def answer(self, request: Request) -> Answer:
        """Answer one request by the site's rules."""
        with self._lock:
            route = self.place.route(request)
            if route is None:
                path = urlsplit(request.path).path
                page = self._files.served(path) or self.pages.answer(request)
                script = self._take(path)
                return sent_as_told(script.answer or page, script)
            call = Call(request, route, self.place.profile, lambda: self._take(route))
            answer = self._judged(call)
            headers = [("Link", self.place.link), *REST_HEADERS, *self._headers(call)]
            return with_headers(answer, headers)

    def _judged(self, call: Call) -> Answer:
        headers = call.request.headers
        call.user = self.users.authenticated(headers.get("Authorization", ""))
        asked = parse_qs(urlsplit(call.request.path).query).get("_wpnonce")
        nonce = asked[0] if asked else headers.get("X-WP-Nonce")
        if nonce is not None:
            call.nonce_age = self.nonces.age(nonce, call.user)
            if call.user is GUEST and not call.nonce_age:
                return wordpress_error(403, "rest_cookie_invalid_nonce", "Cookie check failed")
        endpoint = self._endpoints.get((call.request.method, call.route))
        if endpoint is None or self.place.hides(call.request):
            return no_route()
        try:
            call.fields, call.uploads = read_fields(call.request)
        except BrokenJsonError as error:
            code, message = error.args
            data = {"json_error_code": code, "json_error_message": message}
            return wordpress_error(400, "rest_invalid_json", "Invalid JSON body passed.", **data)
        return self._called(call, endpoint)

    def _called(self, call: Call, endpoint: Endpoint) -> Answer:
        if endpoint.new_token and self.place.profile.new_token and call.nonce_age == 2:
            call.new_token = {"new_token": self.nonces.issue(call.user)}
        try:
            if not endpoint.may(call):
                return forbidden(call.user)
            if not endpoint.asks_model:
                call.take_script().check()
            answer = endpoint.callback(call)
        except RefusalError as refusal:
            values = {"success": False, "message": refusal.message, **call.new_token}
            answer = json_answer(values, refusal.status)
        except TypeError:
            # A field of the wrong type kills PHP, which is no Exception to the plugin.
            answer = critical_error()
        return sent_as_told(call.script.answer or answer, call.script)

    def _headers(self, call: Call) -> List[Tuple[str, str]]:
        fields = []
        if call.nonce_age and call.user is GUEST:
            fields.append(("X-WP-Nonce", self.nonces.issue(call.user)))
        has_php_session = self.place.profile.sessions and "/mwai/" in call.route
        if has_php_session and "PHPSESSID" not in call.cookies:
            fields.append(("Set-Cookie", f"PHPSESSID={secrets.token_hex(13)}; path=/"))
        if call.opened_session:
            secure = "; Secure" if self.place.url.startswith("https:") else ""
            value = f"mwai_session_id={call.opened_session}; path=/; HttpOnly{secure}"
            fields.append(("Set-Cookie", value))
        return fields

    # Routes that belong to no part of the site.

    def _index(self, call: Call) -> Answer:
        url = self.place.url
        routes = {route: {"methods": [method]} for method, route in self._endpoints}
        values: Dict[str, Any] = {
            "name": "AI Engine on loopback",
            "description": "",
            "url": url,
            "home": url,
            "namespaces": NAMESPACES,
            "routes": routes,
        }
        asked = parse_qs(urlsplit(call.request.path).query).get("_fields")
        wanted = asked[0].split(",") if asked else list(values)
        links = {"help": [{"href": "https://developer.wordpress.org/rest-api/"}]}
        return json_answer(
            {**{name: values[name] for name in wanted if name in values}, "_links": links}
        )

    def _me(self, call: Call) -> Answer:
        if call.user is GUEST:
            return wordpress_error(401, "rest_not_logged_in", "You are not currently logged in.")
        name = call.user.name
        link = f"{self.place.url}/author/{name}/"
        values = {"id": call.user.id, "name": name, "url": "", "description": "", "link": link}
        return json_answer({**values, "slug": name, "avatar_urls": {}, "meta": []})

    def _start_session(self, call: Call) -> Answer:
        nonce = {"restNonce": self.nonces.issue(call.user), **call.new_token}
        return json_answer({"success": True, "sessionId": call.session(), **nonce})

    def _list_files(self, call: Call) -> Answer:
        if call.user is GUEST and self.place.profile.owned_files:
            return critical_error()
        return self._files.list(call)
