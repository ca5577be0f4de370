"""The settings of a client: what may be set, and what the environment sets."""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Collection, Dict, Mapping, Optional, Tuple, TypeVar, Union
from urllib.parse import SplitResult, unquote, urlsplit

import requests

from . import _validation as validate
from ._http.credentials import Credential, basic, origin_of
from ._protocol import routes
from ._validation import Limits, Timeouts, identifier, plain_str, text, type_name

T = TypeVar("T")

#: A user and an application password.
Login = Optional[Tuple[str, str]]

_HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEADER_VALUE = r"[\x20-\x7e\x80-\xff\t]*"
#: A name, or an IPv6 address with its zone.
_HOST = re.compile(r"[0-9a-z._-]+|[0-9a-f]*:[0-9a-f:.]*(%.+)?")
_NOT_HTTP = "site must be a URL that begins with https:// or http://"
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*://")
#: ``http:/host``, ``http:host``, ``http//host`` and ``http://https://host``.
_MISSPELT_SCHEME = re.compile("https?(:(?!//)|//|://https?:)", re.IGNORECASE)
#: This machine, and names that no public host has: few of them speak TLS.
_LOCAL_HOST = r"(.+\.)?localhost\.?|127(\.[0-9]+){1,3}|::1|.+\.(local|test)\.?"


class Settings:
    """
    What a client is set to: the arguments of `Client`, validated, and what the environment adds.

    The repr shows no secret. It is not a tuple, since tools that show variables look into those.

    Raises:
        ValueError: an argument has an invalid value.
        TypeError: an argument has the wrong type.
    """

    def __init__(
        self,
        *,
        site: Optional[str],
        bot: Optional[str],
        custom_id: Optional[str],
        context_id: Optional[int],
        auth: Optional[Tuple[str, str]],
        token: Optional[str],
        model: Optional[str],
        history: str,
        headers: Optional[Mapping[str, Optional[str]]],
        proxy: Optional[str],
        timeout: Timeouts,
        deadline: Optional[float],
        retries: int,
        session: Optional[requests.Session],
    ) -> None:
        site = from_environment(site, "SITE", routes.DEFAULT_SITE)
        bot = from_environment(bot, "BOT", None if custom_id else routes.DEFAULT_BOT)
        self.site: str = site_url(site)
        self.bot: Optional[str] = validate.optional(validate.identifier, bot, "bot")
        self.custom_id: Optional[str] = validate.optional(
            validate.identifier, custom_id, "custom_id"
        )
        self.context_id: Optional[int] = validate.optional(validate.count, context_id, "context_id")
        variable = environment if _is_environment_site(self.site) else _no_credential
        auth = login(auth) or login_from_url(site) or _login(variable)
        self.login: Optional[Credential] = auth and basic(auth, self.site)
        #: One from the environment is validated when it is used.
        self.token: Optional[str] = variable("TOKEN") if token is None else bearer_token(token)
        self.model: Optional[str] = validate.optional(validate.identifier, model, "model")
        self.history: str = validate.one_of(history, ("messages", "prompt"), "history")
        self.headers: SecretHeaders = secret_headers(headers)
        self.proxy: Optional[str] = proxy_url(proxy)
        self.timeout: Limits = validate.limits(timeout)
        self.deadline: Optional[float] = validate.seconds(deadline, "deadline")
        self.retries: int = validate.count(retries, "retries")
        self.session: Optional[requests.Session] = requests_session(session)

    def __repr__(self) -> str:
        return f"<Settings {self.site}>"


def _is_environment_site(site: str) -> bool:
    """Return whether the credentials in the environment are for this site."""
    given = environment("SITE")
    try:
        return given is not None and origin_of(site_url(given)) == origin_of(site)
    except ValueError:  # malformed, which matters only to those who use it
        return False


def _no_credential(_: str) -> None:
    """Return None in place of a credential from the environment, which is for another site."""


def _login(variable: Callable[[str], Optional[str]]) -> Login:
    user, password = variable("USER"), variable("APP_PASSWORD")
    return login((user, password)) if user and password else None


def from_environment(value: Optional[str], name: str, default: T) -> Union[str, T]:
    """Return the value, else the environment variable's, else the default."""
    return (environment(name) or default) if value is None else value


def environment(name: str) -> Optional[str]:
    """Return an environment variable of this package; None if it is unset or empty."""
    return os.environ.get("CHATGPT4ONLINE_" + name) or None


