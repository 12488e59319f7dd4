"""What must hold of every record at every moment: checked in simulations and on a live database.

- An upload is at rest, or in flight with a living courier, or has a due time.
- A budget is never overspent.
- Each attempt that was started has a recorded end, or is the one in flight.
- No attempt was started before the provider's Retry-After was over.
- What was sent again out of a doubt is marked as a possible duplicate.
- No action reached another tenant's upload.
- Whether it has succeeded, with what receipt, is what its attempts, look-ups and people say.
- How it stands otherwise can follow from its last attempt, or from what a person did since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from attrs import frozen

from ..pacing.backfill import credential_of
from ..retention import ERASED
from .actions import Action
from .attempt import Attempt
from .failure import Concern, Failure, FailureKind
from .status import ActionRow
from .transitions import receipt_of_attestation
from .upload import (
    Failed,
    FailedReason,
    Held,
    Queued,
    Sending,
    Succeeded,
    Upload,
    Waiting,
    cause_of,
)
from .verdict import Delivered, Processing, Receipt, Recovered, Rejected, Unclear, word_of

_RESOLVING = ("partly", "refused")


@frozen(kw_only=True)
class Record:
    """Everything that is stored about one upload.

    - `credentials`: for each of `attempts` the line of the credential that made it, or None if
      unknown.
    - `look_ups`: the moment and the finding of each look-up.
    - `action_tenants`: the tenant to which each action was confined.
    - `owner_lives`: whether the courier that has it in flight lives.
    - `budget`: how many attempts the policy allowed when the latest began; None before the first.
    - `pruned`: attempts that ended long ago have been removed.
    - `erased`: what named a person has been removed.
    - `actions`: what people did.
    - `last_attempt_at`: when the latest attempt began.
    """

    upload: Upload
    attempts: Sequence[Attempt]
    credentials: Sequence[str | None]
    look_ups: Sequence[tuple[datetime, str]]
    action_tenants: Sequence[str]
    owner_lives: bool
    budget: int | None
    pruned: bool = False
    erased: bool = False
    actions: Sequence[ActionRow] = ()
    last_attempt_at: datetime | None = None


def breaches(record: Record) -> Iterator[str]:
    """What does not hold, in words."""
    upload = record.upload
    state, tally = upload.state, upload.tally
    if isinstance(state, Sending) and not record.owner_lives:
        yield (
            f"attempt {state.attempt} is in flight and its courier is gone: "
            "start a courier on this database, which recovers it"
        )
    if record.budget is not None and tally.spent > record.budget:
        yield f"{tally.spent} attempts are spent of a budget of {record.budget}"
    if tally.spent > tally.attempts:
        yield f"{tally.spent} attempts are spent, and only {tally.attempts} were made"
    if isinstance(state, Succeeded) and tally.doubt:
        yield "it has succeeded, and is marked as in doubt"
    yield from contradictions(record)
    yield from _too_early(record)
    yield from _unmarked(record)
    tenant_id = upload.key.tenant_id
    for other in record.action_tenants:
        if other != tenant_id:
            yield f"an action for tenant {other!r} was done to it"


def contradictions(record: Record) -> Iterator[str]:
    """What of the upload's row cannot be so by its attempts, look-ups and actions."""
    yield from _unended(record)
    yield from _unproven(record)
    yield from _unfollowed(record)


def _unended(record: Record) -> Iterator[str]:
    upload = record.upload
    begun = set(range(1, upload.tally.attempts + 1))
    ended = {attempt.number for attempt in record.attempts}
    if isinstance(upload.state, Sending):
        ended.add(upload.state.attempt)
    if extra := sorted(ended - begun):
        yield f"attempt {extra[0]} has ended, and only {upload.tally.attempts} were begun"
    if record.pruned:
        return
    missing = begun - ended
    if isinstance(upload.state, Succeeded):
        # A late end of an earlier attempt may have settled the upload while the latest attempt was
        # under way, whose own end then changed nothing.
        last, began = upload.tally.attempts, record.last_attempt_at
        if not any(one.started_at == began and one.number != last for one in record.attempts):
            missing.discard(last)
    if missing:
        yield f"attempt {min(missing)} was begun, and nothing is recorded of its end"


def _unproven(record: Record) -> Iterator[str]:
    state, was_found = record.upload.state, any(word == "found" for _, word in record.look_ups)
    attested = [one for one in record.actions if one.action == Action.ATTEST.value]
    delivered = [one for one in record.attempts if isinstance(one.verdict, Delivered)]
    if isinstance(state, Succeeded):
        if not (was_found or record.pruned):
            yield from _unlike(state.receipt, delivered, attested, record.erased)
        return
    proofs = [f"attempt {one.number} delivered it" for one in delivered]
    proofs += ["a look-up found it"] * was_found + ["a person attested it"] * bool(attested)
    if proofs:
        yield f"{proofs[0]}, and it has not succeeded"


