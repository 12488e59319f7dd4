"""`BlockingCourier`: what a worker of a task queue holds in its hands."""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.util import find_spec
from types import TracebackType
from typing import Self, Unpack

from attrs import frozen

from ..adapters.dialogues import BlockingTokenKeeper
from ..adapters.engines.blocking import BlockingEngine, Delivery
from ..adapters.engines.blocking_attempt import BlockingAttempter
from ..adapters.engines.prepare import Destination
from ..adapters.engines.telling import tell
from ..domain.errors import ConfigError, MisuseError
from ..domain.evidence.evidence import Evidence
from ..domain.upload.status import UploadDetails, UploadStatus
from ..ports.clock import Clock
from ..ports.logger import ConfigurationRefused
from ..ports.renderer import Renderer
from ..ports.store import Find, Page, UploadStore
from ..ports.transport import BlockingTransport
from . import refusals
from .courier import status_word
from .tenants import PathText, TenantMapping, Tenants, tenants_in_folder, tenants_in_mapping
from .wiring import CommonOptions, CommonWiring, RendererOnDemand, given


class BlockingOptions(CommonOptions, total=False):
    """What else a `BlockingCourier` can be told when it is built, beside `TenantOptions` and
    `CommonOptions`.

    - `sleep`: waits for so many seconds, where one attempt needs several requests and the pace puts
      a short wait between them; by default ``time.sleep``.
    - `transport`: a port. All of them must be good for every process and thread that uses the
      courier.
    """

    sleep: Callable[[float], None] | None
    transport: BlockingTransport | None


@frozen(kw_only=True)
class _Wiring(CommonWiring):
    transport: BlockingTransport | None = None
    sleep: Callable[[float], None] = time.sleep

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.transport is None and find_spec("urllib3") is None:
            raise MisuseError(
                'a BlockingCourier sends with urllib3, which is not installed: pip install "evidence-courier[sync]"'
            )


@frozen(eq=False)
class _Room:
    """What belongs to one process."""

    process: int
    key: bytes
    store: UploadStore
    transport: BlockingTransport
    renderer: Renderer
    engine: BlockingEngine


