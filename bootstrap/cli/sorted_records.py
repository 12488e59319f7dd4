"""Old records, sorted outside memory: where each stands is in a temporary file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import overload

from ...domain.errors import MisuseError, Problem, RecordError, StoreError
from .old_records import OldRecord, RefusedRecord, Unread, reader, records_in

ENDINGS = (".json", ".jsonl", ".csv")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CACHE_KIB = 16_384
_MADE = f"""
PRAGMA journal_mode = OFF;
PRAGMA cache_size = -{_CACHE_KIB};
CREATE TABLE files (number INTEGER PRIMARY KEY, path BLOB);
CREATE TABLE found (number INTEGER PRIMARY KEY, tenant, evidence, at, file, line, start);
BEGIN;
"""
_DOUBLES = """
CREATE INDEX of_evidence ON found (tenant, evidence, number);
CREATE TABLE doubles AS SELECT number, first FROM (
    SELECT number, MIN(number) OVER (PARTITION BY tenant, evidence) AS first FROM found
) WHERE number <> first ORDER BY number;
"""
_SORTED = """
DELETE FROM found WHERE number IN (SELECT number FROM doubles);
CREATE TABLE sorted (place INTEGER PRIMARY KEY, tenant, evidence, at, file, line, start);
INSERT INTO sorted SELECT NULL, tenant, evidence, at, file, line, start FROM found
ORDER BY tenant, at, number;
DROP TABLE found;
"""
_ROW = "SELECT tenant, evidence, at, path, line, start FROM {} JOIN files ON files.number = file"


class OldRecords:
    """Records that were found, each once, of each tenant the oldest first. SQLite deletes its file
    as it is made; StoreError if that cannot be written."""

    def __init__(self, tenant_id: str | None) -> None:
        self._tenant_id = tenant_id
        self._tenants: dict[str, int] = {}
        self._names: list[str] = []
        self._places: dict[int, tuple[int, int]] = {}
        self._file: Path | None = None
        self._files = 0
        self.unread = 0
        """How many files were not read to their end."""
        with _trouble():
            self._database = sqlite3.connect("", isolation_level=None)
            self._database.executescript(_MADE)

    def __len__(self) -> int:
        return sum(number for _, number in self._places.values())

    @property
    def tenants(self) -> Sequence[str]:
        """Whose they are."""
        return self._names

    def of(self, tenant_id: str) -> Sequence[OldRecord]:
        """Those of one tenant, the oldest first."""
        number = self._tenants.get(tenant_id, -1)
        return _OfTenant(self, *self._places.get(number, (0, 0)))

    def add(self, record: OldRecord) -> None:
        """One more; the records of a file come together."""
        tenant = self._tenants.setdefault(record.tenant_id, len(self._tenants))
        if tenant == len(self._names):
            self._names.append(record.tenant_id)
        at = (record.recorded_at - _EPOCH) // _MICROSECOND
        with _trouble():
            if record.file != self._file:
                self._file, self._files = record.file, self._files + 1
                given = self._files, os.fsencode(record.file)
                self._database.execute("INSERT INTO files VALUES (?, ?)", given)
            cells = tenant, record.evidence_id, at, self._files, record.line, record.start
            self._database.execute("INSERT INTO found VALUES (NULL, ?, ?, ?, ?, ?, ?)", cells)

    def sort(self) -> Iterator[tuple[OldRecord, OldRecord]]:
        """Sort all that were added; those that stand there a second time, each behind the first,
        are left out."""
        one = _ROW.format("found") + " WHERE found.number = ?"
        with _trouble():
            self._database.executescript(_DOUBLES)
            for pair in self._database.execute("SELECT first, number FROM doubles"):
                first, again = (
                    self._record(self._database.execute(one, (number,)).fetchone())
                    for number in pair
                )
                yield first, again
            self._database.executescript(_SORTED)
            places = "SELECT tenant, MIN(place), COUNT(*) FROM sorted GROUP BY tenant"
            for tenant, place, number in self._database.execute(places):
                self._places[tenant] = place, number

    def at(self, places: range) -> Sequence[OldRecord]:
        """Those at these places among all."""
        asked = _ROW.format("sorted") + " WHERE place >= ? AND place < ? ORDER BY place"
        with _trouble():
            rows = self._database.execute(asked, (places.start, places.stop)).fetchall()
        return [*map(self._record, rows)]

    def _record(self, row: tuple[int, str, int, bytes, int | None, int | None]) -> OldRecord:
        tenant, evidence_id, at, path, line, start = row
        file, moment = Path(os.fsdecode(path)), _EPOCH + at * _MICROSECOND
        read = reader(file, line, start, self._tenant_id)
        return OldRecord(file, line, moment, self._names[tenant], evidence_id, read, start)


class _OfTenant(Sequence[OldRecord]):
    """Those of one tenant, read a page at a time."""

    def __init__(self, records: OldRecords, first: int, number: int) -> None:
        self._records = records
        self._places = range(first, first + number)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> OldRecord: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[OldRecord]: ...

    def __getitem__(self, index: int | slice) -> OldRecord | Sequence[OldRecord]:
        if isinstance(index, slice):
            return self._records.at(self._places[index])
        place = self._places[index]
        return self._records.at(range(place, place + 1))[0]


@contextmanager
def _trouble() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            f"the records were not sorted in a temporary file: {error}; make room in the folder "
            "for temporary files, or set SQLITE_TMPDIR to another"
        ) from error


def read_all(
    source: Path,
    tenant_id: str | None,
    tell: Callable[[Problem], None],
    progress: Callable[[int], None] = lambda number: None,
) -> tuple[OldRecords, Mapping[str, Problem]]:
    """The records in a file, or in the files below a folder, and the first problem of each tenant
    that those name which are invalid.

    Args:
        tenant_id: Whose those are that do not say it.
        tell: Told of each problem.
        progress: Told with each record how many there were.

    Raises:
        MisuseError: There is no such file or folder, or none that can be read as records.
        StoreError: There is no room to sort them.
    """
    found = OldRecords(tenant_id)
    refused: dict[str, Problem] = {}
    number = 0
    for file in _files(source):
        for read in records_in(file, tenant_id):
            number += 1
            progress(number)
            try:
                record = read()
            except RecordError as error:
                for problem in error.problems:
                    tell(problem)
                found.unread += isinstance(error, Unread)
                if isinstance(error, RefusedRecord) and error.tenant_id:
                    refused.setdefault(error.tenant_id, error.problems[0])
            else:
                found.add(record)
    for first, again in found.sort():
        where = str(first.file) if first.line is None else f"{first.file}:{first.line}"
        tell(again.problem(f"is evidence {again.evidence_id!r} again, after {where}"))
    return found, refused


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        files = sorted(one for one in source.rglob("*") if one.suffix.lower() in ENDINGS)
    else:
        files = [source] if source.is_file() else []
    if not files:
        what = f"holds no file that ends in {', '.join(ENDINGS)}"
        raise MisuseError(f"{source} {what if source.is_dir() else 'is no file and no folder'}")
    if files[0].suffix.lower() not in ENDINGS:
        raise MisuseError(f"{source} must be a folder, or end in {', '.join(ENDINGS)}")
    return files
