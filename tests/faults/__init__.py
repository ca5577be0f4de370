"""
What may go wrong between a question and its answer: one row per fault.

A row says what the site does, byte by byte, and which error results. Its numbers of questions
follow the rule that a question is sent again only if it cannot have run. Faults that need no bytes,
such as a status, are tables of the unit tests.
"""

from .answers import ANSWERS
from .bodies import BODIES
from .connections import CONNECTIONS
from .refusals import REFUSALS
from .site import ANSWER, COOKIE, LIMIT, NONCE, RETRIES, Fault, Faults, Site, message_of

__all__ = [
    "ANSWER",
    "COOKIE",
    "FAULTS",
    "LIMIT",
    "NONCE",
    "RETRIES",
    "Fault",
    "Site",
    "message_of",
]

#: All rows.
FAULTS: Faults = {**CONNECTIONS, **BODIES, **ANSWERS, **REFUSALS}
