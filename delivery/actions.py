"""What people do to uploads, done to the records: on a courier, and on the command line beside one
that may be running.

Blocking; one transaction each. A running courier notices within seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TypeAlias

from attrs import evolve, frozen

from ..domain.arguments import aware, several, word_of
from ..domain.errors import MisuseError, StoreError
from ..domain.upload.actions import (
    Action,
    Inapplicable,
    Person,
    act,
    fits,
    not_applicable,
    unblocks,
)
from ..domain.upload.events import Attested, Unblocked
from ..domain.upload.failure import Failure, FailureKind
from ..domain.upload.find import Find, all_of
from ..domain.upload.status import ActionRow, UploadStatus, status_of_upload
from ..domain.upload.transitions import Rules, advance
from ..domain.upload.upload import Failed, Upload, UploadKey, cause_of, due_of
from ..ports.logger import ActionTaken, LogEvent, UploadRequeued, UploadSettled
from ..ports.provider import Recognising
from ..ports.records import Change, Dossier, Entry, Saved, Unreadable, UploadReader
from ..ports.store import UploadStore
from .destinations import Destination

RulesOf: TypeAlias = Callable[[UploadKey], Rules]

COURIER = "evidence-courier"
"""Who does what follows from a person's decision about a whole integration."""

_TRIES = 5


@frozen(kw_only=True)
class Filter:
    """Which of a tenant's uploads: every condition that is given must hold. Without any, all that
    the action applies to.

    `kind` is the kind of their error, such as ``unauthorized``; `since` and `until` are compared
    with created_at, the second exclusively. MisuseError for what cannot be a condition.
    """

    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __attrs_post_init__(self) -> None:
        if self.kind is not None:
            word_of(FailureKind, "kind of error", self.kind)
        for name, moment in (("since", self.since), ("until", self.until)):
            if moment is not None:
                aware(name, moment)


Which: TypeAlias = str | Sequence[str] | Filter
"""Which of a tenant's uploads an action is for: one evidence id, several, or a filter."""


@frozen
class Skipped:
    """An upload that the action does not apply to, and why."""

    status: UploadStatus
    reason: str


@frozen
class ActionResult:
    """What came of an action: what it was done to, as that stands now, and what it was not done
    to."""

    done: tuple[UploadStatus, ...] = ()
    skipped: tuple[Skipped, ...] = ()


@frozen
class AppliedAction:
    """What was done to one upload."""

    after: Upload
    dossier: Dossier
    row: ActionRow


def chosen(
    store: UploadReader, tenant_id: str, which: Which, action: Action, now: datetime
) -> Sequence[UploadStatus]:
    """The uploads that an action is asked for: those of evidence ids, or those that a filter
    finds. MisuseError if one of the ids has no upload."""
    if isinstance(which, Filter):
        return tuple(candidates(store, tenant_id, action, which, now))
    if not isinstance(which, str | list | tuple):
        kinds = "an evidence id, a list of them or a Filter"
        raise MisuseError(f"{action.value} is for {kinds}, not {type(which).__name__}")
    ids = dict.fromkeys(several("which", [which] if isinstance(which, str) else which, str, "text"))
    found = store.statuses(tenant_id, tuple(ids), now)
    if unknown := [one for one in ids if one not in found]:
        raise MisuseError(f"tenant {tenant_id!r} has no upload of evidence {unknown[0]!r}")
    return tuple(found[one] for one in ids)


def candidates(
    store: UploadReader, tenant_id: str, action: Action, where: Filter, now: datetime
) -> Iterator[UploadStatus]:
    """The uploads that an action with a filter is for."""
    find = Find(
        tenant_id=tenant_id,
        statuses=action.may_concern,
        kind=where.kind,
        since=where.since,
        until=where.until,
        limit=500,
    )
    found = all_of(lambda after: store.find(evolve(find, after=after), now))
    return (one for one in found if fits(action, one))


def preview_of(store: UploadReader, action: Action, found: Sequence[UploadStatus]) -> ActionResult:
    """What the action would be done to, and what not."""
    keys = [UploadKey(one.tenant_id, one.evidence_id, one.provider) for one in found]
    stored, unreadable = store.get(keys), store.unreadable()
    reasons = [
        _not_applicable(store, stored[key], action)
        if key in stored
        else _why_missing(unreadable.get(key))
        for key in keys
    ]
    looked_at = list(zip(found, reasons, strict=True))
    return ActionResult(
        tuple(status for status, reason in looked_at if reason is None),
        tuple(Skipped(status, reason) for status, reason in looked_at if reason is not None),
    )


def _why_missing(unreadable: Unreadable | None) -> str:
    if unreadable is None:
        return "it is gone"
    return f"its record cannot be read: {unreadable.reason}; have it mended, and try again"


def _not_applicable(store: UploadReader, entry: Entry, action: Action) -> str | None:
    """Why an action cannot be done to an upload, by its state or since nothing is left to send."""
    upload, document = entry.upload, entry.dossier.document
    reason = not_applicable(upload, action)
    again = action in (Action.RETRY, Action.RELEASE) and upload.status.settled
    if reason is not None or not again or document.source or document.path:
        return reason
    found = store.get([upload.key], staged=True).get(upload.key)
    if found is None or found.content is not None:
        return None
    return (
        "its document was erased, removed or not stored, and nothing is left to send: submit the"
        " evidence again under another id, or attest the upload if it has arrived"
    )


