"""The inputs that the fuzzer starts from, without it."""

from __future__ import annotations

from pathlib import Path

from anything import Case, check

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


def test_corpus() -> None:
    """What must hold for an answer of any bytes holds for these, which say all there is to say."""
    said = [check(path.read_bytes()) for path in CORPUS]
    assert {each.error[0] for each in said} >= {
        *("", "AuthError", "BlockedError", "ProtocolError", "RateLimitError"),
        *("ReplyError", "ServerError", "StreamInterrupted"),
    }
    cases = [Case(path.read_bytes()) for path in CORPUS]
    assert {(case.coding, case.chunked) for case in cases} >= {("gzip", False), ("", True)}


def test_pieces() -> None:
    """A body arrives in pieces that are the body, cut where the input says."""
    assert Case(b"\0\0\0a\nbc").pieces == [b"a", b"\n", b"b", b"c"]
    assert Case(b"\0\n]a\nb]c").pieces == [b"a\n", b"b]", b"c"]
    assert Case(b"").pieces == []
