"""Making the tables, by several at once and in several versions; and what is refused."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from string import punctuation
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st
from postgres_server import PASSWORD, server
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from evidence_courier.adapters.clocks.system import SystemClock
from evidence_courier.adapters.stores.databases import (
    clock_of,
    name_of,
    open_for_reading,
    open_store,
    typed,
)
from evidence_courier.adapters.stores.postgres import PostgresStore, opening
from evidence_courier.adapters.stores.postgres.address import address_of
from evidence_courier.adapters.stores.postgres.schema import MIGRATIONS, Migration
from evidence_courier.adapters.stores.postgres.session import PostgresSession
from evidence_courier.domain.errors import CourierError, MisuseError, StoreError
from evidence_courier.domain.upload.upload import Status
from evidence_courier.ports.records import Added
from evidence_courier.testing.contracts.stored import AT, entry

NEXT = Migration("with_a_note", "ALTER TABLE uploads ADD COLUMN note text")
BREAKING = Migration(
    "without_subject", "ALTER TABLE uploads DROP COLUMN subject", oldest=len(MIGRATIONS) + 1
)


def migrate(dsn: str, *migrations: Migration) -> None:
    """What newer code does when it opens the database."""
    with closing(address_of(dsn).connect()) as connection:
        opening.prepare(PostgresSession(connection), migrations)


def make_older(dsn: str) -> None:
    """Make the database one of the second version, with the uploads that are in it."""
    with psycopg.connect(dsn) as connection:
        connection.execute("ALTER SCHEMA evidence_courier RENAME TO newer")
    migrate(dsn, *MIGRATIONS[:2])
    with psycopg.connect(dsn) as connection:
        connection.execute("SET search_path = evidence_courier")
        names = connection.execute(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
            " WHERE table_schema = 'evidence_courier' AND table_name = 'uploads'"
        ).fetchone()
        assert names is not None
        into = f"INSERT INTO uploads ({names[0]}) SELECT {names[0]} FROM newer.uploads"
        connection.execute(into.encode())
        connection.execute("SELECT setval('uploads_id_seq', max(id)) FROM uploads")
        connection.execute("DROP SCHEMA newer CASCADE")


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_many_at_once_make_one_database(isolation: str) -> None:
    words = isolation.replace(" ", r"\ ")
    option = f"-c default_transaction_isolation={words}"
    dsn = make_conninfo(server().empty_database(), options=option)
    with ThreadPoolExecutor(6) as threads:
        stores = list(threads.map(PostgresStore, [dsn] * 6))
    keys = {store.fingerprint_key() for store in stores}
    for store in stores:
        store.close()
    assert len(keys) == 1


def test_an_old_and_a_new_version_work_at_once(dsn: str, store: PostgresStore) -> None:
    migrate(dsn, *MIGRATIONS, NEXT)
    assert store.add([entry("ev-1")]) == [Added()]
    with closing(PostgresStore(dsn)) as old:  # started again while the new one runs
        assert old.add([entry("ev-2")]) == [Added()]


def test_what_an_older_version_has_recorded_is_counted(dsn: str, store: PostgresStore) -> None:
    store.add([entry("ev-1"), entry("ev-2")])
    make_older(dsn)
    with closing(PostgresStore(dsn)) as newer:  # the older one still runs
        assert newer.counts([Status.PENDING]) == {Status.PENDING: 2}
        store.add([entry("ev-3")])
        assert newer.counts([Status.PENDING]) == {Status.PENDING: 3}
        newer.heartbeat(None, AT)
        assert newer.counts([Status.PENDING]) == {Status.PENDING: 3}


def test_what_an_old_version_cannot_work_with_is_refused(dsn: str) -> None:
    migrate(dsn, *MIGRATIONS, BREAKING)
    with pytest.raises(StoreError, match="a newer evidence-courier has written it"):
        PostgresStore(dsn)


def test_a_migration_that_fails_leaves_the_database_as_it_was(dsn: str) -> None:
    with pytest.raises(psycopg.Error):
        migrate(dsn, *MIGRATIONS, NEXT, Migration("broken", "ALTER TABLE nothing RENAME TO no"))
    migrate(dsn, *MIGRATIONS, NEXT)


def test_only_a_courier_makes_the_tables() -> None:
    reading = open_for_reading(url_of(server().empty_database()))
    with pytest.raises(StoreError, match="there are no tables of a courier in it"), reading:
        pass


def test_the_tables_are_in_a_schema_of_their_own(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT DISTINCT schemaname FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
    assert rows == [("evidence_courier",)]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://someone:s3cr%2Ft@127.0.0.1:1/db",
        "postgresql://someone:s3cr/t@127.0.0.1:1/db",
        "postgresql://someone:s3cr@t@127.0.0.1:1/db?connect_timeout=1",
        "postgresql://127.0.0.1:1/db?password=s3cr%2Ft&bad option=s3cr/t",
    ],
)
def test_a_password_is_in_no_message(url: str) -> None:
    for opened in (lambda: open_store(url, clock=clock_of(url)), lambda: name_of(url)):
        said = failure_of(opened)
        assert "s3cr" not in said.replace(url, ""), said


def test_a_refused_password_is_in_no_message(dsn: str) -> None:
    wrong = url_of(make_conninfo(dsn, password="wr0ng-passw0rd"))
    said = failure_of(lambda: open_store(wrong, clock=clock_of(wrong)))
    assert "wr0ng" not in said
    assert "password authentication failed" in said
    assert "the server answers and refuses the connection" in said


def test_what_is_no_url_is_a_misuse_of_the_host() -> None:
    with pytest.raises(MisuseError, match="cannot be read"):
        open_store("postgresql://host/db?nonsense=1", clock=clock_of(None))


def test_a_dsn_of_pairs_is_no_file(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    open_store(dsn, clock=clock_of(dsn)).close()
    assert list(tmp_path.iterdir()) == []
    with closing(open_store("a=b.db", clock=clock_of("a=b.db"))):
        assert (tmp_path / "a=b.db").exists()


@pytest.mark.parametrize(
    "given",
    [
        "postgresql+psycopg://courier:Sec1Sec2@h/x",
        "POSTGRESQL://courier:Sec1Sec2@h/x",
        " postgresql://courier:Sec1Sec2@h/x",
        "postgresql:courier:Sec1Sec2@h/x",
        "postgresql:/courier:Sec1Sec2@h/x",
        "postgres//courier:Sec1Sec2@h/x",
        "mysql://courier:Sec1Sec2@h/x",
        "mysql:/courier:Sec1Sec2@h/x",
        "sqlite:///courier.db",
        "courier:Sec1Sec2@h/x",
        "user=courier password=Sec1Sec2 hots=h",
        "password = Sec1 Sec2",
        "dbname=postgresql://courier:Sec1Sec2@h/x",
        "postgresql://courier:Sec1@Sec2@h/x",
        "postgresql://courier:Sec1/Sec2@h/x",
        "postgresql://courier:Sec1/Sec2",
        "postgresql://courier%3ASec1Sec2@h/x",
        "postgresql://courier%3ASec1Sec2%40h/x",
        "postgresql://a:SecA@h1,b:SecB@h2/x",
    ],
)
def test_what_is_neither_a_dsn_nor_a_path_is_refused(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for opened in (
        lambda: open_store(given, clock=SystemClock()),
        lambda: open_store(given, clock=clock_of(given)),
        lambda: name_of(given),
    ):
        said = failure_of(opened)
        assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in said
        assert "Sec" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["a=b.db", "./host=x.db", "user:x.db", "postgres/x.db", "a@b.db"])
def test_an_odd_path_is_a_path(path: str) -> None:
    assert name_of(path) == path


FORMS = (
    "postgresql://courier:{}@127.0.0.1:1/x?connect_timeout=1",
    "postgresql://127.0.0.1:1/x?user=courier&password={}",
    "postgresql+psycopg://courier:{}@127.0.0.1:1/x",
    "courier:{}@127.0.0.1:1/x",
    "host=127.0.0.1 port=1 user=courier password={}",
    "password={} host=127.0.0.1 port=1",
    "password='{}' host=127.0.0.1 port=1",
)


@settings(max_examples=200, deadline=None)
@given_by(
    halves=st.tuples(*2 * [st.text(st.sampled_from(punctuation), min_size=1, max_size=4)]),
    form=st.sampled_from(FORMS),
    encoded=st.booleans(),
)
def test_no_part_of_a_password_is_in_a_message(
    halves: tuple[str, str], form: str, encoded: bool
) -> None:
    parts = [f"Zq{half}Xj" for half in halves]
    password = "".join(parts)
    given = form.format(quote(password, safe="") if encoded else password)
    for opened in (
        lambda: open_store(given, clock=SystemClock()),
        lambda: name_of(given),
        lambda: typed(given),
    ):
        said = failure_of(opened) or str(opened())
        assert "Zq" not in said and "Xj" not in said, said


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://c:s3cr%2Ft@h:5/x", "postgresql://c@h:5/x"),
        ("postgresql://c%40d:s3cr@h/x?sslmode=require", "postgresql://c%40d@h/x?sslmode=require"),
        ("host=/a/b user=c password=s3cr dbname=x", "postgresql://c@/x?host=%2Fa%2Fb"),
        ("host=a,b port=1,2 password=s3cr", "postgresql:///?host=a%2Cb&port=1%2C2"),
        ("password=s3cr", "postgresql:///"),
        ("postgresql://c@h/x?options=-c%20a%3Db", None),
        ("host=h user=c", None),
        ("courier.db", None),
    ],
)
def test_a_database_is_typed_without_its_password(given: str, shown: str | None) -> None:
    assert typed(given) == (shown or given, shown is not None)
    if shown is not None:
        secret = {"password": "s3cr/t" if "%2Ft" in given else "s3cr"}
        assert {**conninfo_to_dict(shown), **secret} == conninfo_to_dict(given)


def url_of(dsn: str) -> str:
    """The same as a URL."""
    parts = conninfo_to_dict(dsn)
    where = f"{parts['host']}:{parts['port']}/{parts['dbname']}"
    return f"postgresql://{parts['user']}:{parts.get('password', PASSWORD)}@{where}"


def failure_of(opened: Callable[[], object]) -> str:
    """All that a traceback would show, as far as it is not this file's text."""
    try:
        opened()
    except CourierError as error:
        lines = traceback.format_exception(error)
        return "\n".join(line for line in lines if __file__ not in line)
    return ""


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_texts_are_in_utf_8_whatever_the_environment_says(
    dsn: str, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", encoding)
    with closing(open_store(dsn, clock=SystemClock())) as store:
        store.add([entry("Prüfung ✓")])
        assert [*store.statuses("acme", ["Prüfung ✓"], AT)] == ["Prüfung ✓"]
    with psycopg.connect(dsn, client_encoding="UTF8") as connection:
        connection.execute("SET search_path = evidence_courier")
        assert connection.execute("SELECT evidence_id FROM uploads").fetchall() == [("Prüfung ✓",)]
