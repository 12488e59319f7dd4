"""Tables that came later than those in `schema`, as the steps there make them."""

from __future__ import annotations

# What is hashed of a row, where it is linked: `fields` is JSON. A checkpoint says who erased or
# deleted what `links` held.
CHAIN = (
    """
CREATE TABLE links (
    tenant_id TEXT NOT NULL, position INTEGER NOT NULL CHECK (position >= 1),
    time TEXT NOT NULL, kind TEXT NOT NULL, row_id INTEGER, fields TEXT, record TEXT,
    hash TEXT NOT NULL,
    PRIMARY KEY (tenant_id, position)
)
""",
    "CREATE UNIQUE INDEX links_of_row ON links (kind, row_id) WHERE row_id IS NOT NULL",
    """
CREATE TABLE heads (
    tenant_id TEXT PRIMARY KEY, length INTEGER NOT NULL, hash TEXT NOT NULL, time TEXT NOT NULL
)
""",
    """
CREATE TABLE checkpoints (
    id INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL, at TEXT NOT NULL, action TEXT NOT NULL, "by" TEXT NOT NULL,
    reason TEXT NOT NULL, links TEXT NOT NULL
)
""",
)

# `erased_at` is when a person was erased from an upload, `pruned_at` when its attempts were.
REMOVALS = (
    "ALTER TABLE uploads ADD COLUMN erased_at TEXT",
    "ALTER TABLE uploads ADD COLUMN pruned_at TEXT",
    """
CREATE TABLE removals (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL, tenant_id TEXT NOT NULL, action TEXT NOT NULL,
    "by" TEXT NOT NULL, reason TEXT NOT NULL, subject TEXT,
    uploads INTEGER NOT NULL, attempts INTEGER NOT NULL,
    documents INTEGER NOT NULL, texts INTEGER NOT NULL
)
""",
    "CREATE INDEX removals_of_tenant ON removals (tenant_id)",
)

# Without a tenant or a provider a pause is one of every tenant or provider.
PAUSES = (
    """
CREATE TABLE pauses (
    id INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL, provider TEXT NOT NULL,
    at TEXT NOT NULL, "by" TEXT NOT NULL, reason TEXT NOT NULL,
    ended_at TEXT, ended_by TEXT, ended_reason TEXT
)
""",
    "CREATE UNIQUE INDEX pauses_in_force ON pauses (tenant_id, provider) WHERE ended_at IS NULL",
    "CREATE INDEX uploads_paused ON uploads (tenant_id, provider)"
    " WHERE state IN ('held', 'failed') AND error_kind IN ('paused')",
)

NOTICES = (
    """
CREATE TABLE notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL, notice TEXT NOT NULL, due TEXT NOT NULL, tries INTEGER NOT NULL
)
""",
    "CREATE INDEX notices_due ON notices (sink, due)",
    "CREATE TABLE notice_notes (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
)

# When an upload last went on after it had failed, was skipped or was parked.
REOPENED = (
    "ALTER TABLE uploads ADD COLUMN reopened_at TEXT",
    "CREATE INDEX uploads_reopened"
    " ON uploads (tenant_id, status, provider, error_kind, reopened_at)"
    " WHERE reopened_at IS NOT NULL",
)

# Since when each open upload waits. What was reopened is in one order with what was not, so the
# oldest is found at once, and `uploads_reopened` is read by couriers of the older version only.
OPEN = (
    "CREATE INDEX uploads_open ON uploads (tenant_id, status, provider,"
    " COALESCE(error_kind, ''), COALESCE(reopened_at, created_at))"
    " WHERE status IN ('pending', 'retrying', 'held')",
)
