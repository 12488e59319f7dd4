"""What every event makes of every state, row by row, exactly.

The table below is the specification of `advance`, but for Succeeded, which absorbs everything. Each
cell names an outcome; `=` says that the very same object comes back, a question mark that a doubt
is left, `2` that a possible duplicate is marked. A row holds for every tally and all rules that its
label leaves open, so each cell stands for up to 128 cases, and each of them is compared field by
field.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import get_args

import pytest
from attrs import evolve, frozen

from evidence_courier.domain.integration import OnUnclear, RetryPolicy
from evidence_courier.domain.upload.events import (
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
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.transitions import Rules, advance
from evidence_courier.domain.upload.upload import (
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
    UploadKey,
    Waiting,
    cause_of,
    due_of,
    is_parked,
)
from evidence_courier.domain.upload.verdict import (
    Absent,
    AttemptVerdict,
    Deferred,
    Delivered,
    Finding,
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
from evidence_courier.testing.reachable_states import kind_of

TABLE = """
                        | Queued | Waiting| parked | Sending | LookingUp| last   | Held   | blocked| Failed
Started, no doubt       | start  | start  | start  | =       | =        | =      | =      | =      | =
Started, doubt          | start 2| start 2| start 2| =       | =        | =      | =      | =      | =
Started, spent, no doubt| start  | used up| used up| =       | =        | =      | =      | =      | =
Started, spent, doubt   | start 2| used up| used up| =       | =        | =      | =      | =      | =
Progressed              | =      | =      | =      | mark    | =        | =      | =      | =      | =
Progressed, stale       | =      | =      | =      | =       | =        | =      | =      | =      | =
Delivered               | succeed| succeed| succeed| succeed | succeed  | succeed| succeed| succeed| succeed
Delivered, stale        | succeed| succeed| succeed| succeed | succeed  | succeed| succeed| succeed| succeed
Found                   | succeed| succeed| succeed| succeed | succeed  | succeed| succeed| succeed| succeed
Rejected                | =      | =      | =      | reject  | =        | =      | =      | =      | =
Rejected, unrecognised  | =      | =      | =      | reject ?| =        | =      | =      | =      | =
Rejected, target        | =      | =      | =      | park    | =        | =      | =      | =      | =
Rejected, stale         | =      | =      | =      | =       | =        | =      | =      | =      | =
Unbundled, together     | =      | =      | =      | alone   | =        | =      | =      | =      | =
Unbundled, alone, left  | =      | =      | =      | now     | =        | =      | =      | =      | =
Unbundled, alone, spent | =      | =      | =      | stop    | =        | =      | =      | =      | =
Unbundled, alone, late  | =      | =      | =      | now     | =        | =      | =      | =      | =
Unbundled, stale        | =      | =      | =      | =       | =        | =      | =      | =      | =
Deferred, left          | =      | =      | =      | wait    | =        | =      | =      | =      | =
Deferred, spent         | =      | =      | =      | stop    | =        | =      | =      | =      | =
Deferred, late          | =      | =      | =      | stop    | =        | =      | =      | =      | =
Deferred, target        | =      | =      | =      | park    | =        | =      | =      | =      | =
Deferred, stale         | =      | =      | =      | =       | =        | =      | =      | =      | =
Withdrawn               | =      | =      | =      | back    | =        | =      | =      | =      | =
Withdrawn, stale        | =      | =      | =      | =       | =        | =      | =      | =      | =
Unclear, look-ups       | =      | =      | =      | look ?  | =        | =      | =      | =      | =
Unclear, hold           | =      | =      | =      | hold ?  | =        | =      | =      | =      | =
Unclear, retry, left    | =      | =      | =      | wait ?  | =        | =      | =      | =      | =
Unclear, retry, spent   | =      | =      | =      | stop ?  | =        | =      | =      | =      | =
Unclear, retry, late    | =      | =      | =      | stop ?  | =        | =      | =      | =      | =
Unclear, stale          | =      | =      | =      | =       | =        | =      | =      | =      | =
Recovered, look-ups     | =      | =      | =      | look ?  | =        | =      | =      | =      | =
Recovered, hold         | =      | =      | =      | hold ?  | =        | =      | =      | =      | =
Recovered, retry, left  | =      | =      | =      | wait ?  | =        | =      | =      | =      | =
Recovered, retry, spent | =      | =      | =      | stop ?  | =        | =      | =      | =      | =
Recovered, retry, late  | =      | =      | =      | stop ?  | =        | =      | =      | =      | =
Recovered, stale        | =      | =      | =      | =       | =        | =      | =      | =      | =
Processing, look-ups    | =      | =      | =      | taken   | =        | =      | =      | =      | =
Processing, none        | =      | =      | =      | ask ?   | =        | =      | =      | =      | =
Processing, stale       | =      | =      | =      | =       | =        | =      | =      | =      | =
Partly, left            | =      | =      | =      | =       | go on    | go on  | =      | =      | =
Partly, spent           | =      | =      | =      | =       | half     | half   | =      | =      | =
Partly, late            | =      | =      | =      | =       | go on    | go on  | =      | =      | =
Partly, stale           | =      | =      | =      | =       | =        | =      | =      | =      | =
Absent, left            | =      | =      | =      | =       | next     | miss   | =      | =      | =
Absent, spent           | =      | =      | =      | =       | next     | missed | =      | =      | =
Absent, late            | =      | =      | =      | =       | next     | missed | =      | =      | =
Absent, stale           | =      | =      | =      | =       | =        | =      | =      | =      | =
Unreadable, hold        | =      | =      | =      | =       | next     | hold   | =      | =      | =
Unreadable, retry, left | =      | =      | =      | =       | next     | send   | =      | =      | =
Unreadable, retry, spent| =      | =      | =      | =       | next     | end    | =      | =      | =
Unreadable, retry, late | =      | =      | =      | =       | next     | end    | =      | =      | =
Unreadable, stale       | =      | =      | =      | =       | =        | =      | =      | =      | =
Refused                 | =      | =      | =      | =       | refuse   | refuse | =      | =      | =
Refused, stale          | =      | =      | =      | =       | =        | =      | =      | =      | =
Still processing        | =      | =      | =      | =       | seen     | seen   | =      | =      | =
Still processing, stale | =      | =      | =      | =       | =        | =      | =      | =      | =
Unfit                   | reject | reject | reject | =       | =        | =      | =      | =      | =
Unfit, excluded         | skip   | skip   | skip   | =       | =        | =      | =      | =      | =
Blocked                 | block  | block  | block  | =       | block    | block  | =      | =      | =
Blocked, target         | park   | park   | park   | =       | =        | =      | =      | =      | =
Unblocked, no doubt     | =      | =      | again  | =       | =        | =      | =      | again  | =
Unblocked, doubt, none  | =      | =      | again  | =       | =        | =      | =      | again  | =
Unblocked, doubt, look  | =      | =      | again ?| =       | =        | =      | =      | again ?| =
Requeued, no doubt      | =      | =      | again  | =       | again    | again  | again  | again  | again
Requeued, doubt, none   | =      | =      | again  | =       | again    | again  | again  | again  | again
Requeued, doubt, look   | =      | =      | again ?| =       | again ?  | again ?| again ?| again ?| again ?
Abandoned               | give up| give up| give up| =       | give up  | give up| give up| give up| =
Attested                | =      | =      | attest | =       | =        | =      | attest | attest | attest
"""

# The same rows for an upload that the provider has taken and not decided, five look-ups ago and a
# day ago, and for one that was skipped.
UNDECIDED = """
                        | Undecided| a day    | Skipped
