"""The store in SQL: what is said to a database, and what its answers mean.

The SQLite and the PostgreSQL store are one set of classes on one set of statements. `session` says
how a statement is written so that both databases understand it, and what each of them must offer.
`store` puts everything together behind the port, `reader` is its reading half; `statements` and
`reads` say what a database is told and asked, and `gates` keeps paces.
"""
