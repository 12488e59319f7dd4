"""In how few statements a batch is written, and how few columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import pytest
from attrs import evolve

from evidence_courier.adapters.stores.rows import TROUBLE
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.gate import GateChange, Quota
from evidence_courier.ports.records import Added, Begun
from evidence_courier.testing.contracts.stored import AT, begin_each, delivered, entry, started

WRITES_RECORDS = re.compile(r"INSERT INTO (uploads|attempts)|UPDATE uploads SET")
TROUBLE_OF_ATTEMPT = ("kind", "message", "http_status", "retry_after", "detail", "not_before")
PACED = Quota("a credential", "an address", Pace(1_000, timedelta(seconds=1)))


@contextmanager
def seen(store: SqliteStore) -> Iterator[list[str]]:
    """The statements that are run meanwhile. While its triggers run, one is told again."""
    statements: list[str] = []
    connection = store._database.session.connection  # type: ignore[attr-defined]
    connection.set_trace_callback(statements.append)
    yield statements
    connection.set_trace_callback(None)
    statements[:] = [one for one, _ in groupby(statements)]


def columns_given(statement: str) -> list[str]:
    """The names of the cells that a statement was given."""
    found = re.match(r"WITH given \(([^)]*)\)", statement)
    return found[1].split(", ") if found else []


@pytest.mark.parametrize("uploads", [2, 31, 64])
def test_a_batch_takes_a_few_statements_however_large_it_is(tmp_path: Path, uploads: int) -> None:
    with closing(SqliteStore(str(tmp_path / "courier.db"))) as store:
        courier_id = store.heartbeat(None, AT)
        entries = [entry(f"ev-{number}", content=None) for number in range(uploads)]
        with seen(store) as adding:
            answers = store.add(entries)
        starts = [
            started(evolve(one.upload, id=answer.id), courier_id=courier_id, quota=PACED)
            for one, answer in zip(entries, answers, strict=True)
            if isinstance(answer, Added)
        ]
        begin_each(store, starts[:1])  # the credential has a gate from here on
        with seen(store) as beginning:
            begun = begin_each(store, starts[1:])
        changes = [
            evolve(delivered(start.upload), gate=GateChange(PACED, AT, (one.acquired.slot,)))
            for start, one in zip(starts[1:], begun, strict=True)
            if isinstance(one, Begun) and one.acquired.slot is not None
        ]
        with seen(store) as saving:
            store.save(changes)
    assert len(changes) == uploads - 1
    assert len(adding) <= 14
    assert len(beginning) <= 25
    assert len(saving) <= 24
    written = [one for one in (*adding, *beginning, *saving) if WRITES_RECORDS.search(one)]
    given = {name for one in written for name in columns_given(one)}
    assert not given & {*TROUBLE, *TROUBLE_OF_ATTEMPT}
    assert not {"state", "due"} & {
        name for one in (*beginning, *saving) for name in columns_given(one)
    }


@pytest.mark.parametrize("is_elsewhere", [True, False])
def test_what_the_host_stores_is_not_looked_for_here(tmp_path: Path, is_elsewhere: bool) -> None:
    with closing(SqliteStore(str(tmp_path / "courier.db"))) as store:
        courier_id = store.heartbeat(None, AT)
        one = entry("ev-1", content=None if is_elsewhere else b"%PDF")
        if is_elsewhere:
            document = evolve(one.dossier.document, source="a key")
            one = evolve(one, dossier=evolve(one.dossier, document=document))
        (answer,) = store.add([one])
        assert isinstance(answer, Added)
        start = started(evolve(one.upload, id=answer.id), courier_id=courier_id, quota=PACED)
        with seen(store) as statements:
            begin_each(store, [start])
            store.save([delivered(start.upload)])
    looked = [one for one in statements if re.search(r"\bdocuments\b|document_file", one)]
    assert bool(looked) is not is_elsewhere
