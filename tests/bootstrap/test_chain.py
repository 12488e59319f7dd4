"""`verify` and `export`: what an auditor does, with nothing but a shell and openssl in the end."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from store_fixtures import House, evidence

from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.delivery.chain import LINK_EVERY
from evidence_courier.testing.contracts.store_chain import acted_on, settled
from evidence_courier.testing.contracts.stored import AT

PAGE = Path(__file__).parents[2] / "docs" / "tamper-evidence.md"


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Two tenants, one of a name that is hard to write, with two records each that are linked."""
    path = str(tmp_path / "courier.db")
    with closing(SqliteStore(path)) as store:
        for tenant_id in ("acme", 'gl"öbex\n'):
            settled(store, "ev-1", tenant_id)
        store.link(100, AT)
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def verified(database: str, *more: str) -> Result:
    return run("verify", "--db", database, *more)


def change(database: str, statement: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(statement)


def test_a_running_courier_links_what_is_settled(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")

    async def story() -> None:
        async with house.courier() as courier:
            tickets = [courier.submit(evidence(f"ev-{number}")) for number in range(3)]
            for ticket in tickets:
                await ticket.settled()
            house.clock.advance(LINK_EVERY)
            await courier.quiet()

    asyncio.run(story())
    found = verified(str(house.database))
    assert (found.exit_code, found.stderr) == (0, "3 links of 1 tenant: everything holds\n")


def settle(database: str) -> None:
    """One more upload and what a person did to it, linked."""
    with closing(SqliteStore(database)) as store:
        acted_on(store, settled(store, "ev-2"))
        store.link(100, AT)


def test_chains_that_hold_are_reported_with_their_number(database: str) -> None:
    found = verified(database)
    assert (found.exit_code, found.stdout) == (0, "")
    assert found.stderr == "4 links of 2 tenants: everything holds\n"


def test_records_that_are_not_linked_yet_are_counted(database: str) -> None:
    with closing(SqliteStore(database)) as store:
        settled(store, "ev-2")
    found = verified(database, "--tenant", "acme")
    assert found.exit_code == 0
    assert found.stderr.endswith("2 records are not linked yet: a running courier does that\n")
    (row,) = json.loads(verified(database, "--tenant", "acme", "--json").stdout)
    assert (row["length"], row["unlinked"], row["faults"]) == (2, 2, [])


def test_what_was_changed_is_named_with_its_tenant_and_link(database: str) -> None:
    change(database, "UPDATE attempts SET message = 'all went well' WHERE id = 1")
    found = verified(database)
    assert found.exit_code == 1
    assert found.stdout == (
        "tenant 'acme', link 1: attempt 1 of evidence 'ev-1' has changed: message\n"
    )
    assert found.stderr == "4 links of 2 tenants: 1 thing does not hold\n"
    first, second = json.loads(verified(database, "--json").stdout)
    assert first["faults"] == [
        {"link": 1, "what": "attempt 1 of evidence 'ev-1' has changed: message"}
    ]
    assert second["faults"] == []


def test_a_chain_without_its_head_is_a_fault(database: str) -> None:
    change(database, "DELETE FROM heads WHERE tenant_id = 'acme'")
    assert verified(database).exit_code == 1


def test_a_head_that_is_stored_elsewhere_holds_as_the_chain_grows(
    database: str, tmp_path: Path
) -> None:
    heads = tmp_path / "heads.jsonl"
    heads.write_bytes(run("export", "--head", "--db", database).stdout_bytes)
    settle(database)
    assert verified(database, "--head", str(heads)).exit_code == 0
    # All of it deleted, as by someone who can write to the database.
    for table in ("links", "heads", "attempts", "actions", "uploads"):
        change(database, f"DELETE FROM {table}")
    assert verified(database).exit_code == 0
    found = verified(database, "--head", str(heads))
    assert found.exit_code == 1
    assert re.match(
        r"tenant 'acme', link 2: it is missing, and an earlier head names it \([0-9a-f]{64}\)\n",
        found.stdout,
    )


@pytest.mark.parametrize("text", ["", "no JSON", "{}", '{"tenant": "acme", "length": "x"}', "[]"])
def test_a_file_that_holds_no_heads_is_refused(database: str, tmp_path: Path, text: str) -> None:
    """An empty one holds none, and that is said, too."""
    file = tmp_path / "heads.jsonl"
    file.write_text(text)
    found = verified(database, "--head", str(file))
    assert found.exit_code == 2
    assert found.stderr == (
        f"evidence-courier: {file} holds no heads, one a line, as `evidence-courier export --head` "
        "prints them\n"
    )
    assert "cannot be read" in verified(database, "--head", str(tmp_path / "none")).stderr


def test_a_tenant_without_a_chain_is_named(database: str) -> None:
    for command in (["verify"], ["export", "--head"], ["export", "--links"]):
        found = run(*command, "--db", database, "--tenant", "initech")
        assert found.exit_code == 2
        assert "tenant 'initech' has no chain in" in found.stderr


def test_export_asks_for_one_of_head_and_links_and_for_the_tenant(database: str) -> None:
    both = run("export", "--db", database, "--head", "--links")
    assert "give --head or --links" in both.stderr
    assert "give --tenant" in run("export", "--db", database, "--links").stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
@pytest.mark.parametrize("tenant", ["acme", 'gl"öbex\n'])
def test_a_head_is_checked_with_openssl_alone(database: str, tmp_path: Path, tenant: str) -> None:
    """By the commands of the page, as they stand there."""
    settle(database)
    for what in ("head", "links"):
        exported = run("export", f"--{what}", "--db", database, "--tenant", tenant)
        (tmp_path / f"{what}.json").write_bytes(exported.stdout_bytes)
    (script,) = re.findall(r"```sh\n(# With openssl alone\..*?)```", PAGE.read_text(), re.DOTALL)

    def checked() -> str:
        done = subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()[-1]

    assert checked() == "the head holds"
    links = tmp_path / "links.json"
    links.write_text(links.read_text().replace('"attempt"', '"Attempt"', 1))
    assert checked() == "the head does not hold"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_a_field_is_checked_with_openssl_alone(database: str) -> None:
    """By the command of the page, with the cells of one that is linked."""
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT fields FROM links WHERE tenant_id = 'acme' AND position = 1"
        ((fields,),) = connection.execute(query).fetchall()
    kept = json.loads(fields)["verdict"]
    (command,) = re.findall(r"^printf.*openssl dgst -sha256.*$", PAGE.read_text(), re.MULTILINE)
    command = command.replace("SALT", kept[:32])
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0].startswith(kept[32:])


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE uploads SET state = 'failed', status = 'failed', reason = 'rejected',"
            " error_kind = 'refused', error_message = 'no'",
            "evidence 'ev-1' at sprinto: attempt 2 delivered it, and it has not succeeded",
        ),
        (
            "UPDATE uploads SET status = 'failed'",
            "evidence 'ev-1' at sprinto: its status is failed, and its state says succeeded",
        ),
        (
            "UPDATE uploads SET attempts = 1, spent = 1",
            "evidence 'ev-1' at sprinto: attempt 2 has ended, and only 1 were begun",
        ),
        (
            "UPDATE uploads SET attempts = 3",
            "evidence 'ev-1' at sprinto: attempt 3 was begun, and nothing is recorded of its end",
        ),
        (
            "UPDATE uploads SET receipt_reference = 'forged'",
            "evidence 'ev-1' at sprinto: its receipt is that of no attempt and of no person",
        ),
        (
            "UPDATE attempts SET verdict = 'deferred', kind = 'timeout', message = 'no'"
            " WHERE number = 2",
            "evidence 'ev-1' at sprinto: it has succeeded, and no attempt, look-up or person"
            " says so",
        ),
        (
            "DELETE FROM attempts WHERE number = 1",
            "evidence 'ev-1' at sprinto: attempt 1 was begun, and nothing is recorded of its end",
        ),
        ("DELETE FROM uploads", "row 1 of attempts belongs to no row of uploads"),
        (
            "UPDATE attempts SET verdict = 'rejected', kind = 'refused', message = 'no',"
            " receipt_reference = NULL, receipt_message = NULL WHERE number = 2;"
            "UPDATE uploads SET state = 'queued', status = 'pending', due = updated_at, spent = 0,"
            " receipt_reference = NULL, receipt_message = NULL",
            "evidence 'ev-1' at sprinto: its last attempt, 2, ended rejected (refused),"
            " and it is pending",
        ),
    ],
)
def test_a_row_that_its_records_contradict_is_named(
    tmp_path: Path, statement: str, said: str
) -> None:
    """Also if nothing of it is linked yet: a chain says nothing of it then."""
    path = str(tmp_path / "courier.db")
    with closing(SqliteStore(path)) as store:
        settled(store, "ev-1")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(statement)
    result = verified(path)
    assert result.exit_code == 1
    assert said in result.stdout
