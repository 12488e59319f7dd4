"""What a provider has to say about an integration before anything is sent."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..adapters.plugins import BrokenProvider
from ..domain.integration import Integration
from .wiring import Providers


@runtime_checkable
class Advising(Protocol):
    """A provider that can tell an odd setting, which it takes all the same."""

    def advice(self, settings: object) -> tuple[str, ...]:
        """Sentences for an administrator."""
        ...


def target_of(integration: Integration, providers: Providers) -> str:
    """Where the tenant's evidence goes, in words."""
    provider = providers[integration.provider]
    return "" if isinstance(provider, BrokenProvider) else provider.target(integration.settings)


def advice_of(integration: Integration, providers: Providers) -> tuple[str, ...]:
    """What its provider finds odd about the tenant's settings."""
    provider = providers[integration.provider]
    return provider.advice(integration.settings) if isinstance(provider, Advising) else ()
