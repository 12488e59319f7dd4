"""What is waited for, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.waits import WaitReason, time_of_day, wait_in_words

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
SOON = NOW + timedelta(seconds=12)
PACE = Pace(50, timedelta(minutes=1))


@pytest.mark.parametrize(
    ("reason", "behind", "words"),
    [
        (WaitReason.PACE, False, "pace of vanta, 50/min; next request about 10:00:12Z"),
        (
            WaitReason.PACE,
            True,
            "pace of vanta, 50/min, behind what is fresh; next request about 10:00:12Z",
        ),
        (WaitReason.COOLDOWN, False, "cool-down that vanta asked for, until 10:00:12Z"),
        (
            WaitReason.LEASE,
            False,
            "lease of another courier: one at a time may send to vanta with this key",
        ),
        (
            WaitReason.BUSY,
            False,
            "another courier, which is writing just now; next try at 10:00:12Z",
        ),
    ],
)
def test_a_wait_says_for_what_and_until_when(reason: WaitReason, behind: bool, words: str) -> None:
    assert wait_in_words(reason, "vanta", PACE, SOON, NOW, behind=behind) == words


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (NOW, "10:00:00Z"),
        (NOW + timedelta(hours=13, milliseconds=1), "23:00:00Z"),
        (NOW + timedelta(hours=14), "2026-02-22T00:00:00Z"),
        (NOW - timedelta(days=1), "2026-02-20T10:00:00Z"),
    ],
)
def test_a_time_has_its_date_only_on_another_day(at: datetime, written: str) -> None:
    """In UTC, wherever it is read."""
    assert time_of_day(at, NOW) == written
    east = timezone(timedelta(hours=14))
    assert time_of_day(at.astimezone(east), NOW) == written
    assert time_of_day(at, NOW.astimezone(east)) == written