Started, no doubt       | =        | =        | =
Started, doubt          | =        | =        | =
Started, spent, no doubt| =        | =        | =
Started, spent, doubt   | =        | =        | =
Progressed              | =        | =        | =
Progressed, stale       | =        | =        | =
Delivered               | succeed  | succeed  | succeed
Delivered, stale        | succeed  | succeed  | succeed
Found                   | succeed  | succeed  | succeed
Rejected                | =        | =        | =
Rejected, unrecognised  | =        | =        | =
Rejected, target        | =        | =        | =
Rejected, stale         | =        | =        | =
Unbundled, together     | =        | =        | =
Unbundled, alone, left  | =        | =        | =
Unbundled, alone, spent | =        | =        | =
Unbundled, alone, late  | =        | =        | =
Unbundled, stale        | =        | =        | =
Deferred, left          | =        | =        | =
Deferred, spent         | =        | =        | =
Deferred, late          | =        | =        | =
Deferred, target        | =        | =        | =
Deferred, stale         | =        | =        | =
Withdrawn               | =        | =        | =
Withdrawn, stale        | =        | =        | =
Unclear, look-ups       | =        | =        | =
Unclear, hold           | =        | =        | =
Unclear, retry, left    | =        | =        | =
Unclear, retry, spent   | =        | =        | =
Unclear, retry, late    | =        | =        | =
Unclear, stale          | =        | =        | =
Recovered, look-ups     | =        | =        | =
Recovered, hold         | =        | =        | =
Recovered, retry, left  | =        | =        | =
Recovered, retry, spent | =        | =        | =
Recovered, retry, late  | =        | =        | =
Recovered, stale        | =        | =        | =
Processing, look-ups    | =        | =        | =
Processing, none        | =        | =        | =
Processing, stale       | =        | =        | =
Partly, left            | later    | over ?   | =
Partly, spent           | later    | over ?   | =
Partly, late            | later    | over ?   | =
Partly, stale           | =        | =        | =
Absent, left            | later    | over ?   | =
Absent, spent           | later    | over ?   | =
Absent, late            | later    | over ?   | =
Absent, stale           | =        | =        | =
Unreadable, hold        | later    | over ?   | =
Unreadable, retry, left | later    | over ?   | =
Unreadable, retry, spent| later    | over ?   | =
Unreadable, retry, late | later    | over ?   | =
Unreadable, stale       | =        | =        | =
Refused                 | reject   | reject   | =
Refused, stale          | =        | =        | =
Still processing        | wait on  | over ?   | =
Still processing, stale | =        | =        | =
Unfit                   | =        | =        | =
Unfit, excluded         | =        | =        | =
Blocked                 | block ?  | block ?  | =
Blocked, target         | =        | =        | =
Unblocked, no doubt     | =        | =        | again
Unblocked, doubt, none  | =        | =        | again
Unblocked, doubt, look  | =        | =        | again ?
Requeued, no doubt      | =        | =        | again
Requeued, doubt, none   | =        | =        | again
Requeued, doubt, look   | =        | =        | again ?
Abandoned               | give up ?| give up ?| =
Attested                | =        | =        | attest
"""

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


def seconds(later: int) -> datetime:
    return NOW + timedelta(seconds=later)


EARLIER = NOW - timedelta(minutes=3)
LATER = NOW + timedelta(minutes=3)
IN_AN_HOUR = NOW + timedelta(hours=1)
ONE_MORE = RetryPolicy(max_attempts=3)
BUDGETS = {
    "left": evolve(ONE_MORE, give_up_after=timedelta(hours=1)),
    "spent": evolve(ONE_MORE, max_attempts=2),
    "late": evolve(ONE_MORE, give_up_after=NOW + timedelta(seconds=14) - EARLIER),
}
OLD = Failure(FailureKind.TIMEOUT, "no reply within 30 s")
BLOCK = Failure(FailureKind.UNAUTHORIZED, "the key is not accepted")
NEW = Failure(FailureKind.SERVER_ERROR, "HTTP 503", http_status=503)
NOT_THERE = evolve(OLD, message="no reply within 30 s; looked up 3 times, not there")
REVIEW = Failure(FailureKind.CHECK_IN_REVIEW, "the check is in review")
UNRECOGNISED = Failure(FailureKind.UNRECOGNISED_REPLY, "a word that nobody knows")
EXCLUDED = Failure(FailureKind.OUTCOME_EXCLUDED, "only passed is sent")
RECEIPT = Receipt("ref-1", "taken")

# Seven attempts so far, two of them in this budget. The budget has one more to give, or none, or
# its time is over before the next.
ATTEMPTS, SPENT = 7, 2
# The second attempt of a budget waits 5 s · 2 · (1 + a jitter of one half).
JITTER, RESEND_AT = 0.5, seconds(15)

STATES: dict[str, State] = {
    "Queued": Queued(EARLIER),
    "Waiting": Waiting(EARLIER, OLD),
    "parked": Waiting(EARLIER, REVIEW),
    "Sending": Sending(ATTEMPTS, EARLIER, OLD),
    "LookingUp": LookingUp(2, EARLIER, LATER, OLD),
    "last": LookingUp(3, EARLIER, LATER, OLD),
    "Held": Held(OLD),
    "blocked": Held(BLOCK),
    "Failed": Failed(FailedReason.REJECTED, OLD),
    "Undecided": Undecided(5, EARLIER, EARLIER, OLD),
    "a day": Undecided(5, EARLIER, NOW - timedelta(days=1), OLD),
    "Skipped": Skipped(EXCLUDED),
}


@frozen
class Row:
    """An event, made with the number that is current in a state, and the tallies and rules for
    which the row holds."""

    event: Callable[[int], Event]
    off: tuple[int, ...] = (0,)
    doubt: tuple[bool, ...] = (False, True)
    alone: tuple[bool, ...] = (False, True)
    budget: tuple[str, ...] = ("left", "spent", "late")
    can_look_up: tuple[bool, ...] = (False, True)
    unknown: tuple[OnUnclear, ...] = (OnUnclear.RETRY, OnUnclear.HOLD)

    def cases(self) -> Iterator[tuple[int, Tally, Rules]]:
        """Every number's distance from the current one, tally and rules that the row speaks of."""
        flags = product((False, True), (None, "page-1"), self.doubt, self.alone)
        rules = product(self.budget, self.can_look_up, self.unknown)
        for off, (duplicate, progress, doubt, alone), (budget, can_look_up, unknown) in product(
            self.off, tuple(flags), tuple(rules)
        ):
            tally = Tally(ATTEMPTS, SPENT, doubt, duplicate, progress, alone, reopened_at=EARLIER)
            if BUDGETS[budget].give_up_after is not None:
                tally = evolve(tally, tried_since=EARLIER)
            yield off, tally, Rules(BUDGETS[budget], unknown, can_look_up)


