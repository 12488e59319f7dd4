"""What the figures of all uploads mean together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from evidence_courier.domain.health import (
    MOST_LISTED,
    Count,
    Stop,
    StopWord,
    health_of,
    paused,
    stop_of,
)
from evidence_courier.domain.pacing.paused import Paused, Scope
from evidence_courier.domain.upload.status import status_of_upload
from evidence_courier.domain.upload.upload import Status, UploadKey, new_upload

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BLOCKED = Stop(
    state="blocked", tenant_id="acme", provider="vanta", since=NOW, reason="unauthorized"
)
OLDEST = status_of_upload(
    new_upload(UploadKey("acme", "ev-1", "vanta"), "0" * 64, NOW.date(), NOW), None
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


def test_a_success_at_the_moment_of_a_block_does_not_end_it() -> None:
    assert len(health_of([count(Status.SUCCEEDED, 1, last_at=NOW)], {}, None, [BLOCKED]).stops) == 1


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
    for order in (counts, counts[::-1]):
        health = health_of(order, {}, None, [])
        assert [one.last_success_at for one in health.by_tenant] == [NOW + HOUR]
        assert health.last_success_at == NOW + HOUR
    assert health_of([], {}, None, []).last_success_at is None


def test_the_figures_are_by_status_by_reason_and_by_tenant() -> None:
    counts = [
        count(Status.PENDING, 1),
        count(Status.PENDING, 2, tenant_id="globex"),
        count(Status.HELD, 3, "unauthorized"),
        count(Status.HELD, 4, "unauthorized", provider="sprinto"),
        count(Status.HELD, 5, "timeout"),
        evolve(count(Status.RETRYING, 6, "check_in_review"), parked=True),
        evolve(count(Status.RETRYING, 7, "check_in_review", provider="sprinto"), parked=True),
        count(Status.FAILED, 0, "bad_request"),
    ]
    health = health_of(counts, {}, None, [])
    assert health.counts == {
        **dict.fromkeys((status.value for status in Status), 0),
        "pending": 3,
        "held": 12,
        "retrying": 13,
    }
    assert health.reasons == {
        "held": {"unauthorized": 7, "timeout": 5},
        "retrying": {"check_in_review": 13},
    }
    assert health.parked == 13
    assert [(one.tenant_id, one.counts) for one in health.by_tenant] == [
        ("acme", {"pending": 1, "held": 12, "retrying": 13}),
        ("globex", {"pending": 2}),
    ]
    assert health.oldest_open_at is None


def test_the_tenant_whose_upload_has_waited_longest_comes_first() -> None:
    counts = [count(Status.PENDING, 1, tenant_id=name) for name in ("acme", "bolt", "cyan", "dune")]
    health = health_of(counts, {"dune": NOW - HOUR, "bolt": NOW}, None, [])
    assert [(one.tenant_id, one.oldest_open_at) for one in health.by_tenant] == [
        ("dune", NOW - HOUR),
        ("bolt", NOW),
        ("acme", None),
        ("cyan", None),
    ]
    assert health.oldest_open_at == NOW - HOUR
    assert health_of([], {}, OLDEST, []).oldest_open is OLDEST


def test_stops_are_counted_by_state_and_reason_and_the_longest_comes_first() -> None:
    stops = [
        BLOCKED,
        evolve(BLOCKED, provider="sprinto"),
        evolve(BLOCKED, tenant_id="aaa"),
        evolve(BLOCKED, state="paused", since=NOW - HOUR, reason="audit week"),
    ]
    health = health_of([], {}, None, stops)
    assert [(one.state, one.tenant_id, one.provider) for one in health.stops] == [
        ("paused", "acme", "vanta"),
        ("blocked", "aaa", "vanta"),
        ("blocked", "acme", "sprinto"),
        ("blocked", "acme", "vanta"),
    ]
    assert health.stopped == {"blocked": {"unauthorized": 3}, "paused": {"audit week": 1}}


@pytest.mark.parametrize(
    ("state", "word"), [("paused", True), ("skipped", True), ("blocked", False), ("parked", False)]
)
def test_what_a_success_shows_to_be_over_is_a_block_and_a_parked_target(
    state: StopWord, word: bool
) -> None:
    """A pause ends with a person's word, and what is skipped with a valid file."""
    later = count(Status.SUCCEEDED, 1, last_at=NOW + HOUR)
    assert bool(health_of([later], {}, None, [evolve(BLOCKED, state=state)]).stops) is word


def test_the_uploads_of_a_stop_are_counted_in_any_spelling_of_the_tenant() -> None:
    counts = [count(Status.PENDING, 1, tenant_id="zoe\u0308"), count(Status.PENDING, 2)]
    assert waiting(evolve(BLOCKED, tenant_id="zo\u00eb"), *counts) == 1


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (Scope("acme"), [("acme", "vanta"), ("acme", "sprinto")]),
        (Scope(None, "vanta"), [("acme", "vanta"), ("globex", "vanta")]),
        (Scope("acme", "vanta"), [("acme", "vanta")]),
    ],
)
def test_what_a_person_has_paused_is_a_stop(scope: Scope, covered: list[tuple[str, str]]) -> None:
    stop = stop_of(Paused(scope, NOW, "asha", "audit week"))
    assert stop == Stop(
        state="paused",
        tenant_id=scope.tenant_id or "",
        provider=scope.provider or "",
        since=NOW,
        reason="audit week",
        message="paused by asha since 2026-02-21 10:00 UTC: audit week",
    )
    every = [("acme", "vanta"), ("acme", "sprinto"), ("globex", "vanta"), ("globex", "sprinto")]
    assert [one for one in every if paused([BLOCKED, stop], *one)] == covered
    assert [one for one in every if paused([evolve(stop, state="blocked")], *one)] == []


@pytest.mark.parametrize(
    ("status", "reason", "late"),
    [
        (Status.PENDING, None, True),
        (Status.RETRYING, "timeout", True),
        (Status.HELD, "unauthorized", True),
        (Status.RETRYING, "check_in_review", False),
        (Status.FAILED, "timeout", False),
        (Status.SUCCEEDED, None, False),
    ],
)
def test_what_is_open_may_be_late_unless_its_target_takes_nothing(
    status: Status, reason: str | None, late: bool
) -> None:
    assert count(status, 1, reason).may_be_late is late
