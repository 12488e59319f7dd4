"""Two couriers on one database: what the other does when one of them dies, and what it leaves
alone when one only stands still."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from crash_host import Death, Plan
from crash_watch import Hosts, Watched, accounts_of, batch, everything_in, recorded_by, submits

from evidence_courier.testing.sandboxes import FaultPlan, SprintoSandbox
from evidence_courier.testing.sandboxes.threads import sandbox_in_thread

TAKEN_OVER_WITHIN = 20.0
SILENT = 3


def states(database: Path) -> dict[str, int]:
    with closing(sqlite3.connect(database)) as connection:
        return dict(
            connection.execute("SELECT state, COUNT(*) FROM uploads GROUP BY state").fetchall()
        )


def beats(database: Path, host: Watched) -> int:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT beat FROM couriers WHERE pid = ?", (host.pid,)).fetchall()
    return int(rows[0][0]) if rows else 0


def free(database: Path, host: Watched) -> int:
    """How many uploads are neither delivered nor in flight with this host."""
    with closing(sqlite3.connect(database)) as connection:
        (number,) = connection.execute(
            "SELECT COUNT(*) FROM uploads WHERE state != 'succeeded'"
            " AND (owner IS NULL OR owner NOT IN (SELECT id FROM couriers WHERE pid = ?))",
            (host.pid,),
        ).fetchone()
    return int(number)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """For what no host can say itself."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_another_courier_takes_over_from_a_dead_one_within_seconds(
    hosts: Hosts, tmp_path: Path
) -> None:
    """It takes over what was queued, waiting and in flight."""
    database = tmp_path / "courier.db"
    # Three are told to come back; those after them are taken and never answered, for the dead
    # courier alone.
    faults = FaultPlan.script(["status:503"] * 3 + ["silence-after"] * SILENT)
    with sandbox_in_thread(SprintoSandbox(faults=faults)) as sandbox:
        # Neither is hurried: what is measured is what a host can count on.
        plan = Plan(
            database=str(database),
            endpoint=sandbox.url,
            hurried=False,
            concurrency=SILENT * 3,  # one tenant of one origin may have a third of so few places
        )
        evidences = [("acme", f"ev-{number}", 2_000) for number in range(40)]
        one = hosts.start(plan, *submits(evidences))
        one.listen_for("recorded", times=len(evidences))
        wait_until(
            lambda: len(sandbox.received) == SILENT and states(database).get("waiting") == 3,
            "three wait, and all of its lines are silent",
        )
        before = states(database)
        other = hosts.start(plan)
        other.listen_for("started")
        died_at = time.monotonic()
        one.kill()
        other.say("drain")
        other.listen_for("drained")
        took = time.monotonic() - died_at
        accounts = accounts_of(database, sandbox.received, recorded_by(one))
    assert set(before) == {"queued", "waiting", "sending"}
    assert accounts.wrong == []
    assert accounts.statuses == {"succeeded": len(evidences)}
    # Each of the silent lines has left a copy that nobody was told of.
    assert accounts.extra_copies == SILENT
    assert took < TAKEN_OVER_WITHIN


def test_a_stopped_courier_keeps_what_it_has_in_flight_and_goes_on(
    hosts: Hosts, tmp_path: Path
) -> None:
    database = tmp_path / "courier.db"
    with sandbox_in_thread(SprintoSandbox()) as sandbox:
        plan = Plan(
            database=str(database),
            endpoint=sandbox.url,
            death=Death("answered", stops=True),
            concurrency=1,
        )
        one = hosts.start(plan, *submits([("acme", f"ev-{number}", 2_000) for number in range(12)]))
        one.listen_for("recorded", times=12)
        wait_until(
            lambda: sandbox.requests == 1, "it stands still in the middle of its first request"
        )
        other = hosts.start(Plan(database=str(database), endpoint=sandbox.url))
        wait_until(lambda: free(database, one) == 0, "the other took what was free")
        seen, kept = beats(database, other), states(database)
        wait_until(
            lambda: beats(database, other) > seen + 5, "the other has looked round a few times"
        )
        while_it_stood = states(database)
        one.signal(signal.SIGCONT)
        one.say("drain")
        one.listen_for("drained")
        accounts = accounts_of(database, sandbox.received, recorded_by(one))
    assert while_it_stood == kept
    assert set(kept) == {"succeeded", "sending"}
    assert other.said("log AttemptRecovered") == []
    assert accounts.wrong == []
    assert (accounts.statuses, accounts.copies, accounts.marked) == ({"succeeded": 12}, 12, 0)


def test_a_child_that_outlives_its_parent_keeps_none_of_its_uploads(
    hosts: Hosts, tmp_path: Path
) -> None:
    database = tmp_path / "courier.db"
    with sandbox_in_thread(SprintoSandbox(faults=FaultPlan.script(["silence-after"]))) as sandbox:
        plan = Plan(database=str(database), endpoint=sandbox.url)
        one = hosts.start(plan, *submits([("acme", "ev-1", 2_000)]))
        wait_until(lambda: sandbox.requests == 1, "it is in flight")
        one.say("fork")
        child = int(one.listen_for("forked").split()[1])
        one.kill()
        assert Path(f"/proc/{child}").exists() or not Path("/proc/self").exists()
        other = hosts.start(plan, "drain")
        other.listen_for("drained")
        accounts = accounts_of(database, sandbox.received, {("acme", "ev-1")})
    assert len(other.said("log AttemptRecovered")) == 1
    assert (accounts.wrong, accounts.marked) == ([], 1)


@pytest.mark.parametrize("sets", ["boot = 'the run before'", "boot = ''"])
def test_after_a_reboot_what_was_in_flight_is_recovered_at_once(
    hosts: Hosts, tmp_path: Path, sets: str
) -> None:
    database = tmp_path / "courier.db"
    with sandbox_in_thread(SprintoSandbox()) as sandbox:
        plan = Plan(database=str(database), endpoint=sandbox.url)
        dying = Plan(database=str(database), endpoint=sandbox.url, death=Death("answered"))
        hosts.start(dying, *submits(batch("ev", 3))).hear_out()
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(f"UPDATE couriers SET {sets}")
        other = hosts.start(plan, "drain")
        other.listen_for("drained")
        assert other.said("log CourierLost") != []
        assert accounts_of(database, sandbox.received, set()).wrong == []


def test_what_another_machine_may_still_be_sending_is_not_taken_over(
    hosts: Hosts, tmp_path: Path
) -> None:
    database = tmp_path / "courier.db"
    with sandbox_in_thread(SprintoSandbox()) as sandbox:
        dying = Plan(database=str(database), endpoint=sandbox.url, death=Death("answered"))
        hosts.start(dying, *submits([("acme", "ev-1", 2_000)])).hear_out()
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE couriers SET boot = 'another', host = 'elsewhere/1'")
        other = hosts.start(Plan(database=str(database), endpoint=sandbox.url))
        wait_until(lambda: beats(database, other) > 5, "the other has looked round a few times")
        (status,) = everything_in(database)
        assert (status.status, status.attempts, sandbox.copies(status.digest)) == ("pending", 1, 1)
        assert other.said("log") == []
