"""One tenant's configuration, once it has been read and found to hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum

from attrs import field, frozen

from .secrets.secret import Secret


class OnUnclear(Enum):
    """What to do when an upload may have been taken and the provider cannot be read."""

    RETRY = "retry"
    HOLD = "hold"


@frozen
class RetryPolicy:
    """How often and how patiently an upload is tried. `max_attempts` counts the first one."""

    max_attempts: int = 5
    initial_delay: timedelta = timedelta(seconds=5)
    max_delay: timedelta = timedelta(minutes=5)
    retry_after_limit: timedelta = timedelta(hours=1)


@frozen
class Pace:
    """At most `limit` requests in any stretch of one `period`."""

    limit: int
    period: timedelta

    def __str__(self) -> str:
        units = {1.0: "s", 60.0: "min", 3600.0: "h"}
        seconds = self.period.total_seconds()
        return f"{self.limit}/{units.get(seconds, f'{seconds:g}s')}"


@frozen
class Timeouts:
    """How long one request may take: to connect, between two bytes of the reply, and in all."""

    connect: timedelta = timedelta(seconds=10)
    idle: timedelta = timedelta(seconds=30)
    total: timedelta = timedelta(minutes=2)


@frozen
class Route:
    """How requests leave this process for one integration."""

    timeouts: Timeouts = Timeouts()
    proxy: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None


@frozen
class Integration:
    """Where one tenant's evidence goes.

    `settings` is the provider's own settings class. `secrets` are the resolved credentials among
    them, which is what redaction looks for. `stored` holds the same settings without any secret, as
    JSON values: it is kept with every upload.
    """

    tenant_id: str
    provider: str
    settings: object = field(repr=False)
    name: str | None = None
    retry: RetryPolicy = RetryPolicy()
    on_unclear: OnUnclear = OnUnclear.RETRY
    pace: Pace | None = None
    route: Route = Route()
    max_bytes: int | None = None
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    stored: Mapping[str, object] = field(factory=dict, repr=False)