class BlockingCourier:
    """Delivers compliance evidence for workers of a task queue, one step a call, in the caller's
    thread.

    Build it with `from_config` or `from_mapping`, once, wherever the host likes: it opens nothing
    before it is used, and each process that it is forked into opens its own. It may be used by
    several threads at once, and as a context manager. A child that is forked while another thread
    is delivering is refused by MisuseError: SQLite's connections do not outlast a fork.
    """

    def __init__(self, tenants: Tenants, wiring: _Wiring) -> None:
        self._tenants = tenants
        self._wiring = wiring
        self._loaded = tenants.read()
        # Until the store's key is known, their fingerprints are for nobody.
        self._destinations: Mapping[str, Destination] = tenants.destinations(
            self._loaded, secrets.token_bytes(32)
        )
        self._room: _Room | None = None
        # What a process has inherited is neither used nor closed there; so it must not be forgotten
        # either.
        self._inherited: list[_Room] = []
        self._busy = 0
        self._closed = False
        self._door = threading.RLock()
        if hasattr(os, "register_at_fork"):
            _watch_forks(self)
        self._tenants.tell(self._wiring.logger, self._loaded)

    @classmethod
    def from_config(
        cls, path: PathText, database: PathText | None = None, **options: Unpack[BlockingOptions]
    ) -> Self:
        """A courier for the tenants in a folder of YAML and JSON files.

        `database` is the path of the SQLite database, created where it is missing; `options` are
        those of `BlockingOptions`. Raises ConfigError with every problem of every file, and
        MisuseError for arguments that cannot be right or where the extra ``sync`` is missing.
        """
        return cls(tenants_in_folder(path, options), _Wiring(**given(database, options)))

    @classmethod
    def from_mapping(
        cls,
        tenants: TenantMapping | Callable[[], TenantMapping],
        database: PathText | None = None,
        **options: Unpack[BlockingOptions],
    ) -> Self:
        """A courier for tenants that the host keeps itself: each tenant id with what its file would
        hold.

        Give a function instead of a mapping to have it asked again at each `reload`. All else is as
        in `from_config`.
        """
        return cls(tenants_in_mapping(tenants, options), _Wiring(**given(database, options)))

    # --- lifecycle -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and all connections of this process. Safe to call twice.

        What is not settled is gone on with by whoever delivers it next.
        """
        with self._door:
            self._closed = True
            self._leave()

    def reload(self) -> None:
        """Read the tenants anew.

        Raises ConfigError where a file is broken, and then nothing changes; with
        ``on_invalid="skip"``, a broken tenant keeps what it had.
        """
        with self._used() as room:
            try:
                loaded = self._tenants.read()
            except ConfigError as error:
                tell(self._wiring.logger, ConfigurationRefused(tuple(map(str, error.problems))))
                raise
            with self._door:
                self._destinations = self._tenants.destinations(
                    loaded, room.key, self._destinations
                )
                self._loaded = loaded
            self._tenants.tell(self._wiring.logger, loaded)

    # --- delivering ------------------------------------------------------------------------------

    def enabled(self, tenant_id: str) -> bool:
        """Whether the tenant has an integration; lets a host skip building a document."""
        return tenant_id in self._destinations

    def deliver(self, evidence: Evidence) -> Delivery:
        """Take an evidence one step further (record it, attempt it, look it up, where that is due),
        and say when to come again.

        Call it again with the same evidence at `again_at`, or at any other time: what is not due is
        left alone, and what is known is not sent again, whatever became of it. For a tenant without
        an integration nothing happens. Returns for whatever the provider does; raises StoreError
        where the record could not be read or written, MisuseError where the document cannot be read
        or the courier is closed. An exception that interrupts it (a task's time limit,
        KeyboardInterrupt) goes on once it is written down how far the attempt got.
        """
        if not isinstance(evidence, Evidence):
            raise MisuseError(f"deliver takes an Evidence, not {type(evidence).__name__}")
        if self._closed:
            raise refusals.closed()
        if not self.enabled(evidence.tenant_id):
            return Delivery(None, None)
        with self._used() as room:
            destination = self._destinations.get(evidence.tenant_id)
            if destination is None:  # reloaded meanwhile
                return Delivery(None, None)
            return room.engine.deliver(evidence, destination)

    # --- seeing ----------------------------------------------------------------------------------

    def statuses(self, tenant_id: str, evidence_ids: Sequence[str]) -> Mapping[str, UploadStatus]:
        """The statuses of a tenant's evidences by evidence id, in one query; those without an
        upload are absent."""
        with self._used() as room:
            return room.store.statuses(tenant_id, list(evidence_ids), self._wiring.clock.now())

    def find(
        self,
        *,
        tenant_id: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """A page of statuses, newest first, where every filter that is given holds. `after` is
        the page before's `next_page`."""
        find = Find(
            tenant_id=tenant_id, status=status_word(status), since=since, after=after, limit=limit
        )
        with self._used() as room:
            return room.store.find(find, self._wiring.clock.now())

    def show(self, tenant_id: str, evidence_id: str) -> UploadDetails | None:
        """One upload with every attempt; None where there is none."""
        with self._used() as room:
            return room.store.show(tenant_id, evidence_id, self._wiring.clock.now())

    # --- one room for each process ---------------------------------------------------------------

    @contextmanager
    def _used(self) -> Iterator[_Room]:
        """This process's room, opened where it is not open yet."""
        with self._door:
            if self._closed:
                raise refusals.closed()
            if self._room is not None and self._room.process != os.getpid():
                self._inherited.append(self._room)
                self._room, self._busy = None, 0
            if self._room is None:
                self._room = self._opened()
                self._destinations = self._tenants.destinations(
                    self._loaded, self._room.key, self._destinations
                )
            room = self._room
            self._busy += 1
        try:
            yield room
        finally:
            with self._door:
                self._busy -= 1

    def _opened(self) -> _Room:
        wiring, clock = self._wiring, self._wiring.clock
        transport = wiring.transport or _urllib3_transport(clock)
        store = wiring.store if wiring.store is not None else wiring.open_database()
        renderer = wiring.renderer or RendererOnDemand(wiring.fonts)
        engine = BlockingEngine(
            store=store,
            attempter=BlockingAttempter(
                transport, BlockingTokenKeeper(clock.monotonic), wiring.source
            ),
            clock=clock,
            logger=wiring.logger,
            renderer=renderer,
            jitter=random.random,
            sleep=wiring.sleep,
        )
        try:
            key = store.fingerprint_key()
        except BaseException:
            if wiring.store is None:
                store.close()
            raise
        return _Room(os.getpid(), key, store, transport, renderer, engine)

    def _leave(self) -> None:
        """Close this process's room. Behind the door."""
        room, self._room = self._room, None
        if room is None:
            return
        if room.process != os.getpid():
            self._inherited.append(room)
            return
        room.engine.close()
        if self._wiring.transport is None:
            room.transport.close()
        if self._wiring.renderer is None:
            room.renderer.close()
        if self._wiring.store is None:
            room.store.close()

    def _before_fork(self) -> None:
        """What is open when a process is forked cannot be opened by the child. So here nothing
        is, unless another thread is delivering."""
        self._door.acquire()
        if self._busy == 0:
            with suppress(Exception):  # a fork must not fail for it
                self._leave()

    def _after_fork_here(self) -> None:
        self._door.release()

    def _after_fork_there(self) -> None:
        self._door = threading.RLock()


def _watch_forks(courier: BlockingCourier) -> None:
    """Hooks can never be taken back, so they must not keep the courier alive."""
    mine = weakref.ref(courier)

    def call(name: str) -> Callable[[], None]:
        def hook() -> None:
            there = mine()
            if there is not None:
                getattr(there, name)()

        return hook

    os.register_at_fork(
        before=call("_before_fork"),
        after_in_parent=call("_after_fork_here"),
        after_in_child=call("_after_fork_there"),
    )


def _urllib3_transport(clock: Clock) -> BlockingTransport:
    # Here, so that a host without task queues needs no urllib3.
    from ..adapters.transports.urllib3_transport import Urllib3Transport

    return Urllib3Transport(now=clock.now)
