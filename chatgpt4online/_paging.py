"""Items of a site that come in pages, each once."""

from __future__ import annotations

from typing import Callable, Iterable, Iterator, List, Set, TypeVar

T = TypeVar("T")


def each_once(pages: Iterable[List[T]], key: Callable[[T], str]) -> Iterator[T]:
    """
    Yield each item of pages once, up to a page that has no new one.

    A site that ignores which page is asked for returns the same items again.
    """
    known: Set[str] = set()
    for page in pages:
        before = len(known)
        for item in page:
            if key(item) not in known:
                known.add(key(item))
                yield item
        if len(known) == before:
            return
