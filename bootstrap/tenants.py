"""The tenants of a courier: where they come from, and their integrations that are in force."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from secrets import token_bytes
from threading import Lock
from typing import Literal, TypeAlias, TypedDict

from attrs import frozen

from ..adapters.config import DEFAULT_BLOCK, Loaded, ReportCache, load_folder, load_mapping
from ..adapters.config.schema import closest
from ..adapters.config.stamps import Stamps
from ..adapters.engines.notify import tell as notify
from ..adapters.plugins import BrokenProvider, discover_providers
from ..adapters.secrets.environ import EnvironSecrets
from ..adapters.secrets.files import FOLDERS, FileSecrets
from ..delivery.destinations import Destination, destination_of, home_of, placeholder
from ..domain.arguments import of_kind
from ..domain.errors import ConfigError, MisuseError, Problem
from ..domain.integration import Integration, tenant_key
from ..domain.retention import Retention
from ..domain.upload.transitions import Rules
from ..domain.upload.upload import UploadKey
from ..ports.logger import (
    ConfigurationDoubtful,
    ConfigurationLoaded,
    ConfigurationRefused,
    Logger,
    TenantUnknown,
)
from ..ports.provider import CanLookUp, Provider
from ..ports.secrets import Secrets

OnInvalid = Literal["raise", "skip"]
OnUnknownTenant = Literal["log", "raise", "ignore"]
PathText: TypeAlias = "str | os.PathLike[str]"
Providers: TypeAlias = Mapping[str, Provider | BrokenProvider]
TenantMapping: TypeAlias = Mapping[str, Mapping[str, object]]


class TenantOptions(TypedDict, total=False):
    """What a courier can be told of its tenants.

    - `block`: the dotted path of the integration's block in a tenant's mapping; by default
      ``integrations.compliance``.
    - `on_invalid`: ``"raise"`` (the default) a ConfigError that lists every problem, or ``"skip"``
      the invalid tenants and log them.
    - `on_unknown_tenant`: what is done about evidence of a tenant that the configuration does not
      name: ``"log"`` (the default) it, once for each id, ``"raise"`` a MisuseError, or
      ``"ignore"`` it.
    - `secret_folders`: where the files of ``${file:PATH}`` may be; by default ``/run/secrets``.
    - `backfill`: what is submitted are old records: they go behind what is fresh, of whichever
      courier on the database (False).
    - `providers`, `secrets`: ports.
    """

    block: str
    on_invalid: OnInvalid
    on_unknown_tenant: OnUnknownTenant
    backfill: bool
    providers: Providers | None
    secrets: Secrets | None
    secret_folders: Sequence[PathText]


@frozen
class Source:
    """Where tenants come from: `origin` in words, how they are read, and the folder, if they are
    in files."""

    origin: str
    load: Callable[..., Loaded]
    folder: str | None = None


MAX_LOGGED = 10_000
"""How many unknown tenants are remembered as logged; of more, the first may be logged again."""


_EMPTY = (
    "names no tenant any more, so what was in force stays: give it its tenants back, or build the "
    "courier anew without them"
)
_GONE = (
    "had an integration and is named no more: what is submitted for it is not recorded, and what "
    "is open is held in ten minutes; write `integrations: {}` if that is meant"
)


class Tenants:
    """The tenants of one courier, read when it is built and again at each reload.

    Raises ConfigError with every problem of every tenant, unless the invalid ones are skipped.
    """

    def __init__(self, source: Source, options: TenantOptions, logger: Logger) -> None:
        self._source = source
        self._options = options
        self.logger = logger
        providers = options.get("providers")
        self.providers: Providers = discover_providers() if providers is None else providers
        self._secrets = secrets_of(options)
        self._on_invalid = options.get("on_invalid", "raise")
        if self._on_invalid not in ("raise", "skip"):
            raise MisuseError(f"on_invalid must be 'raise' or 'skip', not {self._on_invalid!r}")
        self._on_unknown = options.get("on_unknown_tenant", "log")
        if self._on_unknown not in ("log", "raise", "ignore"):
            words = "'log', 'raise' or 'ignore'"
            raise MisuseError(f"on_unknown_tenant must be {words}, not {self._on_unknown!r}")
        self.backfill = options.get("backfill") or False
        """Whether what is submitted are old records."""
        self._logged: dict[str, None] = {}
        self._telling, self._making = Lock(), Lock()
        self._refused: tuple[Problem, ...] = ()
        self._gone: tuple[str, ...] = ()
        self._first = True
        self._emptied: Set[str] = frozenset()
        # Fingerprints mean nothing before the store's key is known.
        self._key = token_bytes(32)
        self._made: Mapping[str, Destination] | None = None
        self.files: Stamps = {}
        """What was read last beside the tenant files, also if it is not in force."""
        self.loaded = self._load()
        # The tenants that have no integration, and had none before.
        self.without = frozenset(self.loaded.without)

    @property
    def destinations(self) -> Mapping[str, Destination]:
        """Where the evidence of each tenant goes, by `tenant_key`. As a rule made once, with the
        store's key."""
        if self._made is None:
            with self._making:
                self._made = self._made or self._destinations(self.loaded, {})
        return self._made

    @property
    def folder(self) -> str | None:
        """The folder of tenant files; None if the host keeps the tenants itself."""
        return self._source.folder

    @property
    def broken(self) -> Mapping[str, tuple[Problem, ...]]:
        """What is wrong with the tenants whose settings are invalid, by `tenant_key`."""
        return self.loaded.broken

    @property
    def retention(self) -> Mapping[str, Retention]:
        """How long is kept what, of the tenants whose settings are known."""
        return retention_of(self.loaded)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is not in force: of the configuration that was read last, what is invalid and what
        was passed over."""
        return (*(self._refused or self.loaded.problems), *self.loaded.warnings)

    def destination(self, tenant_id: str) -> Destination | None:
        """Where a tenant's evidence goes. If the tenant's file is invalid and seems to hold an
        integration, the evidence is held."""
        key = tenant_key(tenant_id)
        found = self.destinations.get(key)
        if found is None and key in self.loaded.held:
            return placeholder(tenant_id, self.loaded.broken[key])
        return found

    def submitted(self, tenant_id: str) -> Destination | None:
        """`destination`, for evidence that is submitted. MisuseError for an unknown tenant, if it
        is to be raised; one whose file is invalid is not unknown, and is logged."""
        found, key = self.destination(tenant_id), tenant_key(tenant_id)
        loaded = self.loaded
        if found is not None or key in loaded.without:
            return found.for_backfill(True) if found is not None and self.backfill else found
        if self._on_unknown == "raise" and key not in loaded.broken:
            near = closest(key, [*loaded.integrations, *loaded.without])
            suggestion = f" (did you mean {near!r}?)" if near else ""
            raise MisuseError(
                f"tenant {tenant_id!r} is not in the configuration ({self._source.origin})"
                f"{suggestion}: its evidence would go nowhere"
            )
        if self._on_unknown != "ignore" and self._is_news(key):
            where = [*map(str, loaded.broken.get(key, ())), self._source.origin]
            notify(self.logger, TenantUnknown(tenant_id, where[0]))
        return None

    def unknown(self) -> Sequence[str]:
        """The unknown tenants for which evidence was submitted, as far as is remembered."""
        with self._telling:
            return [key for key in self._logged if key not in self.loaded.integrations]

    def _is_news(self, key: str) -> bool:
        with self._telling:
            if key in self._logged:
                return False
            if len(self._logged) >= MAX_LOGGED:
                del self._logged[next(iter(self._logged))]
            self._logged[key] = None
            return True

    def use_key(self, key: bytes) -> None:
        """Make the destinations, and fingerprints in them, with the store's key. Blocks."""
        with self._making:  # what is made just now has another key
            if key != self._key:
                self._key = key
                self._made = self._destinations(self.loaded, {})

    def read(self) -> tuple[Loaded, Mapping[str, Destination]]:
        """Read anew and change nothing yet. Blocks. A ConfigError is logged, too; it is one if no
        tenant is left, since a folder may be empty that is not mounted."""
        try:
            loaded = self._load()
            if self.destinations and not loaded.named:
                raise ConfigError((Problem(f"{self._source.origin} {_EMPTY}"), *loaded.warnings))
            return loaded, self._destinations(loaded, self.destinations)
        except ConfigError as error:
            self._refused = error.problems
            notify(self.logger, ConfigurationRefused(tuple(map(str, error.problems))))
            raise

    def put_in_force(self, read: tuple[Loaded, Mapping[str, Destination]]) -> None:
        """Use what was read. A tenant that is invalid now keeps what it had."""
        self._refused, (loaded, destinations) = (), read
        had = {*self.destinations, *self.loaded.held, *self._emptied}
        self._emptied = had.intersection(loaded.without)
        self._gone = tuple(sorted(self.destinations.keys() - destinations - loaded.named))
        self.loaded, self._made = read
        self.without = frozenset(loaded.without) - self._emptied
        with self._telling:
            self._logged = {one: None for one in self._logged if one not in loaded.named}

    def log(self) -> None:
        """Log which tenants there are, and what is wrong with the others."""
        loaded = self.loaded
        if loaded.problems:
            problems = tuple(map(str, loaded.problems))
            notify(self.logger, ConfigurationRefused(problems, self._first, partly=True))
        gone = [f"{tenant} {_GONE}" for tenant in self._gone]
        if warnings := (*map(str, loaded.warnings), *gone):
            notify(self.logger, ConfigurationDoubtful(warnings))
        self._first = False
        with_one, without = tuple(sorted(self.destinations)), tuple(sorted(loaded.without))
        notify(self.logger, ConfigurationLoaded(self._source.origin, with_one, without))

    def rules_of(self, key: UploadKey) -> Rules:
        """The rules of an upload, whose tenant may have no integration any more."""
        destination = home_of(self.destinations, key)
        if destination is not None:
            return destination.rules
        return rules_of_provider(self.providers.get(key.provider), key)

    def _load(self) -> Loaded:
        block = self._options.get("block", DEFAULT_BLOCK)
        loaded = self._source.load(providers=self.providers, secrets=self._secrets, block=block)
        self.files = loaded.files
        if loaded.problems and self._on_invalid == "raise":
            raise ConfigError(loaded.problems)
        return loaded

    def _destinations(
        self, loaded: Loaded, before: Mapping[str, Destination]
    ) -> Mapping[str, Destination]:
        same = {
            name: old
            for name, old in before.items()
            if name in loaded.broken or loaded.integrations.get(name) is old.integration
        }
        new = {name: one for name, one in loaded.integrations.items() if name not in same}
        return destinations_of(new, self.providers, self._key) | same