def take_action(
    store: UploadStore,
    tenant_id: str,
    evidence_id: str,
    action: Action,
    person: Person,
    rules_of: RulesOf,
    now: datetime,
) -> AppliedAction | Skipped:
    """Do it to an evidence's newest upload. MisuseError if it has none."""
    for _ in range(_TRIES):
        newest = store.statuses(tenant_id, [evidence_id], now)
        keys = [UploadKey(tenant_id, evidence_id, one.provider) for one in newest.values()]
        found = next(iter(store.get(keys).values()), None)
        if found is None:
            unreadable = store.unreadable()
            for key, status in zip(keys, newest.values(), strict=True):
                if key in unreadable:
                    return Skipped(status, _why_missing(unreadable[key]))
            raise MisuseError(f"tenant {tenant_id!r} has no upload of evidence {evidence_id!r}")
        before = found.upload
        if (reason := _not_applicable(store, found, action)) is not None:
            return Skipped(status_of_upload(before, None), reason)
        # What the provider can do matters only where a doubt is to be looked up first.
        again = action in (Action.RETRY, Action.RELEASE) and before.tally.doubt
        after = act(before, action, person, now, rules_of(before.key) if again else Rules())
        if isinstance(after, Inapplicable):
            return Skipped(status_of_upload(before, None), after.reason)
        row = ActionRow(at=now, action=action.value, by=person.by, reason=person.reason)
        (answer,) = store.save([Change(after, action=row, unblocks=unblocks(before, action))])
        if isinstance(answer, Saved):
            return AppliedAction(after, found.dossier, row)
    raise StoreError(
        f"evidence {evidence_id!r} of tenant {tenant_id!r} changes all the time: try again"
    )


def unblocked(upload: Upload, destination: Destination, now: datetime) -> Change | None:
    """What becomes of a stopped upload once its integration or its target may work again; None: it
    stays as it is.

    What was held or parked is queued, and so is what failed because the integration did not work;
    the latter is recorded as an action. What may have been taken, because the provider used a
    status word that was unknown, is not sent again: it is attested if the word is known by now.
    """
    state, word, reason = upload.state, "requeue", "its integration may work again"
    event: Attested | Unblocked = Unblocked(now)
    if isinstance(state, Failed) and _is_known(state.cause, destination):
        word, reason = Action.ATTEST.value, f"{state.cause.detail} is a status of success by now"
        event = Attested(now, COURIER, reason)
    after = advance(upload, event, destination.rules)
    row = ActionRow(at=now, action=word, by=COURIER, reason=reason)
    recorded = row if isinstance(state, Failed) else None
    return None if after is upload else Change(after, action=recorded)


def _is_known(cause: Failure, destination: Destination) -> bool:
    provider, settings = destination.provider, destination.integration.settings
    if cause.kind is not FailureKind.UNKNOWN_STATUS or not isinstance(provider, Recognising):
        return False
    try:
        return cause.detail is not None and provider.is_success(cause.detail, settings) is True
    except Exception:  # a plug-in's bug: a person decides
        return False


def news_of(before: Upload, change: Change) -> LogEvent:
    """What the log says of an upload that goes on by itself."""
    key, row = change.upload.key, change.action
    if row is not None and change.upload.status.at_rest:
        return ActionTaken(key, row.action, row.by, row.reason)
    paused = (cause := cause_of(before.state)) and cause.kind is FailureKind.PAUSED
    why = "a person has resumed it" if paused else "its integration may work again"
    return UploadRequeued(key, None, why)


def act_on(
    store: UploadStore,
    found: Sequence[UploadStatus],
    action: Action,
    person: Person,
    rules_of: RulesOf,
    now: Callable[[], datetime],
    *,
    lock: AbstractContextManager[object] = nullcontext(),  # noqa: B008
    log: Callable[[LogEvent], None] = lambda event: None,
) -> ActionResult:
    """Do it to each upload that was found, each under the lock that guards writing."""
    outcomes = []
    for status in found:
        with lock:
            outcome = take_action(
                store, status.tenant_id, status.evidence_id, action, person, rules_of, now()
            )
        if isinstance(outcome, AppliedAction):
            for event in events_of(outcome):
                log(event)
            if outcome.after.status.at_rest:
                log(UploadSettled(status_of_upload(outcome.after, status.last_attempt_at)))
        outcomes.append(outcome)
    return result_of(found, outcomes)


def events_of(applied: AppliedAction) -> Iterator[LogEvent]:
    """What the log says of an action."""
    key, row = applied.after.key, applied.row
    yield ActionTaken(key, row.action, row.by, row.reason)
    if due_of(applied.after.state) is not None:
        yield UploadRequeued(key, row.by, row.reason)


def result_of(
    found: Sequence[UploadStatus], outcomes: Iterable[AppliedAction | Skipped]
) -> ActionResult:
    """What came of an action on the uploads that were found, in their order."""
    done: list[UploadStatus] = []
    skipped: list[Skipped] = []
    for status, outcome in zip(found, outcomes, strict=True):
        if isinstance(outcome, Skipped):
            skipped.append(outcome)
        else:
            done.append(status_of_upload(outcome.after, status.last_attempt_at))
    return ActionResult(tuple(done), tuple(skipped))
