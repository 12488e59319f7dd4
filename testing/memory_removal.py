"""What a store in memory removes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from copy import deepcopy
from typing import Any, TypeVar

from attrs import evolve

from ..domain.integration import tenant_key
from ..domain.pacing.paused import Paused, Resumed
from ..domain.retention import ERASED, Names, Part, erased_id, keyed_hash, numbered, same_name
from ..domain.upload.failure import Failure
from ..domain.upload.status import ActionRow
from ..domain.upload.upload import UNKNOWN_PROVIDER, Succeeded, UploadKey, cause_of
from ..domain.upload.verdict import AttemptVerdict, Delivered, Processing, Receipt
from ..ports.removal import (
    NamingTexts,
    PersonsUpload,
    Removal,
    RemovalRow,
    Removed,
    Settled,
    SettledPage,
)
from .memory_inspection import MemoryInspection
from .memory_record import MemoryRecord

_KEY = b"the key of what was erased from a store in memory"


class MemoryRemovals(MemoryInspection):
    """The verbs of `Removals`."""

    _removed: list[RemovalRow]
    _mark = 0
    _has_erased = False

    def looked_up_to(self) -> int:
        with self._lock:
            self._go_on("settled")
            return self._mark

    def look_from(self, mark: int) -> None:
        with self._lock:
            self._go_on("remove")
            self._mark = mark

    def settled(self, after: int, limit: int) -> SettledPage:
        with self._lock:
            self._go_on("settled")
            records = sorted(self._records.values(), key=lambda one: one.arrival)
            page = [one for one in records if one.arrival > after][:limit]
            found = [one for one in map(_settled, page) if one.status.settled and one.parts]
            return SettledPage(found, page[-1].arrival if len(page) == limit else None)

    def of_person(self, tenant_id: str, subject: str) -> Sequence[PersonsUpload]:
        with self._lock:
            self._go_on("of_person")
            return [
                PersonsUpload(record.upload, _names_of(record), record.last_attempt_at)
                for record in self._records.values()
                if tenant_key(record.upload.key.tenant_id) == tenant_key(tenant_id)
                and _is_of(record, subject)
            ]

    def removals(self, tenant_id: str | None = None) -> Sequence[RemovalRow]:
        with self._lock:
            self._go_on("removals")
            rows = reversed(self._removed)
            return [one for one in rows if tenant_id is None or one.tenant_id == tenant_id]

    def remove(self, removal: Removal) -> Removed:
        with self._lock:
            self._go_on("remove")
            late = {
                key: parts
                for key, (version, parts) in removal.parts.items()
                if (record := self._records.get(key)) is None
                or record.upload.version != version
                or not record.upload.status.settled
            }
            counts, texts, attempts = Counter[Part](), 0, 0
            for key, (_, parts) in removal.parts.items():
                if key in late:
                    continue
                record = self._records[key]
                counts.update(parts - {Part.DOCUMENT})
                if parts & {Part.DOCUMENT, Part.PERSONAL}:
                    counts[Part.DOCUMENT] += record.content is not None
                    record.content = None
                if parts & {Part.ATTEMPTS, Part.PERSONAL}:
                    attempts += len(record.attempts)
                if Part.ATTEMPTS in parts:
                    record.deleted += len(record.attempts)
                    record.attempts, record.credentials, record.look_ups = [], [], []
                    record.pruned_at = removal.at
                    record.upload = evolve(record.upload, version=record.upload.version + 1)
                if Part.PERSONAL in parts:
                    texts += self._erase(record, removal)
            if removal.names:
                names = removal.names if removal.texts is None else removal.texts.names
                texts += self._search(removal.tenant_id, names)
            subject = removal.subject and keyed_hash(_KEY, removal.tenant_id, removal.subject)
            row = RemovalRow(
                at=removal.at,
                tenant_id=removal.tenant_id,
                action=removal.action,
                by=removal.person.by,
                reason=removal.person.reason,
                subject=subject,
                uploads=len(removal.parts) - len(late),
                attempts=attempts,
                documents=counts[Part.DOCUMENT],
                texts=texts,
            )
            if row.uploads or removal.action == "erase":
                self._removed.append(row)
            return Removed({part: counts[part] for part in Part}, texts, len(late))

    def _erased(
        self, tenant_id: str, evidence_id: str, provider: str = UNKNOWN_PROVIDER
    ) -> MemoryRecord | None:
        """The upload of an evidence whose id was replaced, for this provider if it is known."""
        if not self._has_erased:
            return None
        evidence = tenant_id, erased_id(_KEY, tenant_id, evidence_id)
        found = [
            one
            for key, one in self._records.items()
            if key.evidence == evidence
            and (provider == UNKNOWN_PROVIDER or key.provider in (provider, UNKNOWN_PROVIDER))
        ]
        return max(found, key=lambda one: one.place, default=None)

    def _erase(self, record: MemoryRecord, removal: Removal) -> int:
        names = Names([*removal.names, *_names_of(record)])
        dossier, key = record.dossier, record.upload.key
        document = evolve(dossier.document, filename=None, source=None, path=None, modified=None)
        settings = (
            {}
            if names.stand_in(json.dumps(dict(dossier.settings), ensure_ascii=False))
            else dossier.settings
        )
        record.dossier = evolve(
            dossier,
            subject=ERASED,
            session_id=ERASED,
            subject_email=None,
            document=document,
            settings=settings,
        )
        record.erased_at = removal.at
        self._has_erased = True
        record.forget_texts()
        if names.are_part_of(key.evidence_id):
            ids = numbered(erased_id(_KEY, *key.evidence))
            keys = (key._replace(evidence_id=one) for one in ids)
            key = next(one for one in keys if one not in self._records)
        record.upload = evolve(record.upload, key=key, version=record.upload.version + 1)
        self._records = {one.upload.key: one for one in self._records.values()}
        return _blank_actions(record, names)

    def _search(self, tenant_id: str, called: Sequence[str]) -> int:
        """Blank the texts of the tenant's other uploads that name the person."""
        names, whose = Names(called), tenant_key(tenant_id)
        self._removed, found = _blanked(self._removed, names)
        pauses = self._gates.pauses
        concerned = [one for one in pauses if one.scope.tenant_id in (None, whose)]
        blanked, named = _blanked(concerned, names)
        new = dict(zip(map(id, concerned), blanked, strict=True))
        self._gates.pauses = [new.get(id(one), one) for one in pauses]
        return found + named + sum(_blank_record(one, names) for one in self._of(whose))

    def naming(
        self, tenant_id: str, names: Sequence[str], besides: Collection[UploadKey]
    ) -> NamingTexts:
        with self._lock:
            self._go_on("naming")
            called, whose = Names(names), tenant_key(tenant_id)
            pauses = [one for one in self._gates.pauses if one.scope.tenant_id in (None, whose)]
            copies = [deepcopy(one) for one in self._of(whose) if one.upload.key not in besides]
            count = _blanked(self._removed, called)[1] + _blanked(pauses, called)[1]
            return NamingTexts(count + sum(_blank_record(one, called) for one in copies), names)

    def _of(self, whose: str) -> Sequence[MemoryRecord]:
        return [one for key, one in self._records.items() if tenant_key(key.tenant_id) == whose]


