"""The records in one SQLite file: what differs from another database.

`store` is the store of the folder `sql` on this `database`: the connection that writes, and the
couriers that are registered through it; `readers` are the connections that read. Below them:
`opening` makes the file and its connections, `schema` says what is in it, `session` executes
statements, and `trouble` says what a failure means for the people who run the courier.
"""

from .readers import open_for_reading
from .store import SqliteStore

__all__ = ["SqliteStore", "open_for_reading"]
