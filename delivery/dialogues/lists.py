"""Reading a list that an API gives page by page, to its end or to the entry that is looked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from attrs import frozen

from ...domain.upload.failure import Failure
from ...ports.dialogue import Dialogue

T = TypeVar("T")
R = TypeVar("R")


@frozen
class Page(Generic[T]):
    """One page of a list. `cursor` leads to the next page; None: this is the last."""

    items: Sequence[T]
    cursor: str | None


def search(
    read: Callable[[str | None], Dialogue[Page[T] | Failure]],
    look: Callable[[T], R],
    *,
    most_pages: int,
    endless: Callable[[str], Failure],
) -> Dialogue[R | Failure | None]:
    """Read pages until `look` finds something.

    Args:
        read: reads the page behind a cursor; None asks for the first page.
        look: is called with each entry; anything but None ends the search.
        most_pages: how many pages are read at most.
        endless: the failure of a list without an end; its argument completes "the list ...".

    Returns:
        What `look` returned; None at the end of the list; or the failure that ended the reading.
    """
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(most_pages):
        page = yield from read(cursor)
        if isinstance(page, Failure):
            return page
        found = next((result for item in page.items if (result := look(item)) is not None), None)
        cursor = page.cursor
        if found is not None or cursor is None:
            return found
        if cursor in seen:
            return endless("comes back to where it was")
        seen.add(cursor)
    return endless(f"has more than {most_pages} pages")
