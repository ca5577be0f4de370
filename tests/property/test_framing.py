"""Framing and compression of bodies: the result does not depend on how the bytes arrive."""

from __future__ import annotations

import gzip
import zlib
from typing import Callable, Iterable, List, Tuple

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import cut, offsets, quick

from chatgpt4online import ProtocolError
from chatgpt4online._http.framing import BLOCK, Chunked, Inflater, Length, UntilClose

NEWLINES = st.sampled_from([b"\r\n", b"\n"])
EXTENSIONS = st.sampled_from([b"", b";a=b", b" ; a", b' ;a="\r"'])
SIZES = st.sampled_from(["%x", "%X", "%04x"])
CHUNKS = st.lists(st.tuples(st.binary(min_size=1, max_size=40), SIZES, EXTENSIONS), max_size=8)
TRAILERS = st.lists(st.sampled_from([b"A: b", b"X-Checksum: 5"]), max_size=3)


@st.composite
def chunked(draw: st.DrawFn) -> Tuple[bytes, bytes]:
    """Return a body, and its chunked encoding."""
    newline = draw(NEWLINES)
    chunks = draw(CHUNKS)
    lines: List[bytes] = []
    for data, size, extension in chunks:
        lines += [(size % len(data)).encode() + extension, data]
    framed = newline.join([*lines, b"0", *draw(TRAILERS), b"", b""])
    return b"".join(data for data, *_ in chunks), framed


def feed(framing: Chunked, pieces: Iterable[bytes]) -> bytes:
    """Return what a framing decodes from these pieces."""
    return b"".join(framing.feed(piece) for piece in pieces)


@quick
@given(chunked(), offsets)
def test_chunked(body: Tuple[bytes, bytes], where: List[int]) -> None:
    """A chunked body is decoded under any cuts, and ends with its last byte."""
    plain, framed = body
    framing = Chunked()
    *before, last = cut(framed, where)
    data = feed(framing, before)
    assert not framing.ended
    assert data + framing.feed(last) == plain
    assert (framing.ended, framing.excess, framing.broken) == (True, False, False)


@quick
@given(chunked(), offsets, st.data())
def test_chunked_cut_off(body: Tuple[bytes, bytes], where: List[int], data: st.DataObject) -> None:
    """A truncated chunked body gives a prefix of the body, and has not ended."""
    plain, framed = body
    size = data.draw(st.integers(0, len(framed) - 1))
    framing = Chunked()
    assert plain.startswith(feed(framing, cut(framed[:size], where)))
    assert (framing.ended, framing.broken) == (False, False)


@quick
@given(chunked(), st.binary(min_size=1))
def test_chunked_excess(body: Tuple[bytes, bytes], more: bytes) -> None:
    """Bytes after the end of a chunked body are not part of it, and are reported as excess."""
    plain, framed = body
    framing = Chunked()
    assert framing.feed(framed + more) == plain
    assert (framing.ended, framing.excess) == (True, True)


SNIPPETS = st.sampled_from([b"5", b"0", b"\r\n", b"\n", b"\r", b"ab", b"-1", b";x", b"0x2", b"_"])


@quick
@given(st.one_of(st.binary(), st.lists(SNIPPETS).map(b"".join)), offsets)
@example(b"3\r\nabcdef\r\n", range(100))
@example(b"zz\r\nabc", [])
@example(b"1\r\na\r\n1;\nb\r\n3\r\ncde\r\n0\r\n\r\n", range(100))
def test_chunked_of_any_bytes(data: bytes, where: List[int]) -> None:
    """Any bytes are decoded or broken, and cuts make no difference to either."""
    whole, pieces = Chunked(), Chunked()
    assert feed(whole, [data]) == feed(pieces, cut(data, where))
    assert (whole.ended, whole.broken) == (pieces.ended, pieces.broken)
    assert not (whole.ended and whole.broken)


@quick
@given(st.binary(), st.integers(0, 40), offsets)
def test_length(data: bytes, length: int, where: List[int]) -> None:
    """A body of known length has exactly that length; further bytes are reported as excess."""
    framing = Length(length)
    assert framing.ended == (length == 0)
    pieces = cut(data, where)
    bodies = [framing.feed(piece) for piece in pieces if not framing.ended]
    assert b"".join(bodies) == data[:length]
    assert framing.ended == (len(data) >= length)
    whole = Length(length)
    whole.feed(data)
    assert whole.excess == (len(data) > length)


