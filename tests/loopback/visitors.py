"""Visitors and programs that use the testing site through plain requests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping

import requests

from chatgpt4online.testing import Server

HALF_DAY = 43200
TIMEOUT = 5.0
PASSWORD = "abcd efgh ijkl"
PNG = b"\x89PNG\r\n\x1a\n\x00\r\n--\xff"
REJECTED = "Sorry, your query has been rejected."


@contextmanager
def current_site() -> Iterator[Server]:
    """Start a site with two users and the public API."""
    with Server(token="token") as server:
        server.user("ada", PASSWORD, email="ada@example.com")
        server.user("bob", PASSWORD)
        yield server


@contextmanager
def early_site() -> Iterator[Server]:
    """Start a site with an early version, one user and the public API."""
    with Server("2.4.7", token="token") as server:
        server.user("ada", PASSWORD)
        yield server


class Visitor:
    """A visitor of a site, with cookies and perhaps a login."""

    def __init__(self, server: Server, user: str = "", password: str = PASSWORD) -> None:
        self.root = f"{server.url}/wp-json"
        self.cookies = requests.cookies.RequestsCookieJar()
        self.headers: Dict[str, str] = {}
        self.auth = (user, password) if user else None
        self.nonce = self.start()["restNonce"]

    def send(self, method: str, route: str, **options: Any) -> requests.Response:
        """Send a request with the visitor's cookies and login."""
        with requests.Session() as session:
            session.cookies, session.auth = self.cookies, self.auth
            session.headers.update(self.headers)
            return session.request(method, f"{self.root}/{route}", timeout=TIMEOUT, **options)

    def start(self, **headers: str) -> Dict[str, Any]:
        """Start a session."""
        started = self.post("mwai/v1/start_session", headers=headers)
        fields: Dict[str, Any] = started.json()
        return fields

    def post(self, route: str, **options: Any) -> requests.Response:
        """Post to a route."""
        return self.send("POST", route, **options)

    def call(self, route: str, **fields: Any) -> requests.Response:
        """Post JSON to one of the widget's routes, with the nonce."""
        headers = {"X-WP-Nonce": self.nonce}
        return self.post(f"mwai-ui/v1/{route}", json=fields, headers=headers)

    def ask(self, message: Any = "Hi", **fields: Any) -> requests.Response:
        """Ask the default bot, or another."""
        return self.call("chats/submit", **{"botId": "default", "newMessage": message, **fields})

    def reply(self, message: str = "Hi", **fields: Any) -> str:
        """Return the reply to a question."""
        return str(self.ask(message, **fields).json()["reply"])

    def refusal(self, message: Any = "Hi", **fields: Any) -> Any:
        """Return the status and message, or WordPress's code, of a refused question."""
        return refusal(self.ask(message, **fields))

    def upload(self, name: str = "dot.png", data: bytes = PNG, **parts: str) -> requests.Response:
        """Upload a file."""
        headers = {"X-WP-Nonce": self.nonce}
        files = {"file": (name, data)}
        form = parts or {"purpose": "vision"}
        return self.post("mwai-ui/v1/files/upload", files=files, data=form, headers=headers)

    def uploaded(self, name: str = "dot.png", data: bytes = PNG) -> str:
        """Upload a file and return its id."""
        return str(self.upload(name, data).json()["data"]["id"])

    def files(self, **fields: Any) -> List[Mapping[str, Any]]:
        """Return the listed files."""
        rows: List[Mapping[str, Any]] = self.call("files/list", **fields).json()["data"]["files"]
        return rows

    def discussions(self, **fields: Any) -> List[Mapping[str, Any]]:
        """Return the listed discussions."""
        answer = self.call("discussions/list", **{"botId": "default", **fields}).json()
        rows: List[Mapping[str, Any]] = answer["chats"]
        return rows


class Program:
    """A program that uses the public API of a site."""

    def __init__(self, server: Server, token: str = "token") -> None:
        self.server = server
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, route: str) -> requests.Response:
        """Get a route."""
        url = f"{self.server.url}/wp-json/mwai/v1/{route}"
        return requests.get(url, headers=self.headers, timeout=TIMEOUT)

    def post(self, route: str, **options: Any) -> requests.Response:
        """Post to a route."""
        url = f"{self.server.url}/wp-json/mwai/v1/{route}"
        return requests.post(url, headers=self.headers, timeout=TIMEOUT, **options)

    def call(self, route: str, **fields: Any) -> Any:
        """Post JSON to a route; return the data of its answer."""
        return self.post(route, json=fields).json()["data"]

    def refusal(self, route: str, **fields: Any) -> Any:
        """Return the status and message of a refused call."""
        return refusal(self.post(route, json=fields))


def refusal(answer: requests.Response) -> Any:
    """Return the status and message, or WordPress's code, of a refusal."""
    fields = answer.json()
    return answer.status_code, fields.get("code") or fields["message"]
