"""The asynchronous face as a host sees it. Nothing here runs: mypy and pyright read it."""

import sqlite3
from collections.abc import Mapping
from typing import Any, assert_type

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from evidence_courier import (
    ActionResult,
    AsyncCourier,
    Evidence,
    Filter,
    NotReady,
    Ready,
    Ticket,
    UploadStatus,
)
from evidence_courier.testing import Fakes, tenant, until_settled


async def from_files(evidence: Evidence) -> None:
    async with AsyncCourier.from_config("tenants/", database="courier.db") as courier:
        assert_type(courier, AsyncCourier)
        ticket = courier.submit(evidence)
        assert_type(ticket, Ticket)
        await ticket.recorded()
        assert_type(await ticket.settled(timeout=60), UploadStatus | None)
        assert_type(courier.enabled("acme"), bool)


async def in_a_transaction(
    courier: AsyncCourier,
    evidence: Evidence,
    awaited: psycopg.AsyncConnection[Any],
    session: AsyncSession,
    other: Session | sqlite3.Connection,
) -> None:
    assert_type(await courier.submit(evidence, connection=awaited), Ticket)
    assert_type(await courier.submit(evidence, connection=session), Ticket)
    assert_type(courier.submit(evidence, connection=other), Ticket)


async def by_id(courier: AsyncCourier) -> None:
    statuses = await courier.statuses("acme", ["ev-1"])
    assert_type(statuses, Mapping[str, UploadStatus])
    status = statuses["ev-1"]
    assert_type(status.status, str)
    assert_type(status.attempts, int)
    assert_type(status.possible_duplicate, bool)
    if status.error is not None:
        assert_type(status.error.http_status, int | None)


async def in_pages(courier: AsyncCourier) -> None:
    page = await courier.find(tenant_id="acme", status="held", limit=10)
    assert_type(page.uploads, tuple[UploadStatus, ...])
    assert_type(page.next_page, str | None)
    details = await courier.show("acme", "ev-1")
    if details is not None:
        assert_type(details.history[0].number, int)
        assert_type(details.actions[0].by, str)


async def people(courier: AsyncCourier) -> None:
    assert_type(await courier.retry("acme", "ev-1", by="asha", reason="mended"), ActionResult)
    assert_type(await courier.release("acme", Filter(), by="asha", reason="mended"), ActionResult)
    assert_type(await courier.abandon("acme", "ev-1", by="asha", reason="wrong"), ActionResult)
    assert_type(
        await courier.attest("acme", "ev-1", by="asha", reason="seen", preview=True), ActionResult
    )


async def dry_run(courier: AsyncCourier) -> None:
    assert_type(await courier.doctor("acme"), Ready | NotReady | None)
    health = await courier.health()
    assert_type(health.counts, Mapping[str, int])


async def with_fakes(evidence: Evidence) -> None:
    fakes = Fakes()
    async with AsyncCourier.from_mapping(
        {"acme": tenant(on_unclear="hold")}, **fakes.ports()
    ) as courier:
        assert_type(
            await until_settled(courier, fakes.clock, courier.submit(evidence)),
            list[UploadStatus | None],
        )


async def mistakes(courier: AsyncCourier, evidence: Evidence) -> None:
    courier.submit("ev-1")  # type: ignore[call-overload]
    courier.submit(evidence).status  # type: ignore[attr-defined]
    courier.statuses("acme", ["ev-1"])["ev-1"]  # type: ignore[index]
    await courier.retry("acme", "ev-1")  # type: ignore[call-arg]
    await courier.find(status=3)  # type: ignore[arg-type]
    AsyncCourier.from_config("tenants/", database="c.db", concurency=3)  # type: ignore[call-arg]
    AsyncCourier.from_config("tenants/", clock="noon")  # type: ignore[arg-type]
