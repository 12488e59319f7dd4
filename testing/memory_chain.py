"""The hash chains of the store in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count

from ..domain.chain import ACTION, ATTEMPT, PAUSE, RESUME, Head, Link, Record, chained
from ..domain.pacing.paused import Paused
from ..domain.upload.upload import UNKNOWN_PROVIDER
from ..domain.upload.verdict import Delivered, word_of
from ..ports.chain import ChainPage, Unlinked
from .memory_inspection import MemoryInspection


class MemoryChain(MemoryInspection):
    """As in `Chain`. Nothing is erased here, so there are no checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self._links: list[tuple[Link, Record]] = []
        self._heads: dict[str, Head] = {}
        self._salts = count(1)

    def heads(self, tenant_id: str | None = None) -> Sequence[Head]:
        with self._lock:
            tenants = sorted(self._heads) if tenant_id is None else [tenant_id]
            return [self._heads[one] for one in tenants if one in self._heads]

    def links(self, tenant_id: str, after: int, limit: int) -> ChainPage:
        with self._lock:
            found = [
                pair
                for pair in self._links
                if pair[0].tenant_id == tenant_id and pair[0].position > after
            ]
            return ChainPage(found[:limit], self._heads.get(tenant_id, Head(tenant_id)))

    def chains(self) -> Mapping[str, Unlinked]:
        with self._lock:
            waiting = [one.tenant_id for one in self._unlinked()]
            return {one: Unlinked(waiting.count(one), ()) for one in {*self._heads, *waiting}}

    def link(self, limit: int, now: datetime, *, late: bool = True) -> int:
        with self._lock:
            records = [*self._unlinked()][:limit]
            time = now.isoformat()
            links, heads = chained(self._heads, records, self._salt, time)
            self._links += zip(links, records, strict=True)
            self._heads |= {head.tenant_id: head for head in heads}
            return len(records)

    def _salt(self, many: int) -> str:
        return f"{next(self._salts):0{2 * many}x}"

    def _unlinked(self) -> Iterator[Record]:
        linked = {(link.kind, link.row_id) for link, _ in self._links}
        for one in self._settled():
            if (one.kind, one.id) not in linked:
                yield one

    def _settled(self) -> Iterator[Record]:
        for record in self._records.values():
            tenant_id, evidence_id, provider = record.upload.key
            for number, attempt in enumerate(record.attempts, record.deleted):
                verdict, result = word_of(attempt.verdict), str(attempt.result)
                about = f"attempt {attempt.number} of evidence {evidence_id!r}"
                moments = {"started_at": str(attempt.started_at), "ended_at": str(attempt.ended_at)}
                document = record.upload.digest if isinstance(attempt.verdict, Delivered) else None
                content = {
                    "evidence_id": evidence_id,
                    "provider": provider,
                    "digest": document,
                    "number": attempt.number,
                    "verdict": verdict,
                    "result": result,
                    **moments,
                }
                identity = record.arrival * 10_000 + number
                yield Record(tenant_id, ATTEMPT, identity, about, content)
            for number, act in enumerate(record.actions):
                about = f"{act.action} of evidence {evidence_id!r}"
                what = {"action": act.action, "by": act.by, "reason": act.reason}
                known = None if provider == UNKNOWN_PROVIDER else provider
                of = {"evidence_id": evidence_id, "provider": known}
                content = {**of, "at": str(act.at), **what}
                identity = record.arrival * 10_000 + number
                yield Record(tenant_id, ACTION, identity, about, content)
        for number, one in enumerate(self._gates.pauses):
            kind = PAUSE if isinstance(one, Paused) else RESUME
            whose, what = one.scope.tenant_id or "", {"by": one.by, "reason": one.reason}
            content = {"provider": one.scope.provider, "at": str(one.at), **what}
            yield Record(whose, kind, number, f"the {kind} at {one.at}", content)
