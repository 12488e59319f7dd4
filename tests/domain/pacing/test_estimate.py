"""When an upload that waits is likely to begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.estimate import Line, expected_at, outlook_alone, outlook_of
from evidence_courier.domain.pacing.gate import Cooldown
from evidence_courier.domain.upload.status import Outlook
from evidence_courier.domain.upload.upload import Queued

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
THREE = Pace(3, MINUTE)
END = datetime.max.replace(tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("place", "used", "expected"),
    [
        (0, [], 0),
        (2, [], 0),
        (3, [], 60),
        (8, [], 120),
        (0, [ago(10)], 0),
        (1, [ago(10)], 0),
        (2, [ago(10)], 50),
        (3, [ago(10)], 60),
        (5, [ago(10)], 110),
        (0, [END, END, END], 60),
        (4, [END, ago(20), ago(50)], 100),
    ],
)
def test_the_estimate_is_the_moment_at_which_the_turn_comes(
    place: int, used: list[datetime], expected: float
) -> None:
    due = ago(5)
    seconds = timedelta(seconds=expected)
    wanted = NOW + seconds if expected else due
    assert expected_at(Line(THREE, used=used, cooldown=None), due, place, NOW) == wanted


def test_the_estimate_is_not_before_the_due_time_or_the_end_of_a_pause() -> None:
    later = NOW + timedelta(minutes=3)
    assert expected_at(Line(THREE, used=[], cooldown=None), later, 0, NOW) == later
    assert expected_at(Line(THREE, used=[], cooldown=None), later, 3, NOW) == later
    assert (
        expected_at(Line(THREE, used=[], cooldown=Cooldown(NOW, NOW + MINUTE)), later, 3, NOW)
        == later
    )
    assert expected_at(
        Line(THREE, used=[], cooldown=Cooldown(ago(20), ago(10))), ago(5), 0, NOW
    ) == ago(5)
    assert expected_at(Line(None, used=[], cooldown=None), later, 0, NOW) == later
    assert expected_at(Line(None, used=[], cooldown=None), ago(5), 0, NOW) == ago(5)
    cooldown = Cooldown(NOW, NOW + timedelta(minutes=10))
    assert expected_at(Line(THREE, used=[], cooldown=cooldown), ago(5), 0, NOW) == NOW + timedelta(
        minutes=10
    )
    assert expected_at(Line(None, used=[], cooldown=cooldown), ago(5), 0, NOW) == NOW + timedelta(
        minutes=10
    )
    assert (
        expected_at(Line(THREE, used=[], cooldown=Cooldown(ago(20), ago(10))), ago(90), 3, NOW)
        == NOW + MINUTE
    )


def test_where_several_go_in_one_request_a_place_further_back_is_as_good() -> None:
    assert expected_at(Line(THREE, together=4), ago(90), 11, NOW) == ago(90)
    assert expected_at(Line(THREE, together=4), ago(90), 12, NOW) == NOW + MINUTE


@pytest.mark.parametrize(
    ("cost", "place", "minutes"),
    [(1, 2, 0), (1, 3, 1), (2, 1, 1), (3, 1, 1), (3, 4, 4), (6, 1, 2), (7, 2, 6)],
)
def test_an_upload_that_takes_several_requests_takes_as_many_places(
    cost: int, place: int, minutes: int
) -> None:
    line = Line(THREE, cost)
    assert expected_at(line, NOW, place, NOW) == NOW + minutes * MINUTE


@pytest.mark.parametrize(
    ("place", "begins", "used", "seconds"),
    [
        (0, None, [], 0),
        (1, None, [], 30),
        (0, ago(1), [], 0),
        (0, ago(-10), [], 10),
        (3, ago(-10), [], 100),
        (0, ago(-9999), [], 30),
        (1, ago(-10), [ago(20), ago(50)], 40),
        (1, ago(-10), [END, ago(50)], 40),
        (0, None, [END, END], 60),
    ],
)
def test_old_records_take_their_part_of_the_pace_evenly(
    place: int, begins: datetime | None, used: list[datetime], seconds: float
) -> None:
    line = Line(THREE, used=used, begins=begins, old=True)
    assert expected_at(line, NOW, place, NOW) == NOW + timedelta(seconds=seconds)


def test_an_old_record_waits_for_the_whole_pace_behind_what_is_fresh() -> None:
    line = Line(THREE, begins=ago(-10), old=True)
    outlook = outlook_of(Queued(NOW), "vanta", line, 0, NOW, asks=False)
    words = "pace of vanta, 3/min, behind what is fresh; next request about 10:00:10Z"
    assert outlook == Outlook(NOW + timedelta(seconds=10), words)
    words += "; no courier is running now"
    assert outlook_alone(outlook) == evolve(outlook, waits_for=words)
    assert outlook_alone(Outlook(NOW)) == Outlook(NOW)  # it waits for its time only
