"""A slot that was taken before its integration was blocked lets nothing leave."""

from datetime import timedelta

from evidence_courier.delivery.effects import TakeSlot
from evidence_courier.delivery.slots import Blocks, Slots
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.gate import Acquired, Blocked, Quota
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.testing import FakeClock

BLOCKED = Blocked(Failure(FailureKind.UNAUTHORIZED, "no"))


def left(slots: Slots) -> object:
    """What `leave` answers, without asking the gate."""
    turn = slots.leave()
    try:
        return next(turn)
    except StopIteration as end:
        return end.value


def test_what_has_begun_does_not_leave_once_its_integration_is_blocked() -> None:
    blocks = Blocks()
    quota = Quota("credential", "address", Pace(10, timedelta(minutes=1)))
    first, second = (Slots(quota, 1, FakeClock(), blocks=blocks) for _ in range(2))
    first.begun(Acquired(slot=1))
    second.begun(Acquired(slot=2))
    assert left(first) is None
    blocks.put("address", BLOCKED)  # the first was refused
    assert left(second) == BLOCKED
    assert second.end().slots == (2,)
    second.begun(Acquired(slot=3))  # the gate lets it begin again: the block is over
    assert left(second) is None


def test_what_has_begun_without_a_slot_asks_for_one_when_it_leaves() -> None:
    """As what waits for its document does, under a pace; without a pace nothing needs asking."""
    paced, free = (
        Slots(Quota("credential", "address", pace), 1, FakeClock())
        for pace in (Pace(10, timedelta(minutes=1)), None)
    )
    paced.begun(Acquired(turn=1))
    free.begun(Acquired(turn=1))
    assert isinstance(left(paced), TakeSlot)
    assert left(free) is None


def test_a_block_counts_before_the_gate_knows_it() -> None:
    blocks = Blocks()
    slots = Slots(Quota("credential", "address", None), 1, FakeClock(), blocks=blocks)
    with blocks.while_written(("address", BLOCKED.failure), ("address", BLOCKED.failure)):
        slots.begun(Acquired())  # the gate was asked before the block was written
        assert left(slots) == BLOCKED
    slots.begun(Acquired())
    assert left(slots) is None
