"""The store in one SQLite file: one connection that writes, a few that read, and every write one
transaction. The key of an upload, unique in the file, decides every race between threads, couriers
and processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, islice

from attrs import evolve

from ....domain.pacing.gate import Acquired, GateChange
from ....domain.upload.upload import UNKNOWN_PROVIDER, Succeeded, Upload
from ....ports import records
from ....ports.gates import Acquire, AcquireAnswer
from ....ports.records import Change, Conflict, Entry, InvalidTenants, NamedProvider, Start
from ..rows import (
    attempt_cells,
    beginning_cells,
    changing_cells,
    document_cells,
    entry_cells,
    key_cells,
    moment,
    settings_cell,
)
from ..stretches import stretches
from . import reads, statements
from .couriers import SqliteCouriers
from .documents import needless_files
from .gates import SqliteGates
from .insertion import insertion_of
from .room import require_room


class SqliteStore(SqliteCouriers):
    """An `UploadStore` in one SQLite file.

    `path` is made where it does not exist, readable by its owner only. Staged documents are removed
    with the success of their upload, unless `keep_documents`. `busy_timeout` is how many seconds
    another process may keep the database from us; `monotonic` measures how long another courier has
    been silent. Raises StoreError where the file cannot be used, and says why. May be used from any
    thread; writers take turns.
    """

    insertion_of = staticmethod(insertion_of)

    def __init__(
        self,
        path: str,
        *,
        keep_documents: bool = False,
        busy_timeout: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(path, busy_timeout, monotonic)
        self._keep_documents = keep_documents

    def add(self, entries: Sequence[Entry]) -> Sequence[records.AddAnswer]:
        answers: list[records.AddAnswer] = []
        with self.transaction("not recorded", [entry.upload.key for entry in entries]):
            for stretch in stretches(entries, lambda entry: [entry.upload.key.evidence]):
                answers += self._add(stretch)
        return answers

    def _add(self, entries: Sequence[Entry]) -> Sequence[records.AddAnswer]:
        """Add entries of different evidences."""
        recorded = reads.of_evidences(self._connection, [each.upload.key for each in entries])
        known = [self._known(one, recorded.get(one.upload.key.evidence, {})) for one in entries]
        fresh = [one for one, there in zip(entries, known, strict=True) if there is None]
        # Nobody else can insert before this transaction ends, so the ids can be given here.
        (first,) = self._connection.execute(statements.NEXT_ID).fetchone()
        if fresh:
            size = sum(len(entry.content or b"") for entry in fresh)
            require_room(self._connection, self._path, size)
            self._insert(first, fresh)
        self._needless += needless_files(entries, known)
        numbers = count(first)
        return [
            records.Added(next(numbers))
            if there is None
            else records.Known(there.upload, there.dossier.submitted_digest)
            for there in known
        ]

    def _known(self, entry: Entry, recorded: dict[str, Entry]) -> Entry | None:
        """The upload that an entry is known as. `recorded` are its evidence's uploads by provider,
        the oldest first; one whose provider was not known gets the entry's."""
        key = entry.upload.key
        if key.provider == UNKNOWN_PROVIDER:
            return recorded[next(reversed(recorded))] if recorded else None
        unnamed = recorded.get(UNKNOWN_PROVIDER)
        if unnamed is None or key.provider in recorded:
            return recorded.get(key.provider)
        cells = (key.provider, entry.credential, settings_cell(entry.dossier.settings))
        where = (key.tenant_id, UNKNOWN_PROVIDER, key.evidence_id)
        self._connection.execute(statements.NAME_PROVIDER_OF_ONE, (*cells, *where))
        return evolve(unnamed, upload=evolve(unnamed.upload, key=key))

    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[records.BeginAnswer]]:
        keys = [start.upload.key for turn in turns for start in turn]
        answers: list[Sequence[records.BeginAnswer]] = []
        with self.transaction("attempt not begun", keys):
            gates = SqliteGates(self._connection)
            for stretch in stretches(turns, lambda turn: [start.upload.key for start in turn]):
                answers += self._begin(stretch, gates)
            gates.write()
        return answers

    def _begin(
        self, turns: Sequence[Sequence[Start]], gates: SqliteGates
    ) -> Iterator[Sequence[records.BeginAnswer]]:
        starts = [start for turn in turns for start in turn]
        positions = iter(range(len(starts)))
        places = [list(islice(positions, len(turn))) for turn in turns]
        found, outdated = self._compared([start.upload for start in starts])
        answers: dict[int, records.BeginAnswer] = {**outdated}
        begun: dict[int, Acquired] = {}
        for place in places:
            left = [n for n in place if n not in answers]
            if not left:
                continue
            answer = gates.begin(starts[left[0]])
            if isinstance(answer, Acquired):
                begun[left[0]] = answer
                begun |= dict.fromkeys(left[1:], Acquired())  # they travel with the first
            else:
                answers |= dict.fromkeys(left, answer)
        answers |= self._send(starts, found, begun)
        yield from ([answers[n] for n in place] for place in places)

    def _send(
        self,
        starts: Sequence[Start],
        found: Mapping[int, tuple[int, str]],
        begun: Mapping[int, Acquired],
    ) -> dict[int, records.Begun]:
        """Write `Sending` of those that begin, and read what they send."""
        connection = self._connection
        rows, statuses = [], []
        for position in begun:
            identity, was = found[position]
            status, cells = beginning_cells(starts[position])
            rows.append((identity, *cells))
            if status != was:
                statuses.append((identity, status))
        statements.BEGIN_UPLOADS.write(connection, rows)
        statements.UPDATE_STATUS.write(connection, statuses)
        staged = reads.staged(connection, [found[position][0] for position in begun])
        return {
            position: records.Begun(staged.get(found[position][0]), acquired)
            for position, acquired in begun.items()
        }

    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        with self.transaction("request not let through"):
            gates = SqliteGates(self._connection)
            answers = [gates.acquire(request) for request in requests]
            gates.write()
            return answers

    def save(self, changes: Sequence[records.AnyChange]) -> Sequence[records.SaveAnswer]:
        ends = [one for one in changes if isinstance(one, GateChange)]
        moves = [(n, one) for n, one in enumerate(changes) if isinstance(one, Change)]
        answers: list[records.SaveAnswer] = [records.Saved()] * len(changes)
        with self.transaction("change not written", [move.upload.key for _, move in moves]):
            SqliteGates(self._connection).change((evolve(end, block=None), "", "") for end in ends)
            for named in (one for one in changes if isinstance(one, NamedProvider)):
                cells = (named.provider, named.credential, settings_cell(named.settings))
                where = (named.tenant_id, UNKNOWN_PROVIDER)
                self._connection.execute(statements.NAME_PROVIDER, (*cells, *where))
            for told in (one for one in changes if isinstance(one, InvalidTenants)):
                self._connection.execute(statements.DELETE_VALID, (json.dumps([*told.valid]),))
                causes = json.dumps({one: cause.value for one, cause in told.causes.items()})
                self._connection.execute(statements.INSERT_INVALID, (moment(told.at), causes))
            for stretch in stretches(moves, lambda move: [move[1].upload.key]):
                lost = self._write([change for _, change in stretch])
                for position, conflict in lost.items():
                    answers[stretch[position][0]] = conflict
        return answers

    def _insert(self, first: int, entries: Sequence[Entry]) -> None:
        numbered = list(enumerate(entries, first))
        rows = [entry_cells(identity, entry) for identity, entry in numbered]
        statements.INSERT_UPLOADS.write(self._connection, rows)
        documents = [
            (identity, entry.content) for identity, entry in numbered if entry.content is not None
        ]
        self._connection.executemany(statements.INSERT_DOCUMENT, documents)

    def _compared(
        self, uploads: Sequence[Upload]
    ) -> tuple[dict[int, tuple[int, str]], dict[int, Conflict]]:
        """The ids and stored statuses of those uploads that may be written, and the answers to
        those that somebody was faster than, by position. No upload comes twice."""
        expected = [
            (position, upload.id, *key_cells(upload.key), upload.version - 1)
            for position, upload in enumerate(uploads)
        ]
        unnumbered = [row for row in expected if row[1] is None]
        found = {
            position: (identity, status)
            for current, rows in (
                (statements.CURRENT_BY_ID, expected),
                (statements.CURRENT_BY_KEY, unnumbered),
            )
            for position, identity, status in current.run(self._connection, rows)
        }
        if len(found) == len(uploads):
            return found, {}
        late = {n: upload.key for n, upload in enumerate(uploads) if n not in found}
        there = reads.recorded(self._connection, late.values())
        return found, {
            position: Conflict(there[key].upload if key in there else None)
            for position, key in late.items()
        }

    def _write(self, changes: Sequence[Change]) -> dict[int, Conflict]:
        """Write those changes that nobody was faster than; the others' answers, by position."""
        connection = self._connection
        found, lost = self._compared([change.upload for change in changes])
        won = [(found[n][0], change) for n, change in enumerate(changes) if n in found]
        rows = [(identity, *changing_cells(each.upload)) for identity, each in won]
        statements.UPDATE_UPLOADS.write(connection, rows)
        self._write_history(won)
        self._write_documents(won)
        unblocked = {
            (each.upload.key.tenant_id, each.upload.key.provider)
            for _, each in won
            if each.unblocks
        }
        connection.executemany(statements.DELETE_BLOCKS, unblocked)
        SqliteGates(connection).change(
            (change.gate, change.upload.key.tenant_id, change.upload.key.provider)
            for _, change in won
            if change.gate is not None
        )
        if not self._keep_documents:
            ended = [(n,) for n, each in won if isinstance(each.upload.state, Succeeded)]
            statements.DELETE_DOCUMENTS.write(connection, ended)
            if files := self._drop_files(ended):
                statements.SETTLE_FILES.write(connection, [(identity,) for identity in files])
        return lost

    def _write_documents(self, changes: Sequence[tuple[int, Change]]) -> None:
        """The documents that were made, in the place of what they were made of."""
        for identity, change in changes:
            if (made := change.document) is not None:
                execute, cells = (
                    self._connection.execute,
                    document_cells(change.upload, made.stored),
                )
                self._drop_files([(identity,)])
                execute(statements.UPDATE_DOCUMENT, (*cells, change.upload.digest, identity))
                if made.content is None:
                    execute(statements.DELETE_DOCUMENT, (identity,))
                else:
                    execute(statements.REPLACE_DOCUMENT, (identity, made.content))

    def _drop_files(self, rows: Sequence[tuple[int]]) -> Sequence[int]:
        """Have the files of these uploads removed with this commit; the ids of those that have
        one."""
        found = dict(statements.SELECT_FILES.run(self._connection, rows))
        self._needless += found.values()
        return list(found)

    def _write_history(self, changes: Sequence[tuple[int, Change]]) -> None:
        """What led to the changes."""
        attempts = [
            (identity, *attempt_cells(change.attempt))
            for identity, change in changes
            if change.attempt is not None
        ]
        look_ups = [
            (identity, look_up.number, moment(look_up.at), look_up.finding, look_up.message)
            for identity, change in changes
            if (look_up := change.look_up) is not None
        ]
        actions = [
            (identity, moment(act.at), act.action, act.by, act.reason, change.upload.key.tenant_id)
            for identity, change in changes
            if (act := change.action) is not None
        ]
        statements.INSERT_ATTEMPTS.write(self._connection, attempts)
        self._connection.executemany(statements.INSERT_LOOK_UP, look_ups)
        self._connection.executemany(statements.INSERT_ACTION, actions)
