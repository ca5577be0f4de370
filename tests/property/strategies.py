"""Strategies for any bytes, any cuts and any JSON."""

from __future__ import annotations

from typing import Any, Iterable, List

from hypothesis import settings
from hypothesis import strategies as st

#: The same examples in each run, few enough to run them for every change.
quick = settings(derandomize=True, max_examples=50)

#: Where bytes are cut: at a few offsets, or at every one.
offsets = st.one_of(st.lists(st.integers(0, 1 << 20), max_size=12), st.just(range(1 << 16)))


def cut(data: bytes, where: Iterable[int]) -> List[bytes]:
    """Return bytes in non-empty pieces, cut at these offsets modulo the size."""
    size = len(data)
    marks = sorted({0, size, *(offset % (size + 1) for offset in where)})
    return [data[begin:end] for begin, end in zip(marks, marks[1:])]


def json_values() -> st.SearchStrategy[Any]:
    """Return a strategy for any value that Python can decode from JSON."""
    leaves = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), surrogates()
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
        ),
        max_leaves=5,
    )


def surrogates() -> st.SearchStrategy[str]:
    """Return a strategy for texts with lone surrogates, which JSON can encode."""
    return st.text(st.characters(min_codepoint=0xD7FF, max_codepoint=0xE000), max_size=4)
