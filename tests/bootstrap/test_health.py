"""What an operator sees of the whole: whether evidence arrives, and what stops it."""

from __future__ import annotations

import json
import os
import platform
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner, Result
from postgres_server import server

from evidence_courier import BlockingCourier
from evidence_courier.adapters.clocks.system import SystemClock
from evidence_courier.adapters.stores.databases import open_store
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.bootstrap.cli.going_on import what_delivers
from evidence_courier.bootstrap.cli.place import App, Files
from evidence_courier.bootstrap.records import Records
from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.notices import News, notice_of
from evidence_courier.domain.pacing.gate import GateChange
from evidence_courier.domain.pacing.paused import Paused, Resumed, Scope
from evidence_courier.domain.telling import Fault, PutBack, Refused
from evidence_courier.domain.upload.events import AttemptEnded
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import Rejected
from evidence_courier.ports.records import InvalidTenants
from evidence_courier.testing.contracts.stored import (
    AT,
    UNPACED,
    begin_each,
    deferred,
    delivered,
    ended,
    entry,
    started,
    tried,
)

HOUR = ("--max-age", "1h")
MINUTE = timedelta(minutes=1)
TIRED = Failure(FailureKind.UNAUTHORIZED, "the key is wrong: make a new one", http_status=401)
CLOSED = Failure(FailureKind.CHECK_IN_REVIEW, "the check is in review")


@pytest.fixture
def database(tmp_path: Path) -> str:
    """One upload of acme's is delivered, one is tried again, one is new; globex is blocked, initech
    parked, and the file of umbrella is invalid."""
    path = str(tmp_path / "courier.db")
    with closing(SqliteStore(path)) as store:
        done, again, new = (entry(f"ev-{n}", at=AT + n * MINUTE) for n in range(3))
        blocked = entry("g-1", tenant_id="globex", provider="vanta", at=AT + 5 * MINUTE)
        parked = entry("i-1", tenant_id="initech", at=AT - MINUTE)
        store.add([done, again, new, blocked, parked])
        tried(store, again.upload, 1)
        start = started(done.upload)
        begin_each(store, [start])
        store.save([delivered(start.upload, AT + 3 * MINUTE)])
        for new, failure in ((blocked, TIRED), (parked, CLOSED)):
            quota = evolve(UNPACED, address=new.upload.key.tenant_id)
            start = started(new.upload, AT + 6 * MINUTE, quota=quota)
            begin_each(store, [start])
            gate = GateChange(quota, AT + 6 * MINUTE, block=failure)
            store.save([evolve(deferred(start.upload, failure=failure), gate=gate)])
        store.save([InvalidTenants(["umbrella"], [], AT + 9 * MINUTE)])
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def as_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_health_says_which_sink_takes_no_notices(database: str) -> None:
    with closing(SqliteStore(database)) as store:
        notices = [notice_of("blocked", AT, "text", "acme", f"p{n}") for n in range(2)]
        store.note(AT, ["webhook at example.com"], News(notices, {}), {})
        (claimed,) = store.claim("webhook at example.com", AT, AT + MINUTE, 1)
        store.put_back(AT + MINUTE, [PutBack(claimed.number, AT, Refused(Fault.UNKNOWN, 3))])
    words = "2 notices for webhook at example.com, which has refused some; the oldest of 2026-02-21"
    assert words in " ".join(run("health", "--db", database).stdout.split())
    (found,) = as_json("health", "--db", database)["notices"]
    assert found["number"] == 2


def test_health_tells_what_is_open_and_what_beside_it_is_stopped(database: str) -> None:
    with Records.open(database) as records:
        health = records.health()
    assert health.oldest_open_at == AT + MINUTE  # what is parked is older, and listed beside
    assert health.oldest_open is not None
    assert health.oldest_open.evidence_id == "ev-1"
    assert health.parked == 1
    assert health.reasons["retrying"] == {
        "rate_limited": 1,
        "unauthorized": 1,
        "check_in_review": 1,
    }
    assert {one.tenant_id: one.last_success_at for one in health.by_tenant} == {
        "acme": AT + 3 * MINUTE,
        "globex": None,
        "initech": None,
    }
    assert [(one.state, one.tenant_id, one.uploads) for one in health.stops] == [
        ("blocked", "globex", 1),
        ("parked", "initech", 1),
        ("skipped", "umbrella", 0),
    ]


