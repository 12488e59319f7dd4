"""The rows that are shown: each cell is read as what its column holds."""

from __future__ import annotations

from evidence_courier.adapters.stores.rows import UPLOAD, changing_cells, key_cells
from evidence_courier.adapters.stores.shown import SHOWN, shown_in, state_shown
from evidence_courier.testing.contracts.stored import deferred, entry, started


def test_a_state_is_read_from_the_columns_in_which_it_is_written() -> None:
    first = entry().upload
    begun = started(first)
    for upload in (first, begun.upload, deferred(begun.upload).upload):
        written = dict(zip(UPLOAD, (*key_cells(upload.key), *changing_cells(upload)), strict=False))
        row = shown_in(dict.fromkeys(SHOWN) | written | {"settings": "{}"})
        assert state_shown(row) == upload.state
        assert (row.tenant_id, row.evidence_id, row.provider) == upload.key
