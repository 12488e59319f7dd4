"""What an upload costs a courier, beside a bare client, what is written by hand, and the least.

- bare: aiohttp's client posting ready bytes, recording nothing, over as many connections as the
  courier has. That is the limit.
- by-hand: a form made with aiohttp's FormData, and a row written with sqlite-utils before and after
  it is sent.
- floor-source, floor-staged: the least that the same record costs (`floor.py`).
- courier, by-path, from-source: documents of 30 kB for eight tenants, as bytes that are staged, as
  files, and in a source of the host's, with the whole record kept in SQLite.
- large-path, large-source: 200 documents of 24 MB, as files and in a source.

`--server aiohttp` measures against aiohttp's server. `--against PYTHON` measures another version of
the package in turn with this one: PYTHON is the interpreter of an environment that has it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from floor import CONNECTIONS, floor
from measuring import UPLOADS, Bar, Case, Cost, main, measured
from world import SIZE, TENANTS, Shelf, deliver, evidence

BARE = max(UPLOADS, 5000)
BY_HAND = min(UPLOADS, 1000)
LARGE, LARGE_SIZE = 200, 24_000_000


async def bare(url: str, body: bytes) -> Cost:
    """The limit: a client that records nothing."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:

        async def post(left: Iterable[int]) -> None:
            for _ in left:
                async with session.post(url, data=body) as reply:
                    await reply.read()

        await post(range(10))
        with measured(BARE) as cost:
            left = iter(range(BARE))
            await asyncio.gather(*(post(left) for _ in range(CONNECTIONS)))
    return cost


async def by_hand(url: str, body: bytes) -> Cost:
    """What a host would write: a row before and after each request, on the loop."""
    from sqlite_utils import Database

    with tempfile.TemporaryDirectory() as folder:
        uploads = Database(Path(folder) / "uploads.db").table("uploads", pk="id")
        text = ("tenant", "status", "at", "message")
        uploads.create({"id": int, "attempts": int, **dict.fromkeys(text, str)}, pk="id")
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS)
        ) as session:

            async def deliver(left: Iterable[int]) -> None:
                for number in left:
                    row = {"id": number, "tenant": f"t{number % TENANTS}", "attempts": 1}
                    now = datetime.now(UTC).isoformat()
                    uploads.upsert({**row, "status": "sending", "at": now})
                    form = aiohttp.FormData()
                    form.add_field("operations", json.dumps({"query": "mutation", "id": number}))
                    form.add_field("map", '{"0": ["variables.file"]}')
                    form.add_field("0", body, content_type="application/pdf", filename="ev.pdf")
                    async with session.post(url, data=form) as reply:
                        told = await reply.json()
                    now = datetime.now(UTC).isoformat()
                    message = told["data"]["uploadWorkflowCheckEvidence"]["message"]
                    uploads.upsert({**row, "status": "sent", "at": now, "message": message})

            with measured(BY_HAND) as cost:
                left = iter(range(BY_HAND))
                await asyncio.gather(*(deliver(left) for _ in range(CONNECTIONS)))
        assert uploads.count_where("status = 'sent'") == BY_HAND
    return cost


async def staged(port: int) -> Cost:
    """A courier with documents as bytes."""
    body = os.urandom(SIZE)
    return await deliver(
        port, UPLOADS, lambda number: evidence(f"t{number % TENANTS}", f"ev-{number}", content=body)
    )


def files(folder: Path, uploads: int, size: int) -> None:
    """So many files; large ones are links to one."""
    body = os.urandom(size)
    for number in range(uploads):
        if number and size > SIZE:
            os.link(folder / "0.pdf", folder / f"{number}.pdf")
        else:
            (folder / f"{number}.pdf").write_bytes(body)


async def by_path(port: int, uploads: int = UPLOADS, size: int = SIZE) -> Cost:
    """A courier with documents as files."""
    with tempfile.TemporaryDirectory() as folder:
        files(Path(folder), uploads, size)
        return await deliver(
            port,
            uploads,
            lambda number: evidence(
                f"t{number % TENANTS}", f"ev-{number}", path=f"{folder}/{number}.pdf"
            ),
        )


async def from_source(port: int, uploads: int = UPLOADS, size: int = SIZE, **options: Any) -> Cost:
    """A courier with documents in the host's own storage."""
    body = os.urandom(size)
    its = {"sha256": hashlib.sha256(body).hexdigest(), "size": size}
    return await deliver(
        port,
        uploads,
        lambda number: evidence(f"t{number % TENANTS}", f"ev-{number}", source="one", **its),
        source=Shelf(body),
        **options,
    )


def raw(client: Callable[[str, bytes], Awaitable[Cost]]) -> Case:
    """A client without a courier, as a case."""

    async def case(port: int) -> Cost:
        return await client(f"http://127.0.0.1:{port}/", os.urandom(SIZE))

    return case


CASES: dict[str, Case] = {
    "bare": raw(bare),
    "by-hand": raw(by_hand),
    "floor-source": raw(partial(floor, staged=False)),
    "floor-staged": raw(partial(floor, staged=True)),
    "courier": staged,
    "by-path": by_path,
    "from-source": from_source,
    "large-path": partial(by_path, uploads=LARGE, size=LARGE_SIZE),
    "large-source": partial(from_source, uploads=LARGE, size=LARGE_SIZE),
}
BARS = [
    Bar("CPU from a source / bare", "CPU us", "from-source", "bare", most=3),
    Bar("CPU staged / bare", "CPU us", "courier", "bare", most=5.2),
    Bar("CPU by path / bare", "CPU us", "by-path", "bare", most=6),
    Bar("uploads/s from a source / floor", "uploads/s", "from-source", "floor-source", least=0.7),
    Bar("uploads/s staged / floor", "uploads/s", "courier", "floor-staged", least=0.75),
    Bar("uploads/s from a source / bare", "uploads/s", "from-source", "bare", least=0.42),
    Bar("uploads/s from a source / by hand", "uploads/s", "from-source", "by-hand", least=3),
    Bar("uploads/s staged / by hand", "uploads/s", "courier", "by-hand", least=1.6),
    Bar("CPU of the floor from a source / bare", "CPU us", "floor-source", "bare"),
    Bar("CPU of the floor staged / bare", "CPU us", "floor-staged", "bare"),
    Bar(
        "200 x 24 MB: by path / from a source", "uploads/s", "large-path", "large-source", least=0.5
    ),
    Bar("200 x 24 MB by path: peak MiB", "peak MiB", "large-path", most=150),
]


if __name__ == "__main__":
    main(__doc__, CASES, BARS)
