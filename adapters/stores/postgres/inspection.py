"""Looking through a database in PostgreSQL: what is of this kind of database only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from functools import partial

from ....domain.secrets.secret import Secret
from ..sql.inspection import Breach, Inspected, Inspection, Lives, look_through
from ..sql.plain import not_plain
from ..sql.session import Session
from .address import address_of
from .readers import PostgresReaders, check_readable

# Whole tables are read and joined here.
_PREPARE = """
SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on;
SET LOCAL plan_cache_mode = force_custom_plan
"""
NOT_PLAIN = not_plain(*(2 * (lambda name: f"{name} IS NOT NULL",)))
_ORPHANS = """
SELECT id FROM {0} WHERE NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.id = {0}.upload_id)
LIMIT 10
"""


def inspect(
    dsn: str,
    *,
    secrets: Collection[Secret] = (),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Inspection:
    """Look through the database (see `look_through`)."""
    address = address_of(dsn)
    check_readable(address)
    with closing(PostgresReaders(address)) as readers:
        database = Inspected(readers, _PREPARE, NOT_PLAIN, _own, partial(_lives_in, readers))
        return look_through(database, secrets, progress)


def _own(session: Session) -> Iterator[Breach]:
    """There are no foreign keys: a history is written with its upload, which is never deleted."""
    for table in ("attempts", "look_ups", "actions"):
        for row in session.ask(_ORPHANS.format(table)):
            yield Breach(None, f"row {row['id']} of {table} belongs to no row of uploads")


def _lives_in(readers: PostgresReaders, session: Session) -> Lives:
    others = readers.others(session, -1)
    return lambda courier: courier is not None and not others.get(courier, True)
