"""The engine of one step: takes an evidence as far as it goes now, in the caller's thread, and says
when to come again.

It keeps nothing between two calls but a number in the store, and plans nothing: whoever calls has a
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

from ...domain.errors import StoreError
from ...domain.evidence.evidence import Document, Evidence, sha256_of
from ...domain.pacing.gate import Blocked as GateBlocked
from ...domain.pacing.gate import GateChange, NotBefore
from ...domain.upload.actions import Action, Person
from ...domain.upload.attempt import Attempt, attempt_of
from ...domain.upload.events import Blocked, Event, Progressed, Unblocked
from ...domain.upload.status import UploadStatus, status_of_upload
from ...domain.upload.transitions import advance
from ...domain.upload.upload import (
    Held,
    LookingUp,
    Queued,
    Sending,
    Upload,
    UploadKey,
    Waiting,
    due_at,
    due_of,
)
from ...domain.upload.verdict import Verdict, word_of
from ...ports.clock import Clock
from ...ports.gates import Charged
from ...ports.logger import (
    AttemptEnded,
    AttemptRecovered,
    AttemptStarted,
    CourierLost,
    EvidenceConflict,
    LogEvent,
    Logger,
    LookUpEnded,
    UploadHeld,
    UploadRecorded,
    UploadRequeued,
    UploadSettled,
    WriteDelayed,
)
from ...ports.records import Added, Begun, Change, Conflict, LookUp, Saved, Start
from ...ports.renderer import Renderer
from ...ports.store import UploadStore
from ..records import record_json
from .acting import ActionResult, RulesOf, act_on
from .blocking_attempt import BlockingAttempter, Ended, cut_off, ours
from .duty import Duty
from .live import Live
from .prepare import Destination, prepare
from .reckoning import attempt_result_of, beginning_of, look_up_result_of, recovery_of
from .telling import news_of_gate, tell

ELSEWHERE = timedelta(seconds=5)
"""When to come again for an upload that somebody else is sending."""

PATIENCE = 60.0
"""For so many seconds a worker waits, in all, for the pace to allow the further requests of one
attempt."""

STORE_PAUSES = (0.5, 2.0)
"""After so many seconds a refused write is tried again; then the caller is told."""

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
        attempter: BlockingAttempter,
        clock: Clock,
        logger: Logger,
        renderer: Renderer,
        jitter: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._store = store
        self._attempter = attempter
        self._clock = clock
        self._logger = logger
        self._renderer = renderer
        self._jitter = jitter
        self._sleep = sleep
        # Held whenever the store is written to, and never while a request is under way.
        self._turn = threading.RLock()
        self._duty = Duty(store, clock, self._turn)
        self._in_hand: set[UploadKey] = set()
        self._hands = threading.Lock()

    def deliver(self, evidence: Evidence, destination: Destination) -> Delivery:
        """Record an evidence, if it is new, and take its upload one step further, if that is
        due."""
        key = UploadKey(evidence.tenant_id, evidence.evidence_id, destination.integration.provider)
        with self._taken_in_hand(key) as free:
            live = self._record(evidence, key, destination)
            if not free:
                return self._delivery(live, self._clock.now() + ELSEWHERE)
            rested = live.upload.status.at_rest
            refused = None if self._settled_or_elsewhere(live) else self._step(live)
            if live.upload.status.at_rest and not rested:
                self._tell_settled(live)
            return self._delivery(live, refused)

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
            lock=self._turn,
            log=self.log,
        )

    def close(self) -> None:
        """Give the number back."""
        self._duty.end()

    @contextmanager
    def _taken_in_hand(self, key: UploadKey) -> Iterator[bool]:
        """Whether no other thread has this upload in hand."""
        with self._hands:
            free = key not in self._in_hand
            self._in_hand.add(key)
        try:
            yield free
        finally:
            if free:
                with self._hands:
                    self._in_hand.discard(key)

    # --- from evidence to upload -----------------------------------------------------------------

    def _record(self, evidence: Evidence, key: UploadKey, destination: Destination) -> Live:
        """The upload of an evidence, known or new. What is known is neither read nor rendered
        again."""
        found = self._store.get([key]).get(key)
        if found is None:
            entry = prepare(evidence, destination, self._renderer, self._clock.now())
            (answer,) = self._patiently(key, lambda: self._store.add([entry]))
            if isinstance(answer, Added):
                self.log(UploadRecorded(key))
                live = Live(entry.upload, entry.dossier, destination)
                if live.upload.status.at_rest:  # unfit from the start
                    self._tell_settled(live)
                return live
            found = self._store.get([key]).get(key)
            if found is None:
                raise StoreError(f"the record of {key} is gone from the database")
        known, submitted = found.dossier.submitted_digest, _digest_of(evidence)
        if submitted is not None and submitted != known:
            self.log(EvidenceConflict(key, known, submitted))
        return Live(found.upload, found.dossier, destination)

    def _settled_or_elsewhere(self, live: Live) -> bool:
        """Whether there is nothing to do for this courier now."""
        if isinstance(live.upload.state, Held):
            return not self._unblocked(live)
        if isinstance(live.upload.state, Sending):
            return not self._recover(live)
        return live.upload.status.at_rest

    def _unblocked(self, live: Live) -> bool:
        """Whether what was held because the integration did not work may go on, since it has
        been changed."""
        key, address = live.upload.key, live.destination.quota.address
        if not self._store.freed({(key.tenant_id, key.provider): address}, 1):
            return False
        if not self._apply(live, Unblocked(self._clock.now())):
            return False
        self.log(UploadRequeued(live.upload.key, None, "its integration may work again"))
        return True

    def _recover(self, live: Live) -> bool:
        """Write down that the attempt of a dead courier may have been taken. False where its
        courier lives."""
        sending = live.upload.state
        assert isinstance(sending, Sending)
        # its attempt is not in hand here: its end could not be written down
        mine = self._duty.owner
        dead = self._store.dead(mine or 0)
        for owner in dead if mine is None else (mine, *dead):
            if not any(found.upload == live.upload for found in self._store.in_flight(owner)):
                continue
            event = recovery_of(sending, self._clock.now(), self._jitter())
            attempt = attempt_of(sending.started_at, event, live.destination.rules.retry)
            if self._apply(live, event, attempt=attempt):
                self.log(
                    AttemptRecovered(live.upload.key, sending.attempt, due_of(live.upload.state))
                )
                if owner != mine:
                    self.log(CourierLost(owner, 1))
            return not isinstance(live.upload.state, Sending)
        return False

    # --- one step --------------------------------------------------------------------------------

    def _step(self, live: Live) -> datetime | None:
        """One attempt or one look-up, if it is due; where the gate refuses it, when to come
        again."""
        now = self._clock.now()
        due = due_at(live.upload, now)
        if due is None or due > now:
            return None
        match live.upload.state:
            case Queued() | Waiting():
                refused = self._attempt(live)
            case LookingUp(look_up=number):
                refused = self._look_up(live, number)
            case _:
                refused = None
        return None if refused is None else refused.at

    def _attempt(self, live: Live) -> NotBefore | None:
        """One attempt, to its end; or why it may not begin yet."""
        begins = beginning_of(live, self._clock.now())
        if not isinstance(begins, Upload):
            self._apply(live, begins)
            return None
        sending, destination = begins.state, live.destination
        assert isinstance(sending, Sending)
        with self._duty.taken() as owner:
            start = Start(begins, destination.quota, owner, destination.rules.retry.max_attempts)
            return self._send(live, start, sending)

    def _send(self, live: Live, start: Start, sending: Sending) -> NotBefore | None:
        destination, key = live.destination, start.upload.key
        slots: list[int] = []
        line = self._attempter.line(
            destination, self._charge(live, start.courier_id, slots), destination.quota.at_most()
        )
        try:
            ((answer,),) = self._patiently(key, lambda: self._store.begin([[start]]))
            if isinstance(answer, NotBefore):
                return answer
            if isinstance(answer, GateBlocked):
                self._apply(live, Blocked(self._clock.now(), answer.failure))
                return None
            if isinstance(answer, Conflict) and not self._is_in_flight(start):
                self._adopt(live, answer)
                return None
            live.upload, live.last_attempt_at = start.upload, sending.started_at
            self.log(AttemptStarted(key, sending.attempt, start.budget))
            if isinstance(answer, Begun):
                slots += answer.slots
                ended = self._attempter.upload(
                    start.upload,
                    live.dossier,
                    answer.content,
                    line,
                    lambda progress: self._bookmark(live, sending.attempt, progress),
                )
            else:  # our own write, which was made after all
                ended = Ended(cut_off(False, StoreError()))
        except BaseException as error:
            # Outside of the dialogue, whose own interruptions are told by how it ended.
            if not self._is_in_flight(start):
                raise
            live.upload = start.upload
            ended = Ended(cut_off(line.sent, error), None, error)
        try:
            self._end(live, sending, ended.verdict, slots, ended.request_id)
        except StoreError:
            # Whoever comes next finds it in flight with nobody who sends it, and recovers it.
            if ended.interruption is None:
                raise
        if ended.interruption is not None:
            raise ended.interruption
        return None

    def _end(
        self,
        live: Live,
        sending: Sending,
        verdict: Verdict,
        slots: list[int],
        request_id: str | None,
    ) -> None:
        """Write down what an attempt came to, and tell it."""
        end = attempt_result_of(
            verdict, sending, live.destination, slots, self._clock.now(), self._jitter(), request_id
        )
        self._apply(live, end.event, attempt=end.attempt, gate=end.gate)
        word, due = word_of(end.attempt.verdict), due_of(live.upload.state)
        self.log(AttemptEnded(live.upload.key, sending.attempt, word, end.failure, due))
        for news in news_of_gate(live.upload.key, end.gate):
            self.log(news)

    def _look_up(self, live: Live, read: int) -> NotBefore | None:
        """One look-up, to its end; or why it may not begin yet."""
        destination, slots = live.destination, list[int]()
        with self._duty.taken() as owner:
            if destination.quota.pace is not None:
                match self._ask_for_one(live, owner):
                    case NotBefore() as refused:
                        return refused
                    case GateBlocked(failure=failure):
                        self._apply(live, Blocked(self._clock.now(), failure))
                        return None
                    case Charged(slot=int() as slot):
                        slots.append(slot)
            line = self._attempter.line(destination, self._charge(live, owner, slots), 1)
            finding = self._attempter.look_up(live.upload, live.dossier, line)
        seen = look_up_result_of(finding, read, destination, slots, self._clock.now())
        self._apply(live, seen.event, look_up=seen.look_up, gate=seen.gate)
        word, due = seen.look_up.finding, due_of(live.upload.state)
        self.log(LookUpEnded(live.upload.key, read, word, seen.failure, due))
        for news in news_of_gate(live.upload.key, seen.gate):
            self.log(news)
        return None

    def _charge(self, live: Live, owner: int, slots: list[int]) -> Callable[[], datetime | None]:
        """Each request more than an upload costs waits for a slot of its own, for as long as a
        worker may wait."""
        left = PATIENCE

        def charge() -> datetime | None:
            nonlocal left
            while True:
                match self._ask_for_one(live, owner):
                    case NotBefore(at=at):
                        wait = (at - self._clock.now()).total_seconds()
                        if wait > left:
                            return at
                        left -= wait
                        self._sleep(max(wait, 0.0))
                        self._duty.show()
                    case Charged(slot=int() as slot):
                        slots.append(slot)
                        return None
                    case _:
                        return None

        return charge

    def _ask_for_one(self, live: Live, owner: int) -> Charged | NotBefore | GateBlocked:
        """Ask the gate for one request."""
        quota, now = live.destination.quota, self._clock.now()
        return self._patiently(live.upload.key, lambda: self._store.charge(quota, now, owner))

    def _bookmark(self, live: Live, attempt: int, progress: str) -> None:
        if not isinstance(progress, str):
            raise TypeError(f"its bookmark is {type(progress).__name__}, not text")
        ours(lambda: self._apply(live, Progressed(self._clock.now(), attempt, progress)))

    # --- writing ---------------------------------------------------------------------------------

    def _apply(
        self,
        live: Live,
        event: Event,
        *,
        attempt: Attempt | None = None,
        look_up: LookUp | None = None,
        gate: GateChange | None = None,
    ) -> bool:
        """Write down what an event makes of an upload; whether it made anything of it.

        A refused write is read again, advanced again, written again.
        """
        while (after := advance(live.upload, event, live.destination.rules)) is not live.upload:
            change = Change(after, attempt=attempt, look_up=look_up, gate=gate)
            (answer,) = self._surely(
                live.upload.key,
                lambda change=change: self._store.save([change]),  # type: ignore[misc]
            )
            if isinstance(answer, Saved) or answer.current == after:
                live.upload = after
                return True
            self._adopt(live, answer)
        if gate is not None:  # somebody else was faster, and our requests were made all the same
            self._surely(live.upload.key, lambda: self._store.settle(gate))
        return False

    def _adopt(self, live: Live, conflict: Conflict) -> None:
        """Another courier was faster: what it wrote is what is true."""
        if conflict.current is None:
            raise StoreError(f"the record of {live.upload.key} is gone from the database")
        live.upload = conflict.current

    def _is_in_flight(self, start: Start) -> bool:
        """Whether an attempt that was to begin is on disk as ours."""
        try:
            return any(
                found.upload == start.upload for found in self._store.in_flight(start.courier_id)
            )
        except StoreError:
            return False

    def _surely(self, key: UploadKey, write: Callable[[], T]) -> T:
        """Write what has happened, even if the thread is interrupted meanwhile: then once more,
        before the interruption goes on."""
        try:
            return self._patiently(key, write)
        except StoreError:
            raise
        except BaseException:
            with suppress(StoreError):  # then whoever comes next recovers it
                self._patiently(key, write)
            raise

    def _patiently(self, key: UploadKey, write: Callable[[], T]) -> T:
        """Write; a refused write is tried a few times."""
        for pause in STORE_PAUSES:
            try:
                with self._turn:
                    return write()
            except StoreError as error:
                self.log(WriteDelayed(key, str(error)))
            self._sleep(pause)
        with self._turn:
            return write()

    # --- telling ---------------------------------------------------------------------------------

    def _delivery(self, live: Live, refused: datetime | None) -> Delivery:
        upload, now = live.upload, self._clock.now()
        status = status_of_upload(upload, live.last_attempt_at)
        with suppress(StoreError):  # what was done is done; only the estimates would be missing
            tenant_id, evidence_id = upload.key.tenant_id, upload.key.evidence_id
            newest = self._store.statuses(tenant_id, [evidence_id], now).get(evidence_id)
            if newest is not None and newest.provider == upload.key.provider:
                status = newest
        if upload.status.at_rest:
            return Delivery(status, None)
        return Delivery(status, refused or due_at(upload, now) or now + ELSEWHERE)

    def _tell_settled(self, live: Live) -> None:
        if isinstance(live.upload.state, Held):
            self.log(UploadHeld(live.upload.key, live.upload.state.cause))
        self.log(UploadSettled(live.status()))

    def log(self, event: LogEvent) -> None:
        """Tell the host."""
        tell(self._logger, event)


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
