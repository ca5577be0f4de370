"""The nonce, checked against a model: who gets which one, and when one is fetched."""

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

#: Few, so that a new nonce is often equal to an old one, as on real sites.
NONCES = st.sampled_from(string.ascii_lowercase[:3])


class NonceAgainstModel(RuleBasedStateMachine):
    """
    What calls do with the nonce, in any order.

    The model: the present nonce or None. A renewal issues one that is new; only a request that used
    the present one can have it forgotten or replaced.
    """

    issues = Bundle("issues")

    @initialize()
    def begin(self) -> None:
        """Begin without a nonce."""
        self.nonce = Nonce()
        self.present: Optional[IssuedNonce] = None
        self.given: List[IssuedNonce] = []
        self.fetched = 0

    def fetch(self, nonce: str) -> str:
        """Count a fetch, and return what it brings."""
        self.fetched += 1
        return nonce

    def renewed(self, nonce: str) -> None:
        """Note that a new nonce has been issued, different from those before."""
        self.present = self.nonce.get(Call(), lambda _: pytest.fail("it is there"))
        assert self.present.value == nonce
        assert self.present not in self.given
        self.given.append(self.present)

    @precondition(lambda self: self.present is None)
    @rule(target=issues, nonce=NONCES)
    def fetched_nonce(self, nonce: str) -> IssuedNonce:
        """Without a nonce, one is fetched, once."""
        before = self.fetched
        issued = self.nonce.get(Call(), lambda _: self.fetch(nonce))
        assert self.fetched == before + 1
        self.renewed(nonce)
        assert issued == self.present
        return issued

    @precondition(lambda self: self.present is not None)
    @rule(target=issues)
    def kept_nonce(self) -> IssuedNonce:
        """With a nonce, it is given, and none is fetched."""
        issued = self.nonce.get(Call(), lambda _: pytest.fail("a nonce is there"))
        assert issued == self.present
        return issued

    @precondition(lambda self: self.present is None)
    @rule()
    def fetch_fails(self) -> None:
        """A fetch that fails raises its error, and the next call fetches again."""
        error = TransportError("no way")

        def fail(_: Call) -> str:
            raise error

        with pytest.raises(TransportError) as caught:
            self.nonce.get(Call(), fail)
        assert caught.value is error

    @rule(issued=issues)
    def refused(self, issued: IssuedNonce) -> None:
        """A refused nonce is forgotten, unless it has been renewed since it was sent."""
        self.nonce.refuse(issued)
        if issued == self.present:
            self.present = None

    @rule(target=issues, issued=issues, nonce=NONCES)
    def updated(self, issued: IssuedNonce, nonce: str) -> IssuedNonce:
        """A fresh nonce in an answer is taken, unless the one it answers has been renewed."""
        self.nonce.update(issued, nonce)
        if issued == self.present and nonce != issued.value:
            self.renewed(nonce)
            issued = self.given[-1]
        return issued

    @rule(issued=issues)
    def not_updated(self, issued: IssuedNonce) -> None:
        """An answer without a nonce changes nothing."""
        self.nonce.update(issued, None)

    @rule()
    def forgotten(self) -> None:
        """A nonce can be forgotten at any time."""
        self.nonce.forget()
        self.present = None

    @invariant()
    def is_as_modelled(self) -> None:
        """The nonce is there when it should be, and is the one that it should be."""
        if self.present is not None:
            kept = self.nonce.get(Call(), lambda _: pytest.fail("a nonce is there"))
            assert kept == self.present


NonceAgainstModel.TestCase.settings = settings(
    derandomize=True, max_examples=30, stateful_step_count=25
)
TestNonce = NonceAgainstModel.TestCase
