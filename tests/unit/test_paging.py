"""Items that come in pages."""

from __future__ import annotations

from itertools import chain, takewhile
from typing import Iterator, List

from hypothesis import given
from hypothesis import strategies as st

from chatgpt4online._paging import each_once


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=8))
def test_each_item_comes_once(pages: List[List[str]]) -> None:
    """Each item is yielded once, in order, up to the first page without a new one."""
    before = [set(chain.from_iterable(pages[:number])) for number in range(len(pages))]
    whole = takewhile(lambda pair: not pair[1].issuperset(pair[0]), zip(pages, before))
    expected = list(dict.fromkeys(chain.from_iterable(page for page, _ in whole)))
    assert list(each_once(iter(pages), str)) == expected


def test_pages_are_fetched_as_needed() -> None:
    """A page is fetched once the items of the page before it have been taken."""
    fetched = []

    def pages() -> Iterator[List[str]]:
        for page in (["a", "b"], ["b", "c"], ["c"], ["d"]):
            fetched.append(page)
            yield page

    items = each_once(pages(), str)
    assert fetched == []
    assert [next(items), next(items)] == ["a", "b"]
    assert len(fetched) == 1
    assert list(items) == ["c"]
    assert len(fetched) == 3
