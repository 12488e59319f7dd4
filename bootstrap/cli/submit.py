"""`evidence-courier submit`: deliver files now, and wait for what becomes of them."""

from __future__ import annotations

import asyncio
import mimetypes
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
from attrs import frozen
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ...adapters.records import load_record
from ...domain.errors import CourierError, MisuseError, StoreError
from ...domain.evidence.evidence import Document, Evidence
from ...domain.upload.status import UploadStatus
from ...ports.logger import EvidenceConflict, LogEvent
from ..courier import AsyncCourier
from .app import STORE, UNDELIVERED, USAGE, app, command
from .output import a_person_looks, console, json_row, say_json, say_statuses
from .tenant_files import block_option


@frozen(kw_only=True)
class Said:
    """What the command line says of the documents; a training record says it of itself."""

    tenant_id: str
    session: str | None
    subject: str | None
    subject_email: str | None
    outcome: str | None
    recorded_at: str | None
    evidence_id: str | None


@app.command("submit")
@click.option(
    "--config", "folder", required=True, type=click.Path(), help="The folder of tenant files."
)
@click.option(
    "--db",
    "database",
    required=True,
    type=click.Path(),
    help="The courier's database; created where missing.",
)
@click.option("--tenant", "tenant_id", required=True, help="Whose evidence it is.")
@click.option("--session", help="For a document: the training session's id.")
@click.option("--subject", help="For a document: the id of the person.")
@click.option("--subject-email", help="For a document: the person's e-mail address.")
@click.option(
    "--outcome",
    type=click.Choice(["passed", "exhausted"]),
    help="For a document: how the session ended.",
)
@click.option(
    "--recorded-at", help="For a document: when, with its time zone, as in 2026-02-21T10:00:00Z."
)
@click.option(
    "--evidence-id", help="For a document: its id; by default the file's name without its ending."
)
@click.option(
    "--fonts", type=click.Path(), multiple=True, help="A folder of fonts for training records."
)
@block_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@command
def submit(
    folder: str,
    database: str,
    tenant_id: str,
    session: str | None,
    subject: str | None,
    subject_email: str | None,
    outcome: str | None,
    recorded_at: str | None,
    evidence_id: str | None,
    fonts: tuple[str, ...],
    block: str,
    as_json: bool,
    files: tuple[str, ...],
) -> None:
    """Deliver each FILE and wait until it has succeeded, failed or is held.

    A FILE ending in .json is a training record, which brings its own ids and is rendered to PDF.
    Any other is a document, and needs --session, --subject, --outcome and --recorded-at. What was
    delivered before is not sent again.
    """
    said = Said(
        tenant_id=tenant_id,
        session=session,
        subject=subject,
        subject_email=subject_email,
        outcome=outcome,
        recorded_at=recorded_at,
        evidence_id=evidence_id,
    )
    if evidence_id is not None and len(files) > 1:
        raise MisuseError("--evidence-id names one evidence: give one FILE with it")
    evidences = [_evidence(Path(file), said) for file in files]
    _refuse_doubles(files, evidences)
    heard = Heard()
    courier = AsyncCourier.from_config(folder, database, fonts=fonts, block=block, logger=heard)
    if not courier.enabled(tenant_id):
        click.echo(f"tenant {tenant_id!r} has no integration: nothing was sent", err=True)
        if as_json:
            say_json([])
        return
    statuses, errors = asyncio.run(_deliver(courier, evidences))
    if as_json:
        say_json([json_row(status) for status in statuses])
    elif statuses:
        say_statuses(statuses)
    for conflict in heard.conflicts:
        click.echo(
            f"evidence-courier: evidence {conflict.key.evidence_id!r} of tenant {conflict.key.tenant_id!r} is known with "
            "another document, and this one was not sent: give it an evidence id of its own",
            err=True,
        )
    for error in errors:
        click.echo(f"evidence-courier: {error}", err=True)
    if any(isinstance(error, StoreError) for error in errors):
        sys.exit(STORE)
    if errors:
        sys.exit(USAGE)
    if heard.conflicts or any(status.status != "succeeded" for status in statuses):
        sys.exit(UNDELIVERED)


class Heard:
    """A `Logger` for one run: what the statuses do not say themselves."""

    def __init__(self) -> None:
        self.conflicts: list[EvidenceConflict] = []

    def log(self, event: LogEvent) -> None:
        """Keep the conflicts; everything else is seen in the statuses and the errors."""
        if isinstance(event, EvidenceConflict):
            self.conflicts.append(event)


def _refuse_doubles(files: Sequence[str], evidences: Sequence[Evidence]) -> None:
    seen: dict[str, str] = {}
    for file, evidence in zip(files, evidences, strict=True):
        if evidence.evidence_id in seen:
            raise MisuseError(
                f"{seen[evidence.evidence_id]} and {file} would both be evidence {evidence.evidence_id!r}: submit them one "
                "by one with --evidence-id"
            )
        seen[evidence.evidence_id] = file


async def _deliver(
    courier: AsyncCourier, evidences: Sequence[Evidence]
) -> tuple[list[UploadStatus], list[CourierError]]:
    found: list[UploadStatus] = []
    errors: list[CourierError] = []
    progress = Progress(
        TextColumn("delivering"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console(),
        transient=True,
        disable=not a_person_looks(),
    )
    async with courier:
        with progress:
            task = progress.add_task("", total=len(evidences))
            tickets = [courier.submit(evidence) for evidence in evidences]
            for ticket in tickets:
                try:
                    status = await ticket.settled()
                    assert status is not None
                    found.append(status)
                except CourierError as error:
                    errors.append(error)
                progress.advance(task)
    return found, errors


def _evidence(file: Path, said: Said) -> Evidence:
    try:
        if file.suffix.lower() == ".json":
            record = load_record(file.read_bytes(), where=str(file))
            if record.tenant_id != said.tenant_id:
                raise MisuseError(
                    f"{file} is a record of tenant {record.tenant_id!r}, not of {said.tenant_id!r}: give --tenant {record.tenant_id}"
                )
            return Evidence.from_record(record)
        if not file.is_file():
            raise MisuseError(f"{file} is not a file")
    except OSError as error:
        raise MisuseError(f"{file} cannot be read: {error.strerror or error}") from error
    if (
        said.session is None
        or said.subject is None
        or said.outcome is None
        or said.recorded_at is None
    ):
        raise MisuseError(
            f"{file} is a document: give --session, --subject, --outcome and --recorded-at with it"
        )
    return Evidence(
        tenant_id=said.tenant_id,
        evidence_id=said.evidence_id or file.stem,
        session_id=said.session,
        subject=said.subject,
        subject_email=said.subject_email,
        outcome=said.outcome,
        recorded_at=_moment(said.recorded_at),
        document=Document(
            path=str(file),
            media_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream",
            filename=file.name,
        ),
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MisuseError(
            f"--recorded-at {text!r} is no moment with a time zone: write it as 2026-02-21T10:00:00Z"
        )
    return moment
