"""Old records in files: how each is read, and read again when its turn has come."""

from __future__ import annotations

import csv
import json
import mimetypes
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from io import TextIOWrapper
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import BinaryIO

from attrs import evolve, frozen

from ...adapters.records import load_record
from ...adapters.records.json_text import MAX_BYTES, JsonError, parse
from ...domain.errors import MisuseError, Problem, RecordError
from ...domain.evidence.evidence import Document, Evidence, sha256_of
from ...domain.evidence.moments import parse_moment
from .inputs import ENOUGH, record_in, regular

_REQUIRED = ("tenant_id", "session_id", "subject", "outcome", "recorded_at", "document")
_COLUMNS = (*_REQUIRED, "evidence_id", "subject_email", "media_type")
_IN_PLACE = dict.fromkeys((*_COLUMNS[:3], "evidence_id"), "?") | {
    "outcome": "passed",
    "recorded_at": "2000-01-01T00:00:00Z",
}
"""What stands in place of what is missing, so that the rest is judged, too."""


class RefusedRecord(RecordError):
    """What is wrong with a record, and whose it is."""

    def __init__(self, problems: tuple[Problem, ...], tenant_id: str = "") -> None:
        super().__init__(problems)
        self.tenant_id = tenant_id


class Unread(RecordError):
    """Why a file, or the rest of it, was not read: how many records it holds is not known."""


@frozen
class OldRecord:
    """One record: where it stands, how it is read again, and where it begins in its file."""

    file: Path
    line: int | None
    recorded_at: datetime
    tenant_id: str
    evidence_id: str
    read: Callable[[], Evidence]
    start: int | None = None

    def problem(self, message: str) -> Problem:
        """Something that is wrong with it."""
        return Problem(message, file=str(self.file), line=self.line)


@frozen
class _Place:
    """Where a record stands, and whose it is if it does not say so."""

    file: Path
    line: int | None
    tenant_id: str | None

    def refused(self, message: str, path: str = "", meant: str | None = None) -> Problem:
        return Problem(message, path, str(self.file), self.line, meant)

    def evidence(self, tree: object) -> Evidence:
        """The evidence that was read; RecordError with all that is wrong with it."""
        if not isinstance(tree, dict):
            raise RecordError((self.refused("must be an object"),))
        if self.tenant_id is not None:
            tree.setdefault("tenant_id", self.tenant_id)
        if "evidence_id" not in tree:
            tree["evidence_id"] = _derived(tree)
        try:
            if "schema_version" not in tree:
                return self._described(tree)
            return Evidence.from_record(load_record(tree, where=str(self.file)))
        except (RecordError, MisuseError) as error:
            found = error.problems if isinstance(error, RecordError) else ()
            problems = tuple(evolve(one, line=self.line) for one in found)
            problems = problems or (self.refused(str(error)),)
            tenant_id = tree.get("tenant_id")
            whose = tenant_id if isinstance(tenant_id, str) else ""
            raise RefusedRecord(problems, whose) from None

    def json(self, data: bytes) -> Evidence:
        """As `evidence`, of a JSON text."""
        try:
            return self.evidence(parse(data))
        except JsonError as error:
            within = None if error.line is None else error.line - 1
            line = self.line or (within and within + 1)
            raise RecordError((evolve(self.refused(str(error)), line=line),)) from None

    def _described(self, tree: Mapping[str, object]) -> Evidence:
        """The evidence of a document in a file of its own, as columns describe it."""
        problems = [
            self.refused(
                f"is not known; known are {', '.join(_COLUMNS)}",
                name,
                next(iter(get_close_matches(name, _COLUMNS, 1)), None),
            )
            for name in tree
            if name not in _COLUMNS
        ]
        problems += [self.refused("is missing", name) for name in _REQUIRED if not tree.get(name)]
        given = {name: value for name, value in tree.items() if value is not None}
        problems += [
            self.refused("must be text", name)
            for name, value in given.items()
            if not isinstance(value, str)
        ]
        document = self.file.parent / str(given.get("document", ""))
        if given.get("document") and not document.is_file():
            problems.append(self.refused(f"{document} is not a file", "document"))
        texts = _IN_PLACE | {
            name: value
            for name, value in given.items()
            if isinstance(value, str) and (value or name not in _REQUIRED)
        }
        try:
            recorded_at = parse_moment(texts["recorded_at"])
        except ValueError as error:
            problems.append(self.refused(str(error), "recorded_at"))
            recorded_at = parse_moment(_IN_PLACE["recorded_at"])
        try:
            evidence = _built(texts, recorded_at, document)
        except MisuseError as error:
            problems.append(self.refused(str(error)))
        else:
            if not problems:
                return evidence
        raise RecordError(tuple(problems))


def _built(texts: Mapping[str, str], recorded_at: datetime, document: Path) -> Evidence:
    guessed = mimetypes.guess_type(document.name)[0] or "application/octet-stream"
    return Evidence(
        tenant_id=texts["tenant_id"],
        evidence_id=texts["evidence_id"],
        session_id=texts["session_id"],
        subject=texts["subject"],
        subject_email=texts.get("subject_email"),
        outcome=texts["outcome"],
        recorded_at=recorded_at,
        document=Document(
            path=str(document),
            media_type=texts.get("media_type", guessed),
            filename=document.name,
        ),
    )


def _derived(tree: Mapping[str, object]) -> str:
    """The id of a record that has none: the same for the same record."""
    text = json.dumps(tree, sort_keys=True, ensure_ascii=False)
    return f"import-{sha256_of(text.encode(errors='surrogatepass'))[:32]}"


