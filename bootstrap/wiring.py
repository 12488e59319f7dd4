"""Which adapter is at which port: what the host gives, or the package's own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from importlib.util import find_spec
from typing import TypedDict

from ..adapters.engines.notify import Notifier, OnSettled, aside
from ..adapters.engines.notify import tell as notify
from ..adapters.loggers.standard import StandardLogger
from ..adapters.stores.databases import clock_of, exists, open_for_reading, open_store
from ..delivery.duties import Duty
from ..domain.arguments import of_kind, several, whole_number
from ..domain.errors import MisuseError
from ..domain.evidence.evidence import Document
from ..domain.evidence.training import TrainingRecord
from ..domain.retention import Retention
from ..domain.upload.failure import Failure
from ..ports.clock import Clock, Trusted
from ..ports.logger import Logger, RenderingUnavailable
from ..ports.notices import Sink
from ..ports.records import UploadReader
from ..ports.renderer import Renderer
from ..ports.source import DocumentSource
from ..ports.store import UploadStore
from ..ports.transport import AsyncTransport, BlockingTransport
from .refusals import refuse_unknown
from .tenants import PathText, Providers, TenantOptions

CONCURRENCY = 64
IN_FLIGHT_BYTES = 64 * 1024 * 1024


class StoreOptions(TypedDict, total=False):
    """The options of all that uses a database.

    - `keep_documents`: keep staged documents after their success.
    - the others are ports; what is given stays the caller's to close.
    """

    keep_documents: bool
    store: UploadStore | None
    clock: Clock | None
    logger: Logger | None


class RecordsOptions(StoreOptions, total=False):
    """The options of `Records` and `AsyncRecords`, beside `StoreOptions`.

    - `providers`: a port, as the couriers on the database have it; by default what is installed.
      It says what may be done to an upload in doubt.
    """

    providers: Providers | None


class CommonOptions(TenantOptions, StoreOptions, total=False):
    """The options of every courier, beside `TenantOptions` and `StoreOptions`.

    - `fonts`: folders with fonts for rendering training records.
    - `retention`: how long each part of settled uploads is kept, as ``{"attempts": "400d",
      "personal": "90d after success", "failed_documents": "90d"}``; a tenant's own `retention`
      wins. By default nothing is removed.
    - `notices`: the sinks that get what a person must know, such as ``[Webhook(url)]``; a
      `Webhook`, a `Mail`, an `OnNotice`, or a `Sink` of your own.
    - `late_after`: they are told, too, once the oldest open upload is older than this.
    - the others are ports; what is given stays the caller's to close.
    """

    notices: Sequence[Sink]
    late_after: timedelta | None
    retention: Mapping[str, str] | str | Retention | None
    fonts: Sequence[PathText]
    renderer: Renderer | None
    source: DocumentSource | None


class CourierOptions(CommonOptions, total=False):
    """The options of `AsyncCourier` and `Courier`, beside `TenantOptions` and `CommonOptions`.

    - `concurrency`: how many requests may be under way at once (64); `in_flight_bytes`: how many
      bytes of documents (64 MiB).
    - `on_settled`: called with each `UploadStatus` that has succeeded, failed, is held or was
      skipped: in a thread of its own, or if it is a coroutine function, on the loop.
    - `background`: False: uploads are recorded, and nothing is sent but within `deliver_due`.
    - `transport`: a port.
    """

    background: bool
    concurrency: int
    in_flight_bytes: int
    on_settled: OnSettled | None
    transport: AsyncTransport | None


class BlockingOptions(CommonOptions, total=False):
    """The options of `BlockingCourier`, beside `TenantOptions` and `CommonOptions`.

    - `sleep`: waits for some seconds, if one attempt needs several requests and the pace puts a
      short wait between them; by default ``time.sleep``.
    - `transport`: a port. All ports must be good for every process and thread that uses the
      courier.
    """

    sleep: Callable[[float], None] | None
    transport: BlockingTransport | None


class RecordsWiring:
    """What reads and acts is built from. What is None is made when it is needed, and closed with
    what is built."""

    def __init__(
        self,
        database: PathText | None,
        options: StoreOptions,
        known: object = RecordsOptions,
    ) -> None:
        refuse_unknown(options, known.__annotations__, "option of this courier", "database")
        _refuse_of_another_kind({**options, "database": database})
        self.database = os.fspath(database) if database is not None else None
        self.store = options.get("store")
        if (self.database is None) == (self.store is None):
            raise MisuseError(
                "give a courier either database= (a path, or a PostgreSQL's URL) or store= (a "
                "store of your own)"
            )
        clock, logger = options.get("clock"), options.get("logger")
        self.clock: Clock = clock_of(self.database) if clock is None else clock
        self.logger: Logger = StandardLogger() if logger is None else logger
        self._keep_documents = options.get("keep_documents") or False

    def open_reader(self) -> AbstractContextManager[UploadReader]:
        """The host's store, or what reads the database; StoreError if it is not there."""
        if self.store is not None:
            return nullcontext(self.store)
        assert self.database is not None
        return open_for_reading(self.database)

    @property
    def has_store(self) -> bool:
        """Whether something may be recorded: the database need not be made first."""
        return self.database is None or exists(self.database)

    def open_store(self) -> UploadStore:
        """The host's store, or the one in the database; StoreError if it cannot be opened."""
        if self.store is not None:
            return self.store
        assert self.database is not None
        return open_store(self.database, clock=self.clock, keep_documents=self._keep_documents)


