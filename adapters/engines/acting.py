"""What people do to uploads, done to the records: on a courier, and on the command line beside one
that may be running.

Blocking; one transaction each. A running courier notices within seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from attrs import evolve, frozen

from ...domain.errors import MisuseError, StoreError
from ...domain.upload.actions import Action, Inapplicable, Person, act, not_for, unblocks
from ...domain.upload.status import ActionRow, UploadStatus, status_of_upload
from ...domain.upload.transitions import Rules
from ...domain.upload.upload import Upload, UploadKey
from ...ports.store import Change, Dossier, Find, Page, Saved, UploadStore

RulesOf: TypeAlias = Callable[[UploadKey], Rules]

_TRIES = 5


@frozen(kw_only=True)
class Filter:
    """Which of a tenant's uploads: every condition that is given must hold. Without any, all that
    the action applies to.

    `kind` is the kind of their error, such as ``unauthorized``; `since` and `until` are compared
    with created_at, the second exclusively.
    """

    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def holds(self, status: UploadStatus) -> bool:
        """Whether an upload is one of them."""
        return (
            (self.kind is None or (status.error is not None and status.error.kind == self.kind))
            and (self.since is None or status.created_at >= self.since)
            and (self.until is None or status.created_at < self.until)
        )


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


class Finds(Protocol):
    """Whoever can list uploads."""

    def find(self, find: Find, now: datetime) -> Page:
        """See `UploadStore`."""
        ...


def candidates(
    store: Finds, tenant_id: str, action: Action, where: Filter, now: datetime
) -> Iterator[UploadStatus]:
    """The uploads that an action with a filter is for."""
    for status in action.concerned:
        find = Find(tenant_id=tenant_id, status=status, since=where.since, limit=500)
        while True:
            page = store.find(find, now)
            yield from filter(where.holds, page.uploads)
            if page.next_page is None:
                break
            find = evolve(find, after=page.next_page)


def no_upload(tenant_id: str, evidence_id: str, where: str = "") -> MisuseError:
    """What somebody hears who names an upload that there is not."""
    return MisuseError(f"tenant {tenant_id!r} has no upload of evidence {evidence_id!r}{where}")


def preview_of(action: Action, found: Sequence[UploadStatus]) -> ActionResult:
    """What the action would be done to, and what not."""
    words = {status.value for status in action.concerned}
    return ActionResult(
        tuple(status for status in found if status.status in words),
        tuple(
            Skipped(status, not_for(action, status.status))
            for status in found
            if status.status not in words
        ),
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
    """Do it to an evidence's newest upload. MisuseError where there is none."""
    for _ in range(_TRIES):
        found = store.last_of(tenant_id, evidence_id)
        if found is None:
            raise no_upload(tenant_id, evidence_id)
        before = found.upload
        # What the provider can do matters only where a doubt is to be looked up first.
        again = action in (Action.RETRY, Action.RELEASE) and before.tally.doubt
        after = act(before, action, person, now, rules_of(before.key) if again else Rules())
        if isinstance(after, Inapplicable):
            return Skipped(status_of_upload(before, None), after.reason)
        if unblocks(before, action):
            store.unblock(tenant_id, before.key.provider)
        row = ActionRow(at=now, action=action.value, by=person.by, reason=person.reason)
        (answer,) = store.save([Change(after, action=row)])
        if isinstance(answer, Saved):
            return AppliedAction(after, found.dossier, row)
    raise StoreError(
        f"evidence {evidence_id!r} of tenant {tenant_id!r} changes all the time: try again"
    )
