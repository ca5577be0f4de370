"""
What is sent again, as a table. Pure: failure, request and attempt in, decision out.

A question is never sent twice when the site may have run it: the model's answer costs money, and
the site may have stored it.
"""

from __future__ import annotations

import enum
from typing import Mapping, NamedTuple, Optional

from chatgpt4online.errors import (
    BlockedError,
    ChatGPT4OnlineError,
    NotFoundError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)

#: The longest Retry-After, in seconds, that is waited for; beyond it, the error is raised.
MAX_WAIT = 60.0

#: Redirects that are followed for one request.
MAX_REDIRECTS = 5

#: How many times a request is sent again with a fresh nonce while other threads replace it. If a
#: site binds nonces to a cookie that each answer replaces, it refuses half of the requests.
MAX_RENEWALS = 20

FIRST_BACKOFF = 0.5  # seconds; doubled for each further one
MAX_BACKOFF = 8.0


class FailureKind(enum.Enum):
    """What went wrong, as far as it matters for sending again."""

    #: Refused connection, DNS, TLS handshake, connect timeout: nothing was sent.
    NOT_CONNECTED = enum.auto()
    #: The site refused the nonce: nothing has run.
    STALE_NONCE = enum.auto()
    #: Likewise, and another thread has replaced the nonce, or a cookie that it was fetched with.
    REPLACED_NONCE = enum.auto()
    #: 429 or 503 with Retry-After.
    ASKED_TO_WAIT = enum.auto()
    #: A redirect that may be followed.
    MOVED = enum.auto()
    #: The address that a redirect led to is not there (anymore).
    NEW_ADDRESS_GONE = enum.auto()
    #: A connection cut after sending, 502, 503, 504, or 429 without Retry-After.
    UNCERTAIN = enum.auto()
    #: Anything else.
    FINAL = enum.auto()


class RetryAction(enum.Enum):
    """What to do next."""

    RAISE = enum.auto()
    #: Send again after some seconds.
    WAIT = enum.auto()
    #: Send again with a fresh nonce.
    RENEW_NONCE = enum.auto()
    #: Send to the new address.
    FOLLOW = enum.auto()
    #: Send to the original address.
    USE_ORIGINAL = enum.auto()


class Attempt(NamedTuple):
    """
    How often a request has been sent again, and what is left.

    Args:
        retries: how often it was sent again after a wait.
        max_retries: how often that may happen.
        renewals: how often its nonce was renewed.
        moves: how many redirects were followed.
        reverts: how often it went back to the original address.
        remaining: seconds until the deadline, or None.
    """

    retries: int = 0
    max_retries: int = 0
    renewals: int = 0
    moves: int = 0
    reverts: int = 0
    remaining: Optional[float] = None

    @property
    def number(self) -> int:
        """Which attempt this is, counted from 1."""
        return 1 + self.retries + self.renewals + self.moves + self.reverts

    def uses(self, action: RetryAction) -> int:
        """Return how often an action was taken."""
        return {
            RetryAction.RAISE: 0,
            RetryAction.WAIT: self.retries,
            RetryAction.RENEW_NONCE: self.renewals,
            RetryAction.FOLLOW: self.moves,
            RetryAction.USE_ORIGINAL: self.reverts,
        }[action]

    def after(self, action: RetryAction) -> Attempt:
        """Return the next attempt, which begins with an action."""
        return self._replace(
            retries=self.retries + (action is RetryAction.WAIT),
            renewals=self.renewals + (action is RetryAction.RENEW_NONCE),
            moves=self.moves + (action is RetryAction.FOLLOW),
            reverts=self.reverts + (action is RetryAction.USE_ORIGINAL),
        )


class Rule(NamedTuple):
    """What follows a failure, and for which requests."""

    action: RetryAction
    #: Only if the site may get the request twice, since it changes nothing (RFC 9110, 9.2.2).
    only_idempotent: bool = False
    #: How often for one request. None: as often as the client's retries allow.
    max_uses: Optional[int] = None


