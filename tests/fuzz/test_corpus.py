"""The fuzzer's initial inputs, checked without the fuzzer."""

from __future__ import annotations

from pathlib import Path

from anything import Case, check

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


def test_corpus() -> None:
    """The properties hold for the initial inputs, which reach every kind of outcome."""
    outcomes = [check(path.read_bytes()) for path in CORPUS]
    assert {each.error[0] for each in outcomes} >= {
        *("", "AuthError", "BlockedError", "ProtocolError", "RateLimitError"),
        *("ReplyError", "ServerError", "StreamInterrupted"),
    }
    cases = [Case(path.read_bytes()) for path in CORPUS]
    assert {(case.coding, case.chunked) for case in cases} >= {("gzip", False), ("", True)}


def test_pieces() -> None:
    """The pieces of a body end where the input says."""
    assert Case(b"\0\0\0a\nbc").pieces == [b"a", b"\n", b"b", b"c"]
    assert Case(b"\0\n]a\nb]c").pieces == [b"a\n", b"b]", b"c"]
    assert Case(b"").pieces == []
