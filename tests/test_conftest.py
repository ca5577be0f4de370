"""The fixtures that apply to all tests."""

from __future__ import annotations

import os
import socket

import pytest
from conftest import guard


def test_connecting_elsewhere_fails() -> None:
    """A test that connects to another machine fails."""
    with socket.socket() as elsewhere:
        # Bound to loopback, it could not leave the machine even without the fixture.
        elsewhere.bind(("127.0.0.1", 0))
        with pytest.raises(pytest.fail.Exception, match="a test connects to"):
            elsewhere.connect(("192.0.2.1", 80))


def test_looking_up_a_name_fails() -> None:
    """A test that looks up a host name fails."""
    with pytest.raises(pytest.fail.Exception, match="a test looks up"):
        socket.getaddrinfo("example.com", 80)


def test_invalid_names_do_not_exist() -> None:
    """Names below ``.invalid`` do not exist, and no name server is asked."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 80)


def test_settings_of_the_machine_are_hidden(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies and settings from the environment of the test run are hidden."""
    names = ("HTTPS_PROXY", "https_proxy", "CHATGPT4ONLINE_SITE")
    monkeypatch.setattr(guard, "_hidden", {})
    for name in names:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    guard.begin(request.node)
    assert not [name for name in names if name in os.environ]
