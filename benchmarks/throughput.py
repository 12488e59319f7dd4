"""Uploads per second of a courier beside a bare client's, in one run.

A bare server in a process of its own reads each request whole and answers it. First the limit:
aiohttp's client posting ready bytes, recording nothing, over as many connections as the courier
has. Then the courier: 5,000 ready documents of 30 kB for one tenant each of eight, with the whole
record kept in SQLite. Both run twice, in turn; the best of each counts.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from evidence_courier import AsyncCourier, Document, Evidence
from evidence_courier.domain.secrets.secret import Secret

UPLOADS = int(os.environ.get("UPLOADS", "5000"))
SIZE = 30_000
CONNECTIONS = 64
TENANTS = 8
REPLY = json.dumps(
    {
        "data": {
            "uploadWorkflowCheckEvidence": {
                "message": "Evidence uploaded for this check",
                "workflowCheck": {"evidenceStatus": "UPLOAD_COMPLETE"},
            }
        }
    }
).encode()


class Sink(asyncio.Protocol):
    """Just enough of HTTP/1.1: reads a request with a Content-Length, answers, and waits for the
    next."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.head = b""
        self.left = 0

    def data_received(self, data: bytes) -> None:
        if self.left:
            self.left -= len(data)
        else:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = self.head[:end].lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            self.left = length - (len(self.head) - end - 4)
            self.head = b""
        if self.left <= 0:
            self.left = 0
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % len(REPLY)
                + REPLY
            )


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def bare(url: str, body: bytes) -> float:
    """The limit: uploads per second of the bare client."""
    left = iter(range(UPLOADS))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:

        async def post() -> None:
            for _ in left:
                async with session.post(url, data=body) as reply:
                    await reply.read()

        began = time.perf_counter()
        await asyncio.gather(*(post() for _ in range(CONNECTIONS)))
        return UPLOADS / (time.perf_counter() - began)


class Keys:
    def resolve(self, name: str) -> Secret | None:
        return Secret("benchmark-key")


async def courier(url: str, body: bytes, folder: Path) -> float:
    """Uploads per second of a courier, from the first submit until every one is settled."""
    block = {
        "provider": "sprinto",
        "api_key": "${KEY}",
        "workflow_check": "c",
        "endpoint": url,
        "pace": "1000000/s",
    }
    tenants = {f"t{number}": {"integrations": {"compliance": block}} for number in range(TENANTS)}
    moment = datetime(2026, 2, 21, tzinfo=UTC)
    async with AsyncCourier.from_mapping(
        tenants, folder / f"{time.monotonic_ns()}.db", secrets=Keys()
    ) as one:
        began = time.perf_counter()
        tickets = []
        for number in range(UPLOADS):
            tickets.append(
                one.submit(
                    Evidence(
                        tenant_id=f"t{number % TENANTS}",
                        evidence_id=f"ev-{number}",
                        session_id="s",
                        subject="p",
                        outcome="passed",
                        recorded_at=moment,
                        document=Document(content=body, media_type="application/pdf"),
                    )
                )
            )
            if number % 500 == 499:
                await tickets[-1].recorded()
        settled = [await ticket.settled() for ticket in tickets]
        took = time.perf_counter() - began
        bad = [status for status in settled if status is None or status.status != "succeeded"]
        assert not bad, bad[0]
        return UPLOADS / took


async def measure(port: int) -> None:
    body = os.urandom(SIZE)
    bare_url = f"http://127.0.0.1:{port}/"
    with tempfile.TemporaryDirectory() as folder:
        bares, couriers = [], []
        for _ in range(2):
            bares.append(await bare(bare_url, body))
            couriers.append(await courier(f"{bare_url}dev-api/graphql", body, Path(folder)))
    limit, reached = max(bares), max(couriers)
    print(
        f"{UPLOADS} documents of {SIZE // 1000} kB, {CONNECTIONS} connections, loopback, Python "
        f"{sys.version.split()[0]}"
    )
    print(f"bare aiohttp client, nothing recorded   {limit:8.0f} uploads/s")
    print(
        f"courier, staged, recorded and removed   {reached:8.0f} uploads/s   "
        f"{reached / limit:.2f} of the limit"
    )


def main() -> None:
    server = subprocess.Popen(
        [sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        asyncio.run(measure(int(server.stdout.readline())))
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