class SecretHeaders(Dict[str, Optional[str]]):
    """Headers of the caller's. The repr has only their names, because a value may be a secret."""

    def __repr__(self) -> str:
        return f"<SecretHeaders {', '.join(self)}>"


def secret_headers(value: Optional[Mapping[str, Optional[str]]]) -> SecretHeaders:
    """Return headers that can be sent, with names in lower case. No message quotes a value."""
    if value is None:
        return SecretHeaders()
    if not isinstance(value, Mapping):
        raise TypeError(f"headers must be a dict, not {type_name(value)}")
    given = ((_header_name(name), _header_value(name, each)) for name, each in value.items())
    return SecretHeaders(given)


def _header_name(name: object) -> str:
    given = text(name, "a header's name")
    if not re.fullmatch(_HEADER_NAME, given):
        raise ValueError(f"{given!r} cannot be a header's name")
    if given.lower() in ("content-length", "transfer-encoding"):
        raise ValueError(f"the header {given} is set for each request and cannot be replaced")
    return given.lower()


def _header_value(name: str, value: Optional[str]) -> Optional[str]:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(
            f"the header {plain_str(name)} must be a str or None, not {type_name(value)}"
        )
    given = plain_str(value)
    if not re.fullmatch(_HEADER_VALUE, given) or given != given.strip():
        raise ValueError(f"the header {plain_str(name)} contains characters that cannot be sent")
    return given


def proxy_url(value: Optional[str]) -> Optional[str]:
    """Return the URL of a proxy. No message quotes it, because it may contain a password."""
    if value is None:
        return None
    given = text(value, "proxy")
    parts = _split(given, "proxy")
    if parts.scheme.lower() not in _PROXY_SCHEMES or not parts.hostname:
        raise ValueError(
            "proxy must be a URL such as http://host:port; its scheme may be "
            + ", ".join(_PROXY_SCHEMES)
        )
    return given


def requests_session(value: Optional[requests.Session]) -> Optional[requests.Session]:
    """Return a requests session, or None."""
    if value is not None and not isinstance(value, requests.Session):
        raise TypeError(f"session must be a requests.Session, not {type_name(value)}")
    return value


def site_url(value: object) -> str:
    """
    Return a site's URL, normalized: with a scheme, without a login or a trailing slash.

    Pages of WordPress's own, and what follows them, are cut off.
    """
    parts = _site(value)
    host = parts.netloc.rpartition("@")[2]
    address = f"{parts.scheme}://{host}{parts.path}"
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


def login_from_url(value: object) -> Login:
    """Return the user and the password from a site's URL, or None."""
    userinfo = _site(value).netloc.rpartition("@")[0]
    if not userinfo:
        return None
    user, _, password = userinfo.partition(":")
    return login((unquote(user), unquote(password)))


def _site(value: object) -> SplitResult:
    given = identifier(value, "site").strip()
    if _MISSPELT_SCHEME.match(given):
        raise ValueError(_NOT_HTTP)
    if not _SCHEME.match(given):
        host = _split("//" + given, "site").hostname or ""
        given = ("http://" if re.fullmatch(_LOCAL_HOST, host) else "https://") + given
    parts = _split(given, "site")
    if parts.scheme.lower() not in ("http", "https"):
        raise ValueError(_NOT_HTTP)
    if "@" in parts.path:  # not quoted, because a part of it may be a password
        raise ValueError("site is not the address of a site: its path contains an @")
    path = routes.site_path(parts.path)
    if path != parts.path:
        return parts._replace(path=path, query="", fragment="")
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


def bearer_token(value: object) -> Optional[str]:
    """Return a bearer token. No message quotes it."""
    if value is None:
        return None
    given = text(value, "token")
    if not re.fullmatch(r"[\x21-\x7e]+", given):
        raise ValueError("token is empty or contains characters that cannot be sent")
    return given


def page_url(value: object, site: Optional[str] = None) -> str:
    """Return the URL of a page, which may be given as a path on the site."""
    given = identifier(value, "page").strip()
    if site is not None and given.startswith("/"):
        given = site + given
    parts = _split(given, "page")
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        path = "a path that begins with /, or " if site is not None else ""
        raise ValueError(
            f"page must be {path}a URL that begins with https:// or http:// and has no login"
        )
    return given


def _split(url: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if the port is not a number
    except ValueError:
        raise ValueError(f"{name} is not a URL") from None
    return parts


def raise_if_unpicklable(state: Mapping[str, Any], owner: str, known: Collection[str]) -> None:
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
