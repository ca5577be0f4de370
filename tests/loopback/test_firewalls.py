"""A firewall is recognized on every route, whatever status it hides behind."""

from __future__ import annotations

from typing import Any, Callable, Dict

import pytest

from chatgpt4online import BlockedError, Client
from chatgpt4online.testing import Server

USER = ("ada", "abcd efgh")
IMUNIFY = {"message": "Access denied by Imunify360 bot-protection. IPs used for automation..."}

FIREWALLS: Dict[str, Dict[str, Any]] = {
    "AWS WAF, empty": {"body": b"", "headers": {"x-amzn-waf-action": "challenge"}},
    "AWS WAF, a page": {"body": "<html>Hm</html>", "headers": {"x-amzn-waf-action": "captcha"}},
    "Cloudflare": {"body": "<html>Hm</html>", "headers": {"cf-mitigated": "challenge"}},
    "Imunify360": {"body": IMUNIFY},
}
CALLS: Dict[str, Callable[[Client], object]] = {
    "chats/submit": lambda client: client.chat("Hi"),
    "start_session": lambda client: client.nonce,
    "/wp/v2/users/me": lambda client: client.nonce,
    "files/list": lambda client: client.files.list(),
    "discussions/list": lambda client: client.discussions.list(),
    "/page/": lambda client: client.bots("/page/"),
    "simpleAuthCheck": lambda client: client.api.whoami(),
}


@pytest.mark.parametrize("firewall", FIREWALLS)
@pytest.mark.parametrize("status", [200, 403, 415, 503])
def test_firewalls(firewall: str, status: int) -> None:
    """A firewall's answer is a BlockedError that says whom to ask, and is not asked again."""
    for route, call in CALLS.items():
        with Server(token="secret") as server:
            server.user(*USER)
            server.answers(status, route=route, **FIREWALLS[firewall])
            client = Client(server.url, auth=USER, token="secret")
            with client, pytest.raises(BlockedError, match="let this client through") as caught:
                call(client)
        assert (type(caught.value), caught.value.status) == (BlockedError, status), route


@pytest.mark.parametrize("firewall", FIREWALLS)
@pytest.mark.parametrize("status", [200, 403])
def test_check_names_a_firewall(firewall: str, status: int) -> None:
    """`check` says which step a firewall blocks."""
    steps = {"/": "site", "/mwai-ui/v1": "AI Engine", "/mwai/v1/start_session": "nonce"}
    for route, step in steps.items():
        with Server() as server, Client(server.url) as client:
            server.answers(status, route=route, **FIREWALLS[firewall])
            check = client.check().checks[-1]
        assert (check.name, check.level) == (step, "failed")
        assert "let this client through" in check.detail


def test_a_page_may_name_a_firewall(server: Server, client: Client) -> None:
    """A page about firewalls is no firewall's, and neither is an answer about them."""
    html = "<html><p>Imunify360, Sucuri Website Firewall and DDoS-Guard compared</p></html>"
    server.page("/firewalls/", html=html)
    assert client.bots("/firewalls/") == []
    server.says(IMUNIFY["message"])
    assert client.chat("Hi") == IMUNIFY["message"]
