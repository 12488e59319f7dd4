"""Which uploads go together in one request.

Where a provider takes several at once, an upload whose turn has come waits for a quarter of a
second for others with the same way to go. A request leaves when it is full, or when that time is
over. Pure bookkeeping: the caller brings the time.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from attrs import define, field

from ..domain.upload.backoff import later
from ..ports.provider import Bundle

LINGER = timedelta(seconds=0.25)
"""For so long the first of a request waits for others."""

K = TypeVar("K")


@define
class _Basket(Generic[K]):
    leaves_at: datetime
    keys: list[K] = field(factory=list)
    size: int = 0


class Batching(Generic[K]):
    """Gathers keys that go the same way until their request leaves."""

    def __init__(self) -> None:
        self._baskets: dict[Hashable, _Basket[K]] = {}

    def add(self, key: K, way: Hashable, size: int, bundle: Bundle, now: datetime) -> list[list[K]]:
        """Put a key, whose document has `size` bytes, to the others that go the same `way`; what
        leaves at once because of it."""
        leaving: list[list[K]] = []
        basket = self._baskets.get(way)
        if (
            basket is not None
            and bundle.max_bytes is not None
            and basket.size + size > bundle.max_bytes
        ):
            leaving.append(self._baskets.pop(way).keys)
        basket = self._baskets.setdefault(way, _Basket(later(now, LINGER)))
        basket.keys.append(key)
        basket.size += size
        if len(basket.keys) >= bundle.most:
            leaving.append(self._baskets.pop(way).keys)
        return leaving

    def ripe(self, now: datetime) -> list[list[K]]:
        """What leaves now because it has waited long enough. A clock that was set back keeps
        no upload longer."""
        over = [
            way
            for way, basket in self._baskets.items()
            if not basket.leaves_at - LINGER <= now < basket.leaves_at
        ]
        return [self._baskets.pop(way).keys for way in over]

    def next_due(self) -> datetime | None:
        """When the next request leaves, full or not."""
        return min((basket.leaves_at for basket in self._baskets.values()), default=None)
