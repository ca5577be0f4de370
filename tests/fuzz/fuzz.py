"""
Let a fuzzer that is guided by coverage look for an answer that breaks what must hold.

Arguments are libFuzzer's: its options, then folders of inputs, the first of which is added to.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["chatgpt4online", "sseclient"]):
    from anything import check


def one(data: bytes) -> None:
    """Try one input."""
    check(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
