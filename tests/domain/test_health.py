"""What the figures of all uploads mean together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import evolve

from evidence_courier.domain.health import MOST_LISTED, Count, Stop, health_of
from evidence_courier.domain.upload.upload import Status

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BLOCKED = Stop(
    state="blocked", tenant_id="acme", provider="vanta", since=NOW, reason="unauthorized"
)


def count(
    status: Status,
    number: int,
    reason: str | None = None,
    *,
    tenant_id: str = "acme",
    provider: str = "vanta",
    last_at: datetime = NOW,
) -> Count:
    return Count(
        tenant_id=tenant_id,
        provider=provider,
        status=status,
        reason=reason,
        number=number,
        last_at=last_at,
    )


def waiting(stop: Stop, *counts: Count) -> int:
    [found] = health_of(counts, {}, None, [stop]).stops
    return found.uploads


def test_what_waits_for_a_block_is_open_or_has_failed_because_of_it() -> None:
    counts = [
        count(Status.PENDING, 1),
        count(Status.RETRYING, 2, "timeout"),
        count(Status.HELD, 4, "unauthorized"),
        count(Status.FAILED, 8, "unauthorized"),
        count(Status.HELD, 100, "unrecognised_reply"),  # a doubt, which a person decides
        count(Status.FAILED, 100, "bad_request"),
        count(Status.SUCCEEDED, 100, last_at=NOW - HOUR),
        count(Status.PENDING, 100, provider="sprinto"),
        count(Status.PENDING, 100, tenant_id="globex"),
    ]
    assert waiting(BLOCKED, *counts) == 15


def test_a_pause_of_a_provider_or_of_all_counts_what_waits_of_every_tenant() -> None:
    counts = [count(Status.PENDING, 1), count(Status.PENDING, 2, tenant_id="globex")]
    for provider, number in (("vanta", 3), ("sprinto", 0), ("", 3)):
        pause = Stop(
            state="paused", tenant_id="", provider=provider, since=NOW, reason="audit week"
        )
        assert waiting(pause, *counts) == number


def test_a_block_is_over_once_an_upload_has_succeeded_since() -> None:
    later = count(Status.SUCCEEDED, 1, last_at=NOW + HOUR)
    assert health_of([later], {}, None, [BLOCKED]).stops == []
    elsewhere = count(Status.SUCCEEDED, 1, provider="sprinto", last_at=NOW + HOUR)
    assert len(health_of([elsewhere], {}, None, [BLOCKED]).stops) == 1


def test_a_block_lasts_while_an_upload_waits_that_it_has_stopped() -> None:
    under_way = count(Status.SUCCEEDED, 1, last_at=NOW + HOUR)
    for status in (Status.HELD, Status.FAILED):
        assert waiting(BLOCKED, under_way, count(status, 3, "unauthorized")) == 3
    for other in (
        count(Status.RETRYING, 1, "timeout"),
        count(Status.PENDING, 1),
        count(Status.HELD, 1, "unauthorized", provider="sprinto"),
        count(Status.HELD, 1, "unauthorized", tenant_id="globex"),
    ):
        assert health_of([under_way, other], {}, None, [BLOCKED]).stops == []


def test_a_target_stays_parked_while_an_upload_waits_for_it() -> None:
    parked = evolve(BLOCKED, state="parked", reason="check_in_review")
    under_way = count(Status.SUCCEEDED, 1, last_at=NOW + HOUR)
    assert waiting(parked, under_way, count(Status.RETRYING, 2, "check_in_review")) == 2


def test_lists_are_bounded_and_say_what_they_leave_out() -> None:
    counts = [count(Status.PENDING, 1, tenant_id=f"t{n:05}") for n in range(MOST_LISTED + 5)]
    stops = [
        Stop(
            state="blocked",
            tenant_id=one.tenant_id,
            provider="vanta",
            since=NOW + timedelta(seconds=n),
            reason="unauthorized",
        )
        for n, one in enumerate(counts)
    ]
    oldest = {"t00900": NOW - HOUR, "t00500": NOW}
    health = health_of(counts, oldest, None, stops)
    assert (len(health.by_tenant), health.tenants_left_out) == (MOST_LISTED, 5)
    assert (len(health.stops), health.stops_left_out) == (MOST_LISTED, 5)
    assert [one.tenant_id for one in health.by_tenant[:3]] == ["t00900", "t00500", "t00000"]
    assert health.stops[0].since == NOW


def test_the_last_success_of_a_tenant_is_the_latest_of_its_providers() -> None:
    counts = [
        count(Status.SUCCEEDED, 1, last_at=NOW),
        count(Status.SUCCEEDED, 1, provider="sprinto", last_at=NOW + HOUR),
    ]
    [tenant] = health_of(counts, {}, None, []).by_tenant
    assert tenant.last_success_at == NOW + HOUR
