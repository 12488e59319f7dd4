"""The records in a PostgreSQL database, shared by any number of couriers on any number of machines:
what differs from another database.

`store` is the store of the folder `sql` on this `database`: the session that writes, and the
couriers that are registered through it; `readers` are the sessions that read. Below them:
`opening` and `schema` make the tables, `session` executes statements, and `address` makes
connections and says what a failure means.
"""

from .address import address_of
from .inspection import inspect, unproven_in
from .readers import is_made, open_for_reading
from .removal import vacuum
from .store import PostgresStore

__all__ = [
    "PostgresStore",
    "address_of",
    "inspect",
    "is_made",
    "open_for_reading",
    "unproven_in",
    "vacuum",
]
