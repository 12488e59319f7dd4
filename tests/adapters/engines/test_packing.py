"""What waits or is kept by the thousand is few objects for a collection of garbage, and the same
afterwards."""

from __future__ import annotations

import asyncio
import gc
from contextlib import closing
from datetime import date
from typing import Any, cast

import pytest
from attrs import evolve, fields, frozen
from store_fixtures import RECORDED_AT, evidence

from evidence_courier import Document, Evidence
from evidence_courier.adapters.engines.adding import Submission
from evidence_courier.adapters.engines.packing import (
    pack_evidence,
    pack_status,
    unpack_evidence,
    unpack_status,
)
from evidence_courier.adapters.engines.ready import Ready
from evidence_courier.adapters.engines.tickets import Ticket
from evidence_courier.delivery.destinations import Destination
from evidence_courier.domain.upload.status import StatusError, UploadStatus
from evidence_courier.domain.upload.verdict import Receipt

DESTINATION = cast(Destination, "where it goes")
SUCCEEDED = UploadStatus(
    tenant_id="acme",
    evidence_id="ev-1",
    provider="paper",
    status="succeeded",
    attempts=2,
    possible_duplicate=False,
    error=None,
    last_attempt_at=RECORDED_AT,
    next_attempt_at=None,
    receipt=Receipt("r-1", "taken"),
    digest="0" * 64,
    evidence_date=date(2026, 2, 21),
    created_at=RECORDED_AT,
    updated_at=RECORDED_AT,
)
FAILED = evolve(
    SUCCEEDED, status="failed", receipt=None, error=StatusError("unfit-size", "is too large", 413)
)
SOURCE = Document(source="k", sha256="a" * 64, size=7, media_type="text/csv")


class Odd(Evidence):
    """A host's own kind."""


@frozen(kw_only=True)
class OddStatus(UploadStatus):
    """One that says more."""

    more: str


@pytest.mark.parametrize(
    "given",
    [
        evidence(),
        evolve(evidence(), document=SOURCE, subject_email="a@b.example", outcome="exhausted"),
    ],
)
def test_an_evidence_is_the_same_afterwards(given: Evidence) -> None:
    packed = pack_evidence(given)
    assert unpack_evidence(packed) == given
    assert unpack_evidence(packed).outcome is given.outcome
    assert unpack_evidence(packed).evidence_date == given.evidence_date


def test_an_evidence_of_another_kind_stays_as_it_is() -> None:
    given: Any = {one.name: getattr(evidence(), one.name) for one in fields(Evidence)}
    odd = Odd(**given)
    assert unpack_evidence(pack_evidence(odd)) is odd


@pytest.mark.parametrize("given", [SUCCEEDED, FAILED, evolve(SUCCEEDED, receipt=None)])
def test_a_status_is_the_same_afterwards(given: UploadStatus) -> None:
    assert unpack_status(pack_status(given)) == given


def test_a_status_that_says_more_stays_as_it_is() -> None:
    odd = OddStatus(**vars(SUCCEEDED), more="more")
    assert unpack_status(pack_status(odd)) is odd


def test_tenants_take_turns_with_what_is_ready() -> None:
    with closing(asyncio.new_event_loop()) as loop:
        given = [_submission(tenant, number, loop) for tenant in "ab" for number in range(2)]
        ready = Ready()
        for one in given:
            ready.put(one)
        assert [_parts(one) for one in ready] == [_parts(one) for one in given]
        taken = [one and _parts(one) for one in (ready.take() for _ in given)]
        assert taken == [_parts(given[number]) for number in (0, 2, 1, 3)]
        assert ready.take() is None
        assert len(ready) == 0


def test_a_submission_that_waits_is_its_ticket_alone() -> None:
    with closing(asyncio.new_event_loop()) as loop:
        ready, before = Ready(), _objects()
        for number in range(1_000):
            ready.put(_submission("acme", number, loop))
        assert _objects() - before < 1_100


def test_a_ticket_is_one_object_after_its_end() -> None:
    async def story() -> None:
        tickets = [Ticket("acme", str(n), asyncio.get_running_loop()) for n in range(1_000)]
        waiting = [asyncio.create_task(one.settled()) for one in tickets[:500]]
        await asyncio.sleep(0)
        before = _objects()
        for ticket in tickets:
            ticket.mark_settled(evolve(SUCCEEDED))
        assert await asyncio.gather(*waiting) == [SUCCEEDED] * 500
        del waiting
        assert _objects() - before < 100
        assert {repr(one).split()[-1] for one in tickets} == {"settled>"}
        assert [await one.settled() for one in tickets] == [SUCCEEDED] * 1_000
        assert _objects() - before < 100

    asyncio.run(story())


def test_the_first_end_of_a_ticket_stays() -> None:
    async def story() -> None:
        ticket = Ticket("acme", "ev-1", asyncio.get_running_loop())
        ticket.mark_lost(ValueError("not yet"))
        ticket.mark_settled(FAILED)
        ticket.mark_settled(SUCCEEDED)
        ticket.mark_lost(ValueError("too late"))
        assert await ticket.settled() == FAILED

    asyncio.run(story())


def _submission(tenant: str, number: int, loop: asyncio.AbstractEventLoop) -> Submission:
    it = evidence(f"ev-{number}", tenant)
    return Submission(it, DESTINATION, Ticket(tenant, it.evidence_id, loop))


def _parts(one: Submission) -> tuple[object, ...]:
    return one.evidence, one.destination, one.ticket


def _objects() -> int:
    for _ in range(3):  # a tuple is passed over once what it holds has been looked at
        gc.collect()
    return len(gc.get_objects())
