"""Where the tenants come from, and what their integrations come to. The same for every face of
the courier."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, TypedDict

from attrs import frozen

from ..adapters.config import Loaded, load_folder, load_mapping
from ..adapters.engines.prepare import Destination, destination_of
from ..adapters.engines.telling import tell
from ..adapters.plugins import BrokenProvider, discover_providers
from ..adapters.secrets.environ import EnvironSecrets
from ..domain.errors import ConfigError, MisuseError
from ..domain.integration import Integration
from ..ports.logger import ConfigurationLoaded, ConfigurationRefused, Logger
from ..ports.provider import Provider
from ..ports.secrets import Secrets

OnInvalid = Literal["raise", "skip"]
PathText: TypeAlias = "str | os.PathLike[str]"
Providers: TypeAlias = Mapping[str, Provider | BrokenProvider]
TenantMapping: TypeAlias = Mapping[str, Mapping[str, object]]


class TenantOptions(TypedDict, total=False):
    """What a courier can be told of its tenants.

    - `block`: the dotted path of the integration's block in a tenant's mapping; by default
      ``integrations.compliance``.
    - `on_invalid`: ``"raise"`` (the default) a ConfigError that lists every problem, or ``"skip"``
      the invalid tenants and log them.
    - `providers`, `secrets`: ports.
    """

    block: str
    on_invalid: OnInvalid
    providers: Providers | None
    secrets: Secrets | None


@frozen
class Tenants:
    """Where the tenants come from, what to do where one is invalid, and the providers they may
    name."""

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

    def destinations(
        self, loaded: Loaded, key: bytes, before: Mapping[str, Destination] | None = None
    ) -> dict[str, Destination]:
        """Every tenant's integration with its provider; `key` is the store's for fingerprints. A
        tenant that is broken now keeps what it had `before`."""
        kept = {name: old for name, old in (before or {}).items() if name in loaded.broken}
        return destinations_of(loaded.integrations, self.providers, key) | kept

    def tell(self, logger: Logger, loaded: Loaded) -> None:
        """Tell what was loaded."""
        if loaded.problems:
            tell(logger, ConfigurationRefused(tuple(map(str, loaded.problems))))
        with_one, without = tuple(sorted(loaded.integrations)), tuple(sorted(loaded.without))
        tell(logger, ConfigurationLoaded(self.where, with_one, without))


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


def tenants_in_folder(path: PathText, options: TenantOptions) -> Tenants:
    """The tenants in a folder of YAML and JSON files."""
    folder = os.fspath(path)

    def load(providers: Providers, secrets: Secrets, block: str) -> Loaded:
        return load_folder(folder, providers=providers, secrets=secrets, block=block)

    return _tenants_of(folder, load, options)


def tenants_in_mapping(
    tenants: TenantMapping | Callable[[], TenantMapping], options: TenantOptions
) -> Tenants:
    """Tenants that the host keeps itself; a function is asked again at each reading."""

    def load(providers: Providers, secrets: Secrets, block: str) -> Loaded:
        now = tenants() if callable(tenants) else tenants
        return load_mapping(now, providers=providers, secrets=secrets, block=block)

    return _tenants_of("a mapping", load, options)


def _tenants_of(
    where: str, load: Callable[[Providers, Secrets, str], Loaded], options: TenantOptions
) -> Tenants:
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
