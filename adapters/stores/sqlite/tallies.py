"""The statements of the migrations `m010_counts` and `m013_tallies`, which are never edited
afterwards.

The tallies are as the counts before them, for each tenant, provider and kind of error (empty
without one); `last_at` is when the last upload came to be counted so.
"""

from __future__ import annotations

import sqlite3

STRICT = " STRICT" if sqlite3.sqlite_version_info >= (3, 37) else ""

# The word by which an upload is counted: its status, or `parked`. Kept by triggers, so that
# whatever writes an upload counts it, a courier of an older version too.
_WORD = (
    "CASE WHEN {0}.state = 'waiting' AND {0}.error_kind IN ('check_in_review') THEN 'parked'"
    " ELSE {0}.status END"
)
_OLD, _NEW = _WORD.format("OLD"), _WORD.format("NEW")
_MORE = (
    f"INSERT INTO counts (word, number) VALUES ({_NEW}, 1)"
    " ON CONFLICT (word) DO UPDATE SET number = number + 1"
)
_LESS = f"UPDATE counts SET number = number - 1 WHERE word = {_OLD}"
COUNTS = (
    "CREATE TABLE counts (word TEXT PRIMARY KEY, number INTEGER NOT NULL)",
    f"INSERT INTO counts SELECT {_WORD.format('uploads')}, COUNT(*) FROM uploads GROUP BY 1",
    f"CREATE TRIGGER uploads_counted AFTER INSERT ON uploads BEGIN {_MORE}; END",
    f"CREATE TRIGGER uploads_uncounted AFTER DELETE ON uploads BEGIN {_LESS}; END",
    "CREATE TRIGGER uploads_recounted AFTER UPDATE OF status, state, error_kind ON uploads"
    f" WHEN {_OLD} IS NOT {_NEW} BEGIN {_LESS}; {_MORE}; END",
)

_SAME = "tenant_id = {0}.tenant_id AND provider = {0}.provider AND word = {1} AND kind = {2}"
_OLD_KIND, _NEW_KIND = "COALESCE(OLD.error_kind, '')", "COALESCE(NEW.error_kind, '')"
_ONE_MORE = (
    "INSERT INTO tallies (tenant_id, provider, word, kind, number, last_at)"
    f" VALUES (NEW.tenant_id, NEW.provider, {_NEW}, {_NEW_KIND}, 1, NEW.updated_at)"
    " ON CONFLICT (tenant_id, provider, word, kind)"
    " DO UPDATE SET number = number + 1, last_at = max(last_at, excluded.last_at)"
)
_ONE_LESS = f"UPDATE tallies SET number = number - 1 WHERE {_SAME.format('OLD', _OLD, _OLD_KIND)}"
TALLIES = (
    *(f"DROP TRIGGER uploads_{name}" for name in ("counted", "uncounted", "recounted")),
    "DROP TABLE counts",
    "CREATE TABLE tallies (tenant_id TEXT, provider TEXT, word TEXT, kind TEXT,"
    " number INTEGER NOT NULL, last_at TEXT NOT NULL,"
    # `strict` follows if this SQLite has it.
    f" PRIMARY KEY (tenant_id, provider, word, kind)) WITHOUT ROWID{',' if STRICT else ''}",
    f"INSERT INTO tallies SELECT tenant_id, provider, {_WORD.format('uploads')},"
    " COALESCE(error_kind, ''), COUNT(*), MAX(updated_at) FROM uploads GROUP BY 1, 2, 3, 4",
    "CREATE VIEW counts AS SELECT word, SUM(number) AS number FROM tallies GROUP BY word",
    f"CREATE TRIGGER uploads_counted AFTER INSERT ON uploads BEGIN {_ONE_MORE}; END",
    f"CREATE TRIGGER uploads_uncounted AFTER DELETE ON uploads BEGIN {_ONE_LESS}; END",
    "CREATE TRIGGER uploads_recounted AFTER UPDATE OF provider, status, state, error_kind"
    f" ON uploads WHEN {_OLD} IS NOT {_NEW} OR OLD.error_kind IS NOT NEW.error_kind"
    f" OR OLD.provider IS NOT NEW.provider BEGIN {_ONE_LESS}; {_ONE_MORE}; END",
)

# An index of errors costs nothing as long as all goes well.
INDEXES_OF_LISTS = (
    "DROP INDEX uploads_by_status",
    "DROP INDEX uploads_of_tenant_by_status",
    "CREATE INDEX uploads_by_status ON uploads (status, provider, created_at)",
    "CREATE INDEX uploads_of_tenant_by_status ON uploads (tenant_id, status, provider, created_at)",
    "CREATE INDEX uploads_by_kind ON uploads (error_kind, status, provider, created_at)"
    " WHERE error_kind IS NOT NULL",
    "CREATE INDEX uploads_of_tenant_by_kind"
    " ON uploads (tenant_id, error_kind, status, provider, created_at)"
    " WHERE error_kind IS NOT NULL",
)