class Wiring(RecordsWiring):
    """What every courier is built from, but its tenants and its transport."""

    def __init__(self, database: PathText | None, options: CommonOptions, known: object) -> None:
        super().__init__(database, options, known)
        self.renderer = options.get("renderer")
        self.source = options.get("source")
        self._fonts = _folders(options.get("fonts") or ())
        self.retention = Retention.parse(options.get("retention") or {})
        self.sinks = sinks_in(options.get("notices") or ())
        self.late_after = options.get("late_after")
        if self.late_after is not None and self.late_after < timedelta(0):
            raise MisuseError(f"late_after must not be negative, as {self.late_after} is")

    def log_what_is_missing(self) -> None:
        """Log if no training record can be rendered here."""
        if self.renderer is None and (fault := rendering_fault()):
            notify(self.logger, RenderingUnavailable(fault))

    def open_renderer(self) -> Renderer:
        """The host's renderer, or one that is made when the first record comes."""
        return self.renderer or RendererOnDemand(self._fonts)


class AsyncWiring(Wiring):
    """What a courier on an event loop is built from, but its tenants."""

    duties: Sequence[Duty] = ()

    def __init__(self, database: PathText | None, options: CourierOptions) -> None:
        super().__init__(database, options, CourierOptions)
        self.transport = options.get("transport")
        self.on_settled = options.get("on_settled")
        self.background = options.get("background", True)
        self.concurrency = _at_least_1("concurrency", options.get("concurrency"), CONCURRENCY)
        self.in_flight_bytes = _at_least_1(
            "in_flight_bytes", options.get("in_flight_bytes"), IN_FLIGHT_BYTES
        )

    def guard(self) -> None:
        """From here on, what is the host's own is called as an event loop may call it."""
        self.logger = aside(self.logger)
        if not isinstance(self.clock, Trusted):
            from .host_clock import HostClock

            self.clock = HostClock(self.clock, Notifier(self.logger))

    def open_transport(self) -> AsyncTransport:
        """A transport over aiohttp."""
        # A host of task queues, which builds no such courier, need not load it.
        from ..adapters.transports.aiohttp_transport import AiohttpTransport

        return AiohttpTransport(now=self.clock.now)


class BlockingWiring(Wiring):
    """What a `BlockingCourier` is built from, but its tenants."""

    def __init__(self, database: PathText | None, options: BlockingOptions) -> None:
        super().__init__(database, options, BlockingOptions)
        self.transport = options.get("transport")
        self.sleep = options.get("sleep") or time.sleep
        if self.transport is None and find_spec("httpcore") is None:
            raise MisuseError(
                "a BlockingCourier sends with httpcore, which is not installed: "
                'pip install "evidence-courier[sync]"'
            )

    def open_transport(self) -> BlockingTransport:
        """The host's transport, or one over httpcore."""
        if self.transport is not None:
            return self.transport
        # A host without task queues need not have it.
        from ..adapters.transports.httpcore_transport import HttpcoreTransport

        return HttpcoreTransport(now=self.clock.now)


_PATH = (str, os.PathLike)
_KINDS: Mapping[str, tuple[object, str]] = {
    "database": (_PATH, "a path, or a PostgreSQL's URL"),
    "block": (str, "the dotted path of a block"),
    "providers": (Mapping, "a mapping of names to providers"),
    "background": (bool, "True or False"),
    "keep_documents": (bool, "True or False"),
    "backfill": (bool, "True or False"),
    "on_settled": (Callable, "a function"),
    "sleep": (Callable, "a function"),
    "late_after": (timedelta, "a timedelta"),
}


def _refuse_of_another_kind(options: Mapping[str, object]) -> None:
    for name, (kind, words) in _KINDS.items():
        if options.get(name) is not None:
            of_kind(name, options[name], kind, words)


def _folders(paths: Sequence[PathText]) -> tuple[PathText, ...]:
    for path in (folders := several("fonts", paths, _PATH, "a folder's path")):
        if not os.path.isdir(path):
            raise MisuseError(f"fonts: {os.fspath(path)} is not a folder")
    return folders


def sinks_in(given: Sequence[Sink]) -> tuple[Sink, ...]:
    """The sinks of the option `notices`; MisuseError if it is wrong."""
    sinks = [
        one
        for sink in several("notices", given, Sink, "a sink, such as a Webhook")
        for one in _parts(sink)
    ]
    names = [sink.name for sink in sinks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise MisuseError(f"notices: two sinks have the name {twice!r}: give each its own")
    return tuple(sinks)


def _parts(sink: Sink) -> Sequence[Sink]:
    # A courier that tells nothing need not load what tells.
    from ..adapters.notices import Mail

    return sink.for_each() if isinstance(sink, Mail) else [sink]


def _at_least_1(name: str, value: int | None, default: int) -> int:
    if value is None:
        return default
    whole_number(name, value)
    if value < 1:
        raise MisuseError(f"{name} must be at least 1, not {value}")
    return value


def rendering_fault() -> str | None:
    """Why the package's own renderer cannot work here; None if it can."""
    if find_spec("typst") is None:
        return 'Typst is not installed: pip install "evidence-courier[pdf]"'
    return None


class RendererOnDemand:
    """Makes the PDF renderer when the first record comes, so that a host of ready documents
    needs no extra."""

    def __init__(self, fonts: Sequence[PathText]) -> None:
        self._fonts = tuple(os.fspath(font) for font in fonts)
        self._renderer: Renderer | None = None
        self._making = threading.Lock()

    def render(self, record: TrainingRecord) -> Document | Failure:
        """Render with Typst; MisuseError where the extra is missing."""
        with self._making:
            if self._renderer is None:
                from ..adapters.renderers.typst_renderer import TypstRenderer

                self._renderer = TypstRenderer(fonts=self._fonts)
        return self._renderer.render(record)

    def close(self) -> None:
        """Close it, if it was made."""
        if self._renderer is not None:
            self._renderer.close()
