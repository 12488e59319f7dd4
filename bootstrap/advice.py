"""What a provider says of an integration before anything is sent."""

from __future__ import annotations

from ..adapters.plugins import BrokenProvider
from ..domain.integration import Integration
from ..ports.provider import Advising
from .tenants import Providers


def target_of(integration: Integration, providers: Providers) -> str:
    """Where the tenant's evidence goes, in words."""
    provider = providers[integration.provider]
    if isinstance(provider, BrokenProvider):
        return ""
    try:
        return str(provider.target(integration.settings))
    except Exception as error:  # a plug-in's bug is its own tenants' only
        return f"its provider cannot say ({type(error).__name__})"


def advice_of(integration: Integration, providers: Providers) -> tuple[str, ...]:
    """What the provider finds odd about the tenant's settings."""
    provider = providers[integration.provider]
    try:
        return provider.advice(integration.settings) if isinstance(provider, Advising) else ()
    except Exception as error:
        return (f"its provider cannot say what is odd about it ({type(error).__name__})",)
