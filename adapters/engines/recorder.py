"""From submission to record: takes what hosts hand over, prepares it off the loop, and has it
written.

Tenants take turns from the first moment. Ready documents go in batches, one hop to a worker thread
for many. What takes longer (a record to render, files to read, one to write) goes in threads of its
own, a few at a time and fewer of one tenant, so that it holds nothing else up.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import Factory, define, evolve

from ...delivery.active import ActiveUploads
from ...delivery.fair_share import FairShare
from ...delivery.in_turn import InTurn
from ...domain.errors import StoreError
from ...domain.evidence.evidence import Document
from ...domain.evidence.training import TrainingRecord
from ...ports.documents import LARGE
from .adding import Adding, Prepared, Submission
from .asyncio_driver import AsyncioDriver
from .preparing import Preparer
from .readers import CROWD, READERS, READERS_OF_TENANT, reading_of
from .ready import Ready

BATCH = 64
BATCH_BYTES = 4 * 2**20
"""At how many of them, or how many bytes, a batch of ready documents ends."""

FILES = 16
FILES_BYTES = 2**20
FILES_SECONDS = 0.1
"""How many files of a tenant a thread reads in one go, unless they are large or slow."""

TOGETHER = 0.25
"""While more records wait to be rendered, a document waits for the next multiple of these seconds:
what is written together begins, and as a rule ends, together."""

MOMENT = 1.0
"""Seconds that recording is given to finish, even where a courier is closed without grace."""


@define(eq=False)
class _Batch:
    """What one thread prepares of one tenant: `left` has not been begun, `begun` has, and the first
    of these are `done`."""

    left: deque[Submission]
    begun: list[Submission] = Factory(list)
    done: list[Prepared] = Factory(list)

    def begin(self) -> Submission | None:
        """Begin the next one; None if none is left."""
        with suppress(IndexError):  # also if the rest was taken just now
            self.begun.append(self.left.popleft())
            return self.begun[-1]
        return None

    def rest(self) -> list[Submission]:
        """Take what has not been begun."""
        rest: list[Submission] = []
        with suppress(IndexError):
            while True:
                rest.append(self.left.popleft())
        return rest


class Recorder:
    """Owns everything between `submit` and the first commit. Lives on the engine's loop.

    What is recorded becomes active; `wake` is called when something has.
    """

    def __init__(
        self,
        driver: AsyncioDriver,
        active: ActiveUploads,
        wake: Callable[[], None],
    ) -> None:
        self._driver = driver
        self._wake = wake
        self._ready = Ready()
        self._slow: InTurn[str, Submission] = InTurn()
        self._share = FairShare(READERS, READERS_OF_TENANT, CROWD)
        self._unwritten = 0  # bytes of what is prepared one by one
        self._workers: set[asyncio.Task[Any]] = set()
        self._batcher: asyncio.Task[None] | None = None
        self.adding = Adding(driver, active, wake, self._start)
        self._given_up = False

    @property
    def idle(self) -> bool:
        """Whether everything that was submitted is recorded, or known not to be."""
        return self.at_rest and not self.adding.unwritten

    @property
    def at_rest(self) -> bool:
        """Whether nothing is being recorded just now."""
        busy = self.adding.unwritten.task is not None and not self.adding.unwritten.napping
        return not (busy or self._ready or self._slow or self._workers or self._batcher)

    @property
    def waiting(self) -> int:
        """How many submissions are not recorded yet."""
        return len(self._ready) + len(self._slow) + self.adding.unrecorded

    def accept(self, submission: Submission) -> None:
        """Take a submission; returns at once."""
        tenant_id = submission.evidence.tenant_id
        if _is_ready(submission.evidence.document):
            self._ready.put(submission)
            if self._batcher is None:
                self._batcher = asyncio.create_task(self._record_ready())
        else:
            self._slow.put(tenant_id, submission)
            # Of the others that wait none is admitted: each is asked for when one leaves.
            if self._share.admits((tenant_id,)):
                self._start_slow()

    async def finish(self, patience: float) -> None:
        """Return once `idle`; what is not recorded after `patience` seconds is given up, and
        said to be."""
        deadline = asyncio.get_running_loop().time() + max(patience, MOMENT)
        self.adding.unwritten.try_now()
        while under_way := self._tasks():
            left = deadline - asyncio.get_running_loop().time()
            _, late = await asyncio.wait(under_way, timeout=max(left, 0))
            if late and left <= 0:
                self._given_up = True  # what was slow just now would begin another
                for task in late:
                    task.cancel()
                await asyncio.wait(late)
                break
            await asyncio.sleep(0)
        self.adding.give_up((*self._ready, *self._slow))

    def abort(self) -> None:
        """Stop dead; see `AsyncEngine.abort`."""
        self._given_up = True
        for task in self._tasks():
            task.cancel()

    def _tasks(self) -> set[asyncio.Task[Any]]:
        tasks = (*self._workers, self._batcher, self.adding.unwritten.task)
        return {task for task in tasks if task is not None}

    def _start_slow(self) -> None:
        admits = self._share.admits
        while not self._given_up and (one := self._slow.take(lambda tenant: admits((tenant,)))):
            batch, tenant_id = _Batch(deque([one])), one.evidence.tenant_id
            if _is_file(one):
                batch.left += self._slow.take_along(tenant_id, FILES - 1, partial(_may_join, one))
            self._share.enter((tenant_id,))
            self._start(self._record_slow(batch, one))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        worker = asyncio.create_task(work)
        self._workers.add(worker)
        worker.add_done_callback(self._worker_gone)

    def _worker_gone(self, worker: asyncio.Task[Any]) -> None:
        self._workers.discard(worker)
        self._wake()

    async def _record_ready(self) -> None:
        try:
            while self._ready:
                # Let a burst of submits gather: what arrives in one turn of the loop is written
                # together.
                await asyncio.sleep(0)
                refusal = await self._record_batch(self._next_batch())
                # What came meanwhile would wait as long, and keep others waiting.
                late = len(self._ready) if refusal is not None else 0
                while late > 0:
                    batch = self._next_batch()
                    late -= len(batch)
                    await self._record_batch(batch, refusal)
        finally:
            self._batcher = None
            self._wake()

    def _next_batch(self) -> list[Submission]:
        batch: list[Submission] = []
        size = 0
        while len(batch) < BATCH and size < BATCH_BYTES:
            if (one := self._ready.take()) is None:
                break
            batch.append(one)
            document = one.evidence.document
            size += len(document.content or b"") if isinstance(document, Document) else 0
        return batch

    async def _record_slow(self, batch: _Batch, first: Submission) -> None:
        """Record what may hang; if it does, say so in its record. What is prepared makes place for
        the next one, and waits for a commit with others, unless that is too much to hold."""
        lane, size, early = (first.evidence.tenant_id,), 0, False
        try:
            prepared = await self._prepare_slow(batch, first)
            size = sum(len(one.entry.content or b"") for one in prepared)
            self._unwritten += size
            early = self._unwritten <= BATCH_BYTES
            if early:
                self._share.leave(lane)
                self._start_slow()
                if self._slow and not _is_file(first):
                    await asyncio.sleep(-asyncio.get_running_loop().time() % TOGETHER)
            await self.adding.add(prepared)
        except BaseException as error:
            self.adding.failed(batch.begun, error)
        finally:
            self._unwritten -= size
            task = asyncio.current_task()
            if not early:
                self._share.leave(lane)
                if task is not None and not task.cancelling():
                    self._start_slow()

    async def _prepare_slow(self, batch: _Batch, first: Submission) -> list[Prepared]:
        """What became of those that were begun; the others wait again."""
        outside, lane = self._driver.outside, (first.evidence.tenant_id,)
        is_file = isinstance(first.evidence.document, Document)
        reading = reading_of(first.destination, is_file=is_file)
        self.adding.take(batch.left)
        slow = False

        def on_slow() -> None:
            nonlocal slow
            slow = True
            self._share.step_aside(lane)
            self._put_back(batch, *lane)
            self._start_slow()

        try:
            work = partial(self._prepare_some, batch)
            await outside.readers.run(reading, work, at_once=True, on_slow=on_slow)
            return batch.done
        except TimeoutError as late:
            done, preparer = [*batch.done], evolve(outside.preparer, late=late)
            # None was begun: no thread was to be had in time. The others wait again.
            unanswered = batch.begun[len(done) :] or batch.rest()
            return done + await self._driver.read(partial(self._prepare, unanswered, preparer))
        except BaseException as error:
            self.adding.failed(batch.begun[len(batch.done) :], error)
            return batch.done
        finally:
            self._put_back(batch, *lane)
            if slow:  # what it has read takes room again, until it is written
                self._share.end_aside(lane)
                self._share.enter(lane)

    def _put_back(self, batch: _Batch, tenant_id: str) -> None:
        rest = batch.rest()
        self.adding.put_back(rest)
        self._slow.put_back(tenant_id, rest)

    async def _record_batch(
        self, batch: list[Submission], refused: StoreError | None = None
    ) -> StoreError | None:
        self.adding.take(batch)
        prepare = partial(self._prepare, batch, self._driver.outside.preparer)
        try:
            prepared = await self._driver.read(prepare)
        except Exception as error:
            if len(batch) == 1:
                self.adding.failed(batch, error)
                return None
            for one in batch:
                refused = await self._record_batch([one], refused)
            return refused
        return await self.adding.add(prepared, refused)

    def _prepare(self, batch: Sequence[Submission], preparer: Preparer) -> list[Prepared]:
        """In a worker thread."""
        prepare, now = preparer.prepare, self._driver.clock.now
        return [Prepared(one, prepare(one.evidence, one.destination, now())) for one in batch]

    def _prepare_some(self, batch: _Batch) -> None:
        """In a thread of the readers: as many as can be prepared in a moment."""
        preparer, until, size = self._driver.outside.preparer, time.monotonic() + FILES_SECONDS, 0
        while not batch.begun or (size < FILES_BYTES and time.monotonic() < until):
            if (one := batch.begin()) is None:
                break
            (prepared,) = self._prepare([one], preparer)
            size += len(prepared.entry.content or b"")
            batch.done.append(prepared)


def _is_file(one: Submission) -> bool:
    document = one.evidence.document
    return isinstance(document, Document) and document.path is not None


def _may_join(first: Submission, other: Submission) -> bool:
    """Whether a thread that reads the file of the first may read that of another as well."""
    return other.destination is first.destination and _is_file(other)


def _is_ready(document: Document | TrainingRecord) -> bool:
    """Whether nothing that takes long is to be done for it."""
    if not isinstance(document, Document) or document.path is not None:
        return False
    return len(document.content or b"") <= LARGE
