"""How uploads stand, out of their rows.

A list or a look at a hundred evidences makes a hundred of these rows: as tuples, since to make a
dictionary of each takes as long as all that is made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from ...domain.integration import tenant_key
from ...domain.pacing.estimate import outlook_without
from ...domain.upload import upload as uploads
from ...domain.upload.failure import FailureKind
from ...domain.upload.find import Place
from ...domain.upload.status import Outlook, UploadStatus, is_out_of_time, status_of_state
from ...domain.upload.upload import State, UploadKey
from .rows import (
    EVER,
    EVER_AFTER,
    STATE,
    UNKNOWN,
    Row,
    at_of,
    kind_in,
    moment_of,
    moment_or,
    settings_of,
    state_of,
)
from .trouble import RefusedError

_NEVER = "0001-01-01T00:00:00.000000Z"


class Shown(NamedTuple):
    """What is read of an upload to show how it stands: some columns, in this order."""

    id: int
    tenant_id: str
    evidence_id: str
    provider: str
    state: str
    status: str
    due: str | None
    attempt: int | None
    started_at: str | None
    read: int | None
    resend_at: str | None
    taken_at: str | None
    reason: str | None
    error_kind: str | None
    error_message: str | None
    error_http_status: int | None
    error_retry_after: float | None
    error_detail: str | None
    receipt_reference: str | None
    receipt_message: str | None
    attempts: int
    possible_duplicate: bool
    digest: str
    evidence_date: str
    created_at: str
    updated_at: str
    last_attempt_at: str | None
    credential: str | None
    erased_at: str | None
    pruned_at: str | None
    spent: int
    budget: int | None
    tried_since: str | None
    settings: str


SHOWN = Shown._fields
_read = lru_cache(maxsize=256)(settings_of)
"""The uploads of one integration have the same settings."""
_of_whole_row = itemgetter(*SHOWN)
_in_state = itemgetter(slice(SHOWN.index(STATE[0]), SHOWN.index(STATE[0]) + len(STATE)))


def shown_in(row: Row) -> Shown:
    """What is shown of a whole row."""
    return Shown._make(_of_whole_row(row))


def age(row: Shown) -> tuple[str, int]:
    """Where a row stands in the order of the lists: moments are written so that they sort as they
    are."""
    return row.created_at, row.id


def place_after(page: Sequence[Shown]) -> Place:
    """Where the next page begins: after the last row whose moment can be read. If none can be, all
    of them stand before or after all others, as their texts do."""
    for row in reversed(page):
        if (at := moment_or(None, row.created_at)) is not None:
            return Place(at, row.id)
    return Place(EVER_AFTER if page[-1].created_at > "9" else EVER, page[-1].id)


def state_shown(row: Shown) -> State:
    """The state in a row. ValueError if it cannot be read, or if an upload that goes on has no
    settings to go on with."""
    if row.due is not None:
        _read(row.settings)
    return state_of(_in_state(row))


def status_shown(row: Shown, state: State, outlook: Outlook | None) -> UploadStatus:
    """How the upload of a row stands, which is in this state."""
    limited = row.tried_since is not None
    return status_of_state(
        state,
        outlook,
        tenant_id=row.tenant_id,
        evidence_id=row.evidence_id,
        provider=row.provider,
        attempts=row.attempts,
        possible_duplicate=bool(row.possible_duplicate),
        last_attempt_at=moment_of(row.last_attempt_at),
        digest=row.digest,
        evidence_date=date.fromisoformat(row.evidence_date),
        created_at=at_of(row.created_at),
        updated_at=at_of(row.updated_at),
        erased_at=moment_of(row.erased_at),
        pruned_at=moment_of(row.pruned_at),
        out_of_time=limited and is_out_of_time(state, row.spent, row.budget, limited=True),
    )


def readable(row: Shown) -> Shown:
    """The row. What cannot be read, since other hands wrote it, stands as held."""
    try:
        state_shown(row)
        status_shown(row, uploads.Queued(datetime.min.replace(tzinfo=UTC)), None)
    except (ValueError, TypeError) as error:
        why = f"its record cannot be read ({error}): `evidence-courier invariants` says more"
        nothing: dict[str, Any] = dict.fromkeys(
            (*STATE, "last_attempt_at", "erased_at", "pruned_at")
        )
        held = {"state": "held", "status": "held", "error_kind": UNKNOWN, "error_message": why}
        never = {"created_at": _NEVER, "updated_at": _NEVER, "evidence_date": _NEVER[:10]}
        return row._replace(**{**nothing, **held, **never})
    return row


@contextmanager
def readable_history(row: Shown) -> Iterator[None]:
    """Reading the history of an upload. RefusedError says whose it is that cannot be read."""
    try:
        yield
    except (ValueError, TypeError) as error:
        key = UploadKey(row.tenant_id, row.evidence_id, row.provider)
        raise RefusedError(
            f"the history of {key} cannot be read ({error}): see `evidence-courier invariants`"
        ) from error


def outlooks_without(
    rows: Iterable[Shown], invalid: Mapping[str, str], outlooks: Mapping[int, Outlook]
) -> dict[int, Outlook]:
    """The outlooks of those whose tenants have no valid configuration, of rows that else go on.

    `invalid` holds the kinds of failure by tenant, `outlooks` what is known so far, by upload.
    """
    found: dict[int, Outlook] = {}
    for row in rows if invalid else ():
        cause = kind_in(invalid.get(tenant_key(row.tenant_id)))
        if cause:
            known = outlooks.get(row.id, Outlook())
            about = FailureKind(cause), row.tenant_id, row.provider
            found[row.id] = outlook_without(*about, known)
    return found
