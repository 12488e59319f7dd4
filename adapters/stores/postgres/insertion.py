"""What records one upload on a connection of the host's."""

from __future__ import annotations

from ....domain.upload.upload import UNKNOWN_PROVIDER
from ....ports.records import Entry
from ..hosts import Insertion, Statement
from ..rows import ENTRY, entry_cells
from ..sql.session import Batch
from .schema import SCHEMA
from .session import rows_of, text_of_one

_NEW = ENTRY[1:]
_LIST = ", ".join(_NEW)
# No lock but that of the row: the host's transaction may last, and hosts do not wait for one
# another. Its session has its own settings, so each table is named with its schema.
_ADD = (
    f", added AS (INSERT INTO {SCHEMA}.uploads ({_LIST}) SELECT {_LIST} FROM given"
    f" WHERE NOT EXISTS (SELECT 1 FROM {SCHEMA}.uploads AS known"
    " WHERE known.tenant_id = given.tenant_id AND known.evidence_id = given.evidence_id"
    f" AND '{UNKNOWN_PROVIDER}' IN (known.provider, given.provider))"
    f" AND NOT EXISTS (SELECT 1 FROM {SCHEMA}.uploads AS erased"
    " WHERE erased.tenant_id = given.tenant_id AND erased.evidence_id = given.erased_id"
    " AND (erased.provider = given.provider"
    f" OR '{UNKNOWN_PROVIDER}' IN (erased.provider, given.provider)))"
    " ON CONFLICT DO NOTHING RETURNING id)"
)
_GIVEN = (*_NEW, "erased_id")
_STAGED = Batch(
    _GIVEN, f"{_ADD} INSERT INTO {SCHEMA}.documents (upload_id, content) SELECT id, %s FROM added"
)
_BARE = Batch(_GIVEN, f"{_ADD} SELECT count(*) FROM added")


def insertion_of(entry: Entry, erased_id: str) -> Insertion:
    """The statement that records an entry, and its staged document with it.

    `erased_id`: what the evidence is called if its id was replaced; then nothing is recorded.
    """
    batch = _BARE if entry.content is None else _STAGED
    given = rows_of(batch.names, [(*entry_cells(0, entry)[1:], erased_id)])
    cells = (given,) if entry.content is None else (given, entry.content)
    statement: Statement = (text_of_one(batch).decode(), cells)
    return Insertion(entry.upload.key, "postgresql", [statement])
