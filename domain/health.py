"""How all uploads in a database stand, in figures: values for a health page, and what they mean.

An upload is *open* that is pending, retrying or held: its evidence has not arrived, and somebody
may still do something about that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from attrs import evolve, field, frozen

from .integration import tenant_key
from .pacing.paused import Paused
from .upload.failure import Concern, FailureKind
from .upload.status import UploadStatus
from .upload.upload import Status

OPEN = (Status.PENDING, Status.RETRYING, Status.HELD)
"""What has not come to an end."""

MOST_LISTED = 1_000
"""The most tenants that are listed, and the most stops; the others are counted as left out."""

StopWord: TypeAlias = Literal["blocked", "parked", "paused", "skipped"]


@frozen(kw_only=True)
class Count:
    """How many uploads of a tenant to a provider have this status with this error (`reason`, None
    without one). `last_at` is when the last of them came to it; None if that is not known."""

    tenant_id: str
    provider: str
    status: Status
    reason: str | None
    number: int
    parked: bool = False
    last_at: datetime | None = None

    @property
    def may_be_late(self) -> bool:
        """Whether these are open, and not because their target takes nothing."""
        of_target = self.reason and FailureKind(self.reason).concern is Concern.TARGET
        return self.status in OPEN and not of_target


@frozen(kw_only=True)
class Stop:
    """Why nothing is sent for a tenant's integration; `uploads` wait for it to end: those that are
    open, and those that failed because of it and go again by themselves.

    `state` is blocked (the integration does not work), parked (its target takes nothing now, and is
    asked again at `until`), paused (a person said so) or skipped (the tenant's configuration is
    invalid or gone, for all of its integrations: `provider` is empty). `reason` is the kind of
    error, or a person's word.
    """

    state: StopWord
    tenant_id: str
    provider: str
    since: datetime
    reason: str
    message: str = ""
    until: datetime | None = None
    uploads: int = 0

    def covers(self, tenant_id: str, provider: str) -> bool:
        """Whether it stops this integration."""
        of_tenant = not self.tenant_id or tenant_key(tenant_id) == tenant_key(self.tenant_id)
        return of_tenant and self.provider in ("", provider)


def stop_of(pause: Paused) -> Stop:
    """What a person has paused, among the stops."""
    return Stop(
        state="paused",
        tenant_id=pause.scope.tenant_id or "",
        provider=pause.scope.provider or "",
        since=pause.at,
        reason=pause.reason,
        message=pause.failure.message,
    )


@frozen(kw_only=True)
class TenantHealth:
    """The uploads of one tenant, by status word; since when its oldest open upload waits, and when
    one last succeeded."""

    tenant_id: str
    counts: Mapping[str, int]
    oldest_open_at: datetime | None = None
    last_success_at: datetime | None = None


@frozen(kw_only=True)
class SinkNotices:
    """The notices that wait for a sink: how many, since when the oldest does, and how many times in
    a row the sink has refused one; `tries` is 0 if it has refused none of these."""

    sink: str
    number: int
    since: datetime
    tries: int


@frozen(kw_only=True)
class RecordsHealth:
    """How all uploads in a database stand.

    `counts` are by status word, `reasons` by status word and kind of error; those `parked` count as
    retrying, too. `oldest_open` is the open upload that has waited longest: since it was recorded,
    or last went on after it had failed, was skipped or was parked, without the time for which it
    was paused.
    One that is parked or paused is not meant, but listed in `stops`. `by_tenant` begins with the
    tenant of the oldest one. Both lists hold at most MOST_LISTED; `tenants_left_out` and
    `stops_left_out` say how many more there are.
    `last_success_at` is of all tenants, and `stopped` counts all stops, by state and reason.
    `notices` are those that wait for a sink, by its name. `couriers` are registered and not known
    to be dead: without one nothing is delivered, but by a worker while it calls.
    """

    counts: Mapping[str, int]
    reasons: Mapping[str, Mapping[str, int]]
    parked: int
    oldest_open: UploadStatus | None
    by_tenant: Sequence[TenantHealth]
    stops: Sequence[Stop]
    tenants_left_out: int = 0
    stops_left_out: int = 0
    last_success_at: datetime | None = None
    stopped: Mapping[str, Mapping[str, int]] = field(factory=dict)
    notices: Sequence[SinkNotices] = ()
    couriers: int = 0

    @property
    def oldest_open_at(self) -> datetime | None:
        """Since when the oldest open upload waits: when it was recorded, or last went on after it
        had failed, was skipped or was parked, or later by as long as it was paused."""
        return self.by_tenant[0].oldest_open_at if self.by_tenant else None


def paused(stops: Iterable[Stop], tenant_id: str, provider: str) -> bool:
    """Whether a person has paused this integration."""
    return any(stop.state == "paused" and stop.covers(tenant_id, provider) for stop in stops)


def health_of(
    counts: Sequence[Count],
    oldest: Mapping[str, datetime],
    oldest_open: UploadStatus | None,
    stops: Sequence[Stop],
    most: int | None = MOST_LISTED,
) -> RecordsHealth:
    """What these figures make.

    Args:
        counts: All that there are.
        oldest: By tenant, since when its oldest open upload waits, but for parked and paused ones.
        oldest_open: The oldest of these.
        stops: All that are recorded, without their `uploads`.
        most: The most tenants that are listed, and the most stops; None: all.
    """
    total: Counter[str] = Counter({status.value: 0 for status in Status})
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    of_tenants: dict[str, Counter[str]] = defaultdict(Counter)
    succeeded: dict[tuple[str, str], datetime] = {}
    for count in counts:
        word = count.status.value
        total[word] += count.number
        of_tenants[count.tenant_id][word] += count.number
        if count.reason is not None:
            reasons[word][count.reason] += count.number
        if count.status is Status.SUCCEEDED and count.last_at is not None:
            succeeded[count.tenant_id, count.provider] = count.last_at
    last = {tenant: at for (tenant, _), at in sorted(succeeded.items(), key=lambda one: one[1])}
    tenants = _tenants(of_tenants, oldest, last)
    listed = _stops(stops, counts, succeeded)
    return RecordsHealth(
        counts=total,
        reasons={word: dict(found) for word, found in reasons.items() if +found},
        parked=sum(count.number for count in counts if count.parked),
        oldest_open=oldest_open,
        by_tenant=tenants[:most],
        stops=listed[:most],
        tenants_left_out=len(tenants) - len(tenants[:most]),
        stops_left_out=len(listed) - len(listed[:most]),
        last_success_at=max(succeeded.values(), default=None),
        stopped=_by_reason(listed),
    )


def _tenants(
    counts: Mapping[str, Mapping[str, int]],
    oldest: Mapping[str, datetime],
    last: Mapping[str, datetime],
) -> list[TenantHealth]:
    tenants = [
        TenantHealth(
            tenant_id=tenant,
            counts={word: number for word, number in of_tenant.items() if number},
            oldest_open_at=oldest.get(tenant),
            last_success_at=last.get(tenant),
        )
        for tenant, of_tenant in counts.items()
    ]
    tenants.sort(key=lambda one: (one.oldest_open_at is None, one.oldest_open_at, one.tenant_id))
    return tenants


def _by_reason(stops: Iterable[Stop]) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for stop in stops:
        found[stop.state][stop.reason] += 1
    return found


def _stops(
    stops: Sequence[Stop],
    counts: Sequence[Count],
    succeeded: Mapping[tuple[str, str], datetime],
) -> list[Stop]:
    """The stops with what waits for them, the longest first. Not those after whose beginning an
    upload has succeeded and for whose reason none waits: settings that do not work stay on record
    when others take their place."""
    waiting: dict[str, Counter[tuple[str, str | None]]] = defaultdict(Counter)
    for count in counts:
        concern = None if count.reason is None else FailureKind(count.reason).concern
        in_doubt = count.status is Status.HELD and concern is Concern.UPLOAD
        resumes = count.reason is not None and FailureKind(count.reason).resumes
        if (count.status in OPEN and not in_doubt) or (count.status is Status.FAILED and resumes):
            waiting[tenant_key(count.tenant_id)][count.provider, count.reason] += count.number
    found = []
    for stop in sorted(stops, key=lambda one: (one.since, one.tenant_id, one.provider)):
        tenants = [waiting[tenant_key(stop.tenant_id)]] if stop.tenant_id else waiting.values()
        by_reason: Counter[str | None] = Counter()
        for of_tenant in tenants:
            for (provider, reason), number in of_tenant.items():
                if stop.provider in ("", provider):
                    by_reason[reason] += number
        worked = succeeded.get((stop.tenant_id, stop.provider))
        is_over = worked is not None and worked > stop.since and not by_reason[stop.reason]
        if not (stop.state in ("blocked", "parked") and is_over):
            found.append(evolve(stop, uploads=by_reason.total()))
    return found
