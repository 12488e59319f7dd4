"""Every shape that an upload can come to, found by walking over `advance`, breadth first, from a
new upload.

A *shape* is what decides about an upload's future: its state and its tally, without the numbers
that only grow (attempts, version) and without moments. What is left is finite, so that a claim such
as "a doubt is never sent again unmarked" can be checked on all of it, and a picture of it drawn
that cannot be wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final, TypeAlias, assert_never

from attrs import evolve, frozen

from ..domain.integration import PARK_LIMIT
from ..domain.upload.events import (
    Abandoned,
    AttemptEnded,
    Attested,
    Blocked,
    Event,
    LookedUp,
    PersonEvent,
    Progressed,
    Requeued,
    Started,
    Unblocked,
    Unfit,
)
from ..domain.upload.failure import Concern, Failure, FailureKind
from ..domain.upload.transitions import MAX_PROCESSING, Rules, advance
from ..domain.upload.upload import (
    Failed,
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
    is_parked,
    new_upload,
)
from ..domain.upload.verdict import (
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

_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_BLANK: Final = new_upload(UploadKey("tenant", "evidence", "provider"), "0" * 64, _NOW.date(), _NOW)
_CAUSE: Final = Failure(FailureKind.TIMEOUT, "something went wrong with this upload")
_BROKEN: Final = Failure(FailureKind.UNAUTHORIZED, "the integration does not work")
_CLOSED: Final = Failure(FailureKind.CHECK_IN_REVIEW, "the target takes nothing now")
_UNKNOWN: Final = Failure(FailureKind.UNKNOWN_STATUS, "a status word that no one knows")
_UNRECOGNISED: Final = Failure(FailureKind.UNRECOGNISED_REPLY, "a reply that no one knows")
_EXCLUDED: Final = Failure(FailureKind.OUTCOME_EXCLUDED, "the settings exclude it")
_RECEIPT: Final = Receipt()
_BOOKMARK: Final = "bookmark"
_TAKEN: Final = Processing(timedelta(minutes=1))


EventKind: TypeAlias = type[Event | AttemptVerdict | Finding]


def kind_of(event: Event) -> EventKind:
    """What tells an event from others: its verdict's or its finding's class, else its own."""
    match event:
        case AttemptEnded(verdict=verdict):
            return type(verdict)
        case LookedUp(finding=finding):
            return type(finding)
        case _:
            return type(event)


@frozen(cache_hash=True)
class Shape:
    """A state and a tally in which every number that only grows, every moment and every text is
    the same."""

    state: State
    tally: Tally

    @property
    def name(self) -> str:
        """The state's name, with what tells it from others of its class: ``LookingUp 2``, ``Held
        for the integration``, ``Waiting for the target``."""
        match self.state:
            case Sending(cause=None):
                return "Sending first"
            case Sending():
                return "Sending again"
            case LookingUp(look_up=number):
                return f"LookingUp {number}"
            case Held(cause=cause) if cause.kind.concern is Concern.INTEGRATION:
                return "Held for the integration"
            case Waiting() as state if is_parked(state):
                return "Waiting for the target"
            case Failed(cause=cause) if cause.kind.doubtful:
                return "Failed in doubt"
            case Failed(cause=cause) if cause.kind.concern is Concern.INTEGRATION:
                return "Failed for the integration"
            case Failed(reason=reason):
                return f"Failed {reason.value}"
            case Queued() | Waiting() | Undecided() | Held() | Succeeded() | Skipped():
                return type(self.state).__name__
            case _:
                assert_never(self.state)

    @property
    def marks(self) -> str:
        """The tally's marks, a letter or a dash each: doubt, possible duplicate (2), bookmark,
        alone, parked before."""
        tally = self.tally
        marks = (
            ("d", tally.doubt),
            ("2", tally.possible_duplicate),
            ("b", tally.progress),
            ("a", tally.alone),
            ("p", tally.parked_at),
        )
        return "".join(letter if applies else "-" for letter, applies in marks)

    def __str__(self) -> str:
        return f"{self.name}, {self.tally.spent} spent, {self.marks}"


@frozen
class Move:
    """An event that changes an upload of one shape into one of another."""

    source: Shape
    event: Event
    target: Shape

    @property
    def word(self) -> str:
        """What the event is called: ``Delivered``, ``Unreadable``."""
        return kind_of(self.event).__name__

    @property
    def by_person(self) -> bool:
        """Whether a person did it."""
        return isinstance(self.event, PersonEvent)

    def __str__(self) -> str:
        return f"{self.source} -- {self.word} -> {self.target}"


@frozen
class Walk:
    """What was found: each shape once, in the order of its distance from a new upload, and each
    move out of each."""

    shapes: tuple[Shape, ...]
    moves: tuple[Move, ...]


def walk(*rules: Rules, without: Collection[EventKind] = ()) -> Walk:
    """All shapes that are within reach, and the moves between them, where events of the kinds in
    `without` do not happen.

    With several `rules`, each of them may hold at each step: a tenant's configuration changes while
    its uploads live.
    """
    start = _shape_of(_BLANK)
    shapes, moves, ahead = {start: None}, dict[Move, None](), deque([start])
    while ahead:
        source = ahead.popleft()
        upload = evolve(_BLANK, state=source.state, tally=source.tally)
        for event in _events_for(source.state):
            for rule in rules if kind_of(event) not in without else ():
                after = advance(upload, event, rule)
                if after is upload:
                    continue
                target = _shape_of(after)
                moves[Move(source, event, target)] = None
                if target not in shapes:
                    shapes[target] = None
                    ahead.append(target)
    return Walk(tuple(shapes), tuple(moves))


def _events_for(state: State) -> tuple[Event, ...]:
    """One of each event that differs from the others, with the numbers that are current in this
    state."""
    attempt = state.attempt if isinstance(state, Sending) else 1
    look_up = state.look_up if isinstance(state, LookingUp | Undecided) else 1
    return _events(attempt, look_up, isinstance(state, Undecided))


@cache
def _events(attempt: int, look_up: int, undecided: bool) -> tuple[Event, ...]:
    verdicts = (
        Delivered(_RECEIPT),
        Rejected(_CAUSE),
        Rejected(_UNRECOGNISED),
        Rejected(_BROKEN),
        Rejected(_UNKNOWN),
        Rejected(_CLOSED),
        Unbundled(_CAUSE),
        Deferred(_CAUSE),
        Unclear(_CAUSE),
        Recovered(_CAUSE),
        Withdrawn(_CAUSE),
        _TAKEN,
    )
    findings = (
        Found(_RECEIPT),
        Partly(_BOOKMARK),
        Absent(),
        Unreadable(_CAUSE),
        Refused(_CAUSE),
        _TAKEN,
    )
    # After a day of waiting for a decision, the same finding has another meaning, and so has the
    # refusal of a target that has taken nothing for a month.
    moments = (_NOW, _NOW + MAX_PROCESSING) if undecided else (_NOW,)
    in_a_month = _NOW + PARK_LIMIT
    return (
        Started(_NOW),
        Progressed(_NOW, attempt, _BOOKMARK),
        *(AttemptEnded(_NOW, attempt, verdict, 0.0) for verdict in verdicts),
        *(LookedUp(at, look_up, finding) for at in moments for finding in findings),
        Unfit(_NOW, _CAUSE),
        Unfit(_NOW, _EXCLUDED),
        AttemptEnded(in_a_month, attempt, Rejected(_CLOSED), 0.0),
        Blocked(_NOW, _BROKEN),
        *(Blocked(at, _CLOSED, at) for at in (_NOW, in_a_month)),
        Unblocked(_NOW),
        Requeued(_NOW, "somebody", "a reason"),
        Abandoned(_NOW, "somebody", "a reason"),
        Attested(_NOW, "somebody", "a reason"),
    )


def _shape_of(upload: Upload) -> Shape:
    seen = upload.tally
    marks = (seen.doubt, seen.possible_duplicate, seen.progress, seen.alone)
    tally = Tally(0, seen.spent, *marks, seen.parked_at and _NOW, seen.tried_since and _NOW)
    return Shape(_without_moments(upload.state), tally)


def _alike(cause: Failure) -> Failure:
    """One failure for all that have the same consequences."""
    if cause.kind.concern is not Concern.INTEGRATION:
        return _CAUSE
    return _UNKNOWN if cause.kind.doubtful else _BROKEN


def _without_moments(state: State) -> State:
    match state:
        case Queued():
            return Queued(_NOW)
        case Sending(cause=cause):
            return Sending(0, _NOW, cause and _CAUSE)
        case Waiting():
            return Waiting(_NOW, _CLOSED if is_parked(state) else _CAUSE)
        case LookingUp(look_up=number, cause=cause):
            return LookingUp(number, _NOW, _NOW, _alike(cause))
        case Undecided():
            return Undecided(0, _NOW, _NOW, _CAUSE)
        case Held(cause=cause):
            return Held(_BROKEN if cause.kind.concern is Concern.INTEGRATION else _CAUSE)
        case Failed(reason=reason, cause=cause):
            return Failed(reason, _alike(cause))
        case Succeeded():
            return Succeeded(_RECEIPT)
        case Skipped():
            return Skipped(_EXCLUDED)
        case _:
            assert_never(state)
