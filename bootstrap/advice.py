"""What is said of an integration before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil

from ..adapters.plugins import BrokenProvider
from ..domain.integration import Integration
from ..domain.secrets.redaction import Redactor
from ..ports.provider import Advising, Provider
from .tenants import Providers


def target_of(integration: Integration, providers: Providers) -> str:
    """Where the tenant's evidence goes, in words without a secret."""
    provider = providers[integration.provider]
    if isinstance(provider, BrokenProvider):
        return ""
    try:
        target = str(provider.target(integration.settings))
        return Redactor(integration.secrets).text(target)
    except Exception as error:  # a plug-in's bug is its own tenants' only
        return f"its provider cannot say ({type(error).__name__})"


def advice_of(
    integration: Integration, providers: Providers, others: Iterable[Integration] = ()
) -> tuple[str, ...]:
    """What is odd about a tenant's settings: as its provider finds, and about its pace beside the
    `others`."""
    provider = providers[integration.provider]
    if isinstance(provider, BrokenProvider):
        return ()
    found = (*_slow_pace(integration, provider), *_other_paces(integration, provider, others))
    try:
        own = provider.advice(integration.settings) if isinstance(provider, Advising) else ()
    except Exception as error:
        own = (f"its provider cannot say what is odd about it ({type(error).__name__})",)
    redactor = Redactor(integration.secrets)
    return tuple(redactor.text(str(sentence)) for sentence in (*own, *found))


def _slow_pace(integration: Integration, provider: Provider) -> Iterator[str]:
    pace = integration.pace or provider.pace
    if pace is not None and pace.limit < provider.cost:
        seconds = (ceil(provider.cost / pace.limit) - 1) * pace.period.total_seconds()
        yield (
            f"its pace of {pace} holds less than the {provider.cost} requests of one upload, so an "
            f"upload takes at least {seconds:g} s; where a host's time limit for a task is "
            "shorter, BlockingCourier can never deliver it"
        )


def _other_paces(
    integration: Integration, provider: Provider, others: Iterable[Integration]
) -> Iterator[str]:
    mine, pace = _credential(integration), integration.pace or provider.pace
    for other in others:
        its_pace = other.pace or provider.pace
        if other is not integration and _credential(other) == mine and its_pace != pace:
            yield (
                f"it shares its credentials with tenant {other.tenant_id}, whose pace is "
                f"{its_pace or 'unlimited'} and not {pace or 'unlimited'}: the provider counts "
                "both together, so give both the same"
            )
            return


def _credential(integration: Integration) -> tuple[object, ...]:
    secrets = tuple(secret.reveal() for secret in integration.secrets)
    return (integration.provider, integration.stored.get("endpoint"), secrets)
