"""What an event makes of an upload: `advance`, one pure and total function.

The rules in words:

- An attempt starts from Queued or Waiting. It ends delivered, rejected, deferred or unclear.
- *Delivered* and *found* are true in every state, however late they come: the upload has succeeded.
- *Rejected* ends it. *Deferred* waits and tries again while the budget lasts. A budget is a number
  of attempts, and a time if the tenant sets one: no back-off leads beyond it. What need not wait is
  tried, however late.
- *Unclear* leaves a doubt. If the provider allows look-ups, the upload is looked up before it is
  sent again. If not, the tenant has chosen: hold it for a person, or send it again. What is sent
  again out of a doubt says `possible_duplicate`, also after look-ups that did not find it: it may
  appear later than the last of them.
- *Processing* was taken: it is looked up again, without an attempt and without a doubt, until the
  provider decides, at most for a day. If that time ends, or it is stopped before, a doubt is left.
- What the settings exclude is *skipped*: nothing is sent until they include it.
- A *target* that takes nothing now parks its uploads. That spends nothing, and is bounded by a
  limit.
- An integration that does not work holds its uploads. If it may work again, they are queued, and so
  are those that failed because of it; but not one that may have been taken.
- A person may requeue, abandon or attest.

An event that does not apply (a stale attempt number, for example) returns the very same object.
Every other event returns an upload whose `version` is one higher. The new state is stored before
anything is done about it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from attrs import evolve, field, frozen
from attrs.validators import min_len

from ..integration import PARK_LIMIT, OnUnclear, RetryPolicy
from ..written import shown_duration
from .backoff import backoff, bounded, floor_of, is_over, later, parked_until
from .events import (
    Abandoned,
    AttemptEnded,
    Attested,
    Blocked,
    Event,
    LookedUp,
    Progressed,
    Requeued,
    Started,
    Unblocked,
    Unfit,
)
from .failure import Concern, Failure, FailureKind
from .upload import (
    Failed,
    FailedReason,
    Held,
    LookingUp,
    Queued,
    Sending,
    Skipped,
    State,
    Succeeded,
    Tally,
    Undecided,
    Upload,
    Waiting,
    is_parked,
)
from .verdict import (
    Absent,
    Deferred,
    Delivered,
    Found,
    Partly,
    Processing,
    Receipt,
    Recovered,
    Refused,
    Rejected,
    Unbundled,
    Unclear,
    Unreadable,
    Withdrawn,
)

LOOK_UP_DELAYS = (timedelta(seconds=2), timedelta(seconds=10), timedelta(seconds=30))
MAX_PROCESSING = timedelta(days=1)
"""How long an upload waits for the decision of a provider that has taken it."""
MIN_PROCESSING_WAIT, MAX_PROCESSING_WAIT = timedelta(seconds=1), timedelta(hours=1)
"""How long it waits for the next look-up, if the provider does not say how long."""


@frozen
class Rules:
    """What decides where more than one way is open: the tenant's policy and the provider's
    abilities.

    `look_up_delays`: how long after the one before each look-up is made; there is at least one.
    `throttle_floor`: the least wait after the provider throttled without a Retry-After; one period
    of the pace.
    `park_limit`: how long an upload may be parked; 0: it fails at once.
    """

    retry: RetryPolicy = RetryPolicy()
    on_unclear: OnUnclear = OnUnclear.RETRY
    can_look_up: bool = False
    look_up_delays: tuple[timedelta, ...] = field(default=LOOK_UP_DELAYS, validator=min_len(1))
    throttle_floor: timedelta = timedelta(0)
    park_limit: timedelta = PARK_LIMIT


def advance(upload: Upload, event: Event, rules: Rules) -> Upload:
    """The upload after the event; the very same object if the event does not apply to it."""
    state = upload.state
    if isinstance(state, Succeeded):
        return upload
    match event:
        case (
            AttemptEnded(at=at, verdict=Delivered(receipt))
            | LookedUp(at=at, finding=Found(receipt))
        ):
            return _succeeded(upload, at, receipt)
        case _:
            pass
    match state:
        case Queued() | Waiting():
            return _from_rest(upload, state, event, rules)
        case Sending():
            return _from_sending(upload, state, event, rules)
        case LookingUp():
            return _from_looking_up(upload, state, event, rules)
        case Undecided():
            return _from_undecided(upload, state, event)
        case Held() | Failed() | Skipped():
            return _from_stopped(upload, state, event, rules)
        case _:
            assert_never(state)


def _from_rest(upload: Upload, state: Queued | Waiting, event: Event, rules: Rules) -> Upload:
    match event:
        case Started(at):
            return _started(upload, state, at, rules)
        case Unfit(at, failure) if failure.kind is FailureKind.OUTCOME_EXCLUDED:
            return _next(upload, at, Skipped(failure), upload.tally)
        case Unfit(at, failure):
            return _next(upload, at, Failed(FailedReason.REJECTED, failure), upload.tally)
        case Blocked(at, failure, until) if failure.kind.concern is Concern.TARGET:
            return _parked(upload, at, failure, until, rules)
        case Blocked(at, failure):
            return _next(upload, at, Held(failure), _counted_from(upload, at))
        case Unblocked(at) | Requeued(at) if is_parked(state):
            return _again(upload, at, state.cause, rules)
        case Attested() if is_parked(state):
            return _attested(upload, event)
        case Abandoned():
            return _abandoned(upload, event)
        case _:
            return upload


def _started(upload: Upload, state: Queued | Waiting, at: datetime, rules: Rules) -> Upload:
    tally = _counted_from(upload, at)
    if isinstance(state, Waiting) and tally.spent >= rules.retry.max_attempts:
        # The policy has become shorter meanwhile: what it allows now is used up.
        return _next(upload, at, Failed(FailedReason.EXHAUSTED, state.cause), upload.tally)
    started = Tally(
        attempts=tally.attempts + 1,
        spent=tally.spent + 1,
        doubt=tally.doubt,
        possible_duplicate=tally.possible_duplicate or tally.doubt,
        progress=tally.progress,
        alone=tally.alone,
        parked_at=tally.parked_at,
        tried_since=None if rules.retry.give_up_after is None else _tried_since(tally, at),
        reopened_at=tally.reopened_at,
    )
    cause = state.cause if isinstance(state, Waiting) else None
    return _next(upload, at, Sending(started.attempts, started_at=at, cause=cause), started)


def _tried_since(tally: Tally, at: datetime) -> datetime:
    return (tally.tried_since or at) if tally.spent else at


def _from_sending(upload: Upload, state: Sending, event: Event, rules: Rules) -> Upload:
    match event:
        case Progressed(at, state.attempt, progress):
            return _next(upload, at, state, evolve(upload.tally, progress=progress))
        case AttemptEnded(at, state.attempt, Rejected(failure) | Deferred(failure)) if (
            failure.kind.concern is Concern.TARGET
        ):
            return _parked(upload, at, failure, None, rules)
        case AttemptEnded(at, state.attempt, Rejected(failure)):
            doubt = upload.tally.doubt or failure.kind.doubtful
            tally = evolve(upload.tally, doubt=doubt)
            return _next(upload, at, Failed(FailedReason.REJECTED, failure), tally)
        case AttemptEnded(at, state.attempt, Unbundled(failure)):
            return _unbundled(upload, at, failure, rules)
        case AttemptEnded(at, state.attempt, Deferred(failure), jitter):
            due = _resend_at(upload, at, failure, jitter, rules)
            cause = bounded(rules.retry, failure)
            return _back_off(upload, at, due, cause, upload.tally, rules)
        case AttemptEnded(at, state.attempt, Withdrawn(failure, until)):
            given_back = evolve(upload.tally, spent=upload.tally.spent - 1)
            due = max(at, until or at)
            return _wait_or_give_up(upload, at, due, failure, given_back, rules)
        case AttemptEnded(at, state.attempt, Unclear(failure) | Recovered(failure), jitter):
            return _in_doubt(upload, at, failure, jitter, rules)
        case AttemptEnded(at, state.attempt, Processing() as taken) if rules.can_look_up:
            undecided = _undecided(1, at, at, taken)
            return _next(upload, at, undecided, upload.tally)
        case AttemptEnded(at, state.attempt, Processing() as taken):
            return _next(upload, at, Held(taken.failure), evolve(upload.tally, doubt=True))
        case _:
            return upload


def _parked(
    upload: Upload, at: datetime, cause: Failure, until: datetime | None, rules: Rules
) -> Upload:
    """Wait for a target that takes nothing now, within the limit; nothing of the budget is
    spent."""
    since = upload.tally.parked_at or at
    if at >= later(since, rules.park_limit):
        return _next(upload, at, Failed(FailedReason.REJECTED, cause), upload.tally)
    tally = evolve(upload.tally, spent=0, parked_at=since)
    return _next(upload, at, Waiting(until or parked_until(since, at), cause), tally)


def _unbundled(upload: Upload, at: datetime, failure: Failure, rules: Rules) -> Upload:
    """Give the attempt back, but only once: an upload that already travels alone pays for it."""
    tally = upload.tally
    spent = tally.spent if tally.alone else tally.spent - 1
    alone = evolve(tally, spent=spent, alone=True)
    return _wait_or_give_up(upload, at, at, failure, alone, rules)


def _in_doubt(
    upload: Upload, at: datetime, failure: Failure, jitter: float, rules: Rules
) -> Upload:
    """It may have been received: look it up if possible, else hold it or send it again, as the
    tenant chose."""
    tally = evolve(upload.tally, doubt=True)
    cause = bounded(rules.retry, failure)
    resend_at = _resend_at(upload, at, failure, jitter, rules)
    if rules.can_look_up:
        due = later(at, rules.look_up_delays[0])
        return _next(upload, at, LookingUp(1, due, resend_at, cause), tally)
    if rules.on_unclear is OnUnclear.HOLD:
        return _next(upload, at, Held(cause), tally)
    return _back_off(upload, at, resend_at, cause, tally, rules)


def _from_looking_up(upload: Upload, state: LookingUp, event: Event, rules: Rules) -> Upload:
    match event:
        case LookedUp(at, state.look_up, Partly(progress)):
            tally = evolve(upload.tally, doubt=False, progress=progress)
            return _wait_or_give_up(upload, at, at, state.cause, tally, rules)
        case LookedUp(at, state.look_up, Absent() | Unreadable() as finding):
            return _not_found(upload, state, at, finding, rules)
        case LookedUp(at, state.look_up, Processing() as taken):
            undecided = _undecided(state.look_up + 1, at, at, taken)
            return _next(upload, at, undecided, evolve(upload.tally, doubt=False))
        case LookedUp(at, state.look_up, Refused(failure)):
            tally = evolve(upload.tally, doubt=False)
            return _next(upload, at, Failed(FailedReason.REJECTED, failure), tally)
        case Blocked(at, failure) if failure.kind.concern is not Concern.TARGET:
            return _next(upload, at, Held(failure), upload.tally)
        case Requeued(at):
            return _again(upload, at, state.cause, rules)
        case Abandoned():
            return _abandoned(upload, event)
        case _:
            return upload


def _not_found(
    upload: Upload, state: LookingUp, at: datetime, finding: Absent | Unreadable, rules: Rules
) -> Upload:
    """Look again, or go on after the last look-up. The doubt stays: what was received may appear
    later than the last look-up."""
    cause = state.cause
    if state.look_up < len(rules.look_up_delays):
        due = later(at, rules.look_up_delays[state.look_up])
        return _next(
            upload, at, LookingUp(state.look_up + 1, due, state.resend_at, cause), upload.tally
        )
    if isinstance(finding, Absent):
        times = f"{state.look_up} times" if state.look_up > 1 else "once"
        cause = evolve(cause, message=f"{cause.message}; looked up {times}, not there")
    elif rules.on_unclear is OnUnclear.HOLD:
        return _next(upload, at, Held(cause), upload.tally)
    return _back_off(upload, at, max(at, state.resend_at), cause, upload.tally, rules)


def _from_undecided(upload: Upload, state: Undecided, event: Event) -> Upload:
    doubtful = evolve(upload.tally, doubt=True)
    match event:
        case LookedUp(at, state.look_up, Refused(failure)):
            return _next(upload, at, Failed(FailedReason.REJECTED, failure), upload.tally)
        case LookedUp(at, state.look_up) if at >= later(state.since, MAX_PROCESSING):
            return _next(upload, at, Failed(FailedReason.EXHAUSTED, state.cause), doubtful)
        case LookedUp(at, state.look_up, finding):
            # Without a word from the provider, the next wait is as long as all before it together.
            so_far = Processing(min(at - state.since, MAX_PROCESSING_WAIT), state.cause.message)
            taken = finding if isinstance(finding, Processing) else so_far
            undecided = _undecided(state.look_up + 1, at, state.since, taken)
            return _next(upload, at, undecided, upload.tally)
        case Blocked(at, failure) if failure.kind.concern is not Concern.TARGET:
            return _next(upload, at, Held(failure), doubtful)
        case Abandoned():
            return _abandoned(evolve(upload, tally=doubtful), event)
        case _:
            return upload


def _undecided(look_up: int, at: datetime, since: datetime, taken: Processing) -> Undecided:
    wait = max(taken.after, MIN_PROCESSING_WAIT)
    due = min(later(at, wait), later(since, MAX_PROCESSING))
    return Undecided(look_up, due, since, taken.failure)


def _from_stopped(
    upload: Upload, state: Held | Failed | Skipped, event: Event, rules: Rules
) -> Upload:
    held, cause = isinstance(state, Held), state.cause
    of_integration = cause.kind.concern is Concern.INTEGRATION
    blocked = of_integration and (held or not cause.kind.doubtful)
    match event:
        case Unblocked(at) if blocked or isinstance(state, Skipped):
            return _again(upload, at, cause, rules)
        case Requeued(at):
            return _again(upload, at, cause, rules)
        case Abandoned() if held:
            return _abandoned(upload, event)
        case Attested():
            return _attested(upload, event)
        case _:
            return upload


def _back_off(
    upload: Upload, at: datetime, due: datetime, cause: Failure, tally: Tally, rules: Rules
) -> Upload:
    """Wait for the next attempt, unless the budget is used up by number or by time."""
    limit = rules.retry.give_up_after
    if limit is not None and is_over(rules.retry, tally.tried_since, due):
        why = f"the next attempt would be later than {shown_duration(limit)} after the first"
        over = evolve(cause, message=f"{cause.message}; given up: {why} (`give_up_after`)")
        return _next(upload, at, Failed(FailedReason.EXHAUSTED, over), tally)
    return _wait_or_give_up(upload, at, due, cause, tally, rules)


def _wait_or_give_up(
    upload: Upload, at: datetime, due: datetime, cause: Failure, tally: Tally, rules: Rules
) -> Upload:
    if tally.spent < rules.retry.max_attempts:
        return _next(upload, at, Waiting(due, cause), tally)
    return _next(upload, at, Failed(FailedReason.EXHAUSTED, cause), tally)


def _again(upload: Upload, at: datetime, cause: Failure, rules: Rules) -> Upload:
    """A fresh budget, by number and by time, with the history kept; a doubt is looked up first if
    possible."""
    tally = evolve(_counted_from(upload, at), spent=0, parked_at=None, tried_since=None)
    if tally.doubt and rules.can_look_up:
        return _next(upload, at, LookingUp(1, due=at, resend_at=at, cause=_doubted(cause)), tally)
    return _next(upload, at, Queued(due=at), tally)


def _counted_from(upload: Upload, at: datetime) -> Tally:
    """The tally of an upload that goes on at a moment: its age counts from then if it had come to
    an end or was parked. A held one was open all the time."""
    state = upload.state
    was_open = not (isinstance(state, Failed | Skipped) or is_parked(state))
    return upload.tally if was_open else evolve(upload.tally, reopened_at=at)


def _doubted(cause: Failure) -> Failure:
    """Why an upload that goes on is in doubt: never because of what had stopped it, or it would
    count as stopped again wherever its look-ups end."""
    if cause.kind.concern is Concern.UPLOAD:
        return cause
    message = f"it may have been taken before it was stopped ({cause.message})"
    return Failure(FailureKind.INTERRUPTED, message)


def _abandoned(upload: Upload, event: Abandoned) -> Upload:
    cause = Failure(FailureKind.ABANDONED, f"abandoned by {event.by}: {event.reason}")
    return _next(upload, event.at, Failed(FailedReason.ABANDONED, cause), upload.tally)


def _attested(upload: Upload, event: Attested) -> Upload:
    return _succeeded(upload, event.at, receipt_of_attestation(event.by, event.reason))


def receipt_of_attestation(by: str, reason: str) -> Receipt:
    """What stands for a receipt where a person attested an upload."""
    return Receipt(message=f"attested by {by}: {reason}")


def _succeeded(upload: Upload, at: datetime, receipt: Receipt) -> Upload:
    tally = evolve(upload.tally, doubt=False) if upload.tally.doubt else upload.tally
    return _next(upload, at, Succeeded(receipt), tally)


def _resend_at(
    upload: Upload, at: datetime, failure: Failure, jitter: float, rules: Rules
) -> datetime:
    wait = backoff(rules.retry, upload.tally.spent, jitter)
    return later(at, max(wait, floor_of(rules.retry, failure, rules.throttle_floor)))


def _next(upload: Upload, at: datetime, state: State, tally: Tally) -> Upload:
    # The constructor is three times as fast as `evolve`, and shows that every field is carried on.
    return Upload(
        key=upload.key,
        digest=upload.digest,
        evidence_date=upload.evidence_date,
        created_at=upload.created_at,
        updated_at=at,
        version=upload.version + 1,
        tally=tally,
        state=state,
        id=upload.id,
    )
