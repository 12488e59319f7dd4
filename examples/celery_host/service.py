"""A training service with a Celery worker, which delivers completed trainings to the compliance
platform of their tenant.

celery -A service worker                           deliver, as long as it runs
python service.py complete TENANT SESSION...       sessions of a tenant have ended
python service.py evidence TENANT                  the tenant's evidence, and what became of it
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import cache

from attrs import frozen
from celery import Celery, Task
from celery.signals import worker_process_shutdown

from evidence_courier import BlockingCourier, Document, Evidence

HOST_DATABASE = os.environ.get("HOST_DATABASE", "host.db")
TENANTS = os.environ.get("TENANTS", "tenants")
COURIER_DATABASE = os.environ.get("COURIER_DATABASE", "courier.db")

app = Celery("service", broker=os.environ.get("BROKER_URL", "sqla+sqlite:///broker.db"))
app.conf.update(
    task_ignore_result=True,
    # A task that comes twice does no harm: the courier's record knows what has been done.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)


@frozen
class Training:
    """A row of the service's own table."""

    tenant_id: str
    session_id: str
    employee: str
    outcome: str
    completed_at: str

    @property
    def evidence_id(self) -> str:
        return f"training-{self.session_id}"

    def evidence(self) -> Evidence:
        certificate = (
            f"session,employee,outcome\r\n{self.session_id},{self.employee},{self.outcome}\r\n"
        )
        return Evidence(
            tenant_id=self.tenant_id,
            evidence_id=self.evidence_id,
            session_id=self.session_id,
            subject=self.employee,
            outcome=self.outcome,
            recorded_at=datetime.fromisoformat(self.completed_at),
            document=Document(content=certificate.encode(), media_type="text/csv"),
        )


@cache
def courier() -> BlockingCourier:
    """The courier of this process. It opens nothing before it is used, and has no thread."""
    return BlockingCourier.from_config(TENANTS, database=COURIER_DATABASE)


@worker_process_shutdown.connect
def close_courier(**_: object) -> None:
    courier().close()


@app.task(bind=True, max_retries=None)
def deliver(self: Task[[str, str], None], tenant_id: str, session_id: str) -> None:
    [training] = query(
        "SELECT * FROM trainings WHERE tenant_id = ? AND session_id = ?", tenant_id, session_id
    )
    delivery = courier().deliver(training.evidence())  # one attempt at most
    if delivery.again_at is not None:
        raise self.retry(eta=delivery.again_at)


def complete(tenant_id: str, session_id: str) -> None:
    """A session has ended; one that is completed twice stays as it was."""
    query(
        "INSERT INTO trainings VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        tenant_id,
        session_id,
        "emp-7",
        "passed",
        datetime.now(UTC).isoformat(),
    )
    if courier().enabled(tenant_id):
        deliver.delay(tenant_id, session_id)


def evidence_list(tenant_id: str) -> None:
    trainings = query("SELECT * FROM trainings WHERE tenant_id = ?", tenant_id)
    uploads = courier().statuses(tenant_id, [training.evidence_id for training in trainings])
    for training in trainings:
        upload = uploads.get(training.evidence_id)
        print(training.evidence_id, upload.status if upload else "no upload")


def query(sql: str, *values: str) -> list[Training]:
    with closing(sqlite3.connect(HOST_DATABASE)) as database, database:
        database.execute("""
            CREATE TABLE IF NOT EXISTS trainings (
                tenant_id TEXT, session_id TEXT, employee TEXT, outcome TEXT, completed_at TEXT,
                PRIMARY KEY (tenant_id, session_id)
            )""")
        return [Training(*row) for row in database.execute(sql, values)]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["complete", tenant_id, *session_ids]:
            for session_id in session_ids:
                complete(tenant_id, session_id)
        case ["evidence", tenant_id]:
            evidence_list(tenant_id)
        case _:
            sys.exit(__doc__)
