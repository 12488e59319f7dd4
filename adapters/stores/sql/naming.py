"""Which texts of the records may name a person, and where they do."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from attrs import field, frozen

from ....domain.chain import ACTION, ATTEMPT, CHECKPOINT, PAUSE, RESUME
from ....domain.integration import spellings
from ....domain.retention import ERASED, Names, as_written
from ....domain.upload.upload import Status, UploadKey
from ....ports.removal import NamingTexts
from ..rows import KEY, Row, key_cells
from .session import Batch, Session
from .statements import SAME_KEY, list_of

SETTLED_WORDS = list_of(f"'{one.value}'" for one in Status if one.settled)
DOCUMENT = ("document_filename", "document_source", "document_path", "document_modified")
RECEIPT = ("receipt_reference", "receipt_message")
_OF_TENANT = "{0}.tenant_id = :tenant_id"
_INSTEAD: Mapping[str, str | None] = {"settings": "{}", "progress": None}
_OR_OF_ALL = "{0}.tenant_id IN (:tenant_id, '')"
_IS_SETTLED = f"{{0}}.status IN ({SETTLED_WORDS})"


@frozen
class Texts:
    """Texts that may name anyone: where they are, how they are told apart, and whose they
    are. `kind`: what they are called in the hash chain. `upload`: the id of the upload they are of.
    `of_settled`: only those of settled uploads; what is open needs them."""

    table: str
    names: tuple[str, ...]
    identity: str = "id"
    kind: str | None = None
    of_tenant: str = _OF_TENANT
    upload: str = "NULL"
    of_settled: bool = False
    again: Batch = field(init=False)
    """Reads them again by their identities, as far as they are settled if that is asked of them."""

    def __attrs_post_init__(self) -> None:
        columns = list_of((f'"{name}"' for name in self.names), self.table)
        is_settled = f" AND {_IS_SETTLED.format('uploads')}" if self.of_settled else ""
        again = Batch(
            (self.identity,),
            f"SELECT {self.table}.{self.identity} AS id, {self._upload} AS upload, {columns}"
            " FROM given CROSS JOIN"
            f" {self.table} ON {self.table}.{self.identity} = given.{self.identity}{is_settled}",
        )
        object.__setattr__(self, "again", again)

    @property
    def _upload(self) -> str:
        return self.upload if self.upload == "NULL" else f"{self.table}.{self.upload}"

    def found(self, patterns: Collection[str]) -> str:
        """The question for those that may hold one of the patterns. SQLite's LIKE takes no notice
        of the case of ASCII letters."""
        like = " OR ".join(
            f"/* lower( */ \"{name}\" /* ) */ LIKE :p{number} ESCAPE '!'"
            for name in self.names
            for number in range(len(patterns))
        )
        columns = ", ".join(f'"{name}"' for name in self.names)
        where = self.of_tenant.format(self.table)
        if self.of_settled:
            where += f" AND {_IS_SETTLED.format(self.table)}"
        return (
            f"SELECT {self.identity} AS id, {self.upload} AS upload, {columns} FROM {self.table}"
            f" WHERE {where} AND ({like})"
        )

    def named(self, row: Row, names: Names) -> list[str]:
        """The columns of a row that hold one of the names."""
        return [one for one in self.names if row[one] is not None and names.stand_in(row[one])]

    def put(self, name: str) -> str | None:
        """What stands in a column afterwards."""
        return _INSTEAD.get(name, ERASED)

    def blank(self, name: str) -> str:
        """What replaces one. A courier that has read an upload before is too late to write it."""
        also = ", version = version + 1" if self.table == "uploads" else ""
        return f'UPDATE {self.table} SET "{name}" = :text{also} WHERE {self.identity} = :id'


_OF_UPLOADS = (
    "{0}.upload_id IN (SELECT uploads.id FROM uploads INDEXED BY uploads_of_tenant"
    " WHERE uploads.tenant_id = :tenant_id)"
)
NAMING = (
    Texts("uploads", ("error_message", "error_detail", *RECEIPT), upload="id"),
    Texts(
        "uploads",
        ("session_id", *DOCUMENT[:3], "settings", "progress", "evidence_id"),
        upload="id",
        of_settled=True,
    ),
    Texts(
        "attempts",
        ("message", "detail", *RECEIPT, "request_id"),
        kind=ATTEMPT,
        of_tenant=_OF_UPLOADS,
        upload="upload_id",
    ),
    Texts("look_ups", ("message",), of_tenant=_OF_UPLOADS, upload="upload_id"),
    Texts("actions", ("by", "reason"), kind=ACTION, of_tenant=_OF_UPLOADS, upload="upload_id"),
    Texts("blocks", ("message",), identity="address"),
    Texts("pauses", ("by", "reason"), kind=PAUSE, of_tenant=_OR_OF_ALL),
    Texts("pauses", ("ended_by", "ended_reason"), kind=RESUME, of_tenant=_OR_OF_ALL),
    Texts("removals", ("by", "reason")),
    Texts("checkpoints", ("by", "reason"), kind=CHECKPOINT, of_tenant=_OR_OF_ALL),
)
"""All texts beside a person's own uploads that may name the person."""


