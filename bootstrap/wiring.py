"""Which adapter stands at which port, unless the host brings its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, TypedDict

from attrs import field, frozen

from ..adapters.clocks.system import SystemClock
from ..adapters.config import Loaded
from ..adapters.engines.asyncio_engine import OnSettled
from ..adapters.engines.prepare import Destination, destination_of
from ..adapters.loggers.standard import StandardLogger
from ..adapters.plugins import BrokenProvider, discover_providers
from ..adapters.secrets.environ import EnvironSecrets
from ..domain.errors import ConfigError, MisuseError
from ..domain.evidence import Document
from ..domain.failure import Failure
from ..domain.training import TrainingRecord
from ..domain.transitions import Rules
from ..domain.upload import UploadKey
from ..ports.clock import Clock
from ..ports.logger import Logger
from ..ports.provider import Provider, Readable
from ..ports.renderer import Renderer
from ..ports.secrets import Secrets
from ..ports.source import DocumentSource
from ..ports.store import UploadStore
from ..ports.transport import AsyncTransport

OnInvalid = Literal["raise", "skip"]
PathText: TypeAlias = "str | os.PathLike[str]"
Providers: TypeAlias = Mapping[str, Provider | BrokenProvider]
TenantMapping: TypeAlias = Mapping[str, Mapping[str, object]]

CONCURRENCY = 64
IN_FLIGHT_BYTES = 64 * 1024 * 1024


@frozen(kw_only=True)
class Wiring:
    """Everything that a courier is built from, but its tenants. Whatever is None is made when the courier starts, and closed with it."""

    database: str | None = None
    store: UploadStore | None = None
    transport: AsyncTransport | None = None
    renderer: Renderer | None = None
    source: DocumentSource | None = None
    clock: Clock = field(factory=SystemClock)
    logger: Logger = field(factory=StandardLogger)
    on_settled: OnSettled | None = None
    concurrency: int = CONCURRENCY
    in_flight_bytes: int = IN_FLIGHT_BYTES
    keep_documents: bool = False
    fonts: Sequence[PathText] = ()

    def __attrs_post_init__(self) -> None:
        if (self.database is None) == (self.store is None):
            raise MisuseError("give a courier either database= (a path) or store= (a store of your own)")
        if self.concurrency < 1:
            raise MisuseError(f"concurrency must be at least 1, not {self.concurrency}")
        if self.in_flight_bytes < 1:
            raise MisuseError(f"in_flight_bytes must be at least 1, not {self.in_flight_bytes}")


class Options(TypedDict, total=False):
    """What else a courier can be told when it is built.

    - `block`: the dotted path of the integration's block in a tenant's mapping; by default ``integrations.compliance``.
    - `on_invalid`: ``"raise"`` (the default) a ConfigError that lists every problem, or ``"skip"`` the invalid tenants and log them.
    - `concurrency`: how many requests may be under way at once (64); `in_flight_bytes`: how many bytes of documents (64 MiB).
    - `keep_documents`: keep staged documents after their success.
    - `fonts`: folders with fonts for rendering training records.
    - `on_settled`: called on the loop with each `UploadStatus` that has succeeded, failed or is held; may return an awaitable.
    - the others are ports; what is given stays the caller's to close.
    """

    block: str
    on_invalid: OnInvalid
    concurrency: int
    in_flight_bytes: int
    keep_documents: bool
    fonts: Sequence[PathText]
    on_settled: OnSettled | None
    store: UploadStore | None
    clock: Clock | None
    logger: Logger | None
    transport: AsyncTransport | None
    providers: Providers | None
    secrets: Secrets | None
    renderer: Renderer | None
    source: DocumentSource | None


_OF_THE_TENANTS = ("block", "on_invalid", "providers", "secrets")


def wiring_of(database: PathText | None, options: Options) -> Wiring:
    """The wiring that the options ask for; TypeError for an option that there is not."""
    given = {
        name: value for name, value in options.items() if name not in _OF_THE_TENANTS and value is not None
    }
    path = os.fspath(database) if database is not None else None
    return Wiring(database=path, **given)  # type: ignore[arg-type]


class Load(Protocol):
    """Reads the tenants anew, wherever they are kept."""

    def __call__(self, providers: Providers, secrets: Secrets, block: str) -> Loaded:
        """All of them, with all problems."""
        ...


@frozen
class Tenants:
    """Where the tenants come from, what to do where one is invalid, and the providers they may name."""

    where: str
    load: Callable[[], Loaded]
    providers: Providers
    on_invalid: OnInvalid

    def read(self) -> Loaded:
        """Load; raises ConfigError where a problem is to be raised."""
        loaded = self.load()
        if loaded.problems and self.on_invalid == "raise":
            raise ConfigError(loaded.problems)
        return loaded

    def destinations(self, loaded: Loaded, key: bytes) -> dict[str, Destination]:
        """Every tenant's integration with its provider; `key` is the store's for fingerprints."""
        found = {}
        for tenant_id, integration in loaded.integrations.items():
            provider = self.providers[integration.provider]
            assert not isinstance(provider, BrokenProvider)
            found[tenant_id] = destination_of(integration, provider, key)
        return found


def tenants_of(where: str, load: Load, options: Options) -> Tenants:
    """The tenants that `load` reads, with the options that concern them."""
    providers = options.get("providers")
    known: Providers = providers if providers is not None else discover_providers()
    secrets: Secrets = options.get("secrets") or EnvironSecrets()
    if not callable(getattr(secrets, "resolve", None)):
        raise MisuseError(
            f"secrets= takes an object with resolve(name) -> Secret | None, not {type(secrets).__name__}"
        )
    block = options.get("block", "integrations.compliance")
    on_invalid = options.get("on_invalid", "raise")
    if on_invalid not in ("raise", "skip"):
        raise MisuseError(f"on_invalid must be 'raise' or 'skip', not {on_invalid!r}")
    return Tenants(where, lambda: load(known, secrets, block), known, on_invalid)


def rules_of_provider(provider: Provider | BrokenProvider | None, key: UploadKey) -> Rules:
    """What decides about an upload whose tenant has no integration any more: what its provider can do. MisuseError where that is not known."""
    if provider is None or isinstance(provider, BrokenProvider):
        raise MisuseError(
            f"the provider {key.provider!r} of {key} is not installed here, and what may be done to the upload depends on it: "
            "do it where the courier runs, or install the provider's package here"
        )
    return Rules(readable=isinstance(provider, Readable))


class RendererOnDemand:
    """Makes the PDF renderer when the first record comes, so that a host of ready documents needs no extra."""

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
