"""What tests of rules about any bytes and any cuts stand on."""

from __future__ import annotations

from typing import Any, Iterable, List

from hypothesis import settings
from hypothesis import strategies as st

#: The same examples in each run, and few enough to run them with every change.
quick = settings(derandomize=True, max_examples=50)

#: Where bytes are cut: at a few places, or at each.
places = st.one_of(st.lists(st.integers(0, 1 << 20), max_size=12), st.just(range(1 << 16)))


def cut(data: bytes, where: Iterable[int]) -> List[bytes]:
    """Return bytes in pieces, none of which is empty."""
    size = len(data)
    marks = sorted({0, size, *(place % (size + 1) for place in where)})
    return [data[begin:end] for begin, end in zip(marks, marks[1:])]


def json_values() -> st.SearchStrategy[Any]:
    """Return a strategy for anything that JSON can say, and Python reads from it."""
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
    """Return a strategy for texts with halves of surrogate pairs, which JSON can say."""
    return st.text(st.characters(min_codepoint=0xD7FF, max_codepoint=0xE000), max_size=4)
