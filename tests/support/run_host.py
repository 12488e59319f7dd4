"""A host for `running.py`: it records evidence and delivers nothing.

    python tests/support/run_host.py TENANTS DATABASE SECRETS NAME RATE

Each line that it writes, `TENANT EVIDENCE SHA256`, is one whose record is on disk.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from evidence_courier import Courier, Document, Evidence, StoreError

TENANTS = ("acme", "globex", "initech", "hooli", "umbrella", "stark")
LARGE = 400_000
"""So large a document is kept beside the database."""


def evidence(
    tenant_id: str, key: str, content: bytes, folder: Path, dice: random.Random
) -> Evidence:
    """A document as bytes, or in a file."""
    document = Document(content=content, media_type="application/pdf")
    if dice.random() < 0.2:
        path = folder / f"{key}.pdf"
        path.write_bytes(content)
        document = Document(path=str(path), media_type="application/pdf")
    return Evidence(
        tenant_id=tenant_id,
        evidence_id=key,
        session_id=f"session-{key}",
        subject=f"person-{key}",
        subject_email=f"person-{key}@example.com",
        outcome="passed",
        recorded_at=datetime.now(UTC),
        document=document,
    )


def main(tenants: str, database: str, secrets: str, name: str, rate: str) -> None:
    """Submit until it is killed."""
    dice, folder = random.Random(name), Path(database).parent / "documents"
    folder.mkdir(exist_ok=True)
    options = {"secret_folders": [secrets], "background": False, "on_invalid": "skip"}
    with Courier.from_config(tenants, database, **options) as courier:  # type: ignore[arg-type]
        for number in range(10**9):
            tenant_id = dice.choice(TENANTS)
            key = f"{name}-{number}"
            size = dice.choices((600, 20_000, LARGE), (60, 35, 5))[0]
            content = f"%PDF-1.7 {tenant_id}/{key} ".encode().ljust(size, b".")
            one = evidence(tenant_id, key, content, folder, dice)
            with suppress(StoreError):  # another process stands still within a transaction
                courier.submit(one).recorded()
                sys.stdout.write(f"{tenant_id} {key} {hashlib.sha256(content).hexdigest()}\n")
                sys.stdout.flush()
            time.sleep(dice.expovariate(float(rate)))


if __name__ == "__main__":
    main(*sys.argv[1:])
