"""One request as it is sent, and a body that reports its progress."""

from __future__ import annotations

from io import BytesIO
from typing import Callable, Iterator, Mapping, Optional, Union

#: By name in lower case. None marks a header that is not sent, whatever a session has.
Headers = Mapping[str, Optional[str]]


def may_cross_origins(name: str) -> bool:
    """Return whether another origin may see a caller's header, given its name in lower case."""
    return name == "user-agent" or name.startswith(("accept", "content-"))


class OutgoingRequest:
    """
    One request as it is sent. Its repr shows no secret.

    Args:
        headers: the same for each request with this URL and method.
        changing_headers: may contain a nonce and a credential; they take precedence.
        progress: called with the number of bytes sent so far and the size of the body.
        to_site: whether the URL has the origin of the client's site. Only then may it get the
            credentials and headers of a caller's session.
    """

    def __init__(
        self,
        method: str,
        url: str,
        headers: Headers,
        changing_headers: Headers,
        body: Optional[bytes] = None,
        *,
        progress: Optional[Callable[[int, int], object]] = None,
        to_site: bool = True,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.changing_headers = changing_headers
        self.body = body
        self.progress = progress
        self.to_site = to_site

    def content(self) -> Union[bytes, Upload, None]:
        """Return the body in a form that requests takes."""
        if self.body is None or self.progress is None:
            return self.body
        return Upload(self.body, self.progress)

    def __repr__(self) -> str:
        return f"<OutgoingRequest {self.method} {self.url}>"


class ProgressFailed(Exception):
    """What a caller's progress function raised, kept apart from the errors of a connection."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


class Upload:
    """A body that reports how far it has been read, which is when it is sent."""

    def __init__(self, body: bytes, progress: Callable[[int, int], object]) -> None:
        self._rest = BytesIO(body)
        self._size = len(body)
        self._progress = progress

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(64 * 1024), b"")

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data = self._rest.read(size)
        if data:
            self._report()
        return data

    def _report(self) -> None:
        try:
            self._progress(self._rest.tell(), self._size)
        except Exception as error:  # noqa: BLE001 - raised again to whoever uploads
            raise ProgressFailed(error) from None
