"""The records in a PostgreSQL database, shared by any number of couriers on any number of machines.

`store` puts everything together behind the port, `reader` is its reading half. Below them:
`couriers` has the session that writes, `opening` and `schema` make the tables, `gates` keeps paces,
`statements` and `reads` say what the database is told and asked, `batches` writes many rows at
once, and `sessions` makes connections and says what a failure means. What it shares with the SQLite
store is beside it: `rows` turns values into rows and back.
"""

from .reader import PostgresReader, open_for_reading
from .sessions import address_of
from .store import PostgresStore

__all__ = ["PostgresReader", "PostgresStore", "address_of", "open_for_reading"]
