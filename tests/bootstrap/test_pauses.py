"""What people pause: nothing begins for it, evidence is recorded and held, and it goes on by itself
once they resume it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypedDict

import pytest
from attrs import define, field
from click.testing import CliRunner, Result
from store_fixtures import Desk, House, PaperProvider, PaperSettings, evidence

from evidence_courier import AsyncCourier, AsyncRecords, MisuseError, Records, UploadStatus
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.domain.integration import Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
    Absent,
    Finding,
    Found,
    Receipt,
    Rejected,
    Verdict,
)
from evidence_courier.ports.dialogue import (
    Access,
    Dialogue,
    HttpRequest,
    HttpResponse,
    MintedToken,
    TransportFailure,
    access,
    fetch,
)
from evidence_courier.ports.logger import DeliveryPaused, DeliveryResumed, UploadRequeued
from evidence_courier.ports.provider import Parcel


class By(TypedDict):
    by: str
    reason: str


ASHA: By = {"by": "asha", "reason": "an audit"}
BO: By = {"by": "bo", "reason": "it is over"}
AT = datetime(2026, 2, 21, 10, tzinfo=UTC)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


def status_of(status: UploadStatus | None) -> str | None:
    return None if status is None else status.status


async def maintained(courier: AsyncCourier, house: House) -> None:
    """What a courier does in the next seconds."""
    for _ in range(2):
        house.clock.advance(6)
        await asyncio.sleep(0.01)
        await courier.quiet()


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_what_is_under_way_ends_and_nothing_else_begins(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            sent = courier.submit(evidence("ev-1"))
            await sent.settled()
            await courier.pause("acme", **ASHA)
            held = courier.submit(evidence("ev-2"))
            other = courier.submit(evidence("ev-1", "globex"))
            assert status_of(await other.settled()) == "succeeded"
            status = await held.settled()
            assert status is not None
            assert status.status == "held"
            assert status.error is not None
            sentence = "paused by asha since 2026-02-21 10:00 UTC: an audit"
            assert (status.error.kind, status.error.message) == ("paused", sentence)
            assert status.waits_for == f"a person, who resumes it: {sentence}"
            await courier.drain()
            assert await courier.resume("acme", **BO) is not None
            await maintained(courier, house)
            details = await courier.show("acme", "ev-2")
            assert details is not None
            assert details.status == "succeeded"
            acted = [(row.action, row.by, row.reason) for row in details.actions]
            assert acted == [("pause", "asha", "an audit"), ("resume", "bo", "it is over")]

    asyncio.run(story())
    told = [one for one in house.logger.events if isinstance(one, DeliveryPaused | DeliveryResumed)]
    assert told == [
        DeliveryPaused("tenant acme", "asha", "an audit"),
        DeliveryResumed("tenant acme"),
    ]
    (again,) = [one for one in house.logger.events if isinstance(one, UploadRequeued)]
    assert (again.by, again.reason) == (None, "a person has resumed it")


def test_what_waits_for_hours_is_held_as_soon_as_it_is_paused(house: House) -> None:
    house.server.answer = lambda name, nth: 503
    house.tenants["acme"]["integrations"]["compliance"]["retry"] = {  # type: ignore[index]
        "initial_delay": "2h",
        "max_delay": "9h",
    }

    async def story() -> None:
        async with house.courier() as courier:
            courier.submit(evidence("ev-1"))
            await courier.quiet()
            await courier.pause(None, "paper", **ASHA)
            await asyncio.wait_for(courier.drain(), 10)
            assert (await courier.counts())["held"] == 1

    asyncio.run(story())


def test_a_pause_outlives_the_courier_and_is_seen_by_another(house: House) -> None:
    async def story() -> None:
        async with house.courier() as one, AsyncRecords.open(house.database) as records:
            await records.pause("acme", "paper", **ASHA)
            assert status_of(await one.submit(evidence("ev-1")).settled()) == "held"
        async with house.courier() as other:
            (pause,) = await other.paused()
            assert (str(pause.scope), pause.by) == ("tenant acme with paper", "asha")
            assert status_of(await other.submit(evidence("ev-2")).settled()) == "held"
            async with AsyncRecords.open(house.database) as records:
                await records.resume("acme", "paper", **BO)
            await maintained(other, house)
            assert (await other.counts())["succeeded"] == 2

    asyncio.run(story())


def test_a_drain_sends_what_people_have_resumed_meanwhile(house: House) -> None:
    async def story() -> None:
        async with house.courier() as one:
            await one.pause("acme", **ASHA)
            assert status_of(await one.submit(evidence("ev-1")).settled()) == "held"
        async with AsyncRecords.open(house.database) as records:
            await records.resume("acme", **BO)
        async with house.courier() as other:
            await asyncio.wait_for(other.drain(), 10)
            assert (await other.counts())["succeeded"] == 1

    asyncio.run(story())


def test_an_erased_name_in_a_pause_does_not_look_like_a_resume(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            await courier.pause("acme", **ASHA)
            await maintained(courier, house)
            await courier.erase("acme", "asha", by="dpo", reason="request 1")
            await maintained(courier, house)
            assert [one.by for one in await courier.paused()] == ["(erased)"]

    asyncio.run(story())
    told = [one for one in house.logger.events if isinstance(one, DeliveryPaused | DeliveryResumed)]
    assert told == [DeliveryPaused("tenant acme", "asha", "an audit")]


class ReadablePaper(PaperProvider):
    """Paper that can be asked for what it has."""

    look_up_delays: ClassVar[Sequence[timedelta]] = (timedelta(seconds=2),)

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        assert isinstance(settings, PaperSettings)
        key = settings.key.reveal()
        headers = (("evidence", parcel.evidence_id), ("key", key), ("date", "any"))
        reply = yield from fetch(HttpRequest("GET", "https://paper.test/", headers))
        return Found(Receipt("r")) if isinstance(reply, HttpResponse) else Absent()


@define
class Losing:
    """Takes what is sent, loses each reply to it, and answers who asks."""

    methods: list[str] = field(factory=list)

    def asked(self, request: HttpRequest) -> HttpResponse | TransportFailure:
        self.methods.append(request.method)
        if request.method == "POST":
            return TransportFailure(FailureKind.CONNECTION_LOST, "gone")
        return HttpResponse(200, (), b"", AT)


@define
class OnALoop(Losing):
    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        return self.asked(request)

    async def close(self) -> None: ...


@define
class OnAThread(Losing):
    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        return self.asked(request)

    def close(self) -> None: ...


@define
class InDoubt:
    """A courier leaves an upload in doubt, somebody pauses its tenant, and others go on, who have
    seen the pause before they see the upload."""

    house: House
    transport: Any

    def around(self) -> Any:
        return {"providers": {"paper": ReadablePaper()}, "transport": self.transport}

    async def by_async(self) -> tuple[list[str], str | None]:
        async with self.house.courier(**self.around()) as other:
            async with self.house.courier(**self.around()) as one:
                one.submit(evidence("ev-1"))
                await one.quiet()
                await other.pause("acme", **ASHA)
                await maintained(other, self.house)
            for _ in range(20):
                await maintained(other, self.house)
            before = list(self.transport.methods)
            await other.resume("acme", **BO)
            await maintained(other, self.house)
            return before, status_of((await other.statuses("acme", ["ev-1"]))["ev-1"])

    def by_blocking(self) -> tuple[list[str], str | None]:
        clock = self.house.clock
        with self.house.blocking_courier(**self.around()) as other:
            with self.house.blocking_courier(**self.around()) as one:
                one.deliver(evidence("ev-1"))
                other.pause("acme", **ASHA)
                other.deliver_due()
            for _ in range(5):
                clock.advance(86_400)
                other.deliver_due()
            before = list(self.transport.methods)
            other.resume("acme", **BO)
            other.deliver_due()
            return before, status_of(other.statuses("acme", ["ev-1"])["ev-1"])


@pytest.mark.parametrize("face", ["async", "blocking"])
def test_what_another_left_in_doubt_is_not_looked_up_during_a_pause(
    house: House, face: str
) -> None:
    if face == "async":
        before, after = asyncio.run(InDoubt(house, OnALoop()).by_async())
    else:
        before, after = InDoubt(house, OnAThread()).by_blocking()
    assert before == ["POST"]
    assert after == "succeeded"


def test_a_blocking_courier_holds_it_and_goes_on_at_the_next_call(house: House) -> None:
    with house.blocking_courier(transport=Desk(house)) as courier:
        courier.pause(None, "paper", **ASHA)
        assert status_of(courier.deliver(evidence("ev-1")).status) == "held"
        assert status_of(courier.deliver(evidence("ev-1")).status) == "held"
        courier.resume(None, "paper", **BO)
        assert status_of(courier.deliver(evidence("ev-1")).status) == "succeeded"


def test_both_are_idempotent_and_say_what_was_so_before(house: House) -> None:
    SqliteStore(str(house.database)).close()
    with Records.open(house.database, clock=house.clock) as records:
        first = records.pause("acme", **ASHA)
        house.clock.advance(60)
        assert records.pause("acme", by="bo", reason="another") == first
        assert list(records.paused()) == [first]
        assert records.resume("globex", **BO) is None
        assert records.resume("acme", **BO) == first
        assert records.resume("acme", **BO) is None
        assert list(records.paused()) == []


def test_a_release_of_what_is_paused_names_the_verb_for_it(house: House) -> None:
    with house.blocking_courier(transport=Desk(house)) as courier:
        courier.pause("acme", **ASHA)
        courier.deliver(evidence("ev-1"))
        (skipped,) = courier.release("acme", "ev-1", **BO).skipped
        assert skipped.reason == "a person has paused it: resume the tenant or the provider"
        assert courier.abandon("acme", "ev-1", **BO).done


def test_two_pauses_hold_until_both_are_over(house: House) -> None:
    with house.blocking_courier(transport=Desk(house)) as courier:
        courier.pause("acme", **ASHA)
        courier.pause(None, "paper", by="bo", reason="its maintenance")
        courier.deliver(evidence("ev-1"))
        courier.resume("acme", **BO)
        assert status_of(courier.deliver(evidence("ev-1")).status) == "held"
        courier.resume(None, "paper", **BO)
        assert status_of(courier.deliver(evidence("ev-1")).status) == "succeeded"


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_call_that_names_no_target_or_no_reason_is_refused(house: House, verb: str) -> None:
    SqliteStore(str(house.database)).close()
    with Records.open(house.database) as records:
        with pytest.raises(MisuseError, match="name a tenant, a provider or both"):
            getattr(records, verb)(**ASHA)
        with pytest.raises(MisuseError, match="reason must say why"):
            getattr(records, verb)("acme", by="asha", reason=" ")


def test_a_list_says_once_who_has_paused_an_upload(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            await courier.pause("acme", **ASHA)
            await courier.submit(evidence("ev-1")).settled()

    asyncio.run(story())
    listed = command("status", "--db", str(house.database)).stdout
    assert listed.count("paused by asha") == 1
    assert "waits for: a person, who resumes it" in listed
    resumed = ("--tenant", "acme", "--by", "bo", "--reason", "it is over")
    assert command("resume", "--db", str(house.database), *resumed).exit_code == 0
    for words in (("status",), ("show", "acme", "ev-1")):
        said = command(words[0], "--db", str(house.database), *words[1:]).stdout
        assert "waits for: a courier, which takes it up: the pause is over" in said
        assert "who resumes it" not in said


def test_the_command_line_pauses_and_resumes(house: House) -> None:
    with closing(SqliteStore(str(house.database))):
        pass
    db, why = ("--db", str(house.database)), ("--by", "asha", "--reason", "an audit")
    result = command("pause", *db, "--tenant", "acme", *why, "--yes")
    assert (result.exit_code, result.stdout[:35]) == (0, "tenant acme: paused by asha since 2")
    result = command("pause", *db, "--tenant", "acme", *why)
    assert result.stdout.startswith("tenant acme: already paused by asha since 2")
    (row,) = json.loads(
        command("pause", *db, "--provider", "vanta", *why, "--yes", "--json").stdout
    )
    assert (row["tenant_id"], row["provider"], row["by"]) == (None, "vanta", "asha")
    result = command("resume", *db, "--tenant", "acme", *why)
    assert result.exit_code == 0
    assert result.stdout.startswith("tenant acme is resumed; it was paused by asha since ")
    result = command("resume", *db, "--tenant", "acme", *why)
    assert result.exit_code == 1
    assert result.stderr.startswith("tenant acme is not paused; paused: vanta; tenant 'acme' has")
    result = command("resume", *db, "--provider", "vantaa", *why)
    assert result.stderr == "provider vantaa is not paused; did you mean 'vanta'?\n"
    result = command("pause", *db, *why)
    assert (result.exit_code, "name a tenant, a provider or both" in result.stderr) == (2, True)


class TokenProvider(PaperProvider):
    """Paper that asks for a token first."""

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        assert isinstance(settings, PaperSettings)
        key = settings.key.reveal()
        token = yield from access(Access(key, lambda: self.mint(key)))
        if isinstance(token, Failure):
            return Rejected(token)
        return (yield from super().upload(parcel, settings, progress))

    def mint(self, key: str) -> Dialogue[MintedToken | Failure]:
        headers = (("evidence", "token"), ("key", key), ("date", "any"))
        reply = yield from fetch(HttpRequest("POST", "https://paper.test/token", headers))
        assert isinstance(reply, HttpResponse)
        if reply.status == 401:
            return Failure(FailureKind.UNAUTHORIZED, "no", http_status=401)
        return MintedToken(Secret("a token of paper"), 3600)


@define
class SlowToken:
    """The house's server, which answers when it may."""

    house: House
    may: asyncio.Event
    asked: asyncio.Event

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        self.asked.set()
        await self.may.wait()
        return await self.house.server.send(request, route)

    async def close(self) -> None: ...


