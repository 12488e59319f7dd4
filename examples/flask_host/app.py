"""A training service on Flask: a completed training goes to the compliance platform of its tenant.

Each of gunicorn's workers has a courier of its own, which `gunicorn_conf.py` starts; all of them
share a database.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

from attrs import asdict, frozen
from flask import Blueprint, Flask, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from evidence_courier import Courier, Document, Evidence

pages = Blueprint("trainings", __name__)


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(
        TENANTS=os.environ.get("TENANTS", "tenants"),
        COURIER_DATABASE=os.environ.get("COURIER_DATABASE", "courier.db"),
        HOST_DATABASE=os.environ.get("HOST_DATABASE", "host.db"),
    )
    with app.app_context():
        create_table()
    app.register_blueprint(pages)
    return app


def courier() -> Courier:
    """The courier of this process."""
    found: Courier = current_app.extensions["courier"]
    return found


def tenant() -> str:
    return request.headers["X-Tenant"]  # a real service knows it from who is logged in


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


@pages.post("/trainings/<session_id>/complete")
def complete(session_id: str) -> ResponseReturnValue:
    told = request.get_json()
    training = save(tenant(), session_id, told["employee"], told["outcome"])
    if courier().enabled(training.tenant_id):  # or there is no need to make a document
        courier().submit(training.evidence())
    return asdict(training), 201


@pages.get("/evidence")
def evidence_list() -> ResponseReturnValue:
    trainings = trainings_of(tenant())
    uploads = courier().statuses(tenant(), [training.evidence_id for training in trainings])
    return jsonify(
        [
            {
                "evidence_id": training.evidence_id,
                "employee": training.employee,
                "outcome": training.outcome,
                # Nothing where the tenant has no integration.
                "upload": asdict(upload) if (upload := uploads.get(training.evidence_id)) else None,
            }
            for training in trainings
        ]
    )


@pages.get("/health")
def health() -> ResponseReturnValue:
    return dict(courier().health().counts)


# --- the service's own table ---


def create_table() -> None:
    with closing(sqlite3.connect(current_app.config["HOST_DATABASE"])) as database, database:
        database.execute("""
            CREATE TABLE IF NOT EXISTS trainings (
                tenant_id TEXT, session_id TEXT, employee TEXT, outcome TEXT, completed_at TEXT,
                PRIMARY KEY (tenant_id, session_id)
            )""")


def save(tenant_id: str, session_id: str, employee: str, outcome: str) -> Training:
    """Keep a completion; a session that is completed twice stays as it was."""
    with closing(sqlite3.connect(current_app.config["HOST_DATABASE"])) as database, database:
        row = database.execute(
            "INSERT INTO trainings VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET session_id = excluded.session_id RETURNING *",
            (tenant_id, session_id, employee, outcome, datetime.now(UTC).isoformat()),
        ).fetchone()
        return Training(*row)


def trainings_of(tenant_id: str) -> list[Training]:
    with closing(sqlite3.connect(current_app.config["HOST_DATABASE"])) as database:
        rows = database.execute(
            "SELECT * FROM trainings WHERE tenant_id = ? ORDER BY completed_at DESC LIMIT 50",
            (tenant_id,),
        )
        return [Training(*row) for row in rows]
