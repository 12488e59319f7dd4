"""Changes of one call, so that no statement is given one key twice."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def stretches(
    items: Sequence[T], keys_of: Callable[[T], Iterable[Hashable]]
) -> Iterator[Sequence[T]]:
    """The items in order, in stretches in which no key comes twice."""
    start = 0
    seen: set[Hashable] = set()
    for position, item in enumerate(items):
        keys = set(keys_of(item))
        if seen & keys:
            yield items[start:position]
            start, seen = position, set()
        seen |= keys
    yield items[start:]