def test_a_token_that_is_refused_during_a_pause_blocks_behind_it(house: House) -> None:
    """The upload that asked fails and the others are held; neither a mended key nor time sends
    anything before the pause is over; then each goes, once."""
    house.server.answer = lambda _name, _nth: 401

    async def story() -> None:
        slow = SlowToken(house, asyncio.Event(), asyncio.Event())
        around: Any = {"providers": {"paper": TokenProvider()}, "transport": slow}
        async with house.courier(**around) as courier:
            first, second = (courier.submit(evidence(name)) for name in ("ev-1", "ev-2"))
            await slow.asked.wait()
            await courier.pause("acme", **ASHA)
            slow.may.set()
            ends = [status_of(await one.settled(30)) for one in (first, second)]
            assert set(ends) <= {"failed", "held"} and "failed" in ends
            requests = house.server.asked.total()
            house.server.answer = lambda _name, _nth: 200
            house.keys.values["KEY"] = "a mended key"
            await courier.reload()
            for _ in range(3):
                await maintained(courier, house)
            assert house.server.asked.total() == requests
            assert await courier.resume("acme", **BO) is not None
            for _ in range(5):
                await maintained(courier, house)
            found = await courier.statuses("acme", ["ev-1", "ev-2"])
            assert [one.status for one in found.values()] == ["succeeded"] * 2

    asyncio.run(story())
    assert sorted(name for name, _ in house.server.held if name != "token") == ["ev-1", "ev-2"]


