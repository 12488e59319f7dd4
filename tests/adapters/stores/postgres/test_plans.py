"""No question reads a whole table: the server counts how often that was done."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest
from attrs import evolve
from postgres_server import server

from evidence_courier.adapters.stores.postgres import PostgresStore
from evidence_courier.adapters.stores.postgres.address import set_up
from evidence_courier.adapters.stores.postgres.insertion import insertion_of
from evidence_courier.adapters.stores.postgres.session import rows_of, text_of
from evidence_courier.adapters.stores.sql import reads, statements
from evidence_courier.adapters.stores.sql.session import Batch
from evidence_courier.domain.health import OPEN
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.gate import GateChange
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.find import Find
from evidence_courier.domain.upload.status import ActionRow, LookUpRow
from evidence_courier.domain.upload.upload import UNKNOWN_PROVIDER, Status
from evidence_courier.ports.gates import Acquire
from evidence_courier.ports.records import Change, MadeDocument, NamedProvider
from evidence_courier.testing.contracts.stored import (
    AT,
    UNPACED,
    begin_each,
    deferred,
    delivered,
    entry,
    started,
    unblock,
)

MANY = 20_000
PACED = evolve(UNPACED, pace=Pace(5, timedelta(minutes=1)), cost=2, exclusive=True)
FULL = f"""
SET search_path = evidence_courier;
INSERT INTO uploads (tenant_id, evidence_id, provider, version, state, status, due, attempt,
    started_at, receipt_reference, attempts, spent,
    doubt, possible_duplicate, alone, digest, evidence_date, created_at, updated_at, session_id,
    subject, outcome, recorded_at, submitted_digest, document_sha256, document_size,
    document_media_type, settings, owner, credential)
SELECT 'tenant ' || n % 50, 'old ' || n, 'sprinto', 1,
    CASE WHEN n % 4 = 0 THEN 'queued' WHEN n % 400 = 1 THEN 'sending' ELSE 'succeeded' END,
    CASE WHEN n % 4 = 0 THEN 'pending' ELSE 'succeeded' END,
    CASE WHEN n % 4 = 0 THEN timestamptz '2026-01-01' END,
    1, '2026-01-01', 'r', 1, 1, false, false, false, '', '2026-01-01',
    '2026-01-01', '2026-01-01', 's', 's', 'passed', '2026-01-01', '', '', 1,
    'application/pdf', '{{}}', n % 5, 'credential ' || n % 200
FROM generate_series(1, {MANY}) AS n;
INSERT INTO attempts (upload_id, number, started_at, ended_at, verdict)
SELECT id, 1, created_at, created_at, 'delivered' FROM uploads;
INSERT INTO documents (upload_id, content) SELECT id, 'x' FROM uploads;
INSERT INTO look_ups (upload_id, read, at, finding) SELECT id, 1, created_at, 'found' FROM uploads;
INSERT INTO actions (upload_id, at, action, by, reason)
SELECT id, created_at, 'retry', 'ann', 'why' FROM uploads;
INSERT INTO gates (credential, pace_limit, pace_seconds)
SELECT 'credential ' || n, 5, 60 FROM generate_series(1, {MANY}) AS n;
INSERT INTO slots (id, credential, at, until)
SELECT -n, 'credential ' || n, '2026-01-01', '2026-01-01' FROM generate_series(1, {MANY}) AS n;
INSERT INTO turns (id, credential, owner, owed, waits, until)
SELECT -n, 'credential ' || n, 1, 1, false, '2026-01-01' FROM generate_series(1, {MANY}) AS n;
INSERT INTO blocks (address, tenant_id, provider, at, kind, message)
SELECT 'address ' || n, 't', 'p' || n, '2026-01-01', 'unauthorized', 'no'
FROM generate_series(1, {MANY}) AS n;
"""
LARGE = {"uploads", "attempts", "documents", "look_ups", "actions", "gates", "slots", "turns"}
TIRED = Failure(FailureKind.UNAUTHORIZED, "no", http_status=401)


def whole_reads(dsn: str) -> dict[str, int]:
    """How often each table was read from its beginning to its end."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT relname, seq_scan FROM pg_stat_user_tables"
            " WHERE schemaname = 'evidence_courier'"
        ).fetchall()
    return {name: scans for name, scans in rows if name in LARGE}


