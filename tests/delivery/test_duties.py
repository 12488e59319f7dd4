"""What a courier does now and then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from attrs import define, evolve, field
from in_hand import home, waiting

from evidence_courier.adapters.engines.blocking_driver import interruption_of
from evidence_courier.delivery.active import ActiveUpload
from evidence_courier.delivery.duties import Duties, Duty
from evidence_courier.delivery.effects import Interrupted, Notify, Turn, perform
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.upload import Failed, FailedReason
from evidence_courier.ports.logger import DutyFailed, LogEvent
from evidence_courier.testing import FakeClock

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


@define
class Work:
    """Notes when a step was done. A step raises `raises`, and has more to do `more` times."""

    done: list[datetime] = field(factory=list)
    more: int = 0
    raises: BaseException | None = None

    def step(self, now: datetime) -> Turn[bool]:
        yield from perform(Notify(DutyFailed("nothing", "a step may ask for effects")))
        self.done.append(now)
        if self.raises is not None:
            raise self.raises
        self.more -= 1
        return self.more >= 0


def duties_of(clock: FakeClock, *work: Work, every: float = 60) -> Duties:
    return Duties(clock, interruption_of, [Duty(f"{n}", every, w.step) for n, w in enumerate(work)])


def driven(turns: Sequence[Turn[None]]) -> list[LogEvent]:
    return [effect.event for turn in turns for effect in turn if isinstance(effect, Notify)][
        len(turns) :
    ]


def test_a_duty_is_done_at_once_and_then_every_so_often() -> None:
    clock, work = FakeClock(NOW), Work()
    duties = duties_of(clock, work)
    for _ in range(3):
        driven([*duties.due()])
        clock.advance(59)
        assert [*duties.due()] == []
        clock.advance(1)
    assert [(at - NOW).total_seconds() for at in work.done] == [0, 60, 120]


def test_a_duty_that_is_under_way_is_not_begun_again() -> None:
    clock = FakeClock(NOW)
    duties = duties_of(clock, Work())
    (turn,) = duties.due()
    next(turn)
    clock.advance(600)
    assert [*duties.due()] == []
    driven([turn])
    clock.advance(60)
    assert len([*duties.due()]) == 1


def test_a_duty_that_was_taken_and_never_began_stays_due() -> None:
    """So an interruption of the one before it costs it no more than this time."""
    work = Work()
    duties = duties_of(FakeClock(NOW), work)
    for turn in duties.due():
        turn.close()
    driven([*duties.due(), *duties.due()])
    assert len(work.done) == 1


def test_what_has_more_to_do_goes_on_at_the_next_maintenance() -> None:
    clock, work = FakeClock(NOW), Work(more=2)
    duties = duties_of(clock, work)
    rounds = [len(turns) for _ in range(5) if driven(turns := [*duties.due()]) == []]
    assert rounds == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_duty_that_fails_is_logged_and_counted_and_the_others_go_on(wrapped: bool) -> None:
    clock = FakeClock(NOW)
    error: BaseException = OSError("odd redis://:hunter2@cache")
    broken = Work(raises=Interrupted(error, "the worker was interrupted") if wrapped else error)
    fine = Work()
    duties = duties_of(clock, broken, fine)
    first, second = duties.due()
    events = [effect.event for effect in first if isinstance(effect, Notify)]
    assert events[1:] == [DutyFailed("0", "OSError: odd redis://***@cache")]
    driven([second])
    assert (len(fine.done), duties.failures) == (1, 1)
    assert [*duties.due()] == []  # and it is not tried again before its time
    clock.advance(60)
    assert len([*duties.due()]) == 2


def again(duties: Duties, clock: FakeClock) -> float:
    """After how many seconds a duty is due."""
    began = clock.monotonic()
    while not [*duties.due()]:
        clock.advance(1)
    return clock.monotonic() - began


@pytest.mark.parametrize("error", [OSError("no room"), KeyboardInterrupt()])
def test_what_fails_is_tried_again_soon_and_then_less_and_less_often(error: BaseException) -> None:
    clock, work = FakeClock(NOW), Work(raises=error)
    duties = duties_of(clock, work, every=300)
    waits = []
    for _ in range(6):
        with suppress(KeyboardInterrupt):
            driven([*duties.due()])
        waits.append(again(duties, clock))
    assert waits == [30, 60, 120, 240, 300, 300]
    work.raises = None
    driven([*duties.due()])
    assert again(duties, clock) == 300
    work.raises = error
    with suppress(KeyboardInterrupt):
        driven([*duties.due()])
    assert again(duties, clock) == 30


def test_what_fails_at_the_end_of_each_round_is_not_tried_for_ever() -> None:
    """The steps before it do not count as a success."""
    clock, work = FakeClock(NOW), Work()
    duties = duties_of(clock, work, every=300)
    waits = []
    for _ in range(5):
        work.more, work.raises = 2, None
        while work.more:
            driven([*duties.due()])
        work.raises = OSError("a part that cannot be removed")
        driven([*duties.due()])
        waits.append(again(duties, clock))
    assert waits == [30, 60, 120, 240, 300]


def test_what_is_the_hosts_own_goes_on_its_way() -> None:
    duties = duties_of(FakeClock(NOW), Work(raises=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        driven([*duties.due()])
    assert duties.failures == 0


class Batch(list[ActiveUpload]):
    """Uploads that go well. While a thread looks at them, another tells of one that has failed."""

    def __init__(self, duties: Duties) -> None:
        super().__init__()
        self._duties = duties

    def __iter__(self) -> Iterator[ActiveUpload]:
        one = waiting("ev-1", home(), NOW)
        failed = Failed(FailedReason.REJECTED, Failure(FailureKind.REFUSED, "no"))
        self._duties.hear_of([evolve(one, upload=evolve(one.upload, state=failed))])
        return super().__iter__()


def test_the_news_of_one_thread_is_not_lost_to_another() -> None:
    duties = duties_of(FakeClock(NOW), Work())
    duties.hear_of(Batch(duties))
    assert duties.has_news