def test_a_probe_fails_when_the_oldest_open_upload_is_too_old(database: str) -> None:
    late = run("health", "--db", database, "--max-age", "1h")
    assert late.exit_code == 1
    assert "acme ev-1 to sprinto" in late.stderr
    assert f"evidence-courier show --db {database} acme ev-1" in late.stderr
    assert run("health", "--db", database).stdout.startswith("in short\t4 uploads open\n")
    found = as_json("health", "--db", database, "--max-age", "1h")
    assert (found["healthy"], found["summary"]) == (
        False,
        "late: an open upload is older than 1 h",
    )


def test_a_probe_does_not_count_the_time_of_a_pause(database: str) -> None:
    now = datetime.now(UTC)
    with closing(SqliteStore(database)) as store:
        for scope in (Scope("acme"), Scope(None, "vanta")):
            store.save([Paused(scope, AT + 6 * MINUTE, "asha", "an audit")])
            store.save([Resumed(scope, now, "bo", "it is over")])
    found = run("health", "--db", database, "--max-age", "1h")
    assert found.exit_code == 0, found.stderr
    assert (
        " 5 min without its pauses and what was before it last went on: acme ev-1 to"
        in " ".join(found.stdout.split())
    )
    late = run("health", "--db", database, "--max-age", "4m")
    assert (late.exit_code, "old without its pauses and" in late.stderr) == (1, True), late.stderr


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_probe_counts_what_was_retried_from_then_on(tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "courier.db") if kind == "sqlite" else server().new_database()
    with closing(open_store(path, clock=SystemClock())) as store:
        new = entry("ev-1", at=AT)
        store.add([new])
        start = started(new.upload)
        begin_each(store, [start])
        refused = Rejected(Failure(FailureKind.REFUSED, "no"))
        store.save([ended(start.upload, AttemptEnded(AT, 1, refused, 0.0))])
    assert run("health", "--db", path, "--max-age", "1m").exit_code == 0
    who = ("--by", "asha", "--reason", "it is mended")
    assert run("retry", "--db", path, "acme", "ev-1", *who).exit_code == 0
    found = run("health", "--db", path, "--max-age", "1m")
    assert found.exit_code == 0, found.stderr
    assert "without its pauses and what was before it last went on: acme ev-1" in " ".join(
        found.stdout.split()
    )


def failed_at(path: str, number: int) -> None:
    """So many uploads, each refused for good."""
    with closing(SqliteStore(path)) as store:
        for n in range(number):
            new = entry(f"ev-{n}", at=AT)
            store.add([new])
            start = started(new.upload)
            begin_each(store, [start])
            refused = Rejected(Failure(FailureKind.REFUSED, "no"))
            store.save([ended(start.upload, AttemptEnded(AT, 1, refused, 0.0))])


def test_nothing_is_called_healthy_only_as_all_has_failed(tmp_path: Path) -> None:
    failed_at(path := str(tmp_path / "courier.db"), 2)
    found = run("health", "--db", path, *HOUR)
    lists = f"`evidence-courier status --db {path} --status failed` lists them"
    first = f"in short\tno open upload is older than 1 h; 2 have failed: {lists}"
    assert (found.exit_code, found.stdout.splitlines()[0]) == (0, first)
    assert run("health", "--db", path).stdout.startswith("in short\tno upload is open; 2 have fail")
    without, probed = as_json("health", "--db", path), as_json("health", "--db", path, *HOUR)
    assert (without["healthy"], without["summary"]) == (None, "no upload is open; 2 have failed")
    assert (probed["healthy"], probed["summary"]) == (
        True,
        "no open upload is older than 1 h; 2 have failed",
    )


WHO = ("--by", "asha", "--reason", "it is mended")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_delivers_is_named_after_an_action_if_no_courier_runs(
    tmp_path: Path, kind: str
) -> None:
    path = str(tmp_path / "courier.db") if kind == "sqlite" else server().new_database()
    with closing(open_store(path, clock=SystemClock())) as store:
        store.add([entry("ev-1"), entry("ev-2")])
        for one in ("ev-1", "ev-2"):
            run("abandon", "--db", path, "acme", one, *WHO)
        run("pause", "--db", path, "--tenant", "acme", *WHO)
        retried = run("retry", "--db", path, "acme", "ev-1", *WHO)
        resumed = run("resume", "--db", path, "--tenant", "acme", *WHO)
        for done in (retried, resumed):
            assert done.exit_code == 0
            assert "no courier is running on " in done.stderr
            assert "`evidence-courier run --config DIR --db " in done.stderr
            assert "delivers, or your service, once it" in done.stderr
            assert ("PGPASSWORD" in done.stderr) is ("password=" in path)
        assert "no courier is running" in " ".join(run("health", "--db", path).stdout.split())
        courier = store.heartbeat(None, AT)
        again = run("retry", "--db", path, "acme", "ev-2", *WHO)
        assert (again.exit_code, again.stderr) == (0, "")
        assert "couriers\t1 courier is running" in run("health", "--db", path).stdout
        assert as_json("health", "--db", path)["couriers"] == 1
        store.unregister(courier)


