"""Submissions whose documents are at hand, while they wait for their batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from .adding import Submission
from .packing import pack_evidence, unpack_evidence


class Ready:
    """Tenants take turns. A tenant's queue has three parts of each submission, one after another:
    its ticket, its evidence as plain values, and its destination. So a burst is few objects."""

    def __init__(self) -> None:
        self._parts: dict[str, deque[Any]] = {}
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def __iter__(self) -> Iterator[Submission]:
        for parts in self._parts.values():
            each = iter(parts)
            for ticket, evidence, destination in zip(each, each, each, strict=True):
                yield Submission(unpack_evidence(evidence), destination, ticket)

    def put(self, one: Submission) -> None:
        """Have a submission wait."""
        parts = self._parts.get(one.evidence.tenant_id)
        if parts is None:
            parts = self._parts[one.evidence.tenant_id] = deque()
        parts += (one.ticket, pack_evidence(one.evidence), one.destination)
        self._waiting += 1

    def take(self) -> Submission | None:
        """The next one of the next tenant; None if none waits."""
        tenant_id = next(iter(self._parts), None)
        if tenant_id is None:
            return None
        parts = self._parts.pop(tenant_id)
        ticket, evidence, destination = parts.popleft(), parts.popleft(), parts.popleft()
        if parts:  # the tenant waits for the others
            self._parts[tenant_id] = parts
        self._waiting -= 1
        return Submission(unpack_evidence(evidence), destination, ticket)