def test_what_has_no_upload_is_paused_only_if_that_is_meant(house: House) -> None:
    async def one_upload() -> None:
        async with house.courier() as courier:
            await courier.submit(evidence("ev-1")).settled()

    asyncio.run(one_upload())
    db, why = ("--db", str(house.database)), ("--by", "asha", "--reason", "an audit")
    meant = {
        ("--tenant", "ACME"): "tenant 'ACME' has no upload in",
        ("--provider", "papre"): "no upload to 'papre' is in",
        ("--tenant", "acme", "--provider", "papre"): "no upload to 'papre' is in",
    }
    for scope, said in meant.items():
        refused = command("pause", *db, *scope, *why)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert said in refused.stderr
        assert "; did you mean '" in refused.stderr
        assert "? Nothing was paused: " in refused.stderr
    with Records.open(house.database) as records:
        assert records.paused() == []
    assert command("pause", *db, "--tenant", "acme", *why).exit_code == 0
    wrong = command("resume", *db, "--tenant", "ACME", *why)
    assert (wrong.exit_code, wrong.stderr) == (
        1,
        "tenant ACME is not paused; did you mean 'tenant acme'?\n",
    )
    assert command("resume", *db, "--tenant", "acme", *why).exit_code == 0
    nothing = command("resume", *db, "--tenant", "ACME", *why)
    assert nothing.stderr.endswith("; did you mean 'acme'?\n")


def test_neither_retry_nor_release_is_for_what_a_person_has_paused(house: House) -> None:
    async def held() -> None:
        async with house.courier() as courier:
            await courier.pause("acme", **ASHA)
            await courier.submit(evidence("ev-1")).settled()

    asyncio.run(held())
    why = ("--by", "asha", "--reason", "an audit")
    for word in ("retry", "release"):
        refused = command(word, "--db", str(house.database), "acme", "ev-1", *why)
        assert (refused.exit_code, refused.stderr) == (
            1,
            "acme/ev-1: a person has paused it: resume the tenant or the provider\n",
        )