YES, NO = (True,), (False,)
LEFT, USED_UP, LATE = ("left",), ("spent",), ("late",)
RETRY, HOLD = (OnUnclear.RETRY,), (OnUnclear.HOLD,)
ANOTHER = (-1, 1)


def progressed(n: int) -> Event:
    return Progressed(NOW, n, "page-2")


def delivered(n: int) -> Event:
    return AttemptEnded(NOW, n, Delivered(RECEIPT), JITTER)


def found(n: int) -> Event:
    return LookedUp(NOW, n, Found(RECEIPT))


def rejected(n: int) -> Event:
    return AttemptEnded(NOW, n, Rejected(NEW), JITTER)


def unbundled(n: int) -> Event:
    return AttemptEnded(NOW, n, Unbundled(NEW), JITTER)


def deferred(n: int) -> Event:
    return AttemptEnded(NOW, n, Deferred(NEW), JITTER)


def withdrawn(n: int) -> Event:
    return AttemptEnded(NOW, n, Withdrawn(NEW), JITTER)


def unclear(n: int) -> Event:
    return AttemptEnded(NOW, n, Unclear(NEW), JITTER)


def recovered(n: int) -> Event:
    return AttemptEnded(NOW, n, Recovered(NEW), JITTER)


def processing(n: int) -> Event:
    return AttemptEnded(NOW, n, Processing(timedelta(minutes=7), "in review"), JITTER)


def still_processing(n: int) -> Event:
    return LookedUp(NOW, n, Processing(timedelta(minutes=7), "in review"))


def refused(n: int) -> Event:
    return LookedUp(NOW, n, Refused(NEW))


def partly(n: int) -> Event:
    return LookedUp(NOW, n, Partly("page-2"))


def absent(n: int) -> Event:
    return LookedUp(NOW, n, Absent())


def unreadable(n: int) -> Event:
    return LookedUp(NOW, n, Unreadable(NEW))


def started(n: int) -> Event:
    return Started(NOW)


def unblocked(n: int) -> Event:
    return Unblocked(NOW)


def requeued(n: int) -> Event:
    return Requeued(NOW, "asha", "the key is renewed")


