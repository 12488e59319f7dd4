"""What must hold of every record at every moment: checked in simulations and on a live database.

- An upload is at rest, or in flight with a living courier, or has a due time.
- A budget is never overspent.
- Each attempt that was started has a recorded end, or is the one in flight.
- No attempt was started before the provider's Retry-After was over.
- What was sent again out of a doubt is marked as a possible duplicate.
- No action reached another tenant's upload.
- Whether it has succeeded, with what receipt, is what its attempts, look-ups and people say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from attrs import frozen

from ..retention import ERASED
from .actions import Action
from .attempt import Attempt
from .status import ActionRow
from .transitions import receipt_of_attestation
from .upload import Failed, FailedReason, Sending, Succeeded, Upload
from .verdict import Delivered, Processing, Receipt, Recovered, Unclear

_RESOLVING = ("partly", "refused")


@frozen(kw_only=True)
class Record:
    """Everything that is stored about one upload.

    - `credentials`: for each of `attempts` the credential that made it, or None if unknown.
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
        yield "it has succeeded, and is said to be in doubt"
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
    is_abandoned = isinstance(state, Failed) and state.reason is FailedReason.ABANDONED
    if is_abandoned and all(one.action != Action.ABANDON.value for one in record.actions):
        yield "it stands as abandoned, and nothing is recorded of who abandoned it"


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
    pairs = list(zip(record.attempts, record.credentials, strict=True))
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
    for attempt in record.attempts:
        if not _doubtful(attempt) or attempt.number >= begun:
            continue
        if not any(word in _RESOLVING and at >= attempt.ended_at for at, word in record.look_ups):
            yield (
                f"attempt {attempt.number} may have been taken, it was sent again, "
                "and it is not marked as a possible duplicate"
            )


def _doubtful(attempt: Attempt) -> bool:
    if isinstance(attempt.verdict, Unclear | Recovered | Processing):
        return True
    failure = attempt.failure
    return failure is not None and failure.kind.doubtful
