"""`evidence-courier demo`: three sandboxes that misbehave, four tenants, a folder of training
records, and the truth about every one of them.

It ends well only if everything that it prints holds: each record of a tenant with an integration
succeeded, each sandbox holds exactly those documents by their sha256, a second copy exists only
where the record says so, and the tenant without an integration was left alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote

import click

from ...adapters.records import load_record
from ...adapters.secrets.environ import EnvironSecrets
from ...domain.errors import MisuseError
from ...domain.evidence.evidence import Evidence
from ...domain.upload.status import UploadStatus
from ...testing.sandboxes import DrataSandbox, FaultPlan, SprintoSandbox
from ...testing.sandboxes.server import Sandbox
from ..courier import AsyncCourier
from .exits import UNDELIVERED
from .output import print_details, print_statuses, print_table
from .saying import program

ACME_KEY, GLOBEX_KEY, UMBRELLA_KEY = "demo-key-of-acme", "demo-key-of-globex", "demo-key-three"
ACME_FAULTS = (
    "status:503",
    None,
    "reset-before",
    "status:429:retry-after=1",
    None,
    None,
    "reset-after",
    "status:503",
    None,
    "reset-before",
)
GLOBEX_FAULTS = (None, "html", "rate-limited-graphql")
UMBRELLA_FAULTS = ("reset-after",)


def run(examples: str, out: str) -> None:
    """Run it and print it; exit code 1 if something does not hold."""
    folder, target = Path(examples), Path(out)
    files = sorted((folder / "records").glob("*.json"))
    if not files:
        raise MisuseError(
            f"{folder / 'records'} holds no records: run the demo in a checkout, or give --examples"
        )
    _make_room(target)
    evidences = [
        Evidence.from_record(load_record(file.read_bytes(), where=str(file))) for file in files
    ]
    logging.getLogger("evidence_courier").addHandler(logging.NullHandler())
    try:
        holds = asyncio.run(_demo(folder / "tenants", target, evidences))
    except TimeoutError:
        click.echo("SOMETHING DOES NOT HOLD: not every upload was settled within 100 seconds.")
        holds = False
    if not holds:
        sys.exit(UNDELIVERED)


def _make_room(target: Path) -> None:
    """An empty folder for the results; only the results of an earlier demo are removed."""
    marker = target / ".evidence-courier-demo"
    if target.exists() and not marker.exists() and (not target.is_dir() or any(target.iterdir())):
        raise MisuseError(
            f"{target} is not empty and not of an earlier demo: give --out another folder"
        )
    (target / "pdf").mkdir(parents=True, exist_ok=True)
    marker.touch()
    for old in (*target.glob("courier.db*"), *(target / "pdf").glob("*.pdf")):
        old.unlink()


async def _demo(tenants: Path, target: Path, evidences: Sequence[Evidence]) -> bool:
    us = SprintoSandbox(key=ACME_KEY, faults=FaultPlan.script(ACME_FAULTS), keep_content=True)
    eu = SprintoSandbox(key=GLOBEX_KEY, faults=FaultPlan.script(GLOBEX_FAULTS), keep_content=True)
    faults = FaultPlan.script(UMBRELLA_FAULTS)
    drata = DrataSandbox(
        key=UMBRELLA_KEY, faults=faults, keep_content=True, users={7: "admin@umbrella.example"}
    )
    async with us, eu, drata:
        secrets = EnvironSecrets(
            {
                "ACME_SPRINTO_API_KEY": ACME_KEY,
                "ACME_SPRINTO_ENDPOINT": us.url,
                "GLOBEX_SPRINTO_API_KEY": GLOBEX_KEY,
                "GLOBEX_SPRINTO_ENDPOINT": eu.url,
                "UMBRELLA_DRATA_API_KEY": UMBRELLA_KEY,
                "UMBRELLA_DRATA_ENDPOINT": drata.url,
            }
        )
        click.echo("Three sandboxes are up, and all misbehave:")
        for tenant_id, box in (("acme", us), ("globex", eu), ("umbrella", drata)):
            click.echo(f"  {tenant_id}  {box.provider}  {box.url}")
        courier = AsyncCourier.from_config(
            tenants, target / "courier.db", secrets=secrets, keep_documents=True
        )
        statuses = await _deliver(courier, evidences)
        boxes = {"acme": us, "globex": eu, "umbrella": drata}
        holds = _compare(boxes, statuses, target / "pdf")
    delivered = {(status.tenant_id, status.evidence_id) for status in statuses}
    alone = [one for one in evidences if (one.tenant_id, one.evidence_id) not in delivered]
    for evidence in alone:
        click.echo(
            f"tenant {evidence.tenant_id}, evidence {evidence.evidence_id}: "
            "no integration, left alone"
        )
    click.echo(f"\nDatabase: {target / 'courier.db'}   PDFs: {target / 'pdf'}/")
    click.echo(f"See it again: {program()} status --db {quote(str(target / 'courier.db'))}")
    all_holds = (
        holds
        and bool(alone)
        and all(status.status == "succeeded" for status in statuses)
        and len(statuses) + len(alone) == len(evidences)
    )
    click.echo("\nAll of it holds." if all_holds else "\nSOMETHING DOES NOT HOLD: see above.")
    return all_holds


async def _deliver(courier: AsyncCourier, evidences: Sequence[Evidence]) -> list[UploadStatus]:
    """Deliver and print all; the statuses of those that have an integration."""
    async with courier:
        click.echo(f"Delivering {len(evidences)} training records ...\n")
        tickets = [courier.submit(evidence) for evidence in evidences]
        settled = [await ticket.settled(timeout=100) for ticket in tickets]
        statuses = [status for status in settled if status is not None]
        details = [await courier.show(status.tenant_id, status.evidence_id) for status in statuses]
    print_statuses(statuses)
    click.echo("\nThe one that took most attempts:\n")
    shown = [one for one in details if one is not None]
    print_details(max(shown, key=lambda one: (one.attempts, one.evidence_id)))
    for one in [one for one in shown if one.look_ups][:1]:
        click.echo("\nOne whose reply was lost, and which was looked up and found:\n")
        print_details(one)
    return statuses


def _compare(boxes: Mapping[str, Sandbox], statuses: list[UploadStatus], pdfs: Path) -> bool:
    """Print what the sandboxes hold beside what the records say; whether they agree."""
    rows, holds = [], True
    for tenant_id, box in boxes.items():
        mine = {status.digest: status for status in statuses if status.tenant_id == tenant_id}
        holds = holds and {upload.sha256 for upload in box.received} == set(mine)
        for digest, status in mine.items():
            copies = box.copies(digest)
            fine = copies == 1 or (copies > 1 and status.possible_duplicate)
            holds = holds and fine and _written(box, digest, pdfs / f"{status.evidence_id}.pdf")
            note = ", possible duplicate" if status.possible_duplicate else ""
            verdict = f"yes{note}" if fine else "NO"
            rows.append((tenant_id, status.evidence_id, digest[:12], str(copies), verdict))
    click.echo("\nWhat the sandboxes hold:\n")
    print_table(("tenant", "evidence", "sha256", "copies", "as recorded"), rows)
    click.echo()
    return holds


def _written(box: Sandbox, digest: str, path: Path) -> bool:
    """Write the PDF that the sandbox received; whether its sha256 is the one on record."""
    content = next((upload.content for upload in box.received if upload.sha256 == digest), None)
    if content is None:
        return False
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest() == digest