def secrets_of(options: TenantOptions) -> Secrets:
    """The host's secrets, or the environment's, and files in the folders that it allows."""
    others, folders = options.get("secrets") or EnvironSecrets(), options.get("secret_folders")
    if not callable(getattr(others, "resolve", None)):
        what = "an object with resolve(name) -> Secret | None"
        raise MisuseError(f"secrets= takes {what}, not {type(others).__name__}")
    if isinstance(folders, str | os.PathLike):
        raise MisuseError("secret_folders= takes a list of folders, not one")
    return FileSecrets(others, FOLDERS if folders is None else folders)


def retention_of(loaded: Loaded) -> Mapping[str, Retention]:
    """What tenants say of how long is kept what, by `tenant_key`. What an invalid file says is not
    known, nor what another folder says of a tenant that is not named."""
    rules = {name: one.retention for name, one in loaded.integrations.items()}
    return dict.fromkeys(loaded.without, Retention()) | rules


def destinations_of(
    integrations: Mapping[str, Integration], providers: Providers, key: bytes
) -> dict[str, Destination]:
    """Integrations by tenant with the providers that they name."""
    found = {}
    for tenant_id, integration in integrations.items():
        provider = providers[integration.provider]
        # or the integration would not have been loaded
        assert not isinstance(provider, BrokenProvider)
        found[tenant_id] = destination_of(integration, provider, key)
    return found


def rules_of_provider(provider: Provider | BrokenProvider | None, key: UploadKey) -> Rules:
    """The rules of an upload whose tenant has no integration: what its provider can do.

    MisuseError if the provider is not installed.
    """
    if provider is None or isinstance(provider, BrokenProvider):
        raise MisuseError(
            f"the provider {key.provider!r} of {key} is not installed here, and what may be done "
            "to the upload depends on it: do it where the courier runs, or install the provider's "
            "package here"
        )
    return Rules(can_look_up=isinstance(provider, CanLookUp))


def folder(path: PathText) -> Source:
    """Tenants in a folder of YAML and JSON files."""
    of_kind("path", path, (str, os.PathLike), "a folder's path (for a mapping: from_mapping)")
    name = os.fspath(path)
    return Source(name, partial(load_folder, name, cache=ReportCache()), name)


def mapping(tenants: TenantMapping | Callable[[], TenantMapping]) -> Source:
    """Tenants that the host keeps itself; a function is called at each reading."""
    return Source(
        "a mapping", lambda **how: load_mapping(tenants() if callable(tenants) else tenants, **how)
    )
