"""Checks of what callers pass in. Each raises ValueError or TypeError and says what is wrong."""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Collection, Dict, Mapping, Optional, Tuple, TypeVar, Union
from urllib.parse import SplitResult, unquote, urlsplit

import requests

T = TypeVar("T")

#: A user and an application password.
Login = Optional[Tuple[str, str]]

#: Seconds, or (connect, silence) in seconds; None means no limit.
Timeouts = Union[None, float, Tuple[Optional[float], Optional[float]]]

#: (connect, silence) in seconds; None means no limit.
Limits = Tuple[Optional[float], Optional[float]]

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
#: A longer time limit counts as no limit, because threads and sockets cannot wait longer.
_LONGEST = 1e6
_HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEADER_VALUE = r"[\x20-\x7e\x80-\xff\t]*"
#: A name, or an IPv6 address with its zone.
_HOST = re.compile(r"[0-9a-z._-]+|[0-9a-f]*:[0-9a-f:.]*(%.+)?")
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def from_environment(value: Optional[str], name: str, default: str) -> str:
    """Return the value, else the environment variable's, else the default."""
    return (environment(name) or default) if value is None else value


def environment(name: str) -> Optional[str]:
    """Return an environment variable of this package; None if it is unset or empty."""
    return os.environ.get("CHATGPT4ONLINE_" + name) or None


def text(value: object, name: str) -> str:
    """Return a str that UTF-8 can encode."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type_name(value)}")
    if LONE_SURROGATE.search(value):
        raise ValueError(f"{name} contains a lone surrogate and cannot be encoded as UTF-8")
    return value


def identifier(value: object, name: str) -> str:
    """Return a str that is not blank."""
    if not text(value, name).strip():
        raise ValueError(f"{name} is empty")
    return str(value)


def optional(check: Callable[[object, str], T], value: Optional[T], name: str) -> Optional[T]:
    """Return a value that passes the check, or None."""
    return None if value is None else check(value, name)


def count(value: object, name: str) -> int:
    """Return a whole number of at least 0."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type_name(value)}")
    if value < 0:
        raise ValueError(f"{name} must not be negative")
    return value


def positive(value: object, name: str) -> int:
    """Return a whole number above 0."""
    if count(value, name) == 0:
        raise ValueError(f"{name} must be 1 or more")
    return count(value, name)


def one_of(value: object, known: Collection[str], name: str) -> str:
    """Return a str that is one of the known values."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}")
    return str(value)


def limits(value: Timeouts, name: str = "timeout") -> Limits:
    """Return the pair of limits that a number of seconds, or a pair, means."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be a number, or a pair (connect, silence)")
        return seconds(value[0], name), seconds(value[1], name)
    both = seconds(value, name)
    return both, both


def seconds(value: Optional[float], name: str) -> Optional[float]:
    """Return a number of seconds above 0; None, which also stands for infinity, for no limit."""
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number of seconds, not {type_name(value)}")
    if not value > 0:  # also false for NaN
        raise ValueError(f"{name} must be more than 0 seconds")
    return None if value > _LONGEST else float(value)


