"""Which proxy a request goes through."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Dict, Mapping, Optional
from urllib.parse import urlsplit

import requests
from requests.utils import select_proxy

from .call import Call


def proxy_settings(proxy: Optional[str]) -> Dict[str, str]:
    """Return the ``proxies`` of requests for a client's own proxy; none where that is None."""
    return {"http": proxy, "https": proxy} if proxy else {}


def is_loopback(url: str) -> bool:
    """Return whether a URL is of this machine, for which the environment's proxies do not count."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def record_proxy(call: Call, url: str, proxies: Mapping[str, str]) -> None:
    """
    Set `Call.proxy` to scheme, host and port of the proxy for a URL; to None without one.

    Raises:
        InvalidProxyURL: it is not a URL with a host, on which requests fails in several ways.
    """
    proxy = select_proxy(url, proxies) if proxies else None
    call.proxy = _address(proxy) if proxy else None
    if call.proxy == "":
        raise requests.exceptions.InvalidProxyURL


def _address(url: str) -> str:
    """Return scheme, host and port of a URL, without its login; an empty str if it has none."""
    try:
        parts = urlsplit(url if "://" in url else "//" + url)
        host = parts.hostname
    except ValueError:
        return ""
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return scheme + parts.netloc.rpartition("@")[2] if host else ""
