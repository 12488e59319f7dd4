"""The demo: two sandboxes that misbehave, three tenants, a folder of training records, and the
truth about every one of them.

It returns True only if everything that it prints holds: each record of a tenant with an integration
succeeded, each sandbox holds exactly those documents by their sha256, a second copy stands only
where the record says so, and the tenant without an integration was left alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import click
from attrs import frozen

from ..adapters.records import load_record
from ..domain.errors import MisuseError
from ..domain.evidence.evidence import Evidence
from ..domain.secrets.secret import Secret
from ..domain.upload.status import UploadStatus
from ..testing.sandboxes import FaultPlan, SprintoSandbox
from .cli.output import say_details, say_statuses, say_table
from .courier import AsyncCourier

ACME_KEY, GLOBEX_KEY = "demo-key-of-acme", "demo-key-of-globex"
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


@frozen
class DemoSecrets:
    """The secrets of the example tenants, as a `Secrets` port: the demo touches no environment
    variable."""

    values: Mapping[str, str]

    def resolve(self, name: str) -> Secret | None:
        """The secret of that name; None where there is none."""
        value = self.values.get(name)
        return Secret(value) if value is not None else None


def run_demo(examples: str, out: str) -> bool:
    """Run it and print it; True if all that it shows holds."""
    folder = Path(examples)
    files = sorted((folder / "records").glob("*.json"))
    if not files:
        raise MisuseError(
            f"{folder / 'records'} holds no records: run the demo in a checkout, or give --examples"
        )
    where = Path(out)
    _make_room(where)
    evidences = [
        Evidence.from_record(load_record(file.read_bytes(), where=str(file))) for file in files
    ]
    logging.getLogger("evidence_courier").addHandler(logging.NullHandler())
    try:
        return asyncio.run(_demo(folder / "tenants", where, evidences))
    except TimeoutError:
        click.echo("SOMETHING DOES NOT HOLD: not every upload was settled within 100 seconds.")
        return False


def _make_room(where: Path) -> None:
    """An empty place for what the demo leaves; only what an earlier demo left is removed."""
    marker = where / ".evidence-courier-demo"
    if where.exists() and not marker.exists() and (not where.is_dir() or any(where.iterdir())):
        raise MisuseError(
            f"{where} is not empty and not of an earlier demo: give --out another folder"
        )
    (where / "pdf").mkdir(parents=True, exist_ok=True)
    marker.touch()
    for left in (*where.glob("courier.db*"), *(where / "pdf").glob("*.pdf")):
        left.unlink()


async def _demo(tenants: Path, where: Path, evidences: list[Evidence]) -> bool:
    us = SprintoSandbox(key=ACME_KEY, faults=FaultPlan.script(ACME_FAULTS), keep_content=True)
    eu = SprintoSandbox(key=GLOBEX_KEY, faults=FaultPlan.script(GLOBEX_FAULTS), keep_content=True)
    async with us, eu:
        secrets = DemoSecrets(
            {
                "ACME_SPRINTO_API_KEY": ACME_KEY,
                "ACME_SPRINTO_ENDPOINT": us.url,
                "GLOBEX_SPRINTO_API_KEY": GLOBEX_KEY,
                "GLOBEX_SPRINTO_ENDPOINT": eu.url,
            }
        )
        click.echo(f"Two Sprinto sandboxes are up, both misbehaving: {us.url} and {eu.url}")
        courier = AsyncCourier.from_config(
            tenants, where / "courier.db", secrets=secrets, keep_documents=True
        )
        async with courier:
            click.echo(f"Delivering {len(evidences)} training records ...\n")
            tickets = [courier.submit(evidence) for evidence in evidences]
            settled = [await ticket.settled(timeout=100) for ticket in tickets]
            statuses = [status for status in settled if status is not None]
            details = [
                await courier.show(status.tenant_id, status.evidence_id) for status in statuses
            ]
        say_statuses(statuses)
        hardest = max(filter(None, details), key=lambda shown: (shown.attempts, shown.evidence_id))
        click.echo("\nThe one that took most attempts:\n")
        say_details(hardest)
        holds = _compare({"acme": us, "globex": eu}, statuses, where / "pdf")
    alone = [
        evidence for evidence, status in zip(evidences, settled, strict=True) if status is None
    ]
    for evidence in alone:
        click.echo(
            f"tenant {evidence.tenant_id}, evidence {evidence.evidence_id}: no integration, left alone"
        )
    click.echo(f"\nDatabase: {where / 'courier.db'}   PDFs: {where / 'pdf'}/")
    click.echo(f"See it again: evidence-courier status --db {where / 'courier.db'}")
    everything = (
        holds
        and bool(alone)
        and all(status.status == "succeeded" for status in statuses)
        and len(statuses) + len(alone) == len(evidences)
    )
    click.echo("\nAll of it holds." if everything else "\nSOMETHING DOES NOT HOLD: see above.")
    return everything


def _compare(boxes: Mapping[str, SprintoSandbox], statuses: list[UploadStatus], pdfs: Path) -> bool:
    """What the sandboxes hold beside what the records say."""
    rows, holds = [], True
    for tenant_id, box in boxes.items():
        mine = {status.digest: status for status in statuses if status.tenant_id == tenant_id}
        holds = holds and {upload.sha256 for upload in box.received} == set(mine)
        for digest, status in mine.items():
            copies = box.copies(digest)
            fine = copies == 1 or (copies > 1 and status.possible_duplicate)
            holds = holds and fine and _kept(box, digest, pdfs / f"{status.evidence_id}.pdf")
            said = "says possible duplicate" if status.possible_duplicate else ""
            rows.append(
                (
                    tenant_id,
                    status.evidence_id,
                    digest[:16],
                    str(copies),
                    "yes" if fine else "NO",
                    said,
                )
            )
    click.echo("\nWhat the sandboxes hold:\n")
    say_table(("tenant", "evidence", "sha256", "copies", "as recorded", "record says"), rows)
    click.echo()
    return holds


def _kept(box: SprintoSandbox, digest: str, path: Path) -> bool:
    """Write the PDF that the sandbox received; whether its sha256 is what the record says."""
    content = next((upload.content for upload in box.received if upload.sha256 == digest), None)
    if content is None:
        return False
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest() == digest