def test_the_command_that_delivers_has_the_folder_or_app_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def named(**given: str) -> str | None:
        return Files({"database": "c.db", **given}).run_command

    assert named(folder="my tenants") == "evidence-courier run --config 'my tenants' --db c.db"
    monkeypatch.setenv("EVIDENCE_COURIER_CONFIG", "tenants")
    assert named() == "evidence-courier run --db c.db"
    monkeypatch.syspath_prepend(tmp_path)
    for name, has_run in (("AsyncCourier", True), ("Courier", True), ("BlockingCourier", False)):
        (tmp_path / f"of_{name}.py").write_text(
            f"from evidence_courier import {name}\n"
            f"made = {name}.from_mapping({{}}, {str(tmp_path / 'c.db')!r})\n"
        )
        command = App(f"of_{name}:made").run_command
        assert command == (f"evidence-courier run --app of_{name}:made" if has_run else None)
    assert str(what_delivers(App("of_BlockingCourier:made"), 0)).endswith(
        "c.db now: your service, once it runs a courier or calls `deliver_due`"
    )


def test_a_probe_succeeds_when_nothing_is_open(tmp_path: Path) -> None:
    path = str(tmp_path / "courier.db")
    SqliteStore(path).close()
    found = run("health", "--db", path, "--max-age", "1h")
    assert (found.exit_code, found.stderr) == (0, "")
    assert as_json("health", "--db", path)["oldest_open_at"] is None


def test_an_age_that_is_none_is_refused(database: str) -> None:
    refused = run("health", "--db", database, "--max-age", "an hour")
    assert refused.exit_code == 2
    assert "must be a duration such as" in refused.stderr


def test_health_says_when_one_last_succeeded_while_all_is_well(tmp_path: Path) -> None:
    path = str(tmp_path / "courier.db")
    with closing(SqliteStore(path)) as store:
        done = entry("ev-1", at=AT)
        store.add([done])
        start = started(done.upload)
        begin_each(store, [start])
        store.save([delivered(start.upload, AT + 3 * MINUTE)])
    assert "2026-02-21T10:03:00Z" in run("health", "--db", path).stdout


def test_a_limit_of_a_list_is_no_less_than_0(database: str) -> None:
    refused = run("status", "--db", database, "--limit", "-1")
    assert (refused.exit_code, "-1 is not in the range x>=0" in refused.stderr) == (2, True)


def test_blocks_say_since_when_and_why_and_what_to_do(database: str) -> None:
    found = as_json("blocks", "--db", database)
    assert [(one["state"], one["tenant_id"], one["since"]) for one in found] == [
        ("blocked", "globex", "2026-02-21T10:06:00Z"),
        ("parked", "initech", "2026-02-21T10:06:00Z"),
        ("skipped", "umbrella", "2026-02-21T10:09:00Z"),
    ]
    assert found[0]["message"] == TIRED.message
    assert (
        f"release --db {database} --tenant globex --kind unauthorized --by NAME --reason"
        in found[0]["to_do"]
    )
    assert "asked again about" in found[1]["to_do"]
    assert "evidence-courier check" in found[2]["to_do"]
    lines = run("blocks", "--db", database).stdout.splitlines()
    assert lines[0].split("\t")[:3] == ["state", "tenant", "provider"]
    assert len(lines) == 4


def test_blocks_say_that_what_is_parked_waits_for_a_pause_too(database: str) -> None:
    who = ("--by", "asha", "--reason", "an audit")
    run("pause", "--db", database, "--provider", "sprinto", *who)
    found = as_json("blocks", "--db", database)
    (parked,) = (one["to_do"] for one in found if one["state"] == "parked")
    assert parked.startswith("nothing: a person has paused it")
    (paused,) = (one["to_do"] for one in found if one["state"] == "paused")
    assert f"resume --db {database} --provider sprinto --by NAME --reason TEXT`" in paused