ROWS: dict[str, Row] = {
    "Started, no doubt": Row(started, doubt=NO, budget=LEFT + LATE),
    "Started, doubt": Row(started, doubt=YES, budget=LEFT + LATE),
    "Started, spent, no doubt": Row(started, doubt=NO, budget=USED_UP),
    "Started, spent, doubt": Row(started, doubt=YES, budget=USED_UP),
    "Progressed": Row(progressed),
    "Progressed, stale": Row(progressed, ANOTHER),
    "Delivered": Row(delivered),
    "Delivered, stale": Row(delivered, ANOTHER),
    "Found": Row(found),
    "Rejected": Row(rejected),
    "Rejected, unrecognised": Row(lambda n: AttemptEnded(NOW, n, Rejected(UNRECOGNISED), JITTER)),
    "Rejected, target": Row(lambda n: AttemptEnded(NOW, n, Rejected(REVIEW), JITTER)),
    "Rejected, stale": Row(rejected, ANOTHER),
    "Unbundled, together": Row(unbundled, alone=NO),
    "Unbundled, alone, left": Row(unbundled, alone=YES, budget=LEFT),
    "Unbundled, alone, spent": Row(unbundled, alone=YES, budget=USED_UP),
    "Unbundled, alone, late": Row(unbundled, alone=YES, budget=LATE),
    "Unbundled, stale": Row(unbundled, ANOTHER),
    "Deferred, left": Row(deferred, budget=LEFT),
    "Deferred, spent": Row(deferred, budget=USED_UP),
    "Deferred, late": Row(deferred, budget=LATE),
    "Deferred, target": Row(lambda n: AttemptEnded(NOW, n, Deferred(REVIEW), JITTER)),
    "Deferred, stale": Row(deferred, ANOTHER),
    "Withdrawn": Row(withdrawn),
    "Withdrawn, stale": Row(withdrawn, ANOTHER),
    "Unclear, look-ups": Row(unclear, can_look_up=YES),
    "Unclear, hold": Row(unclear, can_look_up=NO, unknown=HOLD),
    "Unclear, retry, left": Row(unclear, can_look_up=NO, unknown=RETRY, budget=LEFT),
    "Unclear, retry, spent": Row(unclear, can_look_up=NO, unknown=RETRY, budget=USED_UP),
    "Unclear, retry, late": Row(unclear, can_look_up=NO, unknown=RETRY, budget=LATE),
    "Unclear, stale": Row(unclear, ANOTHER),
    "Recovered, look-ups": Row(recovered, can_look_up=YES),
    "Recovered, hold": Row(recovered, can_look_up=NO, unknown=HOLD),
    "Recovered, retry, left": Row(recovered, can_look_up=NO, unknown=RETRY, budget=LEFT),
    "Recovered, retry, spent": Row(recovered, can_look_up=NO, unknown=RETRY, budget=USED_UP),
    "Recovered, retry, late": Row(recovered, can_look_up=NO, unknown=RETRY, budget=LATE),
    "Recovered, stale": Row(recovered, ANOTHER),
    "Processing, look-ups": Row(processing, can_look_up=YES),
    "Processing, none": Row(processing, can_look_up=NO),
    "Processing, stale": Row(processing, ANOTHER),
    "Partly, left": Row(partly, budget=LEFT),
    "Partly, spent": Row(partly, budget=USED_UP),
    "Partly, late": Row(partly, budget=LATE),
    "Partly, stale": Row(partly, ANOTHER),
    "Absent, left": Row(absent, budget=LEFT),
    "Absent, spent": Row(absent, budget=USED_UP),
    "Absent, late": Row(absent, budget=LATE),
    "Absent, stale": Row(absent, ANOTHER),
    "Unreadable, hold": Row(unreadable, unknown=HOLD),
    "Unreadable, retry, left": Row(unreadable, unknown=RETRY, budget=LEFT),
    "Unreadable, retry, spent": Row(unreadable, unknown=RETRY, budget=USED_UP),
    "Unreadable, retry, late": Row(unreadable, unknown=RETRY, budget=LATE),
    "Unreadable, stale": Row(unreadable, ANOTHER),
    "Refused": Row(refused),
    "Refused, stale": Row(refused, ANOTHER),
    "Still processing": Row(still_processing),
    "Still processing, stale": Row(still_processing, ANOTHER),
    "Unfit": Row(lambda n: Unfit(NOW, NEW)),
    "Unfit, excluded": Row(lambda n: Unfit(NOW, EXCLUDED)),
    "Blocked": Row(lambda n: Blocked(NOW, NEW)),
    "Blocked, target": Row(lambda n: Blocked(NOW, REVIEW, IN_AN_HOUR)),
    "Unblocked, no doubt": Row(unblocked, doubt=NO),
    "Unblocked, doubt, none": Row(unblocked, doubt=YES, can_look_up=NO),
    "Unblocked, doubt, look": Row(unblocked, doubt=YES, can_look_up=YES),
    "Requeued, no doubt": Row(requeued, doubt=NO),
    "Requeued, doubt, none": Row(requeued, doubt=YES, can_look_up=NO),
    "Requeued, doubt, look": Row(requeued, doubt=YES, can_look_up=YES),
    "Abandoned": Row(lambda n: Abandoned(NOW, "asha", "the employee has left")),
    "Attested": Row(lambda n: Attested(NOW, "asha", "seen in the check")),
}


def start(state: State) -> Sending:
    """Attempt number eight, which remembers what the one before it came to."""
    return Sending(ATTEMPTS + 1, NOW, cause_of(state))


def seen(state: State) -> Undecided:
    """A look-up has shown that the provider took it; the numbers of its look-ups go on."""
    assert isinstance(state, LookingUp)
    return Undecided(state.look_up + 1, seconds(420), NOW, IN_REVIEW)


def exhausted(cause: Failure) -> Failed:
    return Failed(FailedReason.EXHAUSTED, cause)


def rejected_for(cause: Failure) -> Failed:
    return Failed(FailedReason.REJECTED, cause)


def look_up(state: State) -> LookingUp:
    """The first look-up of those that a person, or a mended integration, sets going: now."""
    cause = cause_of(state)
    assert cause is not None
    stopped = {BLOCK: "the key is not accepted", REVIEW: "the check is in review"}
    if cause in stopped:
        message = f"it may have been taken before it was stopped ({stopped[cause]})"
        cause = Failure(FailureKind.INTERRUPTED, message)
    return LookingUp(1, NOW, NOW, cause)


def opened(state: State, tally: Tally) -> Tally:
    """What had ended, or was parked, is open since now."""
    was_open = not (isinstance(state, Failed | Skipped) or is_parked(state))
    return tally if was_open else evolve(tally, reopened_at=NOW)


