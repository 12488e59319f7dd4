"""What removing leaves behind on a server's disk, and how it goes from there."""

from __future__ import annotations

from contextlib import closing

from .address import address_of

TABLES = (
    *("uploads", "attempts", "look_ups", "actions", "documents", "blocks"),
    *("removals", "pauses", "links", "checkpoints"),
)


def vacuum(dsn: str) -> None:
    """Write the tables anew, one after the other: a courier that runs on them waits meanwhile."""
    address = address_of(dsn)
    with address.trouble("not vacuumed"), closing(address.connect()) as session:
        for table in TABLES:
            session.execute(f"VACUUM FULL {table}".encode())
