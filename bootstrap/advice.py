"""What is said of an integration before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from math import ceil, floor

from ..adapters.plugins import BrokenProvider
from ..domain.integration import Integration, RetryPolicy
from ..domain.secrets.redaction import Redactor
from ..domain.upload.backoff import schedule_of
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


def schedule_in_words(policy: RetryPolicy) -> str:
    """How often an upload is tried under a policy, and within what time, as long as the platform
    does not answer."""
    schedule, limit = schedule_of(policy), policy.give_up_after
    tried = f"{schedule.attempts} attempt{'s' if schedule.attempts > 1 else ''}"
    if limit is not None and schedule.by_time:
        may_end_sooner = schedule.attempts == policy.max_attempts
        shows_both = may_end_sooner and schedule.shortest < limit - policy.max_delay
        time = _span(schedule.shortest, limit) if shows_both else _span(limit)
        tried = f"at most {tried} within {time}, the requests' own time included"
    elif schedule.attempts > 1:
        tried += f" within {_span(schedule.shortest, schedule.longest)} and the requests' own time"
        if limit is not None:
            tried += f", none later than {_span(limit)} after the first"
    if schedule.attempts == 1:
        return f"{tried}; if it fails, the upload needs `retry` by a person"
    return f"{tried}; an outage longer than that needs `retry` by a person"


_UNITS = {"d": (86_400, 5), "h": (3_600, 5), "min": (60, 10), "s": (1, 1), "ms": (0.001, 1)}


def _span(*ends: timedelta) -> str:
    """A time, or a shortest and a longest one; rounded down and up to a tenth."""
    seconds = [end.total_seconds() for end in ends]
    units = ((name, long) for name, (long, least) in _UNITS.items() if seconds[-1] >= least * long)
    unit, long = next(units, ("s", 1))
    parts = [one / long * 10 for one in seconds]
    least, most = floor(round(parts[0], 6)) / 10, ceil(round(parts[-1], 6)) / 10
    return f"{most:g} {unit}" if len(ends) == 1 else f"{least:g} to {most:g} {unit}"