def again(state: State, tally: Tally) -> Tally:
    """A fresh budget."""
    return evolve(opened(state, tally), spent=0, tried_since=None)


IN_REVIEW = Failure(FailureKind.STILL_PROCESSING, "in review", retry_after=420.0)
# The wait so far, three minutes, and as long again.
SO_FAR = Failure(FailureKind.STILL_PROCESSING, OLD.message, retry_after=180.0)
GIVEN_UP = Failure(FailureKind.ABANDONED, "abandoned by asha: the employee has left")
SEEN = Receipt(None, "attested by asha: seen in the check")

# The words of the table: the state after the event, and the tally with what is noted in it. `s` and
# `t` are the state and the tally before the event, `f` is the failure that it speaks of.
OUTCOMES: dict[str, Callable[[State, Tally, Failure], tuple[State, Tally]]] = {
    "start": lambda s, t, f: (start(s), evolve(opened(s, t), attempts=8, spent=3)),
    "used up": lambda s, t, f: (exhausted(cause_of(s) or OLD), t),
    "start 2": lambda s, t, f: (
        start(s),
        evolve(opened(s, t), attempts=8, spent=3, possible_duplicate=True),
    ),
    "mark": lambda s, t, f: (s, evolve(t, progress="page-2")),
    "succeed": lambda s, t, f: (Succeeded(RECEIPT), evolve(t, doubt=False)),
    "reject": lambda s, t, f: (rejected_for(f), t),
    "reject ?": lambda s, t, f: (rejected_for(f), evolve(t, doubt=True)),
    "alone": lambda s, t, f: (Waiting(NOW, f), evolve(t, spent=1, alone=True)),
    "back": lambda s, t, f: (Waiting(NOW, f), evolve(t, spent=1)),
    "now": lambda s, t, f: (Waiting(NOW, f), t),
    "wait": lambda s, t, f: (Waiting(RESEND_AT, f), t),
    "wait ?": lambda s, t, f: (Waiting(RESEND_AT, f), evolve(t, doubt=True)),
    "park": lambda s, t, f: (Waiting(IN_AN_HOUR, f), evolve(t, spent=0, parked_at=NOW)),
    "stop": lambda s, t, f: (exhausted(f), t),
    "stop ?": lambda s, t, f: (exhausted(f), evolve(t, doubt=True)),
    "look ?": lambda s, t, f: (LookingUp(1, seconds(2), RESEND_AT, f), evolve(t, doubt=True)),
    "hold ?": lambda s, t, f: (Held(f), evolve(t, doubt=True)),
    "taken": lambda s, t, f: (Undecided(1, seconds(420), NOW, IN_REVIEW), t),
    "ask ?": lambda s, t, f: (Held(IN_REVIEW), evolve(t, doubt=True)),
    "seen": lambda s, t, f: (seen(s), evolve(t, doubt=False)),
    "later": lambda s, t, f: (Undecided(6, LATER, EARLIER, SO_FAR), t),
    "wait on": lambda s, t, f: (Undecided(6, seconds(420), EARLIER, IN_REVIEW), t),
    "over ?": lambda s, t, f: (exhausted(OLD), evolve(t, doubt=True)),
    "refuse": lambda s, t, f: (rejected_for(f), evolve(t, doubt=False)),
    "next": lambda s, t, f: (LookingUp(3, seconds(30), LATER, OLD), t),
    "go on": lambda s, t, f: (Waiting(NOW, OLD), evolve(t, doubt=False, progress="page-2")),
    "half": lambda s, t, f: (exhausted(OLD), evolve(t, doubt=False, progress="page-2")),
    "send": lambda s, t, f: (Waiting(LATER, OLD), t),
    "end": lambda s, t, f: (exhausted(OLD), t),
    "miss": lambda s, t, f: (Waiting(LATER, NOT_THERE), t),
    "missed": lambda s, t, f: (exhausted(NOT_THERE), t),
    "hold": lambda s, t, f: (Held(OLD), t),
    "block ?": lambda s, t, f: (Held(f), evolve(t, doubt=True)),
    "give up ?": lambda s, t, f: (
        Failed(FailedReason.ABANDONED, GIVEN_UP),
        evolve(t, doubt=True),
    ),
    "skip": lambda s, t, f: (Skipped(f), t),
    "block": lambda s, t, f: (Held(f), opened(s, t)),
    "again": lambda s, t, f: (Queued(NOW), again(s, t)),
    "again ?": lambda s, t, f: (look_up(s), again(s, t)),
    "give up": lambda s, t, f: (Failed(FailedReason.ABANDONED, GIVEN_UP), t),
    "attest": lambda s, t, f: (Succeeded(SEEN), evolve(t, doubt=False)),
}


def cells_of(table: str) -> list[tuple[str, str, str]]:
    """Row, column and word of each cell of a table."""
    head, *rows = [
        [cell.strip() for cell in line.split("|")] for line in table.strip("\n").splitlines()
    ]
    assert [row[0] for row in rows] == list(ROWS)
    return [
        (row[0], column, word)
        for row in rows
        for column, word in zip(head[1:], row[1:], strict=True)
    ]


def cells() -> list[tuple[str, str, str]]:
    """Row, column and word of each cell of both tables."""
    found = cells_of(TABLE) + cells_of(UNDECIDED)
    assert list(dict.fromkeys(column for _, column, _ in found)) == list(STATES)
    return found


def failure_in(event: Event) -> Failure:
    """The failure that an event speaks of; any other where it speaks of none."""
    value = getattr(event, "verdict", getattr(event, "finding", event))
    failure = getattr(value, "failure", OLD)
    assert isinstance(failure, Failure)
    return failure


