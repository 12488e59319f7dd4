"""The faces for hosts that do not run on asyncio."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import assert_type

import psycopg
from django.db import connection as django_connection

from evidence_courier import (
    ActionResult,
    BlockingCourier,
    Courier,
    Delivery,
    Evidence,
    Filter,
    NotReady,
    Ready,
    SyncTicket,
    UploadStatus,
)
from evidence_courier.testing import Fakes, tenant


def on_a_thread(evidence: Evidence) -> None:
    with Courier.from_config("tenants/", database="courier.db") as courier:
        assert_type(courier, Courier)
        ticket = courier.submit(evidence)
        assert_type(ticket, SyncTicket)
        ticket.recorded()
        assert_type(ticket.settled(timeout=60), UploadStatus | None)
        with psycopg.connect("dbname=host") as connection:
            assert_type(courier.submit(evidence, connection=connection), SyncTicket)
        assert_type(courier.submit(evidence, connection=django_connection), SyncTicket)
        assert_type(courier.statuses("acme", ["ev-1"]), Mapping[str, UploadStatus])
        assert_type(courier.find(tenant_id="acme").uploads, tuple[UploadStatus, ...])
        assert_type(courier.retry("acme", "ev-1", by="asha", reason="mended"), ActionResult)
        assert_type(courier.attest("acme", Filter(), by="asha", reason="seen"), ActionResult)
        assert_type(courier.doctor("acme"), Ready | NotReady | None)
        assert_type(courier.reload(), None)


def in_a_worker(evidence: Evidence) -> None:
    courier = BlockingCourier.from_config("tenants/", database="courier.db")
    delivery = courier.deliver(evidence)
    assert_type(delivery, Delivery)
    assert_type(delivery.status, UploadStatus | None)
    assert_type(delivery.again_at, datetime | None)
    assert_type(courier.deliver_many([evidence]), Sequence[Delivery])
    assert_type(courier.release("acme", Filter(), by="asha", reason="mended"), ActionResult)
    assert_type(courier.doctor("acme"), Ready | NotReady | None)


def with_fakes() -> None:
    fakes = Fakes()
    assert_type(BlockingCourier.from_mapping({"acme": tenant()}, **fakes.ports()), BlockingCourier)
    assert_type(Courier.from_mapping({"acme": tenant()}, **fakes.ports()), Courier)


def mistakes(courier: Courier, worker: BlockingCourier, evidence: Evidence) -> None:
    worker.submit(evidence)  # type: ignore[call-arg]
    courier.deliver(evidence)  # type: ignore[attr-defined]
    worker.deliver()  # type: ignore[call-arg]
    courier.retry("acme", "ev-1")  # type: ignore[call-arg]
    courier.find(state="held")  # type: ignore[call-arg]
    courier.find(status="waiting")  # type: ignore[arg-type]
    worker.retry("acme", None, by="asha", reason="mended")  # type: ignore[arg-type]
    courier.submit(evidence).settled(timeout="soon")  # type: ignore[arg-type]
    BlockingCourier.from_config("tenants/", on_settled=print)  # type: ignore[call-arg]
