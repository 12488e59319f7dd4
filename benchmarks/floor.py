"""The least that an upload costs: a courier's rows and commits, and the same requests, in as little
Python as possible. There are no providers, paces, tickets, retries or logs here, and each upload is
delivered with its first attempt; so a courier cannot reach it, and what is between them is the
price of all that."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

import aiohttp
from measuring import UPLOADS, Cost, measured
from world import SIZE, TENANTS

from evidence_courier.adapters.stores.sqlite import SqliteStore

Asked: TypeAlias = "tuple[str, Sequence[Any], asyncio.Future[None]]"

CONNECTIONS, UNDER_WAY, AT_ONCE = 64, 192, 64
HEAD = b'--aaaa\r\nContent-Disposition: form-data; name="operations"\r\n\r\n' + b"x" * 500
HEADERS = {"api-key": "key", "Content-Type": "multipart/form-data; boundary=aaaa"}
COLUMNS = (
    "id tenant_id evidence_id provider version state status due attempts spent doubt "
    "possible_duplicate alone digest evidence_date created_at updated_at session_id subject "
    "outcome recorded_at submitted_digest document_sha256 document_size document_media_type "
    "settings credential"
).split()
ADD = f"INSERT INTO uploads ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
STAGE = "INSERT INTO documents VALUES (?, ?)"
READ = "SELECT content FROM documents WHERE upload_id = ?"
BEGIN = """UPDATE uploads SET version = 2, state = 'sending', due = NULL, attempt = 1,
    started_at = ?, attempts = 1, spent = 1, updated_at = ?, last_attempt_at = ?, owner = 1,
    budget = 5 WHERE id = ? AND version = 1"""
SAVE = """UPDATE uploads SET version = 3, state = 'succeeded', status = 'succeeded', attempt = NULL,
    started_at = NULL, receipt_message = 'Evidence uploaded for this check', updated_at = ?
    WHERE id = ? AND version = 2"""
ATTEMPT = """INSERT INTO attempts (upload_id, number, started_at, ended_at, verdict,
    receipt_message, credential)
    VALUES (?, 1, ?, ?, 'delivered', 'Evidence uploaded for this check', 'key')"""
SLOT = "INSERT INTO slots (id, credential, at, until) VALUES (?, 'key', '9999', ?)"
SLOT_ENDED = "UPDATE slots SET at = ? WHERE id = ?"
UNSTAGE = "DELETE FROM documents WHERE upload_id = ?"


def now() -> str:
    """As it is stored."""
    return f"{datetime.now(UTC).isoformat(timespec='microseconds')[:26]}Z"


class Writer(threading.Thread):
    """Writes what has gathered in one transaction, and answers on the loop."""

    def __init__(self, path: Path, staged: bool) -> None:
        super().__init__(name="evidence-courier-writer")
        self._path, self._staged = path, staged
        self._loop = asyncio.get_running_loop()
        self.inbox: SimpleQueue[Asked | None] = SimpleQueue()

    def ask(self, verb: str, rows: Sequence[Any]) -> asyncio.Future[None]:
        """Have rows written."""
        answer = self._loop.create_future()
        self.inbox.put((verb, rows, answer))
        return answer

    def run(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None)
        for pragma in ("synchronous = FULL", "secure_delete = ON", "cache_size = -16000"):
            db.execute(f"PRAGMA {pragma}")
        while (first := self.inbox.get()) is not None:
            gathered = [first]
            try:
                while (another := self.inbox.get_nowait()) is not None:
                    gathered.append(another)
            except Empty:
                pass
            db.execute("BEGIN IMMEDIATE")
            for verb in ("add", "begin", "save"):
                if rows := [row for name, some, _ in gathered if name == verb for row in some]:
                    getattr(self, f"_{verb}")(db, rows)
            db.execute("COMMIT")
            answers = [answer for _, _, answer in gathered]
            self._loop.call_soon_threadsafe(self._answer, answers)
        db.close()

    @staticmethod
    def _answer(answers: Iterable[asyncio.Future[None]]) -> None:
        for answer in answers:
            answer.set_result(None)

    def _add(self, db: sqlite3.Connection, rows: list[Any]) -> None:
        db.executemany(ADD, [row for row, _ in rows])
        if self._staged:
            db.executemany(STAGE, [(row[0], body) for row, body in rows])

    def _begin(self, db: sqlite3.Connection, rows: list[Any]) -> None:
        db.executemany(BEGIN, [(at, at, at, number) for number, at in rows])
        db.executemany(SLOT, rows)
        if self._staged:
            for number, _ in rows:
                db.execute(READ, (number,)).fetchone()

    def _save(self, db: sqlite3.Connection, rows: list[Any]) -> None:
        db.executemany(SAVE, [(ended, number) for number, _, ended in rows])
        db.executemany(ATTEMPT, rows)
        db.executemany(SLOT_ENDED, [(ended, number) for number, _, ended in rows])
        if self._staged:
            db.executemany(UNSTAGE, [(number,) for number, *_ in rows])


def row_of(number: int, body: bytes) -> tuple[object, ...]:
    """What is recorded of an upload."""
    at, digest = now(), hashlib.sha256(body).hexdigest()
    return (
        *(number, f"t{number % TENANTS}", f"ev-{number}", "sprinto", 1, "queued", "pending", at),
        *(0, 0, 0, 0, 0, digest, "2026-02-21", at, at, "s", "p", "passed", at, digest, digest),
        *(SIZE, "application/pdf", '{"workflow_check": "c"}', "key"),
    )


class Floor:
    """Adds, begins, sends and saves."""

    def __init__(self, writer: Writer, session: aiohttp.ClientSession, url: str) -> None:
        self._writer, self._session, self._url = writer, session, url
        self._ready: deque[int] = deque()
        self._begun: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._ended: list[tuple[int, str, str]] = []
        self._under_way, self._left = 0, UPLOADS
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_over = asyncio.Event()

    def add(self, numbers: Sequence[int], body: bytes) -> asyncio.Task[None]:
        """Record uploads, and begin them."""
        return self._in_a_task(self._add(numbers, body))

    async def _add(self, numbers: Sequence[int], body: bytes) -> None:
        await self._writer.ask("add", [(row_of(number, body), body) for number in numbers])
        self._ready.extend(numbers)
        self._begin()

    def _begin(self) -> None:
        count = min(UNDER_WAY - self._under_way, len(self._ready))
        if count:
            self._under_way += count
            self._in_a_task(
                self._begin_these([(self._ready.popleft(), now()) for _ in range(count)])
            )

    async def _begin_these(self, starts: Sequence[tuple[int, str]]) -> None:
        await self._writer.ask("begin", starts)
        for start in starts:
            self._begun.put_nowait(start)

    async def send(self, body: bytes) -> None:
        """Send what has begun, for ever."""
        while True:
            number, began = await self._begun.get()
            data = b"".join((HEAD, body, b"\r\n--aaaa--\r\n"))
            async with self._session.post(self._url, data=data, headers=HEADERS) as reply:
                told = json.loads(await reply.read())["data"]["uploadWorkflowCheckEvidence"]
            assert told["workflowCheck"]["evidenceStatus"] == "UPLOAD_COMPLETE"
            self._ended.append((number, began, now()))
            if len(self._ended) == 1:
                self._in_a_task(self._save())

    async def _save(self) -> None:
        ended, self._ended = self._ended, []
        await self._writer.ask("save", ended)
        self._under_way -= len(ended)
        self._left -= len(ended)
        if not self._left:
            self.is_over.set()
        self._begin()

    def _in_a_task(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def floor(url: str, body: bytes, staged: bool) -> Cost:
    """The cost of the least; with documents in the database, or in the host's storage."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "floor.db"
        SqliteStore(str(path)).close()
        writer = Writer(path, staged)
        writer.start()
        async with aiohttp.ClientSession(connector=connector) as session:
            least = Floor(writer, session, url)
            senders = [asyncio.create_task(least.send(body)) for _ in range(CONNECTIONS)]
            with measured(UPLOADS) as cost:
                for first in range(1, UPLOADS + 1, AT_ONCE):
                    numbers = range(first, min(first + AT_ONCE, UPLOADS + 1))
                    added = least.add(numbers, body)
                    await (added if first % 512 == 1 else asyncio.sleep(0))
                await least.is_over.wait()
            for sender in senders:
                sender.cancel()
        writer.inbox.put(None)
        await asyncio.to_thread(writer.join)
    return cost