def test_blocks_says_that_nothing_is_blocked(tmp_path: Path) -> None:
    path = str(tmp_path / "courier.db")
    SqliteStore(path).close()
    assert "nothing is blocked" in run("blocks", "--db", path).stderr


def ids(database: str, *arguments: str) -> list[str]:
    return [one["evidence_id"] for one in as_json("status", "--db", database, *arguments)]


def test_a_list_takes_every_filter(database: str) -> None:
    assert ids(database, "--status", "pending", "--status", "succeeded") == ["ev-2", "ev-0"]
    assert ids(database, "--open") == ["g-1", "ev-2", "ev-1", "i-1"]
    assert ids(database, "--open", "--tenant", "acme") == ["ev-2", "ev-1"]
    assert ids(database, "--kind", "unauthorized") == ["g-1"]
    assert ids(database, "--provider", "vanta") == ["g-1"]
    assert ids(database, "--until", "2026-02-21T10:01:00Z") == ["ev-0", "i-1"]
    assert ids(database, "--id", "ev-", "--limit", "2") == ["ev-2", "ev-1"]


def test_a_kind_of_error_that_is_none_is_refused_with_the_nearest(database: str) -> None:
    refused = run("status", "--db", database, "--kind", "unauthorised")
    assert refused.exit_code == 2
    assert "did you mean 'unauthorized'?" in refused.stderr


def test_what_fits_is_counted_by_reason_or_tenant(database: str) -> None:
    by_reason = as_json("status", "--db", database, "--group-by", "reason", "--tenant", "acme")
    assert by_reason == [
        {"reason": None, "status": "pending", "uploads": 1},
        {"reason": None, "status": "succeeded", "uploads": 1},
        {"reason": "rate_limited", "status": "retrying", "uploads": 1},
    ]
    by_tenant = run("status", "--db", database, "--group-by", "tenant", "--open").stdout
    assert by_tenant.splitlines() == [
        "tenant\tstatus\tuploads",
        "acme\tpending\t1",
        "acme\tretrying\t1",
        "globex\tretrying\t1",
        "initech\tretrying\t1",
    ]


def test_a_host_finds_and_counts_by_the_same_filters(database: str) -> None:
    with Records.open(database) as records:
        page = records.find(status=["pending", "failed"], provider="sprinto")
        assert [one.evidence_id for one in page.uploads] == ["ev-2"]
        assert sum(one.number for one in records.counted(open=True)) == 4
        assert records.counted(open=True, since=AT + 2 * MINUTE, until=AT + 3 * MINUTE)
        with pytest.raises(MisuseError, match="no upload is open in that status"):
            records.find(open=True, status="failed")


def test_a_running_attempt_has_a_row_in_its_details(database: str) -> None:
    with closing(SqliteStore(database)) as store:
        courier = store.heartbeat(None, AT)
        new = entry("now")
        store.add([new])
        begin_each(store, [started(new.upload, AT + MINUTE, courier_id=courier)])
        row = as_json("show", "--db", database, "acme", "now")["running"]
        assert (row["number"], row["started_at"]) == (1, "2026-02-21T10:01:00Z")
        assert (row["courier_id"], row["waits_for"]) == (courier, None)
        assert row["courier"] == f"{platform.node()}, process {os.getpid()}"
        shown = run("show", "--db", database, "acme", "now").stdout
        assert "a connection, or the provider's reply" in shown
        store.unregister(courier)
    assert "gone: it will be recovered" in run("show", "--db", database, "acme", "now").stdout


def test_a_tenant_that_is_invalid_and_not_in_force_is_among_the_skipped(tmp_path: Path) -> None:
    tenants = {"acme": {"integrations": {"compliance": {"provider": "sprinto", "no": 1}}}}
    path = tmp_path / "courier.db"
    with BlockingCourier.from_mapping(tenants, path, on_invalid="skip") as courier:
        assert courier.health().skipped_tenants == ("acme",)


def test_what_a_person_has_paused_is_listed_and_makes_nothing_late(database: str) -> None:
    paused = ("--tenant", "acme", "--by", "asha", "--reason", "audit week")
    assert run("pause", "--db", database, *paused).exit_code == 0
    found = as_json("health", "--db", database)
    assert found["oldest_open"]["evidence_id"] == "g-1"
    [stop] = [one for one in found["stops"] if one["state"] == "paused"]
    assert (stop["tenant_id"], stop["reason"], stop["uploads"]) == ("acme", "audit week", 2)
    assert "evidence-courier resume" in run("blocks", "--db", database).stdout
