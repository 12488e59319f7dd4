"""Looking through a database in PostgreSQL: what is of this kind of database only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

from ....domain.secrets.secret import Secret
from ..sql.inspection import Breach, Inspected, Inspection, Lives, look_through, unproven
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


def inspect(
    dsn: str,
    *,
    secrets: Collection[Secret] = (),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Inspection:
    """Look through the database (see `look_through`)."""
    with _inspected(dsn) as database:
        return look_through(database, secrets, progress)


def unproven_in(dsn: str, tenant_id: str | None) -> Sequence[Breach]:
    """See `unproven`."""
    with _inspected(dsn) as database:
        return [*unproven(database, tenant_id)]


@contextmanager
def _inspected(dsn: str) -> Iterator[Inspected]:
    address = address_of(dsn)
    check_readable(address)
    with closing(PostgresReaders(address)) as readers:
        yield Inspected(
            readers, _PREPARE, NOT_PLAIN, lambda _: iter(()), partial(_lives_in, readers)
        )


def _lives_in(readers: PostgresReaders, session: Session) -> Lives:
    others = readers.others(session, -1)
    return lambda courier: courier is not None and not others.get(courier, True)
