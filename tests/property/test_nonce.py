"""The shared nonce against a model: which calls get which nonce, and when one is fetched."""

from __future__ import annotations

import string
from typing import List, Optional

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from chatgpt4online import TransportError
from chatgpt4online._http.call import Call
from chatgpt4online._http.nonce import IssuedNonce, Nonce

#: Few, so that a new nonce often equals an old one, as on real sites.
NONCES = st.sampled_from(string.ascii_lowercase[:3])


class NonceAgainstModel(RuleBasedStateMachine):
    """
    Operations of calls on the nonce, in any order.

    The model is the current nonce or None. A renewal issues a nonce that counts as new even if its
    value is not; only a request that used the current nonce can have it forgotten or replaced.
    """

    issued_nonces = Bundle("issued_nonces")

    @initialize()
    def begin(self) -> None:
        """Start without a nonce."""
        self.nonce = Nonce()
        self.current: Optional[IssuedNonce] = None
        self.issued: List[IssuedNonce] = []
        self.fetched = 0

    def fetch(self, nonce: str) -> str:
        """Count a fetch, and return its result."""
        self.fetched += 1
        return nonce

    def renewed(self, nonce: str) -> None:
        """Check that a nonce has been issued that differs from all before, and record it."""
        self.current = self.nonce.get(Call(), lambda _: pytest.fail("a nonce is there"))
        assert self.current.value == nonce
        assert self.current not in self.issued
        self.issued.append(self.current)

    @precondition(lambda self: self.current is None)
    @rule(target=issued_nonces, nonce=NONCES)
    def fetched_nonce(self, nonce: str) -> IssuedNonce:
        """Without a nonce, one is fetched once."""
        before = self.fetched
        issued = self.nonce.get(Call(), lambda _: self.fetch(nonce))
        assert self.fetched == before + 1
        self.renewed(nonce)
        assert issued == self.current
        return issued

    @precondition(lambda self: self.current is not None)
    @rule(target=issued_nonces)
    def kept_nonce(self) -> IssuedNonce:
        """An existing nonce is returned, and none is fetched."""
        issued = self.nonce.get(Call(), lambda _: pytest.fail("a nonce is there"))
        assert issued == self.current
        return issued

    @precondition(lambda self: self.current is None)
    @rule()
    def fetch_fails(self) -> None:
        """A fetch that fails raises its error, and the next call fetches again."""
        error = TransportError("no route to the site")

        def fail(_: Call) -> str:
            raise error

        with pytest.raises(TransportError) as caught:
            self.nonce.get(Call(), fail)
        assert caught.value is error

    @rule(issued=issued_nonces)
    def refused(self, issued: IssuedNonce) -> None:
        """A refused nonce is forgotten, unless it has been renewed since it was sent."""
        self.nonce.refuse(issued)
        if issued == self.current:
            self.current = None

    @rule(target=issued_nonces, issued=issued_nonces, nonce=NONCES)
    def updated(self, issued: IssuedNonce, nonce: str) -> IssuedNonce:
        """A fresh nonce in an answer replaces the one that was sent, if that is still current."""
        self.nonce.update(issued, nonce)
        if issued == self.current and nonce != issued.value:
            self.renewed(nonce)
            issued = self.issued[-1]
        return issued

    @rule(issued=issued_nonces)
    def not_updated(self, issued: IssuedNonce) -> None:
        """An answer without a nonce changes nothing."""
        self.nonce.update(issued, None)

    @rule()
    def forgotten(self) -> None:
        """A nonce can be forgotten at any time."""
        self.nonce.forget()
        self.current = None

    @invariant()
    def matches_the_model(self) -> None:
        """The nonce is the model's."""
        if self.current is not None:
            kept = self.nonce.get(Call(), lambda _: pytest.fail("a nonce is there"))
            assert kept == self.current


NonceAgainstModel.TestCase.settings = settings(
    derandomize=True, max_examples=30, stateful_step_count=25
)
TestNonce = NonceAgainstModel.TestCase