def headers(value: Optional[Mapping[str, Optional[str]]]) -> Dict[str, Optional[str]]:
    """Return headers that can be sent, with names in lower case. No message quotes a value."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"headers must be a dict, not {type_name(value)}")
    return {_header_name(name): _header_value(name, each) for name, each in value.items()}


def _header_name(name: object) -> str:
    if not re.fullmatch(_HEADER_NAME, text(name, "a header's name")):
        raise ValueError(f"{name!r} cannot be a header's name")
    lower = str(name).lower()
    if lower in ("content-length", "transfer-encoding"):
        raise ValueError(f"the header {name} is set for each request and cannot be replaced")
    return lower


def _header_value(name: str, value: Optional[str]) -> Optional[str]:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"the header {name} must be a str or None, not {type_name(value)}")
    if value is not None and (not re.fullmatch(_HEADER_VALUE, value) or value != value.strip()):
        raise ValueError(f"the header {name} contains characters that cannot be sent")
    return value


def proxy_url(value: Optional[str]) -> Optional[str]:
    """Return the URL of a proxy. No message quotes it, because it may contain a password."""
    if value is None:
        return None
    parts = _split(text(value, "proxy"), "proxy")
    if parts.scheme.lower() not in _PROXY_SCHEMES or not parts.hostname:
        raise ValueError(
            "proxy must be a URL such as http://host:port; its scheme may be "
            + ", ".join(_PROXY_SCHEMES)
        )
    return value


def session(value: Optional[requests.Session]) -> Optional[requests.Session]:
    """Return a requests session, or None."""
    if value is not None and not isinstance(value, requests.Session):
        raise TypeError(f"session must be a requests.Session, not {type_name(value)}")
    return value


def site_url(value: object) -> str:
    """Return a site's URL, normalized: with a scheme, without a login or a trailing slash."""
    parts = _site(value)
    host = parts.netloc.rpartition("@")[2]
    address = f"{parts.scheme}://{host}{parts.path}"
    if "@" in address:  # not quoted, because a part of it may be a password
        raise ValueError("site is not the address of a site: its path contains an @")
    if not parts.hostname or "\\" in address or address.split() != [address]:
        raise ValueError(f"site is not the address of a site: {address!r}")
    prepared = requests.models.PreparedRequest()
    try:
        prepared.prepare_url(address, None)
        name = str(urlsplit(str(prepared.url)).hostname)
        name.encode("idna")  # raises if a label is empty or too long
    except (requests.RequestException, UnicodeError):
        name = ""
    if not _HOST.fullmatch(name):
        raise ValueError(f"site is not the address of a site: {address!r}")
    return str(prepared.url).rstrip("/")


def login_in(value: object) -> Login:
    """Return the user and the password from a site's URL, or None."""
    userinfo = _site(value).netloc.rpartition("@")[0]
    if not userinfo:
        return None
    user, _, password = userinfo.partition(":")
    return login((unquote(user), unquote(password)))


def _site(value: object) -> SplitResult:
    given = identifier(value, "site").strip()
    parts = _split(given if "://" in given else "https://" + given, "site")
    if parts.scheme.lower() not in ("http", "https"):
        raise ValueError("site must be a URL that begins with https:// or http://")
    if parts.query or parts.fragment:
        raise ValueError("site must be the site's address only, without ? or #")
    return parts


def login(value: object) -> Login:
    """Return a user and an application password. No message quotes them."""
    if value is None:
        return None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError("auth must be a pair (user, application password)")
    user, password = identifier(value[0], "auth's user"), identifier(value[1], "auth's password")
    if ":" in user or not (user + password).isprintable():
        raise ValueError("auth contains characters that cannot be sent")
    return user, password


def token(value: object) -> Optional[str]:
    """Return a bearer token. No message quotes it."""
    if value is not None and not re.fullmatch(r"[\x21-\x7e]+", text(value, "token")):
        raise ValueError("token is empty or contains characters that cannot be sent")
    return None if value is None else str(value)


def page_url(value: object, site: Optional[str] = None) -> str:
    """Return the URL of a page, which may be given as a path on the site."""
    given = identifier(value, "page").strip()
    if site is not None and given.startswith("/"):
        given = site + given
    parts = _split(given, "page")
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("page must be a URL that begins with https:// or http:// and has no login")
    return given


def _split(url: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if the port is not a number
    except ValueError:
        raise ValueError(f"{name} is not a URL") from None
    return parts


def type_name(value: Any) -> str:
    """Return the name of a value's type."""
    return type(value).__name__


def at_least_one(values: Tuple[T, ...], name: str) -> Tuple[T, ...]:
    """Return the values, of which there must be at least one."""
    if not values:
        raise ValueError(f"no {name} given")
    return values


def picklable(state: Mapping[str, Any], owner: str, known: Collection[str]) -> None:
    """Raise TypeError with the name of an attribute that cannot be pickled; `known` ones can."""
    for name in state.keys() - known:
        error = _pickling_error(state[name])
        if error is not None:
            raise TypeError(
                f"the attribute {name!r} of {owner} cannot be pickled ({error}): leave it out in a"
                f" __getstate__ of {owner}"
            ) from error


def _pickling_error(value: object) -> Optional[Exception]:
    import pickle  # imported here to keep `import chatgpt4online` fast

    try:
        pickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - classes raise whatever they like
        return error
    return None
