"""The engine of one step: takes an evidence as far as it goes now, in the caller's thread, and says
when to come again.

It keeps nothing between two calls but a number in the store, and plans nothing: the caller has a
queue that does. Several threads may call at once; writes take turns, and no lock is held while a
request is under way.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from itertools import chain
from math import inf
from typing import TypeVar

from attrs import evolve, frozen

from ...delivery.actions import ActionResult, RulesOf, act_on
from ...delivery.active import ActiveUpload, ActiveUploads, gone_error
from ...delivery.batching import LINGER
from ...delivery.destinations import Destination, Destinations
from ...delivery.dry_run import dry_run
from ...delivery.due_delivery import DueDelivery
from ...delivery.duties import Duties, Duty
from ...delivery.effects import Turn, Wait, Write, perform
from ...delivery.maintenance import (
    ADOPT_EVERY,
    RECOVERED_AT_ONCE,
    RECOVERIES_AT_ONCE,
    Maintenance,
    recover,
)
from ...delivery.stopped import hold_invalid, hold_rest, readmit, resume
from ...delivery.turn import take_turn
from ...delivery.turn_context import TurnContext
from ...domain.errors import StoreError
from ...domain.evidence.evidence import Document, Evidence, sha256_of
from ...domain.evidence.record_json import record_json
from ...domain.pacing.gate import MIN_PATIENCE, Blocked, NotBefore, Refusal, patience_of
from ...domain.pacing.waits import WaitReason
from ...domain.upload.actions import Action, Person
from ...domain.upload.backoff import later
from ...domain.upload.status import UploadStatus, status_of_upload, wait_for_valid
from ...domain.upload.upload import (
    Sending,
    UploadKey,
    due_at,
)
from ...domain.upload.verdict import DryRun
from ...ports.clock import Clock
from ...ports.logger import (
    CourierLost,
    Logger,
)
from ...ports.records import Added
from ...ports.store import UploadStore
from .blocking_driver import BlockingDriver, BlockingOutside, Worker, interruption_of
from .closing import closed_here
from .interruptions import workers_own
from .notify import Notifier
from .registration import Registration

ELSEWHERE = timedelta(seconds=5)
"""When to come again for an upload that another courier is sending."""

UNTIL_MENDED = timedelta(minutes=1)
"""When to come again for an upload that waits for a valid tenant file."""

NO_LIMIT = 2**62
"""A call takes as many and as large documents as it is given."""

AT_ONCE = 64
"""How many due uploads are chosen together, fairly, and then sent one after the other."""

T = TypeVar("T")


@frozen
class Delivery:
    """How far an evidence is: its upload's `status`, and when to come again, aware and in UTC.

    `status` is None if the tenant has no integration and had none before; `again_at` is None if
    nothing is left to do: it has succeeded, failed, is held or was skipped.
    """

    status: UploadStatus | None
    again_at: datetime | None


def left_alone(store: UploadStore, evidence: Evidence, now: datetime) -> Delivery:
    """How far an evidence is of a tenant that has no integration any more: nothing is recorded, but
    something may have been before."""
    ids = [evidence.evidence_id]
    status = store.statuses(evidence.tenant_id, ids, now).get(evidence.evidence_id)
    waits = status is not None and not status.at_rest
    return Delivery(status, later(now, UNTIL_MENDED) if waits else None)


class BlockingEngine:
    """Takes steps for one process."""

    def __init__(
        self,
        *,
        store: UploadStore,
        outside: BlockingOutside,
        clock: Clock,
        logger: Logger,
        jitter: Callable[[], float],
        sleep: Callable[[float], None],
        duties: Sequence[Duty] = (),
    ) -> None:
        self._store = store
        self._clock = clock
        self._lock = lock = threading.RLock()
        self._registration = Registration(store, clock, lock)
        self._notifier = Notifier(logger, workers_own)
        self._worker = Worker(
            outside, store, clock, sleep, lock, self._registration.heartbeat, self._notifier
        )
        self._no_one = TurnContext(0, clock, jitter, interruption_of, waits=False)
        self._duties = Duties(clock, interruption_of, duties)
        self._in_hand: set[UploadKey] = set()
        self._in_hand_lock = threading.Lock()

    def deliver(self, evidences: Sequence[tuple[Evidence, Destination]]) -> list[Delivery]:
        """Record each evidence, if it is new, and take its upload one step further, if that is
        due. Those that may go together go in one request."""
        keys = [
            UploadKey(one.tenant_id, one.evidence_id, destination.integration.provider)
            for one, destination in evidences
        ]
        with ExitStack() as in_hand:
            free = [in_hand.enter_context(self._taken_in_hand(key)) for key in keys]
            soon = self._clock.now() + ELSEWHERE
            here, elsewhere = self._uploads(), self._uploads()
            actives = [
                self._record(evidence, key, destination, here if mine else elsewhere)
                for key, mine, (evidence, destination) in zip(keys, free, evidences, strict=True)
            ]
            mine = [active for active, is_free in zip(actives, free, strict=True) if is_free]
            again_at = dict.fromkeys(set(keys) - {one.upload.key for one in mine}, soon)
            again_at |= self._step(mine, here, elsewhere)
            self._duties.hear_of(actives)
            return [self._delivery(active, again_at.get(active.upload.key)) for active in actives]

    def deliver_due(
        self, destinations: Destinations, broken: Mapping[str, Sequence[object]], seconds: float
    ) -> DueDelivery:
        """Take what is due in the store as far as it goes, until nothing is due, and old records in
        their time; nothing more begins after `seconds`. Then comes what the duties have to do: what
        hangs there delays no upload."""
        until = self._clock.monotonic() + seconds
        here = ActiveUploads(self._clock, self._notifier, AT_ONCE, NO_LIMIT)
        here.destinations, here.broken = destinations, broken
        with self._registration.taken() as owner:
            maintenance = Maintenance(here, self._context(owner), overdue=timedelta(0))
            self._run(maintenance.run_once())
            done = self._take_due(here, maintenance, until)
            self._do_duties(until)
            for step in self._duties.at_end_of_call(until):
                self._run(step)
        return done

    def _take_due(self, here: ActiveUploads, maintenance: Maintenance, until: float) -> DueDelivery:
        done = DueDelivery()
        while groups := self._next_groups(here, maintenance, until):
            for group in groups:
                if self._clock.monotonic() >= until:
                    return evolve(done, more=True)
                refused: NotBefore | None = None
                with ExitStack() as in_hand:
                    keys = [one.upload.key for one in group]
                    if not all(in_hand.enter_context(self._taken_in_hand(k)) for k in keys):
                        here.leave(group)
                    elif (refused := self._turn_of(group, here)) is None:
                        done = done.with_turn(group)
                        self._duties.hear_of(group)
                if refused is not None and refused.reason is WaitReason.BUSY:
                    self._run(perform(Wait(refused.at)))  # for a moment, as writers do
        return done

    def _next_groups(
        self, here: ActiveUploads, maintenance: Maintenance, until: float
    ) -> Sequence[Sequence[ActiveUpload]]:
        """What is due and goes next; of a line that is nearly sent, more is taken up first. An old
        record is waited for that may begin before `until`, and what is fresh goes meanwhile."""
        while True:
            while here.backlog.wanting:
                self._run(maintenance.adopt_more())
            now = self._clock.now()
            groups = list(here.take(now, LINGER))
            at = here.schedule.next_behind(now, until - self._clock.monotonic())
            if groups or at is None:
                return groups
            soon = min(at, later(now, timedelta(seconds=ADOPT_EVERY)))
            BlockingDriver(self._worker, timedelta.max).run(perform(Wait(soon)))
            self._run(maintenance.adopt())

    def dry_run(self, destination: Destination) -> DryRun | None:
        """What the provider says of an integration; None if it has no dry run."""
        with self._registration.taken() as owner:
            turn = dry_run(self._context(owner), destination)
            return BlockingDriver(self._worker, timedelta.max).run(turn)

    def act(
        self, found: Sequence[UploadStatus], action: Action, person: Person, rules_of: RulesOf
    ) -> ActionResult:
        """Do what a person asks for to uploads that were found."""
        return act_on(
            self._store,
            found,
            action,
            person,
            rules_of,
            self._clock.now,
            lock=self._lock,
            log=self._notifier.log,
        )

    def write(self, verb: Callable[[UploadStore], T]) -> T:
        """Call a writing verb of the store."""
        with self._lock:
            return verb(self._store)

    def recover(
        self, destinations: Destinations, broken: Mapping[str, Sequence[object]]
    ) -> list[UploadStatus]:
        """Write down that what dead couriers were sending may have been received; how those
        uploads are now."""
        store, now = self._store, self._clock.now()
        with self._registration.taken() as owner:
            dead = store.dead(owner, RECOVERED_AT_ONCE * RECOVERIES_AT_ONCE)
            left = [one.upload.key for found in dead.values() for one in found]
            uploads = self._uploads()
            uploads.destinations, uploads.broken = destinations, broken
            maintenance = Maintenance(uploads, self._context(owner))
            self._run(maintenance.tell_invalid(now))
            self._run(maintenance.recover_dead_couriers(now))
            self._run(maintenance.adopt_overdue(now))  # tells which of them have no integration
            self._do_duties()
        found = (store.statuses(key.tenant_id, [key.evidence_id], now) for key in left)
        return [status for statuses in found for status in statuses.values()]

    def start(self) -> None:
        """Do what comes before any delivery."""
        for duty in self._duties.start():
            self._run(duty)

    def _do_duties(self, until: float = inf) -> None:
        for duty in self._duties.due(until):
            self._run(duty)

    @property
    def failures(self) -> Mapping[str, int]:
        """How often the logger and a duty have raised, as `Health` names them."""
        failed = self._duties.failures
        return {"listener_failures": self._notifier.failures, "duty_failures": failed}

    def close(self) -> None:
        """Do the last steps of the duties, end them, and give the number back."""
        closed_here()
        try:
            for step in chain(self._duties.at_close(), self._duties.last()):
                self._run(step)
        finally:
            self._registration.unregister()

    @contextmanager
    def _taken_in_hand(self, key: UploadKey) -> Iterator[bool]:
        """Whether no other thread has this upload in hand."""
        with self._in_hand_lock:
            free = key not in self._in_hand
            self._in_hand.add(key)
        try:
            yield free
        finally:
            if free:
                with self._in_hand_lock:
                    self._in_hand.discard(key)

    # --- from evidence to upload -----------------------------------------------------------------

    def _uploads(self) -> ActiveUploads:
        return ActiveUploads(self._clock, self._notifier, NO_LIMIT, NO_LIMIT)

    def _record(
        self, evidence: Evidence, key: UploadKey, destination: Destination, uploads: ActiveUploads
    ) -> ActiveUpload:
        """The upload of an evidence, known or new. What is known is neither read nor rendered
        again."""
        found = self._store.get([key]).get(key)
        if found is None:
            prepare = self._worker.outside.preparer.prepare
            entry = prepare(evidence, destination, self._clock.now())
            (answer,) = self._run(perform(Write(lambda store: store.add([entry]), key)))
            if isinstance(answer, Added):
                return uploads.recorded(entry, answer, destination)
            key = answer.upload.key
            found = self._store.get([key]).get(key)
            if found is None:
                raise gone_error(key)
        uploads.compare(key, found.dossier.submitted_digest, _digest_of(evidence))
        active = ActiveUpload(found.upload, found.dossier, destination)
        if self._run(hold_invalid(active, self._clock.now())):
            uploads.tell_end(active.upload, active.status())
        self._run(readmit(active, self._clock.now()))
        return active

    def _step(
        self, actives: Sequence[ActiveUpload], here: ActiveUploads, elsewhere: ActiveUploads
    ) -> Mapping[UploadKey, datetime]:
        """One step for each; when to come again, if the gate refuses it."""
        self._run(resume(actives, self._clock.now()))
        for active in actives:
            if active.destination.invalid is not None:
                continue
            if isinstance(active.upload.state, Sending):
                self._recover(active)  # that is this step
                elsewhere.add(active)
            elif not active.upload.status.at_rest and here.get(active.upload.key) is None:
                here.add(active)
        refused: dict[UploadKey, datetime] = {}
        for group in list(here.take(self._clock.now(), LINGER)):
            not_before = self._turn_of(group, here)
            for active in group:
                if active.gone:
                    raise gone_error(active.upload.key)
                if not_before is not None:
                    refused[active.upload.key] = not_before.at
        return refused

    def _turn_of(self, group: Sequence[ActiveUpload], here: ActiveUploads) -> NotBefore | None:
        """Take a turn, and plan what follows; until when the gate refuses it."""
        answer = self._take_turn(group)
        if isinstance(answer, Blocked):
            self._run(hold_rest(self._no_one, here, group[0].destination, answer))
        not_before = answer if isinstance(answer, NotBefore) else None
        here.finish(group, not_before)
        return not_before

    def _recover(self, active: ActiveUpload) -> None:
        """If a dead courier was sending it, write down that it may have been received."""
        key, mine = active.upload.key, self._registration.owner
        found = self._store.get([key]).get(key)
        sender = None if found is None or found.upload != active.upload else found.courier_id
        # This process's own attempt is not in hand here: its end could not be written down.
        if sender is None or not (sender == mine or sender in self._store.dead(mine or 0, 0)):
            return
        if self._run(recover(self._context(sender), [active])) and sender != mine:
            self._notifier.log(CourierLost(sender, 1))

    def _take_turn(self, group: Sequence[ActiveUpload]) -> Refusal | None:
        """One attempt of each or one look-up; or why the gate refuses it."""
        with self._registration.taken() as owner:
            turn = take_turn(self._context(owner), group)
            return self._run(turn, patience_of(group[0].destination.quota))

    def _context(self, owner: int) -> TurnContext:
        return evolve(self._no_one, courier_id=owner)

    def _run(self, turn: Turn[T], patience: timedelta = MIN_PATIENCE) -> T:
        return BlockingDriver(self._worker, patience).run(turn)

    # --- telling ---------------------------------------------------------------------------------

    def _delivery(self, active: ActiveUpload, refused: datetime | None) -> Delivery:
        upload, now = active.upload, self._clock.now()
        status = status_of_upload(upload, active.last_attempt_at)
        with suppress(StoreError):  # what was done is done; only the estimates would be missing
            tenant_id, evidence_id = upload.key.tenant_id, upload.key.evidence_id
            newest = self._store.statuses(tenant_id, [evidence_id], now).get(evidence_id)
            if newest is not None and newest.provider == upload.key.provider:
                status = newest
        if upload.status.at_rest:
            return Delivery(status, None)
        if active.destination.invalid is not None:
            wait = wait_for_valid(upload.key.tenant_id)
            waiting = evolve(status, waits_for=wait, next_attempt_at=None)
            return Delivery(waiting, later(now, UNTIL_MENDED))
        return Delivery(status, refused or due_at(upload, now) or now + ELSEWHERE)


def _digest_of(evidence: Evidence) -> str | None:
    """The digest of what was handed over, as it is kept; None where it cannot be read any more,
    which no longer matters."""
    document = evidence.document
    if not isinstance(document, Document):
        return sha256_of(record_json(document))
    if document.content is not None:
        return sha256_of(document.content)
    if document.path is None:
        return document.sha256
    try:
        if not stat.S_ISREG(os.stat(document.path).st_mode):
            return None  # a pipe or a device may have no end
        with open(document.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None