def out_of_time(state: State, limit: str) -> Failed:
    """The same if time has ended it: the message says which."""
    why = f"the next attempt would be later than {limit} after the first (`give_up_after`)"
    assert isinstance(state, Failed)
    message = f"{state.cause.message}; given up: {why}"
    return evolve(state, cause=evolve(state.cause, message=message))


def upload_with(state: State, tally: Tally) -> Upload:
    """An upload at version 41, last changed before now."""
    return Upload(
        key=UploadKey("acme", "ev-1", "sprinto"),
        digest="a" * 64,
        evidence_date=date(2026, 2, 20),
        created_at=EARLIER - timedelta(days=1),
        updated_at=EARLIER,
        version=41,
        tally=tally,
        state=state,
        id=9,
    )


@pytest.mark.parametrize(("row", "column", "word"), cells())
def test_the_table_holds(row: str, column: str, word: str) -> None:
    state = STATES[column]
    number = state.look_up if isinstance(state, LookingUp | Undecided) else ATTEMPTS
    for off, tally, rules in ROWS[row].cases():
        before = upload_with(state, tally)
        event = ROWS[row].event(number + off)
        result = advance(before, event, rules)
        if word == "=":
            assert result is before, f"{column} with {tally} under {rules}"
        else:
            expected_state, expected_tally = OUTCOMES[word](state, tally, failure_in(event))
            if row.endswith("late") and word in ("stop", "stop ?", "end", "missed"):
                expected_state = out_of_time(expected_state, "194s")
            assert result == evolve(
                before, state=expected_state, tally=expected_tally, version=42, updated_at=NOW
            ), f"{column} with {tally} under {rules}"
            assert result.id == 9  # it does not count when uploads are compared


@pytest.mark.parametrize("row", ROWS)
def test_success_absorbs_everything(row: str) -> None:
    for off, tally, rules in ROWS[row].cases():
        before = upload_with(Succeeded(Receipt("ref-0", "taken before")), tally)
        assert advance(before, ROWS[row].event(ATTEMPTS + off), rules) is before


def test_the_table_speaks_of_every_event_and_every_state() -> None:
    kinds = {kind_of(row.event(1)) for row in ROWS.values()}
    valued = {*get_args(AttemptVerdict), *get_args(Finding)}
    assert kinds == {*get_args(Event), *valued} - {AttemptEnded, LookedUp}
    assert {type(state) for state in STATES.values()} == set(get_args(State)) - {Succeeded}
    assert {word for _, _, word in cells()} == {"=", *OUTCOMES}


# --- what the table is too coarse for ------------------------------------------------------------

TALLY = Tally(ATTEMPTS, SPENT)
SENDING = upload_with(Sending(ATTEMPTS, EARLIER), TALLY)
READABLE = Rules(can_look_up=True)


def test_a_wait_is_never_shorter_than_retry_after() -> None:
    told = Failure(FailureKind.TOLD_TO_WAIT, "come back later", retry_after=120)
    assert advance(SENDING, AttemptEnded(NOW, 7, Deferred(told), JITTER), Rules()).state == Waiting(
        NOW + timedelta(seconds=120), told
    )


def test_a_retry_after_shorter_than_the_back_off_changes_nothing() -> None:
    told = Failure(FailureKind.TOLD_TO_WAIT, "come back later", retry_after=14)
    assert advance(SENDING, AttemptEnded(NOW, 7, Deferred(told), JITTER), Rules()).state == Waiting(
        RESEND_AT, told
    )


def test_a_provider_that_throttles_without_a_time_gets_one_period() -> None:
    """That is one period of its pace."""
    throttled = Failure(FailureKind.RATE_LIMITED, "too many requests")
    rules = Rules(throttle_floor=timedelta(minutes=1))
    assert advance(
        SENDING, AttemptEnded(NOW, 7, Deferred(throttled), JITTER), rules
    ).state == Waiting(NOW + timedelta(minutes=1), throttled)


@pytest.mark.parametrize(
    "rules",
    [Rules(), READABLE, Rules(on_unclear=OnUnclear.HOLD)],
    ids=["retry", "can_look_up", "hold"],
)
def test_a_retry_after_beyond_the_limit_is_bounded_for_an_unclear_attempt(
    rules: Rules,
) -> None:
    """The failure says so."""
    told = Failure(FailureKind.SERVER_ERROR, "HTTP 503", retry_after=90_000)
    noted = evolve(told, detail="Retry-After of 90000 s bounded to 3600 s")
    in_an_hour = NOW + timedelta(hours=1)
    expected: dict[Rules, State] = {
        Rules(): Waiting(in_an_hour, noted),
        READABLE: LookingUp(1, NOW + timedelta(seconds=2), in_an_hour, noted),
        Rules(on_unclear=OnUnclear.HOLD): Held(noted),
    }
    assert (
        advance(SENDING, AttemptEnded(NOW, 7, Unclear(told), JITTER), rules).state
        == expected[rules]
    )


def test_a_retry_after_beyond_the_limit_is_bounded_for_a_deferred_one() -> None:
    """The failure says so."""
    told = Failure(FailureKind.TOLD_TO_WAIT, "come back later", retry_after=90_000)
    noted = evolve(told, detail="Retry-After of 90000 s bounded to 3600 s")
    last = Rules(RetryPolicy(max_attempts=2))
    event = AttemptEnded(NOW, 7, Deferred(told), JITTER)
    assert advance(SENDING, event, Rules()).state == Waiting(NOW + timedelta(hours=1), noted)
    assert advance(SENDING, event, last).state == Failed(FailedReason.EXHAUSTED, noted)


@pytest.mark.parametrize(
    ("finding", "cause"),
    [(Absent(), NOT_THERE), (Unreadable(NEW), OLD)],
    ids=["absent", "unreadable"],
)
def test_after_the_last_look_up_a_resend_whose_time_is_past_is_due_now(
    finding: Finding, cause: Failure
) -> None:
    upload = upload_with(LookingUp(3, EARLIER, EARLIER, OLD), TALLY)
    assert advance(upload, LookedUp(NOW, 3, finding), READABLE).state == Waiting(NOW, cause)


