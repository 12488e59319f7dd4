"""A training service on several machines: trainings and evidence are in one PostgreSQL, and workers
of Procrastinate deliver.

python service.py prepare                          make the tables, once
procrastinate --app service.app worker             deliver, as long as it runs; start several
python service.py complete TENANT SESSION...       sessions of a tenant have ended
python service.py evidence TENANT                  the tenant's evidence, and what became of it
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import psycopg
from procrastinate import App, PsycopgConnector

from evidence_courier import AsyncCourier, BlockingCourier, Document, Evidence
from evidence_courier.adapters.procrastinate import deliver_each_second, worker_options

DATABASE = os.environ["DATABASE"]
TENANTS = os.environ.get("TENANTS", "tenants")
TICK = float(os.environ.get("TICK", "20"))

# --- what workers import -------------------------------------------------------------------------

app = App(connector=PsycopgConnector(conninfo=DATABASE), worker_defaults=worker_options())
deliver_each_second(
    app, AsyncCourier.from_config(TENANTS, database=DATABASE, background=False), until=TICK
)

# --- the host ------------------------------------------------------------------------------------

courier = BlockingCourier.from_config(TENANTS, database=DATABASE)


def complete(connection: psycopg.Connection, tenant_id: str, session_id: str) -> None:
    """A session has ended: both are stored, or neither is. One that ends twice stays as it was."""
    with connection.transaction():
        connection.execute(
            "INSERT INTO trainings VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (tenant_id, session_id, datetime.now(UTC)),
        )
        courier.submit(evidence_of(tenant_id, session_id), connection=connection)


def evidence_of(tenant_id: str, session_id: str) -> Evidence:
    return Evidence(
        tenant_id=tenant_id,
        evidence_id=f"training-{session_id}",
        session_id=session_id,
        subject="emp-7",
        outcome="passed",
        recorded_at=datetime.now(UTC),
        document=Document(content=f"session,{session_id}\r\n".encode(), media_type="text/csv"),
    )


def prepare() -> None:
    with psycopg.connect(DATABASE) as connection:
        connection.execute("""
            CREATE TABLE IF NOT EXISTS trainings (
                tenant_id text, session_id text, completed_at timestamptz,
                PRIMARY KEY (tenant_id, session_id)
            )""")
    courier.health()  # makes the courier's tables
    with app.open():
        if not app.check_connection():
            app.schema_manager.apply_schema()


def evidence_list(tenant_id: str) -> None:
    for upload in courier.find(tenant_id=tenant_id).uploads:
        print(upload.evidence_id, upload.status)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["prepare"]:
            prepare()
        case ["complete", tenant_id, *session_ids]:
            with psycopg.connect(DATABASE) as connection:
                for session_id in session_ids:
                    complete(connection, tenant_id, session_id)
        case ["evidence", tenant_id]:
            evidence_list(tenant_id)
        case _:
            sys.exit(__doc__)
    courier.close()
