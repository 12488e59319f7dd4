"""What records one upload on a connection of the host's."""

from __future__ import annotations

from ....domain.upload.upload import UNKNOWN_PROVIDER
from ....ports.records import Entry
from ..hosts import Insertion, Statement
from ..rows import ENTRY, entry_cells

_NEW = ENTRY[1:]
_UPLOAD = (
    f"INSERT INTO uploads ({', '.join(_NEW)}) SELECT {', '.join(['%s'] * len(_NEW))}"
    " WHERE NOT EXISTS (SELECT 1 FROM uploads WHERE tenant_id = %s AND evidence_id = %s"
    f" AND '{UNKNOWN_PROVIDER}' IN (provider, %s))"
    " AND NOT EXISTS (SELECT 1 FROM uploads WHERE tenant_id = %s AND evidence_id = %s"
    f" AND (provider = %s OR '{UNKNOWN_PROVIDER}' IN (provider, %s)))"
    " ON CONFLICT DO NOTHING"
)
_DOCUMENT = (
    "INSERT INTO documents (upload_id, content) SELECT last_insert_rowid(), %s WHERE changes() = 1"
)


def insertion_of(entry: Entry, erased_id: str) -> Insertion:
    """The statements that record an entry, and its staged document with it.

    `erased_id`: what the evidence is called if its id was replaced; then nothing is recorded.
    """
    key = entry.upload.key
    erased = (key.tenant_id, erased_id, key.provider, key.provider)
    cells = (*entry_cells(0, entry)[1:], *key, *erased)
    statements: list[Statement] = [(_UPLOAD, cells)]
    if entry.content is not None:
        statements.append((_DOCUMENT, (entry.content,)))
    return Insertion(key, "sqlite", statements)
