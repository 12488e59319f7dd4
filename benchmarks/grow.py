"""Make a large database: straight SQL, a million uploads with four attempts each in a minute.

    python benchmarks/grow.py PATH [--uploads 1000000] [--attempts 4] [--in-line 100000]
        [--waiting-from SECONDS] [--in-flight 0] [--size 3000]

Of a thousand tenants the first, `t0`, has a quarter of the uploads. The newest ones, `--in-line` of
them, are all `t0`'s, with one credential, and are due, each with a staged document of `--size`
bytes; with `--waiting-from` they wait for a retry that begins so many seconds from now. Of what is
settled one in a hundred has failed and one in a hundred is held out of a doubt. `--in-flight` more
of `t0` were being sent by a courier that is dead.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evidence_courier.adapters.stores.sqlite import SqliteStore

TENANTS = 1_000
SETTINGS = {
    "provider": "sprinto",
    "workflow_check": "c",
    "endpoint": "http://127.0.0.1:1/dev-api/graphql",
    "pace": "1000000/s",
}

_NUMBERS = "WITH RECURSIVE n (i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
_UPLOADS = f"""
INSERT INTO uploads (
    id, tenant_id, evidence_id, provider, version, state, status, due, attempt, started_at, reason,
    attempts, spent, doubt, possible_duplicate, alone, digest, evidence_date, created_at,
    updated_at, last_attempt_at, error_kind, error_http_status, error_message, receipt_reference,
    receipt_message, session_id, subject, outcome, recorded_at, submitted_digest, document_sha256,
    document_size, document_media_type, document_filename, settings, credential, owner, budget)
{_NUMBERS}, made (i, tenant, at, state) AS (
    SELECT i,
        CASE WHEN i > :settled OR i % 4 = 0 THEN 't0' ELSE 't' || (1 + i * 7 % {TENANTS - 1}) END,
        strftime('%Y-%m-%dT%H:%M:%f', :start, (i * :step) || ' seconds') || '000Z',
        CASE WHEN i > :settled THEN :open
            WHEN i % 97 = 17 THEN 'failed' WHEN i % 97 = 18 THEN 'held' ELSE 'succeeded' END
    FROM n)
SELECT i, tenant, printf('ev-%08d', i), 'sprinto',
    CASE state WHEN 'queued' THEN 1 ELSE 2 * :attempts + 1 END, state,
    CASE state WHEN 'queued' THEN 'pending' WHEN 'sending' THEN 'pending'
        WHEN 'waiting' THEN 'retrying' ELSE state END,
    CASE WHEN state IN ('queued', 'waiting') THEN
        strftime('%Y-%m-%dT%H:%M:%f', :due, ((i - :settled) * 0.01) || ' seconds') || '000Z' END,
    CASE state WHEN 'sending' THEN :attempts END, CASE state WHEN 'sending' THEN at END,
    CASE state WHEN 'failed' THEN 'rejected' END,
    CASE state WHEN 'queued' THEN 0 ELSE :attempts END,
    CASE state WHEN 'queued' THEN 0 ELSE :attempts END, state = 'held', 0, 0,
    printf('%064x', i), substr(at, 1, 10), at, at, CASE state WHEN 'queued' THEN NULL ELSE at END,
    CASE WHEN state IN ('failed', 'held', 'waiting') THEN 'server_error' END,
    CASE WHEN state IN ('failed', 'held', 'waiting') THEN 503 END,
    CASE WHEN state IN ('failed', 'held', 'waiting') THEN 'HTTP 503: Service Unavailable' END,
    NULL, CASE state WHEN 'succeeded' THEN 'Evidence uploaded for this check' END,
    printf('session-%08d', i), printf('employee-%06d', i % 50000), 'passed', at,
    printf('%064x', i), printf('%064x', i), :size, 'application/pdf', 'certificate.pdf',
    :settings, 'credential-of-' || tenant, CASE state WHEN 'sending' THEN :owner END,
    CASE state WHEN 'queued' THEN NULL ELSE :attempts + 4 END