#: The table. Where a rule is used up or does not hold, the error is raised.
RULES: Mapping[FailureKind, Rule] = {
    FailureKind.NOT_CONNECTED: Rule(RetryAction.WAIT),
    FailureKind.STALE_NONCE: Rule(RetryAction.RENEW_NONCE, max_uses=1),
    FailureKind.REPLACED_NONCE: Rule(RetryAction.RENEW_NONCE, max_uses=MAX_RENEWALS),
    FailureKind.ASKED_TO_WAIT: Rule(RetryAction.WAIT),
    FailureKind.MOVED: Rule(RetryAction.FOLLOW, max_uses=MAX_REDIRECTS),
    FailureKind.NEW_ADDRESS_GONE: Rule(RetryAction.USE_ORIGINAL, max_uses=1),
    FailureKind.UNCERTAIN: Rule(RetryAction.WAIT, only_idempotent=True),
    FailureKind.FINAL: Rule(RetryAction.RAISE),
}


class Decision(NamedTuple):
    """What to do next, and after how many seconds."""

    action: RetryAction
    delay: float = 0.0


_RAISE = Decision(RetryAction.RAISE)


def decide(
    failure: FailureKind,
    *,
    idempotent: bool,
    attempt: Attempt,
    retry_after: Optional[float] = None,
    jitter: float = 1.0,
) -> Decision:
    """
    Return what happens next.

    Args:
        failure: what went wrong.
        idempotent: the site may get the request twice.
        attempt: what has been tried.
        retry_after: the seconds that the site asks to wait; it counts only for `ASKED_TO_WAIT`.
        jitter: from 0.5 to 1; a backoff is multiplied by it.
    """
    rule = RULES[failure]
    max_uses = attempt.max_retries if rule.max_uses is None else rule.max_uses
    if attempt.uses(rule.action) >= max_uses or (rule.only_idempotent and not idempotent):
        return _RAISE
    if rule.action is not RetryAction.WAIT:
        return Decision(rule.action)
    asked = retry_after if failure is FailureKind.ASKED_TO_WAIT else None
    delay = _backoff(attempt.retries, jitter) if asked is None else asked
    return Decision(RetryAction.WAIT, delay) if _may_wait(delay, attempt.remaining) else _RAISE


def _may_wait(delay: float, remaining: Optional[float]) -> bool:
    return delay <= MAX_WAIT and (remaining is None or delay < remaining)


def _backoff(retries: int, jitter: float) -> float:
    return min(FIRST_BACKOFF * 2.0**retries, MAX_BACKOFF) * jitter


def classify(
    error: ChatGPT4OnlineError,
    *,
    sent: bool,
    redirected: bool = False,
    stale_nonce: bool = False,
    nonce_replaced: bool = False,
    permanent: bool = False,
    moved: bool = False,
) -> FailureKind:
    """
    Return what an error means for sending again.

    Args:
        error: what the attempt raised.
        sent: a part of the request may have left this machine.
        redirected: the answer is a redirect that may be followed.
        stale_nonce: the site refused the nonce that was sent.
        nonce_replaced: the nonce, or a cookie that it was fetched with, has been replaced since.
        permanent: it would be the same each time, as with a certificate that is not trusted, or
            the call has ended.
        moved: the request went to an address that an earlier redirect had led to.
    """
    if redirected:
        return FailureKind.MOVED
    if permanent or isinstance(error, BlockedError):
        return FailureKind.FINAL
    if stale_nonce:
        return FailureKind.REPLACED_NONCE if nonce_replaced else FailureKind.STALE_NONCE
    if moved and isinstance(error, NotFoundError) and not error.code:
        return FailureKind.NEW_ADDRESS_GONE  # WordPress would have named a code
    return _of_status(error) if isinstance(error, StatusError) else _of_connection(error, sent)


def _of_connection(error: ChatGPT4OnlineError, sent: bool) -> FailureKind:
    if isinstance(error, TransportError) and not sent:
        return FailureKind.NOT_CONNECTED
    is_cut = isinstance(error, (TransportError, StreamInterrupted))
    return FailureKind.UNCERTAIN if is_cut and not isinstance(error, Timeout) else FailureKind.FINAL


def _of_status(error: StatusError) -> FailureKind:
    if error.status in (429, 503) and error.retry_after is not None:
        return FailureKind.ASKED_TO_WAIT
    return FailureKind.UNCERTAIN if error.status in (429, 502, 503, 504) else FailureKind.FINAL