@pytest.mark.parametrize("event", [LookedUp(NOW, 1, Absent()), LookedUp(NOW, 1, Unreadable(NEW))])
def test_the_second_look_up_comes_10_s_after_the_first(event: Event) -> None:
    upload = upload_with(LookingUp(1, EARLIER, LATER, OLD), TALLY)
    assert advance(upload, event, READABLE).state == LookingUp(
        2, NOW + timedelta(seconds=10), LATER, OLD
    )


def test_a_message_says_how_often_it_was_looked_up() -> None:
    upload = upload_with(LookingUp(1, EARLIER, LATER, OLD), TALLY)
    one = Rules(can_look_up=True, look_up_delays=(timedelta(seconds=1),))
    not_there = evolve(OLD, message="no reply within 30 s; looked up once, not there")
    assert advance(upload, LookedUp(NOW, 1, Absent()), one).state == Waiting(LATER, not_there)
    two = evolve(one, look_up_delays=2 * one.look_up_delays)
    second = evolve(upload, state=LookingUp(2, EARLIER, LATER, OLD))
    not_there = evolve(OLD, message="no reply within 30 s; looked up 2 times, not there")
    assert advance(second, LookedUp(NOW, 2, Absent()), two).state == Waiting(LATER, not_there)


def test_a_look_up_beyond_those_that_the_provider_wants_now_is_the_last() -> None:
    upload = upload_with(LookingUp(3, EARLIER, LATER, OLD), TALLY)
    fewer = Rules(can_look_up=True, look_up_delays=(timedelta(seconds=1),))
    assert advance(upload, LookedUp(NOW, 3, Absent()), fewer).state == Waiting(LATER, NOT_THERE)


def test_a_budget_that_was_cut_below_what_is_spent_is_spent() -> None:
    cut = Rules(RetryPolicy(max_attempts=1))
    assert advance(SENDING, AttemptEnded(NOW, 7, Deferred(NEW), JITTER), cut).state == Failed(
        FailedReason.EXHAUSTED, NEW
    )


def test_the_rules_by_themselves_are_those_that_the_documentation_states() -> None:
    rules = Rules()
    assert rules.retry == RetryPolicy(
        max_attempts=5,
        initial_delay=timedelta(seconds=5),
        max_delay=timedelta(minutes=5),
        retry_after_limit=timedelta(hours=1),
    )
    assert rules.on_unclear is OnUnclear.RETRY
    assert rules.can_look_up is False
    assert rules.look_up_delays == (
        timedelta(seconds=2),
        timedelta(seconds=10),
        timedelta(seconds=30),
    )
    assert rules.throttle_floor == timedelta(0)


# --- parked --------------------------------------------------------------------------------------


def test_what_is_parked_with_others_waits_until_one_of_them_asks_again() -> None:
    soon = NOW + timedelta(minutes=20)
    parked = advance(SENDING, AttemptEnded(NOW, 7, Rejected(REVIEW), JITTER), Rules())
    assert parked.state == Waiting(IN_AN_HOUR, REVIEW)
    queued = upload_with(Queued(EARLIER), TALLY)
    assert advance(queued, Blocked(NOW, REVIEW, soon), Rules()).state == Waiting(soon, REVIEW)


def test_a_target_that_still_takes_nothing_is_given_up_at_the_limit() -> None:
    """The limit counts from the first refusal, through all attempts since."""
    rules = Rules(park_limit=timedelta(hours=4))
    parked = upload_with(Waiting(NOW, REVIEW), evolve(TALLY, spent=0, parked_at=NOW))
    refused = AttemptEnded(NOW + rules.park_limit, ATTEMPTS + 1, Rejected(REVIEW), JITTER)
    over = advance(advance(parked, Started(LATER), rules), refused, rules)
    assert over.state == rejected_for(REVIEW)
    assert over.updated_at == refused.at
    sooner = evolve(refused, at=refused.at - timedelta.resolution)
    waits = advance(advance(parked, Started(LATER), rules), sooner, rules)
    assert isinstance(waits.state, Waiting)
    assert waits.tally.parked_at == NOW


@pytest.mark.parametrize("goes_on", [Unblocked, lambda at: Requeued(at, "asha", "it is mended")])
def test_a_target_that_takes_uploads_again_has_its_whole_limit_anew(
    goes_on: Callable[[datetime], Event],
) -> None:
    parked = upload_with(Waiting(LATER, REVIEW), evolve(TALLY, spent=0, parked_at=EARLIER))
    assert advance(parked, goes_on(NOW), Rules()).tally.parked_at is None


# --- waiting for a decision ----------------------------------------------------------------------


def undecided(since: timedelta) -> Upload:
    state = Undecided(5, EARLIER, NOW - since, OLD)
    return upload_with(state, TALLY)


@pytest.mark.parametrize(
    ("after", "due"),
    [
        (timedelta(0), seconds(1)),
        (timedelta(seconds=-5), seconds(1)),
        (timedelta(hours=3), NOW + timedelta(hours=3)),
        (timedelta(days=2), NOW + timedelta(days=1)),
        (timedelta.max, NOW + timedelta(days=1)),
    ],
)
def test_the_wait_that_a_provider_names_is_bounded_by_a_second_and_the_day(
    after: timedelta, due: datetime
) -> None:
    taken = advance(SENDING, AttemptEnded(NOW, 7, Processing(after), JITTER), READABLE)
    assert due_of(taken.state) == due


