"""
Search for an answer that violates a property, with a coverage-guided fuzzer.

The arguments are libFuzzer's: options, then folders of inputs; new inputs go to the first folder.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["chatgpt4online", "sseclient"]):
    from anything import check


def test_one_input(data: bytes) -> None:
    """Check one input."""
    check(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
