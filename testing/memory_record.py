"""One upload as the store in memory keeps it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import define, evolve, field

from ..domain.pacing.backfill import line_of
from ..domain.pacing.paused import Paused, Resumed, actions_of
from ..domain.retention import DOCUMENT_ERASED, ERASED
from ..domain.upload.attempt import Attempt
from ..domain.upload.failure import Failure, FailureKind
from ..domain.upload.find import Place
from ..domain.upload.history import details_of, running_attempt
from ..domain.upload.invariants import Record
from ..domain.upload.status import ActionRow, LookUpRow, UploadDetails, UploadStatus, is_out_of_time
from ..domain.upload.upload import Sending, Succeeded, Upload, UploadKey, cause_of
from ..domain.upload.verdict import AttemptVerdict, Delivered, Processing, Receipt
from ..ports.records import Change, Dossier, Entry
from ..ports.removal import RemovalRow


@define
class MemoryRecord:
    """An upload with its history. `arrival` numbers the uploads in the order they came in;
    `deleted` is how many attempts it had that are no more."""

    arrival: int
    upload: Upload
    dossier: Dossier
    content: bytes | None
    line: str | None
    last_attempt_at: datetime | None = field(default=None, init=False)
    courier_id: int | None = field(default=None, init=False)
    budget: int | None = field(default=None, init=False)
    attempts: list[Attempt] = field(factory=list, init=False)
    credentials: list[str | None] = field(factory=list, init=False)
    look_ups: list[LookUpRow] = field(factory=list, init=False)
    actions: list[ActionRow] = field(factory=list, init=False)
    pruned_at: datetime | None = field(default=None, init=False)
    deleted: int = field(default=0, init=False)
    erased_at: datetime | None = field(default=None, init=False)

    @property
    def place(self) -> Place:
        """Where it stands in the lists."""
        return Place(self.upload.created_at, self.arrival)

    @property
    def open_upload(self) -> Entry:
        """As a courier needs it to go on."""
        return Entry(self.upload, self.dossier, courier_id=self.courier_id)

    def whole(self, living: Container[int]) -> Record:
        """All that is kept of it; `living` are the couriers that are alive."""
        return Record(
            upload=self.upload,
            attempts=tuple(self.attempts),
            credentials=tuple(self.credentials),
            look_ups=tuple((look.at, look.finding) for look in self.look_ups),
            action_tenants=(self.upload.key.tenant_id,) * len(self.actions),
            owner_lives=self.courier_id is not None and self.courier_id in living,
            budget=self.budget,
            pruned=self.pruned_at is not None,
            erased=self.erased_at is not None,
            actions=tuple(self.actions),
            last_attempt_at=self.last_attempt_at,
        )

    def with_removals(self, status: UploadStatus) -> UploadStatus:
        """The status with what was removed, and whether its time was over."""
        state, tally = self.upload.state, self.upload.tally
        return evolve(
            status,
            erased_at=self.erased_at,
            pruned_at=self.pruned_at,
            out_of_time=is_out_of_time(
                state, tally.spent, self.budget, limited=tally.tried_since is not None
            ),
        )

    def details(
        self,
        status: UploadStatus,
        pauses: Sequence[Paused | Resumed],
        removals: Sequence[RemovalRow] = (),
    ) -> UploadDetails:
        """The status with its history, and the pauses and removals that concerned it."""
        key, span = self.upload.key, (self.upload.created_at, self.upload.updated_at)
        paused = actions_of(pauses, key.tenant_id, key.provider, *span)
        removed = dict.fromkeys(
            ActionRow(at=row.at, action=row.action, by=row.by, reason=row.reason)
            for row in sorted(removals, key=lambda row: row.action)
            if row.tenant_id == key.tenant_id and row.at in (self.erased_at, self.pruned_at)
        )
        actions = sorted((*self.actions, *paused, *removed), key=lambda row: row.at)
        running = running_attempt(self.upload.state, status, self.courier_id)
        word, is_stored = self.upload.status, self.content is not None
        document = self.dossier.document.in_words(word, is_stored=is_stored)
        return details_of(status, document, self.attempts, actions, self.look_ups, running)

    def name(self, key: UploadKey, credential: str | None, settings: Mapping[str, object]) -> None:
        """Give it the key with its provider, and what the provider's integration is."""
        self.upload = evolve(self.upload, key=key)
        self.line = line_of(credential, self.dossier.backfill)
        self.dossier = evolve(self.dossier, settings=settings)

    def forget_texts(self) -> None:
        """Leave nothing of what the provider said, and no names."""
        self.upload = without_texts(self.upload)
        self.attempts = [evolve(one, verdict=silent(one.verdict)) for one in self.attempts]
        self.look_ups = [
            evolve(one, message=None if one.message is None else ERASED) for one in self.look_ups
        ]

    def take(self, change: Change) -> None:
        """The change, without what it means for the gate."""
        self.upload = change.upload
        if isinstance(change.upload.state, Sending):
            self.last_attempt_at = change.upload.state.started_at
        if change.document is not None:
            stored, known = change.document.stored, self.dossier.submitted_digest
            self.dossier = evolve(
                self.dossier, document=stored, submitted_digest=known or stored.sha256
            )
            self.content = change.document.content
        if change.attempt is not None:
            self.attempts.append(change.attempt)
            self.credentials.append(self.line)
        if change.look_up is not None:
            self.look_ups.append(change.look_up)
        if self.erased_at is not None:
            self.forget_texts()
        if change.action is not None:
            self.actions.append(change.action)


def without_texts(upload: Upload) -> Upload:
    """An upload without anyone's words."""
    state: Any = upload.state
    if isinstance(state, Succeeded):
        state = Succeeded(Receipt())
    elif (cause := cause_of(state)) is not None:
        state = evolve(state, cause=silent_failure(cause))
    return evolve(upload, state=state, tally=evolve(upload.tally, progress=None))


def silent(verdict: AttemptVerdict) -> AttemptVerdict:
    """A verdict without anyone's words."""
    match verdict:
        case Delivered():
            return Delivered(Receipt())
        case Processing():
            return evolve(verdict, message=ERASED)
    return evolve(verdict, failure=silent_failure(verdict.failure))


def silent_failure(failure: Failure) -> Failure:
    """A failure without anyone's words."""
    gone = failure.kind is FailureKind.DOCUMENT_GONE
    return evolve(failure, message=DOCUMENT_ERASED if gone else ERASED, detail=None)