def rows_read(dsn: str) -> int:
    """How many entries of the uploads' indexes were read."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'uploads'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def write_everything(store: PostgresStore) -> None:
    courier = store.heartbeat(None, AT)
    kept, other, third = entry("new 1"), entry("new 2"), entry("new 3", provider=UNKNOWN_PROVIDER)
    store.add([kept, other, third])
    store.add([evolve(kept), entry("new 4")])
    first = started(kept.upload, courier_id=courier, quota=PACED)
    second = started(other.upload, courier_id=courier)
    begin_each(store, [first, second])
    begin_each(store, [first])
    store.acquire([Acquire(PACED, AT, courier, ended=(1, 2), key=kept.upload.key)])
    gate = GateChange(PACED, AT, (1, 2), AT + timedelta(minutes=1), TIRED, turn=1)
    store.save([evolve(deferred(second.upload), gate=gate), delivered(first.upload), gate])
    row = ActionRow(at=AT, action="abandon", by="ann", reason="why")
    made = MadeDocument(other.dossier.document, b"made")
    after = evolve(deferred(second.upload).upload, version=4)
    store.save(
        [
            Change(
                after,
                action=row,
                look_up=LookUpRow(number=1, at=AT, finding="found"),
                document=made,
            )
        ]
    )
    store.save([NamedProvider("acme", "sprinto", "a credential")])
    unblock(store, "acme", "sprinto")
    store.heartbeat(courier, AT)
    store.unregister(courier)


def ask_everything(store: PostgresStore) -> None:
    ids = [f"old {number}" for number in range(0, 1_000, 50)]
    store.get([entry(one, tenant_id="tenant 0").upload.key for one in ids], staged=True)
    lines = store.due(AT, 0)
    store.due(AT, 10, lines={line: ["tenant 1"] for line in [*lines][:5]})
    store.due(AT, 10, lines={None: []}, written_after=AT)
    store.statuses("tenant 0", ids, AT)
    store.counts([Status.FAILED], without_parked=True)
    for tenant_id in (None, "tenant 0"):
        for status in (None, Status.PENDING):
            for since in (None, AT):
                statuses = () if status is None else (status,)
                find = Find(tenant_id=tenant_id, statuses=statuses, since=since, limit=5)
                page = store.find(find, AT)
                store.find(evolve(find, after=page.next_page), AT)
        for provider in (None, "sprinto"):
            store.find(Find(tenant_id=tenant_id, kind="timeout", provider=provider), AT)
        store.find(Find(tenant_id=tenant_id, provider="vanta", statuses=OPEN), AT)
    store.find(Find(id_prefix="old 5001"), AT)
    store.counted(Find(tenant_id="tenant 0", since=AT))
    store.health(AT)
    store.show("tenant 0", "old 50", AT)
    store.dead(0, 10)
    store.freed({("tenant 0", "sprinto"): "an address"}, 10)
    store.acted_on(store.acted_on(None).mark - 1)


def test_no_table_is_read_whole(dsn: str) -> None:
    server().execute(FULL, dsn)
    server().execute("ANALYZE", dsn)
    with closing(PostgresStore(dsn)) as store:
        for _ in range(7):  # statements are prepared after five times
            ask_everything(store)
    before, read = whole_reads(dsn), rows_read(dsn)
    with closing(PostgresStore(dsn)) as store:
        ask_everything(store)
        write_everything(store)
    assert whole_reads(dsn) == before
    assert rows_read(dsn) - read < MANY / 4


def test_health_reads_few_of_the_uploads_that_were_retried(dsn: str) -> None:
    server().execute(FULL, dsn)
    retried = "UPDATE evidence_courier.uploads SET reopened_at = '2026-02-01'"
    server().execute(f"{retried} WHERE status = 'pending'", dsn)
    server().execute("VACUUM ANALYZE", dsn)
    read = rows_read(dsn)
    with closing(PostgresStore(dsn)) as store:
        store.health(AT)
    assert rows_read(dsn) - read < MANY / 40


KEY, ID = "uploads_key", "uploads_pkey"


@pytest.mark.parametrize(
    ("batch", "index"),
    [
        (statements.SELECT_OF_EVIDENCE, KEY),
        (statements.SELECT_UPLOADS, KEY),
        (statements.SELECT_IDS, KEY),
        (reads.STATUSES, KEY),
        (statements.CURRENT, ID),
        (statements.BEGIN_UPLOADS, ID),
        (statements.UPDATE_STATUS, ID),
        (statements.UPDATE_UPLOADS, ID),
        (statements.INSERT_ATTEMPTS, ID),
        (statements.SELECT_CONTENTS, "documents_pkey"),
        (statements.DELETE_DOCUMENTS, "documents_pkey"),
        (statements.END_SLOTS, "slots_pkey"),
    ],
)
def test_the_plan_for_a_table_that_looks_empty_is_good_for_a_burst(
    dsn: str, store: PostgresStore, batch: Batch, index: str
) -> None:
    """A session keeps the plan that it has made for an empty table until the table is analyzed, a
    minute after the burst has begun."""
    with psycopg.connect(dsn) as connection:
        set_up(connection)
        row = [None for _ in batch.names]
        plan = connection.execute(
            b"EXPLAIN (FORMAT JSON) " + text_of(batch), [rows_of(batch.names, [row])]
        ).fetchone()
    assert f'"{index}"' in json.dumps(plan)
    assert "uploads_of" not in json.dumps(plan)


@pytest.mark.parametrize("content", [None, b"a document"], ids=["bare", "staged"])
@pytest.mark.parametrize("uploads", [0, 3_000, MANY])
def test_a_host_that_records_one_upload_looks_it_up_in_the_index(
    dsn: str, store: PostgresStore, content: bytes | None, uploads: int
) -> None:
    """Its session has settings of its own, and it submits one evidence at a time."""
    if uploads:
        server().execute(FULL.replace(f"{MANY}", f"{uploads}"), dsn)
        server().execute("ANALYZE", dsn)
    ((text, cells),) = insertion_of(evolve(entry("new"), content=content), "gone").statements
    with psycopg.connect(dsn) as connection:
        plan = connection.execute(f"EXPLAIN (FORMAT JSON) {text}".encode(), cells).fetchone()
    assert json.dumps(plan).count(f'"Index Name": "{KEY}"') == 2
    assert "Seq Scan" not in json.dumps(plan)
