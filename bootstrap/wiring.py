"""Which adapter stands at which port, unless the host brings its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

from attrs import field, frozen

from ..adapters.clocks.system import SystemClock
from ..adapters.engines.asyncio_engine import OnSettled
from ..adapters.loggers.standard import StandardLogger
from ..adapters.plugins import BrokenProvider
from ..adapters.stores.sqlite import SqliteStore
from ..domain.errors import MisuseError
from ..domain.evidence.evidence import Document
from ..domain.evidence.training import TrainingRecord
from ..domain.upload.failure import Failure
from ..domain.upload.transitions import Rules
from ..domain.upload.upload import UploadKey
from ..ports.clock import Clock
from ..ports.logger import Logger
from ..ports.provider import CanLookUp, Provider
from ..ports.renderer import Renderer
from ..ports.source import DocumentSource
from ..ports.store import UploadStore
from ..ports.transport import AsyncTransport
from .tenants import PathText, TenantOptions

CONCURRENCY = 64
IN_FLIGHT_BYTES = 64 * 1024 * 1024


@frozen(kw_only=True)
class CommonWiring:
    """What every courier is built from, but its tenants and what it sends with. Whatever is None
    is made when it is needed, and closed with the courier."""

    database: str | None = None
    store: UploadStore | None = None
    renderer: Renderer | None = None
    source: DocumentSource | None = None
    clock: Clock = field(factory=SystemClock)
    logger: Logger = field(factory=StandardLogger)
    keep_documents: bool = False
    fonts: Sequence[PathText] = ()

    def __attrs_post_init__(self) -> None:
        if (self.database is None) == (self.store is None):
            raise MisuseError(
                "give a courier either database= (a path) or store= (a store of your own)"
            )

    def open_database(self) -> UploadStore:
        """The store in the database; StoreError where it cannot be opened."""
        assert self.database is not None
        return SqliteStore(
            self.database, keep_documents=self.keep_documents, monotonic=self.clock.monotonic
        )


@frozen(kw_only=True)
class Wiring(CommonWiring):
    """Everything that a courier on an event loop is built from, but its tenants."""

    transport: AsyncTransport | None = None
    on_settled: OnSettled | None = None
    concurrency: int = CONCURRENCY
    in_flight_bytes: int = IN_FLIGHT_BYTES

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.concurrency < 1:
            raise MisuseError(f"concurrency must be at least 1, not {self.concurrency}")
        if self.in_flight_bytes < 1:
            raise MisuseError(f"in_flight_bytes must be at least 1, not {self.in_flight_bytes}")


class CommonOptions(TenantOptions, total=False):
    """What else every courier can be told when it is built.

    - `keep_documents`: keep staged documents after their success.
    - `fonts`: folders with fonts for rendering training records.
    - the others are ports; what is given stays the caller's to close.
    """

    keep_documents: bool
    fonts: Sequence[PathText]
    store: UploadStore | None
    clock: Clock | None
    logger: Logger | None
    renderer: Renderer | None
    source: DocumentSource | None


class Options(CommonOptions, total=False):
    """What else a courier on an event loop can be told, beside `TenantOptions` and `CommonOptions`.

    - `concurrency`: how many requests may be under way at once (64); `in_flight_bytes`: how many
      bytes of documents (64 MiB).
    - `on_settled`: called on the loop with each `UploadStatus` that has succeeded, failed or is
      held; may return an awaitable.
    - `transport`: a port.
    """

    concurrency: int
    in_flight_bytes: int
    on_settled: OnSettled | None
    transport: AsyncTransport | None


def given(database: PathText | None, options: CommonOptions) -> dict[str, Any]:
    """What of the options a wiring is made of: those that say something, and do not concern the
    tenants."""
    said = {
        name: value
        for name, value in options.items()
        if name not in TenantOptions.__annotations__ and value is not None
    }
    return {"database": os.fspath(database) if database is not None else None, **said}


def rules_of_provider(provider: Provider | BrokenProvider | None, key: UploadKey) -> Rules:
    """What decides about an upload whose tenant has no integration any more: what its provider
    can do. MisuseError where that is not known."""
    if provider is None or isinstance(provider, BrokenProvider):
        raise MisuseError(
            f"the provider {key.provider!r} of {key} is not installed here, and what may be done to the upload depends on it: "
            "do it where the courier runs, or install the provider's package here"
        )
    return Rules(can_look_up=isinstance(provider, CanLookUp))


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
