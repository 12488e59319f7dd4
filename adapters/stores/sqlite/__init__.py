"""The records in one SQLite file.

`store` puts everything together behind the port, `reader` is its reading half. Below them:
`opening` makes the file and its connections, `schema` says what is in it, `rows` turns values into
rows and back, `statements` writes many rows at once, `reads` asks, and `trouble` says what a
failure means for whoever runs the courier.
"""

from .reader import SqliteReader, open_for_reading
from .store import SqliteStore

__all__ = ["SqliteReader", "SqliteStore", "open_for_reading"]