_AT_ONCE = 50
_PERSONS_OF = Batch(
    ("id",),
    "SELECT uploads.id, subject, subject_email FROM given CROSS JOIN uploads"
    " ON uploads.id = given.id",
)
_IDS_OF = Batch(KEY, f"SELECT uploads.id FROM given CROSS JOIN uploads ON {SAME_KEY}")


def naming(
    session: Session, tenant_id: str, called: Sequence[str], besides: Collection[UploadKey]
) -> NamingTexts:
    """See `RemovalReader.naming`."""
    patterns = [*_patterns(called)]
    left = {row["id"] for row in session.ask_all(_IDS_OF, map(key_cells, besides))}
    rows = {
        (number, row["id"]): row
        for tenant in sorted(spellings(tenant_id))
        for number, one in enumerate(NAMING)
        for some in _pieces(patterns)
        for row in session.ask(one.found(some), {**some, "tenant_id": tenant})
        if row["upload"] not in left
    }
    names = names_in(session, Names(called), rows.values())
    found = {
        place: len(named)
        for place, row in rows.items()
        if (named := NAMING[place[0]].named(row, names(row)))
    }
    return NamingTexts(sum(found.values()), called, [*found])


def names_in(session: Session, names: Names, rows: Iterable[Row]) -> Callable[[Row], Names]:
    """The names of a person, as they are looked for in each of some rows of NAMING: what is about
    an upload of another person may have that one's names."""
    ids = dict.fromkeys((row["upload"],) for row in rows if row["upload"] is not None)
    others = {
        row["id"]: names.of_another(one for one in (row["subject"], row["subject_email"]) if one)
        for row in session.ask_all(_PERSONS_OF, ids)
    }
    return lambda row: others.get(row["upload"], names)


def _pieces(patterns: Sequence[str]) -> Iterator[dict[str, str]]:
    """At most _AT_ONCE at once: SQLite reads no question with a thousand conditions."""
    for start in range(0, len(patterns), _AT_ONCE):
        yield {f"p{n}": one for n, one in enumerate(patterns[start : start + _AT_ONCE])}


def _patterns(names: Iterable[str]) -> Iterator[str]:
    """What a text is like that holds one of the names, however it is spelled. SQLite's `lower` is
    for ASCII only."""
    found = Counter(
        _lower_ascii(unicodedata.normalize(form, spelled))
        for name in names
        for cased in (name, name.lower(), name.upper(), name.title())
        for spelled in as_written(cased)
        for form in ("NFC", "NFD", "NFKC")
    )
    for name in found:
        escaped = name.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        yield f"%{escaped}%"


def _lower_ascii(text: str) -> str:
    return "".join(one.lower() if one.isascii() else one for one in text)
