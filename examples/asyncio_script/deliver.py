"""Deliver what a list of completed trainings names, and say what became of each: python deliver.py
completions.csv

The columns of the list are those of an evidence: tenant_id, session_id, subject, outcome,
recorded_at, and document, the path of a file. What has been delivered before is not delivered
again, so the list may be given again after a crash, or when it has grown.
"""

from __future__ import annotations

import asyncio
import csv
import mimetypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from evidence_courier import AsyncCourier, Document, Evidence


def evidences_in(completions: Path) -> Iterator[Evidence]:
    with completions.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            document = completions.parent / row.pop("document")
            media_type, _ = mimetypes.guess_type(document)
            yield Evidence(
                tenant_id=row["tenant_id"],
                evidence_id=f"training-{row['session_id']}",
                session_id=row["session_id"],
                subject=row["subject"],
                outcome=row["outcome"],
                recorded_at=datetime.fromisoformat(row["recorded_at"]),
                document=Document(
                    path=str(document), media_type=media_type or "application/octet-stream"
                ),
            )


async def report(courier: AsyncCourier, evidences: list[Evidence]) -> None:
    for tenant_id in dict.fromkeys(evidence.tenant_id for evidence in evidences):
        ids = [evidence.evidence_id for evidence in evidences if evidence.tenant_id == tenant_id]
        uploads = await courier.statuses(tenant_id, ids)
        for evidence_id in ids:
            word = uploads[evidence_id].status if evidence_id in uploads else "no integration"
            print(tenant_id, evidence_id, word, flush=True)


async def main(completions: Path) -> None:
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    tenants = os.environ.get("TENANTS", "tenants")
    database = os.environ.get("COURIER_DATABASE", "courier.db")
    async with AsyncCourier.from_config(tenants, database=database) as courier:
        evidences = list(evidences_in(completions))
        for evidence in evidences:
            ticket = courier.submit(evidence)
            # or a long list would be in memory, with its documents, as a whole
            await ticket.recorded()
        await report(courier, evidences)
        await courier.drain()
        await report(courier, evidences)


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):  # told to end: the next run goes on with what is open
        asyncio.run(main(Path(sys.argv[1])))
