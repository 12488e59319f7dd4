"""`evidence-courier copy`: takes a database in a file over into a PostgreSQL."""

from __future__ import annotations

import sys
import time

import click

from ...adapters.stores.databases import is_postgres, require_postgres
from .exits import USAGE, end
from .saying import say


def run(source: str, target: str) -> None:
    """Copy all records and say how many."""
    if is_postgres(source) or not is_postgres(target):
        end("copy takes a database in a file, and then the URL of a PostgreSQL", USAGE)
    require_postgres()
    from ...adapters.stores.copying import copy  # psycopg is installed

    done = copy(source, target, _Progress())
    click.echo(
        f"copied {done['uploads']:,} uploads with {done['attempts']:,} attempts and "
        f"{done['documents']:,} documents; start couriers with the new database only"
    )


class _Progress:
    """Says on a terminal how far it is, once a second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 1

    def __call__(self, table: str, rows: int) -> None:
        if sys.stderr.isatty() and time.monotonic() >= self._next:
            self._next = time.monotonic() + 1
            say(f"copied {rows:,} rows of {table}")
