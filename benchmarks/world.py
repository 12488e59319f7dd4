"""What the benchmarks deliver, and to whom: evidence, tenants, and a server in its own process.

    python benchmarks/world.py lean|aiohttp|failing     # prints its port, and serves

`lean` does just enough of HTTP/1.1, `aiohttp` is aiohttp's, and `failing` answers 503.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measuring import Cost, measured

from evidence_courier import AsyncCourier, Document, Evidence

SIZE = 30_000
TENANTS = 8
MOMENT = datetime(2026, 2, 21, tzinfo=UTC)
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

    status = b"200 OK"

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
                b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (self.status, len(REPLY), REPLY)
            )


class FailingSink(Sink):
    """Takes nothing."""

    status = b"503 Service Unavailable"


async def serve(kind: str) -> None:
    """Print the port, and serve."""
    from aiohttp import web  # not in the processes that are measured

    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(body=REPLY, content_type="application/json")

    factory: Callable[[], asyncio.BaseProtocol] = {"lean": Sink, "failing": FailingSink}.get(
        kind, web.Server(answer)
    )
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def tenants_at(port: int, name: str = "t", count: int = TENANTS) -> dict[str, dict[str, object]]:
    """Tenants `name0`, `name1` and so on, each with Sprinto at the server."""
    os.environ["BENCHMARK_KEY"] = "benchmark-key"
    block = {
        "provider": "sprinto",
        "api_key": "${BENCHMARK_KEY}",
        "workflow_check": "c",
        "endpoint": f"http://127.0.0.1:{port}/dev-api/graphql",
        "pace": "1000000/s",
    }
    return {f"{name}{number}": {"integrations": {"compliance": block}} for number in range(count)}


def evidence(tenant_id: str, evidence_id: str, **document: Any) -> Evidence:
    """Evidence with this document."""
    return Evidence(
        tenant_id=tenant_id,
        evidence_id=evidence_id,
        session_id="s",
        subject="p",
        outcome="passed",
        recorded_at=MOMENT,
        document=Document(**document, media_type="application/pdf"),
    )


class Shelf:
    """A source of documents that are all the same."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, tenant_id: str, key: str) -> bytes:
        """As in `DocumentSource`."""
        return self._body


async def submit(
    courier: AsyncCourier, uploads: int, evidence_of: Callable[[int], Evidence]
) -> None:
    """Submit so many, and wait until each has succeeded."""
    tickets = []
    for number in range(uploads):
        tickets.append(courier.submit(evidence_of(number)))
        if number % 500 == 499:
            await tickets[-1].recorded()
    settled = [await ticket.settled() for ticket in tickets]
    bad = [status for status in settled if status is None or status.status != "succeeded"]
    assert not bad, bad[0]


async def deliver(
    port: int, uploads: int, evidence_of: Callable[[int], Evidence], **options: Any
) -> Cost:
    """A courier, from the first submit until every upload is settled."""
    with tempfile.TemporaryDirectory() as folder:
        database = options.pop("database", Path(folder) / "courier.db")
        async with AsyncCourier.from_mapping(tenants_at(port), database, **options) as courier:
            with measured(uploads) as cost:
                await submit(courier, uploads, evidence_of)
    return cost


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
