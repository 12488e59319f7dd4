"""Evidence of a tenant that the configuration does not name, or whose part of it is invalid, does
not vanish without a word. On all three faces."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from click.testing import CliRunner
from store_fixtures import Desk, House, PaperProvider, evidence, tenant

from evidence_courier import AsyncCourier, ConfigError, Courier, Evidence, MisuseError, UploadStatus
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap import tenants as bootstrap_tenants
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.delivery import log_facts
from evidence_courier.domain.upload.find import Find
from evidence_courier.domain.upload.status import wait_for_integration, wait_for_valid
from evidence_courier.ports.logger import (
    ConfigurationDoubtful,
    ConfigurationLoaded,
    ConfigurationRefused,
    EvidenceConflict,
    LogEvent,
    TenantUnknown,
    UploadHeld,
    UploadsWait,
)
from evidence_courier.testing.contracts.stored import entry

E_ACUTE, DECOMPOSED = "r\u00e9sum", "re\u0301sum"


@define
class Face(ABC):
    """One way to use a courier: each call opens one, has the evidences delivered and closes it."""

    house: House

    @abstractmethod
    def deliver(self, *evidences: Evidence, **options: Any) -> list[UploadStatus | None]: ...

    def submitted_again(self, known: Evidence, **options: Any) -> UploadStatus:
        """How a known upload is that does not settle, after it was submitted."""

        with self.house.sync_courier(**options) as courier:
            courier.submit(known).recorded()
            if known.tenant_id in self.house.tenants:
                courier.drain()
            return courier.statuses(known.tenant_id, [known.evidence_id])[known.evidence_id]

    @abstractmethod
    def seen(self, look: Callable[[Any], Any], **options: Any) -> Any: ...

    def logged(self, kind: type[LogEvent]) -> list[Any]:
        return [event for event in self.house.logger.events if isinstance(event, kind)]


class Asynchronous(Face):
    def deliver(self, *evidences: Evidence, **options: Any) -> list[UploadStatus | None]:
        async def story() -> list[UploadStatus | None]:
            async with self.house.courier(**options) as courier:
                tickets = [courier.submit(one) for one in evidences]
                await courier.drain()
                return [await ticket.settled(timeout=5) for ticket in tickets]

        return asyncio.run(story())

    def seen(self, look: Callable[[Any], Any], **options: Any) -> Any:
        return look(self.house.courier(**options))


class Synchronous(Face):
    def deliver(self, *evidences: Evidence, **options: Any) -> list[UploadStatus | None]:
        with self.house.sync_courier(**options) as courier:
            tickets = [courier.submit(one) for one in evidences]
            courier.drain()
            return [ticket.settled(timeout=5) for ticket in tickets]

    def seen(self, look: Callable[[Any], Any], **options: Any) -> Any:
        with self.house.sync_courier(**options) as courier:
            return look(courier)


class Blocking(Face):
    def deliver(self, *evidences: Evidence, **options: Any) -> list[UploadStatus | None]:
        with self.house.blocking_courier(transport=Desk(self.house), **options) as courier:
            return [courier.deliver(one).status for one in evidences]

    def submitted_again(self, known: Evidence, **options: Any) -> UploadStatus:
        with self.house.blocking_courier(transport=Desk(self.house), **options) as courier:
            delivery = courier.deliver(known)
            assert delivery.status is not None
            assert delivery.again_at == self.house.clock.now() + timedelta(minutes=1)
            return delivery.status

    def seen(self, look: Callable[[Any], Any], **options: Any) -> Any:
        with self.house.blocking_courier(**options) as courier:
            return look(courier)


@pytest.fixture(params=[Asynchronous, Synchronous, Blocking])
def face(request: pytest.FixtureRequest, tmp_path: Path) -> Face:
    made: Face = request.param(House(tmp_path / "courier.db"))
    return made


def test_an_unknown_tenant_is_logged_once_for_each_id(face: Face) -> None:
    given = [evidence(f"ev-{n}", tenant_id=one) for n, one in enumerate(["x", "y", "x", "initech"])]
    assert face.deliver(*given) == [None] * 4
    unknown = face.logged(TenantUnknown)
    assert [(one.tenant_id, one.path) for one in unknown] == [
        ("x", "a mapping"),
        ("y", "a mapping"),
    ]


def test_an_unknown_tenant_is_ignored_or_raised_as_the_host_wishes(face: Face) -> None:
    face.deliver(evidence(tenant_id="x"), on_unknown_tenant="ignore")
    assert face.logged(TenantUnknown) == []
    with pytest.raises(MisuseError, match=r"'globx' is not in .*did you mean 'globex'"):
        face.deliver(evidence(tenant_id="globx"), on_unknown_tenant="raise")
    with pytest.raises(MisuseError, match=r"'GLOBEX' is not in .*did you mean 'globex'"):
        face.deliver(evidence(tenant_id="GLOBEX"), on_unknown_tenant="raise")
    house = face.house
    house.tenants["acme"] = tenant(shelves="b")
    house.tenants["umbrella"] = {"tenant": 7}
    options: Any = {"on_unknown_tenant": "raise", "on_invalid": "skip"}
    known = [evidence("ev-1", tenant_id=one) for one in ("acme", "initech", "umbrella", "globex")]
    words = [status and status.status for status in face.deliver(*known, **options)]
    assert words == ["held", None, None, "succeeded"]
    (told,) = face.logged(TenantUnknown)
    assert (told.tenant_id, told.path[:27]) == ("umbrella", "umbrella.tenant: must be te")
    with pytest.raises(MisuseError, match="on_unknown_tenant must be"):
        face.seen(lambda courier: courier, on_unknown_tenant="shout")


def test_the_set_of_logged_tenants_is_bounded(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap_tenants, "MAX_LOGGED", 2)
    given = [evidence(tenant_id=one) for one in ("a", "b", "c", "c", "b", "a")]
    face.deliver(*given)
    assert [one.tenant_id for one in face.logged(TenantUnknown)] == ["a", "b", "c", "a"]


def test_a_ticket_says_that_its_tenant_has_no_integration(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")

    async def story() -> None:
        async with house.courier() as courier:
            with_one, without = courier.submit(evidence()), courier.submit(evidence(tenant_id="x"))
            await with_one.settled(timeout=5)
            assert repr(with_one) == "<Ticket acme/ev-1 settled>"
            assert repr(without) == "<Ticket x/ev-1 no integration>"

    asyncio.run(story())
    with house.sync_courier() as courier:
        assert repr(courier.submit(evidence(tenant_id="x"))) == "<SyncTicket x/ev-1 no integration>"


def test_evidence_of_an_invalid_tenant_is_held_until_the_file_is_mended(face: Face) -> None:
    house = face.house
    house.tenants["acme"] = tenant(shelves="b")
    enabled = face.seen(lambda courier: courier.enabled("acme"), on_invalid="skip")
    assert enabled
    (held,) = face.deliver(evidence(), on_invalid="skip")
    assert held is not None and held.error is not None
    assert (held.status, held.provider, held.attempts) == ("held", "?", 0)
    assert held.error.kind == "integration_invalid"
    assert "shelves" in held.error.message
    (again,) = face.deliver(evidence(), on_invalid="skip")
    assert again == held
    house.tenants["acme"] = tenant(shelf="b")
    (status,) = face.deliver(evidence())
    assert status is not None
    assert (status.status, status.provider, status.attempts) == ("succeeded", "paper", 1)
    assert house.server.held == [("ev-1", b"%PDF-1.7 evidence")]
    assert face.logged(EvidenceConflict) == []


@pytest.mark.parametrize("action", ["abandon", "attest"])
def test_what_a_person_decided_before_the_file_is_mended_counts(face: Face, action: str) -> None:
    house = face.house
    house.tenants["acme"] = tenant(shelves="b")
    face.deliver(evidence(), on_invalid="skip")
    with house.sync_courier(on_invalid="skip") as courier:
        (done,) = getattr(courier, action)("acme", "ev-1", by="ann", reason="seen").done
    house.tenants["acme"] = tenant(shelf="b")
    (again,) = face.deliver(evidence())
    assert again is not None
    assert (again.status, again.error) == (done.status, done.error)
    assert (again.provider, again.attempts) == ("paper", 0)
    assert house.server.held == []
    with closing(SqliteStore(str(house.database))) as store:
        page = store.find(Find(tenant_id="acme"), house.clock.now())
        details = store.show("acme", "ev-1", house.clock.now())
    assert [one.provider for one in page.uploads] == ["paper"]
    assert details is not None
    assert [(one.action, one.by) for one in details.actions] == [(action, "ann")]


def test_what_is_released_too_early_is_held_until_the_file_is_mended(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    house.tenants["acme"] = tenant(shelves="b")

    async def story() -> None:
        async with house.courier(on_invalid="skip") as courier:
            await courier.submit(evidence()).settled(timeout=5)
            await courier.release("acme", "ev-1", by="ann", reason="go")
            house.clock.advance(10)
            await courier.quiet()
            held = (await courier.statuses("acme", ["ev-1"]))["ev-1"]
            assert held.status == "held" and held.error is not None
            assert held.error.kind == "integration_invalid"
            await courier.release("acme", "ev-1", by="ann", reason="go")
            house.tenants["acme"] = tenant(shelf="b")
            await courier.reload()
            for _ in range(3):
                house.clock.advance(10)
                await courier.quiet()
            status = (await courier.statuses("acme", ["ev-1"]))["ev-1"]
            assert (status.status, status.provider) == ("succeeded", "paper")

    asyncio.run(story())


def test_evidence_stays_one_upload_when_its_tenants_file_breaks(face: Face) -> None:
    """Submitting what is known again changes nothing about it: what waits goes on waiting."""
    house = face.house
    (delivered,) = face.deliver(evidence())
    with closing(SqliteStore(str(house.database))) as store:
        store.add([entry("ev-2", provider="paper")])
        house.tenants["acme"] = tenant(shelves="b")
        assert face.deliver(evidence(), on_invalid="skip") == [delivered]
        waiting = face.submitted_again(evidence("ev-2"), on_invalid="skip")
        assert (waiting.status, waiting.provider) == ("pending", "paper")
        assert waiting.waits_for == wait_for_valid("acme")
        assert (face.logged(UploadHeld), house.server.held[1:]) == ([], [])
        page = store.find(Find(tenant_id="acme"), house.clock.now())
        assert sorted(one.evidence_id for one in page.uploads) == ["ev-1", "ev-2"]
        house.tenants["acme"] = tenant(shelf="b")
        (status,) = face.deliver(evidence("ev-2"))
        assert status is not None and status.status == "succeeded"
    assert len(house.server.held) == 2


def test_a_ticket_waits_until_the_file_of_a_known_upload_is_mended(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    with closing(SqliteStore(str(house.database))) as store:
        store.add([entry("ev-1", provider="paper")])
    house.tenants["acme"] = tenant(shelves="b")

    async def story() -> None:
        async with house.courier(on_invalid="skip") as courier:
            ticket = courier.submit(evidence())
            await courier.drain()
            assert house.server.held == []
            assert (await courier.statuses("acme", ["ev-1"]))["ev-1"].status == "pending"
            house.tenants["acme"] = tenant()
            await courier.reload()
            status = await ticket.settled(timeout=5)
            assert status is not None
            assert (status.status, status.provider, status.attempts) == ("succeeded", "paper", 1)

    asyncio.run(story())
    assert [name for name, _ in house.server.held] == ["ev-1"]


def test_a_mended_tenant_is_gone_on_with_by_a_reload(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    house.tenants[E_ACUTE] = tenant(shelves="b")

    async def story() -> None:
        async with house.courier(on_invalid="skip") as courier:
            given = [evidence(f"ev-{n}", tenant_id=DECOMPOSED) for n in range(3)]
            for ticket in [courier.submit(one) for one in given]:
                held = await ticket.settled(timeout=5)
                assert held is not None
                assert (held.status, held.tenant_id) == ("held", DECOMPOSED)
            house.tenants[E_ACUTE] = tenant()
            await courier.reload()
            await courier.quiet()
            await courier.drain()
            ids = [one.evidence_id for one in given]
            found = (await courier.statuses(DECOMPOSED, ids)).values()
            assert {(one.status, one.provider) for one in found} == {("succeeded", "paper")}

    asyncio.run(story())


def test_a_block_that_is_no_mapping_is_one_and_an_invalid_id_alone_is_none(face: Face) -> None:
    face.house.tenants["acme"] = {"integrations": {"compliance": "paper"}}
    face.house.tenants["globex"] = {"integrations": [], "tenant": "globex"}
    given = [evidence(tenant_id="acme"), evidence(tenant_id="globex")]
    held, nothing = face.deliver(*given, on_invalid="skip")
    assert held is not None
    assert (held.status, nothing) == ("held", None)


@pytest.mark.parametrize(("written", "asked"), [(E_ACUTE, DECOMPOSED), (DECOMPOSED, E_ACUTE)])
def test_ids_are_looked_up_in_one_form_and_recorded_as_they_are_given(
    face: Face, written: str, asked: str
) -> None:
    house = face.house
    house.tenants[written] = tenant()
    assert face.seen(lambda courier: courier.enabled(asked))
    (status,) = face.deliver(evidence(tenant_id=asked))
    assert status is not None
    assert (status.status, status.tenant_id) == ("succeeded", asked)
    assert face.logged(TenantUnknown) == []
    house.tenants[unicodedata.normalize("NFD", written)] = tenant()
    house.tenants[unicodedata.normalize("NFC", written)] = tenant()
    problems = face.seen(lambda courier: courier.problems, on_invalid="skip")
    assert any("is also in" in str(problem) for problem in problems)


def test_problems_list_what_is_not_in_force(face: Face) -> None:
    house = face.house
    assert face.seen(lambda courier: tuple(courier.problems)) == ()
    house.tenants["acme"] = tenant(shelves="b")
    (problem,) = face.seen(lambda courier: courier.problems, on_invalid="skip")
    assert problem.path == "acme.integrations.compliance.shelves"
    (other,) = face.seen(lambda courier: courier.problems, block="integrations.grc")
    assert str(other) == (
        "no tenant has the block `integrations.grc`, so nothing will be sent for any"
    )


def test_what_was_refused_at_a_reload_is_among_the_problems(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    with house.sync_courier() as courier:
        house.tenants["acme"] = tenant(shelves="b")
        with pytest.raises(Exception, match="shelves"):
            courier.reload()
        assert "shelves" in str(courier.problems[0])
        house.tenants["acme"] = tenant()
        courier.reload()
        assert courier.problems == ()


def test_what_was_open_before_the_file_broke_says_what_it_waits_for(tmp_path: Path) -> None:
    """In the status, on the command line beside the courier, and once in the log."""
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda _id, _nth: 503
    told = wait_for_valid("acme")

    def waits() -> Any:
        words = ["status", "--tenant", "acme", "--db", str(house.database), "--json"]
        found = CliRunner().invoke(app, words)
        return [one["waits_for"] for one in json.loads(found.stdout)]

    async def story() -> None:
        async with house.courier() as courier:
            for name in ("ev-1", "ev-2"):
                await courier.submit(evidence(name)).recorded()
            await courier.quiet()
        house.tenants["acme"] = tenant(shelves="b")
        house.clock.advance(3600)
        async with house.courier(on_invalid="skip") as courier:
            for _ in range(3):
                house.clock.advance(10)
                await courier.quiet()
            page = await courier.find(tenant_id="acme")
            assert [(one.status, one.waits_for) for one in page.uploads] == [("retrying", told)] * 2
            assert waits() == [told] * 2
            assert {one.next_attempt_at for one in page.uploads} == {None}
            await asyncio.wait_for(courier.drain(), 5)
            said = [event for event in house.logger.events if isinstance(event, UploadsWait)]
            assert said == [UploadsWait("acme", "paper", told, None)]
            house.tenants["acme"] = tenant()
            house.server.answer = lambda _id, _nth: 200
            await courier.reload()
            await courier.quiet()
            assert told not in waits()
            for _ in range(3):
                house.clock.advance(10)
                await courier.quiet()
            assert waits() == [None] * 2
            statuses = await courier.statuses("acme", ["ev-1", "ev-2"])
            assert {one.status for one in statuses.values()} == {"succeeded"}

    asyncio.run(story())


def test_a_task_queue_sees_too_what_waits_for_a_valid_file(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    with closing(SqliteStore(str(house.database))) as store:
        store.add([entry(provider="paper")])
    house.tenants["acme"] = tenant(shelves="b")
    with house.blocking_courier(on_invalid="skip") as courier:
        courier.recover()
        (status,) = courier.statuses("acme", ["ev-1"]).values()
        assert (status.status, status.waits_for) == ("pending", wait_for_valid("acme"))
        house.tenants["acme"] = tenant()
        courier.reload()
        courier.recover()
        (status,) = courier.statuses("acme", ["ev-1"]).values()
        assert status.waits_for != wait_for_valid("acme")


@pytest.mark.parametrize("on_invalid", ["raise", "skip"])
@pytest.mark.parametrize("opened", [House.sync_courier, House.blocking_courier])
def test_a_reload_says_what_is_in_force_now(
    tmp_path: Path, opened: Callable[..., Any], on_invalid: str
) -> None:
    """What is skipped keeps what it had; what is refused is refused whole."""
    house, skips = House(tmp_path / "courier.db"), on_invalid == "skip"
    del house.tenants["globex"]
    with opened(house, on_invalid=on_invalid) as courier:
        house.tenants |= {"acme": tenant(shelves="b"), "globex": tenant()}
        with nullcontext() if skips else pytest.raises(ConfigError, match="shelves"):
            courier.reload()
        assert (courier.enabled("acme"), courier.enabled("globex")) == (True, skips)
    (refused,) = [one for one in house.logger.events if isinstance(one, ConfigurationRefused)]
    loaded = [one for one in house.logger.events if isinstance(one, ConfigurationLoaded)]
    assert loaded[-1].with_integration == (("acme", "globex") if skips else ("acme",))
    said = log_facts.account_of(refused).sentence
    assert said.startswith(
        "not in force, as it is invalid; of these tenants what they had before stays in force, the "
        "others are taken: acme.integrations.compliance.shelves: "
        if skips
        else "configuration not taken, the old one stays in force: acme."
    )


@pytest.mark.parametrize("on_invalid", ["raise", "skip"])
@pytest.mark.parametrize("opened", [House.sync_courier, House.blocking_courier])
def test_a_reload_that_finds_no_tenant_changes_nothing(
    tmp_path: Path, opened: Callable[..., Any], on_invalid: str
) -> None:
    """A folder that is not mounted is as empty as one whose tenants have all left."""
    house = House(tmp_path / "courier.db")
    with opened(house, on_invalid=on_invalid) as courier:
        kept = dict(house.tenants)
        house.tenants.clear()
        with pytest.raises(ConfigError, match="a mapping names no tenant any more"):
            courier.reload()
        assert (courier.enabled("acme"), len(courier.problems)) == (True, 1)
        house.tenants |= {name: {} for name in kept}
        courier.reload()
        assert (courier.enabled("acme"), courier.problems) == (False, ())
        house.tenants.clear()
        courier.reload()
        house.tenants |= kept
        courier.reload()
        assert courier.enabled("acme")


def test_an_emptied_folder_is_refused_at_a_reload_and_named(tmp_path: Path) -> None:
    (tmp_path / "tenants").mkdir()
    file = tmp_path / "tenants" / "acme.json"
    file.write_text(json.dumps(tenant()))
    house = House(tmp_path / "courier.db")
    options: Any = {"providers": {"paper": PaperProvider()}, "secrets": house.keys}
    with Courier.from_config(tmp_path / "tenants", house.database, **options) as courier:
        file.rename(tmp_path / "tenants" / "ACME.JSON")
        with pytest.raises(ConfigError) as refused:
            courier.reload()
        told = [str(problem) for problem in refused.value.problems]
        assert "names no tenant any more" in told[0]
        assert any("ACME.JSON: is not read" in one for one in told)
        assert courier.enabled("acme")


@pytest.mark.parametrize("opened", [House.sync_courier, House.blocking_courier])
def test_a_tenant_that_a_reload_does_not_find_is_logged(
    tmp_path: Path, opened: Callable[..., Any]
) -> None:
    """At the reload, and at each time that it is unknown anew."""
    house = House(tmp_path / "courier.db")

    def told(kind: type[LogEvent]) -> list[Any]:
        return [event for event in house.logger.events if isinstance(event, kind)]

    with opened(house) as courier:
        submit = courier.submit if opened is House.sync_courier else courier.deliver
        for time in (1, 2):
            acme = house.tenants.pop("acme")
            courier.reload()
            (said,) = told(ConfigurationDoubtful)[-1].warnings
            assert said.startswith("acme had an integration and is named no more")
            submit(evidence())
            submit(evidence())
            assert len(told(TenantUnknown)) == len(told(ConfigurationDoubtful)) == time
            house.tenants["acme"] = acme
            courier.reload()
        house.tenants["acme"] = {}
        courier.reload()
        assert len(told(ConfigurationDoubtful)) == 2


def test_what_a_tenant_has_open_that_is_gone_says_what_it_waits_for(tmp_path: Path) -> None:
    """Until it is held."""
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda _id, _nth: 503
    told = wait_for_integration("acme", "paper")

    async def wait(courier: AsyncCourier, seconds: float) -> UploadStatus:
        house.clock.advance(seconds)
        for _ in range(3):
            house.clock.advance(10)
            await courier.quiet()
        return (await courier.statuses("acme", ["ev-1"]))["ev-1"]

    async def story() -> None:
        async with house.courier() as courier:
            for name in ("ev-1", "ev-2"):
                await courier.submit(evidence(name)).recorded()
            await courier.quiet()
        del house.tenants["acme"]
        async with house.courier() as courier:
            found = await wait(courier, 60)
            assert (found.status, found.waits_for) == ("retrying", told)
            assert found.next_attempt_at is None
            said = [event for event in house.logger.events if isinstance(event, UploadsWait)]
            assert said == [UploadsWait("acme", "paper", told, None)]
            with closing(SqliteStore(str(house.database))) as store:  # as the command line sees it
                seen = store.statuses("acme", ["ev-1"], house.clock.now())["ev-1"]
            assert (seen.waits_for, seen.next_attempt_at) == (told, None)
            assert (await wait(courier, 600)).status == "held"

    asyncio.run(story())


def test_what_is_known_of_a_tenant_that_is_gone_has_its_ticket(face: Face) -> None:
    """What was recorded is told, be it at rest or open; nothing new is recorded."""
    house = face.house
    (delivered,) = face.deliver(evidence())
    del house.tenants["acme"]
    assert face.deliver(evidence(), evidence("ev-3")) == [delivered, None]
    with closing(SqliteStore(str(house.database))) as store:
        store.add([entry("ev-2", provider="paper")])
        waiting = face.submitted_again(evidence("ev-2"))
        assert (waiting.status, waiting.provider) == ("pending", "paper")
        page = store.find(Find(tenant_id="acme"), house.clock.now())
        assert sorted(one.evidence_id for one in page.uploads) == ["ev-1", "ev-2"]
    assert len(house.server.held) == 1


def test_a_ticket_waits_for_what_is_open_of_a_tenant_that_is_gone(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda _id, _nth: 503

    async def story() -> None:
        async with house.courier() as courier:
            await courier.submit(evidence()).recorded()
            await courier.quiet()
            del house.tenants["acme"]
            await courier.reload()
            ticket = courier.submit(evidence())
            assert repr(ticket) == "<Ticket acme/ev-1 no integration>"
            await ticket.recorded()
            waiting = asyncio.create_task(ticket.settled())
            assert not waiting.done()
            while not waiting.done():  # it looks now and then, perhaps after the last attempt
                house.clock.advance(10)
                await courier.quiet()
            status = await waiting
            assert status is not None and status.status == "failed"
            assert repr(ticket) == "<Ticket acme/ev-1 settled>"
            assert house.server.held == []

    asyncio.run(story())


@pytest.mark.parametrize("page", ["api", "configuration", "embedding", "errors", "logging"])
def test_every_page_says_what_a_reload_keeps(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / f"{page}.md").read_text()
    told = [line for line in text.splitlines() if "keeps what it had" in line]
    assert told and all('`on_invalid="skip"`' in line for line in told)


def test_the_first_load_does_not_speak_of_an_old_configuration(face: Face) -> None:
    face.house.tenants["acme"] = tenant(shelves="b")
    face.deliver(on_invalid="skip")
    (refused,) = face.logged(ConfigurationRefused)
    assert refused.first
    assert face.logged(ConfigurationDoubtful) == []


def test_a_missing_typst_is_logged_at_the_start(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evidence_courier.bootstrap.wiring.find_spec", lambda name: None)
    monkeypatch.setattr(
        "evidence_courier.bootstrap.blocking_courier.BlockingWiring.open_transport",
        lambda self: Desk(face.house),
    )
    face.deliver()
    assert "RenderingUnavailable" in {type(event).__name__ for event in face.house.logger.events}
