"""What an upload costs a courier, beside a bare client and beside what is written by hand.

A server in a process of its own reads each request whole and answers it: a lean one, or aiohttp's.

- bare: aiohttp's client posting ready bytes, recording nothing, over as many connections as the
  courier has. That is the limit.
- by-hand: a form made with aiohttp's FormData, and a row written with sqlite-utils before and after
  it is sent.
- courier, by-path, from-source: documents of 30 kB for eight tenants, as bytes that are staged, as
  files, and in a source of the host's, with the whole record kept in SQLite.

Each measurement is a fresh process, they take turns, and the medians count: a machine that does
other things too disturbs the rate, and the processor's time less.

    python benchmarks/throughput.py [--server lean|aiohttp] [--against PYTHON] [--rounds 3] [--json]
        [--only bare courier]

`PYTHON` is the interpreter of an environment that holds another version of the package, which is
then measured in turn with this one.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import aiohttp
from aiohttp import web
from sqlite_utils import Database

from evidence_courier import AsyncCourier, Document, Evidence

Cost: TypeAlias = dict[str, float]

UPLOADS = int(os.environ.get("UPLOADS", "5000"))
BARE = max(UPLOADS, 5000)
BY_HAND = min(UPLOADS, 1000)
SIZE = 30_000
CONNECTIONS = 64
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


async def serve(kind: str) -> None:
    """Print the port, and serve."""
    factory: Callable[[], asyncio.BaseProtocol] = Sink
    if kind == "aiohttp":

        async def answer(request: web.BaseRequest) -> web.Response:
            await request.read()
            return web.Response(body=REPLY, content_type="application/json")

        factory = web.Server(answer)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


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


class Shelf:
    """A source of documents that are all the same."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, tenant_id: str, key: str) -> bytes:
        """As in `DocumentSource`."""
        return self._body


async def courier(url: str, body: bytes) -> Cost:
    """A courier with documents as bytes."""
    return await deliver(url, body, lambda number: {"content": body})


async def by_path(url: str, body: bytes) -> Cost:
    """A courier with documents as files."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(UPLOADS):
            (Path(folder) / f"{number}.pdf").write_bytes(body)
        return await deliver(url, body, lambda number: {"path": f"{folder}/{number}.pdf"})


async def from_source(url: str, body: bytes) -> Cost:
    """A courier with documents in the host's own storage."""
    its = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
    return await deliver(url, body, lambda number: {"source": f"{number}", **its})


def tenants_at(url: str, name: str, count: int) -> dict[str, dict[str, object]]:
    """Tenants `name0`, `name1` and so on, each with Sprinto at the server."""
    os.environ["BENCHMARK_KEY"] = "benchmark-key"
    block = {
        "provider": "sprinto",
        "api_key": "${BENCHMARK_KEY}",
        "workflow_check": "c",
        "endpoint": f"{url}dev-api/graphql",
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


async def deliver(url: str, body: bytes, place: Callable[[int], dict[str, Any]]) -> Cost:
    """A courier, from the first submit until every upload is settled."""
    tenants = tenants_at(url, "t", TENANTS)
    with tempfile.TemporaryDirectory() as folder:
        database, shelf = Path(folder) / "courier.db", Shelf(body)
        async with AsyncCourier.from_mapping(tenants, database, source=shelf) as one:
            with measured(UPLOADS) as cost:
                tickets = []
                for number in range(UPLOADS):
                    tenant_id, evidence_id = f"t{number % TENANTS}", f"ev-{number}"
                    tickets.append(one.submit(evidence(tenant_id, evidence_id, **place(number))))
                    if number % 500 == 499:
                        await tickets[-1].recorded()
                settled = [await ticket.settled() for ticket in tickets]
            bad = [status for status in settled if status is None or status.status != "succeeded"]
            assert not bad, bad[0]
    return cost


MEASURED = {
    "bare": bare,
    "by-hand": by_hand,
    "courier": courier,
    "by-path": by_path,
    "from-source": from_source,
}


@contextmanager
def measured(times: int) -> Iterator[Cost]:
    """What is done inside costs, one of so many times: processor time in all and on this
    thread."""
    cost: Cost = {}
    began, cpu, loop = time.perf_counter(), time.process_time(), time.thread_time()
    yield cost
    cost["uploads/s"] = times / (time.perf_counter() - began)
    cost["CPU us"] = (time.process_time() - cpu) / times * 1e6
    cost["of these on the loop"] = (time.thread_time() - loop) / times * 1e6
    # The writer, and the threads that read.
    cost["in threads"] = cost["CPU us"] - cost["of these on the loop"]
    cost["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(what: str, port: int, python: str = sys.executable) -> Cost:
    """One measurement, in a process of its own."""
    command = [python, __file__, what, "--port", str(port)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    cost: Cost = json.loads(run.stdout)
    return cost


@contextmanager
def server(kind: str) -> Iterator[int]:
    """The server's port, while it runs."""
    process = subprocess.Popen(
        [sys.executable, __file__, "serve", "--server", kind], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def compare(kind: str, rounds: int, against: str | None, only: list[str]) -> dict[str, list[Cost]]:
    """Measure in turn; `other` is the courier of the other version."""
    costs: dict[str, list[Cost]] = {what: [] for what in only}
    if against is not None:
        costs["other"] = []
    with server(kind) as port:
        for _ in range(rounds):
            for what in only:
                costs[what].append(measure(what, port))
            if against is not None:
                costs["other"].append(measure("courier", port, against))
    return costs


def show(kind: str, costs: dict[str, list[Cost]]) -> None:
    """The medians."""
    print(
        f"{UPLOADS} documents of {SIZE // 1000} kB, {CONNECTIONS} connections, loopback, server "
        f"{kind}, medians of {len(costs['bare'])}; {machine()}"
    )
    limit = median(cost["CPU us"] for cost in costs["bare"])
    for name, each in costs.items():
        medians = {key: median(cost[key] for cost in each) for key in each[0]}
        facts = ", ".join(f"{number:6,.0f} {key}" for key, number in medians.items())
        print(f"{name:11} {facts}; CPU {medians['CPU us'] / limit:.1f} x bare")


def machine() -> str:
    """What it was measured on."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    processor = found.group(1) if found else platform.machine()
    return f"{os.cpu_count()} x {processor}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["serve", *MEASURED], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--server", choices=["lean", "aiohttp"], default="lean")
    parser.add_argument("--against", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=MEASURED, default=[*MEASURED])
    parser.add_argument("--json", action="store_true", help="print each measurement")
    asked = parser.parse_args()
    if asked.what == "serve":
        asyncio.run(serve(asked.server))
    elif asked.what is not None:
        url, body = f"http://127.0.0.1:{asked.port}/", os.urandom(SIZE)
        print(json.dumps(asyncio.run(MEASURED[asked.what](url, body))))
    else:
        costs = compare(asked.server, asked.rounds, asked.against, asked.only)
        if asked.json:
            print(json.dumps({"machine": machine(), "server": asked.server, "costs": costs}))
        else:
            show(asked.server, costs)


if __name__ == "__main__":
    main()
