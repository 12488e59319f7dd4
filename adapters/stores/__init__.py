"""Where the records are kept: the SQLite store, and the writers that an engine reaches a store
through."""
