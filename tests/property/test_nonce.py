"""The nonce against a model of it: who gets which one, and when one is fetched."""

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
from chatgpt4online._auth import Nonce, Ticket
from chatgpt4online._call import Call

#: Few, so that a new nonce is often equal to an old one, as on real sites.
NONCES = st.sampled_from(string.ascii_lowercase[:3])


class NonceAgainstModel(RuleBasedStateMachine):
    """
    Any order of what calls do with the nonce.

    The model: the present ticket or None. A renewal makes a ticket that never was before; only a
    holder of the present one can have it forgotten or replaced.
    """

    tickets = Bundle("tickets")

    @initialize()
    def begin(self) -> None:
        """Begin without a nonce."""
        self.nonce = Nonce()
        self.present: Optional[Ticket] = None
        self.given: List[Ticket] = []
        self.fetched = 0

    def fetch(self, nonce: str) -> str:
        """Count a fetch, and return what it brings."""
        self.fetched += 1
        return nonce

    def renewed(self, nonce: str) -> None:
        """Take note that a new ticket has come, which is none of those before."""
        self.present = self.nonce.ticket(Call(), lambda _: pytest.fail("it is there"))
        assert self.present.nonce == nonce
        assert self.present not in self.given
        self.given.append(self.present)

    @precondition(lambda self: self.present is None)
    @rule(target=tickets, nonce=NONCES)
    def ticket_fetched(self, nonce: str) -> Ticket:
        """Without a nonce, one is fetched, once."""
        before = self.fetched
        ticket = self.nonce.ticket(Call(), lambda _: self.fetch(nonce))
        assert self.fetched == before + 1
        self.renewed(nonce)
        assert ticket == self.present
        return ticket

    @precondition(lambda self: self.present is not None)
    @rule(target=tickets)
    def ticket_kept(self) -> Ticket:
        """With a nonce, it is given, and none is fetched."""
        ticket = self.nonce.ticket(Call(), lambda _: pytest.fail("a nonce is there"))
        assert ticket == self.present
        return ticket

    @precondition(lambda self: self.present is None)
    @rule()
    def fetch_fails(self) -> None:
        """A fetch that fails raises its error, and the next call fetches again."""
        error = TransportError("no way")

        def fail(_: Call) -> str:
            raise error

        with pytest.raises(TransportError) as caught:
            self.nonce.ticket(Call(), fail)
        assert caught.value is error

    @rule(ticket=tickets)
    def refused(self, ticket: Ticket) -> None:
        """A refused nonce is forgotten, unless it has been renewed since it was sent."""
        self.nonce.refused(ticket)
        if ticket == self.present:
            self.present = None

    @rule(target=tickets, ticket=tickets, nonce=NONCES)
    def adopted(self, ticket: Ticket, nonce: str) -> Ticket:
        """A fresh nonce in an answer is taken, unless the one it answers has been renewed."""
        self.nonce.adopt(ticket, nonce)
        if ticket == self.present and nonce != ticket.nonce:
            self.renewed(nonce)
            ticket = self.given[-1]
        return ticket

    @rule(ticket=tickets)
    def nothing_adopted(self, ticket: Ticket) -> None:
        """An answer without a nonce changes nothing."""
        self.nonce.adopt(ticket, None)

    @rule()
    def forgotten(self) -> None:
        """A nonce can be forgotten at any time."""
        self.nonce.forget()
        self.present = None

    @invariant()
    def is_as_modelled(self) -> None:
        """The nonce is there when it should be, and is the one that it should be."""
        if self.present is not None:
            kept = self.nonce.ticket(Call(), lambda _: pytest.fail("a nonce is there"))
            assert kept == self.present


NonceAgainstModel.TestCase.settings = settings(
    derandomize=True, max_examples=30, stateful_step_count=25
)
TestNonce = NonceAgainstModel.TestCase
