"""Reading the records, from any number of threads, while couriers write them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from attrs import evolve

from ....domain.arguments import is_whole
from ....domain.chain import Head
from ....domain.health import Count, RecordsHealth
from ....domain.pacing.gate import Block
from ....domain.pacing.paused import Paused, pause_of
from ....domain.retention import erased_id, key_of_erased
from ....domain.upload.find import Find, Page, token_of
from ....domain.upload.history import details_of, running_attempt
from ....domain.upload.status import UploadDetails, UploadStatus
from ....domain.upload.upload import Status, UploadKey
from ....ports.chain import ChainPage, Unlinked
from ....ports.records import ActedOn, Entry, Unreadable
from ....ports.removal import NamingTexts, PersonsUpload, RemovalRow, SettledPage
from ..rows import (
    Row,
    action_of,
    attempt_of,
    document_of,
    key_of,
    look_up_of,
    moment,
)
from ..shown import Shown, age, place_after, readable, readable_history, state_shown
from ..unreadable import UnreadableRows
from . import chain, health, lists, naming, pauses, reads, removal
from .blocks import blocks_of
from .session import Readers, Session
from .statements import BLOCKS, SELECT_CONTENTS


class SqlReader:
    """The reading verbs of an `UploadStore`, on a database that is ready. Changes nothing. Each
    question sees the records as they are at one moment."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._key_of_erased: bytes | None = None
        self._unreadable = UnreadableRows()

    def get(self, keys: Sequence[UploadKey], *, staged: bool = False) -> Mapping[UploadKey, Entry]:
        with self._readers.reading() as session:
            found = reads.by_key(self._unreadable.readable(reads.rows_of(session, keys)))
            if staged:
                keys_of = {entry.upload.id: key for key, entry in found.items()}
                for row in session.ask_all(SELECT_CONTENTS, [(one,) for one in keys_of]):
                    key = keys_of[row["upload_id"]]
                    found[key] = evolve(found[key], content=row["content"])
        return {key: self._with_file(entry) if staged else entry for key, entry in found.items()}

    def _with_file(self, entry: Entry) -> Entry:
        files, name = self._readers.documents, entry.dossier.document.file
        if files is None or name is None:
            return entry
        with suppress(FileNotFoundError):
            return evolve(entry, content=files.read("", name))
        return entry

    def unreadable(self) -> Mapping[UploadKey, Unreadable]:
        if not (met := self._unreadable.keys):
            return {}
        with self._readers.reading() as session:
            return self._unreadable.still(reads.rows_of(session, met))

    def due(
        self,
        before: datetime,
        limit: int,
        *,
        lines: Mapping[str | None, Collection[str]] | None = None,
        written_after: datetime | None = None,
    ) -> Mapping[str | None, Sequence[UploadKey]]:
        until = moment(before)
        since = reads.EVER_SINCE if written_after is None else moment(written_after)
        with self._readers.reading() as session:
            if lines is None:
                rows = session.ask(reads.LINES, {"before": until})
                lines = {row["credential"]: () for row in rows}
            if not limit:
                return dict.fromkeys(lines, ())
            given = [
                (line, until, since, session.list_of(sorted(without)), limit)
                for line, without in lines.items()
            ]
            found: dict[str | None, Sequence[UploadKey]] = dict.fromkeys(lines, ())
            for question, some in (
                (reads.LINE, [one for one in given if one[0] is not None]),
                (reads.NO_LINE, [one for one in given if one[0] is None]),
            ):
                for (line, *_), rows in zip(some, session.ask_each(question, some), strict=True):
                    found[line] = [key_of(row) for row in rows]
            return found

    def counts(
        self, statuses: Collection[Status] = tuple(Status), *, without_parked: bool = False
    ) -> Mapping[Status, int]:
        with self._readers.reading() as session:
            found = reads.counts_of(session)
        if not without_parked:
            found[Status.RETRYING.value] += found[reads.PARKED]
        return {status: found[status.value] for status in statuses}

    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        # Half a character stands in no record.
        wanted = sorted(filter(is_whole, set(evidence_ids)))
        with self._readers.reading() as session:
            statuses = reads.statuses_of(session, _of_evidences(session, tenant_id, wanted), now)
            found = {status.evidence_id: status for status in statuses}
            if len(found) < len(wanted):
                gone = [one for one in wanted if one not in found]
                found |= self._erased(session, tenant_id, gone, now)
            return found

    def _erased(
        self, session: Session, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        """The statuses of those whose ids were replaced, by the ids that they had."""
        now_called = removal.erased_ids(session, tenant_id, evidence_ids)
        rows = _of_evidences(session, tenant_id, [*now_called.values()])
        by_id = {one.evidence_id: one for one in reads.statuses_of(session, rows, now)}
        return {old: by_id[new] for old, new in now_called.items() if new in by_id}

    def find(self, find: Find, now: datetime) -> Page:
        with self._readers.reading() as session:
            # One more than asked for shows whether there is a next page.
            rows = lists.newest(session, find)
            page = rows[: find.limit]
            more = len(rows) > find.limit
            return Page(
                uploads=tuple(reads.statuses_of(session, page, now)),
                next_page=token_of(place_after(page)) if more else None,
            )

    def counted(self, find: Find) -> Sequence[Count]:
        with self._readers.reading() as session:
            return lists.counted(session, find)

    def health(self, now: datetime) -> RecordsHealth:
        with self._readers.reading() as session:
            figures = health.health(session, now, lists.counted(session, Find()))
            number = sum(1 for _ in session.living())
            return evolve(figures, notices=health.notices(session), couriers=number)

    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        with self._readers.reading() as session:
            rows = _of_evidences(session, tenant_id, [evidence_id])
            if not rows:
                now_called = removal.erased_ids(session, tenant_id, [evidence_id])
                rows = _of_evidences(session, tenant_id, [*now_called.values()])
            if not rows:
                return None
            row = readable(rows[-1])
            its = {"id": row.id}
            with readable_history(row):
                attempts = [attempt_of(row) for row in session.ask(reads.HISTORY, its)]
                acted = [action_of(row) for row in session.ask(reads.ACTIONS, its)]
                look_ups = [look_up_of(row) for row in session.ask(reads.LOOK_UPS, its)]
            paused = pauses.of_upload(session, row)
            removed = removal.of_upload(session, row)
            actions = sorted((*acted, *paused, *removed), key=lambda row: row.at)
            (status,) = reads.statuses_of(session, [row], now)
            (beside,) = session.ask(reads.BESIDE, its)
            running = running_attempt(state_shown(row), status, beside["owner"], _name_of(beside))
            is_stored, word = bool(beside["is_stored"]), Status(status.status)
            document = document_of(beside).in_words(word, is_stored=is_stored)
            return details_of(status, document, attempts, actions, look_ups, running)

    def fingerprint_key(self) -> bytes:
        with self._readers.reading() as session:
            (row,) = session.ask("SELECT value FROM keys WHERE name = 'fingerprint'")
            key = bytes(row["value"])
            self._key_of_erased = removal.erased_key(session) or key_of_erased(key)
            return key

    def freed(self, addresses: Mapping[tuple[str, str], str], limit: int) -> Sequence[Entry]:
        with self._readers.reading() as session:
            stuck = session.ask(reads.STUCK)
            pairs = sorted((row["tenant_id"], row["provider"]) for row in stuck)
            paused = pauses.read(session)
            known = [pair for pair in pairs if pair in addresses and not pause_of(paused, *pair)]
            wanted = {addresses[pair] for pair in known}
            blocks = session.ask_all(BLOCKS, [(address,) for address in sorted(wanted)])
            free = wanted - {row["address"] for row in blocks}
            given = [(*pair, limit) for pair in known if addresses[pair] in free]
            found = reads.entries_of(session, reads.STUCK_OF, given, limit, self._unreadable)
            return [one for some in found for one in some or ()]

    def blocks_of(self, addresses: Iterable[str]) -> Mapping[str, Block]:
        with self._readers.reading() as session:
            return blocks_of(session, addresses)

    def paused(self) -> Sequence[Paused]:
        with self._readers.reading() as session:
            return pauses.read(session)

    def acted_on(self, after: int | None) -> ActedOn:
        with self._readers.reading() as session:
            mark = session.ask(reads.MARK)[0]["mark"]
            if after is None or mark == after:
                return ActedOn((), mark)
            rows = session.ask(reads.ACTED_ON, {"after": after, "mark": mark})
            return ActedOn([key_of(row) for row in rows], mark)

    def heads(self, tenant_id: str | None = None) -> Sequence[Head]:
        with self._readers.reading() as session:
            return chain.heads_of(session, tenant_id)

    def links(self, tenant_id: str, after: int, limit: int) -> ChainPage:
        with self._readers.reading() as session:
            return chain.page_of(session, tenant_id, after, limit)

    def chains(self) -> Mapping[str, Unlinked]:
        with self._readers.reading() as session:
            return chain.chains_of(session)

    def settled(self, after: int, limit: int) -> SettledPage:
        with self._readers.reading() as session:
            return removal.settled(session, after, limit)

    def looked_up_to(self) -> int:
        with self._readers.reading() as session:
            return removal.looked_up_to(session)

    def of_person(self, tenant_id: str, subject: str) -> Sequence[PersonsUpload]:
        with self._readers.reading() as session:
            return removal.of_person(session, tenant_id, subject)

    def naming(
        self, tenant_id: str, names: Sequence[str], besides: Collection[UploadKey]
    ) -> NamingTexts:
        with self._readers.reading() as session:
            return naming.naming(session, tenant_id, names, besides)

    def removals(self, tenant_id: str | None = None) -> Sequence[RemovalRow]:
        with self._readers.reading() as session:
            return removal.rows_of_removals(session, tenant_id)

    def erased_id(self, key: UploadKey) -> str:
        """What an evidence is called if its id has been replaced, or ever is. Reads nothing once
        the database's keys are known."""
        if self._key_of_erased is None:
            self.fingerprint_key()
        assert self._key_of_erased is not None
        return erased_id(self._key_of_erased, *key.evidence)

    def close(self) -> None:
        self._readers.close()


def _name_of(courier: Row) -> str | None:
    if courier["host"] is None:
        return None
    host, _, _ = courier["host"].partition("/")  # what follows tells containers apart
    return f"{host}, process {courier['pid']}"


def _of_evidences(session: Session, tenant_id: str, evidence_ids: Sequence[str]) -> list[Shown]:
    """The uploads of a tenant's evidences, the oldest first."""
    rows = reads.shown(session, reads.STATUSES, [(tenant_id, one) for one in evidence_ids])
    return sorted(rows, key=age)
