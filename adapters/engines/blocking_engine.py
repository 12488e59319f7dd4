"""The engine of one step: takes an evidence as far as it goes now, in the caller's thread, and says
when to come again.

It keeps nothing between two calls but a number in the store, and plans nothing: the caller has a
queue that does. Several threads may call at once; writes take turns, and no lock is held while a
request is under way.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TypeVar

from attrs import frozen

from ...delivery.accounting import recovery_of
from ...delivery.active import ActiveUpload
from ...delivery.destinations import Destination
from ...delivery.effects import Record, Turn, perform
from ...delivery.redactors import Redactors
from ...delivery.turn import AttemptTurn, TurnContext, apply, look_up
from ...domain.errors import StoreError
from ...domain.evidence.evidence import Document, Evidence, sha256_of
from ...domain.pacing.gate import NotBefore
from ...domain.upload.actions import Action, Person
from ...domain.upload.attempt import attempt_of
from ...domain.upload.events import Unblocked
from ...domain.upload.status import UploadStatus, status_of_upload
from ...domain.upload.upload import (
    Held,
    LookingUp,
    Queued,
    Sending,
    UploadKey,
    Waiting,
    due_at,
    due_of,
)
from ...ports.clock import Clock
from ...ports.logger import (
    AttemptRecovered,
    CourierLost,
    EvidenceConflict,
    LogEvent,
    Logger,
    UploadHeld,
    UploadRecorded,
    UploadRequeued,
    UploadSettled,
)
from ...ports.records import Added
from ...ports.renderer import Renderer
from ...ports.store import UploadStore
from ..records import record_json
from .acting import ActionResult, RulesOf, act_on
from .blocking_driver import BlockingDriver, BlockingOutside, Worker, interruption_of
from .interruptions import workers_own
from .notify import Notifier
from .preparing import prepare
from .registration import Registration

ELSEWHERE = timedelta(seconds=5)
"""When to come again for an upload that another courier is sending."""

T = TypeVar("T")


@frozen
class Delivery:
    """How far an evidence is: its upload's `status`, and when to come again, aware and in UTC.

    `status` is None where the tenant has no integration; `again_at` is None where there is nothing
    more to do: it has succeeded, failed or is held.
    """

    status: UploadStatus | None
    again_at: datetime | None


class BlockingEngine:
    """Takes steps for one process."""

    def __init__(
        self,
        *,
        store: UploadStore,
        outside: BlockingOutside,
        clock: Clock,
        logger: Logger,
        renderer: Renderer,
        jitter: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._renderer = renderer
        self._jitter = jitter
        self._lock = lock = threading.RLock()
        self._registration = Registration(store, clock, lock)
        self._notifier = Notifier(logger, workers_own)
        self._worker = Worker(
            outside, store, clock, sleep, lock, self._registration.heartbeat, self._notifier
        )
        self._redactors = Redactors()
        self._in_hand: set[UploadKey] = set()
        self._in_hand_lock = threading.Lock()

    def deliver(self, evidence: Evidence, destination: Destination) -> Delivery:
        """Record an evidence, if it is new, and take its upload one step further, if that is
        due."""
        key = UploadKey(evidence.tenant_id, evidence.evidence_id, destination.integration.provider)
        with self._taken_in_hand(key) as free:
            active = self._record(evidence, key, destination)
            if not free:
                return self._delivery(active, self._clock.now() + ELSEWHERE)
            was_at_rest = active.upload.status.at_rest
            refused = self._one_step(active)
            if active.gone:
                raise StoreError(f"the record of {key} is gone from the database")
            if active.upload.status.at_rest and not was_at_rest:
                self._tell_settled(active)
            return self._delivery(active, refused.at if refused is not None else None)

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
            log=self._log,
        )

    def close(self) -> None:
        """Give the number back."""
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

    def _record(self, evidence: Evidence, key: UploadKey, destination: Destination) -> ActiveUpload:
        """The upload of an evidence, known or new. What is known is neither read nor rendered
        again."""
        found = self._store.get([key]).get(key)
        if found is None:
            entry = prepare(evidence, destination, self._renderer, self._clock.now())
            (answer,) = self._run(perform(Record(key, lambda store: store.add([entry]))))
            if isinstance(answer, Added):
                self._log(UploadRecorded(key))
                active = ActiveUpload(entry.upload, entry.dossier, destination)
                if active.upload.status.at_rest:  # unfit from the start
                    self._tell_settled(active)
                return active
            found = self._store.get([key]).get(key)
            if found is None:
                raise StoreError(f"the record of {key} is gone from the database")
        known, submitted = found.dossier.submitted_digest, _digest_of(evidence)
        if submitted is not None and submitted != known:
            self._log(EvidenceConflict(key, known, submitted))
        return ActiveUpload(found.upload, found.dossier, destination)

    def _one_step(self, active: ActiveUpload) -> NotBefore | None:
        """What can be done now; NotBefore if the gate refuses it."""
        state = active.upload.state
        if isinstance(state, Sending):
            self._recover(active, state)
            return None
        if isinstance(state, Held):
            self._unblock(active)
        return self._take_turn(active)

    def _unblock(self, active: ActiveUpload) -> None:
        key, address = active.upload.key, active.destination.quota.address
        if not self._store.freed({(key.tenant_id, key.provider): address}, 1):
            return
        if self._run(apply(active, Unblocked(self._clock.now()))):
            self._log(UploadRequeued(key, None, "its integration may work again"))

    def _recover(self, active: ActiveUpload, sending: Sending) -> None:
        """Write down that the attempt of a dead courier may have been taken."""
        # This process's own attempt is not in hand here: its end could not be written down.
        mine = self._registration.owner
        dead = self._store.dead(mine or 0)
        for owner in dead if mine is None else (mine, *dead):
            if not any(found.upload == active.upload for found in self._store.in_flight(owner)):
                continue
            event = recovery_of(sending, self._clock.now(), self._jitter())
            attempt = attempt_of(sending.started_at, event, active.destination.rules.retry)
            if self._run(apply(active, event, attempt=attempt)):
                due = due_of(active.upload.state)
                self._log(AttemptRecovered(active.upload.key, sending.attempt, due))
                if owner != mine:
                    self._log(CourierLost(owner, 1))
            return

    # --- one step --------------------------------------------------------------------------------

    def _take_turn(self, active: ActiveUpload) -> NotBefore | None:
        """One attempt or one look-up, if it is due; NotBefore if the gate refuses it."""
        state, now = active.upload.state, self._clock.now()
        due = due_at(active.upload, now)
        if due is None or due > now or not isinstance(state, Queued | Waiting | LookingUp):
            return None
        with self._registration.taken() as owner:
            context = TurnContext(
                owner, self._clock, self._jitter, interruption_of, self._redactors
            )
            if isinstance(state, LookingUp):
                return self._run(look_up(context, active))
            return self._run(AttemptTurn(context, [active]).run())

    def _run(self, turn: Turn[T]) -> T:
        return BlockingDriver(self._worker).run(turn)

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
        return Delivery(status, refused or due_at(upload, now) or now + ELSEWHERE)

    def _tell_settled(self, active: ActiveUpload) -> None:
        if isinstance(active.upload.state, Held):
            self._log(UploadHeld(active.upload.key, active.upload.state.cause))
        self._log(UploadSettled(active.status()))

    def _log(self, event: LogEvent) -> None:
        self._notifier.log(event)


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
        with open(document.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
