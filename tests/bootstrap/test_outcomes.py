"""Evidence that a tenant's settings exclude: recorded as skipped, and not sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve
from click.testing import CliRunner
from store_fixtures import House, Keys, PaperProvider, evidence, tenant

from evidence_courier import AsyncCourier, Evidence, UploadStatus
from evidence_courier.adapters.config import load_mapping
from evidence_courier.adapters.plugins import discover_providers
from evidence_courier.adapters.stores.sqlite.inspection import inspect
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.domain.evidence.evidence import Outcome
from evidence_courier.domain.integration import Route
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.ports.logger import UploadRequeued, UploadSettled
from evidence_courier.testing.scripted_transport import reply

EXHAUSTED = evolve(evidence(), outcome=Outcome.EXHAUSTED)
BOTH = (Outcome.PASSED, Outcome.EXHAUSTED)


class Person(PaperProvider):
    """Files what is said of a person: by default only who has passed."""

    chosen: ClassVar[Any] = (Outcome.PASSED,)

    def default_outcomes(self, settings: object) -> Any:
        return self.chosen


class Taker:
    """A `BlockingTransport` to a server that takes everything."""

    requests = 0

    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        Taker.requests += 1
        return reply()

    def close(self) -> None:
        pass


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db", tenants={"acme": tenant(outcomes=["passed"])})


def including_both(house: House) -> None:
    house.tenants = {"acme": tenant(outcomes=["passed", "exhausted"])}


async def end_of(courier: AsyncCourier, submitted: Evidence) -> UploadStatus:
    ticket = courier.submit(submitted)
    await courier.quiet()
    status = await ticket.settled(timeout=5)
    assert status is not None
    return status


def test_what_the_settings_exclude_is_skipped_with_the_reason(house: House) -> None:
    heard: list[UploadStatus] = []

    async def story() -> None:
        async with house.courier(on_settled=heard.append) as courier:
            status = await end_of(courier, EXHAUSTED)
            assert (status.status, status.attempts) == ("skipped", 0)
            assert status.error is not None
            assert status.error.kind == "outcome_excluded"
            assert status.error.message.startswith(
                "the outcome is exhausted, and tenant 'acme' sends only passed to paper: "
                "nothing was sent"
            )
            assert (await end_of(courier, evidence("ev-2"))).status == "succeeded"
            await courier.drain()
            page = await courier.find(status="skipped")
            assert [one.evidence_id for one in page.uploads] == ["ev-1"]
            assert (await courier.health()).counts["skipped"] == 1

    asyncio.run(story())
    assert house.server.asked == {"ev-2": 1}
    assert [one.status for one in heard] == ["skipped", "succeeded"]
    assert [e.status.status for e in house.logger.events if isinstance(e, UploadSettled)] == [
        "skipped",
        "succeeded",
    ]
    assert inspect(str(house.database)).breaches == ()


def test_submitted_again_under_settings_that_include_it_it_is_sent(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            await end_of(courier, EXHAUSTED)
            assert (await end_of(courier, EXHAUSTED)).status == "skipped"
            including_both(house)
            await courier.reload()
            assert (await end_of(courier, EXHAUSTED)).status == "succeeded"
            assert (await end_of(courier, EXHAUSTED)).status == "succeeded"

    asyncio.run(story())
    assert house.server.asked == {"ev-1": 1}
    again = [event for event in house.logger.events if isinstance(event, UploadRequeued)]
    assert [event.reason for event in again] == ["its settings no longer exclude it"]


@pytest.mark.parametrize("included", [True, False])
def test_without_a_background_it_is_queued_for_another_courier(
    house: House, included: bool
) -> None:
    async def story() -> None:
        async with house.courier(background=False) as web:
            await web.submit(EXHAUSTED).recorded()
            if included:
                including_both(house)
                await web.reload()
            ticket = web.submit(EXHAUSTED)
            await ticket.recorded()
            async with house.courier(background=False) as worker:
                assert (await worker.deliver_due()).settled == included
            status = await ticket.settled()
            assert status is not None
            assert status.status == ("succeeded" if included else "skipped")

    asyncio.run(asyncio.wait_for(story(), 20))
    assert house.server.asked == ({"ev-1": 1} if included else {})


def test_a_retry_sends_it_only_if_the_settings_include_it(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            await end_of(courier, EXHAUSTED)
            for included, after in ((False, "skipped"), (True, "succeeded")):
                if included:
                    including_both(house)
                    await courier.reload()
                await courier.retry("acme", "ev-1", by="asha", reason="we want it there")
                await courier.quiet()
                assert (await courier.statuses("acme", ["ev-1"]))["ev-1"].status == after

    asyncio.run(story())
    assert house.server.asked == {"ev-1": 1}


def test_what_waits_is_skipped_if_its_settings_exclude_it_meanwhile(house: House) -> None:
    including_both(house)
    house.server.answer = lambda evidence_id, nth: 429

    async def story() -> None:
        async with house.courier() as courier:
            courier.submit(EXHAUSTED)
            await courier.quiet()
            house.tenants = {"acme": tenant(outcomes=["passed"])}
            await courier.close()
        async with house.courier() as courier:
            await courier.quiet()
            house.clock.advance(3600)
            await courier.quiet()
            details = await courier.show("acme", "ev-1")
            assert details is not None
            assert (details.status, len(details.history)) == ("skipped", 1)

    asyncio.run(story())
    assert house.server.asked == {"ev-1": 1}


def test_a_blocking_courier_skips_it_and_sends_it_later(house: House) -> None:
    with house.blocking_courier(transport=Taker()) as courier:
        delivery = courier.deliver(EXHAUSTED)
        assert delivery.status is not None
        assert (delivery.status.status, delivery.again_at) == ("skipped", None)
        including_both(house)
        courier.reload()
        status = courier.deliver(EXHAUSTED).status
        assert status is not None
        assert (status.status, Taker.requests) == ("succeeded", 1)


def test_a_document_that_is_too_large_as_well_is_skipped_and_later_fails(house: House) -> None:
    async def story() -> None:
        house.tenants = {"acme": tenant(outcomes=["passed"], max_bytes=3)}
        async with house.courier() as courier:
            assert (await end_of(courier, EXHAUSTED)).status == "skipped"
            house.tenants = {"acme": tenant(max_bytes=3)}
            await courier.reload()
            status = await end_of(courier, EXHAUSTED)
            assert status.error is not None
            assert (status.status, status.error.kind) == ("failed", "unfit_size")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("provider", "block", "outcomes"),
    [
        (PaperProvider(), {}, BOTH),
        (Person(), {}, (Outcome.PASSED,)),
        (Person(), {"outcomes": ["exhausted", "passed", "exhausted"]}, BOTH[::-1]),
        (Person(), {"outcomes": None}, (Outcome.PASSED,)),
    ],
)
def test_the_file_counts_more_than_the_provider(
    provider: PaperProvider, block: dict[str, object], outcomes: tuple[Outcome, ...]
) -> None:
    loaded = load_mapping({"acme": tenant(**block)}, providers={"paper": provider}, secrets=Keys())
    assert loaded.integrations["acme"].outcomes == outcomes


@pytest.mark.parametrize("chosen", [(), None, ("passed",), [Outcome.PASSED]])
def test_a_provider_that_chooses_no_outcomes_is_refused_by_name(chosen: object) -> None:
    provider = Person()
    provider.chosen = chosen  # type: ignore[misc]
    loaded = load_mapping({"acme": tenant()}, providers={"paper": provider}, secrets=Keys())
    (problem,) = loaded.problems
    assert "the provider paper" in problem.message
    assert "default_outcomes" in problem.message


def test_a_person_is_sent_only_what_was_passed_unless_the_file_says_more() -> None:
    drata = {"provider": "drata", "api_key": "${KEY}"}
    secureframe = {"provider": "secureframe", "api_key": "${KEY}", "api_secret": "${KEY}"}
    library = {"to": "library", "workspace": 1, "owner": 2}
    test = {"test": "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"}
    blocks = {
        "drata": drata,
        "drata-address": drata | {"user_by": "address"},
        "drata-hipaa": drata | {"document_type": "HIPAA_TRAINING_EVIDENCE"},
        "secureframe": secureframe,
        "drata-library": drata | library,
        "secureframe-test": secureframe | test,
        "drata-both": drata | {"outcomes": ["passed", "exhausted"]},
    }
    loaded = load_mapping(
        {name: {"integrations": {"compliance": block}} for name, block in blocks.items()},
        providers=discover_providers(),
        secrets=Keys(),
    )
    assert loaded.problems == ()
    only_passed = {
        name for name, one in loaded.integrations.items() if one.outcomes == (Outcome.PASSED,)
    }
    assert only_passed == {"drata", "drata-address", "drata-hipaa", "secureframe"}


def test_check_says_which_outcomes_of_each_tenant_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "a-key-that-nobody-may-see")
    for name, more in (("acme", ""), ("globex", "    outcomes: [passed, exhausted]\n")):
        (tmp_path / f"{name}.yaml").write_text(
            f"integrations:\n  compliance:\n    provider: drata\n    api_key: ${{KEY}}\n{more}"
        )
    lines = CliRunner().invoke(app, ["check", str(tmp_path)]).stdout.splitlines()
    cells = [line.split("\t") for line in lines]
    outcomes = cells[0].index("outcomes")
    assert [(row[0], row[outcomes]) for row in cells[1:]] == [
        ("acme", "passed"),
        ("globex", "passed, exhausted"),
    ]
