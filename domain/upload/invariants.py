"""What must hold of every record at every moment: checked in simulations and on a live database.

- An upload is at rest, or in flight with a living courier, or has a due time.
- A budget is never overspent.
- Each attempt that was started has a recorded end, or is the one in flight.
- No attempt was started before the provider's Retry-After was over.
- What was sent again out of a doubt is marked as a possible duplicate.
- No action reached another tenant's upload.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from attrs import frozen

from .attempt import Attempt
from .upload import Sending, Succeeded, Upload
from .verdict import Processing, Recovered, Unclear

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
    """

    upload: Upload
    attempts: Sequence[Attempt]
    credentials: Sequence[str | None]
    look_ups: Sequence[tuple[datetime, str]]
    action_tenants: Sequence[str]
    owner_lives: bool
    budget: int | None
    pruned: bool = False


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
    yield from _unended(record)
    yield from _too_early(record)
    yield from _unmarked(record)
    tenant_id = upload.key.tenant_id
    for other in record.action_tenants:
        if other != tenant_id:
            yield f"an action for tenant {other!r} was done to it"


def _unended(record: Record) -> Iterator[str]:
    upload = record.upload
    begun = set(range(1, upload.tally.attempts + 1))
    ended = {attempt.number for attempt in record.attempts}
    if isinstance(upload.state, Sending):
        ended.add(upload.state.attempt)
    if extra := sorted(ended - begun):
        yield f"attempt {extra[0]} has ended, and only {upload.tally.attempts} were begun"
    # A late end of an earlier attempt may have settled the upload while a later attempt was under
    # way, whose own end then changed nothing.
    if record.pruned or isinstance(upload.state, Succeeded):
        return
    if missing := sorted(begun - ended):
        yield f"attempt {missing[0]} was begun, and nothing is recorded of its end"


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
