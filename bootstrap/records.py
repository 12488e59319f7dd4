"""`Records` and `AsyncRecords`: what people see and do, without a courier."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, Unpack

from ..adapters.engines.interruptions import workers_own
from ..adapters.engines.notify import Notifier
from ..adapters.plugins import discover_providers
from ..delivery.actions import ActionResult, act_on
from ..domain.upload.actions import Action, Person
from ..domain.upload.status import UploadStatus
from ..domain.upload.transitions import Rules
from ..domain.upload.upload import UploadKey
from ..ports.logger import Logger
from ..ports.records import UploadReader
from ..ports.store import UploadStore
from . import refusals
from .face import BlockingRecordsFace, RecordsBasis, RecordsFace, at_once, without_await
from .per_process import PerProcess
from .tenants import PathText, Providers, rules_of_provider
from .wiring import RecordsOptions, RecordsWiring
from .workers import Workers

if TYPE_CHECKING:
    from .blocking_courier import BlockingCourier
    from .courier import AsyncCourier

T = TypeVar("T")

THREADS = 8
"""How many questions to `AsyncRecords` are answered at once."""


class _Opened:
    """What one process has open: what reads from the beginning, what writes since the first
    action."""

    def __init__(self, wiring: RecordsWiring) -> None:
        self._wiring = wiring
        self._open = ExitStack()
        self.reader: UploadReader = self._open.enter_context(wiring.open_reader())
        self._store: UploadStore | None = None
        self._opening = Lock()

    @property
    def store(self) -> UploadStore:
        """What writes. It registers no courier."""
        with self._opening:
            if self._store is None:
                self.reader.paused()  # StoreError if the database is gone: none is made anew
                self._store = self._wiring.open_store()
                if self._wiring.store is None:
                    self._open.callback(self._store.close)
            return self._store

    def close(self) -> None:
        """Close everything that is not the host's."""
        self._open.close()


class _Access:
    """Reads and acts for one face, in the caller's thread."""

    def __init__(self, wiring: RecordsWiring, logger: Logger, providers: Providers | None) -> None:
        self._wiring = wiring
        self._logger = logger
        self._given = providers
        self.clock = wiring.clock
        self.opened = PerProcess(partial(_Opened, wiring), _Opened.close, refusals.records_closed)

    def opens(self) -> Self:
        """This, once the database is open."""
        with self.opened.used():
            return self

    def read(self, read: Callable[[UploadReader], T]) -> T:
        """What is read of the records."""
        with self.opened.used() as opened:
            return read(opened.reader)

    def act(self, found: Sequence[UploadStatus], action: Action, person: Person) -> ActionResult:
        """Do what a person asks for to uploads that were found."""
        notifier = Notifier(self._logger, workers_own)
        with self.opened.used() as opened:
            store, now = opened.store, self.clock.now
            return act_on(store, found, action, person, self._rules_of, now, log=notifier.log)

    def write(self, verb: Callable[[UploadStore], T]) -> T:
        """What a writing verb of the store gives."""
        with self.opened.used() as opened:
            return verb(opened.store)

    @cached_property
    def _providers(self) -> Providers:
        return discover_providers() if self._given is None else self._given

    def _rules_of(self, key: UploadKey) -> Rules:
        return rules_of_provider(self._providers.get(key.provider), key)


def _access(database: PathText | None, options: RecordsOptions) -> _Access:
    wiring = RecordsWiring(database, options)
    return _Access(wiring, wiring.logger, options.get("providers"))


class Records(BlockingRecordsFace, RecordsBasis):
    """The records in a courier's database, for a process that looks and acts, and never delivers:
    a web process, an admin page, a script.

    It is no courier: it registers none, sends nothing, and needs no tenants. A courier that runs
    on the database notices within seconds what is done here. Several threads may use it at once,
    and it is a context manager. It may be opened before a fork: each process opens its own. A child
    that is forked while another thread is using it is refused by MisuseError: SQLite's connections
    do not outlast a fork.

    Once it is closed its methods raise MisuseError; StoreError if the database cannot be read or
    written.
    """

    def __init__(self, access: _Access) -> None:
        self._access = access
        self._clock = access.clock

    @classmethod
    def open(cls, database: PathText | None = None, **options: Unpack[RecordsOptions]) -> Self:
        """Open the records in a database that a courier has made.

        Args:
            database: The path of an SQLite database, or the URL of a PostgreSQL.
            options: See `RecordsOptions`.

        Raises:
            StoreError: There is no such database, it is not a courier's, or another version has
                written it.
            MisuseError: An argument cannot be right.
        """
        return cls(_access(database, options).opens())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database in this process. May be called again."""
        self._access.opened.close()

    health = without_await(RecordsFace.health)

    def _call(self, method: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        return at_once(method(self))

    async def _read(self, read: Callable[[UploadReader], T]) -> T:
        return self._access.read(read)

    async def _act_on(
        self, found: Sequence[UploadStatus], action: Action, person: Person
    ) -> ActionResult:
        return self._access.act(found, action, person)

    async def _write(self, write: Callable[[UploadStore], T]) -> T:
        return self._access.write(write)


class AsyncRecords(RecordsFace):
    """`Records` for a host that runs on asyncio: the same methods with `await`, made in threads of
    its own.

    It opens the database on entry (``async with AsyncRecords.open(...) as records``), or at its
    first use.
    """

    def __init__(self, access: _Access) -> None:
        self._access = access
        self._clock = access.clock
        self._threads: tuple[int, Workers] | None = None

    @classmethod
    def open(cls, database: PathText | None = None, **options: Unpack[RecordsOptions]) -> Self:
        """As `Records.open`; but a StoreError is raised on entry, or at the first use."""
        return cls(_access(database, options))

    async def __aenter__(self) -> Self:
        try:
            await self._read(lambda reader: None)
        except BaseException:
            self._stop_threads()  # it is not left, as it was not entered
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the database in this process. May be called again."""
        if self._access.opened.closed:
            return
        try:
            await self._in_thread(self._access.opened.close)
        finally:
            self._stop_threads()

    def _stop_threads(self) -> None:
        threads, self._threads = self._threads, None
        if threads is not None:
            _stop(*threads)

    async def _read(self, read: Callable[[UploadReader], T]) -> T:
        return await self._in_thread(partial(self._access.read, read))

    async def _act_on(
        self, found: Sequence[UploadStatus], action: Action, person: Person
    ) -> ActionResult:
        return await self._in_thread(partial(self._access.act, found, action, person))

    async def _write(self, write: Callable[[UploadStore], T]) -> T:
        return await self._in_thread(partial(self._access.write, write))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        """Those of the event loop are the host's, and may all be busy."""
        if self._access.opened.closed:
            raise refusals.records_closed()  # before a thread is made that nothing would end
        process = os.getpid()
        if self._threads is None or self._threads[0] != process:
            self._threads = process, Workers(THREADS, "evidence-courier-records")
            weakref.finalize(self, _stop, *self._threads)  # if it is not closed
        in_context = partial(copy_context().run, call)
        return await asyncio.get_running_loop().run_in_executor(self._threads[1], in_context)


def _stop(process: int, threads: Workers) -> None:
    if process == os.getpid():  # a child of a fork has inherited none
        threads.shutdown(wait=False)


AnyCourier: TypeAlias = "AsyncCourier | BlockingCourier"
"""One with a store of its own; a `Courier` has that of its `AsyncCourier`."""


def records_of(courier: AnyCourier, logger: Logger) -> Records:
    """The records of a courier, opened, with its own store, clock and providers."""
    return Records(_Access(courier._wiring, logger, courier._tenants.providers).opens())