FROM made
"""
_ATTEMPTS = f"""
INSERT INTO attempts (upload_id, number, started_at, ended_at, verdict, kind, message, http_status,
    detail, receipt_message, request_id, credential)
{_NUMBERS}, number (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM number WHERE k < :attempts)
SELECT i, k, at, at,
    CASE WHEN last AND state = 'succeeded' THEN 'delivered'
        WHEN last AND state = 'failed' THEN 'rejected'
        WHEN last AND state = 'held' THEN 'unclear' ELSE 'deferred' END,
    CASE WHEN last AND state = 'succeeded' THEN NULL ELSE 'server_error' END,
    CASE WHEN last AND state = 'succeeded' THEN NULL ELSE 'HTTP 503: Service Unavailable' END,
    CASE WHEN last AND state = 'succeeded' THEN NULL ELSE 503 END,
    CASE WHEN last AND state = 'succeeded' THEN NULL ELSE '<html>503 Service Unavailable</html>'
        END,
    CASE WHEN last AND state = 'succeeded' THEN 'Evidence uploaded for this check' END,
    printf('req-%08x-%d', i, k), credential
FROM (SELECT i, k, state, credential, k = :attempts AS last,
        strftime('%Y-%m-%dT%H:%M:%f', created_at, (k * 60) || ' seconds') || '000Z' AS at
    FROM n JOIN uploads ON uploads.id = n.i CROSS JOIN number
    WHERE state != 'queued' AND NOT (state = 'sending' AND k = :attempts))
"""
_DOCUMENTS = f"""
INSERT INTO documents (upload_id, content)
{_NUMBERS} SELECT i, randomblob(:size) FROM n
"""
_AT_ONCE = 50_000


def grow(
    path: Path,
    *,
    uploads: int = 1_000_000,
    attempts: int = 4,
    in_line: int = 100_000,
    waiting_from: float | None = None,
    in_flight: int = 0,
    size: int = 3_000,
) -> None:
    """Make the database at `path`, which does not exist."""
    with closing(SqliteStore(str(path))) as store:
        now = datetime.now(UTC)
        dead = store.heartbeat(None, now)
    due = now - timedelta(days=1) if waiting_from is None else now + timedelta(seconds=waiting_from)
    given: dict[str, object] = {
        "attempts": attempts,
        "settled": uploads - in_line - in_flight,
        "start": (now - timedelta(days=101)).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "step": 100 * 86_400 / uploads,
        "due": due.strftime("%Y-%m-%d %H:%M:%S.%f"),
        "size": size,
        "settings": json.dumps(SETTINGS),
        "owner": dead,
    }
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA cache_size = -400000")
        waiting = "queued" if waiting_from is None else "waiting"
        with without_indexes(db):
            _fill(db, given | {"open": waiting}, 1, uploads - in_flight)
            _fill(db, given | {"open": "sending"}, uploads - in_flight + 1, uploads)
            open_ones = {"first": uploads - in_line - in_flight + 1, "last": uploads}
            if in_line or in_flight:
                db.execute(_DOCUMENTS, given | open_ones)
        db.execute("PRAGMA journal_mode = WAL")


def _fill(db: sqlite3.Connection, given: dict[str, object], first: int, last: int) -> None:
    for start in range(first, last + 1, _AT_ONCE):
        some = {"first": start, "last": min(start + _AT_ONCE - 1, last)}
        db.execute("BEGIN")
        db.execute(_UPLOADS, given | some)
        db.execute(_ATTEMPTS, given | some)
        db.execute("COMMIT")


@contextmanager
def without_indexes(db: sqlite3.Connection) -> Iterator[None]:
    """Indexes are made at the end: that is faster than keeping them."""
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    indexes = db.execute(sql).fetchall()
    for name, _ in indexes:
        db.execute(f"DROP INDEX {name}")
    yield
    for _, statement in indexes:
        db.execute(statement)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--uploads", type=int, default=1_000_000)
    parser.add_argument("--attempts", type=int, default=4)
    parser.add_argument("--in-line", type=int, default=100_000)
    parser.add_argument("--waiting-from", type=float)
    parser.add_argument("--in-flight", type=int, default=0)
    parser.add_argument("--size", type=int, default=3_000)
    asked = vars(parser.parse_args())
    began = time.perf_counter()
    grow(asked.pop("path"), **asked)
    print(f"{time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
