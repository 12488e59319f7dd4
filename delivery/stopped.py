"""Holds or parks what waits when its integration or target stops, and goes on when it may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice

from ..domain.errors import StoreError
from ..domain.pacing.gate import Blocked
from ..domain.pacing.paused import Paused
from ..domain.upload import events
from ..domain.upload.backoff import later
from ..domain.upload.upload import (
    UNKNOWN_PROVIDER,
    Failed,
    Held,
    Skipped,
    UploadKey,
    due_of,
    is_parked,
)
from ..ports.logger import DeliveryPaused, DeliveryResumed, StoreTrouble, UploadRequeued
from ..ports.records import Conflict, Entry
from .actions import news_of, unblocked
from .active import ActiveUpload, ActiveUploads
from .applying import Step, apply, save, stored
from .destinations import Destination, excluded
from .effects import Notify, Read, Turn, perform
from .turn_context import TurnContext, hold

HELD_AT_ONCE = 1_000
"""How many uploads of a blocked integration are held in one transaction."""

LEFT_FOR = timedelta(minutes=10)
"""What another courier has let go is held or parked here all the same, so long after its time: that
courier may be gone."""

_NEW = 1
"""The version of an upload that nothing has happened to since it was recorded."""


def hold_rest(
    context: TurnContext, uploads: ActiveUploads, destination: Destination, blocked: Blocked
) -> Turn[None]:
    """Hold, or park, what waits under the settings of a blocked integration."""
    waiting = uploads.waiting_at(destination)
    for start in range(0, len(waiting), HELD_AT_ONCE):
        page = waiting[start : start + HELD_AT_ONCE]
        yield from hold(context, page, blocked)
        for active in page:
            uploads.go_on(active)
    try:
        yield from _hold_postponed(context, uploads, destination, blocked)
    except StoreError as error:  # they are held when they are due
        yield from perform(Notify(StoreTrouble(str(error))))


def _hold_postponed(
    context: TurnContext, uploads: ActiveUploads, destination: Destination, blocked: Blocked
) -> Turn[None]:
    postponed = uploads.postponed.at(destination)
    while keys := [*islice(postponed, HELD_AT_ONCE)]:
        found = yield from stored(keys)
        some = [
            ActiveUpload(one.upload, one.dossier, destination)
            for key, one in found.items()
            if key in uploads.postponed
        ]
        if some:
            yield from hold(context, some, blocked)
        for active in some:
            uploads.update(active.upload.key, Entry(active.upload, active.dossier), ours=True)


class PauseKeeper:
    """Holds what waits for what people have paused, soon after they have."""

    def __init__(self, context: TurnContext, uploads: ActiveUploads) -> None:
        self._context = context
        self._uploads = uploads
        self._seen: Sequence[Paused] = ()

    def hold_paused(self, now: datetime) -> Turn[None]:
        """Hold what waits for what was paused since the last time; log what has changed."""
        before, self._seen = self._seen, (yield from perform(Read(lambda store: store.paused())))
        # Not compared by the names and reasons: an erasure takes them out of a pause in force.
        known, paused = {(one.scope, one.at) for one in before}, {one.scope for one in self._seen}
        for pause in self._seen:
            if (pause.scope, pause.at) not in known:
                yield from perform(Notify(DeliveryPaused(str(pause.scope), pause.by, pause.reason)))
                yield from self._hold(pause)
        for pause in before:
            if pause.scope not in paused:
                yield from perform(Notify(DeliveryResumed(str(pause.scope))))

    def _hold(self, pause: Paused) -> Turn[None]:
        for destination in [*self._uploads.destinations.values()]:
            integration = destination.integration
            if pause.scope.covers(integration.tenant_id, integration.provider):
                blocked = Blocked(pause.failure)
                yield from hold_rest(self._context, self._uploads, destination, blocked)


def hold_invalid(active: ActiveUpload, now: datetime) -> Turn[bool]:
    """Hold again what was released before its tenant's file was mended, so that its provider is not
    known; whether it was."""
    invalid, upload = active.destination.invalid, active.upload
    if invalid is None or upload.at_rest or upload.key.provider != UNKNOWN_PROVIDER:
        return False
    return bool((yield from apply(Step(active, events.Blocked(now, invalid)))))


def left_to_others(
    found: Sequence[Entry], home_of: Callable[[UploadKey], Destination | None], now: datetime
) -> Turn[Sequence[Entry]]:
    """What is stopped under the settings here, but has gone on since at a courier with others.
    Stopped here again, it would be let go there again, and so on: for a while it is left."""
    addresses = {
        one.upload.key: home.quota.address
        for one in found
        if (home := home_of(one.upload.key)) is not None and _has_gone_on(one, now)
    }
    if not addresses:
        return ()
    asked = frozenset(addresses.values())
    blocks = yield from perform(Read(lambda store: store.blocks_of(asked)))
    since = {one: block.since for one, block in blocks.items() if block.answer(now, begins=True)}
    return [
        one
        for one in found
        if (address := addresses.get(one.upload.key)) in since
        and one.upload.updated_at > since[address]
    ]


def _has_gone_on(found: Entry, now: datetime) -> bool:
    upload = found.upload
    if upload.version == _NEW or is_parked(upload.state):
        return False
    return now < later(due_of(upload.state) or now, LEFT_FOR)


def release(stopped: Sequence[ActiveUpload], now: datetime) -> Turn[Sequence[ActiveUpload]]:
    """Go on with what an integration or a target has stopped that may work again; what goes on."""
    changes = [unblocked(one.upload, one.destination, now) for one in stopped]
    going_on = [
        (one, change) for one, change in zip(stopped, changes, strict=True) if change is not None
    ]
    answers = yield from save([change for _, change in going_on])
    released = []
    for (active, change), answer in zip(going_on, answers, strict=True):
        if isinstance(answer, Conflict):
            active.adopt(answer.current)
        else:
            before, active.upload = active.upload, change.upload
            released.append(active)
            yield from perform(Notify(news_of(before, change)))
    return released


def resume(found: Sequence[ActiveUpload], now: datetime) -> Turn[None]:
    """Go on with those that an integration or a target has stopped that may work again."""
    stopped = [
        one
        for one in found
        if one.destination.invalid is None
        and (isinstance(one.upload.state, Held | Failed) or is_parked(one.upload.state))
    ]
    if not stopped:
        return
    addresses = {_home(one): one.destination.quota.address for one in stopped}
    freed = yield from perform(Read(lambda store: store.freed(addresses, 1)))
    free = {(one.upload.key.tenant_id, one.upload.key.provider) for one in freed}
    yield from release([one for one in stopped if _home(one) in free], now)


def _home(active: ActiveUpload) -> tuple[str, str]:
    """The integration that an upload is for."""
    return active.upload.key.tenant_id, active.upload.key.provider


def readmit(active: ActiveUpload, now: datetime) -> Turn[None]:
    """Queue an upload that was skipped, if the settings no longer exclude it."""
    is_skipped = isinstance(active.upload.state, Skipped) and active.destination.invalid is None
    if not is_skipped or excluded(active.dossier.outcome, active.destination.integration):
        return
    if (yield from apply(Step(active, events.Unblocked(now)))):
        again = UploadRequeued(active.upload.key, None, "its settings no longer exclude it")
        yield from perform(Notify(again))