def records_in(file: Path, tenant_id: str | None) -> Iterator[Callable[[], OldRecord]]:
    """How each record of a file is read. What cannot be read raises RecordError then."""
    ending = file.suffix.lower()
    try:
        regular(file)
        if ending == ".json":
            place = _Place(file, None, tenant_id)
            yield partial(_record, place, partial(_whole, place))
        elif ending == ".jsonl":
            yield from _lines(file, tenant_id)
        else:
            yield from _rows(file, tenant_id)
    except UnicodeDecodeError as error:
        what = f"is not UTF-8: byte {error.start} cannot be read; save it as UTF-8"
        yield partial(_raise, Problem(what, file=str(file)))
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        yield partial(_raise, Problem(what, file=str(file)))
    except csv.Error as error:  # in the first row
        yield partial(_raise, _torn(file, 1, error))


def _torn(file: Path, line: int, error: csv.Error) -> Problem:
    """What is said of the row that begins there, and from which on a CSV cannot be read."""
    why = f"cannot be read: {error}"
    if "unexpected end" in why or "expected after" in why:
        why = "a quotation mark is opened in this row and not closed as it should be"
    elif "field limit" in why:
        why = "a cell of this row does not end, as if its quotation mark were not closed"
    return Problem(f"{why}: nothing from here on is read", file=str(file), line=line)


def _raise(problem: Problem) -> OldRecord:
    raise Unread((problem,))


def reader(
    file: Path, line: int | None, start: int | None, tenant_id: str | None
) -> Callable[[], Evidence]:
    """How a record is read again that begins there."""
    place = _Place(file, line, tenant_id)
    if start is None:
        return partial(_whole, place)
    of_lines = file.suffix.lower() == ".jsonl"
    return partial(_line_at if of_lines else _row_at, place, start)


def _record(place: _Place, read: Callable[[], Evidence], start: int | None = None) -> OldRecord:
    try:
        evidence = read()
    except OSError as error:
        why = error.strerror or str(error)
        raise RecordError((place.refused(f"cannot be read: {why}"),)) from error
    ids = evidence.tenant_id, evidence.evidence_id
    return OldRecord(place.file, place.line, evidence.recorded_at, *ids, read, start)


def _whole(place: _Place) -> Evidence:
    return place.json(record_in(place.file))


def _lines(file: Path, tenant_id: str | None) -> Iterator[Callable[[], OldRecord]]:
    with file.open("rb") as lines:
        for number in count(1):
            offset = lines.tell()
            if not (line := lines.readline(ENOUGH)):
                return
            if line.strip() or len(line) == ENOUGH:
                place = _Place(file, number, tenant_id)
                yield partial(_record, place, partial(_line_at, place, offset), offset)
            while len(line) == ENOUGH and not line.endswith(b"\n"):
                line = lines.readline(ENOUGH)


def _line_at(place: _Place, offset: int) -> Evidence:
    with place.file.open("rb") as lines:
        lines.seek(offset)
        return place.json(lines.readline(ENOUGH))


def _rows(file: Path, tenant_id: str | None) -> Iterator[Callable[[], OldRecord]]:
    with file.open("rb") as data:
        table = _Table(data)
        place, names = _Place(file, 1, tenant_id), table.names
        if missing := [one for one in _REQUIRED[tenant_id is not None :] if one not in names]:
            what = f"the first line must name the columns; missing are {', '.join(missing)}"
            yield partial(_raise, place.refused(what))
            return
        if twice := [name for name, number in Counter(names).items() if name and number > 1]:
            what = f"the first line must name each column once; twice there are {', '.join(twice)}"
            yield partial(_raise, place.refused(what))
            return
        while True:
            start, before = table.end, table.rows.line_num
            try:
                row = next(table.rows, None)
            except csv.Error as error:
                yield partial(_raise, _torn(file, before + 1, error))
                return
            if row is None:
                return
            place = evolve(place, line=table.rows.line_num)
            if any(row):  # not as spreadsheets write it below the last one
                yield partial(_record, place, partial(table.evidence, place, row), start)


def _row_at(place: _Place, start: int) -> Evidence:
    with place.file.open("rb") as data:
        table = _Table(data)
        return table.evidence(place, table.row_at(start))


def _text_of(data: BinaryIO) -> TextIOWrapper:
    return TextIOWrapper(data, encoding="utf-8", newline="")


class _Table:
    """The rows of a CSV below its first line, which names the columns. `end` is
    where the last row that was read ends, in bytes."""

    def __init__(self, data: BinaryIO) -> None:
        self.end = 0
        self._data, self._text = data, _text_of(data)
        lines = self._lines()
        header = next(lines, "")
        delimiter = ";" if header.count(";") > header.count(",") else ","
        self.rows = csv.reader(chain([header], lines), delimiter=delimiter, strict=True)
        self.names = next(self.rows, [])

    def row_at(self, start: int) -> Sequence[str]:
        """The row that begins there."""
        self._text.detach()
        self._data.seek(start)
        self._text = _text_of(self._data)
        return next(self.rows, [])

    def _lines(self) -> Iterator[str]:
        while line := self._text.readline(ENOUGH):
            if len(line) == ENOUGH:
                raise csv.Error(f"a line is larger than {MAX_BYTES // (1024 * 1024)} MiB")
            text = line if self.end else line.removeprefix("\ufeff")
            self.end += len(line.encode())
            yield text

    def evidence(self, place: _Place, row: Sequence[str]) -> Evidence:
        """The evidence of a row."""
        pairs = zip_longest(self.names, row, fillvalue="")
        cells = {name: cell for name, cell in pairs if cell}
        if "" in cells:
            raise RecordError((place.refused("has more cells than the header has names"),))
        return place.evidence(cells)