@quick
@given(st.binary(), offsets)
def test_until_close(data: bytes, where: List[int]) -> None:
    """A close-delimited body consists of all bytes, and does not end by itself."""
    framing = UntilClose()
    assert b"".join(framing.feed(piece) for piece in cut(data, where)) == data
    assert (framing.ended, framing.excess, framing.broken) == (False, False, False)


def raw_deflate(data: bytes) -> bytes:
    """Compress without a zlib header, as some servers do for "deflate"."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def gzip_members(data: bytes) -> bytes:
    """Compress into several gzip members, one of them empty."""
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(b"") + gzip.compress(data[half:])


def flushed(data: bytes) -> bytes:
    """Compress like a server that flushes after each event."""
    compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    pieces = [
        compressor.compress(data[at : at + 7]) + compressor.flush(zlib.Z_SYNC_FLUSH)
        for at in range(0, min(len(data), 200), 7)
    ]
    return b"".join([*pieces, compressor.compress(data[len(pieces) * 7 :]), compressor.flush()])


COMPRESSORS = st.sampled_from([gzip.compress, zlib.compress, raw_deflate, gzip_members, flushed])
DATA = st.one_of(
    st.binary(),
    st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 30_000)).map(lambda t: t[0] * t[1]),
)
Compressor = Callable[[bytes], bytes]
GZIP_MEMBER = b"\x1f\x8b\x08"


def inflate(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Yield what can be decompressed after each of these pieces."""
    inflater = Inflater()
    for piece in pieces:
        inflater.feed(piece)
        yield from iter(inflater.read, b"")


@quick
@given(DATA, COMPRESSORS, offsets)
@example(b"x" * BLOCK, gzip.compress, [])
@example(b"x" * (2 * BLOCK), zlib.compress, [])
@example(b"a" * 99, gzip_members, range(999))
@example(b"", raw_deflate, range(9))
def test_inflater(data: bytes, compress: Compressor, where: List[int]) -> None:
    """Data is decompressed under any cuts, in steps of at most one block."""
    steps = list(inflate(cut(compress(data), where)))
    assert b"".join(steps) == data
    assert all(len(step) <= BLOCK for step in steps)


@quick
@given(st.binary(max_size=60), offsets)
def test_inflater_does_not_wait(data: bytes, where: List[int]) -> None:
    """Flushed data can be read before more arrives."""
    compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    inflater = Inflater()
    for piece in cut(data, where):
        inflater.feed(compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH))
        assert b"".join(iter(inflater.read, b"")) == piece


@quick
@given(DATA, COMPRESSORS, offsets, st.data())
def test_inflater_cut_off(
    data: bytes, compress: Compressor, where: List[int], rest: st.DataObject
) -> None:
    """Truncated compressed data gives a prefix of the data."""
    compressed = compress(data)
    size = rest.draw(st.integers(0, len(compressed)))
    assert data.startswith(b"".join(inflate(cut(compressed[:size], where))))


@quick
@given(st.binary(), st.sampled_from([b"", b"\x1f\x8b\x08\x00", b"\x78\x9c", b"\x03\x00"]), offsets)
def test_inflater_of_any_bytes(data: bytes, before: bytes, where: List[int]) -> None:
    """Any bytes are decompressed or raise ProtocolError, and nothing else."""
    try:
        assert all(inflate(cut(before + data, where)))
    except ProtocolError as error:
        assert "compression of the answer is broken" in str(error)  # noqa: PT017 - it may also succeed


@quick
@given(st.binary(max_size=60), COMPRESSORS, st.binary(max_size=9), offsets)
def test_inflater_ignores_what_follows(
    data: bytes, compress: Compressor, rest: bytes, where: List[int]
) -> None:
    """What follows compressed data is ignored, under any cuts, unless it is a gzip member."""
    assume(not rest.startswith(GZIP_MEMBER))
    assert b"".join(inflate(cut(compress(data) + rest, where))) == data


@quick
@given(st.binary(max_size=60), st.integers(0, 30), offsets)
def test_inflater_of_a_broken_member(data: bytes, at: int, where: List[int]) -> None:
    """A further gzip member that is broken is an error, never a cut answer that looks whole."""
    compressed = gzip.compress(data)
    broken = compressed[:10] + b"\xff" * (at + 1)  # not a type of block
    with pytest.raises(ProtocolError, match="compression of the answer is broken"):
        list(inflate(cut(compressed + broken, where)))
