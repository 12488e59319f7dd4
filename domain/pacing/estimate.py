"""When an upload that waits is likely to begin: for a reader, nothing is decided by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from ..integration import Pace
from ..upload.backoff import later
from ..upload.failure import Concern, FailureKind
from ..upload.status import Outlook, wait_for_integration, wait_for_valid
from ..upload.upload import Held, Queued, State, Waiting, cause_of
from .backfill import begins_at, interval_of, room_of
from .gate import Cooldown, cooling_until, free_at, uploads_a_period
from .waits import WaitReason, wait_in_words

A_PLACE = "a place at a courier, and room for its document"
"""What is waited for if nothing in the database is in the way. The courier itself may know more."""


NO_COURIER = "no courier is running now"
"""What is said behind that if none is."""


@frozen
class Line:
    """What an estimate needs to know of a credential's line: its pace and what an upload costs, the
    slots that are used (as in `free_at`), its cool-down, and whether a courier wants its lease;
    when the next old record may begin, as it was noted, whether old records stand in it, and how
    much that is fresh and due goes before these."""

    pace: Pace | None = None
    cost: int = 1
    together: int = 1
    used: Sequence[datetime] = ()
    cooldown: Cooldown | None = None
    contended: bool = False
    begins: datetime | None = None
    old: bool = False
    ahead: int = 0


def outlook_of(
    state: State, provider: str, line: Line, place: int, now: datetime, *, asks: bool
) -> Outlook:
    """When an upload is likely to go on, and what it waits for.

    Args:
        line: The line of its credential.
        place: How many stand before it in that.
        now: The present moment.
        asks: Whether its turn waits for a slot.
    """
    pace = line.pace
    if not isinstance(state, Queued | Waiting):
        if pace is None or not asks:
            return Outlook()
        at = free_at(line.used, pace, 1, now)
        return Outlook(None, wait_in_words(WaitReason.PACE, provider, pace, at, now))
    at = expected_at(line, state.due, place, now)
    if at <= now:
        return Outlook(at, _turn_of(provider, line, now))
    cooling = at == cooling_until(line.cooldown, now)
    if at == state.due and not cooling:
        return Outlook(at)
    reason = WaitReason.COOLDOWN if cooling else WaitReason.PACE
    return Outlook(at, wait_in_words(reason, provider, pace, at, now, behind=line.old))


def _turn_of(provider: str, line: Line, now: datetime) -> str:
    """What is left to wait for, if nothing of the credential's is in the way."""
    if line.contended:
        return wait_in_words(WaitReason.LEASE, provider, line.pace, now, now)
    return A_PLACE


def outlook_alone(outlook: Outlook) -> Outlook:
    """The outlook if no courier is running: what else is waited for comes in vain."""
    words = outlook.waits_for
    return outlook if words is None else Outlook(outlook.next_attempt_at, f"{words}; {NO_COURIER}")


def outlook_without(cause: FailureKind, tenant_id: str, provider: str, outlook: Outlook) -> Outlook:
    """The outlook of an open upload whose tenant's configuration is invalid, or whose tenant a
    courier does not find in its own. The latter counts once nothing else is in the way."""
    if cause is FailureKind.INTEGRATION_INVALID:
        return Outlook(None, wait_for_valid(tenant_id))
    if outlook.waits_for is None or not outlook.waits_for.startswith(A_PLACE):
        return outlook
    return Outlook(None, wait_for_integration(tenant_id, provider))


def goes_on_when_free(state: State) -> bool:
    """Whether it is held for a pause or a block, and goes on by itself once that is over."""
    if not isinstance(state, Held) or state.cause.kind.concern is not Concern.INTEGRATION:
        return False
    return state.cause.kind not in (FailureKind.INTEGRATION_GONE, FailureKind.INTEGRATION_INVALID)


def outlook_of_free(state: State, provider: str) -> Outlook:
    """The outlook of such an upload once that is over, until a courier notices."""
    cause = cause_of(state)
    of_pause = cause is not None and cause.kind is FailureKind.PAUSED
    over = "the pause is over" if of_pause else f"{provider} is blocked no more"
    return Outlook(None, f"a courier, which takes it up: {over}")


def expected_at(line: Line, due: datetime, place: int, now: datetime) -> datetime:
    """When an upload is likely to begin that is due at `due`, with `place` others before it."""
    start = max(due, cooling_until(line.cooldown, now) or now)
    pace = line.pace
    if pace is None:
        turn = now
    elif line.old:
        turn = _turn_of_old(line, pace, place, now)
    else:
        turn = _turn_of_fresh(line, pace, place, now)
    return due if turn <= now and start <= now else max(start, turn)


def _turn_of_old(line: Line, pace: Pace, place: int, now: datetime) -> datetime:
    """When an old record may begin, if nothing more comes that is fresh."""
    first = begins_at(line.begins, pace, line.cost, now)
    room = room_of(pace, line.cost)
    first = max(first, free_at(line.used, pace, room, now))
    if line.ahead:
        first = max(first, _turn_of_fresh(line, pace, line.ahead + room // line.cost - 1, now))
    return later(first, place // line.together * interval_of(pace, line.cost))


def _turn_of_fresh(line: Line, pace: Pace, place: int, now: datetime) -> datetime:
    rounds, others = divmod(place, uploads_a_period(pace.limit, line.cost, line.together))
    rounds *= -(-line.cost // pace.limit)  # an upload may take more than a period
    position = others * line.cost // line.together
    free = pace.limit - len(line.used)
    if position < free:
        return later(now, pace.period * rounds)
    oldest_first = sorted(min(moment, now) for moment in line.used)[-pace.limit :]
    return later(oldest_first[position - max(free, 0)], pace.period * (rounds + 1))
