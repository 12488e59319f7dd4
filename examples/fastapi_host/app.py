"""A training service on FastAPI: a completed training goes to the compliance platform of its
tenant.

The courier lives as long as the application: each worker process has one, and all of them share a
database.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from typing import Annotated, Literal, TypedDict

from fastapi import Depends, FastAPI, Header, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict

from evidence_courier import AsyncCourier, Document, Evidence

HOST_DATABASE = os.environ.get("HOST_DATABASE", "host.db")


class Running(TypedDict):
    """What a request finds in its `state`."""

    courier: AsyncCourier


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[Running]:
    await run_in_threadpool(create_table)
    tenants = os.environ.get("TENANTS", "tenants")
    database = os.environ.get("COURIER_DATABASE", "courier.db")
    async with AsyncCourier.from_config(tenants, database=database) as courier:
        yield {"courier": courier}


app = FastAPI(lifespan=lifespan)


def courier_of(request: Request) -> AsyncCourier:
    courier: AsyncCourier = request.state.courier
    return courier


TheCourier = Annotated[AsyncCourier, Depends(courier_of)]
# a real service knows it from who is logged in
TheTenant = Annotated[str, Header(alias="X-Tenant")]


class Completion(BaseModel):
    """What the service is told when a session ends."""

    employee: str
    outcome: Literal["passed", "exhausted"]


class Training(Completion):
    """A row of the service's own table."""

    tenant_id: str
    session_id: str
    completed_at: datetime

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
            recorded_at=self.completed_at,
            document=Document(content=certificate.encode(), media_type="text/csv"),
        )


class Trouble(BaseModel):
    """What went wrong last with an upload."""

    model_config = ConfigDict(from_attributes=True)
    kind: str
    message: str


class Upload(BaseModel):
    """Of an upload's status, what the list shows."""

    model_config = ConfigDict(from_attributes=True)
    status: str
    attempts: int
    error: Trouble | None
    next_attempt_at: datetime | None


class Row(BaseModel):
    """A line of the evidence list; there is no upload where the tenant has no integration."""

    evidence_id: str
    employee: str
    outcome: str
    upload: Upload | None


@app.post("/trainings/{session_id}/complete", status_code=201)
async def complete(
    session_id: str, completion: Completion, tenant_id: TheTenant, courier: TheCourier
) -> Training:
    training = await run_in_threadpool(save, tenant_id, session_id, completion)
    if courier.enabled(tenant_id):  # or there is no need to make a document
        courier.submit(training.evidence())
    return training


@app.get("/evidence")
async def evidence_list(tenant_id: TheTenant, courier: TheCourier) -> list[Row]:
    trainings = await run_in_threadpool(trainings_of, tenant_id)
    uploads = await courier.statuses(tenant_id, [training.evidence_id for training in trainings])
    return [
        Row(
            evidence_id=training.evidence_id,
            employee=training.employee,
            outcome=training.outcome,
            upload=Upload.model_validate(upload)
            if (upload := uploads.get(training.evidence_id))
            else None,
        )
        for training in trainings
    ]


@app.get("/health")
async def health(courier: TheCourier) -> dict[str, int]:
    return dict((await courier.health()).counts)


# --- the service's own table ---


def create_table() -> None:
    with closing(sqlite3.connect(HOST_DATABASE)) as database, database:
        database.execute("""
            CREATE TABLE IF NOT EXISTS trainings (
                tenant_id TEXT, session_id TEXT, employee TEXT, outcome TEXT, completed_at TEXT,
                PRIMARY KEY (tenant_id, session_id)
            )""")


def save(tenant_id: str, session_id: str, completion: Completion) -> Training:
    """Keep a completion; a session that is completed twice stays as it was."""
    with closing(sqlite3.connect(HOST_DATABASE)) as database, database:
        database.row_factory = sqlite3.Row
        now = datetime.now(UTC).isoformat()
        row = database.execute(
            "INSERT INTO trainings VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET session_id = excluded.session_id RETURNING *",
            (tenant_id, session_id, completion.employee, completion.outcome, now),
        ).fetchone()
        return Training.model_validate(dict(row))


def trainings_of(tenant_id: str) -> list[Training]:
    with closing(sqlite3.connect(HOST_DATABASE)) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute(
            "SELECT * FROM trainings WHERE tenant_id = ? ORDER BY completed_at DESC LIMIT 50",
            (tenant_id,),
        )
        return [Training.model_validate(dict(row)) for row in rows]
