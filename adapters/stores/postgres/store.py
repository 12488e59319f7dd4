"""The store in a PostgreSQL database that any number of couriers share: one session that writes, a
few that read, and every write one transaction. The key of an upload decides every race, and its
version is the fence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from attrs import evolve, frozen

from ....domain.pacing.gate import Acquired, GateChange
from ....domain.upload.upload import UNKNOWN_PROVIDER, Succeeded, UploadKey
from ....ports import records
from ....ports.gates import Acquire, AcquireAnswer
from ....ports.records import Change, Conflict, Entry, InvalidTenants, NamedProvider, Start
from ...clocks.database import DatabaseClock
from ..rows import (
    attempt_cells,
    changing_cells,
    document_cells,
    entry_cells,
    key_cells,
    key_of,
    moment,
    settings_cell,
)
from ..stretches import stretches
from . import gates, reads
from . import statements as sql
from .couriers import PostgresCouriers
from .gates import Asker, PostgresGates
from .insertion import insertion_of
from .sessions import address_of, tell


@frozen
class _There:
    """An upload that is locked: its id, its version, and since when it is due."""

    id: int
    version: int
    due: str | None


class PostgresStore(PostgresCouriers):
    """An `UploadStore` in a PostgreSQL database.

    Staged documents are removed with the success of their upload, unless `keep_documents`. `clock`
    is told the database's time, when the store is opened and with each heartbeat. Raises StoreError
    where the database cannot be used, and says why. May be used from any thread; writers take
    turns.
    """

    insertion_of = staticmethod(insertion_of)

    def __init__(
        self, dsn: str, *, keep_documents: bool = False, clock: DatabaseClock | None = None
    ) -> None:
        super().__init__(address_of(dsn), clock)
        self._keep_documents = keep_documents

    def add(self, entries: Sequence[Entry]) -> Sequence[records.AddAnswer]:
        answers: list[records.AddAnswer] = []
        keys = [entry.upload.key for entry in entries]
        unnamed = any(key.provider == UNKNOWN_PROVIDER for key in keys)
        with self.transaction("not recorded", keys):
            tell(self._session, reads.ADD_UNNAMED if unnamed else reads.ADD_NAMED)
            for stretch in stretches(entries, lambda entry: [entry.upload.key.evidence]):
                answers += self._add(stretch)
        return answers

    def _add(self, entries: Sequence[Entry]) -> Sequence[records.AddAnswer]:
        """Add entries of different evidences."""
        keys = [entry.upload.key for entry in entries]
        recorded = reads.of_evidences(self._session, keys)
        known = {
            one.upload.key: there
            for one in entries
            if (there := self._known(one, recorded.get(one.upload.key.evidence, {})))
        }
        ids = self._insert([one for one in entries if one.upload.key not in known])
        late = [key for key in keys if key not in known and key not in ids]
        known |= reads.recorded(self._session, late)  # another courier was faster
        return [
            records.Added(ids[key])
            if key in ids
            else records.Known(known[key].upload, known[key].dossier.submitted_digest)
            for key in keys
        ]

    def _known(self, entry: Entry, recorded: Mapping[str, Entry]) -> Entry | None:
        """The upload that an entry is known as. `recorded` are its evidence's uploads by provider,
        the oldest first; one whose provider was not known gets the entry's."""
        key = entry.upload.key
        if key.provider == UNKNOWN_PROVIDER:
            return [*recorded.values()][-1] if recorded else None
        unnamed = recorded.get(UNKNOWN_PROVIDER)
        if unnamed is None or key.provider in recorded:
            return recorded.get(key.provider)
        given = (entry.dossier.settings, key.provider, entry.credential, key.tenant_id)
        self._name_provider(sql.NAME_PROVIDER_OF_ONE, *given, key.evidence_id)
        return evolve(unnamed, upload=evolve(unnamed.upload, key=key))

    def _name_provider(
        self,
        statement: str,
        settings: Mapping[str, object],
        provider: str,
        credential: str | None,
        tenant_id: str,
        *evidence: str,
    ) -> None:
        cells = (provider, credential, settings_cell(settings), tenant_id, UNKNOWN_PROVIDER)
        tell(self._session, statement, (*cells, provider, *evidence))

    def _insert(self, fresh: Sequence[Entry]) -> dict[UploadKey, int]:
        """Add those that no other courier adds at the same moment; their ids."""
        rows = [entry_cells(0, entry)[1:] for entry in fresh]
        ids = {key_of(row): row["id"] for row in sql.INSERT_UPLOADS.ask(self._session, rows)}
        documents = [(ids[one.upload.key], one.content) for one in fresh if one.upload.key in ids]
        self._stage([(number, content) for number, content in documents if content is not None])
        return ids

    def _stage(self, documents: Sequence[tuple[int, bytes]]) -> None:
        if documents:
            with self._session.cursor() as cursor:
                cursor.executemany(sql.INSERT_DOCUMENT, documents)

    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[records.BeginAnswer]]:
        keys = [start.upload.key for turn in turns for start in turn]
        answers: list[Sequence[records.BeginAnswer]] = []
        with self.transaction("attempt not begun", keys):
            for stretch in stretches(turns, lambda turn: [start.upload.key for start in turn]):
                answers += self._begin(stretch)
        return answers

    def _begin(self, turns: Sequence[Sequence[Start]]) -> Iterator[Sequence[records.BeginAnswer]]:
        starts = [start for turn in turns for start in turn]
        there = self._lock(starts)
        answers: dict[UploadKey, records.BeginAnswer] = {**self._outdated(starts, there)}
        left = [[one for one in turn if one.upload.key not in answers] for turn in turns]
        askers = [_asker(turn[0], there[turn[0].upload.key]) for turn in left if turn]
        passage = PostgresGates(self._session, askers, waits=False)
        begun: dict[UploadKey, tuple[Start, Acquired]] = {}
        for turn, asker in zip(filter(None, left), askers, strict=True):
            answer = passage.begin(turn[0], asker)
            if isinstance(answer, Acquired):
                begun[turn[0].upload.key] = turn[0], answer
                begun |= {one.upload.key: (one, Acquired()) for one in turn[1:]}
            else:
                answers |= {one.upload.key: answer for one in turn}
        passage.write()
        answers |= self._send(begun, there)
        return ([answers[start.upload.key] for start in turn] for turn in turns)

    def _send(
        self, begun: Mapping[UploadKey, tuple[Start, Acquired]], there: Mapping[UploadKey, _There]
    ) -> dict[UploadKey, records.BeginAnswer]:
        """Write `Sending` of those that begin, and read what they send."""
        if not begun:
            return {}
        rows = [
            (
                *(there[key].id, *changing_cells(start.upload)),
                *(start.courier_id, start.quota.credential, start.budget),
            )
            for key, (start, _) in begun.items()
        ]
        sql.BEGIN_UPLOADS.tell(self._session, rows)
        found = self._session.execute(sql.CONTENTS, [[row[0] for row in rows]], binary=True)
        staged = {row["upload_id"]: row["content"] for row in found}
        return {
            key: records.Begun(staged.get(there[key].id), acquired)
            for key, (_, acquired) in begun.items()
        }

    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        with self.transaction("request not let through"):
            session = self._session
            gates.end(session, ((slot, one.at) for one in requests for slot in one.ended))
            keys = [(n, one.key) for n, one in enumerate(requests) if one.key is not None]
            wanted = ((n, *key_cells(key)) for n, key in keys)
            ids = {row["position"]: row["id"] for row in sql.SELECT_IDS.ask(session, wanted)}
            askers = [Asker(one.quota, one.at, ids.get(n)) for n, one in enumerate(requests)]
            passage = PostgresGates(session, askers, waits=True)
            answers = [
                passage.acquire(one, asker) for one, asker in zip(requests, askers, strict=True)
            ]
            passage.write()
        return answers

    def save(self, changes: Sequence[records.AnyChange]) -> Sequence[records.SaveAnswer]:
        ends = [one for one in changes if isinstance(one, GateChange)]
        moves = [(n, one) for n, one in enumerate(changes) if isinstance(one, Change)]
        answers: list[records.SaveAnswer] = [records.Saved()] * len(changes)
        with self.transaction("change not written", [move.upload.key for _, move in moves]):
            gates.change(self._session, ((evolve(end, block=None), "", "") for end in ends))
            for named in (one for one in changes if isinstance(one, NamedProvider)):
                where = (named.settings, named.provider, named.credential, named.tenant_id)
                self._name_provider(sql.NAME_PROVIDER, *where)
            for told in (one for one in changes if isinstance(one, InvalidTenants)):
                tell(self._session, sql.DELETE_VALID, [[*told.valid]])
                at = moment(told.at)
                given = [(one, at, cause.value) for one, cause in told.causes.items()]
                sql.PUT_INVALID.tell(self._session, given)
            for stretch in stretches(moves, lambda move: [move[1].upload.key]):
                lost = self._write([change for _, change in stretch])
                for place, change in stretch:
                    if change.upload.key in lost:
                        answers[place] = lost[change.upload.key]
        return answers

    def _lock(self, changes: Sequence[Change | Start]) -> dict[UploadKey, _There]:
        """The uploads as they are recorded: no other session changes them in this transaction."""
        keys = [change.upload.key for change in changes]
        wanted = ((position, *key_cells(key)) for position, key in enumerate(keys))
        return {
            keys[row["position"]]: _There(row["id"], row["version"], row["due"])
            for row in sql.LOCK_UPLOADS.ask(self._session, wanted)
        }

    def _outdated(
        self, changes: Sequence[Change | Start], there: Mapping[UploadKey, _There]
    ) -> dict[UploadKey, Conflict]:
        """The answers to those changes that another was faster than."""
        expected = {change.upload.key: change.upload.version - 1 for change in changes}
        late = [
            key
            for key, version in expected.items()
            if key not in there or there[key].version != version
        ]
        found = reads.recorded(self._session, late)
        return {key: Conflict(found[key].upload if key in found else None) for key in late}

    def _write(self, changes: Sequence[Change]) -> dict[UploadKey, Conflict]:
        """Write those changes that are in time; the others' answers."""
        session = self._session
        there = self._lock(changes)
        lost = self._outdated(changes, there)
        won = [
            (there[change.upload.key].id, change)
            for change in changes
            if change.upload.key not in lost
        ]
        rows = ((number, *changing_cells(change.upload)) for number, change in won)
        sql.UPDATE_UPLOADS.tell(session, rows)
        self._write_history(won)
        for number, change in won:
            if (made := change.document) is not None:
                assert made.content is not None  # this store keeps no files
                cells = document_cells(change.upload, made.stored)
                tell(session, sql.UPDATE_DOCUMENT, (*cells, change.upload.digest, number))
                self._stage([(number, made.content)])
        for pair in {
            (each.upload.key.tenant_id, each.upload.key.provider)
            for _, each in won
            if each.unblocks
        }:
            tell(session, sql.UNBLOCK, pair)
        gates.change(
            session,
            (
                (change.gate, change.upload.key.tenant_id, change.upload.key.provider)
                for _, change in won
                if change.gate is not None
            ),
        )
        if not self._keep_documents:
            ended = [number for number, each in won if isinstance(each.upload.state, Succeeded)]
            if ended:
                tell(session, sql.DELETE_DOCUMENTS, [ended])
        return lost

    def _write_history(self, changes: Sequence[tuple[int, Change]]) -> None:
        """What led to the changes."""
        attempts = [
            (place, number, *attempt_cells(change.attempt))
            for place, (number, change) in enumerate(changes)
            if change.attempt is not None
        ]
        look_ups = [
            (place, number, look_up.number, moment(look_up.at), look_up.finding, look_up.message)
            for place, (number, change) in enumerate(changes)
            if (look_up := change.look_up) is not None
        ]
        actions = [
            (place, number, moment(act.at), act.action, act.by, act.reason)
            for place, (number, change) in enumerate(changes)
            if (act := change.action) is not None
        ]
        sql.INSERT_ATTEMPTS.tell(self._session, attempts)
        sql.INSERT_LOOK_UPS.tell(self._session, look_ups)
        if actions:
            tell(self._session, sql.LOCK_ACTIONS)
            sql.INSERT_ACTIONS.tell(self._session, actions)


def _asker(start: Start, there: _There) -> Asker:
    due = None if there.due is None else datetime.fromisoformat(there.due)
    return Asker(start.quota, start.upload.updated_at, there.id, due)
