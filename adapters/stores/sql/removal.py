"""What can be removed of the records, and what was (see `ports.removal`)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from ....domain.integration import spellings
from ....domain.retention import ERASED, Part, erased_id, same_name
from ....domain.upload.status import ActionRow
from ....domain.upload.upload import UNKNOWN_PROVIDER, Status, UploadKey
from ....ports.records import Entry
from ....ports.removal import PersonsUpload, RemovalRow, Settled, SettledPage
from ..rows import KEY, UPLOAD, Row, action_of, key_of, moment_of, upload_of
from ..shown import Shown
from ..trouble import RefusedError
from . import reads
from .session import Batch, Session
from .statements import SETTLED, list_of

PAGE = f"""
SELECT id, {list_of(KEY)}, version, status, updated_at, erased_at, document_file,
    EXISTS (SELECT 1 FROM documents WHERE upload_id = uploads.id) AS staged,
    EXISTS (SELECT 1 FROM attempts WHERE upload_id = uploads.id)
    OR EXISTS (SELECT 1 FROM look_ups WHERE upload_id = uploads.id) AS tried
FROM uploads WHERE id > :after ORDER BY id LIMIT :most
"""
_OF_TENANT = """
SELECT id, subject, subject_email FROM uploads INDEXED BY uploads_of_tenant
WHERE tenant_id = :tenant_id AND (lower(subject) = :lower OR lower(subject_email) = :lower
    OR subject GLOB '*[^ -~]*' OR subject_email GLOB '*[^ -~]*')
"""
_OF_PERSON = Batch(
    ("id",),
    f"SELECT {list_of(('id', *UPLOAD), 'uploads')}, subject, subject_email,"
    " last_attempt_at FROM given"
    " CROSS JOIN uploads ON uploads.id = given.id ORDER BY uploads.id",
)
COUNTS = ("uploads", "attempts", "documents", "texts")
_REMOVED_AT = (
    'SELECT DISTINCT action, "by", reason FROM removals WHERE tenant_id = :tenant_id AND at = :at'
    " ORDER BY action"
)
_ERASED_KEY = "SELECT value FROM keys WHERE name = 'erased'"
_MARK = "SELECT value FROM keys WHERE name = 'looked_up_to'"


def settled(session: Session, after: int, limit: int) -> SettledPage:
    """See `RemovalReader.settled`."""
    rows = session.ask(PAGE, {"after": after, "most": limit})
    found = []
    for row in rows:
        with suppress(ValueError):  # written by other hands: `invariants` says so
            if (one := _settled(row)).status.settled and one.parts:
                found.append(one)
    return SettledPage(found, rows[-1]["id"] if len(rows) == limit else None)


def _settled(row: Row) -> Settled:
    file = row["document_file"]
    has_file = file is not None and not file.startswith(SETTLED)
    parts_of = (
        (Part.ATTEMPTS, row["tried"]),
        (Part.PERSONAL, row["erased_at"] is None),
        (Part.DOCUMENT, row["staged"] or has_file),
    )
    at = moment_of(row["updated_at"])
    assert at is not None
    parts = frozenset(part for part, exists in parts_of if exists)
    return Settled(key_of(row), row["version"], Status(row["status"]), at, parts)


def looked_up_to(session: Session) -> int:
    """See `RemovalReader.looked_up_to`."""
    rows = session.ask(_MARK)
    return int(bytes(rows[0]["value"])) if rows else 0


def of_person(session: Session, tenant_id: str, subject: str) -> Sequence[PersonsUpload]:
    """See `RemovalReader.of_person`."""
    # A database tells whether letters of ASCII are the same in another case; of all others the
    # rules know.
    lower = unicodedata.normalize("NFKC", subject).casefold()
    found = [
        (row["id"],)
        for one in sorted(spellings(tenant_id))
        for row in session.ask(_OF_TENANT, {"tenant_id": one, "lower": lower})
        if any(same_name(subject, name) for name in names_of(row))
    ]
    return [_persons(row) for row in session.ask_all(_OF_PERSON, found)]


def _persons(row: Row) -> PersonsUpload:
    try:
        return PersonsUpload(upload_of(row), [*names_of(row)], moment_of(row["last_attempt_at"]))
    except ValueError as error:
        raise RefusedError(
            f"the record of evidence {row['evidence_id']!r} at {row['provider']}, which is of this"
            f" person, cannot be read ({error}); nothing was erased: have somebody mend the record,"
            " and try again (`evidence-courier invariants` names all such records)"
        ) from error


def rows_of_removals(session: Session, tenant_id: str | None) -> Sequence[RemovalRow]:
    """See `RemovalReader.removals`."""
    where = "" if tenant_id is None else " WHERE tenant_id = :tenant_id"
    given = {} if tenant_id is None else {"tenant_id": tenant_id}
    found = session.ask(f"SELECT * FROM removals{where} ORDER BY id DESC", given)
    names = ("tenant_id", "action", "by", "reason", "subject", *COUNTS)
    return [
        RemovalRow(at=at, **{name: row[name] for name in names})
        for row in found
        if (at := moment_of(row["at"])) is not None
    ]


def of_upload(session: Session, row: Shown) -> Iterator[ActionRow]:
    """Who removed something of an upload. What goes in several transactions of one removal is told
    once."""
    for at in dict.fromkeys(filter(None, (row.erased_at, row.pruned_at))):
        for one in session.ask(_REMOVED_AT, {"tenant_id": row.tenant_id, "at": at}):
            yield action_of({**one, "at": at})


def erased(session: Session, keys: Sequence[UploadKey]) -> Mapping[UploadKey, Entry]:
    """Those of some evidences that are recorded under a hash of their id, for the same provider or
    an unknown one."""
    key = erased_key(session) if keys else None
    if key is None:
        return {}
    hashed = {one: one._replace(evidence_id=erased_id(key, *one.evidence)) for one in keys}
    found = reads.of_evidences(session, [*hashed.values()])
    return {
        one: entry
        for one, other in hashed.items()
        if (entry := _of_provider(one.provider, found.get(other.evidence, {})))
    }


def _of_provider(provider: str, recorded: Mapping[str, Entry]) -> Entry | None:
    if provider == UNKNOWN_PROVIDER:
        return [*recorded.values()][-1] if recorded else None
    return recorded.get(provider) or recorded.get(UNKNOWN_PROVIDER)


def erased_ids(session: Session, tenant_id: str, evidence_ids: Sequence[str]) -> Mapping[str, str]:
    """What evidences would be called now if their ids were replaced, by the ids that they had."""
    key = erased_key(session) if evidence_ids else None
    return {one: erased_id(key, tenant_id, one) for one in evidence_ids} if key else {}


def erased_key(session: Session) -> bytes | None:
    """The key of the hashes that replace ids; None: none was replaced."""
    rows = session.ask(_ERASED_KEY)
    return bytes(rows[0]["value"]) if rows else None


def names_of(row: Row) -> Iterator[str]:
    """What the person is called in an upload."""
    for name in (row["subject"], row["subject_email"]):
        if name is not None and name != ERASED:
            yield name
