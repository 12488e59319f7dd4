"""What people do about uploads, on a courier and on the command line beside one, and what
`invariants` says."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TypedDict

import pytest
from click.testing import CliRunner, Result
from store_fixtures import House, evidence, tenant

from evidence_courier import Filter, UploadStatus
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.domain.errors import MisuseError
from evidence_courier.ports.logger import (
    ActionTaken,
    UploadRequeued,
    UploadSettled,
    UploadSettledElsewhere,
)
from evidence_courier.testing import until_settled


class By(TypedDict):
    by: str
    reason: str


WHY: By = {"by": "asha", "reason": "seen to"}


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def house(tmp_path: Path) -> House:
    """acme's ev-1 and ev-2 have failed, ev-3 has succeeded; globex's held-1 is held in doubt and
    ev-1 has failed."""
    house = House(
        tmp_path / "courier.db",
        tenants={"acme": tenant(), "globex": tenant(key="${OTHER}", on_unclear="hold")},
    )
    house.keys.values["OTHER"] = "another-key-nobody-may-see"
    house.server.answer = lambda name, nth: (
        503 if name == "held-1" else 200 if name == "ev-3" else 400
    )

    async def story() -> None:
        async with house.courier() as courier:
            tickets = [courier.submit(evidence(f"ev-{number}")) for number in (1, 2, 3)]
            tickets += [courier.submit(evidence(name, "globex")) for name in ("held-1", "ev-1")]
            await until_settled(courier, house.clock, *tickets)

    asyncio.run(story())
    house.server.answer = lambda name, nth: 200
    return house


def test_a_retry_gives_a_fresh_budget_keeps_the_history_and_the_reason(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            acted = await courier.retry("acme", "ev-1", **WHY)
            assert [status.status for status in acted.done] == ["pending"]
            await courier.quiet()
            details = await courier.show("acme", "ev-1")
            assert details is not None
            assert (details.status, details.attempts) == ("succeeded", 2)
            assert [row.verdict for row in details.history] == ["rejected", "delivered"]
            assert [(row.action, row.by, row.reason) for row in details.actions] == [
                ("retry", "asha", "seen to")
            ]

    asyncio.run(story())
    kinds = [type(event) for event in house.logger.events]
    assert kinds.index(ActionTaken) < kinds.index(UploadRequeued)


def test_done_twice_it_changes_nothing_and_sends_nothing(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            await courier.retry("acme", "ev-1", **WHY)
            again = await courier.retry("acme", "ev-1", **WHY)
            assert again.done == ()
            await courier.quiet()
            late = await courier.retry("acme", "ev-1", **WHY)
            assert [left.reason for left in late.skipped] == [
                "it is succeeded, and retry is for what is failed or skipped"
            ]
            details = await courier.show("acme", "ev-1")
            assert details is not None
            assert len(details.actions) == 1

    asyncio.run(story())
    # acme's first and its retry, and globex's of the same id
    assert house.server.asked["ev-1"] == 3


def test_a_filter_reaches_what_fits_of_one_tenant_and_can_be_previewed(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            seen = await courier.retry("acme", Filter(kind="bad_request"), preview=True, **WHY)
            assert sorted(status.evidence_id for status in seen.done) == ["ev-1", "ev-2"]
            assert (await courier.show("acme", "ev-1")).actions == ()  # type: ignore[union-attr]
            assert (await courier.retry("acme", Filter(kind="timeout"), **WHY)).done == ()
            acted = await courier.retry("acme", Filter(), **WHY)
            assert sorted(status.evidence_id for status in acted.done) == ["ev-1", "ev-2"]
            await courier.quiet()
            counts = (await courier.health()).counts
            assert counts == {
                "pending": 0,
                "retrying": 0,
                "held": 1,
                "succeeded": 3,
                "failed": 1,
                "skipped": 0,
            }

    asyncio.run(story())


def test_an_attested_upload_has_succeeded_an_abandoned_one_is_never_sent(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            before = (await courier.statuses("globex", ["held-1"]))["held-1"]
            acted = await courier.attest("globex", "held-1", **WHY)
            attested = await courier.show("globex", "held-1")
            assert attested is not None
            assert (
                acted.done[0].last_attempt_at == before.last_attempt_at == attested.last_attempt_at
            )
            assert (attested.status, attested.receipt and attested.receipt.message) == (
                "succeeded",
                "attested by asha: seen to",
            )
            house.server.answer = lambda name, nth: 503
            ticket = courier.submit(evidence("ev-9"))
            await ticket.recorded()
            await courier.quiet()
            acted = await courier.abandon("acme", "ev-9", **WHY)
            assert [status.status for status in acted.done] == ["failed"]
            status = await ticket.settled(timeout=10)
            assert status is not None
            assert status.error is not None
            assert status.error.kind == "abandoned"

    asyncio.run(story())
    assert house.server.asked["ev-9"] == 1
    settled = [event.status for event in house.logger.events if isinstance(event, UploadSettled)]
    assert ("held-1", "succeeded") in {(status.evidence_id, status.status) for status in settled}


def test_what_cannot_be_right_is_refused(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            for wrong, said in (
                (courier.retry("acme", "nothing", **WHY), "has no upload of evidence 'nothing'"),
                (
                    courier.retry("acme", None, **WHY),  # type: ignore[arg-type]
                    "an evidence id, a list of them or a Filter, not NoneType",
                ),
                (courier.retry("acme", "ev-1", by="", reason="x"), "say who"),
                (courier.retry("acme", "ev-1", by="x", reason=" "), "say why"),
            ):
                with pytest.raises(MisuseError, match=said):
                    await wrong

    asyncio.run(story())


def test_a_running_courier_soon_notices_what_the_command_line_has_done(
    house: House,
) -> None:
    heard: list[UploadStatus] = []

    async def story() -> None:
        async with house.courier(on_settled=heard.append) as courier:
            await courier.quiet()
            house.server.answer = lambda name, nth: 503
            waiting = courier.submit(evidence("ev-9"))
            await waiting.recorded()
            await courier.quiet()
            said = ("--db", str(house.database), "--by", "asha", "--reason", "seen to")
            for arguments in (("abandon", "acme", "ev-9"), ("retry", "acme", "ev-1")):
                done = await asyncio.to_thread(command, *arguments, *said)
                assert done.exit_code == 0, done.output
            house.server.answer = lambda name, nth: 200
            house.clock.advance(7)
            await courier.quiet()
            status = await waiting.settled(timeout=10)
            assert status is not None
            assert (status.status, house.server.asked["ev-9"]) == ("failed", 1)
            retried = await courier.show("acme", "ev-1")
            assert retried is not None
            assert retried.status == "succeeded"

    asyncio.run(story())
    assert "ev-9" in {status.evidence_id for status in heard}
    counted = [one.status for one in house.logger.events if isinstance(one, UploadSettled)]
    assert "ev-9" not in {status.evidence_id for status in counted}
    told = [one for one in house.logger.events if isinstance(one, UploadSettledElsewhere)]
    assert [(one.status.evidence_id, one.status.status) for one in told] == [("ev-9", "failed")]


def test_the_command_line_lists_asks_and_then_acts(house: House) -> None:
    said = ("--db", str(house.database), "--by", "asha", "--reason", "seen to")
    refused = command("retry", "--tenant", "acme", *said)
    assert (refused.exit_code, "--dry-run" in refused.output) == (2, True)
    seen = command("retry", "--tenant", "acme", "--dry-run", "--json", *said)
    assert {row["evidence_id"] for row in json.loads(seen.stdout)} == {"ev-1", "ev-2"}
    done = command("retry", "--tenant", "acme", "--kind", "bad_request", "--yes", "--json", *said)
    assert done.exit_code == 0, done.output
    assert {row["status"] for row in json.loads(done.stdout)} == {"pending"}
    none = command("retry", "--tenant", "acme", "--kind", "timeout", "--yes", *said)
    assert (none.exit_code, "no upload that fits and is failed or skipped" in none.output) == (
        1,
        True,
    )
    unknown = command("retry", "--tenant", "nope", "--yes", *said)
    assert (unknown.exit_code, "tenant 'nope' has no upload" in unknown.output) == (2, True)
    again = command("retry", "acme", "ev-1", *said)
    assert (again.exit_code, "it is pending" in again.output) == (1, True)
    shown = json.loads(
        command("show", "--db", str(house.database), "acme", "ev-1", "--json").stdout
    )
    assert [(row["action"], row["by"], row["reason"]) for row in shown["actions"]] == [
        ("retry", "asha", "seen to")
    ]


def test_a_release_names_retry_for_what_failed_by_itself(house: House) -> None:
    said = ("--db", str(house.database), "--by", "asha", "--reason", "seen to", "--yes")
    none = command("release", "--tenant", "acme", *said)
    assert none.exit_code == 1
    assert "because the integration did not work; `retry` is for 2 other uploads" in none.output
    one = command("release", "acme", "ev-1", *said)
    assert (one.exit_code, "the integration did not work: retry it" in one.output) == (1, True)


@pytest.mark.parametrize("which", [("--tenant", "acme"), ("acme", "ev-1")])
def test_a_release_takes_what_failed_because_of_the_key(
    tmp_path: Path, which: tuple[str, ...]
) -> None:
    house = House(tmp_path / "courier.db", tenants={"acme": tenant()})
    house.server.answer = lambda name, nth: 401
    names = ("ev-1", "ev-2")

    async def story() -> None:
        async with house.courier() as courier:
            for name in names:
                await until_settled(courier, house.clock, courier.submit(evidence(name)))
                if name == "ev-1":
                    await courier.release("acme", name, by="asha", reason="try it")
                    await until_settled(courier, house.clock, courier.submit(evidence(name)))
            found = await courier.statuses("acme", names)
            assert {one.status for one in found.values()} <= {"failed", "held"}
            assert found["ev-1"].status == "failed"

    asyncio.run(story())
    house.server.answer = lambda name, nth: 200
    said = ("--db", str(house.database), "--by", "asha", "--reason", "mended", "--yes")
    assert command("release", *which, *said).exit_code == 0

    async def after() -> None:
        async with house.courier() as courier:
            tickets = [courier.submit(evidence(name)) for name in names]
            found = await until_settled(courier, house.clock, *tickets)
            assert [one and one.status for one in found] == ["succeeded"] * 2

    asyncio.run(after())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retry", "acme"), "name an upload by TENANT and EVIDENCE_ID"),
        (("retry", "acme", "ev-1", "--tenant", "acme"), "not both"),
        (("retry", "acme", "ev-1", "--kind", "timeout"), "one upload needs no filter"),
        (("retry", "acme", "nothing"), "has no upload of evidence 'nothing'"),
        (("release", "--tenant", "acme", "--since", "yesterday"), "is no moment"),
    ],
)
def test_the_command_line_refuses_what_cannot_be_right(
    house: House, arguments: tuple[str, ...], said: str
) -> None:
    result = command(*arguments, "--db", str(house.database), "--by", "asha", "--reason", "because")
    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_a_doubt_is_not_sent_again_if_look_ups_may_be_possible(
    house: House,
) -> None:
    """It is not known whether the provider can look it up."""
    said = ("--db", str(house.database), "--by", "asha", "--reason", "because")
    refused = command("release", "globex", "held-1", *said)
    assert (refused.exit_code, "is not installed here" in refused.output) == (2, True)
    assert command("attest", "globex", "held-1", *said).exit_code == 0


def test_the_invariants_hold_and_each_kind_of_breach_is_found(house: House) -> None:
    database = str(house.database)
    sound = command("invariants", "--db", database)
    assert (sound.exit_code, "5 uploads with 5 attempts: everything holds" in sound.output) == (
        0,
        True,
    )
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE uploads SET spent = 9 WHERE evidence_id = 'ev-2'")
        connection.execute(
            "DELETE FROM attempts WHERE upload_id = (SELECT id FROM uploads WHERE evidence_id = "
            "'held-1')"
        )
        connection.execute(
            "UPDATE uploads SET state = 'sending', status = 'pending', attempt = 1, started_at = "
            "created_at, owner = 99,"
            " reason = NULL, error_kind = NULL WHERE tenant_id = 'globex' AND evidence_id = 'ev-1'"
        )
        connection.commit()
    found = command("invariants", "--db", database, "--json")
    assert found.exit_code == 1
    breaches = json.loads(found.stdout)["breaches"]
    told = {(breach["tenant_id"], breach["evidence_id"]): breach["what"] for breach in breaches}
    assert "nothing is recorded of its end" in told["globex", "held-1"]
    assert "its courier is gone" in told["globex", "ev-1"]
    assert any("of a budget of 5" in breach["what"] for breach in breaches)


def test_the_invariants_find_a_secret_in_the_records(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tenants"
    folder.mkdir()
    (folder / "acme.yaml").write_text(
        "integrations: {compliance: {provider: sprinto, api_key: '${ACME_KEY}', workflow_check: "
        "c-1}}\n"
    )
    monkeypatch.delenv("ACME_KEY", raising=False)
    unknown = command("invariants", "--db", str(house.database), "--config", str(folder))
    assert (unknown.exit_code, "ACME_KEY" in unknown.stderr) == (2, True)
    assert "everything holds" in unknown.stderr  # the records were looked at all the same
    assert "were not searched for, all else was checked" in unknown.stderr
    nowhere = command("invariants", "--db", str(house.database), "--config", str(tmp_path / "no"))
    assert (nowhere.exit_code, "everything holds" in nowhere.stderr) == (2, True)
    monkeypatch.setenv("ACME_KEY", "the-key-that-has-leaked")
    clean = command("invariants", "--db", str(house.database), "--config", str(folder))
    assert clean.exit_code == 0, clean.output
    with closing(sqlite3.connect(house.database)) as connection:
        connection.execute(
            "UPDATE uploads SET error_message = 'said the-key-that-has-leaked' WHERE evidence_id "
            "= 'ev-2'"
        )
        connection.commit()
    found = command("invariants", "--db", str(house.database), "--config", str(folder))
    assert (found.exit_code, "shows a secret in error_message" in found.output) == (1, True)
    assert "the-key-that-has-leaked" not in found.output


@pytest.mark.parametrize(
    ("key", "value", "exit_code"),
    [
        ("sandbox-key", "sandbox-client", 0),  # as a sandbox has them
        ("sandbox-key", "sandbox-key", 1),
        ("sandbox-key", "https://api.example/sandbox-key/v1", 1),
        ('a-"key\\-in-quotes', 'a-"key\\-in-quotes', 1),
    ],
)
def test_a_setting_that_begins_as_the_secret_does_shows_none(
    house: House,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    value: str,
    exit_code: int,
) -> None:
    folder = tmp_path / "tenants"
    folder.mkdir()
    (folder / "acme.yaml").write_text(
        "integrations: {compliance: {provider: vanta, client_id: one, client_secret: '${KEY}', "
        "document: d-1}}\n"
    )
    monkeypatch.setenv("KEY", key)
    with closing(sqlite3.connect(house.database)) as connection:
        settings = json.dumps({"client_id": value}, ensure_ascii=False)
        connection.execute("UPDATE uploads SET settings = ?", (settings,))
        connection.commit()
    found = command("invariants", "--db", str(house.database), "--config", str(folder))
    assert (found.exit_code, "shows a secret in settings" in found.output) == (
        exit_code,
        exit_code == 1,
    )


def test_a_worker_of_a_task_queue_acts_and_sees_as_the_others_do(house: House) -> None:
    with house.blocking_courier() as courier:
        seen = courier.retry("acme", Filter(kind="bad_request"), preview=True, **WHY)
        assert sorted(status.evidence_id for status in seen.done) == ["ev-1", "ev-2"]
        assert courier.health().counts["failed"] == 3
        retried = courier.retry("acme", "ev-1", **WHY)
        assert [status.status for status in retried.done] == ["pending"]
        attested = courier.attest("globex", "held-1", **WHY)
        assert [status.status for status in attested.done] == ["succeeded"]
        late = courier.release("acme", "ev-3", **WHY)
        assert [skipped.reason for skipped in late.skipped] == [
            "it is succeeded, and release is for what is held, parked, or failed because the "
            "integration did not work"
        ]
        assert [status.status for status in courier.abandon("acme", "ev-1", **WHY).done] == [
            "failed"
        ]
        with pytest.raises(MisuseError, match="has no upload of evidence 'nothing'"):
            courier.retry("acme", "nothing", **WHY)
        details = courier.show("acme", "ev-1")
        assert details is not None
        assert [(row.action, row.by) for row in details.actions] == [
            ("retry", "asha"),
            ("abandon", "asha"),
        ]
        assert courier.health().counts["failed"] == 3
    acted = [event for event in house.logger.events if isinstance(event, ActionTaken)]
    assert [event.action for event in acted] == ["retry", "attest", "abandon"]
    settled = [event.status for event in house.logger.events if isinstance(event, UploadSettled)]
    assert [(one.evidence_id, one.status) for one in settled[-2:]] == [
        ("held-1", "succeeded"),
        ("ev-1", "failed"),
    ]
