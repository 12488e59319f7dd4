"""One integration of a tenant, as its valid configuration says."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Literal

from attrs import evolve, field, frozen

from .arguments import of_kind
from .evidence.evidence import Outcome
from .retention import Retention
from .secrets.secret import Secret

PARK_LIMIT = timedelta(days=30)
"""How long uploads wait for a target that takes nothing now."""


class OnUnclear(Enum):
    """What to do if an upload may have been received and the provider allows no look-up."""

    RETRY = "retry"
    HOLD = "hold"


@frozen
class RetryPolicy:
    """How often an upload is tried and how long it waits; `max_attempts` counts the first one.

    With `give_up_after`, nothing waits for an attempt that would begin later than that after the
    first one of its budget.
    """

    max_attempts: int = 5
    initial_delay: timedelta = timedelta(seconds=5)
    max_delay: timedelta = timedelta(minutes=5)
    retry_after_limit: timedelta = timedelta(hours=1)
    give_up_after: timedelta | None = None


PERIODS = {"s": timedelta(seconds=1), "min": timedelta(minutes=1), "h": timedelta(hours=1)}
"""The periods of a pace, by the words in which it is written."""


@frozen
class Pace:
    """At most `limit` requests within any `period`."""

    limit: int
    period: timedelta

    def __str__(self) -> str:
        unit = next((word for word, period in PERIODS.items() if period == self.period), None)
        return f"{self.limit}/{unit or f'{self.period.total_seconds():g}s'}"


@frozen
class Timeouts:
    """How long one request may take: to connect, between two bytes of the reply, and in total."""

    connect: timedelta = timedelta(seconds=10)
    idle: timedelta = timedelta(seconds=30)
    total: timedelta = timedelta(minutes=2)


@frozen
class Route:
    """How one integration's requests leave this process."""

    timeouts: Timeouts = Timeouts()
    proxy: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None

    @property
    def brief(self) -> Route:
        """The same for a request that is answered quickly or not at all, as one for a token is: of
        a platform that hangs it does not occupy a connection for long."""
        times = self.timeouts
        silence = min(times.idle, times.connect)
        return evolve(self, timeouts=Timeouts(times.connect, silence, min(times.total, times.idle)))


def tenant_key(tenant_id: str) -> str:
    """The form in which ids of tenants are compared: two spellings in Unicode look alike.
    MisuseError if it is no text."""
    of_kind("tenant_id", tenant_id, str, "text")
    return tenant_id if tenant_id.isascii() else unicodedata.normalize("NFC", tenant_id)


def spellings(tenant_id: str) -> frozenset[str]:
    """The forms in which records may have the id of a tenant."""
    if tenant_id.isascii():
        return frozenset({tenant_id})
    return frozenset({tenant_id, *(unicodedata.normalize(form, tenant_id) for form in _FORMS)})


_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


@frozen
class Integration:
    """Where one tenant's evidence goes.

    `settings` is an instance of the provider's own settings class. `secrets` are the credentials in
    it, which redaction masks. `stored` holds the settings without secrets, as JSON values: it is
    stored with every upload. Evidence of other `outcomes` is skipped.
    """

    tenant_id: str
    provider: str
    settings: object = field(repr=False)
    name: str | None = None
    retry: RetryPolicy = RetryPolicy()
    on_unclear: OnUnclear = OnUnclear.RETRY
    outcomes: tuple[Outcome, ...] = tuple(Outcome)
    park_limit: timedelta = PARK_LIMIT
    pace: Pace | None = None
    route: Route = Route()
    max_bytes: int | None = None
    retention: Retention = Retention()
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    stored: Mapping[str, object] = field(factory=dict, repr=False)
