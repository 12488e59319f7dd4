"""The writing verbs: every write is one transaction. The key of an upload decides every race
between threads, couriers and machines, and its version is the fence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from attrs import evolve

from ....domain.pacing.backfill import line_of
from ....domain.pacing.gate import Acquired, GateChange, NotBefore
from ....domain.upload.upload import UNKNOWN_PROVIDER, Succeeded, Upload, UploadKey
from ....ports import records
from ....ports.gates import Acquire, AcquireAnswer
from ....ports.records import Change, Conflict, Entry, InvalidTenants, NamedProvider, Start
from ..rows import (
    MADE,
    Row,
    attempt_cells,
    beginning_cells,
    changing_cells,
    document_cells,
    key_cells,
    moment,
    moment_or,
    settings_cell,
)
from ..stretches import stretches
from ..usual import BEGUN, SUCCEEDED
from . import gates, pauses, reads, removal
from . import statements as sql
from .couriers import SqlCouriers
from .gates import Asker, Busy, Gates
from .notices import SqlNotices
from .removing import SqlRemovals
from .session import Batch, Database


class SqlStore(SqlCouriers, SqlNotices, SqlRemovals):
    """An `UploadStore` in a database. May be used from any thread; writers take turns."""

    def __init__(self, database: Database, *, keep_documents: bool) -> None:
        super().__init__(database)
        self._keep_documents = keep_documents
        self._busy = Busy()

    # --- uploads ---

    def add(self, entries: Sequence[Entry]) -> Sequence[records.AddAnswer]:
        answers: list[records.AddAnswer] = []
        keys = [entry.upload.key for entry in entries]
        unnamed = any(key.provider == UNKNOWN_PROVIDER for key in keys)
        with self.transaction("not recorded", keys):
            self._session.tell(sql.ADD_UNNAMED if unnamed else sql.ADD_NAMED)
            for stretch in stretches(entries, lambda entry: [entry.upload.key.evidence]):
                answers += self._add(stretch)
        return answers

    def _add(self, entries: Sequence[Entry]) -> Sequence[records.AddAnswer]:
        """Add entries of different evidences."""
        keys = [entry.upload.key for entry in entries]
        recorded = reads.of_evidences(self._session, keys)
        known = {
            one.upload.key: stored
            for one in entries
            if (stored := self._known(one, recorded.get(one.upload.key.evidence, {})))
        }
        known |= removal.erased(self._session, [key for key in keys if key not in known])
        fresh = [one for one in entries if one.upload.key not in known]
        ids = self._database.insert(fresh) if fresh else {}
        self._stage(
            [
                (ids[one.upload.key], one.content)
                for one in fresh
                if one.content is not None and one.upload.key in ids
            ]
        )
        if len(ids) < len(fresh):  # another courier was faster
            known |= reads.recorded(self._session, [key for key in keys if key not in ids])
        self._database.remove_files(_needless_files(entries, known))
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
        settings, credential = entry.dossier.settings, entry.credential or ""
        named = NamedProvider(key.tenant_id, key.provider, credential, settings)
        self._name_provider(named, key.evidence_id)
        return evolve(unnamed, upload=evolve(unnamed.upload, key=key))

    def _name_provider(self, named: NamedProvider, evidence_id: str | None = None) -> None:
        """All that go there, or that of one evidence."""
        given = {
            "provider": named.provider,
            "credential": named.credential or None,
            "behind": line_of(named.credential, True),
            "settings": settings_cell(named.settings),
            "tenant_id": named.tenant_id,
            "unknown": UNKNOWN_PROVIDER,
        }
        if evidence_id is None:
            self._session.tell(sql.NAME_PROVIDER, given)
        else:
            self._session.tell(sql.NAME_PROVIDER_OF_ONE, {**given, "evidence_id": evidence_id})

    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[records.BeginAnswer]]:
        keys = [start.upload.key for turn in turns for start in turn]
        answers: list[Sequence[records.BeginAnswer]] = []
        with self.transaction("attempt not begun", keys):
            for stretch in stretches(turns, lambda turn: [start.upload.key for start in turn]):
                answers += self._begin(stretch)
        return answers

    def _begin(self, turns: Sequence[Sequence[Start]]) -> Iterator[Sequence[records.BeginAnswer]]:
        starts = [start for turn in turns for start in turn]
        positions = iter(range(len(starts)))
        places = [list(islice(positions, len(turn))) for turn in turns]
        found, outdated, busy = self._free([start.upload for start in starts])
        answers: dict[int, records.BeginAnswer] = {**outdated}
        for place in places:  # what travels together waits together
            answers |= {k: busy[n] for n in place if n in busy for k in place if k not in outdated}
        left = [some for place in places if (some := [n for n in place if n not in answers])]
        askers = [_asker(starts[some[0]], found[some[0]]) for some in left]
        passage = Gates(self._database, askers, self._busy)
        begun: dict[int, Acquired] = {}
        for some, asker in zip(left, askers, strict=True):
            answer = passage.begin(starts[some[0]], asker)
            if isinstance(answer, Acquired):
                begun[some[0]] = answer
                begun |= dict.fromkeys(some[1:], Acquired())  # they travel with the first
            else:
                answers |= dict.fromkeys(some, answer)
        passage.write()
        answers |= self._send(starts, found, begun)
        return ([answers[n] for n in place] for place in places)

    def _send(
        self, starts: Sequence[Start], found: Mapping[int, Row], begun: Mapping[int, Acquired]
    ) -> dict[int, records.Begun]:
        """Write `Sending` of those that begin, and read what they send."""
        rows, statuses = [], []
        for position in begun:
            row = found[position]
            status, cells = beginning_cells(starts[position])
            rows.append((row, cells))
            if status != row["status"]:
                statuses.append((row["id"], status))
        sql.update(self._session, rows, sql.BEGIN_UPLOADS, sql.BEGIN_USUALLY, BEGUN)
        self._session.tell_all(sql.UPDATE_STATUS, statuses)
        stored = [(row["id"],) for row, _ in rows if row["is_stored"]]
        staged = {
            row["upload_id"]: row["content"]
            for row in self._session.ask_all(sql.SELECT_CONTENTS, stored)
        }
        return {
            position: records.Begun(staged.get(found[position]["id"]), acquired)
            for position, acquired in begun.items()
        }

    def save(self, changes: Sequence[records.AnyChange]) -> Sequence[records.SaveAnswer]:
        ends = [one for one in changes if isinstance(one, GateChange)]
        moves = [(n, one) for n, one in enumerate(changes) if isinstance(one, Change)]
        answers: list[records.SaveAnswer] = [records.Saved()] * len(changes)
        with self.transaction("change not written", [move.upload.key for _, move in moves]):
            gates.change(self._session, ((evolve(end, block=None), "", "") for end in ends))
            for named in (one for one in changes if isinstance(one, NamedProvider)):
                self._name_provider(named)
            for invalid in (one for one in changes if isinstance(one, InvalidTenants)):
                self._session.tell_all(sql.DELETE_VALID, [(one,) for one in invalid.valid])
                at = moment(invalid.at)
                given = [(one, at, cause.value) for one, cause in invalid.causes.items()]
                self._session.tell_all(sql.PUT_INVALID, given)
            pauses.write(self._session, changes)
            for stretch in stretches(moves, lambda move: [move[1].upload.key]):
                lost = self._write([change for _, change in stretch])
                for position, conflict in lost.items():
                    answers[stretch[position][0]] = conflict
        return answers

    def _free(
        self, uploads: Sequence[Upload]
    ) -> tuple[dict[int, Row], dict[int, Conflict], dict[int, NotBefore]]:
        """As `_compared`, which waits for no lock; and the answers to those that are locked."""
        found, late = self._compared(uploads, sql.CURRENT_FREE)
        locked = {n: uploads[n] for n, one in late.items() if _is_in_time(uploads[n], one)}
        self._busy.forget(*(one.key for n, one in enumerate(uploads) if n not in locked))
        busy = {n: self._busy.not_before(one.key, one.updated_at) for n, one in locked.items()}
        return found, {n: one for n, one in late.items() if n not in locked}, busy

    def _compared(
        self, uploads: Sequence[Upload], current: Batch = sql.CURRENT
    ) -> tuple[dict[int, Row], dict[int, Conflict]]:
        """Those uploads that may be written, as `CURRENT` gives them, and the answers to those that
        another was faster than, by position. No upload comes twice."""
        session = self._session
        unnumbered = [(n, *key_cells(one.key)) for n, one in enumerate(uploads) if one.id is None]
        ids = {row["position"]: row["id"] for row in session.ask_all(sql.SELECT_IDS, unnumbered)}
        expected = [
            (n, ids.get(n, one.id), *key_cells(one.key), one.version - 1)
            for n, one in enumerate(uploads)
        ]
        found = {row["position"]: row for row in session.ask_all(current, expected)}
        if len(found) == len(uploads):
            return found, {}
        late = {n: one.key for n, one in enumerate(uploads) if n not in found}
        stored = reads.by_key(self._unreadable.readable(reads.rows_of(session, late.values())))
        return found, {
            n: Conflict(stored[key].upload if key in stored else None) for n, key in late.items()
        }

    def _write(self, changes: Sequence[Change]) -> dict[int, Conflict]:
        """Write those changes that are in time; the others' answers, by position."""
        session = self._session
        found, lost = self._compared([change.upload for change in changes])
        won = [(found[n]["id"], change) for n, change in enumerate(changes) if n in found]
        rows = [(found[n], changing_cells(changes[n].upload)) for n in found]
        sql.update(session, rows, sql.UPDATE_UPLOADS, sql.END_USUALLY, SUCCEEDED)
        self._write_history(won)
        for number, each in won:
            if (made := each.document) is not None:
                self._write_document(number, each.upload, made)
        for tenant_id, provider in {
            (each.upload.key.tenant_id, each.upload.key.provider)
            for _, each in won
            if each.unblocks
        }:
            session.tell(sql.UNBLOCK, {"tenant_id": tenant_id, "provider": provider})
        gates.change(
            session,
            (
                (change.gate, change.upload.key.tenant_id, change.upload.key.provider)
                for _, change in won
                if change.gate is not None
            ),
        )
        if not self._keep_documents:
            ended = [
                (found[n]["id"],)
                for n in found
                if found[n]["is_stored"] and isinstance(changes[n].upload.state, Succeeded)
            ]
            session.tell_all(sql.DELETE_DOCUMENTS, ended)
            if files := self._drop_files(ended):
                session.tell_all(sql.SETTLE_FILES, files)
        return lost

    # --- documents ---

    def _stage(self, documents: Sequence[tuple[int, bytes]]) -> None:
        given = [{"id": number, "content": content} for number, content in documents]
        self._session.tell_many(sql.PUT_DOCUMENT, given)

    def _write_document(self, number: int, upload: Upload, made: records.MadeDocument) -> None:
        """The document that was made, in the place of what it was made of."""
        cells = dict(zip(MADE, document_cells(upload, made.stored), strict=True))
        self._drop_files([(number,)])
        self._session.tell(sql.UPDATE_DOCUMENT, {**cells, "id": number})
        if made.content is None:
            self._session.tell_all(sql.DELETE_DOCUMENTS, [(number,)])
        else:
            self._stage([(number, made.content)])

    def _drop_files(self, uploads: Sequence[tuple[int]]) -> list[tuple[int]]:
        """Have the files of these uploads removed; those that have one."""
        if self._database.documents is None:
            return []
        found = self._session.ask_all(sql.SELECT_FILES, uploads)
        self._database.remove_files(row["document_file"] for row in found)
        return [(row["id"],) for row in found]

    # --- history ---

    def _write_history(self, changes: Sequence[tuple[int, Change]]) -> None:
        """What led to the changes."""
        attempts = [
            (number, *attempt_cells(change.attempt))
            for number, change in changes
            if change.attempt is not None
        ]
        look_ups = [
            (number, look_up.number, moment(look_up.at), look_up.finding, look_up.message)
            for number, change in changes
            if (look_up := change.look_up) is not None
        ]
        actions = [
            (number, moment(act.at), act.action, act.by, act.reason, change.upload.key.tenant_id)
            for number, change in changes
            if (act := change.action) is not None
        ]
        sql.insert_attempts(self._session, attempts)
        self._session.tell_all(sql.INSERT_LOOK_UPS, look_ups)
        if actions:
            self._session.tell(sql.LOCK_ACTIONS)
            self._session.tell_all(sql.INSERT_ACTIONS, actions)

    # --- gates ---

    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        answers: list[AcquireAnswer] = []
        with self.transaction("request not let through"):
            for stretch in stretches(requests, _looked_up):
                answers += self._acquire(stretch)
        return answers

    def _acquire(self, requests: Sequence[Acquire]) -> Iterator[AcquireAnswer]:
        """Ask for requests. An upload is not looked up by two of them."""
        session = self._session
        gates.end(session, ((slot, one.at) for one in requests for slot in one.ended))
        begins = [(n, one.look_up) for n, one in enumerate(requests) if one.look_up is not None]
        found, outdated, busy = self._free([look_up for _, look_up in begins])
        late: dict[int, AcquireAnswer] = {**outdated, **busy}
        answers = {begins[n][0]: answer for n, answer in late.items()}
        left = [(n, one) for n, one in enumerate(requests) if n not in answers]
        keys = ((n, *key_cells(one.key)) for n, one in left if one.key is not None)
        ids = {row["position"]: row["id"] for row in session.ask_all(sql.SELECT_IDS, keys)}
        askers = [Asker(one.quota, one.at, ids.get(n)) for n, one in left]
        passage = Gates(self._database, askers, self._busy)
        for (n, one), asker in zip(left, askers, strict=True):
            answers[n] = passage.acquire(one, asker)
        passage.write()
        rows = [
            (found[k]["id"], *changing_cells(look_up))
            for k, (n, look_up) in enumerate(begins)
            if isinstance(answers[n], Acquired)
        ]
        session.tell_all(sql.UPDATE_UPLOADS, rows)
        return (answers[n] for n in range(len(requests)))


def _is_in_time(upload: Upload, found: Conflict) -> bool:
    """Whether it may be written after all: it was left out because it is locked."""
    return found.current is not None and found.current.version == upload.version - 1


def _looked_up(request: Acquire) -> list[UploadKey]:
    return [] if request.look_up is None else [request.look_up.key]


def _asker(start: Start, row: Row) -> Asker:
    due = moment_or(None, row["due"])
    return Asker(start.quota, start.upload.updated_at, row["id"], due)


def _needless_files(entries: Sequence[Entry], known: Mapping[UploadKey, Entry]) -> list[str]:
    """The files of those entries that are known already, with other files or none."""
    return [
        file
        for entry in entries
        if (file := entry.dossier.document.file) is not None
        and (stored := known.get(entry.upload.key)) is not None
        and file != stored.dossier.document.file
    ]
