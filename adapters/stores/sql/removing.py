"""Removing what is kept no longer, and what names a person (see `ports.removal`).

An upload's row stays. Its evidence's id is replaced by a keyed hash if it names the person: the key
is kept with the first one, so that a database without it has nothing to look up by a hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from attrs import evolve

from ....domain.chain import ACTION, ATTEMPT
from ....domain.retention import (
    ERASED,
    Names,
    Part,
    erased_id,
    key_of_erased,
    keyed_hash,
    numbered,
)
from ....ports.removal import NamingTexts, Removal, Removed
from ..rows import KEY, Cell, Row, key_cells, key_of, moment
from .chain import Gone, letting_go
from .naming import DOCUMENT, NAMING, RECEIPT, SETTLED_WORDS, Texts, names_in
from .reader import SqlReader
from .removal import COUNTS, erased_key, names_of
from .session import Batch, Cells, Database
from .statements import (
    DELETE_DOCUMENTS,
    SAME_KEY,
    SELECT_FILES,
    SETTLE_FILES,
    SETTLED,
    list_of,
    words_instead,
)

_LATE = Batch(
    (*KEY, "version"),
    f"SELECT uploads.id, {list_of(KEY, 'uploads')}, subject, subject_email, settings"
    f" FROM given CROSS JOIN uploads ON {SAME_KEY} AND uploads.version = given.version"
    f" AND uploads.status IN ({SETTLED_WORDS}) /* ORDER BY uploads.id FOR UPDATE OF uploads */",
)
_IDS = "IN (SELECT id FROM given)"
_FORGET_ATTEMPTS = (
    Batch(("id",), f"DELETE FROM attempts WHERE upload_id {_IDS}"),
    Batch(("id",), f"DELETE FROM look_ups WHERE upload_id {_IDS}"),
    Batch(
        ("id", "at"),
        "UPDATE uploads SET pruned_at = given.at, version = version + 1 FROM given"
        " WHERE uploads.id = given.id",
    ),
)


def _blank(*names: str) -> str:
    """Texts that are there are replaced: what must have one has one."""
    return list_of(f"{one} = CASE WHEN {one} IS NOT NULL THEN '{ERASED}' END" for one in names)


def _null(*names: str) -> str:
    return list_of(f"{one} = NULL" for one in names)


def _silent(message: str, kind: str) -> str:
    """The words of a failure are replaced."""
    return f"{message} = CASE WHEN {message} IS NOT NULL THEN {words_instead(kind)} END"


_FORGET_PERSON = (
    Batch(
        ("id", "at", "evidence_id", "settings"),
        f"UPDATE uploads SET {_blank('subject', 'session_id')},"
        f" {_silent('error_message', 'error_kind')},"
        f" {_null('subject_email', 'error_detail', 'progress', *RECEIPT, *DOCUMENT)},"
        " evidence_id = given.evidence_id, settings = given.settings, erased_at = given.at,"
        " version = version + 1 FROM given WHERE uploads.id = given.id",
    ),
    Batch(
        ("id",),
        f"UPDATE attempts SET {_silent('message', 'kind')}, {_null('detail', *RECEIPT)}"
        f" WHERE upload_id {_IDS}",
    ),
    Batch(("id",), f"UPDATE look_ups SET {_blank('message')} WHERE upload_id {_IDS}"),
)
_ACTIONS = Batch(("id",), f'SELECT id, upload_id, "by", reason FROM actions WHERE upload_id {_IDS}')
_STAGED = Batch(("id",), f"SELECT upload_id FROM documents WHERE upload_id {_IDS}")
_ATTEMPTS = Batch(("id",), f"SELECT id, upload_id FROM attempts WHERE upload_id {_IDS}")
_ROW = ("at", "tenant_id", "action", "actor", "reason", "subject")
_RECORD = (
    f'INSERT INTO removals (at, tenant_id, action, "by", reason, subject, {list_of(COUNTS)})'
    f" VALUES ({list_of(f':{name}' for name in (*_ROW, *COUNTS))})"
)
_PUT_MARK = (
    "INSERT INTO keys (name, value) VALUES ('looked_up_to', :value)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_KEY_OF = f"SELECT {list_of(KEY)} FROM uploads WHERE id = :id"
_TAKEN = f"SELECT id FROM uploads WHERE {' AND '.join(f'{one} = :{one}' for one in KEY)}"
_MAKE_KEY = "INSERT INTO keys (name, value) VALUES ('erased', :value)"


class SqlRemovals(SqlReader):
    """The writing verbs of `Removals`."""

    _database: Database

    def look_from(self, mark: int) -> None:
        with self._database.transaction("the mark was not written", ()):
            self._database.session.tell(_PUT_MARK, {"value": str(mark).encode()})

    def remove(self, removal: Removal) -> Removed:
        key, found = self.fingerprint_key(), removal.texts
        if removal.names and found is None:
            found = self.naming(removal.tenant_id, removal.names, ())
        with self._database.transaction("nothing was removed", [removal.tenant_id]):
            person = removal.person
            who = removal.action, person.by, person.reason
            with letting_go(self._database.session, removal.at, *who) as gone:
                return _Remover(self._database, evolve(removal, texts=found), key, gone).remove()


class _Remover:
    """One removal, in a transaction."""

    def __init__(
        self, database: Database, removal: Removal, fingerprint_key: bytes, gone: Gone
    ) -> None:
        self._database = database
        self._gone = gone
        self._session = database.session
        self._removal = removal
        self._fingerprint_key = fingerprint_key
        self._at = moment(removal.at)

    def remove(self) -> Removed:
        """Remove it all, and record that."""
        session, removal = self._session, self._removal
        asked = removal.parts
        given = [(*key_cells(key), version) for key, (version, _) in asked.items()]
        rows = session.ask_all(_LATE, given)
        of_part = {part: [row for row in rows if part in asked[key_of(row)][1]] for part in Part}
        personal = of_part[Part.PERSONAL]
        documents = self._documents([*of_part[Part.DOCUMENT], *personal])
        attempts = self._attempts(of_part[Part.ATTEMPTS], personal)
        texts = self._person(personal)
        if removal.texts is not None:
            texts += self._texts(removal.texts)
        counts = {part: len(some) for part, some in of_part.items()}
        counts[Part.DOCUMENT] = documents
        if rows or removal.action == "erase":  # another courier may have pruned the same
            self._record(len(rows), attempts, documents, texts)
        return Removed(counts, texts, len(asked) - len(rows))

    def _documents(self, rows: Sequence[Row]) -> int:
        ids = _ids(rows)
        staged = {row["upload_id"] for row in self._session.ask_all(_STAGED, ids)}
        self._session.tell_all(DELETE_DOCUMENTS, ids)
        files = [
            row
            for row in self._session.ask_all(SELECT_FILES, ids)
            if not row["document_file"].startswith(SETTLED)
        ]
        self._session.tell_all(SETTLE_FILES, _ids(files))
        self._database.remove_files(row["document_file"] for row in files)
        return len(staged | {row["id"] for row in files})

    def _attempts(self, forgotten: Sequence[Row], personal: Sequence[Row]) -> int:
        """How many attempts were forgotten, or lost their texts."""
        both = _ids({row["id"]: row for row in (*forgotten, *personal)}.values())
        attempts = self._session.ask_all(_ATTEMPTS, both)
        deleted = {row["id"] for row in forgotten}
        self._gone.rows(ATTEMPT, [one["id"] for one in attempts if one["upload_id"] in deleted])
        left = [one for one in attempts if one["upload_id"] not in deleted]
        self._gone.fields(ATTEMPT, [one["id"] for one in left], ("message", "detail", *RECEIPT))
        *deletes, mark = _FORGET_ATTEMPTS
        for batch in deletes:
            self._session.tell_all(batch, _ids(forgotten))
        self._session.tell_all(mark, [(row["id"], self._at) for row in forgotten])
        return len(attempts)

    def _person(self, rows: Sequence[Row]) -> int:
        """Forget whom uploads are about; how many texts of people named them."""
        names = {row["id"]: Names([*self._removal.names, *names_of(row)]) for row in rows}
        acts = self._session.ask_all(_ACTIONS, _ids(rows))
        upload, *history = _FORGET_PERSON
        cells = [self._cells(row, names[row["id"]]) for row in rows]
        called = {row["id"]: row["evidence_id"] for row in rows}
        renamed = [(one[0],) for one in cells if one[2] != called[one[0]]]
        self._let_go_of_ids(renamed)
        self._session.tell_all(upload, cells)
        for batch in history:
            self._session.tell_all(batch, _ids(rows))
        actions = next(one for one in NAMING if one.table == "actions")
        return sum(self._blank(actions, act, names[act["upload_id"]]) for act in acts)

    def _cells(self, row: Row, names: Names) -> tuple[Cell, ...]:
        evidence_id, settings = row["evidence_id"], row["settings"]
        if names.are_part_of(evidence_id):
            evidence_id = self._free_id(row)
        settings = "{}" if names.stand_in(settings) else settings
        return (row["id"], self._at, evidence_id, settings)

    def _renamed(self, upload_id: int) -> str:
        """What the evidence of another person's upload is called, whose id names the person."""
        self._let_go_of_ids([(upload_id,)])
        (row,) = self._session.ask(_KEY_OF, {"id": upload_id})
        return self._free_id(row)

    def _let_go_of_ids(self, ids: Sequence[Cells]) -> None:
        for kind, batch in ((ATTEMPT, _ATTEMPTS), (ACTION, _ACTIONS)):
            rows = self._session.ask_all(batch, ids)
            self._gone.fields(kind, [one["id"] for one in rows], ("evidence_id",))

    def _free_id(self, row: Row) -> str:
        """The hash of an evidence's id; with a number if one that was recorded before has it."""
        first = erased_id(self._made_key(), row["tenant_id"], row["evidence_id"])
        wanted = ((one, {**row, "evidence_id": one}) for one in numbered(first))
        return next(one for one, given in wanted if not self._session.ask(_TAKEN, given))

    def _made_key(self) -> bytes:
        key = erased_key(self._session)
        if key is None:
            key = key_of_erased(self._fingerprint_key)
            self._session.tell(_MAKE_KEY, {"value": key})
        return key

    def _texts(self, found: NamingTexts) -> int:
        """Blank the texts that were found, as far as they name the person still."""
        names, places = Names(found.names), defaultdict[int, list[tuple[int | str]]](list)
        for number, identity in found.places:
            places[number].append((identity,))
        many = 0
        for number, ids in places.items():
            rows = self._session.ask_all(NAMING[number].again, ids)
            named = names_in(self._session, names, rows)
            many += sum(self._blank(NAMING[number], row, named(row)) for row in rows)
        return many

    def _blank(self, texts: Texts, row: Row, names: Names) -> int:
        named = texts.named(row, names)
        if texts.kind is not None:
            self._gone.fields(texts.kind, [row["id"]], named)
        for name in named:
            text = self._renamed(row["id"]) if name == "evidence_id" else texts.put(name)
            self._session.tell(texts.blank(name), {"text": text, "id": row["id"]})
        return len(named)

    def _record(self, uploads: int, attempts: int, documents: int, texts: int) -> None:
        removal = self._removal
        subject = None
        if removal.subject is not None:
            key = self._fingerprint_key
            subject = keyed_hash(key, removal.tenant_id, removal.subject)
        numbers = dict(zip(COUNTS, (uploads, attempts, documents, texts), strict=True))
        person = removal.person
        words = (self._at, removal.tenant_id, removal.action, person.by, person.reason, subject)
        self._session.tell(_RECORD, {**dict(zip(_ROW, words, strict=True)), **numbers})


def _ids(rows: Iterable[Row]) -> list[tuple[int]]:
    return [(row["id"],) for row in rows]