@pytest.mark.parametrize(
    ("waited", "wait"),
    [
        (timedelta(0), timedelta(seconds=1)),
        (timedelta(minutes=5), timedelta(minutes=5)),
        (timedelta(hours=7), timedelta(hours=1)),
        (timedelta(hours=23, minutes=30), timedelta(minutes=30)),
    ],
)
def test_without_a_word_the_wait_doubles_to_an_hour_and_ends_with_the_day(
    waited: timedelta, wait: timedelta
) -> None:
    after = advance(undecided(waited), LookedUp(NOW, 5, Absent()), READABLE)
    assert due_of(after.state) == NOW + wait


def test_a_clock_that_was_set_back_makes_no_wait_shorter_than_a_second() -> None:
    after = advance(undecided(timedelta(hours=-1)), LookedUp(NOW, 5, Absent()), READABLE)
    assert due_of(after.state) == seconds(1)


def test_a_decision_in_the_last_moment_of_the_day_counts() -> None:
    late = undecided(timedelta(days=1))
    found = advance(late, LookedUp(NOW, 5, Found(RECEIPT)), READABLE)
    assert found.state == Succeeded(RECEIPT)
    refused = advance(late, LookedUp(NOW, 5, Refused(NEW)), READABLE)
    assert refused.state == rejected_for(NEW)


def test_what_is_undecided_after_the_day_is_looked_up_before_a_resend() -> None:
    over = advance(undecided(timedelta(days=1)), LookedUp(NOW, 5, Absent()), READABLE)
    again = advance(over, Requeued(NOW, "asha", "the reviewer was away"), READABLE)
    assert isinstance(again.state, LookingUp)


def test_the_time_of_a_budget_counts_from_its_first_attempt() -> None:
    limited = Rules(RetryPolicy(give_up_after=timedelta(hours=1)))
    fresh = upload_with(Queued(EARLIER), Tally(ATTEMPTS, 0, tried_since=EARLIER))
    assert advance(fresh, Started(NOW), limited).tally.tried_since == NOW
    again = upload_with(Waiting(EARLIER, OLD), evolve(TALLY, tried_since=EARLIER))
    assert advance(again, Started(NOW), limited).tally.tried_since == EARLIER


def test_a_limit_of_time_that_is_set_later_counts_from_the_next_attempt() -> None:
    limited = Rules(RetryPolicy(give_up_after=timedelta(hours=1)))
    waiting = upload_with(Waiting(EARLIER, OLD), TALLY)
    assert advance(waiting, Started(NOW), limited).tally.tried_since == NOW
    assert advance(waiting, Started(NOW), Rules()).tally.tried_since is None


def test_the_last_attempt_may_begin_when_the_time_is_just_over() -> None:
    limited = RetryPolicy(give_up_after=RESEND_AT - EARLIER)
    sending = upload_with(Sending(ATTEMPTS, NOW), evolve(TALLY, tried_since=EARLIER))
    ended = AttemptEnded(NOW, ATTEMPTS, Deferred(NEW), JITTER)
    assert advance(sending, ended, Rules(limited)).state == Waiting(RESEND_AT, NEW)
    assert limited.give_up_after is not None
    less = evolve(limited, give_up_after=limited.give_up_after - timedelta.resolution)
    assert advance(sending, ended, Rules(less)).state == out_of_time(exhausted(NEW), "194.999999s")


def test_parking_and_holding_begin_a_new_time() -> None:
    limited = Rules(RetryPolicy(give_up_after=timedelta(hours=1)))
    tally = evolve(TALLY, tried_since=EARLIER)
    for before, events in (
        (Sending(ATTEMPTS, EARLIER), [AttemptEnded(NOW, ATTEMPTS, Rejected(REVIEW), JITTER)]),
        (Waiting(EARLIER, OLD), [Blocked(NOW, BLOCK), Unblocked(LATER)]),
    ):
        upload = upload_with(before, tally)
        for event in (*events, Started(LATER)):
            upload = advance(upload, event, limited)
        assert (upload.tally.tried_since, upload.tally.spent) == (LATER, 1)


@pytest.mark.parametrize("goes_on", [Unblocked, lambda at: Requeued(at, "asha", "it works")])
@pytest.mark.parametrize(
    "stopped", [Held(BLOCK), rejected_for(BLOCK), Waiting(EARLIER, REVIEW)], ids=str
)
def test_what_goes_on_is_tried_again_after_its_look_ups(
    stopped: State, goes_on: Callable[[datetime], Event]
) -> None:
    """Its time begins anew with its budget: a doubt that a block outlasted is not given up by the
    look-ups that come first, without an attempt."""
    limited = evolve(READABLE, retry=RetryPolicy(give_up_after=timedelta(hours=1)))
    upload = upload_with(stopped, evolve(TALLY, doubt=True, tried_since=EARLIER))
    upload = advance(upload, goes_on(NOW), limited)
    late = NOW
    for look_up in (1, 2, 3):
        assert isinstance(upload.state, LookingUp)
        late += timedelta(hours=12)
        upload = advance(upload, LookedUp(late, look_up, Absent()), limited)
    assert isinstance(upload.state, Waiting)
    assert upload.state.due == late
    assert advance(upload, Started(late), limited).tally.tried_since == late


def test_what_goes_on_and_cannot_be_looked_up_is_held_for_its_doubt() -> None:
    """It is not held for what had stopped it: that works again, and would free it without end."""
    upload = upload_with(Held(BLOCK), evolve(TALLY, doubt=True))
    rules = evolve(READABLE, on_unclear=OnUnclear.HOLD)
    upload = advance(upload, Unblocked(NOW), rules)
    for look_up in (1, 2, 3):
        upload = advance(upload, LookedUp(NOW, look_up, Unreadable(NEW)), rules)
    assert isinstance(upload.state, Held)
    assert upload.state.cause.kind is FailureKind.INTERRUPTED
    assert BLOCK.message in upload.state.cause.message
    assert advance(upload, Unblocked(LATER), rules) is upload