def _blank_record(record: MemoryRecord, called: Names) -> int:
    names = called.of_another(_names_of(record))
    return _blank_actions(record, names) + _blank(record, names)


def _settled(record: MemoryRecord) -> Settled:
    upload = record.upload
    parts_of = (
        (Part.ATTEMPTS, record.attempts or record.look_ups),
        (Part.PERSONAL, record.erased_at is None),
        (Part.DOCUMENT, record.content is not None),
    )
    parts = frozenset(part for part, exists in parts_of if exists)
    return Settled(upload.key, upload.version, upload.status, upload.updated_at, parts)


def _names_of(record: MemoryRecord) -> Sequence[str]:
    """What the person is called whom it is about; the id first."""
    called = (record.dossier.subject, record.dossier.subject_email)
    return [name for name in called if name is not None and name != ERASED]


def _is_of(record: MemoryRecord, subject: str) -> bool:
    return any(same_name(subject, name) for name in _names_of(record))


def _blank_actions(record: MemoryRecord, names: Names) -> int:
    record.actions, found = _blanked(record.actions, names)
    return found


N = TypeVar("N", bound="ActionRow | RemovalRow | Paused | Resumed")


def _blanked(rows: Sequence[N], names: Names) -> tuple[list[N], int]:
    """What people did, without the person's names; how many texts had them."""
    named: list[dict[str, Any]] = [
        {name: ERASED for name in ("by", "reason") if names.stand_in(getattr(row, name))}
        for row in rows
    ]
    blanked = [evolve(row, **new) for row, new in zip(rows, named, strict=True)]
    return blanked, sum(map(len, named))


def _blank(record: MemoryRecord, names: Names) -> int:
    """Blank what the provider said, as far as it names the person; how many texts did."""
    found = 0
    for number, attempt in enumerate(record.attempts):
        result, count = _without(attempt.result, names)
        verdict = _with(attempt.verdict, result)
        record.attempts[number] = evolve(attempt, verdict=verdict)
        found += count
    for number, look_up in enumerate(record.look_ups):
        if look_up.message is not None and names.stand_in(look_up.message):
            record.look_ups[number] = evolve(look_up, message=ERASED)
            found += 1
    state: Any = record.upload.state
    shown = state.receipt if isinstance(state, Succeeded) else cause_of(state)
    if shown is not None:
        result, count = _without(shown, names)
        name = "receipt" if isinstance(state, Succeeded) else "cause"
        if count:
            state, version = evolve(state, **{name: result}), record.upload.version + 1
            record.upload = evolve(record.upload, state=state, version=version)
        found += count
    return found


def _without(result: Receipt | Failure, names: Names) -> tuple[Receipt | Failure, int]:
    texts = ("reference", "message") if isinstance(result, Receipt) else ("message", "detail")
    given = {name: getattr(result, name) for name in texts}
    named: dict[str, Any] = {
        name: ERASED for name, text in given.items() if text and names.stand_in(text)
    }
    changed: Any = evolve(result, **named)
    return changed, len(named)


def _with(verdict: AttemptVerdict, result: Receipt | Failure) -> AttemptVerdict:
    if isinstance(verdict, Processing):
        return evolve(verdict, message=result.message or "")
    if isinstance(verdict, Delivered):
        return Delivered(result) if isinstance(result, Receipt) else verdict
    return evolve(verdict, failure=result) if isinstance(result, Failure) else verdict