def _unfollowed(record: Record) -> Iterator[str]:
    """What of an upload that has not succeeded does not follow from what came last."""
    upload, acts = record.upload, record.actions
    state, tally = upload.state, upload.tally
    if isinstance(state, Succeeded | Sending):
        return
    is_abandoned = isinstance(state, Failed) and state.reason is FailedReason.ABANDONED
    was_abandoned = bool(acts) and acts[-1].action == Action.ABANDON.value
    if is_abandoned and not was_abandoned:
        last_action = f"the last action is {acts[-1].action}" if acts else ""
        what = last_action or "nothing is recorded of who abandoned it"
        yield f"it stands as abandoned, and {what}"
    if was_abandoned and not is_abandoned:
        yield f"the last action is abandon, and it is {upload.status.value}"
    if isinstance(state, Queued) and tally.spent:
        yield f"it is queued, and {tally.spent} attempts of its budget are spent"
    last = next((one for one in record.attempts[::-1] if one.number == tally.attempts), None)
    if is_abandoned or was_abandoned or (last is None and tally.attempts):
        return
    cause = cause_of(state)
    if last is None:
        if isinstance(state, Held | Waiting) and cause and cause.kind.concern is Concern.UPLOAD:
            yield f"it is {upload.status.value} after {cause.kind.value}, and was never tried"
        if isinstance(state, Failed) and state.reason is FailedReason.EXHAUSTED:
            yield "it has failed as its attempts were used up, and was never tried"
    elif not _was_requeued(record, last):
        yield from _unlike_last(record, last)


def _was_requeued(record: Record, last: Attempt) -> bool:
    """Whether a person or a courier took it up again after that attempt. The moments do not say so
    if the clock was set back meanwhile."""
    upload = record.upload
    set_back = upload.updated_at < last.ended_at or not upload.tally.spent
    acts = [one for one in record.actions if one.action != Action.ABANDON.value]
    return any(set_back or one.at >= last.ended_at for one in acts)


def _unlike_last(record: Record, last: Attempt) -> Iterator[str]:
    """What of an upload does not follow from its last attempt, if no one took it up after that."""
    upload, state, result = record.upload, record.upload.state, last.result
    if isinstance(result, Receipt):  # see `_unproven`
        return
    kind, words = result.kind, {word for _, word in record.look_ups}
    ended = f"its last attempt, {last.number}, ended {word_of(last.verdict)} ({kind.value})"
    cause, was_rejected = cause_of(state), isinstance(last.verdict, Rejected)
    reason = state.reason if isinstance(state, Failed) else None
    is_rejected = reason is FailedReason.REJECTED
    its_kind = cause.kind if cause else None
    of_others = its_kind and its_kind.concern is not Concern.UPLOAD
    if was_rejected and kind.concern is not Concern.TARGET:
        if not is_rejected or its_kind is not kind:
            yield f"{ended}, and it is {upload.status.value}{_for(cause)}"
    elif is_rejected and its_kind is kind and not (of_others or words & {"refused"}):
        yield f"{ended}, and it has failed as if it was rejected"
    elif isinstance(state, Held) and not of_others and not (_doubtful(last) or words):
        yield f"{ended}, and it is held for a person"
    elif (
        (isinstance(state, Waiting) or reason is FailedReason.EXHAUSTED)
        and its_kind not in (kind, FailureKind.STILL_PROCESSING if words else None)
        and not of_others
    ):
        yield f"{ended}, and it is {upload.status.value}{_for(cause)}"


def _for(cause: Failure | None) -> str:
    return "" if cause is None else f" for {cause.kind.value}"


def _unlike(
    receipt: Receipt, delivered: Sequence[Attempt], attested: Sequence[ActionRow], erased: bool
) -> Iterator[str]:
    given = {_texts(one.result) for one in delivered if isinstance(one.result, Receipt)}
    given |= {_texts(receipt_of_attestation(one.by, one.reason)) for one in attested}
    if not given:
        yield "it has succeeded, and no attempt, look-up or person says so"
    elif not erased and ERASED not in _texts(receipt) and _texts(receipt) not in given:
        yield "its receipt is that of no attempt and of no person"


def _texts(receipt: Receipt) -> tuple[str, str]:
    return (receipt.reference or "", receipt.message or "")


def _too_early(record: Record) -> Iterator[str]:
    made_by = [line if line is None else credential_of(line) for line in record.credentials]
    pairs = list(zip(record.attempts, made_by, strict=True))
    for asked, credential in pairs:
        if asked.not_before is None:
            continue
        for later, other in pairs:
            same = later.number > asked.number and (credential is None or other == credential)
            # If the clock was set back in between, the moments say nothing.
            if same and asked.ended_at <= later.started_at < asked.not_before:
                yield (
                    f"attempt {later.number} was begun at {later.started_at.isoformat()}, though "
                    f"after attempt {asked.number} the provider asked not to be asked before "
                    f"{asked.not_before.isoformat()}"
                )


def _unmarked(record: Record) -> Iterator[str]:
    if record.upload.tally.possible_duplicate:
        return
    begun = record.upload.tally.attempts
    looked = [at for at, word in record.look_ups if word in _RESOLVING]
    doubts = {one.number: one for one in record.attempts if _doubtful(one)}
    for number, attempt in enumerate(doubts.values(), 1):
        # Each of these look-ups resolved one doubt, so the clock may have been set back before it.
        is_resolved = len(looked) >= number or any(at >= attempt.ended_at for at in looked)
        if attempt.number < begun and not is_resolved:
            yield (
                f"attempt {attempt.number} may have been taken, it was sent again, "
                "and it is not marked as a possible duplicate"
            )


def _doubtful(attempt: Attempt) -> bool:
    if isinstance(attempt.verdict, Unclear | Recovered | Processing):
        return True
    failure = attempt.failure
    return failure is not None and failure.kind.doubtful
