"""What is sent again: the table, row by row and boundary by boundary."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple, Type

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatgpt4online import (
    AuthError,
    BlockedError,
    ChatGPT4OnlineError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ReplyError,
    ServerError,
    StatusError,
    StreamInterrupted,
    Timeout,
    TransportError,
)
from chatgpt4online._http.retry import (
    MAX_REDIRECTS,
    MAX_RENEWALS,
    MAX_WAIT,
    RULES,
    Attempt,
    Decision,
    FailureKind,
    RetryAction,
    classify,
    decide,
)

FRESH = Attempt(max_retries=2)
RAISE = Decision(RetryAction.RAISE)


# ------------------------------------------------------------------------ from error to failure


def status(code: int, retry_after: Optional[float] = None) -> StatusError:
    """Return the error of a status, with Retry-After if given."""
    error_type = {404: NotFoundError, 429: RateLimitError}.get(code, ServerError)
    return error_type(status=code, retry_after=retry_after)


NOT_FOUND = NotFoundError(status=404)
NO_ROUTE = NotFoundError(status=404, code="rest_no_route")
STALE = AuthError(status=403, code="rest_cookie_invalid_nonce")

#: An error, what else is known about its attempt, and what it means.
MEANINGS: Dict[str, Tuple[ChatGPT4OnlineError, Dict[str, bool], FailureKind]] = {
    "no connection": (TransportError(), {"sent": False}, FailureKind.NOT_CONNECTED),
    "no connection in time": (Timeout(phase="connect"), {"sent": False}, FailureKind.NOT_CONNECTED),
    "a bad certificate": (TransportError(), {"sent": False, "permanent": True}, FailureKind.FINAL),
    "a cut before the headers": (TransportError(), {}, FailureKind.UNCERTAIN),
    "a cut answer": (StreamInterrupted(), {}, FailureKind.UNCERTAIN),
    "silence": (Timeout(phase="read"), {}, FailureKind.FINAL),
    "the deadline": (Timeout(phase="deadline"), {}, FailureKind.FINAL),
    "a stale nonce": (STALE, {"stale_nonce": True}, FailureKind.STALE_NONCE),
    "a nonce that was replaced": (
        STALE,
        {"stale_nonce": True, "nonce_replaced": True},
        FailureKind.REPLACED_NONCE,
    ),
    "another refusal meanwhile": (STALE, {"nonce_replaced": True}, FailureKind.FINAL),
    "the same refusal without a nonce": (STALE, {}, FailureKind.FINAL),
    "429": (status(429), {}, FailureKind.UNCERTAIN),
    "429 with Retry-After": (status(429, 9.0), {}, FailureKind.ASKED_TO_WAIT),
    "429, retry at once": (status(429, 0.0), {}, FailureKind.ASKED_TO_WAIT),
    "502": (status(502), {}, FailureKind.UNCERTAIN),
    "502 with Retry-After": (status(502, 0.0), {}, FailureKind.UNCERTAIN),
    "503": (status(503), {}, FailureKind.UNCERTAIN),
    "503 with Retry-After": (status(503, 9.0), {}, FailureKind.ASKED_TO_WAIT),
    "504": (status(504), {}, FailureKind.UNCERTAIN),
    "504 with Retry-After": (status(504, 0.0), {}, FailureKind.UNCERTAIN),
    "500 with Retry-After": (status(500, 0.0), {}, FailureKind.FINAL),
    "425 with Retry-After": (status(425, 0.0), {}, FailureKind.FINAL),
    "429 of a firewall": (BlockedError(status=429, retry_after=0.0), {}, FailureKind.FINAL),
    "503 of a firewall": (BlockedError(status=503, retry_after=0.0), {}, FailureKind.FINAL),
    "404": (NOT_FOUND, {}, FailureKind.FINAL),
    "404 after a redirect": (NOT_FOUND, {"moved": True}, FailureKind.NEW_ADDRESS_GONE),
    "404 of WordPress after a redirect": (NO_ROUTE, {"moved": True}, FailureKind.FINAL),
    "410 after a redirect": (status(410), {"moved": True}, FailureKind.FINAL),
    "502 after a redirect": (status(502), {"moved": True}, FailureKind.UNCERTAIN),
    "a redirect": (status(301), {"redirected": True}, FailureKind.MOVED),
    "a redirect to elsewhere": (status(301), {}, FailureKind.FINAL),
    "a redirect while the call ends": (
        status(301),
        {"redirected": True, "permanent": True},
        FailureKind.MOVED,
    ),
    "a stale nonce while the call ends": (
        STALE,
        {"stale_nonce": True, "permanent": True},
        FailureKind.FINAL,
    ),
    "a failure of the plugin": (ReplyError(), {}, FailureKind.FINAL),
    "a page": (ProtocolError(), {}, FailureKind.FINAL),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_meanings(name: str) -> None:
    """An error, and whether anything was sent, decide what it means for sending again."""
    error, known, failure = MEANINGS[name]
    assert classify(error, **{"sent": True, **known}) is failure


def test_other_statuses_are_final() -> None:
    """Any other status is final, whatever the site asks for."""
    others = {*range(100, 1000)} - {429, 502, 503, 504}
    for code in others:
        for retry_after in (None, 0.0):
            assert classify(status(code, retry_after), sent=True) is FailureKind.FINAL


# --------------------------------------------------------------------- from failure to decision

#: What follows a failure in a fresh attempt: of an idempotent request, and of any other.
ROWS: Dict[FailureKind, Tuple[RetryAction, RetryAction]] = {
    FailureKind.NOT_CONNECTED: (RetryAction.WAIT, RetryAction.WAIT),
    FailureKind.STALE_NONCE: (RetryAction.RENEW_NONCE, RetryAction.RENEW_NONCE),
    FailureKind.REPLACED_NONCE: (RetryAction.RENEW_NONCE, RetryAction.RENEW_NONCE),
    FailureKind.ASKED_TO_WAIT: (RetryAction.WAIT, RetryAction.WAIT),
    FailureKind.MOVED: (RetryAction.FOLLOW, RetryAction.FOLLOW),
    FailureKind.NEW_ADDRESS_GONE: (RetryAction.USE_ORIGINAL, RetryAction.USE_ORIGINAL),
    FailureKind.UNCERTAIN: (RetryAction.WAIT, RetryAction.RAISE),
    FailureKind.FINAL: (RetryAction.RAISE, RetryAction.RAISE),
}


def test_the_table_is_complete() -> None:
    """Each failure has a rule and a row."""
    assert set(RULES) == set(ROWS) == set(FailureKind)


@pytest.mark.parametrize("failure", FailureKind)
@pytest.mark.parametrize("idempotent", [True, False])
def test_rows(failure: FailureKind, idempotent: bool) -> None:
    """Of what may have run, only an idempotent request is sent again."""
    decision = decide(failure, idempotent=idempotent, attempt=FRESH)
    assert decision.action is ROWS[failure][0 if idempotent else 1]


#: What was done before, in the last attempt that may fail in this way, and in the one after it.
USED_UP: List[Tuple[FailureKind, Attempt, Attempt]] = [
    (FailureKind.NOT_CONNECTED, Attempt(1, 2), Attempt(2, 2)),
    (FailureKind.ASKED_TO_WAIT, Attempt(1, 2), Attempt(2, 2)),
    (FailureKind.UNCERTAIN, Attempt(1, 2), Attempt(2, 2)),
    (FailureKind.UNCERTAIN, Attempt(0, 1), Attempt(0, 0)),
    (FailureKind.STALE_NONCE, Attempt(renewals=0), Attempt(renewals=1)),
    (
        FailureKind.REPLACED_NONCE,
        Attempt(renewals=MAX_RENEWALS - 1),
        Attempt(renewals=MAX_RENEWALS),
    ),
    (FailureKind.MOVED, Attempt(moves=4), Attempt(moves=5)),
    (FailureKind.NEW_ADDRESS_GONE, Attempt(reverts=0), Attempt(reverts=1)),
]


@pytest.mark.parametrize(("failure", "last", "over"), USED_UP)
def test_used_up(failure: FailureKind, last: Attempt, over: Attempt) -> None:
    """Waits happen `retries` times; the table says how often anything else does."""
    assert decide(failure, idempotent=True, attempt=last).action is RULES[failure].action
    assert decide(failure, idempotent=True, attempt=over) == RAISE


@pytest.mark.parametrize(
    ("failure", "used"),
    [
        (FailureKind.NOT_CONNECTED, Attempt(0, 1, renewals=1, moves=5, reverts=1)),
        (FailureKind.STALE_NONCE, Attempt(2, 2, moves=5, reverts=1)),
        (FailureKind.MOVED, Attempt(2, 2, renewals=1, reverts=1)),
        (FailureKind.NEW_ADDRESS_GONE, Attempt(2, 2, renewals=1, moves=5)),
    ],
)
def test_each_kind_is_counted_alone(failure: FailureKind, used: Attempt) -> None:
    """A kind that is used up leaves the others as they are."""
    assert decide(failure, idempotent=False, attempt=used).action is RULES[failure].action


@pytest.mark.parametrize(
    ("retry_after", "remaining", "obeyed"),
    [
        (0.0, None, True),
        (60.0, None, True),
        (60.1, None, False),
        (61.0, None, False),
        (30.0, 30.1, True),
        (30.0, 30.0, False),
        (30.0, 20.0, False),
        (0.0, 0.1, True),
        (0.0, 0.0, False),
    ],
)
def test_retry_after(retry_after: float, remaining: Optional[float], obeyed: bool) -> None:
    """Retry-After is obeyed exactly, up to 60 seconds and within the deadline."""
    attempt = FRESH._replace(remaining=remaining)
    decision = decide(
        FailureKind.ASKED_TO_WAIT, idempotent=False, attempt=attempt, retry_after=retry_after
    )
    assert decision == (Decision(RetryAction.WAIT, retry_after) if obeyed else RAISE)


@pytest.mark.parametrize("failure", [FailureKind.NOT_CONNECTED, FailureKind.UNCERTAIN])
def test_retry_after_of_another_failure(failure: FailureKind) -> None:
    """A Retry-After that comes with another failure is not a reason to wait for it."""
    decision = decide(failure, idempotent=True, attempt=FRESH, retry_after=3600.0)
    assert decision == Decision(RetryAction.WAIT, 0.5)


@pytest.mark.parametrize(
    ("retries", "longest"), [(0, 0.5), (1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (900, 8.0)]
)
@pytest.mark.parametrize("failure", [FailureKind.NOT_CONNECTED, FailureKind.UNCERTAIN])
def test_backoff(failure: FailureKind, retries: int, longest: float) -> None:
    """A backoff doubles from half a second to 8 seconds; jitter takes off up to a half."""
    attempt = Attempt(retries, 1000)
    delays = [
        decide(failure, idempotent=True, attempt=attempt, jitter=jitter).delay
        for jitter in (0.5, 0.75, 1.0)
    ]
    assert delays == [longest / 2, longest * 0.75, longest]


@pytest.mark.parametrize(
    ("remaining", "jitter", "action"),
    [
        (0.51, 1.0, RetryAction.WAIT),
        (0.5, 1.0, RetryAction.RAISE),
        (0.5, 0.5, RetryAction.WAIT),
        (0.0, 0.5, RetryAction.RAISE),
    ],
)
def test_backoff_and_deadline(remaining: float, jitter: float, action: RetryAction) -> None:
    """A backoff that would end at the deadline or later is not begun."""
    attempt = FRESH._replace(remaining=remaining)
    decision = decide(FailureKind.NOT_CONNECTED, idempotent=True, attempt=attempt, jitter=jitter)
    assert decision.action is action


@pytest.mark.parametrize(
    "failure", [FailureKind.STALE_NONCE, FailureKind.MOVED, FailureKind.NEW_ADDRESS_GONE]
)
def test_no_delay(failure: FailureKind) -> None:
    """What the site asks to be sent in another way is sent at once."""
    assert decide(failure, idempotent=False, attempt=FRESH, retry_after=5.0).delay == 0.0


@pytest.mark.parametrize(
    ("action", "attempt"),
    [
        (RetryAction.WAIT, Attempt(1, 2)),
        (RetryAction.RENEW_NONCE, Attempt(0, 2, renewals=1)),
        (RetryAction.FOLLOW, Attempt(0, 2, moves=1)),
        (RetryAction.USE_ORIGINAL, Attempt(0, 2, reverts=1)),
    ],
)
def test_next_attempt(action: RetryAction, attempt: Attempt) -> None:
    """An action is counted as one of its own kind."""
    assert FRESH.after(action) == attempt


# -------------------------------------------------------------------------------- whatever happens

STATUS_TYPES: List[Type[StatusError]] = [
    AuthError,
    BlockedError,
    NotFoundError,
    RateLimitError,
    ServerError,
    StatusError,
]
WAITS = st.none() | st.floats(0, 2 * MAX_WAIT)
COUNTS = st.integers(0, 2 * MAX_REDIRECTS)
ERRORS = st.one_of(
    st.builds(
        lambda error_type, **fields: error_type(**fields),
        st.sampled_from(STATUS_TYPES),
        status=st.sampled_from([401, 403, 404, 425, 429, 500, 502, 503, 504]),
        code=st.sampled_from(["", "rest_forbidden", "rest_no_route"]),
        retry_after=WAITS,
    ),
    st.sampled_from(
        [
            ProtocolError(),
            ReplyError(),
            StreamInterrupted(),
            Timeout(phase="connect"),
            Timeout(phase="deadline"),
            Timeout(phase="read"),
            TransportError(),
        ]
    ),
)
ATTEMPTS = st.builds(
    Attempt,
    retries=COUNTS,
    max_retries=COUNTS,
    renewals=COUNTS,
    moves=COUNTS,
    reverts=COUNTS,
    remaining=WAITS,
)
KNOWN = st.fixed_dictionaries(
    {name: st.booleans() for name in ("stale_nonce", "permanent", "moved")}
)
#: Refusals with a Retry-After, short enough to wait for or not.
ASKED_TO_WAIT = st.builds(
    status, st.sampled_from([429, 503]), retry_after=st.floats(0, 1.1 * MAX_WAIT)
)
LEFT = st.builds(
    Attempt,
    retries=st.just(0),
    max_retries=st.integers(1, 2),
    remaining=st.none() | st.floats(MAX_WAIT / 2, 2 * MAX_WAIT),
)
#: Any refusals, those that ask to wait, and those by an address that may be a redirect's.
REFUSALS: st.SearchStrategy[Tuple[Any, Dict[str, Any], Attempt]] = st.one_of(
    st.tuples(ERRORS, KNOWN, ATTEMPTS),
    st.tuples(ASKED_TO_WAIT, st.just({}), LEFT),
    st.tuples(st.sampled_from([NOT_FOUND, NO_ROUTE]), st.just({"moved": True}), LEFT),
    st.tuples(st.just(NOT_FOUND), st.fixed_dictionaries({"moved": st.booleans()}), LEFT),
)


@given(REFUSALS, st.floats(0.5, 1.0))
def test_what_may_have_run_is_not_repeated(
    refusal: Tuple[ChatGPT4OnlineError, Dict[str, Any], Attempt], jitter: float
) -> None:
    """
    A request that is not idempotent is never repeated after something was sent.

    Except for a refused nonce, a Retry-After, and an address that a redirect led to and that is not
    WordPress: there nothing has run.
    """
    error, known, attempt = refusal
    asked = getattr(error, "retry_after", None)
    decision = decide(
        classify(error, sent=True, **known),
        idempotent=False,
        attempt=attempt,
        retry_after=asked,
        jitter=jitter,
    )
    if decision.action is RetryAction.RENEW_NONCE:
        assert known.get("stale_nonce")
    elif decision.action is RetryAction.WAIT:
        assert isinstance(error, StatusError)
        assert error.status in (429, 503)
        assert not isinstance(error, BlockedError)
        assert decision.delay == asked
    elif decision.action is RetryAction.USE_ORIGINAL:
        assert known.get("moved")
        assert isinstance(error, NotFoundError)
        assert not error.code
    else:
        assert decision == RAISE


@given(
    st.lists(st.sampled_from(FailureKind), min_size=50, max_size=50),
    st.integers(0, 9),
    st.booleans(),
)
def test_every_request_ends(failures: List[FailureKind], retries: int, idempotent: bool) -> None:
    """Whatever fails in whichever order, a request is sent a limited number of times."""
    attempt, sent = Attempt(max_retries=retries), 1
    for failure in failures:
        decision = decide(failure, idempotent=idempotent, attempt=attempt, retry_after=0.0)
        if decision.action is RetryAction.RAISE:
            break
        attempt = attempt.after(decision.action)
        sent += 1
    else:
        pytest.fail("it is sent on and on")
    assert sent <= 1 + retries + MAX_RENEWALS + MAX_REDIRECTS + 1


@given(st.sampled_from(FailureKind), ATTEMPTS, WAITS, st.booleans(), st.floats(0.5, 1.0))
def test_no_wait_is_too_long(
    failure: FailureKind,
    attempt: Attempt,
    retry_after: Optional[float],
    idempotent: bool,
    jitter: float,
) -> None:
    """No wait is longer than a minute, nor reaches the deadline."""
    decision = decide(
        failure, idempotent=idempotent, attempt=attempt, retry_after=retry_after, jitter=jitter
    )
    assert 0.0 <= decision.delay <= MAX_WAIT
    if decision.action is RetryAction.WAIT and attempt.remaining is not None:
        assert decision.delay < attempt.remaining
