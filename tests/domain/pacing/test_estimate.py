"""When an upload that waits is likely to begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.estimate import (
    A_PLACE,
    Line,
    expected_at,
    goes_on_when_free,
    outlook_alone,
    outlook_of,
    outlook_of_free,
    outlook_without,
)
from evidence_courier.domain.pacing.gate import Cooldown
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.status import (
    Outlook,
    wait_for_integration,
    wait_for_valid,
)
from evidence_courier.domain.upload.upload import (
    Failed,
    FailedReason,
    Held,
    Queued,
    Sending,
    State,
    Waiting,
)

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


@pytest.mark.parametrize(
    ("ahead", "cost", "used", "seconds"),
    [
        (1, 1, [], 0),
        (2, 1, [], 60),
        (1, 1, [ago(10)], 50),
        (1, 2, [ago(10), ago(20)], 60),
    ],
)
def test_an_old_record_leaves_a_slot_behind_what_is_fresh_and_due(
    ahead: int, cost: int, used: list[datetime], seconds: float
) -> None:
    line = Line(THREE, cost, used=used, old=True, ahead=ahead)
    assert expected_at(line, NOW, 0, NOW) == NOW + timedelta(seconds=seconds)


def test_old_records_that_go_in_one_request_have_one_turn() -> None:
    line = Line(THREE, together=2, old=True)
    turns = [expected_at(line, NOW, place, NOW) for place in range(4)]
    assert turns == [NOW, NOW, *[NOW + timedelta(seconds=30)] * 2]


def test_an_old_record_waits_for_the_whole_pace_behind_what_is_fresh() -> None:
    line = Line(THREE, begins=ago(-10), old=True)
    outlook = outlook_of(Queued(NOW), "vanta", line, 0, NOW, asks=False)
    words = "pace of vanta, 3/min, behind what is fresh; next request about 10:00:10Z"
    assert outlook == Outlook(NOW + timedelta(seconds=10), words)
    words += "; no courier is running now"
    assert outlook_alone(outlook) == evolve(outlook, waits_for=words)
    assert outlook_alone(Outlook(NOW)) == Outlook(NOW)  # it waits for its time only


CAUSE = Failure(FailureKind.TIMEOUT, "no reply")
FULL = (ago(10), ago(20), ago(50))
IN_TEN = NOW + timedelta(seconds=10)


@pytest.mark.parametrize(
    ("state", "line", "asks", "outlook"),
    [
        # Nothing is in the way.
        (Queued(ago(5)), Line(), False, Outlook(ago(5), A_PLACE)),
        (
            Waiting(NOW, CAUSE),
            Line(contended=True),
            False,
            Outlook(NOW, "lease of another courier: one at a time may send to vanta with this key"),
        ),
        # Its back-off, which its state tells.
        (Waiting(IN_TEN, CAUSE), Line(THREE), False, Outlook(IN_TEN)),
        # The pace, or the provider.
        (
            Queued(ago(5)),
            Line(THREE, used=FULL),
            False,
            Outlook(IN_TEN, "pace of vanta, 3/min; next request about 10:00:10Z"),
        ),
        (
            Queued(ago(5)),
            Line(THREE, cooldown=Cooldown(NOW, IN_TEN)),
            False,
            Outlook(IN_TEN, "cool-down that vanta asked for, until 10:00:10Z"),
        ),
        (
            Waiting(IN_TEN, CAUSE),
            Line(THREE, cooldown=Cooldown(NOW, IN_TEN)),
            False,
            Outlook(IN_TEN, "cool-down that vanta asked for, until 10:00:10Z"),
        ),
        # An attempt that waits for a slot, and one that does not.
        (
            Sending(1, NOW),
            Line(THREE, used=FULL),
            True,
            Outlook(None, "pace of vanta, 3/min; next request about 10:00:10Z"),
        ),
        (Sending(1, NOW), Line(THREE, used=FULL), False, Outlook()),
        (Sending(1, NOW), Line(), True, Outlook()),
    ],
)
def test_an_outlook_says_what_an_upload_waits_for(
    state: State, line: Line, asks: bool, outlook: Outlook
) -> None:
    assert outlook_of(state, "vanta", line, 0, NOW, asks=asks) == outlook


@pytest.mark.parametrize("waits_for", [None, "pace of vanta, 3/min", A_PLACE])
def test_a_tenant_whose_configuration_is_invalid_must_mend_it(waits_for: str | None) -> None:
    outlook = Outlook(NOW, waits_for)
    assert outlook_without(FailureKind.INTEGRATION_INVALID, "acme", "vanta", outlook) == (
        Outlook(None, wait_for_valid("acme"))
    )


@pytest.mark.parametrize(
    ("waits_for", "missing"),
    [
        (None, False),
        ("pace of vanta, 3/min", False),
        (A_PLACE, True),
        (f"{A_PLACE}; no courier is running now", True),
    ],
)
def test_an_integration_that_is_gone_is_missed_when_nothing_else_is(
    waits_for: str | None, missing: bool
) -> None:
    outlook = Outlook(NOW, waits_for)
    without = outlook_without(FailureKind.INTEGRATION_GONE, "acme", "vanta", outlook)
    assert without == (Outlook(None, wait_for_integration("acme", "vanta")) if missing else outlook)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            Held(Failure(FailureKind.PAUSED, "paused by asha")),
            "a courier, which takes it up: the pause is over",
        ),
        (
            Held(Failure(FailureKind.UNAUTHORIZED, "the key is refused")),
            "a courier, which takes it up: vanta is blocked no more",
        ),
        (Held(Failure(FailureKind.INTEGRATION_GONE, "no file names it")), None),
        (Held(Failure(FailureKind.INTEGRATION_INVALID, "no such key")), None),
        (Held(CAUSE), None),
        (Failed(FailedReason.REJECTED, Failure(FailureKind.UNAUTHORIZED, "refused")), None),
        (Queued(NOW), None),
    ],
)
def test_what_was_held_for_a_pause_or_a_block_goes_on_by_itself(
    state: State, words: str | None
) -> None:
    assert goes_on_when_free(state) is (words is not None)
    if words is not None:
        assert outlook_of_free(state, "vanta") == Outlook(None, words)
