"""`prune`, `erase` and `vacuum`: a preview first, then what was removed, in words."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve
from click.testing import CliRunner, Result
from store_fixtures import Desk, House, evidence

from evidence_courier import Records
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli import watch
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.domain.integration import Route
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.ports.documents import LARGE
from evidence_courier.testing import FakeClock

LONG_AGO = FakeClock().now() - timedelta(days=4000)
WHO = ["--by", "dpo", "--reason", "request 12"]


@pytest.fixture
def database(tmp_path: Path) -> str:
    """One upload that succeeded long ago, and one that has failed."""
    house = House(tmp_path / "courier.db", clock=FakeClock(LONG_AGO))
    with house.blocking_courier(transport=Desk(house)) as courier:
        courier.deliver(evidence("good"))
    return str(house.database)


def run(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


def prune(database: str, *args: str, more: str = "") -> Result:
    return run(
        "prune", "--db", database, "--retention", f"personal: 90d after success{more}", *args
    )


def test_prune_counts_first_what_would_go(database: str) -> None:
    result = prune(database)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "tenant\twithout attempts\twithout personal data\twithout document",
        "acme\t0\t1\t0",
    ]
    assert "nothing was removed: this is what would be; say --yes" in result.stderr
    assert "nothing was removed: this" in prune(database, "--json").stderr
    with Records.open(database) as records:
        assert records.removals() == []


def test_prune_removes_with_yes_and_then_finds_nothing(database: str) -> None:
    result = prune(database, "--yes", "--json", more=", attempts: 1d")
    assert json.loads(result.stdout) == [
        {"tenant_id": "acme", "attempts": 1, "personal": 1, "documents": 0}
    ]
    assert result.stderr.startswith("removed.")
    again = prune(database)
    assert (again.exit_code, again.stdout) == (0, "")
    assert "nothing is kept longer than the rules say" in again.stderr


def test_prune_without_rules_says_where_they_go(database: str) -> None:
    result = run("prune", "--db", database)
    assert result.exit_code == 2
    assert (
        "say it with --retention 'personal: 90d after success', or give --config" in result.stderr
    )
    wrong = run("prune", "--db", database, "--retention", "attempts: soon")
    assert (wrong.exit_code, "retention.attempts must say" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("personal: never", "personal is kept for ever"),
        ("personal: never, attempts: never", "attempts and personal are kept for ever"),
    ],
)
def test_prune_names_what_the_rules_never_remove(database: str, rules: str, kept: str) -> None:
    result = run("prune", "--db", database, "--retention", rules, "--yes", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert result.stderr == f"nothing is removed: {kept}\n"


def test_prune_takes_the_rules_of_tenant_files_and_no_secrets(
    database: str, tmp_path: Path
) -> None:
    folder = tmp_path / "tenants"
    folder.mkdir()
    block: dict[str, Any] = {"provider": "sprinto", "api_key": "${NOT_SET}", "region": "us"}
    check = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
    block |= {"workflow_check": check, "retention": {"personal": "never"}}
    file = {"tenant": "acme", "integrations": {"compliance": block}}
    (folder / "acme.json").write_text(json.dumps(file))
    result = prune(database, "--config", str(folder))
    assert result.exit_code == 0, result.stderr
    assert "nothing is kept longer than the rules say" in result.stderr


def test_prune_names_the_tenants_that_its_folder_leaves_out(database: str, tmp_path: Path) -> None:
    folder = tmp_path / "tenants"
    folder.mkdir()
    (folder / "globex.yaml").write_text("integrations: {}\n")
    result = prune(database, "--config", str(folder))
    assert result.exit_code == 0, result.stderr
    assert "not looked at: 1 tenant that the configuration does not name" in result.stderr
    assert "is not known: acme. Without --config, --retention is for all" in result.stderr
    assert "not looked at" not in prune(database).stderr


def erase(database: str, *args: str, subject: str = "emp-7") -> Result:
    return run("erase", "--db", database, "--tenant", "acme", "--subject", subject, *WHO, *args)


def test_erase_lists_first_and_asks(database: str) -> None:
    result = erase(database, "--dry-run")
    assert result.exit_code == 0
    assert "good" in result.stdout
    assert "1 upload of this person, named in 0 other texts; nothing was erased" in result.stderr
    (told,) = json.loads(erase(database, "--dry-run", "--json").stdout)["uploads"]
    assert told["last_attempt_at"] == "2015-03-11T10:00:00Z"
    common = erase(database, "--dry-run", subject="200")
    assert "not searched for '200', which may mean something else in them" in common.stderr
    assert "say --common" in common.stderr
    assert "say --common" not in erase(database, "--dry-run", "--common", subject="200").stderr
    unasked = erase(database)
    assert unasked.exit_code == 2
    assert "look at them with --dry-run, then say --yes" in unasked.stderr


def test_erase_says_that_documents_of_no_record_are_left(database: str) -> None:
    aside = Path(f"{database}-documents", "aside")
    aside.mkdir(parents=True)
    (aside / f"{'0' * 32}-1").write_bytes(b"%PDF")
    (aside / "notes.txt").write_text("of the host")
    result = erase(database, "--yes")
    assert f"1 document in {aside.resolve()} may name anyone" in result.stderr
    assert "1 document of no record deleted" in run("vacuum", "--db", database, "--aside").stderr
    assert [one.name for one in aside.iterdir()] == ["notes.txt"]
    assert "anyone" not in erase(database, "--yes").stderr


def test_a_document_aside_that_a_record_needs_is_not_deleted(tmp_path: Path) -> None:
    """As after a backup was put back: the record reads it from there."""
    house = House(tmp_path / "courier.db")

    async def story() -> None:
        async with house.courier(keep_documents=True) as courier:
            await courier.submit(evidence(content=bytes(LARGE + 1))).settled()

    asyncio.run(story())
    folder = Path(f"{house.database}-documents")
    (file,) = (one for one in folder.iterdir() if "." not in one.name)
    (folder / "aside").mkdir()
    file.rename(folder / "aside" / file.name)
    result = run("vacuum", "--db", str(house.database), "--aside")
    assert "; 0 documents of no record deleted" in result.stderr
    assert [one.name for one in (folder / "aside").iterdir()] == [file.name]


def test_erase_says_what_went_and_what_to_do_next(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = erase(database, "--yes")
    assert result.exit_code == 0
    assert "erased from 1 upload." in result.stderr
    assert "until `evidence-courier vacuum` was run; backups hold it" in result.stderr
    done = run("vacuum", "--db", database)
    assert (done.exit_code, "holds nothing of what was removed" in done.stderr) == (0, True)
    with Records.open(database) as records:
        (row,) = records.removals()
        assert (row.action, row.by, row.uploads) == ("erase", "dpo", 1)
    listed = run("removals", "--db", database, "--tenant", "acme").stdout.splitlines()
    assert listed[0].split("\t")[:5] == ["at", "tenant", "action", "by", "reason"]
    assert listed[1].split("\t")[1:] == ["acme", "erase", "dpo", "request 12", "1", "1", "0", "0"]
    with monkeypatch.context() as narrow:
        narrow.setattr("evidence_courier.bootstrap.cli.remove.is_terminal", lambda: True)
        narrow.setenv("COLUMNS", "80")
        stacked = run("removals", "--db", database).stdout
    assert "    by dpo: request 12\n    uploads: 1, attempts: 1, documents: 0" in stacked
    (as_json,) = json.loads(run("removals", "--db", database, "--json").stdout)
    assert (as_json["by"], as_json["uploads"], len(as_json["subject"])) == ("dpo", 1, 32)
    nothing = erase(database, "--yes")
    assert nothing.exit_code == 1
    assert "nothing of tenant 'acme' names this person" in nothing.stderr
    with Records.open(database) as records:
        assert len(records.removals()) == 1


@pytest.mark.parametrize("how", ["--yes", "--dry-run"])
def test_erase_refuses_a_tenant_that_it_does_not_know(database: str, how: str) -> None:
    who = ("--subject", "emp-7", *WHO, how)
    result = run("erase", "--db", database, "--tenant", "acmee", *who)
    assert result.exit_code == 2
    assert f"tenant 'acmee' has no upload in {database}; did you mean 'acme'?" in result.stderr
    with Records.open(database) as records:
        assert records.removals() == []


def test_erase_names_what_it_leaves_of_another_id_with_the_address(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")

    async def twice() -> None:
        async with house.courier() as courier:
            for name in ("emp-7", "E-7007"):
                one = evolve(evidence(name), subject=name, subject_email="sam@example.com")
                await courier.submit(one).settled()

    asyncio.run(twice())
    database = str(house.database)
    assert "1 other upload has the person's address" in erase(database, "--dry-run").stderr
    done = erase(database, "--yes")
    assert "stays, such as evidence 'E-7007': if it is the same person" in done.stderr
    assert "other upload" not in erase(database, "--yes", subject="E-7007").stderr


def test_erase_refuses_what_is_open_and_offers_to_abandon_it(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda _evidence, _nth: 401

    async def held() -> None:
        async with house.courier() as courier:
            await courier.submit(evidence("refused")).settled()
            await courier.submit(evidence("held")).settled()

    asyncio.run(held())
    database = str(house.database)
    refused = erase(database, "--yes")
    assert refused.exit_code == 1
    assert (
        "1 upload of this person is open. Wait until none is (say `resume` if a pause holds them, "
        "`release` if they are held or parked), or say --abandon"
    ) in refused.stderr
    assert "held" in refused.stdout
    done = erase(database, "--yes", "--abandon", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["removed"]["parts"]["personal data"] == 2


def test_a_reason_that_names_the_person_is_refused(database: str) -> None:
    result = erase(database, "--yes", subject="request")
    assert result.exit_code == 2
    assert "reason names the person who is erased" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("watch", "--every", "0.1"),
        ("retry", *WHO, "--yes"),
        ("erase", "--subject", "emp-7", *WHO, "--yes"),
        ("removals",),
        ("export",),
        ("verify",),
        ("export", "--head"),
        ("pause", *WHO),
        ("status", "--group-by", "reason"),
    ],
    ids=" ".join,
)
def test_each_command_suggests_a_tenant_in_another_case(
    database: str, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "wait", interrupted)
    with Records.open(database) as records, closing(SqliteStore(database)) as store:
        assert records.show("acme", "good") is not None
        store.link(100, LONG_AGO)
    result = run(*command, "--db", database, "--tenant", "ACME")
    assert "did you mean 'acme'?" in result.stderr


def test_removals_says_in_words_that_nothing_was_removed(database: str) -> None:
    result = run("removals", "--db", database)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "nothing was removed\n")
    assert run("removals", "--db", database, "--json").stdout == "[]\n"


@pytest.mark.parametrize(
    "command", [("status",), ("status", "--group-by", "tenant"), ("pause", *WHO)], ids=" ".join
)
def test_each_command_suggests_a_provider(database: str, command: tuple[str, ...]) -> None:
    result = run(*command, "--db", database, "--provider", "PAPR")
    assert f"no upload to 'PAPR' is in {database}; did you mean 'paper'?" in result.stderr


@define
class OneWhoRefuses(Desk):
    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        return HttpResponse(self.status, (), b"", self.house.clock.now())

    status: int = 400


@pytest.mark.parametrize("status", [400, 401])
def test_what_was_erased_is_not_tried_again(tmp_path: Path, status: int) -> None:
    """As nothing is left to send, be it failed by itself or since the integration did not work."""
    house = House(tmp_path / "courier.db", clock=FakeClock(LONG_AGO))
    with house.blocking_courier(transport=OneWhoRefuses(house, status)) as courier:
        courier.deliver(evidence("bad"))
    database = str(house.database)
    with Records.open(database) as records:
        if records.find(status="held").uploads:
            records.abandon("acme", "bad", by="dpo", reason="r")
    assert erase(database, "--yes").exit_code == 0
    for which in (("acme", "bad"), ("--tenant", "acme", "--yes")):
        refused = run("retry", "--db", database, *which, *WHO)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert (
            "acme/bad: its document was erased, removed or not stored, and nothing is left"
            in refused.stderr
        )
    with Records.open(database) as records:
        (skipped,) = records.retry("acme", ["bad"], by="asha", reason="again").skipped
        assert skipped.status.status == "failed"
        (one,) = records.find().uploads
        assert one.status == "failed"
        assert records.attest("acme", "bad", by="asha", reason="seen").done


def test_nothing_is_asked_about_whom_nothing_names(database: str) -> None:
    who = ("--subject", "emp-7", *WHO)
    for more in ((), ("--yes",), ("--dry-run",)):
        unknown = run("erase", "--db", database, "--tenant", "ACME", *who, *more)
        assert unknown.exit_code == 2, more
        assert "tenant 'ACME' has no upload in" in unknown.stderr
        assert unknown.stderr.endswith("did you mean 'acme'?\n")
    nobody = erase(database, subject="emp-77777")
    assert (nobody.exit_code, nobody.stderr.splitlines()[0]) == (
        1,
        "nothing of tenant 'acme' names this person",
    )
