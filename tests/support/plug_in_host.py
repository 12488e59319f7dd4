"""A host program, as it stands in somebody else's service: it delivers one evidence with whatever
providers are installed beside it.

    python plug_in_host.py TENANTS DATABASE EVIDENCE_ID...

Prints a line ``EVIDENCE_ID STATUS ATTEMPTS COPY_OR_REASON`` for each.
"""

import asyncio
import sys
from datetime import UTC, datetime

from evidence_courier import AsyncCourier, Document, Evidence


def evidence(evidence_id: str) -> Evidence:
    """An evidence, written as its tenant and its id: ``acme/ev-1``."""
    tenant_id, _, name = evidence_id.partition("/")
    return Evidence(
        tenant_id=tenant_id,
        evidence_id=name,
        session_id="s-1",
        subject="emp-7",
        outcome="passed",
        recorded_at=datetime(2026, 2, 21, 10, 0, tzinfo=UTC),
        document=Document(
            content=b"%PDF-1.7 " + evidence_id.encode(), media_type="application/pdf"
        ),
    )


async def main(tenants: str, database: str, *evidence_ids: str) -> None:
    """Deliver each and say what became of it."""
    async with AsyncCourier.from_config(tenants, database=database) as courier:
        tickets = [courier.submit(evidence(evidence_id)) for evidence_id in evidence_ids]
        for evidence_id, ticket in zip(evidence_ids, tickets, strict=True):
            status = await ticket.settled(timeout=30)
            if status is None:
                sys.stdout.write(f"{evidence_id} none\n")
                continue
            told = (
                status.error.message
                if status.error
                else status.receipt and status.receipt.reference
            )
            sys.stdout.write(f"{evidence_id} {status.status} {status.attempts} {told}\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
